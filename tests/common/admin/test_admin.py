"""The admin listener of gateway and broker: health, metrics, the HTTP API, and what it refuses."""
import http.client
import json
import os
import pathlib
import socket
import stat
import subprocess
import time

import pytest

from harness.cluster import Cluster, http_request
from harness.waiting import eventually

APP = pathlib.Path(__file__).resolve().parents[2] / "tools" / "app"
API = [("POST", "/send"), ("POST", "/close"), ("GET", "/names"), ("GET", "/clients"), ("GET", "/history?name=N"), ("GET", "/gateways"), ("GET", "/brokers")]


@pytest.fixture(scope="module")
def cluster():
    with Cluster(app=APP, gateways=2, brokers=1) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text("open sesame\n")
    with Cluster(app=APP, gateways=1, brokers=1, args=["--admin-token-file", str(token), "--admin-host", "metrics.example"]) as running:
        yield running


@pytest.fixture(scope="module")
def open_cluster():
    """Without a token: a gateway on TCP, a broker on a unix socket that an earlier process left behind."""
    with Cluster(app=APP, gateways=1, brokers=1) as running:
        for daemon in running.daemons:
            at = daemon.argv.index("--admin-token-file")
            del daemon.argv[at:at + 2]
            daemon.authorization = {}
        running.gateways[0].restart()
        broker = running.brokers[0]
        broker.kill()
        broker.socket = running.folder / "admin.sock"
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(str(broker.socket))
        broker.argv[broker.argv.index("--admin") + 1] = f"unix:{broker.socket}"
        broker.start()
        eventually(lambda: ask_unix(broker, "GET", "/readyz").startswith(b"HTTP/1.1 200"), 20)
        yield running


def ask_unix(daemon, method, path, body=b"", host=b"localhost"):
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(daemon.socket))
            connection.sendall(f"{method} {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\nConnection: close\r\nHost: ".encode() + host +
                               b"\r\n\r\n" + body)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
            return answer
    except OSError:
        return b""


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
        assert daemon.admin("POST", "/send", {"name": "Keys", "data": "once"}, {"Idempotency-Key": f'"{key}"'}).status == 202
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


def test_history(cluster, daemon):
    name = f"H {daemon.name}"
    with cluster.client(0, f"/up?name=H%20{daemon.name}") as client:
        for number in range(5):
            assert daemon.admin("POST", "/send", {"name": name, "data": {"n": number}, "group": "", "id": f"{name}{number}"}).status == 202
            client.recv()
    asked = f"/history?name=H+{daemon.name}"
    page = daemon.admin("GET", f"{asked}&limit=3").json()
    assert [row["data"]["n"] for row in page["messages"]] == [4, 3, 2] and page["before"] == page["messages"][-1]["id"]
    assert {row["name"] for row in page["messages"]} == {name} and page["messages"][0]["time"] > "2020"
    rest = daemon.admin("GET", f"{asked}&before={page['before']}").json()
    assert [row["data"]["n"] for row in rest["messages"]] == [1, 0] and rest["before"] is None
    end = daemon.admin("GET", f"{asked}&before={rest['messages'][-1]['id']}")
    assert end.status == 200 and end.json() == {"messages": [], "before": None}
    assert daemon.admin("GET", "/history?name=Nobody").json() == {"messages": [], "before": None}
    assert daemon.admin("GET", f"{asked}&before=99999999999999-1").status == 410


@pytest.mark.parametrize("query, words", [
    ("", "name: is missing"), ("name=", "name: is missing"), ("name=N&limit=0", "limit: must be"), ("name=N&limit=1001", "limit: must be"),
    ("name=N&limit=x", "limit: must be"), ("name=N&before=x", "before: is no id"), ("name=N&before=0-0", "before: is no id"),
    ("name=N&name=M", "name: is given twice"), ("name=N&group=g", "is no parameter here"), ("name=" + "n" * 1025, "name: has more than 1024 bytes")])
