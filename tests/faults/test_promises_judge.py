"""The judge of test_promises.py itself: a clean run has no findings, and each doctored one is found out."""
import pytest

from promises import UNKNOWN, Clients, findings_of

LOGS = {"a": [((1, 1), "me:0"), ((1, 4), "you:0"), ((2, 1), "me:2"), ((2, 2), "last:a")],
        "b": [((1, 7), "me:1"), ((3, 1), "last:b")]}

CLEAN = [
    {"c": "me", "k": "open", "name": "a", "recovered": None, "id": "1-0"},
    {"c": "me", "k": "said", "uid": "me:0", "name": "a"},
    {"c": "me", "k": "message", "id": "1-1", "uid": "me:0"},
    {"c": "me", "k": "said", "uid": "me:1", "name": "b"},
    {"c": "me", "k": "acked", "uid": "me:0", "id": "1-1"},
    {"c": "me", "k": "open", "name": "a", "recovered": True, "id": "1-5"},
    {"c": "me", "k": "acked", "uid": "me:1", "id": None},
    {"c": "you", "k": "open", "name": "a", "recovered": None, "id": "1-2"},
    {"c": "you", "k": "said", "uid": "you:0", "name": "a"},
    {"c": "me", "k": "message", "id": "1-4", "uid": "you:0"},
    {"c": "you", "k": "message", "id": "1-4", "uid": "you:0"},
    {"c": "you", "k": "failed", "uid": "you:0", "code": UNKNOWN},
    {"c": "me", "k": "said", "uid": "me:2", "name": "a"},
    {"c": "me", "k": "message", "id": "2-1", "uid": "me:2"},
    {"c": "you", "k": "message", "id": "2-1", "uid": "me:2"},
    {"c": "me", "k": "acked", "uid": "me:2", "id": "2-1"},
    {"c": "me", "k": "message", "id": "2-2", "uid": "last:a"},
    {"c": "you", "k": "message", "id": "2-2", "uid": "last:a"},
]


def judge(lines=CLEAN, logs=None, **options):
    book = Clients()
    for line in lines:
        book.note(line)
    return findings_of(book, logs or LOGS, **options)


def without(**fields):
    """The clean run without its first line that has these."""
    at = next(n for n, line in enumerate(CLEAN) if fields.items() <= line.items())
    return CLEAN[:at] + CLEAN[at + 1:]


def instead(change, **fields):
    return [{**line, **change} if fields.items() <= line.items() else line for line in CLEAN]


def test_a_clean_run_has_no_findings():
    assert judge() == []


@pytest.mark.parametrize("lines, logs, finding", [
    (CLEAN, {**LOGS, "b": [((1, 6), "me:1"), *LOGS["b"]]}, "me:1 was published 2 times"),
    (CLEAN, {**LOGS, "b": [((3, 1), "last:b")]}, "me:1 was acknowledged and never published"),
    (CLEAN, {**LOGS, "a": [LOGS["a"][2], *LOGS["a"][:2], LOGS["a"][3]]}, "me:0 was published after me:2"),
    (without(k="acked", uid="me:2"), LOGS, "me:2 has no answer"),
    (instead({"id": "9-9"}, k="acked", uid="me:2"), LOGS, "me:2 was acknowledged as (9, 9)"),
    ([*CLEAN, {"c": "me", "k": "acked", "uid": "me:2", "id": "2-1"}], LOGS, "me:2 was acknowledged 2 times"),
    (instead({"code": "level"}, k="failed"), LOGS, "you:0 failed with level, and was published"),
    (without(c="me", k="message", uid="you:0"), LOGS, "me of a: got me:2 ((2, 1)) without ['you:0']"),
    (without(c="you", k="message", uid="last:a"), LOGS, "you of a: lacks the last 1"),
    ([*CLEAN, {"c": "me", "k": "message", "id": "2-2", "uid": "last:a"}], LOGS, "me of a: got last:a ((2, 2)) again"),
    ([*CLEAN[:10], {"c": "me", "k": "message", "id": "1-1", "uid": "me:0"}, *CLEAN[10:]], LOGS, "me of a: got me:0 ((1, 1)) again"),
    (instead({"id": "2-3"}, c="me", k="message", uid="me:2"), LOGS, "me of a: got me:2 as (2, 3), which was not published"),
    (instead({"uid": "x"}, c="me", k="message", uid="me:2"), LOGS, "me of a: got x as (2, 1), which was not published"),
    ([*CLEAN, {"c": "me", "k": "gap"}], LOGS, "me of a: was told of a gap"),
    ([*CLEAN, {"c": "me", "k": "trouble", "what": "oops"}], LOGS, "me: oops"),
    ([*CLEAN, {"c": "it", "k": "gap"}], LOGS, "it never got a hello"),
])
def test_what_is_doctored_is_found(lines, logs, finding):
    assert any(found.startswith(finding) for found in judge(lines, logs)), judge(lines, logs)


def test_a_gap_that_is_told_is_no_hole():
    at = next(n for n, line in enumerate(CLEAN) if line.get("uid") == "you:0" and line["c"] == "me")
    lines = [*CLEAN[:at], {"c": "me", "k": "gap"}, *CLEAN[at + 1:]]
    assert judge(lines, may_gap=True) == []
    assert judge(CLEAN[:at] + CLEAN[at + 1:], may_gap=True) != []
