"""Much for long: F12 (a hundred thousand Names through a restart of Redis) and F28 (faults at random)."""
import os
import resource
import time

import pytest

from harness import eventually
from load import Client
from test_brokers import steal
from test_redis import kill_clients
from world import SLACK, World

ALL = "I1 I2 I3 I4 I5 I6 I7 I8"
pytestmark = pytest.mark.long
SOAK_SECONDS = int(os.environ.get("SIGNALBOX_SOAK_SECONDS") or 600)


# -- F28

def kill_broker(w):
    victim = w.random.choice(w.cluster.brokers)
    victim.kill()
    w.hold(w.random.uniform(0, 3))
    victim.restart()


def kill_gateway(w):
    at = w.random.randrange(len(w.cluster.gateways))
    w.cluster.gateways[at].kill()
    w.books.disown(at)
    w.hold(w.random.uniform(0, 3))
    w.cluster.gateways[at].restart()


def terminate_gateway(w):
    at = w.random.randrange(len(w.cluster.gateways))
    w.cluster.gateways[at].term().wait(20)
    w.books.disown(at)
    w.cluster.gateways[at].restart()


def terminate_broker(w):
    victim = w.random.choice(w.cluster.brokers)
    victim.term().wait(20)
    victim.restart()


def nap(w):
    """Of anybody, Redis too: shorter than dead-after."""
    victim = w.random.choice(w.cluster.processes)
    victim.stop()
    w.hold(w.random.uniform(0.1, 7))
    victim.cont()


def kill_subscriptions(w):
    for _ in range(20):
        w.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        w.hold(0.05)


def flush_scripts(w):
    w.redis.script_flush()


def fill_memory(w):
    w.redis.config_set("maxmemory", w.redis.info("memory")["used_memory"] - 200_000)
    w.hold(w.random.uniform(0.5, 3))
    w.redis.config_set("maxmemory", 0)


def restart_redis(w):
    w.cluster.redis_server.kill()
    w.cluster.start_redis()


FAULTS = [kill_broker, kill_gateway, terminate_gateway, terminate_broker, nap, kill_subscriptions, kill_clients,
          flush_scripts, fill_memory, restart_redis, lambda w: steal(w, 500)]


def descriptors(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def test_f28_soak(world):
    """F28, I1-I8: faults at random, none of which may lose anything; in the end memory and descriptors are what they
    were."""
    w = world(rate=80, redis={"appendonly": "yes", "appendfsync": "always"})
    began, count = time.monotonic(), 0
    while time.monotonic() - began < SOAK_SECONDS:
        fault = w.random.choice(FAULTS)
        count += 1
        print(f"{time.monotonic() - began:.1f} {getattr(fault, '__name__', fault)}", flush=True)
        fault(w)
        w.delivers(15 * 1.5, f"after fault {count}")
        w.flow(w.random.randrange(20, 300))
    w.check(ALL, t5=25)
    w.load.end()
    eventually(lambda: all(descriptors(daemon) < 80 for daemon in w.cluster.daemons), 15, "descriptors given back")


# -- F12

GATEWAYS = 10
SPARE_DESCRIPTORS = 2000


@pytest.fixture
def all_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_f12_many_names(seed, all_descriptors):
    """F12, I5, I8: Redis restarts under as many Names as this process may have connections, a hundred thousand at most,
    on ten gateways: replay within 5 s, and nobody loses its connection."""
    count = min(100_000, all_descriptors - SPARE_DESCRIPTORS)
    w = World(seed, gateways=GATEWAYS, rate=20, redis={"appendonly": "yes", "appendfsync": "everysec"},
              gateway_args=["--ping-ms", "600000"])
    try:
        w.begin()
        many = [Client(w.load, f"many{number}", number % GATEWAYS, False, f"c{number}")
                for number in range(count)]
        for at in range(0, count, 500):
            for client in many[at:at + 500]:
                w.load.do(client.start)
            eventually(lambda: all(client.is_open for client in many[at:at + 500]), 60, "the next five hundred")
        connections = [client.connection for client in many]
        w.cluster.redis_server.kill()
        w.cluster.start_redis()
        w.delivers(10 * SLACK, f"after a restart under {count} Names")
        w.cluster.wait_ready(20 * SLACK)
        assert all(connection.is_open for connection in connections)
        samples = w.random.sample(many, 200)
        for client in samples:
            sent = w.books.begin("many", int(client.client_id[1:]), client.name)
            w.redis.xadd("signalbox:send", {"m": f'{{"name":"{client.name}","data":{{"uid":"{sent.uid}"}}}}'})
        eventually(lambda: all(client.connection.received for client in samples), what="delivery to each of them")
        w.load.clients += many  # to be closed with the others
    finally:
        w.end()
