"""Not in the seed but part of the feature: rows S213 to S229."""
import json
import threading

import pytest

from harness import CLOSE, PING, PONG, TEXT, Cluster, Refused, close_body, encode_frame, eventually
from conformance_world import APP, G1, G2, Audit, query, unique


@pytest.mark.parametrize("selector, closed", [
    ({}, "A B C"), ({"group": "users"}, "A C"), ({"group": ["nobody", "ADMINS"]}, "B"), ({"client_id": "C"}, "C"),
    ({"client_id": ["A", "zz"]}, "A"), ({"client_id": ["A", "B"], "group": "Users"}, "A"), ({"client_id": "zz"}, "")])
def test_S213_close_by_name_group_and_client_id(w, trigger, selector, closed):
    name, prefix = unique(), unique("") + "-"
    clients = {"A": w.up(G1, name, "Users", prefix + "A"), "B": w.up(G1, name, "Admins", prefix + "B"),
               "C": w.up(G2, name, "USERS", prefix + "C")}
    other = w.up(G1, unique("Other"), "Users")
    ids = selector.get("client_id")
    if ids:
        selector = {**selector, "client_id": [prefix + id for id in ids] if isinstance(ids, list) else prefix + ids}
    w.adm("close", trigger, name=name, **selector)
    for key in closed.split():
        assert clients.pop(key).closing() == (1000, "")
    w.send("still open", trigger, name=name)
    assert w.seen(*clients.values(), other, gateway=trigger) == [["still open"]] * len(clients) + [[]]


def test_S213_close_of_an_unknown_name_is_silent(w, trigger):
    w.adm("close", trigger, name=unique("Unknown"))


def test_S213_close_by_the_command_line(w, trigger):
    a, b = w.up(trigger, unique()), w.up(G2, unique())
    w.cluster.cli("close", a.name, "--client", a.id)
    assert a.closing()[0] == 1000
    assert w.seen(b, gateway=trigger) == [[]]


def test_S214_lists_are_the_union_of_the_cluster(w, trigger):
    name = unique()
    a, b, c, d = w.up(G1, name, "Users"), w.up(G1, name), w.up(G2, name, "users"), w.up(G2, name, "Admins")
    assert w.adm("names", trigger).count(name) == 1
    assert sorted(group.lower() for group in w.adm("groups", trigger, name=name)) == ["admins", "users"]
    assert sorted(w.adm("clients", trigger, name=name)) == sorted([a.id, b.id, c.id, d.id])
    assert sorted(w.adm("clients", trigger, name=name, group="USERS")) == sorted([a.id, c.id])


@pytest.mark.parametrize("op", ["groups", "clients"])
def test_S214_lists_of_an_unknown_name(w, op):
    """Nobody is no error: an app lists the empty room, too."""
    assert w.adm(op, name=unique("Unknown")) == []
    assert w.broker(op, name=unique("Unknown")) == []


def test_S214_names_are_forgotten_with_their_last_connection(w, trigger):
    """S214, D11: live connections only."""
    a, b = w.up(G1, unique()), w.up(G2, unique())
    a.close()
    eventually(lambda: a.name not in w.adm("names", trigger))
    assert b.name in w.adm("names", trigger)


def test_S214_lists_of_the_command_line(w):
    name = unique()
    a, c = w.up(G1, name, "Users"), w.up(G2, name)
    assert name in w.cluster.cli("names").stdout
    assert "Users" in w.cluster.cli("groups", name).stdout
    table = w.cluster.cli("clients", name).stdout
    assert a.id in table and c.id in table
    assert a.id in json.dumps(json.loads(w.cluster.cli("clients", name, "--json").stdout))


def test_S215_exists(w, trigger):
    a, c = w.up(G1, unique()), w.up(G2, unique())
    for client in a, c:
        assert w.adm("exists", trigger, name=client.name) is True
        assert w.adm("exists", trigger, name=client.name, client_id=client.id) is True
    assert w.adm("exists", trigger, name=a.name, client_id=c.id) is False
    c.close()
    eventually(lambda: w.adm("exists", trigger, name=c.name, client_id=c.id) is False)
    assert w.adm("exists", trigger, name=c.name) is False


def total(w, metric):
    return sum(daemon.metrics().get(metric, 0) for daemon in w.cluster.daemons)


