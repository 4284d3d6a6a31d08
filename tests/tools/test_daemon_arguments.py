"""The two daemons as processes: a wrong command line is one line and exit status 2, help and version are 0, and signals end them."""
import os
import re
import resource
import socket
import subprocess

import pytest
import redis

from cli_world import APP
from harness.cluster import BIN, free_port
from harness.waiting import eventually

BOTH = [
    ([], "needs one APP: an app file or its folder (see --help)"),
    ([APP, APP], "needs one APP"),
    ([APP, "--nonsense", "x"], "--nonsense: no such setting"),
    ([APP, "--log-levle", "info"], "did you mean --log-level?"),
    ([APP, "--log-level"], "--log-level: needs a value"),
    ([APP, "--log-level", "loud"], "--log-level=loud: must be"),
    ([APP, "--max-message-bytes", "7"], "--max-message-bytes=7: must be a number"),
    ([APP, "--partitions", "7"], "--partitions=7: must be a power of two"),
    ([APP, "--redis", "http://nowhere"], "the Redis URL is wrong"),
    ([APP, "--admin", "nowhere"], "--admin=nowhere: must be ADDRESS:PORT"),
]
GATEWAY = [
    ([APP, "--listen", "nowhere"], "--listen nowhere: the scheme must be"),
    ([APP, "--listen", "ws://"], "--listen ws://: needs ADDRESS:PORT"),
    ([APP, "--listen", "ws://127.0.0.1:65536"], "needs ADDRESS:PORT"),
    ([APP, "--listen", "ws://127.0.0.1:1?x=y"], "options are certificate"),
]
WRONG = [(kind, *row) for kind in ("gateway", "broker") for row in BOTH] + [("gateway", *row) for row in GATEWAY]


def run(kind, *args):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SIGNALBOX_", "REDIS_URL"))}
    return subprocess.run([str(BIN / f"signalbox-{kind}"), *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=20, env=env)


def complaints(done):
    """Without the log: the gateway opens its ports before it looks at --admin."""
    return [line for line in done.stderr.splitlines() if not re.match(r"\d{4}-\d\d-\d\dT", line)]


@pytest.mark.parametrize("kind, args, words", WRONG)
def test_a_wrong_command_line_is_one_line_and_status_2(kind, args, words):
    if kind == "gateway" and "--listen" not in args:
        args = [*args, "--listen", f"ws://127.0.0.1:{free_port()}"] if args and args[-1] != "--log-level" else args
    done = run(kind, *args)
    assert done.returncode == 2, done
    assert len(complaints(done)) == 1 and words in complaints(done)[0] and done.stdout == "", done


@pytest.mark.parametrize("kind", ["gateway", "broker"])
def test_what_is_no_fault_of_the_command_line_is_status_1(kind, tmp_path):
    done = run(kind, tmp_path / "nothing")
    assert done.returncode == 1 and "No such file" in done.stderr and done.stderr.count("\n") == 1, done
    (tmp_path / "app.lua").write_text("error('not like this', 0)")
    done = run(kind, tmp_path)
    assert done.returncode == 1 and done.stderr == f"signalbox-{kind}: not like this\n", done


@pytest.mark.parametrize("kind", ["gateway", "broker"])
def test_help_and_version(kind):
    done = run(kind, "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"usage: signalbox-{kind} APP") and done.stderr == ""
    assert "--redis URL" in done.stdout and "Exit status: 0" in done.stdout
    done = run(kind, "--version")
    assert done.returncode == 0 and re.fullmatch(rf"signalbox-{kind} \d+\.\d+\.\d+\n", done.stdout)


def test_a_second_signal_ends_a_draining_gateway_at_once(redis_url, tmp_path):
    port, log = free_port(), tmp_path / "log"
    with log.open("w") as stderr:
        gateway = subprocess.Popen([str(BIN / "signalbox-gateway"), str(APP), "--redis", redis_url, "--drain-ms", "60000",
                                    "--listen", f"http://127.0.0.1:{port}"], stdin=subprocess.DEVNULL, stderr=stderr)
    try:
        eventually(lambda: "started id=" in log.read_text(), what="the gateway runs")
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 404")
            gateway.terminate()
            eventually(lambda: "drain: started connections=1" in log.read_text(), what="it drains")
            assert gateway.poll() is None
            gateway.terminate()
            assert gateway.wait(5) == 1
    finally:
        gateway.kill()
        gateway.wait(10)


@pytest.mark.parametrize("files, wanted, most", [
    (1000, 0, 936),      # 64 are for Redis, files and listeners
    (1000, 936, 936),
    (1000, 937, 936),    # more is not possible
    (1000, 935, 935),
    (129, 0, 65),
    (128, 0, 64),        # of few, half
    (100, 60, 50),
])
def test_a_gateway_says_how_many_connections_it_takes(files, wanted, most):
    args = [APP, "--redis", f"redis://127.0.0.1:{free_port()}", "--listen", f"ws://127.0.0.1:{free_port()}",
            "--max-connections", wanted]
    daemon = subprocess.Popen([str(BIN / "signalbox-gateway"), *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)))
    try:
        started = next(line for line in daemon.stderr if " started " in line)
        assert started.split("max_connections=")[1].strip() == str(most)
    finally:
        daemon.kill()
        daemon.communicate()


@pytest.fixture
def broker(redis_url, tmp_path):
    """One that has all partitions, with a soft limit of descriptors below the hard one; its log."""
    log = tmp_path / "broker.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(["prlimit", "--nofile=300:900", str(BIN / "signalbox-broker"), str(APP), "--redis", redis_url],
                                   stdin=subprocess.DEVNULL, stderr=stderr)
    process.log = log.read_text
    eventually(lambda: "changed partitions=16 public=yes" in process.log(), what="it has all partitions")
    yield process
    process.kill()
    process.wait(10)


def test_a_broker_that_is_stopped_gives_everything_back(broker, redis_url):
    """The next one need not wait for its leases, and it has not given up on anything."""
    with redis.Redis(unix_socket_path=redis_url.removeprefix("unix://")) as client:
        assert len(client.keys("sb:*lease")) == 17
        broker.terminate()
        assert broker.wait(20) == 0
        assert client.keys("sb:*lease") == []
    assert "stopped" in broker.log() and "left batches behind" not in broker.log()


def test_all_descriptors_are_used(broker):
    with open(f"/proc/{broker.pid}/limits") as limits:
        line, = (line for line in limits if line.startswith("Max open files"))
    assert line.split()[3:5] == ["900", "900"]
