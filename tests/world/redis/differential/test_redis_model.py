"""The model of Redis answers what a real Redis answers: random commands, the same to both, replies compared byte for byte.

What Redis leaves open is compared as it is promised: the order of lists that it keeps in hash tables, the cursor of a
scan, estimated bytes of memory, the nodes of a tree.
"""
import os
import random

import pytest

from . import commands, scripts
from .servers import Pair, Status, encode, parse_all

SEQUENCES = int(os.environ.get('MODEL_SEQUENCES', '1500'))
SEED = int(os.environ.get('MODEL_SEED', '0')) or random.SystemRandom().randrange(1, 1 << 31)
START_US = commands.NOW_MS * 1000
END = b'+RESET\r\n'


@pytest.fixture(scope='module')
def pair():
    pair = Pair()
    for text in scripts.TEXTS.values():
        real, model = pair.call('SCRIPT', 'LOAD', text)
        assert real == model
    yield pair
    pair.close()


# --- what is promised of a reply ---

def pairs_sorted(items):
    return sorted(zip(items[::2], items[1::2])) if isinstance(items, list) else items


def is_list(reply):
    return isinstance(reply, list)


def promised(argv, reply, name=None):
    word = argv[0].upper() if argv else b''
    if name in scripts.UNORDERED and is_list(reply):
        return sorted(reply)
    if word in (b'SMEMBERS', b'HKEYS', b'HVALS', b'KEYS') and is_list(reply):
        return sorted(reply)
    if word == b'HGETALL' and is_list(reply):
        return pairs_sorted(reply)
    if word in (b'SCAN', b'SSCAN') and is_list(reply):
        return [reply[0], sorted(reply[1])]
    if word == b'HSCAN' and is_list(reply):
        return [reply[0], pairs_sorted(reply[1])]
    if word == b'PUBSUB' and is_list(reply) and len(argv) > 1 and argv[1].upper() == b'CHANNELS':
        return sorted(reply)
    if word == b'MEMORY' and isinstance(reply, int):
        return 'bytes'
    if word == b'XINFO' and is_list(reply):
        return reply[:2] + reply[6:]
    return reply


class Sequence:
    """Commands of one connection, sent at once, with jumps of the clock between them."""

    def __init__(self, seed):
        self.seed = seed
        rng = random.Random(seed)
        kind, generator = seed % 4, commands.Generator(rng)
        self.steps = [self.step(rng, kind, generator) for _ in range(rng.randint(5, 60))]

    @staticmethod
    def step(rng, kind, generator):
        if rng.random() < 0.06:
            return rng.choice([1, 400, 700, 1000, 1500, 3000, -800]), None
        if kind < 2:
            return generator.command(), None
        if kind == 2:
            return (rng.choice(scripts.DAMAGE), None) if rng.random() < 0.15 else scripts.script(rng)
        return (scripts.lua(rng), None) if rng.random() < 0.5 else (generator.command(), None)


def run(pair, steps):
    """The raw replies of both, chunk by chunk: a chunk ends with a RESET, before the clock is moved."""
    outs, chunk = [], []
    for server in pair.servers:
        server.control.call('FLUSHALL')
    pair.set_time(START_US)
    for what, _ in [*steps, (0, None)]:
        if isinstance(what, list):
            chunk.append(encode(what))
            continue
        data = b''.join(chunk) + encode([b'RESET'])
        for server in pair.servers:
            server.control.send(data)
        outs.append([server.control.read_until(END) for server in pair.servers])
        chunk = []
        pair.set_time(pair.now_us + what * 1000)
    return outs


def promised_all(steps, replies):
    """Replies to a transaction are promised as those to its commands."""
    out, queued = [], []
    for (argv, name), reply in zip(steps, replies):
        word = argv[0].upper()
        if word == b'EXEC' and is_list(reply):
            reply = [promised(*step[:1], one, step[1]) for step, one in zip(queued, reply)]
        if word in (b'EXEC', b'DISCARD') or word == b'MULTI' and reply == b'OK':
            queued = []
        if reply == b'QUEUED' and isinstance(reply, Status):
            queued.append((argv, name))
        out.append((type(reply), promised(argv, reply, name)))
    return out


def first_difference(steps, outs):
    """None, or (number of the step, what the real one says, what the model says)."""
    at = 0
    for real, model in outs:
        end = at
        while end < len(steps) and isinstance(steps[end][0], list):
            end += 1
        if real != model:
            both = [parse_all(real), parse_all(model)]
            texts = [promised_all(steps[at:end], replies) for replies in both]
            if len(both[0]) != len(both[1]):
                return at, both[0], both[1]
            for i, (r, m) in enumerate(zip(*texts)):
                if r != m:
                    return at + i, both[0][i], both[1][i]
        at = end + 1
    return None


