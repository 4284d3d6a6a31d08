"""Request headers: rows S157 to S169."""
import asyncio
import json
import urllib.parse

import pytest

from harness import Refused, eventually
from conformance_world import G1, G2, query, unique


def refer(w, gateway, id=None, name=None, group=None, method="GET", path="/signal", body=None):
    fields = {"X-PODE-SIGNAL-CLIENT-ID": id, "X-PODE-SIGNAL-NAME": name, "X-PODE-SIGNAL-GROUP": group}
    given = {key: value for key, value in fields.items() if value is not None}
    return w.cluster.http(gateway, method, path, body, given)


def refer_raw(w, fields):
    """Status and body of a request with these X-PODE-SIGNAL- fields, as they are."""
    with w.cluster.raw(G1) as raw:
        lines = ["GET /signal HTTP/1.1", "Host: h", *("X-PODE-SIGNAL-" + field for field in fields), "", ""]
        raw.send_bytes("\r\n".join(lines).encode())
        return raw.read_head().status, raw.read_body().decode()


@pytest.fixture
def a(w):
    return w.up(G1, unique(), group="Users", id=unique("me"))


def test_S157_client_id_selects_the_connection(w, a, trigger):
    reply = refer(w, trigger, a.id, a.name)
    assert reply.status == 200 and reply.json()["signal"]["client_id"] == a.id


def test_S158_id_alone_when_one_connection_bears_it(w, a, trigger):
    """S158, D4: the seed's words: the id is the minimum."""
    assert refer(w, trigger, a.id).json()["signal"]["name"] == a.name


def test_S158_id_alone_when_several_bear_it(w, a, trigger):
    w.up(G2, unique(), id=a.id)
    reply = refer(w, trigger, a.id)
    assert reply.status == 400 and "name" in reply.text.lower()


def test_S158_id_alone_when_nobody_bears_it(w, trigger):
    assert refer(w, trigger, unique("unknown")).status in (400, 404)


@pytest.mark.parametrize("group, status", [("Users", 200), ("uSERS", 200), ("Admins", 404), ("Admins,Users", 200),
                                           ("Admins, Users", 200), ("", 200), ("U%C5%BFERS", 404)])
def test_S159_group_header(w, a, trigger, group, status):
    assert refer(w, trigger, a.id, a.name, group).status == status


def test_S160_unknown_references(w, a, trigger):
    for id, name in [("unknown", a.name), (a.id, unique("Unknown")), (a.id.upper(), a.name), (a.id, a.name.lower())]:
        assert refer(w, trigger, id, name).status == 404


def test_S161_unsigned_id_while_signing_is_on(endpoints, trigger):
    """S161: the connection exists, by auto-upgrade, but its id is not validly signed."""
    auto = endpoints.at("AUTO", "/messages")
    headers = {"X-PODE-SIGNAL-CLIENT-ID": auto.id, "X-PODE-SIGNAL-NAME": auto.name}
    assert endpoints.http("MERGED", "GET", "/signal", headers=headers, gateway=trigger).status == 400
    manual = endpoints.at("WS", query("/up", name=unique()))
    headers = {"X-PODE-SIGNAL-CLIENT-ID": manual.id, "X-PODE-SIGNAL-NAME": manual.name}
    assert endpoints.http("MERGED", "GET", "/signal", headers=headers, gateway=trigger).status == 200


def test_S162_the_stored_values(w, a, trigger):
    signal = refer(w, trigger, a.id, a.name, "uSERS").json()["signal"]
    assert (signal["name"], signal["group"], signal["client_id"]) == (a.name, "Users", a.id)


def test_S163_always_global(w, a, trigger):
    signal = refer(w, trigger, a.id, a.name).json()["signal"]
    assert signal["is_local"] is False and signal["is_global"] is True


@pytest.mark.parametrize("fields", [{"name": "Any"}, {"group": "Any"}, {"name": "Any", "group": "Any"},
                                    {"id": "", "name": "Any"}])
