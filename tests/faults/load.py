"""The load of a fault test: clients that listen, clients that come and go, and publishers that keep books.

Everything with a WebSocket lives in one asyncio thread (Load.loop); publishers by XADD are threads. `Books` is what
they all write to: what was sent and accepted, and every connection with what it received. Nothing here judges.

To add a kind of client: a subclass of Client. To add a publisher: something that calls Books.begin and Books.accept.
"""
import asyncio
import itertools
import json
import os
import random
import threading
import time
import urllib.parse

import redis

from invariants import EVERY, Connection, Sent, parse_id
from wire import Wire

NAMES = [f"n{number}" for number in range(8)]
HANDSHAKE_TIMEOUT = 5.0
WINDOW = 16  # messages of a publisher that nobody has acknowledged yet


class Books:
    """What happened, as the test's own processes saw it. The accepted uids are also in a file, for the time after."""

    def __init__(self, path):
        self.sent, self.connections = {}, []  # connections of the Names under test; of others nothing is checked
        self.tokens = itertools.count()
        self.file = open(path, "w", buffering=1)
        self.synced = time.monotonic()
        self.lock = threading.Lock()

    def begin(self, sender, n, name):
        sent = Sent(f"{sender}:{n}", name, sender, n, time.monotonic())
        self.sent[sent.uid] = sent
        return sent

    def accept(self, sent):
        if sent.accepted is not None:
            return
        sent.accepted = time.monotonic()
        with self.lock:
            if self.file.closed:
                return
            self.file.write(f"{sent.accepted:.6f} {sent.name} {sent.uid}\n")
            if sent.accepted - self.synced > 1.0:
                os.fdatasync(self.file.fileno())
                self.synced = sent.accepted

    def disown(self, gateway):
        """The gateway died: what was accepted by its word alone may or may not have got further."""
        for sent in list(self.sent.values()):
            if sent.gateway == gateway:
                sent.accepted = None

    def connection(self, client, name, gateway, is_v1):
        made = Connection(f"t{next(self.tokens)}", client, name, gateway, is_v1, began=time.monotonic())
        if name in NAMES:
            self.connections.append(made)
        return made

    def close(self):
        with self.lock:
            self.file.close()


def body_of(sent):
    return {"uid": sent.uid, "from": sent.sender, "n": sent.n}


class Client:
    """One client of a Name: connects, listens, and when its connection ends connects to the next gateway.

    A v1 client resumes from the last id it saw. is_eager False: the end of its connection is the end of it.
    """

    def __init__(self, load, name, gateway, is_v1, client_id, route="n", is_eager=True):
        self.load, self.name, self.gateway, self.is_v1 = load, name, gateway, is_v1
        self.client_id, self.route, self.is_eager = client_id, route, is_eager
        self.wire = self.connection = None
        self.last = None  # the latest id seen
        self.pause = 0.0
        self.count = 0
        self.is_over = False

    @property
    def is_open(self):
        return self.connection is not None and self.connection.is_open

    # -- connecting

    def path(self):
        query = {"client_id": self.client_id, "token": self.connection.token}
        if self.connection.resumed:
            query["signalbox-resume"] = "%d-%d" % self.connection.resumed
        return f"/{self.route}/{self.name}?{urllib.parse.urlencode(query)}"

    def start(self):
        if not self.is_over and not self.load.is_over:
            self.load.loop.create_task(self._connect())

    async def _connect(self):
        self.connection = self.load.books.connection(self.client_id, self.name, self.gateway, self.is_v1)
        self.connection.resumed = self.last if self.is_v1 else None
        self.count += 1
        headers = {"Sec-WebSocket-Protocol": "signalbox.v1"} if self.is_v1 else None
        self.wire = Wire(self, self.load.ports[self.gateway], self.path(), headers)
        wire = self.wire
        try:
            await wire.connect()
        except (OSError, asyncio.TimeoutError):
            self._ended(self.connection, 1006)
            return
        self.load.loop.call_later(HANDSHAKE_TIMEOUT, lambda: wire.is_open or wire.abort())

    def _ended(self, connection, code):
        connection.ended, connection.code = time.monotonic(), code
        if not self.is_eager or self.is_over:
            return
        self.gateway = (self.gateway + 1) % len(self.load.ports)
        self.pause = 0.02 if connection.opened else min(max(self.pause * 2, 0.05), 0.5)
        self.load.loop.call_later(self.pause * random.uniform(0.5, 1.5), self.start)

    def say(self, message):
        """Any thread may call it. Not for the books."""
        self.load.do(lambda: self.wire.send_text(json.dumps({"message": message})))

    def leave(self, is_rude=False):
        """For good: with a close frame, or without a word."""
        self.is_over = True
        if self.wire is not None and self.wire.transport is not None:
            (self.wire.abort if is_rude or not self.wire.is_open else self.wire.close)()

    # -- events

    def on_open(self, wire, head):
        self.connection.opened = time.monotonic()

    def on_refused(self, wire, status):
        self._ended(self.connection, status)

    def on_end(self, wire, code):
        self._ended(self.connection, code)

    def on_pong(self, wire, payload):
        pass

    def on_text(self, wire, text):
        message = json.loads(text)
        if not self.is_v1:
            self.on_message(None, message)
        elif message["type"] == "hello":
            self.connection.hello = parse_id(message["id"])
            self.connection.recovered = message["recovered"]
            self.last = self.connection.resumed or self.connection.hello
            self.on_hello()
        elif message["type"] == "message":
            self.last = parse_id(message["id"])
            self.on_message(self.last, message["data"])
        elif message["type"] == "position":  # it resumes from there
            self.last = parse_id(message["id"])
        elif message["type"] in ("ack", "error"):
            self.on_note(message)

    def on_hello(self):
        pass

    def on_message(self, id, data):
        self.connection.received.append((time.monotonic(), id, data["uid"]))
        self.load.delivered += 1
        if id is not None:
            self.load.seen[self.name].add(data["uid"])

    def on_note(self, message):
        pass


