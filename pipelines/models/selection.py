"""Which of two models the data can carry: AICc, and whether an offset can be told from a decay."""

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

MOST_CORRELATION = 0.95
FEWEST_FOR_THREE = 6  # samples below which three parameters are never fitted


def aicc(cost: npt.ArrayLike, samples: int, parameters: int) -> Doubles:
    """Return the corrected Akaike criterion of least-squares fits; the smaller is the better.

    n ln(SSE / n) + 2 p + 2 p (p + 1) / (n - p - 1)

    Parameters
    ----------
    cost : array_like of float, any shape
        Sums of squares of the residuals.
    samples, parameters : int
        n, and p with n > p + 1.

    Returns
    -------
    ndarray of float64, same shape
        NaN for NaN, minus infinity for 0.

    References
    ----------
    Hurvich and Tsai, doi:10.1093/biomet/76.2.297.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        fit = samples * np.log(np.asarray(cost, dtype=np.float64) / samples)
    return np.asarray(fit + _penalty(samples, parameters), dtype=np.float64)


def aicc_likelihood(log_likelihood: npt.ArrayLike, samples: int, parameters: int) -> Doubles:
    """Return the corrected Akaike criterion -2 ln L + 2 p + 2 p (p + 1) / (n - p - 1)."""
    fit = -2 * np.asarray(log_likelihood, dtype=np.float64)
    return np.asarray(fit + _penalty(samples, parameters), dtype=np.float64)


def _penalty(samples: int, parameters: int) -> float:
    return 2.0 * parameters + 2.0 * parameters * (parameters + 1) / (samples - parameters - 1)


def offset_correlation(times_ms: npt.ArrayLike, decay_ms: float) -> float:
    """Return the correlation of the estimates of a decay time and of an offset beside it.

    Of S = S0 exp(-t / T) + C with equal noise on all samples; it depends on the times and T only.

    Parameters
    ----------
    times_ms : array_like of float, shape (n_samples,)
        Milliseconds; at least 3.
    decay_ms : float
        T in milliseconds.

    Returns
    -------
    float
        Magnitude, 0 to 1; 1 where the two cannot be told apart.
    """
    t = np.asarray(times_ms, dtype=np.float64)
    decay = np.exp(-t / decay_ms)
    jacobian = np.stack([decay, decay * t / decay_ms, np.ones_like(t)], axis=1)
    try:
        covariance = np.linalg.inv(jacobian.T @ jacobian)
    except np.linalg.LinAlgError:
        return 1.0
    product = covariance[1, 1] * covariance[2, 2]
    return float(min(abs(covariance[1, 2]) / np.sqrt(product), 1.0)) if product > 0 else 1.0


def offset_identifiable(times_ms: npt.ArrayLike, decay_ms: float) -> bool:
    """Tell whether an offset can be fitted beside a decay: six samples, correlation below 0.95.

    With fewer samples or a last one before about three decay times, offset and decay time answer
    for each other and a fit of both says nothing of either. Arguments as `offset_correlation`.
    """
    enough = len(np.asarray(times_ms)) >= FEWEST_FOR_THREE
    return enough and offset_correlation(times_ms, decay_ms) < MOST_CORRELATION
