"""ClientIds and scopes: rows S52 to S74."""
import re

import pytest

from harness import Cluster, Refused
from conformance_world import APP, G1, G2, query, say, unique

GUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")


def local(w, gateway=G1, name=None, **more):
    """A Local connection that has got its first message; its route waits for the key."""
    key, name = unique("key"), name or unique("Local")
    client = w.connect(gateway, query("/local/two", name=name, key=key, **more))
    assert client.recv() == "first"
    client.key = key
    return client


def end(w, client):
    """Let the Local route go on to its end; the close that the client saw."""
    w.adm("store_set", key=client.key, value="go")
    assert client.recv() == "second"
    return client.closing()


def test_S52_default_id_is_a_lower_case_uuid_v4(w):
    name = unique()
    ids = set()
    for number in range(1000):
        with w.cluster.client(number % 2, query("/up", name=name)) as client:
            assert GUID.match(client.id)
            ids.add(client.id)
    assert len(ids) == 1000


def test_S53_own_id_is_used_verbatim(w, trigger):
    id = unique("my client.id")
    assert w.up(trigger, unique(), id=id).id == id


def test_S54_numeric_id_becomes_text(w):
    assert w.up(G1, unique(), path="/up-number").id == "12345"


@pytest.mark.parametrize("newer", [G1, G2], ids=["same-gateway", "other-gateway"])
def test_S55_same_name_and_id_takes_over(w, trigger, newer):
    name, id = unique(), unique("X")
    a = w.up(G1, name, id=id)
    c = w.up(newer, name, id=id)
    assert a.closing() == (4001, "replaced")
    assert a.is_ended()
    w.send("x", trigger, name=name, client_id=id)
    assert w.seen(c, gateway=trigger) == [["x"]]
    assert w.adm("clients", trigger, name=name) == [id]


def test_S56_same_id_in_different_names(w, trigger):
    id = unique("X")
    a, b = w.up(G1, unique(), id=id), w.up(G2, unique(), id=id)
    w.send("for a", trigger, name=a.name)
    w.send("for b", trigger, name=b.name)
    assert w.seen(a, b, gateway=trigger) == [["for a"], ["for b"]]


def test_S57_ids_are_case_sensitive(w, trigger):
    name, id = unique(), unique("Id")
    a, b = w.up(G1, name, id=id), w.up(G2, name, id=id.lower())
    w.send("lower", trigger, name=name, client_id=id.lower())
    assert w.seen(a, b, gateway=trigger) == [[], ["lower"]]


def test_S58_signed_ids_have_their_form(signed):
    """S58: the rest of signing is in test_signing.py."""
    assert re.match(r"^s:.+\.[A-Za-z0-9+/]{43}=$", signed.up(G1, unique()).id)


def test_S59_default_scope_is_global(w, trigger):
    assert w.adm("get_default_scope", trigger) == "global"
    a = w.up(trigger, unique())
    w.send("after the route", trigger, name=a.name)
    assert a.recv() == "after the route"


@pytest.fixture(scope="module")
def local_default():
    with Cluster(APP / "local_default.lua") as cluster:
        yield cluster


def test_S60_default_scope_local(local_default, trigger):
    """S60: from the app file, so for every gateway; an explicit scope wins."""
    with local_default.client(trigger, query("/up", name="D")) as client:
        assert client.closing() == (1000, "")
    with local_default.client(trigger, query("/up", name="D", scope="global")) as client:
        assert local_default.http(trigger, "POST", "/adm/send", {"name": "D", "data": "x"}).status == 200
        assert client.recv() == "x"


def test_S61_default_scope_is_set_and_read_back(w):
    try:
        w.adm("set_default_scope", scope="local")
        assert w.adm("get_default_scope") == "local"
        assert w.up(G1, unique()).closing() == (1000, "")
    finally:
        w.adm("set_default_scope", scope="global")
    assert w.adm("get_default_scope") == "global"
    assert w.refused("set_default_scope", scope="sideways")


def test_S62_unknown_scope_is_an_error(w):
    with pytest.raises(Refused) as refused:
        w.up(G1, unique(), scope="sideways")
    assert refused.value.status == 500


def test_S63_global_stays_open_after_the_route(w, trigger):
    a = w.up(trigger, unique())
    a.say("late", path=a.name)
    assert a.recv() == "late"


