"""What somebody who may only send can do to the public stream: everything else goes on, and the stream heals by itself."""
import json

import pytest
import redis as redis_py

from harness.cluster import Cluster
from harness.waiting import eventually

APP = 'signalbox.route("GET", "/ws", function(web) web:convert { name = "Msg" } end)\n'
STREAM, LAST = "signalbox:send", "18446744073709551615-18446744073709551615"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stream")
    (folder / "app.lua").write_text(APP)
    with Cluster(folder, gateways=1, brokers=2, args=["--partitions", "2"]) as one:
        yield one


def body(data):
    return {"m": json.dumps({"name": "Msg", "data": data})}


def send(cluster, data):
    """As a publisher that tries again while Redis refuses."""
    def is_taken():
        try:
            return cluster.redis.xadd(STREAM, body(data))
        except redis_py.ResponseError:
            return False
    eventually(is_taken, what="XADD is taken")


def is_fresh(cluster):
    """Nothing is left of the ids of the future, and who reads knows it."""
    ids = cluster.redis.hget("sb:{sb}:xown", "c"), (cluster.redis.xrevrange(STREAM, count=1) or [(b"0-0",)])[0][0]
    return all(int(id.split(b"-")[0]) < 2 * 10 ** 12 for id in ids)


def restarts(cluster):
    return sum(broker.metrics()["signalbox_stream_restarts_total"] for broker in cluster.brokers)


@pytest.mark.parametrize("entry", [LAST, "18446744073709551615-18446744073709551614", "9999999999999-0"])
def test_an_id_of_the_future(cluster, entry):
    before = restarts(cluster)
    with cluster.client(0, "/ws") as client:
        for round in range(2):
            sent = [f"{entry} {round} {number}" for number in range(20)]
            with cluster.redis.pipeline(transaction=True) as pipe:
                for data in sent[:10]:
                    pipe.xadd(STREAM, body(data))
                pipe.xadd(STREAM, body(sent[10]), id=entry)
                pipe.execute()
            for data in sent[11:]:
                send(cluster, data)
            assert [client.recv() for _ in sent] == sent
            eventually(lambda: is_fresh(cluster), what="a fresh stream")
            assert restarts(cluster) > before + round
        send(cluster, "last")
        assert client.recv() == "last"


def test_the_owner_dies_between_the_commit_and_the_restart(cluster):
    """The next owner restarts the stream; what was forwarded before the crash is known after it."""
    own = "sb:{sb}:xown"
    with cluster.client(0, "/ws") as client:
        send(cluster, "before")
        assert client.recv() == "before"
        for broker in cluster.brokers:
            broker.kill()
        cluster.redis.hset(own, "c", LAST)
        cluster.redis.delete(STREAM)
        send(cluster, "while away")
        for broker in cluster.brokers:
            broker.restart()
        send(cluster, "after")
        assert [client.recv(), client.recv()] == ["while away", "after"]


@pytest.mark.parametrize("damage", [("SET", STREAM, "x"), ("SADD", STREAM, "x"), ("DEL", STREAM), ("XTRIM", STREAM, "MAXLEN", 0)])
def test_the_stream_is_damaged(cluster, damage):
    with cluster.client(0, "/ws") as client:
        if damage[0] in ("SET", "SADD"):
            cluster.redis.delete(STREAM)
        cluster.redis.execute_command(*damage)
        if damage[0] in ("SET", "SADD"):
            eventually(lambda: any("WRONGTYPE" in str(broker.admin("GET", "/readyz").text) for broker in cluster.brokers),
                       what="readyz names it")
            cluster.redis.publish(STREAM, body("by the channel")["m"])
            assert client.recv() == "by the channel"
            cluster.redis.delete(STREAM)
        send(cluster, "healed")
        assert client.recv() == "healed"
        eventually(lambda: all(broker.is_ready() for broker in cluster.brokers), what="ready")
