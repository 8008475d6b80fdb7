"""The start of an IVIM fit: from which b on perfusion is gone, and the estimate step by step."""

import numpy as np
import numpy.typing as npt

from .adc import log_linear
from .diffusion import PER_B

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SLOWEST, FASTEST = 0.01, 4.0  # D, um2/ms
APART = 3.0  # D* over D at least
LARGEST_PERFUSION = 200.0  # D*, um2/ms
_THRESHOLDS = (100.0, 300.0)  # between which the residual test may choose
_RESIDUAL = 2.0  # standard errors by which a mean signal may lie off the line
_SMALL = 0.002  # of S0, which it may always
_ROUNDS = np.geomspace(4.0, 200.0, 24)  # D* that are tried for the start


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
