"""signalbox trace: every hop of a message, in its order, with the ids that tie them together."""
import json
import queue
import subprocess
import threading

import pytest

from cli_world import APP
from harness.cluster import BIN, Cluster
from harness.waiting import eventually

WAY = ["received", "accepted", "processed", "verdict", "published", "delivered"]


class Trace:
    """A running `signalbox trace`; once made, every process of the cluster listens."""

    def __init__(self, cluster, *args, url=None, is_json=True):
        argv = [str(BIN / "signalbox"), "trace", *args, "--redis", url or cluster.redis_url]
        self.process = subprocess.Popen(argv + (["--json"] if is_json else []), stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.lines, self.notes = queue.Queue(), []
        self.threads = [threading.Thread(target=self._read, args=how, daemon=True)
                        for how in ((self.process.stdout, self.lines.put), (self.process.stderr, self.notes.append))]
        for thread in self.threads:
            thread.start()
        eventually(lambda: self.listeners() == len(cluster.daemons), what="every process listens")

    @staticmethod
    def _read(file, take):
        for line in file:
            take(line.rstrip("\n"))

    def listeners(self):
        return sum("listens" in note for note in self.notes)

    def line(self, timeout=5):
        return self.lines.get(timeout=timeout)

    def take(self, count):
        return [json.loads(self.line()) for _ in range(count)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(10) == 0
        for thread in self.threads:
            thread.join(5)
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture(scope="module")
def cluster():
    """One of its own: other tests drain gateways of the shared one."""
    with Cluster(app=APP, gateways=2, brokers=1) as running:
        yield running


@pytest.fixture
def name(request):
    return request.node.name.removeprefix("test_")[:40]


def hops(events):
    return [event["hop"] for event in events]


def of(events, hop):
    return [event for event in events if event["hop"] == hop]


def ids(cluster, verb):
    return {row["id"] for row in json.loads(cluster.cli(verb, "--json").stdout)}


def gateway_of(cluster, client, name):
    rows = json.loads(cluster.cli("clients", name, "--json").stdout)
    return next(row["gateway"] for row in rows if row["clientId"] == client.id)


def test_by_the_default_through_two_gateways(cluster, name):
    a, b = cluster.client(0, f"/up?name={name}"), cluster.client(1, f"/up?name={name}")
    c = cluster.client(1, f"/up?name={name}")
    with Trace(cluster, "--client", a.id) as trace:
        a.say("hello", path=name)
        assert [client.recv() for client in (a, b, c)] == ["hello"] * 3
        events = trace.take(8)
        assert hops(events)[:5] == WAY[:5] and set(hops(events)[5:]) == {"delivered"}
        received, accepted, processed, verdict, published = events[:5]
        mine, other = gateway_of(cluster, a, name), gateway_of(cluster, b, name)
        assert {event["message"] for event in events} == {1} and received["afterMs"] == 0
        assert received["process"] == accepted["process"] == "gateway" and received["processId"] == mine
        assert (received["opcode"], received["clientId"], received["name"]) == ("text", a.id, name)
        assert received["bytes"] == processed["bytes"] == len(json.dumps({"message": "hello", "path": name}))
        assert processed["processId"] in ids(cluster, "brokers") and processed["process"] == "broker"
        assert (processed["kind"], processed["rule"], verdict["verdict"]) == ("client", "default", "allowed")
        assert processed["entry"] == verdict["entry"] == published["entry"]
        assert (published["name"], published["to"], published["bytes"]) == (name, "everybody", 5)
        delivered = events[5:]
        assert {event["messageId"] for event in delivered} == {published["messageId"]}
        sums = {event["processId"]: event["connections"] for event in delivered if "connections" in event}
        assert sums == {mine: 1, other: 2}
        (own,) = [event for event in delivered if "toClientId" in event]
        assert (own["processId"], own["toClientId"], own["connection"]) == (mine, a.id, received["connection"])
        assert not any("hello" in json.dumps(event) for event in events), "no payloads"
        b.say("not traced", path=name)
        (reached,) = trace.take(1)
        assert reached["hop"] == "delivered" and reached["messageId"] != published["messageId"], "it reaches the traced client"


def test_by_a_route(cluster, name):
    with cluster.client(0, f"/date?name={name}&id=router") as a, Trace(cluster, "--client", "router") as trace:
        a.say("when")
        assert a.recv() == "it is late"
        events = trace.take(10)
    assert hops(events)[:4] == WAY[:4]
    assert (events[2]["rule"], events[3]["verdict"]) == ("/date", "allowed")
    published = {event["name"]: event for event in of(events, "published")}
    assert set(published) == {name, "Msg"} and published["Msg"]["to"] == "group g"
    assert published[name]["to"].startswith("connection ")
    assert [event["kind"] for event in of(events, "processed")] == ["client", "send"], "Msg is another partition's"
    assert {event["messageId"] for event in of(events, "delivered")} == {published[name]["messageId"]}
    assert {event["message"] for event in events} == {1}


def test_a_handler_that_fails_or_waits(cluster, name):
    with cluster.client(0, f"/strict?name={name}&id=strict") as a, Trace(cluster, "--client", "strict") as trace:
        a.say("x")
        verdict = trace.take(4)[3]
        assert verdict["verdict"] == "refused" and "level for Strict" in verdict["why"]
    with cluster.client(0, f"/late?name={name}&id=late") as a, Trace(cluster, "--client", "late") as trace:
        a.say("x")
        assert trace.take(4)[3]["verdict"] == "waiting"


def test_a_message_that_waits_for_a_handler_of_its_connection(cluster, name):
    """It comes back under another id, and is told as the same message."""
    with cluster.client(0, f"/late?name={name}&id=behind") as a, Trace(cluster, "--client", "behind") as trace:
        a.say("x")
        a.say("y")
        second = []
        while len(of(second, "verdict")) < 2:
            second += [event for event in trace.take(1) if event["message"] == 2]
        assert hops(second) == ["received", "accepted", "processed", "verdict", "processed", "verdict"]
        assert ["handler of this connection" in event["why"] for event in of(second, "verdict")] == [True, False]


def test_a_refusal_and_what_is_no_message(cluster, name):
    with cluster.client(1, f"/up?name={name}") as a, Trace(cluster, "--client", a.id) as trace:
        a.say("no", path="Strict")
        refused = trace.take(4)
        a.send_text("{ this is no JSON")
        bad = trace.take(4)
        a.say("", path=name)
        empty = trace.take(4)
        assert hops(refused) == hops(bad) == hops(empty) == WAY[:4]
        assert refused[3]["verdict"] == "refused" and refused[3]["why"].endswith("level for Strict: clientid")
        assert (bad[3]["verdict"], bad[3]["why"]) == ("ignored", "no JSON: a key was expected, at byte 3")
        assert (empty[3]["verdict"], empty[3]["why"]) == ("ignored", "the message is empty")
        a.say("", path=name)
        again = trace.take(4)
        assert hops(again) == WAY[:4], "nothing was published meanwhile"
        assert [{event["message"] for event in events} for events in (refused, bad, empty, again)] == [{1}, {2}, {3}, {4}]


def test_a_send_to_a_traced_name(cluster, name):
    with cluster.client(0, f"/up?name={name}"), cluster.client(1, f"/up?name={name}&group=g") as b, \
            Trace(cluster, "--name", name) as trace:
        cluster.cli("send", "Elsewhere", "x")
        sent = cluster.cli("send", name, "hello", "--group", "g").stdout.strip()
        assert b.recv() == "hello"
        events = trace.take(7)
        assert hops(events)[:5] == ["processed", "verdict", "processed", "verdict", "published"]
        assert (events[0]["kind"], events[0]["rule"], events[4]["messageId"]) == ("public", "send", sent)
        assert events[1]["verdict"] == events[3]["verdict"] == "allowed" and events[2]["kind"] == "send"
        assert events[2]["entry"] == events[4]["entry"] and events[4]["to"] == "group g"
        assert sorted(event["connections"] for event in of(events, "delivered")) == [0, 1]
        assert {event["messageId"] for event in events[4:]} == {events[4]["messageId"]}
        assert {event["message"] for event in events} == {1}
        cluster.cli("send", name, "again")
        assert {event["message"] for event in trace.take(7)} == {2}, "no more of the first"


def test_many_at_once_are_told_apart(cluster, name):
    with cluster.client(0, f"/up?name={name}") as a, Trace(cluster, "--name", name) as trace:
        for number in range(50):
            a.say("x" * number + "y", path=name)
        a.take(50)
        events = trace.take(50 * 6)
    for number in range(50):
        mine = [event for event in events if event["message"] == number + 1]
        assert sorted(hops(mine), key=WAY.index) == WAY
        assert {event["bytes"] - number for event in mine if event["hop"] in WAY[4:]} == {1}
        assert len({event["bytes"] for event in mine if event["hop"] in ("received", "processed")}) == 1


def test_a_table_and_its_end(cluster, name):
    with cluster.client(0, f"/up?name={name}") as a, Trace(cluster, "--client", a.id, "--for", "3s", is_json=False) as trace:
        a.say("hello", path=name)
        lines = [trace.line() for _ in range(8)]
        assert lines[0].split() == ["time", "msg", "after", "hop", "process", "what"]
        assert [line.split()[4] for line in lines[1:7]] == WAY and all("#1" in line for line in lines[1:])
        assert trace.process.wait(10) == 0


def test_nothing_is_told_once_nobody_traces(cluster, name):
    with Trace(cluster, "--name", name, "--for", "3s") as trace:
        assert trace.process.wait(10) == 0
    assert cluster.redis.pubsub_channels("sb:{sb}:trace:*") == []


@pytest.mark.parametrize("args", [[], ["--client", "a", "--name", "b"], ["--client", ""]])
def test_one_of_the_two_must_be_said(cluster, args):
    assert cluster.cli("trace", *args, check=False).returncode == 2
