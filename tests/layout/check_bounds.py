#!/usr/bin/python3
"""docs/bounds.md says what bounds each value that comes from outside. Is it true, and is it all?

A row is `| what | bound | at the bound | test |`. In its second column a constant or a flag stands in backticks after its
value: 1,000 `ADDRESS_LIST_MAX`, 16,384 `--max-head-bytes`. The value has to be what the code says. A name that two files
use is written with its file: `common/app/lua/sandbox.c:FILE_MAX_BYTES`. Each name in the fourth column has to be a test: a
Python test, a cmocka test or a fuzzer. A constant of the product that ends with _MAX or _LIMIT (and a unit, perhaps) and is in no
row has to be in INTERNAL.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOMS = ("common", "gateway", "broker", "tools")
TABLE = "docs/bounds.md"

# What a constant bounds when it is no value from outside.
INTERNAL = {
    "sizes of texts that we write ourselves": """
        ABOUT_TEXT_MAX WS_REASON_MAX DELIVERY_CLOSE_MAX ERROR_MAX MISMATCH_MAX PORT_WHY_MAX REPORT_LINE_MAX REPORT_LINES_MAX SHOWN_MAX
        SUGGEST_WORD_MAX SUPERVISOR_STATUS_MAX TROUBLE_AT_MAX TROUBLE_WHY_MAX WHY_MAX WS_HEADER_IN_MAX WS_HEADER_OUT_MAX
        SSE_CHUNK_HEADER_MAX
        DEFLATE_STORED_MAX DEFLATE_WINDOW_MAX WINDOW_BITS_MAX MEMORY_LEVEL_MAX GIVE_MAX TAKE_MAX
        HEARTBEAT_VALUE_MAX LIVENESS_ID_MAX REAP_GATEWAY_MAX TABLE_COLUMNS_MAX FLEET_NAME_MAX HTTP_ORIGIN_TEXT_MAX
        CHILD_NAME_MAX TOOL_URL_MAX UP_URL_MAX NAME_MAX_BYTES SOCKET_PATH_MAX""",
    "sizes of our own tables, buffers and batches": """
        BEHIND_MAX CHILD_ARGUMENTS_MAX COPIES_MAX REPLY_FEED_MAX GATHER_MAX KEEP_MAX KEEP_TLS_MAX LISTENERS_MAX OUTPUT_KEEP_MAX OUTQ_SHARED_MAX
        OUT_KEEP_MAX READ_MAX REDIS_SETTINGS_MAX REFUSALS_MAX STREAM_BUFS_MAX STRIDE_MAX TLS_RECORD_MAX
        TOOL_PASSED_MAX UP_DAEMONS_MAX UP_MEMBERS_MAX UTF8_MAX AROUND_MAX OUTSTANDING_MAX FORWARD_INDEX_MAX""",
    "how long or how often we try": """
        CLOCK_MAX_MS TICK_MAX_US CUTS_MAX FRUITLESS_MAX LOCK_TRY_MAX_MS RETRY_MAX_MS TICK_MAX_MS TRIES_MAX TRY_MAX_MS UNFIT_MAX_MS
        LEAST_RATE_MAX UNREAD_MAX_US""",
    "what the operator's own tools take, and the ranges of settings": """
        LINE_MAX_BYTES PARTITIONS_MAX PORT_MAX PROCESSES_MAX KEPT_MAX""",
}


def sources():
    for room in ROOMS:
        yield from sorted((ROOT / room).rglob("*.[ch]"))


def constants():
    """name -> {file: expression}, of every enumerator that looks like a bound or is named in the table."""
    found = {}
    for path in sources():
        text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", path.read_text(), flags=re.S)
        for body in re.findall(r"\benum\b[^{;()]*\{([^}]*)\}", text):
            for name, value in re.findall(r"\b([A-Z][A-Z0-9_]+)\s*=\s*([^,}]+)", body):
                found.setdefault(name, {})[path.relative_to(ROOT).as_posix()] = value.strip()
        for name, value in re.findall(r"^#define ([A-Z][A-Z0-9_]+) +(\S.*)$", text, re.M):
            found.setdefault(name, {})[path.relative_to(ROOT).as_posix()] = value
    return found


def evaluate(expression, known, depth=0):
    """The number, or None when it is not plain arithmetic on constants."""
    def number_of(match):
        files = known.get(match[0], {})
        value = evaluate(next(iter(files.values())), known, depth + 1) if len(files) == 1 and depth < 5 else None
        return "None" if value is None else str(value)
    expression = re.sub(r"\((size_t|lua_Integer)\)", "", expression)
    expression = re.sub(r"\b[A-Z][A-Z0-9_]*\b", number_of, re.sub(r"(?<=\d)[uUlL]+\b", "", expression))
    if not re.fullmatch(r"[\d\sxa-fA-F+*/()<>-]+", expression):
        return None
    try:
        return int(eval(expression.replace("/", "//"), {"__builtins__": {}}))  # digits and operators alone
    except (SyntaxError, ArithmeticError):
        return None


def defaults():
    """flag -> default of settings.def."""
    text = (ROOT / "common/base/settings.def").read_text()
    return {"--" + field.replace("_", "-"): int(value)
            for field, value in re.findall(r"^NUMBER\((\w+), [^,]+, (\d+),", text, re.M)}


def tests():
    """Their names, and `file::name` for a name that says too little."""
    names = set()
    for pattern, test in ("*.py", r"^\s*def (test_\w+)\("), ("*.c", r"^static void (\w+)\(void \*\*\w+\)"):
        for path in (ROOT / "tests").rglob(pattern):
            found = re.findall(test, path.read_text(), re.M)
            names.update(found, (f"{path.name}::{name}" for name in found))
    names.update(path.stem for path in (ROOT / "tests/fuzz").glob("fuzz_*.c"))
    return names


def rows(text):
    """(line number, cells) of each row of the tables, without their heads."""
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| ") and cells[0] != "what":
            yield number, cells


def check_bound(cell, known, flags):
    """(the constants of a cell, what is wrong with it)."""
    used, wrong = set(), []
    for value, name in re.findall(r"(?:([\d,]*\d)\s+)?`([^`]+)`", cell):
        file, _, name = name.rpartition(":")
        if name.startswith("--"):
            is_there, real = name in flags, flags.get(name)
        else:
            files = known.get(name, {})
            used.add(name)
            is_there = file in files if file else len(files) == 1
            real = evaluate(files[file] if file else next(iter(files.values())), known) if is_there else None
        if not is_there:
            wrong.append(f"{name}: there is no such setting or constant, or several files have it")
        elif real is not None and value.replace(",", "") != str(real):
            wrong.append(f"{name} is {real:,}")
    if not used and not re.search(r"`--", cell) and "`" in cell:
        wrong.append(f"{cell}: names neither a constant nor a flag")
    return used, wrong


def check(text, known, flags, known_tests):
    """What is wrong with the table; and which constants it names."""
    findings, used = [], set()
    for number, cells in rows(text):
        if len(cells) != 4:
            findings.append(f"{TABLE}:{number}: {len(cells)} columns instead of 4")
            continue
        names, wrong = check_bound(cells[1], known, flags)
        used |= names
        named = re.findall(r"`([\w.:]+)`", cells[3])
        wrong += [f"there is no test {name}" for name in named if name not in known_tests]
        if not named:
            wrong.append("names no test")
        findings += [f"{TABLE}:{number}: {one}" for one in wrong]
    return findings, used


def main():
    known = constants()
    findings, used = check((ROOT / TABLE).read_text(), known, defaults(), tests())
    internal = set(" ".join(INTERNAL.values()).split())
    looks_like = {name for name in known if re.search(r"_(MAX|LIMIT)(_[A-Z]+)?$", name)}
    findings += [f"{name} ({', '.join(known[name])}) is neither in {TABLE} nor in INTERNAL of this check"
                 for name in sorted(looks_like - used - internal)]
    findings += [f"INTERNAL names {name}, which is no constant of the product" for name in sorted(internal - set(known))]
    findings += [f"INTERNAL names {name}, which has a row in {TABLE}" for name in sorted(internal & used)
                 if len(known[name]) == 1]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
