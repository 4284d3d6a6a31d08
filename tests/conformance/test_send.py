"""Send Messages: rows S75 to S99."""
import json
import time

import pytest

from harness import BINARY, TEXT, Cluster, eventually
from conformance_world import APP, G1, G2, query, say, unique


def test_S75_string_goes_out_verbatim(w, trigger):
    a, b, c = w.trio(unique())
    w.send("Times: 123, 101, 104", trigger, name=a.name)
    assert w.seen(a, b, c, gateway=trigger) == [["Times: 123, 101, 104"]] * 3


def test_S76_value_goes_out_as_compact_json(w, trigger):
    a, b, c = w.trio(unique())
    w.send({"ResponseTimes": [123, 101, 104]}, trigger, name=a.name)
    assert w.seen(a, b, c, gateway=trigger) == [['{"ResponseTimes":[123,101,104]}']] * 3


@pytest.mark.parametrize("data, text", [
    (["a", "b"], '["a","b"]'), (False, "false"), (True, "true"), (0, "0"), (1.5, "1.5"), ([[1], [2]], "[[1],[2]]"),
    ({"a": {"b": "c"}}, '{"a":{"b":"c"}}')])
def test_S77_scalars_and_lists(w, data, text):
    a = w.up(G1, unique())
    w.send(data, name=a.name)
    assert w.seen(a) == [[text]]


@pytest.mark.parametrize("data", ["", None, []])
def test_S78_empty_data_is_silently_nothing(w, trigger, data):
    a, c = w.up(G1, unique()), w.up(G2, unique())
    w.send(data, trigger, name=[a.name, c.name])
    assert w.seen(a, c, gateway=trigger) == [[], []]


def test_S79_whitespace_is_sent(w, trigger):
    a = w.up(G1, unique())
    w.send(" ", trigger, name=a.name)
    assert w.seen(a, gateway=trigger) == [[" "]]


@pytest.mark.parametrize("depth, objects", [(None, 10), (3, 3)])
def test_S80_deeper_levels_become_text(w, depth, objects):
    a = w.up(G1, unique())
    w.adm("send_nested", name=a.name, levels=12, depth=depth)
    (text,), = w.seen(a)
    value, count = json.loads(text), 0
    while isinstance(value, dict):
        value, count = value["n"], count + 1
    assert isinstance(value, str) and value != "leaf" and count in (objects, objects + 1)


def test_S81_one_name_the_sender_included(w, trigger):
    a, b, c = w.trio(unique())
    other = w.up(G1, unique("Other"))
    a.say("x", path=a.name)
    a.sync()
    w.send("y", trigger, name=a.name)
    for client in a, b, c:
        assert sorted(client.take(2)) == ["x", "y"]
    assert w.seen(a, b, c, other, gateway=trigger) == [[]] * 4


def test_S82_several_names(w, trigger):
    a, b, c = w.trio(unique("One"))
    d, e = w.up(G1, unique("Two")), w.up(G2, unique("Three"))
    w.send("x", trigger, name=[a.name, d.name])
    assert w.seen(a, b, c, d, e, gateway=trigger) == [["x"]] * 4 + [[]]


def test_S83_name_omitted_reaches_every_name(w, trigger):
    a, b = w.up(G1, unique()), w.up(G1, unique())
    c, d = w.up(G2, a.name), w.up(G2, unique())
    w.send("everybody", trigger)
    assert w.seen(a, b, c, d, by=w.everywhere(trigger)) == [["everybody"]] * 4


def test_S83_empty_name_counts_as_absent(w, trigger):
    """S83, D5."""
    a, c = w.up(G1, unique()), w.up(G2, unique())
    w.send("everybody", trigger, name="")
    assert w.seen(a, c, by=w.everywhere(trigger)) == [["everybody"]] * 2


NOBODY = [{"name": []}, {"client_id": []}, {"group": []}, {"clientId": [""]}, {"group": [None], "client_id": "x"}]


