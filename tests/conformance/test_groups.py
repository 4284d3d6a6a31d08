"""Connections in several groups, and data that stays with a connection (docs/app-file.md, web:convert)."""
import json
import urllib.parse

import pytest

from harness import Refused
from conformance_world import G1, G2, query, unique
from test_subprotocol import V1

DATA = {"user": "Ann", "tags": ["a", 1, None], "empty": {}}


def detailed(w, gateway, name, groups, data=None, path="/s/details", asks=None, **more):
    """A client that was converted with these groups and this data."""
    data = None if data is None else json.dumps(data)
    return w.connect(gateway, query(path, name=name, groups="|".join(groups), data=data, id=more.pop("id", None), **asks or {}), **more)


def test_a_send_to_any_of_its_groups_reaches_it_once(w, trigger):
    name = unique()
    several, one, none = detailed(w, G1, name, ["Red", "blue"]), detailed(w, G2, name, ["RED"]), detailed(w, G1, name, [])
    for data, group in ("both", ["red", "BLUE"]), ("red", "red"), ("blue", "Blue"), ("other", "green"):
        w.send(data, trigger, name=name, group=group)
    w.send("id", trigger, name=name, group=["blue", "red"], client_id=[several.id, several.id])
    assert w.seen(several, one, none, gateway=trigger) == [["both", "red", "blue", "id"], ["both", "red"], []]


def test_the_first_is_what_one_group_is(w):
    a = detailed(w, G1, unique(), ["Red"])
    assert a.head.get("X-PODE-SIGNAL-GROUP") == "Red"
    b = detailed(w, G1, unique(), ["a,b", "50%", "red", "RED", " "])
    assert b.head.get("X-PODE-SIGNAL-GROUP") == "a%2Cb,50%25,red"
    assert detailed(w, G1, unique(), []).head.get("X-PODE-SIGNAL-GROUP") is None


def test_hello_has_all_of_them_and_the_data(w, trigger):
    a = detailed(w, trigger, unique(), ["Red", "blue"], DATA, headers=V1)
    hello = a.recv_json()
    assert (hello["group"], hello["groups"], hello["data"]) == ("Red", ["Red", "blue"], DATA)
    plain = detailed(w, trigger, unique(), [], headers=V1).recv_json()
    assert (plain["group"], plain["groups"]) == (None, []) and "data" not in plain


@pytest.mark.parametrize("group, status", [(None, 200), ("BLUE", 200), ("x,red", 200), ("a%2Cb", 200), ("a,b", 200), ("green", 404)])
def test_a_request_may_name_any_of_them(w, trigger, group, status):
    a = detailed(w, G1, unique(), ["Red", "blue", "a,b"], DATA)
    headers = {"X-PODE-SIGNAL-CLIENT-ID": a.id, "X-PODE-SIGNAL-NAME": a.name}
    reply = w.cluster.http(trigger, "GET", "/signal-details", None, headers | ({"X-PODE-SIGNAL-GROUP": group} if group else {}))
    assert reply.status == status
    if status == 200:
        assert reply.json() == {"group": "Red", "groups": ["Red", "blue", "a,b"], "data": DATA}


def test_the_header_of_the_answer_is_one_of_a_request(w, trigger):
    a = detailed(w, G1, unique(), ["a,b", "50%"])
    headers = {"X-PODE-SIGNAL-CLIENT-ID": a.id, "X-PODE-SIGNAL-NAME": a.name}
    for group in a.head.get("X-PODE-SIGNAL-GROUP").split(","):
        assert w.cluster.http(trigger, "GET", "/signal-details", None, headers | {"X-PODE-SIGNAL-GROUP": group}).status == 200


