"""T1 from spoiled gradient echoes with variable flip angles."""

import numpy as np
import numpy.typing as npt

from ..errors import ModelInputError
from . import kernels_vfa as kernels
from .checks import as_signal
from .outcome import ARBITRARY, Noise, conclude, first_flags, status_flags
from .result import FATAL, FitResult, Flag, Map

Doubles = npt.NDArray[np.float64]

_BOUNDS = (2.0, 2000.0)  # of T1, in repetition times
_B1_RANGE = (0.3, 2.0)  # relative transmit field that is believed


def fit_t1_vfa(
    signal: npt.ArrayLike,
    flip_angles_deg: npt.ArrayLike,
    repetition_time_ms: float,
    *,
    b1: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    sigma: float | None = None,
    saturation: npt.ArrayLike | None = None,
) -> FitResult:
    """Fit S(a) = M0 sin(B1 a) (1 - E) / (1 - cos(B1 a) E) with E = exp(-TR / T1).

    Non-linear least squares in the signal itself, not in S/sin against S/tan, whose noise differs
    from angle to angle.

    Parameters
    ----------
    signal : array_like of float, shape (n_voxels, n_angles)
        Magnitude, arbitrary units, each image scaled by its own slope. NaN is allowed.
    flip_angles_deg : array_like of float, shape (n_angles,)
        Nominal angles in degrees, in any order, at least two different ones, all below 180.
    repetition_time_ms : float
        Milliseconds, the same for all images.
    b1 : array_like of float, shape (n_voxels,), optional
        Actual over nominal flip angle (1 is nominal); 1 by default, which is noted because T1 is
        wrong by about twice the error of B1.
    mask : array_like of bool, shape (n_voxels,), optional
        Voxels to fit; all by default.
    sigma : float, optional
        Standard deviation of the noise of one real channel, in the unit of the signal; with two
        angles there is no standard error without it.
    saturation : float or array_like, shape (n_angles,), optional
        Values from which on a sample is taken for cut off.

    Returns
    -------
    FitResult
        ``T1map`` (ms) and ``M0map`` (arbitrary units), float32, with standard errors. NaN as in
        `t2.fit_t2`, and where B1 is not between 0.3 and 2; bounds of T1 are 2 and 2000 TR.

    Raises
    ------
    ModelInputError
        For fewer than two different angles, angles in radians, a repetition time in another unit,
        an empty mask, or a mask or B1 map of another size.

    References
    ----------
    Deoni, doi:10.1002/mrm.10407; Chang, doi:10.1002/mrm.21669.
    """
    angles, repetition = _protocol(flip_angles_deg, repetition_time_ms)
    array = as_signal(signal, len(angles))
    scale, notes = _scale(b1, len(array))
    flags = first_flags(array, mask, sigma, saturation)
    with np.errstate(invalid="ignore"):
        believed = (scale >= _B1_RANGE[0]) & (scale <= _B1_RANGE[1])
    flags[(flags == 0) & ~believed] |= np.uint8(Flag.NOT_FINITE)
    low, high = (bound * repetition for bound in _BOUNDS)
    out = np.full((len(array), 6), np.nan)
    status = np.full(len(array), -1, np.int8)
    ends = np.log(low), np.log(high)
    kernels.fit(array, flags == 0, np.radians(angles), scale, repetition, *ends, out, status)
    freedom = len(angles) - 2
    flags = flags | np.where(flags == 0, status_flags(status), 0).astype(np.uint8)
    valid = (flags & np.uint8(FATAL)) == 0
    return conclude(
        name="T1 VFA",
        maps=_maps(out, _width(out[:, 4], freedom, sigma)),
        flags=flags,
        sse=out[:, 4].astype(np.float32),
        sst=out[:, 5].astype(np.float32),
        freedom=freedom,
        noise=Noise(sigma, rician=False),
        chi2=None,
        residual_mean=_residual(array[valid], angles, scale[valid], repetition, out[valid]),
        notes=notes,
        settings={
            "flip_angles_deg": angles.tolist(),
            "repetition_time_ms": repetition,
            "bounds_ms": [low, high],
            "b1_map": b1 is not None,
            "noise_model": "Gaussian",
            "estimation_reference": "doi:10.1002/mrm.21669",
        },
    )


