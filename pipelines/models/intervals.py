"""Confidence intervals from standard errors."""

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]


def confidence_interval(
    values: npt.ArrayLike,
    errors: npt.ArrayLike,
    freedom: int | None,
    *,
    level: float = 0.95,
    positive: bool = True,
) -> tuple[Doubles, Doubles]:
    """Return the bounds of a confidence interval.

    exp(ln T +/- t se / T) for quantities that are positive, T +/- t se otherwise; t is the quantile
    of Student's distribution, or of the normal one where sigma was known.

    Parameters
    ----------
    values, errors : array_like of float, same shape
        Estimates and standard errors in one unit; NaN gives NaN.
    freedom : int or None
        n - p where the error rests on the residuals; None where sigma was known.
    level : float
        Probability.
    positive : bool
        Whether the quantity is positive.

    Returns
    -------
    low, high : ndarray of float64, same shape
    """
    from scipy.special import ndtri, stdtrit

    middle = np.asarray(values, dtype=np.float64)
    half = np.asarray(errors, dtype=np.float64)
    tail = 0.5 + level / 2
    quantile = float(ndtri(tail) if freedom is None else stdtrit(freedom, tail))
    if not positive:
        return middle - quantile * half, middle + quantile * half
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        factor = np.exp(quantile * half / middle)
    return middle / factor, middle * factor
