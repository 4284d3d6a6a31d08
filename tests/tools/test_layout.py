"""tests/layout/check_symbols.py finds circles of files in the objects of a build."""
import importlib.util
import subprocess

from harness import cluster

spec = importlib.util.spec_from_file_location("check_symbols", cluster.ROOT / "tests" / "layout" / "check_symbols.py")
check_symbols = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_symbols)


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
