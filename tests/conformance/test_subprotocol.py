"""The subprotocol signalbox.v1 (decisions, section 4): hello, message, ack, error, resume; beside plain clients."""

import json

import pytest

from harness import eventually
from conformance_world import G1, G2, unique

V1 = {"Sec-WebSocket-Protocol": "signalbox.v1"}


def v1(w, gateway, name, headers=None, **more):
    """A client of signalbox.v1 and its hello."""
    client = w.up(gateway, name, headers={**V1, **(headers or {})}, **more)
    assert client.head.get("Sec-WebSocket-Protocol") == ("signalbox.v1" if w.transport != "sse" else None)
    client.hello = client.recv_json()
    return client


def resume(w, gateway, name, id):
    return v1(w, gateway, name, **{"signalbox-resume": id})


def next_frame(client):
    """The next one that is no sign of life, nor the end of a replay."""
    while (frame := client.recv_json())["type"] in ("position", "live"):
        pass
    return frame


def messages(client, count):
    got = [next_frame(client) for _ in range(count)]
    assert [message["type"] for message in got] == ["message"] * count
    return got


def test_hello_comes_first(w, trigger):
    name = unique()
    a = v1(w, trigger, name, group="Users")
    assert {key: a.hello[key] for key in ("type", "clientId", "name", "group", "recovered")} == {
        "type": "hello", "clientId": a.id, "name": name, "group": "Users", "recovered": None}
    assert isinstance(a.hello["id"], str)


def test_hello_says_what_a_client_may_count_on(w, trigger):
    for a in v1(w, trigger, unique()), v1(w, trigger, unique(), group="Users"):
        assert a.hello["groups"] == ([a.hello["group"]] if a.hello["group"] else [])
        assert a.hello["limits"] == {"maxMessageBytes": 4194304, "pingMs": 15000, "historySeconds": 120, "idSeconds": 300, "idCount": 128}


def test_ping_is_answered(w, trigger):
    """And is no message: it reaches neither a signal route nor other clients."""
    a, plain = v1(w, trigger, unique()), w.socket(trigger, "inherit", headers=V1)
    plain.recv_json()
    for client in a, plain:
        for text in '{"type":"ping"}', ' { "type" : "ping" }\n':
            client.send_text(text)
            assert client.recv_json() == {"type": "pong"}
    a.say("x", direct=True, type="ping", ref=1)
    error = a.recv_json()
    assert (error["type"], error["code"]) == ("error", "bad_request") and 'unknown key "type"' in error["message"]


def test_a_plain_client_has_no_ping(w, trigger):
    a = w.up(trigger, unique())
    a.send_text('{"type":"ping"}')
    a.say("x", path=a.name)
    assert a.recv() == "x"


def test_live_ends_what_is_replayed(w, trigger):
    """After a resume, also when nothing was missed or nothing is known of the id; never without one."""
    name = unique()
    a = v1(w, trigger, name)
    assert "replay" not in a.hello
    for text in "seen", "missed", "too":
        w.send(text, trigger, name=name)
    seen, *_, last = [message["id"] for message in messages(a, 3)]
    for id, missed in (seen, ["missed", "too"]), (last, []), ("nonsense", []):
        b = resume(w, 1 - trigger, name, id)
        assert b.hello["replay"] is True
        got = [b.recv_json() for _ in missed]
        assert [(message["type"], message["data"]) for message in got] == [("message", text) for text in missed]
        assert b.recv_json() == {"type": "live"}
    w.send("now", trigger, name=name)
    assert a.recv_json()["data"] == b.recv_json()["data"] == "now"


def closed(client):
    """Its frame, and the code and reason of the end that follows."""
    end = client.closing()
    frame = json.loads(client.events[-1][2]) if hasattr(client, "events") else client.recv_json()
    assert frame["type"] == "closed" and (frame["code"], frame["reason"]) == end
    return frame


@pytest.mark.parametrize("end", ["close", "take-over"])
def test_closed_tells_who_shall_not_come_back(w, trigger, end):
    name, id = unique(), unique("me")
    a = v1(w, trigger, name, id=id)
    if end == "close":
        w.adm("close", 1 - trigger, name=name, code=4321, reason="enough \"now\"")
        assert closed(a) == {"type": "closed", "code": 4321, "reason": "enough \"now\""}
    else:
        v1(w, 1 - trigger, name, id=id)
        assert closed(a) == {"type": "closed", "code": 4001, "reason": "replaced"}


def test_offered_among_others(w):
    a = w.up(G1, unique(), headers={"Sec-WebSocket-Protocol": "chat, signalbox.v1"})
    assert a.head.get("Sec-WebSocket-Protocol") == "signalbox.v1" and a.recv_json()["type"] == "hello"


