"""A TCP proxy that misbehaves on command, between a process and Redis, or a client and its gateway.

All proxies share one thread. What can be done to one, also while connections are open:

    cut()                 resets the connections
    refuse(), accept()    closes the port, and opens it again
    stall(), flow()       passes nothing on, in either direction, and keeps it: TCP stays healthy
    drop(direction)       loses what goes that way: "up" to Redis, "down" from it. keep() ends it. A connection that
                          has lost something is out of step for good, as it would be with a real silent middle box
    delay_s               latency, each way
    deafen(), hear()      the connections that subscribed hear nothing more, until they do; all others live, and so do
                          new ones
    target                where new connections go
"""
import asyncio
import collections
import threading


class Pump(asyncio.Protocol):
    """One side of a connection: what it reads goes to its peer."""

    def __init__(self, proxy, direction):
        self.proxy, self.direction = proxy, direction
        self.transport = self.peer = None
        self.held = []       # while stalled or before the peer is connected
        self.late = collections.deque()  # (when it is due, data), in order
        self.is_feed = self.is_deaf = False

    def connection_made(self, transport):
        self.transport = transport
        self.proxy.pumps.add(self)
        if self.peer is None:
            self.peer = Pump(self.proxy, "down")
            self.peer.peer = self
            self.proxy.loop.create_task(self._connect())

    async def _connect(self):
        try:
            await self.proxy.loop.create_connection(lambda: self.peer, *self.proxy.target)
        except OSError:
            self.transport.abort()
            return
        if self.transport.is_closing():  # it has gone meanwhile
            self.peer.transport.abort()
            return
        self.release()

    def data_received(self, data):
        proxy = self.proxy
        self.is_feed = self.is_feed or self.direction == "up" and b"SUBSCRIBE" in data
        if self.direction in proxy.dropping or self.is_deaf:
            return
        if proxy.is_stalled or self.held or self.peer.transport is None:
            self.held.append(data)
            if len(self.held) > 64:
                self.transport.pause_reading()
        elif proxy.delay_s or self.late:
            self.late.append((proxy.loop.time() + proxy.delay_s, data))
            if len(self.late) == 1:
                self._pass_late()
        else:
            self._pass(data)

    def _pass(self, data):
        if not self.peer.transport.is_closing():
            self.peer.transport.write(data)

    def _pass_late(self):
        now = self.proxy.loop.time()
        while self.late and self.late[0][0] <= now:
            self._pass(self.late.popleft()[1])
        if self.late:
            self.proxy.loop.call_later(self.late[0][0] - now, self._pass_late)

    def release(self):
        if self.proxy.is_stalled or self.peer.transport is None:
            return
        for data in self.held:
            self._pass(data)
        self.held = []
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def pause_writing(self):
        if self.peer.transport is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self):
        if not self.peer.transport.is_closing():
            self.peer.transport.resume_reading()

    def connection_lost(self, _):
        self.proxy.pumps.discard(self)
        if self.peer.transport is not None and not self.proxy.is_stalled:
            self.peer.transport.abort()


class Proxy:
    def __init__(self, target, port):
        """Listens at port of the loopback; target is (host, port)."""
        self.target, self.port = target, port
        self.pumps, self.dropping = set(), set()
        self.is_stalled, self.delay_s = False, 0.0
        self.server = None
        self.loop = shared_loop()
        self.accept()

    def _do(self, function):
        """Run it in the proxies' thread and wait for its result."""
        async def call():
            result = function()
            return await result if asyncio.iscoroutine(result) else result
        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(10)

    def accept(self):
        async def listen():
            self.server = await self.loop.create_server(lambda: Pump(self, "up"), "127.0.0.1", self.port)
        if self.server is None:
            self._do(listen)

    def refuse(self):
        def close():
            if self.server is not None:
                self.server.close()
                self.server = None
        self._do(close)

    def cut(self):
        self._do(lambda: [pump.transport.abort() for pump in list(self.pumps)])

    def stall(self):
        self.is_stalled = True

    def flow(self):
        self.is_stalled = False
        self._do(lambda: [pump.release() for pump in list(self.pumps)])

    def drop(self, direction):
        self.dropping.add(direction)

    def keep(self):
        self.dropping.clear()

    def deafen(self):
        """How many connections."""
        feeds = [pump.peer for pump in list(self.pumps) if pump.is_feed]
        for pump in feeds:
            pump.is_deaf = True
        return len(feeds)

    def hear(self):
        for pump in list(self.pumps):
            pump.is_deaf = False

    def close(self):
        self.refuse()
        self.cut()


_loop = None


def shared_loop():
    global _loop
    if _loop is None:
        _loop = asyncio.new_event_loop()
        threading.Thread(target=_loop.run_forever, daemon=True).start()
    return _loop
