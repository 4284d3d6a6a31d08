"""The backplane's scripts: each corner case by itself, then all of them under the fault simulator,
then the simulator's own proof: weakened scripts have to fail."""
import itertools

import pytest

from simulation.layout import Violation, channel, history
from simulation.redis import Error, Redis, Server
from simulation.scripts import MUTATIONS, SCRIPTS, load_scripts
from simulation.world import run

CHANNEL = 'n:room'
QUICK_SEED = {'no-restore': 4}  # the first seed to try: others need more steps


class Bench:
    """One Redis, the scripts by name, short keys."""

    def __init__(self, server):
        self.server, self.redis = server, server.connect()
        self.shas = load_scripts(self.redis)

    def run(self, script, keys, *args):
        keys = keys.split()
        return self.redis.call('EVALSHA', self.shas[script], len(keys), *keys, *args)

    def do(self, *args):
        return self.redis.must(*args)

    def own(self, holder='A'):
        return self.run('take_partition', 'own lease', holder, 5000, 0)

    def out(self, holder, term, prev, new, *outputs, trim=0):
        """outputs: (id, from, ttl, blob) for the Name `room`."""
        args = [a for mid, keep_from, ttl, blob in outputs for a in (mid, keep_from, ttl, CHANNEL, blob)]
        return self.run('commit', 'own in' + ' h:room h:room' * (len(outputs) - 1) + ' h:room l:room' * (len(outputs) > 0), holder, term, prev, new, trim,
                        *args)

    def conn(self, val, restore=0, client='ann', member=None):
        gid = val.split(':')[0]
        member = member if member is not None else f'room\0{client}\0{val}'
        return self.run('register', f'c:room g:{gid} gws in own l:room l* i s:room', client, val, gid, member, 'room',
                        restore)

    def disc(self, val, client='ann', reason='closed'):
        gid = val.split(':')[0]
        return self.run('unregister', f'c:room g:{gid} in i l:room s:room', client, val, f'room\0{client}\0{val}', 'room',
                        reason, 180)

    def ingest(self):
        return [dict(zip(f[::2], f[1::2])) for _, f in self.do('XRANGE', 'in', '-', '+')]

    def events(self):
        return [e['t'] + ' ' + e['v'] + ' ' + e.get('r', '') for e in self.ingest()]


@pytest.fixture(scope='module')
def server():
    with Server() as it:
        yield it


@pytest.fixture
def bench(server):
    bench = Bench(server)
    bench.do('FLUSHALL')
    bench.do('CONFIG', 'SET', 'maxmemory', 0)
    yield bench
    bench.do('CONFIG', 'SET', 'maxmemory', 0)


def test_scripts_begin_with_their_engine():
    """Without the first line Redis would run a script at maxmemory up to its first write (F20)."""
    for path in SCRIPTS.glob('*.lua'):
        assert path.read_text().startswith(('#!lua\n--', '#!lua flags=allow-oom\n--', '#!lua flags=no-writes\n--')), path.name


def test_scripts_that_publish_before_a_refused_write_do_not_exist():
    """F20: a script that publishes either may run out of memory or writes first."""
    for path in SCRIPTS.glob('*.lua'):
        text = path.read_text()
        if "'PUBLISH'" in text:
            first = text.index("redis.call('HSET'")
            assert first < text.index("call('PUBLISH'"), path.name


