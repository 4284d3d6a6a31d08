"""signalbox up: one command, a whole cluster, and nothing left behind."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest

from cli_world import APP, answers
from harness.cluster import BIN, claim_port, free_port, http_request
from harness.waiting import eventually


class Up:
    def __init__(self, folder, *args, app=APP):
        self.folder, self.log = folder, folder / "up.log"
        environment = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
        with open(self.log, "wb") as log:
            self.popen = subprocess.Popen([str(BIN / "signalbox"), "up", str(app), *map(str, args)], cwd=folder, stdout=log,
                                          stderr=log, stdin=subprocess.DEVNULL, env=environment)

    def text(self):
        return self.log.read_text(errors="replace")

    def wait(self, words, timeout=30):
        def look():
            assert self.popen.poll() is None or words in self.text(), self.text()
            return words in self.text()
        eventually(look, timeout, f"{words!r} in:\n{self.text()}")
        return self

    def children(self):
        return [int(pid) for pid in
                pathlib.Path(f"/proc/{self.popen.pid}/task/{self.popen.pid}/children").read_text().split()]

    def child(self, program):
        return [pid for pid in self.children() if program in pathlib.Path(f"/proc/{pid}/cmdline").read_text()]

    def cli(self, *args):
        return subprocess.run([str(BIN / "signalbox"), *args], cwd=self.folder, capture_output=True, text=True, timeout=20)

    def stop(self, number=signal.SIGINT):
        self.popen.send_signal(number)
        return self.popen.wait(40)


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def start(folder):
    started = []

    def start_one(*args, where=folder, **options):
        started.append(Up(where, *args, **options))
        return started[-1]
    yield start_one
    for up in started:
        if up.popen.poll() is None:
            up.stop(signal.SIGTERM)


def two_ports():
    while True:
        port = free_port()
        if not claim_port(port + 1):
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port + 1))
                return port
            except OSError:
                continue


@pytest.fixture
def listen():
    return f"http+ws://127.0.0.1:{two_ports()}"


def test_up_runs_everything_and_ends_in_order(start, folder, listen):
    up = start("--listen", listen).wait("Everything runs.")
    port = int(listen.rsplit(":", 1)[1])
    assert f"open http://localhost:{port}/" in up.text() and f"http://localhost:{port + 1}/" in up.text()
    for gateway in port, port + 1:
        assert http_request(gateway, "GET", "/nowhere").status == 404
    assert up.cli("send", "Msg", "hello").returncode == 0, "it finds the Redis of this folder, and a broker"
    assert len(up.cli("gateways").stdout.splitlines()) == 3
    assert up.cli("doctor").returncode == 0, up.cli("doctor").stdout
    children = up.children()
    assert len(children) == 4
    assert up.stop() == 0
    assert not any(is_alive(pid) for pid in children) and not answers(folder / ".signalbox" / "redis.sock")
    order = [up.text().index(words) for words in ("stopping the gateways", "stopping the brokers", "stopping Redis")]
    assert order == sorted(order)
    assert "\x1b[" not in up.text(), "colours are for terminals"
    assert re.search(r"^gateway-2  \| ", up.text(), re.M)


def test_data_stays_over_a_restart(start, listen):
    up = start("--listen", listen, "--gateways", 1).wait("Everything runs.")
    assert up.cli("level", "Kept", "group").returncode == 0
    assert up.stop() == 0
    up = start("--listen", listen, "--gateways", 1).wait("Everything runs.")
    assert up.cli("level", "Kept").stdout == "group\n"


def test_a_killed_gateway_comes_back(start, listen):
    up = start("--listen", listen, "--gateways", 1).wait("Everything runs.")
    gateway, = up.child("signalbox-gateway")
    os.kill(gateway, signal.SIGKILL)
    up.wait("gateway-1 ended (signal 9")
    eventually(lambda: up.text().count("gateway-1 is ready") == 2, 20)
    assert http_request(int(listen.rsplit(":", 1)[1]), "GET", "/nowhere").status == 404


def test_a_gateway_that_was_ready_is_started_again_and_again(start, listen):
    """However often it ends: never given up, and each time after a longer wait."""
    up = start("--listen", listen, "--gateways", 1).wait("Everything runs.")
    for ends, wait in enumerate(("0.25", "0.5", "1", "2"), 1):
        eventually(lambda ends=ends: up.text().count("gateway-1 is ready") == ends, 20)
        gateway, = up.child("signalbox-gateway")
        os.kill(gateway, signal.SIGKILL)
        up.wait(f"starting it again in {wait} s")
    assert up.text().count("Everything runs.") == 1 and "giving up" not in up.text()


def test_a_second_signal_kills_what_does_not_end(start, listen):
    """The first one waits for them."""
    up = start("--listen", listen, "--gateways", 1).wait("Everything runs.")
    children = up.children()
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    up.popen.send_signal(signal.SIGINT)
    up.wait("stopping the gateways")
    assert all(is_alive(pid) for pid in children)
    assert up.stop(signal.SIGINT) == 0
    assert not any(is_alive(pid) for pid in children)


def test_nothing_outlives_a_killed_up(start, listen):
    up = start("--listen", listen).wait("Everything runs.")
    children = up.children()
    assert len(children) == 4
    up.popen.kill()
    up.popen.wait(10)
    eventually(lambda: not any(is_alive(pid) for pid in children), 20)


def test_a_second_up_in_the_folder_is_refused(start, listen):
    up = start("--listen", listen, "--gateways", 1).wait("Everything runs.")
    done = up.cli("up", str(APP))
    assert done.returncode == 1 and f"runs in this folder already (process {up.popen.pid})" in done.stderr


def test_a_deep_folder_has_room_for_the_socket(start, folder, listen):
    deep = folder / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    up = start("--listen", listen, "--gateways", 1, where=deep).wait("Everything runs.")
    assert up.cli("send", "Msg", "x").returncode == 0


def test_a_gateway_that_cannot_start_ends_it_all(start, listen):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(listen.rsplit(":", 1)[1])))
        taken.listen()
        up = start("--listen", listen, "--gateways", 1)
        assert up.popen.wait(30) == 1
    assert up.text().count("gateway-1 ended") == 3 and "3 times before it was ready: giving up" in up.text()


def test_two_fleets_do_not_share_a_port(start, folder, listen, tmp_path):
    """Not by the same app in another folder, whichever of its gateways would meet ours; one line says who has it."""
    up = start("--listen", listen, "--gateways", 1).wait("Everything runs.")
    gateway, = up.child("signalbox-gateway")
    port = int(listen.rsplit(":", 1)[1])
    for address, first in (("127.0.0.1", port), ("*", port), ("127.0.0.1", port - 1)):
        other = start("--listen", f"http+ws://{address}:{first}", "--gateways", 2, where=tmp_path)
        assert other.popen.wait(20) == 1
        assert other.text().count("\n") == 1, other.text()
        assert f":{port}/: a gateway of another fleet (process {gateway}) listens there" in other.text()
    assert up.popen.poll() is None
    assert http_request(port, "GET", "/nowhere").status == 404


def test_a_redis_of_ones_own(start, folder, listen, redis_url):
    up = start("--listen", listen, "--gateways", 1, "--redis", redis_url).wait("Everything runs.")
    assert up.child("redis-server") == [] and [path.name for path in (folder / ".signalbox").iterdir()] == ["admin-token"]
    assert up.stop(signal.SIGTERM) == 0 and answers(redis_url.removeprefix("unix://"))


def test_no_redis_ends_it(start, folder):
    up = start("--redis", f"unix://{folder}/nothing.sock", "--timeout", "500ms")
    assert up.popen.wait(20) == 1 and "no Redis at" in up.text()


def test_a_broken_app_is_told(start, folder):
    (folder / "app.lua").write_text("this is no Lua")
    up = start(app=folder)
    assert up.popen.wait(20) == 1 and "app.lua:1:" in up.text()


def test_settings_are_handed_on(start, listen):
    up = start("--listen", listen, "--gateways", 1, "--max-message-bytes", "2048", "--lease-ms", "700").wait("Everything runs.")
    gateway, = up.child("signalbox-gateway")
    broker, = up.child("signalbox-broker")
    arguments = [pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in (gateway, broker)]
    assert all("--max-message-bytes" in line for line in arguments)
    assert "--lease-ms" in arguments[1] and "--lease-ms" not in arguments[0]


def test_no_password_is_printed_or_seen(start, listen, folder):
    """Of the Redis and of a key: not in any command line of the cluster, nor in what is printed, ready or not."""
    port = free_port()
    url = f"redis://:open-sesame@127.0.0.1:{port}"
    redis = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", "open-sesame"],
                             cwd=folder, stdout=subprocess.DEVNULL)
    try:
        up = start("--redis", url, "--listen", listen, "--gateways", 1).wait("Everything runs.")
        seen = [pathlib.Path(f"/proc/{pid}/cmdline").read_text() for pid in [up.popen.pid, *up.children()]]
        assert len(seen) == 3 and not [line for line in seen if "sesame" in line]
        config = up.cli("config", "--redis", url)
    finally:
        redis.kill()
        redis.wait()
    up.wait("link_failed")
    assert "redis://:***@" in up.text() and "redis=redis://:***@" in config.stdout
    assert "sesame" not in up.text() + config.stdout + config.stderr
    up.stop()
    up = start("--redis", url, "--timeout", "500ms")
    assert up.popen.wait(20) == 1 and "no Redis at redis://:***@" in up.text() and "sesame" not in up.text()


def test_json_is_all_that_standard_output_has(folder):
    """One object once all are ready, without the password; the processes' lines are on standard error."""
    with open(folder / "err", "wb") as err:
        up = subprocess.Popen([str(BIN / "signalbox"), "up", str(APP), "--json", "--gateways", "1", "--listen",
                               f"http+ws://127.0.0.1:{free_port()}"], cwd=folder, stdout=subprocess.PIPE, stderr=err, text=True)
    try:
        found = json.loads(up.stdout.readline())
        gateway, = found["gateways"]
        assert http_request(int(gateway["admin"].rsplit(":", 1)[1]), "GET", "/readyz").status == 200
        assert gateway["url"].startswith("http://localhost:") and len(found["brokers"]) == 1
        assert found["redis"].startswith("unix://")
    finally:
        up.send_signal(signal.SIGINT)
        assert up.stdout.read() == "" and up.wait(40) == 0
    assert "gateway-1 is ready" in (folder / "err").read_text()
