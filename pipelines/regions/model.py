"""What a region is on its way from a file to a mask.

Positions are in patient LPS and mm. Arrays are ordered (slice, row, column); index coordinates
are (column, row, slice), 0 at the centre of the first voxel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Plane:
    """Where the pixels of one slice of an image are kept.

    Attributes
    ----------
    path : Path
        The file.
    frame : int
        The frame in it, from 0.
    instance_uid, class_uid : str
        SOP Instance and SOP Class UID; empty for NIfTI.
    """

    path: Path
    frame: int
    instance_uid: str
    class_uid: str


@dataclass(frozen=True, eq=False)
class ImageGrid:
    """Parallel planes of equal pixels in patient space.

    Attributes
    ----------
    shape : tuple of int
        Slices, rows, columns.
    row, column : ndarray of float64, shape (3,)
        Unit vectors of increasing column index (along a row) and of increasing row index.
    spacing : tuple of float
        Mm between rows, mm between columns, as DICOM's Pixel Spacing.
    positions : ndarray of float64, shape (n_slices, 3)
        Centre of the first pixel of each slice, in the order of the slices.
    step_mm : float
        Thickness of the slab of tissue a slice stands for, along the normal; > 0.
    frame_of_reference_uid : str
        Empty where the file names none, as NIfTI.
    study_uid, modality, title : str
        Identity; empty where unknown.
    series_uids : frozenset of str
        Every series whose images lie on these planes.
    instances : mapping of (str, int) to int
        SOP Instance UID and frame number, from 1, to the slice. Several images may share a slice.
    planes : tuple of Plane
        The first image of each slice; empty where there are no pixels.
    notes : tuple of str
        Notes for the report, such as uneven slices.
    """

    shape: tuple[int, int, int]
    row: Doubles
    column: Doubles
    spacing: tuple[float, float]
    positions: Doubles
    step_mm: float
    frame_of_reference_uid: str = ""
    study_uid: str = ""
    modality: str = ""
    title: str = ""
    series_uids: frozenset[str] = frozenset()
    instances: Mapping[tuple[str, int], int] = field(default_factory=dict)
    planes: tuple[Plane, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def normal(self) -> Doubles:
        """Unit vector across the planes, shape (3,), on the side of increasing slice index."""
        normal = np.cross(self.row, self.column)
        run = (self.positions[-1] - self.positions[0]) @ normal
        return np.asarray(-normal if run < 0 else normal, dtype=np.float64)

    @cached_property
    def depths(self) -> Doubles:
        """Place of each slice along the normal in mm, shape (n_slices,), increasing."""
        return np.asarray(self.positions @ self.normal, dtype=np.float64)

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel in mm3."""
        return self.spacing[0] * self.spacing[1] * self.step_mm

    @property
    def affine(self) -> Doubles:
        """Matrix (4, 4) from (column, row, slice, 1) to LPS mm; the mean step where uneven."""
        matrix = np.eye(4)
        matrix[:3, 0] = self.row * self.spacing[1]
        matrix[:3, 1] = self.column * self.spacing[0]
        slices = self.shape[0]
        matrix[:3, 2] = (
            (self.positions[-1] - self.positions[0]) / (slices - 1)
            if slices > 1
            else self.normal * self.step_mm
        )
        matrix[:3, 3] = self.positions[0]
        return matrix

    @property
    def affine_ras(self) -> Doubles:
        """`affine` to RAS mm, as NIfTI wants it."""
        return np.asarray(np.diag([-1.0, -1.0, 1.0, 1.0]) @ self.affine, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Contour:
    """One closed line in a plane.

    Attributes
    ----------
    points_mm : ndarray of float64, shape (n_points, 3)
        Patient LPS; the first point is not repeated at the end.
    instance_uid : str
        SOP Instance UID of the image it was drawn on; empty where the file does not say.
    frame : int
        Frame number in it, from 1.
    """

    points_mm: Doubles
    instance_uid: str = ""
    frame: int = 1


@dataclass(frozen=True, eq=False)
class DrawnMask:
    """A region drawn as voxels.

    Attributes
    ----------
    grid : ImageGrid
        Its own grid, not always that of the image.
    share : ndarray of float32, shape ``grid.shape``
        0 outside, 1 inside, between for a fractional segment.
    """

    grid: ImageGrid
    share: Floats


@dataclass(frozen=True, eq=False)
class Region:
    """One region of interest as its file holds it: contours, or a mask, or neither.

    Attributes
    ----------
    number : int
        ROI, segment or label number of the file; the place in the file, from 1, for AIM.
    name : str
        As the file says it; made of the number where empty. Not always unique.
    uid : str
        Unique identifier of AIM's annotation, else of the file and number.
    source : str
        AIM, RTSTRUCT, SEG, NIFTI or NRRD.
    path : Path
        The file.
    colour : tuple of int or None
        Red, green, blue, 0 to 255.
    contours : tuple of Contour
        Closed lines.
    mask : DrawnMask or None
        Voxels.
    explicit_holes : bool
        The file demands even-odd filling of all contours of a plane (CLOSEDPLANAR_XOR).
    frame_of_reference_uid : str
        Empty where the file names none.
    lost : mapping of str to int
        What could not be read, as text, and how many of it.
    warnings : tuple of str
        Messages for a person.
    """

    number: int
    name: str
    uid: str
    source: str
    path: Path
    colour: tuple[int, int, int] | None = None
    contours: tuple[Contour, ...] = ()
    mask: DrawnMask | None = None
    explicit_holes: bool = False
    frame_of_reference_uid: str = ""
    lost: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem:
    """A file that gave no region.

    Attributes
    ----------
    path : Path
        The file.
    sentence : str
        What is wrong and what to do.
    corrupt : bool
        It is damaged (exit code 4), not merely of a kind that cannot serve (3).
    """

    path: Path
    sentence: str
    corrupt: bool


@dataclass(frozen=True, eq=False)
class RegionSet:
    """All regions of a file, or of a folder of files.

    Attributes
    ----------
    path : Path
        What was chosen.
    name : str
        The collection's own name, for a single file; may be empty.
    regions : tuple of Region
        In the order of the files; regions without an interior are among them.
    files : tuple of Path
        The files the regions come from.
    series_uids : frozenset of str
        Series the drawings refer to.
    software : tuple of str
        What wrote the files: maker, product, version.
    warnings : tuple of str
        Notes about files, such as a shifted twin.
    problems : tuple of Problem
        Files that gave nothing.
    """

    path: Path
    name: str
    regions: tuple[Region, ...]
    files: tuple[Path, ...]
    series_uids: frozenset[str] = frozenset()
    software: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, eq=False)
