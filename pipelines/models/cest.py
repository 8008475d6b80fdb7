"""CEST maps: MTR asymmetry at offsets and in windows, Lorentzian difference, pH."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..errors import ModelInputError
from .cest_b0 import b0_by_minimum, b0_by_symmetry, shifted_too_far
from .cest_extras import acidity_maps, lorentzian_maps
from .cest_spectra import Spectra, resample, z_spectra
from .outcome import Noise, conclude
from .ph import PhCalibration
from .result import FATAL, FitResult, Flag, Flags, Map

Doubles = npt.NDArray[np.float64]
Normalisation = Literal["M0", "negative"]

_PERCENT = 100.0
_WINDOW_STEP = 0.05
CERTAIN_PERCENT = 1.0  # standard error of MTRasym that is let pass, however small MTRasym is


@dataclass(frozen=True)
class Window:
    """A range of offsets over which MTRasym is averaged.

    Attributes
    ----------
    name : str
    low_ppm, high_ppm : float
        Ends, ppm from water, above 0.
    """

    name: str
    low_ppm: float
    high_ppm: float


WINDOWS = {
    window.name: window
    for window in (
        Window("amide", 3.2, 3.8),
        Window("amine", 1.8, 2.2),
        Window("hydroxyl", 0.8, 1.2),
    )
}


def mtr_asymmetry(
    z: Doubles,
    offsets_ppm: Doubles,
    at_ppm: npt.ArrayLike,
    b0_ppm: npt.ArrayLike = 0.0,
    normalise: Normalisation = "M0",
) -> Doubles:
    """Return MTRasym(w) = Z(-w) - Z(+w), or that over Z(-w).

    Parameters
    ----------
    z : ndarray of float64, shape (n_voxels, n_offsets)
        Z-spectra.
    offsets_ppm : ndarray of float64, shape (n_offsets,)
        Ascending, ppm from the working frequency.
    at_ppm : array_like of float, shape (m,)
        Offsets w from water, ppm, above 0.
    b0_ppm : float or array_like, shape (n_voxels,)
        Where water lies; the spectrum is read by monotone cubics.
    normalise : {"M0", "negative"}
        As it is, a fraction of M0, or divided by Z(-w).

    Returns
    -------
    ndarray of float64, shape (n_voxels, m)
        Fraction; NaN where either side lies outside the offsets measured, or Z(-w) is 0.

    References
    ----------
    Zhou, doi:10.1038/nm907.
    """
    at = np.atleast_1d(np.asarray(at_ppm, dtype=np.float64))
    positive = resample(z, offsets_ppm, at, b0_ppm)
    negative = resample(z, offsets_ppm, -at, b0_ppm)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = negative - positive
        if normalise == "negative":
            value = np.where(negative > 0, value / negative, np.nan)
    return np.asarray(value)


def fit_cest(
    signal: npt.ArrayLike,
    offsets_ppm: npt.ArrayLike,
    *,
    mask: npt.ArrayLike | None = None,
    sigma: float | None = None,
    is_reference: Sequence[bool | None] | None = None,
    working_frequency_mhz: float | None = None,
    b0_ppm: npt.ArrayLike | None = None,
    b0_method: Literal["minimum", "symmetry", "none"] = "minimum",
    at_ppm: Sequence[float] = (3.5, 2.0),
    windows: Sequence[Window] = (),
    normalise: Normalisation = "M0",
    lorentzian: bool = False,
    t1_ms: npt.ArrayLike | None = None,
    ph_calibration: PhCalibration | None = None,
) -> FitResult:
    """Make CEST maps of Z-spectra.

    Parameters
    ----------
    signal : array_like of float, shape (n_voxels, n_images)
        Magnitude, arbitrary units, images in acquisition order.
    offsets_ppm : array_like of float, shape (n_images,)
        Saturation offsets from the working frequency, ppm, M0 images included.
    mask, sigma, is_reference, working_frequency_mhz
        As `cest_spectra.z_spectra`. Sigma also gives standard errors.
    b0_ppm : array_like of float, shape (n_voxels,), optional
        Where water lies, from a WASSR or WASABI scan; it goes before `b0_method`.
    b0_method : {"minimum", "symmetry", "none"}
        How it is found in these spectra: `cest_b0.b0_by_minimum`, `cest_b0.b0_by_symmetry`, or
        taken for 0.
    at_ppm : sequence of float
        Offsets of MTRasym, ppm from water, above 0.
    windows : sequence of Window
        Ranges over which MTRasym is averaged; `WINDOWS` has the usual ones.
    normalise : {"M0", "negative"}
        See `mtr_asymmetry`.
    lorentzian : bool
        Give the Lorentzian difference at `at_ppm` too.
    t1_ms : array_like of float, shape (n_voxels,), optional
        T1 of water in milliseconds: with `lorentzian` give MTR_Rex and AREX at `at_ppm` too.
    ph_calibration : PhCalibration, optional
        Give pH from the two offsets of the calibration (iopamidol: 4.2 and 5.5 ppm).

    Returns
    -------
    FitResult
        float32: ``MTRasym_3.5ppm`` ... and ``MTRasym_amide`` ... in %, ``LD_3.5ppm`` ... in %,
        ``MTRrex_3.5ppm`` ... in %, ``AREX_3.5ppm`` ... in 1/s, ``pH`` and ``RST``, ``B0map`` in
        ppm, ``M0map``. NaN outside the mask, for images that are
        not finite, without M0, where B0 was not found, and where an offset of `at_ppm` or of a
        window lies, after correction, outside those measured (`Flag.AT_BOUND`). pH and RST are NaN
        too where the transfer is below 1 % or the ratio outside the calibration, MTR_Rex and AREX
        where Z is below 0.02 or T1 not known, without a flag for the other maps. A standard error
        below 1 % of M0 is no `Flag.UNCERTAIN`, however small MTRasym is. `settings` holds unpaired
        offsets, scale and calibration.

    Raises
    ------
    ModelInputError
        As `cest_spectra.z_spectra`, and for offsets wanted beyond those measured.

    References
    ----------
    Zhou, doi:10.1038/nm907; Kim, doi:10.1002/mrm.21873.
    """
    known = (mask, sigma, is_reference, working_frequency_mhz)
    spectra = _spectra(signal, offsets_ppm, *known)
    wanted = _wanted(spectra, at_ppm, windows, ph_calibration)
    shift, field_notes = _field_shift(spectra, b0_ppm, b0_method)
    flags = _flags(spectra, shift, wanted)
    maps = _asymmetries(spectra, shift, sigma, at_ppm, windows, normalise)
    lost, extra = lorentzian_maps(spectra, shift, at_ppm if lorentzian else (), t1_ms, sigma)
    if ph_calibration is not None:
        extra |= acidity_maps(spectra, shift, ph_calibration)
    maps |= {"B0map": Map(shift.astype(np.float32), "[ppm]")}
    maps |= {"M0map": Map(spectra.m0.astype(np.float32), "[arb'U]"), **lost}
    nothing = np.full(len(flags), np.nan, np.float32)
    result = conclude(
        name="CEST",
        maps=maps,
        flags=flags,
        sse=nothing,
        sst=nothing.copy(),
        freedom=0,
        noise=Noise(sigma, rician=False),
        chi2=None,
        residual_mean=np.full(len(spectra.offsets_ppm), np.nan),
        notes=[*spectra.notes, *field_notes],
        settings=_settings(spectra, normalise, b0_method if b0_ppm is None else "given"),
        certain=CERTAIN_PERCENT,
    )
    # pH is missing in many voxels whose other maps stand, so it comes after the blanking.
    result.maps.update(_blank(extra, (result.flags & FATAL) != 0))
    if ph_calibration is not None:
        result.settings["ph_calibration"] = vars(ph_calibration)
    return result


def _spectra(
    signal: npt.ArrayLike,
    offsets_ppm: npt.ArrayLike,
    mask: npt.ArrayLike | None,
    sigma: float | None,
    is_reference: Sequence[bool | None] | None,
    frequency: float | None,
) -> Spectra:
    return z_spectra(
        signal,
        offsets_ppm,
        mask=mask,
        sigma=sigma,
        is_reference=is_reference,
        working_frequency_mhz=frequency,
    )


def _flags(spectra: Spectra, shift: Doubles, wanted: Doubles) -> Flags:
    """Flag voxels whose water was not found, or whose wanted offsets lie beyond the measured."""
    flags = spectra.flags.copy()
    live = (flags & FATAL) == 0
    flags[live & ~np.isfinite(shift)] |= np.uint8(Flag.NOT_CONVERGED)
    live &= np.isfinite(shift)
    both = np.concatenate([wanted, -wanted])
    far = shifted_too_far(np.where(live, shift, 0.0), spectra.offsets_ppm, both)
    flags[live & far] |= np.uint8(Flag.AT_BOUND)
    return flags


def _settings(spectra: Spectra, normalise: Normalisation, b0_method: str) -> dict[str, object]:
    return {
        "offsets_ppm": spectra.offsets_ppm.tolist(),
        "m0_images": list(spectra.m0_images),
        "unpaired_ppm": list(spectra.unpaired_ppm),
        "normalisation": "Z(-w) - Z(+w)" + ("" if normalise == "M0" else ", over Z(-w)"),
        "b0_method": b0_method,
        "estimation_reference": "doi:10.1038/nm907",
    }


def _blank(maps: dict[str, Map], lost: npt.NDArray[np.bool_]) -> dict[str, Map]:
    for quantity in maps.values():
        quantity.values[lost] = np.nan
        if quantity.error is not None:
            quantity.error[lost | ~np.isfinite(quantity.values)] = np.nan
    return maps


def _places(window: Window) -> Doubles:
    count = max(2, round((window.high_ppm - window.low_ppm) / _WINDOW_STEP) + 1)
    return np.linspace(window.low_ppm, window.high_ppm, count)


def _wanted(
    spectra: Spectra,
    at_ppm: Sequence[float],
    windows: Sequence[Window],
    calibration: PhCalibration | None,
) -> Doubles:
    """Return every offset that a map reads; refuse those that were not measured."""
    parts = [np.asarray(at_ppm, dtype=np.float64), *(_places(window) for window in windows)]
    if calibration is not None:
        parts.append(np.asarray(calibration.offsets_ppm))
    wanted = np.concatenate(parts)
    if not wanted.size or not np.all(wanted > 0):
        raise ModelInputError(
            "The offsets for MTRasym are not above 0.",
            hint="Give them in ppm from water: 3.5, 2.0.",
        )
    reach = min(-spectra.offsets_ppm[0], spectra.offsets_ppm[-1])
    if wanted.max() > reach + 1e-6:
        raise ModelInputError(
            f"MTRasym at {wanted.max():g} ppm needs images on both sides of water, and they reach "
            f"to {reach:g} ppm.",
            hint="Choose offsets inside the range measured.",
        )
    return wanted


def _field_shift(
    spectra: Spectra, b0_ppm: npt.ArrayLike | None, method: str
) -> tuple[Doubles, tuple[str, ...]]:
    """Return where water lies in each voxel, NaN where unknown, and what to tell of it."""
    voxels = len(spectra.z)
    if b0_ppm is not None:
        given = np.asarray(b0_ppm, dtype=np.float64)
        if given.shape != (voxels,):
            raise ModelInputError(
                f"The B0 map has shape {given.shape} and the images have {voxels} voxels.",
                hint="Bring the map to the grid of these images first.",
            )
        return given.copy(), ()
    if method == "none":
        return np.zeros(voxels), ("B0 was not corrected.",)
    if method == "symmetry":
        return b0_by_symmetry(spectra.z, spectra.offsets_ppm), ()
    shift, wide = b0_by_minimum(spectra.z, spectra.offsets_ppm)
    count = int(np.count_nonzero(wide & np.isfinite(shift)))
    if not count:
        return shift, ()
    return shift, (
        f"In {count} voxels the dip of water is wider than 1.5 ppm, so that B0 is uncertain: "
        "use a WASSR or WASABI scan.",
    )


def _asymmetries(
    spectra: Spectra,
    shift: Doubles,
    sigma: float | None,
    at_ppm: Sequence[float],
    windows: Sequence[Window],
    normalise: Normalisation,
) -> dict[str, Map]:
    error = None
    if sigma is not None and normalise == "M0":
        with np.errstate(divide="ignore", invalid="ignore"):
            # Two samples of the spectrum; what the interpolation mixes only makes it less.
            error = (_PERCENT * np.sqrt(2) * sigma / spectra.m0).astype(np.float32)
    maps = {}
    values = mtr_asymmetry(spectra.z, spectra.offsets_ppm, list(at_ppm), shift, normalise)
    for k, ppm in enumerate(at_ppm):
        percent = (_PERCENT * values[:, k]).astype(np.float32)
        maps[f"MTRasym_{ppm:g}ppm"] = Map(percent, "%", None if error is None else error.copy())
    for window in windows:
        inside = mtr_asymmetry(
            spectra.z, spectra.offsets_ppm, _places(window), shift, normalise
        ).mean(axis=1)
        maps[f"MTRasym_{window.name}"] = Map((_PERCENT * inside).astype(np.float32), "%")
    return maps
