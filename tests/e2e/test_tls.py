"""https and wss by --listen, and certificates that are replaced under way."""
import pathlib
import ssl
import subprocess

import pytest

from harness import BINARY, Cluster, eventually
from harness.cluster import free_port

APP = pathlib.Path(__file__).parents[1] / "conformance" / "app" / "app.lua"


def make_certificate(folder, serial):
    """A self-signed certificate for localhost, written over the one before."""
    subprocess.run(["/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-set_serial", str(serial),
                    "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)


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


def serial(cluster, folder):
    """The serial number of the certificate that a new connection is shown."""
    context = trusting(folder)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with cluster.raw(0, tls=context) as raw:
        der = raw.sock.getpeercert(binary_form=True)
    text = subprocess.run(["/usr/bin/openssl", "x509", "-inform", "der", "-noout", "-serial"], input=der,
                          capture_output=True)
    return int(text.stdout.decode().strip().split("=")[1], 16)


@pytest.mark.parametrize("how", ["SIGHUP", "CLI"])
def test_certificates_are_replaced_without_dropping_a_socket(secure, how):
    cluster, folder = secure
    with cluster.client(0, "/s/echo?name=Tls", tls=trusting(folder)) as old:
        assert serial(cluster, folder) == 1
        make_certificate(folder, 2)
        if how == "CLI":
            cluster.cli("reload")
        else:
            cluster.gateways[0].hup()
        eventually(lambda: serial(cluster, folder) == 2, 10)
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
    assert serial(cluster, folder) == 3


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
        assert serial(cluster, folder) == 7
        folder = write(8)
        cluster.cli("reload")
        assert serial(cluster, folder) == 8
        (folder / "key.pem").unlink()
        assert "the old certificate stays" in cluster.cli("reload", check=False).stderr
        assert serial(cluster, folder) == 8
