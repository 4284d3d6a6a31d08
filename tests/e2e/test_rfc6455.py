"""RFC 6455 on the wire, through a signal route that echoes what it gets: gateway, Redis, broker and back.

The groups follow the numbering of the well-known conformance suites: framing, pings, reserved bits, opcodes,
fragmentation, UTF-8, closing, limits; then the handshake, and input cut into reads at any place.
"""
import os
import pathlib
import random
import threading
import time

import pytest

from harness import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Closed, Cluster, Refused, close_body, encode_frame

APP = pathlib.Path(__file__).parents[1] / "conformance" / "app" / "app.lua"
MOST = 16 * 1024 * 1024
PATH = "/s/echo?name=Rfc"


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP, args=["--max-message-bytes", str(MOST)]) as running:
        yield running


@pytest.fixture
def ws(cluster):
    with cluster.client(0, PATH, timeout=30) as client:
        yield client


def pattern(size, opcode):
    """Bytes that no shift or cut leaves the same; text stays ASCII."""
    block = bytes(32 + i * 7 % 95 for i in range(997)) if opcode == TEXT else bytes(i * 31 % 256 for i in range(997))
    return (block * (size // 997 + 1))[:size]


def echoed(ws, payload, opcode):
    expected = payload.decode() if opcode == TEXT else payload
    received = ws.recv(60)
    assert len(received) == len(expected) and received == expected


def still_works(ws):
    ws.send_text("still works")
    assert ws.recv() == "still works"


def fails_with(ws, code):
    """The connection fails: a close frame of that code, then the end of the stream."""
    assert ws.closing()[0] == code
    assert ws.is_ended()


# -- 1 framing

@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize("size", [0, 1, 2, 125, 126, 127, 128, 65535, 65536, 65537, 131072])
def test_1_sizes(ws, size, opcode):
    payload = pattern(size, opcode)
    ws.send_frame(opcode, payload)
    echoed(ws, payload, opcode)


@pytest.mark.parametrize("size, form", [(5, 16), (5, 64), (125, 16), (126, 64), (65535, 64)])
def test_1_length_in_a_longer_form_than_needed(ws, size, form):
    """Section 5.2: the minimal number of bytes must be used."""
    ws.send_frame(BINARY, pattern(size, BINARY), length_form=form)
    fails_with(ws, 1002)


def test_1_length_with_the_highest_bit(ws):
    ws.send_bytes(b"\x82\xff\xff" + b"\x00" * 7 + b"mask")
    fails_with(ws, 1002)


def test_1_server_frames_are_final_unmasked_and_without_rsv(ws):
    ws.send_frame(BINARY, pattern(70000, BINARY))
    frame = ws.read_frame()
    assert (frame.fin, frame.rsv, frame.opcode, frame.masked, len(frame.payload)) == (True, 0, BINARY, False, 70000)


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_1_unmasked_frames_are_refused(ws, opcode):
    """Section 5.1."""
    ws.send_frame(opcode, b"\x03\xe8" if opcode == CLOSE else b"x", mask=False)
    fails_with(ws, 1002)


def test_1_zero_mask(ws):
    ws.send_bytes(b"\x81\x85\0\0\0\0hello")
    assert ws.recv() == "hello"


# -- 2 pings and pongs

@pytest.mark.parametrize("payload", [b"", b"hello", bytes(range(0x80, 0xFD)), b"\0\xff\xfe\xfd"])
def test_2_ping_is_answered_with_its_payload(ws, payload):
    ws.send_frame(PING, payload)
    frame = ws.read_frame()
    assert (frame.fin, frame.opcode, frame.payload) == (True, PONG, payload)


def test_2_ping_of_126_bytes_is_refused(ws):
    ws.send_frame(PING, bytes(126))
    fails_with(ws, 1002)


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_2_fragmented_control_frames_are_refused(ws, opcode):
    ws.send_frame(opcode, b"\x03\xe8", fin=False)
    fails_with(ws, 1002)


def test_2_unsolicited_pongs_are_ignored(ws):
    for payload in b"", b"x" * 125:
        ws.send_frame(PONG, payload)
    still_works(ws)


def test_2_ten_pings_in_one_segment(ws):
    ws.send_bytes(b"".join(encode_frame(PING, str(number)) for number in range(10)))
    frames = [ws.read_frame() for _ in range(10)]
    assert [frame.payload.decode() for frame in frames] == [str(number) for number in range(10)]


# -- 3 reserved bits

@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_3_reserved_bits_without_an_extension(ws, rsv, opcode):
    ws.send_frame(opcode, b"\x03\xe8" if opcode == CLOSE else b"x", rsv=rsv)
    fails_with(ws, 1002)


def test_3_messages_before_the_bad_frame_are_answered(ws):
    ws.send_bytes(encode_frame(TEXT, "first") + encode_frame(TEXT, "bad", rsv=4))
    assert ws.closing()[0] == 1002
    assert list(ws.inbox) in (["first"], [])


# -- 4 opcodes

@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("payload", [b"", b"x"])
def test_4_reserved_opcodes(ws, opcode, payload):
    ws.send_frame(opcode, payload)
    fails_with(ws, 1002)


# -- 5 fragmentation

@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize("parts", [["a", "b"], ["", "b"], ["a", ""], ["", "", "c"], ["a"] * 50, ["ab", "", "", "c"]])
def test_5_fragments(ws, opcode, parts):
    for number, part in enumerate(parts):
        ws.send_frame(opcode if number == 0 else CONTINUATION, part, fin=number == len(parts) - 1)
    echoed(ws, "".join(parts).encode(), opcode)


@pytest.mark.parametrize("opcode, answers", [(PING, [b"between"] * 2), (PONG, [])], ids=["ping", "pong"])
def test_5_control_frames_between_fragments(ws, opcode, answers):
    control = encode_frame(opcode, "between")
    ws.send_bytes(encode_frame(TEXT, "frag", fin=False) + control + encode_frame(CONTINUATION, "ment", fin=False)
                  + control + encode_frame(CONTINUATION, "ed"))
    assert ws.recv() == "fragmented"
    assert list(ws.pongs) == answers


def test_5_ping_is_answered_before_the_message_is_complete(ws):
    ws.send_frame(TEXT, "frag", fin=False)
    ws.sync()
    ws.send_frame(CONTINUATION, "ment")
    assert ws.recv() == "fragment"


@pytest.mark.parametrize("fin", [True, False])
def test_5_continuation_of_nothing(ws, fin):
    ws.send_frame(CONTINUATION, "x", fin=fin)
    fails_with(ws, 1002)


def test_5_continuation_after_a_complete_message(ws):
    ws.send_bytes(encode_frame(TEXT, "complete") + encode_frame(CONTINUATION, "x"))
    assert ws.closing()[0] == 1002


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_5_new_message_inside_a_fragmented_one(ws, opcode):
    ws.send_frame(TEXT, "frag", fin=False)
    ws.send_frame(opcode, "new")
    fails_with(ws, 1002)


def test_5_close_inside_a_fragmented_message(ws):
    ws.send_frame(TEXT, "frag", fin=False)
    ws.send_frame(CLOSE, close_body(1000))
    fails_with(ws, 1000)


# -- 6 UTF-8

VALID = ["κόσμε", "\u0000", "\u0080", "\u07ff", "\u0800", "\uffff", "\U00010000", "\U0010ffff", "\ud7ff", "\ue000",
         "\ufffd", "\ufeff", "Hello-µ@ßöäüàá-UTF-8!!", "\U0001f600" * 20, "\ufdd0", "\u202e"]
INVALID = {
    "lone continuation": b"\x80", "two continuations": b"\xbf\xbf", "start of 2 alone": b"\xc2",
    "start of 3 alone": b"\xe0\xa0", "start of 4 alone": b"\xf0\x90\x80", "start of 2, no continuation": b"\xc2x",
    "start of 3, no continuation": b"\xe1\x80x", "overlong /": b"\xc0\xaf", "overlong / in 3": b"\xe0\x80\xaf",
    "overlong / in 4": b"\xf0\x80\x80\xaf", "overlong max 1": b"\xc1\xbf", "overlong max 2": b"\xe0\x9f\xbf",
    "overlong max 3": b"\xf0\x8f\xbf\xbf", "surrogate": b"\xed\xa0\x80", "last surrogate": b"\xed\xbf\xbf",
    "surrogate pair": b"\xed\xa0\x80\xed\xb0\x80", "above U+10FFFF": b"\xf4\x90\x80\x80",
    "5 bytes": b"\xf8\x88\x80\x80\x80", "6 bytes": b"\xfc\x84\x80\x80\x80\x80", "fe": b"\xfe", "ff": b"\xff"}


@pytest.mark.parametrize("text", VALID, ids=ascii)
def test_6_valid_text(ws, text):
    ws.send_text(text)
    assert ws.recv() == text


@pytest.mark.parametrize("text", ["κόσμε", "\U0010ffff\U0001f600"])
def test_6_valid_text_cut_after_every_byte(ws, text):
    data = text.encode()
    for cut in range(len(data) + 1):
        ws.send_frame(TEXT, data[:cut], fin=False)
        ws.send_frame(CONTINUATION, data[cut:])
        assert ws.recv() == text
    for number, byte in enumerate(data):
        ws.send_frame(CONTINUATION if number else TEXT, bytes([byte]), fin=number == len(data) - 1)
    assert ws.recv() == text


@pytest.mark.parametrize("kind", INVALID)
def test_6_invalid_text(ws, kind):
    ws.send_frame(TEXT, b"before" + INVALID[kind] + b"after")
    fails_with(ws, 1007)


@pytest.mark.parametrize("kind", INVALID)
def test_6_invalid_text_at_the_end(ws, kind):
    ws.send_frame(TEXT, b"before" + INVALID[kind])
    fails_with(ws, 1007)


@pytest.mark.parametrize("kind", [kind for kind in INVALID if "alone" not in kind])
def test_6_invalid_text_fails_fast(ws, kind):
    """The message never ends: the connection fails at the first fragment that cannot become valid."""
    ws.send_frame(TEXT, b"before" + INVALID[kind], fin=False)
    fails_with(ws, 1007)


def test_6_incomplete_character_at_a_fragment_border_is_waited_for(ws):
    ws.send_frame(TEXT, b"\xf0\x9f", fin=False)
    ws.sync()
    ws.send_frame(CONTINUATION, b"\x98", fin=False)
    ws.sync()
    ws.send_frame(CONTINUATION, b"\x80")
    assert ws.recv() == "\U0001f600"


@pytest.mark.parametrize("kind", INVALID)
def test_6_binary_may_hold_anything(ws, kind):
    ws.send_frame(BINARY, INVALID[kind])
    assert ws.recv() == INVALID[kind]


# -- 7 closing

@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
def test_7_valid_codes_are_echoed(ws, code):
    ws.send_frame(CLOSE, close_body(code, "reason é"))
    frame = ws.read_frame()
    assert frame.opcode == CLOSE and frame.payload[:2] == close_body(code) and ws.is_ended()


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_7_invalid_codes(ws, code):
    ws.send_frame(CLOSE, close_body(code))
    fails_with(ws, 1002)


@pytest.mark.parametrize("body, code", [
    (b"\x03", 1002), (close_body(1000) + b"\xff", 1007), (close_body(1000) + b"\xed\xa0\x80", 1007),
    (close_body(1000, "x" * 124), 1002)], ids=["1 byte", "no utf8", "surrogate", "126 bytes"])
def test_7_invalid_bodies(ws, body, code):
    ws.send_frame(CLOSE, body)
    fails_with(ws, code)


def test_7_empty_close(ws):
    ws.send_frame(CLOSE)
    frame = ws.read_frame()
    assert frame.opcode == CLOSE and frame.payload in (b"", close_body(1000)) and ws.is_ended()


def test_7_longest_reason(ws):
    ws.send_frame(CLOSE, close_body(1000, "x" * 123))
    fails_with(ws, 1000)


def test_7_nothing_is_answered_after_a_close(ws):
    ws.send_bytes(encode_frame(CLOSE, close_body(1000)) + encode_frame(PING, "late") + encode_frame(TEXT, "late"))
    assert ws.closing()[0] == 1000
    assert not ws.inbox and not ws.pongs and ws.is_ended()


def test_7_message_followed_at_once_by_a_close_still_echoes(cluster):
    """The message is processed; its echo comes before the close, or the publisher's wish is kept elsewhere (S225)."""
    for _ in range(20):
        with cluster.client(0, PATH) as ws:
            ws.send_bytes(encode_frame(TEXT, "last words") + encode_frame(CLOSE, close_body(1000)))
            assert ws.closing() == (1000, "")
            assert list(ws.inbox) == ["last words"]


def test_7_end_of_stream_without_a_close(cluster):
    with cluster.client(0, PATH) as ws:
        ws.half_close()
        with pytest.raises(Closed):
            ws.recv()


def test_7_server_closes_and_waits_for_the_answer(ws):
    """Section 7.1.1: after its own close frame the server reads on until the client's, then ends the stream."""
    ws.send_frame(3)
    frame = ws.read_frame()
    assert (frame.opcode, frame.payload[:2]) == (CLOSE, close_body(1002))
    ws.send_frame(CLOSE, frame.payload)
    assert ws.is_ended()


# -- 9 limits

@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize("size", [1 << 20, 4 << 20, MOST])
def test_9_large_messages(ws, opcode, size):
    payload = pattern(size, opcode)
    ws.send_frame(opcode, payload)
    echoed(ws, payload, opcode)


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize("piece", [4096, 65536, 1 << 20])
def test_9_large_fragmented_messages(ws, opcode, piece):
    size = MOST if piece >= 65536 else 4 << 20
    payload = pattern(size, opcode)
    for start in range(0, size, piece):
        ws.send_frame(CONTINUATION if start else opcode, payload[start:start + piece], fin=start + piece >= size)
    echoed(ws, payload, opcode)


def test_9_large_message_in_small_segments(ws):
    payload = pattern(1 << 20, BINARY)
    frame = encode_frame(BINARY, payload)
    for start in range(0, len(frame), 1300):
        ws.send_bytes(frame[start:start + 1300])
    echoed(ws, payload, BINARY)


def test_9_one_byte_too_many(ws):
    """The header alone is enough: 1009 without the payload."""
    ws.send_bytes(b"\x82\xff" + (MOST + 1).to_bytes(8, "big") + b"mask")
    assert ws.closing()[0] == 1009


def test_9_one_byte_too_many_in_fragments(ws):
    for number in range(16):
        ws.send_frame(CONTINUATION if number else BINARY, bytes(1 << 20), fin=False)
    ws.send_frame(CONTINUATION, b"x", fin=False)
    assert ws.closing()[0] == 1009


def test_9_many_small_messages(ws):
    """10,000 messages sent without reading: all come back in order."""
    count = 10000
    data = b"".join(encode_frame(TEXT, f"{number:05d}") for number in range(count))
    writer = threading.Thread(target=lambda: ws.sock.sendall(data))
    writer.start()
    received = ws.take(count, 30)
    writer.join()
    assert received == [f"{number:05d}" for number in range(count)]


# -- the handshake (section 4)

def test_accept_key_of_the_rfc(cluster):
    with cluster.client(0, PATH) as ws:
        assert ws.head.get("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("change", [
    {"Sec-WebSocket-Key": None}, {"Sec-WebSocket-Key": "short"}, {"Sec-WebSocket-Version": "12"},
    {"Sec-WebSocket-Version": None}, {"Upgrade": None}, {"Upgrade": "other"}, {"Connection": None},
    {"Connection": "keep-alive"}, {"Host": None}])
def test_incomplete_handshakes_are_refused(cluster, change):
    with pytest.raises(Refused) as refused:
        cluster.client(0, PATH, change)
    assert 400 <= refused.value.status < 500


@pytest.mark.parametrize("text", [
    "GET {path} HTTP/1.1\r\nHost: x\r\nHost: y\r\n",
    "GET {path} HTTP/1.1\r\nHost : x\r\n",
    "GET {path} HTTP/1.1\r\n Host: x\r\n",
    "GET {path} HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n",
    "GET {path}\r\nHost: x\r\n",
    "GET  {path} HTTP/1.1\r\nHost: x\r\n",
    "GET {path} HTTP/2.0\r\nHost: x\r\n",
    "GET {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
    "GET {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "GET {path} HTTP/1.1\nHost: x\n",
    "GET {path} HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n",
    "\x16\x03\x01"])
def test_broken_request_heads_are_refused(cluster, text):
    rest = ("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n")
    with cluster.raw(0) as raw:
        raw.send_bytes((text.format(path=PATH) + rest).encode("latin-1"))
        answer = raw.read_to_end()
        assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))


