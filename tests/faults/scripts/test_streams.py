"""The scripts that fill a partition's `in` and empty it: appended once, committed once, trimmed."""
import pytest

from bench import CHANNEL, NOW, NOW_MS
from simulation.layout import channel, history
from simulation.redis import Error


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
        assert bench.keys() == []

    def test_the_question_for_room_is_answered_whatever_the_mark(self, bench):
        bench.run('append', 'in src', 'g', 2, 1 << 30, '99', 'a', '991', 'b')
        assert bench.run('append', 'in src', 'g', 2, 1 << 30) == 'BUSY ingest full'
        assert bench.run('append', 'in src', 'g', 3, 1 << 30) == 0

    def test_two_entries_are_taken_whatever_their_bytes(self, bench):
        for seq, expected in ('01', 1), ('02', 1), ('03', 'BUSY ingest full'):
            assert bench.run('append', 'in src', 'g', 10, 1, seq, 'x' * 100) == expected

    def test_the_question_for_room_counts_one_entry(self, bench):
        """Who waits until there is room would wait for ever behind one large entry otherwise, or not at all."""
        assert bench.run('append', 'in src', 'g', 10, 0) == 'BUSY ingest full'
        assert bench.run('append', 'in src', 'g', 10, 1) == 0
        bench.do('XADD', 'in', '*', 'm', 'x' * 500)
        assert bench.run('append', 'in src', 'g', 10, 500) == 'BUSY ingest full'
        assert bench.run('append', 'in src', 'g', 10, 100000) == 0
        assert bench.run('append', 'in src', 'g', 10, 500, '01', 'a') == 1

    def test_the_bound_in_bytes_counts_all_nodes_to_the_byte(self, bench):
        """Redis would estimate from a few nodes of the stream, and these differ."""
        for size in 10, 20, 30000, 30000, 30000, 5000, 60:
            bench.do('XADD', 'in', '*', 'm', 'x' * size)
        used = bench.do('MEMORY', 'USAGE', 'in', 'SAMPLES', 0)
        assert used != bench.do('MEMORY', 'USAGE', 'in', 'SAMPLES', 1)
        assert bench.run('append', 'in src', 'g', 100, used, '01', 'a') == 'BUSY ingest full'
        assert bench.run('append', 'in src', 'g', 100, used + 1, '01', 'a') == 1

    def test_the_bound_stops_batches_and_not_entries(self, bench):
        """A batch goes in whole below the bound, and the mark stays at its last one."""
        assert bench.run('append', 'in src', 'g', 1, 1 << 30, '01', 'a', '02', 'b', '03', 'c') == 3
        assert bench.run('append', 'in src', 'g', 3, 1 << 30, '04', 'd') == 'BUSY ingest full'
        assert bench.do('HGETALL', 'src') == ['g', '03']

    @pytest.mark.parametrize('script, bounds', [('append', (10, 1 << 30)), ('forward', (10,))])
    def test_a_batch_that_is_there_in_part(self, bench, script, bounds):
        """The reply to the first half was lost, and what follows comes with it."""
        bench.run(script, 'in src', 'g', *bounds, '03', 'a')
        for batch, expected in [(('02', 'y', '03', 'a', '04', 'b'), 1), (('04', 'b'), 0), (('01', 'z'), 0), ((), 0)]:
            assert bench.run(script, 'in src', 'g', *bounds, *batch) == expected
        assert [e['m'] for e in bench.ingest()] == ['a', 'b']
        assert bench.do('HGETALL', 'src') == ['g', '04']

    def test_forward_at_its_bound(self, bench):
        assert bench.run('forward', 'in src', 'p0', 1, '01', 'a', '02', 'b') == 2
        assert bench.run('forward', 'in src', 'p0', 2, '03', 'c') == 'BUSY ingest full'
        assert bench.run('forward', 'in src', 'p0', 2, '02', 'b') == 0
        assert bench.run('forward', 'in src', 'p0', 3, '03', 'c') == 1
        assert bench.do('HGETALL', 'src') == ['p0', '03']


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
        assert bench.do('PTTL', 'd') == 60000

    def test_busy_and_bad_ttl_change_nothing(self, bench):
        bench.do('XADD', 'in', '*', 'm', 'x')
        assert self.once(bench, 'g', '01', 'a', limit=1).startswith('BUSY')
        assert self.once(bench, 'g', '01', 'a', ttl=0).startswith('TTL')
        assert bench.do('XLEN', 'in') == 1 and bench.do('EXISTS', 'd', 'src') == 0
        assert self.once(bench, 'g', '01', 'a', limit=2)[0] == 1

    @pytest.mark.parametrize('ttl, is_taken', [('', False), ('x', False), (-1, False), (0, False), (1, True), (2, True)])
    def test_ttls(self, bench, ttl, is_taken):
        reply = self.once(bench, 'g', '01', 'a', ttl=ttl)
        assert reply[0] == 1 if is_taken else reply == 'TTL must be positive'
        if is_taken:
            assert bench.do('PTTL', 'd') == ttl

    def test_marks_and_keys_in_all_orders(self, bench):
        """The mark moves forward for what is suppressed, and never back."""
        self.once(bench, 'g', '05', 'a')
        for source, seq, key_is_there, expected, marks in [
                ('h', '02', True, 0, {'g': '05', 'h': '02'}), ('g', '03', True, 0, {'g': '05', 'h': '02'}),
                ('g', '06', True, 0, {'g': '06', 'h': '02'}), ('', '', True, 0, {'g': '06', 'h': '02'}),
                ('g', '06', False, 0, {'g': '06', 'h': '02'}), ('g', '07', False, 1, {'g': '07', 'h': '02'}),
                ('h', '01', False, 0, {'g': '07', 'h': '02'}), ('', '', False, 1, {'g': '07', 'h': '02'})]:
            if not key_is_there:
                bench.do('DEL', 'd')
            assert self.once(bench, source, seq, 'b')[0] == expected, (source, seq)
            flat = bench.do('HGETALL', 'src')
            assert dict(zip(flat[::2], flat[1::2])) == marks, (source, seq)


