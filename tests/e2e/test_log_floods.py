"""A client cannot fill a disk, nor can a publisher: every entrance is flooded with what ends in a line of the log."""
import pathlib

import pytest

from harness import Cluster, RawWs, Refused, eventually

APP = pathlib.Path(__file__).parent / "app" / "floods.lua"
FLOOD = 3000
LINES = 110  # of one kind: LOG_BURST of log.h twice, and what is regained in a minute
PRINTED = 1120  # what an app prints: LOG_APP_BURST, and what is regained in two minutes


@pytest.fixture(scope="module")
def cluster():
    with Cluster(APP, gateways=1, brokers=1) as running:
        yield running


def lines(cluster, word):
    return sum(word in line for daemon in cluster.daemons for line in daemon.log().splitlines())


def counted(cluster, metric):
    return sum(daemon.metrics().get(metric, 0) for daemon in cluster.daemons)


def say(cluster, path):
    """FLOOD messages of one client."""
    with cluster.client(0, path) as client:
        for _ in range(FLOOD):
            client.say("x")


def publish(cluster, send):
    pipe = cluster.redis.pipeline(transaction=False)
    for _ in range(FLOOD):
        send(pipe)
    pipe.execute()


ENTRANCES = {
    "a level, client": (lambda c: say(c, "/up?name=Guarded"), "signalbox_refused_level_total", "refused", LINES),
    "a handler fails": (lambda c: say(c, "/fails"), "signalbox_handler_errors_total", "failed", LINES),
    "bad XADD": (lambda c: publish(c, lambda p: p.xadd("signalbox:send", {"m": "{"})), "signalbox_refused_input_total", "refused", LINES),
    "XADD without m": (lambda c: publish(c, lambda p: p.xadd("signalbox:send", {"x": "{"})), "signalbox_refused_input_total", "refused", LINES),
    "bad PUBLISH": (lambda c: publish(c, lambda p: p.publish("signalbox:send", '{"name":"n"}')), "signalbox_refused_input_total", "refused", LINES),
    "a level, XADD": (lambda c: publish(c, lambda p: p.xadd("signalbox:send", {"m": '{"name":"Guarded","data":"x"}'})),
                      "signalbox_refused_level_total", "refused", LINES),
}


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_flood_is_counted_and_not_written(cluster, entrance):
    flood, metric, word, bound = ENTRANCES[entrance]
    before, written = counted(cluster, metric), lines(cluster, word)
    flood(cluster)
    eventually(lambda: counted(cluster, metric) - before >= FLOOD, 30, metric)
    assert lines(cluster, word) - written <= bound
    assert counted(cluster, "signalbox_log_suppressed_total") > 0


def test_what_an_app_prints_is_bounded_later(cluster):
    before = counted(cluster, "signalbox_entries_total")
    say(cluster, "/prints")
    eventually(lambda: counted(cluster, "signalbox_entries_total") - before >= FLOOD, 30)
    assert 900 < lines(cluster, "printed") <= PRINTED


def test_registrations_that_redis_refuses(cluster):
    """Redis is full: every upgrade is refused, and the log has a few lines of it."""
    cluster.redis.config_set("maxmemory", 1)
    try:
        for _ in range(300):
            with pytest.raises(Refused):
                cluster.client(0, "/up?name=Full")
    finally:
        cluster.redis.config_set("maxmemory", 0)
    assert lines(cluster, "refused_registration") <= LINES
    cluster.wait_ready()


def test_routes_and_requests_that_fail(cluster):
    written = sum(len(daemon.log()) for daemon in cluster.daemons)
    for _ in range(300):
        assert cluster.http(0, "GET", "/error").status == 500
        with RawWs(cluster.address(0)) as raw:
            raw.send_bytes(b"GET /up HTTP/9.9\r\n\r\n")
        with RawWs(cluster.address(0)) as raw:
            raw.send_bytes(b"\x00\xff" * 100)
    assert sum(len(daemon.log()) for daemon in cluster.daemons) - written < LINES * 400


def test_refused_messages_are_kept_in_a_bounded_stream(cluster):
    """The last thousand, each cut."""
    publish(cluster, lambda p: p.xadd("signalbox:send", {"m": "{"}))
    eventually(lambda: cluster.redis.xlen("signalbox:send") == 0, 30)
    assert cluster.redis.xlen("signalbox:refused") == 1000
    cluster.redis.xadd("signalbox:send", {"m": '{"name":"n","data":1,"reason":"' + "x" * 100000})
    eventually(lambda: b"x" * 900 in cluster.redis.xrevrange("signalbox:refused", count=1)[0][1][b"m"])
    assert len(cluster.redis.xrevrange("signalbox:refused", count=1)[0][1][b"m"]) <= 1024