class TestRestartStream:
    LAST = '18446744073709551615-18446744073709551615'
    HOUR_MS = 3600000

    def restart(self, bench, cursor, *entries, now='9', generation=None):
        bench.do('DEL', 'own', 'in')
        bench.do('HSET', 'own', 'h', 'me', 't', '7', 'c', now)
        if generation:
            bench.do('HSET', 'own', 'g', generation)
        bench.do('XADD', 'in', '1-0', 'm', 'x')
        bench.do('XTRIM', 'in', 'MAXLEN', 0)
        for entry in entries:
            bench.do('XADD', 'in', entry, 'm', 'x')
        return bench.run('restart_stream', 'own in', 'me', 7, cursor, self.HOUR_MS)

    def test_when(self, bench):
        """Only what is behind the cursor may go."""
        future = '9999999999999-5'
        for cursor, entries, expected, left in [
                (self.LAST, [self.LAST], 1, 0), (future, [future], 1, 0), (future, [], 1, 0),
                (future, ['1-1'], 1, 1), (future, [future, '9999999999999-6'], 0, 2),
                (future, ['9999999999999-15'], 0, 1), (self.LAST, ['18446744073709551615-18446744073709551614'], 1, 1),
                ('1700000000000-0', ['1700000000000-0'], 0, 1), ('0-0', [], 0, 0)]:
            assert self.restart(bench, cursor, *entries, now=cursor) == expected, (cursor, entries)
            assert bench.do('XLEN', 'in') == left, (cursor, entries)
            assert bench.do('EXISTS', 'in') == (left > 0 or not expected), (cursor, entries)
            assert bench.do('HGET', 'own', 'c') == ('0-0' if expected else cursor)

    def test_generations_rise(self, bench):
        self.restart(bench, self.LAST, now=self.LAST)
        first = int(bench.do('HGET', 'own', 'g'))
        self.restart(bench, self.LAST, now=self.LAST, generation=first + 10 ** 6)
        assert int(bench.do('HGET', 'own', 'g')) == first + 10 ** 6 + 1

    def test_only_its_owner(self, bench):
        assert self.restart(bench, self.LAST, now=self.LAST) == 1
        for args in (('other', 7, '0-0'), ('me', 8, '0-0'), ('me', 7, self.LAST)):
            assert 'FENCED' in str(bench.run('restart_stream', 'own in', *args, self.HOUR_MS))


class TestIn:
    def test_appends_in_order(self, bench):
        assert bench.run('append', 'in src', 'g', 10, 1 << 30, '01', 'a', '02', 'b') == 2
        assert [e['m'] for e in bench.ingest()] == ['a', 'b']
        assert bench.do('HGET', 'src', 'g') == '02'

    def test_F25_repeated_batch_is_suppressed(self, bench):
        bench.run('append', 'in src', 'g', 10, 1 << 30, '01', 'a', '02', 'b')
        assert bench.run('append', 'in src', 'g', 10, 1 << 30, '01', 'a', '02', 'b') == 0
        assert bench.run('append', 'in src', 'g', 10, 1 << 30, '02', 'b', '03', 'c') == 1
        assert [e['m'] for e in bench.ingest()] == ['a', 'b', 'c']

    def test_sources_do_not_meet(self, bench):
        assert bench.run('append', 'in src', 'g', 10, 1 << 30, '01', 'a') == 1
        assert bench.run('forward', 'in src', 'p1', 10, '01', 'b') == 1

    def test_I6_busy_at_the_bound_and_nothing_appended(self, bench):
        bench.run('append', 'in src', 'g', 2, 1 << 30, '01', 'a', '02', 'b')
        reply = bench.run('append', 'in src', 'g', 2, 1 << 30, '03', 'c')
        assert isinstance(reply, Error) and reply.startswith('BUSY')
        assert bench.do('XLEN', 'in') == 2 and bench.do('HGET', 'src', 'g') == '02'

    def test_I6_busy_at_the_bound_in_bytes(self, bench):
        """Small entries count by the length; the memory is looked at from the second entry on."""
        for seq in ('01', '02', '03'):
            assert bench.run('append', 'in src', 'g', 10, 100000, seq, 'x' * 60000) == (1 if seq < '03' else
                                                                                       'BUSY ingest full')
        assert bench.run('append', 'in src', 'h', 10, 100000) == 'BUSY ingest full'
        assert bench.run('append', 'in src', 'h', 10, 1000000) == 0
        assert bench.do('XLEN', 'in') == 2 and bench.do('HKEYS', 'src') == ['g']

    def test_repeat_of_what_is_there_is_never_busy(self, bench):
        bench.run('append', 'in src', 'g', 2, 1 << 30, '01', 'a', '02', 'b')
        assert bench.run('append', 'in src', 'g', 2, 1 << 30, '01', 'a', '02', 'b') == 0

    def test_empty_batch(self, bench):
        assert bench.run('append', 'in src', 'g', 2, 1 << 30) == 0


