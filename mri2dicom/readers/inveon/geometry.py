"""Where the voxels of an Inveon image lie in the animal."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from xnat_pic.errors import CorruptDataError

from ...mapping.tables import load_mapping
from ...series.geometry import Floats
from .header import Header


@dataclass(frozen=True)
class Orientation:
    """What the header's subject_orientation means.

    Attributes
    ----------
    position : str
        DICOM Patient Position; empty where unknown.
    axes : ndarray of int, shape (3, 3)
        Rows: patient x, y, z (LPS); columns: stored x, y, z.
    """

    code: int
    position: str
    axes: Floats
    evidence: str


def read_orientation(header: Header) -> Orientation:
    """Return the orientation that the header states; an unknown code is that of no statement."""
    rows: list[dict[str, Any]] = load_mapping("inveon")["orientation"]
    code = header.main.integer("subject_orientation") or 0
    row = next((one for one in rows if one["code"] == code), rows[0])
    return Orientation(
        code,
        row["position"],
        np.array(row["axes"], dtype=np.float64),
        row["evidence"],
    )


def voxel_size_mm(header: Header) -> tuple[float, float, float]:
    """Return the distance of voxel centres along x, y, z in mm.

    Raises
    ------
    CorruptDataError
        If the header does not say it.
    """
    main = header.main
    older = 10.0 * (main.number("pixel_size") or 0.0)
    pitch = 10.0 * (main.number("axial_crystal_pitch") or 0.0) / 2.0
    fallback = {"x": older, "y": older, "z": pitch}
    size = [main.number(f"pixel_size_{axis}") or fallback[axis] for axis in "xyz"]
    for axis, value in zip("xyz", size, strict=True):
        if not 0.0 < value < 1000.0:
            raise CorruptDataError(
                f"The header does not say how large a voxel is along {axis} (pixel_size_{axis}, "
                "pixel_size, axial_crystal_pitch)."
            )
    return size[0], size[1], size[2]


def shift_mm(header: Header) -> Floats:
    """Return the shift of the image's centre, key image_ref_shift, shape (3,), mm."""
    numbers = header.main.numbers("image_ref_shift")
    return np.array(numbers[:3] if len(numbers) >= 3 else [0.0] * 3, dtype=np.float64)


def plane_geometry(
    size: tuple[int, int, int],
    voxel_mm: tuple[float, float, float],
    shift: Floats,
    axes: Floats,
) -> tuple[Floats, Floats]:
    """Return positions and directions of the planes of one frame.

    Parameters
    ----------
    size : tuple of int
        Voxels along x, y, z.
    voxel_mm : tuple of float
    shift : ndarray of float, shape (3,)
        Added to the coordinates along stored x, y, z, whose origin is the image's centre.
    axes : ndarray of float, shape (3, 3)
        Rows: patient x, y, z (LPS); columns: stored x, y, z.

    Returns
    -------
    position : ndarray of float, shape (nz, 3)
        Centre of the first voxel of each plane, LPS mm.
    orientation : ndarray of float, shape (3, 3)
        Rows: direction of increasing column (stored x), of increasing row (stored y), and their
        cross product.

    Notes
    -----
    p = A ((i - (n - 1) / 2) v + s), with the voxel's number i, the number of voxels n, the voxel
    size v, the shift s and the orientation's matrix A.
    """
    count = np.array(size, dtype=np.float64)
    first = -(count - 1.0) / 2.0 * np.array(voxel_mm) + shift
    centres = np.tile(first, (size[2], 1))
    centres[:, 2] += np.arange(size[2]) * voxel_mm[2]
    column, row = axes[:, 0], axes[:, 1]
    position = centres @ axes.T + 0.0
    return position, np.stack([column, row, np.cross(column, row)]) + 0.0
