"""The table of facts about XNAT is whole, and what it names is there."""

import ast
from collections import Counter
from functools import cache

import pytest
from turn_back import FACT, HELD, LEFT, ROOT, Turn, problem_of, read_rows, recorded

ROWS = read_rows()
# How many rows each table of the references has.
TABLES = {
    "fresh": 21,
    "viewer": 5,
    "containers": 6,
    "nrg-clients": 4,
    "nrg-import": 18,
    "nrg-objects": 13,
    "nrg-forms": 6,
    "nrg-real": 6,
    "engine": 14,
}


@cache
def _names(path):
    """Return the tests of a module, those of classes with the class before them."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    found = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{one.name}" for one in node.body if hasattr(one, "name")}
        elif isinstance(node, ast.FunctionDef):
            found.add(node.name)
    return found


def test_every_row_of_the_references_stands_here_once():
    wanted = [f"{table}-{n}" for table, count in TABLES.items() for n in range(1, count + 1)]
    assert Counter(row.id for row in ROWS) == Counter(wanted)
    assert [row.id for row in ROWS if not row.fact.strip()] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_what_a_row_names_is_there(row):
    assert row.tests
    for name in row.tests:
        path, _, test = name.partition("::")
        assert test.partition("[")[0] in _names(path), name
    for turn in row.turns:
        text = (ROOT / turn.file).read_text("utf-8")
        assert text.count(turn.old) == 1, (turn.file, turn.old)
        assert turn.old != turn.new
        assert turn.test
        assert not turn.file.startswith("tests/")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_each_kind_of_row_has_what_it_needs(row):
    """Rows that lose data, and the faults of our clients, are none that may be left."""
    assert row.answer in (HELD, LEFT, FACT)
    assert bool(row.turns) is (row.answer != LEFT)
    assert row.answer != LEFT or not row.id.startswith("nrg-clients")
    if row.answer == LEFT or row.listed:
        page = " ".join((ROOT / "docs" / "sandbox.md").read_text("utf-8").split())
        assert row.test
        assert row.listed
        assert " ".join(row.listed.split()) in page


def test_every_row_was_turned_back_as_it_stands():
    known = recorded()
    stale = [row.id for row in ROWS if known.get(row.id, {}).get("digest") != row.digest]
    assert stale == [], "run: python tests/sandbox/turn_back.py --new --record"
    assert {row.id: known[row.id]["seen"] for row in ROWS} == {row.id: row.seen for row in ROWS}


@pytest.mark.parametrize(
    ("new", "problem"), [("== 3", ""), ("== 1 + 1", "do not fail"), ("== (", "pytest ended with")]
)
def test_a_test_that_does_not_notice_is_found(tmp_path, new, problem):
    (tmp_path / "turned.py").write_text("def works():\n    return 1 + 1 == 2\n", "utf-8")
    test = "from turned import works\n\n\ndef test_it():\n    assert works()\n"
    (tmp_path / "test_turned.py").write_text(test, "utf-8")
    turn = Turn("turned.py", "== 2", new, ("test_turned.py::test_it",))
    found = problem_of(turn, tmp_path)
    assert problem in found
    assert bool(problem) is bool(found)
    assert "== 2" in (tmp_path / "turned.py").read_text("utf-8")
