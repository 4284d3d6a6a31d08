"""Clients that read slowly but steadily keep their connection, and have everything before it ends; over ws and wss. What takes long
is tried over one of them."""
import json
import pathlib
import ssl
import subprocess
import threading
import time

import pytest

from harness import Client, Cluster, RawWs, eventually

APP = pathlib.Path(__file__).parent / "app" / "limits.lua"
PING_MS, PONG_MS, HEAD_MS = 300, 500, 1000
PIECE = 100_000


class SlowReader(Client):
    """Reads at most `rate` bytes a second, and never says anything by itself; a rate of None is no limit."""
    rate = None

    def _fill(self, deadline):
        if self.rate is None:
            return super()._fill(deadline)
        time.sleep(0.02)
        self.sock.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            data = self.sock.recv(int(self.rate * 0.02))
        except ConnectionError:
            return False
        self.buffer += data
        return bool(data)


plain = pytest.mark.parametrize("world", ["ws"], indirect=True)
secure = pytest.mark.parametrize("world", ["wss"], indirect=True)


def make_certificate(folder):
    subprocess.run(["/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
    return ssl.create_default_context(cafile=str(folder / "cert.pem"))


class World:
    def __init__(self, cluster, tls):
        self.cluster, self.tls = cluster, tls

    def reader(self, name, receive_buffer=16384, **how):
        return SlowReader(self.cluster.address(0), f"/up?name={name}", tls=self.tls, timeout=60,
                          receive_buffer=receive_buffer, **how)

    def send(self, name, text):
        """By the public stream, so that it works while the gateway is stopped."""
        self.cluster.redis.xadd("signalbox:send", {"m": json.dumps({"name": name, "data": text})})


@pytest.fixture(scope="module", params=["ws", "wss"])
def world(request, tmp_path_factory):
    how, tls = {}, None
    if request.param == "wss":
        folder = tmp_path_factory.mktemp("tls")
        tls = make_certificate(folder)
        how = {"listen": "https+wss", "listen_query": f"?certificate={folder / 'cert.pem'}&key={folder / 'key.pem'}"}
    with Cluster(APP, gateways=1, gateway_args=["--ping-ms", PING_MS, "--pong-timeout-ms", PONG_MS,
                                                  "--head-timeout-ms", HEAD_MS], **how) as cluster:
        yield World(cluster, tls)


def test_reading_is_a_sign_of_life(world):
    """One message that takes many times the pong timeout to be read."""
    with world.reader("Slow") as reader:
        reader.rate = 1_000_000
        world.send("Slow", "x" * 3_000_000)
        assert len(reader.recv(60)) == 3_000_000
        reader.rate = None
        reader.sync()


@plain
def test_reading_nothing_is_none(world):
    """The peer's kernel is there and its buffers are full, but nobody reads; the queue is below its bound."""
    with world.reader("Deaf", 4096):
        world.send("Deaf", "x" * 4_000_000)
        eventually(lambda: "Deaf" not in world.cluster.cli("names").stdout, 40)


@plain
def test_close_comes_after_everything_queued(world):
    """36 pieces, the Close behind them, and the end of the stream."""
    with world.reader("Behind") as reader:
        reader.rate = 700_000
        for number in range(36):
            world.send("Behind", f"{number:05d}" + "x" * PIECE)
        world.cluster.cli("close", "Behind", "--reason", "done")
        assert reader.closing(60) == (1000, "done")
        assert [text[:5] for text in reader.inbox] == [f"{number:05d}" for number in range(36)]
        assert reader.is_ended()


@secure
def test_an_answer_is_read_slowly_to_its_end(world):
    """Connection: close, and bytes under way that nobody asked for."""
    with SlowReader.__new__(SlowReader) as reader:
        super(Client, reader).__init__(world.cluster.address(0), tls=world.tls, timeout=60, receive_buffer=16384)
        reader.rate = 3_000_000
        reader.request("/large", {"Connection": "close"}, handshake=False)
        assert reader.read_head().status == 200
        reader.send_bytes(b"x" * 1000)
        assert len(reader.read_body()) == 4_000_000
        assert reader.is_ended()


def upload(world, size, pieces, pause):
    """The status of a POST whose body comes in pieces."""
    with RawWs(world.cluster.address(0), tls=world.tls) as raw:
        raw.request("/send?name=Up", {"Content-Length": size}, method="POST", handshake=False)
        for _ in range(pieces):
            time.sleep(pause)
            try:
                raw.send_bytes(b"x" * (size // pieces))
            except OSError:
                break
        return raw.read_head().status


@plain
def test_a_body_that_comes_slowly_is_taken(world):
    assert upload(world, 100_000, pieces=20, pause=0.15) == 200


@plain
def test_a_body_that_trickles_is_not(world):
    assert upload(world, 400, pieces=40, pause=0.1) == 408


def test_a_gateway_that_was_held_up_tries_the_sockets_first(world):
    """It finds 1.4 MB of backlog, due timers and unread pongs at the same moment."""
    with world.reader("Stalled", None) as reader:
        reader.sync()
        listening = threading.Thread(target=reader.until, args=("end",))
        listening.start()
        for _ in range(3):
            world.cluster.gateways[0].stop()
            try:
                for _ in range(14):
                    world.send("Stalled", "x" * PIECE)
                time.sleep((PING_MS + PONG_MS) / 1000 + 0.5)
            finally:
                world.cluster.gateways[0].cont()
        world.send("Stalled", "end")
        listening.join(30)
        assert not listening.is_alive()
        reader.sync()


@secure
def test_sigterm_waits_for_readers(world):
    """The last test: it ends the gateway."""
    gateway = world.cluster.gateways[0]
    with world.reader("Last") as reader, world.reader("Last") as other:
        reader.rate = 1_200_000
        for number in range(36):
            world.send("Last", f"{number:05d}" + "x" * PIECE)
        other.take(36)  # the gateway has them all
        gateway.signal(15)
        assert reader.closing(60) == (1001, "restart")
        assert [text[:5] for text in reader.inbox] == [f"{number:05d}" for number in range(36)]
    assert gateway.wait(40) == 0
    gateway.restart()
