"""What must hold, computed from what the test's own processes saw: the invariants I1 … I8.

Evidence is plain data: what was sent and accepted, each connection and what it received, the logs of the Names as they
were read from Redis, the events, the registry. Each check returns a list of findings, empty when the invariant holds;
`check` is what tests call. test_invariants.py shows each of them able to fail.

The measure of everything is the reference of a Name: all that was ever published to it, in the order of ids. It is put
together from the logs in Redis and from what signalbox.v1 clients got, because a log may be trimmed or lost.
"""
import collections
import dataclasses
from typing import Optional

EVERY = None  # the Name of a message that goes to every Name


@dataclasses.dataclass
class Sent:
    """One message a publisher tried to send. Not accepted: it may arrive once or not at all."""
    uid: str
    name: Optional[str]
    sender: str          # one connection of a publisher: its messages keep their order
    n: int
    began: float
    accepted: Optional[float] = None
    gateway: Optional[int] = None  # it was accepted by this gateway's word alone


@dataclasses.dataclass
class Connection:
    """One WebSocket connection of a client, or the attempt to make one."""
    token: str
    client: str
    name: str
    gateway: int
    is_v1: bool = False
    began: float = 0.0
    opened: Optional[float] = None
    ended: Optional[float] = None
    code: Optional[int] = None
    resumed: Optional[tuple] = None   # the id it asked to resume from
    hello: Optional[tuple] = None     # the id its stream begins after
    recovered: Optional[bool] = None
    is_counted: bool = True           # takes part in the checks of what it received
    received: list = dataclasses.field(default_factory=list)  # (time, id or None, uid)

    @property
    def is_open(self):
        return self.opened is not None and self.ended is None


@dataclasses.dataclass
class Event:
    type: str
    name: str
    client: str
    token: str
    cause: str = ""


@dataclasses.dataclass
class Recovery:
    what: str
    seconds: float
    limit: float


@dataclasses.dataclass
class Evidence:
    names: list
    sent: dict = dataclasses.field(default_factory=dict)         # uid -> Sent
    connections: list = dataclasses.field(default_factory=list)
    logs: dict = dataclasses.field(default_factory=dict)         # Name -> [(id, uid)], h* too
    raw_logs: dict = dataclasses.field(default_factory=dict)     # key of a history -> [id] in the order of reading
    events: list = dataclasses.field(default_factory=list)
    registry: dict = dataclasses.field(default_factory=dict)     # Name -> {client id: token}
    strays: list = dataclasses.field(default_factory=list)       # members of gateway sets that are not in the registry
    recoveries: list = dataclasses.field(default_factory=list)
    highest_rss: dict = dataclasses.field(default_factory=dict)  # process -> bytes
    highest_ingest: int = 0
    fenced: bool = False  # Redis refused a commit because another owns the partition
    must_fence: bool = False
    # What the fault excuses.
    losses: list = dataclasses.field(default_factory=list)       # (from, to): accepted then: may be lost, or repeated
    may_gap: bool = False                                        # resumes may answer recovered: false
    may_lose_events: bool = False
    logs_are_whole: bool = True                                  # whatever was delivered can be found in Redis


LIMIT_RSS = 400 << 20
LIMIT_INGEST = 50_000 + 4 * 128  # checked before a batch goes in: a batch of each gateway and broker may be over it


def parse_id(text):
    term, seq = text.split("-")
    return int(term), int(seq)


def is_any_excused(evidence, *times):
    return any(begin <= at <= end for begin, end in evidence.losses for at in times if at is not None)


def is_excused(evidence, sent):
    return is_any_excused(evidence, sent.began if sent.accepted is None else sent.accepted)


