"""The verbs on a running cluster: what they say is what clients see."""
import binascii
import json
import socket
import subprocess

import pytest

from cli_world import about
from harness.cluster import BIN, http_request
from harness.raw_ws import Closed
from harness.waiting import eventually


@pytest.fixture
def name(request):
    return request.node.name.split("[")[0].removeprefix("test_")[:40]


@pytest.fixture
def three(cluster, name):
    """Two clients at gateway 1, one at gateway 2; the last two of group g."""
    paths = [(0, f"/up?name={name}"), (0, f"/up?name={name}&group=g"), (1, f"/up?name={name}&group=G")]
    clients = [cluster.client(gateway, path) for gateway, path in paths]
    yield clients
    for client in clients:
        client.drop()


def test_send_reaches_everybody(cluster, three, name):
    assert cluster.cli("send", name, "hello").stderr == ""
    assert [client.recv() for client in three] == ["hello"] * 3
    cluster.cli("send", name, "some", "--group", "g")
    cluster.cli("send", name, "one", "--client", three[0].id)
    assert [client.recv() for client in three] == ["one", "some", "some"]


def test_send_prints_the_id_that_clients_see(cluster, name):
    with cluster.client(1, f"/up?name={name}", {"Sec-WebSocket-Protocol": "signalbox.v1"}) as client:
        assert client.recv_json()["type"] == "hello"
        for args in [], ["--wait", "3s"], ["--group", "none"], ["--json-data"], ["--binary"]:
            printed = cluster.cli("send", name, "12", *args, check=False).stdout.split("\n")[0]
            if "none" not in args:
                assert client.recv_json()["id"] == printed, args
        found = json.loads(cluster.cli("send", name, "x", "--wait", "3s", "--json").stdout)
        assert client.recv_json()["id"] == found["id"] and found["matched"] == 1
        entries = [entry.decode() for entry, _ in cluster.redis.xrange("signalbox:send")]
        assert found["entry"] in entries or not entries
        assert cluster.cli("send", "--every", "x", "--client", "nobody").stdout.startswith("entry ")
        assert cluster.cli("send", name, "y", "--no-wait").stdout.startswith("entry ")


def test_send_tells_many_of_the_same_apart(cluster, name):
    with cluster.client(0, f"/up?name={name}", {"Sec-WebSocket-Protocol": "signalbox.v1"}) as client:
        client.recv_json()
        printed = [cluster.cli("send", name, "same").stdout.strip() for _ in range(5)]
        assert [client.recv_json()["id"] for _ in range(5)] == printed


def test_send_wait_counts_who_is_there(cluster, three, name):
    found = json.loads(cluster.cli("send", name, "x", "--wait", "3s", "--json").stdout)
    assert found["matched"] == 3 and sorted(row["matched"] for row in found["gateways"]) == [1, 2]
    done = cluster.cli("send", name, "x", "--wait", "3s", "--group", "g", "--client", three[2].id)
    assert "matched 1" in done.stdout
    assert cluster.cli("send", "Nobody", "x", "--wait", "3s", check=False).returncode == 3


def test_send_tells_the_refusal_of_a_level(cluster):
    done = cluster.cli("send", "Strict", "x", check=False)
    assert done.returncode == 1 and "broadcast level for Strict: clientid" in done.stderr
    done = cluster.cli("send", "Strict", "--stdin", stdin="a\nb\n", check=False)
    assert done.returncode == 1 and "sent 0, failed 2" in done.stderr


def test_lists(cluster, three, name):
    assert name in cluster.cli("names").stdout.split()
    assert json.loads(cluster.cli("groups", name, "--json").stdout) in ([{"group": "g", "connections": 2}],
                                                                          [{"group": "G", "connections": 2}])
    accents = [cluster.client(number, f"/up?name={name}-x&group={group}") for number, group in ((0, "%C3%89"), (1, "%C3%A9"))]
    assert json.loads(cluster.cli("groups", f"{name}-x", "--json").stdout) == [{"group": "É", "connections": 2}]
    for client in accents:
        client.drop()
    rows = json.loads(cluster.cli("clients", name, "--json").stdout)
    assert sorted(row["clientId"] for row in rows) == sorted(client.id for client in three)
    assert len({row["gateway"] for row in rows}) == 2
    rows = json.loads(cluster.cli("clients", "--group", "G", "--json").stdout)
    assert {three[1].id, three[2].id} <= {row["clientId"] for row in rows}
    assert three[0].id in cluster.cli("clients", name).stdout


