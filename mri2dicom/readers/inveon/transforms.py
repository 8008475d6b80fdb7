"""The named transforms of the Inveon mapping table, and its application."""

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import PureWindowsPath
from typing import Any

from ...mapping.tables import load_mapping, species_code
from .header import Section, parse_time

Transform = Callable[[Section, list[str]], Any]

_SEX = {"m": "M", "male": "M", "f": "F", "female": "F"}
# A body of more than 100 kg or 3 m is none of an animal that fits the scanner.
_MAX_KG = 100.0
_MAX_M = 3.0


def term_of(key: str, number: int | None) -> str:
    """Return what a number of an enumerated key means; empty where nothing is known."""
    meanings: dict[str, str] = load_mapping("inveon")["words"].get(key, {})
    return meanings.get(str(number), "")


def _text(main: Section, keys: list[str]) -> str | None:
    return next((value for key in keys if (value := main.text(key))), None)


def _known_text(main: Section, keys: list[str]) -> str | None:
    value = _text(main, keys)
    return None if (value or "").strip().lower() in ("", "unknown", "none", "n/a") else value


def _term(main: Section, keys: list[str]) -> str | None:
    return term_of(keys[0], main.integer(keys[0])) or None


def _positive(main: Section, keys: list[str]) -> float | None:
    value = main.number(keys[0])
    return value if value is not None and value > 0.0 else None


def _sex(main: Section, keys: list[str]) -> str | None:
    value = _known_text(main, keys)
    return None if value is None else _SEX.get(value.strip().lower(), "O")


def _measure(main: Section, key: str, most: float) -> float | None:
    value = _positive(main, [key])
    factor = load_mapping("inveon")["units"][key].get(str(main.integer(f"{key}_units")))
    if value is None or factor is None or not 0.0 < value * factor < most:
        return None
    return float(value * factor)


def _birth_date(main: Section, keys: list[str]) -> str | None:
    """Return a date whose day and month cannot be taken for each other."""
    text = (_text(main, keys) or "").strip()
    moment = parse_time(text)
    if moment is None and (match := re.match(r"(\d{4})-?(\d{2})-?(\d{2})$", text)):
        try:
            moment = datetime(int(match[1]), int(match[2]), int(match[3]))
        except ValueError:
            return None
    return moment.strftime("%Y%m%d") if moment is not None else None


def _quadruped(main: Section, keys: list[str]) -> str | None:
    return "QUADRUPED" if species_code(_text(main, keys) or "") else None


def _stem(main: Section, keys: list[str]) -> str | None:
    """Return a file's name without its folders, which are another computer's, and ``.img``."""
    name = PureWindowsPath(_text(main, keys) or "").name
    if name.lower().endswith(".img"):
        name = name[: -len(".img")]
    return name or None


def _filter(main: Section, keys: list[str]) -> str | None:
    """Return a filter of ``type cutoff`` as name and cutoff; 0.5 is the Nyquist frequency."""
    numbers = main.numbers(keys[0])
    name = term_of("filter", int(numbers[0])) if numbers else ""
    if not name:
        return None
    return f"{name} {numbers[1]:g}" if len(numbers) > 1 else name


def _distance(main: Section, keys: list[str]) -> float | None:
    """Return a distance in mm: the vendor's unit is cm, and 100 cm do not fit the scanner."""
    value = _positive(main, keys)
    if value is None:
        return None
    return value * 10.0 if value < 100.0 else value


def _microseconds(main: Section, keys: list[str]) -> float | None:
    value = _positive(main, keys)
    return None if value is None else value * 1000.0


def _aluminium(main: Section, keys: list[str]) -> str | None:
    value = _positive(main, keys)
    return None if value is None else f"Al {value:g} mm"


def _energy_window(main: Section, keys: list[str]) -> list[dict[str, float]] | None:
    low, high = (main.number(key) for key in keys)
    if low is None or high is None or not 0.0 <= low < high:
        return None
    return [{"EnergyWindowLowerLimit": low, "EnergyWindowUpperLimit": high}]


def _rotation(main: Section, keys: list[str]) -> list[dict[str, Any]] | None:
    """Return how the detector turned; None unless angles and number of steps are known."""
    start, stop, count = (main.number(key) for key in keys[:3])
    if start is None or stop is None or count is None or count < 1.0 or start == stop:
        return None
    arc = abs(stop - start)
    return [
        {
            "StartAngle": start % 360.0,
            "AngularStep": arc / count,
            "ScanArc": arc,
            "RotationDirection": term_of(keys[3], main.integer(keys[3])) or None,
            "NumberOfFramesInRotation": int(count),
        }
    ]


def _version(main: Section, keys: list[str]) -> list[str] | None:
    found = _text(main, keys)
    recon = main.text("recon_version")
    return [*([recon] if recon else []), f"header {found}"] if found else None


TRANSFORMS: dict[str, Transform] = {
    "text": _known_text,
    "words": _term,
    "positive": _positive,
    "sex": _sex,
    "weight": lambda main, keys: _measure(main, keys[0], _MAX_KG),
    "length": lambda main, keys: _measure(main, keys[0], _MAX_M),
    "birth_date": _birth_date,
    "species": lambda main, keys: species_code(_text(main, keys) or "") or None,
    "quadruped": _quadruped,
    "manufacturer": lambda main, keys: _known_text(main, keys) or "Siemens/Concorde",
    "stem": _stem,
    "filter": _filter,
    "distance": _distance,
    "microseconds": _microseconds,
    "aluminium": _aluminium,
    "energy_window": _energy_window,
    "rotation": _rotation,
    "version": _version,
}


def map_attributes(main: Section) -> dict[str, Any]:
    """Return what the mapping table makes of the main section: DICOM keyword to value."""
    result: dict[str, Any] = {}
    for row in load_mapping("inveon")["attribute"]:
        value = TRANSFORMS[row.get("transform", "text")](main, row["from"])
        if value is not None:
            result |= dict.fromkeys(row["keyword"], value)
    return result
