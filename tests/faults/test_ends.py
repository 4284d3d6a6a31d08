"""Daemons that are asked to end at awkward moments end in order, in time, and let go of everything: ./dev test runs this
with the sanitizers too, which report what was lost and make the exit status other than 0."""
import pathlib

import pytest

from harness import Cluster, eventually

APP = pathlib.Path(__file__).parents[1] / "e2e" / "app" / "turns.lua"
GATEWAY_ARGS = ["--drain-ms", "100"]


@pytest.fixture
def cluster():
    with Cluster(APP, gateways=1, gateway_args=GATEWAY_ARGS) as running:
        yield running


def end(cluster, *daemons):
    """SIGTERM; the exit status is 0 and no sanitizer found anything."""
    for daemon in daemons:
        daemon.term()
    for daemon in daemons:
        status = daemon.wait(60)
        assert status == 0 and "Sanitizer" not in daemon.log(), f"{daemon.name}: {status}\n{daemon.log()[-6000:]}"


def ask(cluster, request):
    """A request whose answer is not waited for."""
    return cluster.raw(0).request(request, handshake=False)


def pause_redis(cluster):
    """It takes commands and answers none."""
    cluster.redis.execute_command("CLIENT", "PAUSE", "30000", "ALL")


def go_on(cluster):
    cluster.redis_server.kill()


def many_clients(cluster):
    return [cluster.client(0, f"/slow?name=N{number}&id=c{number}") for number in range(20)]


def lose_data(cluster, names):
    """All but the Names of connections that are not there: what a gateway then looks through."""
    with cluster.redis.pipeline(transaction=False) as pipe:
        pipe.flushall()
        for number in range(names):
            pipe.hset(f"sb:{{0}}:c:name{number}", "id", "nobody:1:1|")
        pipe.execute()


def test_with_clients_and_handlers_that_wait(cluster):
    clients = many_clients(cluster)
    for client in clients:
        client.say({"say": "x", "wait": 100})
        client.say({"say": "y", "wait": 0})
    eventually(lambda: cluster.brokers[0].metrics()["signalbox_entries_aside"] == len(clients))
    end(cluster, *cluster.brokers, *cluster.gateways)


def test_with_questions_that_redis_does_not_answer(cluster):
    """Lists, values, joins, messages, events and the handlers that wait for them."""
    clients = many_clients(cluster)
    pause_redis(cluster)
    for path in ("/who", "/online?id=x") * 3:
        ask(cluster, path)
    joining = [cluster.raw(0).request(f"/slow?name=New&id={number}") for number in range(5)]
    for client in clients[:10]:
        client.say({"say": "x", "store": True, "wait": 0})
        client.drop()
    eventually(lambda: cluster.gateways[0].metrics()["signalbox_handlers_waiting"] >= len(joining), what="questions")
    end(cluster, *cluster.gateways, *cluster.brokers)
    assert len(joining) == 5
    go_on(cluster)


def test_without_redis(cluster):
    many_clients(cluster)
    cluster.redis_server.kill()
    ask(cluster, "/who")
    eventually(lambda: not cluster.gateways[0].is_ready() and not cluster.brokers[0].is_ready(), what="they know")
    end(cluster, *cluster.gateways, *cluster.brokers)


def test_while_the_registry_is_looked_through(cluster):
    """A gateway whose Redis has lost data looks through all Names: one answer leads to the next question."""
    seen = len(cluster.gateways[0].log())
    lose_data(cluster, 30000)
    cluster.gateways[0].wait_log("restored_registrations", after=seen)
    end(cluster, *cluster.gateways, *cluster.brokers)


def test_twice(cluster):
    """The second SIGTERM does not wait; nothing is promised but the end."""
    many_clients(cluster)
    gateway = cluster.gateways[0].term()
    gateway.term()
    assert gateway.wait(10) in (0, 1)