class TestInOnce:
    def once(self, bench, source, seq, blob, limit=10, ttl=60000):
        return bench.run('append_once', 'in src d', source, limit, ttl, seq, blob)

    def test_F25_repeated_after_a_lost_reply(self, bench):
        won, entry = self.once(bench, 'g', '01', 'a')
        assert won == 1 and bench.do('GET', 'd') == entry
        assert self.once(bench, 'g', '01', 'a') == [0, entry]
        assert bench.do('XLEN', 'in') == 1

    def test_F25_two_publishers_with_one_key(self, bench):
        _, entry = self.once(bench, 'g', '01', 'a')
        assert self.once(bench, 'h', '01', 'b') == [0, entry]
        assert self.once(bench, '', '', 'c') == [0, entry]
        assert [e['m'] for e in bench.ingest()] == ['a']

    def test_without_a_source_no_mark_is_kept(self, bench):
        assert self.once(bench, '', '', 'a')[0] == 1
        assert bench.do('EXISTS', 'src') == 0

    @pytest.mark.parametrize('source', ['g', 'h'])
    def test_F25_repeated_after_the_key_expired(self, bench, source):
        self.once(bench, 'g', '01', 'a')
        self.once(bench, source, '01', 'a')
        bench.do('DEL', 'd')
        assert self.once(bench, source, '01', 'a') == [0, '']
        assert bench.do('XLEN', 'in') == 1

    def test_moves_the_mark_of_the_source_and_the_key_has_a_term(self, bench):
        self.once(bench, 'g', '05', 'a')
        assert bench.run('append', 'in src', 'g', 10, 1 << 30, '05', 'a') == 0
        assert 0 < bench.do('PTTL', 'd') <= 60000

    def test_busy_and_bad_ttl_change_nothing(self, bench):
        bench.do('XADD', 'in', '*', 'm', 'x')
        assert self.once(bench, 'g', '01', 'a', limit=1).startswith('BUSY')
        assert self.once(bench, 'g', '01', 'a', ttl=0).startswith('TTL')
        assert bench.do('XLEN', 'in') == 1 and bench.do('EXISTS', 'd', 'src') == 0
        assert self.once(bench, 'g', '01', 'a')[0] == 1


