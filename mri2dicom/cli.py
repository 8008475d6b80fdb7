"""The command ``mri2dicom``."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from .hotel.command import split_hotel_command

if TYPE_CHECKING:
    from .overview import Overview
    from .report import ConversionReport, SeriesResult

EXIT_CODES = """\b
Exit codes:
  0  all done; a series skipped for a stated reason is done
  2  wrong call, or the output cannot be written
  3  nothing usable found
  4  corrupt input
  8  done in part
"""
_SOURCE = click.argument("path", type=click.Path(path_type=Path))


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(package_name="xnat-pic", prog_name="mri2dicom")
def main() -> None:
    """Turn scanner data into DICOM."""


main.add_command(split_hotel_command)


@main.command("inspect", epilog=EXIT_CODES)
@_SOURCE
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list on standard output.")
def inspect_command(path: Path, as_json: bool) -> None:
    """Show what PATH holds: a study, a folder of studies, or an archive. Writes nothing."""
    from .errors import Mri2DicomError
    from .overview import inspect

    try:
        rows = list(inspect(path))
    except (Mri2DicomError, OSError) as error:
        _fail(error)
    if as_json:
        click.echo(json.dumps([row.as_json() for row in rows], indent=1))
    else:
        _show_rows(rows)
    if all(row.kind == "skipped" for row in rows):
        sys.exit(4 if any(row.damaged for row in rows) else 3)


@main.command("convert", epilog=EXIT_CODES)
@_SOURCE
@click.argument("out", type=click.Path(path_type=Path), required=False)
@click.option("--enhanced", is_flag=True, help="Write one multi-frame file a series (MR, PET).")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=None,
    help="Processes that write at the same time.  [default: one for each two processors]",
)
@click.option("--overwrite", is_flag=True, help="Write series again whose output is there.")
@click.option("--subject-id", default="", help="Replaces the subject id of the files.")
@click.option("--species", default="", help="Such as mouse or rat; the files do not hold it.")
@click.option("--strain", default="", help="Such as C57BL/6J; the files do not hold it.")
@click.option("--study-label", default="", help="Becomes the Study Description.")
@click.option(
    "--anatomical-orientation",
    type=click.Choice(["quadruped", "biped"], case_sensitive=False),
    default=None,
    help="For files that do not say it (ParaVision 5.1).",
)
@click.option(
    "--subject-position",
    default="",
    help="Patient Position where it was entered wrongly, such as HFP; coordinates stay.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def convert_command(
    path: Path, out: Path | None, jobs: int | None, as_json: bool, **options: Any
) -> None:
    """Convert PATH to DICOM files below OUT (by default PATH_dcm beside it).

    PATH is a project folder, a study, a scan, a reconstruction, a folder with Inveon images and
    their headers, or an archive (.zip, .PvDatasets, .tar.gz), and is never changed. A file
    mri2dicom.toml in the study's folder, or in a folder above it within PATH, may hold subject_id,
    species, strain, study_label, anatomical_orientation and subject_position.
    """
    from .conversion import convert
    from .dicom.header import Overrides
    from .errors import Mri2DicomError

    switches = {name: options.pop(name) for name in ("enhanced", "overwrite")}
    overrides = Overrides(**{name: value or "" for name, value in options.items()})
    count = jobs or max(1, (os.cpu_count() or 2) // 2)
    try:
        with _Bar() as bar:
            report = convert(
                path, out, jobs=count, overrides=overrides, on_progress=bar.update, **switches
            )
    except (Mri2DicomError, OSError) as error:
        _fail(error)
    except KeyboardInterrupt:
        click.echo("Stopped. Finished series stay; run it again to go on.", err=True)
        sys.exit(8)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=1))
    _show_report(report)
    sys.exit(report.exit_code)


class _Bar:
    """A progress bar for each series, on standard error; silent where no person watches."""

    def __enter__(self) -> _Bar:
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._progress = Progress(console=Console(stderr=True), transient=True)
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(self, progress: Any) -> None:
        """Show how far a series is; a finished one leaves the screen."""
        if self._progress is None:
            return
        if progress.title not in self._tasks:
            from rich.markup import escape

            self._tasks[progress.title] = self._progress.add_task(
                escape(_plain(progress.title)), total=progress.files
            )
        task = self._tasks[progress.title]
        self._progress.update(task, completed=progress.files_done)
        if progress.files_done >= progress.files:
            self._progress.remove_task(self._tasks.pop(progress.title))


def _fail(error: Exception) -> NoReturn:
    from .errors import CorruptDataError, Mri2DicomError, NothingUsableError

    if isinstance(error, Mri2DicomError):
        text = error.sentence()
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.filename or 'A file'} cannot be read or written: {error.strerror}."
    else:
        text = str(error)
    click.echo(f"mri2dicom: {_plain(text)}", err=True)
    codes: list[tuple[type[Exception], int]] = [(NothingUsableError, 3), (CorruptDataError, 4)]
    sys.exit(next((code for kind, code in codes if isinstance(error, kind)), 2))


def _plain(text: str) -> str:
    """Return text from a file without signs that would steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


_HEADS = ("scan", "method", "protocol", "matrix", "planes", "loops", "what")
_WIDE = ("protocol", "what")


def _cells(row: Overview) -> list[str]:
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
    return [_plain(cell) for cell in cells]


def _show_rows(rows: list[Overview]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 120
    cells = [_cells(row) for row in rows]
    widths = [max(len(c[k]) for c in [list(_HEADS), *cells]) for k in range(len(_HEADS))]
    for study in dict.fromkeys(row.study for row in rows):
        table = Table(box=None, header_style="bold", pad_edge=False)
        for head, width in zip(_HEADS, widths, strict=True):
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
        console.print(Text(_plain(title), style="bold"), soft_wrap=True)
        console.print(table)


def _show_report(report: ConversionReport) -> None:
    for one in report.series:
        for line in _lines(one):
            click.echo(_plain(line), err=True)
    files = sum(one.files for one in report.series if one.status == "converted")
    counts = [
        f"{report.count(status)} {status}"
        for status in ("converted", "kept", "skipped", "failed")
        if report.count(status)
    ]
    done = "Stopped" if report.cancelled else "Done"
    click.echo(f"{done}: {', '.join(counts) or 'nothing'}; {files} files written.", err=True)
    if files or report.count("kept"):
        click.echo(f"DICOM files: {report.output}", err=True)


def _lines(one: SeriesResult) -> list[str]:
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


if __name__ == "__main__":
    main()
