"""A client cannot choose by its spelling whether a signal route sees its messages, nor send around one."""
import json
import pathlib

import pytest

from harness import Cluster, eventually

APP = pathlib.Path(__file__).parent / "app" / "closed.lua"

ROUTED = ["/rooms/1", "/ROOMS/1", "//rooms/1", "/rooms//1", "/./rooms/1", "/x/../rooms/1", "/rooms/x/../1", "/%72ooms/1",
          "/rooms/%2e%2e%2fx", "/rooms/..%2fadmin", "/rooms/..%2Fadmin", "/rooms/%2561", "/rooms/1;v=2", "/rooms/1%3Fa",
          "/rooms/1%23a", "/rooms/*", "/rooms/:room", "/rooms/%2A", "/rooms/a%252fb", "/rooms/1?x=/../../lobby",
          "http://h/rooms/1", "/rooms/...", "/rooms/%20", "/rooms/%C3%A9"]
OTHERS = ["/rooms%2f1", "/rooms%2F..%2Flobby", "/rooms", "/roomss/1", "/chat/../x", "/rooms/../x", "/rooms/%2e%2e/x", "/rooms/1/../../x",
          "/%2572ooms/1", "/ro%25oms/1", "/rooms;/1"]
REFUSED = ["/rooms/%00", "/rooms/\\..\\x", "/rooms/%5c..%5cx", "/rooms/%c0%ae%c0%ae/1", "/rooms/%e0%80%af", "/rooms/../../x", "/..", "/%2e%2e",
           "/rooms/%", "/rooms/%2", "/rooms/%zz", "/rooms/%u0031", "/rooms/1#x", "*", "rooms/1", "/rooms/%ff", "/rooms/%7f",
           "/rooms/" + "a" * 1025]


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP, gateways=2) as running:
        yield running


@pytest.fixture
def victims(cluster):
    """One in the room, one in the lobby, one elsewhere; each reads up to a mark that the server sends to all."""
    clients = {"Room": cluster.client(0, "/rooms/1"), "Lobby": cluster.client(0, "/lobby"), "Other": cluster.client(1, "/x")}
    yield clients
    for client in clients.values():
        client.close()


def handled(sender):
    """Whatever this client sent before was handled: what goes to it alone comes back last."""
    sender.say("handled", direct=True)
    sender.until("handled")


def seen(cluster, victims):
    mark = "mark" + str(seen.count)
    seen.count += 1
    cluster.redis.publish("signalbox:send", json.dumps({"data": mark}))
    return {name: client.until(mark) for name, client in victims.items()}


seen.count = 0


def test_the_paths_that_the_route_lets_in_are_those_the_signal_route_sees(cluster, victims):
    for path in ROUTED:
        with cluster.client(0, path) as client:
            client.say("x")
            assert client.recv() == "checked: x", path
    assert seen(cluster, victims) == {"Room": ["checked: x"] * len(ROUTED), "Lobby": [], "Other": []}


def test_what_is_another_path_cannot_reach_the_room(cluster, victims):
    for path in OTHERS:
        with cluster.client(0, path) as client:
            client.say("around", path="Room")
            client.say("everybody")
            handled(client)
    assert seen(cluster, victims) == {"Room": [], "Lobby": [], "Other": []}


@pytest.mark.parametrize("path", REFUSED)
def test_what_has_no_canonical_form_is_refused(cluster, path):
    with cluster.raw(0) as client:
        client.request(path)
        assert client.read_head().status == 400


@pytest.mark.parametrize("fields", [{}, {"path": "Room"}, {"path": "%52oom"}, {"path": ["Room"]}, {"path": "Room", "group": "g"},
                                    {"path": "Room", "clientId": "victim"}, {"clientId": "victim"}, {"group": "g"},
                                    {"path": None, "clientId": ["victim"]}, {"PATH": "Room"}], ids=str)
def test_only_a_signal_route_sends_to_the_room(cluster, victims, fields):
    with cluster.client(0, "/rooms/2?id=victim&group=g") as victim, cluster.client(1, "/lobby") as sender:
        sender.say("around", **fields)
        handled(sender)
        assert seen(cluster, {**victims, "victim": victim}) == {"Room": [], "Lobby": [], "Other": [], "victim": []}


def test_an_open_name_and_the_sender_are_reached(cluster, victims):
    with cluster.client(1, "/lobby") as sender:
        sender.say("hello", path="Lobby")
        sender.say("to me", direct=True)
        assert [sender.recv(), sender.recv()] == ["hello", "to me"]
    with cluster.client(0, "/x") as sender:
        sender.say("hello from elsewhere", path="lobby")  # a Name of its own: addresses are compared with case
        sender.say("hello from elsewhere", path="Lobby")
        handled(sender)
        assert seen(cluster, victims) == {"Room": [], "Lobby": ["hello", "hello from elsewhere"], "Other": []}


def test_v1_is_told(cluster):
    with cluster.client(0, "/x", headers={"Sec-WebSocket-Protocol": "signalbox.v1"}) as sender:
        assert sender.recv_json()["type"] == "hello"
        sender.say("around", path="Room", ref=7)
        error = sender.recv_json()
        assert (error["type"], error["ref"], error["code"]) == ("error", 7, "no_route") and "Room" in error["message"]


def test_it_can_be_said_at_run_time(cluster, victims):
    def reaches():
        sender.say("x", path="Other")
        handled(sender)
        return seen(cluster, victims)["Other"] == ["x"]
    with cluster.client(0, "/x") as sender:
        assert not reaches()
        assert cluster.http(1, "POST", "/open?name=OTHER&open=true").status == 200
        eventually(reaches)
        assert cluster.http(0, "POST", "/open?name=other&open=false").status == 200
        eventually(lambda: not reaches())
