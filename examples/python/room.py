#!/usr/bin/python3
"""The room of examples/events in Python: prints what is said there, and says its input.

    examples/python/room.py [ws://localhost:8091/room]

It needs the package websockets (Debian: python3-websockets), and speaks signalbox.v1. Whatever
connection is lost, what comes is printed once and in order, because it resumes behind the last
message that it saw; and each line is published once, because a line that was not acknowledged is
said again under the same id, on the next connection or after a while.
"""
import asyncio
import json
import random
import sys
import threading
import time
import urllib.parse
import uuid

import websockets

PROTOCOLS = ["signalbox.v1"]
PATIENCE_S = 10  # for an answer: it may be lost although the connection lives
WINDOW = 64  # lines on their way; the server remembers the answers to the latest 128


class Room:
    def __init__(self, url):
        self.url = url
        self.token = self.position = None  # who we are, and the latest id of the stream
        self.waiting = {}                  # id -> (line, when it was first said), in order
        self.window = asyncio.Semaphore(WINDOW)
        self.socket = self.retry_s = None
        self.asked = 0.0                   # when all that waits was last said
        self.is_over = False

    # -- connections

    async def run(self):
        """Until the server says that this is the end."""
        while not self.is_over:
            self.retry_s = 0.5 + random.random()
            try:
                async with websockets.connect(self.address(), subprotocols=PROTOCOLS) as socket:
                    async for text in socket:
                        await self.on_frame(socket, json.loads(text))
            except (OSError, asyncio.TimeoutError, websockets.WebSocketException) as error:
                print(f"({error})", file=sys.stderr)
            self.socket = None
            await asyncio.sleep(0 if self.is_over else self.retry_s)

    def address(self):
        resume = {"signalbox-resume": f"{self.token}~{self.position}"} if self.token else {}
        return self.url + ("?" if resume else "") + urllib.parse.urlencode(resume)

    async def on_frame(self, socket, frame):
        kind = frame["type"]
        if kind == "hello":
            await self.on_hello(socket, frame)
        elif kind == "message":
            self.position = frame["id"]
            print(json.dumps(frame["data"]), flush=True)
        elif kind == "position":
            self.position = frame["id"]
        elif kind == "ack":
            self.settle(frame["ref"])
        elif kind == "error" and "retryMs" in frame:
            await asyncio.sleep(frame["retryMs"] / 1000)
            await self.send(socket, frame["ref"])
        elif kind == "error":
            print("(refused:", frame["message"] + ")", file=sys.stderr)
            self.settle(frame["ref"])
        elif kind == "closed":
            self.is_over = "retryMs" not in frame
            self.retry_s = frame.get("retryMs", 0) / 1000
        if self.socket is not None and self.is_late():
            await self.say_waiting(socket)

    async def on_hello(self, socket, hello):
        self.token = hello["resume"]
        if hello["recovered"] is False:
            print("(messages are missing here)", flush=True)
        if not hello["recovered"]:  # else what was missed follows, and the position moves with it
            self.position = hello["id"]
        self.forget_old(hello["limits"]["idSeconds"])
        await self.say_waiting(socket)
        self.socket = socket

    def forget_old(self, remembered_s):
        """The server may have forgotten the answer: said again, it could be published twice."""
        for id, (line, since) in list(self.waiting.items()):
            if time.monotonic() - since > remembered_s:
                print(f"(nobody knows whether this was said: {line})", file=sys.stderr)
                self.settle(id)

    # -- what we say

    def is_late(self):
        oldest = next(iter(self.waiting.values()), None)
        return oldest and time.monotonic() - max(oldest[1], self.asked) > PATIENCE_S

    async def say_waiting(self, socket):
        """All of it in its order, and what is added meanwhile."""
        self.asked, at = time.monotonic(), 0
        while at < len(self.waiting):
            await self.send(socket, list(self.waiting)[at])
            at += 1

    async def say(self, line):
        """Waits while too much is on its way."""
        await self.window.acquire()
        id = str(uuid.uuid4())
        self.waiting[id] = line, time.monotonic()
        if self.socket is not None:  # else the next connection sends it
            await self.send(self.socket, id)

    async def send(self, socket, id):
        try:
            await socket.send(json.dumps({"message": self.waiting[id][0], "ref": id, "id": id}))
        except websockets.ConnectionClosed:
            pass  # the next connection sends it again

    def settle(self, id):
        if self.waiting.pop(id, None):
            self.window.release()


async def main(url="ws://localhost:8091/room"):
    room, loop = Room(url), asyncio.get_running_loop()

    def read():
        for line in sys.stdin:
            asyncio.run_coroutine_threadsafe(room.say(line.rstrip("\n")), loop).result()

    threading.Thread(target=read, daemon=True).start()
    await room.run()


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        pass
