"""The command ``xnat-pic-pipelines mask-average``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .parts import ending_in_words, plain, tell

if TYPE_CHECKING:
    from ..regions.run import Summary

EXIT_CODES = """\b
Exit codes:
  0  every ROI was measured
  2  wrong call, or the output cannot be written
  3  no ROI, or none that can be measured
  4  a file is damaged
  8  some ROIs were measured; the others are named with the reason
"""
_FORMATS = ("nifti", "dicom", "report")
_PATH = click.Path(path_type=Path)


def _formats(_context: Any, _parameter: Any, value: str) -> tuple[str, ...]:
    chosen = tuple(part.strip() for part in value.split(",") if part.strip())
    if [part for part in chosen if part not in (*_FORMATS, "none")]:
        raise click.BadParameter(f"choose among {', '.join(_FORMATS)}, or none.")
    return tuple(part for part in chosen if part != "none")


@click.command("mask-average", epilog=EXIT_CODES)
@click.option("--image", type=_PATH, required=True, help="What the ROIs were drawn on.")
@click.option(
    "--roi", type=_PATH, required=True, help="AIM, RTSTRUCT, SEG, NIfTI, NRRD; or folder."
)
@click.option(
    "--map",
    "maps",
    type=_PATH,
    required=True,
    multiple=True,
    help="Folder of a fit, or a map as NIfTI or DICOM; may be given several times.",
)
@click.argument("out", metavar="OUT", type=_PATH)
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
@click.option("--keep-flagged", is_flag=True, help="Count voxels that the fit has flagged.")
@click.option("--unit", default="", help="Unit of maps that say none, such as ms.")
@click.option(
    "--format",
    "formats",
    default=",".join(_FORMATS),
    show_default=True,
    callback=_formats,
    help="What to write beside the tables; none for the tables alone.",
)
@click.option("--overwrite", is_flag=True, help="Replace earlier statistics in OUT.")
@click.option("--json", "as_json", is_flag=True, help="Print statistics.json on stdout.")
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
    from ..regions.run import Wishes, average_masks

    with ending_in_words():
        wishes = Wishes(**choices)
        summary = average_masks(image, roi, maps, out, wishes, overwrite=overwrite, progress=tell)
    _say(summary)
    if as_json:
        click.echo((out / "statistics.json").read_text(encoding="utf-8"), nl=False)
    sys.exit(summary.exit_code)


def _say(summary: Summary) -> None:
    result = summary.result
    for note in result.warnings:
        click.echo(f"note: {plain(note)}", err=True)
    for problem in result.regions.problems:
        click.echo(f"not read: {plain(problem.sentence)}", err=True)
    for roi in result.rois:
        name = plain(f"{roi.number} {roi.region.name}")
        if roi.unusable:
            click.echo(f"{name}: not usable. {plain(roi.unusable)}", err=True)
        for row in roi.maps:
            whole = row.own.whole
            if not row.unusable:
                numbers = f"{whole.mean:.4g} +- {whole.sd:.3g} {row.own.unit}".rstrip()
                text = f"{name}: {row.own.name} {numbers} in {whole.valid} voxels"
                click.echo(plain(text), err=True)
            elif not roi.unusable:
                click.echo(f"{name}: {plain(row.unusable)}", err=True)
    click.echo(f"Results: {plain(str(summary.out))}", err=True)
