"""One message that Redis does not take is refused; everything else goes through, exactly once."""
import collections
import pathlib
import subprocess

import pytest

from harness import Closed, Cluster, eventually
from harness.cluster import BIN

APP = pathlib.Path(__file__).parent / "large.lua"
LARGE, HUGE = 2_000_000, 4_000_000
MIB = str(1024 * 1024)


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP, gateways=2, brokers=2) as running:
        yield running


def limit_bulk(redis):
    redis.config_set("proto-max-bulk-len", MIB)


def limit_query_without_config(redis):
    """Redis closes without a word, and CONFIG GET is denied: only the failures tell."""
    redis.config_set("client-query-buffer-limit", MIB)
    redis.execute_command("ACL", "SETUSER", "default", "-config|get")


@pytest.fixture(params=[limit_bulk, limit_query_without_config])
def limited(cluster, request):
    """A cluster whose Redis got a bound that no process was told of."""
    redis = cluster.redis
    request.param(redis)
    yield cluster
    redis.execute_command("ACL", "SETUSER", "default", "+config|get")
    redis.config_set("proto-max-bulk-len", "512mb")
    redis.config_set("client-query-buffer-limit", "1gb")
    redis.flushall()
    for daemon in cluster.daemons:
        daemon.restart()


def refused(cluster):
    return sum(daemon.metrics()["signalbox_refused_too_large_total"] for daemon in cluster.daemons)


def test_a_client_that_says_too_much_is_told(limited):
    """It is closed with 1009; what it and others said before and after arrives once, in order."""
    before = refused(limited)
    with limited.client(1, "/up?name=a") as reader, limited.client(0, "/up?name=a") as other, \
            limited.client(0, "/up?name=b") as culprit:
        culprit.say("before", path="a")
        assert reader.recv() == other.recv() == "before"
        culprit.say("x" * LARGE, path="a")
        for i in range(20):
            other.say(i, path="a")
        with pytest.raises(Closed) as closed:
            culprit.recv(30)
        assert closed.value.code == 1009
        assert [reader.recv(20) for _ in range(20)] == [str(i) for i in range(20)]
        other.say("after", path="a")
        assert reader.recv(20) == "after"
    assert refused(limited) > before
    limited.wait_ready()
    # and the next one at once: the bound is known
    with limited.client(0, "/up?name=b") as culprit:
        culprit.say("x" * LARGE, path="a")
        assert culprit.closing(10)[0] == 1009


def test_a_handler_that_sends_too_much(limited):
    """What it leads to cannot be committed: that message is refused, its partition goes on."""
    before = refused(limited)
    with limited.client(0, "/up?name=a") as reader, limited.client(1, "/grow") as client:
        client.say(10)
        assert reader.recv() == "x" * 10
        client.say(LARGE)
        client.say(20)
        assert reader.recv(40) == "x" * 20
        eventually(lambda: refused(limited) > before)


@pytest.mark.parametrize("leaves", [False, True])
def test_what_memory_has_no_place_for_waits(cluster, leaves):
    """It is not refused: with memory again it arrives once, whether its sender stays or not, and so does what waited."""
    before = refused(cluster)
    with cluster.client(1, "/up?name=a") as reader, cluster.client(0, "/up?name=a") as other, \
            cluster.client(0, "/up?name=b") as neighbour, cluster.client(0, "/up?name=b") as culprit:
        # what Redis keeps of large messages it has had counts as used, and would make room
        eventually(lambda: cluster.redis.info("clients")["client_recent_max_input_buffer"] < 500_000, 20)
        busy = cluster.gateways[0].metrics()["signalbox_ingest_busy_total"]
        cluster.redis.config_set("maxmemory", cluster.redis.info("memory")["used_memory"] + 1_000_000)
        culprit.say("x" * HUGE, path="a")
        eventually(lambda: cluster.gateways[0].metrics()["signalbox_ingest_busy_total"] > busy + 4)
        neighbour.say("behind", path="a")
        other.say("aside", path="a")
        if leaves:
            culprit.close()
        cluster.redis.config_set("maxmemory", "0")
        assert collections.Counter(reader.recv(20) for _ in range(3)) == {"x" * HUGE: 1, "behind": 1, "aside": 1}
        other.say("after", path="a")
        assert reader.recv(20) == "after"
    assert refused(cluster) == before


def test_every_entrance_tells_its_sender(cluster):
    """CONFIG GET told the bound: each entrance refuses with the reason, and no connection breaks."""
    limit_bulk(cluster.redis)
    for daemon in cluster.daemons:
        daemon.restart()
    cluster.wait_ready()
    reconnects = sum(daemon.metrics()["signalbox_redis_reconnects_total"] for daemon in cluster.daemons)
    large = '{"name":"a","data":"' + "x" * LARGE + '"}'
    for daemon in cluster.daemons:
        reply = daemon.admin("POST", "/send", large)
        assert reply.status == 413 and "this Redis takes at most 1048576" in reply.text
    assert cluster.http(0, "GET", f"/gateway/{LARGE}").text.startswith("false ")
    assert "this Redis takes at most 1048576" in cluster.http(0, "GET", f"/gateway/{LARGE}").text
    assert "larger than Redis takes" in cluster.http(0, "GET", f"/store/{LARGE}").text
    done = subprocess.run([BIN / "signalbox", "send", "a", "--stdin", "--redis", cluster.redis_url], text=True,
                          input=f"one\n{'x' * LARGE}\ntwo\n", capture_output=True)
    assert done.returncode == 1 and "line 2: the message has 2" in done.stderr
    with cluster.client(0, "/up?name=a") as reader, cluster.client(0, "/up?name=b") as culprit, \
            cluster.client(1, "/grow") as grow:
        culprit.say("x" * LARGE, path="a")
        assert culprit.closing(10)[0] == 1009
        grow.say(LARGE)
        # the JSON fits, but not what a broker adds to it
        edge = '{"name":"a","data":"' + "y" * (1024 * 1024 - 25) + '"}'
        cluster.redis.xadd("signalbox:send", {"m": edge})
        cluster.redis.xadd("signalbox:send", {"m": '{"name":"a","data":"end"}'})
        assert all(text in ("one", "two", "end") for text in reader.until("end"))
    assert cluster.redis.xlen("signalbox:refused") == 1
    # at most once, and while partitions are handed over not at all: until one was heard
    eventually(lambda: cluster.redis.publish("signalbox:send", edge) and cluster.redis.xlen("signalbox:refused") > 1)
    assert b"this Redis takes at most" in cluster.redis.xrevrange("signalbox:refused", count=1)[0][1][b"reason"]
    after = sum(daemon.metrics()["signalbox_redis_reconnects_total"] for daemon in cluster.daemons)
    assert after == reconnects
    cluster.redis.config_set("proto-max-bulk-len", "512mb")
