"""``statistics.txt``: the numbers as people paste them into a lab book."""

from __future__ import annotations

import numpy as np

from xnat_pic.text import printable
from xnat_pic.version import version

from ..run_result import MapResult, MaskAverageResult, RegionResult
from ..statistics import RegionStatistics

_LINE = "-" * 72
_WIDTH = 30


def as_text(result: MaskAverageResult) -> str:
    """Return ``statistics.txt``.

    A header; then for each region its number, the name of its mask, its pixels, and mean, standard
    deviation and median of every map and of its reciprocal with units; then a dashed line.
    """
    slices, rows, columns = result.image.shape
    name = result.regions.name or result.regions.path.name
    lines = [
        "Mask average",
        _row(
            "Image",
            f"{result.image.title or result.image_path.name}, {columns} x {rows} x {slices}",
        ),
        _row("ROI collection", printable(name)),
        *(
            _row("Map", f"{one.name}{_unit(one.unit)}, {one.source}".replace("  ", " "))
            for one in result.maps
        ),
        _row("Made by", f"xnat-pic {version()}, voxels at least half inside an ROI"),
        *(_row("Note", one) for one in result.warnings),
        *(_row("Not read", one.sentence) for one in result.regions.problems),
        _LINE,
    ]
    for roi in result.rois:
        lines += [*_region(roi), _LINE]
    return "\n".join(printable(line) for line in lines) + "\n"


def _row(name: str, value: object) -> str:
    return f"{name + ':':<{_WIDTH}}{value}"


def _unit(unit: str) -> str:
    return f" ({unit})" if unit else ""


def _region(roi: RegionResult) -> list[str]:
    lines = [
        _row("ROI number", roi.number),
        _row("Mask name", roi.region.name),
        _row("Pixels in the image", roi.image_voxels),
        _row("Volume (mm^3)", _number(roi.volume_mm3)),
    ]
    if roi.unusable:
        lines.append(_row("Not usable", roi.unusable))
    for row in roi.maps:
        lines += _map(row)
    return lines + [_row("Note", one) for one in roi.warnings]


def _map(row: MapResult) -> list[str]:
    whole = row.own.whole
    lines = ["", _row("Map", row.map.name), _row("Pixels in the map", whole.voxels)]
    if row.unusable:
        return [*lines, _row("Not usable", row.unusable)]
    left_out = [f"{whole.nan} without a value"] * (whole.nan > 0)
    left_out += [f"{whole.flagged} flagged"] * (whole.flagged > 0)
    if left_out:
        lines.append(_row("Left out", ", ".join(left_out)))
    for found in row.quantities:
        lines += _quantity(found)
    return lines + [_row("Note", one) for one in row.warnings]


def _quantity(found: RegionStatistics) -> list[str]:
    short = _short(found.name)
    unit = _unit(found.unit)
    lines = []
    for kind, values in (("", found.whole), (" core", found.core)):
        if kind:
            lines.append(_row("Pixels core", values.valid))
        lines += [
            _row(f"Mean {short}{unit}{kind}", _number(values.mean)),
            _row(f"SD {short}{unit}{kind}", _number(values.sd)),
            _row(f"Median {short}{unit}{kind}", _number(values.median)),
        ]
    return lines


def _short(name: str) -> str:
    """Return T2 of T2map, and a name that is no more than "map" as it is."""
    stem = name.removesuffix("map")
    return stem if stem.strip() and not stem.endswith(" ") else name


def _number(value: float) -> str:
    return f"{value:.6g}" if np.isfinite(value) else "-"
