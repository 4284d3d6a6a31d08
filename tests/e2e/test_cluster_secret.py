"""--cluster-secret-file: the processes of a fleet agree on it, or say that they do not, and what Redis holds does not replace it."""
import json

import pytest

from harness.cluster import Cluster
from harness.waiting import eventually

OWN, OTHER = "0123456789abcdef-of-the-fleet", "0123456789abcdef-of-somebody-else"

APP = """
signalbox.signing { secret = signalbox.server_secret() }
signalbox.route("GET", "/ws", function(web) web:upgrade("Msg") end)
"""


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
            eventually(lambda: "this process is not believed" in daemon.admin("GET", "/readyz").text, 10, "a note")
            assert daemon.is_ready()
