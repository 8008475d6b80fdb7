"""T1 from inversion recovery: magnitudes whose sign was lost, or real images that kept it."""

from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..errors import ModelInputError
from .checks import as_signal, as_times, check_single_dip
from .outcome import ARBITRARY, Noise, conclude_search, first_flags
from .result import FitResult, Flag, Map
from .selection import FEWEST_FOR_THREE
from .t1 import incompleteness
from .varpro import Columns, Solution, tabulate

Doubles = npt.NDArray[np.float64]

# 2 is perfect. Long pulses make it seem more where T1 is short; far above, a wrong sign was tried.
_LARGEST_K = 3.0


def fit_t1_ir(
    signal: npt.ArrayLike,
    inversion_times_ms: npt.ArrayLike,
    *,
    repetition_times_ms: npt.ArrayLike | None = None,
    signed: bool = False,
    mask: npt.ArrayLike | None = None,
    sigma: float | None = None,
    model: Literal["2p", "3p"] = "3p",
    saturation: npt.ArrayLike | None = None,
) -> FitResult:
    """Fit S(TI) = M0 (1 - k exp(-TI / T1) + exp(-TR / T1)), or its magnitude.

    k is 2 for perfect inversion. Three parameters fit M0, k and T1; two fix k = 2. With one TR for
    all images the three-parameter model is the general a + b exp(-TI / T1), whatever TR is; where
    TR differs between images each has its own. Without repetition times the last term is left out
    (TR above five T1).

    For magnitudes every number of leading images is tried with a negative sign, and the smallest
    sum of squares taken: that is the least squares of the magnitude itself, found without its kink.
    Optima whose k is not between 0 and 3 are passed over, and where what remains fits three times
    worse the voxel has no value.

    Parameters
    ----------
    signal : array_like of float, shape (n_voxels, n_images)
        Magnitude, or real with `signed`; arbitrary units. NaN is allowed.
    inversion_times_ms : array_like of float, shape (n_images,)
        Milliseconds, one per column, in any order.
    repetition_times_ms : float or array_like, shape (n_images,), optional
        Milliseconds; each image's own, where they differ.
    signed : bool
        The images are real and kept their sign; their noise is taken for Gaussian.
    mask : array_like of bool, shape (n_voxels,), optional
        Voxels to fit; all by default.
    sigma : float, optional
        Standard deviation of the noise of one real channel, in the unit of the signal.
    model : {"2p", "3p"}
        Perfect inversion, or k fitted too (at least six images).
    saturation : float or array_like, shape (n_images,), optional
        Values from which on a sample is taken for cut off.

    Returns
    -------
    FitResult
        ``T1map`` (ms), ``M0map`` (arbitrary units) and with three parameters ``kmap`` (1),
        float32, with standard errors. NaN as in `t2.fit_t2`; bounds of T1 are a fifth of the
        shortest and five times the longest TI.

    Raises
    ------
    ModelInputError
        For fewer than three (four with three parameters) different times, another unit, a
        magnitude that humps in most voxels, repetition times not above the inversion times, an
        empty mask or one of another size, and three parameters on fewer than six images.

    References
    ----------
    Barral, doi:10.1002/mrm.22497; Golub and Pereyra, doi:10.1137/0710036.
    """
    times, array, order = _sorted(signal, inversion_times_ms, model)
    repetition = _repetition(repetition_times_ms, times, order)
    if saturation is not None and np.ndim(saturation):
        saturation = np.asarray(saturation)[order]
    flags = first_flags(array if not signed else np.abs(array), mask, sigma, saturation)
    if not signed:
        check_single_dip(array, times, flags == 0, "inversion time")
    noise = Noise(sigma, rician=not signed)
    free = model == "3p"
    low, high = 0.2 * float(times[0]), 5.0 * float(times[-1])
    limit = _LARGEST_K if free else 0.0
    table = tabulate(inversion(times, repetition, free), low, high, limit=limit)
    found = _upright(noise.solve(table, array, flags == 0, not signed))
    maps = {
        "T1map": Map(found.parameter, "ms", found.parameter_error),
        "M0map": Map(found.amplitude[:, 0].copy(), ARBITRARY, found.amplitude_error[:, 0].copy()),
    }
    if free:
        k, error = incompleteness(found)
        maps["kmap"] = Map(k, "1", error)
        with np.errstate(invalid="ignore"):
            beyond = (k <= 0) | (k > _LARGEST_K)
        flags = flags | np.where(beyond, Flag.AT_BOUND, 0).astype(np.uint8)
    settings: dict[str, object] = {
        "inversion_times_ms": times.tolist(),
        "repetition_times_ms": None if repetition is None else repetition.tolist(),
        "signed": signed,
        "bounds_ms": [low, high],
        "noise_model": "Gaussian" if signed or sigma is None else "Rician",
        "estimation_reference": "doi:10.1002/mrm.22497",
    }
    return conclude_search(f"T1 IR {model}", table, array, found, maps, flags, noise, [], settings)


def _sorted(
    signal: npt.ArrayLike, inversion_times_ms: npt.ArrayLike, model: str
) -> tuple[Doubles, Doubles, npt.NDArray[np.intp]]:
    """Return times and images sorted by time, and the order that sorts."""
    times = as_times(
        inversion_times_ms, "inversion times", least=20.0, most=1e5, needed=3, distinct=False
    )
    array = as_signal(signal, len(times))
    if model == "3p" and len(times) < FEWEST_FOR_THREE:
        raise ModelInputError(
            f"Three parameters cannot be fitted to {len(times)} images.",
            hint="Use the model with two parameters, or measure at least six inversion times.",
        )
    order = np.argsort(times, kind="stable")
    return times[order], np.ascontiguousarray(array[:, order]), order


def _repetition(
    values: npt.ArrayLike | None, times: Doubles, order: npt.NDArray[np.intp]
) -> Doubles | None:
    """Return the repetition time of each sorted image."""
    if values is None:
        return None
    given = np.asarray(values, dtype=np.float64)
    repetition = np.full(times.shape, float(given)) if given.ndim == 0 else given
    if repetition.shape != times.shape:
        raise ModelInputError(
            f"There are {repetition.size} repetition times and {times.size} images.",
            hint="Give one for all images or one for each.",
        )
    repetition = repetition if given.ndim == 0 else repetition[order]
    if not np.all(repetition > times):
        raise ModelInputError(
            "A repetition time is not longer than the inversion time of its image.",
            hint="Give both in milliseconds and in the order of the images.",
        )
    return repetition


def inversion(times: Doubles, repetition: Doubles | None, free: bool) -> Columns:
    """Return the columns of the model; with `free` the second one has the coefficient -k M0."""

    def value(t1: Doubles) -> Doubles:
        early = np.exp(-times / t1[:, None])
        late = np.zeros_like(early) if repetition is None else np.exp(-repetition / t1[:, None])
        parts = [1 + late, early] if free else [1 - 2 * early + late]
        return np.stack(parts, axis=-1)

    return value


def _upright(found: Solution) -> Solution:
    """Turn fits over whose M0 came out negative: a magnitude has the same squares both ways."""
    down = found.amplitude[:, :1] < 0
    return replace(found, amplitude=np.where(down, -found.amplitude, found.amplitude))
