#!/usr/bin/python3
"""A player in Python (see ../promises.py): clients over WebSockets of the package websockets, compressed, and over event
streams with POST, on plain asyncio. What is not answered in time is said again, over the same connection or the next one. Its
one argument is JSON:

    {"port": 8091, "rate": 5, "clients": [{"key": "ws0", "transport": "ws", "path": "/n/n0", "names": ["n0", "n3"]}]}

names: those that it says something to, in turn. Where the path gives no client id, its own is kept by the token of its hello.
"""
import asyncio
import collections
import json
import random
import sys
import time
import urllib.parse

import websockets

WINDOW = 20          # said and not acknowledged
PATIENCE_S = 6.0     # without any byte, and for an answer
ANSWER_S = 4.0       # later than that an acknowledgement was lost, although the connection lives
NOT_NOW = {404, 409, 429, 503, 504}  # a POST so answered may be repeated


def note(**line):
    print(json.dumps(line), flush=True)


def spoken(message):
    return {key: message[key] for key in ("message", "path")}


class Stop(Exception):
    """This connection is no use any more."""


class Client:
    def __init__(self, port, key, path, names, rate, transport):
        self.port, self.key, self.path, self.names, self.rate = port, key, path, names, rate
        self.transport = transport(self)
        self.waiting = collections.OrderedDict()  # uid -> message, said and not answered
        self.token = self.position = self.hello = None
        self.count, self.pause_s = 0, 0.0
        self.is_talking, self.is_over = True, False

    def note(self, kind, **fields):
        note(c=self.key, k=kind, **fields)

    async def run(self):
        while not self.is_over:
            self.pause_s = random.uniform(0.02, 0.3)
            try:
                await self.transport.run()
            except (OSError, EOFError, asyncio.TimeoutError, websockets.WebSocketException, Stop):
                pass
            except Exception as error:  # the test has to fail
                self.note("trouble", what=repr(error))
                raise
            self.transport.lost()
            if not self.is_over:
                await asyncio.sleep(self.pause_s)

    def target(self, **query):
        if self.token:
            query["signalbox-resume"] = f"{self.token}~{self.position}"
        elif self.position:
            query["signalbox-resume"] = self.position
        return self.path + ("&" if "?" in self.path else "?") + urllib.parse.urlencode(query)

    # -- what comes

    def on_frame(self, frame):
        kind = frame["type"]
        if kind == "hello":
            self.hello, self.token = frame, frame.get("resume")
            self.note("open", name=frame["name"], recovered=frame["recovered"], id=frame["id"])
            if frame["recovered"] is False:
                self.note("gap")
            if not frame["recovered"]:
                self.position = frame["id"]
        elif kind == "message":
            self.position = frame["id"]
            self.note("message", id=frame["id"], uid=frame["data"]["uid"])
        elif kind == "position":
            self.position = frame["id"]
        elif kind == "ack":
            self.settle(frame["ref"], "acked", id=frame["id"])
        elif kind == "error" and "retryMs" not in frame:
            self.settle(frame["ref"], "failed", code=frame["code"])
        elif kind == "error":
            self.transport.again(frame["ref"], frame["retryMs"] / 1000)
        elif kind == "closed":
            self.pause_s = frame.get("retryMs", 100) / 1000
        elif kind not in ("live", "pong"):
            self.note("trouble", what=f"an unknown frame: {frame}")

    # -- what it says

    def settle(self, uid, kind, **fields):
        if self.waiting.pop(uid, None) is not None:
            self.note(kind, uid=uid, **fields)

    async def talk(self):
        while not self.is_over:
            await asyncio.sleep(random.uniform(0.5, 1.5) / self.rate)
            if self.is_talking and len(self.waiting) < WINDOW:
                uid, name = f"{self.key}:{self.count}", self.names[self.count % len(self.names)]
                self.count += 1
                self.waiting[uid] = {"message": {"uid": uid}, "path": name, "since": time.monotonic()}
                self.note("said", uid=uid, name=name)
                await self.transport.say(uid)


