"""Redis is the world: whatever stands under the keys and comes over the channels, every process lives on, and all is well
again once the garbage is gone. The seed is in the report of a failure."""
import os
import random

import msgpack
import pytest

from harness.cluster import Cluster
from harness.raw_ws import Closed
from harness.waiting import eventually

APP = """
for _, path in ipairs { "/ws", "/slow" } do
    signalbox.route("GET", path, function(web) web:convert { name = "Msg" } end)
end
signalbox.signal_route("/slow", function() signalbox.sleep(0.05) end)
signalbox.schedule("tick", "* * * * *", function() end)
signalbox.on("disconnect", "Msg", "gone", function(event) signalbox.store.incr("gone") end)
"""
ROUNDS, OPERATIONS = int(os.environ.get("HOSTILE_ROUNDS", "4")), 400
FLEET_KEYS = "cfg gw br rules way secret xown xlease xdl about:x dead:x kv:x lock:x".split()
PARTITION_KEYS = "own lease in src h:Msg h* l:Msg s:Msg l* c:Msg g:{gateway} gws d:Msg:x w dl i".split()
CHANNELS = "sb:{sb}:ctl", "sb:{sb}:probe:{gateway}", "sb:{sb}:trace:x", "sb:{sb}:receipt:x", "signalbox:send"
NUMBERS = ["-1", "0", "00", "1e999", "nan", "4503599627370497", "18446744073709551615", "18446744073709551616", "9" * 400, " 1"]
IDS = ["0-0", "18446744073709551615-18446744073709551615", "1-", "-1", "9999999999999-1", "1-1-1", "x-y", "1" * 41 + "-1"]
HEADERS = [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\x7f\xff\xff\xff", b"\xc1",
           b"\x9e" * 200]
CODES = [2 ** 64 - 1, 2 ** 63, 65536, 1005, 0, 1, 5000]


class Attack:
    def __init__(self, cluster, seed):
        self.random, self.redis = random.Random(seed), cluster.redis
        self.is_gentle = True
        self.tags = sorted({key.split(b"{")[1].split(b"}")[0].decode() for key in self.redis.keys("sb:{*}:own")} - {"sb"})
        self.gateway = self.redis.hkeys("sb:{sb}:gw")[0].decode()
        self.samples = [fields[b"m"] for tag in self.tags for key in (f"sb:{{{tag}}}:in", f"sb:{{{tag}}}:h:Msg")
                        for _, fields in self.redis.xrange(key) if b"m" in fields]

    def entry(self):
        """An entry or a message as brokers and gateways write it, with one element that is none."""
        pick = self.random.choice
        if self.random.random() < 0.5:
            fields = [1, pick([1, 2, 3, 4, 5, 6, 7, 255]), 1700000000000, 0, b"Msg", None, b"id", None, None, b"text", [b"Msg"], None,
                      None, pick(CODES)]
        else:
            fields = [1, f"{2 ** 51}-1", "0-0", pick([1, 2, 3, 4, 5, 6, 255]), 1700000000000, None, None, None, None, 0,
                      pick([b"text", b"\xff\xff", b"\x03\xed", b"\x00\x00", b"\x00", b"\x03\xe8\xff"])]
        if self.random.random() < 0.6:
            fields[self.random.randrange(len(fields))] = pick(
                [None, -1, 2 ** 64 - 1, b"", b"\0", [], [[]], {}, "x" * 2000, [b"a"] * 1001, b"0:1:1|", b"0:1:99999999999999999999|"])
        return msgpack.packb(fields)

    def blob(self):
        pick, kind = self.random.choice, self.random.random()
        if kind < 0.4:
            return self.entry()
        if kind < 0.6 and self.samples:
            blob = bytearray(pick(self.samples))
            for _ in range(self.random.randrange(1, 4)):
                blob[self.random.randrange(len(blob))] = self.random.randrange(256)
            return bytes(blob[:self.random.randrange(1, len(blob) + 1)] if kind < 0.5 else blob)
        return pick([b"", b"\0", b"\xff\xfe", pick(HEADERS), pick(NUMBERS), pick(IDS), b"A" * 70000, "hmac:x", '{"op":"set"}',
                     self.random.randbytes(self.random.randrange(60)), f"{self.gateway}:1:1|", f"{self.gateway}:1:" + "9" * 30 + "|",
                     b"Msg\0id\0" + f"{self.gateway}:1:1|".encode(), '{"name":"Msg","data":{}}', "1 unfit"])

    def field(self):
        return self.random.choice([*"htciyfuxmnvro", "", "id", "level:msg", "scope", "signing", "route::/x", "event:connect:msg:x",
                                   self.gateway, "version", "pid", "1-0", "2-0", "a\0b", self.blob()])

    def key(self):
        """A gentle round leaves alone what processes cannot work without, so that they read all the rest."""
        while (key := self.any_key()) and self.is_gentle and key.rsplit(":", 1)[1] in ("own", "lease", "in", "cfg", "send"):
            pass
        return key

    def any_key(self):
        if self.random.random() < 0.3:
            return "sb:{sb}:" + self.random.choice(FLEET_KEYS)
        key = f"sb:{{{self.random.choice(self.tags)}}}:" + self.random.choice(PARTITION_KEYS)
        return self.random.choice(["signalbox:send", "signalbox:refused", *[key] * 20]).replace("{gateway}", self.gateway)

    def pipe(self):
        pipe, pick, key = self.redis.pipeline(transaction=False), self.random.choice, self.key()
        kind = self.random.random()
        if kind < 0.1:
            pipe.delete(key)
        if kind < 0.25:
            channel = pick([*CHANNELS, "sb:{%s}:n:Msg" % pick(self.tags), "sb:{%s}:n*" % pick(self.tags)])
            pipe.publish(channel.replace("{gateway}", self.gateway), self.blob())
        elif kind < 0.35:
            pipe.set(key, self.blob())
        elif kind < 0.65:
            pipe.hset(key, self.field(), self.blob())
        elif kind < 0.95:
            entry = {pick(["m", *"tnivroh"]): self.blob() for _ in range(self.random.randrange(1, 6))}
            pipe.xadd(pick([key, "sb:{%s}:in" % pick(self.tags), "signalbox:send"]), entry, id=pick(["*"] * 30 + IDS[:2] * (not self.is_gentle)))
        else:
            pipe.sadd(key, self.blob())
            pipe.lpush(key, self.blob())
        pipe.execute(raise_on_error=False)