def test_S164_without_an_id_the_headers_are_ignored(w, trigger, fields):
    reply = refer(w, trigger, **fields)
    assert reply.status == 200 and reply.json()["signal"] == "none"


@pytest.mark.parametrize("fields", [["CLIENT-ID: {id}", "CLIENT-ID: other", "NAME: {name}"],
                                    ["CLIENT-ID:", "CLIENT-ID: {id}", "NAME: {name}"],
                                    ["CLIENT-ID: {id}", "NAME: {name}", "NAME: other"]])
def test_an_id_or_name_that_comes_twice_is_refused(w, a, fields):
    status, text = refer_raw(w, [field.format(id=a.id, name=a.name) for field in fields])
    assert status == 400 and "twice" in text


@pytest.mark.parametrize("groups, status", [(["x", "users"], 200), (["x, y", "", "z, USERS"], 200), (["x", "y"], 404),
                                            (["", ""], 200)])
def test_groups_may_come_in_several_fields(w, a, groups, status):
    fields = [f"CLIENT-ID: {a.id}", f"NAME: {a.name}"] + [f"GROUP: {group}" for group in groups]
    assert refer_raw(w, fields)[0] == status


ODD = ["\u00e9", "J\u00fcrgen", "\u65e5\u672c\u8a9e", "\U0001f600", "e\u0301", "a b", "100%", "%41", "%C3%A9", "a,b", "\u00c3\u00a9", "a+b", "\u00ff\u00fe"]


def refer_bytes(w, gateway, **fields):
    """The request with these bytes as values."""
    with w.cluster.raw(gateway) as raw:
        lines = [b"GET /signal HTTP/1.1", b"Host: h"]
        lines += [b"X-PODE-SIGNAL-%s: %s" % (key.upper().replace("_", "-").encode(), value) for key, value in fields.items()]
        raw.send_bytes(b"\r\n".join([*lines, b"", b""]))
        return raw.read_head().status, raw.read_body().decode()


@pytest.mark.parametrize("odd", ODD)
def test_S157_ids_that_are_not_ascii(w, trigger, odd):
    """S157: a reference may be the bytes of the 101, percent-encoded, or ISO 8859-1, as scripts of browsers write it."""
    name, group = unique(odd), odd
    client = w.up(trigger, name, group=group, id=odd)
    received = client.head.get("X-PODE-SIGNAL-CLIENT-ID").encode("utf-8", "surrogateescape")
    assert received.decode() == odd
    expected = {"name": name, "group": group, "client_id": odd, "is_local": False, "is_global": True}

    def quote(text):
        return urllib.parse.quote(text, safe="").encode()
    spellings = [(received, name.encode(), group.encode()), (quote(odd), quote(name), quote(group))]
    if max(odd) <= "\u00ff" and not is_utf8(odd.encode("latin-1")):
        spellings.append((odd.encode("latin-1"), name.encode("latin-1"), b"other, " + group.encode("latin-1")))
    for id_bytes, name_bytes, group_bytes in spellings:
        status, body = refer_bytes(w, 1 - trigger, client_id=id_bytes, name=name_bytes, group=group_bytes)
        assert status == 200 and json.loads(body)["signal"] == expected
    assert refer_bytes(w, trigger, client_id=quote(odd), name=quote(name), group=b"other")[0] == 404
    if odd.swapcase().lower() == odd.lower():
        assert refer_bytes(w, trigger, client_id=quote(odd), name=quote(name), group=quote(odd.swapcase()))[0] == 200


def is_utf8(data):
    try:
        return bool(data.decode())
    except UnicodeDecodeError:
        return False


def test_S157_an_id_as_it_stands_comes_first(w, trigger):
    """S157: %41 means the id %41 while there is one, and A otherwise."""
    name = unique()
    plain, escaped = w.up(trigger, name, id="A"), w.up(trigger, name, id="%41")
    assert refer(w, trigger, "%41", name).json()["signal"]["client_id"] == "%41"
    escaped.close()
    eventually(lambda: refer(w, trigger, "%41", name).json()["signal"]["client_id"] == "A")
    plain.close()
    eventually(lambda: refer(w, trigger, "%41", name).status == 404)