class TestTick:
    PERIOD = 60

    def tick(self, bench, tick, following=None, mark=None, limit=10):
        """Of a schedule whose mark is so."""
        bench.do('DEL', 'in', 'src')
        if mark is not None:
            bench.do('HSET', 'src', 'c:a', f'{mark:020}')
        following = tick + self.PERIOD if following is None else following
        return bench.run('append_tick', 'in src', 'c:a', limit, f'{tick:020}', f'{following:020}', 'blob')

    @pytest.mark.parametrize('mark', [None, NOW - 60, NOW - 1])
    @pytest.mark.parametrize('tick, expected', [(NOW + 1, -1), (NOW, 1)])
    def test_none_before_its_time(self, bench, tick, expected, mark):
        assert self.tick(bench, tick, mark=mark) == expected
        assert bench.do('XLEN', 'in') == (expected == 1)

    @pytest.mark.parametrize('ago, expected', [(0, 1), (2, 1), (3, 0), (4, 0), (60, 0)])
    def test_a_new_schedule_has_missed_nothing_but_what_is_due(self, bench, ago, expected):
        assert self.tick(bench, NOW - ago) == expected
        assert bench.do('HGET', 'src', 'c:a') == f'{NOW - ago if expected else NOW - 3:020}'  # from then on none is missed

    def test_a_schedule_begins_when_it_is_asked_for(self, bench):
        """None is due yet: the mark is made once, and moves no more."""
        assert self.tick(bench, 0, NOW + 30) == 0
        assert bench.do('HGET', 'src', 'c:a') == f'{NOW - 3:020}' and bench.do('EXISTS', 'in') == 0
        bench.at(NOW_MS + 40_000)
        assert bench.run('append_tick', 'in src', 'c:a', 10, f'{0:020}', f'{NOW + 60:020}', 'blob') == 0
        assert bench.do('HGET', 'src', 'c:a') == f'{NOW - 3:020}'
        assert bench.run('append_tick', 'in src', 'c:a', 10, f'{NOW + 30:020}', f'{NOW + 60:020}', 'blob') == 1

    @pytest.mark.parametrize('tick, mark, expected', [
        (NOW - 30, NOW - 90, 1), (NOW - 30, NOW - 31, 1), (NOW - 30, NOW - 30, 0), (NOW - 30, NOW - 29, 0), (NOW - 30, NOW, 0),
        (NOW - 30, NOW + 1, 0), (NOW - 30, NOW + 30, 0), (NOW - 30, NOW + 31, 0), (NOW, NOW + 60, 0), (NOW, NOW + 61, 1), (NOW - 2, NOW + 99, 1)])
    def test_marks(self, bench, tick, mark, expected):
        """One that a wrong clock left in the future is ignored, beyond a period."""
        assert self.tick(bench, tick, mark=mark) == expected
        is_wrong = mark > max(NOW, tick + self.PERIOD)
        assert bench.do('HGET', 'src', 'c:a') == f'{tick if expected else NOW - 3 if is_wrong else mark:020}'
        assert [e for e in bench.ingest()] == ([{'m': 'blob'}] if expected else [])

    def test_a_late_call_does_not_take_the_marks_of_others_for_a_wrong_clocks(self, bench):
        assert self.tick(bench, NOW - 180, mark=NOW) == 0 and bench.do('HGET', 'src', 'c:a') == f'{NOW:020}'
        assert self.tick(bench, NOW - 180, mark=NOW + 10) == 0  # that one is; but the tick was over before it

    def test_busy_at_the_bound(self, bench):
        assert self.tick(bench, NOW, limit=0) == 'BUSY ingest full' and bench.do('HGET', 'src', 'c:a') == f'{NOW - 3:020}'
        assert self.tick(bench, NOW, limit=1) == 1
        assert bench.run('append_tick', 'in src', 'c:b', 1, f'{NOW:020}', f'{NOW + 60:020}', 'other') == 'BUSY ingest full'
        assert bench.run('append_tick', 'in src', 'c:b', 2, f'{NOW:020}', f'{NOW + 60:020}', 'other') == 1
        assert bench.do('HLEN', 'src') == 2


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
                ('9999999999999999999-0', ['18446744073709551615-0'], 0, 1), ('9999999999999-9999999999999999999', ['9999999999999-18446744073709551615'], 0, 1),
                ('1700000000000-0', ['1700000000000-0'], 0, 1), ('0-0', [], 0, 0)]:
            assert self.restart(bench, cursor, *entries, now=cursor) == expected, (cursor, entries)
            assert bench.do('XLEN', 'in') == left, (cursor, entries)
            assert bench.do('EXISTS', 'in') == (left > 0 or not expected), (cursor, entries)
            assert bench.do('HGET', 'own', 'c') == ('0-0' if expected else cursor)

    @pytest.mark.parametrize('ahead, expected', [(0, 0), (HOUR_MS, 0), (HOUR_MS + 1, 1)])
    def test_how_far_ahead_is_too_far(self, bench, ahead, expected):
        cursor = f'{NOW_MS + ahead}-3'
        assert self.restart(bench, cursor, cursor, now=cursor) == expected

    def test_without_a_cursor(self, bench):
        bench.do('HSET', 'own', 'h', 'me', 't', '7')
        assert bench.run('restart_stream', 'own in', 'me', 7, '0-0', self.HOUR_MS) == 0
        assert bench.run('restart_stream', 'own in', 'me', 7, '1-0', self.HOUR_MS) == 'FENCED at 0-0'

    def test_generations_rise(self, bench):
        self.restart(bench, self.LAST, now=self.LAST)
        first = int(bench.do('HGET', 'own', 'g'))
        assert first == NOW_MS
        self.restart(bench, self.LAST, now=self.LAST, generation=first + 10 ** 6)
        assert int(bench.do('HGET', 'own', 'g')) == first + 10 ** 6 + 1

    def test_only_its_owner(self, bench):
        assert self.restart(bench, self.LAST, now=self.LAST) == 1
        for args in (('other', 7, '0-0'), ('me', 8, '0-0'), ('me', 7, self.LAST)):
            assert 'FENCED' in str(bench.run('restart_stream', 'own in', *args, self.HOUR_MS))


