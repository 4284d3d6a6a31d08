"""--cluster-secret-file: the processes of a fleet agree on it, or say that they do not, and what Redis holds does not replace it."""
import json

import pytest

from harness.cluster import Cluster
from harness.waiting import eventually

OWN, OTHER = "0123456789abcdef-of-the-fleet", "0123456789abcdef-of-somebody-else"

APP = """
signalbox.signing { secret = signalbox.server_secret() }
for _, path in ipairs { "/ws", "/add", "/added" } do
    signalbox.route("GET", path, function(web) web:convert { name = "Msg" } end)
end
signalbox.signal_route("/add", function(event)
    local answer = event.data.message
    signalbox.signal_route("/added", function() signalbox.send { name = "Msg", data = answer } end, { if_exists = "overwrite" })
    signalbox.send { name = "Msg", data = "set" }
end)
"""
BYTECODE = """{"op":"set","path":"/x","code":"G0x1YVQA","line":0,"source":"G0x1YVQA","upvalues":[]}"""


def notes(daemon):
    return daemon.admin("GET", "/readyz").text


def forge(cluster, *notice):
    assert cluster.redis.publish("sb:{sb}:ctl", " ".join(notice)) > 0


def own(fleet, *args, **options):
    return fleet.cli(*args, "--cluster-secret-file", fleet.secrets / "own", **options)


def write(path, text):
    path.write_text(text + "\n")
    return path


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secret")
    (folder / "app.lua").write_text(APP)
    write(folder / "own", OWN)
    write(folder / "other", OTHER)
    with Cluster(folder, gateways=1, brokers=1, args=["--cluster-secret-file", folder / "own"]) as cluster:
        cluster.secrets = folder
        yield cluster


def test_the_secret_itself_is_not_in_redis(fleet):
    everything = b"".join(fleet.redis.hgetall("sb:{sb}:cfg").values())
    assert OWN.encode() not in everything and len(fleet.redis.hget("sb:{sb}:cfg", "secret")) == 44
    assert fleet.redis.get("sb:{sb}:secret") is None


@pytest.mark.parametrize("args, why", [
    ([], "start this process with its --cluster-secret-file"),
    (["--cluster-secret-file", "other"], "has another cluster secret than this process"),
])
def test_a_process_that_does_not_agree_refuses_to_start(fleet, args, why):
    folder = fleet.secrets
    args = [folder / arg if arg == "other" else arg for arg in args]
    with Cluster(folder, gateways=0, brokers=0, redis=fleet.redis_url) as guest:
        for daemon in (guest._broker(0, args, {}), guest._gateway(0, "http+ws", "", args, {})):
            assert daemon.start().wait() == 1
            assert why in daemon.log(), daemon.log()


def test_doctor_says_whether_it_agrees(fleet):
    def finding(*args):
        rows = json.loads(fleet.cli("doctor", "--json", *args, check=False).stdout)
        return next(row["finding"] for row in rows if row["what"] == "cluster secret")
    assert finding("--cluster-secret-file", fleet.secrets / "own") == "ok"
    assert finding("--cluster-secret-file", fleet.secrets / "other") == "WRONG"
    assert finding() == "WRONG"


def test_a_file_that_is_too_short_stops_the_start(fleet, tmp_path):
    short = write(tmp_path / "short", "0123456789abcde")
    with Cluster(fleet.secrets, gateways=0, brokers=0, redis=fleet.redis_url) as guest:
        broker = guest._broker(0, ["--cluster-secret-file", short], {})
        assert broker.start().wait() == 2
        assert f"--cluster-secret-file={short}: its first line has fewer than 16 bytes" in broker.log()


