"""Listening: rows S13 to S30."""
import re
import ssl
import subprocess

import pytest

from harness import BIN, TEXT, Closed, Refused, free_port
from conformance_world import G1, make_certificate, query, unique

GUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")


def start_error(cluster, app_text, folder):
    """What a gateway prints that refuses to start with this app."""
    app = folder / "app.lua"
    app.write_text(app_text)
    done = subprocess.run([BIN / "signalbox-gateway", app, "--redis", cluster.redis_url, "--admin",
                           f"127.0.0.1:{free_port()}"], capture_output=True, text=True, timeout=20)
    assert done.returncode != 0
    return done.stdout + done.stderr


def refusal(raw, path, headers=None, **options):
    """Status and head of a refused handshake: the connection ends after it."""
    head = raw.request(path, headers, **options).read_head()
    body = raw.read_body()
    assert head.get("Connection", "").lower() == "close" and raw.is_ended()
    assert body.strip() and b"\n" not in body.strip()
    return head


def test_S13_protocol_ws(endpoints, trigger):
    a = endpoints.at("WS", query("/up", name=unique()), gateway=trigger)
    assert a.head.version == "HTTP/1.1" and a.head.status == 101


def test_S14_protocol_wss(endpoints, trigger):
    a = endpoints.at("WSS", "/s/dump?name=" + unique(), gateway=trigger, tls=endpoints.tls)
    a.say("x")
    dump = a.recv_json()
    assert dump["endpoint"]["protocol"] == "wss" and dump["request"]["url"].startswith("wss://")


def test_S14_plain_bytes_to_wss_get_no_101(endpoints):
    raw = endpoints.raw("WSS").request(query("/up", name=unique()))
    assert b"101" not in raw.read_to_end()


def test_S14_old_tls_versions_are_refused(endpoints):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError):
        endpoints.raw("WSS", tls=context)


def test_S15_address_and_hostname(endpoints):
    path = query("/up", name=unique())
    assert endpoints.at("HOST", path, {"Host": "signals.example.test"}).head.status == 101
    assert endpoints.at("HOST", path, {"Host": "SIGNALS.example.test:1234"}).head.status == 101
    for wrong in "other.example.test", "127.0.0.1":
        with pytest.raises(Refused) as refused:
            endpoints.at("HOST", path, {"Host": wrong})
        assert refused.value.status == 400


def test_S15_host_header_is_required(endpoints):
    head = endpoints.raw("MERGED").request(query("/up", name=unique()), {"Host": None}).read_head()
    assert head.status == 400


def test_S16_port_out_of_range_stops_the_start(cluster, tmp_path):
    text = start_error(cluster, 'signalbox.endpoint { address = "127.0.0.1", port = 65536, protocol = "ws" }', tmp_path)
    assert "port" in text.lower()


def test_S17_certificate_on_ws_stops_the_start(cluster, tmp_path):
    certificate, key = make_certificate(tmp_path)
    text = start_error(cluster, f"""signalbox.endpoint {{ address = "127.0.0.1", port = {free_port()}, protocol = "ws",
        certificate = "{certificate}", key = "{key}" }}""", tmp_path)
    assert "certificate" in text.lower()


def test_S17_bad_certificate_stops_the_start(cluster, tmp_path):
    (tmp_path / "bad.pem").write_text("no certificate")
    text = start_error(cluster, f"""signalbox.endpoint {{ address = "127.0.0.1", port = {free_port()}, protocol = "wss",
        certificate = "bad.pem", key = "bad.pem" }}""", tmp_path)
    assert "bad.pem" in text


def test_S18_wrong_certificate_password_stops_the_start(cluster, tmp_path):
    certificate, key = make_certificate(tmp_path, "right")
    text = start_error(cluster, f"""signalbox.endpoint {{ address = "127.0.0.1", port = {free_port()}, protocol = "wss",
        certificate = "{certificate}", key = "{key}", password = "open sesame" }}""", tmp_path)
    assert "key" in text.lower()
    assert "open sesame" not in text, "a secret in the log"


def test_S19_no_auto_upgrade_on_a_merged_port(endpoints):
    with pytest.raises(Refused) as refused:
        endpoints.at("MERGED", "/plain")
    assert refused.value.status == 200
    assert endpoints.at("MERGED", query("/up", name="Merged")).name == "Merged"


def test_S20_legacy_auto_upgrade(endpoints):
    a = endpoints.at("AUTO", "/messages?x=1")
    assert a.name == "/messages" and GUID.match(a.id) and a.group is None


def test_S21_endpoint_receives_sends_and_parses(endpoints, trigger):
    a = endpoints.at("WS", "/s/echo?name=" + unique(), gateway=trigger)
    a.say("after the upgrade")
    assert a.recv_json() == {"message": "after the upgrade"}


