"""The compose fleet without containers (tests/deploy has those): the secrets that are made once, what is published where, what a
container may do, and what is in the image."""
import hashlib
import json
import os
import pathlib
import re
import shlex
import stat
import subprocess

import pytest
import yaml

from harness.cluster import BIN

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())


def begin(files, *command):
    named = [word for file in files for word in ("--file", file)]
    return subprocess.Popen([BIN / "signalbox", "secret", *named, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_many_containers_make_one_secret(tmp_path):
    """They start at the same time on an empty volume: each finds the same secrets before its program runs."""
    files = [tmp_path / "admin-token", tmp_path / "cluster-secret"]
    containers = [begin(files, "--", "cat", *files) for _ in range(16)]
    text, = {container.communicate(timeout=20)[0] for container in containers}
    token, secret = text.splitlines()
    assert re.fullmatch(r"[0-9a-f]{64}", token) and re.fullmatch(r"[0-9a-f]{64}", secret) and token != secret
    assert {container.returncode for container in containers} == {0}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert sorted(tmp_path.iterdir()) == files
    assert begin(files, "--", "cat", *files).communicate(timeout=20)[0] == text  # and they stay


def test_a_given_secret_stays_and_an_empty_one_is_refused(tmp_path):
    given, empty = tmp_path / "given", tmp_path / "empty"
    given.write_text("mine\n")
    empty.touch()
    assert begin([given], "--", "cat", given).communicate(timeout=20) == ("mine\n", "")
    refused = begin([given, empty], "--", "echo", "ran")
    assert refused.communicate(timeout=20) == ("", f"signalbox secret: --file={empty}: its first line is empty\n")
    assert refused.returncode == 1 and empty.read_text() == ""


def test_the_program_gets_its_arguments_and_its_status(tmp_path):
    done = begin([tmp_path / "s"], "--", "sh", "-c", "echo $0-$1; exit 7", "a", "--b c")
    assert done.communicate(timeout=20)[0] == "a---b c\n" and done.returncode == 7
    missing = begin([tmp_path / "s"], "--", "/no/such/program")
    assert "/no/such/program: No such file or directory" in missing.communicate(timeout=20)[1] and missing.returncode == 1
    assert begin([]).wait(20) == 2


def test_the_image_makes_the_secrets_that_the_services_read(compose):
    """None is written down: what is in the repository is public."""
    made = set(re.findall(r'"--file", "([^"]+)"', re.search(r"^ENTRYPOINT (.*)$", DOCKERFILE, re.M)[1]))
    for service in "gateway", "broker":
        environment = compose["services"][service]["environment"]
        assert {value for name, value in environment.items() if name.endswith("_FILE")} == made
        assert set(environment) == {"REDIS_URL", "SIGNALBOX_ADMIN_TOKEN_FILE", "SIGNALBOX_CLUSTER_SECRET_FILE"}
        assert "${SIGNALBOX_SECRETS:-secrets}:/run/signalbox" in compose["services"][service]["volumes"]
    assert "secrets" in compose["volumes"] and all(file.startswith("/run/signalbox/") for file in made)


def test_no_container_may_more_than_it_needs(compose):
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"] and "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"] and service["pids_limit"], name
        assert not service.get("privileged") and "network_mode" not in service and "pid" not in service, name
        assert not any("docker.sock" in volume for volume in service["volumes"]), name


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """What rootfs.sh puts into the image, made from the programs of this build and this machine's libraries."""
    root = tmp_path_factory.mktemp("image")
    root.chmod(0o755)
    programs = [BIN / name for name in ("signalbox", "signalbox-gateway", "signalbox-broker")]
    subprocess.run([DEPLOY / "rootfs.sh", root, ROOT / "examples" / "chat", *programs], check=True)
    return root


def files_of(image):
    return [path for path in image.rglob("*") if path.is_file()]


def test_the_image_has_no_shell_and_nothing_setuid(image):
    """Programs are those three: no shell, no interpreter, no package manager."""
    programs = {path.relative_to(image).as_posix() for path in files_of(image) if os.access(path, os.X_OK) and ".so" not in path.name}
    assert programs == {"usr/local/bin/signalbox", "usr/local/bin/signalbox-gateway", "usr/local/bin/signalbox-broker"}
    assert not [path for path in image.rglob("*") if stat.S_IMODE(path.lstat().st_mode) & 0o6002]
    assert not [path for path in image.rglob("*") if path.is_symlink()]
    assert re.search(r"^FROM scratch$", DOCKERFILE, re.M) and re.search(r"^USER 65532:65532$", DOCKERFILE, re.M)


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
def test_the_programs_run_in_the_image(image):
    for name in "signalbox", "signalbox-gateway", "signalbox-broker":
        done = subprocess.run(["chroot", "--userspec=65532:65532", image, f"/usr/local/bin/{name}", "--help"], capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout.startswith("usage: "), done.stderr
    entrance = shlex.split(re.search(r"^ENTRYPOINT \[(.*)\]$", DOCKERFILE, re.M)[1].replace(",", ""))
    done = subprocess.run(["chroot", "--userspec=65532:65532", image, "/usr/local/bin/signalbox", *entrance[1:],
                           "/usr/local/bin/signalbox", "check", "/app"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for secret in "admin-token", "cluster-secret":
        assert (image / "run" / "signalbox" / secret).stat().st_uid == 65532


def test_the_bill_of_materials_is_of_the_image(image):
    bill = json.loads((image / "usr/share/sbom/signalbox.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX" and bill["metadata"]["component"]["name"] == "signalbox"
    listed = {component["properties"][0]["value"]: component for component in bill["components"]}
    libraries = {"/" + path.relative_to(image).as_posix() for path in files_of(image) if ".so" in path.name}
    assert set(listed) == libraries | {"/etc/ssl/certs/ca-certificates.crt"}
    for file, component in listed.items():
        assert component["version"] and component["purl"].startswith(f"pkg:deb/debian/{component['name']}@"), file
        assert component["hashes"][0]["content"] == hashlib.sha256((image / file[1:]).read_bytes()).hexdigest(), file
    assert {"libc6", "libuv1", "libssl3"} <= {component["name"].removesuffix("t64") for component in bill["components"]}


def test_only_haproxy_is_published_and_the_api_on_the_loopback(compose):
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert set(published) == {"haproxy", "prometheus", "grafana"}
    assert published["haproxy"] == ["${SIGNALBOX_BIND:-127.0.0.1}:${SIGNALBOX_PORT:-8091}:8091",
                                    "127.0.0.1:${SIGNALBOX_API_PORT:-8090}:8090"]
    assert all(port.startswith("127.0.0.1:") for name in ("prometheus", "grafana") for port in published[name])


def test_haproxy_hands_on_what_needs_the_token_and_nothing_else():
    """The rows of admin_api.c are {method, path, handler, who may ask, …}."""
    rows = re.findall(r'\{"(?:GET|POST)", "(/\w+)", \w+, (ACCESS_\w+)', (ROOT / "common" / "admin" / "admin_api.c").read_text())
    guarded = {path for path, access in rows if access == "ACCESS_TOKEN"}
    handed = re.search(r"unless \{ path ([^}]*)\}", (DEPLOY / "haproxy.cfg").read_text())[1].split()
    assert set(handed) == guarded and "/send" in handed and "/metrics" not in handed
