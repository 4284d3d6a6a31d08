"""RFC 7692 on the wire: how offers of permessage-deflate are answered, and compressed messages through the echo."""
import asyncio
import os
import pathlib
import random
import zlib

import pytest

from harness import BINARY, CONTINUATION, PING, TEXT, Cluster, encode_frame

APP = pathlib.Path(__file__).parents[1] / "conformance" / "app" / "app.lua"
PATH = "/s/echo?name=Deflate"
RSV1 = 4
TAIL = b"\0\0\xff\xff"


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP, args=["--max-message-bytes", "1048576"]) as running:
        yield running


def offer(cluster, text, gateway=0):
    """A client that offered this; its answer as {parameter: value}, or None without the extension."""
    client = cluster.client(gateway, PATH, {"Sec-WebSocket-Extensions": text})
    answer = client.head.get("Sec-WebSocket-Extensions")
    client.answer = None
    if answer is not None:
        name, *parameters = [part.strip() for part in answer.split(";")]
        assert name == "permessage-deflate"
        client.answer = dict((parameter.split("=") + [None])[:2] for parameter in parameters)
    return client


@pytest.fixture
def ws(cluster):
    with offer(cluster, "permessage-deflate; client_max_window_bits") as client:
        yield client


class Deflater:
    """The sending side of a client: one window for all messages, as the extension is by default."""

    def __init__(self, bits=15, level=6):
        self.engine = zlib.compressobj(level, zlib.DEFLATED, -bits)

    def __call__(self, data):
        out = self.engine.compress(data) + self.engine.flush(zlib.Z_SYNC_FLUSH)
        assert out.endswith(TAIL)
        return out[:-4]


def inflate(frame, bits=15):
    """The message of a server frame: each is compressed by itself, because of server_no_context_takeover."""
    if not frame.rsv & RSV1:
        return frame.payload
    return zlib.decompressobj(-bits).decompress(frame.payload + TAIL)


def still_works(client):
    client.send_frame(TEXT, "still works")
    assert inflate(client.read_frame()) == b"still works"


@pytest.mark.parametrize("text", [
    "permessage-deflate", "permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits=10",
    "permessage-deflate; client_no_context_takeover", "permessage-deflate; server_no_context_takeover",
    "permessage-deflate; server_max_window_bits=15", 'permessage-deflate; server_max_window_bits="15"',
    "permessage-deflate;client_no_context_takeover;server_no_context_takeover; client_max_window_bits",
    "x-unknown, permessage-deflate", "permessage-deflate; bad_parameter, permessage-deflate"])
def test_offers_that_are_accepted(cluster, text):
    with offer(cluster, text) as client:
        assert client.answer is not None and "server_no_context_takeover" in client.answer
        if "client_max_window_bits" not in text:
            assert "client_max_window_bits" not in client.answer, "only a client that says so may be asked for it"
        still_works(client)


