"""A fleet for players: three gateways and two brokers, behind a proxy that spreads clients over the gateways, and the faults
that befall all of them, drawn from a seed."""
import os
import pathlib
import random
import re
import shutil
import time

from harness import eventually, free_port
from harness.proxy import Proxy
from load import NAMES
from promises import findings_of
from world import FaultCluster, Observer, key_of

PING_MS = 1000
KEEP = os.environ.get("SIGNALBOX_KEEP")  # a folder for logs and ledgers of a run that failed


class Balancer(Proxy):
    """A proxy whose connections go to the gateways at random."""

    def __init__(self, cluster, seed):
        self.cluster, self.random = cluster, random.Random(seed)
        super().__init__(None, free_port())

    @property
    def target(self):
        running = [gateway for gateway in self.cluster.gateways if gateway.is_running] or self.cluster.gateways
        return "127.0.0.1", self.random.choice(running).port

    @target.setter
    def target(self, _):
        pass

    def break_off(self):
        """The end of drop(): nothing comes on a connection that has lost something, or a hole would be of the proxy's making."""
        def end():
            self.dropping.clear()
            for pump in list(self.pumps):
                pump.transport.abort()
        self._do(end)

    def cut_some(self, share):
        """Reset so many of the connections of clients."""
        def cut():
            for pump in list(self.pumps):
                if pump.direction == "up" and self.random.random() < share:
                    pump.transport.abort()
        self._do(cut)


# -- faults: each takes the fleet, and leaves it whole

def kill_one(fleet, processes):
    victim = fleet.random.choice(processes)
    victim.kill()
    fleet.hold(0, 2)
    victim.restart()


def stop_one(fleet, processes, low, high):
    victim = fleet.random.choice(processes)
    victim.stop()
    fleet.hold(low, high)
    victim.cont()


def kill_gateway(fleet):
    kill_one(fleet, fleet.cluster.gateways)


def terminate_gateway(fleet):
    victim = fleet.random.choice(fleet.cluster.gateways)
    assert victim.term().wait(30) == 0
    victim.restart()


def drain_gateway(fleet):
    victim = fleet.random.choice(fleet.cluster.gateways)
    if fleet.is_listed(victim):
        fleet.cluster.cli("drain", fleet.id_of(victim), "--over", "1s")
        fleet.hold(0, 1)
        fleet.cluster.cli("undrain", fleet.id_of(victim))


def stop_gateway(fleet):
    """Shorter than it takes to be declared dead."""
    stop_one(fleet, fleet.cluster.gateways, 0.1, 2)


def bury_gateway(fleet):
    """Longer than that."""
    stop_one(fleet, fleet.cluster.gateways, fleet.dead_after_s, fleet.dead_after_s + 2)


def kill_broker(fleet):
    kill_one(fleet, fleet.cluster.brokers)


def terminate_broker(fleet):
    victim = fleet.random.choice(fleet.cluster.brokers)
    victim.term().wait(30)
    victim.restart()


def stop_broker(fleet):
    stop_one(fleet, fleet.cluster.brokers, 0.1, 4)


def stop_redis(fleet):
    fleet.cluster.redis_server.stop()
    fleet.hold(0.1, 1.5)
    fleet.cluster.redis_server.cont()


def kill_subscriptions(fleet):
    for _ in range(5):
        fleet.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        fleet.hold(0.02, 0.1)


def cut_all(fleet):
    fleet.balancer.cut()


def cut_some(fleet):
    for _ in range(fleet.random.randrange(1, 6)):
        fleet.balancer.cut_some(fleet.random.uniform(0.1, 0.6))
        fleet.hold(0.02, 0.5)


def stall(fleet):
    """Nothing passes, and TCP stays healthy; some clients give up meanwhile."""
    fleet.balancer.stall()
    fleet.hold(0.5, 3)
    fleet.balancer.flow()