class References:
    """Per Name its reference: uids, ids and the positions of each uid."""

    def __init__(self, evidence):
        self.conflicts = []
        self.ids, self.uids, self.where = {}, {}, {}
        found = {name: {} for name in evidence.names}
        for name, log in evidence.logs.items():
            for id, uid in log:
                self._add(found[name], name, id, uid)
        for connection in evidence.connections:
            for _, id, uid in connection.received:
                if id is not None:
                    self._add(found[connection.name], connection.name, id, uid)
        for name, messages in found.items():
            self.ids[name] = sorted(messages)
            self.uids[name] = [messages[id] for id in self.ids[name]]
            self.where[name] = collections.defaultdict(list)
            for at, uid in enumerate(self.uids[name]):
                self.where[name][uid].append(at)

    def _add(self, messages, name, id, uid):
        if messages.setdefault(id, uid) != uid:
            self.conflicts.append(f"{name}: id {id} is {messages[id]} and {uid}")

    def after(self, name, id):
        """The index of the first message after the id."""
        ids = self.ids[name]
        low, high = 0, len(ids)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if ids[middle] <= id else (low, middle)
        return low


# -- I1: every accepted message is published once, and reaches everybody who was there

def published_once(evidence, references):
    findings = []
    for sent in evidence.sent.values():
        for name in evidence.names if sent.name is EVERY else [sent.name]:
            copies = len(references.where[name].get(sent.uid, ()))
            if copies > 1 and not is_excused(evidence, sent):
                findings.append(f"I1 {sent.uid} is {copies} times in {name}")
            elif copies == 0 and sent.accepted is not None and not is_excused(evidence, sent):
                findings.append(f"I1 {sent.uid} was accepted at {sent.accepted:.3f} and is not in {name}")
    for name in evidence.names:
        strangers = [uid for uid in references.where[name] if uid not in evidence.sent]
        findings += [f"I1 {name} has {uid}, which nobody sent" for uid in strangers[:5]]
    return findings


def lost_and_repeated(evidence, references):
    """Accepted messages of the excused times that are missing, and those that are there twice."""
    lost = repeated = 0
    for sent in evidence.sent.values():
        for name in evidence.names if sent.name is EVERY else [sent.name]:
            copies = len(references.where[name].get(sent.uid, ()))
            lost += copies == 0 and sent.accepted is not None
            repeated += max(0, copies - 1)
    return lost, repeated


def skip_excused(evidence, uids, at, uid):
    """Past messages that the fault may have kept from this client and not from others."""
    while evidence.losses and at < len(uids) and uids[at] != uid and is_excused(evidence, evidence.sent[uids[at]]):
        at += 1
    return at


def received_from(evidence, references, connection, begin):
    """None when what the connection received is the reference from there on, else what is wrong."""
    uids, at = references.uids[connection.name], begin
    for offset, (_, _, uid) in enumerate(connection.received):
        at = skip_excused(evidence, uids, at, uid)
        if at >= len(uids) or uids[at] != uid:
            expected = uids[at] if at < len(uids) else "nothing more"
            return f"message {offset} is {uid}, not {expected}"
        at += 1
    at = skip_excused(evidence, uids, at, None)
    if connection.is_open and at < len(uids):
        return f"lacks the last {len(uids) - at}, from {uids[at]} on"
    return None


def v1_received(evidence, references, connection):
    begin = references.after(connection.name, connection.resumed or connection.hello)
    if connection.recovered is False:  # from some point on, at the latest from its hello
        begin = references.after(connection.name, connection.hello)
        if connection.received:
            begin = min(begin, references.after(connection.name, connection.received[0][1]) - 1)
    return received_from(evidence, references, connection, begin)


def plain_received(evidence, references, connection):
    """A plain client knows no ids: it has a stretch of the reference that begins no later than what was sent after it
    was connected."""
    uids = references.uids[connection.name]
    latest = next((at for at, uid in enumerate(uids)
                   if uid in evidence.sent and evidence.sent[uid].began > connection.opened), len(uids))
    if not connection.received:
        return f"lacks all, from {uids[latest]} on" if connection.is_open and latest < len(uids) else None
    first = connection.received[0][2]
    problems = []
    for begin in references.where[connection.name].get(first, ()):
        problem = received_from(evidence, references, connection, begin)
        if problem is None and begin > latest:
            problem = f"begins with {first}, but lacks {uids[latest]}"
        if problem is None:
            return None
        problems.append(problem)
    return problems[0] if problems else f"has {first}, which is not in the log"


def delivered_and_not_logged(evidence):
    """Nothing may be delivered that was not committed."""
    if not evidence.logs_are_whole:
        return []
    logged = {name: {id for id, _ in log} for name, log in evidence.logs.items()}
    return [f"I1 {describe(connection)}: got {uid} as {id}, which is not in the log"
            for connection in evidence.connections for _, id, uid in connection.received
            if id is not None and id not in logged[connection.name]][:20]


