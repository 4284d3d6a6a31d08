"""Routes and Signal Event: rows S100 to S128."""
import concurrent.futures
import datetime
import json
import re

import pytest

from conformance_world import G1, G2, query, say, unique
from test_listening import start_error


def test_S100_no_route_broadcasts_to_every_name(w, trigger):
    a, b, c = w.up(trigger, unique("N1")), w.up(G1, unique("N2")), w.up(G2, unique("N3"))
    a.say("hi")
    assert w.seen(a, b, c, by=say(a)) == [["hi"]] * 3


def test_S101_to_a_path_which_is_a_name(w, trigger):
    """S101: exact and URL-decoded."""
    a, c = w.up(trigger, unique("N1")), w.up(G2, unique("N2"))
    for path in c.name, "%4E" + c.name[1:], c.name.lower():
        a.say(path, path=path)
    assert w.seen(a, c, by=say(a, clientId=[a.id, c.id])) == [[], [c.name, "%4E" + c.name[1:]]]


def test_S102_to_a_client_id(w, trigger):
    a, b, c = w.up(trigger, unique("N1")), w.up(G1, unique("N2")), w.up(G2, unique("N3"))
    a.say("for c", clientId=c.id)
    a.say("for nobody", clientId=c.id, path=b.name)
    assert w.seen(a, b, c, by=say(a)) == [[], [], ["for c"]]


@pytest.mark.parametrize("path", ["/s/date", "/s/DATE", "/s/Date"])
def test_S103_path_without_case(w, path):
    a = w.connect(G1, query(path, name=unique()))
    a.say("x")
    assert a.recv() == "x"


def test_S103_leading_slash_is_added(w):
    a = w.socket(G1, "noslash")
    a.say("x")
    assert a.recv() == "noslash"


def test_S105_missing_module_stops_the_start(cluster, tmp_path):
    """S105: a route's file is a Lua module; a missing one is a start error that names it."""
    assert "no-such-module" in start_error(cluster, 'require "no-such-module"', tmp_path)


def test_S104_route_without_handler_stops_the_start(cluster, tmp_path):
    assert "app.lua:1" in start_error(cluster, 'signalbox.signal_route("/x")', tmp_path)


def test_S106_argument_list(w, trigger):
    a = w.socket(trigger, "args")
    a.say("x")
    assert a.recv() == "one,two"


def test_S107_route_of_one_endpoint(endpoints, trigger):
    bound = endpoints.at("WS", "/s/bound?name=" + unique(), gateway=trigger)
    bound.say("x", path=bound.name)
    assert bound.recv() == "bound to sockets"
    other = endpoints.at("MERGED", "/s/bound?name=" + unique(), gateway=trigger)
    other.say("x", path=other.name)
    assert other.recv() == "x"


def test_S108_if_exists(w):
    a, b = w.socket(G1, "overwrite"), w.socket(G1, "skip")
    a.say("x"), b.say("x")
    assert (a.recv(), b.recv()) == ("new", "old")


def test_S108_duplicate_stops_the_start(cluster, tmp_path):
    route = 'signalbox.signal_route("/%s", function() end)'
    text = start_error(cluster, route % "x" + "\n" + route % "X", tmp_path)
    assert "already defined" in text.lower() and "app.lua:2" in text


def test_S109_route_replaces_the_broadcast(w, trigger):
    a = w.socket(trigger, "silent")
    b = w.up(G2, unique())
    a.say("x"), a.say("x", path=b.name)
    a.sync()
    assert w.seen(a, b, gateway=trigger) == [[], []]


def test_S110_send_in_a_route_inherits_from_the_message(w, trigger):
    name = unique("N2")
    a, b = w.socket(trigger, "inherit", unique("N1")), w.up(G1, name, "A")
    c = w.up(G2, name, "B")
    a.say("to N2", path=name)
    a.say("to B", path=name, group="b")
    a.say("to b", path=name, clientId=b.id)
    assert w.seen(a, b, c, by=say(a)) == [[], ["to N2", "to b"], ["to N2", "to B"]]


def test_S111_wildcards(w):
    for path, answer in [("room/1", "room 1"), ("room/2", "any room"), ("ROOM/2/deep", "any room")]:
        a = w.socket(G1, path)
        a.say("x")
        assert a.recv() == answer


def test_S112_parameters_are_literal(w):
    literal, other = w.connect(G1, query("/s/r/:id", name=unique())), w.socket(G1, "r/7")
    literal.say("x", path=literal.name), other.say("x", path=other.name)
    assert (literal.recv(), other.recv()) == ("literal", "x")


