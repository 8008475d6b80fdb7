"""The command ``mri2dicom split-hotel``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click


@click.command("split-hotel")
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("table", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--view",
    type=click.Choice(["image", "technician"]),
    default=None,
    help="From where left and right of TABLE are seen; the technician's are exchanged. Needed "
    "where both fit.",
)
@click.option("--overwrite", is_flag=True, help="Write series again whose output is there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def split_hotel_command(
    path: Path, table: Path, out: Path, view: str | None, overwrite: bool, as_json: bool
) -> None:
    """Cut the Inveon PET and CT of several animals in PATH into DICOM studies, one for each.

    TABLE is a CSV file with the columns position and subject, and optionally weight_g, dose_mbq,
    injection_time, orientation, and x_mm with y_mm. Positions are left, middle, right; top,
    middle, bottom; or both, such as top-left. Below OUT come a folder for each subject and the
    picture split_hotel.png, to be looked at before anything is uploaded.
    """
    from ..cli import _fail, _plain
    from ..errors import Mri2DicomError
    from .roster import View
    from .split import split_hotel

    seen = View(view) if view else None
    try:
        report = split_hotel(path, table, out, view=seen, overwrite=overwrite)
    except (Mri2DicomError, OSError) as error:
        _fail(error)
    for one in report.series:
        line = f"{one.status:8} {one.subject} ({one.position}) {one.modality}"
        click.echo(_plain(f"{line}: {one.reason}" if one.reason else line), err=True)
    for note in dict.fromkeys(note for one in report.series for note in one.warnings):
        click.echo(f"{'':8} note: {_plain(note)}", err=True)
    for left in report.skipped:
        click.echo(f"skipped  {_plain(left)}", err=True)
    click.echo(f"Look at {_plain(str(report.picture))} before you upload.", err=True)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=1))
    sys.exit(report.exit_code)
