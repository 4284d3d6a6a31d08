"""Many listening clients read by one thread, cheap enough for millions of messages.

Clients that get the same messages in the same order get the same bytes, so only one stream needs parsing: the others
are compared with it, and parsed only where they differ (a ping may lie between).
"""
import selectors
import threading
import time

from .raw_ws import CLOSE, TEXT, RawWs


class Fanout:
    def __init__(self, addresses, path, count):
        """count clients, spread over the addresses in turn."""
        self.clients = [RawWs(addresses[i % len(addresses)]).upgrade(path) for i in range(count)]
        self.ended = set()
        self.stopping = threading.Event()
        self.selector = selectors.DefaultSelector()
        for client in self.clients:
            client.sock.setblocking(False)
            self.selector.register(client.sock, selectors.EVENT_READ, client)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
        for client in self.clients:
            client.drop()

    def _run(self):
        while not self.stopping.is_set():
            for key, _ in self.selector.select(timeout=0.1):
                self._read(key.data)

    def _read(self, client):
        try:
            data = client.sock.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client.buffer += data
        if not data:
            self.ended.add(client)
            self.selector.unregister(client.sock)

    def wait_for(self, total_bytes, timeout):
        """Wait until each client has read at least that many bytes of frames."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if all(len(client.buffer) >= total_bytes for client in self.clients):
                return
            if self.ended:
                break
            self.stopping.wait(0.05)
        sizes = sorted(len(client.buffer) for client in self.clients)
        raise AssertionError(f"{total_bytes} bytes expected; clients have {sizes[0]}..{sizes[-1]}; "
                             f"{len(self.ended)} ended")

    def messages(self):
        """Per client the list of its messages; equal streams share one list."""
        parsed = {}
        for raw in {bytes(client.buffer) for client in self.clients}:
            parsed[raw] = parse_messages(raw)
        return [parsed[bytes(client.buffer)] for client in self.clients]


def parse_messages(raw):
    """Unfragmented text messages of a stream of server frames; control frames are skipped, a close ends it."""
    messages, at, size_of = [], 0, len(raw)
    while at + 2 <= size_of:
        opcode, size, start = raw[at] & 15, raw[at + 1], at + 2
        if size > 125:
            width = 2 if size == 126 else 8
            size, start = int.from_bytes(raw[start:start + width], "big"), start + width
        if opcode == CLOSE:
            break
        if opcode == TEXT:
            assert raw[at] & 0x80, "unfragmented messages expected here"
            messages.append(raw[start:start + size].decode())
        at = start + size
    return messages


def frame_size(payload_size):
    """Bytes of a server frame with that payload."""
    return payload_size + (2 if payload_size < 126 else 4 if payload_size < 65536 else 10)
