"""T2 from spin echoes whose refocusing is not 180 degrees, by extended phase graphs."""

import numpy as np
import numpy.typing as npt

from ..errors import ModelInputError
from . import decay
from . import kernels_epg as kernels
from .outcome import ARBITRARY, Noise, conclude, first_flags, status_flags
from .result import FATAL, FitResult, Map

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_EVEN = 0.01  # relative difference of echo spacings that is let pass
_START_T2, _START_ANGLES = 40, 13
_CHUNK = 16384  # voxels whose correlation with the starts is computed at once
DEFAULT_T1_MS = 1500.0


def echo_train(
    t2_ms: npt.ArrayLike,
    refocusing_deg: npt.ArrayLike,
    *,
    echo_spacing_ms: float,
    echoes: int,
    t1_ms: float = DEFAULT_T1_MS,
    profile: npt.ArrayLike | None = None,
) -> Doubles:
    """Return the echoes of CPMG trains after a 90-degree pulse, relative to the signal at TE = 0.

    Parameters
    ----------
    t2_ms, refocusing_deg : array_like of float, shape (n,)
        Milliseconds, and degrees.
    echo_spacing_ms : float
        Milliseconds.
    echoes : int
        How many.
    t1_ms : float
        Milliseconds, of the part that is stored along the field between pulses.
    profile : array_like of float, shape (k,), optional
        Relative refocusing angles at equal steps across the slice; the mean is taken.

    Returns
    -------
    ndarray of float64, shape (n, echoes)

    References
    ----------
    Weigel, doi:10.1002/jmri.24619; Lebel, doi:10.1002/mrm.22487.
    """
    logs = np.log(np.atleast_1d(np.asarray(t2_ms, dtype=np.float64)))
    angles = np.radians(np.atleast_1d(np.asarray(refocusing_deg, dtype=np.float64)))
    out = np.empty((len(logs), echoes))
    kernels.trains(echo_spacing_ms / 2, float(t1_ms), logs, angles, _profile(profile), out)
    return out


def fit_t2_epg(
    signal: npt.ArrayLike,
    echo_times_ms: npt.ArrayLike,
    *,
    mask: npt.ArrayLike | None = None,
    sigma: float | None = None,
    t1_ms: float = DEFAULT_T1_MS,
    profile: npt.ArrayLike | None = None,
    saturation: npt.ArrayLike | None = None,
) -> FitResult:
    """Fit S0, T2 and the refocusing angle to a train of spin echoes.

    Levenberg-Marquardt with the slopes of the phase graph; S0 by regression. All echoes are used.
    The noise is taken for Gaussian, so late echoes near the noise floor make T2 too long.

    Parameters
    ----------
    signal : array_like of float, shape (n_voxels, n_echoes)
        Magnitude, arbitrary units. NaN is allowed.
    echo_times_ms : array_like of float, shape (n_echoes,)
        Milliseconds: 1, 2, 3 ... times the echo spacing, in any order; at least five.
    mask : array_like of bool, shape (n_voxels,), optional
        Voxels to fit; all by default.
    sigma : float, optional
        Standard deviation of the noise of one real channel, for chi-square and the least signal.
    t1_ms : float
        T1 of the tissue in milliseconds; T2 hardly depends on it.
    profile : array_like of float, shape (k,), optional
        Relative refocusing angles at equal steps across the slice.
    saturation : float or array_like, shape (n_echoes,), optional
        Values from which on a sample is taken for cut off.

    Returns
    -------
    FitResult
        ``T2map`` (ms), ``S0map`` (arbitrary units), ``refocusingmap`` (deg, 60 to 180), float32,
        with standard errors (none for an angle of 180, where the signal does not depend on it).
        NaN as in `t2.fit_t2`, and for an angle of 60.

    Raises
    ------
    ModelInputError
        As `t2.fit_t2`, and for echo times that are not multiples of one spacing.

    References
    ----------
    Lebel, doi:10.1002/mrm.22487; Prasloski, doi:10.1002/mrm.23157; Weigel, doi:10.1002/jmri.24619.
    """
    train = decay.as_train(signal, echo_times_ms)
    spacing = _spacing(train.times)
    flags = first_flags(train.signal, mask, sigma, saturation)
    # The first echo may be low and the others may alternate; a wrong order is still found.
    decay.prepare(train, 1, flags, Noise(sigma))
    low, high = decay.bounds(train.times)
    settings = (spacing / 2, float(t1_ms), float(np.log(low)), float(np.log(high)))
    points = _profile(profile)
    out = np.full((len(train.signal), 8 + len(train.times)), np.nan)
    status = np.full(len(train.signal), -1, np.int8)
    active = flags == 0
    starts = _starts(train.signal, active, settings, points)
    kernels.fit(train.signal, active, 0, settings, starts, points, out, status)
    freedom = len(train.times) - 3
    flags = flags | np.where(active, status_flags(status), 0).astype(np.uint8)
    valid = (flags & np.uint8(FATAL)) == 0
    residual = out[valid, 8:].mean(axis=0) if valid.any() else np.full(len(train.times), np.nan)
    return conclude(
        name="T2 EPG",
        maps=_maps(out, freedom),
        flags=flags,
        sse=out[:, 3].astype(np.float32),
        sst=out[:, 7].astype(np.float32),
        freedom=freedom,
        noise=Noise(sigma, rician=False),
        chi2=None,
        residual_mean=residual,
        notes=[],
        settings={
            "echo_times_ms": train.times.tolist(),
            "skipped_samples": 0,
            "bounds_ms": [low, high],
            "t1_ms": float(t1_ms),
            "profile": points.tolist(),
            "noise_model": "Gaussian",
            "estimation_reference": "doi:10.1002/mrm.22487",
        },
    )


