"""Fleets that share one Redis, in databases of their own or under prefixes of their own, never meet."""
import concurrent.futures
import json
import pathlib
import subprocess

import pytest
import redis as redis_client

from harness.cluster import BIN, Cluster, Daemon, free_port
from harness.raw_ws import Client
from harness.waiting import eventually

APP = pathlib.Path(__file__).parent / "app" / "fleets.lua"
MESSAGES = 25


class Fleet(Cluster):
    """One gateway and one broker on somebody else's Redis; `stream` and `channel` are its public entrances."""

    def __init__(self, host, db, prefix):
        super().__init__(APP, gateways=1, brokers=1, redis=f"{host.redis_tcp_url}/{db}", prefix=prefix)
        self.label = f"db{db} {prefix}"
        self.stream = prefix + "signalbox:send"
        self.channel = (f"db{db}:" if db else "") + self.stream

    def text(self, method, path, body=None):
        reply = self.http(0, method, path, body)
        assert reply.status == 200, reply
        return reply.text

    def list(self, *args):
        return json.loads(self.cli(*args, "--json").stdout)


@pytest.fixture(scope="module")
def fleets():
    """In two databases, and with two prefixes in one of these."""
    with Cluster(APP, gateways=0, brokers=0) as host:
        all_of_them = [Fleet(host, 0, ""), Fleet(host, 1, ""), Fleet(host, 0, "a:"), Fleet(host, 0, "shop/b-"),
                       Fleet(host, 1, "a:")]
        try:
            for fleet in all_of_them:
                for daemon in fleet.daemons:
                    daemon.start()
            for fleet in all_of_them:
                fleet.wait_ready()
            yield all_of_them
            assert [fleet.crashes() for fleet in all_of_them] == [[]] * len(all_of_them)
        finally:
            for fleet in all_of_them:
                fleet.end()


def on_each(fleets, do):
    with concurrent.futures.ThreadPoolExecutor(len(fleets)) as pool:
        return list(pool.map(do, fleets))


def say_everywhere(fleet):
    """Through every entrance, all fleets at the same time."""
    connection = fleet.redis
    for number in range(MESSAGES):
        connection.xadd(fleet.stream, {"m": json.dumps({"name": "Msg", "data": f"{fleet.label} x{number}"})})
        heard = connection.publish(fleet.channel, json.dumps({"name": "Msg", "data": f"{fleet.label} p{number}"}))
        assert heard == 1, "one broker"
        fleet.text("POST", "/send", f"{fleet.label} h{number}")
    fleet.cli("send", "Msg", f"{fleet.label} c")


def test_each_client_gets_its_own_fleets_messages(fleets):
    """The same Names and ids everywhere: nobody is replaced, nothing is missed, nothing is foreign."""
    clients = [fleet.client(0, "/up?name=Msg&id=ann") for fleet in fleets]
    on_each(fleets, say_everywhere)
    for fleet, client in zip(fleets, clients):
        expected = {f"{fleet.label} {kind}{number}" for kind in "xph" for number in range(MESSAGES)}
        expected.add(f"{fleet.label} c")
        got = [client.recv() for _ in expected]
        assert set(got) == expected
        client.say("last", path="Msg")
        assert client.recv() == "last"
        assert fleet.list("clients", "Msg")[0]["clientId"] == "ann"
        assert len(fleet.list("gateways")) == len(fleet.list("brokers")) == 1
        assert fleet.gateways[0].metrics()["signalbox_feed_gaps_total"] == 0
        eventually(lambda: fleet.text("GET", "/store/connects") == "1")
    for fleet, client in zip(fleets, clients):
        assert fleet.list("send", "Msg", "who", "--wait", "3s")["matched"] == 1
        assert client.recv() == "who"
        client.drop()
        eventually(lambda: fleet.text("GET", "/store/disconnects") == "1")
        assert fleet.text("GET", "/store/connects") == "1"


