"""examples/chat in a real browser: two windows, each on a gateway of its own, see what either says."""
import json
import shutil
import tempfile

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from harness import BUILD, ROOT, Cluster, eventually

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


def test_the_newest_message_is_in_view(cluster, browser, windows):
    """Texts and JSON alike are shown as they came; the messages alone scroll, and who reads further up is left there."""
    def is_in_view():
        return browser.execute_script("""
            const list = document.getElementById("messages").getBoundingClientRect();
            const last = document.querySelector("#messages > p:last-child").getBoundingClientRect();
            return last.bottom <= list.bottom + 1 && document.documentElement.scrollHeight <= innerHeight;""")
    sent = [f"a text, number {number}" if number % 2 else '{"number":%d}' % number for number in range(20)]
    for text in sent:
        cluster.cli("send", "Msg", text)
    assert wait_shown(browser, windows[0], 20) == sent
    assert is_in_view() and not browser.find_element(By.ID, "newest").is_displayed()
    browser.execute_script("document.getElementById('messages').scrollTop = 0")
    cluster.cli("send", "Msg", "unread")
    wait_shown(browser, windows[0], 21)
    assert not is_in_view()
    browser.find_element(By.ID, "newest").click()
    assert is_in_view() and not browser.find_element(By.ID, "newest").is_displayed()


def test_who_am_i_and_where(cluster, browser, windows):
    clients = json.loads(cluster.cli("clients", "Msg", "--json").stdout)
    for window, gateway in zip(windows, cluster.gateways):
        browser.switch_to.window(window)
        who = browser.find_element(By.ID, "who").text
        assert f"127.0.0.1:{gateway.port}" in who and any(client["clientId"][:8] in who for client in clients)


# -- the end of a connection, for the page and for the lines of docs/getting-started.md

def state_is(*states):
    return lambda b: b.find_element(By.ID, "state").get_attribute("data-state") in states


COUNT_TIMERS = """
    window.timers = 0;
    const real = window.setTimeout;
    window.setTimeout = (...args) => { window.timers += 1; return real(...args); };
"""


@pytest.mark.parametrize("code, state, timers", [(4001, "replaced", 0), (4003, "closed", 1)])
def test_the_page_does_not_come_back_after_4001(cluster, browser, windows, code, state, timers):
    browser.switch_to.window(windows[0])
    browser.execute_script(COUNT_TIMERS)
    cluster.cli("close", "Msg", "--code", str(code), "--reason", "test")
    WebDriverWait(browser, 20).until(state_is(state))
    assert browser.execute_script("return window.timers") == timers
    say(browser, windows[0], "here I am")
    WebDriverWait(browser, 20).until(state_is("open"))
    assert texts(wait_shown(browser, windows[0], 1)) == ["here I am"]


def test_the_page_comes_back_by_the_back_button(cluster, browser, windows):
    """Whether the browser has kept the page or loads it anew; no connection stays behind."""
    browser.switch_to.window(windows[0])
    browser.get("about:blank")
    eventually(lambda: clients_of(cluster) == 1, what="the page's connection has ended")
    browser.back()
    WebDriverWait(browser, 20).until(state_is("open"))
    assert clients_of(cluster) == 2


