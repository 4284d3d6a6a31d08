"""Who comes back with the token of its hello is the same client: after a gateway was killed, at another one."""
import pathlib
import uuid

import pytest

from harness import Cluster, eventually

APP = pathlib.Path(__file__).parent / "app" / "event_streams.lua"
SECRET = "a secret of sixteen bytes and more"
V1 = {"Sec-WebSocket-Protocol": "signalbox.v1"}


def connect(cluster, gateway, transport, name, resume=None):
    path = f"/up?name={name}" + (f"&signalbox-resume={resume}" if resume else "")
    if transport == "ws":
        client = cluster.client(gateway, path, headers=V1)
    else:
        client = cluster.sse(gateway, path + "&signalbox=v1", post=gateway)
    client.hello = client.recv_json()
    return client


def data(client):
    while (frame := client.recv_json())["type"] != "message":
        pass
    return frame["data"], frame["id"]


@pytest.fixture(scope="module", params=["server secret", "cluster secret"])
def fleet(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("secret") / "secret"
    path.write_text(SECRET)
    args = ["--cluster-secret-file", path] if request.param == "cluster secret" else []
    with Cluster(APP, args=args) as running:
        yield running


@pytest.mark.parametrize("transport", ["ws", "sse"])
def test_a_killed_gateway_takes_nobodys_identity(fleet, transport):
    """Its id, what was sent to it meanwhile, what it said with an id of its own, and its direct answers."""
    name, once = f"Kill-{transport}", str(uuid.uuid4())
    client = connect(fleet, 0, transport, name)
    id, token = client.hello["clientId"], client.hello["resume"]
    fleet.cli("send", name, "seen")
    text, seen = data(client)
    if transport == "ws":
        client.send_json({"message": "once", "path": name, "ref": 1, "id": once})
        first = next(frame["id"] for frame in iter(client.recv_json, None) if frame["type"] == "ack")
    fleet.gateways[0].kill()
    fleet.cli("send", name, "missed", "--client", id)
    again = connect(fleet, 1, transport, name, f"{token}~{seen}")
    assert (again.hello["clientId"], again.hello["recovered"]) == (id, True)
    missed = [data(again)[0] for _ in range(2 if transport == "ws" else 1)]
    assert missed == (["once", "missed"] if transport == "ws" else ["missed"])
    assert again.recv_json() == {"type": "live"}
    if transport == "ws":
        again.send_json({"message": "once", "path": name, "ref": 2, "id": once})
        assert again.recv_json() == {"type": "ack", "ref": 2, "id": first}
    again.say("direct", direct=True)
    assert data(again)[0] == "direct"
    again.drop()
    fleet.gateways[0].restart()


def test_an_event_source_repeats_its_url(fleet):
    """The token in it says who it is, and Last-Event-ID how far it got."""
    first = fleet.sse(0, "/up?name=Source")
    token = first.hello["resume"]
    fleet.cli("send", "Source", "seen")
    assert first.recv() == "seen"
    first.drop()
    fleet.cli("send", "Source", "missed", "--client", first.hello["clientId"])
    again = fleet.sse(1, f"/up?name=Source&signalbox-resume={token}", last_event_id=first.last_id)
    assert (again.hello["clientId"], again.hello["recovered"]) == (first.hello["clientId"], True)
    assert again.recv() == "missed"


def test_a_position_moves_on_without_messages():
    """While all that comes is for others; who speaks himself hears it, too."""
    with Cluster(APP, gateway_args=["--ping-ms", "300"]) as cluster:
        client = connect(cluster, 0, "ws", "Busy")
        assert client.hello["limits"]["pingMs"] == 300
        ids = [client.hello["id"]]

        def moves_on():
            client.send_json({"type": "ping"})
            frame = client.recv_json()
            ids.extend([frame["id"]] if frame["type"] == "position" else [])
            return ids[-1] != before
        for _ in range(2):
            before = ids[-1]
            cluster.cli("send", "Busy", "for another", "--client", "other")
            eventually(moves_on)
        numbers = [tuple(int(part) for part in id.split("-")) for id in ids]
        assert numbers == sorted(numbers)
        client.drop()
        cluster.cli("send", "Busy", "missed")
        again = connect(cluster, 1, "ws", "Busy", f"{client.hello['resume']}~{ids[-1]}")
        assert again.hello["recovered"] is True and again.recv_json()["data"] == "missed"


def test_the_keys_last_as_long_as_the_fleet(fleet):
    """A gateway that was started anew takes the tokens of its predecessor."""
    client = connect(fleet, 0, "ws", "Anew")
    client.drop()
    fleet.gateways[0].restart()
    again = connect(fleet, 0, "ws", "Anew", client.hello["resume"])
    assert (again.hello["clientId"], again.hello["recovered"]) == (client.hello["clientId"], True)
