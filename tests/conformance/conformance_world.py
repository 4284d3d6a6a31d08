"""World: what a conformance test does with a cluster, in a line each. Fixtures that make one are in conftest.py.

A test that expects silence says so with `seen`: it sends a fence after what it tests and returns what each client got
before it, so exact counts and silence are proved by a message that does arrive, not by waiting.
"""
import itertools
import json
import pathlib
import re
import subprocess
import threading
import urllib.parse

from harness import Client, Closed, Multiplex, RawWs, eventually, cluster as harness_cluster

APP = pathlib.Path(__file__).parent / "app"
EXAMPLES = harness_cluster.ROOT / "examples"
G1, G2 = 0, 1

numbers = itertools.count(1)


def unique(base="N"):
    """A Name (or id, or key) that no other test uses."""
    return f"{base}-{next(numbers)}"


def query(path, **fields):
    """The path with a query of the fields that are given."""
    given = {key: value for key, value in fields.items() if value is not None}
    return path + ("?" + urllib.parse.urlencode(given, quote_via=urllib.parse.quote) if given else "")


def left_out(heading):
    """The tests that docs/conformance.md lists under the heading: those that cannot run over that transport."""
    section = (harness_cluster.ROOT / "docs" / "conformance.md").read_text().split(heading)[1].split("\n## ")[0]
    return {name for row in re.findall(r"^\| (`test_.*) \|", section, re.MULTILINE)
            for name in re.findall(r"`(test_\w+)`", row.split(" | ")[0])}


class Failed(Exception):
    """A server call raised an error."""


class World:
    """One test's clients on a shared cluster. Everything it opened or set is undone by `leave`."""

    def __init__(self, cluster, transport="ws"):
        """transport: "ws"; "sse" for event streams and posts in place of WebSockets, "channel" for a channel of a shared one."""
        self.cluster, self.transport = cluster, transport
        self.clients = []
        self.levels = set()
        self.broker_client = None

    def leave(self):
        self.settle()
        for client in self.clients:
            client.drop()
        for name in self.levels:
            self.level("name", name)

    def settle(self):
        """Wait until every partition has handled all it was given.

        What is sent to every Name reaches each partition in its own time, also those without a client of this test: it
        must not arrive at a client of the next one.
        """
        redis = self.cluster.redis
        logs = redis.keys("sb:*:in")

        def is_handled():
            pipeline = redis.pipeline(transaction=False)
            for log in logs:
                pipeline.xinfo_stream(log)
                pipeline.hget(log[:-len(b"in")] + b"own", "c")
            answers = pipeline.execute()
            return all(info["last-generated-id"] == cursor for info, cursor in zip(answers[::2], answers[1::2]))
        eventually(is_handled, what="the partitions have handled everything")

    # -- clients

    def connect(self, gateway, path, headers=None, **options):
        if self.transport == "sse":
            client = self._stream(gateway, path, dict(headers or {}), options)
        elif self.transport == "channel":
            client = self._channel(gateway, path, dict(headers or {}), options)
        else:
            client = self.cluster.client(gateway, path, headers, **options)
        self.clients.append(client)
        return client

    def _channel(self, gateway, path, headers, options):
        """Each with a socket of its own, so that it can break without others; tests/e2e/test_channels.py has many on one."""
        is_plain = "signalbox.v1" not in headers.pop("Sec-WebSocket-Protocol", "")
        socket = Multiplex(self.cluster.address(gateway), headers, **options)
        self.clients.append(socket)
        return socket.opened(socket.ask(path), is_plain=is_plain, has_hello=not is_plain)

    def _stream(self, gateway, path, headers, options):
        """What a WebSocket says by subprotocol, an event stream says in its query. It posts to the other gateway."""
        if "signalbox.v1" in headers.pop("Sec-WebSocket-Protocol", ""):
            path += ("&" if "?" in path else "?") + "signalbox=v1"
        others = [other for other in range(len(self.cluster.gateways)) if other != gateway]
        return self.cluster.sse(gateway, path, headers, post=others[0] if others else gateway, **options)

    def up(self, gateway, name, group=None, id=None, path="/up", headers=None, **more):
        """A client that was converted to the Name."""
        return self.connect(gateway, query(path, name=name, group=group, id=id, **more), headers)

    def trio(self, name):
        """A and B on gateway 1, C on gateway 2, all of the Name."""
        return self.up(G1, name), self.up(G1, name), self.up(G2, name)

    def socket(self, gateway, route, name=None, headers=None, **more):
        """A client whose signal route is /s/<route>."""
        return self.connect(gateway, query("/s/" + route, name=name or unique("S"), **more), headers)

    # -- server calls

    def adm(self, op, gateway=G1, **args):
        """The call, made in a gateway's HTTP route; its result. An error is a 500 and raises Failed."""
        reply = self.cluster.http(gateway, "POST", f"/adm/{op}", args)
        if reply.status != 200:
            raise Failed(f"{op}: {reply.status} {reply.text}")
        return reply.json().get("result")

    def refused(self, op, gateway=G1, **args):
        """The error text of a call that must fail."""
        reply = self.cluster.http(gateway, "POST", f"/try/{op}", args)
        assert reply.status == 200, reply
        assert reply.json()["ok"] is False, f"{op} {args} did not fail"
        return reply.json()["error"]

    def broker(self, op, **args):
        """The call, made in a broker's signal route; its result, or Failed."""
        if self.broker_client is None:
            self.broker_client = self.connect(G1, "/s/adm?name=Adm")
        ref = unique("ref")
        self.broker_client.send_json({"op": op, "args": args, "ref": ref})
        while (answer := self.broker_client.recv_json()).get("ref") != ref:
            pass
        if not answer["ok"]:
            raise Failed(answer["error"])
        return answer.get("result")

    def send(self, data, gateway=G1, **options):
        """signalbox.send in a gateway's HTTP route."""
        self.adm("send", gateway, data=data, **options)

    def level(self, level, name=None, gateway=G1):
        """Set a broadcast level; undone at the end of the test."""
        self.levels.add(name)
        self.adm("set_level", gateway, name=name, level=level)

    # -- what clients got

    def seen(self, *clients, by=None, gateway=G1):
        """What each client got until now: a fence is sent after it, by the gateway or by the given function.

        The fence is a send of the gateway to the clients' Names and ids. When what is tested has no Name or comes from
        a client, the fence has to come the same way: by=say(client) or by=everywhere(gateway).
        """
        token = unique("fence")
        if by:
            by(token)
        else:
            self.send(token, gateway, name=sorted({c.name for c in clients}), client_id=sorted({c.id for c in clients}))
        return [client.until(token) for client in clients]

    def everywhere(self, gateway=G1):
        """A fence without a Name."""
        return lambda token: self.send(token, gateway)


