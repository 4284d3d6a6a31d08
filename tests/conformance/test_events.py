"""Events: rows S189 to S205. S203 is in test_send.py, beside the gateway that is killed there."""
import datetime
import time

import pytest

from harness import CLOSE
from conformance_world import G1, G2, Audit, Failed, query, unique
from test_signal_routes import moment

EVERY_CAUSE = ["client close", "end of stream", "reset", "close call", "take-over", "protocol error"]


def kinds(*events):
    return [event["type"].lower() for event in events]


@pytest.fixture
def handler(w):
    """Register the audit handler in the broker for a while: handler(type, name) returns its event name."""
    registered = []

    def on(type, name, event_name=None):
        event_name = event_name or unique("handler")
        w.broker("on", type=type, name=name, event_name=event_name)
        registered.append(dict(type=type, name=name, event_name=event_name))
        return event_name
    yield on
    for registration in registered:
        if w.broker("event_test", **registration):
            w.broker("off", **registration)


def test_S189_connect_event_once(w, audit, trigger):
    a = w.up(trigger, "Ev")
    assert kinds(audit.next(a.id)) == ["connect"]
    a.say("still connected", path="Ev", clientId=a.id)
    assert a.recv() == "still connected"
    assert audit.rest(a.id, w) == []


def end_by(cause, w, client, gateway):
    """End the connection; who is then the owner of its id, if anyone."""
    if cause == "client close":
        client.close(1000, "bye")
    elif cause == "end of stream":
        client.drop()
    elif cause == "reset":
        client.reset()
    elif cause == "close call":
        w.adm("close", gateway, name=client.name, client_id=client.id)
    elif cause == "protocol error" and w.transport == "sse":
        client.send_bytes(b"x" * 70000)  # on a stream that is only read
    elif cause == "protocol error":
        client.send_frame(CLOSE, b"x")
    else:
        return w.up(1 - gateway, client.name, id=client.id)


@pytest.mark.parametrize("cause", EVERY_CAUSE)
def test_S190_disconnect_event_once(w, audit, trigger, cause):
    a = w.up(trigger, "Ev", id=unique("ev"))
    assert kinds(audit.next(a.id)) == ["connect"]
    newer = end_by(cause, w, a, trigger)
    assert kinds(audit.next(a.id)) == ["disconnect"]
    assert kinds(*audit.rest(a.id, w)) == (["connect"] if newer else [])


def test_S190_disconnect_when_no_pong_comes(impatient):
    audit = Audit(impatient.up(G1, "Audit"))
    silent = impatient.cluster.raw(G1)
    silent.upgrade(query("/up", name="Ev", id="silent"))
    assert kinds(audit.next("silent")) == ["connect"]
    event = audit.next("silent")
    assert kinds(event) == ["disconnect"] and event["connection"]["close_code"] == 4003
    silent.drop()


def test_S190_disconnect_tells_code_and_reason(w, audit, trigger):
    """Decisions, section 1: close_code, close_reason and cause on disconnect."""
    a = w.up(trigger, "Ev")
    a.close(4321, "my reason")
    audit.next(a.id)
    connection = audit.next(a.id)["connection"]
    assert (connection["close_code"], connection["close_reason"]) == (4321, "my reason") and connection["cause"]


@pytest.mark.parametrize("name", ["Ev", "Ev2"])
def test_S191_register_for_several_names(w, audit, name):
    a = w.up(G1, name)
    a.close()
    first, second = audit.next(a.id), audit.next(a.id)
    assert kinds(first, second) == ["connect", "disconnect"] and first["name"] == second["name"] == name


def test_S191_names_of_events_are_without_case(w, audit):
    """D15."""
    a = w.up(G1, "eV")
    event = audit.next(a.id)
    assert kinds(event) == ["connect"] and event["connection"]["name"] == "eV"


def test_S191_names_of_events_beyond_ascii(w, audit, handler):
    """D15: registered once in any case, and found, refused and taken back in any other."""
    name = unique("Über-Ж")
    event_name = handler("connect", name.upper())
    with pytest.raises(Failed, match="already registered"):
        w.broker("on", type="connect", name=name.lower(), event_name=event_name)
    assert w.broker("event_test", type="connect", name=name.lower(), event_name=event_name) is True
    a = w.up(G1, name)
    assert kinds(audit.next(a.id)) == ["connect"]
    w.broker("off", type="connect", name=name, event_name=event_name)
    assert w.broker("event_test", type="connect", name=name.upper(), event_name=event_name) is False


def test_S192_other_types_are_an_error(w):
    with pytest.raises(Failed):
        w.broker("on", type="message", name="Ev", event_name=unique())


def test_S193_event_name_is_unique(w, handler):
    name = unique("Once")
    event_name = handler("connect", name)
    with pytest.raises(Failed) as failed:
        w.broker("on", type="connect", name=name.lower(), event_name=event_name)
    assert "already registered" in str(failed.value) and event_name in str(failed.value)
    handler("disconnect", name, event_name)  # another type is another registration


