#!/usr/bin/python3
"""Makes small mistakes in copies of the product's code and says which of them no test notices.

    ./dev mutate --minutes 10                     a sample of everything
    ./dev mutate --room common/bus/log -j 2       one room
    ./dev mutate --changed                        the lines that this branch changes
    ./dev mutate --file gateway/conn/outq.c --list

docs/testing.md says how to read what it prints.
"""
import argparse
import json
import pathlib
import queue
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import mutants as make  # noqa: E402
from coverage import Coverage, Mapper  # noqa: E402
from runner import EQUIVALENT, KILLED, STILLBORN, SURVIVED, UNCOVERED, Worker  # noqa: E402
from tree import HOME, ROOT, ROOMS  # noqa: E402

SCRIPTS = "common/bus/redis/scripts"
TESTS_OF_SCRIPTS = ("tests/faults/scripts/", "tests/faults/test_simulator.py")  # they load the scripts themselves
EQUIVALENTS = pathlib.Path(__file__).resolve().parent / "equivalent.txt"
RESULTS = HOME / "results.jsonl"


# ---- what there is to mutate ----------------------------------------------------------------------------

def product_files():
    for room in ROOMS:
        yield from sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / room).rglob("*.c"))
    yield from sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / SCRIPTS).glob("*.lua"))


def compiler_arguments():
    """file -> what its compiler is given; from any build there is, for they differ in nothing that matters here."""
    for build in (ROOT / "build", HOME / "cover" / "build"):
        if (build / "compile_commands.json").exists():
            entries = json.loads((build / "compile_commands.json").read_text())
            return {pathlib.Path(e["file"]).relative_to(build.parent).as_posix(): make.arguments_of(e["command"]) for e in entries}
    raise SystemExit("mutate: nothing is built yet: ./dev build")


def all_mutants(files):
    arguments, found = compiler_arguments(), []
    for file in files:
        if file.endswith(".lua"):
            found += make.of_lua((ROOT / file).read_bytes(), file)
        elif file in arguments:
            found += make.of_c(ROOT / file, file, arguments[file])
    return found


