"""Limits of a gateway: full, slow clients by policy, large requests, origins; and how a gateway is drained."""
import itertools
import json
import pathlib

import pytest

from harness import Cluster, RawWs, Refused, eventually

APP = pathlib.Path(__file__).parent / "app" / "limits.lua"
PIECE = 65536


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP) as running:
        yield running


def send(cluster, name, text, gateway=0):
    assert cluster.http(gateway, "POST", f"/send?name={name}", text).status == 200


# -- slow clients

transports = pytest.mark.parametrize("connect", [Cluster.client, Cluster.sse], ids=["ws", "sse"])


def overfill(cluster, name, connect):
    """Send numbered pieces until the queue of a stalled client has overflowed: that client, and the last number."""
    reader = cluster.client(1, f"/up?name={name}")
    stalled = connect(cluster, 0, f"/up?name={name}", receive_buffer=4096)  # it reads nothing for now
    last = 0
    for number in range(160):
        send(cluster, name, f"{number:05d}" + "x" * PIECE)
        assert reader.recv()[:5] == f"{number:05d}"
        last = number
    send(cluster, name, "end")
    assert reader.recv() == "end"
    reader.drop()
    return stalled, last


def dropped(cluster):
    return cluster.gateways[0].metrics()["signalbox_slow_dropped_total"]


def numbers_until(stalled, token):
    return [int(text[:5]) for text in stalled.until(token)]


@transports
def test_drop_oldest(cluster, connect):
    """A beginning that was on its way, a hole, and the newest messages up to the end; then live again."""
    before = dropped(cluster)
    stalled, last = overfill(cluster, "oldest", connect)
    numbers = numbers_until(stalled, "end")
    assert numbers == sorted(set(numbers)) and numbers[0] == 0 and numbers[-1] == last
    missing = sorted(set(range(last + 1)) - set(numbers))
    assert missing == list(range(missing[0], missing[-1] + 1)), "one hole"
    assert dropped(cluster) - before == len(missing)
    send(cluster, "oldest", "live")
    assert stalled.recv() == "live"


@transports
def test_drop_newest(cluster, connect):
    """Everything up to a point, and nothing after it until there is room again."""
    before = dropped(cluster)
    stalled, last = overfill(cluster, "newest", connect)
    numbers = []
    for attempt in itertools.count():
        send(cluster, "newest", f"probe {attempt}")
        while not (text := stalled.recv()).startswith(("probe", "end")):
            numbers.append(int(text[:5]))
        if text.startswith("probe"):
            break
    assert numbers == list(range(len(numbers))) and len(numbers) <= last
    assert dropped(cluster) > before


@transports
def test_latest(cluster, connect):
    """What was on its way, and then the last message only."""
    before = dropped(cluster)
    stalled, last = overfill(cluster, "latest", connect)
    numbers = numbers_until(stalled, "end")
    assert numbers == sorted(set(numbers)) and len(numbers) < last
    assert dropped(cluster) - before == last + 1 - len(numbers)


@transports
def test_close(cluster, connect):
    """The default: closed with 4002, and the others have everything. It is told so when it reads in time; else the
    connection just ends, but the Disconnect and the count say why."""
    before = cluster.gateways[0].metrics()["signalbox_slow_closed_total"]
    with cluster.client(1, "/up?name=Why") as why:
        stalled, _ = overfill(cluster, "close", connect)
        assert sorted(why.take(2)) == ["1006 lost", "4002 server"]  # the reader was dropped
    code, reason = stalled.closing()
    assert (code, reason) in ((4002, "slow"), (1006, ""))
    assert cluster.gateways[0].metrics()["signalbox_slow_closed_total"] == before + 1


# -- full

def refused(make):
    with pytest.raises(Refused) as caught:
        make()
    return caught.value


def test_full_gateway_answers_503():
    with Cluster(APP, gateways=1, gateway_args=["--max-connections", "5"]) as cluster:
        clients = [cluster.client(0, "/up?name=Full") for _ in range(5)]
        answer = refused(lambda: cluster.client(0, "/up?name=Full"))
        assert answer.status == 503 and int(answer.head.get("Retry-After")) > 0
        clients.pop().close()
        clients.append(eventually(lambda: connected(cluster)))
        for client in clients[:-1]:
            client.sync()


def connected(cluster):
    try:
        return cluster.client(0, "/up?name=Full")
    except (Refused, OSError):
        return None


