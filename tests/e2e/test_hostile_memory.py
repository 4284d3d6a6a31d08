"""Clients that make a gateway keep as much as they can: what it keeps has a bound, and the others notice nothing.

The budgets are small so that the attacks are quick. A gateway of --max-memory-bytes 128 MiB may keep 16 MiB of unfinished
input and 32 MiB of what waits to be written, and at no moment twice as much; SLACK is what reads of one turn, doubling buffers and the allocator add.
"""
import contextlib
import json
import pathlib
import re
import select
import socket
import ssl
import threading
import time

import pytest

from harness import BINARY, CLOSE, CONTINUATION, TEXT, Cluster, RawWs, always, encode_frame, eventually
from test_tls import make_certificate

APP = pathlib.Path(__file__).parent / "app" / "hostile.lua"
MIB = 1 << 20
BUDGET, IN_SHARE, OUT_SHARE, SLACK = 128 * MIB, 16 * MIB, 32 * MIB, 24 * MIB
ARGS = ["--max-memory-bytes", str(BUDGET), "--message-timeout-ms", "2000", "--head-timeout-ms", "3000",
        "--max-uplink-bytes", str(8 * MIB), "--lua-memory-bytes", str(2 * BUDGET)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    make_certificate(folder, 1)
    return folder


@pytest.fixture(scope="module", params=["http+ws", "https+wss"])
def cluster(request, folder):
    query = f"?certificate={folder / 'cert.pem'}&key={folder / 'key.pem'}" if "wss" in request.param else ""
    with Cluster(APP, gateways=1, gateway_args=ARGS, listen=request.param, listen_query=query,
                 broker_args=["--max-memory-bytes", str(BUDGET)]) as running:
        running.tls = ssl.create_default_context(cafile=str(folder / "cert.pem")) if query else None
        yield running


def raw(cluster, **options):
    return cluster.raw(0, tls=cluster.tls, **options)


def metric(cluster, name):
    return cluster.gateways[0].metrics()[f"signalbox_{name}"]


def status(cluster, field):
    """VmRSS, or VmHWM: the most it has been since forget_peak."""
    text = pathlib.Path(f"/proc/{cluster.gateways[0].pid}/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+) kB", text)[1]) << 10


def forget_peak(cluster):
    pathlib.Path(f"/proc/{cluster.gateways[0].pid}/clear_refs").write_text("5")


class Bystander:
    """Sends small messages to its own Name and has each one back, all the time."""

    def __init__(self, cluster):
        self.client, self.echoes, self.error = cluster.client(0, "/up?name=Bystander", tls=cluster.tls), 0, None
        self.is_over, self.thread = False, threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while not self.is_over:
                self.client.sync()
                self.echoes += 1
        except Exception as error:  # noqa: BLE001 the test shows it
            self.error = error

    def goes_on(self):
        """Has two more echoes from now on."""
        before = self.echoes
        eventually(lambda: self.error or self.echoes > before + 1)
        assert self.error is None


@contextlib.contextmanager
def bystander(cluster, bound):
    """Around an attack: the bystander is served to the end, and memory stays in its bounds and comes down again."""
    forget_peak(cluster)
    base = status(cluster, "VmRSS")
    someone = Bystander(cluster)
    try:
        yield someone
        someone.goes_on()
        assert status(cluster, "VmHWM") < base + bound + SLACK
        eventually(lambda: status(cluster, "VmRSS") < base + SLACK, 10)
        someone.goes_on()
        assert cluster.gateways[0].is_ready()
    finally:
        someone.is_over = True
        someone.thread.join()
        someone.client.drop()


def push(clients, data, until=lambda: False):
    """Sends all of data on every connection, as far as it is taken, or until something is so."""
    left = {client.sock: memoryview(data) for client in clients}
    end = time.monotonic() + 60
    for sock in left:
        sock.setblocking(False)
    while left and time.monotonic() < end and not until():
        for sock in select.select([], list(left), [], 0.1)[1]:
            try:
                left[sock] = left[sock][sock.send(left[sock][:1 << 18]):]
                if not left[sock]:
                    del left[sock]
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError):
                pass
            except OSError:
                del left[sock]


def drop(clients):
    for client in clients:
        client.drop()


