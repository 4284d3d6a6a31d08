"""Client side: rows S170 to S188. Clients on both gateways; the page in a browser is in tests/e2e."""
import json

import pytest

from harness import BINARY, TEXT, Refused
from conformance_world import G1, G2, query, say, unique


def test_S170_upgrade_as_a_browser_asks_for_it(w, trigger):
    """S170: a browser's headers, and no subprotocol."""
    host = "%s:%d" % w.cluster.address(trigger)
    a = w.up(trigger, unique(), headers={"Origin": f"http://{host}", "Pragma": "no-cache", "Cache-Control": "no-cache",
                                         "User-Agent": "Mozilla/5.0", "Accept-Encoding": "gzip, deflate",
                                         "Accept-Language": "en-US,en;q=0.9"})
    a.say("x", path=a.name)
    assert a.recv() == "x"


def test_S170_browser_from_another_origin_is_refused(w, trigger):
    """Operations, Security: the default is same origin."""
    with pytest.raises(Refused) as refused:
        w.up(trigger, unique(), headers={"Origin": "http://elsewhere.example.test"})
    assert refused.value.status == 403


def test_S170_page_on_another_port_of_the_host(endpoints, trigger):
    """The app's own endpoints may, as in the seed's layout of two ports. Others may not; the log says what to do."""
    def origin(kind, scheme="http"):
        return {"Origin": f"{scheme}://127.0.0.1:{endpoints.ports[trigger][kind]}"}

    path = query("/up", name=unique())
    for kind, scheme in ("HTTP", "http"), ("WS", "http"), ("MERGED", "http"), ("WSS", "https"):
        endpoints.at("WS", path, origin(kind, scheme), gateway=trigger)
    port = endpoints.ports[trigger]["HTTP"]
    other = endpoints.ports[1 - trigger]["HTTP"]
    for refused in (f"http://127.0.0.1:{other}", f"https://127.0.0.1:{port}", f"http://127.0.0.2:{port}",
                    f"http://localhost:{port}", "http://127.0.0.1", "null"):
        with pytest.raises(Refused) as caught:
            endpoints.at("WS", path, {"Origin": refused}, gateway=trigger)
        assert caught.value.status == 403
    gateway = endpoints.cluster.gateways[trigger]
    gateway.wait_log(f'origin=http://127.0.0.1:{other} host="127.0.0.1:{endpoints.ports[trigger]["WS"]}": if that page is '
                     f'yours, put into the app file: signalbox.origins {{ "http://127.0.0.1:{other}" }}')


def test_S171_onmessage_reads_what_the_server_sent(w, trigger):
    a = w.up(G1, unique())
    w.send({"Message": "x"}, trigger, name=a.name)
    assert json.loads(a.recv())["Message"] == "x"


@pytest.mark.parametrize("text", ["hello", "123", "[]", "{}", "null", '"message"', '{"message"}', "", "{'message':'x'}",
                                  '{"other":"x"}', '{"message":"a","Message":"b"}', '{"message":"x"}{"message":"y"}'])
def test_S172_anything_but_a_message_is_ignored(w, trigger, text):
    a, c = w.up(trigger, unique()), w.up(1 - trigger, unique())
    a.send_text(text)
    assert w.seen(a, c, by=say(a)) == [[], []]


@pytest.mark.parametrize("message", ["hi", "é€😀", "with \"quotes\" and \\", "line\nbreak", "\0", " ", "[date]",
                                     "x" * 70000])
def test_S173_string_goes_out_raw(w, trigger, message):
    a, c = w.up(trigger, unique()), w.up(1 - trigger, unique())
    a.say(message)
    assert w.seen(a, c, by=say(a)) == [[message], [message]]


@pytest.mark.parametrize("sent, received", [
    ('{"a":[1, 2]}', '{"a":[1,2]}'), ("[1 , 2]", "[1,2]"), ("false", "false"), ("true", "true"), ("0", "0"),
    ("1.0", "1.0"), ("1e5", "1e5"), ("-0", "-0"), ("12345678901234567890123", "12345678901234567890123"),
    ('{"z": 1, "a": 2}', '{"z":1,"a":2}'), ('{ "k" : " spaced  out " }', '{"k":" spaced  out "}'),
    ('{"u": "\\u00e9 \\/"}', None)])
def test_S174_other_values_go_out_as_compact_json(w, trigger, sent, received):
    """S174, D6: number text and key order of the sender."""
    a, c = w.up(trigger, unique()), w.up(1 - trigger, unique())
    a.send_text('{ "message" : %s }' % sent)
    (first,), second = w.seen(a, c, by=say(a))
    assert second == [first]
    assert json.loads(first) == json.loads(sent)
    assert received is None or first == received


@pytest.mark.parametrize("message", ['""', "null", "{}", "[]", " { } "])
def test_S175_empty_message_is_nothing(w, trigger, message):
    a, c = w.up(trigger, unique()), w.up(1 - trigger, unique())
    a.send_text('{"message":%s}' % message)
    assert w.seen(a, c, by=say(a)) == [[], []]