def test_one_address_may_not_take_everything():
    with Cluster(APP, gateways=1, gateway_args=["--max-connections-per-address", "3"]) as cluster:
        clients = [cluster.client(0, "/up?name=Mine") for _ in range(3)]
        assert refused(lambda: cluster.client(0, "/up?name=Mine")).status in (429, 503)
        clients[0].close()
        clients[0] = eventually(lambda: connected(cluster))


def test_body_larger_than_the_limit():
    with Cluster(APP, gateways=1, gateway_args=["--max-body-bytes", "1000"]) as cluster:
        assert cluster.http(0, "POST", "/send?name=Body", "x" * 1000).status == 200
        with cluster.raw(0) as raw:
            raw.request("/send?name=Body", {"Content-Length": "1001"}, method="POST", handshake=False)
            assert raw.read_head().status == 413


def test_pipelined_requests_of_a_client_that_reads_nothing_are_held_back(cluster):
    """No answer is kept for ever: past a bound the gateway stops reading, or closes."""
    with cluster.raw(0, receive_buffer=4096, timeout=2) as raw:
        requests = raw.request_text("/nothing", handshake=False).encode() * 1000
        sent = 0
        try:
            while sent < 24 << 20:
                raw.send_bytes(requests)
                sent += len(requests)
        except OSError:  # a time-out is one
            pass
        assert sent < 24 << 20
    assert cluster.http(0, "POST", "/send?name=After", "x").status == 200


# -- origins

@pytest.mark.parametrize("origin, status", [
    ("https://friend.example.test", 101), ("https://FRIEND.example.test", 101), ("https://other.example.test", 403),
    ("http://friend.example.test", 403), ("https://friend.example.test.evil.test", 403), ("null", 403),
    ("https://friend.example.test:8443", 403), ("https://friend.example.test:443", 101),
    ("https://slash.example.test", 101), ("https://slash.example.test:8443", 403), ("http://[::1]:8091", 101),
    ("", 403), ("https://friend.example.test/path", 403)])
def test_origins_of_the_app(cluster, origin, status):
    with RawWs(cluster.address(0)) as raw:
        assert raw.request("/up?name=Origins", {"Origin": origin}).read_head().status == status


def test_a_refused_origin_is_told_with_its_remedy(cluster):
    with RawWs(cluster.address(0)) as raw:
        assert raw.request("/up?name=Origins", {"Origin": "http://page.example.test:3000"}).read_head().status == 403
    cluster.gateways[0].wait_log('add it to the list in the app file: signalbox.origins { "http://page.example.test:3000" }')


# -- draining

def test_a_drain_tells_v1_when_to_come_back():
    """Each client a time of its own, over both transports, and before the Close."""
    with Cluster(APP, gateways=1) as cluster:
        clients = [cluster.client(0, "/up?name=Drain", headers={"Sec-WebSocket-Protocol": "signalbox.v1"}) for _ in range(10)]
        streams = [cluster.sse(0, "/up?name=Drain&signalbox=v1") for _ in range(10)]
        cluster.gateways[0].term()
        ends = [client.closing() for client in clients + streams]
        assert set(ends) == {(1001, "restart")}
        frames = [[client.recv_json(), client.recv_json()][1] for client in clients]
        frames += [json.loads(stream.events[-1][2]) for stream in streams]
        retries = [frame.pop("retryMs") for frame in frames]
        assert all(frame == {"type": "closed", "code": 1001, "reason": "restart"} for frame in frames)
        assert all(1000 <= retry < 3000 for retry in retries) and len(set(retries)) > 10


def test_drain_closes_the_clients_of_one_gateway():
    """Readiness goes, the clients are closed with 1001, the other gateway's stay; everybody can come back there."""
    with Cluster(APP) as cluster:
        leaving = [cluster.client(0, "/up?name=Drain") for _ in range(10)]
        staying = cluster.client(1, "/up?name=Drain")
        gateways = cluster.cli("gateways").stdout
        gid = cluster.gateways[0].log().split("started id=")[1].split()[0]
        assert gid in gateways
        cluster.cli("drain", gid, "--over", "500ms")
        eventually(lambda: cluster.gateways[0].admin("GET", "/readyz").status == 503)
        assert {client.closing()[0] for client in leaving} == {1001}
        send(cluster, "Drain", "still here", gateway=1)
        assert staying.recv() == "still here"
        assert cluster.gateways[1].admin("GET", "/readyz").status == 200
