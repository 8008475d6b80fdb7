"""The attributes of each plane of a series: geometry, loops, weighting, saturation."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from private_dictionaries import encode_block

from ..mapping.tables import code_item, load_mapping
from ..series import geometry
from ..series.geometry import Ints
from ..series.model import Loop, RawSeries
from .encode import TypedValue


def spacing_between_slices(series: RawSeries) -> float | None:
    """Return the distance between neighbouring planes, measured; None unless one holds for all.

    Packages that are not parallel, single slices and unequal steps have none.
    """
    found: set[float] = set()
    axes = series.orientation
    if not np.allclose(axes, axes[0], atol=geometry.PARALLEL_TOLERANCE, rtol=0):
        return None
    for number in np.unique(series.stack):
        members = np.flatnonzero(series.stack == number)
        _, first = np.unique(np.round(series.position_mm[members], 6), axis=0, return_index=True)
        chosen = members[np.sort(first)]
        spacing = geometry.measured_spacing(series.position_mm[chosen], axes[chosen])
        if spacing is None:
            return None
        found.add(round(spacing, 6))
    return found.pop() if len(found) == 1 else None


def diffusion_items(values: dict[str, Any]) -> dict[str, Any]:
    """Return direction and b-matrix of one plane as DICOM has them; none without a direction."""
    direction, matrix = values.get("DiffusionGradientOrientation"), values.get("DiffusionBMatrix")
    if direction is None:
        return {}
    result: dict[str, Any] = {
        "DiffusionGradientDirectionSequence": [{"DiffusionGradientOrientation": direction}]
    }
    if matrix is not None:
        names = ("XX", "XY", "XZ", "YY", "YZ", "ZZ")
        item = {f"DiffusionBValue{n}": b for n, b in zip(names, matrix, strict=True)}
        result["DiffusionBMatrixSequence"] = [item]
    return result


@dataclass(frozen=True)
class Quantity:
    """What a plane's values measure.

    Attributes
    ----------
    name : str
        Short name for people.
    code : tuple of str
        Coding scheme, value, meaning.
    unit : str
        UCUM code.
    """

    name: str
    code: tuple[str, str, str]
    unit: str


def find_quantity(label: str, unit: str) -> Quantity:
    """Find the quantity and unit of a map in the table, by the vendor's label.

    A label without a row gets a code of this suite, so that no meaning is invented.
    """
    table = load_mapping("quantities")
    ucum = table["units"].get(unit.strip(), unit.strip())
    lowered = label.lower()
    for row in table["quantity"]:
        if all(word.lower() in lowered for word in row["match"]):
            scheme, value, meaning = row["code"]
            return Quantity(row["name"], (scheme, value, meaning), ucum or row.get("unit", "1"))
    short = "".join(c for c in label.upper() if c.isascii() and c.isalnum())[:16] or "VALUE"
    return Quantity(label or "value", ("99XNATPIC", short, label[:64] or "Value"), ucum or "1")


@dataclass(frozen=True)
class PlaneValues:
    """All per-plane values of a series, by plane."""

    series: RawSeries

    @cached_property
    def in_stack(self) -> Ints:
        """In-Stack Position Number of each plane, from 1."""
        return geometry.in_stack_positions(
            self.series.position_mm, self.series.orientation, self.series.stack
        )

    @cached_property
    def location(self) -> Any:
        """Slice Location of each plane, mm."""
        return geometry.slice_location(self.series.position_mm, self.series.orientation)

    def texts(self) -> set[str]:
        """Return the texts that planes bring with them, such as names of loop steps and units."""
        found = {label for d in self.series.dimensions for label in d.labels}
        found |= set(self.series.unit)
        for values in (*self.series.plane_attributes.values(), *self.series.private.values()):
            several = values if isinstance(values, list) else [values]
            found |= {one for one in several if isinstance(one, str)}
        return found

    def label(self, plane: int) -> str:
        """Return the names of the loop steps of a plane, such as the map's."""
        parts = [d.labels[d.index[plane]] for d in self.series.dimensions if d.labels]
        return ", ".join(part for part in parts if part)

    def quantity(self, plane: int) -> Quantity | None:
        """Return what a plane measures; None for an intensity."""
        unit = self.series.unit[plane] if self.series.unit else ""
        maps = self.series.dimension(Loop.MAP)
        if not unit and maps is None and not self.series.is_quantity:
            return None
        fallback = str(self.series.attributes.get("SequenceName") or "")
        return find_quantity(self.label(plane) or fallback, unit)

    def attributes(self, plane: int) -> dict[str, Any]:
        """Return the plane's own attributes; absent ones are left out."""
        own = {
            keyword: values[plane]
            for keyword, values in self.series.plane_attributes.items()
            if values[plane] is not None
        }
        return own | diffusion_items(own)

    def saturation_tags(self) -> set[int]:
        """Return the tags of the private CEST block that differ between planes or that some lack.

        The block's creator is among them only where no constant part of the block has it.
        """
        varying = {
            keyword: next((one for one in values if one is not None and one != ""), None)
            for keyword, values in self.series.private.items()
            if isinstance(values, list)
        }
        constant = {tag for tag, _, _ in self.saturation(None)}
        return {tag for tag, _, _ in encode_block(varying)} - constant

    def saturation(self, plane: int | None) -> list[tuple[int, str, Any]]:
        """Return the encoded private CEST block: constant part (None), or that of one plane."""
        if plane is None:
            chosen = {k: v for k, v in self.series.private.items() if not isinstance(v, list)}
        else:
            chosen = {k: v[plane] for k, v in self.series.private.items() if isinstance(v, list)}
        return encode_block(chosen)


def real_world_value(
    found: Quantity, slope: float, offset: float, limits: tuple[float, float], *, floats: bool
) -> dict[str, Any]:
    """Return a Real World Value Mapping item: unit and quantity, with slope and intercept."""
    ends: dict[Any, Any] = {}
    if floats:
        ends["DoubleFloatRealWorldValueFirstValueMapped"] = limits[0]
        ends["DoubleFloatRealWorldValueLastValueMapped"] = limits[1]
    else:
        vr = "SS" if limits[0] < 0 else "US"
        ends["RealWorldValueFirstValueMapped"] = TypedValue(vr, int(limits[0]))
        ends["RealWorldValueLastValueMapped"] = TypedValue(vr, int(limits[1]))
    return {
        "LUTExplanation": found.name[:64],
        "LUTLabel": found.name[:16],
        "RealWorldValueIntercept": offset,
        "RealWorldValueSlope": slope,
        **ends,
        "MeasurementUnitsCodeSequence": [
            code_item("UCUM", found.unit[:16], unit_meaning(found.unit))
        ],
        "QuantityDefinitionSequence": [
            {
                "ValueType": "CODE",
                "ConceptNameCodeSequence": [code_item("SCT", "246205007", "Quantity")],
                "ConceptCodeSequence": [code_item(*found.code)],
            }
        ],
    }


_UNIT_MEANINGS = {
    "1": "no units",
    "[arb'U]": "arbitrary unit",
    "{ph}/s/cm2/sr": "photons per second, square centimetre and steradian",
}


def unit_meaning(unit: str) -> str:
    """Return the meaning of a unit's code for people."""
    return _UNIT_MEANINGS.get(unit, unit)
