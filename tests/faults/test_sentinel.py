"""F14: a master that fails over under load. Replication is asynchronous: what was accepted and not replicated may be
lost, or published again under a new id. Nothing else may, ids never fall, and no gateway stays deaf."""
import time

import pytest
import redis
from redis.sentinel import MasterNotFoundError, Sentinel

import invariants
from harness import Process, eventually, free_port
from world import FaultCluster

pytestmark = pytest.mark.long
MASTER = "signals"
DOWN_AFTER_MS = 2000


class SentinelCluster(FaultCluster):
    """A master, two replicas, three sentinels."""

    def __init__(self, **options):
        self.redis_ports, self.sentinel_ports = [free_port() for _ in range(3)], [free_port() for _ in range(3)]
        super().__init__(redis="redis+sentinel://%s/%s" % (
            ",".join(f"127.0.0.1:{port}" for port in self.sentinel_ports), MASTER), **options)
        self.servers = [self._server(port, number) for number, port in enumerate(self.redis_ports)]
        self.sentinels = [self._sentinel(port, number) for number, port in enumerate(self.sentinel_ports)]
        self.sentinel = Sentinel([("127.0.0.1", port) for port in self.sentinel_ports], socket_timeout=1)

    def _redis(self, name, port, *lines, args=()):
        folder = self.folder / name
        folder.mkdir()
        config = folder / "redis.conf"
        config.write_text("\n".join([f"port {port}", "bind 127.0.0.1", f"dir {folder}", *lines, ""]))
        return Process(name, ["/usr/bin/redis-server", config, *args], self.folder)

    def _server(self, port, number):
        replica = [f"replicaof 127.0.0.1 {self.redis_ports[0]}"] if number else []
        return self._redis(f"redis{number}", port, 'save ""', "appendonly no", "repl-diskless-sync-delay 0",
                           "maxmemory-policy noeviction", *replica)

    def _sentinel(self, port, number):
        return self._redis(f"sentinel{number}", port, f"sentinel monitor {MASTER} 127.0.0.1 {self.redis_ports[0]} 2",
                           f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
                           f"sentinel failover-timeout {MASTER} 10000", args=["--sentinel"])

    @property
    def processes(self):
        return getattr(self, "servers", []) + getattr(self, "sentinels", []) + self.daemons

    def redis_client(self, timeout=3):
        return self.sentinel.master_for(MASTER, socket_timeout=timeout)

    def master(self):
        """The process that is master by the sentinels' word; None while they have none."""
        try:
            return self._server_of(self.sentinel.discover_master(MASTER)[1])
        except MasterNotFoundError:
            return None

    def _server_of(self, port):
        return self.servers[self.redis_ports.index(port)]

    def is_complete(self):
        try:
            state = self.sentinel.sentinels[0].sentinel_master(MASTER)
            return (state["num-slaves"] >= 2 and state["num-other-sentinels"] == 2
                    and self.redis_client().wait(2, 500) == 2)
        except redis.RedisError:
            return False

    def __enter__(self):
        for process in self.servers + self.sentinels:
            process.start()
        eventually(self.is_complete, 30, "two replicas and three sentinels")
        return super().__enter__()


def role(port):
    try:
        return redis.Redis(port=port, socket_timeout=1).execute_command("ROLE")[0]
    except redis.RedisError:
        return None


def failover(w, how):
    """(from, to): when accepted messages may have met a master that was given up."""
    old, began = w.cluster.master(), time.monotonic()
    if how == "kill":
        old.kill()
    elif how == "stop":
        old.stop()
    else:
        w.cluster.sentinel.sentinels[0].execute_command("SENTINEL", "FAILOVER", MASTER)
    eventually(lambda: w.cluster.master() not in (old, None), 30, "another master")
    if how == "stop":
        w.hold(2)
        old.cont()  # believes itself master until a sentinel tells it
    elif how == "kill":
        old.start()
    port = w.cluster.redis_ports[w.cluster.servers.index(old)]
    eventually(lambda: role(port) == b"slave", 60, "the old master demoted")
    return began - 2.0, time.monotonic() + 3.0


@pytest.mark.parametrize("how", ["kill", "stop", "command"])
def test_f14_failover(world, how):
    """F14, I1-I8 outside the window that was not replicated."""
    w = world(rate=80, cluster_type=SentinelCluster)
    w.evidence.may_gap = w.evidence.may_lose_events = True
    w.evidence.logs_are_whole = False
    for _ in range(3):
        w.flow(200)
        w.evidence.losses.append(failover(w, how))
        w.delivers(15 * 1.5, f"after a failover by {how}")
        eventually(w.cluster.is_complete, 60, "the old master a replica")
    w.check("I1 I2 I3 I4 I5 I6 I7 I8", t5=25 * 1.5)
    print("lost, repeated:", invariants.lost_and_repeated(w.evidence, invariants.References(w.evidence)))
