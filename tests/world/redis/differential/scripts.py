"""The product's scripts with plausible arguments, and scripts that show what Lua and Redis say to each other."""
import hashlib
import pathlib
import struct

from . import commands

FOLDER = pathlib.Path(__file__).resolve().parents[4] / 'common' / 'bus' / 'redis' / 'scripts'
TEXTS = {path.stem: path.read_bytes() for path in sorted(FOLDER.glob('*.lua'))}
SHAS = {name: hashlib.sha1(text).hexdigest().encode() for name, text in TEXTS.items()}

NOW_MS = commands.NOW_MS
HOLDERS = [b'A', b'B', b'']
TERMS = [b'%d' % (NOW_MS + i) for i in (0, 0, 0, 1, 2, -1)] + [b'1', b'0']
SOURCES = [b's1', b's2', b'']
GATEWAYS = [b'g1', b'g2']
NAMES = [b'x', b'y']
CLIENTS = [b'c1', b'c2']


def entry_id(rng):
    return b'%d-%d' % (NOW_MS + rng.choice([0, 0, 1, 2, 5000]), rng.choice([0, 1, 2, 3]))


def seq(n):
    return b'%020d' % n


def batch(rng, start=1):
    out, n = [], rng.randint(start, 4)
    for _ in range(rng.randint(0, 3)):
        out += [seq(n), rng.choice(commands.VALUES)]
        n += rng.randint(1, 2)
    return out


def value_of(rng, gateway):
    return gateway + b':%d:%d|' % (rng.randint(1, 3), NOW_MS)


def connection(rng):
    name, client, gateway = rng.choice(NAMES), rng.choice(CLIENTS), rng.choice(GATEWAYS)
    value = value_of(rng, gateway)
    return name, client, gateway, value, name + b'\0' + client + b'\0' + value


def output(rng, n):
    name = rng.choice(NAMES)
    start = rng.choice([b'0', b'%d-0' % NOW_MS, b'?%d-0' % (NOW_MS - 5), b'?%d-2' % NOW_MS])
    keys = [b'h:' + name, rng.choice([b'l:' + name, b'l:' + name, b'h:' + name])]
    args = [b'%d-%d' % (NOW_MS, n), start, rng.choice([b'0', b'5', b'-5']), b'n:' + name, rng.choice(commands.VALUES)]
    return keys, args


def answer(rng, n):
    client = rng.choice(NAMES) + b'\0' + rng.choice(CLIENTS)
    keys = [rng.choice([b'a:', b'h:']) + client, rng.choice([b'b:', b'h:']) + client]
    return keys, [b'%d-%d' % (NOW_MS, n), b'=%d\n' % rng.randint(1, 3) + rng.choice(commands.VALUES), b'300', b'', b'']


def commit(rng):
    keys, args, n = [b'own', b'in'], [], rng.randint(1, 8)
    for _ in range(rng.randint(0, 3)):
        more_keys, more_args = rng.choice([output, output, answer])(rng, n)
        keys += more_keys
        args += more_args
        n += rng.randint(0 if rng.random() < 0.1 else 1, 3)
    cursor = rng.choice([b'0-0', entry_id(rng)])
    trim = rng.choice([b'0', entry_id(rng)])
    return keys, [rng.choice(HOLDERS), rng.choice(TERMS), cursor, entry_id(rng), trim, *args]


def register(rng):
    name, client, gateway, value, member = connection(rng)
    return ([b'c:' + name, b'g:' + gateway, b'gws', b'in', b'own', b'l:' + name, b'l*', b'i', b's:' + name],
            [client, value, gateway, member if rng.random() < 0.95 else b'x', name, rng.choice([b'0', b'1'])])


def unregister(rng):
    name, client, gateway, value, member = connection(rng)
    return ([b'c:' + name, b'g:' + gateway, b'in', b'i', b'l:' + name, b's:' + name],
            [client, value, member, name, rng.choice([b'left', b'']), b'60'])


