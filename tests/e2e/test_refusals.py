"""202 means accepted: whatever a broker's public entrance refuses is refused before, at every entrance, in the same words.

The broker's word is what XADD leads to. POST /send and POST /close of gateway and broker must answer with exactly that
text; the CLI and Lua, where they can say such a thing at all, must fail with it. What only a broker can know is at the end.
"""
import http.client
import json
import pathlib
import subprocess

import pytest

from harness import BIN, Cluster, eventually

APP = pathlib.Path(__file__).parents[1] / "conformance" / "app" / "app.lua"
LARGEST, REDIS_TAKES = 1047000, 1 << 20
LONG, MANY, NAMES = "x" * 1025, ["x"] * 1001, [f"n{i}" for i in range(1000)]
CLI, LUA = {"cli", "lua"}, {"lua"}
LUA_OTHERWISE = {"lua otherwise"}  # refused as well; the words are those of Lua's arguments
NOWHERE = set()

# What is sent, the beginning of the reason, and where else it can be said.
SENDS = [
    ({"name": LONG}, "name: has more than 1024 bytes", CLI),
    ({"name": ["a", LONG]}, "name: has more than 1024 bytes", LUA),
    ({"name": MANY}, "name: has more than 1000 elements", LUA),
    ({"name": [None] * 1001}, "name: has more than 1000 elements", NOWHERE),
    ({"group": LONG}, "group: has more than 1024 bytes", CLI),
    ({"group": MANY}, "group: has more than 1000 elements", LUA),
    ({"clientId": LONG}, "clientId: has more than 1024 bytes", CLI),
    ({"clientId": MANY}, "clientId: has more than 1000 elements", LUA),
    ({"group": "a\nb"}, "group: has a line end or a NUL in it", CLI),
    ({"clientId": "a\rb"}, "clientId: has a line end or a NUL in it", CLI),
    ({"clientId": "a\0b"}, "clientId: has a line end or a NUL in it", LUA),
    ({"name": 7}, "name: must be a string or a list of strings", NOWHERE),
    ({"group": {}}, "group: must be a string or a list of strings", NOWHERE),
    ({"group": {"a": "b"}}, "group: must be a string or a list of strings", LUA),
    ({"clientId": [["x"]]}, "clientId: must be a string or a list of strings", LUA),
    ({"clientId": "a\ud83d"}, "clientId: the escape at byte ", NOWHERE),
    ({"data": "x" * (LARGEST + 1)}, f"data: has {LARGEST + 1} bytes, more than {LARGEST} (--max-message-bytes)", LUA),
    ({"data": "x" * LARGEST}, "the message has ", CLI),  # with its address it is more than Redis takes
    ({"name": NAMES, "data": "x" * 34000}, "name: 1000 Names times 34000 bytes are more than 33554432 bytes", LUA),
    ({"data": "a\ud83d"}, "data: the escape at byte ", NOWHERE),
    ({"binary": 1}, "binary: must be true or false", LUA_OTHERWISE),
    ({"client": "x"}, 'unknown key "client"; known are name, group', LUA_OTHERWISE),
    ({"clientId": "x", "client_id": "x"}, "clientId: is given twice", LUA_OTHERWISE),
    ({"op": "shut"}, 'op: must be "send", "close", "join" or "leave"', NOWHERE),
    ({"id": "k" * 257}, "id: has more than 256 bytes", {"cli, not stdin"}),
    ({"id": 7}, "id: must be one string", NOWHERE),
    ({"id": "a\udc00"}, "id: the escape at byte ", NOWHERE),
    ({"receipt": "a b"}, "receipt: must be letters, digits and dashes", NOWHERE),
    ({"receipt": "é"}, "receipt: must be letters, digits and dashes", NOWHERE),
    ({"receipt": "t" * 65}, "receipt: has more than 64 bytes", NOWHERE),
]
CLOSES = [
    ({"name": LONG}, "name: has more than 1024 bytes", CLI),
    ({"group": MANY}, "group: has more than 1000 elements", LUA),
    ({"clientId": "a\nb"}, "clientId: has a line end or a NUL in it", CLI),
    ({"code": 999}, "code: must be 1000, 1001, or 3000 to 4999", CLI),
    ({"code": 1005}, "code: must be 1000, 1001, or 3000 to 4999", CLI),
    ({"code": 5000}, "code: must be 1000, 1001, or 3000 to 4999", CLI),
    ({"code": "1000"}, "code: must be 1000, 1001, or 3000 to 4999", LUA_OTHERWISE),
    ({"code": 2 ** 64}, "code: must be 1000, 1001, or 3000 to 4999", LUA_OTHERWISE),
    ({"reason": "x" * 124}, "reason: has more than 123 bytes", CLI),
    ({"reason": ["x"]}, "reason: must be one string", LUA_OTHERWISE),
    ({"data": "x"}, 'unknown key "data"', LUA_OTHERWISE),
]
ACCEPTED = [  # at the bounds
    ("send", {"name": "n" * 1024, "group": "g" * 1024, "clientId": "c" * 1024}, CLI),
    ("send", {"name": NAMES[:500], "group": ["g"] * 1000, "clientId": ["c"] * 1000}, LUA),
    ("send", {"name": NAMES, "data": "x" * 33000}, LUA),
    ("send", {"data": "x" * (REDIS_TAKES - 4096 - 200)}, CLI), ("send", {"id": "k" * 256}, {"cli, not stdin"}),
    ("send", {"receipt": "t" * 64}, NOWHERE), ("close", {"code": 4999, "reason": "r" * 123}, CLI),
]


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP, gateways=1, redis={"proto-max-bulk-len": REDIS_TAKES}, args=["--max-message-bytes", str(LARGEST)],
                 gateway_args=["--max-body-bytes", str(8 << 20)]) as running:
        yield running


