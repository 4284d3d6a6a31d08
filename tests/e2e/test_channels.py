"""Many Signal connections on one WebSocket: opens and what refuses them, ends of every kind, who holds up whom, hostile frames."""
import json
import pathlib
import random
import time

import pytest

from harness import Cluster, Closed, Multiplex, RawWs, Refused, eventually

APP = pathlib.Path(__file__).parent / "app" / "channels.lua"
FRIEND = {"Origin": "https://friend.example.test"}
V1 = {"Sec-WebSocket-Protocol": "signalbox.v1"}


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP) as running:
        yield running


def multiplex(cluster, gateway=0, headers=None, **options):
    return Multiplex(cluster.address(gateway), headers, **options)


@pytest.fixture
def socket(cluster):
    with multiplex(cluster) as one:
        yield one


def send(cluster, name, *texts):
    for text in texts:
        cluster.redis.xadd("signalbox:send", {"m": json.dumps({"name": name, "data": text})})


def data(channel, count=1):
    """Of so many messages; what is no message is left out."""
    got = []
    while len(got) < count:
        frame = channel.recv_json()
        if frame["type"] == "message":
            got.append(frame["data"])
    return got


def clients(cluster, name):
    return json.loads(cluster.cli("clients", name, "--json").stdout)


# -- the socket

def test_the_socket_itself_is_nobody(cluster, socket):
    assert socket.welcome["limits"]["maxChannels"] == 1000 and "resume" in socket.welcome["features"]
    assert socket.head.get("Sec-WebSocket-Protocol") == "signalbox.v1"
    assert [name for name in socket.head.names() if name.startswith("X-PODE")] == []
    before = len(json.loads(cluster.cli("names", "--json").stdout))
    channel = socket.open("/up?name=First")
    assert channel.number == 1 and channel.hello["type"] == "hello" and channel.hello["ref"] == "r1"
    assert len(json.loads(cluster.cli("names", "--json").stdout)) == before + 1
    assert [row["transport"] for row in clients(cluster, "First")] == ["channel"]
    socket.send_json({"type": "ping"})
    assert socket.recv_frame() == {"type": "pong"}


def test_whose_handshake_it_is(cluster):
    """Without signalbox.v1 it is the app's, which has no such route; another origin has no socket at all."""
    for headers, status in (({"Sec-WebSocket-Protocol": "chat"}, 426), ({**V1, "Origin": "https://evil.example.test"}, 403)):
        with RawWs(cluster.address(0)) as raw:
            raw.request("/.signalbox", headers)
            assert raw.read_head().status == status
    asked = cluster.http(0, "GET", "/.signalbox", headers=FRIEND)
    assert asked.status == 426 and asked.headers["Access-Control-Allow-Origin"] == FRIEND["Origin"]
    multiplex(cluster, headers=FRIEND).drop()


@pytest.mark.parametrize("path", ["/many", "off"])
def test_the_app_says_where_it_is(path):
    with Cluster(APP, gateways=1, env={"MULTIPLEX": path}) as cluster:
        with pytest.raises(Refused) as refused:
            multiplex(cluster)
        assert refused.value.status == 404
        if path != "off":
            with Multiplex(cluster.address(0), path=path) as socket:
                socket.open("/up?name=There")


def test_limits_of_a_socket():
    """A socket counts once for its address; its channels have a bound of their own, opens under way included."""
    with Cluster(APP, gateways=1, gateway_args=["--max-channels-per-socket", "3", "--max-websockets-per-address", "1"]) as cluster:
        with multiplex(cluster) as socket:
            assert socket.welcome["limits"]["maxChannels"] == 3
            kept = [socket.open("/up?name=Few") for _ in range(2)]
            sleeping = socket.ask("/sleeps")
            error = socket.answer(socket.ask("/up?name=Few"))
            assert (error["code"], error["status"], "retryMs" in error) == ("refused", 429, False)
            socket.send_json({"type": "close", "ref": sleeping})
            assert socket.answer(sleeping)["type"] == "closed"
            kept += [socket.open("/up?name=Few")]
            with pytest.raises(Refused) as refused:
                multiplex(cluster)
            assert refused.value.status in (429, 503)
            kept[0].close()
            assert socket.open("/up?name=Few").number == 4


# -- opens

