"""The public stream without a broker: what is ours stops at a bound and says so; with a broker everything is taken."""
import pathlib
import subprocess

from harness import Cluster, eventually
from harness.cluster import BIN

APP = pathlib.Path(__file__).parent / "large.lua"
MOST = 50_000


def test_the_public_stream_is_bounded():
    with Cluster(APP, gateways=1, brokers=1) as cluster:
        r, gateway = cluster.redis, cluster.gateways[0]
        cluster.brokers[0].term().wait()
        pipe = r.pipeline(transaction=False)
        for _ in range(MOST - 300):
            pipe.xadd("signalbox:send", {"m": '{"name":"a","data":"x"}'})
        pipe.execute()
        lines = "line\n" * 2000
        done = subprocess.run([BIN / "signalbox", "send", "a", "--stdin", "--no-wait", "--redis", cluster.redis_url],
                              text=True, input=lines, capture_output=True)
        assert done.returncode == 1 and "wait in the public stream, at most 50000 may" in done.stderr
        assert MOST <= r.xlen("signalbox:send") < MOST + 1000
        eventually(lambda: gateway.metrics()["signalbox_public_backlog"] >= MOST)
        reply = gateway.admin("POST", "/send", {"name": "a", "data": "x"})
        assert reply.status == 503 and "no broker takes them" in reply.text
        eventually(lambda: "messages wait in the public stream" in gateway.admin("GET", "/readyz").text)
        assert gateway.metrics()["signalbox_trouble_backlog"] == 1
        cluster.brokers[0].start()
        eventually(lambda: r.xlen("signalbox:send") <= 1, 60)
        eventually(lambda: gateway.admin("POST", "/send", {"name": "a", "data": "x"}).status == 202)
