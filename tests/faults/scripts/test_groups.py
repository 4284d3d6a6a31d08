"""The groups of a connection change in the commit that tells its gateway."""
import pytest

MOST = 100, 8192


def change(sign, *groups, most=MOST):
    """As a broker packs it; the groups are ASCII, so that lower case folds them."""
    return sign, most, [text for group in groups for text in (group.lower(), group)]


class Groups:
    """A partition with the Name `room`, whose log tells what became of each change."""

    def __init__(self, bench):
        self.bench, self.term, self.count = bench, bench.own()[0], 0

    def pack(self, *items):
        return self.bench.redis.call('EVAL', 'return cmsgpack.pack(ARGV)', 0, *items, raw=True)

    def unpack(self, text):
        return self.bench.redis.call('EVAL', 'return cmsgpack.unpack(ARGV[1])', 0, text)

    def commit(self, client, sign, most, groups, again=False):
        if not again:
            self.count += 1
        script = 'return cmsgpack.pack({ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), unpack(ARGV, 4)})'
        text = self.bench.redis.call('EVAL', script, 0, sign, *most, *groups, raw=True)
        output = f'{self.term}-{self.count}'
        return self.bench.run('commit', 'own in c:room c:room h:room l:room', 'A', self.term, f'{self.count - 1}-0', f'{self.count}-0', 0,
                              output, f'~{client}', 0, '', text, output, f'{self.term}-0', 60, 'n:room', 'B')

    def told(self):
        """What the last message says: the connection value and its groups, or nothing."""
        blob = self.bench.redis.call('EVAL', "return redis.call('XREVRANGE', 'h:room', '+', '-', 'COUNT', 1)[1][2][2]", 0, raw=True)
        assert blob[:1] == b'B'
        text = self.bench.redis.call('EVAL', 'return cmsgpack.unpack(ARGV[1])', 0, blob[1:], raw=True)
        if not text:
            return None
        details = self.unpack(text)
        return details[0], details[4::2]

    def kept(self, client='ann'):
        text = self.bench.redis.call('HGET', 'c:room', f'\0{client}', raw=True)
        return self.unpack(text) if text else None


@pytest.fixture
def groups(bench):
    return Groups(bench)


def test_a_plain_connection_joins_and_leaves(bench, groups):
    bench.conn('g:1:0|Red')
    assert groups.commit('ann', *change('+', 'blue', 'RED', 'Blue')) == 1
    assert groups.told() == ('g:1:0|Red', ['Red', 'blue'])
    assert groups.kept() == ['g:1:0|Red', f'{groups.term}-1', '', 'red', 'Red', 'blue', 'blue']
    groups.commit('ann', *change('-', 'rED', 'nobody'))
    assert groups.told() == ('g:1:0|Red', ['blue'])
    groups.commit('ann', *change('-', 'blue'))
    assert groups.told() == ('g:1:0|Red', []) and groups.kept() == ['g:1:0|Red', f'{groups.term}-3', '']
    groups.commit('ann', *change('+', 'red'))
    assert groups.told() == ('g:1:0|Red', ['red'])


@pytest.mark.parametrize('value, had', [('g:1:0|', []), ('g:1:0|a|b', ['a|b']), ('g:1:0|a\nb', ['a\nb']), ('g:1:0:sse|x:y', ['x:y'])])
def test_the_group_of_a_value(bench, groups, value, had):
    bench.conn(value)
    groups.commit('ann', *change('+', 'new'))
    assert groups.told() == (value, [*had, 'new'])


def test_nothing_that_changes_nothing_is_written(bench, groups):
    bench.conn('g:1:0|Red')
    for sign, group in ('+', 'RED'), ('-', 'blue'):
        assert groups.commit('ann', *change(sign, group)) == 1
        assert groups.told() is None and groups.kept() is None
    groups.commit('nobody', *change('+', 'red'))
    assert groups.told() is None and bench.do('HKEYS', 'c:room') == ['ann']
    groups.commit('ann', *change('+', 'blue'))
    before = groups.kept()
    groups.commit('ann', *change('+', 'blue'))
    assert groups.told() == ('g:1:0|Red', ['Red', 'blue']) and groups.kept() == before  # its gateway may not know


