"""Exactly once upwards: clients of signalbox.v1 whose messages have ids of their own, beside whatever dies."""
import random
import re
import threading

from harness import Closed, Cluster, Refused, eventually
from load import NAMES
from world import APP, LONG, key_of

SENDERS, MESSAGES, ROUNDS = 6, 60, 20 if LONG else 5
V1 = {"Sec-WebSocket-Protocol": "signalbox.v1"}


class Sender:
    """Says its messages in order, and after each reconnect, at any gateway, those again that were not acknowledged."""

    def __init__(self, cluster, number, seed):
        self.cluster, self.number, self.random = cluster, number, random.Random(seed * 100 + number)
        self.waiting, self.acks, self.connections, self.trouble = [], {}, 0, None

    def start(self, messages):
        self.waiting = list(messages)
        self.thread = threading.Thread(target=self.say_all, daemon=True)
        self.thread.start()

    def speak(self, client):
        """Say all that waits, at most 5 before an answer comes."""
        on_the_way, rest = [], list(self.waiting)
        while rest or on_the_way:
            while rest and len(on_the_way) < 5:
                on_the_way.append(rest.pop(0))
                client.say(f"<{self.number}.{on_the_way[-1]}>", path=NAMES[self.number], ref=on_the_way[-1], id=on_the_way[-1])
            frame = client.recv_json(2)
            if frame["type"] == "ack":
                self.acks.setdefault(frame["ref"], set()).add(frame["id"])
                self.waiting = [message for message in self.waiting if message != frame["ref"]]
                on_the_way = [message for message in on_the_way if message != frame["ref"]]
            elif frame["type"] == "error":
                self.trouble = frame
                return

    def say_all(self):
        while self.waiting and self.trouble is None:
            try:
                path = f"/n/Own?client_id=own{self.number}&token=t"
                with self.cluster.client(self.random.randrange(2), path, V1, timeout=3) as client:
                    self.connections += 1
                    self.speak(client)
            except (OSError, Refused, Closed):
                continue


class Published(threading.Thread):
    """What Redis is told to publish, for each text under which ids."""

    def __init__(self, redis):
        super().__init__(daemon=True)
        self.ids, self.is_over = {}, False
        self.feed = redis.pubsub()
        self.feed.subscribe(*[key_of(name, "n:") for name in NAMES])

    def run(self):
        while not self.is_over:
            got = self.feed.get_message(timeout=0.2)
            if got is not None and got["type"] == "message":
                for text in re.findall(rb"<\d+\.\d+>", got["data"]):
                    self.ids.setdefault(text.decode(), []).append(got["data"])


def test_each_is_published_once(seed):
    """Gateways and brokers are killed again and again; each message is acknowledged under one id and published once."""
    with Cluster(APP, gateways=2, brokers=2) as cluster:
        published = Published(cluster.redis)
        published.start()
        senders, chance = [Sender(cluster, number, seed) for number in range(SENDERS)], random.Random(seed)
        for at in range(0, ROUNDS * MESSAGES, MESSAGES):
            victim = chance.choice(cluster.gateways + cluster.brokers)
            for sender in senders:
                sender.start(range(at, at + MESSAGES))
            left = chance.randrange(SENDERS * MESSAGES // 2, SENDERS * MESSAGES)
            eventually(lambda: sum(len(sender.waiting) for sender in senders) < left, 60, "the senders begin")
            victim.kill()
            victim.restart()
            for sender in senders:
                sender.thread.join(60)
        total = ROUNDS * MESSAGES
        assert [sender.trouble for sender in senders] == [None] * SENDERS
        eventually(lambda: len(published.ids) == SENDERS * total, 10, "all are published")
        published.is_over = True
        published.join()
        assert {text: len(ids) for text, ids in published.ids.items() if len(ids) != 1} == {}
        for sender in senders:
            assert sorted(sender.acks) == list(range(total)) and all(len(ids) == 1 for ids in sender.acks.values())
        print(f"{sum(sender.connections for sender in senders)} connections")
