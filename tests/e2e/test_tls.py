"""https and wss by --listen, and certificates that are replaced under way."""
import datetime
import hashlib
import json
import pathlib
import socket
import ssl
import subprocess

import pytest

from harness import BINARY, Cluster, eventually
from harness.cluster import free_port

APP = pathlib.Path(__file__).parents[1] / "conformance" / "app" / "app.lua"


def make_certificate(folder, serial, hosts="localhost", name="", key="rsa:2048"):
    """A self-signed certificate for these hosts, written over the one before."""
    curve = ["-pkeyopt", "ec_paramgen_curve:P-256"] if key == "ec" else []
    names = ",".join(f"DNS:{host}" for host in hosts.split())
    subprocess.run(["/usr/bin/openssl", "req", "-x509", "-newkey", key, *curve, "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", f"subjectAltName={names}", "-set_serial", str(serial),
                    "-keyout", folder / f"{name}key.pem", "-out", folder / f"{name}cert.pem"],
                   check=True, capture_output=True)


def trusting(folder):
    return ssl.create_default_context(cafile=str(folder / "cert.pem"))


@pytest.fixture
def secure(tmp_path):
    make_certificate(tmp_path, 1)
    query = f"?certificate={tmp_path / 'cert.pem'}&key={tmp_path / 'key.pem'}"
    with Cluster(APP, gateways=1, listen="https+wss", listen_query=query) as cluster:
        yield cluster, tmp_path


def test_wss_carries_large_messages(secure):
    cluster, folder = secure
    with cluster.client(0, "/s/echo?name=Tls", tls=trusting(folder)) as client:
        payload = bytes(range(256)) * 8192
        client.send_frame(BINARY, payload)
        assert client.recv(30) == payload
        for number in range(200):
            client.send_text(str(number))
        assert client.take(200) == [str(number) for number in range(200)]
        assert client.close(1000, "bye")[0] == 1000


def test_https_serves_routes(secure):
    cluster, folder = secure
    with cluster.raw(0, tls=trusting(folder)) as raw:
        assert raw.request("/plain", handshake=False).read_head().status == 200
        assert raw.read_body() == b"plain"


def test_plain_http_on_a_tls_port_is_no_answer(secure):
    cluster, _ = secure
    with cluster.raw(0) as raw:
        assert not raw.request("/plain", handshake=False).read_to_end().startswith(b"HTTP/1.1 200")


def untrusting():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def serial(cluster, host="localhost", context=None):
    """The serial number of the certificate that a new connection is shown."""
    with socket.create_connection(cluster.address(0), 10) as plain:
        with (context or untrusting()).wrap_socket(plain, server_hostname=host) as sock:
            der = sock.getpeercert(binary_form=True)
    text = subprocess.run(["/usr/bin/openssl", "x509", "-inform", "der", "-noout", "-serial"], input=der,
                          capture_output=True)
    return int(text.stdout.decode().strip().split("=")[1], 16)


@pytest.mark.parametrize("how", ["SIGHUP", "CLI"])
def test_certificates_are_replaced_without_dropping_a_socket(secure, how):
    cluster, folder = secure
    with cluster.client(0, "/s/echo?name=Tls", tls=trusting(folder)) as old:
        assert serial(cluster) == 1
        make_certificate(folder, 2)
        if how == "CLI":
            cluster.cli("reload")
        else:
            cluster.gateways[0].hup()
        eventually(lambda: serial(cluster) == 2)
        old.send_text("still open")
        assert old.recv() == "still open"
    with cluster.client(0, "/s/echo?name=Tls", tls=trusting(folder)) as new:
        new.send_text("new")
        assert new.recv() == "new"


def test_a_broken_certificate_keeps_the_old_one(secure):
    cluster, folder = secure
    (folder / "cert.pem").write_text("no certificate")
    done = cluster.cli("reload", check=False)
    assert done.returncode != 0
    make_certificate(folder, 3)
    cluster.cli("reload")
    assert serial(cluster) == 3


def test_a_certificate_under_another_path_is_taken_up(tmp_path):
    """The app file names another file: a reload serves it, without a restart."""
    port = free_port()

    def write(serial):
        folder = tmp_path / str(serial)
        folder.mkdir()
        make_certificate(folder, serial)
        files = f'certificate = "{folder / "cert.pem"}", key = "{folder / "key.pem"}"'
        (tmp_path / "app.lua").write_text(
            f'signalbox.endpoint {{ address = "127.0.0.1", port = {port}, protocol = "https", {files} }}\n')
        return folder
    folder = write(7)
    with Cluster(tmp_path, gateways=1, listen=None) as cluster:
        cluster.gateways[0].port = port
        assert serial(cluster) == 7
        folder = write(8)
        cluster.cli("reload")
        assert serial(cluster) == 8
        (folder / "key.pem").unlink()
        assert "the old certificate stays" in cluster.cli("reload", check=False).stderr
        assert serial(cluster) == 8


