"""examples/chat in a real browser: two windows, each on a gateway of its own, see what either says."""
import json
import shutil
import tempfile

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from harness import BUILD, ROOT, Cluster

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=900,700"]


@pytest.fixture(scope="module")
def cluster():
    with Cluster(ROOT / "examples" / "chat") as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    profile = tempfile.mkdtemp(prefix="sb-chromium-")
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    yield driver
    driver.quit()
    shutil.rmtree(profile, ignore_errors=True)


@pytest.fixture
def windows(cluster, browser):
    """Two window handles, window i open and connected at gateway i."""
    handles = []
    for gateway in cluster.gateways:
        browser.switch_to.new_window("window")
        browser.get(f"http://127.0.0.1:{gateway.port}/")
        WebDriverWait(browser, 20).until(lambda b: b.find_element(By.ID, "state").get_attribute("data-state") == "open")
        handles.append(browser.current_window_handle)
    yield handles
    for handle in handles:
        browser.switch_to.window(handle)
        browser.close()
    browser.switch_to.window(browser.window_handles[0])


def say(browser, window, text):
    browser.switch_to.window(window)
    browser.find_element(By.CSS_SELECTOR, "form#bc-form input[name=message]").send_keys(text)
    browser.find_element(By.CSS_SELECTOR, "form#bc-form input[type=submit]").click()


def shown(browser, window):
    browser.switch_to.window(window)
    return [line.text for line in browser.find_elements(By.CSS_SELECTOR, "div#messages > p")]


def wait_shown(browser, window, count):
    WebDriverWait(browser, 20).until(lambda b: len(shown(b, window)) >= count)
    return shown(browser, window)


def texts(lines):
    return [json.loads(line)["message"] for line in lines]


def test_two_windows_on_two_gateways(cluster, browser, windows):
    """S209, S211, S212: what either says appears in both once, as the JSON text that came, in one order."""
    with cluster.client(1, "/msg") as raw:
        for number in range(6):
            say(browser, windows[number % 2], f"hello {number} <b>é€</b>" if number != 3 else "fourth")
        expected = raw.take(6)
        assert expected[0].startswith('{"message":')
        for window in windows:
            assert wait_shown(browser, window, 6) == expected
        raw.say("fence")
        for window in windows:
            assert texts(wait_shown(browser, window, 7))[6:] == ["fence"]
    BUILD.mkdir(exist_ok=True)
    for number, window in enumerate(windows):
        browser.switch_to.window(window)
        assert browser.save_screenshot(str(BUILD / f"chat-gateway{number + 1}.png"))


def test_date(browser, windows):
    """S210."""
    say(browser, windows[0], "[date]")
    for window in windows:
        text, = texts(wait_shown(browser, window, 1))
        assert text != "[date]" and ":" in text


def test_text_is_never_html(browser, windows):
    say(browser, windows[1], "<img src=x onerror=\"document.title='hacked'\">")
    for window in windows:
        line, = wait_shown(browser, window, 1)
        assert "<img" in line and browser.title != "hacked"


def test_page_comes_back_after_its_gateway(cluster, browser, windows):
    """The page reconnects by itself to a gateway that was restarted."""
    cluster.gateways[0].kill()
    browser.switch_to.window(windows[0])
    WebDriverWait(browser, 20).until(lambda b: b.find_element(By.ID, "state").get_attribute("data-state") != "open")
    cluster.gateways[0].restart()
    WebDriverWait(browser, 40).until(lambda b: b.find_element(By.ID, "state").get_attribute("data-state") == "open")
    say(browser, windows[1], "welcome back")
    assert texts(wait_shown(browser, windows[0], 1)) == ["welcome back"]
