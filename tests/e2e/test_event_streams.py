"""Event streams: resume at another gateway, drains, slow readers, limits, the way up, and clients that mean no good."""
import json
import pathlib
import shutil
import subprocess
import threading

import pytest

from harness import Cluster, RawWs, Refused, SseClient, eventually

APP = pathlib.Path(__file__).parent / "app" / "event_streams.lua"
ACCEPT = {"Accept": "text/event-stream"}
FRIEND = {"Origin": "https://friend.example.test"}


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP, args=["--max-message-bytes", "100000"]) as running:
        yield running


def send(cluster, name, *texts):
    for text in texts:
        cluster.redis.xadd("signalbox:send", {"m": json.dumps({"name": name, "data": text})})


def refused(make):
    with pytest.raises(Refused) as caught:
        make()
    return caught.value


# -- coming back

def test_resume_at_another_gateway_after_a_kill():
    """Nothing is missing and nothing is doubled, whatever was sent while the client had no gateway."""
    with Cluster(APP) as cluster:
        client = cluster.sse(0, "/up?name=Kill&id=me")
        send(cluster, "Kill", *map(str, range(50)))
        got = client.take(25)
        cluster.gateways[0].kill()
        got += [data for kind, _, data, _ in client.events[26:] if kind is None]
        send(cluster, "Kill", *map(str, range(50, 60)))
        last = client.last_id
        client = cluster.sse(1, "/up?name=Kill&id=me", last_event_id=last)
        assert client.hello["recovered"] is True
        got += client.take(60 - len(got))
        assert got == [str(number) for number in range(60)]
        ids = [id for kind, id, _, _ in client.events if kind is None]
        assert ids == sorted(ids, key=lambda id: [int(part) for part in id.split("-")])


def test_resume_from_the_hello_and_from_a_ping():
    """Before the first message, and after a long time without one for this client."""
    with Cluster(APP, gateway_args=["--ping-ms", "300"]) as cluster:
        client = cluster.sse(0, "/up?name=Quiet&id=me")
        hello = client.last_id
        assert client.hello["id"] == hello
        send(cluster, "Quiet", "first")
        assert client.recv() == "first"
        cluster.cli("send", "Quiet", "for another", "--client", "other")
        eventually(lambda: client.wait_ping() not in (None, client.events[1][1]))  # past what was not for it
        ping = client.last_id
        client.drop()
        send(cluster, "Quiet", "second")
        assert cluster.sse(1, "/up?name=Quiet&id=me", last_event_id=hello).take(2) == ["first", "second"]
        again = cluster.sse(0, "/up?name=Quiet&id=me", last_event_id=ping)
        assert again.hello["recovered"] is True and again.recv() == "second"


@pytest.mark.parametrize("id, recovered", [
    ("nonsense", False), ("-", False), ("0-0", False), ("99999999999999-1", False), ("1-2-3", False), ("x" * 8000, False),
    ("18446744073709551616-0", False), ("\u00e9", False), ("", None)])
def test_an_id_that_never_was(cluster, id, recovered):
    name = "Never" + str(len(id)) + id[:3].encode().hex()
    keeper = cluster.client(1, f"/up?name={name}")
    send(cluster, name, "before")
    assert keeper.recv() == "before"
    client = cluster.sse(0, f"/up?name={name}", last_event_id=id)
    assert client.hello["recovered"] in (recovered, True if id == "0-0" else recovered)
    send(cluster, name, "live")
    assert client.until("live") in ([], ["before"])


def test_last_event_id_wins_over_the_query(cluster):
    client = cluster.sse(0, "/up?name=Wins")
    send(cluster, "Wins", "a", "b", "c")
    assert client.take(3) == ["a", "b", "c"]
    ids = [id for kind, id, _, _ in client.events if kind is None]
    path = f"/up?name=Wins&signalbox-resume={ids[0]}"
    assert cluster.sse(1, path).take(2) == ["b", "c"]
    assert cluster.sse(1, path, last_event_id=ids[1]).recv() == "c"


