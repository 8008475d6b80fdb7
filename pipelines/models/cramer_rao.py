"""The smallest standard error that any unbiased estimate can have (Cramer and Rao)."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from . import rician

Doubles = npt.NDArray[np.float64]
Signal = Callable[[Doubles], Doubles]

_STEP = 1e-6


def jacobian(signal: Signal, parameters: npt.ArrayLike) -> Doubles:
    """Return the slopes of a signal by its parameters, by central differences.

    Parameters
    ----------
    signal : callable
        From parameters, shape (p,), to samples, shape (n,).
    parameters : array_like of float, shape (p,)
        None of them 0, unless its scale is 1.

    Returns
    -------
    ndarray of float64, shape (n, p)
    """
    at = np.asarray(parameters, dtype=np.float64)
    slopes = []
    for index, value in enumerate(at):
        step = _STEP * (abs(value) or 1.0)
        high, low = at.copy(), at.copy()
        high[index] += step
        low[index] -= step
        slopes.append((signal(high) - signal(low)) / (2 * step))
    return np.stack(slopes, axis=-1)


def bound(
    signal: Signal, parameters: npt.ArrayLike, sigma: float, *, magnitude: bool = True
) -> Doubles:
    """Return the smallest standard error of each parameter.

    Square roots of the diagonal of the inverse of J' W J / sigma^2, W the Fisher information of a
    Rician sample about its signal (1 for real images).

    Parameters
    ----------
    signal : callable
        From parameters, shape (p,), to samples without noise, shape (n,).
    parameters : array_like of float, shape (p,)
        The true values.
    sigma : float
        Standard deviation of the noise of one real channel, in the unit of the signal.
    magnitude : bool
        Whether the samples are magnitudes.

    Returns
    -------
    ndarray of float64, shape (p,)
        In the units of the parameters.

    References
    ----------
    Sijbers, doi:10.1109/42.712125.
    """
    slopes = jacobian(signal, parameters)
    samples = signal(np.asarray(parameters, dtype=np.float64))
    weights = rician.information(np.abs(samples) / sigma) if magnitude else np.ones(len(samples))
    information = (slopes * weights[:, None]).T @ slopes / sigma**2
    return np.asarray(np.sqrt(np.diag(np.linalg.inv(information))), dtype=np.float64)
