"""Every row S1 to S229 is named by a test, or docs/conformance.md says why it does not apply."""
import pathlib
import re

import pytest

from harness import cluster as harness_cluster
from conformance_world import left_out

HERE = pathlib.Path(__file__).parent


def named_rows():
    """Rows in the names and docstrings of the tests."""
    rows = set()
    for path in HERE.glob("test_*.py"):
        for name, first_line in re.findall(r'def (test_\w+)\([^)]*\):\n(?:    """([^\n]*))?', path.read_text()):
            rows |= {int(row) for row in re.findall(r"\bS(\d+)\b", name.replace("_", " ") + " " + first_line)}
    return rows


def documented_rows():
    text = (harness_cluster.ROOT / "docs" / "conformance.md").read_text()
    return {int(row) for row in re.findall(r"^\| S(\d+) \|", text, re.MULTILINE)}


@pytest.mark.parametrize("heading", ["## Over event streams", "## Over channels"])
def test_what_is_left_out_is_there(heading):
    tests = {name for path in HERE.glob("test_*.py") for name in re.findall(r"def (test_\w+)\(", path.read_text())}
    assert left_out(heading) <= tests and left_out(heading)


def test_every_row_is_named():
    assert sorted(set(range(1, 230)) - named_rows() - documented_rows()) == []


def test_no_row_is_invented():
    assert named_rows() | documented_rows() <= set(range(1, 230))