@pytest.mark.parametrize("end", ["take-over", "close"])
def test_an_end_that_stays_one(cluster, end):
    """EventSource would come back at once, and take the id from the one that took it over."""
    name = "Stay-" + end
    client = cluster.sse(0, f"/up?name={name}&id=me")
    if end == "close":
        cluster.cli("close", name, "--code", "4321", "--reason", "enough")
        assert client.closing() == (4321, "enough")
    else:
        other = cluster.sse(1, f"/up?name={name}&id=me")
        assert client.closing() == (4001, "replaced")
        other.drop()
    assert client.last_id.endswith("!end") and client.events[-1][3] is None
    answer = refused(lambda: cluster.sse(1, f"/up?name={name}&id=me", last_event_id=client.last_id))
    assert answer.status == 204
    cluster.sse(1, f"/up?name={name}&id=me")  # another page may


def test_a_drain_sends_everybody_elsewhere():
    """1001, each with a time of its own to come back; nothing is lost on the way."""
    with Cluster(APP) as cluster:
        streams = [cluster.sse(0, f"/up?name=Drain&id={number}") for number in range(20)]
        send(cluster, "Drain", "before")
        assert [stream.recv() for stream in streams] == ["before"] * 20
        cluster.gateways[0].term()
        assert {stream.closing() for stream in streams} == {(1001, "restart")}
        retries = [stream.events[-1][3] for stream in streams]
        assert all(1000 <= retry < 3000 for retry in retries) and len(set(retries)) > 10
        send(cluster, "Drain", "meanwhile")
        for number, stream in enumerate(streams):
            again = cluster.sse(1, f"/up?name=Drain&id={number}", last_event_id=stream.last_id)
            assert again.hello["recovered"] is True and again.recv() == "meanwhile"


# -- limits

def test_streams_of_an_address():
    """Together with WebSockets. What is refused for now is a stream that ends, since EventSource gives up after a 503."""
    with Cluster(APP, gateways=1, gateway_args=["--max-websockets-per-address", "2"]) as cluster:
        with cluster.client(0, "/up?name=Mine"), cluster.sse(0, "/up?name=Mine") as stream:
            with RawWs(cluster.address(0)) as raw:
                raw.request("/up?name=Mine", {**ACCEPT, **FRIEND}, handshake=False)
                assert raw.read_head().status == 200
                text = raw.read_body().decode()
            assert text.startswith("event: close\nretry: ") and '"code":1013' in text and text.endswith("\n\n")
            assert raw.head.get("Access-Control-Allow-Origin") == FRIEND["Origin"]
            stream.close()
            eventually(lambda: opened(cluster), what="there is room again")


def opened(cluster):
    try:
        return cluster.sse(0, "/up?name=Mine")
    except Refused:
        return None


def test_without_redis_a_stream_is_refused_for_now():
    with Cluster(APP, gateways=1) as cluster:
        cluster.redis_server.kill()
        eventually(lambda: cluster.gateways[0].admin("GET", "/readyz").status == 503)
        assert refused(lambda: cluster.sse(0, "/up?name=Down")).status == 503  # as the client of the tests has it
        cluster.redis_server.start()
        eventually(lambda: opened(cluster), what="Redis is back")


# -- the way up

def test_posts_go_to_any_gateway(cluster):
    """In the order in which they are answered, and by the client whose stream is elsewhere."""
    name = "Up"
    stream, plain = cluster.sse(0, f"/up?name={name}", post=1), cluster.client(1, f"/up?name={name}")
    answers = []
    for number in range(20):
        answer = stream.post(json.dumps({"message": number, "path": name}), address=cluster.address(number % 2))
        assert answer.status == 202, answer.text
        answers.append(json.loads(answer.text)["id"])
    assert stream.take(20) == plain.take(20) == [str(number) for number in range(20)]
    assert answers == [id for kind, id, _, _ in stream.events if kind is None]


