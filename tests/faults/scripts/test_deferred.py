"""The scripts that set entries aside, list them for the next owner, and bring them back."""
import pytest

MARK = []
NEVER = '99-0'


@pytest.fixture
def owner(bench):
    """A owns the partition, and its cursor is at 5-5."""
    bench.do('HSET', 'own', 'h', 'A', 't', 7, 'c', '5-5')
    return Owner(bench)


def text(reply):
    """A raw reply with its bytes as they are, one a character."""
    return [text(one) for one in reply] if isinstance(reply, list) else reply.decode('latin-1') if isinstance(reply, bytes) else reply


class Owner:
    def __init__(self, bench):
        self.bench = bench

    def packed(self, *parts):
        """As Redis' Lua packs them; the fourth is a list."""
        script = ("local p = {unpack(ARGV, 2, 1 + ARGV[1])} if ARGV[1] == '3' then p[4] = {unpack(ARGV, 5)} end return cmsgpack.pack(p)"
                  if len(parts) == 4 else 'return cmsgpack.pack({unpack(ARGV, 2)})')
        return self.bench.redis.call('EVAL', script, 0, len(parts[:3]), *parts[:3], *(parts[3] if len(parts) == 4 else ()), raw=True)

    def put(self, field, value):
        self.bench.do('HSET', 'w', field, value)

    def put_copy(self, at, order='1-0', handled='0', lane='lane', fields=('m', 'x')):
        self.put(at, self.packed(order, handled, lane, list(fields)))

    def run(self, script, *args):
        return text(self.bench.redis.call('EVALSHA', self.bench.shas[script], 3, 'own', 'in', 'w', 'A', 7, *args, raw=True))

    def kept(self):
        return sorted(text(self.bench.redis.call('HKEYS', 'w', raw=True)))

    def unpacked(self, field):
        script = ("local p = cmsgpack.unpack(redis.call('HGET', 'w', ARGV[1])) local t = {p[1], p[2], p[3]} "
                  "for _, f in ipairs(p[4]) do t[#t + 1] = f end return t")
        return self.bench.do('EVAL', script, 1, 'w', field)


def test_setting_aside(owner):
    """Each entry that is there, as often as it is said; one that is not there leaves nothing."""
    for at in '1-0', '1-1', '2-0':
        owner.bench.do('XADD', 'in', at, 'm', 'of ' + at, 'k', 'v')
    assert owner.run('defer', '1-0', '1-0', 0, 'a', '1-1', '0-9', 3, 'b', '7-7', '7-7', 0, 'c') == 1
    assert owner.run('defer', '1-0', '1-0', 0, 'a') == 1 and owner.run('defer') == 1
    assert owner.kept() == ['1-0', '1-1']
    assert owner.unpacked('1-0') == ['1-0', '0', 'a', 'm', 'of 1-0', 'k', 'v']
    assert owner.unpacked('1-1') == ['0-9', '3', 'b', 'm', 'of 1-1', 'k', 'v']
    assert owner.bench.do('XLEN', 'in') == 3


@pytest.mark.parametrize('at, order, fields, is_there, listed, stays', [
    ('4-9', '4-9', 'copy', False, 0, True),  # passed by the cursor
    ('5-4', '5-4', 'copy', False, 0, True),
    ('5-5', '5-5', 'copy', False, 0, True),
    ('5-5', '1-0', 'copy', True, 0, True),
    ('5-6', '5-6', 'copy', True, None, False),  # ahead, and read again from `in`
    ('6-0', '6-0', 'copy', True, None, False),
    ('5-6', '1-0', 'copy', True, 1, True),  # it has come back before: its lane waits for it
    ('6-0', '1-0', 'copy', True, 1, True),
    ('10-0', '1-0', 'copy', True, 1, True),
    ('6-0', '1-0', 'mark', True, 1, True),
    ('6-0', '1-0', 'copy', False, None, False),  # not any more
    ('6-0', '1-0', 'mark', False, None, False),
    ('5-5', '1-0', 'mark', True, None, False),  # a mark of what was committed
    ('4-9', '1-0', 'mark', False, None, False)])
def test_what_the_next_owner_is_told(owner, at, order, fields, is_there, listed, stays):
    owner.put_copy(at, order, '2', 'my lane', ('m', 'x') if fields == 'copy' else MARK)
    if is_there:
        owner.bench.do('XADD', 'in', at, 'm', 'x')
    size = owner.bench.do('HSTRLEN', 'w', at)
    assert owner.run('list_deferred') == ([] if listed is None else [[at, order, 'my lane', size, listed]])
    assert owner.kept() == ([at] if stays else [])
    if listed == 1:
        assert owner.unpacked(at) == [order, '2', 'my lane']


def test_without_a_cursor_everything_is_ahead(owner):
    owner.bench.do('HDEL', 'own', 'c')
    owner.put_copy('0-1', '0-1')
    assert owner.run('list_deferred') == [] and owner.kept() == []


def test_many_are_listed_and_each_is_judged_by_itself(owner):
    for n in range(1, 41):
        owner.put_copy(f'{n}-0', f'{n}-0')
    assert sorted(int(one[0].split('-')[0]) for one in owner.run('list_deferred')) == [1, 2, 3, 4, 5]
    assert owner.kept() == ['1-0', '2-0', '3-0', '4-0', '5-0']


LONG_ID = '1' * 20 + '-' + '2' * 20


