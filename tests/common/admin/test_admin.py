"""The admin listener of gateway and broker: health, metrics, the HTTP API, and what it refuses."""
import http.client
import json
import os
import pathlib
import socket
import subprocess
import time

import pytest

from harness.cluster import Cluster, http_request
from harness.waiting import eventually

APP = pathlib.Path(__file__).resolve().parents[2] / "tools" / "app"
API = [("POST", "/send"), ("POST", "/close"), ("GET", "/names"), ("GET", "/clients"), ("GET", "/gateways"), ("GET", "/brokers")]


@pytest.fixture(scope="module")
def cluster():
    with Cluster(app=APP, gateways=2, brokers=1) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text("open sesame\n")
    with Cluster(app=APP, gateways=1, brokers=1, args=["--admin-token-file", str(token)]) as running:
        yield running


@pytest.fixture(params=["gateway", "broker"])
def daemon(cluster, request):
    return cluster.gateways[0] if request.param == "gateway" else cluster.brokers[0]


def test_health_and_metrics(daemon):
    assert daemon.admin("GET", "/livez").text == "ok\n"
    assert daemon.admin("GET", "/readyz").text == "ready\n"
    reply = daemon.admin("GET", "/metrics")
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE signalbox_connections gauge\n" in reply.text and reply.headers["Cache-Control"] == "no-store"
    eventually(lambda: daemon.metrics()["signalbox_redis_ready"] == 1, 5)


def test_head_has_no_body(daemon):
    reply = daemon.admin("HEAD", "/livez")
    assert reply.status == 200 and reply.body == b"" and reply.headers["Content-Length"] == "3"


def test_send_and_close_reach_clients(cluster, daemon):
    with cluster.client(1, "/up?name=Http") as client:
        reply = daemon.admin("POST", "/send", '{"name":"Http","data":{"n":1.50,"big":123456789012345678901}}')
        assert reply.status == 202 and set(reply.json()) == {"id", "entry"}
        assert client.recv() == '{"n":1.50,"big":123456789012345678901}'
        assert daemon.admin("POST", "/close", {"name": "Http", "clientId": [client.id], "code": 4001, "reason": "x"}).status == 202
        assert client.closing() == (4001, "x")


def test_idempotency_key(cluster, daemon):
    with cluster.client(0, "/up?name=Keys") as client:
        for text in '{"name":"Keys","data":"once"}', ' { "data" : "once" , "name" : "Keys" } ':
            key = f"{daemon.name}-key"
            assert daemon.admin("POST", "/send", text, {"Idempotency-Key": key}).status == 202
        assert daemon.admin("POST", "/send", {"name": "Keys", "data": "once", "id": key}, {"Idempotency-Key": key}).status == 202
        assert daemon.admin("POST", "/send", {"name": "Keys", "data": "end"}).status == 202
        assert client.until("end") == ["once"]
        reply = daemon.admin("POST", "/send", {"name": "Keys", "data": "x", "id": "other"}, {"Idempotency-Key": key})
        assert reply.status == 400 and "Idempotency-Key" in reply.json()["error"]


@pytest.mark.parametrize("text, words", [
    ("", ""), ("no json", ""), ("[]", "object"), ('{"name":"N","data":"x"', ""), ('{"name":"N"}', "data: is missing"),
    ('{"name":7,"data":"x"}', "name"), ('{"name":["N",{}],"data":"x"}', "name"), ('{"group":{},"data":"x"}', "group"),
    ('{"clientId":true,"data":"x"}', "clientId"), ('{"name":"N","data":"x","binary":"yes"}', "binary"),
    ('{"name":"N","data":"x","id":5}', "id"), ('{"op":"close","name":"N","data":"x"}', "op"),
    ('{"name":"N","name":"M","data":"x"}', ""), ('{"data":"\\ud800"}', ""),
])
def test_a_wrong_send_is_refused_at_once(daemon, text, words):
    reply = daemon.admin("POST", "/send", text)
    assert reply.status == 400 and words in reply.json()["error"] and reply.headers["Connection"] == "close"


@pytest.mark.parametrize("value", [{"code": 1006}, {"code": "x"}, {"code": 999}, {"reason": 5}, {"reason": "x" * 124},
                                   {"op": "send"}, {"name": {}}])
def test_a_wrong_close_is_refused_at_once(daemon, value):
    assert daemon.admin("POST", "/close", {"name": "N", **value}).status == 400


