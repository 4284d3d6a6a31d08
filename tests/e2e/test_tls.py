"""https and wss by --listen, and certificates that are replaced under way."""
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
        eventually(lambda: serial(cluster) == 2, 10)
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
