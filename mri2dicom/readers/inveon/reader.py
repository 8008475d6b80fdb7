"""Read Siemens Inveon and Concorde microPET images: PET, CT and SPECT."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from xnat_pic.errors import CorruptDataError
from xnat_pic.files import file_digest
from xnat_pic.uids import derived_uid

from ...mapping.tables import load_mapping
from ...series.model import Confidence, Dimension, Identity, Loop, RawSeries, SeriesKind, Skipped
from ...series.pixels import PixelSource
from .geometry import Orientation, plane_geometry, read_orientation, shift_mm, voxel_size_mm
from .groups import FrameAxis
from .header import Header, read_header
from .injection import dose_warnings, radiopharmaceutical
from .layout import InveonPath, find_series, has_headers
from .pixels import (
    ImageContent,
    ImageLayout,
    group_offsets,
    read_layout,
    sample_values,
    scan_content,
)
from .scaling import BQML, HOUNSFIELD, Scaling, ct_scaling, emission_scaling
from .transforms import map_attributes, term_of
from .values import date_attributes, frame_attributes, pet_attributes

NAME = "inveon"
_IMAGE = 5
_SCOUT = 16
# Calibrations, set-ups and planar views are no volumes. CT (9) and SPECT (12) are measured as
# projections, and the images made from them keep that mode: their file_type tells them apart.
_PLANAR = (10, 11, 13, 14, 15, 17)
_UNIT = {BQML: "Bq/mL", HOUNSFIELD: "[hnsf'U]"}


def read_series(path: InveonPath) -> RawSeries | Skipped:
    """Read one series, or return it as skipped with the reason."""
    header: Header | None = None
    failed = False
    try:
        header = read_header(path.header)
        reason, damaged = _skip_reason(header, path)
        if not reason:
            return _read(header, path)
    except CorruptDataError as error:
        reason, damaged = error.message, True
    except OSError as error:
        reason, damaged = f"It cannot be read: {error.strerror or error}.", True
    except Exception as error:  # a fault of this program must not stop a study
        reason = f"It cannot be understood ({error}): please report this with its header."
        damaged, failed = False, True
    return Skipped(
        reader=NAME,
        study=path.study,
        location=path.location,
        expno=path.expno,
        procno=path.procno,
        reason=reason,
        damaged=damaged,
        failed=failed,
        attributes=_identifying_attributes(header, path),
    )


def _identifying_attributes(header: Header | None, path: InveonPath) -> dict[str, Any]:
    """Return what a person recognises a skipped series by."""
    wanted = ("PatientID", "SoftwareVersions")
    try:
        found = map_attributes(header.main) if header else {}
    except CorruptDataError:
        found = {}
    return {k: found[k] for k in wanted if k in found} | {"ProtocolName": path.image.name}


def _skip_reason(header: Header, path: InveonPath) -> tuple[str, bool]:
    """Return why the file is not converted and whether it is damaged; else empty."""
    kind = header.main.integer("file_type")
    if kind != _IMAGE:
        what = term_of("file_type", kind) or f"a file of type {kind}"
        return f"No image but {what}: keep it as a resource.", False
    if header.main.integer("acquisition_mode") in _PLANAR:
        return "Projections, no reconstructed volume: keep them as a resource.", False
    if not path.image.is_file():
        return (
            f"The header's image {path.image.name} is not beside it: copy it into the folder.",
            True,
        )
    if not header.frames or not path.group.frames:
        return f"The header {path.header.name} describes no frame.", True
    return "", False


def read_modality(header: Header) -> str:
    """Return the DICOM modality: PT, CT or NM."""
    table = load_mapping("inveon")["modality"]
    number = header.main.integer("modality")
    found: str = table["absent"] if number is None else table.get(str(number), table["unknown"])
    return found


def _read(header: Header, path: InveonPath) -> RawSeries:
    layout = read_layout(header, path.image)
    content = scan_content(path.image, layout.dtype)
    modality = read_modality(header)
    group = path.group
    orientation = read_orientation(header)
    voxel = voxel_size_mm(header)
    position, axes = plane_geometry(layout.size, voxel, shift_mm(header), orientation.axes)
    columns, rows, slices = layout.size
    count = len(group.frames)
    if modality == "CT":
        sample = sample_values(path.image, layout, group.frames[0])
        scaling = ct_scaling(header, group, sample)
    else:
        scaling = emission_scaling(header, group)
    constant, planes, notes = _attributes(header, path, modality, scaling, slices)
    constant |= _position_attributes(orientation)
    unit = _UNIT.get(scaling.unit, "")
    return RawSeries(
        reader=NAME,
        study=path.study,
        location=path.location,
        expno=path.expno,
        procno=path.procno,
        kind=_kind(modality, group.axis, header),
        identity=_identity(header, path, content),
        pixels=PixelSource(
            path.image,
            layout.dtype,
            (slices * count, rows, columns),
            block_offsets=group_offsets(layout, group),
        ),
        position_mm=np.tile(position, (count, 1)),
        orientation=np.tile(axes, (slices * count, 1, 1)),
        spacing_mm=(voxel[1], voxel[0]),
        thickness_mm=np.full(slices * count, voxel[2]),
        slope=np.repeat(scaling.slope, slices),
        offset=np.repeat(scaling.offset, slices),
        stack=np.zeros(slices * count, dtype=np.intp),
        dimensions=_dimensions(path, slices),
        attributes=constant,
        plane_attributes=planes,
        unit=(unit,) * (slices * count) if unit else (),
        warnings=_warnings(header, path, modality, orientation, layout, content, scaling, notes),
    )


def _attributes(
    header: Header, path: InveonPath, modality: str, scaling: Scaling, slices: int
) -> tuple[dict[str, Any], dict[str, list[Any]], list[str]]:
    constant = map_attributes(header.main) | date_attributes(header)
    constant["Modality"] = modality
    group = path.group
    notes: list[str] = []
    frames = frame_attributes(header, group)
    if modality == "CT":
        scout = header.main.integer("acquisition_mode") == _SCOUT
        # An original CT image has Hounsfield units (PS3.3 C.8.2.1.1.2); one without is derived.
        first = "ORIGINAL" if scout or scaling.unit == HOUNSFIELD else "DERIVED"
        constant["ImageType"] = [first, "PRIMARY", "LOCALIZER" if scout else "AXIAL"]
        constant["RescaleType"] = scaling.unit
        del frames["FrameReferenceTime"], frames["ActualFrameDuration"]
    else:
        constant["RadiopharmaceuticalInformationSequence"] = [radiopharmaceutical(header)]
        constant["ImageType"] = ["ORIGINAL", "PRIMARY"]
    if modality == "PT":
        of_series, of_frames, notes = pet_attributes(header, group, scaling, slices)
        constant |= of_series
        frames |= of_frames
    planes = {keyword: list(np.repeat(v, slices).tolist()) for keyword, v in frames.items()}
    if modality == "PT":
        planes["ImageIndex"] = list(range(1, slices * len(group.frames) + 1))
    if path.group.name:
        stem = constant.get("ProtocolName", path.image.stem)
        constant["ProtocolName"] = constant["SeriesDescription"] = f"{stem} {path.group.name}"
    return constant, planes, notes


def _position_attributes(orientation: Orientation) -> dict[str, Any]:
    """Return the attributes that follow from the orientation."""
    found: dict[str, Any] = {
        "ImageComments": (
            "Geometry from subject_orientation "
            f"{orientation.code} ({orientation.position or 'unknown'}): {orientation.evidence}"
        )
    }
    if orientation.position:
        found["PatientPosition"] = orientation.position
    return found


def _kind(modality: str, axis: FrameAxis, header: Header) -> SeriesKind:
    if modality == "CT":
        scout = header.main.integer("acquisition_mode") == _SCOUT
        return SeriesKind.LOCALIZER if scout else SeriesKind.CT
    if modality == "NM":
        return SeriesKind.SPECT
    return {FrameAxis.TIME: SeriesKind.DYNAMIC_PET, FrameAxis.GATE: SeriesKind.GATED_PET}.get(
        axis, SeriesKind.PET
    )


def _dimensions(path: InveonPath, slices: int) -> tuple[Dimension, ...]:
    count = len(path.group.frames)
    planes = np.arange(slices * count, dtype=np.intp)
    found = [Dimension(Loop.SLICE, "SLICE", slices, planes % slices)]
    if count > 1:
        gated = path.group.axis is FrameAxis.GATE
        labels = tuple(f"gate {k + 1}" for k in range(count)) if gated else ()
        loop, source = (Loop.GATE, "GATE") if gated else (Loop.TIME, "FRAME")
        found.append(Dimension(loop, source, count, planes // slices, labels=labels))
    return tuple(found)


def _identity(header: Header, path: InveonPath, content: ImageContent) -> Identity:
    """Return what identifies study, image and coordinate system.

    Images of one animal, study and day are one study. A file that names no animal is a study of
    its own: two animals must never become one. A coordinate system is shared only between images
    that name the same one (spatial_identifier) and need no further matrix.
    """
    main, scanned = header.main, header.time_of("scan_time")
    keys = ["institution", "study", "study_identifier", "subject_identifier"]
    fields = [f"{key}={main.text(key) or ''}" for key in keys]
    fields.append(f"day={scanned.date().isoformat() if scanned else ''}")
    digest = file_digest(path.header)
    image = f"{content.sha256} {digest}"
    own = f"{image} {' '.join(map(str, path.group.frames))}"
    if not main.text("subject_identifier") or scanned is None:
        fields.append(image)
    study = derived_uid("study", *fields)
    shared = main.text("spatial_identifier")
    if path.group.name.startswith("bed"):
        shared = own
    elif not shared or main.text("transformation_matrix"):
        shared = image
    return Identity(study, own, derived_uid("frame of reference", study, shared))


def _warnings(
    header: Header,
    path: InveonPath,
    modality: str,
    orientation: Orientation,
    layout: ImageLayout,
    content: ImageContent,
    scaling: Scaling,
    notes: list[str],
) -> tuple[str, ...]:
    main = header.main
    found = [*layout.warnings, *scaling.warnings, *notes]
    if header.time_of("scan_time") is None:
        found.append(
            "The header holds no scan time: dates are empty, and the series date, which PET must "
            "have, says 1 January 1900."
        )
    if modality == "PT":
        found += dose_warnings(header)
    if modality == "NM":
        found.append("SPECT headers are not published: check values and geometry on a phantom.")
    if content.not_finite:
        found.append(
            f"{content.not_finite} values of the image are not finite numbers; PET and SPECT "
            "write zero for them, CT the nearest value."
        )
    if orientation.evidence != "seen":
        how = (
            "is derived and was not compared with the scanner's own display"
            if orientation.evidence == "turned"
            else "is unknown and assumed to be feet first, supine"
        )
        found.append(
            f"Orientation (subject_orientation {orientation.code}) {how}: check left and right "
            "on a scan with markers."
        )
    if any(main.numbers("image_ref_rotation")):
        found.append("The header's image_ref_rotation is not applied to the coordinates.")
    if main.text("transformation_matrix"):
        found.append("The header's transformation_matrix is not applied to the coordinates.")
    if path.group.name.startswith("bed"):
        found.append("Several bed positions: each is a series with coordinates of its own.")
    if not main.text("subject_identifier"):
        found.append("The header names no subject: give one with --subject-id.")
    return tuple(dict.fromkeys(found))


class InveonReader:
    """Reader of Inveon and microPET images below a folder."""

    name = NAME

    def sniff(self, path: Path) -> Confidence:
        """Tell whether an Inveon header lies below `path`; reads the beginning of a few files."""
        return Confidence.SURE if has_headers(path) else Confidence.NO

    def locate(self, path: Path) -> Iterator[InveonPath]:
        """Yield where each series lies; reads headers, no image."""
        return find_series(path)

    def load(self, located: InveonPath) -> RawSeries | Skipped:
        """Read one series."""
        return read_series(located)
