"""Turn the sandbox and the suite back, row by row, and see that the tests notice.

``python tests/sandbox/turn_back.py [ROW ...] [--record]``, by hand. Each row of `turned_back.toml`
names a fact about XNAT, the tests that hold it, and small edits that restore a kinder behaviour.
The packages are copied into a temporary folder; there every named test must pass as things are, and
fail once an edit is made. With ``--record`` what was seen goes into `turned_back.json`, from which
the table of the documents is made.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "tests" / "sandbox" / "turned_back.toml"
RECORD = TABLE.with_suffix(".json")
HELD, LEFT, FACT = "held", "left", "fact"
SEEN = {HELD: "fails when turned back", LEFT: "501, listed", FACT: "fails when turned back"}
_COPIED = (
    *("mri2dicom", "pipelines", "private_dictionaries", "sandbox", "uploader", "xnat_config"),
    *("xnat_pic", "tests", "docs", "docker-xnat", "benchmarks"),
)
_FILES = ("pyproject.toml", "setup.cfg", "README.md", "CHANGELOG.md", "Makefile")
_BASE_S, _TURN_S = 5400, 900  # some tests wait three minutes for what does not come
_FAILED = re.compile(r"^FAILED (\S+?::[^\s\[]+)(\[.*?\])?(?: - |$)", re.MULTILINE)


@dataclass(frozen=True)
class Turn:
    """An edit that turns something back: the file, the text that stands there, and another one."""

    file: str
    old: str
    new: str
    test: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """A fact about XNAT; `listed` is what the documents say of one that is left."""

    id: str
    fact: str
    answer: str
    turns: tuple[Turn, ...]
    test: tuple[str, ...]
    listed: str

    @property
    def tests(self) -> list[str]:
        """Every test of the row."""
        return sorted({*self.test, *(name for turn in self.turns for name in turn.test)})

    @property
    def seen(self) -> str:
        """What is said of the row once its tests were seen to notice."""
        return SEEN[self.answer] + ("; the rest is listed" if self.turns and self.listed else "")

    @property
    def digest(self) -> str:
        """Changes with what was turned back and with what held it."""
        turns = [(one.file, one.old, one.new, one.test) for one in self.turns]
        text = json.dumps([self.answer, turns, self.test, self.listed])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_rows(path: Path = TABLE) -> list[Row]:
    """Return the rows of the table."""
    return [_row(one) for one in tomllib.loads(path.read_text("utf-8"))["row"]]


def _row(told: dict[str, Any]) -> Row:
    turns = tuple(
        Turn(one["file"], one["old"], one["new"], tuple(one["test"]))
        for one in told.get("turn", ())
    )
    answer, test = told.get("answer", HELD), tuple(told.get("test", ()))
    return Row(told["id"], told["fact"], answer, turns, test, told.get("listed", ""))


def copy_packages(target: Path) -> None:
    """Copy what the tests need, without what earlier runs compiled."""
    for name in _COPIED:
        pictures = ["images"] if name == "docs" else []
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc", *pictures)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=ignored)
    for name in _FILES:
        shutil.copy(ROOT / name, target / name)


def run_tests(folder: Path, tests: Sequence[str], seconds: float) -> tuple[int, str]:
    """Run tests in a copy; return the status of pytest and what it said."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    words = ["-q", "-p", "no:cacheprovider", "--durations=0", "--tb=line", *tests]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *words],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return -1, f"not done within {seconds:.0f} s"
    return done.returncode, done.stdout[-20_000:] + done.stderr[-2_000:]


def problem_of(turn: Turn, folder: Path) -> str:
    """Make an edit in a copy, run its tests and take it back; return what is wrong, or nothing."""
    path = folder / turn.file
    text = path.read_text("utf-8")
    if text.count(turn.old) != 1:
        return f"the old text stands {text.count(turn.old)} times in {turn.file}"
    path.write_text(text.replace(turn.old, turn.new), "utf-8")
    try:
        status, said = run_tests(folder, turn.test, _TURN_S)
    finally:
        path.write_text(text, "utf-8")
    if status not in (0, 1):
        return f"pytest ended with {status}: {said[-1500:]}"
    failed = _failed(said)
    passed = [name for name in turn.test if name not in failed]
    return f"these do not fail: {', '.join(passed)}\n{said[-1500:]}" if passed else ""


def _failed(said: str) -> set[str]:
    """Return the tests that failed, with and without their parameters."""
    found = _FAILED.findall(said)
    return {name for name, _ in found} | {name + part for name, part in found}


def failing_as_things_are(folder: Path, tests: Sequence[str]) -> set[str]:
    """Return the tests that fail before anything is turned back; each has a second try."""
    failed = set(tests)
    for _ in range(2):
        status, said = run_tests(folder, sorted(failed), _BASE_S)
        if status == 0:
            return set()
        if status != 1:
            raise click.ClickException(f"pytest ended with {status}: {said[-3000:]}")
        failed = {name for name in tests if name in _failed(said)}
    return failed


def check_rows(rows: Sequence[Row], folder: Path) -> dict[str, str]:
    """Return the problem of each row, empty for none."""
    copy_packages(folder)
    every = sorted({name for row in rows for name in row.tests})
    click.echo(f"{len(every)} tests as things are ...")
    broken = failing_as_things_are(folder, every)
    found = {}
    for row in rows:
        problems = [f"{name} fails as things are" for name in row.tests if name in broken]
        problems += [problem_of(turn, folder) for turn in row.turns]
        found[row.id] = "\n".join(filter(None, problems))
        click.echo(f"{row.id}: {found[row.id] or row.seen}")
    return found


def recorded() -> dict[str, dict[str, str]]:
    """Return what was seen of each row, and the digest of the row at that time."""
    if not RECORD.is_file():
        return {}
    known: dict[str, dict[str, str]] = json.loads(RECORD.read_text("utf-8"))
    return known


def _record(rows: Sequence[Row], problems: dict[str, str]) -> None:
    order = [row.id for row in read_rows()]
    known = {name: one for name, one in recorded().items() if name in order}
    for row in rows:
        known.pop(row.id, None)
        if not problems[row.id]:
            known[row.id] = {"digest": row.digest, "seen": row.seen}
    kept = {name: known[name] for name in order if name in known}
    RECORD.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")


@click.command()
@click.argument("names", nargs=-1, metavar="[ROW]...")
@click.option("--record", is_flag=True, help="Write what was seen beside the table.")
@click.option("--new", is_flag=True, help="Only rows whose record is missing or out of date.")
def main(names: tuple[str, ...], record: bool, new: bool) -> None:
    """Turn back each ROW (all; a name may be the beginning of several) and run its tests."""
    known = recorded()
    rows = [
        row
        for row in read_rows()
        if (not names or row.id.startswith(names))
        and not (new and known.get(row.id, {}).get("digest") == row.digest)
    ]
    if not rows:
        raise click.ClickException("there is no such row")
    with tempfile.TemporaryDirectory(prefix="turned-back-") as folder:
        problems = check_rows(rows, Path(folder))
    if record:
        _record(rows, problems)
    bad = [name for name, problem in problems.items() if problem]
    click.echo(f"{len(rows) - len(bad)} of {len(rows)} rows are held.")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
