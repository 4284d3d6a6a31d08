"""Clients that make Redis keep as much as they can: it never fills, what waits is worked off, and the others go on."""
import json
import pathlib
import threading

import pytest

from harness import TEXT, Cluster, Refused, encode_frame, eventually

APP = pathlib.Path(__file__).parent / "app" / "any_name.lua"
MIB = 1 << 20
MAXMEMORY, LARGE, MESSAGES = 64 * MIB, 4_000_000, 40


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP, gateways=2, brokers=1, redis={"maxmemory": MAXMEMORY}) as running:
        yield running


def used(cluster):
    return cluster.redis.info("memory")["used_memory"]


class Attack(threading.Thread):
    """One connection that sends 4 MB messages as fast as they are taken, to a Name of its own or to ever new ones."""

    def __init__(self, cluster, path):
        super().__init__(daemon=True)
        self.client = cluster.raw(0).upgrade("/up?name=Attacker")
        self.path = path
        self.start()

    def run(self):
        for number in range(MESSAGES):
            message = {"message": "x" * LARGE, "path": self.path.format(number)}
            self.client.sock.settimeout(30)
            self.client.sock.sendall(encode_frame(TEXT, json.dumps(message)))
            self.client.sock.setblocking(False)
            try:
                while self.client.sock.recv(1 << 20):
                    pass
            except BlockingIOError:
                pass


@pytest.mark.parametrize("path", ["Attacker", "Nobody-{}"])
def test_one_client_does_not_fill_redis(cluster, path):
    """More than twice what Redis has goes through it; nothing is refused for want of memory, nobody else is closed."""
    def taken():
        return cluster.gateways[0].metrics()["signalbox_messages_in_total"]
    before, highest = taken(), 0
    bystander, attack = cluster.client(1, "/up?name=Bystander"), Attack(cluster, path)
    while attack.is_alive():
        bystander.say("hi", path="Bystander")
        assert bystander.recv(10) == "hi"
        highest = max(highest, used(cluster))
    eventually(lambda: taken() == before + MESSAGES)
    assert max(highest, cluster.redis.info("memory")["used_memory_peak"]) < 0.9 * MAXMEMORY
    assert all(daemon.admin("GET", "/readyz").status == 200 for daemon in cluster.daemons)
    attack.client.drop()
    eventually(lambda: used(cluster) < 10 * MIB, what="a Redis that is empty again")
    assert not [key for key in cluster.redis.keys("*") if b"Nobody-" in key]
    bystander.close()


def test_a_full_redis(cluster):
    """Told by /readyz of both daemons; newcomers are refused, those who are there stay, and nothing is lost."""
    client = cluster.client(0, "/up?name=Stays")
    client.sync()
    cluster.redis.config_set("maxmemory", MIB)
    try:
        eventually(lambda: all(daemon.admin("GET", "/readyz").status == 503 for daemon in cluster.daemons),
                   what="daemons that say that they are not ready")
        client.say("meanwhile", path="Stays")
        with pytest.raises(Refused) as refused:
            cluster.raw(1).upgrade("/up?name=New")
        assert refused.value.status == 503 and refused.value.head.get("Retry-After")
    finally:
        cluster.redis.config_set("maxmemory", MAXMEMORY)
    assert client.recv(10) == "meanwhile"
    eventually(lambda: all(daemon.is_ready() for daemon in cluster.daemons), what="all well again")
    client.close()


def test_ever_new_names_do_not_fill_redis(cluster):
    """A client joins one Name after the other and leaves each with a full history: in the end nothing more is kept."""
    def not_kept():
        return cluster.brokers[0].metrics()["signalbox_messages_not_kept_total"]
    before, bystander = not_kept(), cluster.client(1, "/up?name=Bystander")
    bystander.sync()
    for number in range(400):
        guest = cluster.client(0, f"/up?name=Room-{number}")
        for _ in range(4):
            guest.say("x" * 60000, path=f"Room-{number}")
        assert len(guest.recv(10)) == 60000
        guest.drop()
        bystander.say("hi", path="Bystander")
        assert bystander.recv(10) == "hi"
    assert 0.7 * MAXMEMORY < used(cluster) < 0.92 * MAXMEMORY
    assert not_kept() > before
    assert all(daemon.admin("GET", "/readyz").status == 200 for daemon in cluster.daemons)
    cluster.redis.delete(*(key for key in cluster.redis.keys("*") if b":h:Room-" in key))
    bystander.close()