def test_S176_keys_without_case(w, trigger):
    a, c = w.up(trigger, unique()), w.up(1 - trigger, unique(), group="Users")
    a.send_json({"Message": "x"})
    a.send_json({"MESSAGE": "y", "Path": c.name, "CLIENTID": c.id, "gROUP": "users"})
    a.send_json({"message": "z", "DIRECT": True})
    assert w.seen(a, c, by=say(a)) == [["x", "z"], ["x", "y"]]


def test_S176_escapes_in_keys(w):
    """JSON: an escaped letter is that letter, in keys too."""
    a = w.up(G1, unique())
    a.send_text(r'{"\u006dessage":"x","\u0070ath":"%s"}' % a.name)
    assert w.seen(a, by=say(a, path=a.name)) == [["x"]]


@pytest.mark.parametrize("text", ["[" * 100000 + "]" * 100000, '{"a":' * 100000 + "1" + "}" * 100000, "9" * 100000, "1e400"],
                         ids=["arrays", "objects", "digits", "infinity"])
def test_S174_extreme_values_harm_nobody(w, text):
    """Whether such a value is sent on or refused: broker and connection stay, with a route and without."""
    for client in w.up(G1, unique()), w.socket(G1, "throw"):
        client.send_text('{"message":%s}' % text)
        client.say("end", direct=True)
        while client.recv() not in ("end", "fine"):
            pass


def test_S177_path_is_a_name(w, trigger):
    a, c = w.up(trigger, unique()), w.up(1 - trigger, unique("/receive"))
    a.say("x", path=c.name)
    assert w.seen(a, c, by=say(a)) == [[], ["x"]]


def test_S177_path_in_auto_mode(endpoints, trigger):
    a, b = endpoints.at("AUTO", "/send", gateway=trigger), endpoints.at("AUTO", "/receive", gateway=G2)
    a.say("x", path="/receive")
    a.say("fence")
    assert a.until("fence") == [] and b.until("fence") == ["x"]


@pytest.mark.parametrize("group", ["users", ["nobody", "USERS"]])
def test_S178_group(w, trigger, group):
    a, b = w.up(trigger, unique()), w.up(G1, unique(), group="Admins")
    c = w.up(G2, unique(), group="Users")
    a.say("x", group=group)
    assert w.seen(a, b, c, by=say(a)) == [[], [], ["x"]]


@pytest.mark.parametrize("as_list", [False, True])
def test_S179_client_id(w, trigger, as_list):
    a, b, c = w.up(trigger, unique()), w.up(G1, unique()), w.up(G2, unique())
    a.say("x", clientId=[c.id, "nobody"] if as_list else c.id)
    assert w.seen(a, b, c, by=say(a)) == [[], [], ["x"]]


def test_S179_numeric_client_id_becomes_text(w, trigger):
    name = unique()
    a, b = w.up(trigger, unique()), w.up(G2, name, id="4711")
    a.say("x", path=name, clientId=4711)
    assert w.seen(a, b, by=say(a)) == [[], ["x"]]


def test_S180_direct_answers_the_sender_only(w, trigger):
    a, b, c = w.up(trigger, unique()), w.up(G1, unique()), w.up(G2, unique())
    a.say("x", direct=True, path=b.name, clientId=c.id, group="nobody")
    assert w.seen(a, b, c, by=say(a)) == [["x"], [], []]


@pytest.mark.parametrize("direct, is_direct", [("false", True), ("true", True), (1, True), ({}, True), ([0], True),
                                               (False, False), (0, False), ("", False), (None, False), ([], False)])
def test_S181_direct_is_read_by_truthiness(w, trigger, direct, is_direct):
    a, c = w.up(trigger, unique()), w.up(1 - trigger, unique())
    a.say("x", direct=direct)
    assert w.seen(a, c, by=say(a)) == [["x"], [] if is_direct else ["x"]]


@pytest.mark.parametrize("path, group, id, receivers", [
    (0, 0, 0, "A B C D"), (1, 0, 0, "C D"), (1, 1, 0, "C"), (1, 0, 1, "D"), (1, 1, 1, ""), (0, 1, 0, "B C"),
    (0, 0, 1, "D"), ("no", 0, 0, ""), (1, "no", 0, ""), (1, 0, "no", "")])
def test_S182_combinations(w, trigger, path, group, id, receivers):
    """S182: the table of the reference's section 6."""
    name = unique("P")
    clients = {"A": w.up(trigger, unique()), "B": w.up(G1, unique(), group="Users"),
               "C": w.up(G2, name, group="users"), "D": w.up(G1, name)}
    given = {"path": {1: name}.get(path, path), "group": {1: "USERS"}.get(group, group),
             "clientId": {1: clients["D"].id}.get(id, id)}
    clients["A"].say("x", **{key: value for key, value in given.items() if value})
    seen = dict(zip(clients, w.seen(*clients.values(), by=say(clients["A"]))))
    assert seen == {key: ["x"] if key in receivers.split() else [] for key in clients}


@pytest.mark.parametrize("fields", [{"clientId": ""}, {"group": ""}, {"path": ""}, {"clientId": None}, {"group": None},
                                    {"clientId": "", "group": "", "path": ""}])
