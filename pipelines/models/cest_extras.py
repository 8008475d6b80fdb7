"""Further maps of Z-spectra: Lorentzian difference, inverse metrics, pH."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..errors import ModelInputError
from .cest_spectra import Spectra, resample
from .lorentz import lorentzian_difference
from .ph import PhCalibration, ph_from_ratio, transfer_ratio
from .result import Map

Doubles = npt.NDArray[np.float64]

_PERCENT = 100.0
_LEAST_Z = 0.02  # below it an inverse is one of noise
T1_RANGE_MS = (50.0, 20000.0)


def mtr_rex(z: Doubles, reference: Doubles) -> Doubles:
    """Return MTR_Rex = 1 / Z_lab - 1 / Z_ref.

    Parameters
    ----------
    z, reference : ndarray of float64, any shape
        Spectrum, and what it would be without the pool, fractions of M0.

    Returns
    -------
    ndarray of float64, same shape
        Fraction; NaN where either is below 0.02.

    References
    ----------
    Zaiss, doi:10.1016/j.neuroimage.2015.02.040.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        value = 1.0 / z - 1.0 / reference
        return np.where((z >= _LEAST_Z) & (reference >= _LEAST_Z), value, np.nan)


def arex(rex: Doubles, t1_ms: npt.ArrayLike) -> Doubles:
    """Return AREX = MTR_Rex / T1, the relaxation by exchange.

    Parameters
    ----------
    rex : ndarray of float64, shape (n_voxels, m)
        From `mtr_rex`, or its standard error.
    t1_ms : array_like of float, shape (n_voxels,)
        T1 of water, milliseconds.

    Returns
    -------
    ndarray of float64, shape (n_voxels, m)
        1/s; NaN where T1 is not between 50 and 20000 ms.

    References
    ----------
    Zaiss, doi:10.1016/j.neuroimage.2015.02.040.
    """
    t1 = np.asarray(t1_ms, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        good = (t1 >= T1_RANGE_MS[0]) & (t1 <= T1_RANGE_MS[1])
    return np.asarray(rex / np.where(good, t1 / 1000.0, np.nan)[:, None])


def lorentzian_maps(
    spectra: Spectra,
    shift: Doubles,
    at_ppm: Sequence[float],
    t1_ms: npt.ArrayLike | None,
    sigma: float | None,
) -> tuple[dict[str, Map], dict[str, Map]]:
    """Return Lorentzian differences, and with T1 the inverse metrics.

    Parameters
    ----------
    spectra : Spectra
        Of all voxels.
    shift : ndarray of float64, shape (n_voxels,)
        Where water lies, ppm.
    at_ppm : sequence of float
        Offsets from water.
    t1_ms : array_like of float, shape (n_voxels,), or None
        T1 of water, milliseconds.
    sigma : float or None
        Noise of the images.

    Returns
    -------
    differences : dict
        ``LD_3.5ppm`` ... in %.
    inverse : dict
        ``MTRrex_3.5ppm`` ... in % and ``AREX_3.5ppm`` ... in 1/s; empty without T1.
    """
    if not len(at_ppm):
        return {}, {}
    difference, z = _difference(spectra, shift, at_ppm)
    lost = {
        f"LD_{ppm:g}ppm": Map((_PERCENT * difference[:, k]).astype(np.float32), "%")
        for k, ppm in enumerate(at_ppm)
    }
    if t1_ms is None:
        return lost, {}
    if len(np.asarray(t1_ms)) != len(z):
        raise ModelInputError(
            f"The T1 map has {len(np.asarray(t1_ms))} voxels and the images have {len(z)}.",
            hint="Bring the map to the grid of these images first.",
        )
    rex = mtr_rex(z, z + difference)
    rates = arex(rex, t1_ms)
    extra: dict[str, Map] = {}
    error = rate_error = None
    if sigma is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            # The reference is a fit to many samples, so its own noise is small beside this.
            error = sigma / spectra.m0[:, None] / z**2
        rate_error = arex(error, t1_ms)
    for k, ppm in enumerate(at_ppm):
        extra[f"MTRrex_{ppm:g}ppm"] = _column(rex, k, _PERCENT, "%", error)
        extra[f"AREX_{ppm:g}ppm"] = _column(rates, k, 1.0, "/s", rate_error)
    return lost, extra


def _column(values: Doubles, k: int, factor: float, unit: str, error: Doubles | None) -> Map:
    one = None if error is None else (factor * error[:, k]).astype(np.float32)
    return Map((factor * values[:, k]).astype(np.float32), unit, one)


def _difference(
    spectra: Spectra, shift: Doubles, at_ppm: Sequence[float]
) -> tuple[Doubles, Doubles]:
    """Return the Lorentzian difference and Z at offsets from water, both (n_voxels, m)."""
    offsets = np.union1d(spectra.offsets_ppm, np.round(at_ppm, 6))
    centred = resample(spectra.z, spectra.offsets_ppm, offsets, shift)
    # The ends of a shifted spectrum were not measured, so they serve no voxel.
    moved = np.nanmax(np.abs(shift), initial=0.0)
    inner = (offsets >= offsets[0] + moved) & (offsets <= offsets[-1] - moved)
    inner |= np.isin(offsets, np.round(at_ppm, 6))
    difference, _ = lorentzian_difference(centred[:, inner], offsets[inner], at_ppm)
    places = [int(np.argmin(np.abs(offsets - ppm))) for ppm in at_ppm]
    return difference, centred[:, places]


def acidity_maps(spectra: Spectra, shift: Doubles, calibration: PhCalibration) -> dict[str, Map]:
    """Return pH and the ratio that it was read from; arguments as `lorentzian_maps`."""
    at = np.asarray(calibration.offsets_ppm)
    below, above = (resample(spectra.z, spectra.offsets_ppm, side * at, shift) for side in (-1, 1))
    transfer = below - above
    ratio = transfer_ratio(transfer[:, 0], transfer[:, 1])
    return {
        "pH": Map(ph_from_ratio(ratio, calibration).astype(np.float32), "[pH]"),
        "RST": Map(ratio.astype(np.float32), "1"),
    }