def test_D5_an_empty_list_is_nobody(w, trigger):
    """For send and close, in a gateway and in a broker, also where a level asks for a group or an id."""
    a, c = w.up(G1, unique()), w.up(G2, unique())
    w.level("client_id", c.name)
    for call in w.broker, lambda op, **args: w.adm(op, trigger, **args):
        for fields in NOBODY:
            for name in a.name, c.name:
                call("send", **{"name": name, "data": "secret", **fields})
                call("close", **{"name": name, **fields})
        assert call("allows", name=c.name, client_id=[]) is False
        assert call("allows", name=c.name, client_id="x") is True
        assert call("clients", name=a.name, group=[]) == []
        assert call("exists", name=a.name, client_id=[]) is False
    assert w.seen(a, c, by=lambda token: w.send(token, name=[a.name, c.name], client_id=[a.id, c.id])) == [[], []]


@pytest.mark.parametrize("seconds", [0, 0.05])
def test_D5_nobody_is_no_error_after_a_wait(w, seconds):
    """Before what the handler was called for is written, and after it."""
    a = w.up(G1, unique())
    for fields in NOBODY:
        for call, more in ("send", {"data": "x"}), ("close", {}):
            w.broker("after_a_wait", seconds=seconds, call=call, args={"name": a.name, **more, **fields})
    assert w.seen(a) == [[]]


def test_S84_unknown_name_is_silent(w, trigger):
    a = w.up(G1, unique())
    w.send("x", trigger, name=unique("Unknown"))
    assert w.seen(a, gateway=trigger) == [[]]


def test_S85_group_any_of_case_insensitive(w, trigger):
    name = unique()
    clients = [w.up(G1, name, "A"), w.up(G2, name, "a"), w.up(G1, name, "B"), w.up(G2, name)]
    w.send("A", trigger, name=name, group="A")
    w.send("A,b", trigger, name=name, group=["A", "b"])
    assert w.seen(*clients, gateway=trigger) == [["A", "A,b"], ["A", "A,b"], ["A,b"], []]


def test_S85_group_case_beyond_ascii(w):
    name = unique()
    a, b, c = w.up(G1, name, "ÉTÉ"), w.up(G2, name, "Σίσυφος"), w.up(G2, name, "ſtaff")
    for text in "ÉTÉ", "été", "ΣΊΣΥΦΟΣ", "ETE", "staff":
        w.send(text, name=name, group=text)
    w.send("both", name=name, group=["ΣίσυφοΣ", "éTÉ"])
    assert w.seen(a, b, c) == [["ÉTÉ", "été", "both"], ["ΣΊΣΥΦΟΣ", "both"], []]


def test_lists_take_groups_as_sends_do(w, trigger):
    """Every list that is asked for a group, and the list of groups."""
    name = unique()
    a, b, c = w.up(G1, name, "Straße", "a"), w.up(G2, name, "STRAẞE", "b"), w.up(G1, name, "Gasse", "c")
    assert w.adm("clients", trigger, name=name, group="straße") == ["a", "b"]
    assert len(w.adm("clients", trigger, name=name, group="strasse")) == 0
    assert len(w.adm("groups", trigger, name=name)) == 2
    rows = json.loads(w.cluster.cli("groups", name, "--json").stdout)
    assert sorted(row["connections"] for row in rows) == [1, 2]
    rows = w.cluster.gateways[0].admin("GET", query("/clients", name=name, group="STRASSE")).json()
    assert rows == []
    rows = w.cluster.gateways[0].admin("GET", query("/clients", name=name, group="straẞe")).json()
    assert sorted(row["clientId"] for row in rows) == ["a", "b"]
    w.adm("close", trigger, name=name, group="straSSe")
    w.adm("close", trigger, name=name, group="STRAßE")
    assert [a.closing()[0], b.closing()[0]] == [1000, 1000]
    w.send("still here", name=name)
    assert c.recv() == "still here"