def close_entry(code):
    return msgpack.packb([1, 3, 1700000000000, 0, None, None, None, None, None, b"", [b"Msg"], None, None, code])


def test_a_close_that_cannot_be_sent(tmp_path):
    """By an entry it becomes a dead letter; in the log of a Name it is an ordinary close."""
    (tmp_path / "app.lua").write_text(APP)
    with Cluster(tmp_path, gateways=1, brokers=1, args=["--partitions", "1"]) as cluster, cluster.client(0, "/ws") as client:
        inbox = cluster.redis.keys("sb:{*}:own")
        tag, = {key.split(b"{")[1].split(b"}")[0].decode() for key in inbox} - {"sb"}
        codes = [2 ** 64 - 1, 2 ** 63, 65536 + 1000, 1005, 999, 5000]
        for code in codes:
            cluster.redis.xadd(f"sb:{{{tag}}}:in", {"m": close_entry(code)})
        for header in HEADERS:
            cluster.redis.xadd(f"sb:{{{tag}}}:in", {"m": header})
            cluster.redis.publish(f"sb:{{{tag}}}:n:Msg", header)
        eventually(lambda: cluster.redis.xlen(f"sb:{{{tag}}}:dl") == len(codes) + len(HEADERS), what="dead letters")
        cluster.cli("send", "Msg", "still here")
        assert client.recv() == "still here"
        term = int(cluster.redis.hget(f"sb:{{{tag}}}:own", "t"))
        cluster.redis.publish(f"sb:{{{tag}}}:n:Msg", msgpack.packb(
            [1, f"{term}-999999", cluster.redis.hget(f"sb:{{{tag}}}:own", "i"), 2, 1700000000000, None, None, None, None, 0, b"\xff\xff"]))
        with pytest.raises(Closed) as closed:
            client.recv()
        assert closed.value.code == 1000
        assert all(daemon.is_running for daemon in cluster.daemons)


@pytest.mark.parametrize("entry_id", ["9999999999999-0", "253402300800000-0", "18446744073709551615-1"])
def test_a_publisher_that_chooses_an_id_of_the_future(tmp_path, entry_id):
    """What it sends, and what comes after it, is delivered as of now."""
    (tmp_path / "app.lua").write_text(APP)
    with Cluster(tmp_path, gateways=1, brokers=1) as cluster, cluster.client(0, "/ws") as client:
        cluster.redis.xadd("signalbox:send", {"m": '{"name":"Msg","data":"later"}'}, id=entry_id)
        assert client.recv() == "later"
        cluster.redis.xadd("signalbox:send", {"m": '{"name":"Msg","data":"after"}'})
        assert client.recv() == "after"


@pytest.mark.parametrize("seed", [9, None], ids=["known", "fresh"])
def test_garbage_under_every_key_ends_no_process(tmp_path, seed):
    seed = seed or int(os.environ.get("HOSTILE_SEED") or random.randrange(10 ** 9))
    (tmp_path / "app.lua").write_text(APP)
    with Cluster(tmp_path, gateways=1, brokers=2, args=["--partitions", "4"], broker_args=["--lease-ms", "1000"]) as cluster:
        clients = [cluster.client(0, path) for path in ("/ws", "/slow", "/ws")]
        clients[0].say("hello")
        assert clients[2].recv() == "hello"
        attack = Attack(cluster, seed)
        for number in range(ROUNDS):
            attack.is_gentle = number % 2 == 0
            for _ in range(OPERATIONS):
                attack.pipe()
            cluster.redis.flushall()
            for daemon in cluster.daemons:
                eventually(daemon.is_ready, 30, f"{daemon.name} is well again; seed {seed}:\n{daemon.log()[-2000:]}")
        assert cluster.crashes() == [], f"seed {seed}"

        def delivered():
            with cluster.client(0, "/ws") as one, cluster.client(0, "/ws") as other:
                one.say("again")
                return other.recv(2) == "again"
        eventually(lambda: _quietly(delivered), 30, f"messages pass again; seed {seed}")
        for client in clients:
            client.drop()


def _quietly(question):
    try:
        return question()
    except (OSError, TimeoutError, ConnectionError):
        return False
    except Exception as error:  # pylint: disable=broad-except
        if type(error).__name__ in ("Refused", "Closed", "Ended"):
            return False
        raise
