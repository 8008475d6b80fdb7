"""How results look on a terminal, and as JSON."""

from __future__ import annotations

import os
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from xnat_pic.text import counted, printable

from ..findings import IDENTITY_CONFIRMED, Finding, Level, group_by_message, messages_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..control import Progress
    from ..planning.plan import Plan
    from ..transfer.plan_upload import RowResult, UploadResult
    from ..transfer.variable_changes import VariableChange, VariableDifferences
    from ..verification.levels import ProofLevel, RowVerification
    from ..verification.plan_check import RowCheck

_STYLES = {"error": "red", "failed": "red", "warning": "yellow"}


def _print(text: str, style: str = "") -> None:
    click.secho(printable(text, "?"), err=True, fg=style or None)


def _table(heads: tuple[str, ...], rows: list[list[str]], numbers: tuple[str, ...] = ()) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 120
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    for head in numbers:
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        # Names come from files: none of them is markup.
        table.add_row(*(Text(printable(cell, "?")) for cell in row))
    console.print(table)


def _print_messages(messages: Iterable[tuple[str, str, str]], rows: int) -> None:
    """Show messages about rows, each of them once."""
    for level, lines in group_by_message(messages, rows):
        for line in lines:
            _print(line, _STYLES.get(level, ""))


def print_finding(finding: Finding) -> None:
    """Show a finding that concerns no single row."""
    level = finding.level.value
    _print(f"{level}: {finding.message}", _STYLES.get(level, ""))


def print_warnings(texts: Iterable[str]) -> None:
    """Show what concerns no single row and is worth a look."""
    for text in texts:
        _print(f"warning: {text}", "yellow")


def print_plan(one: Plan) -> None:
    """Show what a scan found."""
    if one.rows:
        names = list(dict.fromkeys(name for row in one.rows for name in row.variables))
        _table(
            ("subject", "session", *names),
            [
                [
                    row.subject,
                    row.session,
                    *(row.variables.get(name, "") for name in names),
                    str(row.scans),
                    str(row.files),
                    f"{row.bytes / 2**20:.1f}",
                ]
                for row in one.rows
            ],
            numbers=("scans", "files", "MiB"),
        )
    for finding in one.findings:
        print_finding(finding)
    _print_messages(
        [
            (finding.level.value, row.session or row.source, finding.message)
            for row in one.rows
            for finding in row.findings
        ],
        len(one.rows),
    )


def print_checks(rows: list[RowCheck]) -> None:
    """Show a comparison; the bad rows last, with what to do."""
    _table(
        ("session", "subject", "is", "files to send"),
        [[one.row.session, one.row.subject, one.verdict.value, str(one.missing)] for one in rows],
    )
    _print_messages(
        [
            (finding.level.value, one.row.session or one.row.source, finding.message)
            for level in Level
            for one in rows
            for finding in one.findings
            if finding.level is level
        ],
        len(rows),
    )
    bad = sum(one.has_errors for one in rows)
    if bad:
        _print(f"{bad} of {len(rows)} rows cannot be uploaded as they stand.", "red")
    counts = Counter(one.verdict.value for one in rows)
    kinds = ", ".join(f"{count} {name}" for name, count in counts.items())
    _print(
        f"Rows: {kinds}; {sum(one.missing for one in rows if not one.has_errors)} files to send."
    )


def check_as_json(one: RowCheck) -> dict[str, Any]:
    """Return a row's comparison as JSON values."""
    return {
        "key": one.row.key,
        "session": one.row.session,
        "subject": one.row.subject,
        "verdict": one.verdict.value,
        "missing": one.missing,
        "findings": [
            {"code": f.code, "level": f.level.value, "message": f.message} for f in one.findings
        ],
    }


def print_upload(result: UploadResult) -> None:
    """Show how an upload ended."""
    included = [row for row in result.rows if row.outcome.value != "left out"]
    _print_messages(
        [
            ("warning", one.row.session, message)
            for one in included
            for message in messages_of(one.row.findings, IDENTITY_CONFIRMED)
        ],
        len(included),
    )
    refused = [
        (row.outcome.value, row.row.session, row.reason) for row in included if _is_refused(row)
    ]
    _print_messages(refused, len(included))
    counts = Counter(row.outcome.value for row in result.rows)
    for problem in result.problems:
        _print(problem.sentence(), "red")
    kinds = ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing to upload"
    _print(f"Sessions: {kinds}.")