@pytest.mark.parametrize("groups, data", [(["Red", "blue"], DATA), (["J\u00fcrgen"], None), ([], "text"), (["Red"], None), (["Red"], 0)])
def test_a_message_bears_those_of_its_sender(w, trigger, groups, data):
    a = detailed(w, trigger, unique(), groups, data, id=unique("ann"))
    a.say("hi")
    details = {key: value for key, value in [("group", groups[0] if groups else None), ("groups", groups)] if value is not None}
    expected = {"name": a.name, "client_id": a.id, "scope": "global", **details} | ({} if data is None else {"data": data})
    assert a.recv_json() == {**details, "data": "hi", "connection": expected}


def test_events_bear_them(w, audit, trigger):
    a = detailed(w, trigger, "Presence", ["Red", "blue"], DATA, id=unique("ann"))
    expected = {"id": a.id, "group": "Red", "groups": ["Red", "blue"], "data": DATA}
    assert audit.next(a.id) == {"type": "connect", **expected}
    b = detailed(w, 1 - trigger, "Presence", ["green"], id=a.id)  # takes over: each event has its own connection's
    assert audit.next(a.id) == {"type": "disconnect", **expected}
    assert audit.next(a.id) == {"type": "connect", "id": a.id, "group": "green", "groups": ["green"]}
    b.close()
    assert audit.next(a.id) == {"type": "disconnect", "id": a.id, "group": "green", "groups": ["green"]}


def test_lists_have_them(w, trigger):
    name = unique()
    a, b = detailed(w, G1, name, ["Red", "blue"], DATA), detailed(w, G2, name, ["RED"])
    assert sorted(map(str.lower, w.adm("groups", trigger, name=name))) == ["blue", "red"]
    assert w.adm("clients", trigger, name=name, group="blue") == [a.id]
    assert w.adm("clients", trigger, name=name, group=["x", "red"]) == sorted([a.id, b.id])
    assert w.adm("exists", trigger, name=name, group="BLUE") and not w.adm("exists", trigger, name=name, group="green")
    rows = {row["client_id"]: row for row in w.adm("clients", trigger, name=name, details=True)}
    assert set(rows) == {a.id, b.id} and rows[a.id]["gateway"] != rows[b.id]["gateway"]
    assert [(rows[c.id]["group"], rows[c.id]["groups"], rows[c.id].get("data")) for c in (a, b)] == [
        ("Red", ["Red", "blue"], DATA), ("RED", ["RED"], None)]
    assert {row["transport"] for row in rows.values()} == {w.transport}


def test_a_local_connection_has_them(w, trigger):
    key = unique("key")
    a = detailed(w, trigger, unique(), ["Red", "blue"], DATA, path="/local/details", asks={"scope": "local", "key": key})
    assert a.recv_json() == {"groups": ["Red", "blue"], "data": DATA}
    w.adm("store_set", key=key, value="go")


@pytest.mark.parametrize("groups, status", [([f"g{i}" for i in range(100)], None), ([f"g{i}" for i in range(101)], 400),
                                            ([f"{i}" + "x" * 1023 for i in range(8)], None),
                                            ([f"{i}" + "x" * 1023 for i in range(8)] + ["y"], 400),
                                            (["g" * 1024], None), (["g" * 1025], 400), (["a", "b\n"], 400)])
def test_groups_have_bounds(w, groups, status):
    if status is None:
        a = detailed(w, G1, unique(), groups)
        assert len(a.head.get("X-PODE-SIGNAL-GROUP").split(",")) == len(groups)
    else:
        with pytest.raises(Refused) as refused:
            detailed(w, G1, unique(), groups)
        assert refused.value.status == status


@pytest.mark.parametrize("size", [1024, 1025])
def test_data_has_a_bound(w, size):
    """--max-data-bytes, of its JSON."""
    if size == 1024:
        assert detailed(w, G1, unique(), [], "x" * (size - 2), headers=V1).recv_json()["data"] == "x" * (size - 2)
    else:
        with pytest.raises(Refused) as refused:
            detailed(w, G1, unique(), [], "x" * (size - 2))
        assert refused.value.status == 500
