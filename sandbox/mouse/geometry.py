"""Where the voxels of a scan lie: frames in patient LPS millimetres. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_ROWS = {
    "axial": ((1, 0, 0), (0, 1, 0)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
}


@dataclass(frozen=True)
class Pack:
    """A stack of parallel slices in the order they are stored.

    Attributes
    ----------
    name : str
        ``axial``, ``coronal`` or ``sagittal``.
    matrix : ndarray of float, shape (3, 3)
        Rows are the unit vectors of increasing column index, row index, and the slice normal.
    size : tuple of int
        Columns, rows.
    spacing_mm : tuple of float
        Along columns and rows.
    centres_mm : ndarray of float, shape (slices, 3)
        Centre of the field of view of each slice.
    thickness_mm, distance_mm : float
        Slice thickness and distance between slice centres.
    read_axis : int
        Image axis of the read gradient: 0 columns, 1 rows.
    step_sign : int
        1 if slices step along the normal, -1 if against it.
    """

    name: str
    matrix: Floats
    size: tuple[int, int]
    spacing_mm: tuple[float, float]
    centres_mm: Floats
    thickness_mm: float
    distance_mm: float
    read_axis: int
    step_sign: int

    def positions(self) -> Floats:
        """Give the centre of each slice's first voxel, shape (slices, 3).

        The centre of the field of view is at index N/2, so P = C - sum_i (N_i/2) d_i r_i.
        """
        half = [n / 2 * d for n, d in zip(self.size, self.spacing_mm, strict=True)]
        corner: Floats = self.centres_mm - half[0] * self.matrix[0] - half[1] * self.matrix[1]
        return corner

    def voxel_centres(self, index: int) -> Floats:
        """Give all voxel centres of slice `index`, shape (rows, columns, 3)."""
        columns, rows = (
            np.arange(n)[:, None] * d * axis
            for n, d, axis in zip(self.size, self.spacing_mm, self.matrix[:2], strict=True)
        )
        points: Floats = self.positions()[index] + rows[:, None, :] + columns[None, :, :]
        return points

    def gradient_rows(self) -> Floats:
        """Give read, phase and slice gradient directions as rows, shape (3, 3).

        Read and phase run against the image axes; the slice direction is the normal.
        """
        read, phase = self.read_axis, 1 - self.read_axis
        return np.stack([-self.matrix[read], -self.matrix[phase], self.matrix[2]])

    def affine_ras(self) -> Floats:
        """Give the voxel (column, row, slice) to RAS matrix of a NIfTI file, shape (4, 4)."""
        affine = np.eye(4)
        affine[:3, 0] = self.matrix[0] * self.spacing_mm[0]
        affine[:3, 1] = self.matrix[1] * self.spacing_mm[1]
        affine[:3, 2] = self.matrix[2] * self.distance_mm * self.step_sign
        affine[:3, 3] = self.positions()[0]
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def frame_matrix(orientation: str, axial_signs: list[int], tilt_deg: float) -> Floats:
    """Make the image axes of a named orientation.

    Parameters
    ----------
    orientation : str
        ``axial``, ``coronal`` or ``sagittal``.
    axial_signs : list of int
        Signs of x and y of an axial frame's first two axes.
    tilt_deg : float
        Turn about the first image axis, degrees.

    Returns
    -------
    ndarray of float64, shape (3, 3)
        Orthonormal rows, determinant +1.
    """
    first, second = (np.array(row, dtype=float) for row in _ROWS[orientation])
    if orientation == "axial":
        first, second = first * axial_signs[0], second * axial_signs[1]
    normal = np.cross(first, second)
    angle = np.deg2rad(tilt_deg)
    tilted = np.cos(angle) * second + np.sin(angle) * normal
    return np.stack([first, tilted, np.cross(first, tilted)]) + 0.0
