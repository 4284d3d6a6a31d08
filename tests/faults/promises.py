"""What a client is promised, judged from what clients write down: each message that one says is published exactly once, and
each message of its Name comes to it once and in order, or it is told of a gap.

A *player* is a program, in any language, that holds clients and writes down what happens to them, one JSON object a line:

    {"c": "ws3", "k": "open", "name": "n3", "recovered": null, "id": "17-0"}    a hello
    {"c": "ws3", "k": "message", "id": "17-1", "uid": "sse2:0"}
    {"c": "ws3", "k": "gap"}                                                    messages are missing here
    {"c": "ws3", "k": "said", "uid": "ws3:0", "name": "n5"}                     for the first time
    {"c": "ws3", "k": "acked", "uid": "ws3:0", "id": "23-0"}                    id null: where it was sent is not known
    {"c": "ws3", "k": "failed", "uid": "ws3:0", "code": "unknown_outcome"}
    {"c": "ws3", "k": "trouble", "what": "…"}                                   whatever must not happen

`Clients` is made of such lines; `findings_of` compares them with what was published, as it was read from Redis. Both are
plain data. A player is told on its input to "hush" (say nothing new; written down as {"k": "hushed"} when every message has
its answer) and to "end" (close all; then {"k": "ended", …} with what it still holds, and its end by itself).
"""
import collections
import dataclasses
import json
import subprocess
import threading
import time
from typing import Optional

from invariants import parse_id

UNKNOWN = "unknown_outcome"  # the only failure after which a message may have been published


@dataclasses.dataclass
class Said:
    uid: str
    name: str
    client: str
    acks: list = dataclasses.field(default_factory=list)
    failure: Optional[str] = None

    @property
    def is_settled(self):
        return bool(self.acks) or self.failure is not None


@dataclasses.dataclass
class Client:
    """seen: ("message", id, uid) and ("gap",), in order."""
    key: str
    name: Optional[str] = None
    start: Optional[tuple] = None  # where its first hello stood
    opens: int = 0
    seen: list = dataclasses.field(default_factory=list)
    trouble: list = dataclasses.field(default_factory=list)


class Clients:
    def __init__(self):
        self.clients, self.said = {}, {}
        self.uids = collections.defaultdict(set)  # of each client: what it has got

    def note(self, line):
        key, kind = line["c"], line["k"]
        client = self.clients.setdefault(key, Client(key))
        if kind == "open":
            self._open(client, line)
        elif kind == "message":
            client.seen.append(("message", line["id"] and parse_id(line["id"]), line["uid"]))
            self.uids[key].add(line["uid"])
        elif kind == "gap":
            client.seen.append(("gap",))
        elif kind == "said":
            self.said[line["uid"]] = Said(line["uid"], line["name"], key)
        elif kind == "acked":
            self.said[line["uid"]].acks.append(line["id"] and parse_id(line["id"]))
        elif kind == "failed":
            self.said[line["uid"]].failure = line["code"]
        else:
            client.trouble.append(line.get("what", line))

    def _open(self, client, line):
        client.opens += 1
        client.name = line["name"]
        if client.start is None:
            client.start = parse_id(line["id"])


# -- judging

def published_once(said, published):
    findings = []
    for one in said.values():
        ids = published[one.name].get(one.uid, [])
        if len(ids) > 1:
            findings.append(f"{one.uid} was published {len(ids)} times to {one.name}: {ids}")
        if not one.is_settled:
            findings.append(f"{one.uid} has no answer")
        elif one.failure is None and not ids:
            findings.append(f"{one.uid} was acknowledged and never published to {one.name}")
        elif one.failure not in (None, UNKNOWN) and ids:
            findings.append(f"{one.uid} failed with {one.failure}, and was published")
        for ack in one.acks:
            if ack is not None and ids and ack not in ids:
                findings.append(f"{one.uid} was acknowledged as {ack}, and is {ids[0]}")
        if len(one.acks) > 1:
            findings.append(f"{one.uid} was acknowledged {len(one.acks)} times")
    return findings


def order_of_senders(said, log):
    """Of one client to one Name: as it said them."""
    findings, latest = [], {}
    turn = {uid: at for at, uid in enumerate(said)}
    for _, uid in log:
        if uid not in said:
            continue
        client = said[uid].client
        if turn[uid] < turn.get(latest.get(client), -1):
            findings.append(f"{uid} was published after {latest[client]}")
        latest[client] = uid
    return findings


def received(client, log, may_gap):
    """The stretch of the log from its first hello to the end: whole, except where it was told of a gap."""
    where = {id: at for at, (id, _) in enumerate(log)}
    at = next((n for n, (id, _) in enumerate(log) if id > client.start), len(log)) - 1
    is_gap = False
    findings = []
    for entry in client.seen:
        if entry[0] == "gap":
            is_gap = True
            if not may_gap:
                findings.append("was told of a gap")
            continue
        _, id, uid = entry
        there = where.get(id)
        if there is None or log[there][1] != uid:
            findings.append(f"got {uid} as {id}, which was not published")
        elif there <= at:
            findings.append(f"got {uid} ({id}) again, or late")
        elif there > at + 1 and not is_gap:
            findings.append(f"got {uid} ({id}) without {[uid for _, uid in log[at + 1:there]][:5]} before it")
        at, is_gap = max(at, there if there is not None else at), False
    if at < len(log) - 1:
        findings.append(f"lacks the last {len(log) - 1 - at}, from {log[at + 1]} on")
    return [f"{client.key} of {client.name}: {finding}" for finding in findings]


def findings_of(book, logs, may_gap=False):
    """logs: {Name: [(id, uid)]}, all that was ever published there, in order."""
    published = {name: collections.defaultdict(list) for name in logs}
    for name, log in logs.items():
        for id, uid in log:
            published[name][uid].append(id)
    findings = published_once(book.said, published)
    for log in logs.values():
        findings += order_of_senders(book.said, log)
    for client in book.clients.values():
        findings += [f"{client.key}: {what}" for what in client.trouble]
        if client.start is None:
            findings.append(f"{client.key} never got a hello")
        else:
            findings += received(client, logs[client.name], may_gap)
    return findings


# -- running players

class Player:
    """What a running player has written down, in a file, too. Two kinds: a program, below, and a page (browser.py)."""

    def __init__(self, ledger):
        self.book, self.hushed, self.ended, self.error = Clients(), threading.Event(), None, None
        self.ledger = open(ledger, "w")

    def note(self, line):
        self.ledger.write(f"{time.time() * 1000:.0f} {json.dumps(line)}\n")
        if line["k"] == "hushed":
            self.hushed.set()
        elif line["k"] == "ended":
            self.ended = line
        else:
            self.book.note(line)


class Program(Player):
    def __init__(self, argv, config, folder):
        super().__init__(folder / "player.jsonl")
        self.log_path = folder / "player.log"
        with open(self.log_path, "wb") as log:
            self.popen = subprocess.Popen([*argv, json.dumps(config)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                          stderr=log, text=True)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for text in self.popen.stdout:
            try:
                self.note(json.loads(text))
            except (ValueError, KeyError) as error:
                self.error = f"{error!r} in {text[:200]!r}"

    def tell(self, word):
        self.popen.stdin.write(word + "\n")
        self.popen.stdin.flush()

    def is_over(self):
        """It ended by itself and well, and said so."""
        return self.popen.poll() == 0 and self.ended is not None

    def log(self):
        return self.log_path.read_text(errors="replace")[-2000:]

    def end(self):
        """However it is; a second time does nothing."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(10)
        self.thread.join(10)
        self.popen.stdin.close()
        self.ledger.close()