class TestOut:
    def test_commits_history_feed_cursor_and_position_at_once(self, bench):
        term = bench.own()[0]
        sub = bench.listen()
        ids = [f'{term}-1', f'{term}-2']
        assert bench.out('A', term, '0-0', '9-0', *[(i, '0-1', 60, 'x' + i) for i in ids]) == 1
        assert [i for i, _ in bench.do('XRANGE', 'h:room', '-', '+')] == ids
        assert sub.heard() == ['x' + i for i in ids]
        assert bench.do('HMGET', 'own', 'c', 'i') == ['9-0', ids[1]]
        assert bench.do('TTL', 'h:room') == 60
        assert bench.do('TTL', 'l:room') == 60 and bench.do('GET', 'l:room') == ids[1]
        assert [e['m'] for _, e in bench.entries('h:room')] == ['x' + i for i in ids]

    def test_repeated_after_a_lost_reply(self, bench):
        term = bench.own()[0]
        sub = bench.listen()
        for reply in (1, 0, 0):
            assert bench.out('A', term, '0-0', '9-0', (f'{term}-1', '0-1', 0, 'x')) == reply
        assert sub.heard() == ['x'] and bench.do('XLEN', 'h:room') == 1

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
        sub = bench.listen()
        bench.out('A', term, '0-0', '1-0', (f'{term}-1', 0, 60, 'x'))
        assert sub.heard() == ['x'] and bench.do('EXISTS', 'h:room') == 0
        assert bench.do('HGET', 'own', 'i') == f'{term}-1'

    def test_I7_fenced_by_holder_and_by_term(self, bench):
        old = bench.own('A')[0]
        new = bench.own('A')[0]
        sub = bench.listen()
        assert bench.out('A', old, '0-0', '1-0', (f'{old}-1', '0-1', 0, 'x')) == 'FENCED by A'
        assert bench.out('B', new, '0-0', '1-0', (f'{new}-1', '0-1', 0, 'x')) == 'FENCED by A'
        bench.do('DEL', 'own')
        assert bench.out('A', new, '0-0', '1-0').startswith('FENCED by')
        assert sub.heard() == [] and bench.do('EXISTS', 'h:room', 'own') == 0

    def test_cursor_that_fell_back(self, bench):
        term = bench.own()[0]
        bench.do('HSET', 'own', 'c', '4-0')
        assert bench.out('A', term, '5-0', '6-0', (f'{term}-1', '0-1', 0, 'x')) == 'CURSOR is 4-0'
        assert bench.do('EXISTS', 'h:room') == 0

    @pytest.mark.parametrize('floor, is_fenced', [(-1, False), (0, True), (1, True)])
    def test_the_floor_of_the_terms(self, bench, floor, is_fenced):
        term = int(bench.own('A')[0])
        bench.do('HSET', 'own', 'f', term + floor)
        reply = bench.out('A', term, '0-0', '1-0', (f'{term}-1', '0-1', 0, 'x'))
        assert reply == (f'FENCED by the floor {term + floor}' if is_fenced else 1)
        assert bench.do('EXISTS', 'h:room') == (not is_fenced)

    @pytest.mark.parametrize('ttl, l_ttl, h_ttl', [(0, 3600, -1), (1, 1, 1), (60, 60, 60), (-1, 1, 1), (-60, 60, 60)])
    def test_how_long_a_new_log_stays(self, bench, ttl, l_ttl, h_ttl):
        term = bench.own()[0]
        assert bench.out('A', term, '0-0', '1-0', (f'{term}-1', '0-1', ttl, 'x')) == 1
        assert (bench.do('TTL', 'l:room'), bench.do('TTL', 'h:room')) == (l_ttl, h_ttl)

    @pytest.mark.parametrize('ttl, h_ttl', [(0, 500), (90, 90), (-90, 500)])
    def test_a_log_that_is_there_keeps_its_last_id_as_long_as_before(self, bench, ttl, h_ttl):
        term = bench.own()[0]
        bench.out('A', term, '0-0', '1-0', (f'{term}-1', '0-1', 500, 'x'))
        bench.do('EXPIRE', 'l:room', 700)
        assert bench.out('A', term, '1-0', '2-0', (f'{term}-2', '0-1', ttl, 'y')) == 1
        assert (bench.do('TTL', 'l:room'), bench.do('TTL', 'h:room')) == (700, h_ttl)
        assert bench.do('GET', 'l:room') == f'{term}-2'
        bench.do('PERSIST', 'l:room')
        bench.out('A', term, '2-0', '3-0', (f'{term}-3', '0-1', 60, 'z'))
        assert bench.do('TTL', 'l:room') == -1

    def test_a_history_keeps_what_is_not_older_than_it_shall(self, bench):
        term = bench.own()[0]
        ids = [f'{term}-{i}' for i in range(1, 5)]
        for at, i in enumerate(ids):
            bench.out('A', term, f'{at}-0', f'{at + 1}-0', (i, ids[max(0, at - 1)], 0, 'x'))
        assert [i for i, _ in bench.entries('h:room')] == ids[2:]

    def commit(self, bench, term, prev, new, *outputs):
        """outputs: (log, whether it is the log's last one here, seq, from)"""
        keys = ''.join(f' h:{log} ' + (f'l:{log}' if is_last else f'h:{log}') for log, is_last, _, _ in outputs)
        args = [a for log, _, seq, keep in outputs for a in (f'{term}-{seq}', keep, 60, f'n:{log}', f'{log}{seq}')]
        return bench.run('commit', 'own in' + keys, 'A', term, prev, new, 0, *args)

    def test_several_logs_in_one_batch(self, bench):
        """Each output goes to its own log, the last id of each is that of its last output, and Names that
        nobody joined leave nothing."""
        term = bench.own()[0]
        sub = bench.listen('n:a', 'n:b', 'n:none')
        bench.do('SET', 'l:b', '1-0')
        assert self.commit(bench, term, '0-0', '5-0', ('a', False, 1, '0-1'), ('b', True, 2, '?0-1'), ('none', True, 3, '?0-1'),
                           ('a', False, 4, '0-1'), ('a', True, 5, '0-1'), ('off', True, 6, '0')) == 1
        assert sub.heard() == ['a1', 'b2', 'none3', 'a4', 'a5']
        assert [(i.split('-')[1], e['m']) for i, e in bench.entries('h:a')] == [('1', 'a1'), ('4', 'a4'), ('5', 'a5')]
        assert [e['m'] for _, e in bench.entries('h:b')] == ['b2']
        assert bench.do('MGET', 'l:a', 'l:b', 'l:off') == [f'{term}-5', f'{term}-2', f'{term}-6']
        assert bench.keys() == ['h:a', 'h:b', 'l:a', 'l:b', 'l:off', 'lease', 'own']
        assert bench.do('HMGET', 'own', 'c', 'i') == ['5-0', f'{term}-6']

    def test_a_history_of_another_type_is_named_and_the_rest_goes_on(self, bench):
        term = bench.own()[0]
        sub = bench.listen('n:a', 'n:b')
        bench.do('SET', 'h:a', 'text')
        bench.do('XADD', 'in', '4-0', 'm', 'x')
        assert self.commit(bench, term, '0-0', '5-0', ('a', True, 1, '0-1'), ('b', True, 2, '0-1')) == [1, 'h:a']
        assert sub.heard() == ['a1', 'b2'] and bench.do('GET', 'h:a') == 'text'
        assert bench.do('MGET', 'l:a', 'l:b') == [f'{term}-1', f'{term}-2'] and bench.do('XLEN', 'h:b') == 1
        assert bench.do('HMGET', 'own', 'c', 'u') == ['5-0', None]

    def keep(self, bench, term, prev, new, *outputs):
        """outputs: (seq, from, n)"""
        args = [a for seq, start, n in outputs for a in (f'{term}-{seq}', f'+{start} {n}', 60, '', f'm{seq}')]
        return bench.run('commit', 'own in' + ' k:a k:a' * len(outputs), 'A', term, prev, new, 0, *args)

    def kept(self, bench):
        return [e['m'] for _, e in bench.entries('k:a')]

    def test_what_is_kept(self, bench):
        """The newest of those that may stay, for so long; published by another output, if at all."""
        term = bench.own()[0]
        sub = bench.listen('n:a')
        assert self.keep(bench, term, '0-0', '1-0', (1, '0-1', 3), (2, '0-1', 3), (3, '0-1', 3), (4, '0-1', 3)) == 1
        assert self.kept(bench) == ['m2', 'm3', 'm4'] and bench.do('TTL', 'k:a') == 60 and bench.keys() == ['k:a', 'lease', 'own']
        assert self.keep(bench, term, '1-0', '2-0', (5, f'{term}-4', 3)) == 1
        assert self.kept(bench) == ['m4', 'm5'] and bench.do('HMGET', 'own', 'c', 'i') == ['2-0', f'{term}-5']
        assert self.keep(bench, term, '2-0', '3-0', (6, '0-0', 0)) == 1
        assert self.kept(bench) == [] and sub.heard() == []

    def test_what_is_kept_is_repeated_or_replaced(self, bench):
        term = bench.own()[0]
        bench.do('XADD', 'k:a', f'{term}-1', 'm', 'm1')
        bench.do('HSET', 'own', 'u', '1-0')  # this batch failed half way
        assert self.keep(bench, term, '0-0', '1-0', (1, '0-1', 3), (2, '0-1', 3)) == 1
        assert self.kept(bench) == ['m1', 'm2']
        bench.do('XADD', 'k:a', f'{int(term) + 9}-1', 'm', 'of data that was given up')
        assert self.keep(bench, term, '1-0', '2-0', (3, '0-1', 3)) == 1
        assert self.kept(bench) == ['m3']
        bench.do('SET', 'k:a', 'text')
        assert self.keep(bench, term, '2-0', '3-0', (4, '0-1', 3)) == [1, 'k:a']

    def refuse(self, bench, *rights):
        """Runs as a user without these rights until allow()."""
        bench.do('ACL', 'SETUSER', 'default', *rights)

    def allow(self, bench):
        bench.do('ACL', 'SETUSER', 'default', '+@all', 'allchannels', 'allkeys')

    @pytest.mark.parametrize('right', ['-publish', '-xadd', '-set'])
    @pytest.mark.parametrize('position', [None, '1-7'])
    def test_what_fails_after_the_cursor_gives_it_back(self, bench, right, position):
        """And carried out again, everything is there once."""
        term = bench.own()[0]
        if position:
            bench.do('HSET', 'own', 'i', position)
        sub = bench.listen('n:a', 'n:b')
        bench.do('XADD', 'in', '4-0', 'm', 'x')
        batch = ('a', False, 1, '0-1'), ('a', True, 2, '0-1'), ('b', True, 3, '0-1')
        self.refuse(bench, right)
        try:
            refused = self.commit(bench, term, '0-0', '5-0', *batch)
            again = self.commit(bench, term, '0-0', '5-0', *batch)
        finally:
            self.allow(bench)
        for reply in refused, again:
            assert isinstance(reply, Error) and "can't run this command" in reply
        assert bench.do('HMGET', 'own', 'c', 'i', 'u') == ['0-0', position or '0-0', '5-0']
        assert sub.heard() == ([] if right != '-set' else ['a1'])
        assert bench.do('XLEN', 'in') == 1
        assert self.commit(bench, term, '0-0', '5-0', *batch) == 1
        assert [e['m'] for _, e in bench.entries('h:a')] == ['a1', 'a2'] and bench.do('XLEN', 'h:b') == 1
        assert bench.do('MGET', 'l:a', 'l:b') == [f'{term}-2', f'{term}-3']
        assert bench.do('HMGET', 'own', 'c', 'i') == ['5-0', f'{term}-3']

    def test_an_id_that_does_not_rise_is_refused(self, bench):
        """Once it is known that the batch was begun before, it is what that one left."""
        term = bench.own()[0]
        bench.do('XADD', 'h:a', f'{term}-9', 'm', 'x')
        sub = bench.listen('n:a')
        for new, expected in ('5-0', 'equal or smaller'), ('6-0', 'equal or smaller'):
            assert expected in self.commit(bench, term, '0-0', new, ('a', True, 1, '0-1'))
            assert bench.do('HMGET', 'own', 'c', 'i', 'u') == ['0-0', '0-0', new]
            assert bench.do('EXISTS', 'l:a') == 0
        assert self.commit(bench, term, '0-0', '6-0', ('a', True, 1, '0-1')) == 1
        assert sub.heard() == [] and bench.do('XLEN', 'h:a') == 1

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

    def test_I6_nothing_is_trimmed_while_more_is_known_to_wait(self, bench):
        term = bench.own()[0]
        bench.do('XADD', 'in', '1-0', 'm', 'x')
        assert bench.out('A', term, '0-0', '1-0') == 1
        assert bench.do('XLEN', 'in') == 1


