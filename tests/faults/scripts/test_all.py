"""What holds for all scripts: their first line, and what they do when Redis is full."""
from bench import CHANNEL
from simulation.scripts import SCRIPTS


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


class TestOutOfMemory:
    """F20: nothing new is taken, and what frees or proves liveness goes on."""

    def test_what_frees_memory_goes_on(self, bench):
        """An entry leaves `in` with its commit, after what it led to has gone to other partitions."""
        term = bench.own()[0]
        sub = bench.listen()
        bench.do('XADD', 'in', '1-0', 'm', 'x' * 1000)
        bench.conn('g:1:0|')
        bench.do('CONFIG', 'SET', 'maxmemory', 1)
        assert bench.run('count_try', 'own', 'A', term, '1-0') == 1
        assert bench.run('defer', 'own in w', 'A', term, '1-0', '1-0', 0, 'lane') == 1
        assert bench.run('forward', 'other src', 'p0', 10, '01', 'a') == 1
        assert bench.out('A', term, '0-0', '1-0', (f'{term}-1', '0-1', 0, 'x'), trim='1-1') == 1
        assert sub.heard() == ['x']
        assert bench.do('XRANGE', 'in', '1-0', '1-0') == []
        assert bench.do('HGET', 'own', 'c') == '1-0' and bench.do('XLEN', 'h:room') == 1

    def test_the_check_sees_a_script_that_publishes_first(self, bench):
        sub = bench.listen()
        bench.do('CONFIG', 'SET', 'maxmemory', 1)
        body = "redis.call('PUBLISH', ARGV[1], 'x') redis.call('HSET', KEYS[1], 'c', '1-0')"
        assert 'OOM' in bench.redis.call('EVAL', body, 1, 'own', CHANNEL)
        assert sub.heard() == ['x']

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