def s_client(cluster, *options, say=b""):
    """What openssl(1) says of a handshake with these options."""
    host, port = cluster.address(0)
    done = subprocess.run(["/usr/bin/openssl", "s_client", "-connect", f"{host}:{port}", *options],
                          input=say, capture_output=True, timeout=20)
    return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


@pytest.mark.parametrize("options, says", [
    ("", "New, TLSv1.3, Cipher is TLS_"),
    ("-tls1_2", "New, TLSv1.2, Cipher is ECDHE-RSA-"),
    ("-tls1_2 -cipher ECDHE-RSA-CHACHA20-POLY1305", "New, TLSv1.2, Cipher is ECDHE-RSA-CHACHA20-POLY1305"),
    ("-tls1_2 -cipher AES128-GCM-SHA256", "handshake failure"),           # the key exchange is static RSA
    ("-tls1_2 -cipher DHE-RSA-AES128-GCM-SHA256", "handshake failure"),
    ("-tls1_2 -cipher ECDHE-RSA-AES128-SHA256", "handshake failure"),     # CBC
    ("-tls1_2 -cipher ECDHE-RSA-AES256-SHA", "handshake failure"),
    ("-tls1_1 -cipher DEFAULT@SECLEVEL=0", "alert protocol version"),
    ("-groups ffdhe8192", "handshake failure"),                           # dear for the server only
    ("-groups P-521", "handshake failure"),
    ("-groups P-256", "New, TLSv1.3"),
])
def test_only_modern_ciphers_and_key_exchanges(modern, options, says):
    assert says in s_client(modern, *options.split())


@pytest.fixture(scope="module")
def modern(tmp_path_factory):
    folder = tmp_path_factory.mktemp("modern")
    make_certificate(folder, 1)
    query = f"?certificate={folder / 'cert.pem'}&key={folder / 'key.pem'}"
    with Cluster(APP, gateways=1, listen="https+wss", listen_query=query) as cluster:
        yield cluster


def test_a_client_cannot_renegotiate(modern):
    assert "no renegotiation" in s_client(modern, "-tls1_2", say=b"R\n")


@pytest.fixture
def hosts(tmp_path):
    """Four certificates on one endpoint; the first two are for the same host, with keys of two kinds."""
    make_certificate(tmp_path, 1, "a.example", "a", "rsa:2048")
    make_certificate(tmp_path, 2, "a.example", "b", "ec")
    make_certificate(tmp_path, 3, "*.c.example", "c", "ec")
    make_certificate(tmp_path, 4, "x.c.example localhost", "d", "ec")
    query = "&".join(f"certificate={tmp_path}/{name}cert.pem&key={tmp_path}/{name}key.pem" for name in "abcd")
    with Cluster(APP, gateways=1, listen="https+wss", listen_query="?" + query) as cluster:
        yield cluster, tmp_path


def only(kind):
    """A client that knows keys of one kind only, for TLS 1.2."""
    context = untrusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"ECDHE-{kind}-AES128-GCM-SHA256")
    return context


def test_the_host_decides_which_certificate_is_shown(hosts):
    cluster, _ = hosts
    shown = {host: serial(cluster, host) for host in ["y.c.example", "x.c.example", "X.C.Example", "localhost"]}
    assert shown == {"y.c.example": 3, "x.c.example": 4, "X.C.Example": 4, "localhost": 4}
    for host in ["a.example", "y.y.c.example", "nobody.example", None]:
        assert serial(cluster, host, only("RSA")) == 1
        assert serial(cluster, host, only("ECDSA")) == 2
    with pytest.raises(ssl.SSLError):
        serial(cluster, "x.c.example", only("RSA"))


def test_a_bad_certificate_leaves_the_old_one_of_its_host(hosts):
    cluster, folder = hosts
    make_certificate(folder, 12, "a.example", "b", "ec")
    (folder / "ccert.pem").write_text("no certificate")
    make_certificate(folder, 14, "x.c.example", "d", "ec")
    done = cluster.cli("reload", check=False)
    assert done.returncode != 0
    assert "ccert.pem" in done.stderr and "the old certificate stays" in done.stderr
    assert serial(cluster, "a.example", only("ECDSA")) == 12
    assert serial(cluster, "y.c.example") == 3
    assert serial(cluster, "x.c.example") == 14