def test_a_send_that_is_too_large(daemon):
    limit = 4 * 1024 * 1024
    assert daemon.admin("POST", "/send", {"name": "Nobody", "data": "x" * limit}).status == 202
    assert daemon.admin("POST", "/send", {"name": "Nobody", "data": "x" * (limit + 1)}).status == 413


def test_lists(cluster, daemon):
    with cluster.client(0, "/up?name=L%201") as a, cluster.client(1, "/up?name=L%201&group=G%26") as b:
        assert "L 1" in daemon.admin("GET", "/names").json()
        rows = daemon.admin("GET", "/clients?name=L+1").json()
        assert sorted(row["clientId"] for row in rows) == sorted([a.id, b.id])
        row, = daemon.admin("GET", "/clients?group=g%26&name=L%201&").json()
        assert row["clientId"] == b.id and row["group"] == "G&" and row["name"] == "L 1" and row["connectedAt"].endswith("Z")
        assert {a.id, b.id} <= {row["clientId"] for row in daemon.admin("GET", "/clients").json()}
        assert daemon.admin("GET", "/clients?name=Nobody").json() == []
        gateways = daemon.admin("GET", "/gateways").json()
        assert len(gateways) == 2 and all(one["alive"] for one in gateways)
        assert {one["id"] for one in gateways} == {row["gateway"] for row in rows}
        assert len(daemon.admin("GET", "/brokers").json()) == 1


@pytest.mark.parametrize("method, path, status", [("GET", "/", 404), ("GET", "/livez/", 404), ("GET", "/nowhere", 404),
                                                  ("POST", "/livez", 405), ("GET", "/send", 405), ("DELETE", "/names", 405)])
def test_other_paths_and_methods(daemon, method, path, status):
    reply = daemon.admin(method, path)
    assert reply.status == status and reply.json()["error"]
    assert status != 405 or reply.headers["Allow"] in ("GET", "POST")


# -- HTTP

def talk(daemon, data, parts=1):
    """Everything that comes back until the end."""
    with socket.create_connection(("127.0.0.1", daemon.admin_port), 10) as connection:
        size = max(1, len(data) // parts)
        for at in range(0, len(data), size):
            connection.sendall(data[at:at + size])
            if parts > 1:
                time.sleep(0.002)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def test_requests_on_one_connection(daemon):
    connection = http.client.HTTPConnection("127.0.0.1", daemon.admin_port, timeout=10)
    for number in range(5):
        connection.request("POST", "/send", json.dumps({"name": "Nobody", "data": str(number)}))
        assert connection.getresponse().read().startswith(b'{"id":')
        sock = connection.sock
    assert connection.sock is sock and sock is not None
    connection.close()


def test_requests_behind_one_another(daemon):
    get = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    send = b'POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 28\r\n\r\n{"name":"Nobody","data":"x"}'
    answer = talk(daemon, get + send + get)
    assert answer.count(b"HTTP/1.1 200 OK") == 2 and answer.count(b"HTTP/1.1 202 Accepted") == 1


def test_a_request_in_many_pieces(daemon):
    assert talk(daemon, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", parts=50).endswith(b"ok\n")


def test_expect_continue(daemon):
    head = b"POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 28\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", daemon.admin_port), 10) as connection:
        connection.sendall(head)
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b'{"name":"Nobody","data":"x"}')
        assert connection.recv(100).startswith(b"HTTP/1.1 202")