def test_half_messages(cluster):
    """All but the last byte of the largest message, on many connections: the costliest are closed, and named."""
    attackers = [raw(cluster).upgrade(f"/up?name=A&clientId=half{i}") for i in range(40)]
    with bystander(cluster, 2 * IN_SHARE) as other:
        push(attackers, encode_frame(BINARY, b"x" * 4 * MIB)[:-1], until=lambda: metric(cluster, "shed_total") > 0)
        assert metric(cluster, "memory_incoming_bytes") < IN_SHARE * 2
        other.goes_on()
        eventually(lambda: metric(cluster, "shed_total") > 0)
        assert "shed kind=incoming" in cluster.gateways[0].log()
        drop(attackers)
        eventually(lambda: metric(cluster, "memory_incoming_bytes") < MIB)


def test_a_message_that_does_not_end(cluster):
    """Fragments of one byte, for ever: closed with 1008, although bytes come, when they come too slowly."""
    attacker = raw(cluster).upgrade("/up?name=A")
    attacker.send_bytes(encode_frame(TEXT, "x", fin=False))
    with bystander(cluster, 2 * IN_SHARE):
        end = time.monotonic() + 60
        with contextlib.suppress(OSError, ConnectionError):
            while time.monotonic() < end and metric(cluster, "unfinished_total") == 0:
                attacker.send_bytes(encode_frame(CONTINUATION, "y", fin=False) * 10)
                time.sleep(0.05)
        frame = attacker.read_frame()
        while frame.opcode != CLOSE:
            frame = attacker.read_frame()
        assert frame.payload == b"\x03\xf0unfinished message"


def test_half_bodies(cluster):
    """Bodies that never end share the bound with messages; a new large one is refused with 503 meanwhile."""
    attackers = [raw(cluster) for _ in range(60)]
    head = b"POST /hi HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n"
    before = metric(cluster, "refused_memory_total") + metric(cluster, "shed_total")

    def is_bounded():
        return metric(cluster, "refused_memory_total") + metric(cluster, "shed_total") > before
    with bystander(cluster, 2 * IN_SHARE):
        push(attackers, head + b"x" * (MIB - 1), until=is_bounded)
        eventually(is_bounded)
        assert metric(cluster, "memory_incoming_bytes") < IN_SHARE * 2
        drop(attackers)
        eventually(lambda: metric(cluster, "memory_incoming_bytes") < MIB)


def test_requests_under_way(cluster):
    """Complete bodies whose handlers wait: the share is theirs, and the next request is told to come again."""
    attackers = [raw(cluster, timeout=30) for _ in range(40)]
    head = b"POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
    refused = metric(cluster, "refused_memory_total")
    with bystander(cluster, 2 * IN_SHARE):
        push(attackers, head + b"x" * 1000000)
        eventually(lambda: metric(cluster, "refused_memory_total") > refused)
        eventually(lambda: IN_SHARE / 2 < metric(cluster, "memory_requests_bytes") < 2 * IN_SHARE)
        cluster.open_gate("wait")
        heads = [attacker.read_head() for attacker in attackers]
        assert {head.status for head in heads} == {200, 503}
        assert {head.get("Retry-After") for head in heads if head.status == 503} == {"1"}
        drop(attackers)
    assert metric(cluster, "memory_requests_bytes") == 0


def test_half_heads(cluster):
    attackers = [raw(cluster) for _ in range(300)]
    with bystander(cluster, 2 * IN_SHARE):
        push(attackers, b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"x" * 16000)
        eventually(lambda: metric(cluster, "memory_incoming_bytes") < MIB)
        drop(attackers)


