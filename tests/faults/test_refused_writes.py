"""Redis is there and refuses writes for longer than dead-after: nobody is dead for it. MISCONF, NOREPLICAS."""
import time

import pytest

from harness import eventually
from load import Client
from world import SLACK

OUTAGE = 5.0  # longer than --dead-after-ms and than a lease
QUIET = ["--dead-after-ms", "3000", "--lease-ms", "3000"]
LINES = 60  # of a process' log, for one outage: some for its beginning and its end, none for each refusal


class NoReplicas:
    error = "NOREPLICAS"
    options = {}

    def begin(self, client):
        client.config_set("min-replicas-to-write", 1)

    def end(self, client):
        client.config_set("min-replicas-to-write", 0)


class CannotSave:
    error = "MISCONF"
    options = {"dir": "/proc"}  # nobody can create a file there, root neither

    def begin(self, client):
        client.config_set("save", "3600 1")
        client.bgsave()
        eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", what="a save that failed")

    def end(self, client):
        client.config_set("save", "")


def lines(process):
    return len(process.log().splitlines())


@pytest.mark.parametrize("fault", [NoReplicas(), CannotSave()], ids=lambda fault: fault.error)
def test_writes_are_refused(world, fault):
    """Nobody is declared dead, every client stays, the feed stays, the partitions stay where they are, nobody
    fills the log; when Redis takes writes again, everything goes on."""
    w = world(rate=100, broker_args=QUIET, redis=fault.options)
    w.flow(100)
    daemons = w.cluster.daemons
    eventually(lambda: all(broker.metrics()["signalbox_partitions_owned"] for broker in w.cluster.brokers), what="shares")
    reconnects = w.metric("signalbox_redis_reconnects_total", daemons)
    owned = [broker.metrics()["signalbox_partitions_owned"] for broker in w.cluster.brokers]
    before = {daemon.name: lines(daemon) for daemon in daemons}
    fault.begin(w.redis)
    w.hold(OUTAGE)
    roster = w.cluster.cli("gateways", "--json").stdout
    fault.end(w.redis)
    w.delivers(3 * SLACK, f"after {fault.error}")
    w.hold(3.5)  # longer than dead-after: a false death would come now
    assert w.metric("signalbox_buried_total", w.cluster.brokers) == 0
    assert w.metric("signalbox_redis_reconnects_total", daemons) == reconnects
    assert [broker.metrics()["signalbox_partitions_owned"] for broker in w.cluster.brokers] == owned
    assert '"alive":false' not in roster, f"silence that is Redis' fault: {roster}"
    for daemon in daemons:
        assert lines(daemon) - before[daemon.name] < LINES, daemon.log()[-4000:]
    w.assert_all_stayed()
    w.check("I1 I2 I3 I4 I5 I6 I7 I8")
