"""One address that takes all it can get: it is refused, and the others notice nothing."""
import contextlib
import pathlib
import socket
import ssl
import subprocess
import threading

import pytest

from harness import Client, Closed, Cluster, RawWs, Refused, eventually

APP = pathlib.Path(__file__).parent / "app" / "hostile.lua"
OFFENDER, OTHER = "127.0.0.2", "127.0.0.3"
MANY = 1000


def address_of(cluster):
    return ("127.0.0.1", cluster.gateways[0].port)


def get(cluster, source, path="/hi"):
    with RawWs(address_of(cluster), source=source) as raw:
        raw.request(path, handshake=False)
        return raw.read_head()


def metric(cluster, name):
    return cluster.gateways[0].metrics()[f"signalbox_{name}"]


@contextlib.contextmanager
def many(cluster, source, count):
    """So many silent connections."""
    opened = []
    try:
        for _ in range(count):
            opened.append(socket.create_connection(address_of(cluster), source_address=(source, 0), timeout=10))
        yield opened
    finally:
        for connection in opened:
            connection.close()


def passed_until_refused(passes):
    """How many passed before the first that was refused: as many as may come at once, and what a second adds while they
    come, however long that takes. MANY when there is no bound."""
    return next((number for number in range(MANY) if not passes()), MANY)


def test_refused_connections_take_nothing_from_the_others():
    """300 connections of an address that may have 20, in a process that has room for 50."""
    with Cluster(APP, gateways=1, gateway_args=["--max-connections-per-address", "20", "--max-connections", "50"]) as cluster:
        with many(cluster, OFFENDER, 300):
            eventually(lambda: metric(cluster, "refused_address_connections_total") >= 280)
            assert metric(cluster, "connections") <= 20 + 8 + 1
            for _ in range(40):
                assert get(cluster, OTHER).status == 200
            assert metric(cluster, "refused_full_total") == 0
            cluster.gateways[0].wait_log(f"refused address={OFFENDER} limit=--max-connections-per-address")
            assert cluster.gateways[0].log().count("refused address=") < 5
        eventually(lambda: metric(cluster, "connections") == 0)
        assert get(cluster, OFFENDER).status == 200


def test_an_offender_is_told_why():
    with Cluster(APP, gateways=1, gateway_args=["--max-connections-per-address", "2"]) as cluster:
        with many(cluster, OFFENDER, 2):
            eventually(lambda: metric(cluster, "connections") == 2)
            head = get(cluster, OFFENDER)
            assert head.status == 503 and int(head.get("Retry-After")) > 0
            assert get(cluster, OTHER).status == 200


def test_what_lingers_counts():
    """An answer that the client does not take keeps its descriptor, and its place."""
    with Cluster(APP, gateways=1, gateway_args=["--max-connections-per-address", "5"]) as cluster, contextlib.ExitStack() as stack:
        for _ in range(5):
            raw = stack.enter_context(RawWs(address_of(cluster), source=OFFENDER, receive_buffer=4096))
            raw.request("/huge/3000000", {"Connection": "close"}, handshake=False)
        eventually(lambda: metric(cluster, "http_requests_total") >= 5)
        assert get(cluster, OFFENDER).status == 503
        assert get(cluster, OTHER).status == 200


def test_new_connections_a_second():
    """Ten times the rate may come at once; what is more is refused, and soon comes again."""
    with Cluster(APP, gateways=1, gateway_args=["--max-connects-per-second-per-address", "4"]) as cluster:
        def passes():
            with contextlib.suppress(OSError):
                return get(cluster, OFFENDER).status == 200
        assert 40 <= passed_until_refused(passes) < MANY
        assert metric(cluster, "refused_address_connects_total") > 0
        assert get(cluster, OTHER).status == 200
        eventually(passes)


def test_requests_a_second():
    with Cluster(APP, gateways=1, gateway_args=["--max-requests-per-second-per-address", "4"]) as cluster:
        with RawWs(address_of(cluster), source=OFFENDER) as raw:
            def passes():
                raw.request("/hi", handshake=False)
                raw.read_head()
                raw.read_body()
                return raw.head.status == 200
            assert 40 <= passed_until_refused(passes) < MANY
            assert raw.head.status == 429 and int(raw.head.get("Retry-After")) > 0
            assert raw.is_ended(), "and its connection is closed"
        assert passed_until_refused(lambda: get(cluster, OFFENDER).status != 429) < MANY, "another one has no more"
        assert get(cluster, OTHER).status == 200
        assert metric(cluster, "refused_address_requests_total") >= 2


