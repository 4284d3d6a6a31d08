"""Groups that change, and data, when processes die and Redis forgets."""
import threading
import time

import pytest

from harness import ROOT, Cluster, eventually

APP = ROOT / "tests" / "faults" / "app" / "groups.lua"
FAST = ["--dead-after-ms", "2000"]


@pytest.fixture
def cluster():
    with Cluster(APP, gateways=2, brokers=2, broker_args=FAST) as running:
        yield running


def connect(cluster, gateway, name, id, *groups):
    return cluster.client(gateway, f"/c/{name}?id={id}&groups={'%7C'.join(groups)}")


def do(cluster, op, gateway=0, **args):
    reply = cluster.http(gateway, "POST", f"/do/{op}", args)
    assert reply.status == 200, reply
    return reply.json().get("result")


def change(cluster, op, id, group, name="Rooms", gateway=0):
    do(cluster, op, gateway, name=name, client_id=id, group=group)


def rows(cluster, name="Rooms"):
    return {row["client_id"]: row["groups"] for row in do(cluster, "clients", name=name, details=True)}


def will_be(cluster, expected, name="Rooms"):
    eventually(lambda: rows(cluster, name) == expected, 30, f"the registry says {expected}")


def test_a_killed_gateway_takes_nothing_with_it(cluster):
    """The Disconnect of its connections bears the groups that they had last, and their data."""
    audit = connect(cluster, 1, "Audit", "audit")
    clients = []
    for id in "ann", "bob":
        clients.append(connect(cluster, 0, "Rooms", id, "red", "green"))
        assert audit.recv_json(30)["type"] == "connect"
    change(cluster, "join", "ann", "blue", gateway=1)
    change(cluster, "leave", "ann", "red", gateway=1)
    change(cluster, "leave", "bob", ["red", "green"], gateway=1)
    eventually(lambda: {row["client_id"]: row["groups"] for row in do(cluster, "clients", 1, name="Rooms", details=True)}
               == {"ann": ["green", "blue"], "bob": []}, 30, "the changes")
    cluster.gateways[0].kill()
    ends = sorted((audit.recv_json(30) for _ in range(2)), key=lambda event: event["id"])
    assert [(end["type"], end["id"], end["groups"], end["data"], end["cause"]) for end in ends] == [
        ("disconnect", "ann", ["green", "blue"], {"user": "ann"}, "lost"), ("disconnect", "bob", [], {"user": "bob"}, "lost")]
    cluster.gateways[0].restart()


def test_redis_forgets_all(cluster):
    """Each gateway registers the groups that it knows again; then they change as before."""
    ann, bob, eve = (connect(cluster, 0, "Rooms", "ann", "red"), connect(cluster, 1, "Rooms", "bob", "red", "green"),
                     connect(cluster, 0, "Rooms", "eve", "red"))
    change(cluster, "join", "ann", "blue")
    change(cluster, "leave", "bob", "red")
    expected = {"ann": ["red", "blue"], "bob": ["green"], "eve": ["red"]}
    will_be(cluster, expected)
    cluster.redis.flushall()
    will_be(cluster, expected)
    change(cluster, "join", "eve", "blue")
    will_be(cluster, {**expected, "eve": ["red", "blue"]})
    do(cluster, "send", name="Rooms", group="blue", data="blue")
    do(cluster, "send", name="Rooms", group=["red", "green"], data="others")
    assert (ann.take(2), bob.take(1), eve.take(2)) == (["blue", "others"], ["others"], ["blue", "others"])


def test_brokers_die_between_changes_and_sends(cluster):
    """Whichever broker commits them: what is sent while it is in the group comes, in order, and nothing else."""
    ann = connect(cluster, 1, "Rooms", "ann", "red")
    stop, rounds = threading.Event(), 0

    def kill():
        for turn in range(100):
            if stop.wait(0.7):
                return
            cluster.brokers[turn % 2].kill()
            time.sleep(0.2)
            cluster.brokers[turn % 2].restart()
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        until = time.monotonic() + 4
        while time.monotonic() < until:
            for op, group, text in ("join", "odd", f"in {rounds}"), ("leave", "odd", f"out {rounds}"):
                change(cluster, op, "ann", group)
                do(cluster, "send", name="Rooms", group=group, data=text)
            rounds += 1
    finally:
        stop.set()
        killer.join()
    do(cluster, "send", name="Rooms", group="red", data="end")
    assert ann.take(rounds + 1, timeout=60) == [f"in {number}" for number in range(rounds)] + ["end"] and rounds > 5
    will_be(cluster, {"ann": ["red"]})


def test_a_change_that_a_gateway_missed(cluster):
    """Without a history, and with clients that stay: the registry says what its gateway did not hear."""
    ann = connect(cluster, 1, "Loose", "ann", "red")
    do(cluster, "send", name="Loose", data="first")
    assert ann.take(1) == ["first"]
    will_be(cluster, {"ann": ["red"]}, "Loose")
    pubsub = [row["id"] for row in cluster.redis.client_list(_type="pubsub")]
    cluster.gateways[1].stop()
    for id in pubsub:
        cluster.redis.execute_command("CLIENT", "KILL", "ID", id)
    change(cluster, "join", "ann", "blue", "Loose")
    eventually(lambda: rows(cluster, "Loose") == {"ann": ["red", "blue"]}, 10, "it has joined")
    cluster.gateways[1].cont()

    def has_come():
        do(cluster, "send", name="Loose", group="blue", data="blue")
        return ann.take(1, timeout=0.3) == ["blue"]
    eventually(lambda: quietly(has_come), 20, "its gateway knows")


def quietly(question):
    try:
        return question()
    except TimeoutError:
        return False
