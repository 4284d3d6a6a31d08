"""What ends a gateway that drains, and what a reload takes up, on clusters of their own."""
import json
import pathlib
import subprocess

import pytest

from cli_world import APP, about
from harness.cluster import BIN, Cluster, free_port, http_request
from harness.waiting import eventually

ENDPOINTS = """
signalbox.endpoint {{ address = "127.0.0.1", port = {port}, protocol = "http" }}
signalbox.endpoint {{ address = "127.0.0.1", port = {port}, protocol = "ws"{more} }}
signalbox.route("GET", "/", function(web) web:text("{text}") end)
"""


def test_signals_and_exit_end_a_gateway_that_drains():
    with Cluster(app=APP, gateways=2, brokers=1, gateway_args=["--drain-ms", "100"]) as cluster:
        first, second = cluster.gateways
        ids = {pid: row["id"] for pid, row in about(cluster).items()}
        one, two = cluster.client(0, "/up?name=A"), [cluster.client(1, "/up?name=B") for _ in range(3)]
        first.expected_to_end = second.expected_to_end = True
        # --exit over a time that a signal shortens; the signal is the first, so it is no impatience.
        drain = subprocess.Popen([str(BIN / "signalbox"), "drain", ids[second.pid], "--exit", "--over", "10m", "--json",
                                  "--redis", cluster.redis_url], stdout=subprocess.PIPE, text=True)
        second.wait_log("ends=yes")
        for verb, why in (("undrain", "start it again"), ("drain", "is ending already")):
            done = cluster.cli(verb, ids[second.pid], check=False)
            assert done.returncode == 1 and why in done.stderr
        second.term()
        assert {client.closing()[0] for client in two} == {1001}
        assert second.wait() == 0
        assert json.loads(drain.communicate(timeout=20)[0]) == {"gateway": ids[second.pid], "state": "ended"}
        # Drained, it still ends in order.
        cluster.cli("drain", ids[first.pid], "--over", "0s")
        assert one.closing()[0] == 1001
        assert first.term().wait() == 0
        eventually(lambda: json.loads(cluster.cli("gateways", "--json").stdout) == [])


@pytest.fixture
def served(tmp_path):
    """A cluster whose gateway listens where the app file says, and how to write that file anew."""
    port = free_port()

    def write(text="one", more="", port=port):
        (tmp_path / "app.lua").write_text(ENDPOINTS.format(port=port, text=text, more=more))
    write()
    with Cluster(app=tmp_path, gateways=1, brokers=1, listen=None) as cluster:
        cluster.gateways[0].port = port
        yield cluster, write


def test_reload_says_what_a_restart_takes_up(served):
    cluster, write = served
    port = cluster.gateways[0].port
    page = lambda: http_request(port, "GET", "/").text

    write("two")
    assert "2 reloaded, 0 failed, 0 did not answer" in cluster.cli("reload").stdout and page() == "two"

    moved = free_port()
    write("three", port=moved)
    done = cluster.cli("reload", check=False)
    assert done.returncode == 1 and page() == "three"
    assert f"needs a restart: endpoint http+ws://127.0.0.1:{port} is not in the app file any more" in done.stderr
    assert f"endpoint http+ws://127.0.0.1:{moved} is in the app file and does not serve yet" in done.stderr
    found = json.loads(cluster.cli("reload", "--json", check=False).stdout)
    assert (found["reloaded"], found["failed"], found["restart"]) == (2, 0, 1)
    assert [len(row["restart"]) for row in found["processes"] if row["kind"] == "gateway"] == [2]

    write("four", more=', hostname = "chat.example"')
    assert "has the hostname none, the app file says chat.example" in cluster.cli("reload", check=False).stderr


def test_reload_says_who_kept_the_old_app(served):
    cluster, write = served
    (pathlib.Path(cluster.app) / "app.lua").write_text("signalbox.route('GET', '/'\n  oops)\n")
    done = cluster.cli("reload", check=False)
    assert done.returncode == 1 and "0 reloaded, 2 failed" in done.stdout
    assert len([line for line in done.stderr.splitlines() if "app.lua:2:" in line and "the old app stays" in line]) == 2
    assert http_request(cluster.gateways[0].port, "GET", "/").text == "one"
    for daemon in cluster.daemons:  # SIGHUP says the same, in the log
        after = len(daemon.log())
        daemon.hup()
        daemon.wait_log("app.lua:2:", after=after)
    write("five")
    cluster.cli("reload")
    assert http_request(cluster.gateways[0].port, "GET", "/").text == "five"
