#!/usr/bin/python3
"""./dev world: tells stories of the simulated world, many at a time, and shrinks one that fails.

    ./dev world                       fresh seeds for a minute
    ./dev world --minutes 60          for an hour
    ./dev world --stories 500         so many
    ./dev world --seed 7 --log        one, as it is told; --faults 1,4 --clients N --messages N --seconds N: with less
    ./dev world --from 1 --stories N  seeds 1 … N
    ./dev world --mutants [WORD]      the mistakes in tests/world/mutants: how many stories each takes to be caught

Exit status: 0 nothing was found, 1 an invariant is broken, 2 the command line is wrong.
"""
import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SEEDS = HERE / "seeds.txt"
LONGEST = 120  # seconds that a story may take before it counts as one that hangs
SHRINKING = 240  # seconds
LINES = 400  # of a story, as it is shown


@dataclasses.dataclass
class Story:
    seed: int
    faults: str = None
    clients: int = 0
    messages: int = 0
    seconds: int = 0

    def arguments(self):
        words = ["--seed", str(self.seed)]
        for name in ("faults", "clients", "messages", "seconds"):
            value = getattr(self, name)
            if value not in (None, 0):
                words += ["--" + name, str(value)]
        return words


@dataclasses.dataclass
class Ending:
    status: int
    verdict: str
    text: str

    @property
    def is_fine(self):
        return self.status == 0

    @property
    def seconds(self):
        """Simulated."""
        try:
            return float(self.verdict.split("; ")[-1].split(" s,")[0])
        except ValueError:
            return 0.0

    @property
    def kind(self):
        return self.verdict.split(": ", 1)[-1].split(" ")[0]


