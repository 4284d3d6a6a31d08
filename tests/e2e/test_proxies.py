"""HAProxy and nginx before two gateways, with the very blocks of docs/operations.md: only addresses and files are other ones."""
import contextlib
import http.client
import json
import pathlib
import re
import shutil
import ssl
import subprocess
import textwrap

import pytest

from harness import (BINARY, PING, PONG, ROOT, Client, Closed, Cluster, Multiplex, Process, RawWs, SseClient, cluster as harness_cluster,
                     eventually)

APP = ROOT / "tests" / "conformance" / "app" / "app.lua"
PROXY, CLIENT = "127.0.0.1", "127.0.0.9"
V1 = {"Sec-WebSocket-Protocol": "signalbox.v1"}
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def block_of(title):
    """The indented block of that section of the docs."""
    section = (ROOT / "docs" / "operations.md").read_text().split(f"\n### {title}\n")[1].split("\n### ")[0]
    return textwrap.dedent("\n".join(line for line in section.split("\n") if line.startswith("    ") or not line))


def replaced(text, pairs):
    for old, new in pairs:
        assert old in text, f"the docs have no {old!r} any more"
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-days", "2", "-nodes", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key", "-out", folder / "crt"],
                   check=True, capture_output=True)
    (folder / "pem").write_text((folder / "crt").read_text() + (folder / "key").read_text())
    return folder


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP, gateway_args=["--trusted-proxies", PROXY, "--compress-min-bytes", "100"]) as running:
        yield running


def haproxy(cluster, certificate, folder, port):
    g1, g2 = cluster.gateways
    text = replaced(block_of("HAProxy"), [
        ("bind :443", f"bind 127.0.0.1:{port}"), ("/etc/haproxy/chat.example.pem", str(certificate / "pem")),
        ("10.0.0.11:8091 check port 9090", f"127.0.0.1:{g1.port} check port {g1.admin_port}"),
        ("10.0.0.12:8091 check port 9090", f"127.0.0.1:{g2.port} check port {g2.admin_port}")])
    (folder / "haproxy.cfg").write_text(text)
    return ["haproxy", "-db", "-f", folder / "haproxy.cfg"]


