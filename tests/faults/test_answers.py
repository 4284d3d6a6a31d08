"""Redis closes the connection whose answer is over client-output-buffer-limit normal: reads become smaller, none repeats for ever."""
import pathlib

from harness import Cluster, Refused, eventually

APP = pathlib.Path(__file__).parent / "large.lua"


def resume(cluster, path):
    try:
        return cluster.client(0, path, headers={"Sec-WebSocket-Protocol": "signalbox.v1"})
    except Refused as refused:
        assert refused.status == 503
        return None


def test_reads_fit_what_redis_answers():
    """Partitions, histories and the public stream are read in smaller pieces; an entry that nobody may send is stepped over."""
    with Cluster(APP, gateways=1, brokers=1, args=["--history-bytes", "33554432"]) as cluster:
        r = cluster.redis
        r.config_set("client-output-buffer-limit", "normal 1500kb 0 0")
        cluster.brokers[0].stop()
        for i in range(30):
            r.xadd("signalbox:send", {"m": '{"name":"a","data":"%d %s"}' % (i, "x" * 200_000)})
        r.xadd("signalbox:send", {"m": "y" * 9_000_000})
        r.xadd("signalbox:send", {"m": '{"name":"a","data":"end"}'})
        with cluster.client(0, "/up?name=a", headers={"Sec-WebSocket-Protocol": "signalbox.v1"}) as reader:
            hello = reader.recv_json()
            cluster.brokers[0].cont()
            numbers = []
            while True:
                message = reader.recv_json(30)
                if message["type"] != "message":
                    continue
                if message["data"] == "end":
                    break
                numbers.append(int(message["data"].split()[0]))
            assert numbers == list(range(30))
        eventually(lambda: b"bytes" in r.xrevrange("signalbox:refused", count=1)[0][1][b"reason"])
        # 6 MB of history, resumed from the beginning: a few attempts are told 503, then it comes
        path = "/up?name=a&signalbox-resume=" + hello["id"]
        numbers = []
        with eventually(lambda: resume(cluster, path), 20) as again:
            while len(numbers) < 30:
                message = again.recv_json(30)
                if message["type"] == "message":
                    numbers.append(int(message["data"].split()[0]))
        assert numbers == list(range(30))
        cluster.wait_ready()
