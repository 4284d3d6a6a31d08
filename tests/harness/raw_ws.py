"""WebSocket clients on plain sockets.

RawWs sends any bytes and any frames, right or wrong, and reads the response head and the frames exactly as they come.
Client adds messages: fragments are joined, compressed ones inflated, pings are answered, a close is answered and raised
as Closed.
Every read has a deadline; nothing here waits for ever.
"""
import base64
import collections
import json
import os
import re
import socket
import time
import zlib

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="

Frame = collections.namedtuple("Frame", "fin rsv opcode masked payload")


class Refused(Exception):
    """The handshake was answered by something else than 101."""

    def __init__(self, head, body):
        super().__init__(f"{head.status} {head.reason}: {body[:200]!r}")
        self.head, self.status, self.body = head, head.status, body


class Closed(Exception):
    """The connection is over: a close frame came (code None when its body was empty) or the stream ended (1006)."""

    def __init__(self, code, reason=""):
        super().__init__(f"{code} {reason}")
        self.code, self.reason = code, reason


class Head:
    """A response head; headers keep their order and spelling."""

    def __init__(self, text):
        lines = text.split("\r\n")
        self.text = text
        self.version, status, self.reason = (lines[0].split(" ", 2) + [""])[:3]
        self.status = int(status)
        self.headers = [tuple(line.split(": ", 1)) for line in lines[1:] if line]

    def get(self, name, default=None):
        return next((value for key, value in self.headers if key.lower() == name.lower()), default)

    def names(self):
        return [key for key, _ in self.headers]


def mask_bytes(payload, key):
    """XOR with the repeated key, as one big integer: fast enough for megabytes."""
    size = len(payload)
    pad = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")


def encode_frame(opcode, payload=b"", fin=True, rsv=0, mask=True, length_form=None):
    """One frame. length_form forces 7, 16 or 64 bits, also where the shorter one is required."""
    if isinstance(payload, str):
        payload = payload.encode()
    size = len(payload)
    form = length_form or (7 if size < 126 else 16 if size < 65536 else 64)
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if mask else 0
    if form == 7:
        head += bytes([bit | size])
    elif form == 16:
        head += bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + size.to_bytes(8, "big")
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + mask_bytes(payload, key)


def deflated(payload, level=6, bits=15, flush=zlib.Z_SYNC_FLUSH):
    """What permessage-deflate makes of a payload (RFC 7692, 7.2.1)."""
    if isinstance(payload, str):
        payload = payload.encode()
    engine = zlib.compressobj(level, zlib.DEFLATED, -bits)
    out = engine.compress(payload) + engine.flush(flush)
    return out[:-4] if flush == zlib.Z_SYNC_FLUSH else out + b"\0"


def inflated(payload, bits=15):
    """The opposite, with a window of 2 ** bits and nothing left over."""
    engine = zlib.decompressobj(-bits)
    out = engine.decompress(payload + b"\0\0\xff\xff")
    assert not engine.eof and not engine.unconsumed_tail, "a final block, or something after the end"
    return out


def close_body(code, reason=""):
    return code.to_bytes(2, "big") + reason.encode()


class RawWs:
    def __init__(self, address, tls=None, timeout=10.0, receive_buffer=None, source=None):
        """receive_buffer: bytes that the kernel keeps for us, for clients that read slowly. source: our own address."""
        self.timeout = timeout
        self.address = address
        self.sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.sock.bind((source, 0))
        self.sock.settimeout(timeout)
        self.sock.connect(address[:2])
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.buffer = bytearray()
        self.head = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.drop()

    # -- bytes

    def send_bytes(self, data):
        self.sock.settimeout(self.timeout)
        self.sock.sendall(data)

    def _fill(self, deadline):
        """Read some more; False at the end of the stream."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"nothing more came; have {bytes(self.buffer[:200])!r}")
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(1 << 18)
        except socket.timeout:
            raise TimeoutError(f"nothing more came; have {bytes(self.buffer[:200])!r}") from None
        except ConnectionError:
            return False
        self.buffer += data
        return bool(data)

    def _take(self, size, deadline):
        """The next size bytes, or None at the end of the stream."""
        while len(self.buffer) < size:
            if not self._fill(deadline):
                return None
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def _deadline(self, timeout):
        return time.monotonic() + (self.timeout if timeout is None else timeout)

    def read_to_end(self, timeout=None):
        deadline = self._deadline(timeout)
        while self._fill(deadline):
            pass
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def is_ended(self, timeout=None):
        """Wait for the end of the stream; bytes before it are an error."""
        return self.read_to_end(timeout) == b""

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def drop(self):
        self.sock.close()

    def reset(self):
        """End with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    # -- HTTP

    def request_text(self, path, headers=None, method="GET", version="HTTP/1.1", handshake=True):
        """A request head. A header whose value is None is left out, so a test can remove the usual ones."""
        host, port = self.address[:2]
        fields = {"Host": f"[{host}]:{port}" if ":" in host else f"{host}:{port}"}
        if handshake:
            fields.update({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": KEY,
                           "Sec-WebSocket-Version": "13"})
        fields.update(headers or {})
        lines = [f"{method} {path} {version}"] + [f"{k}: {v}" for k, v in fields.items() if v is not None]
        return "\r\n".join(lines) + "\r\n\r\n"

    def request(self, path, headers=None, **options):
        self.send_bytes(self.request_text(path, headers, **options).encode())
        return self

    def read_head(self, timeout=None):
        deadline = self._deadline(timeout)
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            if not self._fill(deadline):
                raise Closed(1006, f"no response head; have {bytes(self.buffer[:200])!r}")
        text = self.buffer[:end].decode("utf-8", "surrogateescape")
        del self.buffer[:end + 4]
        self.head = Head(text)
        return self.head

    def read_body(self, timeout=None):
        return self._take(int(self.head.get("Content-Length", "0")), self._deadline(timeout)) or b""

    def upgrade(self, path, headers=None, **options):
        """Handshake; raises Refused unless the answer is 101."""
        self.request(path, headers, **options)
        if self.read_head().status != 101:
            raise Refused(self.head, self.read_body())
        return self

    # -- frames

    def send_frame(self, opcode, payload=b"", **how):
        self.send_bytes(encode_frame(opcode, payload, **how))

    def read_frame(self, timeout=None):
        """The next frame, or None at the end of the stream."""
        deadline = self._deadline(timeout)
        head = self._take(2, deadline)
        if head is None:
            return None
        size = head[1] & 0x7F
        if size > 125:
            size = int.from_bytes(self._take(2 if size == 126 else 8, deadline) or b"", "big")
        masked = bool(head[1] & 0x80)
        key = self._take(4, deadline) if masked else None
        payload = self._take(size, deadline)
        if payload is None:
            return None
        if masked:
            payload = mask_bytes(payload, key)
        return Frame(bool(head[0] & 0x80), head[0] >> 4 & 7, head[0] & 15, masked, payload)