def test_S216_metrics(w, trigger):
    open_clients, opened = {"ws": ("signalbox_websockets", "signalbox_upgrades_total"),
                            "channel": ("signalbox_channels", "signalbox_channels_opened_total"),
                            "sse": ("signalbox_event_streams", "signalbox_event_streams_opened_total")}[w.transport]
    before = {name: total(w, name) for name in ("signalbox_messages_in_total", opened)}
    a, b, c = w.trio(unique())
    assert total(w, opened) == before[opened] + 3
    for _ in range(5):
        [a, c][trigger].say("x", path=a.name)
    assert a.take(5) == ["x"] * 5
    eventually(lambda: total(w, "signalbox_messages_in_total") == before["signalbox_messages_in_total"] + 5)
    open_now = total(w, open_clients)
    for client in a, b, c:
        client.close()
    eventually(lambda: total(w, open_clients) <= open_now - 3)


def test_S217_idle_connection_is_pinged_and_a_busy_one_is_not(impatient):
    idle, busy = impatient.up(G1, unique()), impatient.up(G1, unique())
    pinged = threading.Event()

    def chatter():
        while not pinged.wait(0.05):
            busy.send_frame(PONG)
    thread = threading.Thread(target=chatter)
    thread.start()
    try:
        frame = idle.read_frame()
    finally:
        pinged.set()
        thread.join()
    assert (frame.opcode, frame.fin) == (PING, True)
    impatient.send("after the ping", name=busy.name)
    assert busy.recv() == "after the ping" and not busy.pings


def test_S218_missing_pong_closes_with_4003(impatient):
    silent, patient = impatient.up(G1, unique()), impatient.up(G1, unique())
    listener = threading.Thread(target=patient.closing, kwargs={"timeout": 30}, daemon=True)
    listener.start()  # answers its pings
    assert silent.read_frame().opcode == PING
    frame = silent.read_frame()
    assert (frame.opcode, frame.payload) == (CLOSE, close_body(4003, "timeout"))
    assert listener.is_alive()


@pytest.mark.parametrize("payload", [b"", b"hello", bytes(range(125))])
def test_S219_client_ping_is_echoed(w, trigger, payload):
    a = w.up(trigger, unique())
    a.send_frame(PING, payload)
    frame = a.read_frame()
    assert (frame.opcode, frame.payload) == (PONG, payload)


@pytest.mark.parametrize("code, reason", [(1000, "bye"), (1001, ""), (3000, "é"), (4999, "x" * 123)])
def test_S220_client_close_is_echoed(w, trigger, code, reason):
    a = w.up(trigger, unique())
    a.send_frame(CLOSE, close_body(code, reason))
    frame = a.read_frame()
    assert frame.opcode == CLOSE and frame.payload[:2] == close_body(code)
    assert a.is_ended()


def test_S220_empty_client_close(w):
    a = w.up(G1, unique())
    a.send_frame(CLOSE)
    frame = a.read_frame()
    assert frame.opcode == CLOSE and frame.payload in (b"", close_body(1000))
    assert a.is_ended()


def test_S221_server_close_codes(w, trigger):
    """S221, D1: 1000 for a close call and the end of a Local route; the shutdown's 1001 is S229."""
    a, b = w.up(trigger, unique()), w.up(trigger, unique())
    w.adm("close", name=a.name)
    assert a.closing() == (1000, "")
    w.adm("close", name=b.name, code=4242, reason="because")
    assert b.closing() == (4242, "because")


@pytest.mark.parametrize("code", [999, 1005, 1006, 1015, 5000, 0])
def test_S221_codes_that_must_not_be_sent_are_refused(w, code):
    a = w.up(G1, unique())
    assert w.refused("close", name=a.name, code=code)
    assert w.seen(a) == [[]]


def test_S222_two_messages_in_one_segment(w, trigger):
    a = w.socket(trigger, "echo")
    a.send_bytes(encode_frame(TEXT, "one") + encode_frame(PING, b"p") + encode_frame(TEXT, "two"))
    assert a.take(2) == ["one", "two"] and list(a.pongs) == [b"p"]


def test_S222_fragments_with_a_ping_between(w, trigger):
    a = w.socket(trigger, "echo")
    a.send_frame(TEXT, "one ", fin=False)
    a.send_frame(PING, b"p")
    a.send_frame(0, "message")
    assert a.recv() == "one message" and list(a.pongs) == [b"p"]