def test_the_password_of_a_key_is_in_a_file(tmp_path):
    make_certificate(tmp_path, 5)
    locked, secret = tmp_path / "locked.pem", tmp_path / "password"
    subprocess.run(["/usr/bin/openssl", "rsa", "-aes256", "-in", tmp_path / "key.pem", "-out", locked,
                    "-passout", "pass:open sesame"], check=True, capture_output=True)
    secret.write_text("open sesame\n")
    query = f"?certificate={tmp_path / 'cert.pem'}&key={locked}&password_file={secret}"
    with Cluster(APP, gateways=1, listen="https+wss", listen_query=query) as cluster:
        assert serial(cluster) == 5
        secret.write_text("wrong\n")
        assert "the password is wrong; the old certificate stays" in cluster.cli("reload", check=False).stderr


def ask(cluster, gateway, context, session=None, path="/plain"):
    """GET: the session that came with the answer, whether `session` was resumed, and the body."""
    with socket.create_connection(cluster.address(gateway), 10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while more := sock.recv(65536):
                answer += more
            return sock.session, sock.session_reused, answer.partition(b"\r\n\r\n")[2].decode()


def secured(folder, **options):
    query = f"?certificate={folder / 'cert.pem'}&key={folder / 'key.pem'}" + options.pop("query", "")
    return Cluster(APP, listen="https+wss", listen_query=query, **options)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed_at_another_gateway(tmp_path, version):
    make_certificate(tmp_path, 1)
    (tmp_path / "secret").write_text("a secret of some length\n")
    context = untrusting()
    context.minimum_version = context.maximum_version = version
    with secured(tmp_path, gateways=2, args=["--cluster-secret-file", str(tmp_path / "secret")]) as cluster:
        def is_resumed_at_the_other():
            session = ask(cluster, 0, context)[0]
            return ask(cluster, 1, context, session)[1]
        eventually(is_resumed_at_the_other)
        old = ask(cluster, 0, context)[0]
        cluster.cli("reload", "--cluster-secret-file", tmp_path / "secret")  # the keys are not the certificates'
        assert ask(cluster, 1, context, old)[1]
        sealed = cluster.redis.hgetall("sb:{sb}:tickets")
        assert len(sealed) >= 2 and all(len(value) == 12 + 80 + 16 for value in sealed.values())
        cluster.redis_server.kill()
        assert ask(cluster, 1, context, old)[1]


def test_an_old_ticket_is_not_resumed(tmp_path):
    make_certificate(tmp_path, 1)
    context = untrusting()
    with secured(tmp_path, gateways=1, gateway_args=["--tls-ticket-ms", "1000"]) as cluster:
        def is_fresh_one_resumed():
            return ask(cluster, 0, context, ask(cluster, 0, context)[0])[1]
        eventually(is_fresh_one_resumed)
        old = ask(cluster, 0, context)[0]
        eventually(lambda: not ask(cluster, 0, context, old)[1])
        eventually(is_fresh_one_resumed)


def openssl(*args):
    subprocess.run(["/usr/bin/openssl", *map(str, args)], check=True, capture_output=True)


def make_authority(folder, name):
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout",
            folder / f"{name}.key", "-out", folder / f"{name}.pem")


def issue(folder, authority, name, subject, days=2):
    request = folder / "request"
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", subject, "-utf8", "-keyout", folder / f"{name}.key", "-out", request)
    openssl("x509", "-req", "-in", request, "-CA", folder / f"{authority}.pem", "-CAkey", folder / f"{authority}.key",
            "-CAcreateserial", "-days", days, "-out", folder / f"{name}.pem")


def showing(folder, name=None, version=ssl.TLSVersion.TLSv1_3):
    context = untrusting()
    context.minimum_version = context.maximum_version = version
    if name:
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    """An authority of clients, one of its clients, and one of another authority."""
    folder = tmp_path_factory.mktemp("clients")
    make_certificate(folder, 1)
    for authority in ["ours", "others"]:
        make_authority(folder, authority)
    issue(folder, "ours", "alice", "/O=Example/CN=Alíce")
    issue(folder, "others", "mallory", "/CN=mallory")
    return folder


REFUSED = (ssl.SSLError, ConnectionError)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_is_required(clients, version):
    with secured(clients, gateways=1, query=f"&client_ca={clients / 'ours.pem'}") as cluster:
        alice = showing(clients, "alice", version)
        session, _, body = ask(cluster, 0, alice, path="/tls")
        der = ssl.PEM_cert_to_DER_cert((clients / "alice.pem").read_text())
        seen = json.loads(body)
        assert seen["client"] == {"subject": "CN=Alíce,O=Example", "fingerprint": hashlib.sha256(der).hexdigest()}
        assert seen["version"] == version.name.replace("_", ".") and seen["server_name"] == "localhost"
        assert seen["is_resumed"] is False
        for who in [None, "mallory"]:
            with pytest.raises(REFUSED):
                ask(cluster, 0, showing(clients, who, version), path="/tls")
        # A resumed session is its client's; after the authorities have changed it is not resumed.
        _, is_resumed, body = ask(cluster, 0, alice, session, path="/tls")
        assert is_resumed and json.loads(body) == {**seen, "is_resumed": True}
        ours = (clients / "ours.pem").read_bytes()
        try:
            (clients / "ours.pem").write_bytes((clients / "others.pem").read_bytes())
            cluster.cli("reload")
            with pytest.raises(REFUSED):
                ask(cluster, 0, alice, session, path="/tls")
            (clients / "ours.pem").write_text("nobody")
            assert "ours.pem: there is no certificate in it" in cluster.cli("reload", check=False).stderr
            assert json.loads(ask(cluster, 0, showing(clients, "mallory", version), path="/tls")[2])["client"]
        finally:
            (clients / "ours.pem").write_bytes(ours)


