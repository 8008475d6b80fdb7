"""Read any series of planes into volumes, exact to the last pixel."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xnat_pic.errors import CorruptDataError, NothingUsableError

from . import attributes, grid
from .dicom import DicomFile, acquired_ms, pixels, read_files
from .frames import Doubles, Floats, Frame

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# What may vary within a series, in the order in which it is asked for.
VARIED = (
    "offset_ppm",
    "b_value",
    "inversion_time_ms",
    "flip_angle_deg",
    "echo_time_ms",
    "repetition_time_ms",
    "frame_time_ms",
    "time_ms",
)
MR = ("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1")
PLANES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.128": "PT",
}


@dataclass
class Volume:
    """Images of one geometry and component.

    Attributes
    ----------
    data : ndarray of float32, shape (n_samples, n_slices, rows, columns)
        Stored values times slope plus intercept.
    affine : ndarray of float64, shape (4, 4)
        From (column, row, slice) to RAS mm.
    values : dict of ndarray of float64, shape (n_slices, n_samples)
        Numbers by name, such as ``echo_time_ms``.
    varied : str
        The name of `values` by which samples differ; empty for none.
    frames : list of list of Frame
        By slice, then sample.
    notes : list of str
        Messages for a person.
    """

    data: Floats
    affine: Doubles
    values: dict[str, Doubles]
    varied: str
    frames: list[list[Frame]]
    notes: list[str] = field(default_factory=list)

    @property
    def component(self) -> str:
        """M magnitude, P phase, R real, I imaginary."""
        return self.frames[0][0].component

    @property
    def derived(self) -> bool:
        """Computed by the scanner, such as a map."""
        return self.frames[0][0].derived

    def one(self, name: str) -> list[float]:
        """Return a value for each sample, of the first slice; empty where it is not known."""
        return [float(v) for v in self.values[name][0]] if name in self.values else []


def read_volumes(files: list[Path], header: Dataset) -> list[Volume]:
    """Return the volumes of a series: one for each geometry and component.

    Parameters
    ----------
    files : list of Path
        DICOM of one series.
    header : Dataset
        Of the first.

    Raises
    ------
    NothingUsableError
        Where the objects are of another kind, or the planes make no volume.
    CorruptDataError
        Where a file is damaged.
    """
    kind = str(header.get("SOPClassUID", ""))
    if kind in PLANES:
        loaded = [_plane(path) for path in files]
    else:
        loaded, damaged = read_files(files, cest=True)
        if damaged:
            raise CorruptDataError(
                f"{damaged[0].name} is damaged.", path=damaged[0], hint="Get the file again."
            )
    groups = grid.group([frame for one in loaded for frame in one.frames])
    if not groups:
        raise NothingUsableError("Its objects hold no planes of MR, PET or CT.")
    where = pixels(loaded)
    ordered = sorted(groups, key=lambda frames: min(f.order for f in frames))
    return [_volume(pack, where) for frames in ordered for pack in grid.packs(frames)]


def _plane(path: Path) -> DicomFile:
    """Return a plane of PET or CT as the reader of MR returns its own."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        ds = pydicom.dcmread(path)
        frame = _frame(path, ds)
    except (
        InvalidDicomError, EOFError, OSError, ValueError, TypeError, AttributeError, KeyError,
    ) as error:  # fmt: skip
        raise CorruptDataError(
            f"{path.name} is damaged.", path=path, hint="Get the file again."
        ) from error
    return DicomFile(path, ds, [frame], {})


def _frame(path: Path, ds: Dataset) -> Frame:
    vectors = {
        name: attributes.frame_vector([ds], name) for name in ("position", "orientation", "spacing")
    }
    values = {
        "slope": float(ds.get("RescaleSlope", 1)),
        "intercept": float(ds.get("RescaleIntercept", 0)),
    }
    if ds.get("FrameReferenceTime") is not None:
        values["frame_time_ms"] = float(ds.FrameReferenceTime)
    moment = acquired_ms([ds])
    if moment is not None:
        values["acquired_ms"] = moment
    if ds.get("ActualFrameDuration") is not None:
        values["frame_duration_ms"] = float(ds.ActualFrameDuration)
    thickness = ds.get("SpacingBetweenSlices") or ds.get("SliceThickness") or 0
    return Frame(
        path=path,
        index=0,
        shape=(int(ds.Rows), int(ds.Columns)),
        position=vectors["position"] or (),
        orientation=vectors["orientation"] or (),
        spacing=vectors["spacing"] or (),
        pitch_mm=float(thickness),
        component="M",
        values=values,
        direction=None,
        b_matrix=None,
        order=(int(ds.get("SeriesNumber") or 0), int(ds.get("InstanceNumber") or 0), 0),
        series_uid=str(ds.get("SeriesInstanceUID", "")),
        instance_uid=str(ds.get("SOPInstanceUID", "")),
        class_uid=str(ds.get("SOPClassUID", "")),
        frame_of_reference_uid=str(ds.get("FrameOfReferenceUID", "")),
        title=str(ds.get("SeriesDescription", "")),
    )