def test_S183_empty_filters_count_as_absent(w, trigger, fields):
    """S183, D5."""
    a, c = w.up(trigger, unique()), w.up(1 - trigger, unique())
    a.say("x", **fields)
    assert w.seen(a, c, by=say(a)) == [["x"], ["x"]]


NOBODY = [{"clientId": []}, {"group": []}, {"clientId": [""]}, {"client_id": [None]}, {"group": [], "clientId": "x"}]
NOT_UNDERSTOOD = [{"client": "x"}, {"groups": ["x"]}, {"name": "x"}, {"clientId": "x", "client_id": "x"},
                  {"clientId": {}}, {"group": [["x"]]}, {"clientId": True}, {"path": ["x"]}, {"path": "x" * 1025},
                  {"clientId": ["x"] * 1001}, {"group": "x\n"}]


@pytest.mark.parametrize("route", [None, "inherit"])
def test_D5_a_client_that_names_nobody_or_is_not_understood_reaches_nobody(w, trigger, route):
    """With a signal route, which inherits the address, as without."""
    a = w.socket(trigger, route) if route else w.up(trigger, unique())
    c = w.up(1 - trigger, unique(), group="g")
    for fields in NOBODY + NOT_UNDERSTOOD:
        a.say("x", **fields)
    a.send_text(r'{"message":"x","client\u0049d":"x","clientId":"x"}')
    a.send_text('{"message":"x","clientid":"x","CLIENTID":"x"}')
    a.send_text('[{"message":"x","clientId":"x"},{"other":1}]')
    a.send_text('[{"other":1},{"message":"x","clientId":"x"}]')
    assert w.seen(a, c, by=say(a)) == [[], []]
    a.say("known", client_id=c.id)
    a.send_text(r'{"message":"escaped","client\u005fid":"%s"}' % c.id)
    assert w.seen(a, c, by=say(a)) == [[], ["known", "escaped"]]


def test_D5_an_object_of_the_apps_own_reaches_its_route(w):
    a = w.socket(G1, "echo")
    for text in '{"op":"move","to":[1,2],"ref":7}', "no JSON", '["x"]':
        a.send_text(text)
        assert a.recv() == text


@pytest.mark.parametrize("text", ["12345678901234567890", "1.0", "-0", "1e400", "9" * 400, '{"b":1.0,"a":12345678901234567890}',
                                  '[1.50,{"z":1e2,"a":-0.0},"\\u00e9\\ud83d"]', '{"\\udc00":[1e400]}'])
@pytest.mark.parametrize("route", [None, "inherit", "direct"])
def test_D6_a_message_keeps_its_spelling_through_a_handler(w, route, text):
    a = w.socket(G1, route) if route else w.up(G1, unique())
    a.send_text('{"message":%s,"path":"%s"}' % (text, a.name))
    assert a.recv() == text


def test_D6_a_byte_order_mark_is_passed_over(w):
    a = w.up(G1, unique())
    a.send_text('\ufeff{"message":"x","path":"%s"}' % a.name)
    assert a.recv() == "x"


def test_S184_binary_frame_with_json(w, trigger):
    a, c = w.up(trigger, unique()), w.up(1 - trigger, unique())
    a.send_frame(BINARY, '{"message":"é"}')
    frame = c.read_frame()
    assert (frame.opcode, frame.payload) == (TEXT, "é".encode())
    assert w.seen(a, c, by=say(a)) == [["é"], []]


def test_S185_dates_stay_strings(w, trigger):
    """S185, D6."""
    a = w.up(trigger, unique())
    a.say("2024-01-01T00:00:00Z", path=a.name)
    assert a.recv() == "2024-01-01T00:00:00Z"


def test_S186_big_message_comes_back_intact(w, trigger):
    a, c = w.up(trigger, unique()), w.up(1 - trigger, unique())
    block = "".join(chr(0x23 + number * 7 % 57) for number in range(1 << 18))
    message = (block * 12)[:3 * 1024 * 1024 - 16]
    a.say(message, clientId=[a.id, c.id])
    assert a.recv(30) == message and c.recv(30) == message


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf"])
def test_S187_text_that_is_no_utf8(w, trigger, bad):
    a, c = w.up(trigger, unique()), w.up(1 - trigger, unique())
    a.send_frame(TEXT, b'{"message":"' + bad + b'"}')
    assert a.closing()[0] == 1007
    assert w.seen(c, by=w.everywhere(trigger)) == [[]]


@pytest.mark.parametrize("path, name", [
    ("a+b {}", "a b {}"), ("a%20b {}", "a b {}"), ("a%2Bb {}", "a+b {}"), ("100% {}", "100% {}"), ("%zz{}", "%zz{}"),
    ("%C3%A9{}", "é{}")])
def test_S188_path_is_decoded_leniently(w, trigger, path, name):
    number = unique("")
    a, c = w.up(trigger, unique()), w.up(1 - trigger, name.format(number))
    a.say("x", path=path.format(number))
    assert w.seen(a, c, by=say(a)) == [[], ["x"]]