def shrink(pair, steps):
    """As few steps as still show a difference."""
    at = 0
    while at < len(steps):
        fewer = steps[:at] + steps[at + 1:]
        if fewer and first_difference(fewer, run(pair, fewer)):
            steps = fewer
        else:
            at += 1
    return steps


def told(steps, difference):
    at, real, model = difference
    lines = [f'{argv!r}' for argv, _ in steps[:at + 1]]
    return '\n'.join([*lines, f'redis: {real!r}', f'model: {model!r}'])


def check(pair, seed):
    steps = Sequence(seed).steps
    difference = first_difference(steps, run(pair, steps))
    if difference is None:
        return None
    steps = shrink(pair, steps[:difference[0] + 1])
    again = first_difference(steps, run(pair, steps)) or difference
    return f'seed {seed}:\n{told(steps, again)}'


def test_random_sequences(pair):
    """MODEL_SEED and MODEL_SEQUENCES repeat and widen it."""
    for seed in range(SEED, SEED + SEQUENCES):
        failure = check(pair, seed)
        assert failure is None, failure


# --- several connections: what one does is seen by others ---

CHANNELS = [b'a', b'b', b'c', b'd\x00']
CONNECTIONS = 4


class Crowd:
    """Connections to both servers, stepped together."""

    def __init__(self, pair):
        self.pair = pair
        self.all = [[server.connect() for _ in range(CONNECTIONS)] for server in pair.servers]
        self.ids = [[c.call('CLIENT', 'ID') for c in some] for some in self.all]
        self.is_closed = [False] * CONNECTIONS

    def send(self, at, data):
        """data: bytes, or a function of the ids that each server gave to the connections."""
        for some, ids in zip(self.all, self.ids):
            try:
                some[at].send(data if isinstance(data, bytes) else data(ids))
            except OSError:
                pass

    def outputs(self):
        """What came to each connection: [(of the real one, of the model), …]"""
        for server in self.pair.servers:
            server.settle()
        both = [[None if closed else c.read_what_is_there() for c, closed in zip(some, self.is_closed)]
                for some in self.all]
        return list(zip(*both))

    def close(self):
        for some in self.all:
            for connection in some:
                connection.close()


def words(*argv):
    return encode([a if isinstance(a, bytes) else str(a).encode() for a in argv])


def kill(ids, victim):
    return words('CLIENT', 'KILL', 'ID', ids[victim])


PATTERNS = [b'*', b'[ab]', b'd*', b'?']


def crowd_step(rng, at):
    """Bytes, or a function of the ids. A connection has one pattern: the order of several is nobody's."""
    channel, key, victim = rng.choice(CHANNELS), rng.choice([b's', b't']), rng.randrange(CONNECTIONS)
    return rng.choice([
        words('SUBSCRIBE', channel), words('SUBSCRIBE', channel, rng.choice(CHANNELS)), words('UNSUBSCRIBE', channel),
        words('UNSUBSCRIBE'), words('PSUBSCRIBE', PATTERNS[at]), words('PUNSUBSCRIBE'),
        words('PUBLISH', channel, b'hello'), words('PUBLISH', channel, b'\r\n\x00'), words('PING'), words('PING', b'x'),
        words('PUBSUB', 'NUMSUB', *CHANNELS), words('PUBSUB', 'NUMPAT'), words('GET', b's'),
        words('XREAD', 'BLOCK', '0', 'STREAMS', key, '$'), words('XREAD', 'COUNT', '1', 'BLOCK', '100000', 'STREAMS', key, '0'),
        words('XREAD', 'BLOCK', '0', 'STREAMS', b's', b't', '$', '$'), words('XADD', key, '*', 'm', 'x'),
        words('XADD', key, '*', 'm', 'x'), words('MULTI') + words('XADD', key, '*', 'm', 'y') + words('XADD', key, '*', 'm', 'z') + words('EXEC'),
        words('EVAL', "redis.call('xadd', KEYS[1], '*', 'a', 'b') return redis.call('publish', 'a', 'from a script')", 1, key),
        words('DEL', key), words('SET', key, 'x'), words('XDEL', key, '0-1'), words('XTRIM', key, 'MAXLEN', '0'), words('FLUSHALL'),
        words('MULTI'), words('EXEC'), words('DISCARD'), words('RESET'), words('SUBSCRIBE'), words('XLEN', key),
        lambda ids: kill(ids, victim), lambda ids: words('CLIENT', 'UNBLOCK', ids[victim]),
        lambda ids: words('CLIENT', 'UNBLOCK', ids[victim], 'ERROR'), words('SELECT', 1), words('SELECT', 0),
        words('ECHO', 'one') + words('ECHO', 'two') + words('PUBLISH', 'a', 'three'),
        rng.choice([b'PING\r\n', b'ECHO  hi \r\n', b'\r\n', b'*0\r\n', b'*-1\r\n']),
        rng.choice([words('QUIT'), b'*1\r\nx\r\n', b'*1\r\n$-1\r\n', b'*x\r\n', b'*1\r\n$99999999999\r\n', b'*9999999\r\n']),
    ])