def test_S193_all_names_are_checked_before_any_is_added(w, handler):
    taken, free = unique("Taken"), unique("Free")
    event_name = handler("connect", taken)
    with pytest.raises(Failed):
        w.broker("on", type="connect", name=[free, taken], event_name=event_name)
    assert w.broker("event_test", type="connect", name=free, event_name=event_name) is False


def test_S194_order_and_isolation_of_handlers(w, audit):
    a = w.up(G1, "Chain")
    assert [audit.next(a.id)["type"] for _ in range(3)] == ["first", "second", "third"]


def test_S195_legacy_name_is_the_path(endpoints, trigger):
    audit = Audit(endpoints.at("WS", query("/up", name="Audit")))
    a = endpoints.at("AUTO", "/messages", gateway=trigger)
    event = audit.next(a.id)
    assert kinds(event) == ["connect"] and event["name"] == "/messages"


def test_S196_lockable(w, audit):
    """S196: what it is good for is S120."""
    assert audit.next(w.up(G1, "Ev").id)["has_lockable"] is True


def test_S197_metadata(w, audit):
    assert audit.next(w.up(G1, "Ev").id)["metadata"] == {"mine": "writable"}


def test_S198_name_and_type(w, audit):
    event = audit.next(w.up(G1, "Ev2").id)
    assert event["name"] == "Ev2" and kinds(event) == ["connect"]


def test_S199_timestamp(w, audit):
    assert abs(moment(audit.next(w.up(G1, "Ev").id)["timestamp"]) - datetime.datetime.now().timestamp()) < 5


def test_S200_connection(w, audit, trigger):
    a = w.up(trigger, "Ev", group="Users")
    connection = audit.next(a.id)["connection"]
    assert (connection["name"], connection["group"], connection["client_id"]) == ("Ev", "Users", a.id)
    assert connection["scope"] == "global" and connection["gateway"]
    assert abs(moment(connection["connected_at"]) - time.time()) < 60
    b = w.up(1 - trigger, "Ev")
    assert audit.next(b.id)["connection"]["gateway"] != connection["gateway"]


def test_S201_unregister(w, audit, handler):
    name = unique("Off")
    event_name = handler("disconnect", name)
    a = w.up(G1, name)
    a.close()
    assert kinds(audit.next(a.id)) == ["disconnect"]
    w.broker("off", type="disconnect", name=name, event_name=event_name)
    b = w.up(G1, name)
    b.close()
    assert w.broker("event_test", type="disconnect", name=name, event_name=event_name) is False
    handler("connect", name)
    marker = w.up(G1, name)
    assert kinds(audit.next(marker.id)) == ["connect"]
    assert not [event for event in audit.kept if event["id"] == b.id]


def test_S201_unregister_what_is_not_registered(w):
    with pytest.raises(Failed) as failed:
        w.broker("off", type="connect", name="Ev", event_name="nobody")
    assert "not registered" in str(failed.value)


@pytest.mark.parametrize("newer", [G1, G2], ids=["same-gateway", "other-gateway"])
def test_S202_order_at_a_take_over(w, audit, trigger, newer):
    id = unique("ev")
    a = w.up(trigger, "Ev", id=id)
    b = w.up(newer, "Ev", id=id)
    b.close()
    events = [audit.next(id) for _ in range(4)]
    assert kinds(*events) == ["connect", "disconnect", "connect", "disconnect"]
    assert events[1]["connection"]["connected_at"] == events[0]["connection"]["connected_at"]
    assert "replaced" in (events[1]["connection"]["cause"], events[1]["connection"]["close_reason"])
    assert a.closing()[0] == 4001 and audit.rest(id, w) == []


def test_S202_order_of_many_short_connections(w, audit):
    ids = []
    for number in range(50):
        client = w.up(number % 2, "Ev", id=unique("ev"))
        client.drop()
        ids.append(client.id)
    for id in ids:
        assert kinds(audit.next(id), audit.next(id)) == ["connect", "disconnect"]
        assert audit.rest(id, w) == []


def test_S204_local_connect_and_disconnect(w, audit, trigger):
    key, id = unique("key"), unique("local")
    a = w.connect(trigger, query("/local/two", name="Ev", id=id, key=key))
    assert a.recv() == "first"
    connect = audit.next(id)
    assert kinds(connect) == ["connect"] and connect["connection"]["scope"] == "local"
    w.adm("store_set", key=key, value="go")
    assert a.recv() == "second" and a.closing()[0] == 1000
    assert kinds(audit.next(id)) == ["disconnect"]
    assert audit.rest(id, w) == []


def test_S205_registered_after_the_connect(w, audit, handler):
    """S205, D14: registration takes effect at once, for connections that exist too."""
    name = unique("Late")
    a = w.up(G2, name)
    handler("disconnect", name)
    a.close()
    assert kinds(audit.next(a.id)) == ["disconnect"]
