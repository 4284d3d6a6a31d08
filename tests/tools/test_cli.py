"""The verbs that need nothing, and the command line itself: help, errors, exit status."""
import hashlib
import hmac
import base64
import json
import re
import socket
import threading

import pytest

from cli_world import APP

VERBS = ["up", "send", "tail", "history", "names", "groups", "clients", "gateways", "brokers", "close", "join", "leave", "level", "drain", "undrain", "reload", "trace",
         "secret", "sign", "verify", "check", "run-route", "ready", "doctor", "config", "settings", "metrics", "close-codes",
         "redis-acl"]


def test_no_verb_lists_them_one_a_line(run):
    for args in [], ["--help"], ["help"], ["-h"]:
        lines = run(*args).stdout.splitlines()
        assert [line.split()[0] for line in lines if line.startswith("  ")] == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(run, verb):
    text = run(verb, "--help").stdout
    assert text.startswith(f"usage: signalbox {verb}") and "--redis URL" in text and "Exit status" in text


# What a verb is given with --json; None: it runs until it is told to end, or needs a cluster, and has tests of its own.
WITH_JSON = {
    "up": None, "tail": None, "trace": None, "send": ["Msg", "x"], "names": [], "groups": ["Msg"], "clients": [],
    "gateways": [], "brokers": [], "history": ["Msg"], "close": ["Msg"], "join": ["Msg", "id", "g"], "leave": ["Msg", "id", "g"], "level": [], "drain": None, "undrain": None, "reload": [],
    "secret": ["--file", "a-secret"], "sign": ["x", "--secret", "s"], "verify": ["x", "--secret", "s"], "check": [APP], "run-route": [APP, "--path", "/date"],
    "ready": ["http://127.0.0.1:1"], "doctor": [], "config": [], "settings": [], "metrics": [], "close-codes": [],
    "redis-acl": [],
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_speaks_json(run, redis_url, verb):
    assert "--json " in run(verb, "--help").stdout
    if WITH_JSON[verb] is None:
        return
    done = run(verb, *WITH_JSON[verb], "--json", "--redis", redis_url, stdin='{"message":"x"}', code=None)
    lines = done.stdout.splitlines() if verb == "run-route" else [done.stdout]
    assert lines and [json.loads(line) for line in lines], done


def test_version(run):
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", run("--version").stdout)
    assert run("send", "--version").stdout == run("--version").stdout


@pytest.mark.parametrize("args, words", [
    (["nonsense"], "there is no verb 'nonsense'; `signalbox --help`"),
    (["clinets"], "there is no verb 'clinets', did you mean 'clients'?"),
    (["--hlep"], "did you mean '--help'?"),
    (["x\x1b[31m"], "there is no verb 'x\\x1b[31m'"),
    (["send", "Msg", "x", "--goup", "g"], "--goup: no such option, did you mean --group?"),
    (["names", "--jsn"], "did you mean --json?"),
    (["up", APP, "--max-mesage-bytes", "7"], "did you mean --max-message-bytes?"),
    (["send", "Msg", "x", "--nonsense"], "--nonsense: no such option"),
    (["send", "Msg"], "needs NAME and DATA"),
    (["send", "", "x"], "NAME is empty"),
    (["send", "Msg", "x", "y"], "too many arguments"),
    (["send", "Msg", "--stdin", "--id", "k"], "--id is the key of one message: not with --stdin"),
    (["send", "Msg", "--stdin", "--wait", "1"], "--wait is for one message: not with --stdin"),
    (["send", "Msg", "x", "--stdin"], "--stdin takes NAME and no DATA"),
    (["send", "--stdin"], "--stdin takes NAME and no DATA"),
    (["send", "", "--stdin"], "NAME is empty"),
    (["send", "--every"], "--every takes DATA and no NAME"),
    (["send", "--every", "Msg", "x"], "--every takes DATA and no NAME"),
    (["send", "--every", "--stdin", "x"], "--every --stdin takes no arguments"),
    (["send", "Msg", "x", "--wait", "1", "--no-wait"], "--wait and --no-wait exclude each other"),
    (["send", "Msg", "x", "--id", "k" * 257], "id: has more than 256 bytes"),
    (["send", "Msg", "x", "--group"], "--group needs a value"),
    (["send", "Msg", "x", "--binary=yes"], "takes no value"),
    (["send", "Msg", "x", "--wait", "soon"], "must be a time"),
    (["send", "Msg", "-x"], "goes behind --"),
    (["send", "Msg", "{", "--json-data"], ""),
    (["close"], "an argument is missing"),
    (["close", ""], "NAME is empty"),
    (["close", "Msg", "Other"], "too many arguments"),
    (["close", "Msg", "--code", "999"], "code: must be 1000, 1001, or 3000 to 4999"),
    (["close", "Msg", "--code", "2999"], "code: must be 1000, 1001, or 3000 to 4999"),
    (["close", "Msg", "--code", "5000"], "code: must be 1000, 1001, or 3000 to 4999"),
    (["close", "Msg", "--code", "-1"], "--code=-1: must be a number from 0 to 2147483647"),
    (["tail", "--count", "0"], "--count=0: must be a number from 1 to "),
    (["tail", "Msg", "Other"], "too many arguments"),
    (["trace"], "give --client ID or --name N"),
    (["secret"], "needs a file: give --file"),
    (["verify"], "an argument is missing"),
    (["groups"], "an argument is missing"),
    (["drain"], "an argument is missing"),
    (["undrain"], "an argument is missing"),
    (["sign", "x", "--secret", "s", "--user-agent", "a"], "--user-agent and --address are for --strict"),
    (["ready", "127.0.0.1"], "http://HOST:PORT"),
    (["ready", "http://127.0.0.1:0"], "must be http://HOST:PORT or unix:PATH"),
    (["ready", "http://127.0.0.1:65536"], "must be http://HOST:PORT or unix:PATH"),
    (["ready", "http://:80"], "must be http://HOST:PORT or unix:PATH"),
    (["ready", "unix:"], "must be http://HOST:PORT or unix:PATH"),
    (["up", APP, "--gateways", "65"], "--gateways=65"),
    (["up", APP, "--brokers", "0"], "--brokers=0"),
    (["up", APP, "--admin-base", "65001"], "--admin-base=65001: must be a number from 1 to 65000"),
    (["close", "Msg", "--code", "1006"], "code: must be 1000, 1001, or 3000 to 4999"),
    (["close", "Msg", "--reason", "x" * 124], "reason: has more than 123 bytes"),
    (["level", "Msg", "sometimes"], "must be name, group, client_id or unset"),
    (["names", "--redis", "http://nowhere"], "Redis URL is wrong"),
    (["sign", "x"], "--secret"),
    (["sign", "x", "--secret", "s", "--address", "::1"], "--strict"),
    (["ready", "nowhere"], "http://HOST:PORT"),
    (["up", APP, "--admin", "127.0.0.1:1"], "--admin-base"),
    (["up", APP, "--max-message-bytes", "7"], "max-message-bytes"),
    (["up", APP, "--gateways", "0"], "--gateways=0"),
])
def test_a_wrong_command_line_is_one_line_and_status_2(run, args, words):
    done = run(*args, code=2)
    assert words in done.stderr and done.stderr.count("\n") == 1 and done.stdout == ""


def test_the_last_port_and_code_are_taken(run, redis_url):
    """Bounds of a command line from within."""
    assert run("ready", "http://127.0.0.1:65535", "--timeout", "1s", code=1).stdout.startswith("not ready: ")
    for code in 1000, 1001, 3000, 4999:
        assert run("close", "Msg", "--code", code, "--redis", redis_url).stdout.startswith("entry ")


def test_no_redis_is_one_line_with_the_remedy(run, folder):
    done = run("names", "--timeout", "200ms", "--redis", f"unix://{folder}/nothing.sock", code=1)
    assert done.stderr.count("\n") == 1 and "--redis URL" in done.stderr and "nothing.sock" in done.stderr


def test_the_password_is_not_shown(run):
    done = run("names", "--timeout", "200ms", "--redis", "redis://me:secret@127.0.0.1:1", code=1)
    assert "secret" not in done.stderr


# -- client ids: the reference's vectors

ID = "5d12f974-7b1a-4524-ab93-6afbf42c4ffa"
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"
VECTORS = {
    "V1": ("super-secret", None, ID, "8qHWZA7dMwgbAO0uW3pncXp8U6YpaOJBiaXpPFqdVlg="),
    "V2": ("Sup3rS3cr37!", None, "my-client-id", "dWeBSAxPRuhkQKBBIiLvAcRZ6vAZAI8G7+qcGvoOA+Q="),
    "V3": ("super-secret", None, "123456", "LRfqtigDk9NuvkwNN7CxGDhd1oxugnaM019TeEpqYMQ="),
    "V4": ("super-secret", None, "a.b.c", "tBB4oIVEdS4brO2pweVwWIqaVLmq6wZ4vrqEX2G66Fw="),
    "V5": ("sécret€", None, "clïent", "MmaRATGR2SGRXz4mERyNCJz0TI4Tfr5mqpkzlj1rIrs="),
    "V6": ("super-secret", (AGENT, "127.0.0.1"), ID, "02fwhUCf4dFHXU7Q75D3wMsRwtUDZj3Qghl6Li1sm1c="),
    "V7": ("super-secret", ("", "127.0.0.1"), "my-client-id", "g+xJucfwhDoNuxzOUb9JirwnslHWDMxj8yhAVX5yKF4="),
    "V8": ("super-secret", ("curl/8.5.0", "::1"), "my-client-id", "hfjQCc1cINRs58Hkv/9iWrbOlkOrqH7Jt2pK6EMamug="),
    "V9": ("super-secret", ("curl/8.5.0", "::ffff:127.0.0.1"), "my-client-id",
           "WR/Z/g2JRRNUQIVqktKGS0zd8GMi/zud7/IVQjCWI3I="),
    "V10": ("super-secret", ("", ""), "my-client-id", "tunfLy/VtJtfFFxBGFhAeTX/0TVQK0DhVgemMszmIMQ="),
}


def sign_options(secret, strict):
    return ["--secret", secret] + (["--strict", "--user-agent", strict[0], "--address", strict[1]] if strict else [])


@pytest.mark.parametrize("vector", VECTORS)
def test_sign_and_verify(run, vector):
    secret, strict, raw, signature = VECTORS[vector]
    key = ";".join([secret, *strict]) if strict else secret
    assert signature == base64.b64encode(hmac.digest(key.encode(), raw.encode(), hashlib.sha256)).decode()
    options, signed = sign_options(secret, strict), f"s:{raw}.{signature}"
    assert run("sign", raw, *options).stdout == signed + "\n"
    assert json.loads(run("sign", raw, *options, "--json").stdout) == {"clientId": signed}
    assert run("verify", signed, *options).stdout == "valid\n"
    other = "A" if signed[-2] != "A" else "B"
    for wrong in signed[:-2] + other + "=", signed.upper(), raw, "s:" + signature, "":
        assert run("verify", wrong, *options, code=1).stdout == "not valid\n"
    assert json.loads(run("verify", raw, *options, "--json", code=1).stdout) == {"valid": False}


@pytest.mark.parametrize("secret", ["", "  "])
def test_no_secret_signs_nothing(run, secret):
    assert "the secret is empty" in run("sign", "ann", "--secret", secret, code=2).stderr
    assert "the secret is empty" in run("verify", "ann", "--secret", secret, code=2).stderr
    assert "needs the app's secret" in run("verify", "ann", code=2).stderr
    assert "the id is empty" in run("sign", "", "--secret", "super-secret", code=2).stderr


def test_only_ids_that_a_gateway_takes_are_signed(run):
    assert len(run("sign", "x" * 977, "--secret", "super-secret").stdout) == 1024 + 1
    for bad, why in (("x" * 978, "has more than 1024 bytes with its signature"), ("x" * 1025, "1024 bytes"),
                     ("\udcff", "is not valid UTF-8"), ("a\nb", "line end")):
        done = run("sign", bad, "--secret", "super-secret", code=2)
        assert done.stdout == "" and why in done.stderr


def test_the_secret_comes_from_a_file(run, folder):
    (folder / "secret").write_text("super-secret\n")
    assert run("sign", "123456", "--secret-file", folder / "secret").stdout.strip() == "s:123456." + VECTORS["V3"][3]
    (folder / "secret").write_bytes(b"super-secret\r\nsecond line\r\n")
    assert run("sign", "123456", "--secret-file", folder / "secret").stdout.strip() == "s:123456." + VECTORS["V3"][3]


@pytest.mark.parametrize("content, why", [
    (None, "No such file or directory"), (b"", "its first line is empty"), (b"\nsecret\n", "its first line is empty"),
    (b"x" * 4097, "its first line is longer than 4096 bytes"), ("secret".encode("utf-16-le"), "NUL byte")])
def test_a_secret_file_is_taken_whole_or_refused(run, folder, content, why):
    """One reader for all of them: nothing is cut, and the line names the setting, the file and what is wrong."""
    path = folder / "refused"
    if content is not None:
        path.write_bytes(content)
    for flag, words in ("--secret-file", ["sign", "1"]), ("--redis-password-file", ["names"]):
        line = run(*words, flag, path, code=2).stderr
        assert f"{flag}={path}: " in line and why in line
    path.unlink(missing_ok=True)


# -- the app file

def test_check_prints_what_the_app_registers(run):
    text = run("check", APP).stdout
    for words in "http+ws", "18091", "/up", "/date", "Nightly", "@daily", "Strict", "clientid", "latest", "connect", "greet":
        assert words in text
    found = json.loads(run("check", APP / "app.lua", "--json").stdout)
    assert [(row["name"], row["slow"], row["keep"]) for row in found["names"]] == [("Strict", "latest", "7")]
    assert [row["path"] for row in found["signalRoutes"]] == ["/date", "/plain", "/strict", "/late"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT00:00:00\.000Z", found["schedules"][0]["next"])
    assert found["levels"] == [{"name": "*", "level": "name"}, {"name": "Strict", "level": "clientid"},
                               {"name": "Guarded", "level": "group"}]


@pytest.mark.parametrize("text, line", [("this is no Lua", 1), ('\n\nerror("broken on purpose")', 3)])
def test_check_tells_file_and_line(run, folder, text, line):
    (folder / "app.lua").write_text(text)
    done = run("check", folder, code=1)
    assert re.match(rf".*app\.lua:{line}: .+", done.stderr) and done.stdout == ""


def test_check_of_nothing(run, folder):
    assert "missing.lua" in run("check", folder / "missing.lua", code=1).stderr


def route_lines(run, event, code=0):
    done = run("run-route", APP, stdin=json.dumps(event), code=code)
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_run_route_prints_what_would_be_sent(run):
    event = {"path": "/date", "client_id": "c1", "data": {"message": {"a": [1, None]}}}
    lines, _ = route_lines(run, event)
    assert lines[0] == {"op": "reply", "data": "it is late"}
    assert lines[1]["op"] == "send" and lines[1]["name"] == ["Msg"] and lines[1]["group"] == ["g"]
    assert lines[1]["data"]["by"] == "c1"


def test_run_route_takes_what_the_message_says(run):
    lines, _ = route_lines(run, {"path": "/plain", "data": {"message": "x", "path": "Msg", "group": ["a", "b"]}})
    assert lines == [{"op": "send", "name": ["Msg"], "group": ["a", "b"], "data": "x"}]
    lines, _ = route_lines(run, {"path": "/plain", "data": {"message": "x", "path": "Msg", "direct": True}})
    assert lines == [{"op": "reply", "data": "x"}]
    lines, _ = route_lines(run, {"path": "/PLAIN", "message": "short", "data": {"path": "Msg"}})
    assert lines == [{"op": "send", "name": ["Msg"], "data": "short"}]


def test_run_route_shows_what_is_kept_from_compression(run, tmp_path):
    app = tmp_path / "app.lua"
    app.write_text("""signalbox.signal_route("/x", function(event)
        signalbox.send { data = "inherits", name = "N" }
        signalbox.send { data = "says so", name = "N", compress = false, ignore_event = true }
        event.response:send("reply", "text", { compress = false })
    end)""")
    event = {"path": "/x", "data": {"message": 1, "compress": False}}
    lines = [json.loads(line) for line in run("run-route", app, stdin=json.dumps(event)).stdout.splitlines()]
    assert [line["data"] for line in lines if line.get("compress") is False] == ["inherits", "says so", "reply"]
    event["data"]["compress"] = True
    lines = [json.loads(line) for line in run("run-route", app, stdin=json.dumps(event)).stdout.splitlines()]
    assert [line["data"] for line in lines if line.get("compress") is False] == ["says so", "reply"]


def test_run_route_makes_the_path_canonical(run):
    """The path is what a client asked for, or what handlers see: as the gateway does with it."""
    assert route_lines(run, {"path": "//x/../%64ate", "message": {"a": 1}})[0][0]["op"] == "reply"
    assert "above the root" in route_lines(run, {"path": "/../date"}, code=1)[1]


@pytest.mark.parametrize("spare, code", [(0, 0), (1, 1)])
def test_run_route_reads_so_much(run, spare, code):
    """16 MiB, of which the blanks at the end are a part."""
    event = json.dumps({"path": "/plain", "message": "x", "data": {"path": "Msg"}})
    done = run("run-route", APP, "--lua-budget-ms", 60000, stdin=event.ljust((16 << 20) - 1 + spare), code=code)
    assert ("is over 16 MiB" in done.stderr) == (code == 1)


@pytest.mark.parametrize("spare", [0, 1])
def test_an_answer_has_a_bound(run, spare):
    """1 MiB with its head."""
    head = b"HTTP/1.0 200 OK\r\n\r\n"
    body = b'{"ready": true}'.ljust((1 << 20) - len(head) + spare)
    with socket.create_server(("127.0.0.1", 0)) as server:
        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                try:
                    connection.sendall(head + body)
                except OSError:
                    pass
        threading.Thread(target=answer, daemon=True).start()
        done = run("ready", f"http://127.0.0.1:{server.getsockname()[1]}", code=None)
    assert (done.stdout == "not ready: the answer is too long\n") == (spare == 1)


def test_run_route_waits(run):
    lines, _ = route_lines(run, {"path": "/late", "client_id": "c9"})
    assert lines == [{"op": "close", "name": ["Msg"], "clientId": ["c9"], "code": 4000, "reason": "late"}]


ALL_FIELDS = """
local function route(event)
  local d, r = event.data, event.request
  event.response:send { event.path, event.client_id, event.name, event.lockable, event.streamed, event.route.path,
    tostring(d.message), d.path, d.direct, r.url, r.remote_address, r.body, r.opcode, type(r.headers), r.headers.origin or "none",
    event.endpoint.protocol, event.endpoint.address, type(event.metadata), #event.timestamp, tostring(event.message) }
end
signalbox.signal_route("/all", route)
signalbox.signal_route("/all", route, { endpoint = "back" })
signalbox.signal_route("/reply", function(event)
  local reply = event.response
  reply:send("text") reply:send("\\1", "binary") reply:send("x", "text") reply:send(nil) reply:send({ 1 }) reply:send("")
  reply:close() reply:close(4000, "why") reply:close(3000) reply:close(4999)
  for _, code in ipairs { 999, 1001, 2999, 5000 } do assert(not pcall(reply.close, reply, code)) end
  assert(not pcall(reply.close, reply, 1000, ("x"):rep(124)) and not pcall(reply.send, reply, "x", "other"))
end)
"""


@pytest.mark.parametrize("event, fields", [
    ({}, ["/other", "client-1", "Name", "lockable", True, "/all", "nil", "", False, "ws://localhost/ALL", "127.0.0.1", "", "text",
          "table", "none", "ws", "localhost", "table", 24, "nil"]),
    ({"client_id": "c", "name": "N", "message": 7, "data": {"path": "P", "direct": True}, "timestamp": "now",
      "request": {"url": "u", "remote_address": "r", "body": "b", "opcode": "binary", "headers": {"origin": "o"}},
      "endpoint": {"protocol": "wss", "address": "a", "name": "back"}, "streamed": False, "lockable": "l"},
     ["/other", "c", "N", "l", True, "/all", "7", "P", True, "u", "r", "b", "binary", "table", "o", "wss", "a", "table", 3, "nil"]),
    ({"message": 7, "data": {"message": 8}},
     ["/other", "client-1", "Name", "lockable", True, "/all", "8", "", False, "ws://localhost/ALL", "127.0.0.1", "", "text",
      "table", "none", "ws", "localhost", "table", 24, "nil"])])
def test_run_route_completes_the_event(run, folder, event, fields):
    (folder / "app.lua").write_text(ALL_FIELDS)
    done = run("run-route", folder, "--path", "/ALL", stdin=json.dumps({"path": "/other", **event}))
    found = json.loads(done.stdout)
    assert found == {"op": "reply", "data": fields}


def test_run_route_prints_replies(run, folder):
    (folder / "app.lua").write_text(ALL_FIELDS)
    done = run("run-route", folder, stdin='{"path": "/reply"}')
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"op": "reply", "data": "text"}, {"op": "reply", "binary": True, "data": "\x01"}, {"op": "reply", "data": "x"},
        {"op": "reply", "data": [1]}, {"op": "reply", "data": ""},
        *({"op": "close", "sender": True, "code": code, "reason": reason} for code, reason in
          ((1000, ""), (4000, "why"), (3000, ""), (4999, "")))]


