"""The contract of readers and writers: one image series, with all that is known of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from xnat_pic.text import UniqueNames

from .geometry import Floats, Ints, stack_affine
from .pixels import PixelSource

# Bytes of the values that are computed at a time.
_BLOCK_BYTES = 2**24


class SeriesKind(Enum):
    """What a series is to a person who searches for it."""

    ANATOMY = "anatomy"
    LOCALIZER = "localizer"
    T1_SERIES = "T1 map series"
    T2_SERIES = "T2 map series"
    T2STAR_SERIES = "T2* map series"
    DIFFUSION = "diffusion"
    CEST = "CEST"
    TIME_SERIES = "time series"
    CINE = "cine"
    FIELD_MAP = "field map"
    DERIVED = "derived"
    PHASE = "phase or complex parts"
    PET = "PET"
    DYNAMIC_PET = "dynamic PET"
    GATED_PET = "gated PET"
    CT = "CT"
    SPECT = "SPECT"
    PHOTOGRAPH = "photograph"
    LUMINESCENCE = "optical"
    UNKNOWN = "unknown"


class Loop(Enum):
    """What changes along one loop of a series."""

    SLICE = "slice"
    ECHO = "echo"
    DIFFUSION = "diffusion"
    TIME = "time"
    CARDIAC = "cardiac phase"
    RESPIRATORY = "respiratory phase"
    INVERSION = "inversion"
    REPETITION_TIME = "repetition time"
    COIL = "coil"
    COMPLEX = "complex part"
    MAP = "map"
    GATE = "gate"
    ENERGY = "energy window"
    OTHER = "other"


@dataclass(frozen=True)
class Dimension:
    """One loop of a series.

    Attributes
    ----------
    loop : Loop
        Its meaning.
    source : str
        The vendor's name of it, such as ``FG_ECHO``.
    length : int
        Number of steps.
    index : ndarray of int, shape (n_planes,)
        Zero-based step of each plane.
    labels : tuple of str
        A name for each step, or empty.
    """

    loop: Loop
    source: str
    length: int
    index: Ints = field(repr=False)
    comment: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Identity:
    """How a series is recognised, whatever it is called.

    Attributes
    ----------
    study_uid : str
        The scanner's own, or one derived from the header.
    content : str
        What identifies the stored image: the scanner's series UID with a digest of its
        description, or the image file's SHA-256.
    frame_of_reference_uid : str
        The scanner's own where it gives one, else empty.
    """

    study_uid: str
    content: str
    frame_of_reference_uid: str = ""


@dataclass(frozen=True, repr=False)
class RawSeries:
    """One image series as the scanner reconstructed it.

    `values` gives its numbers, `axes` names their axes and `affine` says where they lie.

    Attributes
    ----------
    reader : str
        Name of the reader.
    study : Path
        Folder of the study.
    location : str
        Where the series lies below the study, with forward slashes.
    expno, procno : int
        Numbers of the scan and of its reconstruction.
    pixels : PixelSource
        Lazy pixels with axes (plane, row, column).
    position_mm : ndarray of float, shape (n_planes, 3)
        Patient coordinates (LPS, mm) of the centre of each plane's first voxel.
    orientation : ndarray of float, shape (n_planes, 3, 3)
        Rows: unit vectors of increasing column, increasing row, and the slice normal.
    spacing_mm : tuple of float
        Between rows, and between columns.
    thickness_mm : ndarray of float, shape (n_planes,)
    slope, offset : ndarray of float, shape (n_planes,)
        Value = stored * slope + offset.
    stack : ndarray of int, shape (n_planes,)
        Number of the stack of parallel planes that each plane belongs to, from 0.
    dimensions : tuple of Dimension
        Loops, fastest first, the slice loops included.
    attributes : mapping
        DICOM keyword to value, for what is constant in the series.
    plane_attributes : mapping
        DICOM keyword to one value per plane (length n_planes); None where a plane has none.
    private : mapping
        CEST keyword to value, constant or (a list) one per plane.
    unit : tuple of str
        Unit of the values of each plane (UCUM where known), or empty.
    is_quantity : bool
        True where the values are a measured quantity (T2, FA, Hz) and not an intensity.
    """

    reader: str
    study: Path
    location: str
    expno: int
    procno: int
    kind: SeriesKind
    identity: Identity
    pixels: PixelSource
    position_mm: Floats
    orientation: Floats
    spacing_mm: tuple[float, float]
    thickness_mm: Floats
    slope: Floats
    offset: Floats
    stack: Ints
    dimensions: tuple[Dimension, ...]
    attributes: Mapping[str, Any]
    plane_attributes: Mapping[str, list[Any]]
    private: Mapping[str, Any] = field(default_factory=dict)
    unit: tuple[str, ...] = ()
    is_quantity: bool = False
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return number, protocol, kind and size."""
        planes, rows, columns = self.pixels.shape
        title = f"{self.expno}/{self.procno} {self.attributes.get('ProtocolName') or ''}".rstrip()
        return f"<RawSeries {title}: {self.kind.value}, {planes} planes of {rows} x {columns}>"

    @property
    def plane_count(self) -> int:
        """Number of planes."""
        return self.pixels.shape[0]

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes of `values`: loops, slowest first, then slice, row and column.

        A loop has the name of its `Loop`, such as ``echo``; a second one of the same meaning has
        a number, such as ``other_2``.
        """
        names = UniqueNames()
        loops = [names.claim(one.loop.value) for one in self._grid.loops]
        return (*reversed(loops), "slice", "row", "column")

    def values(self) -> npt.NDArray[np.float64]:
        """Read all pixels and return the physical values.

        Returns
        -------
        ndarray of float64
            stored * slope + offset, with an axis for each name in `axes`: loops from the slowest
            to the fastest, then slice, row and column. A series without loops has the shape
            (slices, rows, columns). The unit is in `unit`; without one it is arbitrary.

        Raises
        ------
        ValueError
            If the loops do not make a grid: then `pixels`, `slope` and `offset` hold the values,
            plane by plane.
        """
        grid, (count, rows, columns) = self._grid, self.pixels.shape
        result = np.empty((count, rows, columns))
        rank = np.empty(count, dtype=np.intp)
        rank[grid.order] = np.arange(count)
        step = max(1, _BLOCK_BYTES // (8 * rows * columns))
        for start in range(0, count, step):
            stop = min(start + step, count)
            scaled = self.pixels.read_planes(start, stop) * self.slope[start:stop, None, None]
            result[rank[start:stop]] = scaled + self.offset[start:stop, None, None]
        return result.reshape(*grid.shape, rows, columns)

    @property
    def affine(self) -> Floats:
        """Matrix (4 x 4) from (column, row, slice) of `values` to patient coordinates.

        The coordinates are DICOM's: mm in LPS, x towards the left, y towards the back, z towards
        the head. ``affine @ (column, row, slice, 1)`` is the centre of a voxel. NIfTI wants RAS:
        change the sign of the first two rows.

        Raises
        ------
        ValueError
            If the slices are no stack of parallel planes with one spacing (a tripilot, several
            packages), or have no known size: then `position_mm` and `orientation` hold the
            geometry, plane by plane.
        """
        planes = self._grid.order.reshape(-1, self._grid.shape[-1])
        return stack_affine(
            self.position_mm[planes],
            self.orientation[planes],
            self.spacing_mm,
            float(self.thickness_mm[planes[0, 0]]),
        )

    @cached_property
    def _grid(self) -> _Grid:
        loops = [one for one in self.dimensions if one.loop is not Loop.SLICE]
        slices = [one for one in self.dimensions if one.loop is Loop.SLICE]
        lengths = [one.length for one in reversed(loops)]
        count, steps = self.plane_count, math.prod(lengths)
        keys = [one.index for one in (*slices, *loops)]
        order = np.lexsort(keys) if keys else np.arange(count, dtype=np.intp)
        step = np.zeros(count, dtype=np.intp)
        for one in reversed(loops):
            step = step * one.length + one.index
        if count % steps or np.any(np.bincount(step, minlength=steps) != count // steps):
            raise ValueError(f"The loops of {self!r} do not make a grid of planes.")
        return _Grid(tuple(loops), order, (*lengths, count // steps))

    def dimension(self, loop: Loop) -> Dimension | None:
        """Return the first dimension of this meaning."""
        return next((one for one in self.dimensions if one.loop is loop), None)


@dataclass(frozen=True)
class _Grid:
    """How the planes of a series fill the axes of its values.

    Attributes
    ----------
    loops : tuple of Dimension
        All but those of the slices, fastest first.
    order : ndarray of int, shape (n_planes,)
        Planes in the order of the axes, slices fastest.
    shape : tuple of int
        Length of each axis down to the slices.
    """

    loops: tuple[Dimension, ...]
    order: Ints
    shape: tuple[int, ...]


@dataclass(frozen=True, repr=False)
class Skipped:
    """A series that is not converted, and why.

    Attributes
    ----------
    reason : str
        One sentence for a person.
    damaged : bool
        True where the data should have been an image and is not whole; False where there is
        nothing to convert (spectroscopy, an aborted scan).
    failed : bool
        True where the reader is at fault, and not the data: it did not expect them.
    """

    reader: str
    study: Path
    location: str
    expno: int
    procno: int
    reason: str
    damaged: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)
    failed: bool = False

    def __repr__(self) -> str:
        """Return number and reason."""
        return f"<Skipped {self.expno}/{self.procno}: {self.reason}>"


class Confidence(IntEnum):
    """How sure a reader is that it can read an input."""

    NO = 0
    MAYBE = 1
    SURE = 2


class Reader(Protocol):
    """What every reader offers."""

    @property
    def name(self) -> str:
        """Short name, such as ``paravision``."""

    def sniff(self, path: Path) -> Confidence:
        """Tell how sure the reader is; opens at most a few small files and never raises."""

    def locate(self, path: Path) -> Iterator[Any]:
        """Yield a small picklable description of each series at or below `path`."""

    def load(self, located: Any) -> RawSeries | Skipped:
        """Read one series that `locate` found; what cannot be converted is `Skipped`."""
