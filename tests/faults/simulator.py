#!/usr/bin/env python3
"""Runs the backplane's Redis scripts under a random scheduler of faults and checks every promise.

Virtual brokers, gateways and publishers run against one private Redis. Each is a set of tasks; a
task is a generator that yields one Redis call at a time. The scheduler picks a task, decides what
happens to its call (carried out, request lost, reply lost, late, crash before or after, pause) and
hands back the reply. Leases are stolen at random; with --rollback Redis also falls back to an older
snapshot of itself. After each round the faults stop, everything settles, and the checks of
`Checker` are made; those that need no rest are made after every call.

The scripts are read from common/bus/redis/scripts. --mutate NAME weakens one of them (or one rule of the
brokers): such a run has to fail, which shows that the checks see what they are there for.

Invariants, by the names of the fault matrix:
  I1  every accepted message has its outputs in history and feed, none twice
  I2  ids rise over a partition, a history equals its feed, `prev` names the message before, each
      sender's messages keep their order
  I3  nothing is published twice
  I4  each connection value has one Connect and then one Disconnect
  I5  the registry holds exactly the connections that are open
  I7  what a fenced holder sends has no effect; own.i is the id of the last output
  I8  after the faults everything comes to rest

Read `World.step` first, then `Broker.partition`. To add a fault: `World.break_call`.
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / 'common' / 'bus' / 'redis' / 'scripts'

# name -> (script, text, replacement); rules of the brokers have no script.
MUTATIONS = {
    'no-fence': ('commit', 'if o[1] ~= ARGV[1] or o[2] ~= ARGV[2] then', 'if false then'),
    'no-term': ('commit', ' or o[2] ~= ARGV[2] then', ' then'),
    'no-cursor': ('commit', 'if c ~= ARGV[3] then', 'if false then'),
    'no-trim-guard': ('commit', "'MINID', ARGV[4]", "'MAXLEN', 0"),
    'no-position': ('commit', ", 'i', ARGV[#ARGV - 4]", ''),
    'no-mark': ('append', "redis.call('HGET', KEYS[2], ARGV[1]) or ''", "''"),
    'no-dedupe': ('append_once', "redis.call('GET', KEYS[3])", 'false'),
    'no-cas': ('unregister', "if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then", 'if false then'),
    'no-member': ('register', 'if not is_first then', 'if false then'),
    'no-fenced-set': ('register', "if redis.call('SISMEMBER', KEYS[2], '') == 1 then", 'if false then'),
    'no-restore': ('register', "ARGV[6] == '1'", 'false'),
    'same-term': ('take_partition', 'math.max((tonumber(o[1]) or 0) + 1, (tonumber(o[5]) or 0) + 1, now, tonumber(ARGV[3]) + 1)',
                  '(tonumber(o[1]) or now)'),
    'no-lineage': ('take_partition', "terms = terms .. ' ' .. t ..", 'terms = t ..'),
    'no-floor': ('commit', 'if o[4] and tonumber(o[4]) >= tonumber(o[2]) then', 'if false then'),
    'low-term': ('take_partition', '(tonumber(o[5]) or 0) + 1, ', ''),
    'no-last': ('commit', "if not err and KEYS[k + 1] ~= KEYS[k] then", 'if false then'),
    'keep-state': (None, None, None),
}
NEED_ROLLBACK = {'keep-state', 'no-restore'}

PARTITIONS = 3
NAMES = [[f'{p}.a', f'{p}.b', f'{p}.off'] for p in range(PARTITIONS)]  # *.off keeps no history
CLIENTS = ['ann', 'ann', 'ann', 'bob']  # few, so that they take over from each other
INGEST_LIMIT = 40
NO_LIMIT = 10**6
LEASE_MS = 3600 * 1000  # leases end by theft, never by time


class Violation(Exception):
    """A promise was broken."""


class Error(str):
    """An error reply of Redis."""


class Redis:
    """A connection: just enough RESP2."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.file = self.sock.makefile('rb')

    def close(self):
        self.file.close()
        self.sock.close()

    def send(self, *args):
        out = [b'*%d\r\n' % len(args)]
        for arg in args:
            if not isinstance(arg, bytes):
                arg = str(arg).encode()
            out.append(b'$%d\r\n%s\r\n' % (len(arg), arg))
        self.sock.sendall(b''.join(out))

    def read(self, raw=False):
        line = self.file.readline()
        if not line:
            raise ConnectionError('Redis closed the connection')
        kind, rest = line[:1], line[1:-2]
        if kind == b':':
            return int(rest)
        if kind == b'+':
            return rest.decode()
        if kind == b'-':
            return Error(rest.decode())
        n = int(rest)
        if n < 0:
            return None
        if kind == b'*':
            return [self.read(raw) for _ in range(n)]
        data = self.file.read(n + 2)[:-2]
        return data if raw else data.decode()

    def call(self, *args, raw=False):
        self.send(*args)
        return self.read(raw)

    def must(self, *args, raw=False):
        reply = self.call(*args, raw=raw)
        if isinstance(reply, Error):
            raise RuntimeError(f'{args[0]}: {reply}')
        return reply


