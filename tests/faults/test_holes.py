"""No hole is silent: whatever the feed loses without a break, whatever Redis gives up in a failover, a client has every
message, or is closed with 4004, and nobody stays deaf. Each of the tests forces the order of events by hand.

The unit tests of the mechanism: tests/common/bus/log/test_follower.c and test_replay.c."""
import subprocess
import threading
import time

import pytest
import redis

from clocks import Clocks
from harness import BIN, Closed, Process, eventually, free_port
from invariants import parse_id
from world import TAGS, FaultCluster, join, key_of

NAMES = [f"n{number}" for number in range(8)]
OTHER_NAMES = [f"m{number}" for number in range(8)]
SOON = 12.0


class Listener(threading.Thread):
    """A plain client of a Name that keeps all it hears."""

    def __init__(self, cluster, gateway, name):
        super().__init__(daemon=True)
        self.name, self.gateway, self.heard, self.code = name, gateway, [], None
        self.client = cluster.client(gateway, f"/n/{name}?client_id=c{gateway}-{name}", timeout=120)
        self.start()

    def run(self):
        try:
            while True:
                self.heard.append(self.client.recv())
        except Closed as closed:
            self.code = closed.code
        except OSError:
            pass

    def has(self, *texts):
        """All of them, in this order, or it knows that it has not."""
        return self.code == 4004 or [text for text in self.heard if text in texts] == list(texts)

    def __repr__(self):
        return f"<{self.name} at gateway{self.gateway + 1} code={self.code} heard={self.heard[-6:]}>"


def listen(cluster, gateways=(0,), names=NAMES):
    return [Listener(cluster, gateway, name) for gateway in gateways for name in names]


def send(connection, texts, names=NAMES):
    """By the public stream of one server."""
    for name in names:
        for text in texts:
            connection.xadd("signalbox:send", {"m": f'{{"name":"{name}","data":"{text}"}}'})


def expect(listeners, *texts, within=SOON):
    missing = []

    def all_have():
        missing[:] = [listener for listener in listeners if not listener.has(*texts)]
        return not missing

    try:
        eventually(all_have, within)
    except AssertionError:
        raise AssertionError(f"{len(missing)} of {len(listeners)} lack {texts}: {missing[:4]}") from None


def assert_stayed(listeners):
    closed = [listener for listener in listeners if listener.code is not None]
    assert not closed, f"{len(closed)} did not stay: {closed[:4]}"


def read_until(client, data):
    while (message := client.recv_json())["type"] != "message" or message["data"] != data:
        pass
    return message


def replace(cluster, listeners):
    """A new client for each that was closed."""
    cluster.wait_ready()
    return [listener if listener.code is None else Listener(cluster, listener.gateway, listener.name)
            for listener in listeners]


# -- the feed

@pytest.mark.parametrize("seconds", [0.4, 1.5, 2.6])
def test_f15_feed_is_deaf_for_a_moment(seconds):
    """F15: shorter than the probe notices, without a break, and no other message follows."""
    with FaultCluster(gateways=1, brokers=1, proxied=True) as cluster:
        listeners = listen(cluster)
        connection = cluster.redis_client()
        send(connection, ["before"])
        expect(listeners, "before")
        assert cluster.proxies["gateway1"].deafen() == 1
        send(connection, ["lost"])
        time.sleep(seconds)  # that is the fault
        cluster.proxies["gateway1"].hear()
        expect(listeners, "before", "lost")
        assert_stayed(listeners)


def test_f15_rule_is_set_while_brokers_are_deaf():
    """F15: a broadcast level that is set at run time holds, though its notice was lost. (Without a sign of that, rules
    are read again every 30 s.)"""
    with FaultCluster(gateways=1, brokers=1, proxied=True) as cluster:
        connection = cluster.redis_client()
        assert cluster.proxies["broker1"].deafen() == 1
        cluster.cli("level", "n0", "client_id")
        time.sleep(1.5)  # that is the fault
        cluster.proxies["broker1"].hear()

        def is_refused():
            send(connection, ["x"], ["n0"])
            return connection.xlen("signalbox:refused") > 0

        eventually(is_refused, SOON, "a level that holds")


