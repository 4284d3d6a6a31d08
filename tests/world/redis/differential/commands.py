"""Random commands: small pools of keys and values, so that they meet; good ones and bad ones."""

KEYS = [b'a', b'b', b'c', b'd', b'{e}', b'', b'f:\x00\xff']
MEMBERS = [b'm', b'n', b'o', b'p', b'1', b'2', b'-7', b'', b'q\x00\r\n', b'x' * 65]
VALUES = [b'', b'0', b'1', b'-1', b'10', b'abc', b'\x00\xff\r\n', b'y' * 64, b'z' * 65, b'w' * 300,
          b'9223372036854775807', b'-9223372036854775808', b'01', b'1.5', b' 1', b'+1']
NUMBERS = [b'0', b'1', b'-1', b'2', b'3', b'10', b'100', b'9223372036854775807', b'-9223372036854775808']
BAD_NUMBERS = [b'', b'x', b'1.5', b'99999999999999999999', b' 1', b'01', b'-0']
SCORES = [b'0', b'0', b'1', b'-2.5', b'inf', b'-inf', b'3e2', b'+5', b'x', b'nan']
NOW_MS = 1_700_000_000_000


def pick(rng, *pools):
    return rng.choice(rng.choice(pools))


def number(rng):
    return rng.choice(BAD_NUMBERS) if rng.random() < 0.06 else rng.choice(NUMBERS)


def many(rng, pool, most=4):
    return [rng.choice(pool) for _ in range(rng.randint(1, most))]


def entry_id(rng):
    ms = rng.choice([0, 1, 2, 3, 5, NOW_MS, NOW_MS + 1, NOW_MS + 5000, 2 ** 64 - 1])
    kind = rng.random()
    if kind < 0.05:
        return rng.choice([b'', b'-', b'x-1', b'1-', b'-1', b'1-x', b'1-1-1', b'99999999999999999999-1'])
    if kind < 0.2:
        return b'%d' % ms
    return b'%d-%d' % (ms, rng.choice([0, 1, 2, 3, 2 ** 64 - 1]))


def range_end(rng):
    kind = rng.random()
    if kind < 0.4:
        return rng.choice([b'-', b'+'])
    return (b'(' if kind < 0.6 else b'') + entry_id(rng)


def case(rng, word):
    return word.lower() if rng.random() < 0.3 else word


