"""Four publishers, two gateways, 200 clients: each has each message once, and all in the same order."""
import json
import pathlib
import threading

from harness import Client, Cluster, Fanout
from harness.fanout import frame_size

APP = pathlib.Path(__file__).parents[1] / "conformance" / "app" / "app.lua"
EACH, CLIENTS = 5000, 200


def texts(publisher):
    return [f"{publisher}-{number:05d}" for number in range(EACH)]


def publish_by_client(cluster, gateway, publisher):
    client = Client(cluster.address(gateway), "/up?name=Publisher")
    for text in texts(publisher):
        client.say(text, path="Order")
    client.sync()
    client.close()


def publish_by_xadd(cluster, publisher):
    redis = cluster.redis
    for start in range(0, EACH, 100):
        batch = redis.pipeline(transaction=False)
        for text in texts(publisher)[start:start + 100]:
            batch.xadd("signalbox:send", {"m": json.dumps({"name": "Order", "data": text})})
        batch.execute()


def publish_by_cli(cluster, publisher):
    cluster.cli("send", "Order", "--stdin", stdin="".join(text + "\n" for text in texts(publisher)), timeout=60)


def test_one_order_for_all():
    with Cluster(APP) as cluster:
        with Fanout([cluster.address(0), cluster.address(1)], "/up?name=Order", CLIENTS) as fanout:
            publishers = [(publish_by_client, 0, "a"), (publish_by_client, 1, "b"), (publish_by_xadd, "c"),
                          (publish_by_cli, "d")]
            failures = []

            def run(publish, *args):
                try:
                    publish(cluster, *args)
                except BaseException as error:  # noqa: BLE001 - told below
                    failures.append(error)
            threads = [threading.Thread(target=run, args=publisher) for publisher in publishers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert not failures, failures
            fanout.wait_for(4 * EACH * frame_size(len("a-00000")), 60)
            received = fanout.messages()

    order = received[0]
    assert len(order) == 4 * EACH and len(set(order)) == 4 * EACH
    for publisher in "abcd":
        assert [text for text in order if text.startswith(publisher)] == texts(publisher), "the publisher's own order"
    assert [number for number, other in enumerate(received) if other != order] == []