def test_a_batch_that_comes_again(bench, groups):
    bench.conn('g:1:0|Red')
    assert groups.commit('ann', *change('+', 'blue')) == 1
    before = groups.kept()
    assert groups.commit('ann', *change('+', 'blue'), again=True) == 0 and groups.kept() == before


def test_a_connection_that_took_over_has_its_own(bench, groups):
    bench.conn('g:1:0|Red')
    groups.commit('ann', *change('+', 'blue'))
    bench.conn('h:2:0|green')
    assert groups.kept() is None
    groups.commit('ann', *change('+', 'black'))
    assert groups.told() == ('h:2:0|green', ['green', 'black'])
    assert bench.disc('h:2:0|green') == 1 and bench.do('EXISTS', 'c:room') == 0
    entries = bench.do('XRANGE', 'in', '-', '+', raw=True)
    assert [b'x' in fields[::2] for _, fields in entries] == [False, True, False, True]


@pytest.mark.parametrize('groups_bytes, fits', [((2, 99), True), ((1, 99), False), ((2, 7), True), ((2, 6), False)])
def test_bounds(bench, groups, groups_bytes, fits):
    bench.conn('g:1:0|Red')
    reply = groups.commit('ann', *change('+', 'blue', most=groups_bytes))
    assert reply == (1 if fits else [1, '', 1])
    assert groups.told() == (('g:1:0|Red', ['Red', 'blue']) if fits else None)
    assert groups.commit('ann', *change('-', 'red', most=(0, 0))) == 1  # leaving is always possible


STRANGE = ["'x'", "cmsgpack.pack('x')", "cmsgpack.pack({'g:1:0|Red'})", "cmsgpack.pack({'g:1:0|Red', '0-0', '', 'x'})",
           "cmsgpack.pack({'g:1:0|Red', '0-0', '', 'x', {1}})", "cmsgpack.pack({'g:2:0|', '0-0', '', 'x', 'x'})", "cmsgpack.pack({'g:1:0|Red', 7, ''})"]


@pytest.mark.parametrize('details', STRANGE)
def test_what_others_have_written_stops_nothing(bench, groups, details):
    bench.conn('g:1:0|Red')
    bench.do('EVAL', f"return redis.call('HSET', 'c:room', '\\0ann', {details})", 0)
    assert groups.commit('ann', *change('+', 'blue')) == 1
    assert groups.told() == ('g:1:0|Red', ['Red', 'blue'])


def test_a_key_of_another_type(bench, groups):
    bench.do('SET', 'c:room', 'x')
    assert groups.commit('ann', *change('+', 'blue')) == [1, 'c:room'] and groups.told() is None


def test_details_that_are_restored_are_the_later_ones(bench, groups):
    """An older snapshot came back, or the registry knows more than its gateway."""
    bench.conn('g:1:0|Red')
    groups.commit('ann', *change('+', 'blue'))
    later = bench.redis.call('HGET', 'c:room', '\0ann', raw=True)
    groups.commit('ann', *change('+', 'black'))
    run = 'c:room g:g gws in own l:room l* i s:room'
    assert bench.run('register', run, 'ann', 'g:1:0|Red', 'g', 'room\0ann\0g:1:0|Red', 'room', 1, later)[0] == 1
    assert groups.kept()[4::2] == ['Red', 'blue', 'black']
    bench.do('HDEL', 'c:room', '\0ann')
    assert bench.run('register', run, 'ann', 'g:1:0|Red', 'g', 'room\0ann\0g:1:0|Red', 'room', 1, later)[0] == 1
    assert groups.kept()[4::2] == ['Red', 'blue']