@pytest.mark.parametrize("event, words", [
    ({"path": "/date", "data": {"nam": 1}}, '"data" of the event: unknown key "nam"'),
    ({"path": "/date", "data": {"group": {}}}, '"data" of the event: group: must be a string or a list of strings'),
    ({"path": "/date", "data": {"path": ["a"]}}, '"data" of the event: path: must be one string'),
    ([1], "is not a JSON object: it is another value"), ({"path": "/none"}, "no signal route for the path '/none'")])
def test_run_route_says_what_is_wrong(run, event, words):
    assert words in route_lines(run, event, code=1)[1]


def test_run_route_minds_the_levels(run):
    lines, error = route_lines(run, {"path": "/strict"}, code=1)
    assert lines == [] and "broadcast level" in error and "app.lua:" in error


def test_run_route_without_a_route_or_an_event(run):
    assert "no signal route" in route_lines(run, {"path": "/none"}, code=1)[1]
    for text in "", "[]", "{", '"x"':
        assert "not a JSON object" in run("run-route", APP, stdin=text, code=1).stderr


# -- tables

def test_config_shows_environment_and_flags(run):
    text = run("config", "--redis", "redis://elsewhere", "--lease-ms", "700",
               env={"SIGNALBOX_MAX_MESSAGE_BYTES": "65536"}).stdout
    assert "max-message-bytes=65536\n" in text and "lease-ms=700\n" in text and "redis=redis://elsewhere\n" in text
    assert "# SIGNALBOX_MAX_MESSAGE_BYTES; 1024 to 67108864 bytes, by default 4194304; largest message" in text
    assert "# --lease-ms; 500 to 60000 ms, by default 5000; " in text and "# --redis; Redis: " in text
    assert text.count("\n# ") + 1 == len(re.findall(r"^\| `--", run("settings", "--markdown").stdout, re.M))
    found = json.loads(run("config", "--json").stdout)
    assert found["max-message-bytes"] == 4194304 and found["listen"] == [] and found["redis"] == ""


