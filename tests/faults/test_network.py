"""The way to Redis: silent, slow, cut in half, gone; a resolver that does not answer: F15, F16."""
import os
import socket
import threading
import time

import pytest

from harness import eventually
from world import LONG, SLACK, Crowd, FaultCluster

ALL = "I1 I2 I3 I4 I5 I6 I7 I8"


@pytest.mark.long
@pytest.mark.parametrize("direction", ["up", "down"])
def test_f15_one_direction_is_silent(world, direction):
    """F15, I1-I8: TCP is healthy and nothing comes through one way, for every process in turn: it is noticed, the
    connections are made anew, nothing is missed."""
    w = world(rate=100, proxied=True)
    for name, proxy in w.cluster.proxies.items():
        w.flow(100)
        daemon = next(daemon for daemon in w.cluster.daemons if daemon.name == name)
        proxy.drop(direction)
        eventually(lambda: not daemon.is_ready(), 4 * SLACK, f"{name} notices")
        proxy.keep()
        w.delivers(5 * SLACK, f"after {name} heard nothing ({direction})")
    w.assert_all_stayed()
    w.check(ALL)


def test_f15_deaf_feed(world):
    """F15, I1-I3, I8: only the feed of a gateway is silent while its commands work: the probe finds out."""
    w = world(rate=100, proxied=True)
    for name in ["gateway1", "gateway2", "broker1", "gateway1"] if LONG else ["gateway1", "broker1"]:
        w.flow(100)
        assert w.cluster.proxies[name].deafen() == 1
        w.delivers(5 * SLACK, f"after {name} went deaf")
    w.assert_all_stayed()
    w.check(ALL)


@pytest.mark.long
@pytest.mark.parametrize("seconds", [5, 30])
@pytest.mark.parametrize("who", ["gateway1", "broker1", "all"])
def test_f16_partition(world, who, seconds):
    """F16, I1-I8: nothing passes between some processes and Redis, then everything that was held."""
    w = world(rate=60, proxied=True)
    w.flow(100)
    cut_off = [proxy for name, proxy in w.cluster.proxies.items() if who in (name, "all")]
    for proxy in cut_off:
        proxy.stall()
    w.hold(seconds)
    w.books.disown(0)  # 30 s without Redis: senders were closed with what waited
    for proxy in cut_off:
        proxy.flow()
    w.delivers(5 * SLACK, f"after {who} was cut off for {seconds} s")
    w.check(ALL, t5=25)


@pytest.mark.long
def test_f16_longer_than_the_history(world):
    """F16, I2-I8: cut off for longer than the history holds: clients are told, never a silent hole."""
    # as many as the Observer needs of the Audit Name, when all clients connect at once
    short = ["--history-messages", "64", "--history-bytes", "65536"]
    w = world(rate=150, proxied=True, args=short)
    w.evidence.may_gap = True
    w.flow(100)
    w.cluster.proxies["gateway1"].stall()
    w.hold(8)
    w.cluster.proxies["gateway1"].flow()
    w.delivers(5 * SLACK, "after more was missed than is kept")
    assert {c.code for c in w.ends()} <= {4004, 1012, 1013}
    assert any(c.code == 4004 or c.recovered is False for c in w.books.connections), "the fault missed its aim"
    w.evidence.logs_are_whole = False
    w.check(ALL, t5=25)


@pytest.mark.long
def test_f16_slow_network(world):
    """F16, I1-I8: 200 ms each way. Messages with idempotency keys pass one by one for each partition."""
    w = world(rate=8, proxied=True, every_rate=0.2)
    w.flow(50)
    for proxy in w.cluster.proxies.values():
        proxy.delay_s = 0.2
    w.hold(10)
    w.delivers(5 * SLACK, "with 200 ms each way")
    for proxy in w.cluster.proxies.values():
        proxy.delay_s = 0.0
    w.delivers(5 * SLACK, "when it is quick again")
    w.assert_all_stayed()
    w.check(ALL, t5=25)


# -- a resolver that does not answer

class SilentResolver(threading.Thread):
    """Answers every A question with 127.0.0.1, once it is told to."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((address, 53))
        self.asked, self.is_answering = threading.Event(), False

    def run(self):
        while True:
            try:
                question, peer = self.sock.recvfrom(512)
            except OSError:
                return
            self.asked.set()
            if self.is_answering:
                self.sock.sendto(self._answer(question), peer)

    def _answer(self, question):
        end = question.index(b"\0", 12) + 5
        is_a = question[end - 4:end - 2] == b"\0\1"
        record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x7f\0\0\1" if is_a else b""
        return question[:2] + b"\x81\x80\0\1" + bytes([0, is_a]) + b"\0\0\0\0" + question[12:end] + record


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="port 53 and a mount need root")
def test_f16_resolver_hangs(tmp_path):
    """F16: the name of Redis cannot be looked up: the event loop does not wait for it, and when it can, all is well."""
    address = "127.9.9.9"
    resolver = SilentResolver(address)
    resolver.start()
    (tmp_path / "resolv.conf").write_text(f"nameserver {address}\noptions timeout:1 attempts:1\n")
    runner = ["/usr/bin/unshare", "-m", "sh", "-c",
              f'mount --bind {tmp_path}/resolv.conf /etc/resolv.conf && exec "$@"', "sh"]

    class Named(FaultCluster):
        def redis_url_for(self, name):
            return f"redis://redis.faults.test:{self.redis_port}"

    cluster = Named(gateways=1, brokers=1)
    for daemon in cluster.daemons:
        daemon.argv = [*runner, *daemon.argv]
    try:
        cluster.start_redis()
        gateway = cluster.gateways[0].start()
        assert resolver.asked.wait(10), "nobody asked"
        eventually(lambda: gateway.admin("GET", "/livez").status == 200, what="a gateway that lives")
        slowest, crowd = 0.0, Crowd()
        for _ in range(50):
            began = time.monotonic()
            assert gateway.admin("GET", "/readyz").status == 503
            slowest = max(slowest, time.monotonic() - began)
            crowd.look()
        assert slowest < crowd.allows(0.05 * 10), f"the event loop was away for {slowest:.3f} s"
        resolver.is_answering = True
        gateway.wait_ready()
        cluster.brokers[0].start().wait_ready()
    finally:
        cluster.end()
        resolver.sock.close()
