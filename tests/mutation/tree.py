"""A copy of the working tree with a build of its own, and programs that are run where they can do no harm.

Whatever is mutated is a copy: the user's tree is only read. A program that a mutant has changed may do anything, so it
runs in a process and network namespace of its own, which also ends what it leaves behind and keeps its ports apart
from those of a run at the same time.
"""
import filecmp
import os
import pathlib
import resource
import shutil
import signal
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOME = ROOT / "build" / "mutation"
ROOMS = ("common", "gateway", "broker", "tools")

ADDRESS_SPACE = 4 << 30
UNSHARE = ["unshare", "--user", "--map-root-user", "--pid", "--net", "--fork", "--kill-child", "--mount", "--mount-proc"]
LOOPBACK = [
    "/usr/bin/python3", "-c",
    "import fcntl, os, socket, struct, sys\n"
    "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    "fcntl.ioctl(s, 0x8914, struct.pack('16sH14x', b'lo', 0x49))\n"  # SIOCSIFFLAGS: up, running, loopback
    "s.close()\n"
    "os.execvp(sys.argv[1], sys.argv[1:])"]


def namespaces():
    """The words before a command that give it namespaces of its own; as root without one for users, which root keeps."""
    for words in ([w for w in UNSHARE if w not in ("--user", "--map-root-user")], UNSHARE):
        if shutil.which("unshare") and subprocess.run([*words, *LOOPBACK, "true"], capture_output=True).returncode == 0:
            return [*words, *LOOPBACK]
    return []


def files_of_tree():
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


class Tree:
    def __init__(self, name):
        self.path = HOME / name
        self.build = self.path / "build"
        self.isolation = namespaces()

    def sync(self):
        """Makes the copy equal to the tree. What has not changed keeps its time, so that it is not compiled again."""
        names = files_of_tree()
        for name in names:
            source, target = ROOT / name, self.path / name
            if not target.exists() or not filecmp.cmp(source, target, shallow=False):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                shutil.copymode(source, target)
        known = set(names)
        for folder in (*ROOMS, "tests"):
            for path in (self.path / folder).rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts and path.relative_to(self.path).as_posix() not in known:
                    path.unlink()

    def configure(self, flags, *options):
        launcher = ["-DCMAKE_C_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
        linker = " -fuse-ld=lld" if shutil.which("ld.lld") else ""
        command = ["cmake", "-G", "Ninja", "-S", str(self.path), "-B", str(self.build), "-DCMAKE_BUILD_TYPE=None",
                   f"-DCMAKE_C_FLAGS={flags} -w", f"-DCMAKE_EXE_LINKER_FLAGS={linker}", "-DSIGNALBOX_WERROR=OFF",
                   "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", *launcher, *options]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"mutate: cmake failed in {self.path}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")

    def make(self, targets=(), jobs=1):
        """Whether it builds."""
        done = subprocess.run(["ninja", "-C", str(self.build), "-j", str(jobs), *targets], capture_output=True, text=True)
        self.output = done.stdout
        return done.returncode == 0

    def run(self, argv, limit, cwd=None, env=None, log=None, address_space=None):
        """The exit status, or None when the limit (in seconds) is over. The sanitizers need all of the address space."""
        def before():
            os.setsid()
            if address_space:
                resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with open(log or os.devnull, "wb") as out:
            child = subprocess.Popen([*self.isolation, *map(str, argv)], cwd=cwd or self.path, stdin=subprocess.DEVNULL,
                                     stdout=out, stderr=out, env={**os.environ, **(env or {})}, preexec_fn=before)
            try:
                return child.wait(limit)
            except subprocess.TimeoutExpired:
                return None
            finally:
                try:
                    os.killpg(child.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                child.wait()
