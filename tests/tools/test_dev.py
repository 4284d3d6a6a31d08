"""The one script, as a newcomer meets it: what `./dev setup` says while it installs, and when it cannot. A copy of it runs
with stand-ins for apt, dpkg and id in front of PATH, so that nothing is installed."""
import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

APT_GET = r"""#!/bin/bash
case " $* " in
*" update "*) echo "${UPDATE_SAYS:-Hit:1 http://mirror.example/debian bookworm InRelease}"; exit "${UPDATE_STATUS:-0}" ;;
esac
[ -z "${WAITS:-}" ] || echo "Waiting for cache lock: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt)"
echo "Reading package lists..."
for i in $(seq 50); do echo "dlstatus:$i:$i.5:Retrieving file $i of 50"; done
for i in $(seq 50); do echo "pmstatus:libx$i:$i.25:Unpacking libx$i (amd64)"; done
[ "${INSTALL_STATUS:-0}" = 0 ] || echo "E: Unable to fetch some archives"
exit "${INSTALL_STATUS:-0}"
"""
STAND_INS = {
    "apt-get": APT_GET,
    "apt-cache": '#!/bin/bash\necho "  Candidate: ${CANDIDATE:-1.0-1}"\n',
    "dpkg-query": "#!/bin/bash\nexit 1\n",
    "id": '#!/bin/bash\necho "${UID_SHOWN:-0}"\n',
    "sh": "#!/bin/bash\n",
    "rm": "#!/bin/bash\n",
}
TOOLS = ["bash", "env", "cat", "mkdir", "dirname", "seq", "tail", "sed", "tr", "fold", "sort"]


@pytest.fixture
def dev(tmp_path):
    folder, bin_folder = tmp_path / "checkout", tmp_path / "bin"
    folder.mkdir()
    bin_folder.mkdir()
    shutil.copy(ROOT / "dev", folder)
    for name, text in STAND_INS.items():
        (bin_folder / name).write_text(text)
        (bin_folder / name).chmod(0o755)
    for name in TOOLS:
        os.symlink(shutil.which(name, path="/usr/bin:/bin"), bin_folder / name)

    def run(*args, **environment):
        return subprocess.run([folder / "dev", *args], env={"PATH": str(bin_folder), **environment}, capture_output=True,
                              text=True, timeout=30, stdin=subprocess.DEVNULL)
    return run


def test_setup_says_what_it_is_at(dev):
    done = dev("setup", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reading the package lists" in done.stdout and "and what they need: build-essential cmake" in done.stdout
    assert "% Retrieving file 1 of 50" in done.stdout and "chromium" not in done.stdout
    assert len(done.stdout.splitlines()) < 20 and done.stderr == ""


def test_without_root_the_hint_is_what_is_wanted(dev):
    for kind in "run", "test", "long":
        done = dev("setup", kind, UID_SHOWN="1000")
        assert done.returncode == 1 and f"as root, once: ./dev setup {kind}\n" in done.stderr
        assert ("chromium" in done.stderr) == (kind != "run") and done.stdout == ""
    done = dev("up", UID_SHOWN="1000")
    assert done.returncode == 1 and "./dev setup run\n" in done.stderr and "chromium" not in done.stderr


def test_errors_are_one_line_with_the_log(dev):
    done = dev("setup", "run", INSTALL_STATUS="100")
    assert done.returncode == 1 and "E: Unable to fetch some archives" in done.stderr
    assert "the whole log is build/logs/setup.log" in done.stderr and len(done.stderr.splitlines()) == 2
    done = dev("setup", "run", UPDATE_STATUS="100", UPDATE_SAYS="Err:1 http://mirror.example no network", CANDIDATE="(none)")
    assert done.returncode == 1 and "Err:1 http://mirror.example no network" in done.stderr
    assert "have no package build-essential: is this Debian 12 or 13, with a network?" in done.stderr


def test_waiting_for_another_apt_is_told(dev):
    assert "another program installs packages; waiting for it" in dev("setup", "run", WAITS="1").stdout


@pytest.mark.parametrize("args, words", [
    (["tset"], "there is no verb 'tset', did you mean './dev test'?"), (["nonsense"], "there is no verb 'nonsense'\n"),
    (["setup", "all"], "setup takes run, test or long, not 'all'"), (["build", "quick"], "not 'quick'"),
    (["test", "--lnog"], "not '--lnog'"),
])
def test_wrong_words(dev, args, words):
    done = dev(*args)
    assert done.returncode == 1 and words in done.stderr


def test_the_verbs_of_the_usage_exist(dev):
    usage = dev().stdout
    verbs = [line.split()[0] for line in usage.splitlines() if line.startswith("  ") and not line.startswith("   ")]
    text = (ROOT / "dev").read_text()
    assert "up" in verbs and all(f"\nverb_{verb}()" in text for verb in verbs)
    assert dev("help").stdout == dev("--help").stdout == usage
