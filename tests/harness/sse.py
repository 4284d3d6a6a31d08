"""A client that has an event stream instead of a WebSocket, with the methods of Client.

What it is sent comes over a GET that does not end; what it says goes by POST, to any gateway. `say` returns when the
message was handled, so there is nothing to wait for in `sync`.
"""
import base64
import http.client
import json

from .raw_ws import Client, Closed, RawWs, Refused


class SseClient(RawWs):
    def __init__(self, address, path, headers=None, post_address=None, last_event_id=None, version="HTTP/1.1", **options):
        """post_address: where it posts; else where its stream is."""
        super().__init__(address, **options)
        self.path, self.headers = path, dict(headers or {})
        self.post_address = post_address or address
        self.stream = bytearray()  # without the chunks
        self.events = []           # (type, id, data, retry) of all that came
        self.inbox, self.pings, self.answers = [], [], []
        self.hello, self.end, self.is_over = None, None, False
        self.last_id = last_event_id
        fields = {"Accept": "text/event-stream", **self.headers}
        if last_event_id is not None:
            fields["Last-Event-ID"] = last_event_id
        try:
            self.request(path, fields, handshake=False, version=version)
            if self.read_head().status != 200:
                raise Refused(self.head, self.read_body())
            self._await_hello()
        except BaseException:
            self.drop()
            raise
        self.id = self.head.get("X-PODE-SIGNAL-CLIENT-ID")
        self.name = self.head.get("X-PODE-SIGNAL-NAME")
        self.group = self.head.get("X-PODE-SIGNAL-GROUP")

    def _await_hello(self):
        deadline = self._deadline(None)
        while self.hello is None and not self.is_over:
            self._read_events(deadline)
        if self.hello is None:  # refused for now
            self.head.status, self.head.reason = 503, self.end[1]
            raise Refused(self.head, self.end[1].encode())

    # -- the stream

    def _more(self, deadline):
        """Some more of the stream; False at its end."""
        if self.head.get("Transfer-Encoding") != "chunked":
            if not self.buffer and not self._fill(deadline):
                return False
            self.stream += self.buffer
            self.buffer.clear()
            return True
        while (end := self.buffer.find(b"\r\n")) < 0:
            if not self._fill(deadline):
                return False
        size = int(self.buffer[:end], 16)
        chunk = self._take(end + 2 + size + 2, deadline)
        if chunk is None:
            return False
        assert chunk.endswith(b"\r\n"), chunk[-40:]
        self.stream += chunk[end + 2:-2]
        return size > 0

    def _read_events(self, deadline):
        """What has come by now, at least one event or the end."""
        while not self.is_over and b"\n\n" not in self.stream:
            self.is_over = not self._more(deadline)
        while (end := self.stream.find(b"\n\n")) >= 0:
            text = self.stream[:end].decode()
            del self.stream[:end + 2]
            self._on_event(text)

    def _on_event(self, text):
        kind, id, data, retry = None, None, [], None
        for line in text.split("\n"):
            field, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if field == "event":
                kind = value
            elif field == "id":
                self.last_id = id = value
            elif field == "data":
                data.append(value)
            elif field == "retry":
                retry = int(value)
        data = "\n".join(data)
        self.events.append((kind, id, data, retry))
        if kind is None:
            self.inbox.append(data)
        elif kind == "binary":
            self.inbox.append(base64.b64decode(data, validate=True))
        elif kind == "hello":
            self.hello = json.loads(data)
            if "signalbox=v1" in self.path:
                self.inbox.append(data)
        elif kind == "ping":
            self.pings.append(id)
        elif kind == "live":
            self.inbox.append(data)
        else:
            assert kind == "close", text
            end = json.loads(data)
            self.end = end["code"], end["reason"]

    def recv(self, timeout=None):
        """The next message: str or bytes. Raises Closed."""
        deadline = self._deadline(timeout)
        while not self.inbox:
            if self.is_over:
                raise Closed(*(self.end or (1006, "")))
            self._read_events(deadline)
        return self.inbox.pop(0)

    def wait_ping(self, timeout=20.0):
        deadline = self._deadline(timeout)
        before = len(self.pings)
        while len(self.pings) == before:
            self._read_events(deadline)
        return self.pings[-1]

    recv_json, take, until = Client.recv_json, Client.take, Client.until

    def closing(self, timeout=None):
        """Wait for the end; messages before it stay in the inbox. Returns (code, reason)."""
        deadline = self._deadline(timeout)
        while not self.is_over:
            self._read_events(deadline)
        return self.end or (1006, "")

    def close(self, code=1000, reason=""):
        """A client has no word for it: it ends its side."""
        self.half_close()
        self.closing()
        self.drop()
        return code, reason

    # -- the way up

    def post(self, body, headers=None, address=None, timeout=15.0):
        """(status, text) of the answer."""
        fields = {"X-PODE-SIGNAL-CLIENT-ID": self.id, "X-PODE-SIGNAL-NAME": self.name, **self.headers, **(headers or {})}
        host, port = (address or self.post_address)[:2]
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
        try:
            connection.request("POST", self.path, body.encode() if isinstance(body, str) else body,
                               {key: value.encode("utf-8", "surrogateescape") for key, value in fields.items() if value is not None})
            answer = connection.getresponse()
            answer.text = answer.read().decode()
        finally:
            connection.close()
        self.answers.append(answer)
        return answer

    def say(self, message, **fields):
        """Send the seed's JSON object; the answer."""
        return self.send_json({"message": message, **fields})

    def send_json(self, value):
        return self.post(json.dumps(value))

    def send_text(self, text):
        return self.post(text)

    def sync(self):
        """What was said before has been handled."""