def is_unsubscribed(reply):
    return is_list(reply) and reply[:1] == [b'unsubscribe']


def flat(replies):
    """Those of an EXEC among the others."""
    for reply in replies:
        if is_list(reply) and any(is_unsubscribed(one) for one in reply):
            yield from flat(reply)
        else:
            yield reply


def heard(data):
    """The order in which UNSUBSCRIBE goes through all channels is nobody's."""
    replies = list(flat(parse_all(data or b'')))
    names = sorted((r[1] for r in replies if is_unsubscribed(r)), key=repr)
    return data is None, names, [r[::2] if is_unsubscribed(r) else r for r in replies]


def crowd_story(pair, seed):
    rng, crowd, said = random.Random(seed), Crowd(pair), []
    pair.call('FLUSHALL')
    pair.set_time(START_US)
    try:
        for _ in range(rng.randint(5, 40)):
            at = rng.randrange(CONNECTIONS)
            data = crowd_step(rng, at)
            if crowd.is_closed[at]:
                continue
            said.append(f'{at}: {data(crowd.ids[0]) if callable(data) else data!r}')
            crowd.send(at, data)
            outputs = crowd.outputs()
            for i, (real, model) in enumerate(outputs):
                if real is None and model is not None:
                    model = crowd.outputs()[i][1]  # what was said to somebody who is then cut off may be lost
                if real != model and heard(real) != heard(model):
                    return '\n'.join([f'seed {seed}:', *said, f'to {i}, redis: {real!r}', f'to {i}, model: {model!r}'])
                crowd.is_closed[i] = crowd.is_closed[i] or real is None
    finally:
        crowd.close()
    return None


