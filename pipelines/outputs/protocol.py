"""What was measured and how it was fitted, for sidecars, provenance and the report."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from xnat_pic.version import version

from ..models.result import count_flags

if TYPE_CHECKING:
    from ..fitting.data import FittedMap

# Names of BIDS, and the factor from the product's unit (ms) to theirs (s).
_BIDS = {
    "echo_time_ms": ("EchoTime", 1e-3),
    "repetition_time_ms": ("RepetitionTime", 1e-3),
    "inversion_time_ms": ("InversionTime", 1e-3),
    "flip_angle_deg": ("FlipAngle", 1.0),
    "b_value": ("bValues", 1.0),
    "offset_ppm": ("SaturationOffsetPpm", 1.0),
}
_LIBRARIES = ("numpy", "scipy", "numba", "pydicom", "highdicom", "nibabel")


def values_used(fitted: FittedMap) -> dict[str, Any]:
    """Return the protocol values in BIDS units: a number where all are equal, else a list."""
    found: dict[str, Any] = {}
    for name, (keyword, factor) in _BIDS.items():
        rows = fitted.images.values.get(name)
        if rows is None:
            continue
        if np.all(rows == rows[0, 0]) and name != fitted.variable:
            found[keyword] = round(float(rows[0, 0]) * factor, 9)
        elif np.allclose(rows, rows[0], equal_nan=True):
            found[keyword] = [round(float(v) * factor, 9) for v in rows[0]]
        else:
            found[keyword] = [[round(float(v) * factor, 9) for v in row] for row in rows]
    return found


def sidecar(fitted: FittedMap, name: str, unit: str, key: str) -> dict[str, Any]:
    """Return the sidecar of one map."""
    result = fitted.result
    settings = result.settings
    reference = settings.get("estimation_reference", "")
    return {
        "Name": name,
        "Units": unit,
        "EstimationAlgorithm": f"{result.model}, xnat-pic {version()}",
        "EstimationReference": reference,
        "Sources": [path.name for path in fitted.images.files],
        **values_used(fitted),
        "SkippedSamples": settings.get("skipped_samples", 0),
        "Model": result.model,
        "NoiseModel": settings.get("noise_model", "Gaussian"),
        "Sigma": result.sigma,
        "SigmaSource": fitted.sigma_source,
        "Bounds": next((settings[k] for k in settings if k.startswith("bounds")), None),
        "MaskSource": fitted.mask_source,
        "SoftwareName": "xnat-pic-pipelines",
        "SoftwareVersion": version(),
        "Flags": count_flags(result.flags),
        "Rebuilt": fitted.images.rebuilt,
        "Parameters": key,
        "Notes": fitted.notes,
    }


def inputs_key(fitted: FittedMap) -> list[str]:
    """Return what tells the inputs from others: instances, or names and sizes of files."""
    frames = fitted.images.frames
    if frames:
        return sorted({f.instance_uid for one in frames for f in one})
    return [f"{path.name} {path.stat().st_size}" for path in fitted.images.files]


def provenance(fitted: FittedMap, key: str, hashes: list[str]) -> dict[str, Any]:
    """Return where the maps come from and what made them."""
    frames = [f for one in fitted.images.frames for f in one]
    instances: dict[str, set[str]] = {}
    for frame in frames:
        instances.setdefault(str(frame.path), set()).add(frame.instance_uid)
    inputs = []
    for path, sha in zip(fitted.images.files, hashes, strict=True):
        uids = sorted(instances.get(str(path), ()))
        inputs.append(
            {"file": path.name, "sha256": sha, "sop_instance_uid": uids[0] if uids else ""}
        )
    return {
        "command": fitted.command,
        "options": fitted.options,
        "parameters": key,
        "series": sorted({f.series_uid for f in frames}),
        "settings": fitted.result.settings,
        "software": f"xnat-pic {version()}",
        "python": platform.python_version(),
        "libraries": {name: _installed(name) for name in _LIBRARIES},
        "inputs": inputs,
    }


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