def test_an_open_is_the_handshake_at_another_path(cluster):
    with multiplex(cluster, headers={**FRIEND, "Cookie": "a=b", "Authorization": "Basic old"}) as socket:
        def seen(path, **fields):
            channel = socket.open(path, **fields)
            return data(channel)[0], channel
        got, channel = seen("/seen?x=1&y=%20")
        assert got == {"path": "/seen", "query": {"x": "1", "y": " "}, "cookie": "a=b", "authorization": "Basic old",
                       "origin": FRIEND["Origin"], "address": "127.0.0.1", "own": channel.id}
        assert seen("/seen", token="T0.k-en")[0]["authorization"] == "Bearer T0.k-en"
        assert seen("/seen")[0]["authorization"] == "Basic old"
        assert seen("/seen?a=1", last=5, resume="5-7")[0]["query"] == {"a": "1", "signalbox-last": "5", "signalbox-resume": "5-7"}
        socket.send_json({"type": "token", "token": "renewed"})
        assert seen("/seen")[0]["authorization"] == "Bearer renewed"
        assert seen("/seen", token="own")[0]["authorization"] == "Bearer own"


@pytest.mark.parametrize("path, fields, status, text", [
    ("/nowhere", {}, 404, "not found"), ("/user", {}, 401, "log in"), ("/user", {"token": "banned"}, 403, "no"),
    ("/text", {}, 200, "just a text"), ("/file", {}, 200, "OK"), ("/fails", {}, 500, "internal error"),
    ("/up", {}, 500, "internal error"), ("/up?name=" + "n" * 1025, {}, 400, "convert"), ("/.signalbox", {}, 400, "channel"),
    ("/up?name=x&" + "a" * 20000, {}, 414, ""), ("/user", {"token": "t" * 20000}, 431, "")])
def test_refusals_are_those_of_http(socket, path, fields, status, text):
    error = socket.answer(socket.ask(path, **fields))
    assert (error["type"], error["code"], error["status"]) == ("error", "refused", status) and text in error["message"]
    assert "channel" not in error and "retryMs" not in error and "\n" not in error["message"]
    assert socket.open("/up?name=Still").number == 1  # no number was spent


def test_a_refusal_for_now_says_when_to_come_back(socket):
    error = socket.answer(socket.ask("/later"))
    assert (error["status"], error["message"], error["retryMs"]) == (503, "later", 7000)


def test_without_redis_opens_are_refused_for_now():
    with Cluster(APP, gateways=1) as cluster, multiplex(cluster) as socket:
        cluster.redis_server.kill()
        eventually(lambda: cluster.gateways[0].admin("GET", "/readyz").status == 503)
        error = socket.answer(socket.ask("/up?name=Down"))
        assert (error["status"], error["retryMs"]) == (503, 1000)


def test_a_local_route(socket):
    channel = socket.open("/local")
    assert data(channel, 3) == [1, 2, 3]
    assert channel.closing() == (1000, "") and "retryMs" not in channel.closed
    assert socket.open("/local").number == channel.number + 1


# -- messages

def test_messages_of_channels(cluster, socket):
    """Each is a client of its own: its id, its group, its acks; what it says is what it would say alone."""
    one, two = socket.open("/up?name=Talk&group=a"), socket.open("/up?name=Talk&group=b")
    plain = cluster.client(1, "/up?name=Talk")
    one.say("to b", path="Talk", group="b", ref="x")
    assert data(two) == ["to b"] and one.recv_json()["type"] == "ack"
    two.say({"n": 1}, path="Talk", id="mine", ref=7)
    assert plain.recv() == '{"n":1}' and data(one) == [{"n": 1}]
    echo = socket.open("/echo?name=Echo")
    for text in '{"other": 1}', '{ "a" : [1,2] , "message" : "x" }', "{}", '{"channels":1}':
        echo.send_text(text)
        assert [json.loads(echo.recv_json()["data"] if isinstance(text, bytes) else json.dumps(echo_of(echo)))] == [json.loads(text)]


def echo_of(channel):
    got = data(channel)[0]
    return json.loads(got) if isinstance(got, str) else got


