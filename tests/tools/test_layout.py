"""tests/layout: check_symbols.py finds circles of files in the objects of a build, check_bounds.py untrue rows of a table."""
import importlib.util
import subprocess

import pytest

from harness import cluster


def module_of(name):
    spec = importlib.util.spec_from_file_location(name, cluster.ROOT / "tests" / "layout" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check_bounds, check_symbols = module_of("check_bounds"), module_of("check_symbols")


def calls_of(tmp_path, monkeypatch, sources):
    """The graph of a tree of which each file of `common` is compiled as a build would."""
    monkeypatch.setattr(check_symbols, "ROOT", tmp_path)
    for name, text in sources.items():
        source = tmp_path / "common" / f"{name}.c"
        source.parent.mkdir(exist_ok=True)
        source.write_text(text)
        target = tmp_path / "build" / "common" / "CMakeFiles" / "sb_x.dir"
        target.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", "-c", str(source), "-o", str(target / f"{name}.c.o")], check=True)
    return check_symbols.graph(tmp_path / "build")


def test_files_in_order_are_no_circle(tmp_path, monkeypatch):
    calls, unused = calls_of(tmp_path, monkeypatch, {
        "a": "void b(void); void a(void) { b(); }", "b": "void c(void); void b(void) { c(); }", "c": "void c(void) {}"})
    assert check_symbols.circles(calls) == []
    assert unused == [("common/a", "a")]


def test_a_circle_of_three_is_found(tmp_path, monkeypatch):
    calls, _ = calls_of(tmp_path, monkeypatch, {
        "a": "void b(void); void a(void) { b(); }", "b": "void c(void); void b(void) { c(); }",
        "c": "void a(void); void c(void) { a(); }", "d": "void a(void); void d(void) { a(); }"})
    assert check_symbols.circles(calls) == [["common/a", "common/b", "common/c"]]
    assert calls["common/c"]["common/a"] == {"a"}


def test_a_table_of_functions_counts_as_a_call(tmp_path, monkeypatch):
    calls, _ = calls_of(tmp_path, monkeypatch, {
        "a": "void b(void); void (*const table[])(void) = {b}; ", "b": "extern void (*const table[])(void); void b(void) { table[0](); }"})
    assert check_symbols.circles(calls) == [["common/a", "common/b"]]


def test_static_functions_do_not_count(tmp_path, monkeypatch):
    calls, _ = calls_of(tmp_path, monkeypatch, {
        "a": "void b(void); static void help(void) {} void a(void) { help(); b(); }", "b": "static void help(void) {} void b(void) { help(); }"})
    assert check_symbols.circles(calls) == []


KNOWN = {"NAMES_MAX": {"common/a.h": "1000"}, "BYTES": {"common/a.h": "(size_t)4 * NAMES_MAX", "common/b.c": "1 << 20"}}


@pytest.mark.parametrize("row, finding", [
    ("| Names | 1,000 `NAMES_MAX` Names | refused | `test_names` |", None),
    ("| Names | 1,001 `NAMES_MAX` Names | refused | `test_names` |", "NAMES_MAX is 1,000"),
    ("| Names | `NAMES_MAX` Names | refused | `test_names` |", "NAMES_MAX is 1,000"),
    ("| bytes | 4,000 `common/a.h:BYTES` | refused | `test_names` |", None),
    ("| bytes | 1,048,576 `common/b.c:BYTES` | refused | `test_names` |", None),
    ("| bytes | 4,000 `BYTES` | refused | `test_names` |", "BYTES: there is no such setting or constant"),
    ("| bytes | 7 `OTHER_MAX` | refused | `test_names` |", "OTHER_MAX: there is no such setting or constant"),
    ("| body | 10 `--max-body` bytes | 413 | `test_names` |", None),
    ("| body | 11 `--max-body` bytes | 413 | `test_names` |", "--max-body is 10"),
    ("| body | 10 `--max-bodies` bytes | 413 | `test_names` |", "--max-bodies: there is no such setting"),
    ("| Names | 1,000 `NAMES_MAX` Names | refused | `test_nothing` |", "there is no test test_nothing"),
    ("| Names | 1,000 `NAMES_MAX` Names | refused | |", "names no test"),
    ("| Names | 1,000 `NAMES_MAX` Names | refused |", "3 columns instead of 4"),
])
def test_a_row_of_the_bounds_is_true(row, finding):
    findings, used = check_bounds.check(row, KNOWN, {"--max-body": 10}, {"test_names"})
    assert findings == [] if finding is None else len(findings) == 1 and finding in findings[0]
    assert used <= {"NAMES_MAX", "BYTES", "OTHER_MAX"}
