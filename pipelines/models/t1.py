"""T1 from saturation recovery: images with different repetition times."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from ..errors import ModelInputError
from .checks import as_signal, as_times, check_rising
from .outcome import ARBITRARY, Noise, conclude_search, first_flags
from .result import FitResult, Flag, Map
from .selection import FEWEST_FOR_THREE
from .varpro import Columns, Solution, tabulate

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

_K_RANGE = (0.7, 1.1)  # completeness of saturation that is believed
_K_ERRORS = 3.0  # standard errors by which it may be beyond


def fit_t1_sr(
    signal: npt.ArrayLike,
    repetition_times_ms: npt.ArrayLike,
    *,
    echo_time_ms: float = 0.0,
    mask: npt.ArrayLike | None = None,
    sigma: float | None = None,
    model: Literal["2p", "3p"] = "2p",
    rician: bool = True,
    saturation: npt.ArrayLike | None = None,
) -> FitResult:
    """Fit S(TR) = M0 (1 - k exp(-t / T1)) with t = TR - TE / 2, and k = 1 with two parameters.

    Parameters
    ----------
    signal : array_like of float, shape (n_voxels, n_images)
        Magnitude, arbitrary units, each image scaled by its own slope. NaN is allowed.
    repetition_times_ms : array_like of float, shape (n_images,)
        Milliseconds, one per column, in any order; the scanner's is often descending.
    echo_time_ms : float
        For spin echoes, whose refocusing pulse starts the recovery anew at TE / 2; 0 otherwise.
    mask : array_like of bool, shape (n_voxels,), optional
        Voxels to fit; all by default.
    sigma : float, optional
        Standard deviation of the noise of one real channel, in the unit of the signal.
    model : {"2p", "3p"}
        Complete saturation, or k fitted too (at least six images).
    rician : bool
        False for real (signed) images or noise that is not Rician.
    saturation : float or array_like, shape (n_images,), optional
        Values from which on a sample is taken for cut off.

    Returns
    -------
    FitResult
        ``T1map`` (ms), ``M0map`` (arbitrary units) and with three parameters ``kmap`` (1),
        float32, with standard errors. NaN as in `t2.fit_t2`; bounds of T1 are a fifth of the
        shortest and five times the longest TR; k more than three standard errors outside 0.7 to
        1.1 counts as at a bound.

    Raises
    ------
    ModelInputError
        For fewer than three different times, another unit, a signal that falls with TR, an empty
        mask or one of another size, three parameters on fewer than six images, and an echo time
        that is not below twice the shortest TR.

    References
    ----------
    Golub and Pereyra, doi:10.1137/0710036; Sijbers, doi:10.1109/42.712125.
    """
    repetition = as_times(
        repetition_times_ms, "repetition times", least=20.0, most=1e6, needed=3, distinct=False
    )
    array = as_signal(signal, len(repetition))
    order = np.argsort(repetition, kind="stable")
    array, repetition = np.ascontiguousarray(array[:, order]), repetition[order]
    _check_recovery(repetition, echo_time_ms, model)
    noise = Noise(sigma, rician)
    if saturation is not None and np.ndim(saturation):
        saturation = np.asarray(saturation)[order]
    flags = first_flags(array, mask, sigma, saturation)
    check_rising(array, repetition, flags == 0, "repetition times")
    times = repetition - echo_time_ms / 2
    low, high = 0.2 * float(times[0]), 5.0 * float(times[-1])
    partial = model == "3p"
    table = tabulate(recovery(times, partial), low, high, sign=-1.0 if partial else 1.0)
    found = noise.solve(table, array, flags == 0, False)
    maps = {"T1map": Map(found.parameter, "ms", found.parameter_error)}
    maps["M0map"] = Map(found.amplitude[:, 0].copy(), ARBITRARY, found.amplitude_error[:, 0].copy())
    if partial:
        k, error = incompleteness(found)
        maps["kmap"] = Map(k, "1", error)
        with np.errstate(invalid="ignore"):
            far = (k < _K_RANGE[0] - _K_ERRORS * error) | (k > _K_RANGE[1] + _K_ERRORS * error)
        flags = flags | np.where(far, Flag.AT_BOUND, 0).astype(np.uint8)
    settings: dict[str, object] = {
        "repetition_times_ms": repetition.tolist(),
        "echo_time_ms": float(echo_time_ms),
        "bounds_ms": [low, high],
        "noise_model": "Rician" if rician and sigma is not None else "Gaussian",
        "estimation_reference": "doi:10.1137/0710036",
    }
    return conclude_search(f"T1 SR {model}", table, array, found, maps, flags, noise, [], settings)


def _check_recovery(repetition: Doubles, echo_time_ms: float, model: str) -> None:
    """Refuse an echo time that does not go with TR, and too few images for three parameters."""
    if not 0 <= echo_time_ms < 2 * repetition[0]:
        raise ModelInputError(
            f"An echo time of {echo_time_ms:g} ms does not go with a repetition time of "
            f"{repetition[0]:g} ms.",
            hint="Give both in milliseconds.",
        )
    if model == "3p" and len(repetition) < FEWEST_FOR_THREE:
        raise ModelInputError(
            f"Three parameters cannot be fitted to {len(repetition)} images.",
            hint="Use the model with two parameters, or measure at least six repetition times.",
        )


def recovery(times: Doubles, partial: bool) -> Columns:
    """Return the column 1 - exp(-t/T1), or with incomplete saturation 1 and exp(-t/T1)."""

    def value(t1: Doubles) -> Doubles:
        falling = np.exp(-times / t1[:, None])
        parts = [np.ones_like(falling), falling] if partial else [-np.expm1(-times / t1[:, None])]
        return np.stack(parts, axis=-1)

    return value


def incompleteness(found: Solution) -> tuple[Floats, Floats]:
    """Return k = -c / a of fits a + c exp(-t/T1), and its standard error.

    var(k) = (var(c) + k^2 var(a) + 2 k cov(a, c)) / a^2; NaN where the fit failed.
    """
    a, c = found.amplitude[:, 0], found.amplitude[:, 1]
    var_a, var_c, cov = found.estimates.variance.T
    with np.errstate(invalid="ignore", divide="ignore"):
        k = -c / a
        error = found.noise * np.sqrt(np.maximum(var_c + k**2 * var_a + 2 * k * cov, 0)) / np.abs(a)
    return k.astype(np.float32), error.astype(np.float32)