@pytest.mark.parametrize("text", ['{"channel":%d,"message":"m","path":"Cut"}', '{"message":"m","channel":%d,"path":"Cut"}',
                                  '{"message":"m","path":"Cut","channel":%d}', ' { "message" : "m" , "path":"Cut", "channel" : %d } ',
                                  '{"message":"m","path":"Cut","chann\\u0065l":%d}'])
def test_the_channel_may_stand_anywhere(socket, text):
    channel = socket.open("/up?name=Cut")
    socket.send_text(text % channel.number)
    assert data(channel) == ["m"]


def test_large_messages_are_shared(cluster):
    """Larger than what is copied behind a head: to many channels at once, whole and in order."""
    with multiplex(cluster) as socket:
        channels = [socket.open("/up?name=Large") for _ in range(5)]
        texts = [str(n) + "y" * size for n, size in enumerate((10, 5000, 70000, 4000, 90000, 1))]
        send(cluster, "Large", *texts)
        for channel in channels:
            assert data(channel, len(texts)) == texts


def test_signs_of_life():
    """While nothing else is sent: the positions that have moved on, each once, or a pong."""
    with Cluster(APP, gateways=1, gateway_args=["--ping-ms", "400"]) as cluster, multiplex(cluster) as socket:
        assert socket.welcome["limits"]["pingMs"] == 400
        a, b = socket.open("/up?name=Moves&id=a"), socket.open("/up?name=Stays&id=b")
        assert [socket.recv_frame() for _ in range(3)] == [{"type": "pong"}] * 3
        cluster.cli("send", "Moves", "for another", "--client", "other")
        position = a.recv_json()
        assert position["type"] == "position"
        send(cluster, "Moves", "next")
        assert data(socket.open("/up?name=Moves&id=c", resume=position["id"])) == data(a) == ["next"]
        for _ in range(3):
            socket.recv_frame()
        frames = [frame for frame, _ in a.frames]
        assert len(frames) <= 1 and not b.frames, (frames, b.frames)


# -- ends

def audited(cluster):
    watcher = cluster.client(1, "/up?name=Audit")
    return watcher


@pytest.mark.parametrize("end, expected", [
    ("close", [1000, "client"]), ("socket close", [4321, "client"]), ("drop", [1000, "lost"]), ("reset", [1006, "lost"]),
    ("call", [4005, "server"]), ("protocol error", [1002, "server"]), ("take-over", [4001, "replaced"])])
def test_how_a_channel_ends(cluster, end, expected):
    """Exactly one Disconnect, with the cause; the channels beside it end only with the socket."""
    with audited(cluster) as watcher, multiplex(cluster) as socket:
        channel, other = socket.open("/up?name=Watched"), socket.open("/up?name=Beside")
        assert watcher.recv_json()[:2] == ["connect", channel.id]
        if end == "close":
            assert channel.close() == (1000, "")
        elif end == "socket close":
            socket.close(4321, "bye")
        elif end == "drop":
            socket.drop()
        elif end == "reset":
            socket.reset()
        elif end == "call":
            cluster.cli("close", "Watched", "--code", "4005", "--reason", "enough")
            assert channel.closing() == (4005, "enough") and "retryMs" not in channel.closed
        elif end == "take-over":
            over = cluster.client(1, f"/up?name=Watched&id={channel.id}")
            assert channel.closing() == (4001, "replaced") and "retryMs" not in channel.closed
        else:
            socket.send_bytes(b"\xff\xff\xff\xff")
            assert channel.closing() == other.closing() and channel.end[0] == 1002
            assert socket.closing() == channel.end
        events = [watcher.recv_json() for _ in range(2 if end == "take-over" else 1)]
        got = next(event for event in events if event[0] == "disconnect")
        assert got[1] == channel.id and (got[2] if end != "drop" else 1000, got[3]) == tuple(expected)
        if end in ("close", "call", "take-over"):
            send(cluster, "Beside", "still there")
            assert data(other) == ["still there"]
            channel.say("x", ref=1)
            socket.sync()
            assert [frame["code"] for frame, _ in channel.frames] == ["bad_request"]
        if end == "take-over":
            over.drop()
            assert watcher.recv_json()[:2] == ["disconnect", channel.id]