def test_answers_that_nobody_reads(cluster):
    """Each asks for 4 MB and does not read it."""
    attackers = [raw(cluster, receive_buffer=4096) for _ in range(30)]
    with bystander(cluster, 2 * OUT_SHARE):
        for attacker in attackers:
            answered = metric(cluster, "http_requests_total")
            attacker.send_bytes(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            eventually(lambda: metric(cluster, "http_requests_total") > answered)
        eventually(lambda: metric(cluster, "memory_outgoing_bytes") < OUT_SHARE)
        drop(attackers)
        eventually(lambda: metric(cluster, "memory_outgoing_bytes") < MIB)


def test_messages_that_nobody_reads(cluster):
    """Clients of many Names that never read are closed by the policy of theirs, costliest first."""
    names = [f"Deaf{i}" for i in range(20)]
    attackers = [raw(cluster, receive_buffer=4096).upgrade(f"/up?name={name}") for name in names]
    with bystander(cluster, 2 * OUT_SHARE):
        for name, attacker in zip(names, attackers):
            attacker.timeout = 20
            with contextlib.suppress(OSError):  # closed
                for _ in range(8):
                    attacker.send_frame(TEXT, json.dumps({"message": "x" * MIB, "name": name}))
        eventually(lambda: metric(cluster, "memory_outgoing_bytes") < OUT_SHARE)
        drop(attackers)
        eventually(lambda: metric(cluster, "memory_outgoing_bytes") < MIB)


def test_streams_that_nobody_reads(cluster):
    """The same over event streams, whose clients say nothing: the messages come from elsewhere."""
    names = [f"DeafStream{i}" for i in range(20)]
    attackers = [raw(cluster, receive_buffer=4096).request(f"/up?name={name}", {"Accept": "text/event-stream"}, handshake=False)
                 for name in names]
    assert {attacker.read_head().status for attacker in attackers} == {200}
    shed = metric(cluster, "shed_total") + metric(cluster, "slow_closed_total")
    with bystander(cluster, 2 * OUT_SHARE):
        for name in names:
            for _ in range(8):
                cluster.redis.xadd("signalbox:send", {"m": json.dumps({"name": name, "data": "x" * MIB})})
        eventually(lambda: metric(cluster, "shed_total") + metric(cluster, "slow_closed_total") > shed, 20)
        eventually(lambda: metric(cluster, "memory_outgoing_bytes") < OUT_SHARE)
        drop(attackers)
        eventually(lambda: metric(cluster, "memory_outgoing_bytes") < MIB)


def test_many_resume_at_once(cluster):
    """More replays than run at the same time: each has all that it missed, in its turn, and memory stays in its bounds."""
    v1, count, missed = {"Sec-WebSocket-Protocol": "signalbox.v1"}, 200, 40
    with cluster.client(0, "/up?name=Back", headers=v1, tls=cluster.tls) as client:
        last = client.recv_json()["id"]
    with cluster.client(0, "/up?name=Back", tls=cluster.tls) as keeper:
        for _ in range(missed):
            cluster.cli("send", "Back", "x" * 5000)
        keeper.take(missed, 20)
    with bystander(cluster, 2 * OUT_SHARE):
        returning = []
        for _ in range(count):  # a connection that says nothing for a while is closed
            returning.append(raw(cluster, timeout=60).request(f"/up?name=Back&signalbox-resume={last}", headers=v1))
        for client in returning:
            assert client.read_head().status == 101
            assert json.loads(client.read_frame().payload)["recovered"] is True
            for _ in range(missed):
                assert len(client.read_frame().payload) > 5000
        drop(returning)


def test_over_the_budget_new_work_is_refused(cluster):
    """A handler of the app takes it all for a while: who is there stays, who comes is told to come again."""
    def wants(path):
        try:
            with raw(cluster) as client:
                client.send_bytes(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                return client.read_head()
        except OSError:
            return None  # over TLS it is dropped
    someone, hog = cluster.client(0, "/up?name=A", tls=cluster.tls), raw(cluster)
    hog.send_bytes(b"GET /hog HTTP/1.1\r\nHost: a\r\n\r\n")
    eventually(lambda: not cluster.gateways[0].is_ready())
    assert b"the memory budget is used up" in cluster.gateways[0].admin("GET", "/readyz").body
    head = wants("/hi")
    assert head is None if cluster.tls else head.status == 503 and head.get("Retry-After") == "1"
    someone.sync()
    cluster.open_gate("hog")
    assert hog.read_head(30).status == 200
    eventually(cluster.gateways[0].is_ready)
    assert wants("/hi").status == 200
    someone.sync()
    drop([someone, hog])


def test_a_broker_reads_no_further(cluster):
    """Large messages whose handlers wait: what is beyond the broker's share of 16 MiB stays in Redis until that is full,
    then at the gateway, and all of it comes when the handlers go on."""
    if cluster.tls:
        pytest.skip("a broker has no clients")
    broker, count = cluster.brokers[0], 40
    clients = [cluster.client(0, "/gate", tls=cluster.tls, timeout=30) for _ in range(count)]
    before = broker.metrics()["signalbox_entries_total"]

    def is_full():
        metrics = broker.metrics()
        assert metrics["signalbox_memory_requests_bytes"] < 2 * IN_SHARE < count * MIB
        return metrics["signalbox_memory_requests_bytes"] >= IN_SHARE
    for client in clients:
        client.say("x" * MIB)
    eventually(is_full, 30)
    eventually(lambda: metric(cluster, "uplink_bytes") > 0, 30)
    always(is_full, 1)
    cluster.open_gate("gate")
    eventually(lambda: broker.metrics()["signalbox_entries_total"] >= before + count, 30)
    eventually(lambda: broker.metrics()["signalbox_memory_requests_bytes"] < MIB, 30)
    assert broker.is_ready()
    drop(clients)