class Server:
    """A private redis-server without persistence on a unix socket in a directory of its own."""

    def __init__(self, *options):
        self.dir = tempfile.mkdtemp(prefix='sbsim')
        self.path = os.path.join(self.dir, 's')
        binary = os.environ.get('REDIS_SERVER', 'redis-server')
        self.proc = subprocess.Popen(
            [binary, '--port', '0', '--unixsocket', self.path, '--save', '', '--appendonly', 'no',
             '--dir', self.dir, *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                self.connect().close()
                return
            except OSError:
                if time.monotonic() > deadline or self.proc.poll() is not None:
                    self.close()
                    raise
                time.sleep(0.01)

    def connect(self):
        return Redis(self.path)

    def close(self):
        self.proc.terminate()
        self.proc.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def load_scripts(redis, mutation=None):
    """Loads every script as the processes do, weakened by the mutation; returns name -> sha."""
    shas = {}
    target, old, new = MUTATIONS[mutation] if mutation else (None, None, None)
    for path in sorted(SCRIPTS.glob('*.lua')):
        text = path.read_text()
        if path.stem == target:
            if text.count(old) != 1:
                raise RuntimeError(f'mutation {mutation} does not fit {path.name}')
            text = text.replace(old, new)
        shas[path.stem] = redis.must('SCRIPT', 'LOAD', text)
    return shas


def key(p, rest):
    return f'sb:{{{p}}}:{rest}'


def history(p, name):
    return key(p, 'h*' if name == '*' else 'h:' + name)


def last(p, name):
    return key(p, 'l*' if name == '*' else 'l:' + name)


def channel(p, name):
    return key(p, 'n*' if name == '*' else 'n:' + name)


def partition_of(name):
    return int(name.split('.')[0])


def parse_id(text):
    term, seq = text.split('-')
    return int(term), int(seq)


def route(p, entry):
    """What one ingest entry leads to: ([(name, uid, index)], [(partition, index, entry)]).

    Deterministic, as the contract asks of routes. Index 0 is the Name the message was sent to;
    the others are sends of its route."""
    outputs, forwards = [(entry['name'], entry['u'], entry['x'])], []
    if entry['final']:
        return outputs, forwards
    if entry['name'] == '*':
        targets = [(q, '*') for q in range(PARTITIONS) if q != p]
    else:
        targets = [(partition_of(n), n) for n in entry['to']]
    for i, (q, name) in enumerate(targets, 1):
        sent = dict(entry, u=f"{entry['u']}/{i}", name=name, x=i, final=True)
        if q == p:
            outputs.append((name, sent['u'], i))
        else:
            forwards.append((q, i, sent))
    return outputs, forwards


def expand(p, entry):
    """Every (partition, name, uid) that an accepted entry must appear as, exactly once."""
    outputs, forwards = route(p, entry)
    return [(p, name, uid) for name, uid, _ in outputs] + \
           [(q, sent['name'], sent['u']) for q, _, sent in forwards]


class Call:
    """One Redis call on its way."""
    __slots__ = ('script', 'p', 'keys', 'args')

    def __init__(self, script, p, keys, args):
        self.script, self.p, self.keys, self.args = script, p, keys, args


IDLE = 1          # yielded: nothing to do for that many turns
TURN = 12         # steps of the scheduler


def script(name, p, keys, *args):
    return Call(name, p, [key(p, k) for k in keys], args)


def command(*args):
    return Call(None, None, None, args)


def idle(n):
    if n:
        yield n


class Task:
    def __init__(self, proc, gen):
        self.proc, self.gen = proc, gen
        self.wake = 0
        self.pending = next(gen)

    def resume(self, reply):
        try:
            self.pending = self.gen.send(reply)
        except StopIteration:
            self.pending = None
        if isinstance(self.pending, int):
            world = self.proc.world
            self.wake = world.steps + self.pending * world.rng.randint(1, TURN)


class Process:
    """One process start: its id is never used again."""

    def __init__(self, world, kind):
        self.world, self.rng = world, world.rng
        self.id = f'{kind}{world.next_number()}'
        self.paused_until = 0
        self.is_alive = True
        self.tasks = []

    def start(self, *gens):
        self.tasks = [Task(self, g) for g in gens]

    def is_busy(self):
        return False


class Broker(Process):
    def __init__(self, world):
        super().__init__(world, 'b')
        self.known = [0] * PARTITIONS
        self.tick = world.steps // 250
        self.is_sending = False
        self.forget()

    def forget(self):
        """Drops all knowledge of partitions, whatever the tasks are at; also the way to begin."""
        if self.is_sending:
            self.tick -= 1
            self.is_sending = False
        self.start(*[self.partition(p) for p in range(PARTITIONS)], self.reaper(), self.clock())

    def is_busy(self):
        return self.is_sending

    def partition(self, p):
        while True:
            reply = yield script('take_partition', p, ['own', 'lease'], self.id, LEASE_MS, self.known[p])
            if reply[0] == 0:
                yield from idle(self.rng.randint(2, 8))
                continue
            self.known[p] = int(reply[0])
            yield from self.hold(p, reply[0], reply[1])

    def hold(self, p, term, cursor):
        """Handles the entries of an owned partition until it is lost, released or fenced."""
        rng, seq, prevs, is_first = self.rng, 0, {}, True
        while True:
            entries = yield command('XRANGE', key(p, 'in'), '(' + cursor, '+', 'COUNT',
                                    rng.randint(1, 8))
            if not entries:
                if not (yield from self.rest(p, term)):
                    return
                continue
            more = entries
            entries = entries[:rng.randint(1, len(entries))]
            trim = rng.choice('01') if len(entries) < len(more) else '1'
            if is_first or rng.random() < 0.03:
                reply = yield script('count_try', p, ['own'], self.id, term, entries[0][0])
                if isinstance(reply, Error):
                    return
                is_first = False
            outputs, forwards = self.run_routes(p, entries)
            for q, batch in sorted(forwards.items()):
                yield script('append', q, ['in', 'src'], f'p{p}', NO_LIMIT, *batch)
            for name in sorted({o[0] for o in outputs} - set(prevs)):
                prevs[name] = (yield command('GET', last(p, name))) or '0-0'
            args, logs = [], []
            finals = {o[0]: i for i, o in enumerate(outputs)}
            for i, (name, uid, sender, number, index, home) in enumerate(outputs):
                seq += 1
                mid = f'{term}-{seq}'
                keep_from = '0' if name.endswith('.off') else '0-1'
                blob = json.dumps([mid, prevs[name], uid, sender, number, index, home])
                args += [mid, keep_from, rng.choice([0, 86400]), channel(p, name), blob]
                logs += [history(p, name), last(p, name) if finals[name] == i else history(p, name)]
                prevs[name] = mid
            new_cursor = entries[-1][0]
            reply = yield Call('commit', p, [key(p, 'own'), key(p, 'in')] + logs,
                               [self.id, term, cursor, new_cursor, trim] + args)
            if isinstance(reply, Error):
                return
            cursor = new_cursor

    def run_routes(self, p, entries):
        outputs, forwards = [], {}
        for eid, fields in entries:
            fields = dict(zip(fields[::2], fields[1::2]))
            if 't' in fields:
                uid = f"{fields['t']} {fields['v']} {fields.get('r', '')}"
                outputs.append((fields['n'], uid, None, 0, 0, ''))
                continue
            entry = json.loads(fields['m'])
            ms, n = parse_id(eid)
            out, fwd = route(p, entry)
            for name, uid, index in out:
                outputs.append((name, uid, entry['s'], entry['q'], index, entry['home']))
            for q, index, sent in fwd:
                forwards.setdefault(q, []).extend(
                    [f'{ms:020d}{n:06d}{index:04d}', json.dumps(sent)])
        return outputs, forwards

    def rest(self, p, term):
        """What an owner does when there is nothing to handle; False: the partition is given up."""
        what = self.rng.random()
        if what < 0.2:
            reply = yield script('renew_lease', p, ['own', 'lease'], self.id, term, LEASE_MS)
            return reply == 1
        if what < 0.24 and not self.world.is_calm:
            yield script('release_lease', p, ['own', 'lease'], self.id, term)
            yield from idle(5)
            return False
        if what < 0.5:
            yield from self.reap(p)
            return True
        yield from idle(self.rng.randint(1, 3))
        return True

    def reap(self, p):
        for gid in sorted((yield command('SMEMBERS', key(p, 'gws')))):
            if not (yield command('EXISTS', 'sb:{sb}:dead:' + gid)):
                continue
            yield script('fence_gateway', p, ['g:' + gid], 86400)
            members = yield command('SMEMBERS', key(p, 'g:' + gid))
            for member in sorted(m for m in members if m):
                name, cid, val = member.split('\0')
                yield script('unregister', p, ['c:' + name, 'g:' + gid, 'in'],
                             cid, val, member, name, 'gateway')
            yield command('SREM', key(p, 'gws'), gid)

    def reaper(self):
        """Expires gateways whose counter stood still between two looks."""
        seen, dead = {}, set()
        while True:
            yield from idle(self.rng.randint(6, 12))
            pairs = yield command('HGETALL', 'sb:{sb}:gw')
            counters = dict(zip(pairs[::2], pairs[1::2]))
            for p in range(PARTITIONS):
                gids = yield command('SMEMBERS', key(p, 'gws'))
                for gid in sorted(gids):
                    counters.setdefault(gid, '')
            for gid, counter in sorted(counters.items()):
                is_live = self.world.is_calm and gid in self.world.live_ids()
                if seen.get(gid) == counter and gid not in dead and not is_live:
                    reply = yield Call('declare_dead', None, ['sb:{sb}:gw', 'sb:{sb}:dead:' + gid],
                                       [gid, counter])
                    if reply == 1 and counter == '':
                        dead.add(gid)
            seen = counters

    def clock(self):
        """Every broker sends every tick of a schedule; the mark lets one through."""
        while True:
            now = self.world.steps // 250
            if now <= self.tick or self.world.is_calm:
                yield IDLE
                continue
            self.tick, self.is_sending = now, True
            p = now % PARTITIONS
            uid = f'tick{now}'
            entry = dict(u=uid, s='c:clock', q=now, name=NAMES[p][0], home=NAMES[p][0],
                         to=[NAMES[(p + 1) % PARTITIONS][1]], x=0, final=False)
            self.world.model.note_sent(p, entry)
            yield script('append', p, ['in', 'src'], 'c:clock', NO_LIMIT, f'{now:020d}',
                         json.dumps(entry))
            self.is_sending = False


class Gateway(Process):
    def __init__(self, world):
        super().__init__(world, 'g')
        self.is_ready = False
        self.counter = 0
        self.conn_number = 0
        self.local = set()      # values that may be registered: being opened, open, being closed
        self.open = {}          # value -> (p, name, client id)
        self.sending = set()
        self.changing = set()
        self.to_restore = set()
        self.needs_sync = False
        self.start(self.heart(), *[self.pump(p) for p in range(PARTITIONS)],
                   *[self.connection() for _ in range(4)])

    def is_busy(self):
        return not self.is_ready or bool(self.sending or self.changing or self.to_restore or
                                         self.needs_sync)

    def on_redis_back(self):
        self.to_restore |= set(self.open)
        self.needs_sync = True

    def heart(self):
        while True:
            self.counter += 1
            reply = yield Call('heartbeat', None, ['sb:{sb}:gw', 'sb:{sb}:dead:' + self.id],
                               [self.id, self.counter, 'probe:' + self.id])
            if isinstance(reply, Error):
                self.world.on_dead(self)
                return
            self.is_ready = True
            if self.needs_sync:
                self.needs_sync = False
                yield from self.drop_strangers()
            if self.rng.random() < 0.02 and not self.world.is_calm:
                yield from self.raise_floor(self.rng.randrange(PARTITIONS))
            yield from idle(self.rng.randint(0, 2))

    def raise_floor(self, p):
        """As after a failover that lost a later term, which this gateway has read."""
        ahead = [0, 1, 50] if self.world.has_rollback else [0, 1, 50, 10**6]
        term = self.world.checker.raw_top[p][0] + self.rng.choice(ahead)
        if term > 0:
            yield script('raise_floor', p, ['own'], term)

    def drop_strangers(self):
        """Removes what Redis holds in our name and we do not (it fell back in time)."""
        for p in range(PARTITIONS):
            members = yield command('SMEMBERS', key(p, 'g:' + self.id))
            for member in sorted(m for m in members if m):
                name, cid, val = member.split('\0')
                if val not in self.local:
                    yield script('unregister', p, ['c:' + name, 'g:' + self.id, 'in'],
                                 cid, val, member, name, 'sync')

    def pump(self, p):
        """Sends client messages of one partition: one batch in flight, repeated until answered."""
        seq = number = 0
        rng, world = self.rng, self.world
        while True:
            if world.is_calm or not self.is_ready or rng.random() < 0.5:
                yield IDLE
                continue
            self.sending.add(p)
            batch, entries = [], []
            for _ in range(rng.randint(1, 4)):
                seq += 1
                number += 1
                home = rng.choice(NAMES[p] + ['*'])
                to = [rng.choice(NAMES[rng.randrange(PARTITIONS)])
                      for _ in range(rng.choice([0, 0, 1, 3]))]
                entry = dict(u=f'{self.id}.{p}.{number}', s=self.id, q=number, name=home,
                             home=f'{p}*' if home == '*' else home, to=to, x=0, final=False)
                world.model.note_sent(p, entry)
                batch += [f'{seq:020d}', json.dumps(entry)]
                entries.append(entry)
            while isinstance((yield script('append', p, ['in', 'src'], self.id, INGEST_LIMIT, *batch)),
                             Error):
                yield from idle(4)
            world.model.note_accepted(e['u'] for e in entries)
            self.sending.discard(p)

    def connection(self):
        """One connection after the other: Connect, some time open, Disconnect."""
        rng, world = self.rng, self.world
        me = object()
        while True:
            if world.is_calm or not self.is_ready or rng.random() < 0.5:
                yield IDLE
                continue
            self.conn_number += 1
            p = rng.randrange(PARTITIONS)
            name, cid = rng.choice(NAMES[p]), rng.choice(CLIENTS)
            val = f'{self.id}:{self.conn_number}:0|group'
            member = '\0'.join([name, cid, val])
            self.changing.add(me)
            self.local.add(val)
            keys = ['c:' + name, 'g:' + self.id, 'gws', 'in', 'own', 'l:' + name, 'l*']
            args = [cid, val, self.id, member, name]
            reply = yield script('register', p, keys, *args, 0)
            if isinstance(reply, Error):
                world.on_dead(self)
                return
            if reply[0] == 1:
                self.open[val] = (p, name, cid)
                self.changing.discard(me)
                left = rng.randint(3, 30)
                while left > 0 or world.is_calm:
                    left -= 1
                    if val not in self.to_restore:
                        yield IDLE
                        continue
                    self.to_restore.discard(val)
                    self.changing.add(me)
                    reply = yield script('register', p, keys, *args, 1)
                    if isinstance(reply, Error):
                        world.on_dead(self)
                        return
                    self.changing.discard(me)
                    if reply[0] == 2:
                        break
                self.changing.add(me)
                self.to_restore.discard(val)
                del self.open[val]
            yield script('unregister', p, ['c:' + name, 'g:' + self.id, 'in'], cid, val, member, name,
                         'closed')
            self.local.discard(val)
            self.changing.discard(me)


class Publisher(Process):
    """Sends under idempotency keys that all publishers share."""

    def __init__(self, world):
        super().__init__(world, 'u')
        self.source = world.rng.choice(['', self.id])
        self.is_sending = False
        self.start(self.run())

    def is_busy(self):
        return self.is_sending

    def run(self):
        rng, world, seq = self.rng, self.world, 0
        while True:
            if world.is_calm or rng.random() < 0.8:
                yield IDLE
                continue
            self.is_sending = True
            seq += 1
            token = f'k{world.steps // 150}'
            p = world.steps // 150 % PARTITIONS
            entry = dict(u=f'{self.id}.{seq}', s=self.id, q=seq, name=NAMES[p][1],
                         home=NAMES[p][1], to=[], x=0, final=False)
            world.model.note_sent(p, entry, token)
            while True:
                reply = yield script('append_once', p, ['in', 'src', 'd:n:' + token], self.source,
                                     INGEST_LIMIT, 10**8, f'{seq:020d}', json.dumps(entry))
                if not isinstance(reply, Error):
                    break
                yield from idle(4)
            world.model.note_token(token, reply[1])
            self.is_sending = False


class Model:
    """What has happened to the data that Redis still holds: falls back together with Redis."""

    def __init__(self):
        self.sent = {}        # uid -> (outputs it must lead to, token or None)
        self.accepted = set()
        self.tokens = {}      # idempotency key -> entry id that every caller was told
        self.feed = {}        # (p, name) -> [(id, blob)] of this round
        self.last = {}        # (p, name) -> id of its last output
        self.top = ['0-0'] * PARTITIONS
        self.seen = set()     # (p, name, uid) of this round
        self.old_seen = deque(maxlen=4)
        self.lanes = {}       # (p, name, sender, home) -> (number, index) of the last output
        self.events = {}      # connection value -> ['C', 'D']
        self.terms = [['0'] for _ in range(PARTITIONS)]  # what a lineage is
        self.old_values = deque(maxlen=4)

    def copy(self):
        twin = Model()
        twin.sent = self.sent  # what was sent stays sent
        twin.accepted, twin.tokens = set(self.accepted), dict(self.tokens)
        twin.feed = {k: list(v) for k, v in self.feed.items()}
        twin.last, twin.top = dict(self.last), list(self.top)
        twin.seen, twin.old_seen = set(self.seen), self.old_seen
        twin.lanes = dict(self.lanes)
        twin.events = {k: list(v) for k, v in self.events.items()}
        twin.terms = [list(terms) for terms in self.terms]
        twin.old_values = self.old_values
        return twin

    def note_sent(self, p, entry, token=None):
        self.sent.setdefault(entry['u'], (expand(p, entry), token))

    def note_accepted(self, uids):
        self.accepted.update(uids)

    def note_token(self, token, entry_id):
        if not entry_id or self.tokens.setdefault(token, entry_id) != entry_id:
            raise Violation(f'F25: key {token} answered {entry_id!r}, before '
                            f'{self.tokens.get(token)!r}')


class Checker:
    """Reads the feed and compares feed, history, registry and model."""

    def __init__(self, world):
        self.world, self.redis = world, world.redis
        self.sub = world.server.connect()
        self.sub.must('PSUBSCRIBE', '*')
        self.raw_top = [(0, 0)] * PARTITIONS  # over all fall-backs: ids never come again
        self.floor = {}  # positions told before the first output
        self.raised = {}  # (term, …) that a gateway has read from data given up
        self.by_channel = {channel(p, n): (p, n)
                           for p in range(PARTITIONS) for n in NAMES[p] + ['*']}

    def drain(self):
        self.sub.send('PING')
        while True:
            reply = self.sub.read()
            if reply[0] == 'pong':
                return
            if reply[2] in self.by_channel:
                self.on_publish(*self.by_channel[reply[2]], reply[3])

    def on_publish(self, p, name, blob):
        model = self.world.model
        mid, prev, uid, sender, number, index, home = json.loads(blob)
        where = f'{uid!r} in {name} of partition {p} as {mid}'
        if parse_id(mid) <= self.raw_top[p]:
            raise Violation(f'I2: {where}: id not above {self.raw_top[p]}')
        if parse_id(mid) <= self.floor.pop(p, (0, 0)):
            raise Violation(f'I7: {where}: a position was told that is behind it')
        if parse_id(mid) <= self.raised.pop(p, (0, 0)):
            raise Violation(f'I2: {where}: not above the floor')
        self.raw_top[p] = parse_id(mid)
        item = (p, name, uid)
        if item in model.seen or any(item in old for old in model.old_seen):
            raise Violation(f'I3: {where}: published twice')
        model.seen.add(item)
        self.check_prev(p, name, prev, where)
        if sender is None:
            self.on_event(uid, where)
        else:
            lane, place = (p, name, sender, home), (number, index)
            if model.lanes.get(lane, (0, 0)) >= place:
                raise Violation(f'I2: {where}: {sender} out of order: {place} after '
                                f'{model.lanes[lane]}')
            model.lanes[lane] = place
        model.feed.setdefault((p, name), []).append((mid, blob))
        model.last[p, name] = model.top[p] = mid
        self.world.stats['outputs'] += 1

    def check_prev(self, p, name, prev, where):
        """The message before it; of a log's first, 0-0 or where the partition stood at a Connect."""
        before = self.world.model.last.get((p, name))
        if prev != before if before else parse_id(prev) >= self.raw_top[p]:
            raise Violation(f'I2: {where}: prev {prev}, should be {before}')

    def on_event(self, uid, where):
        model = self.world.model
        kind, val, _ = uid.split(' ', 2)
        events = model.events.setdefault(val, [])
        events.append(kind)
        if any(val in old for old in model.old_values):
            raise Violation(f'I4: {where}: event after its Disconnect')
        if events not in (['C'], ['C', 'D']) and not (events == ['D'] and self.world.rollbacks):
            raise Violation(f'I4: {where}: events {events}')
        self.world.stats['events'] += 1

    def after_call(self, call, reply):
        """The checks that hold after every single call."""
        if call.script in ('commit', None):
            self.drain()
        if call.script == 'commit' and reply in (0, 1):
            stored = self.redis.must('HGET', key(call.p, 'own'), 'i') or '0-0'
            self.must_be_top(call.p, stored, 'own.i')
            if len(call.args) > 5:
                self.must_be_top(call.p, call.args[-5], 'what was committed')
        if call.script == 'register' and isinstance(reply, list):
            self.check_position(call.p, reply[1])
        if call.script == 'take_partition' and len(reply) == 3:
            self.must_be_top(call.p, reply[2], 'last_id')
            self.check_lineage(call.p, reply[0])
        if call.script == 'raise_floor':
            self.raised[call.p] = max(self.raised.get(call.p, (0, 0)), (int(call.args[0]), 10**9))
        if call.script == 'append' and call.args[0] == 'c:clock' and reply == 1:
            self.world.model.note_accepted([json.loads(call.args[3])['u']])

    def check_position(self, p, position):
        """The last output; before the first one a place that all outputs to come are behind."""
        if self.world.model.top[p] != '0-0':
            self.must_be_top(p, position, 'position')
        else:
            self.floor[p] = max(self.floor.get(p, (0, 0)), parse_id(position))

    def check_lineage(self, p, term):
        """The terms of this data set, the latest 32."""
        terms, top = self.world.model.terms[p], self.world.model.top[p]
        terms.append(term if top == '0-0' else f'{term}<{top}')
        stored = self.redis.must('HGET', key(p, 'own'), 'y')
        if stored != ' '.join(terms[-32:]):
            raise Violation(f'I7: lineage of partition {p} is {stored}, not {terms[-32:]}')

    def must_be_top(self, p, value, what):
        if value != self.world.model.top[p]:
            raise Violation(f'I7: {what} of partition {p} is {value}, last output '
                            f'{self.world.model.top[p]}')

    def at_rest(self):
        self.drain()
        self.check_messages()
        self.check_histories()
        self.check_registry()
        self.forget_checked()

    def check_messages(self):
        model = self.world.model
        by_token = {}
        for uid, (outputs, token) in model.sent.items():
            found = sum(o in model.seen for o in outputs)
            if token:
                by_token.setdefault(token, []).append(found)
            elif uid in model.accepted and found != len(outputs):
                raise Violation(f'I1: accepted {uid}: {found} of {len(outputs)} outputs')
            elif found not in (0, len(outputs)):
                raise Violation(f'I1: {uid}: {found} of {len(outputs)} outputs')
        for token, found in by_token.items():
            if sum(found) > 1 or (token in model.tokens and sum(found) != 1):
                raise Violation(f'F25: key {token}: {sum(found)} messages')
        self.world.stats['messages'] += len(model.accepted) + len(by_token)

    def check_histories(self):
        model = self.world.model
        for p in range(PARTITIONS):
            own = self.redis.must('HMGET', key(p, 'own'), 'c', 'i')
            self.must_be_top(p, own[1] or '0-0', 'own.i')
            for name in NAMES[p] + ['*']:
                feed = model.feed.get((p, name), [])
                if feed and self.redis.must('GET', last(p, name)) != feed[-1][0]:
                    raise Violation(f'I2: l: of {name} in partition {p} is not its last id')
                if name.endswith('.off'):
                    stored = feed if not self.redis.must('EXISTS', history(p, name)) else None
                elif feed:
                    found = self.redis.must('XRANGE', history(p, name), feed[0][0], '+')
                    stored = [(mid, fields[1]) for mid, fields in found]
                else:
                    found = self.redis.must('XREVRANGE', history(p, name), '+', '-', 'COUNT', 1)
                    stored = [] if not found or found[0][0] == model.last.get((p, name)) else found
                if stored != feed:
                    raise Violation(f'I2: history of {name} in partition {p} is not its feed')

    def check_registry(self):
        world, model = self.world, self.world.model
        is_open = {}
        for gateway in world.processes:
            if isinstance(gateway, Gateway):
                is_open.update(gateway.open)
        registered = set()
        for p in range(PARTITIONS):
            for name in NAMES[p]:
                pairs = self.redis.must('HGETALL', key(p, 'c:' + name))
                for cid, val in zip(pairs[::2], pairs[1::2]):
                    if is_open.get(val) != (p, name, cid):
                        raise Violation(f'I5: {val} is registered as {cid} of {name}, not open')
                    registered.add(val)
        for val in set(is_open) - registered:
            if 'D' not in model.events.get(val, []):
                raise Violation(f'I5: {val} is open, neither registered nor replaced')
        for val, events in model.events.items():
            if (events == ['C']) != (val in registered) and not world.rollbacks:
                raise Violation(f'I4: {val}: events {events}, registered: {val in registered}')
        self.world.stats['registered'] += len(registered)
        self.is_open = set(is_open)

    def forget_checked(self):
        model = self.world.model
        live = self.world.live_ids() | {'c:clock'}
        self.expire_the_dead(live)
        model.sent, model.accepted, model.tokens, model.feed = {}, set(), {}, {}
        model.old_seen.append(model.seen)
        model.seen = set()
        model.lanes = {k: v for k, v in model.lanes.items() if k[2] in live}
        closed = {v for v, e in model.events.items() if 'D' in e} - self.is_open
        model.old_values.append(closed)
        model.events = {v: e for v, e in model.events.items() if v not in closed}


    def expire_the_dead(self, live):
        """What ends a day after an expiry, when nothing of the gateway is on its way any more."""
        for p in range(PARTITIONS):
            for source in self.redis.must('HKEYS', key(p, 'src')):
                if source[0] in 'gu' and source not in live:
                    self.redis.must('HDEL', key(p, 'src'), source)
        for name in self.redis.must('KEYS', '*:g:*') + self.redis.must('KEYS', '*:dead:*'):
            if name.rsplit(':', 1)[1] not in live:
                self.redis.must('DEL', name)
        for name in self.redis.must('KEYS', '*:d:n:*'):
            self.redis.must('DEL', name)
        for p in range(PARTITIONS):
            for name in NAMES[p] + ['*']:
                self.redis.must('XTRIM', history(p, name), 'MAXLEN', 1)


class World:
    ALLOWED = {'append': ('BUSY',), 'append_once': ('BUSY',), 'commit': ('FENCED', 'CURSOR'),
               'count_try': ('FENCED',), 'register': ('DEAD',), 'heartbeat': ('DEAD',)}

    def __init__(self, server, seed, mutation=None, has_rollback=False):
        self.server, self.redis = server, server.connect()
        self.redis.must('FLUSHALL')
        self.rng = random.Random(seed)
        self.mutation = mutation
        self.has_rollback = has_rollback or mutation in NEED_ROLLBACK
        self.shas = load_scripts(self.redis, mutation)
        self.steps = self.number = self.rollbacks = 0
        self.stats = Counter()
        self.is_calm = False
        self.model = Model()
        self.checker = Checker(self)
        self.late, self.snapshot = [], None
        self.births = []  # (step, class)
        self.processes = [cls(self) for cls in (Broker, Broker, Broker, Gateway, Gateway,
                                                Publisher, Publisher)]

    def next_number(self):
        self.number += 1
        return self.number

    def live_ids(self):
        return {proc.id for proc in self.processes}

    def execute(self, call):
        """Carries a call out and checks what can be checked at once."""
        if call.script is None:
            reply = self.redis.call(*call.args)
        else:
            reply = self.redis.call('EVALSHA', self.shas[call.script], len(call.keys), *call.keys,
                                    *call.args)
        self.stats['calls'] += 1
        if isinstance(reply, Error):
            word = reply.split(' ')[0]
            if word not in self.ALLOWED.get(call.script, ()):
                raise Violation(f'{call.script or call.args[0]} answered {reply}')
            self.stats[word] += 1
        elif call.script == 'commit' and reply == 0:
            self.stats['repeated out'] += 1
        elif call.script == 'append' and reply < (len(call.args) - 2) // 2:
            self.stats['suppressed in'] += 1
        elif call.script == 'register' and reply[0] == 2:
            self.stats['conn overtaken'] += 1
        self.checker.after_call(call, reply)
        return reply

    def step(self):
        """One decision of the scheduler."""
        self.steps += 1
        rng = self.rng
        while self.births and self.births[0][0] <= self.steps:
            self.processes.append(self.births.pop(0)[1](self))
        if not self.is_calm:
            self.disturb()
        if self.late and rng.random() < 0.1:
            due, call = self.late.pop(rng.randrange(len(self.late)))
            if due <= self.steps or self.is_calm:
                self.execute(call)
            else:
                self.late.append((due, call))
        tasks = [t for proc in self.processes if proc.paused_until <= self.steps
                 for t in proc.tasks if t.wake <= self.steps]
        if not tasks:
            return
        brokers = [t for t in tasks if isinstance(t.proc, Broker)]
        task = rng.choice(brokers if brokers and rng.random() < 0.6 else tasks)
        if isinstance(task.pending, int):
            task.resume(None)
        if not isinstance(task.pending, Call):
            return
        if self.is_calm or rng.random() > 0.04:
            task.resume(self.execute(task.pending))
        else:
            self.break_call(task)

    def expire_leases(self):
        """Ends the lease of every holder that is dead or stands still."""
        awake = {proc.id for proc in self.processes if proc.paused_until <= self.steps}
        for p in range(PARTITIONS):
            if self.redis.must('GET', key(p, 'lease')) not in awake:
                self.redis.must('DEL', key(p, 'lease'))

    def disturb(self):
        if self.steps % 20 == 0:
            self.expire_leases()
        what = self.rng.random()
        if what < 0.01:
            self.redis.must('DEL', key(self.rng.randrange(PARTITIONS), 'lease'))
            self.stats['stolen leases'] += 1
        elif what < 0.013 and self.processes:
            proc = self.rng.choice(self.processes)
            proc.paused_until = self.steps + self.rng.randint(10, 500)
            self.stats['pauses'] += 1
        elif self.has_rollback and what < 0.017:
            self.take_snapshot()
        elif self.has_rollback and what < 0.021 and self.snapshot:
            self.roll_back()

    def break_call(self, task):
        fate = self.rng.choice(['lost request', 'lost reply', 'late', 'crash before',
                                'crash after', 'zombie'])
        call, proc = task.pending, task.proc
        if call.script == 'commit' and self.rng.random() < 0.6:
            fate = 'late'
        if call.script == 'register' and self.rng.random() < 0.6:
            fate = 'lost reply'
        if fate == 'late' and call.script == 'register':
            fate = 'lost request'  # a reconnecting gateway first kills its old connection
        self.stats[fate] += 1
        if fate == 'zombie':
            proc.paused_until = self.steps + self.rng.randint(20, 300)
            return
        if fate in ('lost reply', 'crash after'):
            self.execute(call)
        elif fate == 'late':
            self.delay(call)
        if fate == 'lost reply' and call.script == 'register' and self.rng.random() < 0.6:
            proc.paused_until = self.steps + self.rng.randint(500, 900)
            self.stats['pauses'] += 1
        if fate.startswith('crash'):
            self.kill(proc, task)
        elif isinstance(proc, Broker):
            if self.rng.random() < 0.5:
                self.forget_partitions(proc, task)
        elif isinstance(proc, Gateway) and self.rng.random() < 0.6:
            proc.on_redis_back()
        # else: the same call is sent again when its task is picked next

    def delay(self, call):
        """Leaves a call on a connection its sender gave up: Redis may still read it, later."""
        self.late.append((self.steps + self.rng.choice([5, 20, 40, 80, 300]), call))

    def leave_in_flight(self, proc, but):
        """What the other calls of a process come to when its connection breaks."""
        for task in proc.tasks:
            if task is but or not isinstance(task.pending, Call):
                continue
            fate = self.rng.random()
            if fate < 0.4:
                self.execute(task.pending)
            elif fate < 0.6 and task.pending.script != 'register':
                self.delay(task.pending)

    def forget_partitions(self, proc, but):
        self.leave_in_flight(proc, but)
        proc.forget()

    def kill(self, proc, but=None):
        self.leave_in_flight(proc, but)
        self.remove(proc)
        self.births.append((self.steps + self.rng.choice([1, 5, 20, 100]), type(proc)))
        self.births.sort(key=lambda b: b[0])

    def remove(self, proc):
        proc.is_alive = False
        proc.tasks = []
        self.processes.remove(proc)

    def on_dead(self, gateway):
        """A gateway learns that it was declared dead: it begins again under a new id."""
        if gateway.is_alive:
            self.stats['expired alive'] += 1
            self.remove(gateway)
            self.births.insert(0, (self.steps, Gateway))

    def take_snapshot(self):
        keys = []
        for name in self.redis.must('KEYS', '*', raw=True):
            keys.append((name, max(0, self.redis.must('PTTL', name)),
                         self.redis.must('DUMP', name, raw=True)))
        self.snapshot = (keys, self.model.copy())

    def roll_back(self):
        """Redis fails over to a copy that lacks the last writes; every connection breaks."""
        keys, model = self.snapshot
        time.sleep(0.02)  # the terms of the lost window lie in the past
        self.redis.must('FLUSHALL')
        for name, ttl, dump in keys:
            self.redis.must('RESTORE', name, ttl, dump)
        model.sent = self.model.sent
        self.model, self.snapshot, self.late = model, None, []
        self.checker.raised = {}
        self.rollbacks += 1
        self.stats['rollbacks'] += 1
        for proc in self.processes:
            if isinstance(proc, Broker) and self.mutation != 'keep-state':
                proc.forget()
            elif isinstance(proc, Gateway):
                proc.on_redis_back()

    def settle(self):
        """Ends all faults and waits until nothing moves any more."""
        self.is_calm, self.snapshot = True, None
        self.births = [(0, cls) for _, cls in self.births]
        for proc in self.processes:
            proc.paused_until = 0
        for left in range(400, 0, -1):
            self.expire_leases()
            for _ in range(100):
                self.step()
            if self.is_at_rest():
                break
        else:
            raise Violation('I8: does not come to rest')
        self.checker.at_rest()
        self.is_calm = False

    def is_at_rest(self):
        if self.late or self.births or any(proc.is_busy() for proc in self.processes):
            return False
        live = self.live_ids()
        if set(self.redis.must('HKEYS', 'sb:{sb}:gw')) - live:
            return False
        for p in range(PARTITIONS):
            cursor = self.redis.must('HGET', key(p, 'own'), 'c') or '0-0'
            if self.redis.must('XRANGE', key(p, 'in'), '(' + cursor, '+', 'COUNT', 1):
                return False
            if set(self.redis.must('SMEMBERS', key(p, 'gws'))) - live:
                return False
        return True

    def run(self, steps, progress=None):
        shown = time.monotonic()
        while self.stats['chaos steps'] < steps:
            n = min(self.rng.randint(1500, 4000), steps - self.stats['chaos steps'])
            for _ in range(n):
                self.step()
            self.stats['chaos steps'] += n
            self.settle()
            if progress and time.monotonic() - shown > 5:
                shown = time.monotonic()
                progress(f"{self.stats['chaos steps']} of {steps} steps, "
                         f"{self.stats['messages']} messages, {self.stats['events']} events")
        return self.stats


def run(seed, steps, mutation=None, has_rollback=False, progress=None):
    """One run on a Redis of its own; returns its statistics or raises Violation."""
    with Server() as server:
        return World(server, seed, mutation, has_rollback).run(steps, progress)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--seed', type=int, default=None, help='of the scheduler (default: random)')
    parser.add_argument('--steps', type=int, default=50000,
                        help='decisions of the scheduler under faults (default %(default)s)')
    parser.add_argument('--mutate', choices=sorted(MUTATIONS), metavar='NAME',
                        help='weaken a script; the run has to fail. One of: '
                             + ', '.join(sorted(MUTATIONS)))
    parser.add_argument('--rollback', action='store_true',
                        help='Redis also falls back to older snapshots')
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(10**6)
    print(f'seed {seed}', flush=True)
    begun = time.monotonic()
    try:
        stats = run(seed, args.steps, args.mutate, args.rollback, lambda s: print(s, flush=True))
    except Violation as violation:
        print(f'violated after {time.monotonic() - begun:.1f} s, seed {seed}: {violation}')
        return 1
    for name, count in sorted(stats.items()):
        print(f'{count:9d}  {name}')
    print(f'all held, {time.monotonic() - begun:.1f} s')
    return 0


if __name__ == '__main__':
    sys.exit(main())
