"""The verbs that speak to Redis, where no gateway or broker runs."""
import json
import os
import signal
import subprocess

import pytest
import redis as redis_client

from harness.cluster import BIN
from harness.waiting import eventually


@pytest.fixture
def redis(redis_socket):
    with redis_client.Redis(unix_socket_path=str(redis_socket), decode_responses=True) as client:
        yield client


@pytest.fixture
def cli(run, redis_url):
    return lambda *args, **options: run(*args, "--redis", redis_url, **options)


def published(redis):
    return [json.loads(fields["m"]) for _, fields in redis.xrange("signalbox:send")]


def test_send_keeps_the_message_and_prints_the_id_of_its_entry(cli, redis):
    """Without a broker the message has no id yet."""
    done = cli("send", "Msg", 'say "hé"\n')
    (entry, fields), = redis.xrange("signalbox:send")
    assert done.stdout == f"entry {entry}\n" and "no broker has taken it yet" in done.stderr
    message = json.loads(fields["m"])
    assert message.pop("receipt") and message == {"name": "Msg", "data": 'say "hé"\n'}
    assert json.loads(cli("send", "Msg", "x", "--no-wait", "--json").stdout) == {"entry": redis.xrevrange("signalbox:send")[0][0], "id": None}


@pytest.mark.parametrize("args", [[""], ["--json-data", '""'], ["--json-data", "null"], ["--json-data", " {} "], ["--json-data", "[]"],
                                  ["", "--wait", "1s"], ["", "--no-wait"]])
def test_send_of_nothing_prints_no_id(cli, redis, args):
    done = cli("send", "Msg", *args, code=1)
    assert done.stdout == "" and "nothing to send" in done.stderr
    assert json.loads(cli("send", "Msg", *args, "--json", code=1).stdout) == {"entry": None, "id": None}
    assert redis.xlen("signalbox:send") == 0


def test_send_stdin_counts_lines_that_send_nothing(cli, redis):
    done = cli("send", "Msg", "--stdin", "--json-data", "--no-wait", stdin='1\n""\n{}\n"x"\n', code=1)
    assert "sent 2, failed 2" in done.stderr and "line 2: nothing to send" in done.stderr
    assert [message["data"] for message in published(redis)] == [1, "x"]


LONG = "x" * 1025


@pytest.mark.parametrize("args, words", [
    (["send", LONG, "x"], "name: has more than 1024 bytes"), (["send", "N", "x", "--client", LONG], "clientId: has more than 1024"),
    (["send", "N", "x", "--client", ""], "clientId: is empty"), (["send", "N", "x", "--group", "a", "--group", ""], "group: is empty"),
    (["send", "N", "--stdin", "--client", ""], "clientId: is empty"), (["send", "N", "--stdin", "--group", LONG], "group: has more"),
    (["send", "N", "x", "--id", "k" * 257], "id: has more than 256 bytes"), (["send", "N", "x", "--group", "a\nb"], "group: has a line end"),
    (["send", "N", "x"] + ["--client", "c"] * 1001, "more than 32 times"),
    (["level", LONG, "group"], "NAME: has more than 1024 bytes"), (["level", "", "group"], "NAME: is empty"),
    (["close", LONG], "name: has more than 1024 bytes"), (["close", "N", "--client", ""], "clientId: is empty"),
    (["close", "N", "--group", LONG], "group: has more than 1024 bytes")])
def test_an_address_that_is_not_understood_is_not_sent(cli, redis, args, words):
    """D18: as the broker would refuse it, but before anything is written."""
    done = cli(*args, code=2)
    assert words in done.stderr and done.stdout == ""
    assert redis.xlen("signalbox:send") == 0


def test_send_writes_what_it_is_told(cli, run, redis, redis_url):
    cli("send", "Msg", "x", "--group", "a", "--group", "b", "--client", "c", "--id", "k", "--binary", "--no-wait")
    cli("send", "Msg", "y", "--no-compress", "--no-wait")
    run("send", "--every", "--no-wait", "--redis", redis_url, "--", "-x")
    cli("send", "Msg", '{"n": 1.50}', "--json-data", "--no-wait")
    assert published(redis) == [
        {"name": "Msg", "group": ["a", "b"], "clientId": ["c"], "id": "k", "binary": True, "data": "x"},
        {"name": "Msg", "compress": False, "data": "y"},
        {"data": "-x"}, {"name": "Msg", "data": {"n": 1.5}}]
    assert '"data":{"n": 1.50}' in redis.xrevrange("signalbox:send")[0][1]["m"]


