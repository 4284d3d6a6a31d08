"""One Signalbox cluster for a test: a private Redis, brokers and gateways, all ended by their pid.

    with Cluster(app=APP, gateways=2, brokers=1) as cluster:
        client = cluster.client(0, "/msg")
        cluster.cli("send", "Msg", "hello")
        assert client.recv() == "hello"

A process that ends without the test having asked for it fails the test when the cluster is closed. The binaries are
those of SIGNALBOX_BIN, else of build/bin.
"""
import atexit
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile

import redis
import websockets

from .raw_ws import Client, RawWs
from .sse import SseClient
from .waiting import eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("SIGNALBOX_BIN") or ROOT / "build" / "bin")
BUILD = BIN.parent
START_TIMEOUT = 20.0

live_clusters = []
given_ports = {}  # port -> what claims it


def claim_port(port):
    """Whether it is ours until this process ends. An abstract socket of its name keeps other test runs from it."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0signalbox-test-port-{port}")
    except OSError:
        claim.close()
        return False
    given_ports[port] = claim
    return True


def free_port():
    """A loopback port nobody listens on, below the range that outgoing connections take theirs from; never twice."""
    while True:
        port = random.SystemRandom().randrange(15000, 32000)
        if not claim_port(port):
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Reply:
    """An HTTP answer."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


def http_request(port, method, path, body=None, headers=None, timeout=10.0):
    """One request on a connection of its own. A body that is no text or bytes is sent as JSON."""
    if body is not None and not isinstance(body, (str, bytes)):
        body = json.dumps(body)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body.encode() if isinstance(body, str) else body, headers or {})
        return Reply(connection.getresponse())
    finally:
        connection.close()


ADMIN_TOKEN = "open-sesame"  # of every process that a Cluster runs


class Process:
    """One process, its log file and its signals. stop/cont are SIGSTOP/SIGCONT; term is SIGTERM, kill is SIGKILL."""

    def __init__(self, name, argv, folder, env=None):
        self.name, self.argv, self.folder = name, [str(arg) for arg in argv], folder
        self.env = {**os.environ, **(env or {})}
        self.log_path = folder / f"{name}.log"
        self.popen = None
        self.expected_to_end = False

    @property
    def pid(self):
        return self.popen.pid

    @property
    def is_running(self):
        return self.popen is not None and self.popen.poll() is None

    @property
    def is_crashed(self):
        return self.popen is not None and self.popen.poll() is not None and not self.expected_to_end

    def start(self):
        assert not self.is_running
        self.expected_to_end = False
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env,
                                          cwd=self.folder)
        return self

    def signal(self, number):
        self.popen.send_signal(number)

    def kill(self):
        self.expected_to_end = True
        self.popen.kill()
        self.popen.wait(10)

    def term(self):
        self.expected_to_end = True
        self.signal(signal.SIGTERM)
        return self

    def wait(self, timeout=20.0):
        """The exit status."""
        self.expected_to_end = True
        return self.popen.wait(timeout)

    def stop(self):
        self.signal(signal.SIGSTOP)

    def cont(self):
        self.signal(signal.SIGCONT)

    def hup(self):
        self.signal(signal.SIGHUP)

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_log(self, text, timeout=30.0, after=0):
        """Wait until the log has the text at or past the offset."""
        eventually(lambda: text in self.log()[after:], timeout, f"{text!r} in the log of {self.name}")


