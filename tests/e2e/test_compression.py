"""permessage-deflate (RFC 7692) on the wire: what is agreed on, what comes in, what goes out and to whom.

The groups that begin with a number are those of the well-known conformance suites: 12 sizes and fragments, 13 windows.
Signalbox agrees to no context takeover in either direction, whatever the client offers.
"""
import asyncio
import base64
import itertools
import json
import pathlib
import random
import time
import zlib

import pytest
import websockets

from harness import (BINARY, CONTINUATION, PING, PONG, TEXT, Closed, Cluster, close_body, deflated, encode_frame,
                     eventually, inflated)

APP = pathlib.Path(__file__).parent / "app" / "compression.lua"
LEAST = 100
MOST = 1024 * 1024
OFFER = "permessage-deflate"
RESET = "; server_no_context_takeover; client_no_context_takeover"


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP, args=["--max-message-bytes", str(MOST)],
                 gateway_args=["--compress-min-bytes", str(LEAST), "--history-bytes", str(MOST),
                               "--max-queue-bytes", "65536"]) as running:
        yield running


@pytest.fixture(scope="module")
def off():
    with Cluster(APP, gateways=1) as running:
        yield running


numbers = itertools.count()


@pytest.fixture
def name():
    return f"N{next(numbers)}"


def text_of(size, seed=0):
    """JSON, as messages are."""
    rows = (json.dumps({"id": row * 7 + seed, "name": f"row {row % 13}", "ok": True}) for row in range(size // 30 + 1))
    return "".join(rows)[:size]


def counters(cluster, gateway=0):
    metrics = cluster.gateways[gateway].metrics()
    return {key[len("signalbox_"):-len("_total")]: value for key, value in metrics.items()
            if key.startswith(("signalbox_compressions", "signalbox_inflations")) and key.endswith("_total")}


# -- the handshake

@pytest.mark.parametrize("offer, answer", [
    (OFFER, OFFER + RESET),
    (OFFER + "; client_max_window_bits", OFFER + RESET),
    (OFFER + "; client_max_window_bits=10; server_max_window_bits=12",
     OFFER + RESET + "; server_max_window_bits=12; client_max_window_bits=10"),
    (OFFER + '; server_max_window_bits="8"', OFFER + RESET + "; server_max_window_bits=8"),
    (OFFER + "; server_max_window_bits=16, " + OFFER, OFFER + RESET),
    (OFFER + "; unknown", None),
    ("x-webkit-deflate-frame", None),
    (None, None)])
def test_what_is_agreed_on(cluster, name, offer, answer):
    with cluster.client(0, f"/up?name={name}", deflate=offer) as client:
        assert client.extensions == answer
        client.send_text("hello")
        assert client.recv() == "hello"


def test_two_header_lines(cluster, name):
    with cluster.raw(0) as raw:
        lines = {"Sec-WebSocket-Extensions": "x-other; a=\"b, c\"", "sec-websocket-extensions": OFFER}
        raw.upgrade(f"/up?name={name}", lines)
        assert raw.head.get("Sec-WebSocket-Extensions") == OFFER + RESET


@pytest.mark.parametrize("path", ["/up?name=Secret", "/up?name=X&compress=no", "/up?name=X&signalbox-deflate=0"])
def test_who_wants_none_has_none(cluster, path):
    """The Name, the route, the client itself. Nothing compressed is taken then."""
    with cluster.client(0, path, deflate=OFFER) as client:
        assert client.extensions is None
        client.send_text("plain")
        assert client.recv() == "plain"
        client.send_compressed("x" * 200)
        assert client.closing()[0] == 1002


def test_off_by_default(off, name):
    with off.client(0, f"/up?name={name}", deflate=OFFER) as client:
        assert client.extensions is None
        client.send_text("y" * 5000)
        assert client.recv() == "y" * 5000 and not client.compressed
        client.send_compressed("x")
        assert client.closing()[0] == 1002
    assert off.gateways[0].metrics()["signalbox_compressions_total"] == 0


# -- 12 and 13: sizes, fragments, windows

SIZES = [0, 1, 16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072]
OFFERS = [OFFER, OFFER + "; client_max_window_bits", OFFER + RESET, OFFER + "; server_max_window_bits=8",
          OFFER + "; server_max_window_bits=9", OFFER + "; client_no_context_takeover; client_max_window_bits=9",
          OFFER + "; server_max_window_bits=15; client_max_window_bits=15"]


def frames_of(payload, opcode, pieces):
    """The payload as so many frames, of which the first has RSV1."""
    step = max(1, -(-len(payload) // pieces))
    parts = [payload[i:i + step] for i in range(0, len(payload), step)] or [b""]
    return b"".join(encode_frame(opcode if i == 0 else CONTINUATION, part, fin=i == len(parts) - 1,
                                 rsv=4 if i == 0 else 0) for i, part in enumerate(parts))


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("pieces", [1, 2, 7, 256])
def test_12_13_echo(cluster, name, offer, pieces):
    """Every size, as text and as bytes, compressed by several levels and by the window that was agreed on."""
    with cluster.client(0, f"/up?name={name}", deflate=offer, timeout=30) as client:
        bits = 9 if "client_max_window_bits=9" in offer else 15
        for size, level in itertools.product(SIZES, [1, 9]):
            for opcode in TEXT, BINARY:
                payload = text_of(size, level).encode()
                client.send_bytes(frames_of(deflated(payload, level, bits), opcode, pieces))
                received = client.recv(30)
                assert (received.encode() if opcode == TEXT else received) == payload
                came = len(client.compressed)
                client.compressed.clear()
                assert came == (size >= LEAST)


def test_12_what_does_not_compress_comes_as_it_is(cluster, name):
    noise = random.Random(7692).randbytes(3000)
    with cluster.client(0, f"/up?name={name}", deflate=OFFER) as client:
        client.send_frame(BINARY, deflated(noise, 0), rsv=4)
        assert client.recv() == noise and not client.compressed


def test_12_messages_with_and_without_compression_alternate(cluster, name):
    with cluster.client(0, f"/up?name={name}", deflate=OFFER) as client:
        for number in range(40):
            client.send_frame(TEXT, *([f"plain {number}"] if number % 2 else [deflated(f"packed {number}")]),
                              rsv=0 if number % 2 else 4)
        assert client.take(40) == [f"{'plain' if n % 2 else 'packed'} {n}" for n in range(40)]


def test_12_control_frames_between_fragments(cluster, name):
    payload = deflated(text_of(5000))
    with cluster.client(0, f"/up?name={name}", deflate=OFFER) as client:
        client.send_frame(TEXT, payload[:50], fin=False, rsv=4)
        client.send_frame(PING, b"between")
        client.send_frame(CONTINUATION, payload[50:51], fin=False)
        client.send_frame(CONTINUATION, b"", fin=False)
        client.send_frame(CONTINUATION, payload[51:])
        assert client.recv() == text_of(5000)
        assert b"between" in client.pongs


@pytest.mark.parametrize("frame", [
    encode_frame(PING, b"", rsv=4), encode_frame(PONG, b"", rsv=4), encode_frame(8, close_body(1000), rsv=4),
    encode_frame(TEXT, deflated("ab")[:2], fin=False, rsv=4) + encode_frame(CONTINUATION, b"", rsv=4),
    encode_frame(TEXT, b"a", fin=False) + encode_frame(CONTINUATION, b"b", rsv=4),
    encode_frame(TEXT, b"a", rsv=5), encode_frame(TEXT, b"a", rsv=2)], ids=range(7))  # the masks are random
def test_13_reserved_bits(cluster, name, frame):
    with cluster.client(0, f"/up?name={name}", deflate=OFFER) as client:
        client.send_bytes(frame)
        assert client.closing()[0] == 1002


@pytest.mark.parametrize("payload", [b"", b"\xff\xff\xff", deflated("hello")[:-1], deflated("hello") + b"\0\0\xff\xff",
                                     deflated("hello" * 10)[:5], b"\x07\0"])
def test_13_what_cannot_be_inflated(cluster, name, payload):
    with cluster.client(0, f"/up?name={name}", deflate=OFFER) as client:
        client.send_text("before")
        client.send_frame(TEXT, payload, rsv=4)
        code, reason = client.closing()
        assert (code, reason.split()[0]) == (1007, "compressed")
        assert list(client.inbox) in (["before"], [])


def test_13_text_is_checked_when_it_is_inflated(cluster, name):
    with cluster.client(0, f"/up?name={name}", deflate=OFFER) as client:
        client.send_frame(BINARY, deflated(b"\xff\xfe"), rsv=4)
        assert client.recv() == b"\xff\xfe"
        client.send_frame(TEXT, deflated(b"caf\xc3"), rsv=4)
        assert client.closing()[0] == 1007


def test_13_final_blocks(cluster, name):
    """Section 7.2.3.4, and what follows one in the same message."""
    with cluster.client(0, f"/up?name={name}", deflate=OFFER) as client:
        for payload in deflated("one", flush=zlib.Z_FINISH), deflated("one", flush=zlib.Z_FINISH)[:-1] + deflated("two"):
            client.send_frame(TEXT, payload, rsv=4)
        assert client.take(2) == ["one", "onetwo"]


@pytest.mark.parametrize("pieces", [1, 3])
def test_13_limit_is_that_of_what_comes_out(cluster, name, pieces):
    """--max-message-bytes and one beyond, from far fewer bytes and from more."""
    with cluster.client(0, f"/up?name={name}", deflate=OFFER, timeout=30) as client:
        for level in 9, 0:
            client.send_bytes(frames_of(deflated(b"x" * MOST, level), TEXT, pieces))
            assert client.recv(30) == "x" * MOST
        client.send_bytes(frames_of(deflated(b"x" * (MOST + 1), 9), TEXT, pieces))
        assert client.closing(30)[0] == 1009


def test_fragments_of_many_clients_alternate(cluster, name):
    """One inflater serves all."""
    clients = [cluster.client(0, f"/up?name={name}", deflate=OFFER) for _ in range(6)]
    texts = [text_of(30000, number) for number in range(6)]
    payloads = [deflated(text) for text in texts]
    for start in range(0, max(map(len, payloads)), 700):
        for client, payload in zip(clients, payloads):
            part = payload[start:start + 700]
            if part:
                client.send_frame(CONTINUATION if start else TEXT, part, rsv=0 if start else 4,
                                  fin=start + 700 >= len(payload))
    for client, text in zip(clients, texts):
        assert client.recv() == text
        client.drop()


# -- hostile: see also tests/gateway/codec/test_deflate.c and tests/gateway/conn/test_inflating.c

def test_bombs_and_a_bystander(cluster, name):
    """Bombs cost their senders the connection, and everybody else nothing but a moment. The gateway keeps no more than
    the limit of what comes out of them."""
    bomb = encode_frame(BINARY, deflated(b"\0" * 64 * MOST, 9), rsv=4)
    almost = encode_frame(BINARY, deflated(b"\0" * MOST, 9), rsv=4)
    empty = encode_frame(BINARY, b"\x02\x08\x20\x80\x00" * 200000 + b"\0", rsv=4)
    before = counters(cluster)["inflations"]
    with cluster.client(0, f"/up?name={name}", deflate=OFFER) as bystander:
        attackers = [cluster.client(0, "/up?name=Bombs", deflate=OFFER, timeout=60) for _ in range(12)]
        for number, attacker in enumerate(attackers):
            attacker.send_bytes([bomb, empty, almost + bomb][number % 3])
            bystander.send_compressed(f"alive {number}")
        assert bystander.take(12) == [f"alive {number}" for number in range(12)]
        for attacker in attackers:
            assert attacker.closing(60)[0] == 1009
            attacker.drop()
    assert counters(cluster)["inflations"] == before + 12 + 4  # those that were refused are none
    eventually(lambda: cluster.gateways[0].metrics()["signalbox_memory_incoming_bytes"] < MOST)
    assert cluster.gateways[0].metrics()["signalbox_inflations_waiting"] == 0


def test_who_leaves_while_his_message_is_inflated(cluster, name):
    large = frames_of(deflated(text_of(MOST), 1), TEXT, 3)
    for how in "drop", "reset", "close":
        clients = [cluster.client(0, f"/up?name={name}", deflate=OFFER) for _ in range(5)]
        for client in clients:
            client.send_bytes(large)
        for client in clients:
            if how == "close":
                client.send_frame(8, close_body(1000))
                assert client.closing(30)[0] == 1000
            getattr(client, "reset" if how == "reset" else "drop")()
    eventually(lambda: cluster.gateways[0].metrics()["signalbox_inflations_waiting"] == 0)
    with cluster.client(0, f"/up?name={name}", deflate=OFFER) as client:
        client.send_compressed("still works")
        assert client.recv() == "still works"


def test_order_behind_a_large_message(cluster, name):
    """What follows a message that takes many steps waits for it."""
    with cluster.client(0, f"/up?name={name}", deflate=OFFER, timeout=30) as client:
        large = text_of(MOST - 10)
        client.send_bytes(frames_of(deflated(large, 1), TEXT, 1) + encode_frame(TEXT, "plain") +
                          encode_frame(TEXT, deflated("packed"), rsv=4) + frames_of(deflated(large + "!"), TEXT, 5) +
                          encode_frame(TEXT, "end"))
        assert client.take(5, 30) == [large, "plain", "packed", large + "!", "end"]


# -- out

WINDOWS = [None] + [f"{OFFER}; server_max_window_bits={bits}" for bits in range(8, 16)] + [OFFER]


def crowd(cluster, name, protocols=(None, "signalbox.v1")):
    """Clients of every window and of none, plain and signalbox.v1, on the first gateway."""
    clients = []
    for offer, protocol in itertools.product(WINDOWS, protocols):
        headers = {"Sec-WebSocket-Protocol": protocol} if protocol else {}
        client = cluster.client(0, f"/up?name={name}", headers, deflate=offer)
        client.is_v1 = protocol is not None
        if client.is_v1:
            assert client.recv_json()["type"] == "hello"
        clients.append(client)
    return clients


def heard(client):
    """The next message's data, as its text or its value."""
    message = client.recv(20)
    if not client.is_v1:
        return message
    frame = json.loads(message)
    assert frame["type"] == "message"
    return base64.b64decode(frame["data"]) if frame.get("binary") else frame["data"]


@pytest.mark.parametrize("is_json", [True, False], ids=["json", "text"])
def test_one_compression_for_each_window(cluster, name, is_json):
    """However many clients there are. With JSON, those of signalbox.v1 share it, too; a string is another text there."""
    clients = crowd(cluster, name) + crowd(cluster, name)
    data = {"of": name, "rows": [{"number": n, "text": "row " * 3} for n in range(60)]} if is_json else name + text_of(5000)
    before = counters(cluster)
    cluster.http(1, "POST", "/send", {"name": name, "data": data})
    for client in clients:
        message = heard(client)
        assert (json.loads(message) if is_json and not client.is_v1 else message) == data
        assert bool(client.compressed) == (client.extensions is not None)
        client.drop()
    after = counters(cluster)
    assert after["compressions"] - before["compressions"] == 7 * (1 if is_json else 2)
    gone_in = after["compressions_in_bytes"] - before["compressions_in_bytes"]
    assert 0 < after["compressions_out_bytes"] - before["compressions_out_bytes"] < gone_in / 2


def test_a_message_to_every_name_is_compressed_once(cluster):
    clients = [cluster.client(0, f"/up?name=Every{number % 20}",
                              {"Sec-WebSocket-Protocol": "signalbox.v1"} if number >= 20 else {}, deflate=OFFER)
               for number in range(40)]
    for client in clients[20:]:
        client.recv_json()
    before = counters(cluster)["compressions"]
    cluster.http(1, "POST", "/send", {"data": {"rows": list(range(500))}})
    for client in clients:
        message = client.recv_json()
        assert (message["data"] if "data" in message else message) == {"rows": list(range(500))}
        assert client.compressed
        client.drop()
    assert counters(cluster)["compressions"] == before + 1


@pytest.mark.parametrize("size, is_compressed", [(LEAST - 1, False), (LEAST, True), (262144, True), (262145, False)])
def test_bounds_of_what_is_compressed(cluster, name, size, is_compressed):
    with cluster.client(0, f"/up?name={name}", deflate=OFFER) as client:
        cluster.http(0, "POST", "/send", {"name": name, "data": "x" * size})
        assert client.recv() == "x" * size
        assert bool(client.compressed) == is_compressed


def test_nobody_asks_and_nothing_is_compressed(cluster, name):
    before = counters(cluster)["compressions"]
    with cluster.client(0, f"/up?name={name}") as client:
        cluster.http(0, "POST", "/send", {"name": name, "data": text_of(5000)})
        assert client.recv() == text_of(5000)
    assert counters(cluster)["compressions"] == before


def test_frames_are_whole_and_never_final(cluster, name):
    """Safari fails at compressed fragments, undici at final blocks."""
    with cluster.raw(0) as raw:
        raw.upgrade(f"/up?name={name}", {"Sec-WebSocket-Extensions": OFFER})
        cluster.http(0, "POST", "/send", {"name": name, "data": text_of(200000)})
        frame = raw.read_frame()
        assert (frame.fin, frame.rsv, frame.opcode) == (True, 4, TEXT)
        assert inflated(frame.payload) == text_of(200000).encode()


# -- compress = false, at every entrance

def entrances():
    text = text_of(1000)

    def by_gateway(c, name, sender, fields):
        assert c.http(0, "POST", "/send", {"name": name, "data": text, **fields}).status == 200

    def by_broker(c, name, sender, fields):
        sender.send_json({"message": {"say": {"name": name, "data": text, **fields}}})

    def by_reply(c, name, sender, fields):
        sender.send_json({"message": {"answer": text, **fields}})

    def by_api(c, name, sender, fields):
        assert c.gateways[0].admin("POST", "/send", {"name": name, "data": text, **fields}).status == 202

    def by_xadd(c, name, sender, fields):
        c.redis.xadd("signalbox:send", {"m": json.dumps({"name": name, "data": text, **fields})})

    def by_publish(c, name, sender, fields):
        c.redis.publish("signalbox:send", json.dumps({"name": name, "data": text, **fields}))

    def by_cli(c, name, sender, fields):
        c.cli("send", name, text, *(["--no-compress"] if fields else []))

    def by_cli_lines(c, name, sender, fields):
        c.cli("send", name, "--stdin", *(["--no-compress"] if fields else []), stdin=text + "\n")

    def by_client(c, name, sender, fields):
        with c.client(0, f"/elsewhere?name={name}") as other:
            other.send_json({"message": text, "path": name, **fields})
            other.sync()

    return [by_gateway, by_broker, by_reply, by_api, by_xadd, by_publish, by_cli, by_cli_lines, by_client]


@pytest.mark.parametrize("entrance", entrances(), ids=lambda f: f.__name__[3:])
def test_a_sender_can_forbid_it(cluster, name, entrance):
    with cluster.client(0, f"/up?name={name}&id=me", deflate=OFFER) as client:
        entrance(cluster, name, client, {})
        assert client.recv() == text_of(1000) and len(client.compressed) == 1
        entrance(cluster, name, client, {"compress": False})
        assert client.recv() == text_of(1000) and len(client.compressed) == 1


@pytest.mark.parametrize("path", ["/local", "/direct?name=D"])
def test_what_a_route_sends_to_its_own_connection(cluster, path):
    with cluster.client(0, path, deflate=OFFER) as client:
        first, second = client.take(2)
        assert first != second and len(client.compressed) == 1
        assert inflated(client.compressed[0]).decode() == first


def test_a_name_that_forbids_it_when_it_is_loaded_anew(cluster, tmp_path):
    app = tmp_path / "app.lua"
    route = 'signalbox.route("GET", "/up", function(web) web:convert { name = "N" } end)\n'
    app.write_text(route)
    with Cluster(app, gateways=1, gateway_args=["--compress-min-bytes", "10"]) as own:
        with own.client(0, "/up", deflate=OFFER) as client:
            own.cli("send", "N", "x" * 100)
            assert client.recv() == "x" * 100 and len(client.compressed) == 1
            app.write_text('signalbox.name("N", { compress = false })\n' + route)
            own.cli("reload")
            own.cli("send", "N", "y" * 100)
            assert client.recv() == "y" * 100 and len(client.compressed) == 1


# -- with everything else

def test_a_resume_from_anywhere(cluster, name):
    """What was missed comes as it is, what is live comes compressed."""
    headers = {"Sec-WebSocket-Protocol": "signalbox.v1"}
    with cluster.client(0, f"/up?name={name}", headers, deflate=OFFER) as client:
        client.recv_json()
        cluster.cli("send", name, text_of(500, 0))
        position = client.recv_json()["id"]
        assert client.compressed
    for number in range(1, 4):
        cluster.cli("send", name, text_of(500, number))
    with cluster.client(1, f"/up?name={name}&signalbox-resume={position}", headers, deflate=OFFER) as client:
        assert client.recv_json()["recovered"] is True
        assert [frame["data"] for frame in (client.recv_json() for _ in range(3))] == [text_of(500, n) for n in (1, 2, 3)]
        assert not client.compressed
        assert client.recv_json() == {"type": "live"}
        cluster.cli("send", name, text_of(500, 4))
        assert client.recv_json()["data"] == text_of(500, 4) and client.compressed


@pytest.mark.parametrize("slow", ["Oldest", "Latest"])
def test_policies_drop_whole_messages(cluster, slow):
    """A message needs no other, so any may be dropped."""
    noise = [base64.b64encode(random.Random(n).randbytes(15000)).decode() for n in range(8)]
    with cluster.client(0, f"/up?name={slow}", deflate=OFFER, receive_buffer=4096) as client:
        before = cluster.gateways[0].metrics()["signalbox_slow_dropped_total"]
        sent = 0
        while cluster.gateways[0].metrics()["signalbox_slow_dropped_total"] < before + 20:
            for _ in range(40):
                cluster.http(0, "POST", "/send", {"name": slow, "data": f"{sent:06}" + noise[sent % 8]})
                sent += 1
            assert sent < 4000
        cluster.http(0, "POST", "/send", {"name": slow, "data": "last"})
        came = client.until("last", 30)
        numbers = [int(message[:6]) for message in came]
        assert numbers == sorted(numbers) and len(numbers) < sent
        assert all(message[6:] == noise[number % 8] for message, number in zip(came, numbers))
        assert client.compressed


def test_a_slow_client_is_closed_behind_a_whole_message(cluster, name):
    noise = base64.b64encode(random.Random(7692).randbytes(15000)).decode()
    with cluster.client(0, f"/up?name={name}", deflate=OFFER, receive_buffer=4096) as client:
        before = cluster.gateways[0].metrics()["signalbox_slow_closed_total"]
        deadline = time.monotonic() + 30
        while cluster.gateways[0].metrics()["signalbox_slow_closed_total"] == before:
            assert time.monotonic() < deadline
            for number in range(20):
                cluster.http(0, "POST", "/send", {"name": name, "data": f"{number:06}" + noise})
        assert client.closing(30)[0] == 4002
        assert all(message[6:] == noise for message in client.inbox)


def test_a_drain_ends_compressing_clients_like_others(cluster, name):
    with Cluster(APP, gateways=1, gateway_args=["--compress-min-bytes", "1"]) as own:
        clients = [own.client(0, f"/up?name={name}", deflate=offer) for offer in WINDOWS]
        own.cli("send", name, text_of(5000))
        own.gateways[0].term()
        for client in clients:
            assert client.recv() == text_of(5000)
            assert client.closing()[0] == 1001
            client.drop()
        assert own.gateways[0].wait() == 0


# -- clients that others wrote

def test_the_websockets_package(cluster, name):
    """Its offer limits nothing and takes no context over unless told so."""
    async def talk():
        async with cluster.ws(0, f"/up?name={name}", compression="deflate", max_size=None) as one, \
                cluster.ws(0, f"/up?name={name}") as other:
            assert one.extensions and not other.extensions
            for size in 1, LEAST, 5000, 200000, MOST - 1:
                await one.send(text_of(size))
                assert await asyncio.wait_for(one.recv(), 20) == text_of(size)
            cluster.cli("send", name, text_of(3000))
            for ws in one, other:
                assert await asyncio.wait_for(ws.recv(), 20) == text_of(3000)
            assert await asyncio.wait_for(await one.ping(), 20) is not None

    asyncio.run(talk())
