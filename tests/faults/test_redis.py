"""Redis cuts connections, restarts, forgets, stands still, is full, has another time: F9-F11, F13, F17, F20-F22."""
import os
import time

import pytest
import redis

import invariants
from clocks import Clocks
from harness import eventually
from load import NAMES, Client
from world import LONG, SLACK

ALL = "I1 I2 I3 I4 I5 I6 I7 I8"


def expired(w):
    return w.metric("signalbox_buried_total", w.cluster.brokers)


def test_f9_subscriptions_killed(world):
    """F9, I1-I8: the feed of every gateway is cut twenty times a second; each time the history fills the hole."""
    w = world(rate=200)
    until = time.monotonic() + (20 if LONG else 5)
    killed = 0
    while time.monotonic() < until or killed <= 10:
        killed += w.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        time.sleep(0.05)
    w.delivers(1 * SLACK, f"after {killed} subscriptions were killed")
    w.assert_all_stayed()
    w.check(ALL)


def kill_clients(w):
    return sum(w.redis.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
               for kind in ("normal", "pubsub"))


def test_f10_connections_killed(world):
    """F10, I1-I8: all connections of all processes, at any moment."""
    w = world(rate=200)
    for _ in range(10 if LONG else 4):
        w.flow(w.random.randrange(50, 300))
        kill_clients(w)
    w.delivers(3 * SLACK, "after all connections were killed")
    w.assert_all_stayed()
    w.check(ALL)


def test_f10_connections_refused(world):
    """F10, I1-I8: nobody reaches Redis for a while. Clients stay, new ones are told 503; then everything goes on."""
    w = world(rate=150, proxied=True)
    w.flow(100)
    for proxy in w.cluster.proxies.values():
        proxy.refuse()
        proxy.cut()
    eventually(lambda: not any(daemon.is_ready() for daemon in w.cluster.daemons), what="processes that know it")
    assert w.cluster.http(0, "GET", "/n/n0", headers=UPGRADE).status == 503
    w.hold(8 if LONG else 2)
    for proxy in w.cluster.proxies.values():
        proxy.accept()
    w.delivers(3 * SLACK, "after Redis was out of reach")
    assert expired(w) == 0
    w.assert_all_stayed()
    w.check(ALL, t5=5 * SLACK)


UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
           "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}


# -- F11: restart

PERSISTENCE = {
    "always": {"appendonly": "yes", "appendfsync": "always"},
    "everysec": {"appendonly": "yes", "appendfsync": "everysec"},
    "none": {},
    "snapshot": {"save": "86400 1"},
}


def restart_redis(w):
    """(from, to): the time in which what was accepted can be lost."""
    w.cluster.redis_server.kill()
    w.cluster.start_redis()
    return time.monotonic() + 1.0


def absent_client(w):
    """A v1 client that leaves now, to come back after the fault."""
    client = Client(w.load, NAMES[0], 0, True, "absent")
    w.load.do(client.start)
    eventually(lambda: client.last is not None, what="the absent client connected")
    w.flow(100)
    w.load.do(client.leave)
    eventually(lambda: client.connection.ended, what="the absent client gone")
    return client


def come_back(w, client):
    again = Client(w.load, client.name, 1, True, client.client_id)
    again.last = client.last
    w.load.do(again.start)
    eventually(lambda: again.is_open and again.connection.hello, 30, "the absent client back")
    return again.connection


@pytest.mark.parametrize("persistence", PERSISTENCE)
def test_f11_redis_restarted(world, persistence):
    """F11, I1-I8 as far as the data survives: kill -9 of Redis. With nothing on disk: no false event, no message under
    an old id, and a resume says that there is a gap. A snapshot is an older state of everything: what was done since is
    lost or done again, and who left since is not resurrected."""
    w = world(rate=150, redis=PERSISTENCE[persistence])
    for _ in range(3 if LONG else 1):
        absent = absent_client(w)
        begin = time.monotonic() - 2.0
        if persistence == "snapshot":
            w.redis.save()
            w.flow(400)  # passengers leave, too
        w.flow(100)
        end = restart_redis(w)
        if persistence != "always":
            w.evidence.losses.append((begin, end))
            w.evidence.may_lose_events = True
            w.evidence.logs_are_whole = False
        if persistence in ("none", "snapshot"):
            w.evidence.may_gap = True
        w.delivers(5 * SLACK, "after a restart of Redis")
        recovered = come_back(w, absent).recovered
        assert recovered is (persistence != "none") or persistence == "snapshot"
    assert expired(w) == 0
    w.assert_all_stayed()
    w.check(ALL, t5=15 * 1.5)
    print("lost, repeated:", invariants.lost_and_repeated(w.evidence, invariants.References(w.evidence)))


def test_f13_script_flush(world):
    """F13, I1-I8: SCRIPT FLUSH and CONFIG RESETSTAT under load."""
    w = world(rate=200)
    for _ in range(5 if LONG else 2):
        w.flow(w.random.randrange(50, 200))
        w.redis.script_flush()
        w.redis.config_resetstat()
        w.delivers(3 * SLACK, "after SCRIPT FLUSH")
    w.assert_all_stayed()
    w.check(ALL, t5=15)


