"""Broadcast levels: rows S129 to S140."""
import re

import pytest

from harness import eventually
from conformance_world import G1, G2, unique

# Which sends a level lets through: (only Name, +Group, +ClientId, +both).
TRUTH = {"name": (True, True, True, True), "group": (False, True, True, True), "client_id": (False, False, True, True)}


def sends(client):
    """The four ways to name the client's group of the Name, in the order of TRUTH."""
    return [{}, {"group": client.group}, {"client_id": client.id}, {"group": client.group, "client_id": client.id}]


def check_truth(w, level, gateway):
    a = w.up(G1, unique(), group="Users")
    w.level(level, a.name, gateway)
    expected = []
    for number, (fields, allowed) in enumerate(zip(sends(a), TRUTH[level])):
        if allowed:
            w.send(str(number), gateway, name=a.name, **fields)
            expected.append(str(number))
        else:
            text = w.refused("send", gateway, name=a.name, data=str(number), **fields)
            assert re.search(f"Signal failed to broadcast due to defined Signal broadcast level for {a.name}: "
                             + level.replace("_", "_?"), text)
    assert w.seen(a, gateway=gateway) == [expected]


def effective(w, name, level, gateway):
    """A level reaches the other processes of the cluster at once, but not within the call that sets it."""
    eventually(lambda: w.adm("get_level", gateway, name=name).replace("_", "") == level.replace("_", ""))


def test_S129_default_level_is_name(w, trigger):
    a = w.up(G1, unique(), group="Users")
    assert w.adm("get_level", trigger, name=a.name) == "name"
    for number, fields in enumerate(sends(a)):
        w.send(str(number), trigger, name=a.name, **fields)
    assert w.seen(a, gateway=trigger) == [["0", "1", "2", "3"]]


def test_S130_level_for_all_names(w, trigger):
    a = w.up(G1, unique())
    w.level("client_id", gateway=trigger)
    text = w.refused("send", trigger, name=a.name, data="x")
    assert re.search(f"Signal failed to broadcast due to defined Signal broadcast level for {a.name}: client_?id", text)
    assert w.seen(a, gateway=trigger) == [[]]


def test_S131_names_beyond_ascii(w, trigger):
    """D15: set in any case, read and unset in any other, by Lua and by the command line."""
    a = w.up(G1, unique("Größe-Ж"))
    w.level("client_id", a.name.upper().replace("SS", "ẞ"), trigger)
    assert w.refused("send", trigger, name=a.name, data="x")
    assert w.adm("get_level", trigger, name=a.name.replace("Ж", "ж")) == "clientid"
    w.cluster.cli("level", a.name.lower(), "name")
    assert w.cluster.cli("level", a.name).stdout == "name\n"
    w.send("passes", trigger, name=a.name)
    assert w.seen(a, gateway=trigger) == [["passes"]]
    w.cluster.cli("level", a.name.replace("ö", "Ö"), "unset")


def test_S131_level_of_a_name_overrides_both_ways(w, trigger):
    """S131, D15: the Name of a level is compared without case."""
    loose, other = w.up(G1, unique("Loose")), w.up(G1, unique("Other"))
    w.level("name", loose.name.upper(), trigger)
    w.level("client_id", gateway=trigger)
    w.send("passes", trigger, name=loose.name)
    assert w.refused("send", trigger, name=other.name, data="x")
    assert w.seen(loose, other, gateway=trigger) == [["passes"], []]
    w.level("name", gateway=trigger)
    w.level("group", other.name, trigger)
    assert w.refused("send", trigger, name=other.name, data="x")


def test_S132_row_name(w, trigger):
    check_truth(w, "name", trigger)


def test_S133_row_group(w, trigger):
    check_truth(w, "group", trigger)


def test_S134_row_client_id(w, trigger):
    check_truth(w, "client_id", trigger)


