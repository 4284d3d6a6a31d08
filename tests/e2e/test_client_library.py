"""signalbox-client against a real fleet, in Node and in Chromium, over each of its three ways: what is sent is published
once, what is published arrives once and in order, whichever gateway is killed or drained, and while Redis is away."""
import json
import shutil
import subprocess

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from harness import ROOT, Cluster, cluster as harness_cluster, eventually
from harness.proxy import Proxy
from test_chat_page import FLAGS

APP = ROOT / "tests" / "e2e" / "app" / "client-library"
WAYS = {"channel": {}, "websocket": {"multiplex": False, "transports": ["websocket"]}, "sse": {"transports": ["sse"]}}
TRANSPORTS = {"channel": "channel", "websocket": "ws", "sse": "sse"}  # as `signalbox clients` names them


class NodePlayer:
    def __init__(self, url, path, options):
        self.process = subprocess.Popen(["node", "--unhandled-rejections=strict", APP / "player_node.mjs", url, path, json.dumps(options)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def _do(self, verb, argument=None):
        self.process.stdin.write(json.dumps([verb, argument]) + "\n")
        self.process.stdin.flush()

    def send(self, text):
        self._do("send", text)

    def report(self):
        self._do("report")
        line = self.process.stdout.readline()
        return json.loads(line) if line else pytest.fail(self.process.communicate()[1])

    def close(self):
        """Node ends by itself: nothing of the library keeps it."""
        output, errors = self.process.communicate(timeout=20)
        assert (self.process.returncode, output, errors) == (0, "", "")


class PagePlayer:
    number = 0

    def __init__(self, browser, url, path, options):
        PagePlayer.number += 1
        self.browser, self.name = browser, f"player{PagePlayer.number}"
        library = (ROOT / "examples" / "chat" / "public" / "signalbox-client.js").read_text()
        browser.get(f"{url}/page.html")
        browser.execute_async_script("""
            const [library, path, options, done] = arguments;
            const module = URL.createObjectURL(new Blob([library], { type: "text/javascript" }));
            Promise.all([import(module), import("/player.js")]).then(([{ connect }, { play }]) => {
                window.player = play(connect, location.origin, path, options);
                done();
            });""", library, path, options)

    def send(self, text):
        self.browser.execute_script("player.send(arguments[0])", text)

    def report(self):
        return self.browser.execute_script("return player.report()")

    def close(self):
        self.browser.execute_script("player.close()")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    driver.set_script_timeout(30)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP) as running:
        yield running


@pytest.fixture(scope="module")
def front(cluster):
    """The address of the fleet: whatever gateway its `target` is."""
    port = harness_cluster.free_port()
    proxy = Proxy(("127.0.0.1", cluster.gateways[0].port), port)
    proxy.accept()
    proxy.url = f"http://127.0.0.1:{port}"
    yield proxy
    proxy.close()


@pytest.fixture(params=["node", "chromium"])
def make_player(request):
    players = []

    def make(url, path="/room", **options):
        made = NodePlayer(url, path, options) if request.param == "node" else PagePlayer(request.getfixturevalue("browser"), url, path, options)
        players.append(made)
        return made
    yield make
    for player in players:
        player.close()


@pytest.fixture(params=WAYS)
def way(request):
    return request.param


@pytest.fixture
def player(cluster, front, make_player, way):
    front.cut()  # a browser keeps connections, to the gateway of before
    player = make_player(front.url, "/room", **WAYS[way])
    wait_open(player)
    assert [client["transport"] for client in clients(cluster)] == [TRANSPORTS[way]]
    yield player


def clients(cluster):
    return json.loads(cluster.cli("clients", "Room", "--json").stdout)


def wait_open(player, opens=1):
    def is_open():
        report = player.report()
        assert report["state"] == "open" and len(report["opens"]) >= opens, report
        return True
    eventually(is_open, 30)


def aim(cluster, front, index):
    front.target = ("127.0.0.1", cluster.gateways[index].port)


def after(one, other):
    return tuple(map(int, one.split("-"))) > tuple(map(int, other.split("-")))


class Ledger:
    """What a player has sent, what others have, and the judgement."""

    def __init__(self, cluster, player):
        self.cluster, self.player, self.texts, self.number = cluster, player, [], 0
        self.client_id = player.report()["opens"][0][0]

    def say(self, count):
        for _ in range(count):
            self.number += 1
            self.texts.append(f"mine-{self.number}")
            self.player.send(self.texts[-1])

    def publish(self, count):
        for _ in range(count):
            self.number += 1
            self.texts.append(f"other-{self.number}")
            message = {"name": "Room", "data": self.texts[-1]}
            self.cluster.redis.xadd("signalbox:send", {"m": json.dumps(message)})

    def judge(self):
        def has_all():
            report = self.player.report()
            assert len(report["heard"]) >= len(self.texts) and report["pending"] == 0, (self.texts, report)
            return True
        eventually(has_all, 40)
        report = self.player.report()
        heard = [data for _, data in report["heard"]]
        assert sorted(heard) == sorted(self.texts), "each once"
        ids = [id for id, _ in report["heard"]]
        assert all(after(later, earlier) for earlier, later in zip(ids, ids[1:])), "in the order of the Name"
        for kind in "mine", "other":
            assert [text for text in heard if text.startswith(kind)] == [text for text in self.texts if text.startswith(kind)]
        assert report["answers"] == {data: id for id, data in report["heard"] if data.startswith("mine")}
        assert report["gaps"] == []
        assert {client_id for client_id, _ in report["opens"]} == {self.client_id}
        return report


def test_a_gateway_is_killed(cluster, front, player):
    ledger = Ledger(cluster, player)
    ledger.say(10)
    ledger.publish(10)
    aim(cluster, front, 1)
    cluster.gateways[0].kill()
    try:
        ledger.say(10)
        ledger.publish(10)
        wait_open(player, opens=2)
        ledger.say(10)
        report = ledger.judge()
        assert report["opens"][-1][1] is True
    finally:
        aim(cluster, front, 0)
        cluster.gateways[0].restart()


def test_a_gateway_is_drained(cluster, front, player):
    ledger = Ledger(cluster, player)
    ledger.say(5)
    aim(cluster, front, 1)
    gateway = json.loads(cluster.cli("gateways", "--json").stdout)
    drained = next(one["id"] for one in gateway if one["pid"] == cluster.gateways[0].pid)
    cluster.cli("drain", drained, "--over", "1s")
    try:
        ledger.say(10)
        ledger.publish(10)
        wait_open(player, opens=2)
        ledger.judge()
    finally:
        cluster.cli("undrain", drained)
        aim(cluster, front, 0)
        cluster.gateways[0].wait_ready()


def test_redis_is_away_for_a_while(cluster, player):
    ledger = Ledger(cluster, player)
    ledger.say(5)
    cluster.redis_server.stop()
    ledger.say(20)
    cluster.redis_server.cont()
    ledger.publish(5)
    ledger.judge()


def test_the_way_breaks_again_and_again(cluster, front, player):
    ledger = Ledger(cluster, player)
    for _ in range(8):
        ledger.say(5)
        ledger.publish(2)
        front.cut()
        aim(cluster, front, _ % 2)
    aim(cluster, front, 0)
    ledger.judge()


# -- where things are refused or missing

@pytest.fixture(scope="module")
def http_only():
    with Cluster(APP, gateways=1, listen="http") as running:
        yield f"http://127.0.0.1:{running.gateways[0].port}"


def test_event_streams_where_no_websocket_passes(http_only, make_player):
    player = make_player(http_only)
    wait_open(player)
    player.send("hello")
    eventually(lambda: len(player.report()["heard"]) == 1)
    assert player.report()["transport"] == "sse"


@pytest.mark.parametrize("path, code, status, message", [
    ("/forbidden", "refused", 403, "not you"), ("/nowhere", "refused", 404, "not found"), ("/plain", "refused", 200, "no connection here"),
    ("/token", "auth", 401, "who are you")])
def test_a_refusal_ends_it_with_its_reason(front, make_player, way, path, code, status, message):
    if (way, path) == ("websocket", "/plain"):
        pytest.skip("an ordinary answer to an ordinary GET: whether a WebSocket would pass is not known")
    player = make_player(front.url, path, **WAYS[way])
    eventually(lambda: player.report()["state"] == "closed")
    assert player.report()["errors"][-1] == [code, status, message]
    assert player.report()["opens"] == []


def test_the_lines_of_the_docs_for_many_tabs(browser, tmp_path):
    """A SharedWorker has the one connection; what it is told, every page is told."""
    text = (ROOT / "docs" / "client-library.md").read_text()
    worker, page = (block.split("```")[0] for block in text.split("```js\n")[1:] if "the page" in block[:20] or "// signals.js" in block[:20])
    shutil.copytree(APP, tmp_path / "app")
    public = tmp_path / "app" / "public"
    (public / "signals.js").write_text(worker.replace("/msg", "/room"))
    shutil.copy(ROOT / "examples" / "chat" / "public" / "signalbox-client.js", public)
    (public / "tab.html").write_text(f'<script type="module">window.shown = []; const show = (data) => shown.push(data);\n{page}</script>')
    with Cluster(tmp_path / "app", gateways=1) as cluster:
        url = f"http://127.0.0.1:{cluster.gateways[0].port}/tab.html"
        browser.get(url)
        eventually(lambda: browser.execute_script("return shown") == ["hello"], 20)
        first = browser.current_window_handle
        browser.switch_to.new_window("tab")
        browser.get(url)
        eventually(lambda: browser.execute_script("return shown") == ["hello"], 20)
        assert len(clients(cluster)) == 1
        browser.close()
        browser.switch_to.window(first)
        assert browser.execute_script("return shown") == ["hello", "hello"]


def test_the_last_messages_come_first(cluster, front, make_player, way):
    with cluster.client(0, "/room"):  # a Name that somebody has joined has a history
        for text in "one", "two", "three":
            cluster.cli("send", "Room", text)
        player = make_player(front.url, "/last?signalbox-last=2", **WAYS[way])
        wait_open(player)
        eventually(lambda: [data for _, data in player.report()["heard"]] == ["two", "three"])
        cluster.cli("send", "Room", "four")
        eventually(lambda: player.report()["replayed"] == [True, True, False])
