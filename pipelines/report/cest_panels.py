"""What a Z-spectrum shows in a report: spectrum, asymmetry and where water lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..fitting.cest import spectra_of
from ..models.cest import mtr_asymmetry
from ..models.cest_spectra import Spectra, resample
from .charts import BLUE, GREY, RED, Chart

if TYPE_CHECKING:
    from ..fitting.data import FittedMap

_MOST_VOXELS = 5000
_SHOWN_PPM = 10.0


def _spectra(
    fitted: FittedMap,
) -> tuple[Spectra, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """Return the spectra of voxels with a value, at most 5000 of them, and their shifts in ppm."""
    valid = np.flatnonzero(fitted.valid)
    chosen = valid[:: max(1, -(-len(valid) // _MOST_VOXELS))]
    spectra = spectra_of(fitted.images, fitted.images.signal()[chosen])
    return spectra, fitted.result.maps["B0map"].values[chosen].astype(np.float64)


def charts(fitted: FittedMap) -> list[Chart]:
    """Return the Z-spectrum and its asymmetry over the mask, corrected for B0, and B0 itself.

    Parameters
    ----------
    fitted : FittedMap
        Of the command ``cest`` with MTR asymmetry.
    """
    spectra, shift = _spectra(fitted)
    offsets = spectra.offsets_ppm[np.abs(spectra.offsets_ppm) <= _SHOWN_PPM]
    centred = resample(spectra.z, spectra.offsets_ppm, offsets, shift)
    middle = Chart(
        "Z-spectrum, corrected for B0\nmedian and quartiles", "offset from water (ppm)", "Z"
    )
    _quartiles(middle, offsets, centred)
    positive = offsets[offsets > 1e-6]
    asymmetry = 100 * mtr_asymmetry(spectra.z, spectra.offsets_ppm, positive, shift)
    second = Chart(
        "MTR asymmetry\nmedian and quartiles", "offset from water (ppm)", "MTRasym (% of M0)"
    )
    second.level(0.0)
    _quartiles(second, positive, asymmetry)
    for name in fitted.result.maps:
        if name.startswith("MTRasym_") and name.endswith("ppm") and "-" not in name:
            second.rule(float(name.removeprefix("MTRasym_").removesuffix("ppm")), GREY)
    values = fitted.result.maps["B0map"].values
    known = values[np.isfinite(values)]
    third = Chart("Where water lies", "B0 (ppm)", "voxels")
    reach = max(float(np.percentile(np.abs(known), 99.5)), 0.05)
    third.bars(known, -reach, reach)
    third.rule(float(np.median(known)), RED, f"median {np.median(known):.3g} ppm")
    return [middle, second, third]


def _quartiles(
    chart: Chart,
    x: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> None:
    """Add median and quartiles of what most voxels have."""
    most = np.mean(np.isfinite(rows), axis=0) > 0.5
    if not most.any():
        return
    low, middle, high = np.nanpercentile(rows[:, most], [25, 50, 75], axis=0)
    chart.band(x[most], low, high, BLUE)
    chart.line(x[most], middle, BLUE)
    chart.points(x[most], middle, BLUE)
