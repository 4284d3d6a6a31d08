"""Clients behind HAProxy, messages from Redis, and a gateway that is killed under them. Called by run.sh.

The exported shell function `compose` says how to reach the fleet.
"""
import asyncio
import json
import pathlib
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

import websockets

CLIENTS = 12
PATIENCE = 30.0


def compose(*args):
    done = subprocess.run(["bash", "-c", 'compose "$@"', "compose", *args], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def redis_cli(*args):
    return compose("exec", "-T", "redis", "redis-cli", *args)


def kill(container):
    subprocess.run(["bash", "-c", 'docker kill "$1"', "docker", container], check=True, stdout=subprocess.DEVNULL)


def publish(text):
    return redis_cli("PUBLISH", "signalbox:send", json.dumps({"name": "Msg", "data": text}))


def append(text):
    return redis_cli("XADD", "signalbox:send", "*", "m", json.dumps({"name": "Msg", "data": text}))


def ask(url, token=None, body=None):
    """(status, text)"""
    request = urllib.request.Request(url, data=None if body is None else json.dumps(body).encode())
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def secret_of(service):
    """As the head of the compose file says; the image has no shell and no cat."""
    with tempfile.TemporaryDirectory() as folder:
        compose("cp", f"{service}:/run/signalbox/admin-token", folder)
        return (pathlib.Path(folder) / "admin-token").read_text().strip()


def check_containers():
    """What the compose file asks for is what the engine made of it."""
    for id in compose("ps", "-q").split():
        found, = json.loads(subprocess.run(["bash", "-c", 'docker inspect "$1"', "docker", id], capture_output=True, text=True, check=True).stdout)
        host = found["HostConfig"]
        assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and host["Memory"] > 0 and host["PidsLimit"], found["Name"]
        assert "no-new-privileges:true" in host["SecurityOpt"] and found["Config"]["User"] not in ("", "0", "root"), found["Name"]


def check_api(api):
    """The entrance for backends, as docs/operations.md has it; what it sent is returned."""
    token = secret_of("broker")
    assert len(token) >= 40 and token == secret_of("gateway")
    message = {"name": "Msg", "data": "from the API"}
    assert ask(f"{api}/send", None, message)[0] == 401 and ask(f"{api}/send", token + "x", message)[0] == 401
    status, text = ask(f"{api}/send", token, message)
    assert status == 202 and json.loads(text)["id"], text
    assert len(json.loads(ask(f"{api}/clients?name=Msg", token)[1])) == CLIENTS
    assert ask(f"{api}/metrics", token)[0] == 404 and ask(f"{api}/readyz")[0] == 404
    return message["data"]


class Visitor:
    """A client as the chat page is one: what it gets is kept, and it comes back when its connection ends."""

    def __init__(self, url):
        self.url = url
        self.got = []
        self.connections = 0
        self.is_open = asyncio.Event()
        self.news = asyncio.Event()
        self.ws = None

    async def run(self):
        wait = 0.1
        while True:
            try:
                async with websockets.connect(self.url, open_timeout=10) as self.ws:
                    self.connections += 1
                    wait = 0.1
                    self.is_open.set()
                    async for text in self.ws:
                        self.got.append(text)
                        self.news.set()
            except (OSError, asyncio.TimeoutError, websockets.WebSocketException):
                pass
            self.is_open.clear()
            await asyncio.sleep(wait)
            wait = min(2.0, wait * 2)

    async def wait_for(self, text):
        while text not in self.got:
            self.news.clear()
            await self.news.wait()

    async def answers(self):
        """Until a ping comes back: an open connection may be one whose gateway is gone already."""
        while True:
            await self.is_open.wait()
            try:
                await asyncio.wait_for(await asyncio.wait_for(self.ws.ping(), 5), 5)
                return
            except (OSError, asyncio.TimeoutError, websockets.WebSocketException):
                await asyncio.sleep(0.1)


async def everybody(visitors, what):
    await asyncio.wait_for(asyncio.gather(*(what(visitor) for visitor in visitors)), PATIENCE)


async def everybody_gets(visitors, text):
    await everybody(visitors, lambda visitor: visitor.wait_for(text))
    for visitor in visitors:
        assert visitor.got.count(text) == 1, f"{text!r} came {visitor.got.count(text)} times"


async def in_thread(function, *args):
    return await asyncio.get_running_loop().run_in_executor(None, function, *args)


async def main(url, api):
    page = await in_thread(lambda: urllib.request.urlopen(url.replace("ws:", "http:").replace("/msg", "/")).read())
    assert b"bc-form" in page, "the page is not the chat's"

    visitors = [Visitor(url) for _ in range(CLIENTS)]
    tasks = [asyncio.create_task(visitor.run()) for visitor in visitors]
    await everybody(visitors, lambda visitor: visitor.is_open.wait())

    heard = await in_thread(publish, "from PUBLISH")
    assert int(heard) >= 1, "no broker heard the PUBLISH"
    await everybody_gets(visitors, "from PUBLISH")
    await in_thread(append, "from XADD")
    await everybody_gets(visitors, "from XADD")
    await visitors[0].ws.send(json.dumps({"message": "from a client"}))
    await everybody_gets(visitors, '{"message":"from a client"}')
    await everybody_gets(visitors, await in_thread(check_api, api))
    await in_thread(compose, "exec", "-T", "broker", "signalbox", "send", "Msg", "from the CLI")
    await everybody_gets(visitors, "from the CLI")
    print(f"{CLIENTS} clients got each message once")
    await in_thread(check_containers)

    victim = (await in_thread(compose, "ps", "-q", "gateway")).split()[0]
    await in_thread(kill, victim)
    await everybody(visitors, Visitor.answers)
    moved = sum(visitor.connections > 1 for visitor in visitors)
    assert 0 < moved < CLIENTS, f"{moved} of {CLIENTS} clients were on the killed gateway: all or none"
    await in_thread(append, "after the kill")
    await everybody_gets(visitors, "after the kill")
    print(f"a gateway was killed: {moved} clients came back elsewhere, all got the next message once")
    for task in tasks:
        task.cancel()


asyncio.run(main(sys.argv[1], sys.argv[2]))