def _volume(
    slices: list[list[Frame]], where: dict[tuple[Path, int], tuple[DicomFile, int]]
) -> Volume:
    _count_time(slices)
    counts = {len(one) for one in slices}
    if len(counts) > 1:
        raise NothingUsableError(
            f"Some slices have {min(counts)} images and others {max(counts)}.",
            path=slices[0][0].path.parent,
            hint="Images are missing; get the complete series.",
        )
    varied = next((name for name in VARIED if _several(slices, name)), "")
    if varied:
        slices = grid.match_samples(slices, varied, varied not in ("offset_ppm", "b_value"))
    else:
        slices = [sorted(one, key=lambda f: f.order) for one in slices]
    affine, notes = grid.affine_of(slices)
    rows, columns = slices[0][0].shape
    data = np.empty((len(slices[0]), len(slices), rows, columns), np.float32)
    for k, one in enumerate(slices):
        for n, frame in enumerate(one):
            file, index = where[(frame.path, frame.index)]
            data[n, k] = _scaled(file.stored(index), frame)
    values = grid.value_table(slices)
    if varied == "offset_ppm":
        values[varied] = np.array([[f.values.get(varied, np.nan) for f in one] for one in slices])
    return Volume(data, affine, values, varied, slices, notes)


def _count_time(slices: list[list[Frame]]) -> None:
    """Count the time of every frame from the first of its slice, where each says when it was."""
    frames = [frame for one in slices for frame in one]
    if all("acquired_ms" in frame.values for frame in frames):
        for one in slices:
            first = min(frame.values["acquired_ms"] for frame in one)
            for frame in one:
                frame.values["time_ms"] = frame.values["acquired_ms"] - first
    elif all("temporal_position" in frame.values for frame in frames):
        for frame in frames:
            step = frame.values.get("temporal_resolution_ms", 0.0)
            frame.values["time_ms"] = (frame.values["temporal_position"] - 1) * step


def _scaled(stored: npt.NDArray[Any], frame: Frame) -> npt.NDArray[Any]:
    slope, intercept = frame.values.get("slope", 1.0), frame.values.get("intercept", 0.0)
    return stored.astype(np.float64) * slope + intercept


def _several(slices: list[list[Frame]], name: str) -> bool:
    """Tell whether every image of a slice says a value, and these differ."""
    one = slices[0]
    if any(name not in f.values and not (f.reference and name == "offset_ppm") for f in one):
        return False
    return grid.distinct(one, name) > 1


def gradients(volume: Volume) -> tuple[list[float], npt.NDArray[np.float64]]:
    """Return b-values and directions as FSL and BIDS want them.

    Directions are along the axes of the image, the first mirrored where the axes are right-handed
    (determinant of the affine above 0). A matrix without a direction gives its main axis.

    Returns
    -------
    b_values : list of float
        s/mm2.
    directions : ndarray of float64, shape (3, n_samples)
        Unit vectors; 0 where an image has no direction.
    """
    axes = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    vectors = np.zeros((3, len(volume.frames[0])))
    for index, frame in enumerate(volume.frames[0]):
        direction = frame.direction or _main_axis(frame.b_matrix)
        if direction is not None and frame.values.get("b_value", 0) > 0:
            vectors[:, index] = axes.T @ (np.array(direction) * (-1.0, -1.0, 1.0))
    if np.linalg.det(axes) > 0:
        vectors[0] *= -1
    return volume.one("b_value"), vectors + 0.0


def _main_axis(matrix: tuple[float, ...] | None) -> tuple[float, ...] | None:
    if matrix is None or not any(matrix):
        return None
    xx, xy, xz, yy, yz, zz = matrix
    _, axes = np.linalg.eigh(np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))
    return tuple(float(value) for value in axes[:, -1])
