"""The clients and publishers of examples/ in languages that run here: connections are cut and a gateway dies, and nothing is
lost, nothing comes twice."""
import json
import os
import shutil
import subprocess
import threading

import pytest

from harness import ROOT, Cluster, eventually, free_port
from harness.cluster import ADMIN_TOKEN
from harness.proxy import Proxy

EXAMPLES = ROOT / "examples"
PYTHON = "/usr/bin/python3"
V1 = {"Sec-WebSocket-Protocol": "signalbox.v1"}


@pytest.fixture(scope="module")
def cluster():
    with Cluster(EXAMPLES / "events") as running:
        yield running


@pytest.fixture(scope="module")
def go(tmp_path_factory):
    """The folder of the programs in Go."""
    if shutil.which("go") is None:
        pytest.skip("go is not installed")
    folder = tmp_path_factory.mktemp("go")
    for command in ["vet", "./..."], ["build", "-o", folder, "./..."]:
        subprocess.run(["go", *command], cwd=EXAMPLES / "go", check=True, timeout=300)
    return folder


@pytest.fixture(params=["python", "shell", "go"])
def language(request):
    """name, command line of the room, of publish"""
    if request.param == "python":
        return "python", [PYTHON, EXAMPLES / "python" / "room.py"], [PYTHON, EXAMPLES / "python" / "publish.py"]
    if request.param == "shell":
        return "shell", [EXAMPLES / "shell" / "room.sh"], [EXAMPLES / "shell" / "publish.sh"]
    folder = request.getfixturevalue("go")
    return "go", [folder / "room"], [folder / "publish"]


class Room:
    """A running client, and what it has printed."""

    def __init__(self, argv, url):
        self.process = subprocess.Popen([*argv, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def texts(self):
        return [json.loads(line)["text"] for line in self.lines]

    def ids(self):
        return {json.loads(line)["from"] for line in self.lines}

    def end(self):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdin.close()


@pytest.fixture
def proxy(cluster):
    made = Proxy(("127.0.0.1", cluster.gateways[0].port), free_port())
    yield made
    made.close()


@pytest.fixture
def witness(cluster):
    """A client that stays, at the gateway that stays."""
    with cluster.client(1, "/room", V1) as client:
        client.recv_json()
        yield client


def texts_of(witness, count):
    """Of the next so many messages."""
    texts = []
    while len(texts) < count:
        frame = witness.recv_json()
        if frame["type"] == "message":
            texts.append(frame["data"]["text"])
    return texts


def test_a_room_loses_nothing(cluster, proxy, language, witness):
    """Its connections are cut, its gateway is killed while it is away; it keeps its id."""
    name, argv, _ = language
    scheme = "ws" if name == "python" else "http"
    room = Room(argv, f"{scheme}://127.0.0.1:{proxy.port}/room")
    try:
        room.say('1 "quoted" \\ é€')
        eventually(lambda: len(room.lines) == 1)
        proxy.refuse()
        proxy.cut()
        for text in "2 missed", "3 missed":
            message = {"name": "Room", "data": {"from": "test", "text": text}}
            cluster.redis.xadd("signalbox:send", {"m": json.dumps(message)})
        room.say("4 waits")
        room.say("5 waits")
        cluster.gateways[0].kill()
        proxy.target = ("127.0.0.1", cluster.gateways[1].port)
        proxy.accept()
        eventually(lambda: len(room.lines) == 5)
        for number in range(6, 9):
            room.say(f"{number} while connections are cut")
            proxy.cut()
            eventually(lambda: len(room.lines) >= number)
        assert [text.split()[0] for text in room.texts()] == [str(number) for number in range(1, 9)]
        assert room.texts()[0] == '1 "quoted" \\ é€'
        assert len(room.ids() - {"test"}) == 1
        assert texts_of(witness, 8) == room.texts()
    finally:
        room.end()
        cluster.gateways[0].restart()


def publish(cluster, argv, *args, **options):
    """A running publisher at the first gateway's admin listener."""
    url = f"http://127.0.0.1:{cluster.gateways[0].admin_port}"
    return subprocess.Popen([*argv, url, "Room", *args], env={**os.environ, "SIGNALBOX_TOKEN": ADMIN_TOKEN}, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_a_publisher_tries_until_it_is_accepted(cluster, language, witness):
    """Its first attempts find nobody; its message is published once, and so is one whose key comes twice."""
    name, _, argv = language
    cluster.gateways[0].kill()
    waiting = publish(cluster, argv, '{"text":"waits"}')
    assert "trying again" in waiting.stderr.readline()
    cluster.gateways[0].restart()
    assert waiting.wait(30) == 0, waiting.stderr.read()
    for _ in range(2):
        once = publish(cluster, argv, '{"text":"once"}', f"order-{name}")
        assert once.wait(30) == 0, once.stderr.read()
    assert publish(cluster, argv, '{"text":"last"}').wait(30) == 0
    assert texts_of(witness, 3) == ["waits", "once", "last"]


def test_a_publisher_gives_up_when_refused(cluster, language):
    refused = publish(cluster, language[2], '{"text":')
    out, err = refused.communicate(timeout=30)
    assert refused.returncode != 0 and out == "" and err


def test_a_publisher_in_python_through_redis(cluster, witness):
    argv = [PYTHON, EXAMPLES / "python" / "publish.py", cluster.redis_url, "Room"]
    for text in '{"text":"by Redis"}', '{"text":"by Redis"}', '{"text":"last"}':
        subprocess.run([*argv, text, *([] if "last" in text else ["order-redis"])], check=True, capture_output=True, timeout=30)
    assert texts_of(witness, 2) == ["by Redis", "last"]


@pytest.mark.skipif(shutil.which("mcs") is None, reason="mcs, Mono's compiler, is not installed")
def test_csharp_is_csharp():
    """Nothing here runs it."""
    subprocess.run(["mcs", "--parse", *EXAMPLES.glob("csharp/*/*.cs")], check=True, timeout=60)