def test_message_and_a_plain_client_beside_it(w, trigger):
    name = unique()
    a, plain = v1(w, G1, name), w.up(G2, name)
    w.send("text", trigger, name=name)
    w.send({"a": [1, 2]}, trigger, name=name)
    first, second = messages(a, 2)
    assert (first["name"], first["data"]) == (name, "text") and second["data"] == {"a": [1, 2]}
    assert first["id"] != second["id"]
    assert plain.take(2) == ["text", '{"a":[1,2]}']


def test_ack_names_the_id_of_the_message(w, trigger):
    name = unique()
    a, b = v1(w, trigger, name), v1(w, 1 - trigger, name)
    a.say("x", path=name, ref="my ref")
    got = {message["type"]: message for message in (a.recv_json(), a.recv_json())}
    assert got["ack"]["ref"] == "my ref" and got["message"]["data"] == "x"
    assert got["ack"]["id"] == got["message"]["id"] == messages(b, 1)[0]["id"]


@pytest.mark.parametrize("ref", ["text", 7, "é😀"])
def test_ref_comes_back_as_it_was(w, ref):
    a = v1(w, G1, unique())
    a.say("x", direct=True, ref=ref)
    got = {message["type"]: message for message in (a.recv_json(), a.recv_json())}
    assert got["ack"]["ref"] == ref and got["message"]["data"] == "x"


def test_no_ack_without_ref(w, trigger):
    a = v1(w, trigger, unique())
    a.say("x", path=a.name)
    a.say("y", path=a.name)
    assert [message["data"] for message in messages(a, 2)] == ["x", "y"]


def test_error_of_a_refused_level(w, trigger):
    a = v1(w, trigger, unique())
    w.level("client_id", a.name)
    eventually(lambda: "client" in w.adm("get_level", trigger, name=a.name))
    a.say("x", path=a.name, ref=1)
    error = a.recv_json()
    assert (error["type"], error["ref"]) == ("error", 1) and error["code"]
    assert "Signal failed to broadcast due to defined Signal broadcast level" in error["message"]
    a.say("y", path=a.name, clientId=a.id, ref=2)
    assert {a.recv_json()["type"], a.recv_json()["type"]} == {"ack", "message"}


def test_error_of_a_failed_route(w, trigger):
    a = w.socket(trigger, "throw", headers=V1)
    a.recv_json()
    a.say("throw", ref="r")
    error = a.recv_json()
    assert (error["type"], error["ref"]) == ("error", "r") and error["code"] and error["message"]


def test_error_of_a_message_that_is_too_much_to_read(w):
    """It is within --max-message-bytes; a handler must not find it missing."""
    a = w.socket(G1, "silent", headers=V1)
    a.recv_json()
    a.send_text('{"ref":"r","message":[' + ",".join(['{"a":0}'] * 480000) + "]}")
    error = a.recv_json(30)
    assert (error["type"], error.get("ref"), error.get("code")) == ("error", "r", "handler")


@pytest.mark.parametrize("fields, words", [
    ({"client": "x"}, 'unknown key "client"'), ({"clientId": "x", "client_id": "x"}, "clientId: is given twice"),
    ({"group": {}}, "group: must be"), ({"clientId": "x" * 1025}, "clientId: has more than 1024 bytes"),
    ({"group": ["g"] * 1001}, "group: has more than 1000 elements")])
def test_error_names_what_is_not_understood(w, trigger, fields, words):
    """D5, D18: by its name, and nothing is sent."""
    for a in v1(w, trigger, unique()), w.socket(trigger, "inherit", headers=V1):
        a.say("x", ref=1, **fields)
        while (error := a.recv_json())["type"] == "hello":
            pass
        assert (error["type"], error["ref"], error["code"]) == ("error", 1, "bad_request") and words in error["message"]


def test_ack_of_a_message_for_nobody(w, trigger):
    a = v1(w, trigger, unique())
    a.say("x", ref=1, clientId=[])
    assert a.recv_json() == {"type": "ack", "ref": 1, "id": None}


def test_acks_do_not_fill_the_history(w, trigger):
    """More acks and errors than the thousand messages that a Name keeps: all of those are still there."""
    a = v1(w, trigger, unique())
    w.send("missed", trigger, name=a.name)
    messages(a, 1)
    for ref in range(600):
        a.say("x", ref=ref, clientId=[])
        a.say("x", ref=ref, unknown=1)
    while a.recv_json()["ref"] != 599 or a.recv_json()["ref"] != 599:
        pass
    b = resume(w, 1 - trigger, a.name, a.hello["id"])
    assert b.hello["recovered"] is True and messages(b, 1)[0]["data"] == "missed"