def tell(world, story, *more):
    command = [str(world), *story.arguments(), "--app", str(HERE / "app"), *more]
    try:
        done = subprocess.run(command, capture_output=True, timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired as expired:
        return Ending(-1, f"seed {story.seed}: hangs", (expired.stdout or b"").decode(errors="replace"))
    text = done.stdout.decode(errors="replace")
    if done.returncode in (0, 1) and text.strip():
        return Ending(done.returncode, text.strip().splitlines()[-1], text)
    why = signal.Signals(-done.returncode).name if done.returncode < 0 else f"status {done.returncode}"
    return Ending(done.returncode or 1, f"seed {story.seed}: crashed with {why}",
                  text + done.stderr.decode(errors="replace"))


# ---- shrinking

class Shrinker:
    def __init__(self, world, story, kind, workers):
        self.world, self.story, self.kind, self.workers = world, story, kind, workers
        self.until = time.monotonic() + SHRINKING
        self.tries = 0

    def fails(self, **change):
        if time.monotonic() > self.until:
            return False
        self.tries += 1
        candidate = dataclasses.replace(self.story, **change)
        ending = tell(self.world, candidate)
        if ending.is_fine or ending.kind != self.kind:
            return False
        self.story = candidate
        return True

    def shrink(self, count):
        self.faults(count)
        self.number("clients", [1, 2, 4, 8, 12, 16, 18, 24, 32])
        self.number("messages", [1, 3, 10, 30, 100, 300, 1000])
        self.number("seconds", [1, 2, 4, 8, 16])
        self.faults(count)
        return self.story

    def faults(self, count):
        kept = ([int(number) for number in self.story.faults.split(",") if number] if self.story.faults is not None
                else list(range(1, count + 1)))
        size = max(1, len(kept) // 2)
        while kept:
            at = 0
            while at < len(kept):
                less = kept[:at] + kept[at + size:]
                if self.fails(faults=",".join(map(str, less)) or "0"):
                    kept = less
                else:
                    at += size
            if size == 1:
                break
            size = max(1, size // 2)

    def number(self, name, sizes):
        for size in sizes:
            if self.fails(**{name: size}):
                return


def fault_count(ending):
    for word, what in zip(ending.verdict.split(), ending.verdict.split()[1:]):
        if what == "faults,":
            return int(word)
    return 64


def show_failure(world, story, ending, workers):
    print(f"\n{ending.verdict}\nshrinking …", flush=True)
    shrinker = Shrinker(world, story, ending.kind, workers)
    smallest = shrinker.shrink(fault_count(ending))
    told = tell(world, smallest, "--log")
    lines = told.text.splitlines()
    if len(lines) > LINES:
        print(f"… {len(lines) - LINES} lines before")
    print("\n".join(lines[-LINES:]))
    print(f"\n{told.verdict}\nshrunk in {shrinker.tries} tries; it is told again by\n\n"
          f"    ./dev world {' '.join(smallest.arguments())} --log\n", flush=True)


# ---- hunting

def hunt(world, seeds, workers, until=None, is_quiet=False):
    """(stories, simulated seconds, the first that failed or None)"""
    began = shown = time.monotonic()
    count, simulated, failed = 0, 0.0, None
    seeds = iter(seeds)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        running = {}

        def add():
            if failed is None and (until is None or time.monotonic() < until):
                seed = next(seeds, None)
                if seed is not None:
                    story = Story(seed)
                    running[pool.submit(tell, world, story)] = story

        for _ in range(workers):
            add()
        while running:
            done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                story, ending = running.pop(future), future.result()
                count, simulated = count + 1, simulated + ending.seconds
                if not ending.is_fine and failed is None:
                    failed = (story, ending)
                add()
            if not is_quiet and time.monotonic() - shown > 10:
                shown = time.monotonic()
                print(f"{count} stories, {simulated:.0f} simulated seconds in {shown - began:.0f} s", flush=True)
    return count, simulated, failed


def fresh_seeds():
    source = random.SystemRandom()
    while True:
        yield source.randrange(1, 1 << 48)


def kept_seeds():
    """Those that failed once."""
    lines = SEEDS.read_text().splitlines() if SEEDS.exists() else []
    return [int(line.split()[0]) for line in lines if line.strip() and not line.startswith("#")]


def report(world, result, workers, began):
    count, simulated, failed = result
    print(f"{count} stories, {simulated:.0f} simulated seconds in {time.monotonic() - began:.0f} s", flush=True)
    if failed is None:
        return 0
    show_failure(world, *failed, workers)
    return 1


def run_test(world, workers):
    """The stage of ./dev test, within two minutes: what failed once and fixed seeds judge, so that the verdict on a change does
    not hang on chance. Fresh ones hunt: what they find is shown, and fails ./dev test --long."""
    began = time.monotonic()
    status = report(world, hunt(world, kept_seeds() + list(range(1, 101)), workers, began + 90), workers, began)
    if status == 0:
        status = same_twice(world)
    if status == 0 and report(world, hunt(world, fresh_seeds(), workers, began + 100), workers, began) != 0:
        print("a fresh seed found something: mend it, and keep the seed in tests/world/seeds.txt")
    return status


def same_twice(world):
    """The same seed gives the same story, byte for byte, and under ASan too, where there is such a build."""
    asan = ROOT / "build/asan/bin/world"
    for seed in (3, 7):
        story = Story(seed)
        texts = [tell(world, story, "--log").text, tell(world, story, "--log").text]
        if asan.exists():
            texts.append(tell(asan, story, "--log").text)
        if len(set(texts)) != 1:
            print(f"seed {seed} is not told in the same words each time")
            return 1
    print(f"the same words each time{', under ASan too' if asan.exists() else ''}")
    return 0


def main():
    parser = argparse.ArgumentParser(prog="./dev world")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--from", type=int, dest="first")
    parser.add_argument("--stories", type=int)
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--log", action="store_true")
    parser.add_argument("--faults")
    parser.add_argument("--clients", type=int, default=0)
    parser.add_argument("--messages", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--shrink", action="store_true", help="with --seed: shrink it if it fails")
    parser.add_argument("--mutants", nargs="?", const="", metavar="WORD")
    parser.add_argument("--test", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--bin", default=str(ROOT / "build/bin/world"))
    args = parser.parse_args()
    world, began = pathlib.Path(args.bin), time.monotonic()
    if args.mutants is not None:
        import mutants  # it calls this file's functions
        return mutants.run(args.mutants, args.workers, args.minutes)
    if args.test:
        return run_test(world, args.workers)
    if args.seed is not None and args.stories is None:
        story = Story(args.seed, args.faults, args.clients, args.messages, args.seconds)
        ending = tell(world, story, *(["--log"] if args.log else []))
        print(ending.text if args.log or not ending.text.strip() else ending.verdict)
        if not ending.is_fine and args.shrink:
            show_failure(world, story, ending, args.workers)
        return 0 if ending.is_fine else 1
    first = args.first if args.first is not None else args.seed
    seeds = iter(range(first, first + (args.stories or 1 << 40))) if first is not None else fresh_seeds()
    if args.stories is not None:
        seeds = (seed for _, seed in zip(range(args.stories), seeds))
    minutes = args.minutes if args.minutes is not None else (None if args.stories else 1.0)
    until = None if minutes is None else began + 60 * minutes
    return report(world, hunt(world, seeds, args.workers, until), args.workers, began)


if __name__ == "__main__":
    sys.exit(main())