def test_a_post_that_comes_again(cluster):
    """With an Idempotency-Key it is handled once, at whatever gateway, and answered as the first time."""
    name = "Again"
    stream = cluster.sse(0, f"/up?name={name}", post=1)

    def post(number, gateway, key, **more):
        body = json.dumps({"message": number, "path": name, **more})
        return stream.post(body, {"Idempotency-Key": key}, address=cluster.address(gateway))
    answers = [post(1, gateway, key) for gateway, key in ((0, "k" * 128), (1, "k" * 128), (0, f'"{"k" * 128}"'))]
    assert {(answer.status, answer.text) for answer in answers} == {(202, answers[0].text)}
    others = [post(number, gateway, "k" * 128) for number, gateway in ((2, 0), (3, 1), (4, 0))]
    assert {(answer.status, answer.text) for answer in others} == {(422, "this id was given to another message\n")}
    assert post(1, 1, "k" * 128).text == answers[0].text, "the first answer holds"
    refusals = [post(4, gateway, "r", unknown=1) for gateway in (0, 1)]
    assert {(answer.status, answer.text) for answer in refusals} == {(400, refusals[0].text)}
    assert post(5, 1, "other").status == 202
    assert stream.take(2) == ["1", "5"]
    for key in "", "k" * 129:
        answer = post(6, 0, key)
        assert (answer.status, "Idempotency-Key: must be" in answer.text) == (400, True)
    for key in '"open', 'a"b', '"a";b=c', '"a\\b"', '"a", "b"':
        answer = post(6, 0, key)
        assert (answer.status, "Idempotency-Key: is no string" in answer.text) == (400, True), key
    first, again = post(7, 0, '"a \\"b\\" \\\\c"'), post(7, 1, '"a \\"b\\" \\\\c"')
    assert (first.status, again.text) == (202, first.text) and stream.recv() == "7"


def test_a_post_that_comes_again_too_early():
    """409 where somebody still waits for the answer to the same; at another gateway it waits, too, and gets that answer."""
    with Cluster(APP) as cluster:
        stream = cluster.sse(0, "/up?name=Early", post=1)
        assert stream.say("first", path="Early").status == 202
        cluster.brokers[0].stop()
        answers = {}

        def post(who, gateway, number=1):
            answers[who] = stream.post(json.dumps({"message": number, "path": "Early"}), {"Idempotency-Key": "k"},
                                       address=cluster.address(gateway))
        waiting = [threading.Thread(target=post, args=(who, who)) for who in (0, 1)]
        for thread in waiting:
            thread.start()
        posted = lambda gateway: cluster.gateways[gateway].metrics()["signalbox_posted_messages_total"]
        eventually(lambda: posted(0) == 1 and posted(1) == 2)
        post("early", 0)
        post("other", 0, 2)
        cluster.brokers[0].cont()
        for thread in waiting:
            thread.join()
        assert answers["early"].status == answers["other"].status == 409 and answers["early"].headers["Retry-After"] == "1"
        assert answers[0].status == answers[1].status == 202 and answers[0].text == answers[1].text
        post("late", 0)
        assert answers["late"].text == answers[0].text
        assert stream.say("end", path="Early").status == 202 and stream.take(3) == ["first", "1", "end"]


def test_a_key_is_one_over_every_transport(cluster):
    """What was posted and is said again over a WebSocket of the same client was handled."""
    name = "Transports"
    stream = cluster.sse(0, f"/up?name={name}&id=both", post=1)
    answer = stream.post(json.dumps({"message": "once", "path": name}), {"Idempotency-Key": '"k"'})
    assert answer.status == 202
    with cluster.client(1, f"/up?name={name}&id=both", headers={"Sec-WebSocket-Protocol": "signalbox.v1"}) as client:
        client.recv_json()
        client.say("once", path=name, ref=1, id="k")
        client.say("twice", path=name, ref=2, id="k")
        frames = [frame for frame in (client.recv_json(), client.recv_json()) if frame["type"] in ("ack", "error")]
        assert frames[0] == {"type": "ack", "ref": 1, "id": json.loads(answer.text)["id"]}
        assert (frames[1]["code"], frames[1]["status"], frames[1]["ref"]) == ("conflict", 422, 2)


def test_a_post_goes_through_signal_routes(cluster):
    stream = cluster.sse(0, "/echo?name=Echo", post=1)
    assert stream.say("to me alone").status == 202
    assert stream.recv() == "to me alone"