@pytest.mark.parametrize("text", ["not json", '{"ref":"r"}', "[]"])
def test_useless_messages_do_not_close(w, text):
    a = v1(w, G1, unique())
    a.send_text(text)
    a.say("valid", path=a.name)
    while (message := a.recv_json())["type"] == "error":
        pass
    assert message["data"] == "valid"


def test_resume_at_the_other_gateway(w, trigger):
    name = unique()
    a, keeper = v1(w, G1, name), w.up(G2, name)
    w.send("seen", trigger, name=name)
    last = messages(a, 1)[0]["id"]
    a.drop()
    for number in range(5):
        w.send(str(number), trigger, name=name)
    keeper.take(6)
    b = resume(w, G2, name, last)
    assert b.hello["recovered"] is True
    w.send("live", trigger, name=name)
    got = messages(b, 6)
    assert [message["data"] for message in got] == ["0", "1", "2", "3", "4", "live"]
    assert len({message["id"] for message in got}) == 6


def test_resume_from_the_hello(w, trigger):
    name = unique()
    a = v1(w, G1, name)
    w.send("first", trigger, name=name)
    messages(a, 1)
    a.drop()
    b = resume(w, trigger, name, a.hello["id"])
    assert b.hello["recovered"] is True and messages(b, 1)[0]["data"] == "first"


def test_resume_when_nothing_was_missed(w):
    name = unique()
    a = v1(w, G1, name)
    w.send("seen", name=name)
    last = messages(a, 1)[0]["id"]
    b = resume(w, G2, name, last)
    assert b.hello["recovered"] is True
    w.send("live", name=name)
    assert messages(b, 1)[0]["data"] == "live"


def test_resume_does_not_repeat_a_close(w, trigger):
    """A close is for the connections of its time; one that comes back from before it is not closed again."""
    name = unique()
    a = v1(w, trigger, name)
    w.send("before", trigger, name=name)
    last = messages(a, 1)[0]["id"]
    w.adm("close", trigger, name=name, code=4321)
    assert a.closing()[0] == 4321
    w.send("after", trigger, name=name)
    b = resume(w, 1 - trigger, name, last)
    assert b.hello["recovered"] is True and messages(b, 1)[0]["data"] == "after"
    w.send("live", trigger, name=name)
    assert messages(b, 1)[0]["data"] == "live"


def test_resume_replays_only_what_was_for_the_client(w, trigger):
    name, id = unique(), unique("me")
    a = v1(w, G1, name, id=id, group="Users")
    last = a.hello["id"]
    a.drop()
    w.send("all", trigger, name=name)
    w.send("me", trigger, name=name, client_id=id)
    w.send("others", trigger, name=name, client_id="other")
    w.send("my group", trigger, name=name, group="users")
    w.send("their group", trigger, name=name, group="admins")
    b = v1(w, G2, name, id=id, group="Users", **{"signalbox-resume": last})
    assert [message["data"] for message in messages(b, 3)] == ["all", "me", "my group"]


def test_resume_beyond_the_history(w):
    """More than the thousand messages that a Name keeps: recovered is false, what is retained comes in order."""
    name = unique()
    a = v1(w, G1, name)
    w.send("seen", name=name)
    last = messages(a, 1)[0]["id"]
    a.drop()
    w.adm("send_many", name=name, count=2500)
    keeper = v1(w, G1, name)
    w.send("end", name=name)
    messages(keeper, 1)
    b = resume(w, G2, name, last)
    assert b.hello["recovered"] is False
    got = []
    while not got or got[-1] != "end":
        got.append(messages(b, 1)[0]["data"])
    assert got == sorted(got[:-1]) + ["end"] and 0 < len(got) < 2500 and got[-2] == "02500"


# -- the token of a hello

def test_a_token_makes_it_the_same_client(w, trigger):
    """At the other gateway, from where its hello said, or from a later id that it adds."""
    name = unique()
    a = v1(w, trigger, name)
    w.send("seen", trigger, name=name)
    seen = messages(a, 1)[0]["id"]
    a.drop()
    w.send("for me", trigger, name=name, client_id=a.id)
    w.send("for another", trigger, name=name, client_id="other")
    b = resume(w, 1 - trigger, name, a.hello["resume"])
    assert (b.hello["clientId"], b.hello["recovered"]) == (a.id, True)
    assert [message["data"] for message in messages(b, 2)] == ["seen", "for me"]
    b.drop()
    c = resume(w, trigger, name, a.hello["resume"] + "~" + seen)  # the first one is good still
    assert (c.hello["clientId"], c.hello["recovered"]) == (a.id, True)
    assert messages(c, 1)[0]["data"] == "for me"
    w.send("live", trigger, name=name, client_id=a.id)
    assert messages(c, 1)[0]["data"] == "live"


