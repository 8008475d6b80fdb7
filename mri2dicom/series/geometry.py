"""Planes in patient space: stacks, spacing, order. Pure functions, millimetres, LPS.

Patient axes are DICOM's: x towards the left, y towards the back, z towards the head.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

PARALLEL_TOLERANCE = 1e-4
SPACING_TOLERANCE_MM = 1e-3


def slab_positions(
    position: Floats, normal: Floats, count: int, pitch_mm: float, *, reversed_order: bool
) -> Floats:
    """Return the positions of the planes of 3-D frames, in stored order.

    Parameters
    ----------
    position : ndarray of float, shape (frames, 3)
        Centre of the first voxel of the plane that is lowest along the normal.
    normal : ndarray of float, shape (frames, 3)
        Unit slice normals.
    count : int
        Planes per frame.
    pitch_mm : float
        Distance between plane centres.
    reversed_order : bool
        Planes are stored in descending order along the normal.

    Returns
    -------
    ndarray of float, shape (frames, count, 3)

    Notes
    -----
    P_k = P + k d n, or P + (N - 1 - k) d n for the reversed order, where the given position is
    that of the last stored plane (ParaVision ``VisuCoreDiskSliceOrder``).
    """
    steps = np.arange(count, dtype=np.float64)
    if reversed_order:
        steps = steps[::-1]
    along = steps[None, :, None] * pitch_mm * normal[:, None, :]
    return np.asarray(position[:, None, :] + along, dtype=np.float64)


def split_stacks(position: Floats, orientation: Floats) -> Ints:
    """Group consecutive planes into stacks of parallel planes on one line.

    Parameters
    ----------
    position : ndarray of float, shape (n, 3)
        One position per slice, in stored order.
    orientation : ndarray of float, shape (n, 3, 3)
        Rows: column, row and normal direction.

    Returns
    -------
    ndarray of int, shape (n,)
        Stack number of each slice, from 0.

    Notes
    -----
    A slice joins the stack before it when its orientation is the same within 1e-4 and its step
    lies on the line of the stack's first step.
    """
    stack = np.zeros(len(position), dtype=np.intp)
    number, step = 0, None
    for k in range(1, len(position)):
        move = position[k] - position[k - 1]
        same = np.allclose(orientation[k], orientation[k - 1], atol=PARALLEL_TOLERANCE, rtol=0)
        if same and (step is None or _is_collinear(move, step)):
            step = move if step is None else step
        else:
            number, step = number + 1, None
        stack[k] = number
    return stack


def _is_collinear(move: Floats, step: Floats) -> bool:
    length = float(np.linalg.norm(step))
    if length == 0.0:
        return False
    off = np.linalg.norm(np.cross(move, step)) / length
    return bool(off <= max(SPACING_TOLERANCE_MM, 1e-3 * length))


def stack_faces_normal(position: Floats, orientation: Floats) -> bool:
    """Tell whether the slices of one stack are apart along their normal.

    Hand-edited files exist whose slices step within their own plane; these are no stack.
    """
    if len(position) < 2:
        return True
    heights = position @ orientation[0, 2]
    gaps = np.abs(np.diff(np.sort(heights)))
    return bool(np.all(gaps > SPACING_TOLERANCE_MM))


def measured_spacing(position: Floats, orientation: Floats) -> float | None:
    """Return the distance between neighbouring slices along the normal, in mm.

    Parameters
    ----------
    position : ndarray of float, shape (n, 3)
        One position per slice of one stack, in any order.
    orientation : ndarray of float, shape (n, 3, 3)

    Returns
    -------
    float or None
        None for fewer than two slices or unequal steps.
    """
    if len(position) < 2:
        return None
    heights = np.sort(position @ orientation[0, 2])
    steps = np.diff(heights)
    spacing = float((heights[-1] - heights[0]) / (len(heights) - 1))
    if spacing <= SPACING_TOLERANCE_MM:
        return None
    tolerance = max(SPACING_TOLERANCE_MM, 1e-3 * spacing)
    return spacing if bool(np.all(np.abs(steps - spacing) <= tolerance)) else None


def in_stack_positions(position: Floats, orientation: Floats, stack: Ints) -> Ints:
    """Count the planes of each stack along its normal, from 1.

    Planes at one place (other echoes, other times) get one number.

    Returns
    -------
    ndarray of int, shape (n,)
    """
    result = np.ones(len(position), dtype=np.intp)
    for number in np.unique(stack):
        members = np.flatnonzero(stack == number)
        height = position[members] @ orientation[members[0], 2]
        levels = np.unique(np.round(height / SPACING_TOLERANCE_MM).astype(np.int64))
        # Rounding can part two equal heights by one unit: join neighbours.
        levels = levels[np.insert(np.diff(levels) > 1, 0, True)]
        number_in_stack = np.searchsorted(
            levels, np.round(height / SPACING_TOLERANCE_MM), side="right"
        )
        result[members] = np.maximum(number_in_stack, 1)
    return result


def slice_location(position: Floats, orientation: Floats) -> Floats:
    """Return each plane's height along its own normal, in mm, shape (n,)."""
    return np.asarray(np.einsum("ni,ni->n", position, orientation[:, 2]), dtype=np.float64)


