"""Gateways and clients that do not keep up: F18, F19."""
import json
import time

from harness import RawWs
from load import NAMES
from world import LONG, SLACK

ALL = "I1 I2 I3 I4 I5 I6 I7 I8"
ROOMY = ["--history-bytes", "67108864", "--history-messages", "100000"]


def flood(w, name, count, size):
    """Large messages by XADD, all of them accepted."""
    pipe = w.redis.pipeline(transaction=False)
    for n in range(count):
        sent = w.books.begin(f"flood{time.monotonic_ns()}", n, name)
        pipe.xadd("signalbox:send", {"m": json.dumps({"name": name, "data": {"uid": sent.uid, "pad": "x" * size}})})
        sent.accepted = time.monotonic()
    pipe.execute()


def test_f18_slow_gateway(world):
    """F18, I1-I8: a gateway stops while much is published, Redis drops its subscription, history fills the hole."""
    w = world(rate=60, args=ROOMY, gateway_args=["--max-queue-bytes", "67108864"], redis={"client-output-buffer-limit": "pubsub 1mb 512kb 5"})
    for _ in range(4 if LONG else 1):
        w.flow(50)
        slow = w.random.choice(w.cluster.gateways)
        reconnects = slow.metrics()["signalbox_redis_reconnects_total"]
        slow.stop()
        for _ in range(10):
            flood(w, w.random.choice(NAMES), 50, 20_000)
        w.hold(3)
        slow.cont()
        w.delivers(3 * SLACK * 2, "after a gateway was slow")
        assert slow.metrics()["signalbox_redis_reconnects_total"] > reconnects, "the fault missed its aim"
    assert w.redis.info("memory")["used_memory"] < 500 << 20
    w.assert_all_stayed()
    w.check(ALL)


def test_f19_stuck_clients(world):
    """F19, I1-I8: clients that never read are closed with 4002, and nobody else feels them."""
    w = world(rate=60, args=ROOMY, gateway_args=["--max-queue-bytes", "524288"])
    w.flow(50)
    stuck = []
    for number in range(20):
        sock = RawWs(w.cluster.address(number % 2), timeout=10)
        sock.sock.setsockopt(1, 8, 4096)  # SOL_SOCKET, SO_RCVBUF
        connection = w.books.connection(f"stuck{number}", "n0", number % 2, False)
        connection.is_counted = False
        sock.upgrade(f"/n/n0?client_id=stuck{number}&token={connection.token}")
        connection.opened = time.monotonic()
        stuck.append((sock, connection))
    slow_closed = lambda: w.metric("signalbox_slow_closed_total", w.cluster.gateways)
    until = time.monotonic() + 60
    while slow_closed() < len(stuck):
        assert time.monotonic() < until, "stuck clients are kept"
        flood(w, "n0", 5, 50_000)
        w.delivers(1 * SLACK, "beside stuck clients")
    for sock, connection in stuck:
        sock.drop()
        connection.ended = time.monotonic()
    w.assert_all_stayed()
    w.check(ALL)
