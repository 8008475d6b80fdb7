"""The project table: rows, ``summary.csv``, ``effects.csv`` and ``summary.xlsx``."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xnat_pic.text import one_line

from .study import Comparison

_DIGITS = 9
# Signs with which a spreadsheet begins a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBERS = ("mean", "sd", "median", "q1", "q3", "min", "max", "bias")
_COUNTS = ("voxels", "valid")
_SETS = ("whole", "core")
HEAD = ("subject", "session")
BODY = ("scan", "roi", "set", "map", "quantity", "unit")
VALUES = (*_COUNTS, *_NUMBERS, "se")
TAIL = ("resource", "folder", "parameters", "note")
EFFECTS = (
    *("roi", "map", "quantity", "comparison", "arm", "reference", "timepoint", "baseline"),
    *("n", "n_reference", "unit", "difference", "difference_low", "difference_high"),
    *("hedges_g", "g_low", "g_high"),
)
_LONGEST_SHEET = 1_048_576


def columns(variables: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the table; `variables` stand beside the subject."""
    return (*HEAD, *variables, "timepoint_days", *BODY, *VALUES, *TAIL)


def summary_rows(
    maps: Iterable[Mapping[str, Any]],
    statistics: Iterable[Mapping[str, Any]],
    facts: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return the rows of one session.

    Parameters
    ----------
    maps, statistics : iterable of mapping
        Of `pipelines.xnat.outcome.SessionOutcome`. Of the statistics, whole ROIs and their cores
        are kept; slices stay in the session's own table.
    facts : mapping
        Subject, session and variables.

    Returns
    -------
    list of dict
        Numbers as float or int, None where there is none. ``se`` is the standard error of the
        mean, sqrt(sd^2 / valid + bias^2): the scatter of voxels whose noise is independent, and
        what noise may shift all of them by, which is not corrected and does not shrink with the
        number of voxels (JCGM 100:2008, F.2.4.5); ``bias`` is 0 there where it is not known.
    """
    rows = []
    for one in maps:
        median, valid = one.get("median"), one.get("valid")
        rows.append(
            {
                **_EMPTY,
                **facts,
                **_texts(one, ("scan", "unit", "resource", "folder", "parameters")),
                "map": str(one.get("name", "")),
                "quantity": str(one.get("name", "")),
                "median": None if median is None else float(median),
                "voxels": valid,
                "valid": valid,
            }
        )
    for one in statistics:
        if one.get("set") not in _SETS:
            continue
        numbers = {name: _number(one.get(name)) for name in _NUMBERS}
        counts = {name: _count(one.get(name)) for name in _COUNTS}
        n, sd = counts["valid"] or 0, numbers["sd"]
        rows.append(
            {
                **_EMPTY,
                **facts,
                **_texts(one, (*BODY, "resource", "folder", "note")),
                **numbers,
                **counts,
                "se": _standard_error(sd, n, numbers["bias"]),
            }
        )
    return rows


def _standard_error(sd: float | None, valid: int, bias: float | None) -> float | None:
    return math.hypot(sd / math.sqrt(valid), bias or 0.0) if sd is not None and valid > 1 else None


_EMPTY = dict.fromkeys((*BODY, *TAIL), "") | dict.fromkeys(VALUES)


def _texts(row: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    return {name: str(row.get(name) or "") for name in names}


def _number(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _count(text: Any) -> int | None:
    value = _number(text)
    return None if value is None else int(value)


def effect_rows(comparisons: Iterable[Comparison]) -> list[dict[str, Any]]:
    """Return the rows of ``effects.csv``."""
    return [
        {
            "roi": one.measure.roi,
            "map": one.measure.map,
            "quantity": one.measure.quantity,
            "comparison": one.kind,
            "arm": one.arm,
            "reference": one.reference,
            "timepoint": one.timepoint,
            "baseline": one.baseline,
            "n": one.n,
            "n_reference": one.n_reference if one.reference else None,
            "unit": one.unit,
            "difference": one.effect.difference.estimate,
            "difference_low": one.effect.difference.low,
            "difference_high": one.effect.difference.high,
            "hedges_g": one.effect.g.estimate,
            "g_low": one.effect.g.low,
            "g_high": one.effect.g.high,
        }
        for one in comparisons
    ]


def write_csv(path: Path, names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows; text that a spreadsheet would take for a formula gets a ``'`` before it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for row in rows:
            writer.writerow([_cell(row.get(name)) for name in names])


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, float):
        return format(value, f".{_DIGITS}g")
    if isinstance(value, str):
        text = one_line(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    return value


def write_xlsx(
    path: Path, sheets: Mapping[str, tuple[Sequence[str], Sequence[Mapping[str, Any]]]]
) -> None:
    """Write a workbook: numbers as numbers, one sheet for each name with columns and rows."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    workbook = Workbook(write_only=True)
    for title, (names, rows) in sheets.items():
        sheet = workbook.create_sheet(title)
        sheet.freeze_panes = "A2"
        head = [WriteOnlyCell(sheet, value=name) for name in names]
        for cell in head:
            cell.font = Font(bold=True)
        sheet.append(head)
        for row in rows[: _LONGEST_SHEET - 1]:
            values = [_cell(row.get(name)) for name in names]
            for k, name in enumerate(names):
                if isinstance(row.get(name), float) and values[k] != "":
                    values[k] = float(values[k])
            sheet.append([None if value == "" else value for value in values])
    workbook.save(path)
