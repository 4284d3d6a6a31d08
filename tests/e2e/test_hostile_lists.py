"""Messages with the longest lists that are allowed, and one beyond: work is linear in the bytes and the recipients."""
import json
import pathlib

import pytest

from harness import TEXT, Cluster, eventually

APP = pathlib.Path(__file__).parent / "app" / "hostile_lists.lua"
PREFIX = "x" * 1000  # whoever compares has to look at all of it
CROWD, MESSAGES = 200, 10


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP, gateways=1) as running:
        yield running


@pytest.fixture(scope="module")
def crowd(cluster):
    """Clients of one Name, each with a group and an id of its own that begin as all others do."""
    clients = [raw(cluster, f"/up?name=Crowd&group={PREFIX}{i}&id={PREFIX}{i}") for i in range(CROWD)]
    yield clients
    for client in clients:
        client.drop()


def raw(cluster, path):
    return cluster.raw(0).upgrade(path)


def ticks(process):
    """Processor time it has used so far."""
    return sum(map(int, pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))


def cost_of(cluster, process, message):
    """Processor time for MESSAGES of these, until everything that they led to has come."""
    before = ticks(process)
    with cluster.client(0, "/up?name=Attacker") as attacker:
        for _ in range(MESSAGES):
            attacker.send_frame(TEXT, json.dumps(message).encode())
        attacker.say("end", path="Attacker")
        assert attacker.until("end") == []
    return ticks(process) - before


@pytest.mark.parametrize("key", ["group", "clientId"])
def test_the_longest_list_costs_its_bytes(cluster, crowd, key):
    """A list that nobody of the crowd is in: with the crowd it costs a gateway about what it costs without."""
    listed = [f"{PREFIX}none{i}" for i in range(1000)]
    alone = cluster.client(0, "/up?name=Alone")
    without = cost_of(cluster, cluster.gateways[0], {"message": "x", "path": "Alone", key: listed})
    with_crowd = cost_of(cluster, cluster.gateways[0], {"message": "x", "path": "Crowd", key: listed})
    assert with_crowd <= 4 * without + 40, (with_crowd, without)
    alone.drop()


@pytest.mark.parametrize("key", ["group", "clientId"])
def test_each_that_is_listed_gets_it_once(cluster, crowd, key):
    """However often it is listed, at the end of the longest list, and for groups in any case."""
    listed = [f"{PREFIX}none{i}" for i in range(996)] + [f"{PREFIX}{i}" for i in (7, 8, 7)]
    listed.append(f"{PREFIX}8".upper() if key == "group" else f"{PREFIX}8")
    with cluster.client(0, "/up?name=Sender") as sender:
        sender.say(f"to {key}", path="Crowd", **{key: listed})
        sender.say("fence", path="Crowd")
        for i, client in enumerate(crowd):
            texts = [client.read_frame(10).payload for _ in range(2 if i in (7, 8) else 1)]
            assert texts == ([f"to {key}".encode()] if i in (7, 8) else []) + [b"fence"], i


@pytest.mark.parametrize("message", [
    '{"message":"x","path":"Crowd","group":[' + ",".join(['"a"'] * 500000) + "]}",
    '{"message":"x","path":"Crowd","clientId":[' + ",".join(['"a"'] * 1001) + "]}",
    "[" + ",".join(['{"message":"x","path":"Crowd"}'] + ['{"message":1}'] * 100000) + "]",
], ids=["groups", "ids", "objects"])
def test_one_beyond_reaches_nobody(cluster, crowd, message):
    with cluster.client(0, "/up?name=Sender") as sender:
        sender.send_frame(TEXT, message.encode())
        sender.say("fence", path="Crowd")
        assert [client.read_frame(10).payload for client in crowd] == [b"fence"] * CROWD


def test_a_forged_list_in_redis_is_not_read(cluster, crowd):
    """What somebody else wrote into a log's channel or a partition's stream, with more elements than any entrance takes."""
    many = b"\xdd" + (200000).to_bytes(4, "big") + b"\xc0" * 200000  # an array of nil
    message = b"\x9b\x01" + b"\xa39-9" + b"\xa30-0" + b"\x01\x00" + many + b"\xc0" * 3 + b"\x00\xc4\x01x"
    redis = cluster.redis
    channel = next(name for name in redis.pubsub_channels("*") if name.endswith(b"n:Crowd"))
    stream = channel.replace(b"n:Crowd", b"in")
    entry = b"\x9e\x01\x02\x00\x00" + b"\xc0" * 5 + b"\xc4\x01x" + b"\xc0" + many + b"\xc0\x00"
    for _ in range(20):
        redis.publish(channel, message)
        redis.xadd(stream, {"m": entry})
    with cluster.client(0, "/up?name=Sender") as sender:
        sender.say("fence", path="Crowd")
        assert [client.read_frame(10).payload for client in crowd] == [b"fence"] * CROWD
    eventually(lambda: redis.xlen(channel.replace(b"n:Crowd", b"dl")) >= 20)


def test_a_send_to_many_names_has_a_price(cluster):
    """1,000 Names with 200 kB each would be 200 MB for Redis: refused at every entrance, before it costs anything."""
    message = json.dumps({"name": [f"n{i}" for i in range(1000)], "data": "x" * 200000})
    reply = cluster.gateways[0].admin("POST", "/send", message)
    assert reply.status == 413 and reply.json()["error"].startswith("name: 1000 Names times 200000 bytes")
    before = cluster.redis.info()["used_memory"]
    for _ in range(10):
        cluster.redis.publish("signalbox:send", message)
    eventually(lambda: cluster.redis.xlen("signalbox:refused") >= 10)
    assert cluster.redis.info()["used_memory"] < before + (8 << 20)
