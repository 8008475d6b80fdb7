"""Intravoxel incoherent motion: S = S0 [f exp(-b D*) + (1 - f) exp(-b D)]."""

from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..errors import ModelInputError
from .adc import log_linear
from .diffusion import PER_B, UNIT, as_b_values, check_order, prepare
from .ivim_prior import Prior, most_probable
from .levenberg import Optimum, minimise
from .outcome import ARBITRARY, MOST_ERROR, Noise, conclude, first_flags
from .result import FATAL, FitResult, Flag, Map

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Flags = npt.NDArray[np.uint8]

# With a prior the bounds need not hold anything back.
_LOWEST, _HIGHEST = (0.01, 0.0, 0.01, 1.0), (10.0, 1.0, 10.0, 500.0)
_VAGUE = 0.9  # of the prior's width
Method = Literal["informed", "refined", "segmented"]
SLOWEST, FASTEST = 0.01, 4.0  # D, um2/ms
APART = 3.0  # D* over D at least
LARGEST_PERFUSION = 200.0  # D*, um2/ms
_THRESHOLDS = (100.0, 300.0)  # between which the residual test may choose
_RESIDUAL = 2.0  # standard errors by which a mean signal may lie off the line
_SMALL = 0.002  # of S0, which it may always
_ROUNDS = np.geomspace(4.0, 200.0, 24)  # D* that are tried for the start


def ivim_signal(parameters: Doubles, b: Doubles) -> tuple[Doubles, Doubles]:
    """Return the signal and its slopes.

    Parameters
    ----------
    parameters : ndarray of float64, shape (n_voxels, 4)
        S0, f, ln D, ln D*, with D and D* in um2/ms.
    b : ndarray of float64, shape (n_samples,)
        s/mm2.

    Returns
    -------
    signal : ndarray of float64, shape (n_voxels, n_samples)
    slopes : ndarray of float64, shape (n_voxels, n_samples, 4)
    """
    s0, f, ln_d, ln_fast = (parameters[:, k, None] for k in range(4))
    x = PER_B * b
    d, fast = np.exp(ln_d), np.exp(ln_fast)
    slow_part, fast_part = np.exp(-x * d), np.exp(-x * fast)
    shape = f * fast_part + (1 - f) * slow_part
    by_fast = -s0 * f * x * fast_part
    slopes = np.stack(
        [
            shape,
            s0 * (fast_part - slow_part),
            -s0 * (1 - f) * x * slow_part * d,
            by_fast * fast,
        ],
        axis=2,
    )
    return s0 * shape, slopes