def test_f15_tail_says_what_it_did_not_hear():
    with FaultCluster(gateways=1, brokers=1, proxied=True) as cluster:
        connection = cluster.redis_client()
        join(connection, "n0")
        tail = subprocess.Popen([BIN / "signalbox", "tail", "n0", "--count", "2", "--redis",
                                 cluster.redis_url_for("tail")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        eventually(lambda: cluster.proxies["tail"].deafen() == 1 and cluster.proxies["tail"].hear() is None and
                   connection.pubsub_numsub(key_of("n0", "n:"))[0][1] == 1, SOON, "a tail that listens")
        send(connection, ["before"], ["n0"])
        assert tail.stdout.readline().split()[-1] == "before"
        cluster.proxies["tail"].deafen()
        send(connection, ["lost"], ["n0"])
        eventually(lambda: connection.xlen(key_of("n0", "h:")) == 2, SOON)
        cluster.proxies["tail"].hear()
        send(connection, ["after"], ["n0"])
        out, err = tail.communicate(timeout=SOON)
        assert out.split()[-1] == "after"
        assert "did not come and are not shown" in err


def test_f16_history_expired_meanwhile_and_nothing_follows():
    """F16: what was lost for good is told though the Name stays quiet, with and without history."""
    with FaultCluster(gateways=1, brokers=1, proxied=True) as cluster:
        listeners = listen(cluster)
        connection = cluster.redis_client()
        cluster.proxies["gateway1"].refuse()
        cluster.proxies["gateway1"].cut()
        send(connection, ["lost"])
        eventually(lambda: all(connection.exists(key_of(name, "h:")) for name in NAMES), SOON, "published")
        for name in NAMES[:4]:
            connection.delete(key_of(name, "h:"))  # as if it had expired
        cluster.proxies["gateway1"].accept()
        eventually(lambda: all(listener.code == 4004 for listener in listeners[:4]), SOON, "4004")
        expect(listeners[4:], "lost")
        assert_stayed(listeners[4:])


# -- two servers

class TwoServers(FaultCluster):
    """A server and its replica; move() leads the named processes to the other one."""

    def __init__(self, **options):
        super().__init__(proxied=True, **options)
        port = free_port()
        (self.folder / "second").mkdir()
        self.second = Process("redis2", ["/usr/bin/redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
                                         "--dir", self.folder / "second", "--replicaof", "127.0.0.1", self.redis_port,
                                         "--repl-diskless-sync-delay", 0], self.folder)
        self.ports = [self.redis_port, port]

    @property
    def processes(self):
        return super().processes + ([self.second] if hasattr(self, "second") else [])

    def server(self, number):
        return redis.Redis(port=self.ports[number], socket_timeout=5)

    def start_redis(self):
        super().start_redis()
        self.second.start()
        eventually(lambda: self.server(0).wait(1, 500) == 1, 20, "a replica")

    def move(self, names, cut=False):
        for name in names:
            self.proxies[name].target = ("127.0.0.1", self.ports[1])
            if cut:
                self.proxies[name].cut()


def fall_apart(cluster):
    """The old server with a gateway and a broker on one side, the rest on the other."""
    cluster.server(1).replicaof("NO", "ONE")
    cluster.move(["gateway2", "broker2"], cut=True)


def heal(cluster):
    cluster.server(0).replicaof("127.0.0.1", cluster.ports[1])
    cluster.move(["gateway1", "broker1"], cut=True)


def owners(connection):
    return {connection.hget(f"sb:{{{tag}}}:own", "h") for tag in TAGS.values()}


def terms(connection):
    return [connection.hget(f"sb:{{{tag}}}:own", "t") for tag in TAGS.values()]


def take_later_terms(cluster):
    """On the old side. Two brokers that take a partition in the same millisecond have one term (docs/delivery.md says
    what that means): then once more."""
    while True:
        cluster.brokers[0].restart()
        eventually(lambda: len(owners(cluster.server(0))) == 1, SOON, "one owner on the old side")
        if not any(old == new for old, new in zip(terms(cluster.server(0)), terms(cluster.server(1)))):
            return


@pytest.mark.parametrize("newcomer", [False, True], ids=["who stayed", "who came meanwhile"])
def test_f14_old_master_with_a_gateway_on_its_side(newcomer):
    """F14: the terms on the side that is given up are later than those of the other side, so ids that come after the
    healing are smaller than those that were read there."""
    with TwoServers(gateways=2, brokers=2, broker_args=["--lease-ms", "1000"]) as cluster:
        listeners = [] if newcomer else listen(cluster, (0, 1))
        send(cluster.server(0), ["before"])
        expect(listeners, "before")
        v1 = cluster.client(0, "/n/n0?client_id=v1", {"Sec-WebSocket-Protocol": "signalbox.v1"})
        fall_apart(cluster)
        eventually(lambda: len(owners(cluster.server(1))) == 1, SOON, "one owner on the new side")
        take_later_terms(cluster)
        send(cluster.server(0), ["given up"])
        send(cluster.server(1), ["new side"])
        if newcomer:
            cluster.wait_ready()
            listeners = listen(cluster, (0, 1))
        else:
            expect([one for one in listeners if one.gateway == 0], "before", "given up")
            expect([one for one in listeners if one.gateway == 1], "before", "new side")
        time.sleep(1.5)  # the new side hears of it before the old one comes over
        given_up = read_until(v1, "given up")["id"]
        v1.drop()
        heal(cluster)
        cluster.wait_ready()
        v1 = cluster.client(1, f"/n/n0?client_id=v1&signalbox-resume={given_up}",
                            {"Sec-WebSocket-Protocol": "signalbox.v1"})
        assert v1.recv_json()["recovered"] is False
        send(cluster.server(1), ["after"])
        assert parse_id(read_until(v1, "after")["id"]) > parse_id(given_up)
        expect(listeners, "after")
        if not newcomer:
            expect([one for one in listeners if one.gateway == 1], "before", "new side", "after")
            silent = [one for one in listeners if one.gateway == 0 and one.code is None and "new side" not in one.heard]
            assert not silent, f"{len(silent)} have a hole and do not know: {silent[:4]}"
        everybody = replace(cluster, listeners)
        send(cluster.server(1), ["at last"])
        expect(everybody, "at last")
        assert_stayed([one for one in everybody if one.gateway == 1])


def test_f14_feed_stays_on_the_demoted_server():
    """F14: the name leads to another server, the commands go there, and the feed's connection stays where it is. When
    the old server follows the new one, the probe comes through again: what was published before does not."""
    with TwoServers(gateways=2, brokers=1) as cluster:
        listeners = listen(cluster, (0, 1))
        cluster.server(1).replicaof("NO", "ONE")
        cluster.move(cluster.proxies)
        cluster.server(0).execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        send(cluster.server(1), ["lost"])
        eventually(lambda: all(cluster.server(1).exists(key_of(name, "h:")) for name in NAMES), SOON, "published")
        cluster.server(0).set("ballast", "x" * 10000)  # so that it takes over the data, and not what was published
        cluster.server(0).replicaof("127.0.0.1", cluster.ports[1])
        expect(listeners, "lost")
        assert_stayed(listeners)


@pytest.mark.long
def test_f14_failover_command():
    """F14: FAILOVER leaves the feeds' connections open."""
    with TwoServers(gateways=2, brokers=1) as cluster:
        listeners = listen(cluster, (0, 1))
        send(cluster.server(0), ["before"])
        expect(listeners, "before")
        cluster.move(cluster.proxies)
        cluster.server(0).execute_command("FAILOVER", "TO", "127.0.0.1", cluster.ports[1])
        eventually(lambda: cluster.server(1).role()[0] == b"master", SOON, "another master")
        send(cluster.server(1), ["after"])
        expect(listeners, "before", "after")


# -- a server that begins anew

def test_f22_redis_without_persistence_restarts_with_its_clock_behind():
    """F11, F22: all data are gone, the brokers, which would know the terms, too, and the clock is an hour behind."""
    cluster = FaultCluster(gateways=1, brokers=1)
    clocks = Clocks(cluster)
    with cluster:
        listeners = listen(cluster)
        send(cluster.redis, ["before"])
        expect(listeners, "before")
        cluster.brokers[0].kill()
        cluster.redis_server.kill()
        clocks.jump("redis", -3600)
        cluster.start_redis()
        cluster.gateways[0].wait_ready()
        cluster.brokers[0].start().wait_ready()
        send(cluster.redis, ["after"])
        expect(listeners, "after")
        everybody = replace(cluster, listeners) + listen(cluster, names=OTHER_NAMES)
        send(cluster.redis, ["at last"], NAMES + OTHER_NAMES)
        expect(everybody, "at last")
        assert_stayed(everybody)


# -- resuming while the history is trimmed

def test_resume_from_the_oldest_while_it_is_trimmed():
    """recovered: true means that nothing is missing, also from the very end of the history that is being trimmed."""
    flags = ["--history-messages", "600", "--history-bytes", "16000000"]
    with FaultCluster(gateways=1, brokers=1, args=flags) as cluster:
        connection = cluster.redis_client()
        keeper = Listener(cluster, 0, "n0")
        stop = threading.Event()

        def publish():
            number = 0
            while not stop.is_set():
                pipe = connection.pipeline(transaction=False)
                for _ in range(50):
                    number += 1
                    pipe.xadd("signalbox:send", {"m": f'{{"name":"n0","data":"{number}"}}'})
                pipe.execute()

        publisher = threading.Thread(target=publish, daemon=True)
        publisher.start()
        log = key_of("n0", "h:")
        eventually(lambda: connection.xlen(log) > 500, SOON, "a full history")
        wrong, recovered = [], 0
        for attempt in range(60):
            oldest = connection.xrange(log, count=1)[0][0].decode()
            client = cluster.client(0, f"/n/n0?client_id=r{attempt}&signalbox-resume={oldest}",
                                    {"Sec-WebSocket-Protocol": "signalbox.v1"})
            hello = client.recv_json()
            frames = [client.recv_json() for _ in range(622)]
            numbers = [int(frame["data"]) for frame in frames if frame["type"] == "message"]
            client.drop()
            recovered += hello["recovered"] is True
            is_whole = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            if hello["recovered"] is True and not is_whole:
                wrong.append(oldest)
        stop.set()
        publisher.join(10)
        assert keeper.code in (None, 4002)
        print(f"{recovered} of 60 recovered")
        assert not wrong, f"{len(wrong)} of {recovered} had a hole"