def test_history(cluster, three, name):
    for text in "one", "two\x1b[31m", "three":
        cluster.cli("send", name, text, "--group", "g")
        three[1].recv()
    page = json.loads(cluster.cli("history", name, "--limit", "2", "--json").stdout)
    assert [row["data"] for row in page["messages"]] == ["three", "two\x1b[31m"] and page["messages"][0]["group"] == ["g"]
    lines = cluster.cli("history", name, "--before", page["before"]).stdout.splitlines()
    assert lines[0].endswith(f"{name} group=g  one") and not [line for line in lines[1:] if name in line]
    assert "two\\x1b[31m" in cluster.cli("history", name).stdout
    assert "Nobody" not in cluster.cli("history", "Nobody").stdout  # what went to every Name may be there
    stale = cluster.cli("history", name, "--before", "99999999999999-1", check=False)
    assert stale.returncode == 1 and "was given up" in stale.stderr
    for wrong in ["--before", "x"], ["--limit", "0"], ["--limit", "1001"]:
        assert cluster.cli("history", name, *wrong, check=False).returncode == 2


def test_gateways_and_brokers(cluster, three):
    gateways = json.loads(cluster.cli("gateways", "--json").stdout)
    assert len(gateways) == 2 and all(row["alive"] for row in gateways)
    assert sum(row["connections"] for row in gateways) >= 3
    brokers = json.loads(cluster.cli("brokers", "--json").stdout)
    assert [row["alive"] for row in brokers] == [True] and "connections" not in brokers[0]


def test_close(cluster, three, name):
    cluster.cli("close", name, "--client", three[1].id, "--code", "4321", "--reason", "enough")
    assert three[1].closing() == (4321, "enough")
    cluster.cli("send", name, "still here")
    assert three[0].recv() == three[2].recv() == "still here"


def test_tail_follows(cluster, three, name):
    tails = [subprocess.Popen([str(BIN / "signalbox"), "tail", *args, "--count", "2", "--json", "--redis", cluster.redis_url],
                              stdout=subprocess.PIPE, text=True) for args in ([name], [])]
    eventually(lambda: cluster.redis.execute_command("PUBSUB", "NUMSUB", channel_of(cluster, name))[1] >= 4)
    cluster.cli("send", name, '{"a": "\\u001b[31m"}', "--json-data", "--group", "g")
    cluster.cli("close", name, "--client", "nobody", "--code", "4000", "--reason", "why")
    for tail in tails:
        lines = [json.loads(line) for line in tail.communicate(timeout=10)[0].splitlines()]
        assert tail.returncode == 0 and [line["name"] for line in lines] == [name, name]
        assert lines[0]["data"] == {"a": "\x1b[31m"} and lines[0]["group"] == ["g"]
        assert lines[1]["close"] == 4000 and lines[1]["reason"] == "why" and lines[1]["clientId"] == ["nobody"]


@pytest.mark.parametrize("narrow", [True, False])
def test_tail_follows_events(cluster, name, narrow):
    name = f"{name}{narrow}"
    before = {client["id"] for client in cluster.redis.client_list()}
    tail = subprocess.Popen([str(BIN / "signalbox"), "tail", *[name][:narrow], "--events", "--count", "2", "--json",
                             "--redis", cluster.redis_url], stdout=subprocess.PIPE, text=True)
    blocked = lambda: [c for c in cluster.redis.client_list() if c["id"] not in before and "b" in c["flags"]]
    reads_all = lambda: len(blocked()) == (1 if narrow else 16)
    eventually(reads_all)
    if narrow:  # another Name of the partition that it reads
        partition = lambda text: binascii.crc_hqx(text.encode(), 0) % 16
        beside = next(other for n in range(1000) if partition(other := f"{name}{n}") == partition(name))
        cluster.client(0, f"/up?name={beside}").close(1000, "")
        eventually(reads_all)
    client = cluster.client(1, f"/up?name={name}&group=g")
    connect = json.loads(tail.stdout.readline())
    eventually(reads_all)  # an entry that the brokers drop before the next read is never seen
    client.close(4567, "done")
    disconnect = json.loads(tail.communicate(timeout=10)[0])
    assert connect["event"] == "connect" and connect["name"] == name and connect["group"] == "g"
    assert disconnect["event"] == "disconnect" and disconnect["clientId"] == client.id and "4567" in disconnect["cause"]


