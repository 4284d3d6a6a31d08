"""The units of deploy/systemd: what systemd says of them, and what the processes tell systemd."""
import os
import pathlib
import re
import shutil
import socket
import subprocess

import pytest

from cli_world import APP
from harness.cluster import BIN, Cluster, free_port, http_request
from harness.waiting import eventually

UNITS = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "systemd"
KINDS = ["gateway", "broker"]
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def unit_text(kind):
    return (UNITS / f"signalbox-{kind}@.service").read_text()


def settings_of(text):
    return [tuple(line.split("=", 1)) for line in text.splitlines() if "=" in line and not line.startswith("#")]


@pytest.fixture
def installed(tmp_path):
    """The units with their drop-in as they are installed, but for the place of the programs."""
    for kind in KINDS:
        (tmp_path / f"signalbox-{kind}@.service").write_text(unit_text(kind).replace("/usr/local/bin", str(BIN)))
        folder = tmp_path / f"signalbox-{kind}@.service.d"
        folder.mkdir()
        shutil.copy(UNITS / "secrets.conf", folder)
    return tmp_path


@needs_systemd
@pytest.mark.parametrize("kind", KINDS)
def test_systemd_understands_them(installed, kind):
    unit = installed / f"signalbox-{kind}@10.service"
    shutil.copy(installed / f"signalbox-{kind}@.service", unit)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True,
                          env={**os.environ, "SYSTEMD_UNIT_PATH": f"{installed}:"})
    assert not [line for line in done.stderr.splitlines() if f"signalbox-{kind}" in line or str(installed) in line], done.stderr
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=25", unit],
                          capture_output=True, text=True)
    if "unrecognized option" not in done.stderr:
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_secrets_are_credentials(kind):
    """Whatever the drop-in loads is what a …_FILE variable names, and the unit itself names no file of root's."""
    pairs = settings_of((UNITS / "secrets.conf").read_text())
    loaded = {value.split(":")[0] for name, value in pairs if name == "LoadCredential"}
    named = {value.split("%d/")[1] for name, value in pairs if name == "Environment"}
    assert loaded == named == {"redis-password", "admin-token", "cluster-secret"}
    help_text = subprocess.run([BIN / f"signalbox-{kind}", "--help"], capture_output=True, text=True).stdout
    for name in re.findall(r"SIGNALBOX_(\w+_FILE)", (UNITS / "secrets.conf").read_text()):
        assert f"--{name.lower().replace('_', '-')} FILE" in help_text


def test_instances_that_share_a_port_have_one_user():
    """Without a User= every instance of a DynamicUser= unit has a user of its own."""
    settings = dict(settings_of(unit_text("gateway")))
    assert settings["DynamicUser"] == "yes" and "%" not in settings["User"]


def test_the_stop_takes_as_long_as_the_drain():
    gateway = dict(settings_of(unit_text("gateway")))
    assert int(gateway["TimeoutStopSec"]) >= 45 + 60
    assert gateway["Type"] == dict(settings_of(unit_text("broker")))["Type"] == "notify"


def admin_of(kind, instance):
    return dict(settings_of(unit_text(kind)))["ExecStart"].split("--admin ")[1].replace("%i", str(instance))


def lives(port):
    try:
        return http_request(port, "GET", "/livez").status == 200
    except OSError:
        return False


@pytest.mark.parametrize("kind", KINDS)
def test_instances_have_ports(kind, redis_url):
    base = {"gateway": 9090, "broker": 9050}[kind]
    assert admin_of(kind, 10) == f"127.0.0.1:{base}+10"
    port = free_port()
    daemon = subprocess.Popen([BIN / f"signalbox-{kind}", APP, "--redis", redis_url, "--admin", f"127.0.0.1:{port - 10}+10",
                               *(["--listen", f"http://127.0.0.1:{free_port()}"] if kind == "gateway" else [])],
                              stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: lives(port))
    finally:
        daemon.terminate()
        daemon.wait(20)
    done = subprocess.run([BIN / f"signalbox-{kind}", APP, "--redis", redis_url, "--admin", f"127.0.0.1:{base}+x"],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode != 0 and f"--admin=127.0.0.1:{base}+x: must be ADDRESS:PORT" in done.stderr
    for wrong in ("1:70000", "1:65535+1", "1:+5", "1:5+", "1:-1+5"):
        done = subprocess.run([BIN / f"signalbox-{kind}", APP, "--redis", redis_url, "--admin", wrong],
                              capture_output=True, text=True, timeout=20)
        assert done.returncode != 0 and "ports are 1 to 65535" in done.stderr, wrong


class FakeSystemd:
    """Hears what one process says, on an abstract socket."""

    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name)
        self.socket.settimeout(15)

    def next(self, wanted):
        """Messages up to the first that has a line beginning with `wanted`, which is returned as a dict."""
        while True:
            message = dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())
            if wanted in message:
                return message


def test_processes_tell_systemd(tmp_path):
    heard = {kind: FakeSystemd(f"signalbox-{os.getpid()}-{kind}") for kind in KINDS}

    def env(index):
        return {"NOTIFY_SOCKET": "@" + heard["broker" if index is None else "gateway"].name, "WATCHDOG_USEC": "3000000"}
    with Cluster(app=APP, gateways=1, brokers=1, env=env, gateway_args=["--drain-ms", "2500"]) as cluster:
        for kind, daemon in zip(KINDS, cluster.daemons):
            assert heard[kind].next("READY")["STATUS"] == "ready"
            heard[kind].next("WATCHDOG")
            daemon.hup()
            assert int(heard[kind].next("MONOTONIC_USEC")["MONOTONIC_USEC"]) > 0
            assert heard[kind].next("READY")["STATUS"] == "ready"
        # An undrained gateway is ready again; systemd is told in words only.
        gid, = [row.split()[0] for row in cluster.cli("gateways").stdout.splitlines()[1:]]
        cluster.cli("drain", gid, "--over", "0s")
        assert heard["gateway"].next("STATUS")["STATUS"] == "draining"
        cluster.redis_server.stop()
        assert "ready" not in heard["broker"].next("STATUS")["STATUS"]
        cluster.redis_server.cont()
        for kind, daemon in zip(KINDS, cluster.daemons):
            daemon.term()
            message = heard[kind].next("STOPPING")
            assert int(message["EXTEND_TIMEOUT_USEC"]) >= {"gateway": 47_500_000, "broker": 7_000_000}[kind]
            assert daemon.wait(60) == 0