def test_a_session_ends_with_the_client_s_certificate(clients):
    """It was valid when the session began, and has expired since."""
    (clients / "ca.txt").write_text("")
    (clients / "ca.serial").write_text("77")
    (clients / "ca.conf").write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={clients}/ca.txt\nserial={clients}/ca.serial\nnew_certs_dir={clients}\n"
        "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=brief", "-keyout", clients / "brief.key", "-out", clients / "request")
    with secured(clients, gateways=1, query=f"&client_ca={clients / 'ours.pem'}") as cluster:
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
        openssl("ca", "-batch", "-config", clients / "ca.conf", "-in", clients / "request", "-cert", clients / "ours.pem", "-keyfile",
                clients / "ours.key", "-startdate", "20200101000000Z", "-enddate", end.strftime("%Y%m%d%H%M%SZ"), "-notext", "-out",
                clients / "brief.pem")
        brief = showing(clients, "brief")
        session = ask(cluster, 0, brief, path="/tls")[0]
        assert ask(cluster, 0, brief, session, path="/tls")[1]

        def is_refused():
            try:
                ask(cluster, 0, brief, session, path="/tls")
            except REFUSED:
                return True
            return False
        eventually(is_refused)


def test_a_client_certificate_is_optional(clients):
    query = f"&client_ca={clients / 'ours.pem'}&client_certificate=optional"
    with secured(clients, gateways=1, query=query) as cluster:
        anybody = showing(clients)
        session, _, body = ask(cluster, 0, anybody, path="/tls")
        assert "client" not in json.loads(body)
        assert json.loads(ask(cluster, 0, showing(clients, "alice"), path="/tls")[2])["client"]
        _, is_resumed, body = ask(cluster, 0, anybody, session, path="/tls")
        assert is_resumed and "client" not in json.loads(body)
        with pytest.raises(REFUSED):
            ask(cluster, 0, showing(clients, "mallory"), path="/tls")


def test_without_tls_there_is_nothing_to_tell():
    with Cluster(APP, gateways=1) as cluster:
        with cluster.raw(0) as raw:
            raw.request("/tls", handshake=False).read_head()
            assert raw.read_body() == b"null"


def respond(folder):
    """An OCSP response about alice that holds for an hour, in alice.ocsp."""
    index = folder / "index.txt"
    serial_text = subprocess.run(["/usr/bin/openssl", "x509", "-in", folder / "alice.pem", "-noout", "-serial"],
                                 capture_output=True, text=True).stdout.strip().split("=")[1]
    index.write_text(f"V\t400101000000Z\t\t{serial_text}\tunknown\t/CN=alice\n")
    openssl("ocsp", "-issuer", folder / "ours.pem", "-cert", folder / "alice.pem", "-no_nonce", "-reqout", folder / "ocsp.req")
    openssl("ocsp", "-index", index, "-rsigner", folder / "ours.pem", "-rkey", folder / "ours.key", "-CA", folder / "ours.pem",
            "-reqin", folder / "ocsp.req", "-respout", folder / "fresh.ocsp", "-nmin", 60)
    (folder / "fresh.ocsp").rename(folder / "alice.ocsp")


def test_an_ocsp_response_is_stapled_once_it_is_there(clients):
    chain = clients / "chain.pem"
    chain.write_bytes((clients / "alice.pem").read_bytes() + (clients / "ours.pem").read_bytes())
    (clients / "alice.ocsp").write_text("no response")
    query = f"?certificate={chain}&key={clients / 'alice.key'}&ocsp={clients / 'alice.ocsp'}"
    with Cluster(APP, gateways=1, listen="https+wss", listen_query=query) as cluster:
        def is_stapled():
            return "OCSP Response Status: successful" in s_client(cluster, "-status")
        assert not is_stapled()
        respond(clients)
        eventually(is_stapled)
        (clients / "alice.ocsp").write_text("no response")  # the one before stays
        eventually(lambda: cluster.gateways[0].log().count("refused_staple") == 2)
        assert is_stapled()