def fit_ivim(
    signal: npt.ArrayLike,
    b_values: npt.ArrayLike,
    *,
    mask: npt.ArrayLike | None = None,
    sigma: float | None = None,
    threshold: float | None = None,
    largest_f: float | None = None,
    method: Method = "informed",
    prior: Prior | None = None,
    rician: bool = True,
    saturation: npt.ArrayLike | None = None,
) -> FitResult:
    """Fit perfusion fraction f, diffusion D and pseudo-diffusion D*.

    Estimated step by step (`segmented`), then by the chosen method. D* of one voxel is hardly
    determined at usual noise, and an estimate of it by least squares alone draws f and D away with
    it; so the default weighs what the samples say with what is known of tissue.

    Parameters
    ----------
    signal : array_like of float, shape (n_voxels, n_samples)
        Magnitude, arbitrary units. NaN is allowed.
    b_values : array_like of float, shape (n_samples,)
        Effective b-values in s/mm2, at least six different ones, with two below 200.
    mask, sigma, saturation
        As `adc.fit_adc`.
    threshold : float, optional
        b from which on perfusion is taken for gone; by default from the mean signal
        (`choose_threshold`).
    largest_f : float, optional
        Upper bound of f; by default 1 for ``informed`` and 0.5 for the others.
    method : {"informed", "refined", "segmented"}
        ``informed``: the most probable f, D and D* given the samples and `prior`, voxel by voxel.
        ``refined``: least squares of all four parameters, within 0.01 <= D <= 4 <= D* <= 200
        (um2/ms); a D* below 3 D is none. ``segmented``: the estimate step by step, with the
        standard errors that least squares would have.
    prior : Prior, optional
        For ``informed``; by default wide distributions of tissue (`Prior`).
    rician : bool
        For ``informed`` with a known sigma: the samples are magnitudes, so that the likelihood is
        the Rician one.

    Returns
    -------
    FitResult
        ``D`` (um2/ms), ``f`` (1), ``Dstar`` (um2/ms), ``S0map``, with standard errors; look at
        that of ``Dstar``, which is often as large as the value. ``informed``: the errors are those
        of the posterior density, and where the samples say little of D* its value and error are
        nearly those of the prior; the interval of D and D* is exp(ln D +/- t se/D). NaN as
        `fit_adc`. The other methods: NaN also where f is at an upper bound below 1; where no
        perfusion is seen ``f`` is 0, without error, and ``Dstar`` has no value; where f is 1,
        ``D`` has none; D and D* at their bounds have none. The voxel then has `Flag.AT_BOUND`, and
        what does stand stays.

    Raises
    ------
    ModelInputError
        As `adc.fit_adc`, and for fewer than six b-values, fewer than two of them below 200 or
        three from the threshold on.

    References
    ----------
    Le Bihan, doi:10.1148/radiology.168.2.3393671; Orton, doi:10.1002/mrm.24649 (prior).
    """
    b = as_b_values(b_values, needed=6)
    samples = prepare(signal, b)
    if len(np.unique(b[b < 200])) < 2 or b.max() < 300:
        raise ModelInputError(
            "Perfusion needs two or more b-values below 200 s/mm2 and some above 300.",
            hint="Fit an ADC to these images.",
        )
    if largest_f is None:
        largest_f = 1.0 if method == "informed" else 0.5
    if not 0 < largest_f <= 1:
        raise ModelInputError(
            f"The upper bound of f is {largest_f:g}.", hint="Give a number above 0, up to 1."
        )
    flags = first_flags(samples, mask, sigma, saturation)
    active = flags == 0
    check_order(samples, b, active)
    if threshold is None:
        threshold = choose_threshold(samples, b, active) if active.any() else 200.0
    if len(np.unique(b[b >= threshold])) < 3:
        raise ModelInputError(
            f"Fewer than three b-values lie at the threshold of {threshold:g} s/mm2 or above.",
            hint="Choose a lower threshold.",
        )
    rows = np.flatnonzero(active)
    known = (prior or Prior()) if method == "informed" else None
    found = _refine(samples[rows], b, threshold, largest_f, method, known, (sigma, rician))
    settings = _settings(b, threshold, largest_f, method, known, (sigma, rician))
    return _conclude(samples, b, rows, found, flags, sigma, settings, known)


def _refine(
    samples: Doubles,
    b: Doubles,
    threshold: float,
    largest_f: float,
    method: Method,
    prior: Prior | None,
    noise: tuple[float | None, bool],
) -> Optimum:
    """Return S0, f, D, D* by the method, with covariances; `noise` is sigma and whether Rician."""
    scale = samples.max(axis=1) if len(samples) else np.ones(0)
    y = samples / scale[:, None]
    start, usable = segmented(y, b, threshold, largest_f)
    start[:, 2:] = np.log(start[:, 2:])

    def function(p: Doubles, _: npt.NDArray[np.intp]) -> tuple[Doubles, Doubles]:
        return ivim_signal(p, b)

    low, high = _bounds(largest_f, prior is not None)
    if prior is not None:
        sigma = None if noise[0] is None else noise[0] / scale
        found = most_probable(function, y, start, (low, high), sigma, prior, noise[1])
    else:
        iterations = 100 if method == "refined" else 0
        found = minimise(function, y, start, low, high, iterations=iterations)
    if method == "segmented":
        found = replace(found, converged=usable)
    p, covariance = found.parameters, found.covariance
    d, fast = np.exp(p[:, 2]), np.exp(p[:, 3])
    jacobian = np.stack([scale, np.ones_like(d), d, fast], axis=1)
    values = np.stack([scale * p[:, 0], p[:, 1], d, fast], axis=1)
    held = found.at_bound.copy()
    if prior is None:
        held[:, 3] |= fast < APART * d
    # The noise of the scaled signal, so that sigma in the unit of the signal comes last.
    moved = covariance * jacobian[:, :, None] * jacobian[:, None, :] / scale[:, None, None] ** 2
    return replace(
        found, parameters=values, covariance=moved, sse=found.sse * scale**2, at_bound=held
    )


def _bounds(largest_f: float, wide: bool) -> tuple[Doubles, Doubles]:
    """Return the lowest and highest S0, f, ln D, ln D*."""
    if wide:
        low, high = np.array(_LOWEST), np.array(_HIGHEST)
    else:
        low = np.array([0.01, 0.0, SLOWEST, FASTEST])
        high = np.array([10.0, 1.0, FASTEST, LARGEST_PERFUSION])
    low[2:], high[2:] = np.log(low[2:]), np.log(high[2:])
    high[1] = largest_f
    return low, high