def test_values_locks_levels_and_the_secret_are_its_own(fleets):
    assert len(set(on_each(fleets, lambda fleet: fleet.text("GET", "/secret")))) == len(fleets)
    for fleet in fleets:
        fleet.text("POST", "/store/who", fleet.label)
    assert [fleet.text("GET", "/store/who") for fleet in fleets] == [fleet.label for fleet in fleets]
    listeners = [fleet.client(0, "/up?name=Locks") for fleet in fleets]
    assert [json.loads(fleet.text("GET", "/names"))["names"] for fleet in fleets] == [["Locks"]] * len(fleets)
    with concurrent.futures.ThreadPoolExecutor(len(fleets)) as pool:
        held = [pool.submit(fleet.text, "POST", "/locked/one", fleet.label) for fleet in fleets]
        assert [client.recv() for client in listeners] == [fleet.label for fleet in fleets], "all hold it at once"
        for fleet in fleets:
            fleet.text("POST", "/store/release", "yes")
        assert [each.result(10) for each in held] == ["unlocked"] * len(fleets)
    fleets[0].cli("level", "Locks", "clientid")
    assert "broadcast level" in fleets[0].cli("send", "Locks", "x", check=False).stderr
    for fleet in fleets[1:]:
        fleet.cli("send", "Locks", "x")
    assert [client.recv() for client in listeners[1:]] == ["x"] * (len(fleets) - 1)
    fleets[2].cli("close", "Locks")
    assert listeners[2].closing()[0] == 1000
    for fleet, client in zip(fleets[3:], listeners[3:]):
        fleet.cli("send", "Locks", "still here")
        assert client.recv() == "still here"


