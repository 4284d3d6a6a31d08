"""examples/events in a real browser, behind HAProxy and nginx with the blocks of docs/operations.md: its EventSource comes back
by itself, at another gateway, and has missed nothing."""
import json
import shutil
import ssl

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from harness import ROOT, Cluster, Process, RawWs, cluster as harness_cluster, eventually
from test_chat_page import FLAGS
from test_proxies import PATH, certificate, haproxy, nginx  # noqa: F401 (certificate is a fixture)

EXAMPLE = ROOT / "examples" / "events"


@pytest.fixture
def cluster():
    with Cluster(EXAMPLE, gateway_args=["--trusted-proxies", "127.0.0.1"]) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    options.accept_insecure_certs = True
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    yield driver
    driver.quit()


@pytest.fixture(params=[haproxy, nginx], ids=["haproxy", "nginx"])
def url(request, cluster, certificate, tmp_path):  # noqa: F811
    name, port = request.param.__name__, harness_cluster.free_port()
    if shutil.which(name, path=PATH) is None:
        pytest.skip(f"{name} is not installed: ./dev setup test")
    tmp_path.chmod(0o755)
    process = Process(name, request.param(cluster, certificate, tmp_path, port), tmp_path, {"PATH": PATH}).start()
    tls = ssl.create_default_context(cafile=str(certificate / "crt"))

    def is_up():
        try:
            with RawWs(("127.0.0.1", port), tls=tls) as raw:
                return raw.request("/", handshake=False).read_head().status == 200
        except OSError:
            return False
    try:
        eventually(is_up, what=f"{name} serves: {process.log()}")
        yield f"https://127.0.0.1:{port}/"
    finally:
        process.term().wait()


def state(browser):
    return browser.find_element(By.ID, "state").text


def shown(browser):
    return [line.text.split(": ", 1)[1] for line in browser.find_elements(By.CSS_SELECTOR, "#messages p")]


def say(browser, text):
    browser.find_element(By.ID, "text").send_keys(text)
    browser.find_element(By.CSS_SELECTOR, "#form button").click()


def wait(browser, condition):
    WebDriverWait(browser, 30).until(condition)


def test_an_event_source_misses_nothing(cluster, browser, url):
    browser.get(url)
    wait(browser, lambda b: state(b).startswith("connected as"))
    say(browser, "hello <b>é€</b>")
    wait(browser, lambda b: len(shown(b)) == 1)
    holder = max(cluster.gateways, key=lambda gateway: gateway.metrics()["signalbox_event_streams"])
    holder.kill()
    wait(browser, lambda b: state(b) == "connecting again")
    for text in "missed", "two\nlines":
        message = {"name": "Room", "data": {"from": "test", "text": text}}
        cluster.redis.xadd("signalbox:send", {"m": json.dumps(message)})
    wait(browser, lambda b: state(b).startswith("connected as"))
    wait(browser, lambda b: len(shown(b)) == 3)
    say(browser, "again")
    wait(browser, lambda b: len(shown(b)) == 4)
    assert shown(browser) == ["hello <b>é€</b>", "missed", "two lines", "again"]


def test_a_page_that_is_closed_for_good_stays_away(cluster, browser):
    """EventSource comes back once, is answered with 204, and gives up."""
    browser.get(f"http://127.0.0.1:{cluster.gateways[0].port}/")
    wait(browser, lambda b: state(b).startswith("connected as"))
    cluster.cli("close", "Room", "--code", "4321", "--reason", "enough")
    wait(browser, lambda b: state(b) == "refused; reload the page")
    assert json.loads(cluster.cli("clients", "Room", "--json").stdout) == []