def test_a_socket_may_post_too(cluster):
    socket = cluster.client(0, "/echo?name=Echo2")
    headers = {"X-PODE-SIGNAL-CLIENT-ID": socket.id, "X-PODE-SIGNAL-NAME": socket.name}
    assert cluster.http(1, "POST", "/echo", '{"message":"hi"}', headers).status == 202
    assert socket.recv() == "hi"


def test_refusals_of_a_post(cluster):
    name = "Refused"
    stream = cluster.sse(0, f"/up?name={name}", post=1)
    nobody = {"X-PODE-SIGNAL-CLIENT-ID": "nobody"}
    for body, headers, status, words in [
            ("not json", {}, 400, "JSON"), ('{"message":1,"client":2}', {}, 400, 'unknown key "client"'),
            (b"\xff\xfe", {}, 400, "not UTF-8"), ("x" * 100001, {}, 413, "message too big"),
            ('{"message":1}', nobody, 404, "no such signal connection"),
            ('{"message":1}', {"X-PODE-SIGNAL-NAME": "Other"}, 404, "no such signal connection"),
            ('{"message":1}', {"Origin": "https://evil.example.test"}, 403, "origin")]:
        answer = stream.post(body, headers)
        assert (answer.status, words in answer.text) == (status, True), (body[:40], answer.status, answer.text)
    answer = stream.post(json.dumps({"message": "x" * 90000, "path": name}), FRIEND)
    assert answer.status == 202 and answer.headers["Access-Control-Allow-Origin"] == FRIEND["Origin"]
    assert "X-PODE-SIGNAL-CLIENT-ID" in answer.headers["Access-Control-Expose-Headers"]
    assert stream.recv() == "x" * 90000


def test_nobody_posts_for_another_user(cluster):
    """The route decides who somebody is, and it runs for the post, too."""
    alice = cluster.sse(0, "/user", {"Cookie": "user=alice"})
    mallory = cluster.sse(1, "/user", {"Cookie": "user=mallory"})
    as_alice = {"X-PODE-SIGNAL-CLIENT-ID": "alice"}
    assert mallory.post('{"message":"hi"}', as_alice).status == 403
    assert mallory.post('{"message":"hi"}', {**as_alice, "Cookie": None}).status == 401
    assert mallory.post('{"message":"hi"}', {**as_alice, "Cookie": "user=al"}).status == 403
    for path in ["/up?name=Users", "/up?name=Users&id=mallory", "/up", "/up?name=User&id=alice", "/up?name=Users&id=alice&group=staff"]:
        assert cluster.http(1, "POST", path, '{"message":"hi"}', as_alice).status == 403, path
    assert alice.post('{"message":"hi","path":"Users"}').status == 202
    assert alice.recv() == mallory.recv() == "hi"


def test_a_post_while_redis_stands_still():
    """Nothing is claimed that is not known; what was handed on is handled when Redis goes on."""
    with Cluster(APP, gateways=1) as cluster:
        stream = cluster.sse(0, "/up?name=Still")
        assert stream.say("first", path="Still").status == 202
        cluster.redis_server.stop()
        answer = stream.post('{"message":"late","path":"Still"}')
        cluster.redis_server.cont()
        assert answer.status in (503, 504), answer.text
        if answer.status == 504:
            assert stream.take(2) == ["first", "late"]


# -- the end of a client

def audit(cluster, make, end):
    with cluster.client(0, "/up?name=Audit") as watcher:
        client = make()
        assert watcher.recv_json()[:2] == ["connect", client.id]
        end(client)
        return watcher.recv_json()[2:]


@pytest.mark.parametrize("end, expected", [
    (lambda client: client.half_close(), [1000, "client"]), (lambda client: client.drop(), [1000, "client"]),
    (lambda client: client.reset(), [1006, "lost"])], ids=["half-close", "close", "reset"])
def test_how_a_client_leaves(cluster, end, expected):
    assert audit(cluster, lambda: cluster.sse(1, "/up?name=Watched"), end) == expected


