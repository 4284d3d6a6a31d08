"""Clients that break the rules of a gateway or bend them: no one may cost the others memory, or be cut off unjustly."""
import concurrent.futures
import contextlib
import os
import pathlib
import resource
import threading
import time

import pytest

from harness import BINARY, CLOSE, PING, TEXT, Cluster, RawWs, Refused, always, close_body, encode_frame, eventually

APP = pathlib.Path(__file__).parent / "app" / "hostile.lua"
GET = "GET {} HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP, gateways=1, gateway_args=["--head-timeout-ms", "2000", "--ping-ms", "500",
                                                "--pong-timeout-ms", "500"]) as running:
        yield running


def raw(cluster, **options):
    return RawWs(("127.0.0.1", cluster.gateways[0].port), **options)


def memory(cluster):
    """Resident bytes of the gateway."""
    with open(f"/proc/{cluster.gateways[0].pid}/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def read_slowly(client, piece, pause):
    """Everything up to the end of the stream, so many bytes at a time."""
    total, client.sock = 0, client.sock
    client.sock.settimeout(10)
    while data := client.sock.recv(piece):
        total += len(data)
        time.sleep(pause)
    return total


# -- answers that nobody reads

def test_pipelined_requests_whose_answers_are_not_read(cluster):
    """Memory stays bounded, the others are served, and the client is dropped in the end."""
    client, before = raw(cluster, receive_buffer=4096), memory(cluster)
    client.sock.settimeout(0.5)
    with pytest.raises(OSError):
        for _ in range(1000):
            client.sock.sendall(GET.format("/big").encode() * 1000)  # 20 MB of answers each
    assert memory(cluster) - before < 48 << 20
    assert cluster.http(0, "GET", "/hi").text == "hi"
    eventually(lambda: cluster.gateways[0].metrics()["signalbox_connections"] == 0)


def test_pipelined_requests_are_all_answered(cluster):
    """In order, also when they are more than one turn runs and more than may wait."""
    client = raw(cluster)
    client.send_bytes((GET.format("/big") * 100 + GET.format("/hi") * 1000 + GET.format("/nothing")).encode())
    client.half_close()
    answers = client.read_to_end()
    assert answers.count(b"HTTP/1.1 200 ") == 1100 and answers.count(b"HTTP/1.1 404 ") == 1
    assert answers.rindex(b" 404 ") > answers.rindex(b" 200 ")


def test_an_idle_connection_that_was_used_just_ends(cluster):
    client = raw(cluster)
    client.request("/hi", handshake=False)
    assert client.read_head().status == 200 and client.read_body() == b"hi"
    assert client.is_ended(5)


def test_a_half_request_is_told(cluster):
    client = raw(cluster)
    client.send_bytes(b"GET /h")
    assert client.read_head(5).status == 408


def test_a_slow_reader_gets_its_answer(cluster):
    """It needs longer than any of the deadlines, but it reads. The sizes are past what the kernel keeps by itself."""
    def download(size, piece, header):
        client = raw(cluster, receive_buffer=4 * piece)
        client.send_bytes(f"GET /huge/{size} HTTP/1.1\r\nHost: a\r\n{header}\r\n".encode())
        client.half_close()
        return read_slowly(client, piece, 0.026) > size
    with concurrent.futures.ThreadPoolExecutor() as pool:
        closed = pool.submit(download, 16000000, 32000, "Connection: close\r\n")
        kept = pool.submit(download, 8000000, 16384, "")
        assert closed.result() and kept.result()


# -- the end of a client

def test_who_has_ended_does_not_become_a_websocket(cluster):
    client = raw(cluster).request("/late")
    client.half_close()
    assert client.read_head().status == 400
    assert cluster.gateways[0].metrics()["signalbox_websockets"] == 0


def test_close_and_end_at_once(cluster):
    client = raw(cluster).upgrade("/up?name=Bye")
    client.send_bytes(encode_frame(TEXT, "{}") + encode_frame(CLOSE, close_body(1000, "bye")))
    client.half_close()
    frame = client.read_frame()
    while frame.opcode == PING:
        frame = client.read_frame()
    assert frame.opcode == CLOSE and frame.payload[:2] == close_body(1000)


def test_who_never_says_anything_is_missed_on_a_busy_name(cluster):
    client = raw(cluster).upgrade("/up?name=Busy")


    def is_missed_while_busy():
        cluster.cli("send", "Busy", "x")
        return cluster.gateways[0].metrics()["signalbox_websockets"] == 0
    eventually(is_missed_while_busy, 30)
    opcodes = []
    while (frame := client.read_frame()).opcode != CLOSE:
        opcodes.append(frame.opcode)
    assert frame.payload[:2] == close_body(4003) and PING in opcodes


# -- handshakes

def refused(cluster, path, headers=None):
    with pytest.raises(Refused) as caught:
        raw(cluster).upgrade(path, headers)
    return caught.value


def test_426_says_what_to_upgrade_to(cluster):
    assert refused(cluster, "/up?name=A", {"Sec-WebSocket-Version": "8"}).head.get("Upgrade") == "websocket"


def test_two_origins(cluster):
    client = raw(cluster)
    own = "http://127.0.0.1:%d" % cluster.gateways[0].port
    text = client.request_text("/up?name=A", {"Origin": own})
    assert raw(cluster).upgrade("/up?name=A", {"Origin": own}).head.status == 101
    client.send_bytes(text.replace("\r\n\r\n", "\r\nOrigin: http://evil.test\r\n\r\n").encode())
    assert client.read_head().status == 403


def test_a_name_is_utf8(cluster):
    assert raw(cluster).upgrade("/up?name=%C3%A9").head.status == 101
    assert refused(cluster, "/up?name=%C3").status == 400


# -- how much one client may say

def confirmed(cluster):
    return cluster.gateways[0].metrics()["signalbox_messages_in_total"]


def test_messages_a_second():
    """The first second's worth at once, the rest at the rate; nothing is lost, nobody else waits."""
    with Cluster(APP, gateways=1, gateway_args=["--max-messages-per-second", "20"]) as cluster:
        flood, other = raw(cluster).upgrade("/up?name=A"), raw(cluster).upgrade("/up?name=B")
        began, counts = time.monotonic(), []
        flood.send_bytes(encode_frame(TEXT, "{}") * 60)
        other.send_bytes(encode_frame(TEXT, "{}"))

        def count():
            counts.append((confirmed(cluster), time.monotonic() - began))
            return counts[-1][0]
        eventually(lambda: count() >= 21)
        eventually(lambda: count() == 61, 30)
        too_many = [(number, passed) for number, passed in counts if number > 1 + 20 + 20 * passed + 1]
        assert not too_many and len({number for number, _ in counts}) > 2, "at the rate, not all at once in the end"
        flood.send_bytes(encode_frame(CLOSE, close_body(1000)))
        assert flood.read_frame().opcode == CLOSE


def test_over_the_rate_for_too_long_is_1008():
    """What was read arrives first; a client that keeps to the rate stays."""
    arguments = ["--max-messages-per-second", "50", "--rate-patience-ms", "400"]
    with Cluster(APP, gateways=1, gateway_args=arguments) as cluster:
        flood, other = raw(cluster).upgrade("/up?name=A"), raw(cluster).upgrade("/up?name=B")
        flood.send_bytes(encode_frame(TEXT, "{}") * 1000)
        other.send_bytes(encode_frame(TEXT, "{}") * 40)
        frame = flood.read_frame()
        assert frame.opcode == CLOSE and frame.payload == close_body(1008, "rate limit")
        eventually(lambda: confirmed(cluster) >= 40 + 50)
        assert confirmed(cluster) < 40 + 500
        metrics = cluster.gateways[0].metrics()
        assert metrics["signalbox_rate_closed_total"] == 1 and metrics["signalbox_websockets"] == 1
        other.send_bytes(encode_frame(CLOSE, close_body(1000)))
        assert other.read_frame().payload == close_body(1000)


def test_a_gateway_that_stood_still_makes_nobody_too_fast():
    """Half the rate all the time; what was said during three seconds of standstill is read at once."""
    arguments = ["--max-messages-per-second", "20", "--rate-patience-ms", "300"]
    with Cluster(APP, gateways=1, gateway_args=arguments) as cluster:
        client = raw(cluster).upgrade("/up?name=A")
        gateway = cluster.gateways[0]
        gateway.stop()
        time.sleep(3)  # that is the standstill
        client.send_bytes(encode_frame(TEXT, "{}") * 50)
        gateway.cont()
        eventually(lambda: confirmed(cluster) == 50)
        client.send_bytes(encode_frame(CLOSE, close_body(1000)))
        assert client.read_frame().payload == close_body(1000)


def test_one_client_has_its_share_of_the_way_to_redis():
    """While Redis answers nobody, one that floods is not read past an eighth; what was read arrives."""
    with Cluster(APP, gateways=1, gateway_args=["--max-uplink-bytes", "8000000"]) as cluster:
        flood, other = raw(cluster).upgrade("/up?name=A"), raw(cluster).upgrade("/up?name=B")
        cluster.redis_server.stop()
        messages = encode_frame(BINARY, b"x" * 100000) * 150
        sender = threading.Thread(target=flood.sock.sendall, args=(messages,))
        flood.sock.settimeout(60)
        sender.start()

        def waiting():
            return cluster.gateways[0].metrics()["signalbox_uplink_bytes"]
        eventually(lambda: waiting() > 900000)
        always(lambda: 900000 < waiting() < 1200000, 0.5)
        other.send_bytes(encode_frame(TEXT, "{}"))
        cluster.redis_server.cont()
        eventually(lambda: confirmed(cluster) == 151)
        sender.join()


def fullest(cluster):
    """The longest stream of entries that wait for the broker: its key and length."""
    return max(((key, cluster.redis.xlen(key)) for key in cluster.redis.keys("sb:{*}:in")), key=lambda pair: pair[1])


@pytest.mark.parametrize("flood,count,most", [(b"{}", 5000, 1128), (b"x" * 100000, 40, 11), (b"x" * 4000000, 3, 1)],
                         ids=["small", "large", "huge"])
def test_what_one_floods_keeps_nobody_waiting(flood, count, most):
    """While the broker stands still, a flood stops early in Redis; what another says of the same Name passes it."""
    with Cluster(APP, gateways=1) as cluster:
        one, other = raw(cluster).upgrade("/up?name=A"), raw(cluster).upgrade("/up?name=A")
        eventually(lambda: fullest(cluster)[1] == 0)
        cluster.brokers[0].stop()
        sender = threading.Thread(target=one.send_bytes, args=(encode_frame(BINARY, flood) * count,))
        sender.start()
        eventually(lambda: fullest(cluster)[1] >= most * 0.7)
        other.send_bytes(encode_frame(TEXT, "I am another"))
        key, _ = eventually(lambda: fullest(cluster) if b"I am another" in str(
            cluster.redis.xrevrange(fullest(cluster)[0], count=128)).encode() else None, 5)
        assert cluster.redis.xlen(key) <= most + 1
        cluster.brokers[0].cont()
        eventually(lambda: confirmed(cluster) == count + 1, 20)
        sender.join()


def passing(pid):
    """Of a process, the descriptors that come and go: those of TCP connections and of files that are served."""
    links = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # it is closed meanwhile
            links.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in list(table)[1:]]
    connections = {f"socket:[{row[9]}]" for row in rows if row[3] != "0A"}  # all but those that listen
    return [link for link in links if link in connections or link.endswith(".lua")]


def test_no_descriptor_left_for_a_file():
    """Not "not found": the file is there."""
    with Cluster(APP, gateways=1) as cluster:
        pid = cluster.gateways[0].pid
        assert cluster.http(0, "GET", "/files/hostile.lua").status == 200
        client = raw(cluster).request("/hi", handshake=False)
        assert client.read_head().status == 200 and client.read_body() == b"hi"
        eventually(lambda: len(passing(pid)) == 1, what="only this client's descriptor is left")
        taken = set(map(int, os.listdir(f"/proc/{pid}/fd")))
        free = min(set(range(len(taken) + 1)) - taken)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, free))
        client.request("/files/hostile.lua", handshake=False)
        assert client.read_head().status == 503
