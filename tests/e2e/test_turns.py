"""The handlers of one connection run one after the other, also when one waits; other connections do not wait for them."""
import json
import pathlib
import time

import pytest

from harness import Cluster, eventually

APP = pathlib.Path(__file__).parent / "app" / "turns.lua"


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP, gateways=2, brokers=1) as running:
        yield running


class Watch:
    """What the handlers of one client id noted."""

    def __init__(self, cluster):
        self.client = cluster.client(0, "/plain?name=Watch")
        self.seen = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.drop()

    def of(self, who, count, timeout=20):
        while len(notes := [text for id, text in self.seen if id == who]) < count:
            self.seen.append(tuple(self.client.recv(timeout).split(" ", 1)))
        return notes


@pytest.fixture
def watch(cluster):
    with Watch(cluster) as watching:
        yield watching


def say(client, text, wait=0.0, **fields):
    client.say({"say": text, "wait": wait, **fields})


def in_turn(*names):
    return [f"{what} {name}" for name in names for what in ("begin", "end")]


def aside(cluster):
    return sum(broker.metrics()["signalbox_entries_aside"] for broker in cluster.brokers)


def test_messages_of_a_client_in_their_order(cluster, watch):
    with cluster.client(0, "/slow?name=Msg&id=order") as client:
        for number in range(20):
            say(client, f"m{number}", wait=0.02 if number % 3 == 0 else 0)
        assert watch.of("order", 40) == in_turn(*[f"m{number}" for number in range(20)])
    eventually(lambda: aside(cluster) == 0)


def test_a_burst_to_handlers_that_wait_for_redis(cluster, watch):
    """Each waits for a moment only, and hundreds come at once: none is lost or moved."""
    with cluster.client(0, "/slow?name=Msg&id=burst") as client:
        for number in range(600):
            say(client, f"m{number}", store=True)
        assert watch.of("burst", 1200, 60) == in_turn(*[f"m{number}" for number in range(600)])


def test_others_do_not_wait(cluster, watch):
    with cluster.client(0, "/slow?name=Msg&id=sleeper") as sleeper, cluster.client(0, "/slow?name=Msg&id=awake") as awake:
        say(sleeper, "long", gate="long")
        watch.of("sleeper", 1)
        say(sleeper, "next")
        for number in range(3):
            say(awake, f"m{number}")
        assert watch.of("awake", 6) == in_turn("m0", "m1", "m2")
        assert watch.of("sleeper", 1) == ["begin long"]
        cluster.open_gate("long")
        assert watch.of("sleeper", 4) == in_turn("long", "next")


def test_events_and_their_handlers_one_after_the_other(cluster, watch):
    """Every handler of Connect, then every handler of Disconnect, though the client is gone at once."""
    cluster.client(0, "/up?name=Ev&id=events").drop()
    handlers = [f"{type} {name}" for type in ("connect", "disconnect") for name in ("first", "second", "third")]
    assert watch.of("events", 12) == in_turn(*handlers)


def test_presence(cluster, watch):
    ids = [f"p{number}" for number in range(40)]
    for id in ids:
        cluster.client(0, f"/up?name=Presence&id={id}").drop()
    for id in ids:
        assert watch.of(id, 2) == ["in", "out"]
        assert cluster.http(0, "GET", f"/online?id={id}").text == "no"


def test_presence_of_an_id_that_is_taken_over(cluster, watch):
    """The Disconnect of the old connection is handled before the Connect of the new one, at another gateway."""
    with cluster.client(0, "/up?name=Presence&id=taken") as old:
        with cluster.client(1, "/up?name=Presence&id=taken"):
            assert old.closing()[0] == 4001
            assert watch.of("taken", 3) == ["in", "out", "in"]
            assert cluster.http(0, "GET", "/online?id=taken").text == "yes"


def test_the_default_and_the_end_keep_the_order_too(cluster, watch):
    """A message without a handler does not overtake a handler that waits; nor does the answer to a Close."""
    with cluster.client(0, "/up?name=Ev&id=mixed") as client:
        client.say("mixed hello", path="Watch")
        handlers = [f"connect {name}" for name in ("first", "second", "third")]
        assert watch.of("mixed", 7) == in_turn(*handlers) + ["hello"]
    with cluster.client(0, "/slow?name=Msg&id=leaving") as client:
        say(client, "first", wait=0.2, answer=True)
        client.close(1000)
        assert list(client.inbox) == ["answer to first"]


def test_local_connections(cluster, watch):
    cluster.client(0, "/up?name=Ev&id=here&scope=local").drop()
    handlers = [f"{type} {name}" for type in ("connect", "disconnect") for name in ("first", "second", "third")]
    assert watch.of("here", 12) == in_turn(*handlers)


def test_nothing_that_waits_is_lost_with_its_broker():
    """The handler that runs dies with it; what waits for it is handled by the next broker, once and in order."""
    with Cluster(APP, gateways=1, brokers=2, broker_args=["--lease-ms", "1000"]) as cluster, Watch(cluster) as watch:
        with cluster.client(0, "/slow?name=Msg&id=left") as client:
            say(client, "long", wait=3600)
            assert watch.of("left", 1) == ["begin long"]
            for number in range(50):
                say(client, f"m{number}", wait=0.01 if number % 2 else 0)
            holder = eventually(lambda: next((b for b in cluster.brokers if b.metrics()["signalbox_entries_aside"] == 50),
                                             None))
            holder.kill()
            assert watch.of("left", 101) == ["begin long"] + in_turn(*[f"m{number}" for number in range(50)])
        assert not cluster.redis.keys("sb:*:w")


def test_a_broker_that_stops_hands_on_what_waits():
    with Cluster(APP, gateways=1, brokers=2, broker_args=["--lease-ms", "1000"]) as cluster, Watch(cluster) as watch:
        with cluster.client(0, "/slow?name=Msg&id=moved") as client:
            say(client, "short", gate="short")
            assert watch.of("moved", 1) == ["begin short"]
            for number in range(20):
                say(client, f"m{number}", wait=0.01)
            holder = eventually(lambda: next((b for b in cluster.brokers if b.metrics()["signalbox_entries_aside"] == 20),
                                             None))
            holder.term()
            cluster.open_gate("short")
            assert watch.of("moved", 42) == in_turn("short", *[f"m{number}" for number in range(20)])
            assert holder.wait() == 0


def test_the_bound_is_told():
    """A client whose handler never ends may leave 10,000 messages behind it; more are refused, and nobody else is held up."""
    with Cluster(APP, gateways=1, brokers=1) as cluster, Watch(cluster) as watch:
        with cluster.client(0, "/slow?name=Msg&id=flood", {"Sec-WebSocket-Protocol": "signalbox.v1"}) as client:
            client.recv()
            say(client, "long", wait=3600)
            assert watch.of("flood", 1) == ["begin long"]
            text = json.dumps({"message": {"say": "x", "wait": 0}})
            for _ in range(10000):
                client.send_text(text)
            client.send_json({"message": {"say": "too much", "wait": 0}, "ref": "r"})
            answer = client.recv_json(30)
            assert answer["type"] == "error" and answer["code"] == "busy" and answer["ref"] == "r"
            assert aside(cluster) == 10000
            with cluster.client(0, "/slow?name=Msg&id=other") as other:
                say(other, "quick")
                assert watch.of("other", 2) == in_turn("quick")
