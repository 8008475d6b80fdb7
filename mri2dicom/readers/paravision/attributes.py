"""Apply the mapping table: ParaVision parameters to DICOM attributes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ...mapping.tables import load_mapping
from .reco import Reco


@dataclass(frozen=True)
class Row:
    """One row of ``mapping/paravision.toml``."""

    keyword: tuple[str, ...]
    sources: tuple[str, ...]
    source: str
    transform: str = "text"
    values: dict[str, str] = field(default_factory=dict)
    per_frame: bool = False
    unit: str = ""
    versions: str = ""


@dataclass(frozen=True)
class PerFrame:
    """One value for each frame."""

    values: list[Any]


Transform = Callable[[Reco, Row], Any]


@cache
def attribute_rows() -> tuple[Row, ...]:
    """Return the rows of the ParaVision table."""
    return tuple(
        Row(
            keyword=tuple(entry["keyword"]),
            sources=tuple(entry["from"]),
            source=entry["source"],
            transform=entry.get("transform", "text"),
            values=entry.get("values", {}),
            per_frame=entry.get("per_frame", False),
            unit=entry.get("unit", ""),
            versions=entry.get("versions", ""),
        )
        for entry in load_mapping("paravision")["attribute"]
    )


def map_attributes(
    reco: Reco, transforms: dict[str, Transform]
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Return constant attributes, and those that differ between frames.

    Returns
    -------
    constant : dict
        DICOM keyword to value; unknown ones are absent.
    frames : dict
        DICOM keyword to a list with one value per frame.
    """
    constant: dict[str, Any] = {}
    frames: dict[str, list[Any]] = {}
    for row in attribute_rows():
        value = transforms[row.transform](reco, row)
        if isinstance(value, PerFrame):
            if any(item != value.values[0] for item in value.values):
                frames.update(dict.fromkeys(row.keyword, value.values))
                continue
            value = value.values[0]
        if value is None:
            continue
        pairs = zip(row.keyword, value, strict=True) if isinstance(value, tuple) else ()
        constant.update(pairs or dict.fromkeys(row.keyword, value))
    return constant, frames
