"""A Name, a group, a client id, a key has at most 1024 bytes at every entrance, and one byte more is refused in the same words.

XADD, PUBLISH, POST /send and /close, the CLI's send and close: test_refusals.py has their refusals, here is what they take.
"""
import json
import pathlib
from urllib.parse import quote

import pytest

from harness import Cluster, Refused, eventually

APP = pathlib.Path(__file__).parents[1] / "conformance" / "app" / "app.lua"
V1 = {"Sec-WebSocket-Protocol": "signalbox.v1"}
WORDS = "has more than 1024 bytes"
MOST = {"name": "n" * 1024, "group": "ü" * 512, "client_id": "c" * 1024}
KEYS = {"path": "name", "group": "group", "clientId": "client_id"}


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP, gateways=1) as running:
        yield running


@pytest.fixture(scope="module")
def longest(cluster):
    """Who has the longest Name, group and id that there are."""
    with cluster.client(0, up(name=MOST["name"], group=MOST["group"], id=MOST["client_id"])) as client:
        eventually(lambda: lua(cluster, "exists", name=MOST["name"])["result"] is True)
        yield client


@pytest.fixture(scope="module")
def adm(cluster):
    """A socket whose signal route makes server calls in a broker."""
    with cluster.client(0, "/s/adm?name=Adm") as client:
        yield client


def up(**query):
    return "/up?" + "&".join(f"{key}={quote(value)}" for key, value in query.items())


def lua(cluster, op, **args):
    return cluster.http(0, "POST", f"/try/{op}", args).json()


def in_broker(adm, op, **args):
    adm.send_json({"op": op, "args": args, "ref": op})
    return adm.recv_json()


@pytest.mark.parametrize("key", KEYS)
def test_frames(cluster, longest, key):
    bad = lambda: cluster.brokers[0].metrics()["signalbox_messages_bad_total"]
    text = MOST[KEYS[key]]
    with cluster.client(0, up(name="Plain")) as plain, cluster.client(0, up(name="V1"), V1) as v1:
        assert v1.recv_json()["type"] == "hello"
        for sender, ref in (plain, {}), (v1, {"ref": 1}):
            sender.say("taken", **ref, **{key: text})
            assert longest.recv() == "taken"
            before = bad()
            sender.say("refused", **ref, **{key: text + "x"})
            eventually(lambda: bad() == before + 1)
            sender.say("fence", path=MOST["name"])
            assert longest.recv() == "fence"
        assert v1.recv_json()["type"] == "ack"
        error = v1.recv_json()
        assert (error["type"], error["code"]) == ("error", "bad_request") and f"{key}: {WORDS}" in error["message"]


def test_a_path_is_as_long_as_it_is_decoded(cluster, longest):
    with cluster.client(0, up(name="V1"), V1) as v1:
        assert v1.recv_json()["type"] == "hello"
        v1.say("taken", path="%6E" * 1024, ref=1)
        assert longest.recv() == "taken" and v1.recv_json()["type"] == "ack"
        v1.say("refused", path="%6E" * 1025, ref=2)
        assert f"path: {WORDS}" in v1.recv_json()["message"]


CALLS = [(op, what, {}) for op, keys in {"send": ["name", "group", "client_id"], "close": ["name", "group", "client_id"],
                                         "allows": ["name", "group", "client_id"], "exists": ["name", "group", "client_id"],
                                         "clients": ["name", "group"], "groups": ["name"], "get_level": ["name"]}.items()
         for what in keys] + [
    ("set_level", "name", {"level": "name"}), ("on", "name", {"type": "connect", "event_name": "e"}),
    ("on", "event_name", {"type": "connect", "name": "On"}), ("store_set", "key", {"value": "1"}), ("store_get", "key", {}),
    ("store_incr", "key", {}), ("store_delete", "key", {}), ("locked_increment", "key", {"times": 1})]


@pytest.mark.parametrize("op, what, others", CALLS)
def test_lua(cluster, adm, op, what, others):
    """In a gateway and in a broker; what is sent goes to a Name that nobody joined."""
    if op in ("send", "close", "clients", "exists") and what != "name":
        others = {"name": "Nobody", **others}
    if op == "send":
        others = {"data": "x", **others}
    for call in lambda **args: lua(cluster, op, **args), lambda **args: in_broker(adm, "off" if op == "on" else op, **args):
        text = ("i" if op == "store_incr" else "k") * 1024
        assert call(**{what: text}, **others)["ok"], op
        refused = call(**{what: text + "k"}, **others)
        assert not refused["ok"] and WORDS in refused["error"], (op, refused)


