"""The scripts that register connections, and those that declare a gateway dead."""
import itertools

import pytest

from bench import NOW_MS


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

    @pytest.mark.parametrize('own, position, floor', [
        ((), f'{NOW_MS}-0', NOW_MS), (('f', NOW_MS - 1), f'{NOW_MS}-0', NOW_MS), (('f', NOW_MS + 1), f'{NOW_MS + 1}-0', NOW_MS + 1),
        (('f', 2**52), f'{2**52}-0', 2**52), (('t', 5), '5-0', 5), (('t', 5, 'f', 9), '5-0', 5), (('t', 5, 'i', '5-3'), '5-3', 5), (('t', 5, 'i', '4-3'), '4-3', 5)])
    def test_positions(self, bench, own, position, floor):
        """The position is the partition's last output; a log that is new begins with the term, or the time."""
        if own:
            bench.do('HSET', 'own', *own)
        assert bench.conn('g:1:0|') == [1, position]
        assert bench.do('MGET', 'l:room', 'l*', 's:room') == [f'{floor}-0', f'{floor}-0', position]
        assert bench.do('HGET', 'own', 'f') == (str(floor) if 't' not in own else str(own[3]) if 'f' in own else None)

    def test_a_log_that_is_there_stays_as_it_is_and_for_good(self, bench):
        bench.do('HSET', 'own', 't', 5, 'i', '5-9')
        for key in 'l:room', 's:room', 'l*':
            bench.do('SET', key, '3-1', 'EX', 60)
        assert bench.conn('g:1:0|') == [1, '5-9']
        assert bench.do('MGET', 'l:room', 's:room', 'l*') == ['3-1'] * 3
        assert [bench.do('TTL', key) for key in ('l:room', 's:room', 'l*')] == [-1, -1, 60]

    @pytest.mark.parametrize('kept, last, since, after', [
        (f'{NOW_MS} 5-2', None, None, '5-2'), (f'{NOW_MS - 1} 5-2', None, None, '5-9'), (f'{NOW_MS} x', None, None, '5-9'),
        ('x 5-2', None, None, '5-9'), (f'{NOW_MS} 5-2', '5-4', None, '5-2'), (None, '5-4', None, '5-9'),
        (f'{NOW_MS} 5-2', '5-4', '5-3', '5-3'), (f'{NOW_MS} 5-2', None, '5-3', '5-2')])
    def test_since_when_a_log_is_known(self, bench, kept, last, since, after):
        """Who keeps the logs of all Names makes l: where nobody has joined, but not s:."""
        bench.do('HSET', 'own', 't', 5, 'i', '5-9', *(('k', kept) if kept else ()))
        for key, value in ('l:room', last), ('s:room', since):
            if value:
                bench.do('SET', key, value, 'EX', 60)
        assert bench.conn('g:1:0|', restore=1) == [1, '5-9']
        assert bench.do('MGET', 'l:room', 's:room') == [last or '5-0', after]
        assert [bench.do('TTL', key) for key in ('l:room', 's:room')] == [-1, -1]

    def test_everything_that_is_written(self, bench):
        bench.conn('g:1:0|')
        assert bench.keys() == sorted(['c:room', 'g:g', 'gws', 'i', 'in', 'l*', 'l:room', 'own', 's:room'])
        assert bench.do('SMEMBERS', 'g:g') == ['room\0ann\0g:1:0|'] and bench.do('ZRANGE', 'i', 0, -1, 'WITHSCORES') == ['ann\0room', '0']
        bench.conn('h:2:0|')
        assert bench.ingest()[1:] == [dict(t='D', n='room', i='ann', v='g:1:0|', r='replaced'), dict(t='C', n='room', i='ann', v='h:2:0|')]
        assert sorted(bench.do('SMEMBERS', 'gws')) == ['g', 'h'] and bench.do('ZCARD', 'i') == 1
        bench.conn('h:3:0|', client='bob')
        assert bench.do('ZRANGE', 'i', 0, -1) == ['ann\0room', 'bob\0room']

    def test_everything_that_is_removed(self, bench):
        """The Name's last ids end some time after its last connection, and not before."""
        bench.conn('g:1:0|')
        bench.conn('h:2:0|', client='bob')
        assert bench.disc('g:1:0|', reason='bye', seconds=77) == 1
        assert bench.ingest()[-1] == dict(t='D', n='room', i='ann', v='g:1:0|', r='bye')
        assert bench.do('ZRANGE', 'i', 0, -1) == ['bob\0room'] and bench.do('HKEYS', 'c:room') == ['bob']
        assert bench.do('EXISTS', 'g:g') == 0 and bench.do('SMEMBERS', 'g:h') == ['room\0bob\0h:2:0|']
        assert (bench.do('TTL', 'l:room'), bench.do('TTL', 's:room')) == (-1, -1)
        assert bench.disc('h:2:0|', client='bob', reason='', seconds=77) == 1
        assert (bench.do('TTL', 'l:room'), bench.do('TTL', 's:room')) == (77, 77)
        assert len(bench.ingest()) == 3  # its Disconnect was written before
        assert bench.keys() == sorted(['gws', 'in', 'l*', 'l:room', 'own', 's:room'])

    def test_a_former_connection_leaves_its_set_and_nothing_else(self, bench):
        bench.conn('g:1:0|')
        bench.conn('h:2:0|')
        before = bench.do('HGETALL', 'c:room'), bench.do('ZRANGE', 'i', 0, -1), bench.events()
        assert bench.disc('g:1:0|') == 0
        assert bench.do('EXISTS', 'g:g') == 0
        assert (bench.do('HGETALL', 'c:room'), bench.do('ZRANGE', 'i', 0, -1), bench.events()) == before
        assert bench.do('TTL', 'l:room') == -1

    def test_a_restored_connection_replaces_none_and_is_known(self, bench):
        assert bench.conn('g:1:0|', restore=1)[0] == 1
        assert bench.do('HGETALL', 'c:room') == ['ann', 'g:1:0|'] and bench.do('ZCARD', 'i') == 1 and bench.do('SCARD', 'g:g') == 1
        assert bench.do('SMEMBERS', 'gws') == ['g'] and bench.do('EXISTS', 'l:room', 'l*', 's:room') == 3
        assert bench.conn('h:1:0|', restore=1)[0] == 2
        assert bench.do('EXISTS', 'g:h') == 0 and bench.do('SMEMBERS', 'gws') == ['g']
        assert bench.conn('h:2:0|')[0] == 1  # a new one replaces it
        assert bench.events() == ['D g:1:0| replaced', 'C h:2:0| ']

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
        sub = bench.listen('probe')
        assert bench.run('heartbeat', 'gw dead', 'g', 1, 'probe') == 2
        assert sub.heard() == ['1']
        assert bench.run('heartbeat', 'gw dead', 'g', 2, 'probe') == 1
        assert bench.run('declare_dead', 'gw dead', 'g', 1) == 0
        assert bench.run('declare_dead', 'gw dead', 'g', 2) == 1
        assert bench.run('declare_dead', 'gw dead', 'g', 2) == 1
        assert bench.run('heartbeat', 'gw dead', 'g', 3, 'probe') == 'DEAD expired'
        assert bench.do('HLEN', 'gw') == 0 and bench.do('TTL', 'dead') == 86400

    def test_a_gateway_that_nobody_has_heard_of_is_declared_dead(self, bench):
        """Its heartbeat was removed, or lost with the data."""
        assert bench.run('declare_dead', 'gw dead', 'g', '') == 1 and bench.do('EXISTS', 'dead') == 1
        bench.do('DEL', 'dead')
        bench.run('heartbeat', 'gw dead', 'h', 7, 'probe')
        assert bench.run('declare_dead', 'gw dead', 'g', 7) == 1 and bench.do('HGETALL', 'gw') == ['h', '7']
        assert bench.run('heartbeat', 'gw dead', 'h', 8, 'probe') == 'DEAD expired' and bench.do('HGET', 'gw', 'h') == '7'

    def test_F8b_dead_gateway_cannot_register_any_more(self, bench):
        bench.conn('g:1:0|')
        assert bench.run('fence_gateway', 'g:g', 86400) == 1
        assert bench.conn('g:1:0|') == 'DEAD expired'
        assert bench.conn('g:2:0|', client='bob') == 'DEAD expired'
        assert bench.disc('g:1:0|', reason='gateway') == 1
        assert bench.do('TTL', 'g:g') == 86400
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