def _is_refused(row: RowResult) -> bool:
    """Tell whether nothing of a row was sent, because of what `check` says of it."""
    return row.outcome.value == "failed" and row.error is None


def upload_as_json(result: UploadResult) -> dict[str, Any]:
    """Return how an upload ended as JSON values."""
    return {
        "rows": [
            {
                "key": one.row.key,
                "session": one.row.session,
                "outcome": one.outcome.value,
                "reason": one.reason,
            }
            for one in result.rows
        ],
        "problems": [one.sentence() for one in result.problems],
    }


def print_verifications(
    rows: list[RowVerification], problems: list[str], uploads: int, asked: ProofLevel
) -> None:
    """Show what a verification found; `problems` are those of so many files beside the images."""
    _table(
        ("session", "planned", "found", "checksummed", "pixels equal", "is"),
        [
            [
                one.row.session,
                str(one.planned),
                str(one.found),
                str(one.checksummed),
                str(one.pixels_equal),
                one.proof,
            ]
            for one in rows
        ],
    )
    _print_messages(
        [("note", one.row.session, text) for one in rows for text in one.notes], len(rows)
    )
    _print_messages(
        [("error", one.row.session, text) for one in rows for text in one.problems], len(rows)
    )
    for text in problems:
        _print(text, "red")
    counts = Counter(one.level.value for one in rows)
    _print(f"Sessions: {', '.join(f'{count} {name}' for name, count in counts.items())}.")
    _print(f"Compared: {asked.text}")
    weaker = sum(not one.is_proved and not one.problems for one in rows)
    if weaker:
        _print(f"{weaker} of {len(rows)} sessions are not proved by {asked.value}.", "yellow")
    if counts["counted"] or counts["sized"]:
        _print("Counted or sized is no proof: no content of those files was compared.", "yellow")
    if uploads:
        _print(f"Files beside the images: {uploads - len(problems)} of {uploads} are as sent.")


def verification_as_json(one: RowVerification) -> dict[str, Any]:
    """Return what was found of one session as JSON values."""
    return {
        "key": one.row.key,
        "session": one.row.session,
        "planned": one.planned,
        "found": one.found,
        "checksummed": one.checksummed,
        "pixels_equal": one.pixels_equal,
        "sized": one.sized,
        "proof": one.proof,
        "is_proved": one.is_proved,
        "problems": one.problems,
        "notes": one.notes,
    }


def print_changes(found: VariableDifferences) -> None:
    """Show old and new values."""
    for one in found.changes:
        _print(one.sentence())
    for row in found.absent:
        _print(f"{row.session} is not on the server: nothing to correct.", "yellow")
    _print_messages(
        [("error", row.session or row.source, text) for row, text in found.refused],
        len({row.key for row, _ in found.refused}),
    )
    if found.refused:
        rows = counted(len({row.key for row, _ in found.refused}), "row", "rows")
        _print(f"Of {rows} nothing is written.", "red")
    if not (found.changes or found.refused):
        _print("Every value is as in the plan.")


def change_as_json(one: VariableChange) -> dict[str, str]:
    """Return a value to write as JSON values."""
    return {
        "project": one.project,
        "subject": one.subject,
        "session": one.session,
        "name": one.name,
        "old": one.old,
        "new": one.new,
    }


class UploadProgressBar:
    """Progress in bytes, rate and remaining time on standard error; one line for each row."""

    def __init__(self) -> None:
        self._progress: Any = None
        self._task: Any = None

    def __enter__(self) -> UploadProgressBar:
        """Start to draw, where a person watches."""
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
                TransferSpeedColumn,
            )

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(binary_units=True),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._progress.start()
            self._task = self._progress.add_task("", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        """End the drawing."""
        if self._progress is not None:
            self._progress.stop()

    def update(self, progress: Progress) -> None:
        """Show how far the work is."""
        if self._progress is not None:
            from rich.markup import escape

            self._progress.update(
                self._task,
                description=escape(printable(progress.activity, "?")),
                completed=progress.bytes_done,
                total=progress.bytes_total or None,
            )

    def row(self, result: RowResult) -> None:
        """Show how a row ended."""
        if result.outcome.value == "left out" or _is_refused(result):
            return
        text = f"{result.outcome.value}: {result.row.session}"
        if result.reason:
            text += f": {result.reason}"
        if self._progress is not None:
            from rich.text import Text

            self._progress.console.print(Text(printable(text, "?")), soft_wrap=True)
        else:
            click.echo(printable(text, "?"), err=True)