class TestOwnership:
    def test_own_refuses_while_another_has_the_lease(self, bench):
        term, cursor, last, generation = bench.own('A')
        assert (cursor, last, generation) == ('0-0', '0-0', term) and bench.own('B')[0] == 0
        assert bench.do('HMGET', 'own', 'h', 't') == ['A', term]

    def test_terms_rise_also_over_lost_data_and_clock_jumps(self, bench):
        first = int(bench.own('A')[0])
        assert int(bench.own('A')[0]) > first
        ahead = str(first + 10**9)
        bench.do('HSET', 'own', 't', ahead)
        assert int(bench.own('A')[0]) == int(ahead) + 1
        bench.do('FLUSHALL')
        assert int(bench.run('take_partition', 'own lease', 'A', 5000, ahead)[0]) == int(ahead) + 1

    def test_own_hands_over_cursor_and_last_output(self, bench):
        term = bench.own('A')[0]
        bench.out('A', term, '0-0', '7-0', (f'{term}-1', '0-1', 0, 'x'))
        bench.do('DEL', 'lease')
        assert bench.own('B')[1:] == ['7-0', f'{term}-1', term]

    def test_F14_lineage_names_the_terms_of_this_data_set(self, bench):
        terms = ['0']
        for _ in range(40):
            terms.append(bench.own('A')[0])
        assert bench.do('HGET', 'own', 'y').split(' ') == terms[-32:]

    def test_F26_lineage_begins_again_after_an_older_broker(self, bench):
        bench.own('A')
        bench.do('HSET', 'own', 't', '9' * 14)
        assert bench.do('HGET', 'own', 'y').split(' ')[0] == '0'
        term = bench.own('A')[0]
        assert bench.do('HGET', 'own', 'y').split(' ') == ['9' * 14, term]
        bench.do('HDEL', 'own', 'y')
        assert bench.do('HGET', 'own', 't') == term
        bench.do('HSET', 'own', 'i', f'{term}-7')
        after = bench.own('A')[0]
        assert bench.do('HGET', 'own', 'y').split(' ') == [term, f'{after}<{term}-7']
        again = bench.own('A')[0]
        assert bench.do('HGET', 'own', 'y').split(' ') == [term, f'{after}<{term}-7', f'{again}<{term}-7']

    def test_F14_floor_fences_and_raises_the_term(self, bench):
        term = bench.own('A')[0]
        later = str(int(term) + 10**6)
        assert bench.run('raise_floor', 'own', str(int(term) - 1)) == 0
        assert bench.out('A', term, '0-0', '1-0', (f'{term}-1', '0-1', 0, 'x')) == 1
        assert bench.run('raise_floor', 'own', later) == 1
        assert bench.run('raise_floor', 'own', later) == 0
        assert bench.out('A', term, '1-0', '2-0', (f'{term}-2', '0-1', 0, 'x')).startswith('FENCED')
        assert int(bench.own('A')[0]) == int(later) + 1

    @pytest.mark.parametrize('term', [str(2**52 + 1), 'x', ''])
    def test_floor_that_is_no_term(self, bench, term):
        assert bench.run('raise_floor', 'own', term).startswith('TERM')
        assert bench.do('EXISTS', 'own') == 0

    def test_F4_renew_takes_a_stolen_lease_back_only_from_nobody(self, bench):
        term = bench.own('A')[0]
        bench.do('DEL', 'lease')
        assert bench.run('renew_lease', 'own lease', 'A', term, 5000) == 1
        assert bench.do('GET', 'lease') == 'A' and 0 < bench.do('PTTL', 'lease') <= 5000
        bench.do('SET', 'lease', 'B')
        assert bench.run('renew_lease', 'own lease', 'A', term, 5000) == 0
        assert bench.do('GET', 'lease') == 'B'

    def test_F3_renew_and_release_by_a_former_owner(self, bench):
        term = bench.own('A')[0]
        bench.do('DEL', 'lease')
        bench.own('B')
        assert bench.run('renew_lease', 'own lease', 'A', term, 5000) == 0
        assert bench.run('release_lease', 'own lease', 'A', term) == 0
        assert bench.do('GET', 'lease') == 'B'

    def test_former_term_of_the_same_holder(self, bench):
        term = bench.own('A')[0]
        bench.own('A')
        assert bench.run('renew_lease', 'own lease', 'A', term, 5000) == 0
        assert bench.run('release_lease', 'own lease', 'A', term) == 0
        assert bench.run('count_try', 'own', 'A', term, '1-0').startswith('FENCED')

    def test_release_lets_another_in_and_may_be_repeated(self, bench):
        term = bench.own('A')[0]
        assert bench.run('release_lease', 'own lease', 'A', term) == 1
        assert bench.run('release_lease', 'own lease', 'A', term) == 1
        assert len(bench.own('B')) == 4

    def test_F7_tries_are_counted_over_owners(self, bench):
        a = bench.own('A')[0]
        assert bench.run('count_try', 'own', 'A', a, '5-0') == 1
        assert bench.run('count_try', 'own', 'A', a, '5-0') == 2
        bench.do('DEL', 'lease')
        b = bench.own('B')[0]
        assert bench.run('count_try', 'own', 'A', a, '5-0') == 'FENCED by B'
        assert bench.run('count_try', 'own', 'B', b, '5-0') == 3
        assert bench.do('HGET', 'own', 'x') == '5-0 3'
        assert bench.run('count_try', 'own', 'B', b, '5-1') == 1