def test_chunked_bodies(daemon):
    send = (b"POST /send HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            b'10\r\n{"name":"Nobody"\r\nC;x=y\r\n,"data":"x"}\r\n0\r\nTrailer: gone\r\n\r\n')
    get = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    for parts in 1, 30:
        answer = talk(daemon, send + get + send, parts)
        assert answer.count(b"HTTP/1.1 200 OK") == 1 and answer.count(b"HTTP/1.1 202 Accepted") == 2


@pytest.mark.parametrize("data, status", [
    (b"nonsense\r\n\r\n", b"400"), (b"GET / HTTP/2.0\r\n\r\n", b"505"), (b"GET /livez HTTP/1.1\r\n\r\n", b"400"),
    (b"POST /send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", b"501"),
    (b"POST /send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", b"400"),
    (b"POST /send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc", b"400"),
    (b"POST /send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n", b"413"),
    (b"POST /send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA:" + b"x" * 9000, b"431"),
    (b"POST /send HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
    (b"GET /livez HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 20000 + b"\r\n\r\n", b"431"),
])
def test_what_is_no_request(daemon, data, status):
    answer = talk(daemon, data)
    assert answer.startswith(b"HTTP/1.1 " + status) and b"Connection: close" in answer and b'{"error":"' in answer


def test_many_connections_are_bounded_and_recover(daemon):
    connections = [socket.create_connection(("127.0.0.1", daemon.admin_port), 10) for _ in range(80)]
    ended = 0
    for connection in connections:
        connection.settimeout(0.05)
        try:
            ended += connection.recv(1) == b""
        except ConnectionResetError:
            ended += 1
        except TimeoutError:
            pass
    assert ended >= 80 - 64
    for connection in connections:
        connection.close()
    eventually(lambda: is_served(daemon), 5)


def is_served(daemon):
    try:
        return daemon.admin("GET", "/livez").status == 200
    except OSError:
        return False


def test_a_client_that_leaves_in_the_middle(daemon):
    for path in "/gateways", "/clients", "/names":
        with socket.create_connection(("127.0.0.1", daemon.admin_port), 10) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    time.sleep(0.3)
    assert daemon.admin("GET", "/gateways").status == 200


# -- who may

@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Host": "evil.example:1"}])
def test_no_browser_is_served_without_a_token(daemon, headers):
    for method, path in API:
        assert daemon.admin(method, path, "{}" if method == "POST" else None, headers).status == 403
    assert daemon.admin("GET", "/livez", headers=headers).status == 200


def test_the_token_is_asked_for(guarded):
    for daemon in guarded.daemons:
        for method, path in API:
            body = '{"name":"Nobody","data":"x"}' if path == "/send" else '{"name":"Nobody"}' if method == "POST" else None
            for wrong in {}, {"Authorization": "Bearer open"}, {"Authorization": "open sesame"}, {"Authorization": "Bearer "}:
                reply = daemon.admin(method, path, body, wrong)
                assert reply.status == 401 and reply.headers["WWW-Authenticate"] == "Bearer"
            right = {"Authorization": "Bearer open sesame", "Host": "anything.example"}
            assert daemon.admin(method, path, body, right).status in (200, 202)
        assert daemon.admin("GET", "/readyz").status == daemon.admin("GET", "/metrics").status == 200


def test_the_token_file_is_followed(tmp_path):
    """A token that was replaced holds without a restart; a file that holds none leaves the old one."""
    file = tmp_path / "token"
    file.write_text("first\n")
    with Cluster(app=APP, gateways=1, brokers=0, args=["--admin-token-file", str(file)]) as cluster:
        gateway = cluster.gateways[0]
        status = lambda token: gateway.admin("GET", "/names", headers={"Authorization": f"Bearer {token}"}).status
        assert (status("first"), status("second")) == (200, 401)
        (tmp_path / "new").write_text("second\n")
        os.replace(tmp_path / "new", file)
        eventually(lambda: (status("first"), status("second")) == (401, 200), 10)
        file.write_text("\n")
        gateway.wait_log("kept_token")
        file.unlink()
        assert status("second") == 200 and "second" not in gateway.log()


@pytest.mark.parametrize("text", ["9090", "nowhere.invalid:9090", "127.0.0.1:0", "127.0.0.1:70000", "[::1:9090"])
def test_a_wrong_address_stops_the_start(cluster, text):
    gateway = cluster.gateways[0]
    argv = gateway.argv[:gateway.argv.index("--admin")] + ["--admin", text]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=10, env=os.environ)
    assert done.returncode != 0 and f"--admin={text}" in done.stderr


def test_without_redis_it_says_so(tmp_path):
    with Cluster(app=APP, gateways=1, brokers=0) as cluster:
        gateway = cluster.gateways[0]
        cluster.redis_server.kill()
        eventually(lambda: gateway.admin("GET", "/readyz").status == 503, 10)
        assert "redis" in gateway.admin("GET", "/readyz").text and gateway.admin("GET", "/livez").status == 200
        for method, path in API:
            reply = gateway.admin(method, path, '{"name":"N","data":"x"}' if path == "/send" else '{"name":"N"}' if method == "POST" else None)
            assert reply.status == 503 and reply.json()["error"] and reply.headers["Retry-After"]
