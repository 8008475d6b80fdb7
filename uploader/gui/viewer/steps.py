"""What tells the steps of a series apart, in a person's words. Imports no Qt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from mri2dicom import Loop, RawSeries
from private_dictionaries import read_block, read_frames
from xnat_pic.tables import load_rows
from xnat_pic.text import printable

_PLAIN = "step"
_LOOPS = {Loop.SLICE, Loop.OTHER}


@dataclass(frozen=True)
class _Rule:
    """One row of ``steps.toml``."""

    keyword: str
    meaning: str
    symbol: str
    unit: str
    decimals: int
    source: str
    private: bool = False
    scale: float = 1.0


@dataclass(frozen=True)
class StackSteps:
    """What the steps of a series are.

    Attributes
    ----------
    meaning : str
        Such as ``echo``; the key ``viewer.step_<meaning>`` is its name for people.
    values : tuple of str
        One for each step, with its unit, such as ``TE 12 ms``; empty where a step has none.
    """

    meaning: str
    values: tuple[str, ...]


def rules() -> tuple[_Rule, ...]:
    """Return the rows of ``steps.toml`` in their order."""
    return load_rows(__package__, "steps.toml", "step", _Rule)


def find_steps(values: Sequence[Mapping[str, Any]]) -> StackSteps:
    """Return what tells steps apart: the first attribute of ``steps.toml`` that changes.

    Parameters
    ----------
    values : sequence of mapping
        For each step DICOM keyword to value; a missing one, or None, is a step without it (the
        reference image of a CEST series has no offset).
    """
    for rule in rules():
        column = [_first(one.get(rule.keyword)) for one in values]
        if len({str(value) for value in column if value is not None}) > 1:
            return StackSteps(rule.meaning, tuple(_text(rule, value) for value in column))
    return StackSteps(_PLAIN, ("",) * len(values))


def raw_steps(series: RawSeries, first: Sequence[int]) -> StackSteps:
    """Return what tells the steps of a scanner's series apart.

    Parameters
    ----------
    first : sequence of int
        A plane of each step.
    """
    found = find_steps(
        [
            {
                rule.keyword: _of_plane(series.private, rule.keyword, plane, series.plane_count)
                if rule.private
                else _of_plane(series.plane_attributes, rule.keyword, plane, series.plane_count)
                for rule in rules()
            }
            for plane in first
        ]
    )
    if found.meaning != _PLAIN or any(found.values):
        return found
    for loop in series.dimensions:
        if loop.loop not in _LOOPS and loop.labels and loop.length > 1:
            return StackSteps(_PLAIN, tuple(loop.labels[int(loop.index[plane])] for plane in first))
    return found


def saturation_offsets(ds: Dataset, frames: int) -> list[dict[str, Any]]:
    """Return for each frame of a DICOM image what its CEST block says that ``steps.toml`` asks for.

    Parameters
    ----------
    frames : int
        Number of frames; 1 for a classic image.
    """
    if str(ds.get("Modality") or "") != "MR":
        return [{}] * frames
    enhanced = "PerFrameFunctionalGroupsSequence" in ds
    blocks = read_frames(ds) if enhanced else [read_block(ds)] * frames
    return [{"SaturationOffsetPpm": one.offset_ppm} if one is not None else {} for one in blocks]


def _of_plane(table: Mapping[str, Any], keyword: str, plane: int, planes: int) -> Any:
    value = table.get(keyword)
    return value[plane] if isinstance(value, list) and len(value) == planes else None


def _text(rule: _Rule, value: Any) -> str:
    if value is None or not str(value).strip():
        return ""
    try:
        shown = f"{round(float(value) * rule.scale, rule.decimals):.10g}".replace(
            "-", "\N{MINUS SIGN}"
        )
    except ValueError:
        shown = printable(str(value))
    return " ".join(filter(None, [rule.symbol, shown, rule.unit]))


def _first(value: Any) -> Any:
    many = not isinstance(value, str | bytes) and hasattr(value, "__getitem__")
    return (value[0] if len(value) else None) if many else value
