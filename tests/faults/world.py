"""A cluster, its load and its observer: everything a fault test needs, in a line each.

    def test_broker_killed(world):
        w = world()                                  # two gateways, two brokers, clients, publishers; all is flowing
        w.cluster.brokers[0].kill()
        w.delivers(6 * SLACK, "after kill -9")       # I8
        w.check("I1 I2 I3 I4 I5 I6 I7 I8")           # silence, then the books are compared

The seed is printed; SIGNALBOX_SEED=<seed> repeats the choices. Times of the specification are multiplied by SLACK or by
what the test says, and by how many processes want each processor: the machine is shared.
"""
import json
import os
import pathlib
import random
import threading
import time

import msgpack
import redis

import invariants
from harness import Cluster, eventually, free_port
from invariants import EVERY, Event, Evidence, Recovery, parse_id
from load import NAMES, Books, Load, body_of
from harness.proxy import Proxy

APP = pathlib.Path(__file__).parent / "app"
LONG = os.environ.get("SIGNALBOX_LONG") == "1"
SLACK = 3.0
PARTITIONS = 16
SETTLE = 30.0
AUDIT = "Audit"
PAGE = 1000
KIND_DATA = 1  # of envelope.def


def running_now():
    """How many threads run or want to."""
    with open("/proc/loadavg") as file:
        return int(file.read().split()[3].split("/")[0])


class Crowd:
    """Counts, from now on, how many threads want each processor: what takes a second alone takes so many in the crowd."""

    def __init__(self):
        self.samples = [running_now()]

    def look(self):
        self.samples.append(running_now())

    def allows(self, seconds):
        self.look()
        mean = sum(self.samples) / len(self.samples)
        return seconds * max(1.0, mean / len(os.sched_getaffinity(0)))


# -- partitions, as common/bus/partition.h has them

def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def base36(n):
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = digits[n % 36]
    while n := n // 36:
        text = digits[n % 36] + text
    return text