def test_S135_violation_fails_the_caller_and_sends_nothing(w, trigger):
    """S135, D7: every Name is checked first; the caller's route answers 500."""
    free, strict = w.up(G1, unique("Free")), w.up(G2, unique("Strict"))
    w.level("client_id", strict.name, trigger)
    reply = w.cluster.http(trigger, "POST", "/adm/send", {"name": [free.name, strict.name], "data": "x"})
    assert reply.status == 500
    assert w.seen(free, strict, gateway=trigger) == [[], []]


def test_S135_send_without_a_name_meets_every_level(w, trigger):
    """D7: a send without a Name is checked against the default and every level that was set for a Name."""
    a, strict = w.up(G1, unique()), w.up(G2, unique("Strict"))
    w.level("group", strict.name, trigger)
    assert strict.name in w.refused("send", trigger, data="x")
    assert w.seen(a, strict, by=lambda token: w.send(token, trigger, client_id=[a.id, strict.id])) == [[], []]


def test_S136_client_message_that_a_level_refuses(w, trigger):
    a, b = w.up(trigger, unique()), w.up(G2, unique())
    w.level("client_id", a.name, trigger)
    effective(w, a.name, "client_id", G1)
    before = refusals(w)
    a.say("refused", path=a.name)
    a.say("valid", path=a.name, clientId=a.id)
    assert a.recv() == "valid"
    assert w.seen(a, b, gateway=trigger) == [[], []]
    eventually(lambda: refusals(w) == before + 1, what="the counter of refusals")


def refusals(w):
    """signalbox_refused_level_total over all processes."""
    return sum(daemon.metrics()["signalbox_refused_level_total"] for daemon in w.cluster.daemons)


def test_S137_direct_is_exempt(w, trigger):
    a, b = w.up(trigger, unique()), w.up(G2, unique())
    w.level("client_id", gateway=trigger)
    a.say("mine", direct=True)
    assert a.recv() == "mine"
    assert w.seen(a, b, gateway=trigger) == [[], []]


def test_S137_local_is_exempt(w):
    """S137: also S69."""
    name, key = unique("Local"), unique("key")
    w.level("client_id", name)
    a = w.connect(G1, f"/local/two?name={name}&key={key}")
    w.adm("store_set", key=key, value="go")
    assert a.take(2) == ["first", "second"]


def test_S138_change_at_run_time(w, trigger):
    """S138: set in a broker, it holds on every gateway; taken back, it does not."""
    a = w.up(G1, unique())
    w.levels.add(a.name)
    w.broker("set_level", name=a.name, level="client_id")
    effective(w, a.name, "client_id", trigger)
    assert w.refused("send", trigger, name=a.name, data="x")
    w.broker("set_level", name=a.name, level="name")
    effective(w, a.name, "name", trigger)
    w.send("allowed again", trigger, name=a.name)
    assert w.seen(a, gateway=trigger) == [["allowed again"]]


def test_S138_change_by_the_command_line(w, trigger):
    a = w.up(G1, unique())
    w.levels.add(a.name)
    w.cluster.cli("level", a.name, "group")
    effective(w, a.name, "group", trigger)
    assert w.refused("send", trigger, name=a.name, data="x")
    assert "group" in w.cluster.cli("level", a.name).stdout


@pytest.mark.parametrize("level", ["everything", "", 7])
def test_S139_invalid_level_is_an_error(w, level):
    assert w.refused("set_level", name=unique(), level=level)


@pytest.mark.parametrize("level", sorted(TRUTH))
def test_S140_get_and_test(w, trigger, level):
    name = unique()
    w.level(level, name, trigger)
    text = w.adm("get_level", trigger, name=name.lower())
    assert text == text.lower() and text.replace("_", "") == level.replace("_", "")
    asked = [{}, {"group": "g"}, {"client_id": "i"}, {"group": "g", "client_id": "i"}]
    for fields, allowed in zip(asked, TRUTH[level]):
        assert w.adm("allows", trigger, name=name, **fields) is allowed


def test_S140_level_set_on_one_gateway_is_read_on_the_other(w, trigger):
    name = unique()
    w.level("group", name, trigger)
    effective(w, name, "group", 1 - trigger)