def test_S64_global_is_reachable_from_other_routes(w, trigger):
    """S64: another HTTP route and a signal route, on any node (a schedule: S37)."""
    name = unique()
    a, b, c = w.trio(name)
    w.send("from a route", trigger, name=name)
    w.broker("send", name=name, data="from a signal route")
    token = unique("fence")
    w.broker("send", name=name, data=token)
    for client in a, b, c:
        assert sorted(client.until(token)) == ["from a route", "from a signal route"]


def test_S65_global_by_name_and_client_id(w, trigger):
    a, b, c = w.trio(unique())
    w.send("only c", trigger, name=a.name, client_id=c.id)
    assert w.seen(a, b, c, gateway=trigger) == [[], [], ["only c"]]


def test_S66_global_is_closable(w, trigger):
    a, b, c = w.trio(unique())
    w.adm("close", trigger, name=a.name)
    for client in a, b, c:
        assert client.closing() == (1000, "") and client.is_ended()


def test_S67_local_is_closed_when_the_route_ends(w, trigger):
    a = local(w, trigger)
    a.sync()  # open, though its route waits
    assert end(w, a) == (1000, "") and a.is_ended()


def test_S67_local_is_closed_when_the_route_fails(w):
    a = w.connect(G1, query("/local/throw", name=unique()))
    assert a.closing() == (1000, "")


def test_S68_local_is_not_stored(w):
    a = local(w, id=unique("id"))
    other = w.up(G1, unique())
    assert a.name not in w.adm("names") and other.name in w.adm("names")
    assert w.adm("exists", name=a.name) is False
    assert w.adm("exists", name=a.name, client_id=a.id) is False
    w.send("lost", name=a.name)
    w.send("lost", name=a.name, client_id=a.id)
    reference = {"X-PODE-SIGNAL-CLIENT-ID": a.id, "X-PODE-SIGNAL-NAME": a.name}
    reply = w.cluster.http(G1, "GET", "/signal", headers=reference)
    assert reply.status == 404
    assert end(w, a) == (1000, "")
    assert not a.inbox


def test_D5_an_empty_list_of_the_local_route_is_nobody(w, trigger):
    """Not even itself; "direct" names no address."""
    a = w.connect(trigger, query("/local/nobody", name=unique("Local")))
    assert a.recv() == "direct" and a.closing()[0] == 1000


def test_S69_a_send_of_the_local_route_goes_to_itself(w, trigger):
    """S69: Name, group, id and level do not matter."""
    other = w.up(G2, unique("Other"))
    w.level("client_id", other.name)
    a = w.connect(trigger, query("/local/other", name=unique(), other=other.name))
    assert a.recv() == "to myself"
    assert a.closing() == (1000, "")
    assert w.seen(other, gateway=trigger) == [[]]


def test_S70_local_with_ignore_event(w, trigger):
    b = w.up(G2, unique())
    a = w.connect(trigger, query("/local/ignore", name=b.name))
    assert a.recv() == "to myself"
    assert a.closing() == (1000, "")
    assert w.seen(b, gateway=trigger) == [["to the others"]]


def test_S71_local_inbound_messages_are_not_processed(w, trigger):
    b = w.up(trigger, unique())
    a = local(w, trigger)
    a.say("nobody", path=b.name)
    a.say("nobody")
    assert end(w, a) == (1000, "")
    assert w.seen(b, gateway=trigger) == [[]]


def test_S72_two_messages_then_the_close(w):
    a = local(w)
    w.adm("store_set", key=a.key, value="go")
    frames = [a.read_frame() for _ in range(2)]
    assert [frame.payload for frame in frames] == [b"second", b"\x03\xe8"]
    a.send_frame(8, b"\x03\xe8")
    assert a.is_ended()


@pytest.mark.parametrize("where", [G1, G2], ids=["same-gateway", "other-gateway"])
def test_S73_local_does_not_evict_a_global_of_the_same_id(w, where):
    name, id = unique(), unique("X")
    kept = w.up(G1, name, id=id)
    a = local(w, where, name=name, id=id)
    assert end(w, a) == (1000, "")
    w.send("still mine", name=name, client_id=id)
    assert w.seen(kept) == [["still mine"]]


def test_S74_message_between_101_and_route_end_is_not_lost(w, trigger):
    key = unique("key")
    a = w.up(trigger, unique(), path="/up-hold", key=key)
    a.say("during the route", path=a.name)
    a.sync()
    w.adm("store_set", key=key, value="go")
    assert w.seen(a, by=say(a, path=a.name)) == [["during the route"]]
