"""Beyond the table: odd Names, many of everything, filters at random, handlers that misbehave, reload, the sandbox."""
import os
import random
import resource
import shutil
import threading

import pytest

from harness import Cluster, eventually
from conformance_world import APP, G1, G2, World, say, unique

STILL_THERE = '{"still": "there"}'
ODD_NAMES = ["a b", "a/b/c", "/leading", "Ünïcödé", "日本語", "😀👩‍👩‍👧", "a,b", "a;b=c", "{tag}", "a{b}c", "*", "n:*", "%41",
             "'\"\\", "..", "\t", " padded ", "e\u0301", "\u00e9", "\u202eright", "x" * 1000, "true", "0", "[1]", "Audit:x"]


@pytest.mark.parametrize("odd", ODD_NAMES)
def test_odd_names(w, trigger, odd):
    """A Name is any text: it comes back in the header, is addressed exactly, and listed."""
    a, c, plain = w.up(G1, odd), w.up(G2, odd), w.up(G1, unique())
    assert a.name.strip() == odd.strip()  # HTTP has no white space at the ends of a value
    a.name = c.name = odd
    w.send("to the odd one", trigger, name=odd)
    assert w.seen(a, c, plain, gateway=trigger) == [["to the odd one"]] * 2 + [[]]
    assert odd in w.adm("names", trigger) and sorted(w.adm("clients", trigger, name=odd)) == sorted([a.id, c.id])
    w.send("everybody", trigger)
    assert w.seen(a, c, plain, by=w.everywhere(trigger)) == [["everybody"]] * 3


@pytest.mark.parametrize("odd", [odd for odd in ODD_NAMES if odd.strip() == odd])
def test_odd_ids_and_groups(w, trigger, odd):
    name = unique()
    a, b = w.up(1 - trigger, name, group=odd, id=odd), w.up(trigger, name)
    assert (a.id, a.group) == (odd, odd)
    w.send("by id", trigger, name=name, client_id=odd)
    w.send("by group", trigger, name=name, group=odd)
    b.say("by a client", path=name, group=odd, clientId=odd)
    assert w.seen(a, b, by=say(b, path=name)) == [["by id", "by group", "by a client"], []]
    assert w.adm("exists", name=name, client_id=odd) is True and w.adm("groups", name=name) == [odd]


def test_unicode_forms_are_different_names(w, trigger):
    """Names are bytes: é as one or as two code points are two Names."""
    composed, decomposed = w.up(G1, unique() + "\u00e9"), None
    decomposed = w.up(G2, composed.name.replace("\u00e9", "e\u0301"))
    w.send("composed", trigger, name=composed.name)
    assert w.seen(composed, decomposed, gateway=trigger) == [["composed"], []]


@pytest.fixture
def many_descriptors():
    """Room for two thousand sockets in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_many_names(w, trigger, many_descriptors):
    """300 Names, in every partition: a send without a Name reaches each client once; a send to all of them too."""
    clients = [w.up(number % 2, unique("many")) for number in range(300)]
    w.send("everybody", trigger)
    w.send("all of you", trigger, name=[client.name for client in clients])
    seen = w.seen(*clients, by=w.everywhere(trigger))
    assert all(sorted(messages) == ["all of you", "everybody"] for messages in seen)
    assert {client.name for client in clients} <= set(w.adm("names", trigger))


def test_a_thousand_groups_in_one_name(w, trigger, many_descriptors):
    name = unique()
    clients = [w.up(number % 2, name, group=f"g{number}") for number in range(1000)]
    assert len(w.adm("groups", trigger, name=name)) == 1000
    w.send("one", trigger, name=name, group="G7")
    w.send("half", trigger, name=name, group=[f"g{number}" for number in range(0, 1000, 2)])
    expected = [(["one"] if number == 7 else []) + (["half"] if number % 2 == 0 else []) for number in range(1000)]
    token = unique("fence")
    w.send(token, trigger, name=name)
    assert [client.until(token) for client in clients] == expected


def test_filters_at_random(w, request):
    """Sends with any filters against a model of what they mean."""
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
    print("SEED", seed)
    rng = random.Random(seed)
    names = [unique("r") for _ in range(4)]
    groups = [None, "Users", "uSERS", "Admins", "ÉÉ"]
    ids = [unique("id") for _ in range(6)]
    clients = {}
    for _ in range(24):
        name, group, id = rng.choice(names), rng.choice(groups), rng.choice(ids)
        if (name, id) not in clients:
            clients[name, id] = w.up(rng.randrange(2), name, group, id)
    expected = {key: [] for key in clients}

    def some(values):
        """Absent, empty, one, or a list."""
        kind = rng.randrange(5)
        return [None, "", rng.choice(values), rng.sample(values, 2), [rng.choice(values), unique("nobody")]][kind]

    def fits(value, wanted):
        """Whether the value is among the wanted ones; no wanted one fits all."""
        listed = {item for item in (wanted if isinstance(wanted, list) else [wanted]) if item}
        return not listed or value in listed

    def lower(wanted):
        return [item.lower() for item in wanted] if isinstance(wanted, list) else wanted and wanted.lower()

    for number in range(60):
        to = {"name": some(names), "group": some(["USERS", "admins", "ÉÉ", "none"]), "client_id": some(ids)}
        text = str(number)
        w.send(text, G1, **{key: value for key, value in to.items() if value is not None})
        for (name, id), client in clients.items():
            group = (client.group or "").lower()
            if fits(name, to["name"]) and fits(id, to["client_id"]) and fits(group, lower(to["group"])):
                expected[name, id].append(text)
    seen = w.seen(*clients.values(), by=w.everywhere(G1))
    # Sends to one Name and sends to every Name enter by different partitions: only their sets are compared.
    assert [sorted(messages) for messages in seen] == [sorted(messages) for messages in expected.values()]


# -- handlers that misbehave

BAD = ["loop", "alloc", "recurse", "throw", "catch", "match"]


@pytest.mark.parametrize("kind", BAD)
def test_bad_signal_route_ends_alone(w, trigger, kind):
    """The connection stays, others are served, and the broker's state still works afterwards."""
    bad, good = w.socket(trigger, "bad/" + kind), w.socket(trigger, "echo")
    for _ in range(3):
        bad.say("x")
        good.send_text(STILL_THERE)
        assert good.recv(20) == STILL_THERE
    w.send("open", trigger, name=bad.name)
    assert bad.recv(20) == "open"
    assert not any(daemon.is_crashed for daemon in w.cluster.daemons)