def test_one_that_ran_before_the_others_were_given_a_secret_says_so(tmp_path):
    (tmp_path / "app.lua").write_text(APP)
    with Cluster(tmp_path, gateways=1, brokers=1) as cluster:
        cluster.redis.hset("sb:{sb}:cfg", "secret", "x" * 44)
        cluster.redis.client_kill_filter(_type="normal", skipme=True)
        for daemon in cluster.daemons:
            eventually(lambda: "this process is not believed" in daemon.admin("GET", "/readyz").text, what="a note")
            assert daemon.is_ready()


def test_rules_and_notices_of_the_fleet_are_believed(fleet):
    own(fleet, "level", "Msg", "group")
    assert fleet.redis.hget("sb:{sb}:rules", "level:msg").startswith(b"hmac:")
    assert own(fleet, "level", "Msg").stdout == "group\n" == fleet.cli("level", "Msg").stdout
    own(fleet, "level", "Msg", "unset")
    own(fleet, "reload")
    with fleet.client(0, "/add") as adder, fleet.client(0, "/added") as client:
        for text in "first", "second":
            adder.say(text)
            assert client.recv() == "set"
            client.say("")
            assert client.recv() == text
    assert fleet.redis.hget("sb:{sb}:rules", "route::/added").startswith(b"hmac:")


@pytest.mark.parametrize("args", [("level", "Msg", "group"), ("reload",), ("drain", "GATEWAY"),
                                  ("trace", "--name", "Msg", "--for", "1")])
def test_a_tool_without_the_secret_says_so(fleet, args):
    gateway_id = fleet.redis.hkeys("sb:{sb}:gw")[0].decode()
    done = fleet.cli(*[gateway_id if arg == "GATEWAY" else arg for arg in args], check=False)
    assert done.returncode == 1 and "the fleet has a cluster secret: give --cluster-secret-file" in done.stderr, done


def test_what_is_forged_is_ignored_and_counted(fleet):
    gateway, broker = fleet.gateways[0], fleet.brokers[0]
    own(fleet, "level", "Other", "name")
    proven = fleet.redis.hget("sb:{sb}:rules", "level:other").decode()
    gateway_id = fleet.redis.hkeys("sb:{sb}:gw")[0].decode()
    before = [len(daemon.log()) for daemon in fleet.daemons], broker.metrics()["signalbox_unproven_total"]
    fleet.redis.hset("sb:{sb}:rules", mapping={"level:msg": "client_id", "level:*": proven, "level:x": "hmac:" + "A" * 44 + " name",
                                               "signing": '{"on":false}', "route::/x": BYTECODE})
    forge(fleet, "rule", "9", "level:msgclient_id")
    forge(fleet, "reload")
    forge(fleet, "drain", gateway_id, "0", "token", "exit")
    forge(fleet, "hmac:" + "A" * 44, "1764226800000", "reload")
    for daemon in fleet.daemons:
        eventually(lambda: daemon.metrics()["signalbox_unproven_total"] >= 4, what="four notices that were not believed")
        eventually(lambda: "ignored for lack of a proof that it comes from this fleet" in notes(daemon), what="a note")
        assert daemon.is_ready() and daemon.is_running
    assert all("reloaded" not in daemon.log()[start:] for daemon, start in zip(fleet.daemons, before[0]))
    with fleet.client(0, "/ws") as client:
        client.say("to the Name")
        assert client.recv() == "to the Name"
    fleet.redis.hdel("sb:{sb}:rules", "level:msg", "level:*", "level:x", "signing", "route::/x")


def test_bytecode_is_never_executed(tmp_path):
    """Without a secret as well: a corrupted one ended the process."""
    (tmp_path / "app.lua").write_text(APP)
    with Cluster(tmp_path, gateways=1, brokers=1) as cluster:
        cluster.redis.hset("sb:{sb}:rules", "route::/x", BYTECODE)
        forge(cluster, "rule", "9", "route::/x" + BYTECODE)
        for daemon in cluster.daemons:
            daemon.wait_log("ignored rule=\"route::/x\"", 10)
            daemon.restart()
            daemon.wait_log("ignored rule=\"route::/x\"", 10)
