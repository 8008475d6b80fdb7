"""Lorentzian lines in Z-spectra: several pools at once, and the difference from water alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import ModelInputError
from .levenberg import Optimum, minimise

Doubles = npt.NDArray[np.float64]

_WATER_NEAR = 1.0  # ppm from water, where only water saturates
_FAR = 6.5  # and beyond which no pool but MT does
_SHIFT = 1.5
_LEAST_WIDTH = 0.1


@dataclass(frozen=True)
class Pool:
    """A line: name, offset from water and where its fit starts and ends.

    Attributes
    ----------
    name : str
    offset_ppm : float
        From water.
    amplitude, width_ppm : float
        Start; width is the full one at half maximum.
    widest_ppm : float
        Upper bound of the width.
    """

    name: str
    offset_ppm: float
    amplitude: float
    width_ppm: float
    widest_ppm: float


WATER = Pool("water", 0.0, 0.9, 1.4, 10.0)
MT = Pool("MT", -1.0, 0.1, 25.0, 100.0)
AMIDE = Pool("amide", 3.5, 0.025, 0.5, 4.0)
NOE = Pool("NOE", -3.5, 0.02, 3.0, 5.0)
POOLS = (WATER, MT, AMIDE, NOE)


def lorentz_signal(
    parameters: Doubles, offsets_ppm: Doubles, pools: Sequence[Pool]
) -> tuple[Doubles, Doubles]:
    """Return Z = 1 - sum_i A_i (G_i/2)^2 / ((G_i/2)^2 + (w - d_i - B0)^2) and its slopes.

    Parameters
    ----------
    parameters : ndarray of float64, shape (n_voxels, 1 + 2 n_pools)
        B0 in ppm, then A and G in ppm of each pool.
    offsets_ppm : ndarray of float64, shape (n_offsets,)
    pools : sequence of Pool
        For the offsets d_i.

    Returns
    -------
    z : ndarray of float64, shape (n_voxels, n_offsets)
    slopes : ndarray of float64, shape (n_voxels, n_offsets, 1 + 2 n_pools)
    """
    z = np.ones((len(parameters), len(offsets_ppm)))
    slopes = np.zeros((*z.shape, parameters.shape[1]))
    for k, pool in enumerate(pools):
        amplitude = parameters[:, 1 + 2 * k, None]
        half = 0.5 * parameters[:, 2 + 2 * k, None]
        off = offsets_ppm - pool.offset_ppm - parameters[:, :1]
        below = half**2 + off**2
        line = half**2 / below
        z -= amplitude * line
        slopes[:, :, 0] -= amplitude * 2 * off * half**2 / below**2
        slopes[:, :, 1 + 2 * k] = -line
        slopes[:, :, 2 + 2 * k] = -amplitude * half * off**2 / below**2
    return z, slopes


def fit_pools(
    z: Doubles, offsets_ppm: Doubles, pools: Sequence[Pool] = POOLS, b0_ppm: npt.ArrayLike = 0.0
) -> Optimum:
    """Fit Lorentzian lines at fixed distances from water to Z-spectra.

    Parameters
    ----------
    z : ndarray of float64, shape (n_voxels, n_offsets)
        Finite Z-spectra.
    offsets_ppm : ndarray of float64, shape (n_offsets,)
        ppm; more than the 1 + 2 n_pools parameters.
    pools : sequence of Pool
        Water, MT, amide and NOE by default. Amplitudes are bounded by 0 and 1, widths by 0.1 ppm
        and the pool's own.
    b0_ppm : float or array_like, shape (n_voxels,)
        Start for the place of water.

    Returns
    -------
    Optimum
        `parameters` as `lorentz_signal`.

    Raises
    ------
    ModelInputError
        For fewer offsets than parameters.

    References
    ----------
    Zaiss, doi:10.1016/j.jmr.2011.05.001.
    """
    count = 1 + 2 * len(pools)
    if len(offsets_ppm) < count:
        raise ModelInputError(
            f"{count} parameters of {len(pools)} pools cannot be fitted to "
            f"{len(offsets_ppm)} offsets.",
            hint="Fit fewer pools, or measure more offsets.",
        )
    low = np.array([-_SHIFT, *(v for _ in pools for v in (0.0, _LEAST_WIDTH))])
    high = np.array([_SHIFT, *(v for pool in pools for v in (1.0, pool.widest_ppm))])
    start = np.empty((len(z), count))
    start[:, 0] = b0_ppm
    start[:, 1:] = [v for pool in pools for v in (pool.amplitude, pool.width_ppm)]

    def function(p: Doubles, _: npt.NDArray[np.intp]) -> tuple[Doubles, Doubles]:
        return lorentz_signal(p, offsets_ppm, pools)

    return minimise(function, z, start, low, high)


def lorentzian_difference(
    z: Doubles, offsets_ppm: Doubles, at_ppm: npt.ArrayLike
) -> tuple[Doubles, Doubles]:
    """Return what a spectrum lacks to that of water (and MT): LD = Z_ref - Z.

    The reference is a Lorentzian line of water, with the wide one of MT where there are offsets
    beyond 6.5 ppm, fitted to the samples within 1 ppm of water and beyond 6.5 ppm.

    Parameters
    ----------
    z : ndarray of float64, shape (n_voxels, n_offsets)
        Spectra with water at 0 (`cest_spectra.resample`); samples that are NaN in any voxel must
        not lie in the range fitted.
    offsets_ppm : ndarray of float64, shape (n_offsets,)
        Ascending, ppm from water.
    at_ppm : array_like of float, shape (m,)
        Offsets wanted; each must be one of `offsets_ppm`.

    Returns
    -------
    difference : ndarray of float64, shape (n_voxels, m)
        Fraction; NaN where the spectrum or the fit has no value.
    reference : ndarray of float64, shape (n_voxels, n_offsets)
        Z_ref.

    Raises
    ------
    ModelInputError
        For fewer than four offsets within 1 ppm of water.

    References
    ----------
    Zaiss, doi:10.1016/j.neuroimage.2015.02.040.
    """
    near = np.abs(offsets_ppm) <= _WATER_NEAR + 1e-9
    far = np.abs(offsets_ppm) >= _FAR
    pools = (WATER, MT) if np.count_nonzero(far) >= 4 else (WATER,)
    used = near | far if len(pools) > 1 else near
    if np.count_nonzero(near) < 4:
        raise ModelInputError(
            f"Only {int(np.count_nonzero(near))} offsets lie within 1 ppm of water, too few for a "
            "Lorentzian line.",
            hint="Leave the Lorentzian difference out, or measure more offsets there.",
        )
    good = np.isfinite(z[:, used]).all(axis=1)
    reference = np.full(z.shape, np.nan)
    if good.any():
        fit = fit_pools(z[good][:, used], offsets_ppm[used], pools)
        values, _ = lorentz_signal(fit.parameters, offsets_ppm, pools)
        values[~fit.converged] = np.nan
        reference[good] = values
    places = [int(np.argmin(np.abs(offsets_ppm - ppm))) for ppm in np.atleast_1d(at_ppm)]
    return reference[:, places] - z[:, places], reference
