"""Gateways that die, stop, and fight over a client id: F8, F8b, F23."""
import itertools
import time

import pytest

from harness import Refused, eventually
from load import NAMES, Client
from world import LONG, SLACK, FaultCluster, key, key_of, partition_of

ALL = "I1 I2 I3 I4 I5 I6 I7 I8"
EXPIRY = 12 * 1.5
CROWD = 5000 if LONG else 500


def crowd(w, gateway, count):
    """Clients of that gateway: half of them come back elsewhere when it is gone, half do not."""
    clients = [Client(w.load, NAMES[number % len(NAMES)], gateway, number % 4 < 2, f"crowd{number}",
                      is_eager=number % 2 == 0) for number in range(count)]
    for at in range(0, count, 200):
        for client in clients[at:at + 200]:
            w.load.do(client.start)
        eventually(lambda: all(client.is_open for client in clients[at:at + 200]), 30, "the crowd connected")
    return clients


def test_f8_gateway_killed(world):
    """F8, I1-I8: kill -9. Clients with signalbox.v1 resume at the other gateway and miss nothing; who does not come
    back gets its Disconnect within 12 s."""
    quiet = ["--history-bytes", "16777216", "--history-messages", "20000"]  # the test reads thousands of events at once
    w = world(rate=20, every_rate=0.5, gateway_args=quiet, broker_args=quiet)
    everybody = crowd(w, 0, CROWD)
    w.flow(50)
    victim = w.cluster.gateways[0]
    killed = time.monotonic()
    victim.kill()
    w.books.disown(0)
    w.delivers(1 * SLACK, "after a gateway was killed", since=killed)
    gone = {client.connection.token for client in everybody if not client.is_eager}
    eventually(lambda: gone <= {event.token for event in w.events() if event.type == "disconnect"}, EXPIRY,
               "Disconnects of a killed gateway")
    print(f"Disconnects after {time.monotonic() - killed:.1f} s")
    eventually(lambda: all(client.is_open for client in everybody if client.is_eager), 30, "clients back")
    victim.restart()
    assert w.metric("signalbox_buried_total", w.cluster.brokers) == 1
    resumed = [client.connection.recovered for client in everybody if client.is_eager and client.is_v1]
    assert resumed and all(resumed)
    w.check(ALL, t5=25)


@pytest.mark.parametrize("at", range(4 if LONG else 1))
def test_f8_gateway_terminated(world, at):
    """F8, I1-I8: SIGTERM: clients are told 1001 and go elsewhere, every Disconnect is out before the process ends."""
    w = world(rate=200)
    w.flow(100)
    victim = w.cluster.gateways[at % 2]
    victim.term()
    w.delivers(1 * SLACK, "while a gateway drains")
    assert victim.wait(20) == 0
    w.books.disown(at % 2)
    victim.restart()
    assert {c.code for c in w.ends()} == {1001}
    assert w.metric("signalbox_buried_total", w.cluster.brokers) == 0
    w.check(ALL)


def test_f8b_gateway_stopped(world):
    """F8b, I1-I8: a gateway sleeps through its expiry. When it wakes it closes everybody with 1012 and begins anew."""
    w = world(rate=80, broker_args=[] if LONG else ["--dead-after-ms", "4000"])
    w.flow(50)
    asleep = w.cluster.gateways[0]
    open_there = [client.connection for client in w.load.clients if client.gateway == 0]
    asleep.stop()
    eventually(lambda: w.metric("signalbox_buried_total", w.cluster.brokers) == 1, 12 * SLACK, "the expiry")
    w.hold(20 if LONG else 1)
    w.books.disown(0)
    asleep.cont()
    w.delivers(2 * SLACK, "when the gateway is back")
    eventually(lambda: all(connection.ended for connection in open_there), what="clients of the expired gateway closed")
    assert {connection.code for connection in open_there} == {1012}
    w.check(ALL, t5=25)


