"""permessage-deflate with clients that others wrote: Chromium, Node's ws, and undici, which is Node's own WebSocket."""
import json
import shutil
import subprocess
import tempfile

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from harness import ROOT, Cluster

APP = ROOT / "tests" / "e2e" / "app" / "compression.lua"
LEAST = 100
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]
RESET = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

# Says texts of many sizes to an echo, one after the other. Every client has the browser's interface.
TALK = """
const sizes = [0, 1, 99, 100, 1000, 16384, 70000, 262144, 500000];
const text = size => JSON.stringify([...Array(Math.ceil(size / 2)).keys()]).slice(0, size);
let next = 0, bad = 0;
ws.onopen = () => ws.send(text(sizes[0]));
ws.onmessage = event => {
    bad += event.data !== text(sizes[next]);
    if (++next < sizes.length) ws.send(text(sizes[next]));
    else ws.close(1000);
};
ws.onclose = event => done({ code: event.code, heard: next, bad, extensions: ws.extensions });
"""


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP, gateways=1, gateway_args=["--compress-min-bytes", str(LEAST)]) as running:
        yield running


def compressions(cluster):
    metrics = cluster.gateways[0].metrics()
    return metrics["signalbox_compressions_total"], metrics["signalbox_inflations_total"]


def check(cluster, talk, inflations=5):
    """What `talk` returns is what TALK found; and what should be compressed was."""
    before = compressions(cluster)
    found = talk(f"ws://127.0.0.1:{cluster.gateways[0].port}/up?name=Others")
    assert (found["code"], found["heard"], found["bad"]) == (1000, 9, 0)
    out, came = (after - had for after, had in zip(compressions(cluster), before))
    assert out == 5 and came >= inflations  # a text of 500,000 bytes goes out as it is
    return found["extensions"]


def test_chromium(cluster):
    profile = tempfile.mkdtemp(prefix="sb-chromium-")
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    try:
        driver.set_script_timeout(30)
        driver.get(f"http://127.0.0.1:{cluster.gateways[0].port}/page")
        script = f"const done = arguments[1], ws = new WebSocket(arguments[0]); {TALK}"
        assert check(cluster, lambda url: driver.execute_async_script(script, url)) == RESET
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


NODE = "const done = found => console.log(JSON.stringify(found)); const ws = %s;" + TALK


def node(opening, *flags):
    def talk(url):
        done = subprocess.run(["node", *flags, "-e", NODE % opening.replace("URL", json.dumps(url))], timeout=60,
                              capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "NODE_PATH": "/usr/share/nodejs"})
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    return talk


@pytest.mark.parametrize("options", [
    "{threshold: 0}", "{threshold: 0, serverMaxWindowBits: 9, clientMaxWindowBits: 9}",
    "{threshold: 0, serverMaxWindowBits: 12, serverNoContextTakeover: true, clientNoContextTakeover: true}"])
def test_ws_of_node(cluster, options):
    opening = "new (require('ws'))(URL, {perMessageDeflate: %s, maxPayload: 0})" % options
    assert check(cluster, node(opening)).startswith("permessage-deflate")


def test_undici_of_node(cluster):
    """It fails at final blocks without a word, and compresses nothing itself."""
    if subprocess.run(["node", "--experimental-websocket", "-e", "WebSocket"], capture_output=True).returncode:
        pytest.skip("this Node has no WebSocket")
    assert check(cluster, node("new WebSocket(URL)", "--experimental-websocket"), inflations=0) == RESET