def test_several_connections(pair):
    for seed in range(SEED, SEED + SEQUENCES // 10):
        failure = crowd_story(pair, seed)
        assert failure is None, failure


def test_a_command_arrives_in_pieces(pair):
    data = words('MSET', 'a', '', 'b', b'\r\n$3') + b'PING x\r\n' + words('MGET', 'a', 'b') + words('RESET')
    for size in range(1, len(data)):
        outs = []
        for server in pair.servers:
            for at in range(0, len(data), size):
                server.control.send(data[at:at + size])
            outs.append(server.control.read_until(END))
        assert outs[0] == outs[1] == b'+OK\r\n$1\r\nx\r\n*2\r\n$0\r\n\r\n$4\r\n\r\n$3\r\n', size


# --- large collections: a scan sees what is there all the time ---

def scan_all(control, argv, count, change=lambda page: None):
    seen, cursor, page = [], b'0', 0
    while True:
        cursor, items = control.call(*argv, cursor, 'COUNT', count)
        seen += items
        if cursor == b'0':
            return seen
        change(page)
        page += 1


@pytest.mark.parametrize('kind', ['SCAN', 'SSCAN', 'HSCAN'])
def test_scans_see_everything(pair, kind):
    """Also while the collection grows, and shrinks; a real Redis tells the same."""
    for server in pair.servers:
        control, argv = server.control, [kind] if kind == 'SCAN' else [kind, 'big']
        for stays, comes, goes in [(1000, 0, 0), (1000, 3000, 0), (100, 0, 2000)]:
            control.call('FLUSHALL')
            fill(control, kind, 'stay', stays)
            fill(control, kind, 'go', goes)

            def change(page):
                fill(control, kind, f'come{page}-', comes // 20)
                drop(control, kind, 'go', page * goes // 20, (page + 1) * goes // 20)

            seen = {item for item in scan_all(control, argv, 50, change) if item.startswith(b'stay')}
            assert len(seen) == stays, server.name


def fill(control, kind, prefix, count):
    for i in range(count):
        name = f'{prefix}{i}'
        control.call(*{'SCAN': ['SET', name, '1'], 'SSCAN': ['SADD', 'big', name], 'HSCAN': ['HSET', 'big', name, '1']}[kind])


def drop(control, kind, prefix, start, end):
    for i in range(start, end):
        name = f'{prefix}{i}'
        control.call(*{'SCAN': ['DEL', name], 'SSCAN': ['SREM', 'big', name], 'HSCAN': ['HDEL', 'big', name]}[kind])


# --- a server that refuses ---

REFUSED = [
    words('SET', 'a', 'b'), words('GET', 'a'), words('DEL', 'a'), words('XADD', 's', '*', 'm', 'x'), words('XTRIM', 's', 'MAXLEN', 0),
    words('PUBLISH', 'a', 'b'), words('PING'), words('HDEL', 'h', 'f'), words('EVAL', "return redis.call('set', 'a', 'b')", 0),
    words('EVAL', "return redis.pcall('set', 'a', 'b').err", 0), words('EVAL', "return redis.call('get', 'a')", 0),
    words('EVAL', "redis.call('del', 'a') return redis.call('set', 'a', 'b')", 0), words('EVAL', '#!lua\nreturn 1', 0),
    words('EVAL', "#!lua flags=allow-oom\nreturn redis.call('set', 'a', 'b')", 0), words('EVAL', '#!lua flags=no-writes\nreturn 1', 0),
    words('MULTI') + words('SET', 'a', 'b') + words('EXEC'), words('MULTI') + words('GET', 'a') + words('EXEC'),
    words('MULTI') + words('DEL', 'a') + words('EXEC'), words('MULTI') + words('PUBLISH', 'a', 'b') + words('DISCARD'),
    *[words('EVALSHA', scripts.SHAS[name], 1, 'k', 'x', 'y') for name in sorted(scripts.SHAS) if name in ('unlock', 'probe_write', 'lock')],
    words('EXEC'), words('FLUSHALL'), words('INFO', 'nothing'), words('TIME'), words('SUBSCRIBE', 'a') + words('PING') + words('UNSUBSCRIBE'),
]


def ask_all(pair):
    outs = []
    for server in pair.servers:
        server.control.call('SET', 'a', '1')
        out = []
        for data in REFUSED:
            server.control.send(data + words('RESET'))
            out.append(server.control.read_until(END))
        outs.append(out)
    for data, real, model in zip(REFUSED, *outs):
        assert real == model, data


@pytest.mark.parametrize('how, end', [
    (['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']),
    (['CONFIG', 'SET', 'min-replicas-to-write', '1'], ['CONFIG', 'SET', 'min-replicas-to-write', '0']),
    (['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE'])])
def test_a_server_that_refuses(pair, how, end):
    for server in pair.servers:
        assert server.control.call(*how) == b'OK', server.name
    try:
        ask_all(pair)
    finally:
        pair.call(*end)
    ask_all(pair)


def test_a_password(pair):
    """Before AUTH nothing is answered but that."""
    pair.call('CONFIG', 'SET', 'requirepass', 'secret')
    outs = []
    try:
        for server in pair.servers:
            fresh = server.connect()
            for data in [words('GET', 'a'), words('AUTH', 'wrong'), words('FOO'), words('GET'), words('AUTH', 'x', 'secret'),
                         words('MULTI'), words('EXEC'), words('PING'), words('SUBSCRIBE', 'a'), words('AUTH', 'default', 'secret'),
                         words('GET', 'nothing'), words('RESET')]:
                fresh.send(data)
            outs.append(fresh.read_until(END))
        for data in [words('PING', 'x' * 16384), words('PING', 'x' * 16385), words(*['PING'] * 10), words(*['PING'] * 11)]:
            pair_of = [server.connect() for server in pair.servers]
            for connection in pair_of:
                connection.send(data)
            for server in pair.servers:
                server.settle()
            real, model = [connection.read_what_is_there() for connection in pair_of]
            assert real == model, data[:40]
    finally:
        pair.call('CONFIG', 'SET', 'requirepass', '')
    assert outs[0] == outs[1]


def test_small_lists_keep_their_order(pair):
    """Redis lists a small hash in the order of insertion, and a small set of integers by value."""
    for server in pair.servers:
        control = server.control
        control.call('DEL', 'h', 's')
        for i in range(60):
            control.call('HSET', 'h', f'{i * 7 % 60}', 'x' * 64)
            control.call('SADD', 's', i * 7 % 60 - 30)
        control.call('HDEL', 'h', '5', '7')
        control.call('HSET', 'h', '5', '', '9', '')
    for argv in [('HGETALL', 'h'), ('HKEYS', 'h'), ('HSCAN', 'h', '0'), ('SMEMBERS', 's'), ('SSCAN', 's', '0', 'COUNT', '1')]:
        real, model = pair.call(*argv)
        assert real == model, argv
