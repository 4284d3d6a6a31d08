"""/readyz: ready means that the whole way works; what does not is named, soon, and no longer when it is over."""
import pytest

from harness import always, eventually
from world import FaultCluster, join, key, key_of, partition_of

SHOWN = 12.0  # a few seconds each, on a busy machine
AGAIN = 45.0  # a broker that gave partitions away tries again after 10 s, the next time after 20 s
LEASES = ["--lease-ms", "1500"]


@pytest.fixture(scope="module")
def cluster():
    with FaultCluster(brokers=2, gateways=1, args=[], broker_args=LEASES) as one:
        eventually(lambda: all(broker.metrics()["signalbox_partitions_owned"] for broker in one.brokers), what="shares")
        yield one


def readyz(daemon):
    answer = daemon.admin("GET", "/readyz")
    return answer.status, answer.text


def says(daemon, *words):
    status, text = readyz(daemon)
    return status == 503 and all(word in text for word in words)


class Fault:
    """who: what has to be unready: all, a broker, or the brokers."""

    def __init__(self, who, words, gauge):
        self.who, self.words, self.gauge = who, words, gauge


class NoReplicas(Fault):
    def begin(self, client):
        client.config_set("min-replicas-to-write", 1)

    def end(self, client):
        client.config_set("min-replicas-to-write", 0)


class NoMemory(Fault):
    def begin(self, client):
        client.config_set("maxmemory", 1)

    def end(self, client):
        client.config_set("maxmemory", 0)


class Denied(Fault):
    """A right that the user of all lost."""
    command = ""

    def begin(self, client):
        client.execute_command("ACL", "SETUSER", "default", f"-{self.command}")

    def end(self, client):
        client.execute_command("ACL", "SETUSER", "default", f"+{self.command}")


class DeniedTime(Denied):
    command = "time"


class DeniedRead(Denied):
    command = "xread"


class WrongPublicStream(Fault):
    def begin(self, client):
        client.delete("signalbox:send")
        client.set("signalbox:send", "no stream")

    def end(self, client):
        client.delete("signalbox:send")


class WrongPartition(Fault):
    """Its entries wait, and nobody can read them."""
    stream = key(5, "in")

    def begin(self, client):
        client.delete(self.stream)
        client.set(self.stream, "no stream")

    def end(self, client):
        client.delete(self.stream)


class WrongHistory(Fault):
    """One Name's. What is sent to it is published and not kept; it is said for a minute after the last."""
    history = key_of("Wrong", "h:")

    def begin(self, client):
        join(client, "Wrong")
        client.set(self.history, "no stream")
        client.xadd("signalbox:send", {"m": '{"name":"Wrong","data":1}'})

    def end(self, client):
        client.delete(self.history)


class NoMoreClients(Fault):
    """The readers of the partitions are cut off and cannot come back."""

    def begin(self, client):
        self.before = client.config_get("maxclients")["maxclients"]
        readers = [one["id"] for one in client.client_list() if one["cmd"] == "xread"]
        client.config_set("maxclients", len(client.client_list()) - len(readers))
        for reader in readers:
            client.execute_command("CLIENT", "KILL", "ID", reader)

    def end(self, client):
        client.config_set("maxclients", self.before)


FAULTS = [
    NoReplicas("all", ["heartbeat", "NOREPLICAS"], "heartbeat"),
    NoMemory("all", ["Redis refuses what this process needs", "OOM"], "writes"),
    DeniedTime("all", ["Redis refuses what this process needs", "(TIME)"], "writes"),
    DeniedRead("brokers", ["nothing can be read from", "NOPERM", "xread"], "readers"),
    WrongPublicStream("broker", ["nothing can be read from the public stream", "WRONGTYPE"], "readers"),
    WrongPartition("broker", ["nothing can be read from partition 5", "WRONGTYPE"], "readers"),
    WrongHistory("broker", [f"a history is not kept", f"partition {partition_of('Wrong')}", ":h:Wrong"], "histories"),
    NoMoreClients("brokers", ["nothing can be read from", "max number of clients"], "readers"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_what_does_not_work_is_named(cluster, fault):
    client = cluster.redis
    fault.begin(client)
    try:
        who = cluster.daemons if fault.who == "all" else cluster.brokers
        enough = any if fault.who == "broker" else all
        eventually(lambda: enough(says(daemon, *fault.words) for daemon in who), SHOWN,
                   lambda: f"{fault.words} in {[readyz(daemon) for daemon in cluster.daemons]}")
        shown = [daemon for daemon in who if says(daemon, *fault.words)]
        for daemon in shown:
            metrics = daemon.metrics()
            assert metrics["signalbox_ready"] == 0 and metrics[f"signalbox_trouble_{fault.gauge}"] > 0
        if fault.who != "all":  # the gateway can do nothing about it, and its clients need it
            assert readyz(cluster.gateways[0])[0] == 200
    finally:
        fault.end(client)
    eventually(lambda: all(daemon.is_ready() for daemon in cluster.daemons), AGAIN,
               lambda: f"ready again: {[readyz(daemon) for daemon in cluster.daemons]}")
    assert all(daemon.metrics()["signalbox_ready"] == 1 for daemon in cluster.daemons)


def test_a_gateway_goes_on_without_brokers(cluster):
    """It serves its clients, and what they say waits; it says that nobody takes it."""
    for broker in cluster.brokers:
        broker.kill()
    gateway = cluster.gateways[0]
    eventually(lambda: "partitions without an owner: 16 of 16" in readyz(gateway)[1], 15 + SHOWN, "a note")
    assert readyz(gateway)[0] == 200 and readyz(gateway)[1].startswith("ready\nnote: ")
    assert gateway.metrics()["signalbox_partitions_unowned"] == 16
    for broker in cluster.brokers:
        broker.start()
    cluster.wait_ready()
    eventually(lambda: readyz(gateway) == (200, "ready\n"), SHOWN, "no note")


class TwoUsers(FaultCluster):
    """Each broker is a user of its own in Redis."""

    def redis_url_for(self, name):
        return f"redis://{name}:secret@127.0.0.1:{self.redis_port}" if name.startswith("broker") else self.redis_url

    def start_redis(self):
        super().start_redis()
        for name in ("broker1", "broker2"):
            self.redis.execute_command("ACL", "SETUSER", name, "on", ">secret", "~*", "&*", "+@all")


@pytest.mark.parametrize("right", ["xread", "time"])
def test_a_broker_that_cannot_work_gives_its_partitions_away(right):
    """It may not read any more, or not take partitions: another one has them all soon, and messages go on."""
    with TwoUsers(brokers=2, gateways=1, broker_args=LEASES) as one:
        lame, other = one.brokers
        eventually(lambda: all(broker.metrics()["signalbox_partitions_owned"] for broker in one.brokers), what="shares")
        one.redis.execute_command("ACL", "SETUSER", "broker1", f"-{right}")
        if right == "time":
            lame.kill()  # what it owns it could keep
            lame.start()
        eventually(lambda: other.metrics()["signalbox_partitions_owned"] == 16 and other.is_ready(), 8 + SHOWN,
                   "the other one has them all")
        assert readyz(lame)[0] == 503
        # They stay there, although the lame one ranks before it for some of them.
        always(lambda: other.metrics()["signalbox_partitions_owned"] == 16, 2)
        assert lame.metrics()["signalbox_partitions_owned"] == 0
        assert readyz(one.gateways[0]) == (200, "ready\n")
