"""Every way in: what is published arrives at every client of both gateways once, in one order."""
import json
import pathlib
import subprocess

import pytest

from harness import Cluster, eventually

APP = pathlib.Path(__file__).parents[1] / "conformance" / "app" / "app.lua"


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP) as running:
        yield running


@pytest.fixture
def three(cluster, request):
    """A, B on gateway 1 and C on gateway 2, of a Name of the test's own."""
    clients = [cluster.client(gateway, f"/up?name={request.node.name.split('[')[0]}") for gateway in (0, 0, 1)]
    yield clients
    for client in clients:
        client.drop()


def redis_cli(cluster, *args):
    done = subprocess.run(["/usr/bin/redis-cli", "-s", str(cluster.redis_socket), *args], capture_output=True,
                          text=True, timeout=10, check=True)
    return done.stdout.strip()


def xadd(cluster, **message):
    redis_cli(cluster, "XADD", "signalbox:send", "*", "m", json.dumps(message))


def by_publish(cluster, name, text):
    assert int(redis_cli(cluster, "PUBLISH", "signalbox:send", json.dumps({"name": name, "data": text}))) >= 1


def by_xadd(cluster, name, text):
    xadd(cluster, name=name, data=text)


def by_cli(cluster, name, text):
    assert cluster.cli("send", name, text).stdout.strip(), "it prints the message id"


def by_http(cluster, name, text):
    assert cluster.gateways[0].admin("POST", "/send", {"name": name, "data": text}).status // 100 == 2


def by_broker_http(cluster, name, text):
    assert cluster.brokers[0].admin("POST", "/send", {"name": name, "data": text}).status // 100 == 2


def by_route(cluster, name, text):
    assert cluster.http(1, "POST", "/adm/send", {"name": name, "data": text}).status == 200


def by_client(cluster, name, text):
    with cluster.client(1, "/up?name=Publisher") as client:
        client.say(text, path=name)
        client.sync()


WAYS = [by_publish, by_xadd, by_cli, by_http, by_route, by_client]


@pytest.mark.parametrize("publish", WAYS)
def test_one_way_in(cluster, three, publish):
    name = three[0].name
    for number in range(3):
        publish(cluster, name, f"{publish.__name__} {number}")
    by_route(cluster, name, "fence")
    expected = sorted([f"{publish.__name__} {number}" for number in range(3)] + ["fence"])
    received = [client.take(4) for client in three]
    assert sorted(received[0]) == expected and received[1] == received[0] == received[2]


def test_all_ways_in_one_order(cluster, three):
    name = three[0].name
    expected = []
    for number in range(4):
        for publish in WAYS:
            publish(cluster, name, f"{publish.__name__} {number}")
            expected.append(f"{publish.__name__} {number}")
    received = [client.take(len(expected)) for client in three]
    assert sorted(received[0]) == sorted(expected) and received[1] == received[0] == received[2]


def test_group_and_client_id_by_publish(cluster, three):
    name = three[0].name
    target = three[2]
    message = {"name": name, "clientId": target.id, "data": {"only": "c"}}
    redis_cli(cluster, "PUBLISH", "signalbox:send", json.dumps(message))
    assert target.recv() == '{"only":"c"}'
    xadd(cluster, name=name, group="nobody", data="x")
    xadd(cluster, name=name, data="fence")
    assert [client.until("fence") for client in three] == [[], [], []]


def test_publish_tells_whether_a_broker_heard_it(cluster):
    assert int(redis_cli(cluster, "PUBLISH", "signalbox:send", '{"name":"Nobody","data":"x"}')) >= 1
    assert int(redis_cli(cluster, "PUBSUB", "NUMSUB", "signalbox:send").split()[-1]) >= 1


def test_xadd_with_an_id_is_published_once(cluster, three):
    name = three[0].name
    for _ in range(3):
        xadd(cluster, name=name, data="once", id=f"{name}-key")
    xadd(cluster, name=name, data="fence")
    assert [client.until("fence") for client in three] == [["once"]] * 3