def test_head_larger_than_the_limit(cluster):
    with cluster.raw(0) as raw:
        raw.send_bytes(f"GET {PATH} HTTP/1.1\r\nHost: x\r\nX-Large: {'x' * 20000}\r\n\r\n".encode())
        assert raw.read_head().status in (400, 431)


def test_requests_before_the_upgrade_share_the_connection(cluster):
    """Keep-alive and pipelining: two ordinary requests, then the handshake, in one segment."""
    with cluster.raw(0) as raw:
        plain = raw.request_text("/plain", handshake=False)
        raw.send_bytes((plain + plain + raw.request_text(PATH)).encode())
        for _ in range(2):
            assert raw.read_head().status == 200 and raw.read_body() == b"plain"
        assert raw.read_head().status == 101


# -- input cut into reads at any place

def script():
    """A conversation that touches every state of the reader, and the messages that come back."""
    frames = [encode_frame(TEXT, "héllo"), encode_frame(PING, "p1"), encode_frame(BINARY, pattern(300, BINARY)),
              encode_frame(TEXT, b"sp\xe2", fin=False), encode_frame(PING, "p2"),
              encode_frame(CONTINUATION, b"\x82\xaclit"), encode_frame(TEXT, pattern(70000, TEXT)),
              encode_frame(PONG, ""), encode_frame(TEXT, "end")]
    return b"".join(frames), ["héllo", pattern(300, BINARY), "sp€lit", pattern(70000, TEXT).decode(), "end"]