def _maps(out: Doubles, width: Doubles) -> dict[str, Map]:
    """Return the maps of what the kernel found: ln T1, M0 and their variances."""
    t1 = np.exp(out[:, 0])
    with np.errstate(invalid="ignore"):
        return {
            "T1map": _map(t1, "ms", t1 * width * np.sqrt(out[:, 2])),
            "M0map": _map(out[:, 1], ARBITRARY, width * np.sqrt(out[:, 3])),
        }


def _protocol(flip_angles_deg: npt.ArrayLike, repetition_time_ms: float) -> tuple[Doubles, float]:
    angles = np.asarray(flip_angles_deg, dtype=np.float64)
    right = (
        angles.ndim == 1 and np.all(np.isfinite(angles)) and np.all((angles > 0) & (angles < 180))
    )
    if not right or len(np.unique(angles)) < 2:
        raise ModelInputError(
            "Flip angles between 0 and 180 degrees are needed, at least two different ones.",
            hint="Give the nominal angle of each image.",
        )
    if angles.max() < 2.0:
        raise ModelInputError(
            f"The largest flip angle is {angles.max():g}, which is hardly a number of degrees.",
            hint="It looks like radians: give degrees.",
        )
    repetition = float(repetition_time_ms)
    if not 0.5 <= repetition <= 1000.0:
        raise ModelInputError(
            f"A repetition time of {repetition:g} does not go with this method.",
            hint="Give it in milliseconds; spoiled gradient echoes have 2 to 100.",
        )
    return angles, repetition


def _scale(b1: npt.ArrayLike | None, voxels: int) -> tuple[Doubles, list[str]]:
    if b1 is None:
        return np.ones(voxels), [
            "No B1 map was given: T1 is wrong by about twice the relative error of the flip angle."
        ]
    scale = np.ascontiguousarray(b1, dtype=np.float64)
    if scale.shape != (voxels,):
        raise ModelInputError(
            f"The B1 map has shape {scale.shape} and the images have {voxels} voxels.",
            hint="Bring the B1 map to the grid of the images first.",
        )
    if np.nanmedian(scale) > 10:
        raise ModelInputError(
            f"The median of the B1 map is {np.nanmedian(scale):g}, and 1 would be nominal.",
            hint="It looks like per cent or degrees: divide it so that 1 is nominal.",
        )
    return scale, []


def _width(sse: Doubles, freedom: int, sigma: float | None) -> Doubles:
    if freedom > 0:
        return np.sqrt(sse / freedom)
    return np.full(sse.shape, np.nan if sigma is None else float(sigma))


def _map(values: Doubles, unit: str, error: Doubles) -> Map:
    return Map(values.astype(np.float32), unit, error.astype(np.float32))


def spoiled_echo(
    flip_angles_rad: Doubles, repetition_time_ms: float, t1_ms: npt.ArrayLike, m0: npt.ArrayLike
) -> Doubles:
    """Return M0 sin(a) (1 - E) / (1 - cos(a) E) with E = exp(-TR / T1).

    Parameters
    ----------
    flip_angles_rad : ndarray of float64, shape (n_voxels, n_angles)
        Actual angles in radians.
    repetition_time_ms : float
        Milliseconds.
    t1_ms, m0 : array_like of float, shape (n_voxels,)
        Milliseconds; arbitrary units. NaN gives NaN.

    Returns
    -------
    ndarray of float64, shape (n_voxels, n_angles)
        In the unit of `m0`.
    """
    e = np.exp(-repetition_time_ms / np.asarray(t1_ms, dtype=np.float64))[:, None]
    height = np.asarray(m0, dtype=np.float64)[:, None]
    signal = height * np.sin(flip_angles_rad) * (1 - e) / (1 - np.cos(flip_angles_rad) * e)
    return np.asarray(signal, dtype=np.float64)


def _residual(
    signal: Doubles, angles: Doubles, scale: Doubles, repetition: float, out: Doubles
) -> Doubles:
    if not len(signal):
        return np.full(len(angles), np.nan)
    actual = np.radians(angles) * scale[:, None]
    fitted = spoiled_echo(actual, repetition, np.exp(out[:, 0]), out[:, 1])
    return np.asarray((signal - fitted).mean(axis=0), dtype=np.float64)
