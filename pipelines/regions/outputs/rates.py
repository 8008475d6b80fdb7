"""The rate that belongs to a map of times: R1 of T1, R2 of T2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xnat_pic.tables import load_table

from ...outputs import catalogue


@dataclass(frozen=True)
class Rate:
    """One over a map.

    Attributes
    ----------
    name : str
        Such as ``R2map``.
    unit, ucum : str
        As people write it, and as DICOM wants it.
    factor : float
        ``factor / x`` is the rate.
    quantity : tuple of str
        Code value, scheme and meaning.
    """

    name: str
    unit: str
    ucum: str
    factor: float
    quantity: tuple[str, str, str]


def _table() -> dict[str, Any]:
    return load_table("pipelines.regions.outputs", "rates.toml")


def rate_of(name: str, unit: str) -> Rate | None:
    """Return the rate of a map; None where its unit is no time."""
    table = _table()
    seconds = table["seconds"].get(unit)
    if seconds is None:
        return None
    row = table["map"].get(name, table["other"])
    code = row["quantity"]
    return Rate(
        name=row["name"].format(name=name),
        unit=table["unit"],
        ucum=table["ucum"],
        factor=1 / seconds,
        quantity=(code[0], code[1], code[2]),
    )


def coded(name: str, unit: str) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """Return the codes of a quantity and of its unit, each value, scheme and meaning.

    Parameters
    ----------
    name, unit : str
        Of a map or of a rate.
    """
    table = _table()
    if unit == table["unit"]:
        rows = [*table["map"].values(), table["other"]]
        row = next((row for row in rows if row["name"] == name), table["other"])
        code = row["quantity"]
        return (code[0], code[1], code[2]), (table["ucum"], "UCUM", table["meaning"])
    ucum = unit or "1"
    return catalogue.entry(name).quantity, (ucum, "UCUM", catalogue.unit_meaning(ucum))