def test_S113_the_upgrade_path_is_matched_not_the_name(w, trigger):
    """S113: neither the Name Msg nor the message's path makes the route /Msg run."""
    a = w.up(trigger, "Msg")
    a.say("not routed", path="Msg")
    assert a.recv() == "not routed"
    b = w.up(trigger, unique())
    b.say("nobody", path="/Msg")
    assert w.seen(a, b, by=say(b)) == [[], []]


def test_S114_error_in_a_route(w, trigger):
    a = w.socket(trigger, "throw")
    a.say("throw"), a.say("next")
    assert a.recv() == "fine"


@pytest.mark.parametrize("text", ["[date]", "[DATE]"])
def test_S115_date_example(w, trigger, text):
    name = unique("Date")
    a, c = w.socket(trigger, "date", name), w.up(G2, name)
    a.say(text)
    assert re.match(r"^\d\d/\d\d/\d{4} \d\d:\d\d:\d\d$", a.recv())
    assert re.match(r"^\d\d/\d\d/\d{4}", c.recv())


def test_S116_routes_at_run_time(w):
    """S116: add, test, get, remove; after the removal the default broadcast is back."""
    path = "/s/" + unique("runtime")
    a = w.connect(G1, query(path, name=unique()))
    w.broker("route_add", path=path, answer="routed")
    assert w.broker("route_test", path=path) is True
    assert w.broker("route_get", path=path) == [path]
    a.say("x", path=a.name)
    assert a.recv() == "routed"
    w.broker("route_remove", path=path)
    assert w.broker("route_test", path=path) is False
    assert not w.broker("route_get", path=path)
    a.say("x", path=a.name)
    assert a.recv() == "x"


def test_S117_route_groups(w):
    for path, answer in [("group/m1", "m1"), ("group/deep/m2", "m2")]:
        a = w.socket(G1, path)
        a.say("x")
        assert a.recv() == answer


@pytest.fixture
def dump(w):
    """The event that a message makes: dump(fields, path=, headers=, group=)."""
    def ask(message=None, gateway=G1, path="/s/dump", headers=None, **how):
        name = unique()
        client = w.connect(gateway, path + ("&" if "?" in path else "?") + query("", name=name, **how)[1:], headers)
        client.send_json(message or {"message": "x"})
        return client, client.recv_json()
    return ask


def test_S118_event_data(dump, trigger):
    _, event = dump({"message": "m", "path": "a%20b", "group": "g", "clientId": "i", "direct": True}, trigger)
    assert event["data"] == {"message": "m", "path": "a b", "group": "g", "client_id": "i", "direct": True}
    _, event = dump({"message": {"k": [1, True]}}, trigger)
    assert event["data"]["message"] == {"k": [1, True]} and event["data"]["direct"] is False


@pytest.mark.parametrize("text", ["hello", "", "123", "[]", '{"other": 1}'])
def test_S122_a_route_runs_for_what_is_no_message(w, text):
    """A handler sees the bytes as they came; without a route such a message is ignored (S172)."""
    client = w.up(G1, unique(), path="/s/dump")
    client.send_text(text)
    event = client.recv_json()
    assert event["request"]["body"] == text and event["data"].get("message") is None


def test_S119_event_endpoint(dump, transport):
    client, event = dump(headers={"Host": "signals.example.test:80"})
    assert event["endpoint"]["protocol"] == ("http" if transport == "sse" else "ws") and event["endpoint"]["address"] == "signals.example.test:80"


def test_S119_event_endpoint_name(endpoints):
    """S119: on a merged port it is that of the endpoint that was added first."""
    names = {}
    for kind in "WS", "MERGED":
        client = endpoints.at(kind, "/s/dump?name=" + unique())
        client.say("x")
        names[kind] = client.recv_json()["endpoint"]["name"]
    assert names == {"WS": "sockets", "MERGED": "merged"}


def test_S120_lockable_is_one_lock_for_the_cluster(w):
    """S120: three processes increment under one lock; no update is lost."""
    key, times = unique("counter"), 20
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(w.adm, "locked_increment", gateway, key=key, times=times) for gateway in (G1, G2)]
        jobs.append(pool.submit(w.broker, "locked_increment", key=key, times=times))
        for job in jobs:
            job.result(30)
    assert int(w.adm("store_get", key=key)) == 3 * times


def test_S120_event_lockable(w, dump):
    assert dump()[1]["has_lockable"] is True
    w.adm("store_set", key="locked", value="0")
    clients = [w.socket(gateway, "locked") for gateway in (G1, G2) * 5]
    for client in clients:
        client.say("x")
    assert [client.recv() for client in clients] == ["done"] * 10
    assert w.adm("store_get", key="locked") == "10"