def test_f13_flushall(world):
    """F13, I2-I8: FLUSHALL is a restart without persistence: registrations come back, without events."""
    w = world(rate=150)
    w.flow(100)
    w.evidence.losses.append((time.monotonic() - 2, time.monotonic() + 2))
    w.evidence.may_lose_events = w.evidence.may_gap = True
    w.evidence.logs_are_whole = False
    w.redis.flushall()
    w.delivers(3 * SLACK + 2, "after FLUSHALL")
    assert expired(w) == 0
    w.assert_all_stayed()
    w.check(ALL, t5=15 * 1.5)


# -- F17: standstill

def test_f17_client_pause(world):
    """F17, I1-I8: CLIENT PAUSE 5000 ALL."""
    w = world(rate=150)
    w.flow(100)
    w.redis.execute_command("CLIENT", "PAUSE", 5000, "ALL")
    w.delivers((5 + 5) * 1.5, "after CLIENT PAUSE")
    assert expired(w) == 0
    w.assert_all_stayed()
    w.check(ALL, t5=15)


def test_f17_redis_stopped(world):
    """F17, I1-I8: SIGSTOP of Redis, longer than dead-after in the short form already: no gateway is expired for it."""
    w = world(rate=100, broker_args=[] if LONG else ["--dead-after-ms", "3000"])
    w.flow(100)
    w.cluster.redis_server.stop()
    w.hold(30 if LONG else 5)
    w.cluster.redis_server.cont()
    w.delivers(5 * SLACK, "after Redis stood still")
    w.hold(4)  # longer than dead-after: a false expiry would come now
    assert expired(w) == 0
    w.assert_all_stayed()
    w.check(ALL, t5=15)


# -- F20, F21: full

def test_f20_maxmemory(world):
    """F20, I1-I8: Redis refuses writes. Nothing is delivered that is not in the log, publishers are held back, leaving
    clients are still unregistered; with room again everything goes on. A Name whose first message comes while Redis is
    full has no history (docs/delivery.md), so each gets one before."""
    w = world(rate=200)
    for _ in range(4 if LONG else 2):
        w.flow(100)
        eventually(lambda: all(map(len, w.observer.messages.values())), what="a message in each history")
        w.redis.config_set("maxmemory", w.redis.info("memory")["used_memory"] - 200_000)
        with pytest.raises(redis.ResponseError, match="OOM"):
            for _ in range(50):
                w.redis.set("filler", "x" * 1000)
        eventually(lambda: w.metric("signalbox_ingest_busy_total", w.cluster.gateways) > 0, what="gateways that see OOM")
        w.hold(2)
        assert all(client.is_open for client in w.load.clients)
        w.redis.config_set("maxmemory", 0)
        w.delivers(3 * SLACK, "when there is room again")
    assert expired(w) == 0
    w.assert_all_stayed()
    w.check(ALL, t5=10 * 1.5)


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="a tmpfs needs root")
def test_f21_disk_full(world):
    """F21, I1-I8: no room for the AOF: Redis answers MISCONF, publishers are held back, nobody crashes."""
    folder = "/proc/{}/root/mnt"
    w = world(rate=300, redis={"appendonly": "yes", "appendfsync": "everysec", "auto-aof-rewrite-percentage": "0",
                               "dir": "/mnt"}, redis_runner=["unshare", "-m", "sh", "-c",
                                                            'mount -t tmpfs -o size=4m none /mnt && exec "$@"', "sh"])
    w.flow(100)
    ballast = os.path.join(folder.format(w.cluster.redis_server.pid), "ballast")
    with open(ballast, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    eventually(lambda: "MISCONF" in str(w.redis.info("errorstats")), 60, "a Redis that cannot write")
    w.hold(3)
    assert all(client.is_open for client in w.load.clients)
    os.unlink(ballast)
    w.delivers(3 * SLACK, "when the disk has room again")
    assert expired(w) == 0
    w.assert_all_stayed()
    w.check(ALL, t5=10 * 1.5)


# -- F22: clocks

def jump(w, name, offset_s):
    w.prepared.jump(name, offset_s)
    w.delivers(6 * SLACK, f"after the clock of {name} jumped to {offset_s:+d} s")
    w.flow(50)


@pytest.mark.parametrize("hour", [3600, -3600], ids=["forward", "back"])
def test_f22_clocks_jump(world, hour):
    """F22, I1-I8: the clocks of gateway, broker and Redis jump by an hour, one after the other, then back."""
    w = world(rate=100, prepare=Clocks)
    w.flow(50)
    for name in ("gateway1", "broker1", "redis"):
        jump(w, name, hour)
    assert expired(w) == 0
    for name in ("redis", "gateway1", "broker1"):
        jump(w, name, 0)
    assert expired(w) == 0
    w.evidence.logs_are_whole = False  # an hour forward ends the history of every Name
    w.assert_all_stayed()
    w.check(ALL, t5=15)


@pytest.mark.parametrize("hour", [3600, -3600], ids=["forward", "back"])
def test_f22_clock_jumps_during_take_over(world, hour):
    """F22, I1-I8: Redis' clock jumps as a broker dies: its leases must not outlive it by an hour."""
    w = world(rate=100, prepare=Clocks)
    w.flow(50)
    w.prepared.jump("redis", hour)
    w.cluster.brokers[0].kill()
    w.delivers(6 * SLACK, "after kill -9 and a jump of Redis' clock")
    w.cluster.brokers[0].restart()
    assert expired(w) == 0
    w.evidence.logs_are_whole = False
    w.assert_all_stayed()
    w.check(ALL, t5=15)