@pytest.mark.parametrize("given, source", [
    ({}, "default"), ({"REDIS_URL": "redis://r"}, "REDIS_URL"),
    ({"REDIS_URL": "redis://r", "SIGNALBOX_REDIS": "redis://s"}, "SIGNALBOX_REDIS")])
def test_config_tells_the_source(run, given, source):
    found = json.loads(run("config", "--json", env=given).stdout)
    assert found["sources"]["redis"]["source"] == source and found["redis"] == list(given.values() or [""])[-1]
    assert found["sources"]["lease-ms"] == {"source": "default", "default": 5000, "lowest": 500, "highest": 60000, "unit": "ms"}
    assert set(found) == set(found["sources"]) | {"sources"}


@pytest.mark.parametrize("flag, value, shown", [
    ("--redis", "redis://me:pass@word@h:1/2", "redis://me:***@h:1/2"), ("--redis", "rediss://:p@h", "rediss://:***@h"),
    ("--redis", "redis+sentinel://u:p@a,b/m", "redis+sentinel://u:***@a,b/m"), ("--redis", "redis://h:1/0", "redis://h:1/0"),
    ("--redis", "redis://me:pa/ss@h", "redis://me:***@h"), ("--redis", "redis://me:pa?s/s@h", "redis://me:***@h"),
    ("--redis", "me:pass@h", "me:***@h"), ("--redis", "unix:///run/a:b@c.sock", "unix:///run/a:b@c.sock"),
    ("--redis", "redis+sentinel://a/m?Sentinel_Password=pp", "redis+sentinel://a/m?Sentinel_Password=***"),
    ("--redis-ca", "/run/a:b@c.pem", "/run/a:b@c.pem"),
    ("--listen", "https://[::]:1?certificate=/a:b@c.pem&key=k", "https://[::]:1?certificate=/a:b@c.pem&key=k"),
    ("--listen", "https://[::]:1?password=pp&key=k", "https://[::]:1?password=***&key=k")])
def test_config_shows_no_password(run, flag, value, shown):
    assert f"{flag[2:]}={shown}\n" in run("config", flag, value).stdout
    found = json.loads(run("config", flag, value, "--json").stdout)[flag[2:]]
    assert found in (shown, [shown])


def test_a_wrong_environment_is_told(run):
    assert "SIGNALBOX_LEASE_MS" in run("config", env={"SIGNALBOX_LEASE_MS": "1"}, code=2).stderr


@pytest.mark.parametrize("verb, header", [("settings", "| flag |"), ("metrics", "| metric |"), ("close-codes", "| code |")])
def test_tables_as_the_manual_has_them(run, verb, header):
    assert run(verb, "--markdown").stdout.startswith(header)
    assert run(verb).stdout.strip()


def test_redis_acl_prints_users(run):
    lines = run("redis-acl", "--password", "pw").stdout.splitlines()
    users = [line.split()[2] for line in lines if line.startswith("ACL SETUSER ")]
    assert users == ["signalbox-gateway", "signalbox-broker", "signalbox-publisher", "signalbox-operator"]
    assert all("+@all" not in line and "~*" not in line for line in lines)
