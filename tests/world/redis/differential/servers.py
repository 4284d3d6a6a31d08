"""A real Redis and the model, side by side under one clock that stands still."""
import mmap
import os
import pathlib
import select
import shutil
import socket
import struct
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[4]
BIN = pathlib.Path(os.environ.get('SIGNALBOX_BIN', ROOT / 'build' / 'bin'))


class Error(bytes):
    """An error reply."""


class Status(bytes):
    """A status reply."""


def encode(argv):
    out = [b'*%d\r\n' % len(argv)]
    for arg in argv:
        out.append(b'$%d\r\n%s\r\n' % (len(arg), arg))
    return b''.join(out)


def parse(data, at=0):
    """The reply that begins there, and where the next one does; (None, None) when it is not whole."""
    end = data.find(b'\r\n', at)
    if end < 0:
        return None, None
    kind, line, at = data[at:at + 1], data[at + 1:end], end + 2
    if kind == b':':
        return int(line), at
    if kind == b'+':
        return Status(line), at
    if kind == b'-':
        return Error(line), at
    n = int(line)
    if n < 0:
        return ('nil', kind), at
    if kind == b'$':
        return (data[at:at + n], at + n + 2) if len(data) >= at + n + 2 else (None, None)
    items = []
    for _ in range(n):
        item, at = parse(data, at)
        if at is None:
            return None, None
        items.append(item)
    return items, at


def parse_all(data):
    replies, at = [], 0
    while at < len(data):
        reply, at = parse(data, at)
        if at is None:
            raise ValueError('half a reply at the end')
        replies.append(reply)
    return replies


class Connection:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.sock.settimeout(10)

    def send(self, data):
        self.sock.sendall(data)

    def read_until(self, mark):
        """All that came up to and without the mark, which ends it."""
        data = b''
        while not data.endswith(mark):
            more = self.sock.recv(1 << 20)
            if not more:
                raise ConnectionError(f'closed after {data[-200:]!r}')
            data += more
        return data[:-len(mark)]

    def read_what_is_there(self):
        """b'' when there is nothing, None when it was closed."""
        data = b''
        while select.select([self.sock], [], [], 0)[0]:
            try:
                more = self.sock.recv(1 << 20)
            except ConnectionError:
                more = b''
            if not more:
                return data or None
            data += more
        return data

    def call(self, *argv):
        self.send(encode([a if isinstance(a, bytes) else str(a).encode() for a in argv]))
        data = b''
        while True:
            reply, end = parse(data) if data else (None, None)
            if end is not None:
                return reply
            more = self.sock.recv(1 << 20)
            if not more:
                raise ConnectionError('closed')
            data += more

    def close(self):
        self.sock.close()


class Server:
    def __init__(self, name, argv, path, env=None):
        self.name, self.path = name, path
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env={**os.environ, **(env or {})})
        deadline = time.monotonic() + 10
        while True:
            try:
                self.control = self.connect()
                self.control.call('PING')
                return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.005)

    def connect(self):
        return Connection(self.path)

    def settle(self):
        """Everything sent before has been carried out, and its replies are on their way."""
        for _ in range(2):
            self.control.call('PING')

    def close(self):
        self.control.close()
        self.process.terminate()
        self.process.wait()


class Pair:
    """Both servers; ask them the same, in the same order."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix='sbmodel')
        clock = os.path.join(self.dir, 'clock')
        with open(clock, 'wb') as file:
            file.write(bytes(8))
        self.file = open(clock, 'r+b')
        self.clock = mmap.mmap(self.file.fileno(), 8)
        self.set_time(1_700_000_000_000_000)
        real, model = os.path.join(self.dir, 'real'), os.path.join(self.dir, 'model')
        self.servers = [
            Server('redis', [os.environ.get('REDIS_SERVER', 'redis-server'), '--port', '0',
                             '--unixsocket', real, '--save', '', '--appendonly', 'no',
                             '--dir', self.dir, '--enable-debug-command', 'yes'], real,
                   {'LD_PRELOAD': str(BIN / 'frozen_clock.so'), 'FROZEN_CLOCK': clock}),
            Server('model', [os.environ.get('MODEL_SERVER', str(BIN / 'redis_model_server')), model, clock], model)]
        self.servers[0].control.call('DEBUG', 'SET-ACTIVE-EXPIRE', '0')

    def set_time(self, us):
        self.now_us = us
        self.clock[:] = struct.pack('<q', us)

    def call(self, *argv):
        return [s.control.call(*argv) for s in self.servers]

    def close(self):
        for server in self.servers:
            server.close()
        self.clock.close()
        self.file.close()
        shutil.rmtree(self.dir, ignore_errors=True)