def feed(ws, data, cuts):
    """Send the pieces one by one, so that the server is likely to read them one by one."""
    edges = [0, *sorted(cuts), len(data)]
    for start, end in zip(edges, edges[1:]):
        ws.send_bytes(data[start:end])
        if end < len(data):
            time.sleep(0.0005)  # no event tells that the peer has read


def test_cut_after_every_byte_of_a_short_conversation(cluster):
    data = (encode_frame(TEXT, "héllo") + encode_frame(PING, "p") + encode_frame(TEXT, b"\xe2", fin=False)
            + encode_frame(CONTINUATION, b"\x82\xac"))
    with cluster.client(0, PATH) as ws:
        for cut in range(1, len(data)):
            feed(ws, data, [cut])
            assert ws.take(2) == ["héllo", "€"]
        feed(ws, data, range(1, len(data)))
        assert ws.take(2) == ["héllo", "€"]


@pytest.mark.parametrize("round", range(10))
def test_cut_at_random_places(cluster, round):
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
    print("SEED", seed)
    rng = random.Random(seed)
    data, expected = script()
    with cluster.client(0, PATH) as ws:
        feed(ws, data, rng.sample(range(1, len(data)), 60) + rng.sample(range(1, 400), 30))
        assert ws.take(len(expected)) == expected
        assert list(ws.pongs) == [b"p1", b"p2"]


def test_handshake_cut_after_every_byte(cluster):
    with cluster.raw(0) as raw:
        data = raw.request_text(PATH).encode() + encode_frame(TEXT, "first")
        feed(raw, data, range(1, len(data)))
        assert raw.read_head().status == 101
        assert raw.read_frame().payload == b"first"


def test_random_garbage_never_harms_others(cluster):
    """Any bytes after the handshake: the connection may fail, the gateway and its other clients do not."""
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
    print("SEED", seed)
    rng = random.Random(seed)
    with cluster.client(0, PATH) as good:
        for _ in range(100):
            with cluster.client(0, PATH) as bad:
                bad.send_bytes(rng.randbytes(rng.choice([1, 2, 7, 200, 5000])))
        still_works(good)
    assert not cluster.gateways[0].is_crashed
