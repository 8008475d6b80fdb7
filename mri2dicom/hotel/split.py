"""Cut PET and CT of several animals into a study for each."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from xnat_pic.errors import NothingUsableError, WrongCallError, XnatPicError
from xnat_pic.text import safe_name

from ..conversion.output import (
    OutputState,
    commit_folder,
    compare_output,
    create_part_folder,
    discard_part,
    encode_series,
    remove_leftovers,
    write_files,
)
from ..dicom.overrides import Overrides
from ..readers.inveon.reader import InveonReader
from ..series.geometry import Floats
from ..series.model import RawSeries, SeriesKind, Skipped
from .crop import crop_animal
from .detect import Box, boxes_around, find_animals, position_names, separate_boxes
from .picture import write_picture
from .roster import BedView, RosterEntry, read_roster

PICTURE = "split_hotel.png"
_TISSUE_HU = -300.0
_PET_SHARE = 0.05
_BLOCK_BYTES = 2**24
_EMISSION = (SeriesKind.PET, SeriesKind.DYNAMIC_PET, SeriesKind.GATED_PET, SeriesKind.SPECT)


@dataclass(frozen=True)
class SplitSeries:
    """One animal's part of one series.

    Attributes
    ----------
    status : str
        ``written``, ``kept`` (it was there already) or ``failed``.
    """

    subject: str
    position: str
    series: str
    modality: str
    status: str
    files: int = 0
    path: str = ""
    reason: str = ""
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SplitReport:
    """What `split_hotel` did.

    Attributes
    ----------
    skipped : list of str
        Series that were left out, with the reason.
    found : bool
        The positions were detected, and not given.
    """

    output: Path
    picture: Path
    view: str
    found: bool
    series: list[SplitSeries] = field(repr=False)
    skipped: list[str]

    @property
    def exit_code(self) -> int:
        """0 done, 2 nothing could be written, 8 done in part."""
        failed = sum(one.status == "failed" for one in self.series)
        if not failed:
            return 0
        return 2 if failed == len(self.series) else 8

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return asdict(self) | {"output": str(self.output), "picture": str(self.picture)}


def split_hotel(
    source: Path | str,
    table: Path | str,
    out: Path | str,
    *,
    view: BedView | str | None = None,
    overwrite: bool = False,
) -> SplitReport:
    """Cut the Inveon images of a bed with several animals into DICOM studies, one for each.

    Parameters
    ----------
    source : Path or str
        Folder with PET and CT of one bed. It is never changed.
    table : Path or str
        CSV: position, subject, and what is known of each animal.
    out : Path or str
        Below it a folder for each subject, and the picture to confirm it by.
    view : BedView or str, optional
        From where the table's left and right are seen. Without it the image's are taken, and a
        table that fits both views is refused: two animals could be exchanged unnoticed.
    overwrite : bool
        Write series again whose output is there.

    Raises
    ------
    XnatPicError
        If nothing can be cut: no images, positions that do not fit the table.
    """
    source, out = Path(source).resolve(), Path(out).resolve()
    view = BedView(view) if view is not None else None
    if out.is_relative_to(source):
        raise WrongCallError(
            f"The output {out} lies inside the input, which is never changed.",
            path=out,
            hint="Choose an output folder elsewhere.",
        )
    entries = read_roster(Path(table))
    series, skipped = _read_series(source)
    reference = next((one for one in series if one.kind is SeriesKind.CT), series[0])
    depth, projection = _project(reference)
    boxes, found = _find_boxes(entries, depth, reference, view)
    projections = [(reference, projection, boxes)]
    results: list[SplitSeries] = []
    out.mkdir(parents=True, exist_ok=True)
    for one in series:
        if one is reference or _registered(one, reference):
            own = boxes
        else:
            own, _ = _find_boxes(entries, _project(one)[0], one, view)
        if one is not reference and one.kind in _EMISSION and len(projections) == 1:
            projections.append((one, _project(one)[1], own))
        for entry, box in zip(entries, own, strict=True):
            results.append(_write_animal(one, box, entry, out, overwrite))
    picture = out / PICTURE
    shown_view = view or BedView.IMAGE
    _write_report_picture(picture, projections, entries, shown_view, found)
    return SplitReport(out, picture, shown_view.value, found, results, skipped)


def _read_series(source: Path) -> tuple[list[RawSeries], list[str]]:
    reader = InveonReader()
    series: list[RawSeries] = []
    skipped: list[str] = []
    for located in reader.locate(source):
        one = reader.load(located)
        if isinstance(one, Skipped):
            skipped.append(f"{one.location}: {one.reason}")
        elif one.kind is SeriesKind.LOCALIZER:
            skipped.append(f"{one.location}: a scout view shows no slices.")
        else:
            series.append(one)
    if not series:
        why = f" ({skipped[0]})" if skipped else ""
        raise NothingUsableError(
            f"There is no Inveon image to cut in {source}{why}.",
            path=source,
            hint="Choose the folder with the PET and CT of one bed.",
        )
    studies = {one.identity.study_uid for one in series}
    if len(studies) > 1:
        raise WrongCallError(
            f"{source} holds images of {len(studies)} studies; a table is that of one bed.",
            path=source,
            hint="Choose the folder of one of them.",
        )
    return series, skipped


def _registered(one: RawSeries, other: RawSeries) -> bool:
    """Tell whether two series have one coordinate system and parallel axes, so that boxes fit."""
    same = one.identity.frame_of_reference_uid == other.identity.frame_of_reference_uid
    return (
        same
        and np.allclose(one.orientation[0], other.orientation[0], atol=1e-6)
        and np.allclose(_centre(one), _centre(other), atol=0.5)
    )


def _centre(series: RawSeries) -> Floats:
    """Return the middle of the first plane across the bed, LPS mm, shape (2,)."""
    _, rows, columns = series.pixels.shape
    axes = series.orientation[0]
    half = ((rows - 1) / 2 * series.spacing_mm[0], (columns - 1) / 2 * series.spacing_mm[1])
    point = series.position_mm[0] + half[0] * axes[1] + half[1] * axes[0]
    return np.array([point @ axes[0], point @ axes[1]])


def _read_blocks(series: RawSeries) -> Iterator[Floats]:
    """Yield the values of blocks of planes, shape (n, rows, columns)."""
    count, rows, columns = series.pixels.shape
    step = max(1, _BLOCK_BYTES // (rows * columns * 8))
    for start in range(0, count, step):
        stop = min(start + step, count)
        block = series.pixels.read_planes(start, stop).astype(np.float64)
        scale = (series.slope[start:stop, None, None], series.offset[start:stop, None, None])
        yield np.nan_to_num(block * scale[0] + scale[1], nan=0.0, posinf=0.0, neginf=0.0)


def _project(series: RawSeries) -> tuple[Floats, Floats]:
    """Return in how many planes a voxel is tissue, and the brightest value along the bed."""
    brightest = np.max([block.max(axis=0) for block in _read_blocks(series)], axis=0)
    if series.kind is SeriesKind.CT:
        threshold = _TISSUE_HU
    else:
        threshold = _PET_SHARE * float(np.percentile(brightest, 99.9))
    total = np.sum([(block > threshold).sum(axis=0) for block in _read_blocks(series)], axis=0)
    return total.astype(np.float64), brightest


def _field_of_view(series: RawSeries) -> tuple[float, float]:
    _, rows, columns = series.pixels.shape
    return columns * series.spacing_mm[1], rows * series.spacing_mm[0]


def _find_boxes(
    entries: list[RosterEntry], depth: Floats, series: RawSeries, view: BedView | None
) -> tuple[list[Box], bool]:
    """Return the box of each animal in the order of the table, and whether they were detected."""
    field_mm = _field_of_view(series)
    centres = [entry.centre_mm for entry in entries if entry.centre_mm is not None]
    if centres:
        if view is None and any(x for x, _ in centres):
            raise _ambiguous_view()
        sign = -1.0 if view is BedView.TECHNICIAN else 1.0
        return boxes_around([(sign * x, y) for x, y in centres], field_mm), False
    found = find_animals(depth, series.spacing_mm)[: len(entries)]
    if len(found) < len(entries):
        raise WrongCallError(
            f"{len(found)} animals were found on {series.location}, and the table names "
            f"{len(entries)}: they may touch each other, or one is missing.",
            hint="Give the centres in the table: x_mm and y_mm, from the middle of the image.",
        )
    boxes = separate_boxes(found, field_mm)
    by_name = dict(zip(position_names(found), boxes, strict=True))
    if len(by_name) < len(boxes):
        raise WrongCallError(
            "Two animals lie in one position of the image.",
            hint="Give the centres in the table: x_mm and y_mm, from the middle of the image.",
        )
    wanted = [entry.on_image(view or BedView.IMAGE) for entry in entries]
    mirrored = [entry.on_image(BedView.TECHNICIAN) for entry in entries]
    if view is None and mirrored != wanted and set(wanted) | set(mirrored) <= set(by_name):
        raise _ambiguous_view()
    unknown = [p.position for p, name in zip(entries, wanted, strict=True) if name not in by_name]
    if unknown:
        raise WrongCallError(
            f"The table has the position {unknown[0]!r}, and the animals lie at "
            f"{', '.join(by_name)} of the image.",
            hint="Name these positions, as the image or (--view technician) the bed shows them.",
        )
    return [by_name[name] for name in wanted], True


def _ambiguous_view() -> WrongCallError:
    return WrongCallError(
        "The table's left and right fit the image and its mirror alike, and two animals could be "
        "exchanged.",
        hint="Say how it was written: --view image, or --view technician (in front of the bed).",
    )


def _write_animal(
    series: RawSeries, box: Box, entry: RosterEntry, out: Path, overwrite: bool
) -> SplitSeries:
    """Write one animal's part of one series; its fault is not the others'."""
    group = str(series.attributes.get("PatientID") or "")
    modality = str(series.attributes.get("Modality") or "")
    number = 10000 * series.expno + series.procno
    folder = out / safe_name(entry.subject) / safe_name(f"{number}_{modality}_{entry.subject}")
    result: dict[str, Any] = {
        "subject": entry.subject,
        "position": entry.position,
        "series": series.location,
        "modality": modality,
        "path": str(folder),
    }
    try:
        own = crop_animal(series, box, entry, group)
        files = encode_series(own, Overrides(), enhanced=False)
        result |= {"files": len(files.names), "warnings": [*own.warnings, *files.warnings]}
        state = compare_output(folder, files)
        if state is OutputState.IDENTICAL and not overwrite:
            remove_leftovers(folder)
            return SplitSeries(**result, status="kept")
        if state is OutputState.DIFFERENT and not overwrite:
            raise WrongCallError(
                f"{folder.name} holds other images of {entry.subject}.",
                hint="--overwrite replaces them.",
            )
        write_files(files, create_part_folder(folder), 0, len(files.names))
        commit_folder(folder)
    except (XnatPicError, OSError, ValueError) as error:
        discard_part(folder)
        reason = error.sentence() if isinstance(error, XnatPicError) else str(error)
        return SplitSeries(**result | {"files": 0}, status="failed", reason=reason)
    except BaseException:
        discard_part(folder)
        raise
    return SplitSeries(**result, status="written")


def _write_report_picture(
    picture: Path,
    projections: list[tuple[RawSeries, Floats, list[Box]]],
    entries: list[RosterEntry],
    view: BedView,
    found: bool,
) -> None:
    panels = [
        (
            f"{one.attributes.get('Modality')}, brightest along the bed",
            np.clip(image, -1000, 1000) if one.kind is SeriesKind.CT else image,
            one.spacing_mm,
            boxes,
        )
        for one, image, boxes in projections
    ]
    captions = [
        f"{entry.position} in the table, {entry.on_image(view)} on the image: {entry.subject}"
        for entry in entries
    ]
    if view is BedView.TECHNICIAN:
        mirrored = "The table is as the technician sees the bed: left and right are exchanged."
    else:
        mirrored = "The table is as the image shows the bed: left is left."
    how = "Positions were found on the image." if found else "Positions were given in the table."
    write_picture(picture, panels, captions, [mirrored, how, "Confirm it before the upload."])