def test_S86_client_id_one_or_many(w, trigger):
    a, b, c = w.trio(unique())
    w.send("x", trigger, name=a.name, client_id=[a.id, "zz", c.id])
    assert w.seen(a, b, c, gateway=trigger) == [["x"], [], ["x"]]


def test_S87_group_and_client_id_intersect(w, trigger):
    name = unique()
    a, b, c = w.up(G1, name, "A"), w.up(G1, name, "B"), w.up(G2, name, "A")
    w.send("x", trigger, name=name, group="a", client_id=[b.id, c.id])
    assert w.seen(a, b, c, gateway=trigger) == [[], [], ["x"]]


def test_S88_one_client_example(w, trigger):
    a, b, c = w.trio(unique())
    w.send({"ResponseTimes": [123, 101, 104]}, trigger, name=a.name, client_id=b.id)
    assert w.seen(a, b, c, gateway=trigger) == [[], ['{"ResponseTimes":[123,101,104]}'], []]


def test_S89_legacy_name_is_the_uri_path(endpoints, trigger):
    a = endpoints.at("AUTO", "/messages", gateway=G1)
    b = endpoints.at("AUTO", "/messages", gateway=G2)
    for name in "/Messages", "messages", "/messages":
        endpoints.adm("send", trigger, name=name, data=name)
    endpoints.adm("send", trigger, name="/messages", data="fence")
    assert a.until("fence") == ["/messages"] and b.until("fence") == ["/messages"]


def test_S90_mode_auto_broadcasts(w, trigger):
    a, b, c = w.trio(unique())
    w.send("x", trigger, name=a.name, mode="auto")
    assert w.seen(a, b, c, gateway=trigger) == [["x"]] * 3


def test_S90_mode_auto_is_direct_when_the_message_says_so(w, trigger):
    name = unique()
    a, b = w.socket(trigger, "to-name", name), w.socket(G2, "to-name", name)
    a.say("mine", direct=True)
    a.say("everybody's")
    assert a.take(2) == ["mine", "everybody's"] and b.recv() == "everybody's"
    assert w.seen(a, b) == [[], []]


def test_S91_mode_broadcast_does_not_override_direct(w):
    name = unique()
    a, b = w.socket(G1, "broadcast", name), w.socket(G2, "broadcast", name)
    a.say("x", direct=True, path=name)
    a.say("fence", path=name)
    assert a.until("fence") == ["x"] and b.until("fence") == []


def test_S92_mode_direct(w):
    name = unique()
    a, b = w.socket(G1, "direct", name), w.socket(G2, "direct", name)
    a.say("x", path=name)
    assert a.recv() == "x"
    assert w.seen(a, b) == [[], []]


def test_S92_mode_direct_without_a_connection_is_an_error(w, trigger):
    assert w.refused("send", trigger, data="x", mode="direct")


def test_S92_unknown_mode_is_an_error(w):
    assert w.refused("send", data="x", mode="sideways")


def test_S93_ignore_event(w):
    """S93: no direct, nothing filled in from the message: every Name gets it."""
    a, b = w.socket(G1, "ignore", unique()), w.up(G2, unique())
    a.say("x", path="Unknown", direct=True)
    assert w.seen(a, b, by=say(a)) == [["x"], ["x"]]


def test_S94_no_delivery_report(w):
    assert w.adm("send", name=unique("Unknown"), data="x") is None


@pytest.mark.parametrize("size", [8192, 8193, 20000, 65536])
def test_S95_large_messages_reassemble(w, trigger, size):
    a, c = w.up(G1, unique()), w.up(G2, unique())
    text = "".join(chr(97 + i % 26) for i in range(size))
    w.send(text, trigger, name=[a.name, c.name])
    assert w.seen(a, c, gateway=trigger) == [[text], [text]]


