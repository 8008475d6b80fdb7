"""What is known of each map: name of its files, code, window."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from xnat_pic.tables import load_table


@dataclass(frozen=True)
class MapEntry:
    """One row of ``maps.toml``.

    Attributes
    ----------
    suffix : str
        End of the file name.
    quantity : tuple of str
        Code value, scheme and meaning.
    colours : str
        Name of a table of ``colours.toml``.
    window : tuple of float or None
        For display, in the unit of the map.
    secondary : bool
        Also written as an ordinary MR series.
    """

    suffix: str
    quantity: tuple[str, str, str]
    colours: str
    window: tuple[float, float] | None
    secondary: bool


def _table() -> dict[str, Any]:
    return load_table("pipelines.outputs", "maps.toml")


@cache
def colours(name: str) -> npt.NDArray[np.uint8]:
    """Return the colours of a table of ``colours.toml``, lowest first, shape (256, 3)."""
    text = load_table("pipelines.outputs", "colours.toml")[name]["rgb"]
    return np.frombuffer(bytes.fromhex(text), dtype=np.uint8).reshape(-1, 3)


def entry(name: str) -> MapEntry:
    """Return the row of a map, such as ``T2map``, or of the longest name it begins with."""
    rows = _table()["map"]
    stem = max((key for key in rows if _is_kind_of(name, key)), key=len, default="")
    row = rows[stem] if stem else _table()["other"]
    rest = "" if name == stem else _suffix_of(name.removeprefix(stem) if stem else name)
    suffix = row["suffix"] if not rest else f"desc-{_suffix_of(name)}_{row['suffix'] or 'map'}"
    window = row.get("window")
    return MapEntry(
        suffix=suffix,
        quantity=(row["quantity"][0], row["quantity"][1], row["quantity"][2]),
        colours=row["colours"],
        window=(float(window[0]), float(window[1])) if window else None,
        secondary=bool(row.get("secondary", False)) and not rest.startswith("error"),
    )


def _is_kind_of(name: str, key: str) -> bool:
    """Tell whether a map is a kind of another: ``MTRasym_3.5ppm`` of ``MTRasym``."""
    rest = name.removeprefix(key)
    return name == key or (rest != name and not rest[0].islower() and len(key) > 1)


def _suffix_of(text: str) -> str:
    return "".join(sign if sign.isalnum() else "p" if sign == "." else "" for sign in text)


def unit_meaning(unit: str) -> str:
    """Return the name of a unit."""
    return str(_table()["units"].get(unit, unit))


def window(name: str, values: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Return the window in which a map is shown, in its unit: fixed, or 0 to a round maximum."""
    fixed = entry(name).window
    if fixed:
        return fixed
    finite = values[np.isfinite(values)]
    top = float(np.percentile(finite, 99)) if finite.size else 1.0
    if top <= 0:
        top = 1.0
    size = 10 ** np.floor(np.log10(top))
    return 0.0, float(np.ceil(top / size * 2) / 2 * size)
