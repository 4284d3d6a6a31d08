"""Who asks, when it comes through a proxy: for handlers, signatures, events and limits; and who may say so."""
import contextlib
import json
import pathlib
import socket
import subprocess

import pytest

from harness import BIN, Client, Closed, Cluster, RawWs, Refused, eventually

APP = pathlib.Path(__file__).parent / "app" / "who.lua"
PROXY, STRANGER = "127.0.0.2", "127.0.0.9"


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP, gateways=1, gateway_args=["--trusted-proxies", "127.0.0.2,127.0.0.4/30"]) as running:
        yield running


def address_of(cluster):
    return ("127.0.0.1", cluster.gateways[0].port)


def who(cluster, source, headers):
    with RawWs(address_of(cluster), source=source) as raw:
        raw.request("/who", headers, handshake=False)
        assert raw.read_head().status == 200
        return json.loads(raw.read_body())


def test_handlers_see_the_client(cluster):
    for headers, client in [({"X-Forwarded-For": "6.6.6.6, 203.0.113.7"}, "203.0.113.7"),
                            ({"X-Forwarded-For": "6.6.6.6, 203.0.113.7, 127.0.0.5"}, "203.0.113.7"),
                            ({"X-Forwarded-For": "[2001:db8::7]:4711"}, "2001:db8::7"),
                            ({"X-Forwarded-For": "203.0.113.7, unknown"}, PROXY),
                            ({"Forwarded": "for=6.6.6.6"}, PROXY),
                            ({}, PROXY)]:
        assert who(cluster, PROXY, headers)["address"] == client


def test_nobody_else_is_believed(cluster):
    for headers in [{"X-Forwarded-For": "127.0.0.2"}, {"X-Forwarded-For": "6.6.6.6"}, {"X-Forwarded-Proto": "https"},
                    {"X-Forwarded-Host": "lie.example"}]:
        told = who(cluster, STRANGER, headers)
        assert told["address"] == STRANGER and told["endpoint"]["protocol"] == "http"
        assert told["endpoint"]["address"].startswith("127.0.0.1:")


def test_scheme_and_host_are_the_client_s(cluster):
    told = who(cluster, PROXY, {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "chat.example",
                                "X-Forwarded-Port": "8443"})
    assert told["endpoint"]["protocol"] == "https" and told["endpoint"]["address"] == "chat.example:8443"


def test_each_request_of_a_connection_has_its_own_client(cluster):
    with RawWs(address_of(cluster), source=PROXY) as raw:
        for client in "203.0.113.7", "2001:db8::7", "203.0.113.8":
            raw.request("/who", {"X-Forwarded-For": client}, handshake=False)
            raw.read_head()
            assert json.loads(raw.read_body())["address"] == client


def test_signal_routes_see_the_client(cluster):
    headers = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "chat.example"}
    with Client(address_of(cluster), "/up?name=Route", headers, source=PROXY) as client:
        client.say("who am I?")
        assert client.recv_json() == {"address": "203.0.113.7", "url": "wss://chat.example/up?name=Route", "protocol": "wss"}


def test_limits_are_the_client_s():
    args = ["--trusted-proxies", PROXY, "--max-connections-per-address", "3", "--max-requests-per-second-per-address", "2"]
    with Cluster(APP, gateways=1, gateway_args=args) as cluster, contextlib.ExitStack() as stack:
        def up(client):
            return stack.enter_context(Client(address_of(cluster), "/up?name=Up", {"X-Forwarded-For": client}, source=PROXY))
        clients = [up("203.0.113.7") for _ in range(3)]
        with pytest.raises(Refused) as refused:
            up("6.6.6.6, 203.0.113.7")
        assert refused.value.status == 503 and int(refused.value.head.get("Retry-After")) > 0
        for number in range(5):
            up(f"203.0.113.{number + 10}")
        clients[0].close()
        eventually(lambda: is_up(lambda: up("203.0.113.7")))
        with RawWs(address_of(cluster), source=PROXY) as raw:
            statuses = []
            while len(statuses) < 1000 and 429 not in statuses:
                raw.request("/who", {"X-Forwarded-For": "203.0.113.20"}, handshake=False)
                statuses.append(raw.read_head().status)
                raw.read_body()
            assert 20 <= statuses.count(200) < 1000, "and the proxy's connection stays"
            raw.request("/who", {"X-Forwarded-For": "203.0.113.21"}, handshake=False)
            assert raw.read_head().status == 200, "another client of the same connection"
        cluster.gateways[0].wait_log("refused address=203.0.113.20 limit=--max-requests-per-second-per-address")


def is_up(up):
    try:
        return up()
    except (Refused, Closed):
        return None


