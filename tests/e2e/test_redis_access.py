"""Ways into Redis that others guard: TLS with client certificates, sentinels with a login of their own, and passwords and
certificates that are replaced while everything runs."""
import json
import pathlib
import subprocess

import pytest
import redis as redis_client

from harness import Cluster, Refused, eventually
from harness.cluster import BIN, Process, free_port

APP = pathlib.Path(__file__).parent / "app" / "fleets.lua"


def openssl(*args):
    subprocess.run(["/usr/bin/openssl", *map(str, args)], check=True, capture_output=True)


class Authority:
    """A certificate authority in a folder of its own; `issue` writes name.pem and name.key, over those before."""

    def __init__(self, folder):
        self.folder, self.ca, self.key = folder, folder / "ca.pem", folder / "ca.key"
        folder.mkdir()
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=authority", "-keyout", self.key,
                "-out", self.ca)

    def issue(self, name):
        request, names = self.folder / "request", self.folder / "names"
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.key, "-CAcreateserial", "-days", "2",
                "-extfile", names, "-out", certificate)
        return certificate, key


def replace(path, content):
    """As a program does that renews certificates: another file under the same name."""
    fresh = path.with_suffix(".fresh")
    fresh.write_bytes(content)
    fresh.rename(path)


class Guarded(Cluster):
    """One gateway and one broker; `admin` is a way into Redis beside theirs."""

    access = ()  # flags of every program

    def __init__(self, **options):
        super().__init__(APP, gateways=1, brokers=1, args=self.access, **options)

    def cli_as_they(self, *args, code=0):
        done = subprocess.run([str(BIN / "signalbox"), *map(str, args), "--redis", self.redis_url_for("cli"),
                               *map(str, self.access)], capture_output=True, text=True, timeout=20, cwd=self.folder)
        assert done.returncode == code, done.stderr
        return done

    def cut(self):
        """End all their connections."""
        for kind in "normal", "pubsub":
            self.admin.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    def join(self, name):
        """A client, or None as long as the gateway has not its connections back."""
        try:
            return self.client(0, f"/up?name={name}")
        except Refused:
            return None

    def works(self, text):
        """Both processes have connections, and a message comes through."""
        for daemon in self.daemons:
            daemon.wait_ready()
        with eventually(lambda: self.join(text)) as client:
            eventually(lambda: json.loads(self.cli_as_they("send", text, text, "--wait", "2s", "--json").stdout)["matched"])
            assert client.recv() == text


# -- TLS

class MutualTls(Guarded):
    def __init__(self, folder):
        self.authority = Authority(folder / "first")
        server, key = self.authority.issue("server")
        self.ca, self.cert, self.key = folder / "trusted.pem", folder / "client.pem", folder / "client.key"
        self.wear(self.authority)
        self.access = ["--redis-ca", self.ca, "--redis-cert", self.cert, "--redis-key", self.key]
        self.tls_port = free_port()
        super().__init__(redis={"tls-port": self.tls_port, "tls-cert-file": server, "tls-key-file": key,
                                "tls-ca-cert-file": self.authority.ca, "tls-auth-clients": "yes"})

    def wear(self, authority):
        """The client's files are those of this authority from now on."""
        certificate, key = authority.issue("client")
        for path, source in ((self.ca, authority.ca), (self.cert, certificate), (self.key, key)):
            replace(path, source.read_bytes())

    def serve(self, authority):
        """Redis' own are."""
        certificate, key = authority.issue("server")
        self.admin.config_set("tls-ca-cert-file", str(authority.ca), "tls-cert-file", str(certificate), "tls-key-file", str(key))

    def redis_url_for(self, name):
        return f"rediss://127.0.0.1:{self.tls_port}"

    @property
    def admin(self):
        return self.redis


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    with MutualTls(tmp_path_factory.mktemp("tls")) as cluster:
        yield cluster


