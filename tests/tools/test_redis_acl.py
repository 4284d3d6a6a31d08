"""The users that `signalbox redis-acl` prints: a cluster works with them, and they can do no more."""
import json
import shlex
import subprocess

import pytest
import redis as redis_client

from cli_world import APP
from harness.cluster import BIN, Cluster
from harness.waiting import eventually


class RestrictedCluster(Cluster):
    """Gateways and brokers log in as the users that redis-acl prints."""

    def redis_url_for(self, name):
        return self.url_of("signalbox-broker" if name.startswith("broker") else "signalbox-gateway")

    def start_redis(self):
        super().start_redis()
        for line in self.cli("redis-acl", "--password", "pw").stdout.splitlines():
            if line.startswith("ACL "):
                self.redis.execute_command(*shlex.split(line))

    def url_of(self, user):
        return f"redis://{user}:pw@127.0.0.1:{self.redis_port}"

    def cli_as(self, user, *args, code=0):
        done = subprocess.run([str(BIN / "signalbox"), *args, "--redis", self.url_of(f"signalbox-{user}")],
                              capture_output=True, text=True, timeout=20)
        assert done.returncode == code, done.stderr
        return done


@pytest.fixture(scope="module")
def restricted():
    with RestrictedCluster(app=APP, gateways=2, brokers=2) as cluster:
        yield cluster


def test_a_cluster_works_with_its_users(restricted):
    cluster = restricted
    a, b = cluster.client(0, "/up?name=Msg"), cluster.client(1, "/up?name=Msg&group=g")
    cluster.cli_as("publisher", "send", "Msg", "hello")
    assert a.recv() == b.recv() == "hello"
    a.say("to all", path="Msg")
    assert a.recv() == b.recv() == "to all"
    assert "broadcast level" in cluster.cli_as("publisher", "send", "Strict", "x", code=1).stderr
    assert len(json.loads(cluster.cli_as("operator", "clients", "Msg", "--json").stdout)) == 2
    assert len(json.loads(cluster.cli_as("operator", "gateways", "--json").stdout)) == 2
    assert json.loads(cluster.cli_as("publisher", "send", "Msg", "x", "--wait", "3s", "--json").stdout)["matched"] == 2
    cluster.cli_as("operator", "level", "Msg", "group")
    cluster.cli_as("operator", "level", "Msg", "unset")
    cluster.cli_as("operator", "reload")
    cluster.cli_as("operator", "doctor")
    assert cluster.cli_as("operator", "trace", "--name", "Msg", "--for", "1s").stderr.count("listens") == 4
    cluster.cli_as("publisher", "close", "Msg", "--client", b.id)
    assert [b.recv(), b.closing()[0]] == ["x", 1000]
    a.drop()
    eventually(lambda: json.loads(cluster.cli_as("operator", "names", "--json").stdout) == [], 10)
    assert cluster.redis.acl_log() == [], "nothing was denied"


@pytest.mark.parametrize("user", ["signalbox-gateway", "signalbox-broker", "signalbox-publisher", "signalbox-operator"])
def test_no_user_may_do_more(restricted, user):
    with redis_client.Redis.from_url(restricted.url_of(user)) as redis:
        for command in (["SET", "elsewhere", "1"], ["FLUSHALL"], ["KEYS", "*"], ["CONFIG", "SET", "maxmemory", "1"],
                        ["ACL", "LIST"], ["DEBUG", "SLEEP", "0"], ["SHUTDOWN"], ["SUBSCRIBE", "elsewhere"]):
            with pytest.raises(redis_client.exceptions.ResponseError):
                redis.execute_command(*command)
    restricted.redis.execute_command("ACL", "LOG", "RESET")