@pytest.mark.parametrize("frame, code", [
    (encode_frame(TEXT, "unmasked", mask=False), 1002), (encode_frame(TEXT, "rsv", rsv=2), 1002),
    (encode_frame(3, "reserved"), 1002), (encode_frame(TEXT, b"\xff"), 1007)],
    ids=["unmasked", "rsv", "opcode", "utf8"])
def test_S223_protocol_errors(w, trigger, frame, code):
    """S223: all of them: tests/e2e/test_rfc6455.py."""
    a = w.socket(trigger, "echo")
    a.send_bytes(frame)
    assert a.closing()[0] == code


def test_S224_handshake_and_first_frames_in_one_segment(w, trigger):
    with w.cluster.raw(trigger) as raw:
        raw.send_bytes(raw.request_text(query("/s/echo", name=unique())).encode() + encode_frame(TEXT, "first")
                       + encode_frame(TEXT, "second"))
        assert raw.read_head().status == 101
        assert [raw.read_frame().payload for _ in range(2)] == [b"first", b"second"]


@pytest.mark.parametrize("how", ["close frame", "end of stream", "close frame in the same segment"])
def test_S225_send_then_immediate_close(w, trigger, how):
    b = w.up(G2, unique())
    for number in range(20):
        a = w.up(trigger, unique())
        message = encode_frame(TEXT, json.dumps({"message": f"{number:02d}", "path": b.name}))
        if how == "close frame in the same segment":
            a.send_bytes(message + encode_frame(CLOSE, close_body(1000)))
        else:
            a.send_bytes(message)
            if how == "close frame":
                a.send_frame(CLOSE, close_body(1000))
            else:
                a.half_close()
    assert sorted(b.take(20)) == [f"{number:02d}" for number in range(20)]


def test_S226_silent_connection_gets_408(impatient):
    with impatient.cluster.raw(G1) as raw:
        assert raw.read_head().status == 408
        raw.read_body()
        assert raw.is_ended()


def test_S226_half_a_request_gets_408(impatient):
    with impatient.cluster.raw(G1) as raw:
        raw.send_bytes(b"GET /up HTTP/1.1\r\nHost: x\r\n")
        assert raw.read_head().status == 408


def test_S226_websocket_stays_open_past_many_timeouts(impatient):
    a = impatient.up(G1, unique())
    while len(a.pings) < 3:
        a._on_frame(a.read_frame())
    impatient.send("still here", name=a.name)
    assert a.recv() == "still here"


def test_S227_a_route_decides_who_may_convert(w, trigger):
    path = query("/guarded", name=unique())
    with pytest.raises(Refused) as refused:
        w.connect(trigger, path)
    assert refused.value.status == 401
    assert w.transport == "channel" or refused.value.head.get("WWW-Authenticate") == "Bearer"
    assert w.connect(trigger, path, {"Authorization": "Bearer open"}).head.status == (200 if w.transport == "sse" else 101)


@pytest.fixture(scope="module")
def stopping():
    """A cluster whose processes are stopped one after the other."""
    with Cluster(APP / "app.lua", gateway_args=["--drain-ms", "200"]) as cluster:
        yield cluster


def test_S229_shutdown_closes_its_clients_and_no_others(stopping):
    audit = Audit(stopping.client(G2, "/up?name=Audit"))
    a, b, c = (stopping.client(gateway, "/up?name=Ev") for gateway in (G1, G1, G2))
    stopping.gateways[G1].term()
    for client in a, b:
        code, _ = client.closing()
        assert code == 1001 and client.is_ended()
    assert stopping.gateways[G1].wait() == 0
    for client in a, b:
        assert [audit.next(client.id)["type"].lower() for _ in range(2)] == ["connect", "disconnect"]
    assert stopping.http(G2, "POST", "/adm/send", {"name": "Ev", "data": "x"}).status == 200
    assert c.recv() == "x"
    c.drop()


def test_S228_restart(stopping):
    """S228: a restart is a new process: its connections are gone, the app file's own registrations hold again."""
    gateway, broker = stopping.gateways[G1], stopping.brokers[0]
    if gateway.is_running:
        gateway.term().wait()
    gateway.restart()
    broker.term()
    assert broker.wait() == 0
    broker.restart()
    with stopping.client(G1, "/s/echo?name=Again") as client:
        client.send_text("echo")
        assert client.recv() == "echo"