def test_S121_event_path_is_decoded_without_query(dump):
    _, event = dump(path="/s/a%20b?x=1")
    assert event["path"] == "/s/a b"


HANDSHAKE = ["host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version"]


def headers_of(count, size):
    """As many fields as asked for, with a value that fills them up to the size."""
    fields = {f"X-Field-{number}": f"value {number}" for number in range(count - 1)}
    return {"Cookie": "c" * (size - sum(map(len, fields))), **fields, "X-Last": "here"}


@pytest.mark.parametrize("count, size", [(94, 4000), (94, 14000), (4, 15500)], ids=["many", "many and long", "long"])
def test_S122_every_header_reaches_both_handlers(w, trigger, count, size):
    """S122: whatever the parser accepted (100 fields, --max-head-bytes) is in web.headers and event.request.headers."""
    sent = headers_of(count, size)
    expected = {name.lower(): value for name, value in sent.items()}
    assert w.cluster.http(trigger, "GET", "/headers", headers=sent).json().items() >= expected.items()
    client = w.socket(trigger, "headers", headers=sent)
    client.say("x")
    seen = client.recv_json()["headers"]
    assert seen.items() >= expected.items() and seen.keys() >= set(["host"] if w.transport == "sse" else HANDSHAKE)


def test_S122_what_the_parser_refuses_is_431(w):
    for sent in headers_of(100, 4000), headers_of(4, 17000):
        with w.cluster.raw(G1) as raw:
            assert raw.request("/s/headers?name=X", sent).read_head().status == 431


def test_S122_repeated_headers_and_a_long_url(w):
    """S122: a field that comes again is joined with a comma, a cookie with a semicolon; the URL is whole."""
    long = "http://h/s/headers?name=Long&pad=" + "x" * 9000
    fields = "".join(f"{line}\r\n" for line in ["X-Many: 1", "x-many: 2", "X-MANY:", "Cookie: a=1", "cookie: b=2; c=3"])
    with w.cluster.raw(G1) as raw:
        raw.send_bytes(raw.request_text(long).encode()[:-2] + fields.encode() + b"\r\n")
        assert raw.read_head().status == 101
        raw.send_frame(1, b'{"message":1}')
        seen = json.loads(raw.read_frame().payload)
    assert seen["headers"]["x-many"] == "1, 2, " and seen["headers"]["cookie"] == "a=1; b=2; c=3"
    assert seen["url"] == long.replace("http", "ws")


def test_S122_event_request(dump, trigger):
    _, event = dump({"message": "x", "more": [1,  2]}, trigger, path="/s/dump?x=1")
    request = event["request"]
    assert "/s/dump?x=1" in request["url"] and request["host"]
    assert request["body"] == '{"message": "x", "more": [1, 2]}' and request["opcode"] == "text"
    assert request["remote_address"] == "127.0.0.1"


def test_S123_event_response_writes_to_the_sender(w, trigger):
    a, b = w.socket(trigger, "echo"), w.socket(trigger, "echo")
    a.send_text('{"message":"x"}')
    assert a.recv() == '{"message":"x"}'
    assert w.seen(a, b, gateway=trigger) == [[], []]


def test_S123_event_response_closes_the_sender(w, trigger):
    a = w.socket(trigger, "close")
    a.say({"code": 4100, "reason": "bye"})
    assert a.closing() == (4100, "bye")


def test_S124_event_route(dump):
    assert dump()[1]["route"]["path"] == "/s/dump"


def test_S125_event_streamed(dump):
    assert dump()[1]["streamed"] is True


def moment(value):
    """A timestamp of an event as seconds: ISO 8601 or a number of seconds or milliseconds."""
    if isinstance(value, str):
        return datetime.datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()
    return value / 1000 if value > 1e11 else value


def test_S126_event_timestamp(dump):
    assert abs(moment(dump()[1]["timestamp"]) - datetime.datetime.now().timestamp()) < 5


def test_S127_event_sender_and_metadata(dump, trigger):
    client, event = dump(gateway=trigger, group="Users")
    assert (event["client_id"], event["name"]) == (client.id, client.name)
    assert event["metadata"] == {"mine": "writable"}
    assert event["data"].get("direct") is False


def test_S128_messages_of_a_connection_run_in_order(w, trigger):
    a = w.socket(trigger, "echo")
    for number in range(500):
        a.send_text(str(number))
    assert a.take(500) == [str(number) for number in range(500)]
