"""Convert Request: rows S31 to S51."""
import re
import socket

import pytest

from harness import Cluster, Refused, eventually
from conformance_world import APP, G1, G2, query, unique


def test_S31_the_101_has_these_headers_in_this_order(w, trigger):
    a = w.up(trigger, unique(), group="Users")
    assert a.head.reason == "Switching Protocols"
    assert a.head.names() == ["Upgrade", "Connection", "Sec-WebSocket-Accept", "X-PODE-SIGNAL-CLIENT-ID",
                              "X-PODE-SIGNAL-NAME", "X-PODE-SIGNAL-GROUP", "Date", "Server"]
    assert a.head.get("Upgrade") == "websocket" and a.head.get("Connection") == "Upgrade"
    assert a.head.get("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_S31_then_what_the_route_set(w):
    """Decisions, '101 headers': cookies and headers of the route come last."""
    a = w.up(G1, unique(), path="/up-cookie")
    assert a.head.headers[-2:] == [("Set-Cookie", "session=1; HttpOnly"), ("X-Mine", "yes")]
    assert a.head.names()[-3] == "Server"


def test_S31_only_the_101_is_sent_though_the_route_goes_on(w):
    """S31: the conversion answers by itself; the rest of the route adds nothing."""
    key = unique("key")
    a = w.up(G1, unique(), path="/up-hold", key=key)
    w.send("during", name=a.name)
    assert a.recv() == "during"
    w.adm("store_set", key=key, value="go")
    assert w.seen(a) == [[]]


def test_S32_kept_open_past_the_request_timeout():
    with Cluster(APP / "app.lua", gateways=1, gateway_args=["--head-timeout-ms", "700"]) as cluster:
        a = cluster.client(0, query("/up", name="Kept"))
        silent = socket.create_connection(cluster.address(0), timeout=10)
        while silent.recv(4096):
            pass  # the request timeout ended the connection that never asked
        cluster.http(0, "POST", "/adm/send", {"name": "Kept", "data": "still here"})
        assert a.recv() == "still here"


@pytest.mark.parametrize("path", ["/up", "/up?name="])
def test_S33_name_is_mandatory(w, path):
    with pytest.raises(Refused) as refused:
        w.connect(G1, path)
    assert refused.value.status == 500


def test_S34_name_is_the_later_reference_and_case_sensitive(w, trigger):
    name = unique("ResponseTimes")
    a = w.up(G1, name)
    w.send("no", trigger, name=name.lower())
    w.send("yes", trigger, name=name)
    assert w.seen(a, gateway=trigger) == [["yes"]]


def test_S35_group_header_only_when_not_blank(w):
    assert w.up(G1, unique(), group="Admins").head.get("X-PODE-SIGNAL-GROUP") == "Admins"
    assert w.up(G1, unique(), group=" ").head.get("X-PODE-SIGNAL-GROUP") is None
    assert w.up(G1, unique(), group="").head.get("X-PODE-SIGNAL-GROUP") is None


def test_S36_each_request_makes_a_connection(w):
    a, b, c = w.trio(unique())
    assert sorted(w.adm("clients", name=a.name)) == sorted({a.id, b.id, c.id})


@pytest.mark.late
def test_S37_send_from_a_schedule(ticks):
    """S37: a schedule reaches every client of the Name on every gateway; each tick runs once."""
    first, second, third = ticks.wait()
    assert first == second == third
    assert re.match(r"^\d\d:\d\d$", first[0]["minute"])
    assert [tick["count"] for tick in first] == list(range(1, len(first) + 1))
    assert len({tick["minute"] for tick in first}) == len(first)


@pytest.mark.late
def test_S92_direct_in_a_schedule_is_an_error(ticks):
    """S92, S50: outside a request and a client message there is no current connection."""
    tick = ticks.wait()[0][0]
    assert tick["direct"] is False and tick["why"]


def test_S38_the_durations_example(w, trigger):
    a, b, c = w.trio(unique())
    w.send({"Durations": [123, 101, 104]}, trigger, name=a.name)
    assert w.seen(a, b, c, gateway=trigger) == [['{"Durations":[123,101,104]}']] * 3


def test_S39_web_signal_after_the_conversion(w):
    a = w.up(G1, unique(), group="Users", path="/up-shown")
    shown = a.recv_json()
    assert shown["before"] == "none" and shown["after"] != "none"


def test_S40_web_signal_name_and_group(w):
    a = w.up(G1, unique(), group="Users", path="/up-shown")
    after = a.recv_json()["after"]
    assert (after["name"], after["group"]) == (a.name, a.group) == (a.name, "Users")
    b = w.up(G1, unique(), path="/up-shown")
    assert not b.recv_json()["after"].get("group")


def test_S41_web_signal_client_id(w):
    a = w.up(G1, unique(), path="/up-shown")
    assert a.recv_json()["after"]["client_id"] == a.id


def test_S41_web_signal_client_id_is_the_signed_one(signed):
    a = signed.up(G1, unique(), path="/up-shown")
    assert a.recv_json()["after"]["client_id"] == a.id and a.id.startswith("s:")


@pytest.mark.parametrize("scope", ["global", "local"])
def test_S42_is_local_and_is_global(w, scope):
    after = w.up(G1, unique(), path="/up-shown", scope=scope).recv_json()["after"]
    assert (after["is_local"], after["is_global"]) == (scope == "local", scope == "global")


def test_S43_header_client_id(w, trigger):
    assert w.up(trigger, unique(), id="my own").head.get("X-PODE-SIGNAL-CLIENT-ID") == "my own"


def test_S44_header_name(w, trigger):
    name = unique("Response Times")
    assert w.up(trigger, name).head.get("X-PODE-SIGNAL-NAME") == name


def test_S45_header_group(w, trigger):
    assert w.up(trigger, unique(), group="Gruppe é").head.get("X-PODE-SIGNAL-GROUP") == "Gruppe é"
    assert w.up(trigger, unique()).head.get("X-PODE-SIGNAL-GROUP") is None


def test_S46_nothing_is_sent_unprompted(w, trigger):
    a = w.up(trigger, unique())
    assert w.seen(a, gateway=trigger) == [[]]


def test_S47_server_and_date_headers(w):
    a = w.up(G1, unique())
    assert a.head.get("Server") == "Signalbox"
    assert re.match(r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$", a.head.get("Date"))
    assert a.head.get("X-Pode-ContextId") is None


def test_S48_convert_twice_keeps_the_first_identity(w):
    first, second = unique("first"), unique("second")
    a = w.up(G1, first, path="/up-twice", second=second)
    assert a.name == first and a.recv() == first
    w.send("to the second", name=second)
    w.send("to the first", name=first)
    assert w.seen(a) == [["to the first"]]
    assert not w.adm("exists", name=second, client_id=a.id)


def test_S49_error_in_the_route_after_the_conversion(w, trigger):
    a = w.up(trigger, unique(), path="/up-throw")
    w.send("still open", trigger, name=a.name)
    assert w.seen(a, gateway=trigger) == [["still open"]]


def test_S50_convert_outside_a_request_is_an_error(w):
    assert w.cluster.http(G1, "GET", "/keep-web").status == 200
    reply = w.cluster.http(G1, "GET", "/stale-convert").json()
    assert reply["ok"] is False and reply["error"]
    assert w.adm("exists", name="Stale") is False


BAD_VALUES = ["a\r\nX-Injected: 1", "a\nb", "a\rb", "a\0b", "a\x7fb", "x" * 1025, b"\xff", b"\xc3", b"\xed\xa0\x80"]


@pytest.mark.parametrize("field", ["name", "group", "id"])
@pytest.mark.parametrize("bad", BAD_VALUES, ids=range(len(BAD_VALUES)))
def test_S51_a_value_that_cannot_be_is_400(w, field, bad):
    """S51: the values are the client's, so the refusal is too: one line that says why, and none in the log."""
    log = w.cluster.gateways[G1].log
    before, failed = len(log()), w.cluster.gateways[G1].metrics()["signalbox_handler_errors_total"]
    with w.cluster.raw(G1) as raw:
        head = raw.request(query("/up", **{"name": unique(), field: bad})).read_head()
        reason = raw.read_body().decode()
    assert head.status == 400 and head.get("X-Injected") is None and head.get("Connection") == "close"
    assert reason.startswith("convert: name, group and client_id must") and reason.count("\n") == 1
    assert "error" not in log()[before:]
    assert w.cluster.gateways[G1].metrics()["signalbox_handler_errors_total"] == failed


@pytest.mark.parametrize("path, status, is_logged", [
    ("/up-caught", 409, False), ("/up-again", 400, False), ("/up-bug", 500, True), ("/up-nil", 500, True)])
def test_S51_whose_fault_it_is(w, path, status, is_logged):
    """S51: a handler may answer itself, or raise the error again; its own errors stay 500 and are logged."""
    before = len(w.cluster.gateways[G1].log())
    with w.cluster.raw(G1) as raw:
        assert raw.request(query(path, name="x" * 1025)).read_head().status == status
        assert ".lua" not in raw.read_body().decode()
    assert ("failed handler=" in w.cluster.gateways[G1].log()[before:]) == is_logged


def test_when_reachable_every_send_after_the_101_arrives(w, trigger):
    """Decisions, section 2 'when reachable': once a client has read its 101, any send from anywhere reaches it."""
    name = unique()
    for number in range(50):
        a = w.up(1 - trigger, name)
        w.send(str(number), trigger, name=name, client_id=a.id)
        assert a.recv() == str(number)
        a.drop()
    eventually(lambda: w.adm("exists", name=name) is False, what="the Name is empty")
