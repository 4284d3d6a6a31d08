"""Full example: rows S206 to S212, with examples/chat. In a browser: tests/e2e/test_chat_page.py."""
import html.parser
import json
import re

import pytest

from harness import Cluster
from conformance_world import EXAMPLES, G1, G2


@pytest.fixture(scope="module")
def chat():
    with Cluster(EXAMPLES / "chat") as cluster:
        yield cluster


@pytest.fixture
def three(chat):
    clients = [chat.client(gateway, "/msg") for gateway in (G1, G1, G2)]
    yield clients
    for client in clients:
        client.drop()


class Page(html.parser.HTMLParser):
    """What the page refers to."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids.add(given.get("id"))
        if tag == "script" and "src" in given:
            self.scripts.append(given["src"])


def test_S206_home_page(chat, trigger):
    reply = chat.http(trigger, "GET", "/")
    assert reply.status == 200 and reply.headers["Content-Type"].startswith("text/html")
    assert {"bc-form", "messages"} <= Page(reply.text).ids


def test_S207_static_script(chat, trigger):
    script, = Page(chat.http(trigger, "GET", "/").text).scripts
    reply = chat.http(trigger, "GET", script)
    assert reply.status == 200 and re.match(r"^(application|text)/javascript", reply.headers["Content-Type"])
    assert "WebSocket" in reply.text


@pytest.mark.parametrize("path", ["/../app.lua", "/%2e%2e/app.lua", "/..%2fapp.lua", "//etc/passwd", "/app.lua",
                                  "/nothing.js", "/script.js%00.html", "/./../views/index.html"])
def test_S207_nothing_outside_the_folder(chat, path):
    with chat.raw(G1) as raw:
        raw.request(path, handshake=False)
        assert raw.read_head().status in (400, 403, 404)


def test_S208_msg_converts(chat, trigger):
    with chat.client(trigger, "/msg") as client:
        assert client.name == "Msg" and client.group is None


def test_S209_messages_reach_all_the_sender_included(three, trigger):
    sender = [three[0], three[2]][trigger]
    sender.say("hello")
    sender.say("fence")
    for client in three:
        assert client.until('{"message":"fence"}') == ['{"message":"hello"}']


def test_S210_date_branch(three):
    three[0].say("[DATE]")
    for client in three:
        text = client.recv_json()["message"]
        assert text != "[DATE]" and re.search(r"\d\d:\d\d:\d\d", text)


def test_S211_received_by_all(three, trigger):
    """S211: one after the other, each message at every client once and in one order."""
    senders = [three[0], three[2]]
    for number in range(20):
        senders[number % 2].say(str(number))
    received = [client.take(20) for client in three]
    assert received[0] == received[1] == received[2]
    assert sorted(received[0]) == sorted(json.dumps({"message": str(n)}, separators=(",", ":")) for n in range(20))


def test_S212_the_json_text_is_what_arrives(three):
    three[1].say("shown raw")
    assert three[2].recv().startswith('{"message":')