def changed_lines():
    """file -> lines that differ from where this branch left main."""
    base = subprocess.run(["git", "merge-base", "main", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip() or "HEAD"
    diff = subprocess.run(["git", "diff", "-U0", base], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines, file = {}, None
    for text in diff.splitlines():
        if text.startswith("+++ "):
            file = text[6:]
        elif at := re.match(r"@@ \S+ \+(\d+)(?:,(\d+))? @@", text):
            first, count = int(at[1]), int(at[2] or 1)
            lines.setdefault(file, set()).update(range(first, first + count))
    return lines


def choose(options):
    files = [f for f in product_files() if not options.file or f in options.file]
    if options.room:
        files = [f for f in files if any(room_of(f) == room or f.startswith(room.rstrip("/") + "/") for room in options.room)]
    changed = changed_lines() if options.changed else None
    if changed is not None:
        files = [f for f in files if f in changed]
    if options.file and (unknown := set(options.file) - set(files)):
        raise SystemExit(f"mutate: no such file of the product: {', '.join(sorted(unknown))}")
    if options.room and not files:
        raise SystemExit(f"mutate: no such room: {', '.join(options.room)}")
    if options.replace:
        return [by_hand(file, *options.replace) for file in files]
    found = all_mutants(files)
    if changed is not None:
        found = [m for m in found if changed[m.file] & set(range(m.line, m.last_line + 1))]
    if options.function:
        found = [m for m in found if m.function in options.function]
    random.Random(options.seed).shuffle(found)
    return found


def by_hand(file, original, mutated):
    """The mutant that a person asks for."""
    source = (ROOT / file).read_bytes()
    if source.count(original.encode()) != 1:
        raise SystemExit(f"mutate: {file} has {source.count(original.encode())} times what is to be replaced")
    start = source.find(original.encode())
    end = start + len(original.encode())
    heads = re.findall(rb"^(?![ #}/]).*?(\w+)\(", source[:start], re.M)
    return make.Mutant(file, heads[-1].decode() if heads else "", source.count(b"\n", 0, start) + 1, source.count(b"\n", 0, end) + 1,
                       start, end, original, mutated, "by hand")


def room_of(file):
    return file.rpartition("/")[0].removesuffix("/scripts")


# ---- what is known about them ---------------------------------------------------------------------------

def read_equivalents(text):
    """key -> reason. A line is `file :: function :: original => mutated :: reason`."""
    reasons = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            key, sep, reason = line.rpartition(" :: ")
            if not sep or key.count(" :: ") < 2 or " => " not in key or not reason.strip():
                raise SystemExit(f"mutate: {EQUIVALENTS.name}:{number}: not `file :: function :: original => mutated :: reason`")
            reasons[key.strip()] = reason.strip()
    return reasons


def read_results():
    """id -> what became of it last time."""
    if not RESULTS.exists():
        return {}
    return {entry["id"]: entry for entry in map(json.loads, RESULTS.read_text().splitlines())}


def body_digest(mutant):
    """Changes with the file, so that a result is not kept for code that is another by now."""
    return make.hashlib.sha1((ROOT / mutant.file).read_bytes()).hexdigest()[:12]


class CoverageOfMutants(Coverage):
    """The Redis scripts are covered by whatever reaches the call of them in C."""

    def callers(self, script):
        if not hasattr(self, "calls"):
            self.calls = {}
            for file in product_files():
                if file.endswith(".c"):
                    for number, line in enumerate((ROOT / file).read_text().splitlines(), 1):
                        for name in re.findall(r"\bSCRIPT_(\w+)", line):
                            self.calls.setdefault(name, []).append((file, number))
        return self.calls.get(script, [])

    def reaching_mutant(self, mutant):
        if not mutant.file.endswith(".lua"):
            return self.reaching(mutant.file, range(mutant.line, mutant.last_line + 1))
        names = {n for file, line in self.callers(mutant.function) for n in self.reaching(file, range(line - 1, line + 2))}
        return sorted(names | {n for n in self.tests if n.startswith(TESTS_OF_SCRIPTS)})


# ---- the run --------------------------------------------------------------------------------------------

class Run:
    def __init__(self, options, found):
        self.options, self.lock = options, threading.Lock()
        self.reasons = read_equivalents(EQUIVALENTS.read_text())
        known = {} if options.fresh else read_results()
        self.results, self.todo = {}, queue.Queue()
        self.by_id = {m.id: m for m in found}
        for mutant in found:
            before = known.get(mutant.id)
            if mutant.key in self.reasons:
                self.results[mutant.id] = {"result": EQUIVALENT, "by": "", "note": self.reasons[mutant.key]}
            elif before and before["digest"] == body_digest(mutant) and not (options.again and before["result"] in (SURVIVED, UNCOVERED)):
                self.results[mutant.id] = before
            elif not options.again or before:
                self.todo.put(mutant)
        self.known, self.done, self.began = len(self.results), 0, time.monotonic()
        self.ends = self.began + 60 * options.minutes if options.minutes else None

    def is_over(self):
        return (self.ends and time.monotonic() > self.ends) or (self.options.count and self.done >= self.options.count)

    def go(self):
        coverage = CoverageOfMutants()
        if not self.options.no_map:
            say("coverage: looking at what has changed")
            Mapper(coverage, self.options.jobs, say).update(self.options.tests == "all")
        limits = {"units": self.options.unit_seconds, "processes": self.options.process_seconds if self.options.tests == "all" else 0}
        if self.options.tests == "units":
            coverage.tests = {name: entry for name, entry in coverage.tests.items() if not name.endswith(".py")}
        say(f"{self.todo.qsize()} mutants to try, {self.known} known; building {self.options.jobs} copies")
        threads = [threading.Thread(target=self.work, args=(Worker(n, coverage, limits),), daemon=True)
                   for n in range(self.options.first_worker, self.options.first_worker + self.options.jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def work(self, worker):
        worker.prepare()
        if self.began_work():
            say("copies are built")
        while not self.is_over():
            try:
                mutant = self.todo.get_nowait()
            except queue.Empty:
                return
            began = time.monotonic()
            result, by, note = worker.try_mutant(mutant)
            self.record(mutant, result, by, note, round(time.monotonic() - began, 1))

    def began_work(self):
        with self.lock:
            if self.ends and not self.done and not hasattr(self, "shifted"):
                self.shifted = True
                self.ends = time.monotonic() + 60 * self.options.minutes
                return True
        return False

    def record(self, mutant, result, by, note, seconds):
        entry = {"id": mutant.id, "digest": body_digest(mutant), "room": mutant.room, "key": mutant.key, "line": mutant.line,
                 "operator": mutant.operator, "result": result, "by": by, "note": note, "seconds": seconds}
        with self.lock:
            self.done += 1
            self.results[mutant.id] = entry
            with open(RESULTS, "a") as file:
                file.write(json.dumps(entry) + "\n")
            rest = self.todo.qsize()
            if result in (SURVIVED, UNCOVERED) or self.options.verbose:
                print(f"{result}: {describe(mutant)}  ({by or note or 'no test reaches it'}, {seconds} s)", flush=True)
            if self.done % 20 == 0:
                counts = Counter(e["result"] for e in self.results.values())
                say(f"{self.done} tried, {rest} left: " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))


def describe(mutant):
    original = make.squeeze(mutant.original) or "(start)"
    return f"{mutant.file}:{mutant.line}: {mutant.function}: {original}  =>  {make.squeeze(mutant.mutated) or '(nothing)'}"


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


# ---- the report -----------------------------------------------------------------------------------------

def table(results, by_id):
    rooms = {}
    for identity, entry in results.items():
        rooms.setdefault(by_id[identity].room, Counter())[entry["result"]] += 1
    lines = ["| room | sample | killed | survived | not covered | equivalent | of non-equivalent, killed |", "|---|---|---|---|---|---|---|"]
    for room, counts in sorted(rooms.items()):
        real = counts[KILLED] + counts[SURVIVED] + counts[UNCOVERED]
        share = f"{100 * counts[KILLED] / real:.0f} %" if real else ""
        lines.append(f"| {room} | {real + counts[EQUIVALENT]} | {counts[KILLED]} | {counts[SURVIVED]} | {counts[UNCOVERED]} | {counts[EQUIVALENT]} | {share} |")
    return "\n".join(lines)


def report(run):
    text = table(run.results, run.by_id)
    alive = sorted((run.by_id[i] for i, e in run.results.items() if e["result"] in (SURVIVED, UNCOVERED)), key=lambda m: (m.file, m.line))
    details = "".join(f"{run.results[m.id]['result']}: {describe(m)}\n" for m in alive)
    (HOME / "report.md").write_text(f"{text}\n\n{details}")
    print(text)
    print(f"{len(alive)} alive, listed in {(HOME / 'report.md').relative_to(ROOT)}; seed {run.options.seed}")
    return not alive


def arguments():
    parser = argparse.ArgumentParser(prog="./dev mutate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--room", action="append", metavar="FOLDER", help="this room and those below it; may be repeated")
    parser.add_argument("--file", action="append", metavar="FILE", help="this file; may be repeated")
    parser.add_argument("--function", action="append", metavar="NAME", help="this function; may be repeated")
    parser.add_argument("--replace", nargs=2, metavar=("TEXT", "BY"), help="with --file: try this one mistake of your own")
    parser.add_argument("--changed", action="store_true", help="only lines that differ from where the branch left main")
    parser.add_argument("--list", action="store_true", help="print the mutants and try none")
    parser.add_argument("--minutes", type=float, default=0, help="end after so long, counted from when the copies are built")
    parser.add_argument("--count", type=int, default=0, help="end after so many mutants")
    parser.add_argument("--seed", type=int, default=1, help="of the order (1)")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="so many copies at a time (1)")
    parser.add_argument("--tests", choices=("units", "all"), default="all", help="unit tests alone, or process tests as well (all)")
    parser.add_argument("--unit-seconds", type=float, default=60, help="of unit tests for one mutant (60)")
    parser.add_argument("--process-seconds", type=float, default=90, help="of process tests for one mutant (90)")
    parser.add_argument("--again", action="store_true", help="try once more what survived or was not covered, and nothing new")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs found")
    parser.add_argument("--no-map", action="store_true", help="take the coverage map as it is")
    parser.add_argument("--first-worker", type=int, default=0, help="number of the first copy: for a second run at the same time")
    parser.add_argument("--report", action="store_true", help="print what earlier runs found and try none")
    parser.add_argument("-v", "--verbose", action="store_true", help="print the killed ones, too")
    return parser.parse_args()


def main():
    options = arguments()
    if options.replace and len(options.file or ()) != 1:
        raise SystemExit("mutate: --replace needs one --file")
    found = choose(options)
    if options.list:
        for mutant in sorted(found, key=lambda m: (m.file, m.line)):
            print(describe(mutant))
        print(f"{len(found)} mutants")
        return 0
    HOME.mkdir(parents=True, exist_ok=True)
    run = Run(options, found)
    try:
        if not options.report:
            run.go()
    except KeyboardInterrupt:
        print()
    return 0 if report(run) else 1


if __name__ == "__main__":
    sys.exit(main())