def _conclude(
    samples: Doubles,
    b: Doubles,
    rows: npt.NDArray[np.intp],
    found: Optimum,
    flags: Flags,
    sigma: float | None,
    settings: dict[str, object],
    prior: Prior | None,
) -> FitResult:
    freedom = len(b) - 4
    p, held = found.parameters, found.at_bound
    # With a prior f is never held: `held` then says nothing of it.
    none, only = held[:, 1] & (p[:, 1] <= 0), held[:, 1] & (p[:, 1] >= 1)
    flags = flags.copy()
    flags[rows[held[:, 0] | (held[:, 1] & ~none & ~only)]] |= np.uint8(Flag.AT_BOUND)
    flags[rows[~found.converged]] |= np.uint8(Flag.NOT_CONVERGED)
    width = np.full(len(rows), sigma) if sigma else np.sqrt(found.sse / max(freedom, 1))
    error = width[:, None] * np.sqrt(np.diagonal(found.covariance, axis1=1, axis2=2))
    sse, sst = np.full((2, len(samples)), np.nan, np.float32)
    sse[rows] = found.sse
    sst[rows] = np.square(samples[rows] - samples[rows].mean(axis=1, keepdims=True)).sum(axis=1)
    good = (flags[rows] & FATAL) == 0
    result = conclude(
        name="IVIM",
        maps={"S0map": _spread(len(samples), rows, p[:, 0], error[:, 0], ARBITRARY)},
        flags=flags,
        sse=sse,
        sst=sst,
        freedom=freedom,
        noise=Noise(sigma, rician=False),
        chi2=None,
        residual_mean=_residuals(samples[rows][good], p[good], b),
        notes=_notes(none & good, held[:, 3] & ~none & good, _vague(p, error, good, prior)),
        settings=settings,
    )
    # What one component says nothing of has no value, while that of the other stands.
    lost = np.stack([~good, ~good, ~good | only | held[:, 2], ~good | none | held[:, 3]], axis=1)
    values, errors = np.where(lost, np.nan, p), np.where(lost, np.nan, error)
    with np.errstate(invalid="ignore"):
        doubt = good & ~lost[:, 2] & ~(errors[:, 2] <= MOST_ERROR * values[:, 2])
    result.flags[rows[good & lost[:, 2:].any(axis=1)]] |= np.uint8(Flag.AT_BOUND)
    result.flags[rows[doubt]] |= np.uint8(Flag.UNCERTAIN)
    maps = {
        name: _spread(len(samples), rows, values[:, k], errors[:, k], unit)
        for name, k, unit in [("D", 2, UNIT), ("f", 1, "1"), ("Dstar", 3, UNIT)]
    }
    return replace(result, maps={**maps, **result.maps})


def _settings(
    b: Doubles,
    threshold: float,
    largest_f: float,
    method: Method,
    prior: Prior | None,
    noise: tuple[float | None, bool],
) -> dict[str, object]:
    low, high = _bounds(largest_f, prior is not None)
    rician = prior is not None and noise[0] is not None and noise[1]
    source = "10.1002/mrm.24649" if prior is not None else "10.1148/radiology.168.2.3393671"
    return {
        "b_values_s_per_mm2": b.tolist(),
        "threshold_s_per_mm2": threshold,
        "method": method,
        **({"prior": prior.as_settings()} if prior is not None else {}),
        "bounds": {
            "f": [0, largest_f],
            **{
                name: [round(float(np.exp(side[k])), 6) for side in (low, high)]
                for name, k in (("D", 2), ("Dstar", 3))
            },
        },
        "noise_model": "Rician" if rician else "Gaussian",
        "estimation_reference": f"doi:{source}",
    }


def _vague(p: Doubles, error: Doubles, good: Bools, prior: Prior | None) -> Bools:
    """Tell where the samples say next to nothing of D*, so that it is the one of the prior."""
    if prior is None:
        return np.zeros(len(p), np.bool_)
    with np.errstate(invalid="ignore"):
        return np.asarray(good & (error[:, 3] > _VAGUE * prior.width[2] * p[:, 3]))


def _residuals(samples: Doubles, p: Doubles, b: Doubles) -> Doubles:
    """Return the mean residual of each sample, of estimates S0, f, D, D*."""
    if not len(samples):
        return np.full(len(b), np.nan)
    x = PER_B * b
    s0, f, d, fast = (p[:, k, None] for k in range(4))
    model = s0 * (f * np.exp(-x * fast) + (1 - f) * np.exp(-x * d))
    return np.asarray((samples - model).mean(axis=0))


def _spread(
    voxels: int, rows: npt.NDArray[np.intp], values: Doubles, error: Doubles, unit: str
) -> Map:
    spread, errors = np.full((2, voxels), np.nan, np.float32)
    spread[rows], errors[rows] = values, error
    return Map(spread, unit, errors)