def test_S96_text_frames_of_utf8(w, trigger):
    a = w.up(G1, unique())
    w.send("é€😀", trigger, name=a.name)
    frame = a.read_frame()
    assert (frame.opcode, frame.fin, frame.payload) == (TEXT, True, "é€😀".encode())


def test_S96_binary_frames_only_when_asked_for(w, trigger):
    """S96, decisions section 1: binary=true."""
    a = w.up(G1, unique())
    w.send("bytes", trigger, name=a.name, binary=True)
    frame = a.read_frame()
    assert (frame.opcode, frame.payload) == (BINARY, b"bytes")


def test_S97_order_of_one_sender(w, trigger):
    a, b, c = w.trio(unique())
    w.adm("send_many", trigger, name=a.name, count=1000)
    expected = [f"{number:05d}" for number in range(1, 1001)]
    assert w.seen(a, b, c, gateway=trigger) == [expected] * 3


def test_S97_order_of_a_client(w, trigger):
    a, b, c = w.trio(unique())
    sender = [a, c][trigger]
    for number in range(1000):
        sender.say(f"{number:05d}", path=a.name)
    expected = [f"{number:05d}" for number in range(1000)]
    assert w.seen(a, b, c, by=say(sender, path=a.name)) == [expected] * 3


def test_S98_slow_reader_delays_nobody(w):
    """S98, D8: 10 MB to a Name of which one client does not read: it alone is closed with 4002."""
    name, piece = unique(), "x" * 65536
    a, c = w.up(G1, name), w.up(G2, name)
    slow = w.up(G1, name)
    for number in range(160):
        w.send(piece, name=name)
        assert a.recv() == piece and c.recv() == piece
    eventually(lambda: slow.id not in w.adm("clients", name=name), what="the slow client is gone")
    code, reason = slow.closing()
    assert code == 4002 and reason
    assert w.seen(a, c) == [[], []]


class Crash:
    """Gateway 2 is killed; what the rest of the cluster saw."""

    def __init__(self):
        with Cluster(APP / "app.lua", broker_args=["--dead-after-ms", "4000"]) as cluster:
            audit = cluster.client(0, "/up?name=Audit")
            survivors = [cluster.client(0, "/up?name=Ev") for _ in range(2)]
            victims = [cluster.client(1, "/up?name=Ev") for _ in range(5)]
            self.victims, self.survivors = [v.id for v in victims], [s.id for s in survivors]
            for _ in range(7):
                assert audit.recv_json()["type"].lower() == "connect"

            cluster.gateways[1].kill()
            self.killed_at = time.monotonic()
            self.send_to(cluster, "at once")
            self.at_once = [s.recv() for s in survivors]
            self.disconnects = [audit.recv_json(30) for _ in range(5)]
            self.expired_after = time.monotonic() - self.killed_at
            self.clients = self.adm(cluster, "clients", name="Ev")
            self.send_to(cluster, "later")
            self.later = [s.recv() for s in survivors]
            cluster.client(0, "/up?name=Ev2&id=last")
            self.last = audit.recv_json()

    def adm(self, cluster, op, **args):
        return cluster.http(0, "POST", f"/adm/{op}", args).json().get("result")

    def send_to(self, cluster, text):
        self.adm(cluster, "send", name="Ev", data=text)


@pytest.fixture(scope="session")
def crash():
    return Crash()


def test_S99_send_when_a_gateway_is_down(crash):
    assert crash.at_once == ["at once"] * 2 and crash.later == ["later"] * 2
    assert sorted(crash.clients) == sorted(crash.survivors)


def test_S203_gateway_crash_fires_one_disconnect_a_client(crash):
    assert sorted(event["id"] for event in crash.disconnects) == sorted(crash.victims)
    assert {event["type"].lower() for event in crash.disconnects} == {"disconnect"}
    assert crash.last["id"] == "last", "something more than one Disconnect each"
    assert crash.expired_after < 20
