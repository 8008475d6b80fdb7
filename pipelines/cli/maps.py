"""The commands ``xnat-pic-pipelines map``: one for each kind of map."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from xnat_pic.cli import PATH, announce, echo_json, exit_code_help, json_option
from xnat_pic.files import check_writable

from .parts import echo_line, end_on_error, format_option

EXIT_CODES = {
    0: "all done",
    2: "wrong call, or the output cannot be written",
    3: "nothing usable found: the images do not serve this map",
    4: "corrupt input",
    130: "stopped by Ctrl-C",
}
# Kept here as text, because reading the table itself would load the numerics.
MAPS = {
    "t2": "T2 from spin echoes (MSME).",
    "t1sr": "T1 from saturation recovery (RAREVTR).",
    "t1ir": "T1 from inversion recovery.",
    "t1vfa": "T1 from variable flip angles.",
    "t2star": "T2* from gradient echoes.",
    "dwi": "Diffusion: a tensor, the mean of three directions, or one ADC.",
    "ivim": "Perfusion fraction, diffusion and pseudo-diffusion (IVIM).",
    "cest": "MTR asymmetry of Z-spectra, corrected for B0; AREX; pH; B0 and B1 by WASABI.",
}
_TIMES = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]
_MOST_PPM = 100.0


@click.group("map", epilog=exit_code_help(EXIT_CODES))
def map_group() -> None:
    """Fit a map to INPUT and write everything to the folder OUT."""


class _AutoOr(click.ParamType):  # type: ignore[type-arg]
    """A number, or the word auto."""

    name = "number|auto"

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if value is None or value == "auto":
            return value
        try:
            number = self.kind(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor auto.", param, ctx)
        if number < 0 or number != number:
            self.fail(f"{value!r} is below 0.", param, ctx)
        return number


class _OrEmpty(click.ParamType):  # type: ignore[type-arg]
    """Another type, whose empty value means that nothing is given: commands hand every one on."""

    def __init__(self, kind: click.ParamType) -> None:  # type: ignore[type-arg]
        self.kind = kind
        self.name = kind.name

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return None if value in (None, "") else self.kind.convert(value, param, ctx)

    def get_metavar(self, param: Any, ctx: Any) -> str | None:
        return self.kind.get_metavar(param, ctx)


_ABOVE_0 = _OrEmpty(click.FloatRange(min=0, min_open=True))


def _offsets(
    _context: Any, _parameter: Any, value: str
) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Split a list into offsets and ranges (names or ends); what they mean is seen later."""
    numbers: list[float] = []
    ranges: list[str] = []
    for part in (word.strip() for word in value.split(",") if word.strip()):
        try:
            numbers.append(float(part))
        except ValueError:
            ranges.append(part)
    if any(not number > 0 or number > _MOST_PPM for number in numbers):
        raise click.BadParameter(f"{value!r} is no list of offsets above 0, such as 3.5,2.0.")
    return tuple(numbers), tuple(ranges)


_OPTIONS = [
    click.argument("source", metavar="INPUT", type=PATH),
    click.argument("out", metavar="OUT", type=PATH),
    click.option("--mask", type=PATH, help="NIfTI on the images' grid.  [default: automatic]"),
    click.option(
        "--sigma",
        type=_AutoOr(float),
        default="auto",
        show_default=True,
        help="Noise of one real channel; 0 for a fit without it.",
    ),
    click.option(
        "--model", default="", help="2p, 3p, auto; t2: epg; dwi: adc, dti; cest: mtr, wasabi."
    ),
    click.option(
        "--skip-echoes",
        type=_AutoOr(int),
        default="auto",
        show_default=True,
        help="Echoes left out at the start (t2).",
    ),
    click.option(
        "--offsets",
        default="",
        callback=_offsets,
        help="Where MTR asymmetry is wanted (cest), ppm: 3.5,2.0; ranges: 3.2-3.8 or amide.",
    ),
    click.option(
        "--b0",
        type=PATH,
        help="Shift of water (cest): a map (ppm, Hz), or a WASSR or WASABI series.",
    ),
    click.option("--t1", type=PATH, help="T1 map (ms), for AREX (cest) and the EPG model (t2)."),
    click.option("--b1", type=PATH, help="Map of actual over nominal flip angle (t1vfa)."),
    click.option("--ph", type=PATH, help="pH calibration (cest), a TOML file."),
    click.option(
        "--assume-aligned",
        is_flag=True,
        help="Take series of several frames of reference or studies as lying together.",
    ),
    format_option("What to write."),
    click.option("--overwrite", is_flag=True, help="Replace earlier maps in OUT."),
    json_option,
]


def _register(name: str, text: str) -> None:
    def command(**options: Any) -> None:
        _run(name, **options)

    command.__doc__ = text
    for decorate in reversed(_OPTIONS):
        command = decorate(command)
    map_group.command(name, epilog=exit_code_help(EXIT_CODES), help=text)(command)


for _name, _text in MAPS.items():
    _register(_name, _text)


def _run(
    name: str,
    source: Path,
    out: Path,
    formats: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
    sigma: Any,
    offsets: tuple[tuple[float, ...], tuple[str, ...]],
    **options: Any,
) -> None:
    from ..fitting.data import MapOptions
    from ..maps.run import make_maps

    chosen = MapOptions(sigma=sigma or None, offsets_ppm=offsets[0], windows=offsets[1], **options)
    with end_on_error():
        check_writable(out.parent)
        summary = make_maps(
            name, source, out, chosen, formats=formats, overwrite=overwrite, progress=announce
        )
    for warning in summary.warnings:
        echo_line(f"note: {warning}")
    for key, row in summary.maps.items():
        if row["median"] is not None:
            echo_line(f"{key}: median {row['median']:.4g} {row['unit']} in {row['valid']} voxels")
    echo_line(f"Results: {out}")
    if as_json:
        echo_json(summary.as_json())


@map_group.command("suv", help="SUV by body weight from PET images (Bq/mL).")
@click.argument("source", metavar="INPUT", type=PATH)
@click.argument("out", metavar="OUT", type=PATH)
@click.option("--weight-g", type=_ABOVE_0, help="Body weight, grams.")
@click.option(
    "--dose-mbq",
    type=_ABOVE_0,
    help="Injected dose in MBq at the time of injection.",
)
@click.option(
    "--injection-time",
    "injected",
    type=_OrEmpty(click.DateTime(_TIMES)),
    help="By the scanner's clock, such as '2024-01-08 10:30:00'.",
)
@click.option(
    "--frame",
    type=_OrEmpty(click.IntRange(min=1)),
    help="Frame of a dynamic series.  [default: the last]",
)
@click.option(
    "--mask",
    type=PATH,
    help="NIfTI on the images' grid: what the numbers are of.  [default: the animal]",
)
@format_option("What to write.")
@click.option("--overwrite", is_flag=True, help="Replace earlier maps in OUT.")
@json_option
def suv_command(
    source: Path,
    out: Path,
    weight_g: float | None,
    dose_mbq: float | None,
    injected: datetime | None,
    frame: int | None,
    mask: Path | None,
    formats: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
) -> None:
    """Make the map and say what is odd about the study."""
    from ..maps.suv import SuvOptions, make_suv

    options = SuvOptions(weight_g, dose_mbq, injected, frame, mask)
    with end_on_error():
        check_writable(out.parent)
        summary = make_suv(source, out, options, formats=formats, overwrite=overwrite)
    for warning in summary.warnings:
        echo_line(f"note: {warning}")
    echo_line(f"Results: {out}")
    if as_json:
        echo_json(summary.as_json())