def test_what_it_said_comes_before_its_end(cluster):
    """S225 for a channel, and for all of a socket."""
    with audited(cluster) as watcher, multiplex(cluster) as socket:
        for end in ("channel", "socket"):
            channel = socket.open("/up?name=Watched")
            assert watcher.recv_json()[0] == "connect"
            for number in range(20):
                channel.say(number, path="Audit")
            if end == "channel":
                socket.send_json({"type": "close", "channel": channel.number})
            else:
                socket.send_frame(8, b"\x03\xe8")
            assert [watcher.recv() for _ in range(20)] == [str(number) for number in range(20)]
            assert watcher.recv_json()[0] == "disconnect"
            assert channel.closing()[0] == 1000


def test_closing_what_is_not_there_any_more(cluster, socket):
    channel = socket.open("/up?name=Twice")
    for _ in range(3):
        socket.send_json({"type": "close", "channel": channel.number})
    assert channel.closing() == (1000, "")
    socket.sync()
    assert not channel.frames and not socket.frames
    socket.send_json({"type": "close", "channel": 99, "ref": "c"})
    assert socket.recv_frame()["status"] == 400
    socket.send_json({"type": "close", "ref": "nobody"})
    assert socket.answer("nobody")["status"] == 400


def test_closing_an_open_at_any_moment(cluster):
    """By its ref, before or after its hello: it ends with one `closed`, and nobody is left."""
    with multiplex(cluster) as socket:
        for turn in range(30):
            ref = socket.ask(f"/up?name=Moment")
            if turn % 3:
                time.sleep(0.0005 * (turn % 7))
            socket.send_json({"type": "close", "ref": ref})
            first = socket.answer(ref)
            if first["type"] == "hello":
                frames = socket.channels[first["channel"]]
                while not any(frame["type"] == "closed" for frame, _ in frames):
                    socket.read_one(time.monotonic() + 10)
            else:
                assert first["type"] == "closed", first
        eventually(lambda: clients(cluster, "Moment") == [], what="nobody is left")
        ref = socket.ask("/sleeps?ms=100")
        socket.send_json({"type": "close", "ref": ref})
        assert socket.answer(ref)["type"] == "closed"
        again = socket.ask("/sleeps?ms=1", ref=ref)
        assert socket.answer(again)["type"] == "hello"


def test_a_ref_is_used_once_at_a_time(socket):
    ref = socket.ask("/sleeps?ms=300&name=Refs", ref=5.5)
    socket.ask("/up?name=Refs", ref=5.5)
    assert socket.answer(ref)["code"] == "bad_request"
    assert socket.answer(ref)["type"] == "hello"
    assert socket.open("/up?name=Refs", ref=5.5).hello["ref"] == 5.5


def test_a_drain(cluster):
    with Cluster(APP) as cluster:
        socket = multiplex(cluster)
        channels = [socket.open(f"/up?name=Drain{n}&id=me") for n in range(50)]
        ids = [channel.hello["id"] for channel in channels]
        cluster.gateways[0].term()
        assert {channel.closing() for channel in channels} == {(1001, "restart")}
        retries = [channel.closed["retryMs"] for channel in channels]
        assert all(1000 <= retry < 3000 for retry in retries) and len(set(retries)) > 10
        assert socket.closing() == (1001, "restart")
        for n in range(50):
            send(cluster, f"Drain{n}", "meanwhile")
        with multiplex(cluster, 1) as other:
            for n, id in enumerate(ids):
                again = other.open(f"/up?name=Drain{n}&id=me", resume=id)
                assert again.hello["recovered"] is True and data(again) == ["meanwhile"]


# -- a thousand

def test_a_thousand_channels(cluster):
    """Each its own client; a broadcast reaches each once; all leave with their socket, each with one Disconnect."""
    with audited(cluster) as watcher, multiplex(cluster) as socket:
        refs = [socket.ask(f"/up?name=Watched&id=c{n}") for n in range(1000)]
        channels = [socket.opened(ref) for ref in refs]
        assert [channel.number for channel in channels] == list(range(1, 1001))
        assert sorted(watcher.recv_json()[1] for _ in range(1000)) == sorted(f"c{n}" for n in range(1000))
        assert len(clients(cluster, "Watched")) == 1000
        send(cluster, "Watched", "all")
        for channel in channels:
            assert data(channel) == ["all"]
        cluster.cli("send", "Watched", "one", "--client", "c500")
        assert data(channels[500]) == ["one"]
        socket.close()
        gone = [watcher.recv_json() for _ in range(1000)]
        assert sorted(event[1] for event in gone) == sorted(f"c{n}" for n in range(1000))
        assert {tuple(event[2:]) for event in gone} == {(1000, "client")}
        eventually(lambda: clients(cluster, "Watched") == [])