class TestTries:
    @pytest.mark.parametrize('x, tries', [('', 1), ('5-0 0', 1), ('5-0 9', 10), ('5-0 99', 100), ('5-1 9', 1), ('5-0', 1), ('5-0 x', 1)])
    def test_counts(self, bench, x, tries):
        term = bench.own('A')[0]
        bench.do('HSET', 'own', 'x', x)
        assert bench.run('count_try', 'own', 'A', term, '5-0') == tries
        assert bench.do('HGET', 'own', 'x') == f'5-0 {tries}'


class TestPeek:
    def test_the_next_entry(self, bench):
        for at, fields in ('1-0', 'm abcdef'), ('2-0', 't C n room'):
            bench.do('XADD', 'in', at, *fields.split())
        for after, most, expected in [('0-0', 3, ['1-0', 7, 'abc']), ('0-0', 0, ['1-0', 7, '']), ('0-0', 6, ['1-0', 7, 'abcdef']),
                                      ('1-0', 9, ['2-0', 7, 'C']), ('2-0', 9, [])]:
            assert bench.run('peek_entry', 'in', after, most) == expected
        assert bench.run('peek_entry', 'none', '0-0', 9) == []


class TestProbe:
    def test_leaves_one_entry(self, bench):
        for _ in range(3):
            assert bench.run('probe_write', 'way') == 1
        assert bench.do('XLEN', 'way') == 1

    @pytest.mark.parametrize('right', ['time', 'xadd'])
    def test_says_what_it_may_not(self, bench, right):
        bench.do('ACL', 'SETUSER', 'default', '-' + right)
        reply = bench.run('probe_write', 'way')
        bench.do('ACL', 'SETUSER', 'default', '+' + right)
        assert isinstance(reply, Error) and reply.endswith(f'({right.upper()})')


