"""Many Signal connections on one WebSocket: Multiplex is the socket, each Channel a client with the methods of Client."""
import base64
import collections
import json
import time

from .raw_ws import Client, Closed, Head, Refused

V1 = {"Sec-WebSocket-Protocol": "signalbox.v1"}


class Multiplex(Client):
    """The socket. What comes for a channel goes to its `frames`, the rest to our own."""

    def __init__(self, address, headers=None, path="/.signalbox", **options):
        self.channels, self.frames, self.answers = {}, collections.deque(), {}
        super().__init__(address, path, {**V1, **(headers or {})}, **options)
        self.refs = 0
        self.welcome = self.recv_frame()
        assert self.welcome["type"] == "welcome", self.welcome

    def read_one(self, deadline):
        """Reads one frame and hands it out."""
        while not self.inbox:
            self._on_frame(self.read_frame(deadline - time.monotonic()))
        text = self.inbox.popleft()
        frame = json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 20 else digits)
        if frame["type"] == "hello" or (frame["type"] in ("error", "closed") and "channel" not in frame and "ref" in frame):
            self.answers[json.dumps(frame["ref"])] = frame
        channel = self.channels.get(frame.get("channel"))
        if frame["type"] == "hello" and channel is None:
            channel = self.channels[frame["channel"]] = collections.deque()
        if channel is None:
            self.frames.append(frame)
        else:
            channel.append((frame, text))

    def sync(self):
        super().sync()
        while self.inbox:
            self.read_one(self._deadline(None))

    def recv_frame(self, timeout=None):
        """The next frame that is of no channel that was opened."""
        deadline = self._deadline(timeout)
        while not self.frames:
            self.read_one(deadline)
        return self.frames.popleft()

    def ask(self, path, ref=None, **fields):
        """Sends an open; its ref."""
        self.refs += 1
        ref = f"r{self.refs}" if ref is None else ref
        self.send_json({"type": "open", "ref": ref, "path": path, **fields})
        return ref

    def answer(self, ref, timeout=None):
        """The hello, the error or the closed of an open."""
        deadline, key = self._deadline(timeout), json.dumps(ref)
        while key not in self.answers:
            self.read_one(deadline)
        frame = self.answers.pop(key)
        if frame in self.frames:
            self.frames.remove(frame)
        return frame

    def opened(self, ref, **options):
        """The channel of an open, or Refused."""
        frame = self.answer(ref)
        if frame["type"] != "hello":
            head = Head(f"HTTP/1.1 {frame.get('status', 499)} {frame.get('message')}")
            raise Refused(head, frame.get("message", "").encode())
        return Channel(self, frame, **options)

    def open(self, path, ref=None, **fields):
        return self.opened(self.ask(path, ref, **fields))


def group_header(groups):
    """As the 101 of a WebSocket of its own has it; None without one."""
    if len(groups) < 2:
        return groups[0] if groups else None
    return ",".join(group.replace("%", "%25").replace(",", "%2C") for group in groups)


class Channel:
    """recv gives the frames of signalbox.v1 without the channel; is_plain: messages, as a plain client has them."""

    def __init__(self, socket, hello, is_plain=False, has_hello=False):
        """has_hello: recv gives it, too."""
        self.socket, self.hello, self.is_plain = socket, hello, is_plain
        self.number = hello["channel"]
        self.frames = socket.channels[self.number]
        self.inbox, self.end = collections.deque(), None
        self.id, self.name, self.group = hello["clientId"], hello["name"], hello["group"]
        fields = {"CLIENT-ID": self.id, "NAME": self.name, "GROUP": group_header(hello["groups"])}
        self.head = Head("\r\n".join([socket.head.text] + [f"X-PODE-SIGNAL-{key}: {value}" for key, value in fields.items() if value]))
        self.timeout = socket.timeout
        if not has_hello:
            self.frames.popleft()

    def __getattr__(self, name):
        """What is done to the socket: send_frame, reset, half_close, …"""
        return getattr(self.socket, name)

    @staticmethod
    def _plain(frame, text):
        """The data as it stands in the frame, behind the name."""
        _, end = json.JSONDecoder().raw_decode(text, text.index(',"name":') + 8)
        data = text[end + len(',"data":'):]
        if frame.get("binary"):
            return base64.b64decode(frame["data"], validate=True)
        return frame["data"] if isinstance(frame["data"], str) else data[:-1]

    def _take_in(self, frame, text):
        assert text.startswith('{"channel":%d,' % self.number), text
        if frame["type"] == "closed":
            self.end = frame["code"], frame["reason"]
            self.closed = frame
        if not self.is_plain:
            self.inbox.append("{" + text[len('{"channel":%d,' % self.number):])
        elif frame["type"] == "message":
            self.inbox.append(self._plain(frame, text))

    def _read(self, deadline):
        while not self.frames:
            self.socket.read_one(deadline)
        self._take_in(*self.frames.popleft())

    def recv(self, timeout=None):
        deadline = self.socket._deadline(timeout)
        while not self.inbox:
            if self.end is not None:
                raise Closed(*self.end)
            self._read(deadline)
        return self.inbox.popleft()

    recv_json, take, until = Client.recv_json, Client.take, Client.until

    def say(self, message, **fields):
        self.send_json({"message": message, **fields})

    def send_json(self, value):
        self.socket.send_json({"channel": self.number, **value})

    def send_text(self, text):
        """A JSON object as it stands."""
        inner = text.lstrip()
        assert inner.startswith("{"), "a channel carries JSON objects"
        comma = "" if inner[1:].lstrip().startswith("}") else ","
        self.socket.send_text('{"channel":%d%s' % (self.number, comma) + inner[1:])

    def sync(self):
        self.socket.sync()

    def is_ended(self, timeout=None):
        """Nothing follows `closed`."""
        self.socket.sync()
        return self.end is not None and not self.frames

    def closing(self, timeout=None):
        deadline = self.socket._deadline(timeout)
        try:
            while self.end is None:
                self._read(deadline)
        except Closed as closed:
            return closed.code, closed.reason
        return self.end

    def close(self, code=1000, reason=""):
        """A channel ends without a code."""
        self.socket.send_json({"type": "close", "channel": self.number})
        return self.closing()

    def drop(self):
        """A channel breaks with its socket."""
        self.socket.drop()