def i1(evidence, references):
    findings = published_once(evidence, references) + delivered_and_not_logged(evidence)
    for connection in evidence.connections:
        if connection.opened is None or not connection.is_counted:
            continue
        if connection.is_v1 and connection.hello is None:
            continue  # ended between the 101 and the hello
        problem = any_problem(evidence, references, connection)
        if problem:
            findings.append(f"I1 {describe(connection)}: {problem}")
        if connection.recovered is False and not evidence.may_gap:
            findings.append(f"I1 {describe(connection)}: resumed from {connection.resumed} and was not recovered")
        if connection.code == 4004 and not evidence.may_gap:
            findings.append(f"I1 {describe(connection)}: closed with 4004 gap")
    return findings


def any_problem(evidence, references, connection):
    """Where a client is told of a gap, the log for every Name may reach further back than that of its own: messages to
    every Name may stand alone on the other side of the gap."""
    problem = problem_of(evidence, references, connection)
    while problem and connection.received and is_gap_told(evidence, connection):
        connection = dataclasses.replace(connection, received=connection.received[1:] if connection.recovered is False
                                         else connection.received[:-1])
        problem = problem_of(evidence, references, connection)
    return problem


def is_gap_told(evidence, connection):
    """And the message next to the gap went to every Name."""
    at = 0 if connection.recovered is False else -1
    sent = evidence.sent.get(connection.received[at][2])
    return (connection.recovered is False or connection.code == 4004) and sent is not None and sent.name is EVERY


def problem_of(evidence, references, connection):
    return (v1_received(evidence, references, connection) if connection.is_v1
            else plain_received(evidence, references, connection))


def describe(connection):
    return (f"{'v1' if connection.is_v1 else 'plain'} {connection.client} ({connection.token}) of {connection.name} at "
            f"gateway {connection.gateway + 1}")


# -- I2: one order

def i2(evidence, references):
    findings = [f"I2 {conflict}" for conflict in references.conflicts]
    latest = {}  # (Name, client) -> the last id it got, over its resumes
    for connection in evidence.connections:
        last = latest.get((connection.name, connection.client), (0, 0)) if connection.resumed else (0, 0)
        for _, id, uid in connection.received:
            if id is None:
                continue
            if id <= last:
                findings.append(f"I2 {describe(connection)}: id {id} of {uid} after {last}")
            last = id
        if connection.is_v1:
            latest[connection.name, connection.client] = last
        if not connection.is_v1:
            findings += plain_order(references, connection)
    for name in evidence.names:
        findings += sender_order(evidence, references, name)
    return findings


def plain_order(references, connection):
    """Whether the uids stand in the reference in this order."""
    last = -1
    for _, _, uid in connection.received:
        later = [at for at in references.where[connection.name].get(uid, ()) if at > last]
        if not later:
            return [f"I2 {describe(connection)}: {uid} is out of order"]
        last = later[0]
    return []


def sender_order(evidence, references, name):
    findings, latest = [], {}
    for uid in references.uids[name]:
        sent = evidence.sent.get(uid)
        if sent is None or is_excused(evidence, sent):
            continue
        if sent.n <= latest.get(sent.sender, -1):
            findings.append(f"I2 {name}: {sent.sender} sent {sent.n} before {latest[sent.sender]}, which comes first")
        latest[sent.sender] = sent.n
    return findings


# -- I3: nothing twice

def i3(evidence, references):
    findings, seen = [], collections.defaultdict(set)
    for connection in evidence.connections:
        key = (connection.name, connection.client) if connection.is_v1 else connection.token
        for _, id, uid in connection.received:
            if uid in seen[key] and not (uid in evidence.sent and is_excused(evidence, evidence.sent[uid])):
                findings.append(f"I3 {describe(connection)}: got {uid} twice")
            seen[key].add(uid)
    return findings


# -- I4: Connect and Disconnect

def i4(evidence, references):
    return alternation(evidence) + completeness(evidence)