def test_cli_with_an_id_is_published_once(cluster, three):
    name = three[0].name
    ids = {cluster.cli("send", name, "once", "--id", f"{name}-key").stdout.strip() for _ in range(2)}
    by_cli(cluster, name, "fence")
    assert [client.until("fence") for client in three] == [["once"]] * 3
    assert len(ids) <= 2


def test_http_idempotency_key(cluster, three):
    name = three[0].name
    for _ in range(2):
        reply = cluster.gateways[0].admin("POST", "/send", {"name": name, "data": "once"}, {"Idempotency-Key": name})
        assert reply.status // 100 == 2
    by_http(cluster, name, "fence")
    assert [client.until("fence") for client in three] == [["once"]] * 3


def refused(cluster):
    return [fields for _, fields in cluster.redis.xrange("signalbox:refused")]


@pytest.mark.parametrize("text", ["not json", "[]", '{"data":', '"text"', '{"name":7}'])
@pytest.mark.parametrize("way", ["PUBLISH", "XADD"])
def test_refused_input_is_recorded(cluster, way, text):
    before = len(refused(cluster))
    if way == "PUBLISH":
        redis_cli(cluster, "PUBLISH", "signalbox:send", text)
    else:
        redis_cli(cluster, "XADD", "signalbox:send", "*", "m", text)
    eventually(lambda: len(refused(cluster)) == before + 1)
    assert any(b" " in value for value in refused(cluster)[-1].values()), "a reason in words"


LONG, MANY = "x" * 1025, ["x"] * 1001
NOT_UNDERSTOOD = [
    ({"client": "x"}, 'unknown key "client"'), ({"groups": "x"}, 'unknown key "groups"'),
    ({"names": ["x"]}, 'unknown key "names"'), ({"clientId": "x", "client_id": "x"}, "clientId: is given twice"),
    ({"clientId": [["x"]]}, "clientId: must be a string or a list of strings"),
    ({"group": ["g", 1]}, "group: must be a string or a list of strings"),
    ({"name": LONG}, "name: has more than 1024 bytes"), ({"group": [LONG]}, "group: has more than 1024 bytes"),
    ({"clientId": LONG}, "clientId: has more than 1024 bytes"), ({"name": MANY}, "name: has more than 1000 elements"),
    ({"clientId": MANY}, "clientId: has more than 1000 elements"), ({"group": "g\r"}, "group: has a line end"),
    ({"clientId": "a\ud83d"}, "is half of a character")]
NOBODY = [{"clientId": []}, {"group": []}, {"client_id": [""]}, {"name": []}, {"group": [None, ""]}]


@pytest.mark.parametrize("op", ["send", "close"])
def test_what_is_not_understood_reaches_nobody(cluster, three, op):
    """D5, D18: refused by name, with the same words at every entrance, and an empty list is nobody."""
    name, what = three[0].name, {"data": "secret"} if op == "send" else {}
    for fields, words in NOT_UNDERSTOOD:
        text = json.dumps({"name": name, **what, **fields})
        for daemon in cluster.gateways[0], cluster.brokers[0]:
            reply = daemon.admin("POST", f"/{op}", text)
            assert reply.status == 400 and words in reply.json()["error"], fields
        tagged = json.dumps({"name": name, "op": op, **what, **fields})
        for command in ["XADD", "signalbox:send", "*", "m"], ["PUBLISH", "signalbox:send"]:
            before = len(refused(cluster))
            redis_cli(cluster, *command, tagged)
            eventually(lambda: len(refused(cluster)) == before + 1)
            assert words in refused(cluster)[-1][b"reason"].decode(), (fields, command)
    for fields in NOBODY:
        reply = cluster.gateways[0].admin("POST", f"/{op}", {"name": name, **what, **fields})
        assert (reply.status, reply.json()) == (202, {"id": None, "entry": None})
        xadd(cluster, **{"name": name, "op": op, **what, **fields})
        redis_cli(cluster, "PUBLISH", "signalbox:send", json.dumps({"name": name, "op": op, **what, **fields}))
    by_xadd(cluster, name, "fence")
    by_publish(cluster, name, "fence of the channel")
    assert [client.take(2) for client in three] == [["fence", "fence of the channel"]] * 3


