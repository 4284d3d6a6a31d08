"""Schedules when clocks are wrong: Redis' decides, each tick comes once, and no clock that was ahead silences them."""
import re
import time

import pytest

from clocks import Clocks
from harness import always, eventually
from world import FaultCluster, join, key, key_of, partition_of

APP = """
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.schedule("Minute", "* * * * *", function(event)
    signalbox.send { name = "Ticks", data = event.timestamp }
end)
"""
HOUR = 3600
SOON = 10.0  # a tick that is due


class Ticking:
    def __init__(self, cluster, clocks):
        self.cluster, self.clocks, self.redis = cluster, clocks, cluster.redis
        join(self.redis, "Ticks")

    def seen(self):
        """The minutes that ticked, as Redis' clock names them, in their order."""
        blobs = [fields[b"m"] for _, fields in self.redis.xrange(key_of("Ticks", "h:"))]
        return [re.search(rb"T(\d\d:\d\d):", blob).group(1).decode() for blob in blobs]

    def set_redis(self, hours):
        """Its clock is so many hours off, and it is just before a minute; the minute to come."""
        at = time.time() + hours * HOUR
        minute = int(at // 60 + 1) * 60
        self.clocks.jump("redis", int(minute - 2 - time.time()))
        return time.strftime("%H:%M", time.gmtime(minute))

    def ticks(self, minute, count):
        """Wait for the tick of that minute, which then has come so often."""
        eventually(lambda: self.seen().count(minute) >= count, SOON, lambda: f"a tick at {minute}: {self.seen()}")
        always(lambda: self.seen().count(minute) == count, 1.5)


@pytest.fixture
def ticking(tmp_path):
    app = tmp_path / "app.lua"
    app.write_text(APP)
    cluster = FaultCluster(brokers=2, gateways=0, broker_args=["--lease-ms", "1500", "--history-seconds", "86400"])
    for broker in cluster.brokers:
        broker.argv[1] = str(app)
    clocks = Clocks(cluster)
    with cluster:
        yield Ticking(cluster, clocks)


def test_ticks_when_clocks_are_wrong(ticking):
    for broker in ticking.cluster.brokers:
        ticking.clocks.jump(broker.name, HOUR)
    minute = ticking.set_redis(0)
    ticking.ticks(minute, 1)  # by Redis' clock, not by theirs
    for broker in ticking.cluster.brokers:
        ticking.clocks.jump(broker.name, 0)
    ahead = ticking.set_redis(1)
    ticking.ticks(ahead, 1)
    again = ticking.set_redis(1 / 60)  # set right
    ticking.ticks(again, 1)
    last = ticking.seen()
    for broker in ticking.cluster.brokers:
        broker.restart()
    ticking.cluster.wait_ready()
    always(lambda: ticking.seen() == last, 1)  # nobody repeats what was
    assert len(set(last)) == len(last), last


def test_a_first_tick_during_an_outage(ticking):
    """A schedule is known from its beginning on: its very first tick is not missed either."""
    eventually(lambda: ticking.redis.hget(key(partition_of("schedule:Minute"), "src"), "c:Minute"), SOON, "a schedule that is known")
    ticking.redis.config_set("min-replicas-to-write", 1)
    minute = ticking.set_redis(0)
    eventually(lambda: ticking.redis.time()[0] % 60 in range(5, 55), SOON, "five seconds without a write")
    assert ticking.seen() == []
    ticking.redis.config_set("min-replicas-to-write", 0)
    ticking.ticks(minute, 1)


def test_a_refused_tick_that_the_clock_takes_back(ticking):
    """Brokers are ready again when no tick is due any more."""
    minute = ticking.set_redis(0)
    ticking.ticks(minute, 1)
    ticking.redis.config_set("min-replicas-to-write", 1)
    ticking.set_redis(1 / 60)
    eventually(lambda: any("ticks of schedules" in broker.admin("GET", "/readyz").text for broker in ticking.cluster.brokers), SOON,
               "a tick that is refused")
    ticking.clocks.jump("redis", 0)
    ticking.redis.config_set("min-replicas-to-write", 0)
    ticking.cluster.wait_ready()
    always(lambda: ticking.seen() == [minute], 1)