def test_what_history_is_asked(daemon, query, words):
    reply = daemon.admin("GET", f"/history?{query}")
    assert reply.status == 400 and words in reply.json()["error"]


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


def test_queries_that_nobody_reads(daemon):
    """It may have been meant to say which; health checkers add what they like."""
    for path in "/names", "/gateways", "/brokers":
        reply = daemon.admin("GET", f"{path}?name=x")
        assert reply.status == 400 and reply.json()["error"] == '"name": is no parameter here'
        assert daemon.admin("GET", f"{path}?").status == daemon.admin("GET", f"{path}?&&").status == 200
    for path in "/livez", "/readyz", "/metrics":
        assert daemon.admin("GET", f"{path}?name=x&y").status == 200


# -- HTTP

def auth(daemon):
    return f"Authorization: {daemon.authorization['Authorization']}\r\n".encode()


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
        connection.request("POST", "/send", json.dumps({"name": "Nobody", "data": str(number)}), daemon.authorization)
        assert connection.getresponse().read().startswith(b'{"id":')
        sock = connection.sock
    assert connection.sock is sock and sock is not None
    connection.close()


def test_requests_behind_one_another(daemon):
    get = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    send = b'POST /send HTTP/1.1\r\nHost: localhost\r\n' + auth(daemon) + b'Content-Length: 28\r\n\r\n{"name":"Nobody","data":"x"}'
    answer = talk(daemon, get + send + get)
    assert answer.count(b"HTTP/1.1 200 OK") == 2 and answer.count(b"HTTP/1.1 202 Accepted") == 1


def test_a_request_in_many_pieces(daemon):
    assert talk(daemon, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", parts=50).endswith(b"ok\n")


def test_expect_continue(daemon):
    head = b"POST /send HTTP/1.1\r\nHost: localhost\r\n" + auth(daemon) + b"Content-Length: 28\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", daemon.admin_port), 10) as connection:
        connection.sendall(head)
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b'{"name":"Nobody","data":"x"}')
        assert connection.recv(100).startswith(b"HTTP/1.1 202")