@pytest.mark.parametrize('field, parts', [
    ('x', ('1-0', '0', 'lane', ['m', 'x'])), ('1-', ('1-0', '0', 'lane', ['m', 'x'])), ('1-0x', ('1-0', '0', 'lane', ['m', 'x'])),
    (LONG_ID + '2', ('1-0', '0', 'lane', ['m', 'x'])), ('1-0', ('x', '0', 'lane', ['m', 'x'])), ('1-0', ('1-0', 'x', 'lane', ['m', 'x'])),
    ('1-0', ('1-0', '0', 'lane', ['m'])), ('1-0', ('1-0', '0', 'lane')), ('1-0', ('1-0', '0')), ('1-0', ())])
def test_what_some_other_program_wrote_is_dropped_and_named(owner, field, parts):
    value = owner.packed(*parts)
    owner.put(field, value)
    owner.put_copy('2-0', '2-0')
    named = [one for one in owner.run('list_deferred') if one[0] == field]
    assert named == [[field[:64], text(value)[:256]]] and owner.kept() == ['2-0']


@pytest.mark.parametrize('script', ['list_deferred', 'requeue'])
@pytest.mark.parametrize('packed', ["{'1-0', '0', 7, {'m', 'x'}}", "{'1-0', 7, 'lane', {'m', 'x'}}", "{7, '0', 'lane', {'m', 'x'}}",
                                    "{'1-0', '0', 'lane', {7, 'x'}}", "{'1-0', '0', 'lane', {'m', 7}}", "{'1-0', '0', 'lane', 'm'}",
                                    "{'1-0', '0', 'lane', {'m', {}}}", "'text'", '7'])
def test_a_copy_holds_texts_only(owner, packed, script):
    value = owner.bench.redis.call('EVAL', f'return cmsgpack.pack({packed})', 0, raw=True)
    owner.put('1-0', value)
    reply = owner.run(script, *(['1-0'] if script == 'requeue' else []))
    assert reply == ([0, '1-0', text(value)] if script == 'requeue' else [['1-0', text(value)]])
    assert owner.kept() == [] and owner.bench.do('EXISTS', 'in') == 0


@pytest.mark.parametrize('value', ['\x94\x01\x01\x01\x90', '\x94\xa11\x01\xa11\x90', 'x' * 300, ''])
def test_what_is_not_packed_is_dropped_and_named(owner, value):
    for field in '9' * 70, '1-0':
        owner.put(field, value.encode('latin-1'))
    assert sorted(owner.run('list_deferred')) == [['1-0', value[:256]], ['9' * 64, value[:256]]] and owner.kept() == []
    owner.put('1-0', value.encode('latin-1'))
    assert owner.run('requeue', '1-0') == [0, '1-0', value[:256]]
    assert owner.kept() == []


def test_the_longest_id_is_one(owner):
    owner.bench.do('HSET', 'own', 'c', LONG_ID)
    owner.put_copy(LONG_ID, LONG_ID)
    assert owner.run('list_deferred') == [[LONG_ID, LONG_ID, 'lane', owner.bench.do('HSTRLEN', 'w', LONG_ID), 0]]


def test_bringing_back(owner):
    """In the order asked for, each with its own order and what has run; a mark stays under the new id."""
    owner.put_copy('1-0', '1-0', '0', 'a', ('m', 'first'))
    owner.put_copy('2-0', '0-7', '2', 'b', ('o', '0-5', 't', 'C', 'h', '1', 'n', 'room'))
    assert owner.run('requeue', '2-0', '1-0') == 2
    (second, fields), (first, others) = owner.bench.entries()
    assert list(fields.items()) == [('o', '0-7'), ('h', '2'), ('t', 'C'), ('n', 'room')]
    assert list(others.items()) == [('o', '1-0'), ('h', '0'), ('m', 'first')]
    assert owner.kept() == sorted([first, second])
    assert owner.unpacked(second) == ['0-7', '2', 'b'] and owner.unpacked(first) == ['1-0', '0', 'a']
    assert owner.run('requeue', first, second) == 0  # marks: they are ahead
    assert owner.kept() == sorted([first, second]) and owner.bench.do('XLEN', 'in') == 2
    assert owner.run('requeue') == 0


def test_what_cannot_come_back_is_named_and_the_rest_comes(owner):
    owner.put_copy('1-0', '1-0')
    owner.put('2-0', 'garbage')
    owner.put_copy('3-0', '3-0')
    assert owner.run('requeue', NEVER, '1-0', '2-0', '3-0') == [2, NEVER, '', '2-0', 'garbage']
    assert owner.bench.do('XLEN', 'in') == 2 and len(owner.kept()) == 2 and '2-0' not in owner.kept()


@pytest.mark.parametrize('count, comes_back', [(2, True), (64, True), (63, False), (66, False), (1, False)])
def test_how_many_fields_an_entry_has(owner, count, comes_back):
    owner.put_copy('1-0', '1-0', fields=[str(n) for n in range(count)])
    reply = owner.run('requeue', '1-0')
    assert reply == 1 if comes_back else reply[:2] == [0, '1-0']
    assert owner.bench.do('XLEN', 'in') == comes_back


@pytest.mark.parametrize('parts', [('1-0', '0'), ('1-0', '0', 'lane'), ()])
def test_what_is_no_copy_cannot_come_back(owner, parts):
    value = owner.packed(*parts)
    owner.put('1-0', value)
    assert owner.run('requeue', '1-0') == [0, '1-0', text(value)]
    assert owner.kept() == []