class Talker(Client):
    """A client that publishes to some Names. With v1 a message is accepted by its ack, else by the pong to a ping that
    followed it, on the word of the gateway alone. What was not acknowledged when a connection ends is not repeated."""

    def __init__(self, load, name, gateway, is_v1, client_id, targets, rate, route="n"):
        super().__init__(load, name, gateway, is_v1, client_id, route)
        self.targets, self.rate = targets, rate
        self.waiting = {}
        self.errors = []
        self.n = 0
        self.next_at = 0.0

    def on_open(self, wire, head):
        super().on_open(wire, head)
        self.waiting, self.n, self.next_at = {}, 0, time.monotonic()
        self.load.loop.call_soon(self._tick, wire)

    def _tick(self, wire):
        if wire is not self.wire or not self.is_open or not self.load.is_talking:
            return
        now = time.monotonic()
        if now - self.next_at > 1.0:
            self.next_at = now  # no catching up after a standstill
        while self.next_at <= now and len(self.waiting) < WINDOW and not wire.is_paused:
            self._say(wire)
            self.next_at += 1.0 / self.rate
        self.load.loop.call_later(max(0.005, self.next_at - now), self._tick, wire)

    def _say(self, wire):
        sent = self.load.books.begin(f"{self.client_id}.{self.count}", self.n, self.load.random.choice(self.targets))
        self.n += 1
        self.waiting[sent.uid] = sent
        message = {"message": body_of(sent), "path": sent.name}
        if self.is_v1:
            message["ref"] = sent.uid
        wire.send_text(json.dumps(message))
        if not self.is_v1:
            wire.ping(sent.uid.encode())

    def on_note(self, message):
        sent = self.waiting.pop(message["ref"], None)
        if message["type"] == "ack" and sent is not None:
            self.load.books.accept(sent)
        elif message["type"] == "error":
            self.errors.append(message)

    def on_pong(self, wire, payload):
        sent = self.waiting.pop(payload.decode(), None)
        if sent is not None:
            sent.gateway = self.gateway
            self.load.books.accept(sent)


class Hopper(Talker):
    """Talks to a signal route, which sends on to the Name after its own."""

    def __init__(self, load, name, gateway, client_id, rate):
        following = NAMES[(NAMES.index(name) + 1) % len(NAMES)]
        super().__init__(load, name, gateway, True, client_id, [following], rate, route="hop")


class Auditor(Client):
    """A v1 client of the Name Audit: hears of events, also those whose history has gone before anybody read it."""

    def __init__(self, load):
        super().__init__(load, "Audit", 0, True, "auditor")
        self.events = {}  # id -> what the app sent

    def on_message(self, id, data):
        if "type" in data:  # else it went to every Name
            self.events[id] = data


class Passenger:
    """Comes and goes: each time another gateway, another way to leave, now and then the same id again."""

    def __init__(self, load, number):
        self.load, self.number = load, number
        self.visits, self.is_away = 0, True

    def start(self):
        self.is_away = not self.load.is_talking or self.load.is_over
        if not self.is_away:
            self.load.loop.create_task(self._visit())

    async def _visit(self):
        draw, self.visits = self.load.random, self.visits + 1
        id = f"passenger{self.number}" + ("" if draw.random() < 0.3 else f".{self.visits}")
        client = Client(self.load, draw.choice(NAMES), draw.randrange(len(self.load.ports)), draw.random() < 0.5, id,
                        is_eager=False)
        await client._connect()
        await asyncio.sleep(draw.uniform(0.05, 0.8))
        client.leave(is_rude=draw.random() < 0.4)
        while client.connection.ended is None:
            await asyncio.sleep(0.05)
        self.load.loop.call_later(0.01, self.start)


