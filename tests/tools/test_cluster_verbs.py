"""The verbs on a running cluster: what they say is what clients see."""
import json
import subprocess
import time

import pytest

from harness.cluster import BIN, http_request
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
    rows = json.loads(cluster.cli("clients", name, "--json").stdout)
    assert sorted(row["clientId"] for row in rows) == sorted(client.id for client in three)
    assert len({row["gateway"] for row in rows}) == 2
    rows = json.loads(cluster.cli("clients", "--group", "G", "--json").stdout)
    assert {three[1].id, three[2].id} <= {row["clientId"] for row in rows}
    assert three[0].id in cluster.cli("clients", name).stdout


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
    eventually(lambda: cluster.redis.execute_command("PUBSUB", "NUMSUB", channel_of(cluster, name))[1] >= 4, 10)
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
    blocked = lambda: [c for c in cluster.redis.client_list() if c["id"] not in before and c["cmd"] == "xread"]
    eventually(lambda: len(blocked()) == (1 if narrow else 16), 10)
    client = cluster.client(1, f"/up?name={name}&group=g")
    client.close(4567, "done")
    connect, disconnect = [json.loads(line) for line in tail.communicate(timeout=10)[0].splitlines()]
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
    assert json.loads(cluster.cli("reload", "--json").stdout)["told"] == 3


def test_a_drained_gateway_has_no_connections(cluster):
    """Last: gateway 2 stays drained. A cluster of its own would be slower."""
    client = cluster.client(1, "/up?name=Drained")
    row, = json.loads(cluster.cli("clients", "Drained", "--json").stdout)
    begun = time.monotonic()
    done = cluster.cli("drain", row["gateway"][:8], "--over", "500ms")
    assert time.monotonic() - begun < 20 and "0 connections left" in done.stderr
    assert client.closing()[0] in (1001, 1012)
    port = cluster.gateways[1].admin_port
    assert http_request(port, "GET", "/readyz").status == 503
    assert cluster.cli("ready", f"http://127.0.0.1:{port}", check=False).stdout == "not ready: draining\n"