def deferred_ids(rng):
    return [entry_id(rng) for _ in range(rng.randint(0, 3))]


def defer(rng):
    args = []
    for one in deferred_ids(rng):
        args += [one, rng.choice([one, entry_id(rng)]), rng.choice([b'0', b'1']), rng.choice([b'lane', b'other'])]
    return [b'own', b'in', b'w'], [rng.choice(HOLDERS), rng.choice(TERMS), *args]


def held(keys, *more):
    return lambda rng: (keys, [rng.choice(HOLDERS), rng.choice(TERMS),
                               *[m(rng) if callable(m) else m for m in more]])


SCRIPTS = {
    'append': lambda rng: ([b'in', b'src'], [rng.choice(SOURCES), rng.choice([b'3', b'1000']),
                                             rng.choice([b'1', b'1000000']), *batch(rng)]),
    'append_once': lambda rng: ([b'in', b'src', b'd:' + rng.choice(NAMES)],
                                [rng.choice(SOURCES), rng.choice([b'2', b'1000']),
                                 rng.choice([b'1', b'1000', b'0', b'x', b'-1']), seq(rng.randint(1, 5)),
                                 rng.choice(commands.VALUES)]),
    'append_tick': lambda rng: ([b'in', b'src'],
                                [rng.choice(SOURCES), rng.choice([b'2', b'1000']),
                                 seq(NOW_MS // 1000 + rng.choice([-10, -3, -2, -1, 0, 1, 10])),
                                 seq(NOW_MS // 1000 + rng.choice([1, 2, 20])), rng.choice(commands.VALUES)]),
    'commit': commit,
    'count_try': held([b'own'], entry_id),
    'declare_dead': lambda rng: ([b'gw', b'dead:' + (g := rng.choice(GATEWAYS))], [g, rng.choice([b'1', b'2'])]),
    'defer': defer,
    'fence_gateway': lambda rng: ([b'g:' + rng.choice(GATEWAYS)], [rng.choice([b'1', b'3600'])]),
    'forward': lambda rng: ([b'in', b'src'], [rng.choice(SOURCES), rng.choice([b'3', b'1000']), *batch(rng)]),
    'heartbeat': lambda rng: ([b'gw', b'dead:' + (g := rng.choice(GATEWAYS))], [g, rng.choice([b'1', b'2']), b'probe']),
    'list_deferred': held([b'own', b'in', b'w']),
    'lock': lambda rng: ([b'lock'], [rng.choice(HOLDERS), rng.choice([b'500', b'2000'])]),
    'find_answers': lambda rng: ([k + n + b'\0c1' for n in NAMES for k in (b'a:', b'b:')], [b'1', b'2']),
    'measure_log': lambda rng: ([b'l:' + (n := rng.choice(NAMES)), b'h:' + n, *rng.choice([[], [b'c:' + n]])],
                                [rng.choice([b'100', b'1000']), rng.choice([b'1', b'2', b'64']), b'32']),
    'peek_entry': lambda rng: ([b'in'], [rng.choice([b'0-0', entry_id(rng)]), rng.choice([b'3', b'100'])]),
    'probe_write': lambda rng: ([b'way'], []),
    'raise_floor': lambda rng: ([b'own'], [rng.choice([b'%d' % (NOW_MS + 9), b'5', b'x', b'4503599627370496',
                                                       b'4503599627370497'])]),
    'register': register,
    'release_lease': held([b'own', b'lease']),
    'renew_lease': held([b'own', b'lease'], b'1500'),
    'renew_lock': lambda rng: ([b'lock'], [rng.choice(HOLDERS), b'1500']),
    'requeue': lambda rng: ([b'own', b'in', b'w'], [rng.choice(HOLDERS), rng.choice(TERMS), *deferred_ids(rng)]),
    'restart_stream': held([b'own', b'in'], lambda rng: rng.choice([b'0-0', entry_id(rng)]),
                           lambda rng: rng.choice([b'0', b'-9999999', b'100'])),
    'take_partition': lambda rng: ([b'own', b'lease'], [rng.choice(HOLDERS), rng.choice([b'500', b'2000']),
                                                        rng.choice([b'0', b'%d' % (NOW_MS + 3)]),
                                                        rng.choice([b'0', b'60000']), b'taken', b'7']),
    'unlock': lambda rng: ([b'lock'], [rng.choice(HOLDERS)]),
    'unregister': unregister,
}
UNORDERED = {'list_deferred'}

# What the scripts find: good, and as some other program may have left it.
DAMAGE = [
    [b'SET', b'own', b'x'], [b'HSET', b'own', b't', b'x'], [b'HSET', b'own', b'c', b''], [b'HSET', b'own', b'c', b'1-x'],
    [b'HSET', b'own', b'g', b'99999999999999999999'], [b'HSET', b'own', b'i', b'5-5'], [b'SET', b'lease', b'B'],
    [b'HSET', b'own', b'k', b'99999999999999 5-1'], [b'HSET', b'own', b'k', b'1 5-1'],
    [b'SET', b'lease', b'B', b'PX', b'100000000'], [b'HSET', b'w', b'x', b'y'], [b'DEL', b'own'], [b'DEL', b'in'],
    [b'HSET', b'w', b'%d-1' % NOW_MS, b'\x94\xa35-5\xa10\xa4lane\x92\xa1m\xa1v'],
    [b'HSET', b'w', b'%d-2' % NOW_MS, b'\x94\xa35-5\xa10\xa4lane\x90'], [b'HSET', b'w', b'1-1', b'\x93\xc1'],
    [b'SET', b'h:x', b'no stream'], [b'XADD', b'h:y', b'%d-6' % NOW_MS, b'm', b'later'], [b'HSET', b'c:x', b'c1', b'g1:9:9|'],
    [b'SADD', b'g:g1', b''], [b'HSET', b'src', b's1', b'x'], [b'HSET', b'src', b's1', seq(NOW_MS // 1000 + 1)],
    [b'SET', b'c:y', b'1'], [b'XADD', b'in', b'*', b'm', b'1'], [b'XADD', b'in', b'%d-3' % (NOW_MS + 5000), b'm', b'1'],
    [b'HSET', b'own', b'h', b'A', b't', b'%d' % NOW_MS], [b'HSET', b'own', b'h', b'A', b't', b'%d' % NOW_MS],
]


def script(rng):
    """(argv, name)"""
    name = rng.choice(list(SCRIPTS))
    keys, args = SCRIPTS[name](rng)
    return [b'EVALSHA', SHAS[name], b'%d' % len(keys), *keys, *args], name


# What Lua values become, and how errors are told.
LUA = [
    b"return {1,2.9,-2.9,'a',true,false,nil,5}", b"return {}", b"return nil", b"return 1e20", b"return -1e15",
    b"return 2^53", b"return tostring(2^53)", b"return tostring(1e15)..' '..1e14 ..' '..0.1 ..' '..-0.0",
    b"return 10/2 ..''", b"return string.format('%.0f %d %s', 2^52, 3, 7/2)", b"return tostring(nil)..tostring(true)",
    b"return {ok='fine'}", b"return {err='wrong'}", b"return {err='FOO wrong\\nline'}", b"return redis.error_reply('boo')",
    b"return redis.error_reply('-BOO x y')", b"return redis.error_reply('BOO x')", b"return redis.status_reply('fine')",
    b"return redis.error_reply()", b"return redis.error_reply(1)", b"error('hi')", b"error({err='FOO x'})", b"error()",
    b"return x", b"x = 1", b"function f() end", b"return foo(", b"return 1 +", b"local t = nil; return t.x", b"return #KEYS + #ARGV",
    b"return redis.call()", b"return redis.call({})", b"return redis.call('foo')", b"return redis.call('get')",
    b"return redis.pcall('get').err", b"return redis.call('subscribe', 'a')", b"return redis.call('multi')",
    b"return redis.call('get', KEYS[1])", b"return redis.pcall('hget', KEYS[1], 'a')", b"return redis.call('set', KEYS[1], 1.5)",
    b"return redis.call('set', KEYS[1], 3) .ok", b"return redis.call('set', KEYS[1], 2^53)", b"return redis.call('get', KEYS[1]) == false",
    b"return redis.call('hset', KEYS[1], 'a', 1)", b"local r = redis.pcall('incr', KEYS[1]) if type(r) == 'table' then return r.err end return r",
    b"return redis.call('xadd', KEYS[1], '*', 'a', 'b')", b"return redis.call('xrange', KEYS[1], '-', '+')", b"return redis.call('xread', 'block', 100, 'streams', KEYS[1], '$')",
    b"return redis.call('time')", b"return redis.sha1hex('a')", b"return redis.sha1hex()", b"return {1, {2, {3, 'x'}}, redis.call('type', KEYS[1])}",
    b"return cmsgpack.pack({1, 'a', {x = 1}, 1.5, true, -1, -33, 200, 70000, 2^40, -2^40, -200, -40000})",
    b"return cmsgpack.pack({}, 'x', nil)", b"return {cmsgpack.unpack(cmsgpack.pack({1, 'a', {2}, true, 1.5}))}",
    b"return cmsgpack.unpack('')", b"return {pcall(cmsgpack.unpack, '\\193')}", b"return {pcall(cmsgpack.unpack, '\\146\\1')}",
    *[b"return #cmsgpack.pack(string.rep('x', %d)) .. string.sub(cmsgpack.pack(string.rep('y', %d)), 1, 5)" % (n, n)
      for n in (31, 32, 255, 256, 65535, 65536)],
    *[b"return cmsgpack.pack(%s)" % n for n in (b'127', b'128', b'255', b'256', b'65535', b'65536', b'2^32-1', b'2^32', b'-32', b'-33',
                                                b'-128', b'-129', b'-32768', b'-32769', b'-2^31', b'-2^31-1', b'0.1', b'2^63', b'-2^63', b'1e300')],
    *[b"local t = {} for i = 1, %d do t[i] = 'v' end return cmsgpack.pack(t) .. #cmsgpack.unpack(cmsgpack.pack(t))" % n for n in (15, 16, 17, 300)],
    *[b"return {pcall(cmsgpack.unpack, '\\%d\\0\\1\\2\\3')}" % n for n in range(0xc0, 0xe0)],
    b"return {pcall(function() return redis.call('get', KEYS[1]) end)}", b"return select('#', nil, nil)", b"return {unpack({1, 2, 3})}",
    b"return {tonumber('0x10'), tonumber(' 5 '), tonumber('1e3'), tonumber('5x') or 'none', tonumber('') or 'none'}",
    b"return {math.max(1, 2.5), math.floor(-1.5), math.huge > 1 and 1}", b"return {string.find('a.b', '.', 1, true), string.match('5-7', '^(%d+)-(%d+)$')}",
    b"return rawget(_G, 'os') == nil", b"return print", b"return os", b"return 'a' < 'b', 1",
    b"redis.call('set', KEYS[1], 'x') error('after a write')", b"return redis.call('exists', 'a', 'b')",
    b"#!lua\nreturn redis.call('set', KEYS[1], 1)", b"#!lua flags=no-writes\nreturn redis.call('set', KEYS[1], 1)",
    b"#!lua flags=no-writes\nreturn redis.call('exists', KEYS[1])", b"#!lua flags=foo\nreturn 1", b"#!foo\nreturn 1", b"#!lua", b"#!lua name=x\nreturn 1",
    b"#!lua flags=allow-oom,no-writes\nreturn 1", b"#!lua\nerror('second line')", b"#!lua flags=\nreturn 2",
]


def lua(rng):
    return [b'EVAL', rng.choice(LUA), b'1', rng.choice(commands.KEYS), rng.choice(commands.VALUES)]
