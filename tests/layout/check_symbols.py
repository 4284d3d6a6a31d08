#!/usr/bin/python3
"""The floors, as the linker sees them: which file calls which, by the symbols of the objects of a build.

A circle of more than two files is an error, and so is a circle of two that ALLOWED does not name. So is an exported
function that no other file uses, unless FOR_TESTS or BY_TABLE names it.

    tests/layout/check_symbols.py [BUILD]        default: build
    tests/layout/check_symbols.py --graph        prints the graph, a line for each file
"""

import argparse
import collections
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOMS = ("common", "gateway", "broker", "tools")

# Circles of two that stay; docs/architecture.md defends each.
ALLOWED = set()

# Exported for unit tests alone, which look at a part by itself, or set what the world sets otherwise.
FOR_TESTS = {
    "capacity_learn", "clock_freeze", "conn_clear_deadline", "event_table_read_cause", "forward_count",
    "http_status_text", "in_entry_new", "lease_rank", "log_writer_count", "notice_decode", "notice_encode",
    "partition_crc16", "partition_tag", "proxy_header_feed", "proxy_header_wants",
    "reference_group_fits", "reference_read", "registry_member_decode", "script_name", "stream_show_address",
    "table_hash_keyed", "ws_close_code_is_valid",
}
# In the file of the table that names them: functions.def declares all functions of `signalbox` alike.
BY_TABLE = {"api_array", "api_json", "api_log", "api_parse_json", "api_sleep"}


def objects(build):
    """(source, object), the newest of each: a file that has moved to another target leaves its old one behind."""
    newest = {}
    for path in sorted(build.rglob("*.o"), key=lambda path: path.stat().st_mtime):
        relative = path.relative_to(build).as_posix()
        found = re.fullmatch(r"(.+)/CMakeFiles/[^/]+\.dir/(.+)\.c\.o", relative)
        if not found or relative.split("/")[0] not in ROOMS or "__" in found[2]:
            continue
        source = f"{found[1]}/{found[2]}"
        if (ROOT / f"{source}.c").is_file():
            newest[source] = path
    return newest.items()


def symbols(path):
    """(defined, needed) names of one object."""
    defined, needed = set(), set()
    for line in subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout.splitlines():
        kind, name = line.split()[-2:]
        if kind == "U":
            needed.add(name)
        elif kind in "TDBRC":
            defined.add(name)
    return defined, needed


def graph(build):
    """file -> {file it calls -> names}; and who defines what nobody needs."""
    owner, needs = {}, {}
    for source, path in objects(build):
        defined, needed = symbols(path)
        needs[source] = needed
        owner.update((name, source) for name in defined)
    calls = {source: collections.defaultdict(set) for source in needs}
    for source, needed in needs.items():
        for name in needed:
            if owner.get(name, source) != source:
                calls[source][owner[name]].add(name)
    used = set().union(*needs.values())
    unused = sorted((file, name) for name, file in owner.items() if name not in used and name != "main")
    return calls, unused


def circles(calls):
    """The strongly connected parts of more than one file (Tarjan)."""
    number, low, stack, found = {}, {}, [], []

    def visit(at):
        number[at] = low[at] = len(number)
        stack.append(at)
        for to in calls[at]:
            if to not in number:
                visit(to)
                low[at] = min(low[at], low[to])
            elif to in stack:
                low[at] = min(low[at], number[to])
        if low[at] == number[at]:
            part = set()
            while at not in part:
                part.add(stack.pop())
            if len(part) > 1:
                found.append(sorted(part))

    for file in calls:
        if file not in number:
            visit(file)
    return sorted(found, key=len, reverse=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("build", nargs="?", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--graph", action="store_true")
    options = parser.parse_args()
    sys.setrecursionlimit(10000)
    calls, unused = graph(options.build)
    if len(calls) < 100:
        sys.exit(f"{options.build} has the objects of {len(calls)} files: build first (./dev build)")
    if options.graph:
        for file, others in sorted(calls.items()):
            print(file, "->", " ".join(sorted(others)))
    idle = [(file, name) for file, name in unused if name not in FOR_TESTS | BY_TABLE]
    for file, name in idle:
        print(f"{file} exports {name}, which no other file uses")
    bad = [part for part in circles(calls) if frozenset(part) not in ALLOWED]
    for part in bad:
        print(f"a circle of {len(part)} files, each of which calls another of them:")
        for file in part:
            for other in sorted(set(calls[file]) & set(part)):
                print(f"    {file} -> {other}: {' '.join(sorted(calls[file][other]))}")
    sys.exit(1 if bad or idle else 0)


if __name__ == "__main__":
    main()
