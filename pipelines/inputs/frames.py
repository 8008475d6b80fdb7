"""What a map needs of its images, one plane of them, and all of them on one grid."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SeriesRequirement:
    """What a map needs of its images.

    Attributes
    ----------
    variable : str
        What is varied, such as ``echo_time_ms``.
    least : int
        Fewest different values.
    sort : bool
        Samples by value; otherwise in the order of acquisition.
    components : str
        Kinds that serve, the better first: M magnitude, R real.
    per_slice : bool
        Slices may have values of their own.
    """

    variable: str
    least: int
    sort: bool = True
    components: str = "M"
    per_slice: bool = False


@dataclass(frozen=True)
class Frame:
    """One plane, with what is needed to place and to fit it; its pixels are read later.

    Attributes
    ----------
    path : Path
        The file.
    index : int
        The frame in it, from 0.
    shape : tuple of int
        Rows and columns.
    position, orientation, spacing : tuple of float
        DICOM's, in patient LPS and mm; spacing is (between rows, between columns).
    pitch_mm : float
        Distance between slices as the header says it, else the thickness.
    component : str
        M magnitude, R real, P phase, I imaginary.
    values : dict
        Numbers such as ``echo_time_ms``; what the header does not say is absent.
    direction : tuple of float or None
        Unit gradient direction in patient axes.
    b_matrix : tuple of float or None
        xx, xy, xz, yy, yz, zz in s/mm2.
    order : tuple of int
        Acquisition order: series number, instance number, frame.
    series_uid, instance_uid, class_uid, frame_of_reference_uid : str
        Identity.
    title : str
        Series number and description, for a person.
    reference : bool
        A CEST image without saturation.
    derived : bool
        Computed on the scanner, such as a map.
    study_uid, patient_id : str
        Whose images they are.
    thickness_mm : float
        Of the slice; 0 where the header does not say it.
    """

    path: Path
    index: int
    shape: tuple[int, int]
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    pitch_mm: float
    component: str
    values: dict[str, float]
    direction: tuple[float, ...] | None
    b_matrix: tuple[float, ...] | None
    order: tuple[int, int, int]
    series_uid: str
    instance_uid: str
    class_uid: str
    frame_of_reference_uid: str
    title: str
    reference: bool = False
    derived: bool = False
    study_uid: str = ""
    patient_id: str = ""
    thickness_mm: float = 0.0

    @property
    def shown_thickness_mm(self) -> float:
        """Thickness as objects made from this one say it: else the pitch, else 1."""
        return self.thickness_mm or self.pitch_mm or 1.0


@dataclass(frozen=True)
class ScanProperties:
    """What a scan has in common; None where nothing says it.

    Attributes
    ----------
    spin_echo : bool or None
        Refocused by pulses, not by gradients alone.
    field_t : float or None
        Strength of the magnet, tesla.
    pulse_ms, b1_ut : float or None
        Length and amplitude of one saturation pulse.
    pulses : int or None
        Saturation pulses before each image.
    """

    spin_echo: bool | None = None
    field_t: float | None = None
    pulse_ms: float | None = None
    b1_ut: float | None = None
    pulses: int | None = None


@dataclass
class Images:
    """Every sample of every voxel.

    Attributes
    ----------
    data : ndarray of float32, shape (n_samples, n_slices, rows, columns)
        Real values: stored values times slope plus intercept. NaN where a sample was cut off.
    affine : ndarray of float64, shape (4, 4)
        From (column, row, slice) to RAS mm.
    values : dict of ndarray of float64, shape (n_slices, n_samples)
        Numbers by name; only those that every frame has.
    directions : ndarray of float64, shape (n_samples, 3), or None
        Unit vectors in patient LPS; NaN where an image has none.
    b_matrices : ndarray of float64, shape (n_samples, 6), or None
        xx, xy, xz, yy, yz, zz in s/mm2, patient LPS; NaN where an image has none.
    reference : ndarray of bool, shape (n_samples,)
        CEST images without saturation.
    component : str
        M magnitude, R real.
    frames : list of list of Frame
        By slice, then sample; empty for NIfTI.
    files : list of Path
        Every file that was used.
    origin : dict
        Name of a value to where it comes from, as text.
    rebuilt : list of str
        Values that were inferred.
    notes : list of str
        Messages for a person.
    frequency_mhz : float or None
        Working frequency of a Z-spectrum.
    scan : ScanProperties
        What the whole scan has in common.
    is_even : bool
        Whether the slices are evenly far apart; where not, no affine places them all.
    """

    data: Floats
    affine: Doubles
    values: dict[str, Doubles]
    directions: Doubles | None
    b_matrices: Doubles | None
    reference: npt.NDArray[np.bool_]
    component: str
    frames: list[list[Frame]]
    files: list[Path]
    origin: dict[str, str] = field(default_factory=dict)
    rebuilt: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    frequency_mhz: float | None = None
    scan: ScanProperties = field(default_factory=ScanProperties)
    is_even: bool = True

    def __repr__(self) -> str:
        """Show how many samples on which grid, and what is known of each."""
        slices, rows, columns = self.grid
        known = ", ".join(self.values)
        return f"<Images {len(self.data)} of {columns} x {rows} x {slices} voxels: {known}>"

    @property
    def grid(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        _, slices, rows, columns = self.data.shape
        return slices, rows, columns

    @property
    def pitch_mm(self) -> float:
        """Distance between slices; of a single one what its header says, else 1."""
        if len(self.frames) == 1:
            return self.frames[0][0].pitch_mm or 1.0
        return float(np.linalg.norm(self.affine[:3, 2]))

    def signal(self) -> Floats:
        """Return the samples, shape (n_voxels, n_samples); voxels by slice, row, column."""
        return np.ascontiguousarray(self.data.reshape(len(self.data), -1).T)

    def one(self, name: str) -> Doubles:
        """Return a value per sample, shape (n_samples,), where all slices agree."""
        return np.asarray(self.values[name][0])
