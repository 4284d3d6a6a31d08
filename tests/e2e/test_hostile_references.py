"""Requests that name a connection cost what a look-up costs, however many Names and connections there are."""
import concurrent.futures
import pathlib
import resource

import pytest

from harness import Cluster, Refused

APP = pathlib.Path(__file__).parent / "app" / "reference.lua"
NAMES = 50_000
LOOKING = "hget", "zrangebylex", "exists"
SCANNING = "scan", "hscan", "sscan", "hgetall", "smembers", "keys"


@pytest.fixture(scope="module")
def cluster():
    """With many Names in Redis, as if other gateways had registered a connection in each."""
    with Cluster(APP, gateways=1) as running:
        tag = next(key for key in running.redis.scan_iter("sb:{*}:own") if b"{sb}" not in key)[:-3]
        fill = "for i = 1, ARGV[1] do redis.call('HSET', KEYS[1] .. 'c:many' .. i, 'id' .. i, 'gone:1:1|') end"
        running.redis.eval(fill, 1, tag, NAMES)
        yield running


def calls(cluster):
    """How often each command of the registry was called since the last time. The processes look at each other now and
    then by some of them, so that what is asked for here is fewer than one for each of many requests."""
    stats = cluster.redis.info("commandstats")
    cluster.redis.config_resetstat()
    return {name: stats.get("cmdstat_" + name, {"calls": 0})["calls"] for name in LOOKING + SCANNING}


def refer(cluster, path, id, name=None, **options):
    fields = {"X-PODE-SIGNAL-CLIENT-ID": id, "X-PODE-SIGNAL-NAME": name}
    return cluster.http(0, "GET", path, headers={key: value for key, value in fields.items() if value}, **options)


@pytest.mark.parametrize("path, status", [("/blind", 200), ("/nowhere", 404), ("/files/reference.lua", 200)])
@pytest.mark.parametrize("name", [None, "many1"])
def test_nothing_is_looked_up_that_nobody_looks_at(cluster, path, status, name):
    calls(cluster)
    for _ in range(50):
        assert refer(cluster, path, "x", name).status == status
    after = calls(cluster)
    assert sum(after[name] for name in SCANNING) < 50 and after["hget"] < 50
    assert after["zrangebylex"] == 0


def test_an_id_alone_is_looked_up_without_a_scan(cluster):
    with cluster.raw(0) as client:
        client.request("/up?name=here&id=me")
        assert client.read_head().status == 101
        calls(cluster)
        assert refer(cluster, "/who", "me").json() == {"name": "here", "is_kept": True}
        assert [refer(cluster, "/who", "nobody").status for _ in range(20)] == [400] * 20
        after = calls(cluster)
        assert sum(after[name] for name in SCANNING) < 21
        assert after["zrangebylex"] == 21 * 16


def test_an_id_that_many_names_bear_costs_no_more(cluster):
    clients = []
    for i in range(60):
        clients.append(cluster.raw(0))
        clients[-1].request(f"/up?name=twin{i}&id=twin")
        assert clients[-1].read_head().status == 101
    calls(cluster)
    assert refer(cluster, "/who", "twin").status == 400
    assert refer(cluster, "/who", "twin", "twin7").json()["name"] == "twin7"
    assert calls(cluster)["hget"] < 2 * 16 + 1 + 30
    for client in clients:
        client.drop()


def test_what_cannot_be_looked_up_is_told(cluster):
    assert refer(cluster, "/caught", "nobody", "none").status == 404
    reply = refer(cluster, "/sorted", "nobody", "none")
    assert reply.status == 200 and "cannot wait" in reply.text
    assert refer(cluster, "/who", "nobody", "none").status == 404
    with pytest.raises(Refused) as refused:
        with cluster.raw(0) as client:
            client.upgrade("/up?name=x", {"X-PODE-SIGNAL-CLIENT-ID": "nobody"})
    assert refused.value.status == 400


def test_whether_somebody_is_there_is_a_look_up(cluster):
    with cluster.raw(0) as client:
        client.request("/up?name=crowd&id=me")
        assert client.read_head().status == 101
        key = next(cluster.redis.scan_iter("*:c:crowd", count=100_000))
        fill = "for i = 1, ARGV[1] do redis.call('HSET', KEYS[1], 'id' .. i, 'gone:1:1|') end"
        cluster.redis.eval(fill, 1, key, NAMES)
        calls(cluster)
        for _ in range(20):
            assert cluster.http(0, "GET", "/exists?name=crowd&id=none").json() == {"name": True, "id": False}
        assert sum(calls(cluster)[name] for name in SCANNING) < 20


def test_many_at_once_cost_little_memory_and_keep_nobody_waiting(cluster):
    """What a stranger sends on any URL; and an app whose route lists all Names is asked a few at a time."""
    def memory():
        with open(f"/proc/{cluster.gateways[0].pid}/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    before = memory()
    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        statuses = list(pool.map(lambda _: refer(cluster, "/who", "x").status, range(600)))
        assert statuses == [400] * 600
        lists = list(pool.map(lambda _: cluster.http(0, "GET", "/count", timeout=60).json()["count"], range(60)))
    assert min(lists) >= NAMES
    assert memory() - before < 200 << 20
