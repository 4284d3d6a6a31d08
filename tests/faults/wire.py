"""A WebSocket client as an asyncio protocol: small, quick, and honest about how a connection ended.

The owner has on_open(wire, head), on_refused(wire, status), on_text(wire, text), on_pong(wire, payload) and
on_end(wire, code): exactly one of on_refused and on_end comes last; code is that of the close frame, or 1006.
"""
import asyncio

from harness import CLOSE, PING, PONG, TEXT, close_body, encode_frame
from harness.raw_ws import KEY, Head


class Wire(asyncio.Protocol):
    def __init__(self, owner, port, path, headers=None):
        fields = {"Host": f"127.0.0.1:{port}", "Upgrade": "websocket", "Connection": "Upgrade",
                  "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "13", **(headers or {})}
        self.request = "\r\n".join([f"GET {path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items())]) + "\r\n\r\n"
        self.owner, self.port = owner, port
        self.transport = None
        self.buffer = bytearray()
        self.is_open = self.is_refused = self.is_paused = False
        self.code = 1006

    async def connect(self, timeout=2.0):
        """Raises OSError or asyncio.TimeoutError when there is no TCP connection; the rest comes as events."""
        loop = asyncio.get_running_loop()
        await asyncio.wait_for(loop.create_connection(lambda: self, "127.0.0.1", self.port), timeout)

    # -- out

    def send_text(self, text):
        self.transport.write(encode_frame(TEXT, text))

    def ping(self, payload):
        self.transport.write(encode_frame(PING, payload))

    def close(self):
        """Begins the closing handshake."""
        self.transport.write(encode_frame(CLOSE, close_body(1000)))

    def abort(self):
        self.transport.abort()

    # -- asyncio's events

    def connection_made(self, transport):
        self.transport = transport
        transport.write(self.request.encode())

    def pause_writing(self):
        self.is_paused = True

    def resume_writing(self):
        self.is_paused = False

    def connection_lost(self, _):
        if not self.is_refused:
            self.owner.on_end(self, self.code)

    def data_received(self, data):
        self.buffer += data
        if self.is_open or self._read_head():
            self._read_frames()

    # -- in

    def _read_head(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = Head(self.buffer[:end].decode())
        del self.buffer[:end + 4]
        if head.status != 101:
            self.is_refused = True
            self.owner.on_refused(self, head.status)
            self.transport.abort()
            return False
        self.is_open = True
        self.owner.on_open(self, head)
        return True

    def _read_frames(self):
        buffer, at, size_of = self.buffer, 0, len(self.buffer)
        while at + 2 <= size_of:
            size, start = buffer[at + 1], at + 2
            if size > 125:
                width = 2 if size == 126 else 8
                if start + width > size_of:
                    break
                size, start = int.from_bytes(buffer[start:start + width], "big"), start + width
            if start + size > size_of:
                break
            self._on_frame(buffer[at] & 15, bytes(buffer[start:start + size]))
            at = start + size
        del buffer[:at]

    def _on_frame(self, opcode, payload):
        if opcode == TEXT:
            self.owner.on_text(self, payload.decode())
        elif opcode == PING:
            self.transport.write(encode_frame(PONG, payload))
        elif opcode == PONG:
            self.owner.on_pong(self, payload)
        elif opcode == CLOSE:
            self.code = int.from_bytes(payload[:2], "big") if payload else 1005
            if not self.transport.is_closing():
                self.transport.write(encode_frame(CLOSE, payload[:2]))
                self.transport.close()
