"""One Redis with the backplane's scripts, under a clock that stands still: what a script does is exact, to the millisecond."""
import mmap
import os
import pathlib
import struct
import subprocess

from simulation.redis import Redis, Server
from simulation.scripts import load_scripts

ROOT = pathlib.Path(__file__).resolve().parents[3]
CLOCK = ROOT / 'tests' / 'world' / 'redis' / 'frozen_clock.c'
CHANNEL = 'n:room'
NOW = 1_700_000_000  # seconds
NOW_MS = NOW * 1000 + 999


class Bench:
    """One Redis, the scripts by name, short keys."""

    def __init__(self, folder):
        library, path = folder / 'clock.so', folder / 'clock'
        subprocess.run(['cc', '-shared', '-fPIC', '-O1', f'-I{ROOT}', '-o', library, CLOCK], check=True)
        path.write_bytes(bytes(8))
        with open(path, 'r+b') as file:
            self.clock = mmap.mmap(file.fileno(), 8)
        self.at(NOW_MS)
        os.environ.update(LD_PRELOAD=str(library), FROZEN_CLOCK=str(path))
        try:
            self.server = Server()
        finally:
            del os.environ['LD_PRELOAD'], os.environ['FROZEN_CLOCK']
        self.redis = self.server.connect()
        self.shas = load_scripts(self.redis)

    def at(self, ms):
        """From now on Redis' clock says this."""
        self.clock[:] = struct.pack('=q', ms * 1000)

    def begin(self):
        self.at(NOW_MS)
        self.do('FLUSHALL')
        self.do('CONFIG', 'SET', 'maxmemory', 0)

    def run(self, script, keys, *args):
        keys = keys.split()
        return self.redis.call('EVALSHA', self.shas[script], len(keys), *keys, *args)

    def do(self, *args, raw=False):
        return self.redis.must(*args, raw=raw)

    def own(self, holder='A', keep_ms=0):
        return self.run('take_partition', 'own lease', holder, 5000, 0, keep_ms, 'taken', 7)

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

    def disc(self, val, client='ann', reason='closed', seconds=180):
        gid = val.split(':')[0]
        return self.run('unregister', f'c:room g:{gid} in i l:room s:room', client, val, f'room\0{client}\0{val}', 'room',
                        reason, seconds)

    def entries(self, stream='in'):
        return [(i, dict(zip(f[::2], f[1::2]))) for i, f in self.do('XRANGE', stream, '-', '+')]

    def ingest(self):
        return [fields for _, fields in self.entries()]

    def events(self):
        return [e['t'] + ' ' + e['v'] + ' ' + e.get('r', '') for e in self.ingest()]

    def keys(self):
        return sorted(self.do('KEYS', '*'))

    def listen(self, *channels):
        return Listener(self.server.path, channels or (CHANNEL,))


class Listener:
    def __init__(self, path, channels):
        self.redis = Redis(path)
        for channel in channels:
            self.redis.must('SUBSCRIBE', channel)

    def heard(self):
        """Everything published so far, in order: the PING is answered after it."""
        self.redis.send('PING')
        messages = []
        while (reply := self.redis.read())[0] != 'pong':
            messages.append(reply[2])
        return messages
