"""Curves of regions as tables, and as a chart in the report."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...report.charts import BLUE, GREEN, GREY, RED, Chart
from ..curves import COLUMNS, Curve, middles, rows
from .cells import cell

_COLOURS = (BLUE, RED, GREEN, "#7a4f9a", "#b07d12", "#1f8a8a", GREY)
_MOST_LINES = 12


def curves_csv(curves: Sequence[Curve]) -> str:
    """Return ``curves.csv``: a row for each region and sample."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows(curves):
        writer.writerow({key: cell(_known(value)) for key, value in row.items()})
    return out.getvalue()


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def activity_tables(curves: Sequence[Curve]) -> dict[str, str]:
    """Return tables of activity over time by file name, as programs of the field read them.

    Columns are ``frame_start`` and ``frame_end`` in s, then one for each region, tabs between.
    """
    tables = {}
    for name in dict.fromkeys(one.samples.name for one in curves):
        mine = [one for one in curves if one.samples.name == name]
        samples = mine[0].samples
        if samples.axis != "time" or samples.durations_s is None:
            continue
        head = ["frame_start", "frame_end", *_columns(mine)]
        lines = ["\t".join(head)]
        for k, start in enumerate(samples.at):
            ends = start + samples.durations_s[k]
            cells = [start, ends, *(one.mean[k] for one in mine)]
            lines.append("\t".join(f"{float(value):.9g}" for value in cells))
        tables[f"{name}_tacs.tsv"] = "\n".join(lines) + "\n"
    return tables


def _columns(curves: Sequence[Curve]) -> list[str]:
    """Return a name for each region that is its own, without blanks."""
    names = ["_".join(one.roi.split()) or f"roi{one.number}" for one in curves]
    return [
        name if names.count(name) == 1 else f"{name}_{one.number}"
        for name, one in zip(names, curves, strict=True)
    ]


def charts(curves: Sequence[Curve]) -> list[str]:
    """Return a chart for each series, with a line for each region."""
    found = []
    for name in dict.fromkeys(one.samples.name for one in curves):
        mine = [one for one in curves if one.samples.name == name]
        samples = mine[0].samples
        chart = Chart(
            title=f"{name} over {samples.axis}" + (f" ({samples.unit})" if samples.unit else ""),
            xlabel=f"{samples.axis} ({samples.axis_unit})",
            width=640.0,
            height=320.0,
        )
        along = np.where(np.isfinite(middles(samples)), middles(samples), np.nan)
        for k, one in enumerate(mine[:_MOST_LINES]):
            colour = _COLOURS[k % len(_COLOURS)]
            chart.line(along, one.mean, colour)
            chart.points(along, one.mean, colour)
            chart.legend(f"{one.number} {one.roi}", colour)
        found.append(chart.svg())
    return found


def summary(curves: Sequence[Curve]) -> list[dict[str, str]]:
    """Return peak, its place and the area of each curve, as text."""
    return [
        {
            "roi": f"{one.number} {one.roi}",
            "map": one.samples.name,
            "peak": f"{one.peak:.5g} {one.samples.unit}".strip(),
            "at": f"{one.at_peak:.4g} {one.samples.axis_unit}",
            "area": f"{one.area:.4g} {_area_unit(one)}".strip() if np.isfinite(one.area) else "-",
        }
        for one in curves
    ]


def _area_unit(one: Curve) -> str:
    return " ".join(part for part in (one.samples.unit, one.samples.axis_unit) if part)


def statistics_rows(one: Curve) -> list[dict[str, Any]]:
    """Return peak, its place and the area as rows of ``statistics.csv``, without the region."""
    samples = one.samples
    values = (
        ("peak", samples.unit, one.peak),
        (f"{samples.axis} to peak", samples.axis_unit, one.at_peak),
        ("area", _area_unit(one), one.area),
    )
    voxels = int(one.voxels.max()) if one.voxels.size else 0
    return [
        {
            "map": samples.name,
            "quantity": f"{samples.name} {name}",
            "unit": unit,
            "set": "whole",
            "voxels": voxels,
            "valid": voxels,
            "mean": _known(value),
        }
        for name, unit, value in values
    ]