def nginx(cluster, certificate, folder, port):
    g1, g2 = cluster.gateways
    text = replaced(block_of("nginx"), [
        ("listen 443", f"listen 127.0.0.1:{port}"), ("/etc/nginx/chat.example.crt", str(certificate / "crt")),
        ("/etc/nginx/chat.example.key", str(certificate / "key")),
        ("10.0.0.11:8091", f"127.0.0.1:{g1.port}"), ("10.0.0.12:8091", f"127.0.0.1:{g2.port}")])
    paths = "".join(f"{kind}_temp_path {folder / kind};\n" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
    (folder / "nginx.conf").write_text(f"user root; daemon off; pid {folder / 'pid'}; error_log stderr;\nevents {{ }}\n"
                                       f"http {{ access_log off;\n{paths}{text}}}\n")
    return ["nginx", "-p", folder, "-e", "stderr", "-c", folder / "nginx.conf"]


class Proxy:
    def __init__(self, cluster, certificate, port):
        self.cluster, self.address = cluster, ("127.0.0.1", port)
        self.tls = ssl.create_default_context(cafile=str(certificate / "crt"))

    def client(self, path, headers=None):
        return Client(self.address, path, {**self.origin(), **(headers or {})}, tls=self.tls, source=CLIENT)

    def origin(self):
        return {"Origin": "https://%s:%d" % self.address}

    def channels(self):
        return Multiplex(self.address, self.origin(), tls=self.tls, source=CLIENT)

    def events(self, path):
        return SseClient(self.address, path, self.origin(), tls=self.tls, source=CLIENT)

    def post(self, path, client, body):
        """Status and text of the answer to a message of the client."""
        headers = {**self.origin(), "X-PODE-SIGNAL-CLIENT-ID": client.id, "X-PODE-SIGNAL-NAME": client.name}
        connection = http.client.HTTPSConnection(*self.address, context=self.tls, timeout=20)
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def get(self, path, headers=None):
        with RawWs(self.address, tls=self.tls, source=CLIENT) as raw:
            raw.request(path, headers, handshake=False)
            return raw.read_head().status, raw.read_body().decode()

    def is_up(self):
        try:
            return self.get("/plain") == (200, "plain")
        except OSError:
            return False


@contextlib.contextmanager
def running(kind, cluster, certificate, folder):
    name, port = kind.__name__, harness_cluster.free_port()
    if shutil.which(name, path=PATH) is None:
        pytest.skip(f"{name} is not installed: ./dev setup test")
    folder.chmod(0o755)
    process = Process(name, kind(cluster, certificate, folder, port), folder, {"PATH": PATH}).start()
    try:
        found = Proxy(cluster, certificate, port)
        eventually(found.is_up, what=f"{name} serves: {process.log()}")
        yield found
    finally:
        process.term().wait()


@pytest.fixture(scope="module", params=[haproxy, nginx], ids=["haproxy", "nginx"])
def proxy(request, cluster, certificate, tmp_path_factory):
    with running(request.param, cluster, certificate, tmp_path_factory.mktemp("proxy")) as found:
        yield found


def test_a_page_on_its_own_port_may_connect(proxy):
    """The proxy is on no default port, and the Origin names it: 403 when Host loses it."""
    with proxy.client("/up?name=Port") as client:
        client.say("hello", path="Port")
        assert client.recv() == "hello"


def test_messages_of_every_kind(proxy):
    with proxy.client("/s/echo?name=Echo") as client:
        client.send_text("x" * 1000000)
        assert client.recv() == "x" * 1000000
        client.send_frame(BINARY, b"\0\xff")
        assert client.read_frame().payload == b"\0\xff"
        client.close(4321, "over")


def test_compression_is_between_the_client_and_the_gateway(proxy):
    offer = "permessage-deflate; client_max_window_bits; server_max_window_bits=12"
    with proxy.client("/s/echo?name=Echo", {"Sec-WebSocket-Extensions": offer}) as client:
        assert client.window_bits == 12
        for size in 10, 1000, 100000:
            client.send_compressed("compressed " * size)
            assert client.recv() == "compressed " * size
        assert len(client.compressed) == 2  # the last one is too large to be compressed


def test_many_on_one_socket(proxy):
    with proxy.channels() as socket:
        first, second = socket.open("/up?name=Many1"), socket.open("/up?name=Many2")
        first.say("to the second", path="Many2", ref=1)
        assert second.recv_json()["data"] == "to the second"
        assert first.recv_json()["type"] == "ack"


def test_an_event_stream_and_its_posts(proxy):
    """The posts go to any gateway, and may be as large as a message over a WebSocket."""
    with proxy.events("/up?name=Events") as stream:
        for size in 1, 100, 3_000_000:
            text = "x" * size
            status, answer = proxy.post("/up?name=Events", stream, json.dumps({"message": text, "path": "Events"}))
            assert status == 202, answer
            assert stream.recv() == text


@pytest.mark.parametrize("kind", [haproxy, nginx], ids=["haproxy", "nginx"])
def test_what_the_server_says_keeps_an_idle_connection(certificate, tmp_path, kind):
    """The proxy's patience is 3 s, and nothing is said: what comes each second, by itself, is enough on every transport."""
    def impatient(cluster, certificate, folder, port):
        argv = kind(cluster, certificate, folder, port)
        config, = folder.glob("*.c[of][gn]*")
        text = config.read_text()
        for old, new in ("timeout client 60s", "timeout client 3s"), ("timeout server 60s", "timeout server 3s"), (
                "timeout tunnel 1h", "timeout tunnel 3s"), ("_timeout 1h", "_timeout 3s"):
            text = text.replace(old, new)
        config.write_text(text)
        return argv
    impatient.__name__ = kind.__name__
    with Cluster(APP, gateway_args=["--trusted-proxies", PROXY, "--ping-ms", "1000"]) as cluster, \
            running(impatient, cluster, certificate, tmp_path) as proxy, \
            proxy.client("/up?name=Idle", V1) as socket, proxy.channels() as shared, proxy.events("/up?name=Idle") as stream, \
            proxy.client("/up?name=Idle") as plain:
        channel = shared.open("/up?name=Idle")
        for _ in range(5):
            stream.wait_ping()
            ping = plain.read_frame()
            assert ping.opcode == PING
            plain.send_frame(PONG, ping.payload)
        for frames in [socket.recv_json() for _ in range(3)], [shared.recv_frame() for _ in range(3)]:
            assert {frame["type"] for frame in frames} <= {"hello", "position", "pong"}
        cluster.cli("send", "Idle", "still here")
        assert plain.recv() == stream.recv() == "still here"
        for client in socket, channel:
            while (frame := client.recv_json())["type"] != "message":
                assert frame["type"] in ("position", "pong", "live")
            assert frame["data"] == "still here"


def test_paths_come_as_they_were_sent(proxy):
    """So a guard holds behind a proxy as it does without one, and %2F stays within its segment."""
    for path in "/walled/private/s.txt", "//walled/%70rivate/s.txt", "/walled/x/../private/s.txt", "/walled/./private/s.txt":
        assert proxy.get(path)[0] == 401
    assert proxy.get("/walled/private%2Fs.txt")[0] == 404
    with proxy.client("/halls/a%2Fb?name=Halls") as client:
        client.say("x")
        assert client.group == "a/b" and client.recv() == "a hall's /halls/a%2Fb"


def test_headers_tell_who_asks(proxy):
    status, body = proxy.get("/headers", {"X-Forwarded-For": "6.6.6.6", "X-Mine": "yes"})
    assert status == 200 and f'"x-forwarded-for":"{CLIENT}"' in body and '"x-mine":"yes"' in body
    assert f'"host":"127.0.0.1:{proxy.address[1]}"' in body


def test_handlers_see_the_client(proxy):
    lies = {"X-Forwarded-For": "6.6.6.6", "Forwarded": "for=6.6.6.6", "X-Forwarded-Host": "lie.example", "X-Forwarded-Proto": "http"}
    with proxy.client("/s/dump?name=Who", lies) as client:
        client.say("who am I?")
        seen = client.recv_json()["request"]
        assert seen["remote_address"] == CLIENT and seen["url"] == "wss://%s:%d/s/dump?name=Who" % proxy.address


def test_a_long_cookie_passes(proxy):
    cookie = "session=" + "c" * 12000
    assert f'"cookie":"{cookie}"' in proxy.get("/headers", {"Cookie": cookie})[1]


def test_a_chunked_body_and_a_range(proxy):
    with RawWs(proxy.address, tls=proxy.tls) as raw:
        raw.send_bytes(b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        assert raw.read_head().status == 200 and raw.read_body() == b"abc"
    assert proxy.get("/walled/open.txt", {"Range": "bytes=1-2"}) == (206, "pe")


def gateways_of(cluster, name):
    """The gateway of each client of the Name."""
    return re.findall(r'"gateway": ?"([0-9a-f]+)"', cluster.cli("clients", name, "--json").stdout)


def test_a_gateway_that_leaves_is_not_noticed(proxy):
    """New clients are refused by no one: what the leaving gateway answers with 503, or not at all, goes to the other."""
    leaving = proxy.cluster.gateways[0]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(proxy.client(f"/up?name=Before&id={n}")) for n in range(4)]
        before = gateways_of(proxy.cluster, "Before")
        assert len(set(before)) == 2
        leaving.term().wait_log("drain: started")
        for number in range(6):
            stack.enter_context(proxy.client(f"/up?name=After&id={number}"))
        staying, = set(gateways_of(proxy.cluster, "After"))
        proxy.cluster.cli("send", "Before", "still here")
        assert sum(is_reached(client) for client in clients) >= before.count(staying)
    leaving.wait()
    leaving.restart()
    eventually(lambda: is_used(proxy, leaving), what="the gateway that came back gets clients")


def is_reached(client):
    try:
        return client.recv() == "still here"
    except Closed:
        return False


def is_used(proxy, gateway):
    before = gateway.metrics()["signalbox_http_requests_total"]
    assert all(proxy.get("/plain")[0] == 200 for _ in range(4))
    return gateway.metrics()["signalbox_http_requests_total"] > before


# -- the proxy passes bytes on, and TLS is the gateway's

STREAM_MODULE = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so")


def haproxy_stream(folder, port, to, sends):
    (folder / "haproxy.cfg").write_text(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n unique-id-format %{+X}o%ci\n"
        f"listen gateways\n bind 127.0.0.1:{port}\n server g1 127.0.0.1:{to} {sends}\n")
    return ["haproxy", "-db", "-f", folder / "haproxy.cfg"]


def nginx_stream(folder, port, to, sends):
    if not STREAM_MODULE.exists():
        pytest.skip("libnginx-mod-stream is not installed: ./dev setup test")
    (folder / "nginx.conf").write_text(
        f"load_module {STREAM_MODULE};\ndaemon off; pid {folder / 'pid'}; error_log stderr;\nevents {{ }}\n"
        f"stream {{ server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{to}; {sends}; }} }}\n")
    return ["nginx", "-p", folder, "-e", "stderr", "-c", folder / "nginx.conf"]


@pytest.mark.parametrize("proxied, sends, wants", [
    (haproxy_stream, "send-proxy", "v1"), (haproxy_stream, "send-proxy-v2", "v2"),
    (haproxy_stream, "send-proxy-v2 proxy-v2-options unique-id,crc32c", "any"),
    (nginx_stream, "proxy_protocol on", "v1"), (nginx_stream, "proxy_protocol on", "any")],
    ids=["v1", "v2", "tlv", "nginx", "nginx-any"])
def test_the_proxy_protocol(certificate, tmp_path, proxied, sends, wants):
    name = proxied.__name__.split("_")[0]
    if shutil.which(name, path=PATH) is None:
        pytest.skip(f"{name} is not installed: ./dev setup test")
    port = harness_cluster.free_port()
    query = f"?certificate={certificate / 'crt'}&key={certificate / 'key'}&proxy_protocol={wants}"
    with Cluster(APP, gateways=1, listen="https+wss", listen_query=query, gateway_args=["--trusted-proxies", PROXY]) as cluster:
        argv = proxied(tmp_path, port, cluster.gateways[0].port, sends)
        process = Process(name, argv, tmp_path, {"PATH": PATH}).start()
        try:
            found = Proxy(cluster, certificate, port)
            eventually(found.is_up, what=f"{name} serves: {process.log()}")
            with found.client("/s/dump?name=Who") as client:
                client.say("who am I?")
                assert client.recv_json()["request"]["remote_address"] == CLIENT
        finally:
            process.term().wait()
