"""What a reader gives and a writer takes: one image series, with everything known about it."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


class Kind(Enum):
    """What a series is to the person who looks for it."""

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
    index: Ints
    comment: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class PixelSource:
    """Stored pixels of a series, read from disk when asked for and not before.

    Attributes
    ----------
    path : Path
        File without header or padding before the planes.
    dtype : dtype
        Stored type with its byte order.
    shape : tuple of int
        (planes, rows, columns).
    transposed : tuple of int
        Planes stored with rows and columns exchanged; they are turned back on reading.
    block_offsets : tuple of int
        Bytes before each of the blocks of equally many planes that the planes lie in; empty where
        they follow each other from the beginning of the file.
    """

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, int, int]
    transposed: tuple[int, ...] = ()
    block_offsets: tuple[int, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of all planes."""
        planes, rows, columns = self.shape
        return planes * rows * columns * self.dtype.itemsize

    @property
    def array(self) -> npt.NDArray[Any]:
        """The planes as a read-only memory map with axes (plane, row, column).

        Nothing is loaded until it is touched, unless planes must be turned back or lie apart.
        """
        size = self.nbytes // max(1, len(self.block_offsets))
        first = self.block_offsets[0] if self.block_offsets else 0
        apart = any(o != first + k * size for k, o in enumerate(self.block_offsets))
        if self.transposed or apart:
            return self.planes(0, self.shape[0])
        return np.memmap(self.path, dtype=self.dtype, mode="r", offset=first, shape=self.shape)

    def planes(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Read planes from `start` up to `stop`, shape (stop - start, rows, columns)."""
        planes, rows, columns = self.shape
        if self.block_offsets:
            per_block = planes // len(self.block_offsets)
            bounds = [start, *range((start // per_block + 1) * per_block, stop, per_block), stop]
            parts = [
                self._run(first, last, self.block_offsets[first // per_block], first % per_block)
                for first, last in itertools.pairwise(bounds)
            ]
            return np.concatenate(parts) if len(parts) != 1 else parts[0]
        block = self._run(start, stop, 0, start)
        for plane in self.transposed:
            if start <= plane < stop:
                block[plane - start] = block[plane - start].reshape(columns, rows).T
        return block

    def _run(self, start: int, stop: int, offset: int, skipped: int) -> npt.NDArray[Any]:
        """Read planes that follow each other, `skipped` planes after a byte of the file."""
        _, rows, columns = self.shape
        size = rows * columns
        place = offset + skipped * size * self.dtype.itemsize
        values = np.fromfile(self.path, self.dtype, (stop - start) * size, offset=place)
        return values.reshape(stop - start, rows, columns)


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


@dataclass(frozen=True)
class RawSeries:
    """One image series as the scanner reconstructed it.

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
    kind: Kind
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

    @property
    def planes(self) -> int:
        """Number of planes."""
        return self.pixels.shape[0]

    def dimension(self, loop: Loop) -> Dimension | None:
        """Return the first dimension of this meaning."""
        return next((one for one in self.dimensions if one.loop is loop), None)


@dataclass(frozen=True)
class Skipped:
    """A series that is not converted, and why.

    Attributes
    ----------
    reason : str
        One sentence for a person.
    damaged : bool
        True where the data should have been an image and is not whole; False where there is
        nothing to convert (spectroscopy, an aborted scan).
    """

    reader: str
    study: Path
    location: str
    expno: int
    procno: int
    reason: str
    damaged: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)
