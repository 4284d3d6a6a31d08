"""The scripts that say whose a partition, a gateway and a lock are."""
import pytest

from bench import NOW_MS
from simulation.redis import Error

MOST = 2**52  # of a term: numbers stay exact


class TestOwnership:
    def test_own_refuses_while_another_has_the_lease(self, bench):
        term, cursor, last, generation = bench.own('A')
        assert (cursor, last, generation) == ('0-0', '0-0', term) and bench.own('B')[0] == 0
        assert bench.do('HMGET', 'own', 'h', 't') == ['A', term]

    def test_a_term_is_the_time_and_at_least_one_more_than_all_before(self, bench):
        """own.t, own.f, what the caller has seen"""
        for t, f, seen, expected in [(None, None, 0, NOW_MS), (NOW_MS - 1, None, 0, NOW_MS), (NOW_MS, None, 0, NOW_MS + 1),
                                     (1, NOW_MS - 1, NOW_MS - 1, NOW_MS), (1, NOW_MS, 0, NOW_MS + 1), (1, 1, NOW_MS, NOW_MS + 1),
                                     (NOW_MS + 7, NOW_MS + 5, NOW_MS + 6, NOW_MS + 8), (NOW_MS + 5, NOW_MS + 7, NOW_MS + 6, NOW_MS + 8),
                                     (NOW_MS + 5, NOW_MS + 6, NOW_MS + 7, NOW_MS + 8), (MOST, None, 0, MOST + 1), (1, MOST, 0, MOST + 1)]:
            bench.do('DEL', 'own', 'lease')
            for field, value in ('t', t), ('f', f):
                if value is not None:
                    bench.do('HSET', 'own', field, value)
            assert bench.run('take_partition', 'own lease', 'A', 5000, seen, 0, 'taken', 7)[0] == str(expected), (t, f, seen)
            assert bench.do('HMGET', 'own', 'h', 't') == ['A', str(expected)]
            assert bench.do('GET', 'lease') == 'A' and bench.do('PTTL', 'lease') == 5000

    def test_a_generation_stays_and_begins_with_the_data(self, bench):
        """Of a partition that an older broker owned it is 0."""
        for own, expected in [((), str(NOW_MS)), (('t', 5), '0'), (('t', 5, 'g', 3), '3'), (('g', 9), '9')]:
            bench.do('DEL', 'own')
            if own:
                bench.do('HSET', 'own', *own)
            assert bench.own('A')[3] == expected and bench.do('HGET', 'own', 'g') == expected

    @pytest.mark.parametrize('script', ['take_partition', 'lock'])
    def test_a_lease_that_nobody_would_ask_for_is_nobodys(self, bench, script):
        """Twice as long as ours is still believed: not all processes have one setting."""
        for left, is_free in [(1, False), (5000, False), (10000, False), (10001, True), (None, True)]:
            bench.do('SET', 'lease', 'B', *(('PX', left) if left else ()))
            if script == 'lock':
                assert bench.run('lock', 'lease', 'A', 5000) == is_free, left
            else:
                reply = bench.run('take_partition', 'own lease', 'A', 5000, 0, 0, 'taken', 7)
                assert len(reply) == 4 if is_free else reply == [0, left], left
            assert bench.do('GET', 'lease') == ('A' if is_free else 'B')

    @pytest.mark.parametrize('script', ['take_partition', 'lock'])
    def test_a_lease_ends_after_its_last_millisecond(self, bench, script):
        keys, args = ('lease', ('A', 5000)) if script == 'lock' else ('own lease', ('A', 5000, 0, 0, 'taken', 7))
        bench.do('SET', 'lease', 'B', 'PX', 5000)
        bench.at(NOW_MS + 5000)
        assert bench.do('PTTL', 'lease') == 0
        assert bench.run(script, keys, *args) in (0, [0, 0]) and bench.do('GET', 'lease') == 'B'
        bench.at(NOW_MS + 5001)
        assert bench.run(script, keys, *args) not in (0, [0, 0]) and bench.do('GET', 'lease') == 'A'

    @pytest.mark.parametrize('field, value, is_good', [
        *[(f, v, good) for f in 'tfg' for v, good in [(0, True), (MOST, True), (MOST + 1, False), ('', False), ('-1', False), ('1.5', False),
                                                      ('1e3', False), ('0x10', False), (' 1', False), ('9' * 400, False)]],
        *[(f, v, good) for f in 'ci' for v, good in [
            ('0-0', True), ('1' * 20 + '-' + '1' * 20, True), ('1' * 21 + '-' + '1' * 20, False), ('', False), ('1', False), ('-1', False),
            ('1-', False), ('x1-1', False), ('1-1x', False), ('1-1-1', False), ('1-x', False)]]])
    def test_what_some_other_program_wrote(self, bench, field, value, is_good):
        bench.do('HSET', 'own', field, value)
        reply = bench.own('A')
        assert len(reply) == 4 if is_good else reply == f'DAMAGED field {field} of own'
        assert bench.do('EXISTS', 'lease') == is_good

    def test_a_lineage_that_cannot_be_read_begins_again(self, bench):
        """With the term that is there: what came before is not known."""
        for y, is_kept in [('0 7', True), ('0 7<7-1', True), ('7', True), ('0 5 7', True), ('0 6', False), ('', False), ('0 77', False),
                           ('0 x 7', False), ('0 7<5_1', False), ('0 7 ', False), ('0' * 4094 + ' 7', True), ('0' * 4095 + ' 7', False)]:
            bench.do('DEL', 'own')
            bench.do('HSET', 'own', 't', 7, 'y', y)
            term = bench.own('A')[0]
            assert bench.do('HGET', 'own', 'y') == (f'{y} {term}' if is_kept else f'7 {term}'), y

    def test_a_lineage_of_new_data(self, bench):
        """Whatever it says, no term of this data set was before."""
        bench.do('HSET', 'own', 'y', '0 5 6', 'i', '5-2')
        assert bench.own('A')[2] == '5-2' and bench.do('HGET', 'own', 'y') == f'0 {NOW_MS}<5-2'

    @pytest.mark.parametrize('before, keep_ms, after', [
        (None, 0, None), (None, 60000, '7-1'), (f'{NOW_MS} 3-1', 60000, '3-1'), (f'{NOW_MS - 1} 3-1', 60000, '7-1'),
        (f'{NOW_MS} 3-1', 0, None), (f'{NOW_MS} x', 60000, '7-1'), ('', 60000, '7-1'), ('x 3-1', 60000, '7-1')])
    def test_since_when_all_logs_are_kept(self, bench, before, keep_ms, after):
        """own.k: from the last output on, or as long as the owner before did so without an end in between."""
        bench.do('HSET', 'own', 't', 7, 'i', '7-1', *(('k', before) if before is not None else ()))
        bench.own('A', keep_ms)
        assert bench.do('HGET', 'own', 'k') == (after and f'{NOW_MS + keep_ms} {after}')

    def test_all_logs_of_new_data_are_kept(self, bench):
        bench.own('A', 60000)
        assert bench.do('HGET', 'own', 'k') == f'{NOW_MS + 60000} 0-0'

    def test_terms_rise_also_over_lost_data_and_clock_jumps(self, bench):
        first = int(bench.own('A')[0])
        assert int(bench.own('A')[0]) > first
        ahead = str(first + 10**9)
        bench.do('HSET', 'own', 't', ahead)
        assert int(bench.own('A')[0]) == int(ahead) + 1
        bench.do('FLUSHALL')
        assert int(bench.run('take_partition', 'own lease', 'A', 5000, ahead, 0, 'taken', 7)[0]) == int(ahead) + 1

    def test_own_hands_over_cursor_and_last_output(self, bench):
        term = bench.own('A')[0]
        bench.out('A', term, '0-0', '7-0', (f'{term}-1', '0-1', 0, 'x'))
        bench.do('DEL', 'lease')
        assert bench.own('B')[1:] == ['7-0', f'{term}-1', term]

    def test_a_take_is_published_with_its_term(self, bench):
        sub = bench.listen('taken')
        terms = [bench.own('A')[0] for _ in range(2)]
        assert bench.own('B')[0] == 0
        assert sub.heard() == [f'7 {term}' for term in terms]

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

    @pytest.mark.parametrize('t, f, term, expected', [
        (None, None, 0, 0), (None, None, 1, 1), (5, None, 4, 0), (5, None, 5, 1), (5, None, 6, 1), (5, 6, 6, 0), (5, 6, 7, 1), (5, 8, 7, 0),
        (5, None, MOST, 1), (5, MOST, MOST, 0)])
    def test_floors(self, bench, t, f, term, expected):
        for field, value in ('t', t), ('f', f):
            if value is not None:
                bench.do('HSET', 'own', field, value)
        assert bench.run('raise_floor', 'own', term) == expected
        assert bench.do('HGET', 'own', 'f') == (str(term) if expected else f and str(f))

    @pytest.mark.parametrize('term', [str(MOST + 1), 'x', ''])
    def test_floor_that_is_no_term(self, bench, term):
        assert bench.run('raise_floor', 'own', term).startswith('TERM')
        assert bench.do('EXISTS', 'own') == 0

    def test_F4_renew_takes_a_stolen_lease_back_only_from_nobody(self, bench):
        term = bench.own('A')[0]
        bench.do('DEL', 'lease')
        assert bench.run('renew_lease', 'own lease', 'A', term, 5000) == 1
        assert bench.do('GET', 'lease') == 'A' and bench.do('PTTL', 'lease') == 5000
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