def test_all_come_back_after_a_kill():
    """The gateway is killed while messages come: at the other one each has what it missed, once and in order."""
    with Cluster(APP) as cluster:
        socket = multiplex(cluster)
        count = 1000
        channels = [socket.opened(ref) for ref in [socket.ask(f"/up?name=Kill{n % 10}&id=c{n}") for n in range(count)]]
        for n in range(10):
            send(cluster, f"Kill{n}", *map(str, range(5)))
        seen = [[channel.recv_json() for _ in range(random.randrange(1, 5))] for channel in channels]
        cluster.gateways[0].kill()
        socket.drop()
        for n in range(10):
            send(cluster, f"Kill{n}", *map(str, range(5, 8)))
        with multiplex(cluster, 1) as other:
            refs = [other.ask(f"/up?name=Kill{n % 10}&id=c{n}", resume=seen[n][-1]["id"]) for n in range(count)]
            for n, ref in enumerate(refs):
                channel = other.opened(ref)
                assert channel.hello["recovered"] is True
                got = [frame["data"] for frame in seen[n]]
                assert got + data(channel, 8 - len(got)) == [str(number) for number in range(8)]


def test_a_token_gives_the_id_again(cluster):
    """Of a client that has none of its own, at the other gateway, on a channel as on a socket of its own."""
    with multiplex(cluster) as socket:
        channel = socket.open("/up?name=Token")
        send(cluster, "Token", "had")
        had = channel.recv_json()
    send(cluster, "Token", "missed")
    resume = f"{channel.hello['resume']}~{had['id']}"
    with multiplex(cluster, 1) as socket:
        again = socket.open("/up?name=Token", resume=resume)
        assert (again.id, again.hello["recovered"]) == (channel.id, True) and data(again) == ["missed"]
    with cluster.client(0, f"/up?name=Token&signalbox-resume={resume}", V1) as own:
        hello = own.recv_json()
        assert (hello["clientId"], hello["recovered"]) == (channel.id, True)


def test_one_that_stands_still_disturbs_nobody(cluster):
    """An open whose route sleeps, and others meanwhile."""
    with multiplex(cluster) as socket:
        sleeping = [socket.ask("/sleeps") for _ in range(100)]
        channels = [socket.open("/up?name=Awake") for _ in range(20)]
        channels[0].say("hi", path="Awake")
        assert [data(channel) for channel in channels] == [["hi"]] * 20
        socket.send_json({"type": "close", "ref": sleeping[0]})
        assert socket.answer(sleeping[0])["type"] == "closed"


def test_a_socket_that_nobody_reads():
    """It is closed as slow, with all of its channels, and others are undisturbed."""
    with Cluster(APP, gateways=1, gateway_args=["--max-queue-bytes", "300000"]) as cluster:
        watcher = cluster.client(0, "/up?name=Audit")
        stalled = multiplex(cluster, receive_buffer=4096)
        victims = [stalled.open(f"/up?name=Watched&id=v{n}") for n in range(20)]
        assert sorted(watcher.recv_json()[1] for _ in victims) == sorted(f"v{n}" for n in range(20))
        with multiplex(cluster) as socket:
            reader = socket.open("/up?name=Watched&id=reader")
            assert watcher.recv_json()[1] == "reader"
            for number in range(60):
                send(cluster, "Watched", f"{number:03d}" + "x" * 20000)
                assert data(reader)[0][:3] == f"{number:03d}"
            gone = [watcher.recv_json() for _ in victims]
            assert sorted(event[1] for event in gone) == sorted(f"v{n}" for n in range(20))
            assert {tuple(event[2:]) for event in gone} == {(4002, "server")}
        for victim in victims:
            got = []
            try:
                while True:
                    got.append(data(victim)[0][:3])
            except Closed as closed:
                assert closed.code in (4002, 1006)
            assert got == [f"{number:03d}" for number in range(len(got))]