class TestMeasure:
    EACH = 10  # bytes that an entry costs beside its message

    def measure(self, bench, size, messages, keys='l:a h:a'):
        return bench.run('measure_log', keys, size, messages, self.EACH)

    def test_the_last_id(self, bench):
        assert self.measure(bench, 100, 9) == ['-']
        assert self.measure(bench, 100, 9, 'l:a h:a c:a') == ['']
        bench.do('HSET', 'c:a', 'ann', 'x')
        assert self.measure(bench, 100, 9, 'l:a h:a c:a') == ['-']
        bench.do('SET', 'l:a', '7-1')
        bench.do('DEL', 'c:a')
        assert self.measure(bench, 100, 9, 'l:a h:a c:a') == ['7-1']

    def test_a_key_that_is_no_stream_has_no_history(self, bench):
        bench.do('SET', 'h:a', 'x')
        assert self.measure(bench, 100, 9) == ['-']

    def test_a_chunk_is_full_at_its_bounds_and_not_before(self, bench):
        for i, size in enumerate([10, 20, 1, 1, 1, 50], 1):
            bench.do('XADD', 'h:a', f'{i}-0', 'm', 'x' * size)
        for size, messages, expected in [
                (1000, 9, ['1-0', 6, 143]), (50, 9, ['1-0', 2, 50, '3-0', 3, 33, '6-0', 1, 60]),
                (49, 9, ['1-0', 1, 20, '2-0', 2, 41, '4-0', 2, 22, '6-0', 1, 60]), (1000, 2, ['1-0', 2, 50, '3-0', 2, 22, '5-0', 2, 71]),
                (1000, 1, [v for i, n in enumerate([20, 30, 11, 11, 11, 60], 1) for v in (f'{i}-0', 1, n)]),
                (51, 9, ['1-0', 2, 50, '3-0', 3, 33, '6-0', 1, 60]), (61, 9, ['1-0', 3, 61, '4-0', 2, 22, '6-0', 1, 60])]:
            assert self.measure(bench, size, messages) == ['-', *expected], (size, messages)

    @pytest.mark.parametrize('count', [1, 99, 100, 101, 200, 250])
    def test_a_history_of_several_pages(self, bench, count):
        bench.do('XADD', 'k:a', '9-0', 'm', 'yyy')
        for i in range(1, count + 1):
            bench.do('XADD', 'h:a', f'{i}-0', 'm', 'xx')
        assert self.measure(bench, 10**6, 10**6) == ['-', '1-0', count, 12 * count]
        assert self.measure(bench, 10**6, 10**6, 'l:a h:a c:a k:a') == ['', '1-0', count, 12 * count, 'kept', '9-0', 1, 13]
        assert self.measure(bench, 10**6, 10**6, 'l:a h:none c:a k:a') == ['', 'kept', '9-0', 1, 13]
        assert self.measure(bench, 10**6, 10**6, 'l:a h:a c:a k:none') == ['', '1-0', count, 12 * count]

    def test_an_entry_without_a_message(self, bench):
        bench.do('XADD', 'h:a', '1-0', 'm', '')
        assert self.measure(bench, 100, 9) == ['-', '1-0', 1, 10]