@pytest.mark.parametrize("field", ["name", "group", "id"])
def test_convert(cluster, longest, field):
    with cluster.raw(0) as raw:
        raw.request(up(**{"name": "Convert", field: "x" * 1025}))
        assert raw.read_head().status == 400
        assert f"{'clientId' if field == 'id' else field}: {WORDS}" in raw.read_body().decode()


@pytest.mark.parametrize("spell", [lambda text: text, lambda text: "".join(f"%{byte:02x}" for byte in text.encode())],
                         ids=["plain", "percent-encoded"])
@pytest.mark.parametrize("header, what", [("CLIENT-ID", "client_id"), ("NAME", "name"), ("GROUP", "group")])
def test_references(cluster, longest, header, what, spell):
    at_the_bound = {key: spell(text).encode().decode("latin1") for key, text in MOST.items()}
    ask = lambda of: cluster.http(0, "GET", "/signal", headers={
        "X-PODE-SIGNAL-CLIENT-ID": of["client_id"], "X-PODE-SIGNAL-NAME": of["name"], "X-PODE-SIGNAL-GROUP": of["group"]})
    assert ask(at_the_bound).json()["signal"]["client_id"] == MOST["client_id"]
    reply = ask({**at_the_bound, what: at_the_bound[what] + spell("x")})
    assert (reply.status, reply.text.strip()) == (400, f"X-PODE-SIGNAL-{header}: {WORDS}")


def test_a_list_of_groups_may_be_longer_than_a_group(cluster, longest):
    ask = lambda groups: cluster.http(0, "GET", "/signal", headers={
        "X-PODE-SIGNAL-CLIENT-ID": MOST["client_id"], "X-PODE-SIGNAL-NAME": MOST["name"], "X-PODE-SIGNAL-GROUP": groups})
    assert ask("g" * 1024 + ", " + quote(MOST["group"])).status == 200
    assert ask(quote(MOST["group"]) + "," + "g" * 1025).status == 400


@pytest.mark.parametrize("digits", [1024, 1025, 9000])
def test_an_id_to_resume_from_that_is_none(cluster, digits):
    """No address: whatever is no id of a message is told as a gap."""
    with cluster.client(0, up(name="Resume", **{"signalbox-resume": "1" * digits}), V1) as client:
        assert client.recv_json()["recovered"] is False


@pytest.mark.parametrize("what", ["name", "group", "clientId"])
def test_what_admin_is_asked(cluster, longest, what):
    text = MOST[KEYS.get(what, what)]
    ask = lambda text: cluster.gateways[0].admin("GET", f"/clients?{what}={quote(text)}")
    assert ask(text).status == 200
    reply = ask(text + "x")
    assert reply.status == 400 and reply.json()["error"] == f"{what}: {WORDS}"


def test_what_is_at_the_bound_is_sent_and_closed(cluster, longest):
    redis, address = cluster.redis, {"name": MOST["name"], "group": MOST["group"], "clientId": MOST["client_id"]}
    flags = [MOST["name"], "--group", MOST["group"], "--client", MOST["client_id"]]
    message = json.dumps({**address, "data": "taken"})
    ways = [lambda: redis.xadd("signalbox:send", {"m": message}), lambda: redis.publish("signalbox:send", message),
            lambda: cluster.cli("send", *flags, "taken"), lambda: cluster.gateways[0].admin("POST", "/send", message),
            lambda: cluster.brokers[0].admin("POST", "/send", message)]
    for send in ways:
        send()
        assert longest.recv() == "taken"
    address["name"] = flags[0] = "m" * 1024
    closes = [lambda: redis.xadd("signalbox:send", {"m": json.dumps({**address, "op": "close"})}),
              lambda: redis.publish("signalbox:send", json.dumps({**address, "op": "close"})),
              lambda: cluster.cli("close", *flags), lambda: cluster.brokers[0].admin("POST", "/close", address)]
    for close in closes:
        with cluster.client(0, up(name="m" * 1024, group=MOST["group"], id=MOST["client_id"])) as client:
            close()
            client.closing(10)