class RegionMask:
    """A region on the grid of the image it was drawn on.

    Attributes
    ----------
    region : Region
        What was drawn.
    mask : ndarray of bool, shape (n_slices, rows, columns)
        True where the centre of the voxel is inside. Empty of voxels where `unusable`.
    contours : int
        Closed lines that were filled.
    clipped : int
        Contours that leave the image; their part inside is in the mask.
    outside : int
        Contours on no plane of the image, left out.
    drawn_mm3 : float or None
        Sum of the areas of all contours times the step, holes added, as the OHIF viewer
        counts; None for masks.
    areas_mm2 : ndarray of float64, shape (n_slices,), or None
        Area of the polygons themselves in each slice, holes taken off; NaN in a slice where
        contours cross. None for masks.
    all_foreign : bool
        No contour names an image that is here.
    unusable : str
        Why there is no voxel; empty where there is one.
    warnings : tuple of str
        Notes, those of the region among them.
    """

    region: Region
    mask: Mask
    contours: int = 0
    clipped: int = 0
    outside: int = 0
    all_foreign: bool = False
    drawn_mm3: float | None = None
    areas_mm2: Doubles | None = None
    unusable: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def is_partial(self) -> bool:
        """Whether parts of what was drawn were left out, or nothing says that it belongs here."""
        return bool(self.outside or self.region.lost or self.all_foreign)

    @property
    def voxels(self) -> int:
        """Number of voxels of the image inside."""
        return int(np.count_nonzero(self.mask))


@dataclass(frozen=True, eq=False)
class Transferred:
    """A region on the grid of a map.

    Attributes
    ----------
    fraction : ndarray of float32, shape (n_slices, rows, columns) of the map
        Share of each voxel's volume inside the region, 0 to 1.
    same_grid : bool
        The map has the grid of the image, so the mask was taken as it is.
    covered : float
        Share of the region's volume that lies inside the field of view of the map, 0 to 1.
    note : str
        What was assumed about the positions; empty where nothing was.
    """

    fraction: Floats
    same_grid: bool
    covered: float
    note: str = ""

    @property
    def mask(self) -> Mask:
        """Voxels at least half inside."""
        return np.asarray(self.fraction >= 0.5)

    @property
    def core(self) -> Mask:
        """Voxels at least 0.95 inside."""
        return np.asarray(self.fraction >= 0.95)