def test_a_kept_page_connects_when_it_is_shown(cluster, browser, windows):
    browser.switch_to.window(windows[0])
    browser.execute_script(COUNT_TIMERS + "dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }));")
    eventually(lambda: clients_of(cluster) == 1, what="the page has closed its connection")
    assert browser.execute_script("return [window.timers, document.getElementById('state').dataset.state]") == [0, "closed"]
    browser.execute_script("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    WebDriverWait(browser, 20).until(state_is("open"))
    assert clients_of(cluster) == 2


def clients_of(cluster):
    return len(json.loads(cluster.cli("clients", "Msg", "--json").stdout))


def snippet():
    """The reconnecting client of the docs."""
    blocks = (ROOT / "docs" / "getting-started.md").read_text().split("```js\n")[1:]
    return next(block.split("```")[0] for block in blocks if "signalbox-resume" in block)


def test_the_lines_of_the_docs(cluster, browser, windows):
    """They come back, with what was missed, and not after 4001."""
    browser.switch_to.window(windows[0])
    code = snippet().replace("localhost:8091", f"127.0.0.1:{cluster.gateways[0].port}")
    browser.execute_script("""
        window.shown = [];
        window.events = [];
        const script = document.createElement("script");
        script.textContent = `"use strict"; { const show = (data) => window.shown.push(data);
            const addEventListener = (name, run) => { window.events[name] = run; };
            const setTimeout = (run) => { window.again = run; return 0; };
            ` + arguments[0] + "}";
        document.body.append(script);
    """, code)
    wait = WebDriverWait(browser, 20)
    eventually(lambda: clients_of(cluster) == 3)
    cluster.cli("send", "Msg", "one")
    wait.until(lambda b: b.execute_script("return window.shown") == ["one"])
    cluster.cli("close", "Msg", "--code", "4003")
    wait.until(lambda b: b.execute_script("return !!window.again"))
    cluster.cli("send", "Msg", "missed")
    browser.execute_script("window.again(); window.again = null;")
    wait.until(lambda b: b.execute_script("return window.shown") == ["one", "missed"])
    browser.execute_script("window.events.pagehide()")
    cluster.cli("send", "Msg", "missed, too")
    browser.execute_script("window.events.pageshow({ persisted: false }); window.events.pageshow({ persisted: true })")
    wait.until(lambda b: b.execute_script("return window.shown") == ["one", "missed", "missed, too"])
    assert browser.execute_script("return window.again") is None
    eventually(lambda: clients_of(cluster) == 3, 20)  # the windows are back, too
    cluster.cli("close", "Msg", "--code", "4001")
    WebDriverWait(browser, 20).until(state_is("replaced"))
    assert browser.execute_script("return window.again") is None


def test_the_lines_of_the_docs_resume_from_what_was_seen(browser):
    """A connection that ends again before the missed messages came asks for all of them again."""
    browser.get("about:blank")
    assert browser.execute_script("""
        const urls = [];
        let socket = null;
        class WebSocket { constructor(url) { urls.push(url.split("?")[1] ?? ""); socket = this; } close() {} }
        const show = () => {}, addEventListener = () => {}, setTimeout = (run) => run();
        const tell = (...frames) => {
            frames.forEach((frame) => socket.onmessage({ data: JSON.stringify(frame) }));
            socket.onclose({ code: 1006 });
        };
        """ + snippet() + """
        tell({ type: "hello", id: "1-5", recovered: null });
        tell({ type: "hello", id: "1-9", recovered: true });
        tell({ type: "hello", id: "1-9", recovered: true }, { type: "message", id: "1-7" }, { type: "message", id: null },
             { type: "ack", id: "8-8" });
        tell({ type: "hello", id: "2-1", recovered: false });
        return urls;
    """) == ["", "signalbox-resume=1-5", "signalbox-resume=1-5", "signalbox-resume=1-7", "signalbox-resume=2-1"]


def test_page_comes_back_after_its_gateway(cluster, browser, windows):
    """The page reconnects by itself to a gateway that was restarted."""
    cluster.gateways[0].kill()
    browser.switch_to.window(windows[0])
    WebDriverWait(browser, 20).until(lambda b: b.find_element(By.ID, "state").get_attribute("data-state") != "open")
    WebDriverWait(browser, 20).until(lambda b: "again in" in b.find_element(By.ID, "state").text)
    cluster.gateways[0].restart()
    WebDriverWait(browser, 40).until(lambda b: b.find_element(By.ID, "state").get_attribute("data-state") == "open")
    say(browser, windows[1], "welcome back")
    assert texts(wait_shown(browser, windows[0], 1)) == ["welcome back"]
