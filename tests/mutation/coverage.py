"""Which tests reach which lines: one map for all unit tests (an executable each) and all process tests (a file each).

The map is made once with a gcov build of its own, and kept in build/mutation/coverage. Only what has changed since (the
text of a unit test, a file of process tests) is measured again; where the product's text has changed, the lines of the
map move along with it, and a new line has the tests of the line above.

Processes of the process tests are killed rather than ended, so the build is linked with a thread that writes the
counts down twice a second.
"""
import difflib
import hashlib
import json
import os
import pathlib
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from tree import HOME, ROOT, ROOMS, Tree

FOLDER = HOME / "coverage"
DUMPER = r"""
#include <pthread.h>
#include <unistd.h>
extern void __gcov_dump(void);
extern void __gcov_reset(void);
static void *dump(void *arg) {
    for (;;) {
        usleep(500000);
        __gcov_dump();
        __gcov_reset();
    }
    return arg;
}
__attribute__((constructor)) static void start(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, dump, NULL);
}
"""
PROCESS_TESTS = ("tests/common", "tests/tools", "tests/conformance", "tests/e2e", "tests/faults")
UNIT_LIMIT, PROCESS_LIMIT = 300, 900
# They run no program of ours, test the machine rather than the product, or take far longer than others.
NOT_MAPPED = ("tests/tools/test_dev.py", "tests/tools/test_docs.py", "tests/tools/test_layout.py", "tests/tools/test_mutation.py",
              "tests/faults/test_soak.py", "tests/e2e/test_chat_page.py")


def digest(text):
    return hashlib.sha1(text.encode()).hexdigest()[:16]


def unit_tests(build):
    """name -> (executable, source) of every test that ctest knows."""
    listed = subprocess.run(["ctest", "--test-dir", str(build), "--show-only=json-v1"], capture_output=True, text=True, check=True)
    found = {}
    for test in json.loads(listed.stdout)["tests"]:
        if test.get("command") and test["command"][0].startswith(str(build)):
            room, _, module = test["name"].rpartition("/")
            at = next((ROOT / "tests" / room).rglob(f"test_{module}.c"))
            found[test["name"]] = (test["command"][0], at.relative_to(ROOT).as_posix())
    return found


def process_tests():
    return [path.relative_to(ROOT).as_posix() for folder in PROCESS_TESTS for path in sorted((ROOT / folder).rglob("test_*.py"))
            if path.relative_to(ROOT).as_posix() not in NOT_MAPPED]


class Coverage:
    def __init__(self):
        self.tests = {}  # name -> {"digest", "seconds", "lines": {file: [line]}}
        self.texts = {}  # digest of a product file's text -> lines; each test names the digests it was measured with
        self.moved = {}
        for path in FOLDER.glob("*.json"):
            entry = json.loads(path.read_text())
            self.tests[entry["name"]] = entry

    def stale(self, names_and_sources):
        return [(name, source) for name, source in names_and_sources
                if self.tests.get(name, {}).get("digest") != digest((ROOT / source).read_text())]

    def store(self, name, source, seconds, lines):
        texts = {}
        for file in lines:
            text = (ROOT / file).read_text()
            texts[file] = digest(text)
            kept = FOLDER / "texts" / texts[file]
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(text)
        entry = {"name": name, "source": source, "digest": digest((ROOT / source).read_text()), "seconds": seconds,
                 "lines": lines, "texts": texts}
        self.tests[name] = entry
        (FOLDER / (name.replace("/", "_") + ".json")).write_text(json.dumps(entry))

    def store_code(self, lines):
        """Which lines are code at all; the rest (a declaration, a brace) is reached with the code above it."""
        for file, numbers in lines.items():
            kept = FOLDER / "code" / digest((ROOT / file).read_text())
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(sorted(numbers)))

    # -- asking

    def code(self, file, text_digest):
        kept = FOLDER / "code" / text_digest
        return set(json.loads(kept.read_text())) if kept.exists() else None

    def now(self, file, text_digest):
        """line then -> line now, for a file whose text was another when it was measured."""
        key = (file, text_digest)
        if key not in self.moved:
            new = (ROOT / file).read_text()
            if digest(new) == text_digest:
                self.moved[key] = None
            else:
                old = (FOLDER / "texts" / text_digest).read_text().splitlines()
                moved, new = {}, new.splitlines()
                for a, b, size in difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks():
                    moved.update({a + i + 1: b + i + 1 for i in range(size)})
                self.moved[key] = (moved, set(moved.values()))
        return self.moved[key]

    def lines(self, name, file):
        """The lines of a file that the test reaches."""
        entry = self.tests[name]
        then = entry["lines"].get(file)
        if then is None:
            return set()
        measured = entry["texts"][file]
        code, reached = self.code(file, measured), set(then)
        if code is not None:
            for line in range(1, len((FOLDER / "texts" / measured).read_text().splitlines()) + 1):
                if line not in code and line - 1 in reached:
                    reached.add(line)
        moved = self.now(file, measured)
        if moved is None:
            return reached
        reached = {moved[0][line] for line in reached if line in moved[0]}
        for line in range(1, len((ROOT / file).read_text().splitlines()) + 1):
            if line not in moved[1] and line - 1 in reached:
                reached.add(line)
        return reached

    def reaching(self, file, lines):
        """The names of the tests that reach one of the lines."""
        if not hasattr(self, "index"):
            self.index = {}
        if file not in self.index:
            self.index[file] = {name: self.lines(name, file) for name in self.tests if file in self.tests[name]["lines"]}
        return [name for name, reached in self.index[file].items() if any(line in reached for line in lines)]


