"""The virtual processes: sets of tasks, each a generator that yields one Redis call at a time.

Read `Broker.partition` first."""
import json

from simulation.redis import Error
from simulation.layout import (CLIENTS, INGEST_LIMIT, LEASE_MS, NAMES, NO_LIMIT, PARTITIONS, channel, history, key, last,
                               parse_id, route)


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
            reply = yield script('take_partition', p, ['own', 'lease'], self.id, LEASE_MS, self.known[p], 0, 'taken', p)
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
                yield script('forward', q, ['in', 'src'], f'p{p}', NO_LIMIT, *batch)
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
            if trim == '1':
                ms, n = parse_id(new_cursor)
                trim = f'{ms}-{n + 1}'
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
                yield script('unregister', p, ['c:' + name, 'g:' + gid, 'in', 'i', 'l:' + name, 's:' + name],
                             cid, val, member, name, 'gateway', 180)
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
            yield script('append', p, ['in', 'src'], 'c:clock', NO_LIMIT, 1 << 40, f'{now:020d}',
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
                    yield script('unregister', p, ['c:' + name, 'g:' + self.id, 'in', 'i', 'l:' + name, 's:' + name],
                                 cid, val, member, name, 'sync', 180)

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
            while isinstance((yield script('append', p, ['in', 'src'], self.id, INGEST_LIMIT, 1 << 40, *batch)),
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
            keys = ['c:' + name, 'g:' + self.id, 'gws', 'in', 'own', 'l:' + name, 'l*', 'i', 's:' + name]
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
            yield script('unregister', p, ['c:' + name, 'g:' + self.id, 'in', 'i', 'l:' + name, 's:' + name],
                         cid, val, member, name, 'closed', 180)
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