def test_a_token_of_a_long_name(w):
    """The names of an address have a bound, and its token is within the others."""
    name = unique() + "é" * 500
    name += "x" * (1024 - len(name.encode()))
    a = v1(w, G1, name)
    b = resume(w, G2, name, a.hello["resume"])
    assert (b.hello["clientId"], b.hello["recovered"]) == (a.hello["clientId"], True)


def test_a_token_takes_over_what_is_open(w, trigger):
    name = unique()
    a = v1(w, trigger, name)
    b = resume(w, 1 - trigger, name, a.hello["resume"])
    assert b.hello["clientId"] == a.id and a.closing() == (4001, "replaced")


def test_a_token_of_what_is_on_its_way_begins_before_it(w, trigger):
    """Who is lost again before the missed messages came gets them the next time."""
    name = unique()
    a = v1(w, trigger, name)
    w.send("missed", trigger, name=name)
    messages(a, 1)
    b = resume(w, trigger, name, a.hello["resume"])
    b.drop()
    c = resume(w, 1 - trigger, name, b.hello["resume"])
    assert (c.hello["clientId"], c.hello["recovered"]) == (a.id, True) and messages(c, 1)[0]["data"] == "missed"


@pytest.mark.parametrize("make", [
    lambda token, other: token[:-1] + ("A" if token[-1] != "A" else "B"), lambda token, other: token[:40],
    lambda token, other: token + "A", lambda token, other: "~" + token, lambda token, other: other,
    lambda token, other: other + "~1-1", lambda token, other: "A" * 6000, lambda token, other: "a~1-1"],
    ids=["forged", "cut", "more", "nothing", "foreign", "foreign from", "long", "short"])
def test_a_token_that_is_none(w, make):
    name = unique()
    a, other = v1(w, G1, name), v1(w, G1, unique())
    b = resume(w, G2, name, make(a.hello["resume"], other.hello["resume"]))
    assert b.hello["recovered"] is False and b.hello["clientId"] not in (a.id, other.id)
    assert b.recv_json() == {"type": "live"}


def test_a_token_with_an_id_that_never_was(w):
    """Who it is holds; what it missed is not known."""
    name = unique()
    a = v1(w, G1, name)
    for id in "nonsense", "999999999999999-1", "":
        b = resume(w, G2, name, a.hello["resume"] + "~" + id)
        assert (b.hello["clientId"], b.hello["recovered"]) == (a.id, False)


def test_a_route_that_gives_an_id_decides(w, trigger):
    """And a token of an id that a route gave gives nobody that id."""
    name, id = unique(), unique("me")
    named = v1(w, trigger, name, id=id)
    w.send("missed", trigger, name=name)
    messages(named, 1)
    again = v1(w, trigger, name, id=unique("you"), **{"signalbox-resume": named.hello["resume"]})
    assert again.hello["clientId"] not in (id, named.id) and again.hello["recovered"] is True
    assert messages(again, 1)[0]["data"] == "missed"
    other = resume(w, trigger, name, named.hello["resume"])
    assert other.hello["clientId"] != id and other.hello["recovered"] is False


def test_a_token_does_not_spare_the_signature(signed, strict):
    """A signed id is the same again; with strict signing only for the same User-Agent."""
    for w, agent, is_same in (signed, "another", True), (strict, "me", True), (strict, "another", False):
        name = unique()
        a = v1(w, G1, name, headers={"User-Agent": "me"})
        assert a.hello["clientId"].startswith("s:")
        b = v1(w, G2, name, headers={"User-Agent": agent}, **{"signalbox-resume": a.hello["resume"]})
        assert (b.hello["clientId"] == a.hello["clientId"], b.hello["recovered"]) == (is_same, is_same)


@pytest.mark.parametrize("id", ["nonsense", "0-0", "999999999999999-1", "-", "1-2-3"])
def test_resume_from_an_id_that_never_was(w, id):
    name = unique()
    keeper = v1(w, G1, name)
    w.send("x", name=name)
    messages(keeper, 1)
    b = v1(w, G2, name, **{"signalbox-resume": id})
    assert b.hello["recovered"] in (False, True) and (b.hello["recovered"] is False or id == "0-0")
    w.send("live", name=name)
    while '"data":"live"' not in b.recv():  # before it comes what other tests sent to every Name, which may be no JSON of Python's
        pass