def test_websockets_of_an_address():
    with Cluster(APP, gateways=1, gateway_args=["--max-websockets-per-address", "3"]) as cluster, contextlib.ExitStack() as stack:
        def up(source):
            return Client(address_of(cluster), "/up?name=Up", source=source)
        clients = [stack.enter_context(up(OFFENDER)) for _ in range(3)]
        with pytest.raises(Refused) as refused:
            up(OFFENDER)
        assert refused.value.status == 503 and int(refused.value.head.get("Retry-After")) > 0
        assert get(cluster, OFFENDER).status == 200, "requests have other limits"
        stack.enter_context(up(OTHER)).sync()
        clients[0].close()
        eventually(lambda: is_up(stack, up))


def is_up(stack, up):
    try:
        return stack.enter_context(up(OFFENDER))
    except Refused:
        return None


def test_all_together_wait_in_the_backlog():
    """Past the rate of the process nobody is refused."""
    with Cluster(APP, gateways=1, gateway_args=["--max-connects-per-second", "20"]) as cluster:
        statuses = []
        threads = [threading.Thread(target=lambda: statuses.append(get(cluster, OTHER).status)) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 50


def test_bytes_a_second():
    """One large message passes, what follows waits, and nobody else does."""
    args = ["--max-message-bytes-per-second", "100000", "--rate-patience-ms", "500"]
    with Cluster(APP, gateways=1, gateway_args=args) as cluster:
        with Client(address_of(cluster), "/up?name=A", source=OFFENDER) as flood, Client(address_of(cluster), "/up?name=B") as other:
            flood.send_text("x" * 200000)
            other.sync()
            flood.send_text("y" * 200000)
            flood.send_text("z" * 200000)
            assert flood.closing() == (1008, "rate limit")
            other.sync()
            assert metric(cluster, "rate_closed_total") == 1
            cluster.gateways[0].wait_log(f"cut_off reason=rate address={OFFENDER}")


# -- TLS

@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2", "-nodes",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key",
                    "-out", folder / "crt"], check=True, capture_output=True)
    return folder


def secure(certificate, *args):
    query = f"?certificate={certificate / 'crt'}&key={certificate / 'key'}"
    return Cluster(APP, gateways=1, listen="https+wss", listen_query=query, gateway_args=list(args))


def shakes_hands(cluster, certificate, source, version):
    """Whether a whole handshake, without resumption, gets an answer."""
    tls = ssl.create_default_context(cafile=str(certificate / "crt"))
    tls.minimum_version = tls.maximum_version = version
    with contextlib.suppress(OSError, Closed), RawWs(address_of(cluster), tls=tls, source=source) as raw:
        raw.request("/hi", handshake=False)
        return raw.read_head().status == 200
    return False


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_handshakes_a_second(certificate, version):
    with secure(certificate, "--max-handshakes-per-second-per-address", "4") as cluster:
        def passes():
            return shakes_hands(cluster, certificate, OFFENDER, version)
        assert 40 <= passed_until_refused(passes) < MANY
        assert metric(cluster, "refused_address_handshakes_total") > 0
        assert shakes_hands(cluster, certificate, OTHER, version)
        eventually(passes)


def test_handshakes_under_way(certificate):
    """Clients that have connected and say nothing are under way; what is established is not."""
    tls13 = ssl.TLSVersion.TLSv1_3
    with secure(certificate, "--max-handshakes-per-address", "5") as cluster:
        with many(cluster, OFFENDER, 5):
            eventually(lambda: metric(cluster, "tls_under_way") == 5)
            assert not shakes_hands(cluster, certificate, OFFENDER, tls13)
            assert shakes_hands(cluster, certificate, OTHER, tls13)
        eventually(lambda: shakes_hands(cluster, certificate, OFFENDER, tls13))
        with contextlib.ExitStack() as stack:
            tls = ssl.create_default_context(cafile=str(certificate / "crt"))
            for _ in range(10):
                stack.enter_context(Client(address_of(cluster), "/up?name=Up", tls=tls, source=OFFENDER)).sync()
            assert shakes_hands(cluster, certificate, OFFENDER, tls13)