def test_redis_asks_for_a_client_certificate(tls):
    tls.works("Mutual")
    for access, why in ((["--redis-ca", tls.ca], "certificate required"),
                        (["--redis-cert", tls.cert, "--redis-key", tls.key], "the certificate is refused: self-signed certificate in certificate chain"),
                        (["--redis-ca", tls.ca, "--redis-cert", tls.cert, "--redis-key", tls.authority.key],
                         "the private key belongs to another one"),
                        (["--redis-ca", tls.ca, "--redis-cert", tls.cert], "there is no private key in it")):
        def is_told():  # or, when Redis has closed before the client wrote, that it was reset
            done = subprocess.run([str(BIN / "signalbox"), "names", "--redis", tls.redis_url_for("cli"), "--timeout", "700ms",
                                   *map(str, access)], capture_output=True, text=True, timeout=20)
            assert done.returncode == 1 and why in done.stderr, done.stderr
            return True
        eventually(is_told, 20)


def test_one_file_may_hold_certificate_and_key(tls, tmp_path):
    both = tmp_path / "both.pem"
    both.write_bytes(tls.cert.read_bytes() + tls.key.read_bytes())
    done = subprocess.run([str(BIN / "signalbox"), "gateways", "--redis", tls.redis_url_for("cli"), "--redis-ca", tls.ca,
                           "--redis-cert", both], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr


def test_authority_and_certificates_are_replaced(tls, tmp_path):
    """After a SIGHUP, and for the next connection anyway; files that are wrong change nothing but the log."""
    second, third = Authority(tmp_path / "second"), Authority(tmp_path / "third")
    tls.wear(second), tls.serve(second)
    for daemon in tls.daemons:
        daemon.hup()
        daemon.wait_log("reloaded app=")
    tls.cut()
    tls.works("Second")
    good = tls.ca.read_bytes()
    replace(tls.ca, b"nothing")
    for daemon in tls.daemons:
        daemon.hup()
        daemon.wait_log(f"certificate authorities {tls.ca}: there is no certificate in it; what was read before stays")
    tls.cut()
    for daemon in tls.daemons:
        daemon.wait_log("kept_certificates")
    replace(tls.ca, good)
    tls.works("Kept")
    tls.wear(third), tls.serve(third)
    tls.cut()
    tls.works("Third")


def test_up_uses_them_too(tls):
    port = free_port()
    with subprocess.Popen([str(BIN / "signalbox"), "up", str(APP), "--redis", tls.redis_url_for("up"), "--gateways", "1",
                           "--redis-prefix", "up:", "--listen", f"http+ws://127.0.0.1:{port}", *map(str, tls.access)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tls.folder) as up:
        try:
            lines = []
            for line in up.stdout:
                lines.append(line)
                if "Everything runs." in line:
                    break
            assert "Everything runs." in lines[-1], "".join(lines)
        finally:
            up.terminate()
            up.communicate(timeout=30)


# -- passwords

class WithPasswordFile(Guarded):
    def __init__(self, folder):
        self.file = folder / "password"
        self.file.write_text("first\n")
        self.access = ["--redis-password-file", self.file]
        super().__init__(redis={"requirepass": "first"})

    @property
    def redis(self):
        return redis_client.Redis(unix_socket_path=str(self.redis_socket), password=self.password)

    password = "first"

    @property
    def admin(self):
        return self.redis

    def set_password(self, password):
        self.admin.config_set("requirepass", password)
        self.password = password


def test_the_password_is_replaced(tmp_path):
    """Without a signal and without a restart, whichever of file and Redis has the new one first."""
    with WithPasswordFile(tmp_path) as cluster:
        cluster.works("One")
        cluster.set_password("second")
        replace(cluster.file, b"second\n")
        cluster.cut()
        cluster.works("Two")
        cluster.set_password("third")
        ends = [len(daemon.log()) for daemon in cluster.daemons]
        cluster.cut()
        for daemon, end in zip(cluster.daemons, ends):
            daemon.wait_log("WRONGPASS", after=end)
            assert not daemon.is_ready()
        replace(cluster.file, b"third\n")
        cluster.works("Three")
        cluster.file.unlink()
        for daemon in cluster.daemons:
            daemon.hup()
            daemon.wait_log(f"--redis-password-file={cluster.file}:")
        cluster.cut()
        replace(cluster.file, b"third\n")
        cluster.works("Four")


# -- sentinels

class Sentinels(Guarded):
    """One server and one sentinel, each with a login of its own."""

    def __init__(self, folder, flags=True):
        self.sentinel_port = free_port()
        self.file, self.sentinel_file = folder / "password", folder / "sentinel-password"
        self.file.write_text("data\n"), self.sentinel_file.write_text("watch\n")
        self.access = ["--redis-password-file", self.file]
        if flags:
            self.access += ["--redis-sentinel-user", "guest", "--redis-sentinel-password-file", self.sentinel_file]
        self.flags = flags
        super().__init__(redis={"requirepass": "data"})
        config = self.folder / "sentinel.conf"
        config.write_text(f"port {self.sentinel_port}\nbind 127.0.0.1\ndir {self.folder}\n"
                          "user default off\nuser guest on >watch ~* &* +@all\nuser signalbox on >other ~* &* +@all\n"
                          "sentinel resolve-hostnames no\n"
                          f"sentinel monitor main 127.0.0.1 {self.redis_port} 1\nsentinel auth-pass main data\n")
        self.sentinel = Process("sentinel", ["/usr/bin/redis-server", config, "--sentinel"], self.folder)

    def redis_url_for(self, name):
        login = "" if self.flags else "?sentinel_user=guest&sentinel_password=watch"
        return f"redis+sentinel://127.0.0.1:{self.sentinel_port}/main/1{login}"

    @property
    def redis(self):
        return redis_client.Redis(unix_socket_path=str(self.redis_socket), password="data")

    admin = redis

    @property
    def processes(self):
        return super().processes + ([self.sentinel] if hasattr(self, "sentinel") else [])

    def start_redis(self):
        super().start_redis()
        self.sentinel.start()


@pytest.mark.parametrize("flags", [True, False], ids=["flags", "url"])
def test_sentinels_have_a_login_of_their_own(tmp_path, flags):
    with Sentinels(tmp_path, flags) as cluster:
        cluster.works("Watched")
        wrong = f"redis+sentinel://127.0.0.1:{cluster.sentinel_port}/main?sentinel_user=guest&sentinel_password=data"
        done = subprocess.run([str(BIN / "signalbox"), "names", "--redis", wrong, "--timeout", "500ms"],
                              capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and "sentinel login: WRONGPASS" in done.stderr, done.stderr


# -- what cannot be

@pytest.mark.parametrize("args, line", [
    (["--redis-key", "k.pem"], "--redis-key=k.pem: needs --redis-cert"),
    (["--redis-cert", "c.pem"], "--redis-cert=c.pem: a client certificate needs rediss:// or rediss+sentinel://"),
    (["--redis-sentinel-user", "x"], "--redis-sentinel-user: is for redis+sentinel:// only"),
    (["--redis-sentinel-password-file", "x"], "--redis-sentinel-password-file: is for redis+sentinel:// only"),
    (["--redis-password-file", "/nowhere"], "--redis-password-file=/nowhere: No such file or directory"),
    (["--redis-ca", "/" + 600 * "x"], "the path is longer than 511 bytes"),
])
def test_settings_that_do_not_fit(args, line):
    for program in (["signalbox-gateway", APP], ["signalbox-broker", APP], ["signalbox", "names"]):
        done = subprocess.run([str(BIN / program[0]), *map(str, program[1:]), *args, "--redis", "redis://127.0.0.1:1"],
                              capture_output=True, text=True, timeout=20)
        assert done.returncode in (1, 2) and line in done.stderr and done.stderr.count("\n") == 1, done.stderr