def refusals(cluster):
    return [fields for _, fields in cluster.redis.xrange("signalbox:refused")]


def brokers_word(cluster, text, way):
    """The reason for which a broker refuses it; None when it takes it."""
    redis, before = cluster.redis, len(refusals(cluster))
    fence = json.dumps({"name": "Fence", "data": 1, "no such key": way})
    for each in text, fence:  # the fence is refused for certain, after it
        redis.xadd("signalbox:send", {"m": each}) if way == "XADD" else redis.publish("signalbox:send", each)
    eventually(lambda: "no such key" in (refusals(cluster)[before:] or [{b"reason": b""}])[-1][b"reason"].decode())
    reasons = [fields[b"reason"].decode() for fields in refusals(cluster)[before:]]
    assert len(reasons) <= 2, reasons
    return reasons[0] if len(reasons) == 2 else None


def complete(op, fields):
    return {"name": "Refusals", **({"data": "x"} if op == "send" else {}), **fields}


def by_cli(cluster, op, message, is_stdin):
    args = [op, message["name"]]
    for key, flag in ("group", "--group"), ("clientId", "--client"), ("id", "--id"), ("code", "--code"), ("reason", "--reason"):
        if key in message:
            args.append(f"{flag}={message[key]}")
    if op == "send" and (is_stdin or len(message["data"]) > 100000):
        return cluster.cli(*args, "--stdin", stdin=message["data"] + "\n", check=False)
    return cluster.cli(*args, *([message["data"]] if op == "send" else []), check=False)


def by_lua(cluster, op, message):
    """The error of signalbox.send or close in a gateway, or None."""
    answer = cluster.http(0, "POST", f"/try/{op}", message).json()
    return None if answer["ok"] else answer["error"]


def check_elsewhere(cluster, op, message, reason, places):
    for is_stdin in [False, True] if op == "send" else [False]:
        if "cli" in places or ("cli, not stdin" in places and not is_stdin):
            done = by_cli(cluster, op, message, is_stdin)
            assert done.returncode != 0 and reason in done.stderr and "refused" not in done.stderr, (message, done.stderr[:300])
    if "cli" in places or "lua" in places:
        assert reason in (by_lua(cluster, op, message) or ""), reason
    if "lua otherwise" in places:
        assert by_lua(cluster, op, message) is not None, message


@pytest.mark.parametrize("op, fields, words, places", [("send", *row) for row in SENDS] + [("close", *row) for row in CLOSES],
                         ids=lambda value: str(value)[:40] if isinstance(value, dict) else "")
def test_a_refusal_is_the_same_everywhere(cluster, op, fields, words, places):
    message, length = complete(op, fields), cluster.redis.xlen
    text = json.dumps(message)
    tagged = text if "op" in fields or op == "send" else json.dumps({**message, "op": "close"})
    reason = brokers_word(cluster, tagged, "XADD")
    assert reason is not None and reason.startswith(words)
    assert brokers_word(cluster, tagged, "PUBLISH") == reason
    before = length("signalbox:refused"), cluster.redis.xinfo_stream("signalbox:send")["last-generated-id"]
    for daemon in cluster.gateways[0], cluster.brokers[0]:
        reply = daemon.admin("POST", f"/{op}", tagged)
        assert (reply.status in (400, 413), reply.json()["error"]) == (True, reason)
    check_elsewhere(cluster, op, message, reason, places)
    after = length("signalbox:refused"), cluster.redis.xinfo_stream("signalbox:send")["last-generated-id"]
    assert after == before, "nothing was written"