def alternation(evidence):
    findings, present, count = [], {}, collections.Counter()
    excused = {connection.token for connection in evidence.connections if is_any_excused(
        evidence, connection.opened, connection.ended)}
    for event in evidence.events:
        key = (event.name, event.client)
        count[event.type, event.token] += 1
        if count[event.type, event.token] > 1 and event.token not in excused:
            findings.append(f"I4 {event.type} of {event.token} ({event.client} of {event.name}) fired twice")
        if event.type == "connect":
            if present.get(key) and not evidence.may_lose_events:
                findings.append(f"I4 {event.client} of {event.name}: {event.token} connects while {present[key]} has "
                                "not disconnected")
            present[key] = event.token
        else:
            if present.get(key) != event.token and not evidence.may_lose_events:
                findings.append(f"I4 {event.client} of {event.name}: {event.token} disconnects, but {present.get(key)} "
                                "is connected")
            present[key] = None
    return findings


def completeness(evidence):
    findings, known = [], {connection.token for connection in evidence.connections}
    had = {kind: {event.token for event in evidence.events if event.type == kind} for kind in ("connect", "disconnect")}
    for connection in evidence.connections:
        connected, disconnected = (connection.token in had[kind] for kind in ("connect", "disconnect"))
        if connection.is_open and disconnected:
            findings.append(f"I4 {describe(connection)} is open, but its Disconnect fired")
        if evidence.may_lose_events:
            continue
        if connection.opened is not None and not connected:
            findings.append(f"I4 {describe(connection)}: no Connect")
        if connection.ended is not None and connected and not disconnected:
            findings.append(f"I4 {describe(connection)}: no Disconnect")
        if disconnected and not connected:
            findings.append(f"I4 {describe(connection)}: a Disconnect without its Connect")
    for kind in had:
        findings += [f"I4 {kind} of {token}, which nobody made" for token in sorted(had[kind] - known)[:5]]
    return findings


# -- I5: the registry is the truth

def truth(evidence):
    registry = {name: {} for name in evidence.names}
    for connection in evidence.connections:
        if connection.is_open:
            registry[connection.name][connection.client] = connection.token
    return registry


def i5(evidence, references):
    findings, expected = [], truth(evidence)
    for name in evidence.names:
        is_there, should = evidence.registry.get(name, {}), expected[name]
        for client in sorted(set(is_there) | set(should)):
            if is_there.get(client) != should.get(client):
                findings.append(f"I5 {name} {client}: registered is {is_there.get(client)}, connected "
                                f"{should.get(client)}")
    findings += [f"I5 {stray} is in a gateway's set and not in the registry" for stray in evidence.strays[:5]]
    return findings


# -- I6 … I8

def i6(evidence, references):
    findings = [f"I6 {process} grew to {size >> 20} MB" for process, size in evidence.highest_rss.items()
                if size > LIMIT_RSS]
    if evidence.highest_ingest > LIMIT_INGEST:
        findings.append(f"I6 an ingest stream grew to {evidence.highest_ingest} entries")
    return findings


def i7(evidence, references):
    findings = []
    for key, ids in evidence.raw_logs.items():
        for before, id in zip(ids, ids[1:]):
            if id <= before:
                findings.append(f"I7 {key}: {id} was written after {before}")
    if evidence.must_fence and not evidence.fenced:
        findings.append("I7 nobody was fenced: the fault missed its aim")
    return findings


def i8(evidence, references):
    return [f"I8 {recovery.what}: delivery took {recovery.seconds:.1f} s, allowed are {recovery.limit:.1f}"
            for recovery in evidence.recoveries if recovery.seconds > recovery.limit]


CHECKS = {"I1": i1, "I2": i2, "I3": i3, "I4": i4, "I5": i5, "I6": i6, "I7": i7, "I8": i8}


def findings_of(evidence, which):
    """Findings of the invariants named in the text, 'I1 I2'."""
    references = References(evidence)
    return [finding for word in which.split() for finding in CHECKS[word](evidence, references)]


def check(evidence, which, shown=25):
    findings = findings_of(evidence, which)
    if findings:
        more = f"\n… and {len(findings) - shown} more" if len(findings) > shown else ""
        raise AssertionError(f"{len(findings)} findings:\n" + "\n".join(findings[:shown]) + more)
