"""Places in patient space and in a grid: pure functions of positions, LPS, mm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xnat_pic.errors import NothingUsableError

from ..images.tolerances import ON_CENTRE, RIGHT_ANGLE, SAME_PLACE
from .model import Doubles, ImageGrid


def axes_of(orientation: Sequence[float]) -> tuple[Doubles, Doubles]:
    """Return the unit vectors of a DICOM orientation: along a row, along a column.

    Raises
    ------
    NothingUsableError
        Where the six numbers are not two directions at right angles.
    """
    both = np.asarray(orientation, dtype=np.float64)
    if both.shape != (6,) or not np.isfinite(both).all():
        raise NothingUsableError("A plane does not say which way it is turned.")
    row, column = both[:3], both[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if min(lengths) < 0.5 or abs(row @ column) > RIGHT_ANGLE * lengths[0] * lengths[1]:
        raise NothingUsableError(
            "The rows and columns of a plane are not at right angles.",
            hint="Such an image cannot carry regions; convert it again.",
        )
    return row / lengths[0], column / lengths[1]


def typical_step(depths: npt.ArrayLike, thickness_mm: float) -> float:
    """Return the distance between neighbouring planes, the thickness where there is only one.

    The median, so that a missing slice does not widen all others.
    """
    gaps = np.diff(np.sort(np.asarray(depths, dtype=np.float64)))
    if gaps.size:
        return float(np.median(gaps))
    return thickness_mm if thickness_mm > 0 else 1.0


def uneven_note(depths: npt.ArrayLike) -> str:
    """Return a note where planes are not equally far apart, empty where they are."""
    gaps = np.diff(np.sort(np.asarray(depths, dtype=np.float64)))
    if gaps.size and np.ptp(gaps) > SAME_PLACE * 2 * np.median(gaps):
        return (
            f"The slices are {gaps.min():.4g} to {gaps.max():.4g} mm apart; each one stands for "
            f"{np.median(gaps):.4g} mm of tissue at most, and gaps stay empty."
        )
    return ""


def grid_of_affine(
    affine_ras: npt.ArrayLike, shape: tuple[int, int, int], frame_of_reference_uid: str = ""
) -> ImageGrid:
    """Return the grid of a NIfTI-like volume.

    Parameters
    ----------
    affine_ras : array_like, shape (4, 4)
        From (column, row, slice, 1) to RAS mm.
    shape : tuple of int
        Slices, rows, columns.
    frame_of_reference_uid : str
        Where something beside the file names it.

    Raises
    ------
    NothingUsableError
        For an affine without volume or with slanted rows and columns.
    """
    matrix = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(affine_ras, dtype=np.float64)
    steps = np.linalg.norm(matrix[:3, :3], axis=0)
    if not np.isfinite(matrix).all() or steps.min() <= 0 or min(shape) < 1:
        raise NothingUsableError(
            "The image does not say where its voxels lie.", hint="Give one with a valid affine."
        )
    row, column = axes_of([*(matrix[:3, 0] / steps[0]), *(matrix[:3, 1] / steps[1])])
    step = abs(float(matrix[:3, 2] @ np.cross(row, column)))
    if step < RIGHT_ANGLE * steps[2]:
        raise NothingUsableError(
            "The slices of the image lie in one plane.", hint="Give one with a valid affine."
        )
    return ImageGrid(
        shape=shape,
        row=row,
        column=column,
        spacing=(float(steps[1]), float(steps[0])),
        positions=matrix[:3, 3] + np.arange(shape[0])[:, None] * matrix[:3, 2],
        step_mm=step,
        frame_of_reference_uid=frame_of_reference_uid,
    )


def slabs(grid: ImageGrid) -> Doubles:
    """Return first and last depth of the tissue each slice stands for, mm, shape (n_slices, 2).

    One step wide around the plane; where planes are closer, the border is half-way.
    """
    depths = grid.depths
    half = np.full((len(depths), 2), grid.step_mm / 2)
    if len(depths) > 1:
        gaps = np.diff(depths) / 2
        # Rounding in the header must not open slits between slices that touch.
        gaps[np.abs(gaps - grid.step_mm / 2) < SAME_PLACE * grid.step_mm] = np.nan
        touching = np.where(np.isnan(gaps), np.diff(depths) / 2, np.minimum(gaps, half[0, 0]))
        half[1:, 0], half[:-1, 1] = touching, touching
    return np.column_stack([depths - half[:, 0], depths + half[:, 1]])


def slice_at(grid: ImageGrid, depths: Doubles) -> npt.NDArray[np.intp]:
    """Return the slice whose slab holds each depth along the normal, -1 where none does."""
    borders = slabs(grid)
    found = np.searchsorted(borders[:, 0], depths, side="right") - 1
    inside = (found >= 0) & (depths < borders[np.maximum(found, 0), 1])
    return np.where(inside, found, -1)


def nearest_slice(grid: ImageGrid, points_mm: Doubles) -> tuple[int, float]:
    """Return the slice nearest to the middle of points, and how far off its plane any point is.

    Parameters
    ----------
    grid : ImageGrid
        The image.
    points_mm : ndarray of float64, shape (n_points, 3)
        Patient LPS.

    Returns
    -------
    slice_index : int
    off_mm : float
        The largest distance of a point from the plane of that slice.
    """
    depths = points_mm @ grid.normal
    middle = (depths.min() + depths.max()) / 2
    planes = grid.depths
    # Half-way between two planes all contours go to the same side.
    index = int(np.argmin(np.abs(planes - (middle - SAME_PLACE / 2 * grid.step_mm))))
    return index, float(np.abs(depths - planes[index]).max())


def to_pixels(grid: ImageGrid, points_mm: Doubles, slice_index: int) -> Doubles:
    """Return (column, row) of points in a slice, 0 at the centre of its first pixel.

    x = (P - P0) . row / column spacing, y = (P - P0) . column / row spacing (DICOM PS3.3
    C.7.6.2.1.1). A coordinate within 2e-4 of a pixel centre, which is what rounding to the 16
    characters of a decimal string leaves, is put on it, so that equal drawings give equal masks.
    """
    offset = points_mm - grid.positions[slice_index]
    pixels = np.column_stack(
        [offset @ grid.row / grid.spacing[1], offset @ grid.column / grid.spacing[0]]
    )
    whole = np.rint(pixels)
    return np.where(np.abs(pixels - whole) < ON_CENTRE, whole, pixels)


def to_patient(grid: ImageGrid, pixels: Doubles, slice_index: int) -> Doubles:
    """Return patient LPS, mm, of (column, row) coordinates in a slice, shape (n_points, 3)."""
    along_row = pixels[:, :1] * grid.spacing[1] * grid.row
    along_column = pixels[:, 1:2] * grid.spacing[0] * grid.column
    return np.asarray(grid.positions[slice_index] + along_row + along_column, dtype=np.float64)


def corners(grid: ImageGrid) -> Doubles:
    """Return the centres of the eight corner voxels, LPS mm, shape (8, 3)."""
    slices, rows, columns = grid.shape
    pixels = np.array([[x, y] for x in (0, columns - 1) for y in (0, rows - 1)], dtype=np.float64)
    return np.vstack([to_patient(grid, pixels, k) for k in (0, slices - 1)])


def same_grid(one: ImageGrid, other: ImageGrid) -> bool:
    """Tell whether two grids have the same voxels: shape, and corners within 1 % of a voxel."""
    if one.shape != other.shape:
        return False
    apart = corners(one) - corners(other)
    voxel = (one.spacing[1], one.spacing[0], one.step_mm)
    axes = (one.row, one.column, one.normal)
    # Middle slices matter where the distances between slices are not equal.
    uneven = np.abs(one.depths - other.depths + other.depths[0] - one.depths[0]).max()
    off = [np.abs(apart @ axis).max() / size for axis, size in zip(axes, voxel, strict=True)]
    thick = abs(one.step_mm - other.step_mm) if one.shape[0] > 1 else 0.0
    return bool(max(*off, uneven / voxel[2], thick / voxel[2]) <= SAME_PLACE)
