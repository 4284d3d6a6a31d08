"""History on connecting, and what a Name keeps beyond the time of its history: over transports, brokers, reloads, kills."""
import json
import pathlib
import random
import threading

import pytest

from harness import Cluster, eventually

APP = pathlib.Path(__file__).parent / "app" / "history.lua"
V1 = {"Sec-WebSocket-Protocol": "signalbox.v1"}


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP, brokers=2) as running:
        yield running


def send(cluster, name, *texts, **more):
    for text in texts:
        cluster.redis.xadd("signalbox:send", {"m": json.dumps({"name": name, "data": text, **more})})


def listed(cluster, name, gateway=0):
    return [row["data"] for row in cluster.http(gateway, "GET", f"/history?name={name}").json()]


def expire(cluster, name):
    """As if nothing was sent for longer than --history-seconds."""
    for key in cluster.redis.keys(f"sb:*:[hls]:{name}"):
        cluster.redis.delete(key)


def kept(cluster, name):
    return sum(cluster.redis.xlen(key) for key in cluster.redis.keys(f"sb:*:k:{name}"))


def test_what_was_sent_before_anybody_joined(cluster):
    send(cluster, "Latest", "a", "b", "c")
    send(cluster, "Few", *"abcde")
    send(cluster, "Only", *"abcde")
    send(cluster, "Other", "a", "b")
    eventually(lambda: listed(cluster, "Only") == ["e", "d"])
    assert listed(cluster, "Latest", 1) == ["c"] and listed(cluster, "Few") == ["e", "d", "c"] and listed(cluster, "Other") == []
    for gateway, connect in ((0, cluster.client), (1, cluster.sse)):
        with connect(gateway, "/up?name=Few") as client:
            assert client.take(3) == ["c", "d", "e"]
    with cluster.client(0, "/up?name=Only") as client:
        assert client.take(2) == ["d", "e"]
        client.say("what is there?")
        assert client.recv() == "e d", "a handler of a broker lists it, too"


def test_beyond_the_time_of_the_history(cluster):
    """The newest are there once, in and beyond the history, whoever owns the partition, and whoever comes again."""
    with cluster.client(0, "/up?name=Few&id=one") as client:
        send(cluster, "Few", *map(str, range(6)))
        client.until("5")
    assert listed(cluster, "Few")[:6] == ["5", "4", "3", "2", "1", "0"]
    expire(cluster, "Few")
    assert listed(cluster, "Few") == ["5", "4", "3"]
    cluster.brokers[0].kill()
    cluster.brokers[0].start()
    send(cluster, "Few", "6")
    eventually(lambda: listed(cluster, "Few") == ["6", "5", "4"], 30)
    with cluster.client(1, "/up?name=Few", headers=V1) as client:
        hello = client.recv_json()
        assert hello["recovered"] is None
    with cluster.client(0, f"/up?name=Few&signalbox-resume={hello['id']}", headers=V1) as client:
        client.recv_json()
        assert [client.recv_json()["data"] for _ in range(3)] == ["4", "5", "6"], "lost before they came"


def test_direct_answers_and_closes_do_not_push_it_out(cluster):
    send(cluster, "Latest", "value")
    with cluster.client(0, "/up?name=Latest&id=asks") as client:
        client.until("value")
        client.say("list")
        assert client.recv().split()[0] == "value"
        cluster.cli("close", "Latest", "--client", "nobody")
        send(cluster, "Latest", "to all groups", group="nobody's")
        eventually(lambda: listed(cluster, "Latest")[0] == "to all groups")
    expire(cluster, "Latest")
    assert listed(cluster, "Latest") == ["to all groups"]


def test_another_rule_holds_from_the_next_message_on(tmp_path):
    app = tmp_path / "app.lua"
    text = APP.read_text()
    app.write_text(text)
    with Cluster(app) as cluster:
        send(cluster, "Few", *"abc")
        send(cluster, "New", *"abc")
        eventually(lambda: kept(cluster, "Few") == 3)
        app.write_text(text.replace('signalbox.name("Few", { keep = 3 })', 'signalbox.name("New", { keep = 2 })'))
        cluster.cli("reload")
        send(cluster, "Few", "d")
        send(cluster, "New", *"def")
        eventually(lambda: kept(cluster, "New") == 2 and kept(cluster, "Few") == 0)
        assert listed(cluster, "Few") == [] and listed(cluster, "New") == ["f", "e"]


def test_while_everything_dies():
    """Clients connect and go while messages are published and a gateway and a broker are killed: whatever is the first that
    a client gets, from there on it gets each message once, in order, and it got the latest that there was."""
    with Cluster(APP, gateways=2, brokers=2) as cluster:
        rng, over = random.Random(7), threading.Event()
        sent = []

        def publish():
            for number in range(1, 100000):
                if over.wait(0.002):
                    return
                sent.append(number)
                send(cluster, "Busy", str(number))
        thread = threading.Thread(target=publish, daemon=True)
        stays = cluster.client(1, "/up?name=Busy&id=stays")
        thread.start()
        try:
            eventually(lambda: len(sent) > 30)
            for round in range(40):
                if round == 10:
                    cluster.brokers[0].kill()
                if round == 20:
                    cluster.gateways[0].kill()
                gateway = rng.randrange(2) if round < 20 else 1
                connect = rng.choice([cluster.client, cluster.sse])
                with connect(gateway, f"/up?name=Busy&id=c{round % 3}") as client:
                    got = [int(text) for text in client.take(20)]
                assert got == list(range(got[0], got[0] + 20)), (round, got)
        finally:
            over.set()
            thread.join()
        assert [int(text) for text in stays.until(str(sent[-1]))] == sent[:-1]
