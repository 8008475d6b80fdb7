"""The command ``xnat-pic-pipelines map suv``."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from .command_parts import ending_in_words, plain

_PATH = click.Path(path_type=Path)
_FORMATS = ("nifti", "dicom", "report")
_TIMES = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]


def _format(_context: Any, _parameter: Any, value: str) -> tuple[str, ...]:
    chosen = tuple(part.strip() for part in value.split(",") if part.strip())
    if not chosen or set(chosen) - set(_FORMATS):
        raise click.BadParameter(f"choose among {', '.join(_FORMATS)}.")
    return chosen


@click.command("suv", help="SUV by body weight from PET images (Bq/mL).")
@click.argument("source", metavar="INPUT", type=_PATH)
@click.argument("out", metavar="OUT", type=_PATH)
@click.option("--weight-g", type=click.FloatRange(min=0, min_open=True), help="Body weight, grams.")
@click.option(
    "--dose-mbq",
    type=click.FloatRange(min=0, min_open=True),
    help="Injected dose in MBq at the time of injection.",
)
@click.option(
    "--injection-time",
    "injected",
    type=click.DateTime(_TIMES),
    help="By the scanner's clock, such as '2024-01-08 10:30:00'.",
)
@click.option(
    "--frame", type=click.IntRange(min=1), help="Frame of a dynamic series.  [default: the last]"
)
@click.option(
    "--format",
    "formats",
    default=",".join(_FORMATS),
    show_default=True,
    callback=_format,
    help="What to write.",
)
@click.option("--overwrite", is_flag=True, help="Replace earlier maps in OUT.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def suv_command(
    source: Path,
    out: Path,
    weight_g: float | None,
    dose_mbq: float | None,
    injected: datetime | None,
    frame: int | None,
    formats: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
) -> None:
    """Make the map and say what is odd about the study."""
    from .suv_run import SuvOptions, make_suv

    options = SuvOptions(weight_g, dose_mbq, injected, frame)
    with ending_in_words():
        summary = make_suv(source, out, options, formats=formats, overwrite=overwrite)
    for warning in summary.warnings:
        click.echo(f"note: {plain(warning)}", err=True)
    click.echo(f"Results: {plain(str(out))}", err=True)
    if as_json:
        click.echo(json.dumps(summary.as_json(), indent=1, ensure_ascii=False))
