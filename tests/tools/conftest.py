"""For the tests of the CLI: the program, a private Redis without a cluster, and a whole cluster."""
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from cli_world import APP, answers
from harness.cluster import BIN, Cluster
from harness.waiting import eventually

OTHER_NAMES = ("REDIS_URL", "SIGNALBOX_REDIS", "SIGNALBOX_LOG_LEVEL", "SIGNALBOX_LISTEN")


@pytest.fixture
def folder():
    """A short path: it holds unix sockets."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="sb-cli-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def run(folder):
    """run("send", "Msg", "x", code=0) -> the finished process. code None: whatever comes."""
    def run_one(*args, code=0, stdin=None, timeout=20.0, env=None):
        environment = {name: value for name, value in os.environ.items() if name not in OTHER_NAMES}
        done = subprocess.run([str(BIN / "signalbox"), *map(str, args)], input=stdin, text=True, capture_output=True,
                              stdin=subprocess.DEVNULL if stdin is None else None, timeout=timeout, cwd=folder,
                              env={**environment, **(env or {})})
        if code is not None:
            assert done.returncode == code, f"signalbox {args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done
    return run_one


@pytest.fixture
def redis_socket(folder):
    """A Redis that nobody else uses."""
    path = folder / "redis-test.sock"
    server = subprocess.Popen(["/usr/bin/redis-server", "--port", "0", "--unixsocket", str(path), "--save", "",
                               "--dir", str(folder), "--appendonly", "no"], stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: answers(path), what="Redis accepts connections")
        yield path
    finally:
        server.kill()
        server.wait(10)


@pytest.fixture
def redis_url(redis_socket):
    return f"unix://{redis_socket}"


@pytest.fixture(scope="session")
def cluster():
    with Cluster(app=APP, gateways=2, brokers=1) as running:
        yield running