@pytest.mark.parametrize("op, fields, places", ACCEPTED, ids=lambda value: str(sorted(value) if isinstance(value, set) else value)[:40])
def test_what_is_at_the_bound_is_accepted_everywhere(cluster, op, fields, places):
    message = complete(op, fields)
    tagged = json.dumps({**message, "op": op})
    for way in "XADD", "PUBLISH":
        assert brokers_word(cluster, tagged, way) is None
    before = len(refusals(cluster))
    for daemon in cluster.gateways[0], cluster.brokers[0]:
        assert daemon.admin("POST", f"/{op}", tagged).status == 202
    if places & {"cli", "cli, not stdin"}:
        assert by_cli(cluster, op, message, False).returncode == 0
    if places & {"cli", "lua"}:
        assert by_lua(cluster, op, message) is None
    assert brokers_word(cluster, tagged, "XADD") is None and len(refusals(cluster)) == before + 1


def post_with_keys(daemon, *keys):
    connection = http.client.HTTPConnection("127.0.0.1", daemon.admin_port, timeout=10)
    body = json.dumps({"name": "Refusals", "data": "x"})
    connection.putrequest("POST", "/send")
    connection.putheader("Content-Length", str(len(body)))
    connection.putheader("Authorization", daemon.authorization["Authorization"])
    for key in keys:
        connection.putheader("Idempotency-Key", key)
    connection.endheaders(body.encode())
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text).get("error")


@pytest.mark.parametrize("keys, answer", [
    ([b"\xff"], (400, "id: is not valid UTF-8")), ([b"k" * 257], (400, "id: has more than 256 bytes")),
    ([b'"a'], (400, "Idempotency-Key: is no string of RFC 8941")), ([b'a"'], (400, "Idempotency-Key: is no string of RFC 8941")),
    ([b"a", b"b"], (400, "Idempotency-Key: is given twice")), ([b"a", b"a"], (400, "Idempotency-Key: is given twice")),
    ([b"k" * 256], (202, None)), (["ä".encode()], (202, None)), ([b""], (202, None))])
def test_the_key_of_the_head_is_checked_like_that_of_the_body(cluster, keys, answer):
    for daemon in cluster.gateways[0], cluster.brokers[0]:
        assert post_with_keys(daemon, *keys) == answer
    assert brokers_word(cluster, '{"name":"Refusals","data":"x"}', "XADD") is None


def test_the_cli_checks_bytes_that_are_no_text(cluster):
    for args, words in ((["--id", b"\xff"], b"id: is not valid UTF-8"), (["--group", b"\xff"], b"group: is not valid UTF-8"),
                        (["--client", b"\xff"], b"clientId: is not valid UTF-8"), ([b"\xff"], b"data: is not valid UTF-8")):
        data = [] if len(args) == 1 else ["x"]
        done = subprocess.run([BIN / "signalbox", "send", "Refusals", *data, *args, "--redis", cluster.redis_url],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
        assert done.returncode == 2 and words in done.stderr
    done = subprocess.run([BIN / "signalbox", "close", "Refusals", "--reason", b"\xff", "--redis", cluster.redis_url],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
    assert done.returncode == 2 and b"reason: is not valid UTF-8" in done.stderr


def test_what_only_a_broker_knows(cluster):
    """A broadcast level: accepted, refused later, and the CLI waits for the word."""
    cluster.cli("level", "Leveled", "client_id")
    reason = brokers_word(cluster, '{"name":"Leveled","data":"x"}', "XADD")
    assert "broadcast level for Leveled" in reason
    assert cluster.gateways[0].admin("POST", "/send", {"name": "Leveled", "data": "x"}).status == 202
    eventually(lambda: [f[b"reason"].decode() for f in refusals(cluster)].count(reason) == 2)
    done = cluster.cli("send", "Leveled", "x", check=False)
    assert done.returncode == 1 and f"refused: {reason}" in done.stderr
    assert reason in by_lua(cluster, "send", {"name": "Leveled", "data": "x"})