@pytest.mark.parametrize("text", [
    "permessage-deflate; bad_parameter", "permessage-deflate; server_max_window_bits",
    "permessage-deflate; server_max_window_bits=7",
    "permessage-deflate; server_max_window_bits=16", "permessage-deflate; server_max_window_bits=015",
    "permessage-deflate; client_max_window_bits=7", "permessage-deflate; client_max_window_bits=16",
    "permessage-deflate; server_no_context_takeover=1", "permessage-deflate; client_no_context_takeover=true",
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover", "permessage-bzip2", "deflate-frame"])
def test_offers_that_are_declined(cluster, text):
    """Section 7.1: declined is not refused; the connection is an uncompressed one."""
    with offer(cluster, text) as client:
        assert client.answer is None
        still_works(client)


@pytest.mark.parametrize("bits", range(9, 16))
def test_server_window_is_kept(cluster, bits):
    """A window that the client asks for is answered and kept, or the offer is declined."""
    with offer(cluster, f"permessage-deflate; server_max_window_bits={bits}") as client:
        data = bytes(random.Random(bits).choices(b"abcd", k=20000))
        client.send_frame(BINARY, data)
        frame = client.read_frame()
        if client.answer is None:
            assert frame.rsv == 0
        else:
            assert int(client.answer.get("server_max_window_bits") or 15) <= bits
        assert inflate(frame, bits) == data


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize("size", [1, 125, 126, 5000, 65536, 1 << 20])
def test_compressed_messages(ws, opcode, size):
    data = (b"all work and no play " * (size // 21 + 1))[:size]
    ws.send_frame(opcode, Deflater()(data), rsv=RSV1)
    frame = ws.read_frame()
    assert frame.opcode == opcode and frame.fin and inflate(frame) == data


def test_large_answers_are_compressed(ws):
    """A compressible message of some size goes out compressed, and much smaller."""
    ws.send_frame(TEXT, "x" * 100000)
    frame = ws.read_frame()
    assert frame.rsv == RSV1 and len(frame.payload) < 10000 and inflate(frame) == b"x" * 100000


def test_the_clients_window_is_kept_between_messages(ws):
    """Unless the answer says client_no_context_takeover, a client may refer to its earlier messages."""
    deflate = (lambda data: Deflater()(data)) if "client_no_context_takeover" in ws.answer else Deflater()
    data = os.urandom(2000)
    for _ in range(3):
        ws.send_frame(BINARY, deflate(data), rsv=RSV1)
        assert inflate(ws.read_frame()) == data


def test_uncompressed_messages_between(ws):
    deflate = (lambda data: Deflater()(data)) if "client_no_context_takeover" in ws.answer else Deflater()
    for number in range(6):
        data = b"message %d" % number
        ws.send_frame(TEXT, deflate(data) if number % 2 else data, rsv=RSV1 if number % 2 else 0)
        assert inflate(ws.read_frame()) == data


@pytest.mark.parametrize("cut", [1, 7, 100])
def test_fragments_with_a_ping_between(ws, cut):
    """RSV1 is set on the first fragment only; control frames are never compressed."""
    data = b"fragmented and compressed " * 20 + os.urandom(200).hex().encode()
    compressed = Deflater()(data)
    pieces = [compressed[at:at + cut] for at in range(0, len(compressed), cut)]
    for number, piece in enumerate(pieces):
        ws.send_frame(CONTINUATION if number else TEXT, piece, rsv=0 if number else RSV1,
                      fin=number == len(pieces) - 1)
        if number == 0:
            ws.sync()
    assert inflate(ws.read_frame()) == data


@pytest.mark.parametrize("payload", [
    b"\x00", b"\x02\x00"], ids=["empty block of the RFC", "empty fixed block"])
def test_empty_messages(ws, payload):
    ws.send_frame(BINARY, payload, rsv=RSV1)
    still_works(ws)


def test_stored_and_several_blocks(ws):
    """Section 7.2.3: no compression at all, and one message of several blocks."""
    stored = zlib.compressobj(0, zlib.DEFLATED, -15)
    data = stored.compress(b"Hello") + stored.flush(zlib.Z_SYNC_FLUSH)
    ws.send_frame(TEXT, data[:-4], rsv=RSV1)
    assert inflate(ws.read_frame()) == b"Hello"
    ws.send_frame(TEXT, b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", rsv=RSV1)
    assert inflate(ws.read_frame()) == b"Hello"


def test_final_block_of_the_rfc(ws):
    """Section 7.2.3.4: a block with BFINAL set, then an empty byte."""
    ws.send_frame(TEXT, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", rsv=RSV1)
    assert inflate(ws.read_frame()) == b"Hello"


@pytest.mark.parametrize("frame", [
    encode_frame(CONTINUATION, "x", rsv=RSV1), encode_frame(PING, "x", rsv=RSV1), encode_frame(TEXT, "x", rsv=2),
    encode_frame(TEXT, "x", rsv=1), encode_frame(TEXT, "x", rsv=5),
    encode_frame(TEXT, b"\xff", fin=False, rsv=RSV1) + encode_frame(CONTINUATION, b"x", rsv=RSV1)],
    ids=["continuation", "ping", "rsv2", "rsv3", "rsv1 and 3", "second fragment"])
def test_reserved_bits_beside_the_extension(ws, frame):
    ws.send_bytes(frame)
    assert ws.closing()[0] in (1002, 1007)


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff", b"\x07", b"\x01\x05\x00\x00\x00hello", b"\x06\xff"])
def test_data_that_is_no_deflate(ws, garbage):
    ws.send_frame(TEXT, garbage, rsv=RSV1)
    assert ws.closing()[0] in (1002, 1007)


def test_invalid_utf8_when_inflated(ws):
    ws.send_frame(TEXT, Deflater()(b"before \xff after"), rsv=RSV1)
    assert ws.closing()[0] == 1007


def test_character_cut_by_the_compressed_fragments(ws):
    compressed = Deflater()("€😀".encode() * 50)
    for number, byte in enumerate(compressed):
        ws.send_frame(CONTINUATION if number else TEXT, bytes([byte]), rsv=0 if number else RSV1,
                      fin=number == len(compressed) - 1)
    assert inflate(ws.read_frame()).decode() == "€😀" * 50


def test_bomb_is_stopped_at_the_limit(ws):
    """A megabyte of zeros is a kilobyte: what counts is the size when inflated."""
    ws.send_frame(BINARY, Deflater()(bytes(50 << 20)), rsv=RSV1)
    assert ws.closing()[0] == 1009


def test_compressed_and_plain_clients_beside_each_other(cluster):
    async def run():
        path = "/up?name=Mixed"
        async with cluster.ws(0, path, compression="deflate") as a, cluster.ws(1, path, compression=None) as b:
            for number in range(20):
                text = f"{number} " + "compressible " * 200
                await a.send('{"message":"%s","path":"Mixed"}' % text)
                assert await asyncio.wait_for(a.recv(), 10) == text
                assert await asyncio.wait_for(b.recv(), 10) == text
    asyncio.run(run())
