"""The promises, checked after every call and at rest."""
import json

from simulation.layout import NAMES, PARTITIONS, Violation, channel, history, key, last, parse_id
from simulation.processes import Gateway


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
        if call.script == 'take_partition' and len(reply) == 4:
            self.must_be_top(call.p, reply[2], 'last_id')
            self.check_lineage(call.p, reply[0])
        if call.script == 'raise_floor':
            self.raised[call.p] = max(self.raised.get(call.p, (0, 0)), (int(call.args[0]), 10**9))
        if call.script == 'append' and call.args[0] == 'c:clock' and reply == 1:
            self.world.model.note_accepted([json.loads(call.args[4])['u']])

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
            indexed = set(self.redis.must('ZRANGE', key(p, 'i'), 0, -1))
            for name in NAMES[p]:
                pairs = self.redis.must('HGETALL', key(p, 'c:' + name))
                indexed ^= {cid + '\0' + name for cid in pairs[::2]}
                for cid, val in zip(pairs[::2], pairs[1::2]):
                    if is_open.get(val) != (p, name, cid):
                        raise Violation(f'I5: {val} is registered as {cid} of {name}, not open')
                    registered.add(val)
            if indexed:
                raise Violation(f'I5: registered or indexed, not both: {indexed}')
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