def test_the_other_header():
    with Cluster(APP, gateways=1, gateway_args=["--trusted-proxies", PROXY, "--forwarded-header", "forwarded"]) as cluster:
        told = who(cluster, PROXY, {"X-Forwarded-For": "6.6.6.6", "Forwarded": 'for="[2001:db8::7]:4711";proto=https;host=chat.example'})
        assert told["address"] == "2001:db8::7" and told["endpoint"] == {"protocol": "https", "address": "chat.example"}


# -- the PROXY protocol

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(address, command=0x21, tlvs=b""):
    block = socket.inet_aton(address) + socket.inet_aton("10.0.0.5") + b"\x30\x39\x01\xbb" + tlvs
    return SIGNATURE + bytes([command, 0x11]) + len(block).to_bytes(2, "big") + block


@pytest.fixture(scope="module")
def proxied():
    with Cluster(APP, gateways=1, listen_query="?proxy_protocol=any",
                 gateway_args=["--trusted-proxies", f"{PROXY},10.0.0.0/8", "--max-connections-per-address", "3"]) as running:
        yield running


def ask_after(cluster, header, source=PROXY, headers=None, pieces=None):
    with RawWs(address_of(cluster), source=source) as raw:
        try:
            for piece in pieces or [header]:
                raw.send_bytes(piece)
            raw.request("/who", headers, handshake=False)
            head = raw.read_head()
            return json.loads(raw.read_body())["address"] if head.status == 200 else head.status
        except (Closed, OSError):
            return None


def test_the_header_names_the_client(proxied):
    line = b"PROXY TCP4 203.0.113.7 10.0.0.5 12345 443\r\n"
    assert ask_after(proxied, line) == "203.0.113.7"
    assert ask_after(proxied, b"PROXY TCP6 2001:db8::7 2001:db8::8 12345 443\r\n") == "2001:db8::7"
    assert ask_after(proxied, b"PROXY UNKNOWN\r\n") == PROXY
    assert ask_after(proxied, v2("203.0.113.7")) == "203.0.113.7"
    assert ask_after(proxied, v2("203.0.113.7", tlvs=b"\x04\0\x03abc")) == "203.0.113.7"
    assert ask_after(proxied, v2("203.0.113.7", command=0x20)) == PROXY, "LOCAL"
    for header in line, v2("203.0.113.7"):
        assert ask_after(proxied, None, pieces=[header[i:i + 1] for i in range(len(header))]) == "203.0.113.7"


def test_header_and_address_do_not_mix(proxied):
    """What the client of a PROXY line writes into X-Forwarded-For is ignored, unless the line names a trusted proxy."""
    lie = {"X-Forwarded-For": "6.6.6.6"}
    assert ask_after(proxied, v2("203.0.113.7"), headers=lie) == "203.0.113.7"
    assert ask_after(proxied, v2("10.0.0.7"), headers=lie) == "6.6.6.6"


def test_whoever_sends_no_header_is_closed(proxied):
    before = metric(proxied, "refused_proxy_total")
    assert ask_after(proxied, b"") is None
    assert ask_after(proxied, v2("203.0.113.7"), source=STRANGER) is None
    assert ask_after(proxied, b"PROXY TCP4 203.0.113.7 10.0.0.5 1 x\r\n") is None
    assert ask_after(proxied, v2("203.0.113.7") + v2("203.0.113.8")) == 400, "a second header is no request"
    assert metric(proxied, "refused_proxy_total") == before + 3
    proxied.gateways[0].wait_log(f"refused address={STRANGER}")


def test_limits_are_those_of_the_named(proxied):
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            raw = stack.enter_context(RawWs(address_of(proxied), source=PROXY))
            raw.send_bytes(v2("203.0.113.50"))
            raw.request("/who", handshake=False)
            assert raw.read_head().status == 200
        one_more = stack.enter_context(RawWs(address_of(proxied), source=PROXY))
        one_more.send_bytes(v2("203.0.113.50"))
        one_more.request("/who", handshake=False)
        assert one_more.read_head().status == 503
        assert ask_after(proxied, v2("203.0.113.51")) == "203.0.113.51"


def metric(cluster, name):
    return cluster.gateways[0].metrics()[f"signalbox_{name}"]


@pytest.mark.parametrize("args, text", [
    (["--listen", "http://127.0.0.1:1?proxy_protocol=v2"], "nobody can use the PROXY protocol without --trusted-proxies"),
    (["--trusted-proxies", "10.0.0.0/8,haproxy"], "--trusted-proxies 10.0.0.0/8,haproxy: haproxy is no address or network"),
    (["--trusted-proxies", "0.0.0.0/0"], "0.0.0.0/0 is everybody"),
    (["--forwarded-header", "x-real-ip"], "must be x-forwarded-for, forwarded or none")])
def test_a_wrong_list_is_refused(args, text):
    result = subprocess.run([BIN / "signalbox-gateway", APP, *args], capture_output=True, text=True, timeout=20)
    assert result.returncode == 2 and text in result.stderr
