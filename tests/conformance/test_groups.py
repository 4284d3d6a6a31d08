"""Connections in several groups, and data that stays with a connection (docs/app-file.md, web:convert)."""
import json

import pytest

from harness import Refused, eventually
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


# -- groups that change: signalbox.join and signalbox.leave


@pytest.fixture(params=["gateway", "broker", "broker after a wait", "public entrance", "admin API", "CLI"])
def change(request, w):
    """Join or leave by each entrance: change(op, client, groups)."""
    def by_lua(call):
        return lambda op, client, groups: call(op, name=client.name, client_id=client.id, group=groups)

    def by_waiter(op, client, groups):
        w.broker("after_a_wait", call=op, seconds=0.01, args=dict(name=client.name, client_id=client.id, group=groups))

    def by_entrance(op, client, groups):
        message = {"op": op, "name": client.name, "clientId": client.id, "group": groups}
        w.cluster.redis.xadd("signalbox:send", {"m": json.dumps(message)})

    def by_admin(op, client, groups):
        reply = w.cluster.gateways[0].admin("POST", f"/{op}", {"name": client.name, "clientId": client.id, "group": groups})
        assert reply.status == 202 and reply.json()["entry"]

    def by_cli(op, client, groups):
        assert w.cluster.cli(op, client.name, client.id, *([groups] if isinstance(groups, str) else groups)).returncode == 0
    return {"gateway": by_lua(w.adm), "broker": by_lua(w.broker), "broker after a wait": by_waiter, "public entrance": by_entrance,
            "admin API": by_admin, "CLI": by_cli}[request.param]


def groups_of(w, client, trigger=G1):
    """What the registry says, once everything was handled."""
    w.settle()
    rows = w.adm("clients", trigger, name=client.name, details=True)
    return [row["groups"] for row in rows if row["client_id"] == client.id][0]


def has_come(w, client, groups):
    """A change that was published takes its way through a stream of its own."""
    eventually(lambda: groups_of(w, client) == groups, what=f"it is in {groups}")


def test_a_connection_joins_and_leaves(w, change):
    name = unique()
    a, b = detailed(w, G1, name, ["Red"], DATA, id=unique("ann")), detailed(w, G2, name, [], id=unique("bob"))
    change("join", a, ["blue", "RED"])
    change("join", b, "Blue")
    has_come(w, a, ["Red", "blue"])
    has_come(w, b, ["Blue"])
    w.send("blue", name=name, group="BLUE")
    change("leave", a, ["red", "nobody"])
    change("leave", b, "bLUE")
    has_come(w, a, ["blue"])
    has_come(w, b, [])
    w.send("red", name=name, group="red")
    w.send("blue again", name=name, group="blue")
    assert w.seen(a, b) == [["blue", "blue again"], ["blue"]]
    rows = {row["client_id"]: row for row in w.adm("clients", name=name, details=True)}
    assert (rows[a.id]["group"], rows[a.id]["data"], rows[b.id].get("group")) == ("blue", DATA, None)


@pytest.mark.parametrize("where", ["gateway", "broker"])
def test_the_next_send_sees_it(w, trigger, where):
    """In the order of the Name's log, whoever sends and whichever gateway has the connection."""
    a = detailed(w, G1, unique(), ["Red"], id=unique("ann"))
    (w.adm if where == "gateway" else w.broker)("in_and_out", **({"gateway": trigger} if where == "gateway" else {}), name=a.name, id=a.id, count=20)
    assert w.seen(a) == [[f"in {i}" for i in range(1, 21)]]


def test_its_messages_and_its_end_bear_them(w, audit, trigger):
    a = detailed(w, trigger, "Presence", ["Red"], DATA, id=unique("ann"), path="/s/details")
    assert audit.next(a.id)["groups"] == ["Red"]
    w.adm("join", name=a.name, client_id=a.id, group="blue")
    w.settle()
    a.say("hi")
    answer = a.recv_json()
    assert answer["groups"] == answer["connection"]["groups"] == ["Red", "blue"] and answer["connection"]["data"] == DATA
    w.adm("leave", name=a.name, client_id=a.id, group="red")
    w.settle()
    a.drop()
    end = audit.next(a.id)
    assert (end["type"], end["group"], end["groups"], end["data"]) == ("disconnect", "blue", ["blue"], DATA)