def test_how_it_is_closed(cluster):
    def close(client):
        cluster.cli("close", "Watched", "--code", "4005")
    assert audit(cluster, lambda: cluster.sse(1, "/up?name=Watched"), close) == [4005, "server"]


# -- who is there

def test_lists_show_the_transport(cluster):
    with cluster.sse(0, "/up?name=Listed&id=a"), cluster.client(1, "/up?name=Listed&id=b"):
        rows = json.loads(cluster.cli("clients", "Listed", "--json").stdout)
        assert {row["clientId"]: row["transport"] for row in rows} == {"a": "sse", "b": "ws"}
        assert cluster.gateways[0].metrics()["signalbox_event_streams"] >= 1


# -- clients that mean no good

def test_bytes_on_a_stream_are_no_requests(cluster):
    with cluster.sse(0, "/up?name=Noise") as stream:
        stream.send_bytes(stream.request_text("/up?name=Noise", handshake=False).encode())
        send(cluster, "Noise", "hi")
        assert stream.recv() == "hi" and len([1 for kind, *_ in stream.events if kind == "hello"]) == 1
        with pytest.raises(OSError):
            for _ in range(1000):
                stream.send_bytes(b"x" * 65536)


def test_a_stream_that_nobody_reads_disturbs_nobody():
    """It is closed as slow, and takes no more memory than its queue may."""
    with Cluster(APP, gateways=1, gateway_args=["--max-queue-bytes", "1000000"]) as cluster:
        stalled = cluster.sse(0, "/up?name=Slow", receive_buffer=4096)
        reader = cluster.sse(0, "/up?name=Slow")
        for number in range(200):
            send(cluster, "Slow", f"{number:03d}" + "x" * 60000)
            assert reader.recv()[:3] == f"{number:03d}"
        eventually(lambda: cluster.gateways[0].metrics()["signalbox_slow_closed_total"] == 1)
        assert stalled.closing(60) in ((4002, "slow"), (1006, ""))
        assert all(kind is None and len(data) == 60003 for kind, _, data, _ in stalled.events[1:-1])


def test_preflights(cluster):
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-pode-signal-client-id"}
    allowed = cluster.http(0, "OPTIONS", "/up?name=x", headers={**ask, **FRIEND})
    assert allowed.status == 204 and allowed.headers["Access-Control-Allow-Origin"] == FRIEND["Origin"]
    assert "X-PODE-SIGNAL-CLIENT-ID" in allowed.headers["Access-Control-Allow-Headers"]
    closed = cluster.http(0, "OPTIONS", "/up?name=x", headers={**ask, "Origin": "https://evil.example.test"})
    assert closed.status == 403 and "Access-Control-Allow-Origin" not in closed.headers
    assert allowed.headers["Vary"] == closed.headers["Vary"] == "Origin"


# -- curl, as the docs have it

def test_curl(cluster):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    url = f"http://127.0.0.1:{cluster.gateways[0].port}/up?name=Curl"
    process = subprocess.Popen(["curl", "-sN", "-H", "Accept: text/event-stream", url], stdout=subprocess.PIPE, text=True)
    try:
        lines = iter(process.stdout.readline, "")
        assert next(lines) == "event: hello\n"
        hello = json.loads(next(line for line in lines if line.startswith("data: "))[6:])
        done = subprocess.run(["curl", "-s", "-H", f"X-PODE-SIGNAL-CLIENT-ID: {hello['clientId']}", "-H", "X-PODE-SIGNAL-NAME: Curl",
                               "-d", '{"message":"hello","path":"Curl"}', url.replace("?name=Curl", "")],
                              capture_output=True, text=True)
        id = json.loads(done.stdout)["id"]
        assert [next(lines) for _ in range(3)] == ["\n", f"id: {id}\n", "data: hello\n"]
    finally:
        process.kill()
        process.wait()


def test_http_1_0(cluster):
    client = SseClient(cluster.address(0), "/up?name=Old", version="HTTP/1.0")
    assert client.head.get("Transfer-Encoding") is None
    send(cluster, "Old", "a\nb")
    assert client.recv() == "a\nb"