def test_chunked_bodies(daemon):
    send = (b"POST /send HTTP/1.1\r\nHost: localhost\r\n" + auth(daemon) + b"Transfer-Encoding: chunked\r\n\r\n"
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
    assert is_served(daemon), "those that say nothing keep nobody out"
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
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n".encode() + auth(daemon) + b"\r\n")
    assert daemon.admin("GET", "/gateways").status == 200  # Redis answers it after what it was asked for them


# -- who may

def ask_api(daemon, method, path, headers):
    body = '{"name":"Nobody","data":"x"}' if path == "/send" else '{"name":"Nobody"}' if method == "POST" else None
    return daemon.admin(method, path, body, headers)


def test_without_a_token_the_api_is_closed(open_cluster):
    """Over TCP, whoever asks and by whatever name; on a unix socket it is open, and health is open everywhere."""
    gateway, broker = open_cluster.gateways[0], open_cluster.brokers[0]
    for method, path in API:
        for headers in {}, {"Host": "localhost"}, {"Host": "127.evil.example"}, {"Authorization": "Bearer "}, {"Authorization": "Bearer x"}:
            reply = ask_api(gateway, method, path, headers)
            assert reply.status == 403 and "--admin-token-file" in reply.json()["error"]
    assert ask_unix(broker, "GET", "/names", host=b"evil.example").startswith(b"HTTP/1.1 200")
    assert ask_unix(broker, "POST", "/send", b'{"name":"Nobody","data":"x"}').startswith(b"HTTP/1.1 202")
    assert stat.S_IMODE(broker.socket.stat().st_mode) == 0o660
    assert open_cluster.cli("ready", f"unix:{broker.socket}").stdout == "ready\n"
    assert open_cluster.cli("ready", f"unix:{broker.socket}x", check=False).returncode == 1
    rows = json.loads(open_cluster.cli("brokers", "--json").stdout)
    assert f"unix:{broker.socket}" in {row["admin"] for row in rows}


@pytest.mark.parametrize("address, status, words", [
    ("unix:", 2, "107 bytes"), ("unix:/" + "x" * 107, 2, "107 bytes"), ("unix:/no/such/folder/s", 1, "no such file"),
    ("unix:{socket}", 1, "in use"), ("unix:{file}", 1, "in use")])
def test_a_socket_that_cannot_be_had_stops_the_start(open_cluster, tmp_path, address, status, words):
    """Nothing that is there is removed but a socket that nobody listens at."""
    broker, file = open_cluster.brokers[0], tmp_path / "file"
    file.write_text("precious")
    text = address.format(socket=broker.socket, file=file)
    argv = list(broker.argv)
    argv[argv.index("--admin") + 1] = text
    done = subprocess.run(argv, capture_output=True, text=True, timeout=10)
    assert done.returncode == status and done.stderr.splitlines()[-1].startswith(f"--admin={text}: ") and words in done.stderr
    assert file.read_text() == "precious" and ask_unix(broker, "GET", "/livez").endswith(b"ok\n")


@pytest.mark.parametrize("host, status", [
    ("127.0.0.1", 200), ("127.0.0.1:9090", 200), ("10.1.2.3", 200), ("[::1]:9090", 200), ("[2001:db8::1]", 200), ("LocalHost:9090", 200),
    ("metrics.example", 200), ("METRICS.example:80", 200), ("evil.example", 421), ("127.evil.example", 421), ("127.0.0.1.evil.example", 421),
    ("metrics.example.evil", 421), ("localhost.evil.example", 421), ("127.1", 421), ("[127.0.0.1]", 421)])
def test_metrics_by_a_known_name(guarded, host, status):
    """A page may make a name of its own resolve to this host; it cannot know the token."""
    for daemon in guarded.daemons:
        assert daemon.admin("GET", "/metrics", headers={"Host": host}).status == status
        assert daemon.admin("GET", "/metrics", headers={"Host": host, "Authorization": "Bearer open sesame"}).status == 200
        assert daemon.admin("GET", "/readyz", headers={"Host": host}).status == daemon.admin("GET", "/livez", headers={"Host": host}).status == 200


def test_the_token_is_asked_for(guarded):
    for daemon in guarded.daemons:
        for method, path in API:
            reply = ask_api(daemon, method, path, {})
            assert reply.status == 401 and reply.headers["WWW-Authenticate"] == "Bearer"
            right = {"Authorization": "Bearer open sesame", "Host": "anything.example"}
            assert ask_api(daemon, method, path, right).status in (200, 202)
        for wrong in "Bearer open", "open sesame", "Bearer ", "Bearer open sesame x", "Basic open sesame", "":
            assert ask_api(daemon, "GET", "/names", {"Authorization": wrong}).status == 401
        assert daemon.admin("GET", "/readyz").status == daemon.admin("GET", "/metrics").status == 200


def test_guesses_are_counted(guarded):
    """Ten, then one in six seconds; beyond, the right token does not help this address either. Health goes on."""
    gateway = guarded.gateways[0]
    before = len(gateway.log())
    gateway.restart()
    statuses = [gateway.admin("GET", "/names", headers={"Authorization": f"Bearer {guess}"}).status for guess in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    refused = gateway.admin("GET", "/names", headers={"Authorization": "Bearer open sesame"})
    assert refused.status == 429 and refused.headers["Retry-After"] and "too many wrong tokens" in refused.json()["error"]
    assert gateway.admin("GET", "/readyz").status == 200 and gateway.metrics()["signalbox_admin_refused_total"] == 10
    assert gateway.log()[before:].count("wrong_token address=127.0.0.1") == 10
    eventually(lambda: gateway.admin("GET", "/names", headers={"Authorization": "Bearer open sesame"}).status == 200, 10)


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
        gateway.wait_log("took_token")
        assert (status("first"), status("second")) == (401, 200)
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