def expiry(rng):
    words = [b'EX', b'PX', b'EXAT', b'PXAT']
    word = rng.choice(words)
    good = {b'EX': 2, b'PX': 1500, b'EXAT': NOW_MS // 1000 + 3, b'PXAT': NOW_MS + 700}[word]
    return [case(rng, word), b'%d' % good if rng.random() < 0.8 else number(rng)]


def set_(rng):
    options = []
    for word in (b'NX', b'XX', b'GET', b'KEEPTTL'):
        if rng.random() < 0.15:
            options.append([case(rng, word)])
    if rng.random() < 0.4:
        options.append(expiry(rng))
    rng.shuffle(options)
    return [b'SET', rng.choice(KEYS), rng.choice(VALUES), *sum(options, [])]


def expire(rng):
    name = rng.choice([b'EXPIRE', b'PEXPIRE', b'EXPIREAT', b'PEXPIREAT'])
    good = {b'EXPIRE': [1, 2, 3, 0, -5], b'PEXPIRE': [1, 700, 1500, 0, -5],
            b'EXPIREAT': [NOW_MS // 1000 + i for i in (-1, 0, 1, 4)],
            b'PEXPIREAT': [NOW_MS + i for i in (-1, 0, 1, 700, 2000)]}[name]
    n = b'%d' % rng.choice(good) if rng.random() < 0.85 else number(rng)
    more = [case(rng, rng.choice([b'NX', b'XX', b'GT', b'LT', b'ZZ'])) for _ in range(rng.choice([0, 0, 1, 1, 2]))]
    return [name, rng.choice(KEYS), n, *more]


def trim(rng):
    kind = rng.choice([b'MAXLEN', b'MINID'])
    out = [case(rng, kind)]
    about = rng.choice([b'', b'', b'=', b'~'])
    if about:
        out.append(about)
    out.append(entry_id(rng) if kind == b'MINID' else rng.choice([b'0', b'1', b'2', b'5', b'-1', b'x']))
    if rng.random() < 0.1:
        out += [b'LIMIT', rng.choice([b'0', b'100', b'-1', b'x'])]
    return out


def xadd(rng):
    out = [b'XADD', rng.choice(KEYS)]
    if rng.random() < 0.08:
        out.append(b'NOMKSTREAM')
    if rng.random() < 0.3:
        out += trim(rng)
    kind = rng.random()
    out.append(b'*' if kind < 0.6 else entry_id(rng) if kind < 0.92 else b'%d-*' % rng.choice([0, 5, NOW_MS]))
    for _ in range(rng.choice([0, 1, 1, 1, 1, 2])):
        out += [rng.choice(MEMBERS), rng.choice(VALUES)]
    return out + ([b'odd'] if rng.random() < 0.03 else [])


def xrange_(rng):
    out = [rng.choice([b'XRANGE', b'XREVRANGE']), rng.choice(KEYS), range_end(rng), range_end(rng)]
    if rng.random() < 0.4:
        out += [case(rng, b'COUNT'), number(rng)]
    return out


def xread(rng):
    keys = many(rng, KEYS, 3)
    out = [b'XREAD']
    if rng.random() < 0.5:
        out += [b'COUNT', number(rng)]
    out.append(case(rng, b'STREAMS'))
    ids = [b'$' if rng.random() < 0.1 else b'0' if rng.random() < 0.4 else entry_id(rng) for _ in keys]
    return out + keys + ids[:len(ids) - (rng.random() < 0.03)]


def zadd(rng):
    out = [b'ZADD', rng.choice(KEYS)]
    out += [case(rng, w) for w in (b'NX', b'XX', b'GT', b'LT', b'CH', b'INCR') if rng.random() < 0.08]
    for _ in range(rng.choice([1, 1, 1, 2])):
        out += [rng.choice(SCORES), rng.choice(MEMBERS)]
    return out


def lex_bound(rng):
    kind = rng.random()
    return rng.choice([b'-', b'+']) if kind < 0.4 else rng.choice([b'[', b'(', b'[', b'']) + rng.choice(MEMBERS)


def zrangebylex(rng):
    out = [b'ZRANGEBYLEX', rng.choice(KEYS), lex_bound(rng), lex_bound(rng)]
    if rng.random() < 0.4:
        out += [b'LIMIT', number(rng), rng.choice([b'0', b'1', b'2', b'10', b'-1'])]
    return out


def hset(rng):
    out = [rng.choice([b'HSET', b'HSET', b'HMSET']), rng.choice(KEYS)]
    for _ in range(rng.randint(1, 3)):
        out += [rng.choice(MEMBERS), rng.choice(VALUES)]
    return out + ([b'odd'] if rng.random() < 0.03 else [])


def scan(rng):
    name = rng.choice([b'SCAN', b'HSCAN', b'SSCAN'])
    out = [name] + ([] if name == b'SCAN' else [rng.choice(KEYS)])
    out.append(b'0' if rng.random() < 0.9 else b'x')
    out += [case(rng, b'COUNT'), b'1000' if rng.random() < 0.9 else rng.choice([*BAD_NUMBERS, b'0', b'-1'])]
    if rng.random() < 0.3:
        out += [b'MATCH', rng.choice([b'*', b'?', b'[a-c]', b'm*', b'[^m]', b'\\*', b'*\xff', b'*x*x'])]
    if name == b'SCAN' and rng.random() < 0.2:
        out += [b'TYPE', rng.choice([b'string', b'hash', b'set', b'zset', b'stream', b'list'])]
    return out


def pubsub(rng):
    return rng.choice([[b'PUBSUB', b'NUMSUB', b'a', b'b'], [b'PUBSUB', b'NUMSUB'], [b'PUBSUB', b'NUMPAT'],
                       [b'PUBSUB', b'CHANNELS'], [b'PUBSUB', b'CHANNELS', b'a*'], [b'PUBLISH', b'a', b'x'],
                       [b'PUBSUB', b'FOO'], [b'PUBLISH', b'a']])


def bad(rng):
    return rng.choice([[b'FOO'], [b'FOO', b'bar', b'x' * 200], [b'GET'], [b'SET', b'a'], [b'HSET', b'a', b'b'],
                       [b'XADD', b'a', b'*'], [b'CLIENT', b'FOO'], [b'SCRIPT', b'FOO'], [b'XINFO', b'FOO'],
                       [b'MEMORY', b'FOO'], [b'EVALSHA', b'00', b'0'], [b'EVAL', b'return 1', b'x'],
                       [b'EVAL', b'return 1', b'3', b'a'], [b'EVAL', b'return 1', b'-1'], [b'SELECT', b'16'],
                       [b'SELECT', b'x'], [b'PING', b'a', b'b'], [b'AUTH', b'x'], [b'AUTH', b'u', b'x'],
                       [b'CLIENT', b'KILL', b'ID', b'x'], [b'CLIENT', b'KILL', b'ID', b'999999'],
                       [b'CLIENT', b'KILL', b'9.9.9.9:1'], [b'CLIENT', b'KILL', b'FOO', b'1'],
                       [b'CLIENT'], [b'CLIENT', b'KILL'], [b'CLIENT', b'ID', b'x'], [b'XINFO', b'STREAM'], [b'SCRIPT', b'LOAD'],
                       [b'SCRIPT', b'EXISTS', b'x', b'y'], [b'SCRIPT', b'LOAD', b'a b'], [b'CONFIG'], [b'CONFIG', b'GET'],
                       [b'CONFIG', b'SET', b'maxmemory'], [b'CONFIG', b'SET', b'nothing', b'x'], [b'PUBSUB', b'NUMPAT', b'x'],
                       [b'CLIENT', b'SETNAME', b'a b'], [b'CLIENT', b'SETNAME', b'me'], [b'CLIENT', b'GETNAME'],
                       [b'CLIENT', b'KILL', b'TYPE', b'x'], [b'CLIENT', b'KILL', b'ID', b'1', b'x'],
                       [b'EXEC'], [b'DISCARD'], [b'SCRIPT', b'KILL'], [b'CONFIG', b'GET', b'nothing'],
                       [b'CONFIG', b'GET', b'maxmemory'], [b'CONFIG', b'GET', b'proto-max-bulk-len']])


CONTROLS = [[b'MULTI'], [b'EXEC'], [b'DISCARD']]


def strings(rng):
    key, value = rng.choice(KEYS), rng.choice(VALUES)
    return rng.choice([
        [b'GET', key], [b'STRLEN', key], [b'GETDEL', key], [b'SETNX', key, value], [b'APPEND', key, value],
        [b'SETEX', key, rng.choice([b'1', b'2', b'0', b'-1', b'x']), value],
        [b'PSETEX', key, rng.choice([b'700', b'1500', b'0']), value],
        [b'INCR', key], [b'DECR', key], [b'INCRBY', key, number(rng)], [b'DECRBY', key, number(rng)],
        [b'MGET', *many(rng, KEYS)], [b'MSET', key, value, rng.choice(KEYS), rng.choice(VALUES)]])


def keys(rng):
    key = rng.choice(KEYS)
    return rng.choice([
        [rng.choice([b'DEL', b'UNLINK']), *many(rng, KEYS, 2)], [b'EXISTS', *many(rng, KEYS)], [b'TYPE', key],
        [b'TTL', key], [b'PTTL', key], [b'EXPIRETIME', key], [b'PEXPIRETIME', key], [b'PERSIST', key],
        [b'KEYS', rng.choice([b'*', b'?', b'[ab]'])], [b'MEMORY', b'USAGE', key], [b'MEMORY', b'USAGE', key, b'SAMPLES', b'0']])


def server(rng):
    return rng.choice([[b'PING'], [b'PING', b'x'], [b'ECHO', rng.choice(VALUES)], [b'TIME'], [b'ROLE']])


def hashes(rng):
    key, member = rng.choice(KEYS), rng.choice(MEMBERS)
    return rng.choice([
        hset(rng), hset(rng), [b'HGET', key, member], [b'HMGET', key, *many(rng, MEMBERS)],
        [b'HSETNX', key, member, rng.choice(VALUES)], [b'HDEL', key, *many(rng, MEMBERS)], [b'HLEN', key],
        [b'HEXISTS', key, member], [b'HSTRLEN', key, member], [b'HINCRBY', key, member, number(rng)], [b'HGETALL', key],
        [b'HKEYS', key], [b'HVALS', key]])


def sets(rng):
    key = rng.choice(KEYS)
    return rng.choice([
        [b'SADD', key, *many(rng, MEMBERS)], [b'SADD', key, *many(rng, MEMBERS)], [b'SREM', key, *many(rng, MEMBERS)],
        [b'SCARD', key], [b'SISMEMBER', key, rng.choice(MEMBERS)], [b'SMISMEMBER', key, *many(rng, MEMBERS)],
        [b'SMEMBERS', key]])


def sorted_(rng):
    key = rng.choice(KEYS)
    return rng.choice([
        zadd(rng), zadd(rng), zadd(rng), zrangebylex(rng), zrangebylex(rng), [b'ZREM', key, *many(rng, MEMBERS)],
        [b'ZCARD', key], [b'ZSCORE', key, rng.choice(MEMBERS)],
        [b'ZRANGE', key, number(rng), number(rng), *rng.choice([[], [b'WITHSCORES']])],
        [b'ZLEXCOUNT', key, lex_bound(rng), lex_bound(rng)]])


def streams(rng):
    key = rng.choice(KEYS)
    return rng.choice([
        xadd(rng), xadd(rng), xadd(rng), xrange_(rng), xrange_(rng), xread(rng), [b'XLEN', key],
        [b'XDEL', key, *[entry_id(rng) for _ in range(rng.randint(1, 3))]], [b'XTRIM', key, *trim(rng)],
        [b'XINFO', b'STREAM', key]])


THEMES = [lambda rng: rng.choice([strings, set_])(rng), keys, expire, hashes, sets, sorted_, streams, scan]
OTHERS = [server, pubsub, bad]


class Generator:
    """Commands of a few themes on a few keys: what is rare elsewhere happens here."""

    def __init__(self, rng):
        self.rng = rng
        self.themes = rng.sample(THEMES, rng.randint(1, 4)) if rng.random() < 0.8 else THEMES
        self.is_lexical = rng.random() < 0.5  # ranges by member are defined while all scores are equal
        self.keys = rng.sample(KEYS, rng.randint(1, 3)) if rng.random() < 0.8 else KEYS

    def command(self):
        rng, kind = self.rng, self.rng.random()
        if kind < 0.04:
            return rng.choice(CONTROLS)
        argv = rng.choice(OTHERS if kind < 0.1 else self.themes)(rng)
        if b'LEX' in argv[0] and not self.is_lexical:
            argv = [b'ZCARD', argv[1]]
        if argv[0] == b'ZADD' and self.is_lexical:
            argv = [b'0' if a in SCORES else a for a in argv if a != b'INCR']
        return [argv[0], *[rng.choice(self.keys) if a in KEYS and a != b'' and rng.random() < 0.95 else a for a in argv[1:]]]