def test_send_wait_without_a_broker_is_a_failure(cli):
    assert "no broker" in cli("send", "Msg", "x", "--wait", "100ms", code=1).stderr


def test_send_tells_a_refusal(cli, redis):
    """As a broker would leave it: the cursor beyond the entry, and the refusal."""
    process = subprocess.Popen([str(BIN / "signalbox"), "send", "Msg", "x", "--wait", "5s", "--redis",
                                "unix://" + redis.connection_pool.connection_kwargs["path"]],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    eventually(lambda: redis.xlen("signalbox:send") == 1)
    (entry, fields), = redis.xrange("signalbox:send")
    redis.xadd("signalbox:refused", {"reason": "somebody else's", "m": '{"name":"Other","data":"x"}', "at": "now"})
    redis.xadd("signalbox:refused", {"reason": "not like this", "m": fields["m"], "at": "now"})
    redis.hset("sb:{sb}:xown", "c", entry)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 1 and out == "" and err == "signalbox send: refused: not like this\n"


def test_send_wait_tells_that_nobody_was_there(cli, redis):
    redis.hset("sb:{sb}:xown", "c", "99999999999999-0")
    assert "nobody" in cli("send", "Msg", "x", "--wait", "1s", code=3).stdout
    found = json.loads(cli("send", "Msg", "x", "--wait", "1s", "--json", code=3).stdout)
    assert found["matched"] == 0 and found["gateways"] == []


@pytest.mark.parametrize("text, expected", [("", 0), ("a", 1), ("a\n", 1), ("a\r\n\nb\n", 2)])
def test_send_stdin_takes_lines(cli, redis, text, expected):
    done = cli("send", "Msg", "--stdin", "--no-wait", stdin=text)
    assert done.stderr == f"sent {expected}, failed 0\n"
    assert [message["data"] for message in published(redis)] == ["a", "b"][:expected]


def test_send_stdin_keeps_the_order_of_many_lines(cli, redis):
    lines = [f"{number} " + "x" * (number % 300) for number in range(5000)]
    done = cli("send", "Msg", "--stdin", "--no-wait", "--json", stdin="\n".join(lines))
    assert json.loads(done.stdout) == {"sent": 5000, "failed": 0}
    assert [message["data"] for message in published(redis)] == lines


def test_send_stdin_takes_a_long_line(cli, redis):
    cli("send", "Msg", "--stdin", "--no-wait", stdin="x" * 3_000_000 + "\nend")
    assert [len(message["data"]) for message in published(redis)] == [3_000_000, 3]


def test_send_stdin_bounds_a_line(redis, redis_url, folder):
    done = subprocess.run([str(BIN / "signalbox"), "send", "Msg", "--stdin", "--no-wait", "--redis", redis_url],
                          input=b"good\n" + b"x" * ((64 << 20) + 1), capture_output=True, timeout=20, cwd=folder)
    assert done.returncode == 1 and b"line 2" in done.stderr and b"it is longer than 64 MiB" in done.stderr
    assert [message["data"] for message in published(redis)] == ["good"]


def test_send_stdin_counts_what_is_no_text(redis, redis_url, folder):
    done = subprocess.run([str(BIN / "signalbox"), "send", "Msg", "--stdin", "--no-wait", "--redis", redis_url],
                          input=b"good\n\xff\xfe\nlast\n", capture_output=True, timeout=10, cwd=folder)
    assert done.returncode == 1 and b"line 2" in done.stderr and b"sent 2, failed 1" in done.stderr


def test_lists_of_nothing(cli):
    for verb in ["names"], ["groups", "Msg"], ["clients"], ["gateways"], ["brokers"], ["level"]:
        assert cli(*verb).stdout == ""
        assert json.loads(cli(*verb, "--json").stdout) == []


def test_a_silent_gateway_is_told_from_a_living_one(cli, redis):
    redis.hset("sb:{sb}:gw", "00000000deadbeef", "7")
    assert json.loads(cli("gateways", "--json").stdout) == [{"id": "00000000deadbeef", "alive": False, "connections": 0}]
    assert "silent" in cli("gateways").stdout


def test_a_whole_id_is_not_ambiguous(cli, redis):
    for gateway in ("00000000deadbeef", "00000000deadbeefaa"):
        redis.hset("sb:{sb}:gw", gateway, "7")
    assert "several gateways begin" in cli("drain", "00000000dead", code=1).stderr
    assert "00000000deadbeef is silent" in cli("drain", "00000000deadbeef", code=1).stderr


def test_close_is_published(cli, redis):
    cli("close", "Msg", "--client", "c", "--code", "4000", "--reason", "bye")
    assert published(redis) == [{"op": "close", "name": "Msg", "clientId": ["c"], "code": 4000, "reason": "bye"}]


def test_close_without_options_is_a_normal_end(cli, redis):
    cli("close", "Msg")
    assert published(redis)[-1] == {"op": "close", "name": "Msg", "code": 1000, "reason": ""} | {
        key: value for key, value in published(redis)[-1].items() if key == "receipt"}
    cli("close", "Msg", "--group", "a", "--group", "b", "--client", "c")
    message = published(redis)[-1]
    assert message["group"] == ["a", "b"] and message["clientId"] == ["c"]


def test_level_is_set_read_and_unset(cli, redis):
    assert "not set" in cli("level", "Msg").stdout
    cli("level", "Msg", "Client_ID")
    assert redis.hgetall("sb:{sb}:rules") == {"level:msg": "clientid"}
    assert cli("level", "MSG").stdout == "clientid\n"
    cli("level", "*", "group")
    assert cli("level", "Other").stdout == "group (set for *)\n"
    found = json.loads(cli("level", "--json").stdout)
    assert sorted(row["name"] for row in found) == ["*", "msg"]
    cli("level", "msg", "unset")
    assert redis.hgetall("sb:{sb}:rules") == {"level:*": "group"}
    assert json.loads(cli("level", "msg", "--json").stdout) == {"level": None}
    assert json.loads(cli("level", "msg", "group", "--json").stdout) == {"level": "group"}
    assert json.loads(cli("level", "msg", "unset", "--json").stdout) == {"level": None}


def test_a_level_that_redis_refuses_is_no_broken_connection(cli, redis):
    redis.config_set("min-replicas-to-write", 1)
    assert "Redis refuses" in cli("level", "Msg", "group", code=1).stderr


HOSTILE = b"\x1b[2J\xff\xc2\x9b31m\"\xed\xa0\x80"
SHOWN = "\\x1b[2J\\xff\\x9b31m\"\\xed\\xa0\\x80"


def test_what_redis_holds_drives_no_terminal(cli, redis):
    redis.hset("sb:{sb}:gw", "00000000deadbeef", "7")
    redis.hset("sb:{sb}:about:00000000deadbeef", mapping={"state": "alive", "host": HOSTILE, "listen": HOSTILE})
    redis.hset("sb:{sb}:rules", "level:msg", HOSTILE)
    assert SHOWN in cli("gateways").stdout
    assert SHOWN in cli("reload", "--timeout", "100ms", code=1).stderr
    assert cli("level", "msg").stdout == f"{SHOWN}\n"
    assert json.loads(cli("gateways", "--json").stdout)[0]["host"].startswith("\x1b[2J\ufffd\x9b31m\"")
    assert json.loads(cli("level", "msg", "--json").stdout)["level"].startswith("\x1b[2J")


def test_a_level_is_told_to_every_process(cli, redis):
    with redis.pubsub() as heard:
        heard.subscribe("sb:{sb}:ctl")
        eventually(lambda: heard.get_message(timeout=1))
        cli("level", "Msg", "group")
        assert eventually(lambda: heard.get_message(timeout=1))["data"] == "rule 9 level:msggroup"


def test_drain_of_nobody(cli):
    assert "there is no gateway" in cli("drain", "abc", code=1).stderr


def test_reload_of_nobody(cli):
    done = cli("reload")
    assert done.stdout == "told 0 processes: 0 reloaded, 0 failed, 0 did not answer\n"
    assert "no gateway and no broker" in done.stderr


def test_doctor_tries_what_has_to_work(cli, redis):
    """Redis answers, and refuses writes; nobody owns a partition."""
    redis.config_set("min-replicas-to-write", 1)
    try:
        found = {row["what"]: row for row in json.loads(cli("doctor", "--json", code=1).stdout)}
    finally:
        redis.config_set("min-replicas-to-write", 0)
    assert found["redis writes"]["finding"] == "WRONG" and "NOREPLICAS" in found["redis writes"]["found"]
    assert found["owners of partitions"]["finding"] == "warning"
    assert found["owners of partitions"]["found"] == "0 of 16 have one"
    assert "ok       redis writes: are accepted" in cli("doctor", code=None).stdout


def test_doctor_finds_and_remedies(cli, redis):
    done = cli("doctor", code=1)
    assert "WRONG    redis client-output-buffer-limit" in done.stdout and "-> CONFIG SET" in done.stdout
    redis.config_set("client-output-buffer-limit", "pubsub 268435456 67108864 30")
    redis.config_set("maxmemory", "100mb")
    found = {row["what"]: row["finding"] for row in json.loads(cli("doctor", "--json").stdout)}
    assert found["redis maxmemory-policy"] == found["redis client-output-buffer-limit"] == found["redis maxmemory"] == "ok"
    redis.config_set("maxmemory-policy", "allkeys-lru")
    assert "WRONG    redis maxmemory-policy: allkeys-lru" in cli("doctor", code=1).stdout


def test_doctor_asks_info_where_config_is_not_allowed(run, redis, redis_socket):
    """For some settings; of the others it says that it does not know."""
    redis.acl_setuser("asker", enabled=True, passwords=["+word"], commands=["+@all", "-config"], keys=["*"], channels=["*"])
    redis.config_set("maxmemory", "100mb")
    redis.config_set("maxmemory-policy", "allkeys-lru")
    done = run("doctor", "--json", "--redis", f"unix://{redis_socket}?user=asker&password=word", code=1)
    found = {row["what"]: (row["finding"], row["found"]) for row in json.loads(done.stdout)}
    assert found["redis maxmemory-policy"] == ("WRONG", "allkeys-lru")
    assert found["redis maxmemory"] == ("ok", "104857600")
    assert found["redis appendonly"][1] in ("0", "1")
    for unknown in "client-output-buffer-limit", "proto-max-bulk-len", "client-query-buffer-limit", "tcp-keepalive":
        assert found[f"redis {unknown}"] == ("unknown", "CONFIG GET is not allowed, or the setting is not known")


def test_the_environment_names_redis(run, redis_url, redis):
    run("send", "Msg", "x", "--no-wait", env={"REDIS_URL": redis_url})
    assert len(published(redis)) == 1


def test_a_private_redis_of_the_folder_is_found(run, folder, redis, redis_socket):
    (folder / ".signalbox").mkdir()
    os.link(redis_socket, folder / ".signalbox" / "redis.sock")
    run("send", "Msg", "x", "--no-wait")
    assert len(published(redis)) == 1


def test_a_reader_that_goes_away_ends_tail(redis_url, redis, folder):
    process = subprocess.Popen([str(BIN / "signalbox"), "tail", "Msg", "--redis", redis_url], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, cwd=folder)
    try:
        eventually(lambda: redis.pubsub_channels("sb:*:n:Msg"))
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == -signal.SIGINT
    finally:
        process.kill()
        process.communicate()


def test_certificates_are_looked_at(cli, tmp_path):
    """By doctor, which judges, and by check, which only tells."""
    subprocess.run(["/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "5", "-subj", "/CN=x", "-addext",
                    "subjectAltName=DNS:a.example,DNS:*.b.example", "-keyout", tmp_path / "key.pem", "-out",
                    tmp_path / "good.pem"], check=True, capture_output=True)
    (tmp_path / "app.lua").write_text('''
        signalbox.endpoint { protocol = "https", hostname = "c.example", certificate = "good.pem", key = "key.pem",
                             ocsp = "none.ocsp", certificates = { { certificate = "none.pem" } } }
        signalbox.endpoint { protocol = "https", port = 1, hostname = "c.example", certificate = "good.pem", key = "key.pem" }
        signalbox.endpoint { protocol = "https", port = 2, certificate = "good.pem", key = "key.pem", client_ca = "key.pem" }
    ''')
    found = {(row["what"], row["found"]): row["finding"] for row in json.loads(cli("doctor", tmp_path, "--json", code=1).stdout)}
    assert {finding for (what, text), finding in found.items()
            if what.endswith("good.pem") and text.endswith(" days left, for a.example *.b.example")} == {"warning"}
    assert found[str(tmp_path / "none.ocsp"), "cannot be stapled; the log says why"] == "warning"
    assert found["c.example", "no certificate of its endpoint is for this host"] == "warning"
    assert [what for (what, _), finding in found.items() if finding == "WRONG" and str(tmp_path) in what] == [
        str(tmp_path / "none.pem"), str(tmp_path / "key.pem")]
    good, none, *_ = json.loads(cli("check", tmp_path, "--json").stdout)["certificates"]
    assert int(good.pop("days")) in (4, 5)
    assert good == {"file": str(tmp_path / "good.pem"), "hosts": "a.example *.b.example", "problem": ""}
    assert "No such file" in none["problem"]