def channel_of(cluster, name):
    channel, = [c for c in cluster.redis.pubsub_channels("sb:*:n:*") if c.decode().endswith(f":n:{name}")]
    return channel


def test_ready(cluster):
    url = f"http://127.0.0.1:{cluster.gateways[0].admin_port}"
    assert cluster.cli("ready", url).stdout == "ready\n"
    assert json.loads(cluster.cli("ready", url + "/readyz", "--json").stdout)["ready"] is True


def test_level_holds_at_once(cluster, three, name):
    cluster.cli("level", name, "group")
    try:
        assert "broadcast level" in cluster.cli("send", name, "x", check=False).stderr
    finally:
        cluster.cli("level", name, "unset")
    cluster.cli("send", name, "again")
    assert three[0].recv() == "again"


def test_reload_tells_all(cluster):
    found = json.loads(cluster.cli("reload", "--json").stdout)
    assert found["told"] == found["reloaded"] == len(found["processes"]) == 3 and found["restart"] == 0
    assert {row["state"] for row in found["processes"]} == {"reloaded"}
    assert {row["pid"] for row in found["processes"]} == {daemon.pid for daemon in cluster.daemons}


def test_reloads_at_the_same_time_do_not_mix(cluster):
    """A report bears the token of the one that asked."""
    tools = [subprocess.Popen([str(BIN / "signalbox"), "reload", "--json", "--redis", cluster.redis_url],
                              stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for tool in tools:
        assert json.loads(tool.communicate(timeout=20)[0])["reloaded"] == 3 and tool.returncode == 0


# -- drain and undrain, at gateway 2


@pytest.fixture
def second(cluster):
    """Gateway 2 and its id; it serves again afterwards."""
    gateway = cluster.gateways[1]
    yield gateway, about(cluster)[gateway.pid]["id"]
    for row in about(cluster).values():
        if row["state"] != "alive":
            cluster.cli("undrain", row["id"])


def gateways_of(cluster):
    return json.loads(cluster.cli("gateways", "--json").stdout)


def state_of(cluster, gateway):
    return about(cluster)[gateway.pid]["state"]


def started(cluster, *args):
    return subprocess.Popen([str(BIN / "signalbox"), *args, "--redis", cluster.redis_url], stderr=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)


def next_or_code(client):
    try:
        return client.recv()
    except Closed as closed:
        return closed.code


def test_gateways_say_where_they_are(cluster):
    rows = {row["pid"]: row for row in gateways_of(cluster)}
    for gateway in cluster.gateways:
        row = rows[gateway.pid]
        assert row["state"] == "alive" and row["listen"] == [f"http+ws://127.0.0.1:{gateway.port}"]
        assert row["admin"] == f"127.0.0.1:{gateway.admin_port}" and row["host"] and row["version"]
    broker, = json.loads(cluster.cli("brokers", "--json").stdout)
    assert broker["pid"] == cluster.brokers[0].pid and broker["state"] == "alive" and "listen" not in broker
    assert f"http+ws://127.0.0.1:{cluster.gateways[0].port} " in cluster.cli("gateways").stdout


def test_drain_and_back(cluster, second):
    gateway, gid = second
    client = cluster.client(1, "/up?name=Drained")
    done = cluster.cli("drain", gid[:8], "--over", "300ms")
    assert "0 connections left" in done.stderr and done.stdout == f"{gid} drained\n"
    assert client.closing()[0] == 1001
    assert next(row["state"] for row in gateways_of(cluster) if row["id"] == gid) == "drained"
    assert cluster.cli("ready", f"http://127.0.0.1:{gateway.admin_port}", check=False).stdout == "not ready: draining\n"
    with pytest.raises(ConnectionRefusedError):
        cluster.http(1, "GET", "/up")
    assert json.loads(cluster.cli("drain", gid, "--json").stdout) == {"gateway": gid, "state": "drained"}  # twice
    assert cluster.cli("undrain", gid[:8]).stdout == f"{gid} takes connections\n"
    gateway.wait_ready()
    with cluster.client(1, "/up?name=Drained") as again:
        cluster.cli("send", "Drained", "hello again")
        assert again.recv() == "hello again"
    assert json.loads(cluster.cli("undrain", gid, "--json").stdout) == {"gateway": gid, "state": "alive"}


def test_undrain_needs_the_port_back(cluster, second):
    """Somebody took it meanwhile: that is said, and the gateway stays drained until it can listen."""
    gateway, gid = second
    cluster.cli("drain", gid, "--over", "0s")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", gateway.port))
        other.listen()
        done = cluster.cli("undrain", gid, check=False)
        assert done.returncode == 1 and f"cannot listen on 127.0.0.1 port {gateway.port}" in done.stderr
        assert state_of(cluster, gateway) == "drained"
    cluster.cli("undrain", gid)
    gateway.wait_ready()
    cluster.http(1, "GET", "/up?name=Back")


def test_undrain_interrupts_a_drain(cluster, second):
    gateway, gid = second
    clients = [cluster.client(1, "/up?name=Stays") for _ in range(3)]
    drain = started(cluster, "drain", gid, "--over", "10m")
    eventually(lambda: state_of(cluster, gateway) == "draining")
    cluster.cli("undrain", gid)
    assert "somebody undrained it" in drain.communicate(timeout=15)[1] and drain.returncode == 1
    cluster.cli("send", "Stays", "still here")
    assert sorted(map(next_or_code, clients), key=str) == [1001, "still here", "still here"]
    for client in clients:
        client.drop()


def test_a_second_drain_sets_the_time_anew(cluster, second):
    gateway, gid = second
    clients = [cluster.client(1, "/up?name=Hurry") for _ in range(3)]
    drain = started(cluster, "drain", gid, "--over", "10m")
    eventually(lambda: state_of(cluster, gateway) == "draining")
    assert cluster.cli("drain", gid, "--over", "0s").stdout == f"{gid} drained\n"
    assert drain.wait(20) == 0
    assert {client.closing()[0] for client in clients} == {1001}


def test_the_last_gateway_is_drained_with_a_warning(cluster, second):
    _, gid = second
    first = about(cluster)[cluster.gateways[0].pid]["id"]
    assert "last gateway" not in cluster.cli("drain", gid, "--over", "0s").stderr
    assert "last gateway" in cluster.cli("drain", first, "--over", "0s").stderr


@pytest.mark.parametrize("verb", ["drain", "undrain"])
@pytest.mark.parametrize("wanted, why", [("nonsense", "no gateway 'nonsense'"), ("", "no gateway ''")])
def test_drain_of_nobody(cluster, verb, wanted, why):
    done = cluster.cli(verb, wanted, check=False)
    assert done.returncode == 1 and why in done.stderr


def test_a_silent_gateway_is_named(cluster, second):
    """It cannot be drained, and a reload says that it did not hear."""
    gateway, gid = second
    gateway.stop()
    try:
        done = cluster.cli("drain", gid, check=False)
        assert done.returncode == 1 and f"{gid} is silent" in done.stderr
        done = cluster.cli("reload", "--timeout", "500ms", check=False)
        assert done.returncode == 1 and "2 reloaded, 0 failed, 1 did not answer" in done.stdout
        assert f"gateway {gid}" in done.stderr and "did not answer within 0.5 s" in done.stderr
    finally:
        gateway.cont()