class TestOut:
    def test_commits_history_feed_cursor_and_position_at_once(self, bench):
        term = bench.own()[0]
        sub = listen(bench)
        ids = [f'{term}-1', f'{term}-2']
        assert bench.out('A', term, '0-0', '9-0', *[(i, '0-1', 60, 'x' + i) for i in ids]) == 1
        assert [i for i, _ in bench.do('XRANGE', 'h:room', '-', '+')] == ids
        assert heard(sub) == ['x' + i for i in ids]
        assert bench.do('HMGET', 'own', 'c', 'i') == ['9-0', ids[1]]
        assert 0 < bench.do('TTL', 'h:room') <= 60

    def test_repeated_after_a_lost_reply(self, bench):
        term = bench.own()[0]
        sub = listen(bench)
        for reply in (1, 0, 0):
            assert bench.out('A', term, '0-0', '9-0', (f'{term}-1', '0-1', 0, 'x')) == reply
        assert heard(sub) == ['x'] and bench.do('XLEN', 'h:room') == 1

    def test_batch_without_outputs_keeps_the_position(self, bench):
        term = bench.own()[0]
        bench.out('A', term, '0-0', '1-0', (f'{term}-1', '0-1', 0, 'x'))
        assert bench.out('A', term, '1-0', '2-0') == 1
        assert bench.do('HMGET', 'own', 'c', 'i') == ['2-0', f'{term}-1']

    def test_a_name_that_nobody_joined_leaves_no_key(self, bench):
        term, _, _, _ = bench.own()
        assert bench.out('A', term, '0-0', '1-0', (f'{term}-1', '?0-1', 60, 'x')) == 1
        assert bench.do('EXISTS', 'h:room', 'l:room') == 0
        bench.conn('g:1:0|x')
        assert bench.out('A', term, '1-0', '2-0', (f'{term}-2', '?0-1', 60, 'y')) == 1
        assert bench.do('XLEN', 'h:room') == 1 and bench.do('GET', 'l:room') == f'{term}-2'

    def test_history_off_publishes_only(self, bench):
        term = bench.own()[0]
        sub = listen(bench)
        bench.out('A', term, '0-0', '1-0', (f'{term}-1', 0, 60, 'x'))
        assert heard(sub) == ['x'] and bench.do('EXISTS', 'h:room') == 0
        assert bench.do('HGET', 'own', 'i') == f'{term}-1'

    def test_I7_fenced_by_holder_and_by_term(self, bench):
        old = bench.own('A')[0]
        new = bench.own('A')[0]
        sub = listen(bench)
        assert bench.out('A', old, '0-0', '1-0', (f'{old}-1', '0-1', 0, 'x')) == 'FENCED by A'
        assert bench.out('B', new, '0-0', '1-0', (f'{new}-1', '0-1', 0, 'x')) == 'FENCED by A'
        bench.do('DEL', 'own')
        assert bench.out('A', new, '0-0', '1-0').startswith('FENCED by')
        assert heard(sub) == [] and bench.do('EXISTS', 'h:room', 'own') == 0

    def test_cursor_that_fell_back(self, bench):
        term = bench.own()[0]
        bench.do('HSET', 'own', 'c', '4-0')
        assert bench.out('A', term, '5-0', '6-0', (f'{term}-1', '0-1', 0, 'x')) == 'CURSOR is 4-0'
        assert bench.do('EXISTS', 'h:room') == 0

    def test_I6_trim_drops_what_is_handled(self, bench):
        term = bench.own()[0]
        for i in range(1, 6):
            bench.do('XADD', 'in', f'{i}-0', 'm', 'x')
        assert bench.out('A', term, '0-0', '3-0', trim='3-1') == 1
        assert [i for i, _ in bench.do('XRANGE', 'in', '-', '+')] == ['4-0', '5-0']

    def test_nameless_log_cannot_be_a_name(self):
        for name in ('*', 'room', ':', ''):
            assert history(0, 'x' + name) != history(0, '*')
        assert history(0, '*').endswith('h*') and \
            channel(0, '*').endswith('n*')


