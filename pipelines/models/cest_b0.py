"""Where water lies in each voxel: by symmetry (WASSR), or by the minimum of the Z-spectrum."""

import numpy as np
import numpy.typing as npt

from ..errors import ModelInputError
from . import kernels_cest as kernels
from .cest_spectra import resample

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_REACH = 1.5  # ppm from 0, where water is looked for
_STEP = 0.01
_ABOVE = 0.05  # over the minimum, where the width of the dip is taken
_WIDEST = 1.5


def b0_by_symmetry(
    z: Doubles, offsets_ppm: Doubles, *, reach_ppm: float = 1.0, search_ppm: float = 1.0
) -> Doubles:
    """Find the centre about which a spectrum equals its mirror image best (WASSR).

    The mean squared difference between the samples and the monotone cubic through them, mirrored,
    is minimised over the centre.

    Parameters
    ----------
    z : ndarray of float64, shape (n_voxels, n_offsets)
        Of a scan with weak saturation around water; any scale.
    offsets_ppm : ndarray of float64, shape (n_offsets,)
        Ascending, ppm.
    reach_ppm : float
        Samples nearer than this to the centre are compared.
    search_ppm : float
        The centre is looked for up to this offset.

    Returns
    -------
    ndarray of float64, shape (n_voxels,)
        ppm; NaN for NaN in the spectrum and a centre at the end of the search.

    References
    ----------
    Kim, doi:10.1002/mrm.21873.
    """
    offsets = np.ascontiguousarray(offsets_ppm, dtype=np.float64)
    near = np.count_nonzero(np.abs(offsets) <= reach_ppm)
    if near < 5:
        raise ModelInputError(
            f"Only {near} offsets lie within {reach_ppm:g} ppm of water.",
            hint="Give a WASSR scan with closer offsets, or use the minimum of the spectrum.",
        )
    trials = np.arange(-search_ppm, search_ppm + _STEP, 2 * _STEP)
    out = np.full(len(z), np.nan)
    least = max(5, near // 2)
    kernels.centres(offsets, np.ascontiguousarray(z, dtype=float), trials, reach_ppm, least, out)
    out[~np.isfinite(z).all(axis=1)] = np.nan
    return out


def b0_by_minimum(z: Doubles, offsets_ppm: Doubles) -> tuple[Doubles, Bools]:
    """Find the minimum of a smooth curve through the samples within 1.5 ppm.

    The samples near the dip are interpolated by a cubic spline, tabulated every 0.01 ppm; the
    minimum is the middle of the dip 0.05 above its ground, which noise moves less than the ground
    itself.

    Parameters
    ----------
    z : ndarray of float64, shape (n_voxels, n_offsets)
        Z-spectra.
    offsets_ppm : ndarray of float64, shape (n_offsets,)
        Ascending, ppm; at least five within 2 ppm.

    Returns
    -------
    b0_ppm : ndarray of float64, shape (n_voxels,)
        NaN where the spectrum is not finite, or the minimum lies at the end of the range.
    wide : ndarray of bool, shape (n_voxels,)
        Dips wider than 1.5 ppm, whose minimum is uncertain (strong saturation, MT or NOE).
    """
    from scipy.interpolate import CubicSpline

    offsets = np.asarray(offsets_ppm, dtype=np.float64)
    inside = np.abs(offsets) <= 2.5 * _REACH
    if np.count_nonzero(np.abs(offsets) <= 2.0) < 5:
        raise ModelInputError(
            "Fewer than five offsets lie within 2 ppm of water, so its place is unknown.",
            hint="Give a map of B0, or a WASSR or WASABI scan.",
        )
    good = np.isfinite(z).all(axis=1)
    b0 = np.full(len(z), np.nan)
    wide = np.zeros(len(z), np.bool_)
    low, high = max(offsets[inside][0], -2 * _REACH), min(offsets[inside][-1], 2 * _REACH)
    fine = np.arange(low, high + _STEP / 2, _STEP)
    for rows in np.array_split(np.flatnonzero(good), max(1, len(z) // 4096)):
        if len(rows):
            curve = CubicSpline(offsets[inside], z[rows][:, inside], axis=1)(fine)
            b0[rows], wide[rows] = _middle(fine, curve)
    return b0, wide


def _middle(fine: Doubles, curve: Doubles) -> tuple[Doubles, Bools]:
    """Return the middle between the places where each curve is 0.05 above its ground."""
    near = np.abs(fine) <= _REACH
    place = np.flatnonzero(near)[np.argmin(curve[:, near], axis=1)]
    rows = np.arange(len(curve))
    level = curve[rows, place] + _ABOVE
    over = curve > level[:, None]
    columns = np.arange(len(fine))
    left = np.where(over & (columns <= place[:, None]), columns, -1).max(axis=1)
    right = np.where(over & (columns >= place[:, None]), columns, len(fine)).min(axis=1)
    lost = (left < 0) | (right >= len(fine))
    a, b = np.clip(left, 0, len(fine) - 2), np.clip(right, 1, len(fine) - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        up = fine[a] + _STEP * (curve[rows, a] - level) / (curve[rows, a] - curve[rows, a + 1])
        down = fine[b] - _STEP * (curve[rows, b] - level) / (curve[rows, b] - curve[rows, b - 1])
    middle = np.where(lost, np.nan, 0.5 * (up + down))
    return middle, np.where(lost, True, down - up > _WIDEST)


def shifted_too_far(b0_ppm: Doubles, offsets_ppm: Doubles, wanted_ppm: Doubles) -> Bools:
    """Tell where an offset wanted, moved by B0, lies outside those measured, shape (n_voxels,)."""
    probe = resample(np.zeros((len(b0_ppm), len(offsets_ppm))), offsets_ppm, wanted_ppm, b0_ppm)
    return np.asarray(np.isnan(probe).any(axis=1))