def test_S22_http_and_ws_on_different_ports(endpoints):
    """S22: routes without an endpoint serve both ports."""
    assert endpoints.http("HTTP", "GET", "/plain").text == "plain"
    assert endpoints.at("WS", query("/up", name="Two")).name == "Two"
    assert endpoints.http("WS", "GET", "/plain").text == "plain"


def test_S23_http_and_ws_on_the_same_port(cluster):
    reply = cluster.http(G1, "GET", "/")
    assert reply.status == 200 and reply.headers["Content-Type"].startswith("text/html")
    with cluster.client(G1, query("/up", name="Same")) as client:
        assert client.name == "Same"


def test_S24_ws_only_endpoint_serves_routes_and_manual_upgrades(endpoints):
    assert endpoints.at("WS", query("/up", name="Only")).head.status == 101
    assert endpoints.http("WS", "GET", "/plain").status == 200


def test_S25_websocket_request_on_an_http_only_endpoint(endpoints):
    assert refusal(endpoints.raw("HTTP"), query("/up", name=unique())).status == 426
    assert endpoints.http("HTTP", "GET", "/plain").status == 200


def test_S26_key_missing(w):
    with w.cluster.raw(G1) as raw:
        assert refusal(raw, query("/up", name=unique()), {"Sec-WebSocket-Key": None}).status == 412


def test_S26_auto_upgrade_without_key_is_plain_http(endpoints):
    assert endpoints.http("AUTO", "GET", "/plain").text == "plain"


@pytest.mark.parametrize("key", ["!!", "", "dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBsZSBub25jZQ",
                                 "dGhlIHNhbXBsZSBub25jZTEyMzQ1Ng=="])
def test_S27_key_invalid(w, key):
    with w.cluster.raw(G1) as raw:
        head = refusal(raw, query("/up", name=unique()), {"Sec-WebSocket-Key": key})
    assert head.status == 400


@pytest.mark.parametrize("version", ["8", "14", "", "13, 8", None])
def test_S28_version_not_13(w, version):
    with w.cluster.raw(G1) as raw:
        head = refusal(raw, query("/up", name=unique()), {"Sec-WebSocket-Version": version})
    assert head.status == 426 and head.get("Sec-WebSocket-Version") == "13"


@pytest.mark.parametrize("upgrade", [None, "h2c"])
def test_S28_no_upgrade_header(w, upgrade):
    with w.cluster.raw(G1) as raw:
        head = refusal(raw, query("/up", name=unique()), {"Upgrade": upgrade})
    assert head.status == 426


@pytest.mark.parametrize("headers", [{"Upgrade": "WebSocket"}, {"Connection": "keep-alive, upgrade"},
                                     {"Upgrade": "h2c, websocket"}])
def test_S28_tokens_without_case_and_in_lists(w, headers):
    assert w.connect(G1, query("/up", name=unique()), headers).head.status == 101


@pytest.mark.parametrize("path", ["/up", "/up-post"])
def test_S29_method_not_get(w, path):
    """S29: refused by the route's method, and by the conversion where a POST route converts."""
    with w.cluster.raw(G1) as raw:
        assert raw.request(query(path, name=unique()), {"Content-Length": "0"}, method="POST").read_head().status == 405


def test_S30_subprotocol_that_nobody_speaks_is_not_echoed(w):
    a = w.up(G1, unique(), headers={"Sec-WebSocket-Protocol": "chat, superchat"})
    assert a.head.get("Sec-WebSocket-Protocol") is None
    w.send("plain", name=a.name)
    frame = a.read_frame()
    assert (frame.opcode, frame.rsv, frame.payload) == (TEXT, 0, b"plain")


@pytest.mark.parametrize("offer", [None, "permessage-deflate; client_max_window_bits", "x-webkit-unknown; a=1"])
def test_S30_extensions_are_not_spoken(w, offer):
    a = w.up(G1, unique(), headers={"Sec-WebSocket-Extensions": offer})
    assert a.head.get("Sec-WebSocket-Extensions") is None
    w.send("x" * 5000, name=a.name)
    frame = a.read_frame()
    assert (frame.rsv, frame.payload) == (0, b"x" * 5000)


def test_S30_http_1_0_gets_no_101(w):
    """S30, section 1: RFC 6455 asks for HTTP/1.1 or higher."""
    with w.cluster.raw(G1) as raw:
        try:
            assert raw.request(query("/up", name=unique()), version="HTTP/1.0").read_head().status >= 400
        except Closed as closed:
            pytest.fail(f"no answer: {closed}")