class Mapper:
    def __init__(self, coverage, jobs, say):
        self.coverage, self.jobs, self.say = coverage, jobs, say
        self.tree = Tree("cover")

    def prepare(self):
        self.tree.sync()
        dumper = self.tree.path / "dumper"
        dumper.with_suffix(".c").write_text(DUMPER)
        subprocess.run(["cc", "-c", str(dumper.with_suffix(".c")), "-o", str(dumper.with_suffix(".o"))], check=True)
        self.tree.configure("-O0 -g0 --coverage -fprofile-update=atomic", f"-DCMAKE_C_STANDARD_LIBRARIES={dumper.with_suffix('.o')}")
        if not self.tree.make(jobs=self.jobs):
            raise SystemExit(f"mutate: the tree does not build:\n{self.tree.output[-3000:]}")
        self.coverage.store_code(self.read(sorted(map(str, self.tree.build.rglob("*.gcno"))), FOLDER, lambda at: True))

    def update(self, processes=True):
        """Measures what the map lacks; without `processes` the unit tests alone."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        wanted = [(p, p) for p in process_tests()] if processes else []
        known_units = [(n, e["source"]) for n, e in self.coverage.tests.items() if not n.endswith(".py")]
        for name, source in [*known_units, *((n, n) for n in self.coverage.tests if n.endswith(".py"))]:
            if not (ROOT / source).exists():
                del self.coverage.tests[name]
                (FOLDER / (name.replace("/", "_") + ".json")).unlink()
        sources = {e["source"] for e in self.coverage.tests.values()}
        on_disk = {p.relative_to(ROOT).as_posix() for p in (ROOT / "tests").rglob("test_*.c")}
        is_old = self.coverage.stale([k for k in known_units if (ROOT / k[1]).exists()]) or on_disk - sources
        if not is_old and not self.coverage.stale(wanted):
            return
        self.say("coverage: building")
        self.prepare()
        units = unit_tests(self.tree.build)
        stale = self.coverage.stale([(name, source) for name, (_, source) in units.items()])
        self.measure_all([(n, s, [units[n][0]], UNIT_LIMIT, None) for n, s in stale], self.jobs)
        self.measure_all([(n, s, ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not long", n],
                           PROCESS_LIMIT, {"SIGNALBOX_LONG": "0"}) for n, s in self.coverage.stale(wanted)], 1)

    def measure_all(self, jobs, workers):
        with ThreadPoolExecutor(workers) as pool:
            for done, name in enumerate(pool.map(lambda job: self.measure(*job), jobs), 1):
                self.say(f"coverage: {done} of {len(jobs)} ({name})")

    def measure(self, name, source, argv, limit, env):
        with tempfile.TemporaryDirectory(dir=FOLDER) as counts:
            began = time.monotonic()
            self.tree.run(argv, limit, env={**(env or {}), "GCOV_PREFIX": counts},
                          cwd=self.tree.path if argv[0].startswith("/usr/bin") else self.tree.build)
            self.coverage.store(name, source, round(time.monotonic() - began, 2), self.read_counts(counts))
        return name

    def read_counts(self, counts):
        """file -> the lines that were run, from the .gcda files below a folder."""
        found = sorted(pathlib.Path(counts).rglob("*.gcda"))
        if not found:
            return {}
        for path in found:
            notes = pathlib.Path("/" + path.relative_to(counts).as_posix()).with_suffix(".gcno")
            os.symlink(notes, path.with_suffix(".gcno"))
        reached = self.read(list(map(str, found)), counts, lambda at: at["count"])
        return {name: sorted(lines) for name, lines in reached.items()}

    def read(self, data, folder, is_wanted):
        printed = subprocess.run(["gcov", "--json-format", "--stdout", *data], capture_output=True, text=True, cwd=folder)
        reached = {}
        for line in printed.stdout.splitlines():
            for file in json.loads(line)["files"] if line.startswith("{") else ():
                name = file["file"].removeprefix(str(self.tree.path) + "/")
                if name.startswith(ROOMS) and (ROOT / name).exists():
                    reached.setdefault(name, set()).update(at["line_number"] for at in file["lines"] if is_wanted(at))
        return reached
