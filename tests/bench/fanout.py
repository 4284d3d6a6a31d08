#!/usr/bin/python3
"""Fan-out: the gateway's CPU per delivery beside a raw epoll program that writes the same frames.

    tests/bench/fanout.py [--subscribers 1000] [--rounds 300] [--repeat 5] [--before FOLDER]

Beside WebSockets it measures event streams; with --before, the folder of other programs, these in the same run, too. All serve the same subscribers program over loopback, in turn, several times; figures are CPU time of the serving
process (user + system, from the kernel's own account) per frame and subscriber. One round is one burst; the next
begins when every subscriber has the last. The gateway gets its messages as it always does, from Redis; no broker runs,
the bench publishes encoded messages itself, so that only the gateway is measured.
"""
import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import msgpack
import redis

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get('SIGNALBOX_BIN', os.path.join(ROOT, 'build', 'bin'))
APP = '''
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "http" }
signalbox.endpoint { address = "127.0.0.1", port = 8091, protocol = "ws" }
signalbox.route("GET", "/msg", function(web) web:convert { name = "Msg" } end)
'''


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def cpu_ns(pid):
    with open(f'/proc/{pid}/schedstat') as f:
        return int(f.read().split()[0])


def resident(pid):
    with open(f'/proc/{pid}/statm') as f:
        return int(f.read().split()[1]) * os.sysconf('SC_PAGESIZE')


def wait_until(check, what, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if check():
                return
        except OSError:
            pass
        time.sleep(0.02)
    sys.exit(f'bench: {what} did not happen within {seconds} s')


class Subscribers:
    def __init__(self, port, count, frame_bytes, kind='websocket'):
        self.process = subprocess.Popen(
            [os.path.join(BIN, 'bench-subscribers'), f'127.0.0.1:{port}', '/msg', str(count), str(frame_bytes), kind],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ready(self):
        assert self.process.stdout.readline() == 'ready\n', 'subscribers did not connect'

    def expect(self, frames):
        self.process.stdin.write(f'{frames}\n')
        self.process.stdin.flush()

    def done(self):
        assert self.process.stdout.readline() == 'done\n', 'frames are missing'

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Raw:
    name = 'raw epoll'

    def __init__(self, count):
        port = free_port()
        self.process = subprocess.Popen([os.path.join(BIN, 'bench-raw-fanout'), str(port), str(count)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        time.sleep(0.2)
        self.subscribers = Subscribers(port, count, 66)
        assert self.process.stdout.readline() == b'ready\n'
        self.subscribers.ready()
        self.pid = self.process.pid

    def burst(self, n):
        self.process.stdin.write(bytes([n]))
        self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.subscribers.close()


FRAME = b'x' * 64  # of a message


def event_bytes(ident):
    """Of the chunk with the event of a message."""
    event = len(f'id: {ident}\ndata: \n\n') + len(FRAME)
    return len(f'{event:x}\r\n\r\n') + event


class Gateway:
    def __init__(self, name, count, folder, kind='websocket', programs=BIN, args=()):
        self.name = name
        folder = os.path.join(folder, name)
        os.mkdir(folder)
        self.redis_socket = os.path.join(folder, 'redis.sock')
        self.store = subprocess.Popen(['redis-server', '--port', '0', '--unixsocket', self.redis_socket, '--save', '',
                                       '--dir', folder], stdout=subprocess.DEVNULL)
        self.redis = redis.Redis(unix_socket_path=self.redis_socket)
        wait_until(lambda: os.path.exists(self.redis_socket) and self.redis.ping(), 'Redis')
        app, port, admin = os.path.join(folder, 'app.lua'), free_port(), free_port()
        self.admin = admin
        with open(app, 'w') as f:
            f.write(APP)
        self.process = subprocess.Popen(
            [os.path.join(programs, 'signalbox-gateway'), app, '--redis', f'unix://{self.redis_socket}', '--listen',
             f'http+ws://127.0.0.1:{port}', '--admin', f'127.0.0.1:{admin}', *args], stderr=subprocess.DEVNULL)
        wait_until(lambda: urllib.request.urlopen(f'http://127.0.0.1:{admin}/readyz').status == 200, 'a ready gateway')
        self.pid = self.process.pid
        self.seq = 1_000_000  # so that all ids are of one length
        frame = event_bytes(self.ident()) if kind == 'sse' else len(FRAME) + 2
        before = resident(self.pid)
        self.subscribers = Subscribers(port, count, frame, kind)
        self.subscribers.ready()
        self.idle_bytes = (resident(self.pid) - before) / count
        self.channel = next(c for c in self.redis.pubsub_channels() if c.endswith(b':n:Msg'))
        self.publish = self.redis.register_script(
            "for i = 1, #ARGV do redis.call('PUBLISH', KEYS[1], ARGV[i]) end")
        self.burst(1)
        self.subscribers.expect(1)
        self.subscribers.done()

    def ident(self):
        return f'9000000000000-{self.seq}'

    def metric(self, name):
        with urllib.request.urlopen(f'http://127.0.0.1:{self.admin}/metrics') as answer:
            return next(int(line.split()[1]) for line in answer.read().decode().splitlines() if line.startswith(f'signalbox_{name} '))

    def blob(self, data=FRAME):
        prev = self.ident() if self.seq > 1_000_000 else '0-0'
        self.seq += 1
        return msgpack.packb([1, self.ident(), prev, 1, 0, None, None, None, None, 0, data], use_bin_type=True)

    def burst(self, n):
        self.publish(keys=[self.channel], args=[self.blob() for _ in range(n)])

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.subscribers.process.kill()
        self.subscribers.process.wait()
        self.store.terminate()
        self.store.wait()


def measure(server, burst, rounds, count):
    """CPU microseconds per delivery."""
    before = cpu_ns(server.pid)
    for _ in range(rounds):
        server.subscribers.expect(burst)
        server.burst(burst)
        server.subscribers.done()
    return (cpu_ns(server.pid) - before) / 1000 / (rounds * burst * count)


def compare(figures, name, other, goal):
    ratios = [ours / theirs for ours, theirs in zip(figures[name], figures[other])]
    print(f'    {name} / {other}: {statistics.median(ratios):.2f} (min {min(ratios):.2f}, max {max(ratios):.2f}; goal {goal})', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--subscribers', type=int, default=1000)
    parser.add_argument('--rounds', type=int, default=300)
    parser.add_argument('--repeat', type=int, default=5)
    parser.add_argument('--before', metavar='FOLDER', help='measure the gateway of this folder as well')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        count = options.subscribers
        servers = [Raw(count), Gateway('gateway', count, folder), Gateway('event streams', count, folder, 'sse')]
        if options.before:
            servers.append(Gateway('before', count, folder, programs=options.before))
        try:
            for burst, goal in ((1, 1.3), (8, 2.0)):
                figures = {server.name: [] for server in servers}
                for _ in range(options.repeat):
                    for server in servers:
                        figures[server.name].append(measure(server, burst, options.rounds, options.subscribers))
                print(f'{burst} at a time, us per delivery:', *(f'{name} {statistics.median(us):.3f}' for name, us in figures.items()))
                compare(figures, 'gateway', 'raw epoll', goal)
                compare(figures, 'event streams', 'gateway', 1.1)
                if options.before:
                    compare(figures, 'before', 'raw epoll', goal)
                    compare(figures, 'gateway', 'before', 1.0)
        finally:
            for server in servers:
                server.close()


if __name__ == '__main__':
    main()