def test_catching_up_has_a_bound():
    """What many channels are sent at once, past the bound of the queue: those that it is too much for come again, the socket stays."""
    with Cluster(APP, gateways=1, gateway_args=["--max-queue-bytes", "50000", "--history-bytes", "200000"]) as cluster:
        texts = [f"{number}" + "x" * 15000 for number in range(5)]
        keeper = cluster.client(0, "/up?name=Past")
        send(cluster, "Past", *texts)
        assert keeper.take(5) == texts
        with multiplex(cluster, receive_buffer=4096) as socket:
            refs = [socket.ask("/last?name=Past") for _ in range(60)]
            eventually(lambda: cluster.gateways[0].metrics()["signalbox_channels_opened_total"] > 20, what="the first are open")
            channels = [socket.opened(ref) for ref in refs]
            complete = 0
            for channel in channels:
                frames = []
                while not frames or frames[-1]["type"] not in ("live", "closed"):
                    frames.append(channel.recv_json())
                got = [frame["data"] for frame in frames if frame["type"] == "message"]
                complete += got == texts
                if got != texts:
                    assert frames[-1]["code"] == 1013 and frames[-1]["retryMs"] > 0 and got == texts[:len(got)]
            assert complete > 0
            assert data(socket.open("/last?name=Past"), 5) == texts


def test_the_policy_is_that_of_the_name():
    """A channel whose Name drops messages keeps its socket open, and the messages of others."""
    with Cluster(APP, gateways=1, gateway_args=["--max-queue-bytes", "200000"]) as cluster, multiplex(cluster, receive_buffer=4096) as socket:
        latest, other = socket.open("/up?name=Latest"), socket.open("/up?name=Kept")
        send(cluster, "Kept", "first")
        for number in range(100):
            send(cluster, "Latest", f"{number:03d}" + "x" * 50000)
        eventually(lambda: cluster.gateways[0].metrics()["signalbox_slow_dropped_total"] > 20)
        send(cluster, "Kept", "second")
        assert data(other, 2) == ["first", "second"]
        got = []
        while not got or got[-1] != 99:
            text = data(latest)[0]
            assert len(text) == 50003
            got.append(int(text[:3]))
        assert got == sorted(set(got)) and len(got) < 80


# -- frames that mean no good

@pytest.mark.parametrize("frame, words", [
    ("", "JSON"), ("nonsense", "JSON"), ("[]", "object"), ("1", "object"), ("{}", "channel is missing"), ('{"type":"opne","ref":1,"path":"/up"}', "type"),
    ('{"type":"open","path":"/up"}', "ref"), ('{"type":"open","ref":{},"path":"/up"}', "ref"), ('{"type":"open","ref":"%s","path":"/up"}' % ("r" * 127), "ref"),
    ('{"type":"open","ref":1}', "path"), ('{"type":"open","ref":1,"path":5}', "path"), ('{"type":"open","ref":1,"path":"up"}', "path"),
    ('{"type":"open","ref":1,"path":""}', "path"), ('{"type":"open","ref":1,"path":"http://evil/up"}', "path"), ('{"type":"open","ref":1,"path":"/up#x"}', "path"),
    ('{"type":"open","ref":1,"path":"/up HTTP/1.1\\r\\nX: y\\r\\n\\r\\n"}', "path"), ('{"type":"open","ref":1,"path":"/up\\u0000"}', "path"),
    ('{"type":"open","ref":1,"path":"/\u00fc"}', "path"), ('{"type":"open","ref":1,"path":"/up","resume":"5-7&name=x"}', "resume"),
    ('{"type":"open","ref":1,"path":"/up","resume":5}', "resume"), ('{"type":"open","ref":1,"path":"/up","last":-1}', "last"),
    ('{"type":"open","ref":1,"path":"/up","last":"9"}', "last"), ('{"type":"open","ref":1,"path":"/up","token":"a\\r\\nX: y"}', "token"),
    ('{"type":"open","ref":1,"path":"/up","token":7}', "token"), ('{"type":"open","ref":1,"path":"/up","name":"x"}', "unknown"),
    ('{"type":"open","ref":1,"path":"/up","path":"/up"}', "twice"), ('{"type":"open","ref":1,"path":"/up","channel":1}', "channel"),
    ('{"type":"token"}', "token"), ('{"type":"token","token":""}', "token"), ('{"type":"token","token":"a\\nb"}', "token"), ('{"type":"close"}', "close"),
    ('{"channel":0}', "channel"), ('{"channel":-1}', "channel"), ('{"channel":"1"}', "channel"), ('{"channel":1.0}', "channel"), ('{"channel":1e3}', "channel"),
    ('{"channel":99999999999999999999999}', "channel"), ('{"channel":7,"channel":7}', "twice"), ('{"channel":77,"message":"x"}', "no such channel"),
    ("[" * 3000, "JSON"), ('{"channel":1,"a":' + "[" * 3000 + "]" * 3000 + "}", "JSON")])