class Daemon(Process):
    """A gateway or a broker: it has an admin port that tells when it is ready."""

    def __init__(self, name, argv, folder, admin_port, env=None):
        own_token = ["--admin-token-file", folder / "admin-token"] if "--admin-token-file" not in argv else []
        super().__init__(name, argv + ["--admin", f"127.0.0.1:{admin_port}"] + own_token, folder, env)
        self.admin_port = admin_port
        self.port = None
        self.authorization = {"Authorization": f"Bearer {ADMIN_TOKEN}"} if own_token else {}

    def admin(self, method, path, body=None, headers=None, timeout=10.0):
        """With the token, unless the test chose one of its own or gives an Authorization itself."""
        return http_request(self.admin_port, method, path, body, {**self.authorization, **(headers or {})}, timeout)

    def is_ready(self):
        if not self.is_running:
            raise RuntimeError(f"{self.name} ended with {self.popen.returncode}:\n{self.log()[-4000:]}")
        try:
            return self.admin("GET", "/readyz").status == 200
        except OSError:
            return False

    def wait_ready(self, timeout=START_TIMEOUT):
        eventually(self.is_ready, timeout, f"{self.name} ready; its log:\n{self.log()[-2000:]}")
        return self

    def restart(self, timeout=START_TIMEOUT):
        """End it as it is (SIGKILL when it still runs), start it anew on the same ports and wait until it is ready."""
        if self.is_running:
            self.kill()
        return self.start().wait_ready(timeout)

    def metrics(self):
        """Prometheus samples: 'name{labels}' -> value."""
        samples = (line.rsplit(" ", 1) for line in self.admin("GET", "/metrics").text.splitlines()
                   if line and not line.startswith("#"))
        return {name: float(value) for name, value in samples}