def make_tags(partitions):
    tags, n = {}, 0
    while len(tags) < partitions:
        tags.setdefault(crc16(base36(n).encode()) % 16384 * partitions // 16384, base36(n))
        n += 1
    return tags


TAGS = make_tags(PARTITIONS)


def partition_of(name):
    return crc16(name.encode()) % PARTITIONS


def key(partition, what):
    return f"sb:{{{TAGS[partition]}}}:{what}"


def key_of(name, what):
    return key(partition_of(name), what + name)


def join(redis, name):
    """The Name has a history from now on, as if a client had joined it."""
    redis.set(key_of(name, "l:"), "0-0", nx=True)


# -- the cluster

class FaultCluster(Cluster):
    """With proxied=True each process reaches Redis over a proxy of its own: cluster.proxies["gateway1"].
    redis_runner: a command line that runs redis-server, whose words follow it."""

    def __init__(self, proxied=False, redis_runner=(), **options):
        self.proxied, self.proxies = proxied, {}
        super().__init__(APP, **options)
        if self.redis_server:
            self.redis_server.argv = [*redis_runner, *self.redis_server.argv]

    def redis_client(self, timeout=3):
        """For the test itself: never over a proxy."""
        return redis.Redis.from_url(self.redis_url, socket_timeout=timeout)

    def redis_url_for(self, name):
        if not self.proxied:
            return self.redis_url
        self.proxies[name] = Proxy(("127.0.0.1", self.redis_port), free_port())
        return f"redis://127.0.0.1:{self.proxies[name].port}"

    def proxies_of(self, kind):
        return [proxy for name, proxy in self.proxies.items() if name.startswith(kind)]

    def end(self):
        super().end()
        for proxy in self.proxies.values():
            proxy.close()


# -- what happens in Redis

class Observer(threading.Thread):
    """Reads the histories as they grow, far faster than they are trimmed, and samples sizes."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster = cluster
        self.redis = cluster.redis_client()
        self.keys = [key_of(name, "h:") for name in NAMES] + [key(p, "h*") for p in range(PARTITIONS)]
        self.audit = key_of(AUDIT, "h:")
        join(self.redis, AUDIT)
        self.last = {key: "-" for key in [*self.keys, self.audit]}
        self.ids = {key: [] for key in self.last}     # of all entries
        self.messages = {key: [] for key in self.keys}  # (id, uid) of those with data
        self.uids = {key: set() for key in self.keys}
        self.events = {}  # id -> Event
        self.highest_rss, self.highest_ingest = {}, 0
        self.stopping, self.lock = threading.Event(), threading.Lock()
        self.error = None

    def run(self):
        while not self.stopping.wait(0.15):
            try:
                self.poll()
            except redis.RedisError:
                continue
            except Exception as error:  # a message nobody understands: the test has to fail
                self.error = error
                return

    def poll(self):
        """Read what is new. Any thread may ask for it."""
        with self.lock:
            while self._read():
                pass
        for process in self.cluster.processes:
            self._sample(process)

    def _read(self):
        """Whether there may be more."""
        pipe = self.redis.pipeline(transaction=False)
        for one in self.last:
            pipe.xrange(one, self.last[one], "+", PAGE)
        for partition in range(PARTITIONS):
            pipe.xlen(key(partition, "in"))
        answers = pipe.execute()
        logs, lengths = answers[:len(self.last)], answers[len(self.last):]
        for one, entries in zip(list(self.last), logs):
            for id, fields in entries:
                self._entry(one, id.decode(), fields[b"m"])
        self.highest_ingest = max(self.highest_ingest, *lengths)
        return any(len(entries) == PAGE for entries in logs)

    def _entry(self, one, id, blob):
        message = msgpack.unpackb(blob, raw=True)
        assert message[1].decode() == id, f"{one}: the entry {id} says it is {message[1]}"
        self.last[one] = "(" + id
        id = parse_id(id)
        self.ids[one].append(id)
        if message[3] != KIND_DATA:
            return
        data = json.loads(message[10])
        if one == self.audit:
            self.events[id] = data
        else:
            self.messages[one].append((id, data["uid"]))
            self.uids[one].add(data["uid"])

    def _sample(self, process):
        try:
            with open(f"/proc/{process.pid}/statm") as file:
                size = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
        except (OSError, AttributeError, IndexError):
            return
        self.highest_rss[process.name] = max(size, self.highest_rss.get(process.name, 0))

    def keys_of(self, name):
        return [key_of(name, "h:"), key(partition_of(name), "h*")]

    def log(self, name):
        return [message for one in self.keys_of(name) for message in list(self.messages[one])]

    def has(self, uid, name):
        return any(uid in self.uids[one] for one in self.keys_of(name))

    def stop(self):
        self.stopping.set()
        self.join(10)


def read_registry(client):
    """{Name: {client id: token}}, and members of gateways' sets that are not in it."""
    registry, values = {}, {}
    for name in NAMES:
        values[name] = client.hgetall(key_of(name, "c:"))
        registry[name] = {id.decode(): value.decode().partition("|")[2] for id, value in values[name].items()}
    strays = []
    for partition in range(PARTITIONS):
        for gateway in client.smembers(key(partition, "gws")):
            for member in client.smembers(key(partition, f"g:{gateway.decode()}")):
                if member:  # the empty one fences a dead gateway
                    name, id, value = member.split(b"\0", 2)
                    if name.decode() in values and values[name.decode()].get(id) != value:
                        strays.append(member)
    return registry, strays


# -- all of it

class World:
    """rate: messages a second; plain, v1: clients of each Name; passengers: clients that come and go.
    prepare: called with the cluster before it starts; its result is `prepared`. The rest: FaultCluster."""

    def __init__(self, seed, plain=1, v1=2, rate=120, passengers=3, plain_talker=True, every_rate=2, prepare=None,
                 cluster_type=FaultCluster, **options):
        self.seed, self.random = seed, random.Random(seed)
        self.talk = {"rate": rate, "passengers": passengers, "plain": plain_talker, "every_rate": every_rate}
        self.counts = (plain, v1)
        self.evidence = Evidence(NAMES)
        self.probes = 0
        options = {"gateways": 2, "brokers": 2, **options}
        self.cluster = cluster_type(**options)
        self.prepared = prepare(self.cluster) if prepare else None
        self.load = self.observer = None

    def begin(self):
        self.cluster.__enter__()
        self.redis = self.cluster.redis_client(timeout=5)
        self.observer = Observer(self.cluster)
        self.observer.start()
        self.load = Load(self.cluster, Books(self.cluster.folder / "accepted.log"), self.seed)
        self.books = self.load.books
        self.load.add_clients(*self.counts)
        self.all_open()
        self.load.talk(**self.talk)
        self.flow(50)
        return self

    def end(self):
        """A process that ended by itself is a failure."""
        if self.load is not None:
            self.load.end()
        if self.observer is not None:
            self.observer.stop()
        self.cluster.__exit__(None, None, None)

    # -- waiting

    def flow(self, messages, timeout=SETTLE):
        """Wait until so many more messages were delivered."""
        goal = self.load.delivered + messages
        eventually(lambda: self.load.delivered >= goal, timeout, f"{messages} more deliveries")

    def hold(self, seconds):
        """How long a fault lasts: the load goes on meanwhile."""
        time.sleep(seconds)

    def all_open(self, timeout=SETTLE):
        """Wait until every listening client is connected."""
        eventually(lambda: all(client.is_open and (client.connection.hello or not client.is_v1)
                               for client in self.load.clients + self.load.talkers), timeout, "all clients connected")

    # -- I8

    def delivers(self, limit, what, since=None):
        """Publish to each Name and wait until its open clients have it; how long that took is checked by I8."""
        began = time.monotonic() if since is None else since
        crowd = Crowd()
        deadline = time.monotonic() + limit + SETTLE
        probes = [self._probe(name, deadline) for name in NAMES]

        def have_arrived():
            """A probe that was sent before its listeners came back says nothing: the next one does."""
            crowd.look()
            probes[:] = [self._probe(sent.name, deadline) if self._came_too_late(sent) else sent for sent in probes]
            return all(map(self._has_arrived, probes))

        eventually(have_arrived, max(1.0, deadline - time.monotonic()), f"delivery {what}")
        self.evidence.recoveries.append(Recovery(what, time.monotonic() - began, crowd.allows(limit)))
        return time.monotonic() - began

    def _probe(self, name, deadline):
        sent = self.books.begin("probe", self.probes, name)
        self.probes += 1
        text = json.dumps({"name": name, "data": body_of(sent), "id": sent.uid})
        while True:
            try:
                self.redis.xadd("signalbox:send", {"m": text})
                self.books.accept(sent)
                return sent
            except redis.RedisError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _came_too_late(self, sent):
        opened = [client.connection.opened for client in self.load.clients if client.name == sent.name and client.is_open]
        return bool(opened) and min(opened) >= sent.began

    def _has_arrived(self, sent):
        listeners = [client for client in self.load.clients if client.name == sent.name and client.is_open
                     and client.connection.opened < sent.began]
        return bool(listeners) and all(self._has_received(client, sent.uid) for client in listeners)

    def _has_received(self, client, uid):
        received = client.connection.received
        return any(received[at][2] == uid for at in range(len(received) - 1, max(-1, len(received) - 500), -1))

    # -- the end

    def settle(self, t5):
        """No more messages; wait until what was accepted has arrived, and registry and events are complete."""
        self.load.hush()
        self._until(lambda: not any(talker.waiting and talker.is_open for talker in self.load.talkers), 10)
        eventually(lambda: all(passenger.is_away for passenger in self.load.passengers), SETTLE, "passengers gone")
        self._until(self._is_everything_published, SETTLE)
        self.all_open()
        self.delivers(SETTLE, "at the end")
        self._until(lambda: self.is_at_rest(), t5)

    def _until(self, question, timeout):
        """Wait, but leave it to the checks to say what is missing."""
        try:
            eventually(question, timeout)
        except AssertionError:
            pass

    def _is_everything_published(self):
        assert self.observer.error is None, f"the observer failed: {self.observer.error!r}"
        return all(self.is_published(sent) for sent in list(self.books.sent.values())
                   if sent.accepted is not None and not invariants.is_excused(self.evidence, sent))

    def is_published(self, sent):
        """Wherever it belongs. A history may have ended before anybody read it: then clients have seen it."""
        names = NAMES if sent.name is EVERY else [sent.name]
        return all(self.observer.has(sent.uid, name) or sent.uid in self.load.seen[name] for name in names)

    def is_at_rest(self):
        self.gather()
        return not invariants.i4(self.evidence, None) and not invariants.i5(self.evidence, None)

    def gather(self):
        """Write the evidence down."""
        self.observer.poll()
        evidence = self.evidence
        evidence.sent, evidence.connections = dict(self.books.sent), list(self.books.connections)
        evidence.logs = {name: self.observer.log(name) for name in NAMES}
        evidence.raw_logs = {one: list(ids) for one, ids in self.observer.ids.items()}
        evidence.events = self.events()
        evidence.registry, evidence.strays = read_registry(self.redis)
        evidence.highest_rss, evidence.highest_ingest = dict(self.observer.highest_rss), self.observer.highest_ingest
        evidence.fenced = "errorstat_FENCED" in self.redis.info("errorstats")
        return evidence

    def events(self):
        """All that were ever published, in their order, whoever read them."""
        found = {**self.observer.events, **self.load.auditor.events}
        return [Event(data["type"], data["name"], data["client_id"], data.get("token"), data.get("cause"))
                for _, data in sorted(found.items())]

    def metric(self, name, daemons):
        """The sum over the processes that run."""
        return sum(daemon.metrics().get(name, 0) for daemon in daemons if daemon.is_running)

    def check(self, which, t5=12 * 1.5):
        self.settle(t5)
        invariants.check(self.gather(), which)
        accepted = sum(sent.accepted is not None for sent in self.books.sent.values())
        print(f"{accepted} messages accepted, {self.load.delivered} delivered, {len(self.books.connections)} "
              f"connections, {len(self.evidence.events)} events")
        for recovery in self.evidence.recoveries:
            print(f"{recovery.what}: {recovery.seconds:.2f} s")

    # -- what tests ask of the history of a run

    def ends(self, connections=None):
        """Connections of listening clients that ended."""
        mine = {client.client_id for client in self.load.clients}
        return [c for c in connections or self.books.connections if c.client in mine and c.opened and c.ended]

    def assert_all_stayed(self):
        ended = self.ends()
        assert not ended, f"clients did not stay: {[(c.client, c.code) for c in ended[:10]]}"

    def owner(self, name):
        """The broker that owns the Name's partition, by what Redis and its log say."""
        holder = self.redis.hget(key(partition_of(name), "own"), "h").decode()
        return next(broker for broker in self.cluster.brokers if broker.is_running and f"id={holder}" in broker.log())