class TestRegistry:
    def test_connect_and_position(self, bench):
        term = bench.own()[0]
        assert bench.conn('g:1:0|') == [1, f'{term}-0']
        bench.out('A', term, '0-0', '1-0', (f'{term}-1', 0, 0, 'x'))
        assert bench.conn('g:2:0|', client='bob') == [1, f'{term}-1']
        entry = bench.ingest()[0]
        assert entry == dict(t='C', n='room', i='ann', v='g:1:0|')
        assert bench.do('HGET', 'c:room', 'ann') == 'g:1:0|'
        assert bench.do('SMEMBERS', 'gws') == ['g']

    def test_I4_repeated_connect_is_one_connect(self, bench):
        bench.conn('g:1:0|')
        assert bench.conn('g:1:0|')[0] == 1
        assert bench.events() == ['C g:1:0| ']

    @pytest.mark.parametrize('gid', ['g', 'h'])
    def test_F23_take_over(self, bench, gid):
        bench.conn('g:1:0|')
        assert bench.conn(f'{gid}:2:0|')[0] == 1
        assert bench.events() == ['C g:1:0| ', 'D g:1:0| replaced', f'C {gid}:2:0| ']
        assert bench.disc('g:1:0|') == 0
        assert bench.do('HGET', 'c:room', 'ann') == f'{gid}:2:0|'

    @pytest.mark.parametrize('gid, is_gone', itertools.product(['g', 'h'], [False, True]))
    def test_F23_connect_repeated_after_it_was_replaced(self, bench, gid, is_gone):
        bench.conn('g:1:0|')
        bench.conn(f'{gid}:2:0|')
        if is_gone:
            bench.disc(f'{gid}:2:0|')
        before = bench.events()
        assert bench.conn('g:1:0|')[0] == 2
        assert bench.events() == before
        assert bench.do('HGET', 'c:room', 'ann') == (None if is_gone else f'{gid}:2:0|')

    def test_I4_disconnect_once(self, bench):
        bench.conn('g:1:0|')
        assert bench.disc('g:1:0|', reason='closed 1000') == 1
        assert bench.disc('g:1:0|') == 0
        assert bench.events() == ['C g:1:0| ', 'D g:1:0| closed 1000']
        assert bench.do('EXISTS', 'c:room', 'g:g') == 0

    def test_F11_restore_writes_no_event(self, bench):
        assert bench.conn('g:1:0|', restore=1)[0] == 1
        assert bench.events() == [] and bench.do('HGET', 'c:room', 'ann') == 'g:1:0|'
        assert bench.conn('g:1:0|', restore=1)[0] == 1

    def test_restore_yields_to_a_take_over(self, bench):
        bench.conn('h:1:0|')
        assert bench.conn('g:1:0|', restore=1)[0] == 2
        assert bench.do('HGET', 'c:room', 'ann') == 'h:1:0|'
        assert bench.do('EXISTS', 'g:g') == 0

    def test_member_without_its_value_is_refused(self, bench):
        assert 'MEMBER' in bench.conn('g:1:0|', member='room\0ann')
        assert bench.do('EXISTS', 'c:room', 'in', 'g:g') == 0

    def test_heartbeat_and_expiry(self, bench):
        sub = listen(bench, 'probe')
        assert bench.run('heartbeat', 'gw dead', 'g', 1, 'probe') == 2
        assert heard(sub) == ['1']
        assert bench.run('heartbeat', 'gw dead', 'g', 2, 'probe') == 1
        assert bench.run('declare_dead', 'gw dead', 'g', 1) == 0
        assert bench.run('declare_dead', 'gw dead', 'g', 2) == 1
        assert bench.run('declare_dead', 'gw dead', 'g', 2) == 1
        assert bench.run('heartbeat', 'gw dead', 'g', 3, 'probe') == 'DEAD expired'
        assert bench.do('HLEN', 'gw') == 0 and 86000 < bench.do('TTL', 'dead') <= 86400

    def test_F8b_dead_gateway_cannot_register_any_more(self, bench):
        bench.conn('g:1:0|')
        assert bench.run('fence_gateway', 'g:g', 86400) == 1
        assert bench.conn('g:1:0|') == 'DEAD expired'
        assert bench.conn('g:2:0|', client='bob') == 'DEAD expired'
        assert bench.disc('g:1:0|', reason='gateway') == 1
        assert bench.run('fence_gateway', 'g:g', 86400) == 0
        assert bench.events() == ['C g:1:0| ', 'D g:1:0| gateway']

    def test_F22_a_clock_that_was_ahead_before_the_first_owner_hides_nothing(self, bench):
        """Who registered by it follows from there, so the first owner's ids have to be later."""
        position = bench.conn('g:1:0|')[1]
        assert bench.do('HGET', 'own', 'f') == position.removesuffix('-0')
        ahead = int(position.removesuffix('-0')) + 3600_000
        bench.do('HSET', 'own', 'f', ahead)  # as the first one left it whose clock was an hour ahead
        assert bench.conn('g:2:0|', client='bob') == [1, f'{ahead}-0']
        assert int(bench.own('A')[0]) > ahead


class TestLock:
    def test_one_holder(self, bench):
        assert bench.run('lock', 'l', 'a', 5000) == 1
        assert bench.run('lock', 'l', 'a', 5000) == 1
        assert bench.run('lock', 'l', 'b', 5000) == 0
        assert bench.run('renew_lock', 'l', 'b', 5000) == 0
        assert bench.run('unlock', 'l', 'b') == 0
        assert bench.run('renew_lock', 'l', 'a', 90000) == 1
        assert 5000 < bench.do('PTTL', 'l') <= 90000
        assert bench.run('unlock', 'l', 'a') == 1
        assert bench.run('unlock', 'l', 'a') == 0
        assert bench.run('lock', 'l', 'b', 5000) == 1
        assert bench.run('renew_lock', 'l', 'a', 5000) == 0

    def test_a_lock_that_ran_out_is_its_holders_while_nobody_took_it(self, bench):
        assert bench.run('lock', 'l', 'a', 5000) == 1
        bench.do('DEL', 'l')
        assert bench.run('renew_lock', 'l', 'a', 5000) == 1
        assert bench.run('lock', 'l', 'b', 5000) == 0


