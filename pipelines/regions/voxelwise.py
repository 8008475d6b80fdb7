"""What follows from a map in each voxel: one over it, and what noise makes it miss in the mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


def reciprocal(values: Floats, factor: float) -> Floats:
    """Return ``factor / x``, such as R2 = 1000 / T2 in 1/s of ms; NaN where x is not above 0."""
    out = np.full(values.shape, np.nan, np.float32)
    with np.errstate(invalid="ignore"):
        positive = np.isfinite(values) & (values > 0)
    with np.errstate(over="ignore"):  # what is too large for float32 is counted as no value
        np.divide(np.float32(factor), values, out=out, where=positive)
    return out


def second_order(
    values: npt.NDArray[Any], errors: npt.NDArray[Any], left_out: Bools | None = None
) -> Doubles:
    """Return by how much noise may shift the mean of an estimated time or rate: error^2 / value.

    An estimate that depends on the samples in a curve is off in the mean by a term of second order
    in the noise (Box, doi:10.1111/j.2517-6161.1971.tb00871.x). If the rate is without it, the mean
    of its reciprocal T is T (1 + (error / T)^2); the fit of a decay has 0.5 to 0.9 of that. Unlike
    the scatter it does not shrink with the number of voxels.

    Parameters
    ----------
    values : ndarray of float, shape (n,)
        Relaxation times or rates.
    errors : ndarray of float, shape (n,)
        Their standard errors, in the same unit.
    left_out : ndarray of bool, shape (n,), or None
        Voxels that do not count.

    Returns
    -------
    ndarray of float64, shape (n,)
        In the unit of the values; NaN where there is no error, the value is not above 0, or it
        does not count.
    """
    value, error = values.astype(np.float64), errors.astype(np.float64)
    good = np.isfinite(value) & np.isfinite(error) & (value > 0)
    if left_out is not None:
        good &= ~left_out
    shift: Doubles = np.divide(error**2, value, out=np.full(value.shape, np.nan), where=good)
    return shift


def mean_of(values: Doubles) -> float:
    """Return the mean of the finite values of an array of shape (n,); NaN where there is none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")
