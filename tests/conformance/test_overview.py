"""Overview of the seed: rows S1 to S12."""
import asyncio
import json

import pytest

from harness import BINARY, CONTINUATION, TEXT, Refused
from conformance_world import G1, G2, query, unique


def json_of_size(size):
    """A client message of exactly that many bytes."""
    frame = '{"message":"' + "x" * (size - 14) + '"}'
    assert len(frame) == size
    return frame


def test_S1_http_request_to_a_route_is_upgraded(w):
    a = w.up(G1, unique())
    assert a.head.status == 101
    w.send("down", name=a.name)
    assert a.recv() == "down"
    a.say("up and back", path=a.name)
    assert a.recv() == "up and back"


def test_S2_server_to_clients(w, trigger):
    a, b, c = w.trio(unique())
    w.send("x", trigger, name=a.name)
    assert w.seen(a, b, c, gateway=trigger) == [["x"], ["x"], ["x"]]


def test_S3_client_to_server(w, trigger):
    name = unique()
    a, b, c = w.up(trigger, name), w.up(G1, name), w.up(G2, name)
    a.say("x")
    assert w.seen(a, b, c, by=a.say) == [["x"], ["x"], ["x"]]


def test_S4_local_scope_ends_with_the_request(w):
    key, name = unique("key"), unique()
    a = w.connect(G1, query("/local/two", name=name, key=key))
    w.adm("store_set", key=key, value="go")
    assert a.take(2) == ["first", "second"]
    assert a.closing() == (1000, "")


def test_S5_global_scope_stays_open(w):
    a = w.up(G1, unique(), scope="global")
    w.send("after the route", name=a.name)
    assert a.recv() == "after the route"


def test_S6_any_websocket_client_raw_socket(w):
    raw = w.cluster.raw(G1)
    with raw:
        head = raw.request(query("/up", name=unique())).read_head()
    assert head.status == 101


def test_S6_any_websocket_client_websockets_package(w, trigger):
    async def run():
        name = unique()
        async with w.cluster.ws(trigger, query("/up", name=name)) as ws:
            await ws.send(json.dumps({"message": "hello", "path": name}))
            return await asyncio.wait_for(ws.recv(), 10)
    assert asyncio.run(run()) == "hello"


def test_S7_message_of_exactly_the_limit(small, trigger):
    """S7: the 32 KB of the seed's note is retired; a limit that is set lets exactly that many bytes through."""
    a = small.socket(trigger, "echo")
    frame = json_of_size(32768)
    a.send_text(frame)
    assert a.recv() == frame


@pytest.mark.parametrize("size", [16384, 32768, 3 * 1024 * 1024 - 16, 4 * 1024 * 1024])
def test_S8_default_limit_takes_3_MiB_and_more(w, size):
    a = w.socket(G1, "echo")
    frame = json_of_size(size)
    a.send_text(frame)
    assert a.recv(30) == frame


def test_S9_one_byte_more_in_one_frame(small, trigger):
    a, b = small.socket(trigger, "echo"), small.socket(trigger, "echo")
    a.send_text(json_of_size(32769))
    assert a.closing()[0] == 1009
    b.send_text(json_of_size(100))
    assert b.recv() == json_of_size(100)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_S9_one_byte_more_in_fragments(small, opcode):
    a, b = small.socket(G1, "echo"), small.socket(G1, "echo")
    frame = json_of_size(32769)
    a.send_frame(opcode, frame[:16384], fin=False)
    a.send_frame(CONTINUATION, frame[16384:], fin=True)
    assert a.closing()[0] == 1009
    b.send_text(json_of_size(32768))
    assert b.recv() == json_of_size(32768)


def test_S9_larger_send_is_refused_to_its_caller(small, trigger):
    """S9, D10: a larger send is refused to its caller, and nobody gets it."""
    a = small.up(trigger, unique())
    assert small.refused("send", trigger, name=a.name, data="x" * 32769)
    assert small.seen(a, gateway=trigger) == [[]]


def test_S10_auto_upgrade_needs_no_route(endpoints, trigger):
    a = endpoints.at("AUTO", "/no/such/route", gateway=trigger)
    assert a.name == "/no/such/route"


def test_S11_manual_upgrade_only(w):
    """S11: on a manual endpoint a plain route answers a WebSocket request itself, an unknown path is 404."""
    with w.cluster.raw(G1) as raw:
        raw.request("/plain")
        assert raw.read_head().status == 200 and raw.read_body() == b"plain"
    with pytest.raises(Refused) as refused:
        w.connect(G1, "/no/such/route")
    assert refused.value.status == 404


def test_S12_auto_upgrade_is_a_choice_of_the_endpoint(endpoints):
    assert endpoints.at("AUTO", "/plain").name == "/plain"
    with pytest.raises(Refused) as refused:
        endpoints.at("WS", "/plain")
    assert refused.value.status == 200
