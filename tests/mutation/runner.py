"""Builds one mutant after the other in a copy of the tree, and runs the tests that reach it until one fails.

The order is that of cost: the unit test of the same module, those of the same room, the other unit tests, the process
tests. Unit tests are built with the sanitizers, as they are in `./dev test`; process tests run the plain programs.
"""
import hashlib
import json
import pathlib
import re
import subprocess

from tree import ADDRESS_SPACE, ROOT, Tree

PROGRAMS = ("bin/signalbox", "bin/signalbox-gateway", "bin/signalbox-broker")
SANITIZED = "-O0 -g1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
UNIT_ENV = {"ASAN_OPTIONS": "detect_stack_use_after_return=1:hard_rss_limit_mb=1500"}
GRACE = 8  # seconds over three times what the test takes when nothing is mutated

KILLED, SURVIVED, EQUIVALENT, UNCOVERED, STILLBORN = "killed", "survived", "equivalent", "not covered", "does not compile"


def process_command(test, only=()):
    return ["/usr/bin/python3", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not long", *(only or [test])]


class Worker:
    def __init__(self, number, coverage, limits):
        self.coverage, self.limits = coverage, limits
        self.tree = Tree(f"worker{number}")
        self.sanitized = self.tree.path / "build-sanitized"
        self.log = self.tree.path / "last-test.log"

    def prepare(self):
        self.tree.sync()
        self.plain = self.tree.build
        self.tree.configure("-O1 -g1")
        self.in_sanitized()
        self.tree.configure(SANITIZED, "-DCMAKE_EXE_LINKER_FLAGS=-fsanitize=address,undefined")
        self.make_or_die()
        self.commands = {}
        self.is_sound = {}  # name -> whether the test passes when nothing is mutated
        listed = subprocess.run(["ctest", "--test-dir", str(self.sanitized), "--show-only=json-v1"], capture_output=True, text=True, check=True)
        for test in json.loads(listed.stdout)["tests"]:
            if test.get("command", ["/"])[0].startswith(str(self.sanitized)):
                self.commands[test["name"]] = test["command"][0]
        self.objects = json.loads((self.plain / "compile_commands.json").read_text())

    def in_sanitized(self):
        self.tree.build = self.sanitized

    def in_plain(self):
        self.tree.build = self.plain

    def make_or_die(self):
        if not self.tree.make():
            raise SystemExit(f"mutate: the tree does not build:\n{self.tree.output[-3000:]}")

    # -- one mutant

    def try_mutant(self, mutant):
        """(result, what killed it, what it was run by)"""
        path = self.tree.path / mutant.file
        self.mutated, self.source = path, path.read_bytes()
        units, processes, is_all = self.tests_for(mutant)
        if not units and not processes:
            return UNCOVERED, "", ""
        path.write_bytes(mutant.apply(self.source))
        try:
            return self.run_tests(mutant, units, processes, is_all)
        finally:
            path.write_bytes(self.source)

    def is_believed(self, name, run):
        """A test that kills for the first time has to pass without the mutant; `run` builds and runs it."""
        if name not in self.is_sound:
            mutated = self.mutated.read_bytes()
            self.mutated.write_bytes(self.source)
            self.is_sound[name] = run()
            if not self.is_sound[name]:
                print(f"mutate: {name} fails without a mutant, and is left out", flush=True)
            self.mutated.write_bytes(mutated)
        return self.is_sound[name]

    def tests_for(self, mutant):
        """What reaches it, cheapest first, as far as its seconds allow."""
        names = self.coverage.reaching_mutant(mutant)
        module = re.sub(r"\.\w+$", "", mutant.file)
        units = sorted((n for n in names if n in self.commands), key=lambda n: (distance(n, module), self.cost(n)))
        processes = sorted((n for n in names if n.endswith(".py")), key=self.cost)
        few = within(units, self.cost, self.limits["units"]), within(processes, self.cost, self.limits["processes"])
        return *few, (len(few[0]), len(few[1])) == (len(units), len(processes))

    def cost(self, name):
        return self.coverage.tests[name]["seconds"]

    def run_tests(self, mutant, units, processes, is_all):
        self.in_sanitized()
        ran = []
        for group in (units[:1], units[1:6], units[6:]):
            if group and not self.build(group):
                return STILLBORN, "", ""
            for name in group:
                if self.is_sound.get(name) is False:
                    continue
                ran.append(name)
                if self.is_unit_killed(name):
                    if self.is_believed(name, lambda name=name: self.build([name]) and not self.is_unit_killed(name)):
                        return KILLED, name, ""
                    self.build(group)
        if processes:
            self.in_plain()
            if not self.tree.make(PROGRAMS):
                return STILLBORN, "", ""
        for name in processes:
            if self.is_sound.get(name) is False:
                continue
            ran.append(name)
            if killer := self.is_process_killed(name):
                if self.is_believed(name, lambda name=name: self.tree.make(PROGRAMS) and not self.is_process_killed(name)):
                    return KILLED, killer, ""
                self.tree.make(PROGRAMS)
        if mutant.file.endswith(".c") and self.is_same_code(mutant):
            return EQUIVALENT, "", "the compiler makes the same code of it"
        return SURVIVED, "", f"{len(ran)} tests" + ("" if is_all else ", there are more")

    def build(self, names):
        return self.tree.make([str(pathlib.Path(self.commands[name]).relative_to(self.sanitized)) for name in names])

    def is_unit_killed(self, name):
        limit = 3 * max(self.cost(name), 0.2) + GRACE
        return self.tree.run([self.commands[name]], limit, cwd=self.sanitized, env=UNIT_ENV, log=self.log) not in (0, 77)

    def is_process_killed(self, name):
        """The test that fails, and does so twice: process tests have moods under load."""
        limit = 3 * self.cost(name) + 60
        status = self.tree.run(process_command(name), limit, log=self.log, address_space=ADDRESS_SPACE)
        if status in (0, 5):
            return None
        failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", self.log.read_text(errors="replace"), re.M)
        again = self.tree.run(process_command(name, failed[:1]), limit, log=self.log,
                              address_space=ADDRESS_SPACE)
        return (failed or [name])[0] if again not in (0, 5) else None

    def is_same_code(self, mutant):
        """Whether -O2 makes the same object of it: then it is no mutant."""
        entry = next((e for e in self.objects if e["file"] == str(self.tree.path / mutant.file)), None)
        if entry is None:
            return False
        words = [w for w in entry["command"].split() if w.startswith(("-I", "-D", "-std"))]
        path, made = pathlib.Path(entry["file"]), []
        for source in (path.read_bytes(), (ROOT / mutant.file).read_bytes()):
            copy, out = path.with_name("mutation_copy.c"), self.tree.path / "same.o"
            copy.write_bytes(re.sub(rb"\A", b'#line 1 "x"\n', source))
            done = subprocess.run(["gcc", "-O2", "-w", "-g0", *words, "-c", str(copy), "-o", str(out)], capture_output=True)
            copy.unlink()
            if done.returncode != 0:
                return False
            made.append(hashlib.sha1(out.read_bytes()).hexdigest())
        return made[0] == made[1]


def distance(test, module):
    """0: the module's own, 1: of its room, 2: of a neighbour, 3: others."""
    room = module.rpartition("/")[0]
    if test == module or test.endswith("/" + module.rpartition("/")[2]):
        return 0
    if test.rpartition("/")[0] == room:
        return 1
    return 2 if test.startswith(room.partition("/")[0]) else 3


def within(names, cost, limit):
    """The first of them, and as many more as the limit in seconds allows; none if it is 0."""
    chosen, total = [], 0
    for name in names:
        if limit > 0 and (not chosen or total + cost(name) <= limit):
            total += cost(name)
            chosen.append(name)
    return chosen
