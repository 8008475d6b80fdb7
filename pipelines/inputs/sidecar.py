"""What a sidecar says of its NIfTI image: values of the samples, kind of image, scan."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xnat_pic.errors import CorruptDataError

from .frames import Doubles, ScanProperties

# Sidecar keyword and the factor from BIDS units (seconds) to the product's.
KEYWORDS = {
    "echo_time_ms": ("EchoTime", 1000.0),
    "repetition_time_ms": ("RepetitionTime", 1000.0),
    "inversion_time_ms": ("InversionTime", 1000.0),
    "flip_angle_deg": ("FlipAngle", 1.0),
    "b_value": ("bValues", 1.0),
    "offset_ppm": ("SaturationOffsetPpm", 1.0),
}
_OTHER = {"RepetitionTime": "RepetitionTimeExcitation"}  # what BIDS calls it in VFA
_PARTS = {"mag": "M", "phase": "P", "real": "R", "imag": "I"}


@dataclass(frozen=True)
class SidecarValues:
    """Values by name, shape (n,) or (n_slices, n), and the working frequency."""

    table: dict[str, Doubles]
    frequency_mhz: float | None


def stem_of(path: Path) -> str:
    """Return a file's name without ``.nii`` or ``.nii.gz``."""
    return path.name.removesuffix(".gz").removesuffix(".nii")


def sidecar_of(path: Path) -> Path:
    """Return where the sidecar of an image is, or would be."""
    return path.with_name(stem_of(path) + ".json")


def read_sidecar(path: Path) -> dict[str, Any]:
    """Return the sidecar of an image, empty where it has none.

    Raises
    ------
    CorruptDataError
        For one that is no JSON object.
    """
    sidecar = sidecar_of(path)
    if not sidecar.is_file():
        return {}
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise CorruptDataError(
            f"{sidecar.name} is no JSON.", path=sidecar, hint="Correct it."
        ) from error
    if not isinstance(content, dict):
        raise CorruptDataError(
            f"{sidecar.name} is no JSON object.", path=sidecar, hint="Correct it."
        )
    return content


def values_of(content: dict[str, Any], count: int) -> SidecarValues:
    """Return the values of `count` volumes in the product's units: ms, degrees, s/mm2, ppm."""
    table = {}
    for name, (keyword, factor) in KEYWORDS.items():
        found = _listed(content, keyword, count)
        if found is None and keyword in _OTHER:
            found = _listed(content, _OTHER[keyword], count)
        if found is not None:
            table[name] = found * factor
    return SidecarValues(table, _number(content.get("ImagingFrequency")))


def scan_of(content: dict[str, Any]) -> ScanProperties:
    """Return what a sidecar says of the whole scan."""
    sequence = content.get("ScanningSequence")
    stated = re.split(r"[\\/_,\s]+", str(sequence).upper()) if sequence else []
    spin = bool({"SE", "SPIN"} & set(stated))
    pulse = _number(content.get("SaturationPulseLength"))
    count = _number(content.get("SaturationPulseNumber"))
    return ScanProperties(
        spin_echo=spin if spin or {"GR", "GE", "GRADIENT"} & set(stated) else None,
        field_t=_number(content.get("MagneticFieldStrength")),
        pulse_ms=None if pulse is None else 1000.0 * pulse,
        b1_ut=_number(content.get("SaturationB1")),
        pulses=None if count is None else int(count),
    )


def scan_origin(content: dict[str, Any], sidecar: Path) -> dict[str, str]:
    """Return which row of a sidecar says what of the scan."""
    rows = {
        "spin_echo": "ScanningSequence",
        "field_t": "MagneticFieldStrength",
        "frequency_mhz": "ImagingFrequency",
        "pulse_ms": "SaturationPulseLength",
        "b1_ut": "SaturationB1",
    }
    return {name: f"{key} of {sidecar.name}" for name, key in rows.items() if key in content}


def component_of(path: Path, content: dict[str, Any]) -> str:
    """Return M, R, P or I: by the sidecar, else by ``_part-`` in the name, else magnitude."""
    stated = str(content.get("ComplexImageComponent", "")).upper()
    if stated[:1] in ("M", "R", "P", "I") and stated != "MIXED":
        return stated[0]
    entity = re.search(r"_part-([a-z]+)", path.name)
    return _PARTS.get(entity[1], "M") if entity else "M"


def _number(value: Any) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if good and np.isfinite(value) else None


def _listed(content: dict[str, Any], keyword: str, count: int) -> Doubles | None:
    """Return a value per volume: a list, one number for all, or one of each volume's entries."""
    value = content.get(keyword)
    volumes = content.get("volume_ids") or content.get("Volumes")
    if value is None and isinstance(volumes, list):
        rows = [row.get(keyword) for row in volumes if isinstance(row, dict)]
        value = rows if rows and None not in rows else None
    if value is None:
        return None
    try:
        found = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return np.full(count, float(found)) if found.ndim == 0 else found