class StreamPublisher(threading.Thread):
    """XADD signalbox:send, one message after the other, each repeated with the same id until Redis has answered."""

    def __init__(self, load, sender, client, names, rate):
        super().__init__(daemon=True)
        self.load, self.sender, self.names, self.rate, self.redis = load, sender, names, rate, client

    def run(self):
        draw, due = random.Random(self.sender), time.monotonic()
        for n in itertools.count():
            sent = self.load.books.begin(self.sender, n, draw.choice(self.names))
            if not self._publish(sent):
                return
            due = max(due + 1.0 / self.rate, time.monotonic() - 1.0)
            if self.load.stopped.wait(max(0.0, due - time.monotonic())):
                return

    def _publish(self, sent):
        message = {"data": body_of(sent), "id": sent.uid}
        if sent.name is not EVERY:
            message["name"] = sent.name
        text = json.dumps(message)
        while not self.load.is_over:
            try:
                self.redis.xadd("signalbox:send", {"m": text})
                self.load.books.accept(sent)
                return True
            except redis.RedisError:
                if self.load.stopped.wait(0.05):
                    return False
        return False


class Load:
    """All of it. is_talking: publishers publish, passengers travel."""

    def __init__(self, cluster, books, seed):
        self.ports = [gateway.port for gateway in cluster.gateways]
        self.cluster, self.books = cluster, books
        self.random = random.Random(seed)
        self.delivered, self.seen = 0, {name: set() for name in NAMES}  # seen: by v1 clients
        self.is_talking, self.is_over = False, False
        self.stopped = threading.Event()
        self.clients, self.talkers, self.passengers, self.streams = [], [], [], []
        self.auditor = Auditor(self)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def do(self, function, *args):
        """Call it in the loop's thread."""
        self.loop.call_soon_threadsafe(function, *args)

    def add_clients(self, plain, v1):
        """So many of each for every Name, on the gateways in turn."""
        for number, name in enumerate(NAMES):
            for i in range(plain + v1):
                kind = "plain" if i < plain else "v1"
                self.add(Client(self, name, (number + i) % len(self.ports), kind == "v1", f"{kind}{i}-{name}"))

    def add(self, client):
        self.clients.append(client)
        self.do(client.start)
        return client

    def talk(self, rate, passengers=3, plain=True, every_rate=2):
        """Begin to publish: `rate` messages a second in all, a quarter each by XADD, v1, signal route and plain."""
        self.is_talking = True
        self.do(self.auditor.start)
        kinds = 4 if plain else 3
        self.streams = [StreamPublisher(self, f"x{i}", self.cluster.redis_client(), NAMES, rate / kinds / 2)
                        for i in range(2)]
        self.streams.append(StreamPublisher(self, "every", self.cluster.redis_client(), [EVERY], every_rate))
        for i in range(2):
            name = NAMES[(3 * i + 1) % len(NAMES)]
            self.talkers.append(Talker(self, name, i % len(self.ports), True, f"talker{i}",
                                       self.random.sample(NAMES, 3), rate / kinds / 2))
            self.talkers.append(Hopper(self, NAMES[(5 * i + 2) % len(NAMES)], i % len(self.ports), f"hopper{i}",
                                       rate / kinds / 2))
        if plain:
            self.talkers.append(Talker(self, NAMES[7], 0, False, "talker-plain", self.random.sample(NAMES, 3),
                                       rate / kinds))
        self.passengers = [Passenger(self, i) for i in range(passengers)]
        for one in self.talkers + self.passengers:
            self.do(one.start)
        for stream in self.streams:
            stream.start()

    def hush(self):
        """No new messages, no new passengers; what is on its way goes on."""
        self.is_talking = False
        self.stopped.set()
        for stream in self.streams:
            stream.join(10)

    def end(self):
        if self.is_over:
            return
        self.is_over = True
        self.hush()

        async def close_all():
            for client in [*self.clients, *self.talkers, self.auditor]:
                client.leave(is_rude=True)
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            self.loop.call_soon(self.loop.stop)

        asyncio.run_coroutine_threadsafe(close_all(), self.loop)
        self.thread.join(5)
        self.books.close()