class WebSocket:
    """A connection of the package websockets; what was not answered is said again on the next one."""

    def __init__(self, client):
        self.client, self.socket, self.sent_at = client, None, 0.0

    async def run(self):
        client = self.client
        url = f"ws://127.0.0.1:{client.port}{client.target()}"
        async with websockets.connect(url, subprotocols=["signalbox.v1"], open_timeout=PATIENCE_S, close_timeout=0.1,
                                      ping_interval=2, ping_timeout=PATIENCE_S) as socket:
            while not client.is_over:
                client.on_frame(json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S)))
                if self.socket is None or self.is_late():
                    self.sent_at = time.monotonic()
                    for uid in list(client.waiting):  # talk() may add some meanwhile
                        await self.send(socket, uid)
                    self.socket = socket
            await socket.close()

    def lost(self):
        self.socket = None

    def is_late(self):
        oldest = next(iter(self.client.waiting.values()), None)
        return oldest is not None and time.monotonic() - max(oldest["since"], self.sent_at) > ANSWER_S

    async def say(self, uid):
        if self.socket is not None:
            try:
                await self.send(self.socket, uid)
            except websockets.ConnectionClosed:
                pass

    async def send(self, socket, uid):
        if uid in self.client.waiting:
            await socket.send(json.dumps({**spoken(self.client.waiting[uid]), "id": uid, "ref": uid}))

    def again(self, uid, seconds):
        asyncio.get_running_loop().call_later(seconds, lambda: asyncio.ensure_future(self.say(uid)))


class EventStream:
    """An event stream of v1 frames, and a POST for each message, one after the other."""

    def __init__(self, client):
        self.client, self.poster = client, None

    async def run(self):
        client = self.client
        self.poster = self.poster or asyncio.ensure_future(self.post_all())
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", client.port), PATIENCE_S)
        try:
            writer.write(f"GET {client.target(signalbox='v1')} HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\n"
                         "Accept: text/event-stream\r\n\r\n".encode())
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
            if not head.startswith(b"HTTP/1.1 200"):
                raise Stop
            stream = b""
            while not client.is_over:
                size = int(await asyncio.wait_for(reader.readuntil(b"\r\n"), PATIENCE_S), 16)
                stream += (await asyncio.wait_for(reader.readexactly(size + 2), PATIENCE_S))[:-2]
                if size == 0:
                    return
                *events, stream = stream.split(b"\n\n")
                for event in events:
                    for line in event.split(b"\n"):
                        if line.startswith(b"data: {"):
                            client.on_frame(json.loads(line[6:]))
        finally:
            writer.transport.abort()

    def lost(self):
        pass

    async def say(self, uid):
        pass  # post_all finds it

    async def post_all(self):
        client = self.client
        while True:
            if not client.waiting or client.hello is None:
                await asyncio.sleep(0.02)
                continue
            uid, message = next(iter(client.waiting.items()))
            try:
                status, body = await asyncio.wait_for(self.post(uid, message), 12)
            except (OSError, EOFError, ValueError, asyncio.TimeoutError):
                status, body = 0, b""
            if status == 202:
                client.settle(uid, "acked", id=json.loads(body)["id"])
            elif status in NOT_NOW or status == 0:
                await asyncio.sleep(random.uniform(0.02, 0.2))
            else:
                client.settle(uid, "failed", code=f"{status} {body.decode()}")

    async def post(self, uid, message):
        client = self.client
        body = json.dumps(spoken(message))
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        try:
            writer.write(f"POST {client.path} HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nConnection: close\r\n"
                         f"X-PODE-SIGNAL-CLIENT-ID: {client.hello['clientId']}\r\nX-PODE-SIGNAL-NAME: {client.hello['name']}\r\n"
                         f"Idempotency-Key: \"{uid}\"\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            head, _, text = (await reader.read()).partition(b"\r\n\r\n")
            if b"\r\ncontent-length: %d\r\n" % len(text) not in head.lower() + b"\r\n":
                raise EOFError  # cut in the middle of the answer
            return int(head.split()[1]), text
        finally:
            writer.transport.abort()


async def main(config):
    clients = [Client(config["port"], one["key"], one["path"], one["names"], config["rate"],
                      WebSocket if one["transport"] == "ws" else EventStream) for one in config["clients"]]
    loop = asyncio.get_running_loop()
    runs = [loop.create_task(client.run()) for client in clients]
    talks = [loop.create_task(client.talk()) for client in clients]
    words = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(words), sys.stdin)
    while (word := (await words.readline()).strip()) != b"end":
        assert word == b"hush", word
        for client in clients:
            client.is_talking = False
        while any(client.waiting for client in clients):
            await asyncio.sleep(0.05)
        note(k="hushed")
    for client in clients:
        client.is_over = True
    for task in runs + talks + [client.transport.poster for client in clients if hasattr(client.transport, "poster")]:
        task.cancel()
    await asyncio.gather(*runs, *talks, return_exceptions=True)
    note(k="ended", held=[])


asyncio.run(main(json.loads(sys.argv[1])))
