"""The scheduler: whose call is next, and what happens to it. Read `World.step` first."""
import random
import time
from collections import Counter

from simulation.redis import Error, Server
from simulation.scripts import NEED_ROLLBACK, load_scripts
from simulation.layout import PARTITIONS, Violation, key
from simulation.processes import Broker, Call, Gateway, Publisher
from simulation.model import Model
from simulation.checker import Checker


class World:
    ALLOWED = {'append': ('BUSY',), 'forward': ('BUSY',), 'append_once': ('BUSY',), 'commit': ('FENCED', 'CURSOR'),
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
        elif call.script in ('append', 'forward') and reply < (len(call.args) - 2) // 2:
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