class Cluster:
    """See the head of this file.

    app           the app file or its folder
    redis         options of the private redis-server ({"appendonly": "yes"}), or the URL of one that exists
    args          flags of gateways and brokers; gateway_args and broker_args of one kind only
    env           environment: a dict, or a function from the gateway's index (None for a broker) to one
    listen        scheme of each gateway's --listen; None leaves the endpoints to the app
    prefix        --redis-prefix of everything, the CLI included
    """

    def __init__(self, app, gateways=2, brokers=1, redis=None, args=(), gateway_args=(), broker_args=(), env=None,
                 listen="http+ws", listen_query="", prefix=""):
        self.app = pathlib.Path(app)
        self.fleet_args = ["--redis-prefix", prefix] if prefix else []
        args = [*args, *self.fleet_args]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sb-"))
        (self.folder / "admin-token").write_text(ADMIN_TOKEN + "\n")
        self.redis_server = None
        self._start_redis_or_use(redis)
        self.gateways = [self._gateway(i, listen, listen_query, [*args, *gateway_args], env) for i in range(gateways)]
        self.brokers = [self._broker(i, [*args, *broker_args], env) for i in range(brokers)]

    # -- making the processes

    def _start_redis_or_use(self, options):
        if isinstance(options, str):
            self.redis_url = options
            return
        self.redis_port = free_port()
        self.redis_socket = self.folder / "redis.sock"
        self.redis_url = f"unix://{self.redis_socket}"
        settings = {"bind": "127.0.0.1", "port": self.redis_port, "unixsocket": self.redis_socket, "dir": self.folder,
                    "save": "''", "appendonly": "no", "maxmemory-policy": "noeviction",
                    "client-output-buffer-limit": "pubsub 256mb 64mb 30", **(options or {})}
        config = self.folder / "redis.conf"
        config.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
        self.redis_server = Process("redis", ["/usr/bin/redis-server", config], self.folder)

    def _environment(self, env, index):
        return env(index) if callable(env) else env

    def redis_url_for(self, name):
        """The URL that the process of this name is given; a subclass may put something in between."""
        return self.redis_url

    def _gateway(self, index, listen, query, args, env):
        argv = [BIN / "signalbox-gateway", self.app, "--redis", self.redis_url_for(f"gateway{index + 1}")]
        port = None
        if listen:
            port = free_port()
            argv += ["--listen", f"{listen}://127.0.0.1:{port}{query}"]
        gateway = Daemon(f"gateway{index + 1}", argv + args, self.folder, free_port(), self._environment(env, index))
        gateway.port = port
        return gateway

    def _broker(self, index, args, env):
        argv = [BIN / "signalbox-broker", self.app, "--redis", self.redis_url_for(f"broker{index + 1}")] + args
        return Daemon(f"broker{index + 1}", argv, self.folder, free_port(), self._environment(env, None))

    # -- life

    @property
    def daemons(self):
        return self.gateways + self.brokers

    @property
    def processes(self):
        return ([self.redis_server] if self.redis_server else []) + self.daemons

    def __enter__(self):
        live_clusters.append(self)
        try:
            if self.redis_server:
                self.start_redis()
            for daemon in self.daemons:
                daemon.start()
            self.wait_ready()
        except BaseException:
            self.end()
            raise
        return self

    def crashes(self):
        """What ended by itself: a text for each process."""
        return [f"{p.name} ended with {p.popen.returncode}:\n{p.log()[-4000:]}" for p in self.processes if p.is_crashed]

    def revive(self):
        """Start again what ended by itself, so that one crash fails one test; returns the texts of `crashes`."""
        crashed = self.crashes()
        for daemon in self.daemons:
            if daemon.is_crashed:
                daemon.start()
        if crashed:
            self.wait_ready()
        return crashed

    def __exit__(self, kind, *_):
        crashed = self.crashes()
        self.end()
        if crashed and kind is None:
            raise AssertionError("ended by itself: " + "\n".join(crashed))

    def end(self):
        """Kill what still runs, newest first, and remove the folder."""
        for process in reversed(self.processes):
            if process.is_running:
                process.kill()
        if self in live_clusters:
            live_clusters.remove(self)
        shutil.rmtree(self.folder, ignore_errors=True)

    def wait_ready(self, timeout=START_TIMEOUT):
        for daemon in self.daemons:
            if daemon.is_running or daemon.is_crashed:
                daemon.wait_ready(timeout)

    def start_redis(self):
        self.redis_server.start()
        eventually(self._is_redis_up, 10, "redis-server up")

    def _is_redis_up(self):
        try:
            return self.redis.ping()
        except redis.exceptions.RedisError:
            return False

    # -- ways in

    @property
    def redis(self):
        """A new client of the Redis server."""
        return redis.Redis.from_url(self.redis_url) if self.redis_server is None else redis.Redis(
            unix_socket_path=str(self.redis_socket))

    @property
    def redis_tcp_url(self):
        return f"redis://127.0.0.1:{self.redis_port}"

    def address(self, gateway):
        return ("127.0.0.1", self.gateways[gateway].port)

    def client(self, gateway, path, headers=None, **options):
        """A connected blocking client; raises Refused."""
        return Client(self.address(gateway), path, headers, **options)

    def sse(self, gateway, path, headers=None, **options):
        """The same with an event stream. post: the index of the gateway that it posts to, else the same one."""
        post = options.pop("post", gateway)
        return SseClient(self.address(gateway), path, headers, post_address=self.address(post), **options)

    def raw(self, gateway, **options):
        """A connected socket on which nothing was sent yet."""
        return RawWs(self.address(gateway), **options)

    def ws(self, gateway, path, headers=None, **options):
        """`async with cluster.ws(0, "/msg") as ws`: a client of the websockets package."""
        options.setdefault("compression", None)
        url = f"ws://127.0.0.1:{self.gateways[gateway].port}{path}"
        return websockets.connect(url, extra_headers=headers, **options)

    def http(self, gateway, method, path, body=None, headers=None, timeout=10.0):
        return http_request(self.gateways[gateway].port, method, path, body, headers, timeout)

    def cli(self, *args, stdin=None, check=True, timeout=30.0):
        """signalbox VERB … --redis URL. With check, an exit status other than 0 fails the test."""
        done = subprocess.run([str(BIN / "signalbox"), *map(str, args), "--redis", self.redis_url, *self.fleet_args], input=stdin,
                              stdin=subprocess.DEVNULL if stdin is None else None, capture_output=True, text=True,
                              timeout=timeout, cwd=self.folder)
        if check:
            assert done.returncode == 0, f"signalbox {args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def open_gate(self, gate):
        """Lets the app's handlers go on that wait until the store has open:<gate>."""
        self.redis.set(f"sb:{{sb}}:kv:store:open:{gate}", "true")

    def logs(self, tail=40):
        """The last lines of every log, for a failed test's report."""
        return [(p.name, "\n".join(p.log().splitlines()[-tail:])) for p in self.processes]


@atexit.register
def end_all():
    for cluster in list(live_clusters):
        cluster.end()