def is_orthonormal(orientation: Floats, tolerance: float = 1e-3) -> bool:
    """Tell whether the axes have unit length and right angles; those with NaN have not.

    Parameters
    ----------
    orientation : ndarray of float, shape (n, 3, 3)
    """
    with np.errstate(all="ignore"):
        product = orientation @ np.swapaxes(orientation, -1, -2)
        return bool(np.all(np.abs(product - np.eye(3)) <= tolerance))


def affine(
    position: npt.NDArray[np.float64],
    orientation: npt.NDArray[np.float64],
    spacing_mm: tuple[float, float],
    step: npt.NDArray[np.float64],
) -> Floats:
    """Return the 4 x 4 matrix from (column, row, plane) to patient LPS millimetres.

    Parameters
    ----------
    position : ndarray of float, shape (3,)
        Centre of the first voxel of the first plane.
    orientation : ndarray of float, shape (3, 3)
    spacing_mm : tuple of float
        Between rows, between columns.
    step : ndarray of float, shape (3,)
        From a plane to the next.
    """
    matrix = np.eye(4)
    matrix[:3, 0] = orientation[0] * spacing_mm[1]
    matrix[:3, 1] = orientation[1] * spacing_mm[0]
    matrix[:3, 2] = step
    matrix[:3, 3] = position
    return matrix


def stack_affine(
    position: Floats, orientation: Floats, spacing_mm: tuple[float, float], thickness_mm: float
) -> Floats:
    """Return the 4 x 4 matrix from (column, row, slice) to patient LPS millimetres.

    Parameters
    ----------
    position : ndarray of float, shape (steps, slices, 3)
        Centre of the first voxel of each slice, at each step of the loops.
    orientation : ndarray of float, shape (steps, slices, 3, 3)
    spacing_mm : tuple of float
        Between rows, between columns.
    thickness_mm : float
        Distance to the next slice where there is one slice alone; NaN counts as 1 mm.

    Raises
    ------
    ValueError
        If the slices are not parallel, lie elsewhere at another step, or have no common spacing
        along their normal; or if a spacing is not known.
    """
    first, axes = position[0], orientation[0, 0]
    if not np.all(np.isfinite(spacing_mm)):
        raise ValueError("The size of a pixel is not known, so there is no matrix.")
    if not np.allclose(orientation, axes, atol=PARALLEL_TOLERANCE, rtol=0):
        raise ValueError("The slices are not parallel: no one matrix describes them.")
    if len(first) > 1:
        step = (first[-1] - first[0]) / (len(first) - 1)
    else:
        step = axes[2] * (1.0 if np.isnan(thickness_mm) else thickness_mm)
    expected = first[0] + np.arange(len(first))[:, None] * step
    tolerance = max(SPACING_TOLERANCE_MM, 1e-3 * float(np.linalg.norm(step)))
    if abs(step @ axes[2]) <= SPACING_TOLERANCE_MM or np.any(abs(position - expected) > tolerance):
        raise ValueError("The slices have no common spacing: no one matrix describes them.")
    return affine(first[0], axes, spacing_mm, step)
