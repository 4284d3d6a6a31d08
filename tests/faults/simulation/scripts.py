"""The scripts that the processes load into Redis, and the ways in which a run may weaken one of them."""
import pathlib

SCRIPTS = pathlib.Path(__file__).resolve().parents[3] / 'common' / 'bus' / 'redis' / 'scripts'

# name -> (script, text, replacement); rules of the brokers have no script.
MUTATIONS = {
    'no-fence': ('commit', 'if o[1] ~= ARGV[1] or o[2] ~= ARGV[2] then', 'if false then'),
    'no-term': ('commit', ' or o[2] ~= ARGV[2] then', ' then'),
    'no-cursor': ('commit', 'if c ~= ARGV[3] then', 'if false then'),
    'no-trim-guard': ('commit', "'MINID', ARGV[5]", "'MAXLEN', 0"),
    'no-position': ('commit', ", 'i', ARGV[#ARGV - 4]", ''),
    'no-mark': ('append', "redis.call('HGET', KEYS[2], ARGV[1]) or ''", "''"),
    'no-dedupe': ('append_once', "redis.call('GET', KEYS[3])", 'false'),
    'no-cas': ('unregister', "if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then", 'if false then'),
    'no-index': ('register', "redis.call('ZADD', KEYS[8], 0, id .. '\\0' .. ARGV[5])", ''),
    'stale-index': ('unregister', "redis.call('ZREM', KEYS[4], ARGV[1] .. '\\0' .. ARGV[4])", ''),
    'no-member': ('register', 'if not is_first then', 'if false then'),
    'no-fenced-set': ('register', "if redis.call('SISMEMBER', KEYS[2], '') == 1 then", 'if false then'),
    'no-restore': ('register', "ARGV[6] == '1'", 'false'),
    'same-term': ('take_partition', 'math.max((tonumber(o[1]) or 0) + 1, (tonumber(o[5]) or 0) + 1, now, tonumber(ARGV[3]) + 1)',
                  '(tonumber(o[1]) or now)'),
    'no-lineage': ('take_partition', "terms = terms .. ' ' .. t ..", 'terms = t ..'),
    'no-floor': ('commit', 'if o[4] and tonumber(o[4]) >= tonumber(o[2]) then', 'if false then'),
    'low-term': ('take_partition', '(tonumber(o[5]) or 0) + 1, ', ''),
    'no-last': ('commit', "if not err and not is_beside and not is_nobodys and KEYS[k + 1] ~= KEYS[k] then", 'if false then'),
    'keep-state': (None, None, None),
}
NEED_ROLLBACK = {'keep-state', 'no-restore'}


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
