"""Read Bruker ParaVision studies, version 5.1 to 360."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from xnat_pic.errors import CorruptDataError

from ...series.model import Confidence, Dimension, Loop, RawSeries, SeriesKind, Skipped
from ...series.pixels import PixelSource
from .attributes import map_attributes
from .cest import Saturation, read_saturation
from .dates import Dates, read_dates
from .frames import read_frame_groups
from .identity import classify, is_derived, method_row, read_identity, series_numbers
from .layout import IMAGE, VISU, RecoPath, find_recos
from .pixels import (
    core_size,
    frame_count,
    is_lfs_pointer,
    pixel_source,
    stored_type,
    transposed_frames,
)
from .planes import Planes, read_dimensions, read_planes
from .reco import Reco
from .transforms import TRANSFORMS
from .values import (
    complex_parts,
    data_units,
    diffusion_values,
    expand_to_planes,
    frame_times,
    loop_values,
    movie_times,
)

NAME = "paravision"
# Maps leave their marks in these types; an anatomical image may be stored in any of them.
_WIDE = ("i4", "f4")


def read_reco(path: RecoPath) -> RawSeries | Skipped:
    """Read one reconstruction, or return it as skipped with the reason."""
    reco = Reco(path)
    failed = False
    try:
        reason, damaged = _skip_reason(reco)
        if not reason:
            return _read(reco)
    except CorruptDataError as error:
        reason, damaged = error.message, True
    except OSError as error:
        reason, damaged = f"It cannot be read: {error.strerror or error}.", True
    except Exception as error:  # a fault of this program must not stop a study
        reason = f"It cannot be understood ({error}): please report this with its visu_pars."
        damaged, failed = False, True
    return _skipped(reco, reason, damaged=damaged, failed=failed)


def _skipped(reco: Reco, reason: str, *, damaged: bool, failed: bool) -> Skipped:
    attributes: dict[str, Any] = {}
    try:
        constant, _ = map_attributes(reco, TRANSFORMS)
        wanted = ("PatientID", "ProtocolName", "SequenceName", "SoftwareVersions")
        attributes = {keyword: constant[keyword] for keyword in wanted if keyword in constant}
    except (CorruptDataError, OSError):
        pass
    path = reco.path
    return Skipped(
        reader=NAME,
        study=path.study,
        location=path.location,
        expno=path.expno or 0,
        procno=path.procno or 0,
        reason=reason,
        damaged=damaged,
        attributes=attributes,
        failed=failed,
    )


def _skip_reason(reco: Reco) -> tuple[str, bool]:
    """Return why the reconstruction is not converted and whether it is damaged; else empty."""
    image, visu = reco.path.folder / IMAGE, reco.path.folder / VISU
    if reco.path.procno is None and reco.path.scan is not None:
        return "No reconstruction: the scan was aborted or holds raw data only.", False
    if not image.is_file():
        return "No image file (2dseq) in this reconstruction.", False
    if image.stat().st_size == 0:
        return "The scan was aborted: its image file (2dseq) is empty.", False
    if is_lfs_pointer(image) or (visu.is_file() and is_lfs_pointer(visu)):
        return "Only a git-LFS pointer is here, not the data: fetch it with 'git lfs pull'.", True
    if not visu.is_file():
        return "No visu_pars beside the image: nothing says how to read it.", True
    modality = str(reco.first("VisuInstanceModality") or "MR")
    if modality != "MR":
        return f"An image of modality {modality} from ParaVision is not converted.", False
    kinds = {str(item) for item in reco.items("VisuCoreDimDesc")}
    if kinds - {"spatial"}:
        return (
            f"Spectroscopy, no image: an axis is {', '.join(sorted(kinds - {'spatial'}))}.",
            False,
        )
    if reco.number("VisuCoreDim") == 1:
        return "One-dimensional data, no image.", False
    return "", False


def _read_pixels(reco: Reco) -> tuple[PixelSource, tuple[int, ...], int]:
    """Return the pixels, the size of a frame and the number of frames; sets the frame groups."""
    size = core_size(reco)
    dtype = stored_type(reco)
    image = reco.path.folder / IMAGE
    frames = frame_count(reco, image, dtype.itemsize * int(np.prod(size)))
    reco.groups = read_frame_groups(reco.visu, frames)
    return pixel_source(image, dtype, size, frames, transposed_frames(reco, size)), size, frames


def _read(reco: Reco) -> RawSeries:
    pixels, size, frames = _read_pixels(reco)
    planes = read_planes(reco, size, frames)
    dimensions = read_dimensions(reco, planes)
    dates = read_dates(reco)
    constant, plane_values = _attributes(reco, planes, dimensions, dates)
    saturation = read_saturation(reco, _image_indices(dimensions, planes))
    parts = complex_parts(reco, planes, dimensions)
    if len(set(parts)) > 1:
        plane_values["ComplexImageComponent"] = parts
    else:
        constant["ComplexImageComponent"] = parts[0]
    units = data_units(reco, planes)
    derived = is_derived(reco, dimensions)
    kind = classify(
        reco,
        dimensions,
        planes.orientation,
        planes.stack,
        spectrum=saturation is not None and saturation.spectrum,
        parts=set(parts) != {"MAGNITUDE"},
    )
    constant["ImageIsDerived"] = derived
    expno, procno = series_numbers(reco)
    return RawSeries(
        reader=NAME,
        study=reco.path.study,
        location=reco.path.location,
        expno=expno,
        procno=procno,
        kind=kind,
        identity=read_identity(reco),
        pixels=pixels,
        position_mm=planes.position,
        orientation=planes.orientation,
        spacing_mm=planes.spacing_mm,
        thickness_mm=planes.thickness,
        slope=planes.slope,
        offset=planes.offset,
        stack=planes.stack,
        dimensions=dimensions,
        attributes=constant,
        plane_attributes=plane_values,
        private=_private(saturation, planes),
        unit=units,
        is_quantity=pixels.dtype.str[1:] in _WIDE
        and (derived or bool(units) or _is_field_map(kind, parts)),
        warnings=tuple(dict.fromkeys(reco.warnings)),
    )


def _is_field_map(kind: SeriesKind, parts: list[str]) -> bool:
    """Tell a field map from the magnitudes that its scan holds too."""
    return kind is SeriesKind.FIELD_MAP and set(parts) != {"MAGNITUDE"}


def _attributes(
    reco: Reco, planes: Planes, dimensions: tuple[Dimension, ...], dates: Dates
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    constant, frame_values = map_attributes(reco, TRANSFORMS)
    constant |= dates.attributes()
    row = method_row(reco)
    if "EchoPulseSequence" not in constant and "echo" in row:
        constant["EchoPulseSequence"] = row["echo"]
    if "EchoPlanarPulseSequence" not in constant and "epi" in row:
        constant["EchoPlanarPulseSequence"] = row["epi"]
    constant["MRAcquisitionType"] = "3D" if reco.number("VisuCoreDim") == 3 else "2D"
    if "AnatomicalOrientationType" not in constant:
        reco.warnings.append(
            "The file does not say whether the animal is a quadruped: no anatomical orientation "
            "is written, which means biped."
        )
    values = {keyword: expand_to_planes(items, planes) for keyword, items in frame_values.items()}
    values |= diffusion_values(reco, planes)
    values |= loop_values(dimensions)
    values |= movie_times(reco, planes, dimensions)
    values |= frame_times(reco, planes, dates, values)
    return constant, values


def _image_indices(dimensions: tuple[Dimension, ...], planes: Planes) -> list[int]:
    """Return which image of its slice each frame is, in the order of the loops."""
    first = np.flatnonzero(np.diff(planes.frame, prepend=-1))
    number, stride = np.zeros(len(first), dtype=np.intp), 1
    for dimension in dimensions:
        if dimension.loop not in (Loop.SLICE, Loop.COMPLEX):
            number = number + dimension.index[first] * stride
            stride *= dimension.length
    return [int(k) for k in number]


def _private(saturation: Saturation | None, planes: Planes) -> dict[str, Any]:
    if saturation is None:
        return {}
    return {
        keyword: expand_to_planes(value, planes) if isinstance(value, list) else value
        for keyword, value in saturation.values.items()
    }


class ParaVisionReader:
    """Reader of ParaVision studies, scans, reconstructions, and folders of any of these."""

    name = NAME

    def sniff(self, path: Path) -> Confidence:
        """Tell whether ParaVision data lie below `path`; reads names only."""
        found = next(find_recos(path), None)
        return Confidence.NO if found is None else Confidence.SURE

    def locate(self, path: Path) -> Iterator[RecoPath]:
        """Yield where each reconstruction lies, without opening it."""
        return find_recos(path)

    def load(self, located: RecoPath) -> RawSeries | Skipped:
        """Read one reconstruction."""
        return read_reco(located)
