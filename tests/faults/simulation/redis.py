"""A private Redis, and just enough of its protocol (RESP2)."""
import os
import shutil
import socket
import subprocess
import tempfile
import time


class Error(str):
    """An error reply of Redis."""


class Redis:
    """A connection: just enough RESP2."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.file = self.sock.makefile('rb')

    def close(self):
        self.file.close()
        self.sock.close()

    def send(self, *args):
        out = [b'*%d\r\n' % len(args)]
        for arg in args:
            if not isinstance(arg, bytes):
                arg = str(arg).encode()
            out.append(b'$%d\r\n%s\r\n' % (len(arg), arg))
        self.sock.sendall(b''.join(out))

    def read(self, raw=False):
        line = self.file.readline()
        if not line:
            raise ConnectionError('Redis closed the connection')
        kind, rest = line[:1], line[1:-2]
        if kind == b':':
            return int(rest)
        if kind == b'+':
            return rest.decode()
        if kind == b'-':
            return Error(rest.decode())
        n = int(rest)
        if n < 0:
            return None
        if kind == b'*':
            return [self.read(raw) for _ in range(n)]
        data = self.file.read(n + 2)[:-2]
        return data if raw else data.decode()

    def call(self, *args, raw=False):
        self.send(*args)
        return self.read(raw)

    def must(self, *args, raw=False):
        reply = self.call(*args, raw=raw)
        if isinstance(reply, Error):
            raise RuntimeError(f'{args[0]}: {reply}')
        return reply


class Server:
    """A private redis-server without persistence on a unix socket in a directory of its own."""

    def __init__(self, *options):
        self.dir = tempfile.mkdtemp(prefix='sbsim')
        self.path = os.path.join(self.dir, 's')
        binary = os.environ.get('REDIS_SERVER', 'redis-server')
        self.proc = subprocess.Popen(
            [binary, '--port', '0', '--unixsocket', self.path, '--save', '', '--appendonly', 'no',
             '--dir', self.dir, *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                self.connect().close()
                return
            except OSError:
                if time.monotonic() > deadline or self.proc.poll() is not None:
                    self.close()
                    raise
                time.sleep(0.01)

    def connect(self):
        return Redis(self.path)

    def close(self):
        self.proc.terminate()
        self.proc.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
