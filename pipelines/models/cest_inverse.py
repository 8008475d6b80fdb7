"""Inverse metrics of Z-spectra, which count out the spillover of water, and T1."""

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

_LEAST_Z = 0.02  # below it an inverse is one of noise
T1_RANGE_MS = (50.0, 20000.0)


def mtr_rex(z: Doubles, reference: Doubles) -> Doubles:
    """Return MTR_Rex = 1 / Z_lab - 1 / Z_ref.

    Parameters
    ----------
    z, reference : ndarray of float64, any shape
        Spectrum, and what it would be without the pool, fractions of M0.

    Returns
    -------
    ndarray of float64, same shape
        Fraction; NaN where either is below 0.02.

    References
    ----------
    Zaiss, doi:10.1016/j.neuroimage.2015.02.040.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        value = 1.0 / z - 1.0 / reference
        return np.where((z >= _LEAST_Z) & (reference >= _LEAST_Z), value, np.nan)


def arex(rex: Doubles, t1_ms: npt.ArrayLike) -> Doubles:
    """Return AREX = MTR_Rex / T1, the relaxation by exchange.

    Parameters
    ----------
    rex : ndarray of float64, shape (n_voxels, m)
        From `mtr_rex`, or its standard error.
    t1_ms : array_like of float, shape (n_voxels,)
        T1 of water, milliseconds.

    Returns
    -------
    ndarray of float64, shape (n_voxels, m)
        1/s; NaN where T1 is not between 50 and 20000 ms.

    References
    ----------
    Zaiss, doi:10.1016/j.neuroimage.2015.02.040.
    """
    t1 = np.asarray(t1_ms, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        good = (t1 >= T1_RANGE_MS[0]) & (t1 <= T1_RANGE_MS[1])
    return np.asarray(rex / np.where(good, t1 / 1000.0, np.nan)[:, None])
