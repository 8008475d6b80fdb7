"""What the commands show to a person: the table of series, and what became of each."""

from __future__ import annotations

import io
import os
import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from xnat_pic.text import printable

if TYPE_CHECKING:
    from ..conversion.overview import SeriesOverview
    from ..conversion.report import ConversionReport, SeriesResult
    from ..hotel.split import SplitReport

# Text of files: a sign that would steer a terminal shows as a question mark.
_printable = partial(printable, replacement="?")

_COLUMNS = ("scan", "method", "protocol", "matrix", "planes", "loops", "what")
_WIDE = ("protocol", "what")


def _cells(row: SeriesOverview) -> list[str]:
    what = row.kind
    if row.reason:
        # The first clause of the sentence; --json has all of it.
        what = f"{what}: {row.reason.partition(': ')[0].rstrip('.')}"
    cells = [
        f"{row.expno}/{row.procno}",
        row.method.removeprefix("Bruker:"),
        row.protocol,
        row.matrix.replace(" ", ""),
        str(row.planes or ""),
        row.loops,
        what,
    ]
    return [_printable(cell) for cell in cells]


def show_rows(rows: list[SeriesOverview]) -> None:
    """Print a table of series for each study on standard output."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 120
    cells = [_cells(row) for row in rows]
    widths = [max(len(c[k]) for c in [list(_COLUMNS), *cells]) for k in range(len(_COLUMNS))]
    for study in dict.fromkeys(row.study for row in rows):
        table = Table(box=None, header_style="bold", pad_edge=False)
        for head, width in zip(_COLUMNS, widths, strict=True):
            if head in _WIDE:
                table.add_column(head, overflow="fold", ratio=width, min_width=8)
            else:
                table.add_column(head, no_wrap=True, overflow="ellipsis", min_width=min(width, 18))
        subject = next(row.subject for row in rows if row.study == study)
        for row, shown in zip(rows, cells, strict=True):
            if row.study == study:
                style = "yellow" if row.damaged else "dim" if row.reason else ""
                # Names come from files: none of them is markup.
                table.add_row(*(Text(cell, style=style) for cell in shown))
        title = f"{study} (subject {subject})" if subject else study
        console.print(Text(_printable(title), style="bold"), soft_wrap=True)
        console.print(table)


def show_report(report: ConversionReport) -> None:
    """Print what became of each series on standard error."""
    for one in report.series:
        for line in _result_lines(one):
            click.echo(_printable(line), err=True)
    files = sum(one.files for one in report.series if one.status == "converted")
    done = "Stopped" if report.cancelled else "Done"
    click.echo(f"{done}: {report.summary}; {files} files written.", err=True)
    if files or report.count("kept"):
        click.echo(f"DICOM files: {report.output}", err=True)


def _result_lines(one: SeriesResult) -> list[str]:
    study = "" if one.study == "." else one.study
    name = " ".join(filter(None, [study, f"{one.expno}/{one.procno}", one.protocol]))
    lines = []
    if one.status in ("skipped", "failed"):
        mark = "damaged" if one.damaged else one.status
        lines.append(f"{mark:9} {name}: {one.reason}")
    else:
        lines.append(f"{one.status:9} {name} ({one.kind}, {one.files} files)")
    lines += [f"{'':9} note: {warning}" for warning in one.warnings]
    return lines


def show_split(report: SplitReport) -> None:
    """Print what became of each animal's images on standard error."""
    for one in report.series:
        line = f"{one.status:8} {one.subject} ({one.position}) {one.modality}"
        click.echo(_printable(f"{line}: {one.reason}" if one.reason else line), err=True)
    for note in dict.fromkeys(note for one in report.series for note in one.warnings):
        click.echo(f"{'':8} note: {_printable(note)}", err=True)
    for left in report.skipped:
        click.echo(f"skipped  {_printable(left)}", err=True)
    click.echo(f"Look at {_printable(str(report.picture))} before you upload.", err=True)
