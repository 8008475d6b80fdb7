"""The commands of ``mri2dicom``: inspect, convert, split-hotel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from xnat_pic.cli import (
    PATH,
    STOPPED,
    ProgressBars,
    command_group,
    echo_json,
    exit_code_help,
    json_option,
    run_command,
)
from xnat_pic.machine import processors

PROGRAM = "mri2dicom"
EXIT_CODES = {
    0: "all done; a series skipped for a stated reason is done",
    2: "wrong call, or the output cannot be written",
    3: "nothing usable found",
    4: "corrupt input",
    8: "done in part",
}
_EPILOG = exit_code_help(EXIT_CODES)
_STOPPED = "stopped. Finished series stay; run it again to go on."


@command_group(PROGRAM, EXIT_CODES)
def main() -> None:
    """Turn scanner data into DICOM."""


@main.command("inspect", epilog=_EPILOG)
@click.argument("path", type=PATH)
@json_option
def inspect_command(path: Path, as_json: bool) -> None:
    """Show what PATH holds: a study, a folder of studies, or an archive. Writes nothing."""

    def work() -> int:
        from ..conversion.overview import inspect
        from .display import show_rows

        rows = list(inspect(path))
        if as_json:
            echo_json([row.as_json() for row in rows])
        else:
            show_rows(rows)
        if all(row.kind == "skipped" for row in rows):
            return 4 if any(row.damaged for row in rows) else 3
        return 0

    run_command(PROGRAM, work, stopped_code=STOPPED)


@main.command("convert", epilog=_EPILOG)
@click.argument("path", type=PATH)
@click.argument("out", type=PATH, required=False)
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
@json_option
def convert_command(
    path: Path, out: Path | None, jobs: int | None, as_json: bool, **options: Any
) -> None:
    """Convert PATH to DICOM files below OUT (by default PATH_dcm beside it).

    PATH is a project folder, a study, a scan, a reconstruction, a folder with Inveon images and
    their headers, or an archive (.zip, .PvDatasets, .tar.gz), and is never changed. A file
    mri2dicom.toml in the study's folder, or in a folder above it within PATH, may hold subject_id,
    species, strain, study_label, anatomical_orientation and subject_position.
    """

    def work() -> int:
        from ..conversion.run import convert
        from ..dicom.overrides import Overrides
        from .display import show_report

        switches = {name: options.pop(name) for name in ("enhanced", "overwrite")}
        overrides = Overrides(**{name: value or "" for name, value in options.items()})
        count = jobs or max(1, processors() // 2)
        with ProgressBars() as bars:
            report = convert(
                path,
                out,
                jobs=count,
                overrides=overrides,
                on_progress=lambda one: bars.update(one.title, one.files_done, one.files),
                **switches,
            )
        if as_json:
            echo_json(report.as_json())
        show_report(report)
        return report.exit_code

    run_command(PROGRAM, work, stopped=_STOPPED)


@main.command("split-hotel", epilog=_EPILOG)
@click.argument("path", type=PATH)
@click.argument("table", type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--view",
    type=click.Choice(["image", "technician"]),
    default=None,
    help="From where left and right of TABLE are seen; the technician's are exchanged. Needed "
    "where both fit.",
)
@click.option("--overwrite", is_flag=True, help="Write series again whose output is there.")
@json_option
def split_hotel_command(
    path: Path, table: Path, out: Path, view: str | None, overwrite: bool, as_json: bool
) -> None:
    """Cut the Inveon PET and CT of several animals in PATH into DICOM studies, one for each.

    TABLE is a CSV file with the columns position and subject, and optionally weight_g, dose_mbq,
    injection_time, orientation, and x_mm with y_mm. Positions are left, middle, right; top,
    middle, bottom; or both, such as top-left. Below OUT come a folder for each subject and the
    picture split_hotel.png, to be looked at before anything is uploaded.
    """

    def work() -> int:
        from ..hotel.split import split_hotel
        from .display import show_split

        report = split_hotel(path, table, out, view=view, overwrite=overwrite)
        show_split(report)
        if as_json:
            echo_json(report.as_json())
        return report.exit_code

    run_command(PROGRAM, work, stopped=_STOPPED)
