"""The command ``xnat-pic-pipelines mask-average``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xnat_pic.cli import PATH, announce, exit_code_help, json_option

from .parts import echo_line, end_on_error, format_option

if TYPE_CHECKING:
    from ..regions.run import MaskAverageSummary

EXIT_CODES = exit_code_help(
    {
        0: "every ROI was measured",
        2: "wrong call, or the output cannot be written",
        3: "no ROI, or none that can be measured",
        4: "a file is damaged",
        8: "some ROIs, or parts of them, were not measured; they are named with the reason",
    }
)


@click.command("mask-average", epilog=EXIT_CODES)
@click.option("--image", type=PATH, required=True, help="What the ROIs were drawn on.")
@click.option("--roi", type=PATH, required=True, help="AIM, RTSTRUCT, SEG, NIfTI, NRRD; or folder.")
@click.option(
    "--map",
    "maps",
    type=PATH,
    required=True,
    multiple=True,
    help="Folder of a fit, or a map as NIfTI or DICOM; may be given several times.",
)
@click.argument("out", metavar="OUT", type=PATH)
@click.option(
    "--assume-aligned",
    is_flag=True,
    help="Take positions of another frame of reference as they are.",
)
@click.option(
    "--rasterizer",
    type=click.Choice(["ours", "dcmrtstruct2nii"]),
    default="ours",
    show_default=True,
    help="What turns contours into voxels.",
)
@click.option(
    "--between",
    type=click.Choice(["nearest", "interpolate", "refuse"]),
    default="nearest",
    show_default=True,
    help="Contours between two planes: in the nearest, shapes interpolated, or no ROI.",
)
@click.option("--keep-flagged", is_flag=True, help="Count voxels that the fit has flagged.")
@click.option("--unit", default="", help="Unit of maps that say none, such as ms.")
@format_option("What to write beside the tables; none for the tables alone.", none=True)
@click.option("--overwrite", is_flag=True, help="Replace earlier statistics in OUT.")
@json_option
def mask_average(
    image: Path,
    roi: Path,
    maps: tuple[Path, ...],
    out: Path,
    overwrite: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Measure ROIs in maps and write everything to the folder OUT."""
    from ..regions.run import RoiOptions, average_masks

    with end_on_error():
        roi_options = RoiOptions(**choices)
        summary = average_masks(
            image, roi, maps, out, roi_options, overwrite=overwrite, progress=announce
        )
    _echo_summary(summary)
    if as_json:
        click.echo((out / "statistics.json").read_text(encoding="utf-8"), nl=False)
    sys.exit(summary.exit_code)


def _echo_summary(summary: MaskAverageSummary) -> None:
    result = summary.result
    for note in result.warnings:
        echo_line(f"note: {note}")
    for problem in result.regions.problems:
        echo_line(f"not read: {problem.sentence}")
    for roi in result.rois:
        name = f"{roi.number} {roi.region.name}"
        if roi.unusable:
            echo_line(f"{name}: not usable. {roi.unusable}")
        for note in roi.warnings if roi.is_partial else ():
            echo_line(f"{name}: {note}")
        for row in roi.maps:
            whole = row.own.whole
            if not row.unusable:
                numbers = f"{whole.mean:.4g} +- {whole.sd:.3g} {row.own.unit}".rstrip()
                text = f"{name}: {row.own.name} {numbers} in {whole.valid} voxels"
                echo_line(text)
            elif not roi.unusable:
                echo_line(f"{name}: {row.unusable}")
    echo_line(f"Results: {summary.out}")
