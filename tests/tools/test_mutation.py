"""tests/mutation: the mutants of a small file are those that it should have, and the map of coverage moves with the text."""
import importlib
import subprocess
import sys

import pytest

from harness import cluster

FOLDER = cluster.ROOT / "tests" / "mutation"
SAMPLE = FOLDER / "sample.c"
sys.path.insert(0, str(FOLDER))
coverage, mutants, mutate, runner = (importlib.import_module(name) for name in ("coverage", "mutants", "mutate", "runner"))


@pytest.fixture(scope="module")
def sample():
    return mutants.of_c(SAMPLE, "sample.c", ["-std=c11"])


def words(found, function):
    return {(m.operator, mutants.squeeze(m.original), mutants.squeeze(m.mutated)) for m in found if m.function == function}


@pytest.mark.parametrize("function, wanted", [
    ("is_within", {("operator", "length <= LENGTH_MAX", "length < LENGTH_MAX"), ("operator", "length <= LENGTH_MAX", "length > LENGTH_MAX"),
                   ("off by one", "LENGTH_MAX", "(LENGTH_MAX + 1)"), ("off by one", "LENGTH_MAX", "(LENGTH_MAX - 1)"),
                   ("negation", "length <= LENGTH_MAX", "!(length <= LENGTH_MAX)"),
                   ("early return", "", "return false;"), ("early return", "", "return true;")}),
    ("kind_of", {("operator", "length == 0 || !is_loud", "length == 0 && !is_loud"), ("operand dropped", "length == 0 || !is_loud", "!is_loud"),
                 ("operand dropped", "length == 0 || !is_loud", "length == 0"), ("operator", "!is_loud", "is_loud"),
                 ("branch dropped", "length == 0 || !is_loud", "false"), ("always", "length == 0 || !is_loud", "true"),
                 ("flag", "KIND_NONE", "KIND_ONE"), ("flag", "KIND_TWO", "KIND_NONE"), ("flag", "KIND_ONE", "KIND_TWO"),
                 ("branch dropped", "length > 1 ? KIND_TWO : KIND_ONE", "KIND_TWO"), ("off by one", "0", "1")}),
    ("rest", {("null", "text", "NULL"), ("early return", "", "return NULL;"), ("statement dropped", "text++;", ";"),
              ("operator", "text++", "text--"), ("operator", "skip-- > 0", "skip-- >= 0")}),
    ("both", {("statement dropped", "first();", ";"), ("statement dropped", "break;", ";"), ("statement dropped", "calls = 3;", ";"),
              ("statements swapped", "first(); second()", "second(); first()"), ("off by one", "5", "(5 - 1)"), ("operator", "i == 5", "i != 5")}),
    ("backwards", {("arguments swapped", "b, a", "a, b")}),
])
def test_a_function_has_its_mutants(sample, function, wanted):
    assert wanted - words(sample, function) == set()


def test_our_own_errors_are_not_mutated(sample):
    assert [m for m in sample if "MUST" in m.original and m.operator == "statement dropped"] == []


def test_each_mutant_is_one_change_that_is_named_once(sample):
    source = SAMPLE.read_bytes()
    assert len({m.id for m in sample}) == len(sample)
    for mutant in sample:
        assert source[mutant.start:mutant.end].decode() == mutant.original
        assert mutant.apply(source) != source
        assert mutant.line == source.count(b"\n", 0, mutant.start) + 1 or mutant.operator == "early return"


def test_a_mutant_keeps_its_name_when_the_file_grows(sample, tmp_path):
    grown = tmp_path / "sample.c"
    grown.write_text("\n\n\n" + SAMPLE.read_text())
    moved = mutants.of_c(grown, "sample.c", ["-std=c11"])
    assert [m.id for m in moved] == [m.id for m in sample]
    assert [m.line - 3 for m in moved] == [m.line for m in sample]


def test_mutants_live_or_die_as_they_should(sample, tmp_path):
    """A test that holds the bound and one beyond kills what moves it; without them it survives."""
    check = 'int main(void) { return !(is_within(%d) && !is_within(%d)); }'
    chosen = [m for m in sample if m.function == "is_within" and (m.operator == "off by one" or m.mutated.startswith("length <"))]
    assert len(chosen) == 3
    for within, beyond, killed in ((8, 9, 3), (1, 100, 0)):
        died = 0
        for mutant in chosen:
            source, program = tmp_path / "m.c", tmp_path / "m"
            source.write_bytes(mutant.apply(SAMPLE.read_bytes()) + (check % (within, beyond)).encode())
            subprocess.run(["cc", "-w", "-o", str(program), str(source)], check=True)
            died += subprocess.run([str(program)]).returncode != 0
        assert died == killed