def lose(fleet):
    """What goes one way is lost, and at last the connections."""
    fleet.balancer.drop(fleet.random.choice(["up", "down"]))
    fleet.hold(0.2, 2)
    fleet.balancer.break_off()


def refuse(fleet):
    fleet.balancer.refuse()
    fleet.balancer.cut()
    fleet.hold(0.2, 2)
    fleet.balancer.accept()


FAULTS = [kill_gateway, kill_gateway, terminate_gateway, drain_gateway, stop_gateway, bury_gateway, kill_broker, terminate_broker,
          stop_broker, stop_redis, kill_subscriptions, cut_all, cut_some, cut_some, stall, lose, refuse]


class Fleet:
    """with Fleet(seed) as fleet: the cluster, its balancer, and whoever reads what is published."""

    dead_after_s = 4

    def __init__(self, seed, **options):
        self.random = random.Random(seed)
        self.cluster = FaultCluster(
            gateways=3, brokers=2, args=["--history-messages", "20000", "--history-bytes", "16777216"],
            gateway_args=["--ping-ms", str(PING_MS), "--compress-min-bytes", "20", "--drain-ms", "500"],
            broker_args=["--dead-after-ms", str(self.dead_after_s * 1000)], **options)
        self.seed, self.balancer, self.players = seed, None, []

    def __enter__(self):
        self.cluster.__enter__()
        self.redis = self.cluster.redis_client(timeout=30)
        self.observer = Observer(self.cluster)
        self.observer.start()
        self.balancer = Balancer(self.cluster, self.seed)
        return self

    def __exit__(self, kind, *_):
        for player in self.players:
            player.end()
        if kind is not None and KEEP:
            shutil.copytree(self.cluster.folder, pathlib.Path(KEEP) / f"seed-{self.seed}", dirs_exist_ok=True,
                            ignore=lambda *_: ["redis.sock"])
        self.observer.stop()
        self.balancer.close()
        self.cluster.__exit__(kind, *_)

    def hold(self, low, high):
        time.sleep(self.random.uniform(low, high))

    def id_of(self, gateway):
        return re.findall(r"\bstarted id=([0-9a-f]+)", gateway.log())[-1]

    def is_listed(self, gateway):
        """Under the id that it started with: one that was declared dead has taken another since."""
        return f'"{self.id_of(gateway)}"' in self.cluster.cli("gateways", "--json").stdout

    def befall(self, seconds):
        """Faults at random, one after the other, for so long; how many of each."""
        counts, end = {}, time.monotonic() + seconds
        while time.monotonic() < end:
            fault = self.random.choice(FAULTS)
            counts[fault.__name__] = counts.get(fault.__name__, 0) + 1
            print(f"{time.time() * 1000:.0f} {fault.__name__}", flush=True)  # as ids of messages begin
            fault(self)
            self.hold(0, 1)
        return counts

    def settle(self, timeout=60):
        """Nobody says anything new; every message has its answer and has come to everybody."""
        for player in self.players:
            player.tell("hush")
        for player in self.players:
            eventually(lambda: player.hushed.is_set() or player.error, timeout, f"every message has an answer; {player.log()}")
            assert player.error is None, player.error
        for name in NAMES:
            self.redis.xadd("signalbox:send", {"m": f'{{"name":"{name}","data":{{"uid":"last:{name}"}}}}'})
        eventually(self.has_everybody_the_last, timeout, "the last message has come to everybody")

    def has_everybody_the_last(self):
        return all(f"last:{client.name}" in player.book.uids[client.key]
                   for player in self.players for client in player.book.clients.values())

    def logs(self):
        """Of each Name, all that was published to it."""
        self.observer.poll()
        assert self.observer.error is None, f"the observer failed: {self.observer.error!r}"
        return {name: sorted(self.observer.messages[key_of(name, "h:")]) for name in NAMES}

    def check(self):
        logs = self.logs()
        findings = [finding for player in self.players for finding in findings_of(player.book, logs)]
        assert not findings, f"{len(findings)} findings:\n" + "\n".join(findings[:25])