class TestOutOfMemory:
    """F20: nothing new is taken, and what frees or proves liveness goes on."""

    def test_what_frees_memory_goes_on(self, bench):
        """An entry leaves `in` with its commit, after what it led to has gone to other partitions."""
        term = bench.own()[0]
        sub = listen(bench)
        bench.do('XADD', 'in', '1-0', 'm', 'x' * 1000)
        bench.conn('g:1:0|')
        bench.do('CONFIG', 'SET', 'maxmemory', 1)
        assert bench.run('count_try', 'own', 'A', term, '1-0') == 1
        assert bench.run('defer', 'own in w', 'A', term, '1-0', '1-0', 0, 'lane') == 1
        assert bench.run('forward', 'other src', 'p0', 10, '01', 'a') == 1
        assert bench.out('A', term, '0-0', '1-0', (f'{term}-1', '0-1', 0, 'x'), trim='1-1') == 1
        assert heard(sub) == ['x']
        assert bench.do('XRANGE', 'in', '1-0', '1-0') == []
        assert bench.do('HGET', 'own', 'c') == '1-0' and bench.do('XLEN', 'h:room') == 1

    def test_the_check_sees_a_script_that_publishes_first(self, bench):
        sub = listen(bench)
        bench.do('CONFIG', 'SET', 'maxmemory', 1)
        body = "redis.call('PUBLISH', ARGV[1], 'x') redis.call('HSET', KEYS[1], 'c', '1-0')"
        assert 'OOM' in bench.redis.call('EVAL', body, 1, 'own', CHANNEL)
        assert heard(sub) == ['x']

    def test_senders_and_newcomers_are_refused(self, bench):
        bench.do('CONFIG', 'SET', 'maxmemory', 1)
        assert bench.run('append', 'in src', 'g', 10, 1 << 30, '01', 'a').startswith('OOM')
        assert bench.conn('g:1:0|').startswith('OOM')
        assert bench.run('lock', 'l', 'a', 5000).startswith('OOM')
        bench.do('CONFIG', 'SET', 'maxmemory', 0)
        assert bench.do('DBSIZE') == 0

    def test_leaving_and_living_go_on(self, bench):
        term = bench.own()[0]
        bench.conn('g:1:0|')
        bench.run('lock', 'l', 'a', 5000)
        bench.do('CONFIG', 'SET', 'maxmemory', 1)
        assert bench.disc('g:1:0|') == 1
        assert bench.run('heartbeat', 'gw dead', 'g', 1, 'probe') == 2
        assert bench.run('renew_lease', 'own lease', 'A', term, 5000) == 1
        assert bench.run('release_lease', 'own lease', 'A', term) == 1
        assert len(bench.own('B')) == 4
        assert bench.run('declare_dead', 'gw dead', 'g', 1) == 1
        assert bench.run('fence_gateway', 'g:g', 86400) == 0
        assert bench.run('unlock', 'l', 'a') == 1


def listen(bench, channel=CHANNEL):
    sub = Redis(bench.server.path)
    sub.must('SUBSCRIBE', channel)
    return sub


def heard(sub):
    """Everything published so far: the PING is answered after it."""
    sub.send('PING')
    messages = []
    while (reply := sub.read())[0] != 'pong':
        messages.append(reply[2])
    return messages


@pytest.mark.parametrize('seed', [1, 2])
def test_I1_to_I8_under_faults(seed):
    stats = run(seed, 12000)
    assert stats['messages'] > 500 and stats['events'] > 100
    assert stats['FENCED'] > 20 and stats['suppressed in'] > 50


@pytest.mark.parametrize('seed', [3, 4])
def test_F14_redis_falls_back_to_an_older_snapshot(seed):
    stats = run(seed, 8000, has_rollback=True)
    assert stats['rollbacks'] > 2 and stats['messages'] > 300


@pytest.mark.parametrize('mutation', sorted(MUTATIONS))
def test_mutation_is_caught(mutation):
    with pytest.raises(Violation):
        first = QUICK_SEED.get(mutation, 1)
        for seed in range(first, first + 8):
            run(seed, 25000, mutation)
