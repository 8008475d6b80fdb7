"""Whether two volumes have one grid, in whichever order their voxels are stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .tolerances import SAME_GRID

Doubles = npt.NDArray[np.float64]
Shape = tuple[int, int, int]
_FLAT = 1e-6  # of the volume of a box with the same edges


def corners(shape: Shape) -> Doubles:
    """Return the indices (column, row, slice, 1) of the corner voxels, shape (4, 8).

    Parameters
    ----------
    shape : tuple of int
        Slices, rows, columns.
    """
    last = np.array(shape[::-1], dtype=np.float64)[:, None] - 1
    return np.vstack([np.indices((2, 2, 2)).reshape(3, 8) * last, np.ones(8)])


def voxel_map(affine: Doubles, target: Doubles, shape: Shape) -> npt.NDArray[np.int64] | None:
    """Return which voxel of one grid each voxel of another is.

    Axes may be turned over or exchanged, as programs do that store rows or columns the other way.

    Parameters
    ----------
    affine, target : ndarray of float64, shape (4, 4)
        From (column, row, slice) to mm, of both in one coordinate system.
    shape : tuple of int
        Of the target: slices, rows, columns.

    Returns
    -------
    ndarray of int64, shape (4, 4), or None
        From an index (column, row, slice, 1) of the target to that of the grid; None where a corner
        of the target is further than `SAME_GRID` of a voxel from a voxel of the grid.
    """
    if not has_volume(affine):
        return None
    step = np.linalg.solve(affine, target)
    whole = np.rint(step)
    ends = corners(shape)
    if np.abs(step @ ends - whole @ ends).max() > SAME_GRID:
        return None
    matrix: npt.NDArray[np.int64] = whole.astype(np.int64)
    return matrix


def has_volume(affine: Doubles) -> bool:
    """Tell whether an affine gives every voxel a place of its own, whatever its size."""
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or edges.min() <= 0:
        return False
    return bool(abs(np.linalg.det(affine[:3, :3] / edges)) > _FLAT)


def on_grid(
    values: npt.NDArray[Any], affine: Doubles, target: Doubles, shape: Shape, outside: Any = None
) -> npt.NDArray[Any] | None:
    """Return values in the order of another grid's voxels.

    Parameters
    ----------
    values : ndarray, shape (n_slices, rows, columns)
        As stored.
    affine, target, shape
        As of `voxel_map`.
    outside : optional
        Value of voxels that the volume does not hold; without one every voxel must be in it.

    Returns
    -------
    ndarray, shape `shape`, or None
        None where the grids differ.
    """
    matrix = voxel_map(affine, target, shape)
    if matrix is None:
        return None
    slices, rows, columns = np.indices(shape).reshape(3, -1)
    there = (matrix @ np.stack([columns, rows, slices, np.ones_like(slices)]))[2::-1]
    inside = np.all((there >= 0) & (there < np.array(values.shape)[:, None]), axis=0)
    if outside is None and not (inside.all() and values.size == inside.size):
        return None
    out = np.full(inside.size, outside if outside is not None else 0, values.dtype)
    out[inside] = values[tuple(there[:, inside])]
    return out.reshape(shape)