def say(client, **fields):
    """A fence that the client itself sends."""
    return lambda token: client.say(token, **fields)


class Endpoints(World):
    """The app endpoints.lua; `at` chooses the port."""

    def __init__(self, cluster, ports, tls):
        super().__init__(cluster)
        self.ports, self.tls = ports, tls

    def address(self, kind, gateway=G1):
        return ("127.0.0.1", self.ports[gateway][kind])

    def at(self, kind, path, headers=None, gateway=G1, tls=None):
        client = Client(self.address(kind, gateway), path, headers, tls=tls)
        self.clients.append(client)
        return client

    def raw(self, kind, gateway=G1, tls=None):
        client = RawWs(self.address(kind, gateway), tls=tls)
        self.clients.append(client)
        return client

    def http(self, kind, method, path, body=None, headers=None, gateway=G1):
        return harness_cluster.http_request(self.ports[gateway][kind], method, path, body, headers)

    def adm(self, op, gateway=G1, **args):
        reply = self.http("MERGED", "POST", f"/adm/{op}", args, gateway=gateway)
        assert reply.status == 200, reply
        return reply.json().get("result")


def make_certificate(folder, password=None):
    """A self-signed certificate for localhost: (certificate, key)."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    protect = ["-passout", f"pass:{password}"] if password else ["-nodes"]
    subprocess.run(["/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate, *protect],
                   check=True, capture_output=True)
    return certificate, key


class Audit:
    """A client of the Name Audit: every event, of the test's own connections only."""

    def __init__(self, client):
        self.client, self.kept = client, []

    def next(self, id, timeout=10.0):
        """The next event of that client id."""
        for at, event in enumerate(self.kept):
            if event.get("id") == id:
                return self.kept.pop(at)
        while (event := self.client.recv_json(timeout)).get("id") != id:
            self.kept.append(event)
        return event

    def rest(self, id, world, name="Ev"):
        """Everything more about the id up to now: proved by a connect and disconnect of another client of its Name."""
        marker = world.up(G1, name, id=unique("marker"))
        marker.close()
        self.next(marker.id), self.next(marker.id)
        found = [event for event in self.kept if event.get("id") == id]
        self.kept = [event for event in self.kept if event.get("id") != id]
        return found


class Ticks:
    """Three clients of the Name Tick from the start of the session: what the schedule of the app sent each."""

    def __init__(self, cluster):
        self.clients = [cluster.client(gateway, "/up?name=Tick") for gateway in (G1, G1, G2)]
        self.received = [[] for _ in self.clients]
        self.threads = [threading.Thread(target=self._listen, args=pair, daemon=True)
                        for pair in zip(self.clients, self.received)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.half_close()

    def _listen(self, client, received):
        """Sends without a Name arrive here too: only ticks are kept."""
        try:
            while True:
                message = client.recv(timeout=300)
                if isinstance(message, str) and message.startswith('{"count":'):
                    received.append(json.loads(message))
        except (Closed, TimeoutError):
            pass

    def wait(self):
        """What each client received, once all have the same number, not less than one."""
        def complete():
            return self.received[0] and len({len(received) for received in self.received}) == 1
        eventually(complete, 70, "the first tick")
        return [list(received) for received in self.received]