SCRIPT = b"""#!lua
-- Not a <= b, this is a comment.
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('EXPIRE', KEYS[1], ARGV[2], 'NX')
return 1
"""


@pytest.mark.parametrize("operator, original, mutated", [
    ("operator", "if held and held ~= ARGV[1] then return 0 end", "if held or held ~= ARGV[1] then return 0 end"),
    ("operator", "if held and held ~= ARGV[1] then return 0 end", "if held and held == ARGV[1] then return 0 end"),
    ("negation", "if held and held ~= ARGV[1] then return 0 end", "if not (held and held ~= ARGV[1]) then return 0 end"),
    ("off by one", "return 1", "return 0"),
    ("off by one", "local held = redis.call('GET', KEYS[1])", "local held = redis.call('GET', KEYS[2])"),
    ("option dropped", "redis.call('EXPIRE', KEYS[1], ARGV[2], 'NX')", "redis.call('EXPIRE', KEYS[1], ARGV[2])"),
    ("statement dropped", "redis.call('EXPIRE', KEYS[1], ARGV[2], 'NX')", ""),
])
def test_a_script_has_its_mutants(operator, original, mutated):
    found = mutants.of_lua(SCRIPT, "scripts/held.lua")
    assert (operator, original, mutated) in words(found, "held")
    assert not any("comment" in m.original for m in found)


def test_the_map_moves_with_the_text(tmp_path, monkeypatch):
    monkeypatch.setattr(coverage, "ROOT", tmp_path)
    monkeypatch.setattr(coverage, "FOLDER", tmp_path / "map")
    (tmp_path / "test_a.c").write_text("test")
    (tmp_path / "a.c").write_text("one\ntwo\nthree\nfour\n")
    coverage.Coverage().store("a", "test_a.c", 1.0, {"a.c": [2, 4]})
    (tmp_path / "a.c").write_text("zero\none\ntwo\nnew\nthree\nfour\n")
    later = coverage.Coverage()
    assert later.lines("a", "a.c") == {3, 4, 6}  # a new line has the tests of the line above
    assert later.reaching("a.c", [4]) == ["a"] and later.reaching("a.c", [5]) == []
    assert later.stale([("a", "test_a.c")]) == []
    (tmp_path / "test_a.c").write_text("test more")
    assert later.stale([("a", "test_a.c")]) == [("a", "test_a.c")]


def test_the_cheapest_tests_come_first_and_within_their_seconds():
    assert [runner.distance(test, "common/bus/log/gap") for test in
            ("common/bus/log/gap", "common/bus/log/follow", "common/json/json_text", "gateway/conn/conn")] == [0, 1, 2, 3]
    cost = {"a": 50, "b": 40, "c": 5}.get
    assert runner.within("abc", cost, 60) == ["a", "c"]
    assert runner.within("abc", cost, 1) == ["a"]
    assert runner.within("abc", cost, 0) == [] and runner.within("", cost, 60) == []


def test_equivalent_mutants_have_a_reason_and_a_file():
    reasons = mutate.read_equivalents(mutate.EQUIVALENTS.read_text())
    assert [key for key in reasons if not (cluster.ROOT / key.split(" :: ")[0]).exists()] == []
    with pytest.raises(SystemExit):
        mutate.read_equivalents("common/a.c :: f :: a => b")


def test_lines_of_a_branch_are_those_of_its_diff(monkeypatch):
    diff = "+++ b/common/a.c\n@@ -1,0 +5,2 @@\n@@ -9 +11 @@\n+++ b/common/b.c\n@@ -3,2 +2,0 @@\n"
    monkeypatch.setattr(mutate.subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, 0, stdout=diff))
    assert mutate.changed_lines() == {"common/a.c": {5, 6, 11}, "common/b.c": set()}


def test_the_report_counts_by_room(sample):
    by_id = {m.id: m for m in sample[:4]}
    results = dict(zip(by_id, ({"result": r} for r in (runner.KILLED, runner.KILLED, runner.SURVIVED, runner.EQUIVALENT))))
    assert "|  | 4 | 2 | 1 | 0 | 1 | 67 % |" in mutate.table(results, by_id)


@pytest.mark.parametrize("file", sorted((cluster.ROOT / "tests" / "world" / "mutants").glob("*.mutant")), ids=lambda f: f.stem)
def test_each_mistake_of_the_world_fits_the_code(file):
    """Else `./dev world --mutants` says nothing of it."""
    _, path, edit = file.read_text().split("\n", 2)
    old, new = edit.removeprefix("<<<<\n").removesuffix(">>>>\n").split("====\n")
    assert (cluster.ROOT / path).read_text().count(old) == 1 and old != new