class Client(RawWs):
    """A well-behaved client: see the head of this file."""

    def __init__(self, address, path, headers=None, deflate=None, **options):
        """deflate: the offer of Sec-WebSocket-Extensions."""
        super().__init__(address, **options)
        if deflate:
            headers = {"Sec-WebSocket-Extensions": deflate, **(headers or {})}
        self.inbox = collections.deque()
        self.pongs = collections.deque()
        self.pings = []
        self.parts = None
        try:
            self.upgrade(path, headers)
        except BaseException:
            self.drop()
            raise
        self.extensions = self.head.get("Sec-WebSocket-Extensions")
        limit = re.search(r"server_max_window_bits=(\d+)", self.extensions or "")
        self.window_bits = int(limit[1]) if limit else 15
        self.compressed = []  # the payloads of messages that came compressed, as they came
        self.id = self.head.get("X-PODE-SIGNAL-CLIENT-ID")
        self.name = self.head.get("X-PODE-SIGNAL-NAME")
        self.group = self.head.get("X-PODE-SIGNAL-GROUP")

    def say(self, message, **fields):
        """Send the seed's JSON object."""
        self.send_json({"message": message, **fields})

    def send_json(self, value):
        self.send_text(json.dumps(value))

    def send_text(self, text):
        self.send_frame(TEXT, text)

    def send_compressed(self, text, opcode=TEXT, **how):
        self.send_frame(opcode, deflated(text, **how), rsv=4)

    def recv(self, timeout=None):
        """The next message: str or bytes. Raises Closed."""
        deadline = self._deadline(timeout)
        while not self.inbox:
            self._on_frame(self.read_frame(deadline - time.monotonic()))
        return self.inbox.popleft()

    def recv_json(self, timeout=None):
        return json.loads(self.recv(timeout))

    def take(self, count, timeout=None):
        return [self.recv(timeout) for _ in range(count)]

    def until(self, token, timeout=None):
        """What came before the message token."""
        before = []
        while (message := self.recv(timeout)) != token:
            before.append(message)
        return before

    def sync(self):
        """Ping and wait for the pong: whatever was sent before has been read by the gateway."""
        payload = os.urandom(8)
        self.send_frame(PING, payload)
        deadline = self._deadline(None)
        while payload not in self.pongs:
            self._on_frame(self.read_frame(deadline - time.monotonic()))
        self.pongs.clear()

    def closing(self, timeout=None):
        """Wait for the close; messages before it stay in the inbox. Returns (code, reason)."""
        deadline = self._deadline(timeout)
        try:
            while True:
                self._on_frame(self.read_frame(deadline - time.monotonic()))
        except Closed as closed:
            return closed.code, closed.reason

    def close(self, code=1000, reason=""):
        """The closing handshake, begun here; returns the server's (code, reason)."""
        self.send_frame(CLOSE, close_body(code, reason) if code else b"")
        answer = self.closing()
        self.drop()
        return answer

    def _on_frame(self, frame):
        if frame is None:
            raise Closed(1006)
        assert not frame.masked, "a server must not mask"
        if frame.opcode == PING:
            self.pings.append(frame.payload)
            self.send_frame(PONG, frame.payload)
        elif frame.opcode == PONG:
            self.pongs.append(frame.payload)
        elif frame.opcode == CLOSE:
            self._answer_close(frame.payload)
            code = int.from_bytes(frame.payload[:2], "big") if frame.payload else None
            raise Closed(code, frame.payload[2:].decode())
        else:
            self._on_data(frame)

    def _answer_close(self, body):
        try:
            self.send_frame(CLOSE, body)
        except OSError:
            pass

    def _on_data(self, frame):
        if frame.opcode != CONTINUATION:
            assert self.parts is None, "a new message inside a fragmented one"
            self.parts = (frame.opcode, [])
            assert frame.rsv == 0 or (frame.rsv == 4 and self.extensions and frame.fin), "a bit nobody agreed on"
        self.parts[1].append(frame.payload)
        if frame.fin:
            opcode, parts = self.parts
            self.parts = None
            data = b"".join(parts)
            if frame.rsv:
                self.compressed.append(data)
                data = inflated(data, self.window_bits)
            self.inbox.append(data.decode() if opcode == TEXT else data)


def fresh_key():
    return base64.b64encode(os.urandom(16)).decode()