def _maps(out: Doubles, freedom: int) -> dict[str, Map]:
    """Return the maps of what the kernel found: ln T2, angle, S0, sum of squares, variances."""
    t2 = np.exp(out[:, 0])
    with np.errstate(invalid="ignore"):
        errors = np.sqrt(out[:, 3, None] / freedom) * np.sqrt(out[:, 4:7])
    angle = np.degrees(np.where(out[:, 1] >= kernels.HIGHEST_ANGLE, np.pi, out[:, 1]))
    return {
        "T2map": _map(t2, "ms", t2 * errors[:, 0]),
        "S0map": _map(out[:, 2], ARBITRARY, errors[:, 2]),
        "refocusingmap": _map(angle, "deg", np.degrees(errors[:, 1])),
    }


def _spacing(times: Doubles) -> float:
    spacing = float(times[0])
    even = np.allclose(times, spacing * np.arange(1, len(times) + 1), rtol=_EVEN)
    if len(times) < 5 or not even:
        raise ModelInputError(
            "The EPG model needs at least five echoes at 1, 2, 3 ... times one echo spacing.",
            hint="Give all echoes of the train, or use the model with two parameters.",
        )
    return float(times[-1]) / len(times)


def _profile(profile: npt.ArrayLike | None) -> Doubles:
    if profile is None:
        return np.ones(1)
    points = np.ascontiguousarray(profile, dtype=np.float64)
    if points.ndim != 1 or not points.size or not np.all((points >= 0) & (points <= 1.5)):
        raise ModelInputError(
            "The slice profile is not a list of relative angles between 0 and 1.5.",
            hint="Divide the angles across the slice by the nominal one.",
        )
    return points


def _starts(
    signal: Doubles, active: Bools, settings: tuple[float, ...], points: Doubles
) -> Doubles:
    """Return ln T2 and angle of the two most alike of some 500 trains, shape (n_voxels, 2, 2).

    One is nearly refocused, the other is not: between them lies the border of two optima.
    """
    half, t1, low, high = settings
    logs, angles = np.meshgrid(
        np.linspace(low, high, _START_T2), np.linspace(np.pi / 3, np.pi, _START_ANGLES)
    )
    pairs = np.stack([logs.ravel(), angles.ravel()], axis=1)
    starts = np.zeros((len(signal), 2, 2))
    chosen = np.flatnonzero(active)
    for which, group in enumerate(np.split(pairs, [(_START_ANGLES - 2) * _START_T2])):
        echoes = np.empty((len(group), signal.shape[1]))
        kernels.trains(half, t1, group[:, 0].copy(), group[:, 1].copy(), points, echoes)
        echoes /= np.linalg.norm(echoes, axis=1, keepdims=True)
        for begin in range(0, len(chosen), _CHUNK):
            part = chosen[begin : begin + _CHUNK]
            starts[part, which] = group[np.argmax(signal[part] @ echoes.T, axis=1)]
    return starts


def _map(values: Doubles, unit: str, error: Doubles) -> Map:
    return Map(values.astype(np.float32), unit, error.astype(np.float32))