def listeners(fleet):
    """How many processes say that they listen to a trace, which ends with the second of them."""
    count = 0
    with subprocess.Popen([str(BIN / "signalbox"), "trace", "--name", "Msg", "--for", "60s", "--redis", fleet.redis_url,
                           *fleet.fleet_args], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as trace:
        for line in trace.stderr:
            count += "listens" in line
            if count == 2:
                trace.terminate()
    return count


def test_the_cli_follows_one_fleet(fleets):
    """trace and reload hear this fleet's processes, tail its messages."""
    for fleet in fleets[1:3]:
        assert listeners(fleet) == 2
        assert fleet.list("reload")["reloaded"] == 2
        client = fleet.client(0, "/up?name=Tail")
        with subprocess.Popen([str(BIN / "signalbox"), "tail", "Tail", "--count", "1", "--redis", fleet.redis_url,
                               *fleet.fleet_args], stdout=subprocess.PIPE, text=True) as tail:
            channel = fleet.channel.removesuffix("signalbox:send") + "sb:{*}:n:Tail"
            eventually(lambda: next(iter(dict(fleet.redis.pubsub_numsub(
                *fleet.redis.pubsub_channels(channel))).values()), 0) == 2, 5)
            for other in fleets:
                other.cli("send", "Tail", other.label)
            assert fleet.label in tail.communicate(timeout=10)[0]
        assert client.recv() == fleet.label


def test_every_key_and_channel_is_named_after_its_fleet(fleets):
    """Nothing of theirs is called anything else; database 0 without a prefix keeps the plain names."""
    for db, prefixes in ((0, ("", "a:", "shop/b-")), (1, ("", "a:"))):
        keys = redis_client.Redis.from_url(f"{fleets[0].redis_url[:-1]}{db}").keys("*")
        for prefix in prefixes:
            own = [key for key in keys if key.startswith((f"{prefix}sb:{{".encode(), f"{prefix}signalbox:".encode()))]
            assert f"{prefix}sb:{{sb}}:cfg".encode() in own
            keys = [key for key in keys if key not in own]
        assert keys == []
    channels = fleets[0].redis.pubsub_channels()
    for fleet in sorted(fleets, key=lambda fleet: -len(fleet.channel)):
        before = fleet.channel.removesuffix("signalbox:send").encode()
        own = [channel for channel in channels if channel.startswith((before + b"sb:{", before + b"signalbox:"))]
        assert fleet.channel.encode() in own and before + b"sb:{sb}:ctl" in own
        channels = [channel for channel in channels if channel not in own]
    assert channels == []


def test_it_says_where_it_listens(fleets):
    for fleet in fleets:
        for daemon in fleet.daemons:
            assert f"stream={fleet.stream} channel={fleet.channel}\n" in daemon.log()
        assert f"XADD goes to {fleet.stream}, PUBLISH to {fleet.channel}" in fleet.cli("doctor", check=False).stdout


def test_a_database_that_does_not_exist(fleets):
    url = f"{fleets[0].redis_url[:-1]}99"
    done = subprocess.run([str(BIN / "signalbox"), "names", "--redis", url, "--timeout", "500ms"],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "database 99 cannot be used: ERR DB index is out of range" in done.stderr


# -- ports


def gateways_at(fleet, port, count, *args):
    argv = [BIN / "signalbox-gateway", APP, "--redis", fleet.redis_url, "--listen", f"http+ws://127.0.0.1:{port}",
            *fleet.fleet_args, *args]
    return [Daemon(f"at-{port}-{number}", argv, fleet.folder, free_port()) for number in range(count)]


@pytest.fixture
def started():
    """Gateways that a test starts, ended with it."""
    gateways = []
    yield gateways
    for gateway in gateways:
        if gateway.is_running:
            gateway.kill()


def test_gateways_of_one_fleet_share_a_port(fleets, started):
    """Also when all of them start at the same moment."""
    started += gateways_at(fleets[2], free_port(), 5)
    for gateway in started:
        gateway.start()
    for gateway in started:
        gateway.wait_ready()


def test_one_of_two_fleets_gets_a_port(fleets, started):
    """Whichever comes first, also at the same moment; the other says who has it, and ends with 1."""
    for one, other in ((fleets[0], fleets[2]), (fleets[1], fleets[4]), (fleets[0], fleets[1])):
        port = free_port()
        pair = [gateways_at(fleet, port, 1)[0] for fleet in (one, other)]
        started += pair
        for gateway in pair:
            gateway.expected_to_end = True
            gateway.start()
        eventually(lambda: [gateway.is_running for gateway in pair].count(False) == 1)
        loser, winner = sorted(pair, key=lambda gateway: gateway.is_running)
        assert loser.popen.returncode == 1
        line = f"cannot listen on 127.0.0.1 port {port}: a gateway of another fleet (process {winner.pid}) listens there"
        assert loser.log().count(line) == 1
        winner.wait_ready()


@pytest.mark.parametrize("first, second", [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("*", "[::]")])
def test_endpoints_of_one_gateway_do_not_share_a_place(fleets, started, first, second):
    """The kernel would deal its clients out to both, and one of them does not speak WebSocket."""
    port = free_port()
    gateway, = gateways_at(fleets[0], free_port(), 1, "--listen", f"http://{first}:{port}", "--listen", f"ws://{second}:{port}")
    started.append(gateway)
    gateway.start()
    assert gateway.wait() == 1
    assert f"port {port}: another endpoint of this gateway listens there: make them one" in gateway.log()


def test_a_port_is_free_when_its_gateways_drain_or_are_gone(fleets, started):
    """The predecessor's clients stay; nobody new comes to it, so another fleet may have the port at once."""
    port = free_port()
    before, = gateways_at(fleets[0], port, 1, "--drain-ms", "60000")
    after, = gateways_at(fleets[1], port, 1)
    again, = gateways_at(fleets[0], port, 1)
    started += [before, after, again]
    before.start().wait_ready()
    clients = [Client(("127.0.0.1", port), f"/up?name=Drain&id={number}") for number in range(3)]
    before.term().wait_log("drain: started")
    after.start().wait_ready()
    assert before.is_running
    after.kill()
    again.start().wait_ready()
    assert before.is_running, "two of its clients are still connected"
    for client in clients:
        client.drop()


@pytest.mark.parametrize("prefix", ["a{b", "a b", "*", "db1:", "x" * 65])
def test_a_prefix_that_cannot_be_one(prefix):
    for program in (["signalbox-gateway", APP], ["signalbox-broker", APP], ["signalbox", "names"],
                    ["signalbox", "redis-acl"]):
        done = subprocess.run([str(BIN / program[0]), *map(str, program[1:]), "--redis-prefix", prefix],
                              capture_output=True, text=True, timeout=20)
        assert done.returncode in (1, 2) and done.stderr.count("\n") == 1 and "--redis-prefix" in done.stderr
