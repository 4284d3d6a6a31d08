"""Mistakes of the distributed kind, made in a copy of the tree, and how many stories each takes to be caught.

A file mutants/NAME.mutant has a sentence, a path, and the text that is replaced:

    What is wrong.
    common/bus/redis/scripts/commit.lua
    <<<<
    the text, once in the file
    ====
    what stands there instead
    >>>>
"""
import dataclasses
import os
import pathlib
import subprocess
import time

import hunt

FOLDER = hunt.HERE / "mutants"
COPY = hunt.ROOT / "build/world-mutants"
MINUTES = 5.0


@dataclasses.dataclass
class Mutant:
    name: str
    what: str
    path: str
    old: str
    new: str


def read(file):
    what, path, edit = file.read_text().split("\n", 2)
    old, new = edit.removeprefix("<<<<\n").split("====\n")
    return Mutant(file.stem, what, path, old, new.removesuffix(">>>>\n"))


def copy_tree():
    COPY.mkdir(parents=True, exist_ok=True)
    files = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=hunt.ROOT,
                           capture_output=True, check=True).stdout.split(b"\0")
    for name in filter(None, files):
        source, target = hunt.ROOT / os.fsdecode(name), COPY / os.fsdecode(name)
        if source.is_file() and (not target.exists() or target.read_bytes() != source.read_bytes()):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            target.chmod(source.stat().st_mode)


def build():
    """None, or what the compiler said."""
    if not (COPY / "build/build.ninja").exists():
        subprocess.run(["cmake", "-G", "Ninja", "-S", ".", "-B", "build", "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
                        "-DSIGNALBOX_WERROR=OFF"], cwd=COPY, capture_output=True, check=True)
    done = subprocess.run(["cmake", "--build", "build", "--target", "world"], cwd=COPY, capture_output=True, check=False)
    return None if done.returncode == 0 else done.stdout.decode(errors="replace")[-2000:]


def try_one(mutant, workers, minutes):
    file = COPY / mutant.path
    whole = file.read_text()
    if whole.count(mutant.old) != 1:
        return f"does not apply: its text is {whole.count(mutant.old)} times in {mutant.path}", False
    try:
        file.write_text(whole.replace(mutant.old, mutant.new))
        trouble = build()
        if trouble is not None:
            return f"does not build:\n{trouble}", False
        began = time.monotonic()
        count, _, failed = hunt.hunt(COPY / "build/bin/world", range(1, 1 << 30), workers, began + 60 * minutes,
                                     is_quiet=True)
        took = f"{count} stories, {time.monotonic() - began:.0f} s"
        return (f"survived {took}", False) if failed is None else (f"caught after {took}: {failed[1].verdict}", True)
    finally:
        file.write_text(whole)


def run(word, workers, minutes):
    copy_tree()
    caught, all_of_them = 0, [read(file) for file in sorted(FOLDER.glob("*.mutant")) if word in file.stem]
    for mutant in all_of_them:
        result, is_caught = try_one(mutant, workers, minutes or MINUTES)
        caught += is_caught
        print(f"{mutant.name}: {mutant.what}\n    {result}", flush=True)
    print(f"{caught} of {len(all_of_them)} caught")
    return 0 if caught == len(all_of_them) else 1