def _notes(no_perfusion: Bools, fast_bound: Bools, vague: Bools) -> list[str]:
    notes = ["D* is uncertain at usual noise: read it with its standard error."]
    for count, what in [
        (int(no_perfusion.sum()), "show no perfusion, so f is 0 and D* has no value there."),
        (int(fast_bound.sum()), "have D* at a bound, where it has no value."),
        (int(vague.sum()), "say next to nothing of D*: its value there is that of usual tissue."),
    ]:
        if count:
            notes.append(f"{count} voxels {what}")
    return notes


def choose_threshold(signal: Doubles, b: Doubles, chosen: Bools) -> float:
    """Return the lowest b from which on the mean signal is a single exponential.

    Starting at 100 s/mm2, the line through the mean signal of the higher b-values is compared with
    the next lower one; the threshold goes up until the mean signal at it lies within two standard
    errors (or 0.2 % of S0) of the line through those above.

    Parameters
    ----------
    signal : ndarray of float64, shape (n_voxels, n_samples)
        Magnitudes.
    b : ndarray of float64, shape (n_samples,)
        s/mm2.
    chosen : ndarray of bool, shape (n_voxels,)
        Voxels to look at.

    Returns
    -------
    float
        s/mm2, one of `b`, with at least three different b-values from it on.
    """
    values = np.unique(b)
    low = [v for v in values[:-2] if _THRESHOLDS[0] <= v <= _THRESHOLDS[1]]
    if not low:
        place = min(len(values) - 3, int(np.searchsorted(values, _THRESHOLDS[0])))
        return float(values[max(0, place)])
    scale = signal[chosen].max(axis=1, keepdims=True)
    relative = signal[chosen] / scale
    mean = relative.mean(axis=0)
    for threshold in low[:-1]:
        above = b > threshold
        if len(np.unique(b[above])) < 3:
            break
        adc, s0 = log_linear(mean[None, above], b[above])
        off = mean - s0[0] * np.exp(-PER_B * b * adc[0])
        # What single exponentials above leave is noise, and so is as much at the threshold.
        spread = float(np.sqrt(np.mean(off[above] ** 2)))
        if np.abs(off[b == threshold].mean()) <= max(_RESIDUAL * spread, _SMALL):
            return float(threshold)
    return float(low[-1])


def segmented(
    signal: Doubles, b: Doubles, threshold: float, largest_f: float
) -> tuple[Doubles, Bools]:
    """Estimate step by step: D above the threshold, f from the intercept, D* with both held.

    Parameters
    ----------
    signal : ndarray of float64, shape (n_voxels, n_samples)
        Finite.
    b : ndarray of float64, shape (n_samples,)
        s/mm2.
    threshold : float
        b from which on perfusion is gone.
    largest_f : float
        Upper bound of f.

    Returns
    -------
    estimates : ndarray of float64, shape (n_voxels, 4)
        S0, f, D, D*, inside the bounds.
    usable : ndarray of bool, shape (n_voxels,)
        False where fewer than two samples above the threshold are positive.
    """
    above = b >= threshold
    d, intercept = log_linear(signal[:, above], b[above])
    usable = np.asarray(np.isfinite(d) & np.isfinite(intercept))
    d = np.clip(np.where(usable, d, 1.0), SLOWEST * 2, FASTEST * 0.95)
    intercept = np.where(usable, intercept, 1.0)
    first = signal[:, b <= b.min() + 1e-9].mean(axis=1)
    s0 = np.where(first > 0, first, signal.max(axis=1))
    slow = np.exp(-PER_B * b * d[:, None])
    rest = signal - intercept[:, None] * slow
    best = np.full(len(signal), np.inf)
    fast = np.full(len(signal), 20.0)
    amount = np.zeros(len(signal))
    for trial in _ROUNDS:
        atom = np.exp(-PER_B * b * trial)
        part = np.clip(rest @ atom / (atom @ atom), 0.0, None)
        cost = np.square(rest - part[:, None] * atom).sum(axis=1)
        better = (cost < best) & (trial > 1.05 * APART * d)
        best, fast = np.where(better, cost, best), np.where(better, trial, fast)
        amount = np.where(better, part, amount)
    total = np.maximum(intercept + amount, 0.5 * s0)
    f = np.clip(amount / total, 0.02 * largest_f, 0.98 * largest_f)
    fast = np.clip(fast, 1.1 * FASTEST, 0.9 * LARGEST_PERFUSION)
    return np.stack([total, f, d, fast], axis=1), usable