class TestFence:
    """Each script of an owner looks at both, the holder and the term."""
    CALLS = [('count_try', 'own', ('1-0',)), ('defer', 'own in w', ('1-0', '1-0', 0, 'lane')), ('list_deferred', 'own in w', ()),
             ('requeue', 'own in w', ('1-0',)), ('restart_stream', 'own in', ('0-0', 1)), ('commit', 'own in', ('0-0', '1-0', 0)),
             ('renew_lease', 'own lease', (5000,)), ('release_lease', 'own lease', ())]

    @pytest.mark.parametrize('script, keys, args', CALLS)
    def test_by_holder_and_by_term(self, bench, script, keys, args):
        bench.do('XADD', 'in', '1-0', 'm', 'x')
        bench.do('HSET', 'own', 'h', 'A', 't', 7)
        bench.do('SET', 'lease', 'A', 'PX', 100)
        before = bench.do('HGETALL', 'own'), bench.keys(), bench.do('PTTL', 'lease')
        fenced = 0 if 'lease' in script else 'FENCED by A'
        for holder, term in ('A', 8), ('A', 6), ('B', 7), ('', ''):
            assert bench.run(script, keys, holder, term, *args) == fenced, (holder, term)
            assert (bench.do('HGETALL', 'own'), bench.keys(), bench.do('PTTL', 'lease')) == before
        reply = bench.run(script, keys, 'A', 7, *args)
        assert not isinstance(reply, Error)
        bench.do('DEL', 'own')
        assert bench.run(script, keys, 'A', 7, *args) in (0, 'FENCED by false') and bench.do('EXISTS', 'own') == 0


class TestLock:
    def test_one_holder(self, bench):
        assert bench.run('lock', 'l', 'a', 5000) == 1
        assert bench.run('lock', 'l', 'a', 5000) == 1
        assert bench.run('lock', 'l', 'b', 5000) == 0
        assert bench.run('renew_lock', 'l', 'b', 5000) == 0
        assert bench.run('unlock', 'l', 'b') == 0
        assert bench.run('renew_lock', 'l', 'a', 90000) == 1
        assert bench.do('PTTL', 'l') == 90000
        assert bench.run('unlock', 'l', 'a') == 1
        assert bench.run('unlock', 'l', 'a') == 0
        assert bench.run('lock', 'l', 'b', 5000) == 1
        assert bench.run('renew_lock', 'l', 'a', 5000) == 0

    def test_a_lock_that_ran_out_is_its_holders_while_nobody_took_it(self, bench):
        assert bench.run('lock', 'l', 'a', 5000) == 1
        bench.do('DEL', 'l')
        assert bench.run('renew_lock', 'l', 'a', 5000) == 1
        assert bench.run('lock', 'l', 'b', 5000) == 0
