"""Publishers that repeat themselves, versions that meet, a Name that is too hot: F25 … F27."""
import json
import threading
import time

import msgpack
import pytest
import redis

from harness import Process, BIN, eventually, free_port
from load import NAMES, StreamPublisher, Talker
from harness.proxy import Proxy
from world import LONG, SLACK, Crowd, key, partition_of

ALL = "I1 I2 I3 I4 I5 I6 I7 I8"


def test_f25_replies_are_lost(world):
    """F25, I1-I8: requests arrive and their replies do not, for a publisher by XADD and for gateways and brokers: all
    of them repeat, and it is published once."""
    w = world(rate=150, proxied=True)
    mine = Proxy(("127.0.0.1", w.cluster.redis_port), free_port())
    publisher = StreamPublisher(w.load, "retrying", redis.Redis(port=mine.port, socket_timeout=0.2), NAMES, 50)
    w.load.streams.append(publisher)
    publisher.start()
    for _ in range(12 if LONG else 4):
        w.flow(w.random.randrange(30, 150))
        victim = w.random.choice([*w.cluster.proxies.values()])
        for proxy in (mine, victim):
            proxy.drop("down")
        w.hold(w.random.uniform(0.05, 0.3))
        for proxy in (mine, victim):
            proxy.keep()
            proxy.cut()
    w.delivers(3 * SLACK, "after lost replies")
    w.assert_all_stayed()
    w.check(ALL)
    mine.close()


def test_f25_one_key_two_publishers(world):
    """F25, I1-I3: two publishers send each message under the same idempotency key, by XADD and by HTTP on two gateways:
    one copy."""
    w = world(rate=60)
    redises = [w.cluster.redis_client() for _ in range(2)]

    def publish(way, sent, data):
        if way < 2:
            redises[way].xadd("signalbox:send", {"m": json.dumps({"name": sent.name, "data": data, "id": sent.uid})})
        else:
            reply = w.cluster.gateways[way - 2].admin("POST", "/send", {"name": sent.name, "data": data},
                                                      {"Idempotency-Key": sent.uid})
            assert reply.status in (200, 202), reply

    def run(number, barrier):
        for sent in shared:
            barrier.wait(20)
            publish(w.random.randrange(4) if number else number, sent, {"uid": sent.uid})
            w.books.accept(sent)

    # Each from a sender of its own: nothing is promised about the order of messages that two publishers send.
    shared = [w.books.begin(f"shared{number}", 0, w.random.choice(NAMES)) for number in range(300 if LONG else 60)]
    barrier = threading.Barrier(2)
    threads = [threading.Thread(target=run, args=(number, barrier)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(sent.accepted for sent in shared)
    w.check(ALL)


# -- F26

def run_to_end(w, program, *args):
    process = Process(f"other-{program}", [BIN / f"signalbox-{program}", w.cluster.app, "--redis", w.cluster.redis_url,
                                           *args], w.cluster.folder)
    process.start()
    status = process.wait(20)
    return status, process.log()


def test_f26_another_number_of_partitions(world):
    """F26: a process with another number of partitions says so and does not start; the cluster does not notice it."""
    w = world()
    w.flow(50)
    for program, args in (("broker", []), ("gateway", ["--listen", f"ws://127.0.0.1:{free_port()}"])):
        status, log = run_to_end(w, program, "--partitions", "8", *args)
        assert status not in (0, None) and status > 0, (status, log)
        assert "partitions" in log, log
    w.delivers(1 * SLACK, "beside refused processes")
    w.assert_all_stayed()
    w.check(ALL)


def entry(version, body, *more):
    """An entry SEND of `in` as envelope.h has it."""
    name = json.loads(body)["name"].encode()
    return msgpack.packb([version, 2, int(time.time() * 1000), 8 | 2, None, None, None, None, None, body, [name], None,
                          None, 0, *more])


def test_f26_entries_of_a_newer_version(world):
    """F26, I1-I8: an entry with elements that only newer versions know is read as it was; one of a version that is too
    new is put aside, and nothing else."""
    w = world()
    letters = key(partition_of("n0"), "dl")
    sent = w.books.begin("newer", 0, "n0")
    body = json.dumps({"uid": sent.uid, "name": "n0"}).encode()
    w.redis.xadd(key(partition_of("n0"), "in"), {"m": entry(2, body)})
    w.redis.xadd(key(partition_of("n0"), "in"), {"m": entry(1, body, b"something new", [1, 2, 3])})
    w.books.accept(sent)
    eventually(lambda: w.is_published(sent), what="the entry published")
    assert w.redis.xlen(letters) == 1
    w.check(ALL)


@pytest.mark.long
def test_f27_hot_name(world):
    """F27, I2, I3, I6, I8: one Name gets all it can take, over both gateways; the others hardly notice."""
    w = world(rate=60, gateways=3,
              args=["--history-bytes", "67108864", "--history-messages", "100000"])
    hot = [Talker(w.load, "n0", number % 3, number % 2 == 0, f"hot{number}", ["n0"], 1500) for number in range(8)]
    for talker in hot:
        w.load.talkers.append(talker)
        w.load.do(talker.start)
    until = time.monotonic() + 30
    while time.monotonic() < until:
        others_deliver(w)
    w.check(ALL)


def others_deliver(w):
    """A message to a Name of another partition is there soon."""
    began, crowd = time.monotonic(), Crowd()
    sent = w._probe("n4", began + 10)
    eventually(lambda: crowd.look() or w._has_arrived(sent), what="delivery beside a hot Name")
    assert time.monotonic() - began < crowd.allows(2 * SLACK)