def test_f8b_gateway_naps(world):
    """F8b, I1-I8: a gateway that is away for less than dead-after keeps its clients, and they miss nothing."""
    w = world(rate=150)
    for _ in range(6 if LONG else 2):
        w.flow(100)
        napping = w.random.choice(w.cluster.gateways)
        napping.stop()
        w.hold(3)
        napping.cont()
        w.delivers(2 * SLACK, f"after a nap of {napping.name}")
    assert w.metric("signalbox_buried_total", w.cluster.brokers) == 0
    w.assert_all_stayed()
    w.check(ALL)


def connects(cluster, path):
    try:
        return cluster.client(0, path)
    except (OSError, Refused):
        return None


def disconnects(cluster, name):
    """Whether the Name's registry is empty and nobody remembers a gateway but those that live."""
    client = cluster.redis
    alive = set(client.hkeys("sb:{sb}:gw"))
    return not client.exists(key_of(name, "c:")) and set(client.smembers(key(partition_of(name), "gws"))) <= alive


def test_f8_gateway_that_nobody_saw():
    """A gateway that is killed with its first client, and one that died after Redis had forgotten its heartbeat: their
    connections are gone after dead-after and a few seconds, not after two sweeps."""
    with FaultCluster(gateways=2, brokers=1, broker_args=["--dead-after-ms", "3000"]) as cluster:
        gateway, client = cluster.gateways[0], cluster.redis
        gateway.kill()
        gateway.start()
        eventually(lambda: connects(cluster, "/n/n1?client_id=first"), what="the first client")
        gateway.kill()
        gone = "0123456789abcdef"
        value = f"{gone}:1:1|"
        partition = partition_of("n2")
        client.sadd(key(partition, "gws"), gone)
        client.sadd(key(partition, f"g:{gone}"), f"n2\0lost\0{value}")
        client.hset(key_of("n2", "c:"), "lost", value)
        eventually(lambda: disconnects(cluster, "n1") and disconnects(cluster, "n2"), 3 + 4 * SLACK, "Disconnects")


# -- one id, two gateways

class Rival:
    """Connects with an id that somebody else wants too, again and again."""

    def __init__(self, w, id, gateway):
        self.w, self.id, self.gateway = w, id, gateway
        self.client = None
        self.is_final = False

    def connect(self):
        self.client = Client(self.w.load, NAMES[0], self.gateway, False, self.id, is_eager=False)
        self.client.start()
        self.w.load.loop.call_later(self.w.random.uniform(0.0, 0.1), self.again)

    def again(self):
        connection = self.client.connection
        if connection is None or not (connection.opened or connection.ended):
            self.w.load.loop.call_later(0.01, self.again)
        elif not self.is_final:
            if connection.ended is None and self.w.random.random() < 0.7:
                self.client.leave(is_rude=self.w.random.random() < 0.5)
            self.connect()
        else:
            self.is_over = True

    is_over = False


def test_f23_two_gateways_one_id(world):
    """F23, I1-I8: the same client id connects to both gateways all the time, and one of them is killed: Connect and
    Disconnect alternate, and in the end one of them has it."""
    w = world(rate=60)
    rivals = [Rival(w, f"twin{number}", gateway) for number, gateway in itertools.product(range(3), range(2))]
    for rival in rivals:
        w.load.do(rival.connect)
    for at in range(3 if LONG else 1):
        w.flow(400)
        victim = w.cluster.gateways[at % 2]
        victim.kill()
        w.books.disown(at % 2)
        w.flow(200)
        victim.restart()
        w.flow(200)
    for rival in rivals:
        rival.is_final = True
    eventually(lambda: all(rival.is_over for rival in rivals), 30, "the last duel")
    w.check(ALL, t5=25)
    for number in range(3):
        mine = [rival.client for rival in rivals if rival.id == f"twin{number}"]
        assert sum(client.is_open for client in mine) <= 1
        registered = w.evidence.registry[NAMES[0]].get(f"twin{number}")
        assert registered == next((client.connection.token for client in mine if client.is_open), None)
    assert any(c.code == 4001 for c in w.books.connections), "nobody was ever replaced: the fault missed its aim"
