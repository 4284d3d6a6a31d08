"""The users that `signalbox redis-acl` prints: a cluster works with them, and they can do no more."""
import json
import shlex
import subprocess

import pytest
import redis as redis_client

from cli_world import APP
from harness.cluster import BIN, Cluster
from harness.waiting import eventually

DB, PREFIX = 3, "shop:"


class RestrictedCluster(Cluster):
    """Gateways and brokers log in as the users that redis-acl prints, in a database and under a prefix of their own."""

    def redis_url_for(self, name):
        return self.url_of("signalbox-broker" if name.startswith("broker") else "signalbox-gateway")

    def start_redis(self):
        super().start_redis()
        for line in acl_lines(f"redis://127.0.0.1/{DB}", PREFIX):
            if line.startswith("ACL "):
                self.redis.execute_command(*shlex.split(line))

    def url_of(self, user):
        return f"redis://{user}:pw@127.0.0.1:{self.redis_port}/{DB}"

    def cli_as(self, user, *args, code=0):
        done = subprocess.run([str(BIN / "signalbox"), *args, "--redis", self.url_of(f"signalbox-{user}"),
                               "--redis-prefix", PREFIX], capture_output=True, text=True, timeout=20)
        assert done.returncode == code, done.stderr
        return done


def acl_lines(url, prefix):
    done = subprocess.run([str(BIN / "signalbox"), "redis-acl", "--password", "pw", "--redis", url,
                           "--redis-prefix", prefix], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def restricted():
    with RestrictedCluster(app=APP, gateways=2, brokers=2, prefix=PREFIX) as cluster:
        yield cluster


def test_each_fleet_has_rules_of_its_own():
    """The prefix stands before keys and channels, the database before channels; database 0 needs neither."""
    plain = acl_lines("redis://127.0.0.1", "")
    assert acl_lines("redis://127.0.0.1/0", "") == plain and "~sb:{*" in plain[1] and "&signalbox:send" in plain[3]
    for db, prefix in ((0, "shop:"), (7, ""), (7, "shop:")):
        channel = (f"db{db}:" if db else "") + prefix
        expected = [line.replace("~sb:", f"~{prefix}sb:").replace("~signalbox:", f"~{prefix}signalbox:")
                        .replace("&sb:", f"&{channel}sb:").replace("&signalbox:", f"&{channel}signalbox:")
                    for line in plain]
        assert acl_lines(f"unix:///somewhere?db={db}", prefix) == expected


@pytest.mark.parametrize("wrong", ["a b", 'a"b', "a'b", "a\\b", "a\tb"])
def test_a_password_from_a_file(tmp_path, wrong):
    file = tmp_path / "password"

    def acl(text):
        file.write_text(text + "\n")
        return subprocess.run([BIN / "signalbox", "redis-acl", "--password-file", file], capture_output=True, text=True, timeout=20)
    assert acl("p>w").stdout.replace(">p>w", ">pw").splitlines() == acl_lines("redis://127.0.0.1", "")
    refused = acl(wrong)
    assert refused.returncode == 2 and refused.stdout == "" and "with which Redis would not read the line" in refused.stderr


def test_a_cluster_works_with_its_users(restricted):
    cluster = restricted
    a, b = cluster.client(0, "/up?name=Msg"), cluster.client(1, "/up?name=Msg&group=g")
    assert not cluster.cli_as("publisher", "send", "Msg", "hello").stdout.startswith("entry"), "it is told the message's id"
    assert a.recv() == b.recv() == "hello"
    a.say("to all", path="Msg")
    assert a.recv() == b.recv() == "to all"
    assert "broadcast level" in cluster.cli_as("publisher", "send", "Strict", "x", code=1).stderr
    assert len(json.loads(cluster.cli_as("operator", "clients", "Msg", "--json").stdout)) == 2
    assert len(json.loads(cluster.cli_as("operator", "gateways", "--json").stdout)) == 2
    assert [row["data"] for row in json.loads(cluster.cli_as("operator", "history", "Msg", "--json").stdout)["messages"]] == ["to all", "hello"]
    assert json.loads(cluster.cli_as("publisher", "send", "Msg", "x", "--wait", "3s", "--json").stdout)["matched"] == 2
    cluster.cli_as("operator", "level", "Msg", "group")
    cluster.cli_as("operator", "level", "Msg", "unset")
    cluster.cli_as("operator", "reload")
    cluster.cli_as("operator", "doctor")
    assert cluster.cli_as("operator", "trace", "--name", "Msg", "--for", "3s").stderr.count("listens") == 4
    cluster.cli_as("publisher", "close", "Msg", "--client", b.id)
    assert [b.recv(), b.closing()[0]] == ["x", 1000]
    cluster.redis.flushall()
    cluster.gateways[0].wait_log("restored_registrations", 20)
    eventually(lambda: len(json.loads(cluster.cli_as("operator", "clients", "Msg", "--json").stdout)) == 1)
    a.drop()
    eventually(lambda: json.loads(cluster.cli_as("operator", "names", "--json").stdout) == [])
    denied = [row for row in cluster.redis.acl_log() if row["object"] not in (b"config|get", "config|get")]
    assert denied == [], "nothing was denied but the question whether CONFIG GET is allowed"


@pytest.mark.parametrize("verb", [
    ["names"], ["groups", "Msg"], ["clients"], ["clients", "Msg"], ["gateways"], ["brokers"], ["level", "Msg"],
    ["level", "Msg", "group"], ["reload"], ["drain", "x"], ["tail", "Msg"], ["history", "Msg"], ["trace", "--name", "Msg", "--for", "9s"]])
def test_a_verb_that_its_user_may_not_use(restricted, verb):
    """It ends at once and says what Redis refuses: no wait without an end, no empty answer."""
    done = restricted.cli_as("publisher", *verb, code=1)
    assert done.stdout == "" and done.stderr.count("\n") == 1
    assert f"signalbox {verb[0]}: Redis refuses " in done.stderr and "NOPERM" in done.stderr
    restricted.redis.execute_command("ACL", "LOG", "RESET")


@pytest.mark.parametrize("user", ["signalbox-gateway", "signalbox-broker", "signalbox-publisher", "signalbox-operator"])
def test_no_user_may_do_more(restricted, user):
    with redis_client.Redis.from_url(restricted.url_of(user)) as redis:
        for command in (["SET", "elsewhere", "1"], ["FLUSHALL"], ["KEYS", "*"], ["CONFIG", "SET", "maxmemory", "1"],
                        ["ACL", "LIST"], ["DEBUG", "SLEEP", "0"], ["SHUTDOWN"], ["SUBSCRIBE", "elsewhere"],
                        ["XADD", "signalbox:send", "*", "m", "{}"], ["PUBLISH", "signalbox:send", "{}"],
                        ["PUBLISH", "sb:{sb}:ctl", "x"], ["PUBLISH", f"{PREFIX}signalbox:send", "{}"]):
            with pytest.raises(redis_client.exceptions.ResponseError):
                redis.execute_command(*command)
    restricted.redis.execute_command("ACL", "LOG", "RESET")


@pytest.mark.parametrize("user, runs_scripts", [("gateway", True), ("broker", True), ("publisher", False), ("operator", False)])
def test_scripts_are_for_processes(restricted, user, runs_scripts):
    """What is loaded takes memory until SCRIPT FLUSH."""
    for command in (["SCRIPT", "LOAD", "return 1"], ["EVAL", "return 1", "0"], ["EVALSHA", "x", "0"]):
        assert may(restricted, user, command, "") == runs_scripts, command
    for command in (["SCRIPT", "FLUSH"], ["SCRIPT", "KILL"], ["FUNCTION", "LOAD", "x"]):
        assert not may(restricted, user, command, ""), command


# What each key is called, and who reads (r), adds to without reading (a), or writes (w) it: gateways, brokers, publishers, operators.
KEYS = """
    sb:{7}:own ww-r    sb:{7}:lease rw-r  sb:{7}:in ww-r   sb:{7}:src ww-r   sb:{7}:h:Msg rw-r  sb:{7}:h* rw-r   sb:{7}:l:Msg ww-r sb:{7}:k:Msg rw-r
    sb:{7}:l* ww-r     sb:{7}:c:Msg ww-r  sb:{7}:i ww-r    sb:{7}:g:abc ww-r sb:{7}:gws ww-r    sb:{7}:d:Msg:1 ww--
    sb:{7}:w -w-r      sb:{7}:dl -w-r     sb:{sb}:cfg wwrr sb:{sb}:gw ww-r   sb:{sb}:br rw-r    sb:{sb}:dead:abc ww-r
    sb:{sb}:about:abc ww-r  sb:{sb}:rules ww-w  sb:{sb}:kv:x ww--  sb:{sb}:lock:x ww--  sb:{sb}:way ww--  sb:{sb}:secret ww--
    sb:{sb}:tickets w---    sb:{sb}:xown rwrr   sb:{sb}:xlease rw-r  sb:{sb}:xdl -w-r    signalbox:send awaa  signalbox:refused -wrr
    sb:{7}:other ----  sb:{7}:leases ---- sb:{7}:hx ----   sb:{sb}:other ---- signalbox:sends ---- other ----
"""
USERS = ["gateway", "broker", "publisher", "operator"]
# Commands that take a key, and what they do with it.
READS = [["HGET", 1, "f"], ["XRANGE", 1, "-", "+"], ["GET", 1], ["HGETALL", 1], ["SMEMBERS", 1], ["HSCAN", 1, "0"]]
ADDS = [["XADD", 1, "*", "f", "v"]]
WRITES = [["SET", 1, "v"], ["DEL", 1], ["EXPIRE", 1, "1"], ["HSET", 1, "f", "v"], ["HDEL", 1, "f"], ["SADD", 1, "m"], ["SREM", 1, "m"],
          ["ZADD", 1, "0", "m"], ["ZREM", 1, "m"], ["XTRIM", 1, "MAXLEN", "0"], ["XDEL", 1, "1-1"], ["RENAME", 1, 1], ["COPY", 1, 1],
          ["RESTORE", 1, "0", "x"], ["LPUSH", 1, "m"], ["GETDEL", 1], ["EVAL", "return 1", "1", 1], ["EVALSHA", "x", "1", 1],
          ["XGROUP", "CREATE", 1, "g", "0"], ["XSETID", 1, "9-9"], ["APPEND", 1, "v"], ["PERSIST", 1], ["MIGRATE", "h", "1", 1, "0", "9"]]


def may(restricted, user, command, key):
    words = [PREFIX + key if word == 1 else word for word in command]
    try:
        return restricted.redis.execute_command("ACL", "DRYRUN", f"signalbox-{user}", *words) in (b"OK", "OK")
    except redis_client.exceptions.ResponseError:
        return False


@pytest.mark.parametrize("at, user", enumerate(USERS))
def test_keys_and_what_may_be_done_with_them(restricted, at, user):
    """Nobody writes what he need not; and each has some command for what he needs."""
    words = KEYS.split()
    for key, access in ((words[i], words[i + 1][at]) for i in range(0, len(words), 2)):
        reads, adds, writes = ([command[0] for command in commands if may(restricted, user, command, key)]
                               for commands in (READS, ADDS, WRITES))
        assert bool(reads) == (access in "rw"), (key, reads)
        assert access != "a" or adds, key
        assert not adds or access in "aw", (key, adds)
        assert bool(writes) == (access == "w"), (key, writes)


@pytest.mark.parametrize("at, user", enumerate(USERS))
def test_channels_and_who_may_use_them(restricted, at, user):
    for channel, access in {"sb:{7}:n:Msg": "yy-y", "sb:{7}:n*": "yy-y", "sb:{sb}:ctl": "yy-y", "sb:{sb}:probe:x": "yy-y",
                            "sb:{sb}:trace:x": "yy-y", "sb:{sb}:receipt:x": "yyyy", "signalbox:send": "-yyy", "other": "----",
                            "sb:{7}:other": "----"}.items():
        for command in (["PUBLISH", f"db{DB}:{PREFIX}{channel}", "x"], ["SUBSCRIBE", f"db{DB}:{PREFIX}{channel}"]):
            words = restricted.redis.execute_command("ACL", "DRYRUN", f"signalbox-{user}", *command)
            assert (words in (b"OK", "OK")) == (access[at] == "y"), (command, words)


@pytest.mark.parametrize("user", USERS)
def test_commands_that_nobody_needs(restricted, user):
    allowed = {name.decode() for name in restricted.redis.execute_command("ACL", "CAT")}
    assert {"dangerous", "admin", "scripting"} <= allowed
    for command in (["FLUSHALL"], ["FLUSHDB"], ["CONFIG", "SET", "a", "b"], ["CONFIG", "REWRITE"], ["MODULE", "LIST"], ["SCRIPT", "FLUSH"],
                    ["SCRIPT", "KILL"], ["FUNCTION", "LOAD", "x"], ["FUNCTION", "FLUSH"], ["REPLICAOF", "h", "1"], ["CLIENT", "PAUSE", "9"],
                    ["CLIENT", "NO-EVICT", "on"], ["CLIENT", "LIST"], ["MONITOR"], ["ACL", "SETUSER", "x"], ["ACL", "LOG"], ["KEYS", "*"],
                    ["DEBUG", "SLEEP", "9"], ["SAVE"], ["BGSAVE"], ["SHUTDOWN"], ["SWAPDB", "0", "1"], ["PSUBSCRIBE", "*"], ["WAIT", "1", "1"],
                    ["RANDOMKEY"], ["SPUBLISH", "x", "y"], ["LATENCY", "RESET"], ["SLOWLOG", "GET"], ["CLUSTER", "RESET"], ["SORT", "sb:{7}:in"]):
        assert restricted.redis.execute_command("ACL", "DRYRUN", f"signalbox-{user}", *command) not in (b"OK", "OK"), command