def test_frames_that_are_not_understood(socket, frame, words):
    """Each is answered with one error, and nothing else comes of it."""
    socket.send_text(frame)
    error = socket.recv_frame()
    assert (error["type"], error["code"], error["status"]) == ("error", "bad_request", 400) and words in error["message"]
    socket.sync()
    assert not socket.frames and not socket.channels


def test_a_binary_frame(socket):
    socket.send_frame(2, b'{"type":"ping"}')
    assert socket.recv_frame()["code"] == "bad_request"


def test_frames_at_random(cluster, socket):
    """Whatever comes, the socket and its channels live on."""
    dice = random.Random(11)
    channel = socket.open("/up?name=Dice")
    pieces = ['"type"', ":", ",", "{", "}", '"open"', '"close"', '"token"', '"ref"', '"channel"', "1", "2", '"/up?name=Dice"', '"path"',
              "null", '"ping"', "[", "]", '"x"', '"message"', "\\", '"resume"', '"last"', " "]
    for _ in range(50):
        for _ in range(40):
            socket.send_text("".join(dice.choice(pieces) for _ in range(dice.randrange(1, 14))))
        socket.sync()
    send(cluster, "Dice", "alive")
    while data(channel) != ["alive"]:
        pass


# -- bounds of opens

def test_opens_count_as_requests():
    with Cluster(APP, gateways=1, gateway_args=["--max-requests-per-second-per-address", "1"]) as cluster:
        with multiplex(cluster) as socket:
            answers = [socket.answer(ref) for ref in [socket.ask("/up?name=Rate") for _ in range(30)]]
            kinds = [answer["type"] for answer in answers]
            refused = answers[kinds.index("error")]
            assert 5 < kinds.index("error") < 12 and (refused["code"], refused["status"], refused["retryMs"]) == ("refused", 429, 1000)


def test_opens_that_wait_have_a_bound(cluster):
    """While others are under way, more than may be: those that do not fit are told so, the others keep their turn."""
    with multiplex(cluster) as socket:
        sleeping = [socket.ask("/sleeps?ms=1500") for _ in range(128)]
        waiting = [socket.ask("/up?name=Wait&x=" + "x" * 9000) for _ in range(130)]
        answers = [socket.answer(ref) for ref in waiting]
        told = [answer for answer in answers if answer["type"] == "error"]
        assert {(answer["code"], answer["status"], answer["retryMs"]) for answer in told} == {("busy", 503, 1000)}
        assert 5 < len(told) < 100 and [answer["type"] for answer in answers[:30]] == ["hello"] * 30
        assert {socket.answer(ref)["type"] for ref in sleeping} == {"hello"}


def test_a_channel_that_is_held_too_long():
    """Redis stands still: what a channel says waits, then is refused as busy, and at last the channel is closed with 1013."""
    with Cluster(APP, gateways=1, gateway_args=["--max-uplink-bytes", "1048576"]) as cluster, multiplex(cluster) as socket:
        held, other = socket.open("/up?name=Held"), socket.open("/up?name=Other")
        cluster.redis_server.stop()
        try:
            for number in range(60):
                held.say("x" * 30000, path="Nobody", ref=number)
            busy = held.recv_json()
            assert (busy["type"], busy["code"], busy["status"]) == ("error", "busy", 503) and busy["retryMs"] > 0 and busy["ref"] > 4
            socket.send_json({"type": "ping"})
            assert socket.recv_frame() == {"type": "pong"}
            assert held.closing(20)[0] == 1013 and held.closed["retryMs"] > 0
        finally:
            cluster.redis_server.cont()
        other.say("on", path="Other")
        assert data(other) == ["on"]