def test_another_connection_with_that_id_has_its_own(w, trigger):
    a = detailed(w, trigger, unique(), ["Red"], DATA, id=unique("ann"))
    w.adm("join", name=a.name, client_id=a.id, group="blue")
    b = detailed(w, 1 - trigger, a.name, ["green"], id=a.id)
    assert groups_of(w, b) == ["green"]
    w.adm("join", name=a.name, client_id=a.id, group="black")
    assert groups_of(w, b) == ["green", "black"]
    for group in "blue", "red", "green", "black":
        w.send(group, name=a.name, group=group)
    assert w.seen(b) == [["green", "black"]]


def test_who_is_not_there_joins_nothing(w, trigger):
    name, id = unique(), unique("nobody")
    w.adm("join", trigger, name=name, client_id=id, group="blue")
    other = detailed(w, G1, name, [], id=unique("other"))
    w.adm("join", trigger, name=name, client_id=id, group="blue")
    a = detailed(w, G1, name, [], id=id)
    assert groups_of(w, a) == [] == groups_of(w, other)
    w.send("blue", name=name, group="blue")
    w.send("all", name=name)
    assert w.seen(a, other) == [["all"], ["all"]]


def test_groups_without_ascii(w, trigger):
    a = detailed(w, G1, unique(), ["J\u00fcrgen"], id=unique("ann"))
    w.adm("join", trigger, name=a.name, client_id=a.id, group=["J\u00dcRGEN", "\u00e9t\u00e9"])
    assert groups_of(w, a) == ["J\u00fcrgen", "\u00e9t\u00e9"]
    w.adm("leave", trigger, name=a.name, client_id=a.id, group=["j\u00fcrgen"])
    assert groups_of(w, a) == ["\u00e9t\u00e9"]


def test_a_connection_has_so_many(w, trigger):
    a = detailed(w, trigger, unique(), [f"g{i}" for i in range(98)], id=unique("ann"))
    address = dict(name=a.name, client_id=a.id)
    w.adm("join", **address, group=["g98", "g99", "G0"])
    assert len(groups_of(w, a)) == 100
    w.adm("join", **address, group=["g0", "one more"])  # all of it, or nothing
    assert groups_of(w, a) == [f"g{i}" for i in range(100)]
    w.adm("leave", **address, group=[f"g{i}" for i in range(100)])
    assert groups_of(w, a) == []
    w.adm("join", **address, group=[f"{i}" + "x" * 1023 for i in range(8)])
    w.adm("join", **address, group="y")
    assert groups_of(w, a) == [f"{i}" + "x" * 1023 for i in range(8)]


@pytest.mark.parametrize("args, text", [
    (dict(client_id="a", group="g"), "name: must be one string"), (dict(name=["a", "b"], client_id="a", group="g"), "name: must be one"),
    (dict(name="N", group="g"), "clientId: must be one string"), (dict(name="N", client_id=["a", "b"], group="g"), "clientId: must be one"),
    (dict(name="N", client_id="a"), "group: is missing"), (dict(name="N", client_id="a", group=[f"g{i}" for i in range(101)]), "at most 100 groups"),
    (dict(name="N", client_id="a", group="g", data="x"), "unknown option 'data'"), (dict(name="N", client_id="a", group="x" * 1025), "1024 bytes")])
@pytest.mark.parametrize("op", ["join", "leave"])
def test_what_is_refused(w, op, args, text):
    assert text in w.refused(op, **args)
    reply = w.cluster.gateways[0].admin("POST", f"/{op}", {key.replace("client_id", "clientId"): value for key, value in args.items()})
    assert reply.status == 400


def test_an_empty_list_changes_nothing(w):
    a = detailed(w, G1, unique(), ["Red"], id=unique("ann"))
    for args in dict(name=a.name, client_id=[], group="g"), dict(name=a.name, client_id=a.id, group=[]), dict(name=[], client_id=a.id, group="g"):
        w.adm("join", **args)
        w.broker("leave", **args)
    assert groups_of(w, a) == ["Red"]


def test_a_resume_is_a_connection_of_its_own(w, trigger):
    """Its groups are those of its conversion; what it is sent again was for them."""
    name, id = unique(), unique("ann")
    a = detailed(w, trigger, name, ["Red"], id=id, headers=V1)
    hello = a.recv_json()
    w.adm("join", name=name, client_id=id, group="blue")
    w.send("blue", name=name, group="blue")
    assert a.recv_json()["data"] == "blue"
    b = detailed(w, 1 - trigger, name, ["Red"], id=id, headers=V1, asks={"signalbox-resume": hello["id"]})
    assert b.recv_json()["groups"] == ["Red"] and b.recv_json()["type"] == "live"
    assert groups_of(w, b) == ["Red"]