def test_lua_names_nobody_with_an_empty_list(cluster, three):
    """In the gateway; what a broker's handler says is in test_send.py."""
    name = three[0].name
    for fields in NOBODY:
        assert cluster.http(1, "POST", "/adm/send", {"name": name, "data": "secret", **fields}).status == 200
        assert cluster.http(1, "POST", "/adm/close", {"name": name, **fields}).status == 200
    for op in "send", "close", "allows", "exists", "clients":
        for fields in {"client": "x"}, {"client_id": "x", "clientId": "y"}:
            reply = cluster.http(1, "POST", f"/try/{op}", {"name": name, **fields}).json()
            assert reply["ok"] is False and "client" in reply["error"], op
    by_route(cluster, name, "fence")
    assert [client.until("fence") for client in three] == [[], [], []]


def test_the_query_of_the_lists_is_understood_or_refused(cluster, three):
    name, id = three[0].name, three[0].id
    daemon = cluster.gateways[0]
    for query in f"clientId={id}", f"client_id={id}", f"name={name}&CLIENTID={id}", f"client%5Fid={id}&group=":
        assert [row["clientId"] for row in daemon.admin("GET", f"/clients?{query}").json()] == [id]
    assert daemon.admin("GET", f"/clients?name={name}&client_id=none").json() == []
    assert daemon.admin("GET", "/clients?name=Nobody").json() == []
    for path in ("/clients?nam=x", "/clients?clientId=a&client_id=b", "/clients?name=a&name=b", "/clients?name=" + LONG,
                 "/clients?name=a%00", "/clients?group=%zz", "/names?name=x"):
        assert daemon.admin("GET", path).status == 400, path
    reply = daemon.admin("POST", f"/send?client_id={id}", {"name": name, "data": "secret"})
    assert reply.status == 400 and "client_id" in reply.json()["error"]
    by_http(cluster, name, "fence")
    assert [client.until("fence") for client in three] == [[], [], []]


def test_refused_level_is_recorded(cluster, three):
    name = three[0].name
    cluster.cli("level", name, "client_id")
    try:
        before = len(refused(cluster))
        by_xadd(cluster, name, "refused")
        eventually(lambda: len(refused(cluster)) == before + 1)
        assert any(b"broadcast level" in value for value in refused(cluster)[-1].values())
        done = cluster.cli("send", name, "refused", check=False)
        assert done.returncode != 0 and "broadcast level" in done.stderr + done.stdout
    finally:
        cluster.cli("level", name, "name")
    by_cli(cluster, name, "fence")
    assert [client.until("fence") for client in three] == [[], [], []]


def test_cli_wait_counts_who_got_it(cluster, three):
    name = three[0].name
    answer = json.loads(cluster.cli("send", name, "x", "--wait", "2s", "--json").stdout)
    assert "3" in json.dumps(answer)
    assert [client.recv() for client in three] == ["x"] * 3


def test_public_order_of_one_connection(cluster, three):
    """XADDs of one Redis connection arrive in their order."""
    name, redis = three[0].name, cluster.redis
    for number in range(500):
        redis.xadd("signalbox:send", {"m": json.dumps({"name": name, "data": str(number)})})
    for client in three:
        assert client.take(500) == [str(number) for number in range(500)]


@pytest.mark.parametrize("fields", [["group", "nobody"], ["m", '{"data":"x"}'], ["clientId", "x"]])
@pytest.mark.parametrize("is_first", [False, True])
def test_an_entry_with_another_field_reaches_nobody(cluster, three, fields, is_first):
    message = ["m", json.dumps({"name": three[0].name, "data": "secret"})]
    redis_cli(cluster, "XADD", "signalbox:send", "*", *(fields + message if is_first else message + fields))
    by_xadd(cluster, three[0].name, "fence")
    assert [client.recv() for client in three] == ["fence"] * 3
    refused = cluster.redis.xrevrange("signalbox:refused", count=1)[0][1][b"reason"].decode()
    assert refused == f'unknown field "{fields[0]}": an entry has the field m, once, and no other'