def test_signal_route_that_yields_in_a_loop_holds_nobody_up(w, trigger):
    bad, good = w.socket(trigger, "bad/yield"), w.socket(trigger, "echo")
    bad.say("x")
    for number in range(100):
        text = '{"number": %d}' % number
        good.send_text(text)
        assert good.recv(20) == text


@pytest.mark.parametrize("kind", ["loop", "alloc", "recurse", "throw"])
def test_bad_http_route_is_a_500(w, trigger, kind):
    a = w.socket(trigger, "echo")
    assert w.cluster.http(trigger, "GET", "/bad/" + kind, timeout=20).status == 500
    assert w.cluster.http(trigger, "GET", "/plain").status == 200
    a.send_text(STILL_THERE)
    assert a.recv() == STILL_THERE


def test_sandbox(w):
    for where in w.adm, lambda op: w.broker(op):
        has = where("sandbox")
        assert {key for key, value in has.items() if value not in ("nil",)} == {"date", "getenv"}


@pytest.mark.parametrize("op", ["require_outside", "require_above"])
def test_require_stays_beside_the_app_file(w, op):
    assert w.refused(op)


# -- reload

@pytest.fixture
def reloadable(tmp_path):
    """A cluster whose app can be changed: set_version(v) rewrites it."""
    app = tmp_path / "app"
    shutil.copytree(APP, app)
    original = (app / "app.lua").read_text()

    def set_version(version, broken=""):
        (app / "app.lua").write_text(original + f"""
            signalbox.route("GET", "/version", function(web) web:text("{version}") end)
            signalbox.signal_route("/s/version", function(event) event.response:send("{version}") end)
            {broken}""")
    set_version("one")
    with Cluster(app / "app.lua") as cluster:
        world = World(cluster)
        yield world, set_version
        world.leave()


def versions(world, client):
    """What both gateways and the broker say."""
    client.say("x")
    return [world.cluster.http(gateway, "GET", "/version").text for gateway in (G1, G2)] + [client.recv()]


def reload_by_cli(cluster):
    cluster.cli("reload")


def reload_by_hup(cluster):
    for daemon in cluster.daemons:
        daemon.hup()


@pytest.mark.parametrize("how", [reload_by_cli, reload_by_hup])
def test_reload_under_traffic(reloadable, how):
    """The new app is in force on every process; no connection drops, no message is lost, doubled or reordered."""
    world, set_version = reloadable
    asker = world.socket(G1, "version")
    listeners, sender = [world.up(G1, "Traffic"), world.up(G2, "Traffic")], world.up(G1, "Traffic")
    assert versions(world, asker) == ["one"] * 3
    stop, sent = threading.Event(), []

    def publish():
        while not stop.wait(0.002):
            sender.say(str(len(sent)), path="Traffic", clientId=[client.id for client in listeners])
            sent.append(str(len(sent)))
    thread = threading.Thread(target=publish)
    thread.start()
    try:
        set_version("two")
        how(world.cluster)
        eventually(lambda: versions(world, asker) == ["two"] * 3)
        at_least = len(sent) + 100
        eventually(lambda: len(sent) > at_least)
    finally:
        stop.set()
        thread.join()
    sender.say("end", path="Traffic", clientId=[client.id for client in listeners])
    for client in listeners:
        assert client.until("end") == sent


def test_reload_of_a_broken_app_keeps_the_old_one(reloadable):
    world, set_version = reloadable
    asker = world.socket(G1, "version")
    set_version("two", broken="this is no Lua")
    done = world.cluster.cli("reload", check=False)
    reload_by_hup(world.cluster)
    for daemon in world.cluster.daemons:
        daemon.wait_log("app.lua:")
    assert versions(world, asker) == ["one"] * 3
    assert done.returncode == 1 and "app.lua" in done.stderr
    set_version("three")
    reload_by_cli(world.cluster)
    eventually(lambda: versions(world, asker) == ["three"] * 3)
