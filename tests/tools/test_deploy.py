"""The entrance of the compose fleet for backends, without containers (tests/deploy has those): the token that is made once,
and what is published where."""
import pathlib
import re
import stat
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
ENTRYPOINT = DEPLOY / "entrypoint.sh"


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())


def begin(folder, *command, **environment):
    environment.setdefault("SIGNALBOX_ADMIN_TOKEN_FILE", str(folder / "admin-token"))
    return subprocess.Popen([ENTRYPOINT, *command], env={"PATH": "/usr/bin:/bin", **environment}, stdout=subprocess.PIPE, text=True)


def test_many_containers_make_one_token(tmp_path):
    """They start at the same time on an empty volume: each sees the same token before its program runs."""
    containers = [begin(tmp_path, "cat", tmp_path / "admin-token") for _ in range(16)]
    tokens = {container.communicate(timeout=20)[0] for container in containers}
    token, = tokens
    assert re.fullmatch(r"[A-Za-z0-9+/]{43}=\n", token) and {container.returncode for container in containers} == {0}
    assert stat.S_IMODE((tmp_path / "admin-token").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["admin-token"]
    assert begin(tmp_path, "cat", tmp_path / "admin-token").communicate(timeout=20)[0] == token  # and keep it


def test_a_given_token_wins_and_leaves_the_environment(tmp_path):
    begin(tmp_path, "true").wait(20)
    shown = begin(tmp_path, "env", SIGNALBOX_ADMIN_TOKEN="mine").communicate(timeout=20)[0]
    assert (tmp_path / "admin-token").read_text() == "mine\n" and "mine" not in shown
    begin(tmp_path, "true", SIGNALBOX_ADMIN_TOKEN="").wait(20)
    assert (tmp_path / "admin-token").read_text() == "mine\n"


def test_the_clusters_secret_is_made_once(tmp_path, compose):
    file = tmp_path / "cluster-secret"
    containers = [begin(tmp_path, "cat", file, SIGNALBOX_CLUSTER_SECRET_FILE=str(file)) for _ in range(8)]
    secret, = {container.communicate(timeout=20)[0] for container in containers}
    assert re.fullmatch(r"[A-Za-z0-9+/]{43}=\n", secret) and stat.S_IMODE(file.stat().st_mode) == 0o600
    assert secret != (tmp_path / "admin-token").read_text()
    for service in "gateway", "broker":
        assert compose["services"][service]["environment"]["SIGNALBOX_CLUSTER_SECRET_FILE"] == "/run/signalbox/cluster-secret"


def test_without_a_file_nothing_is_made(tmp_path):
    done = begin(tmp_path, "sh", "-c", "echo $0-$1", "a", "b c", SIGNALBOX_ADMIN_TOKEN_FILE="")
    assert done.communicate(timeout=20)[0] == "a-b c\n" and list(tmp_path.iterdir()) == []


def test_no_token_is_written_down(compose):
    """What is in the repository is public: an empty default only."""
    for service in "gateway", "broker":
        assert compose["services"][service]["environment"]["SIGNALBOX_ADMIN_TOKEN"] == "${SIGNALBOX_ADMIN_TOKEN:-}"
        file = compose["services"][service]["environment"]["SIGNALBOX_ADMIN_TOKEN_FILE"]
        assert f"admin-token:{pathlib.Path(file).parent}" in compose["services"][service]["volumes"]
    assert "admin-token" in compose["volumes"]


def test_only_haproxy_is_published_and_the_api_on_the_loopback(compose):
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert set(published) == {"haproxy", "prometheus", "grafana"}
    assert published["haproxy"] == ["${SIGNALBOX_BIND:-127.0.0.1}:${SIGNALBOX_PORT:-8091}:8091",
                                    "127.0.0.1:${SIGNALBOX_API_PORT:-8090}:8090"]
    assert all(port.startswith("127.0.0.1:") for name in ("prometheus", "grafana") for port in published[name])


def test_haproxy_hands_on_what_needs_the_token_and_nothing_else():
    """The rows of admin_api.c are {method, path, handler, is open to all, …}."""
    rows = re.findall(r'\{"(?:GET|POST)", "(/\w+)", \w+, (true|false)', (ROOT / "common" / "admin" / "admin_api.c").read_text())
    guarded = {path for path, is_open in rows if is_open == "false"}
    handed = re.search(r"unless \{ path ([^}]*)\}", (DEPLOY / "haproxy.cfg").read_text())[1].split()
    assert set(handed) == guarded and "/send" in handed and "/metrics" not in handed