def test_S157_a_client_that_hands_on_what_its_library_read(w, trigger):
    """S157: http.client reads and writes ISO 8859-1, websockets keeps the bytes: both lead back to the connection."""
    name, odd = unique("\u65e5"), "\u65e5\u672c"
    path = query("/up", name=name, id=odd)

    def found(headers):
        return w.cluster.http(trigger, "GET", "/signal", headers=headers).json()["signal"]["client_id"]

    async def hand_on():
        async with w.cluster.ws(trigger, path) as socket:
            fields = {"X-PODE-SIGNAL-" + key: socket.response_headers["X-PODE-SIGNAL-" + key] for key in ("CLIENT-ID", "NAME")}
            as_bytes = {key: value.encode("utf-8", "surrogateescape") for key, value in fields.items()}
            assert await asyncio.to_thread(found, as_bytes) == odd
            assert await asyncio.to_thread(found, {key: value.decode("latin-1") for key, value in as_bytes.items()}) == odd
    asyncio.run(hand_on())


def test_S165_answer_streamed_over_the_socket(w, a, trigger):
    b = w.up(G2, a.name)
    reply = refer(w, trigger, a.id, a.name, method="POST", path="/answer", body="the answer")
    assert reply.status == 200 and reply.text == "streamed"
    assert w.seen(a, b, gateway=trigger) == [["the answer"], []]


def test_S166_closed_connection(w, a, trigger):
    a.close()
    eventually(lambda: refer(w, trigger, a.id, a.name).status == 404)


def test_S166_taken_over_connection(w, a, trigger):
    """S166: the reference means the connection that has the id now."""
    newer = w.up(G2, a.name, group="Admins", id=a.id)
    assert a.closing()[0] == 4001
    assert refer(w, trigger, a.id, a.name).json()["signal"]["group"] == "Admins"
    newer.close()
    eventually(lambda: refer(w, trigger, a.id, a.name).status == 404)


def test_S167_error_closes_the_http_connection(w):
    with w.cluster.raw(G1) as raw:
        raw.request("/signal", {"X-PODE-SIGNAL-CLIENT-ID": "unknown", "X-PODE-SIGNAL-NAME": "Unknown"}, handshake=False)
        head = raw.read_head()
        raw.read_body()
        assert head.status == 404 and head.get("Connection").lower() == "close" and raw.is_ended()


def test_S167_success_keeps_it(w, a):
    with w.cluster.raw(G1) as raw:
        for _ in range(2):
            raw.request("/signal", {"X-PODE-SIGNAL-CLIENT-ID": a.id, "X-PODE-SIGNAL-NAME": a.name}, handshake=False)
            assert raw.read_head().status == 200
            raw.read_body()


def test_S168_reference_on_an_upgrade_request(w, trigger):
    with pytest.raises(Refused) as refused:
        w.up(trigger, unique(), headers={"X-PODE-SIGNAL-CLIENT-ID": "unknown", "X-PODE-SIGNAL-NAME": "Unknown"})
    assert refused.value.status == 404


def test_S168_reference_on_an_auto_upgrade_request(endpoints):
    """S168: refused there too, or closed at once."""
    unknown = {"X-PODE-SIGNAL-CLIENT-ID": "unknown", "X-PODE-SIGNAL-NAME": "Unknown"}
    try:
        client = endpoints.at("AUTO", "/messages", unknown)
    except Refused as refused:
        assert refused.status == 404
    else:
        client.closing()


def test_S169_no_cors_header_is_added(w, a):
    """S169: a preflight gets no permission: an app that wants one answers OPTIONS itself."""
    asked = {"Origin": "http://elsewhere.example.test", "Access-Control-Request-Headers": "x-pode-signal-client-id"}
    reply = w.cluster.http(G1, "OPTIONS", "/signal", headers=asked)
    assert not [name for name in reply.headers if name.lower().startswith("access-control-")]
