"""Read one frame of a PET series: concentration, geometry, and what an SUV needs to know."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xnat_pic.errors import CorruptDataError, NothingUsableError

from ..models.suv import Uptake, half_life, mean_rate_time
from .damage import PYDICOM_ERRORS, damage_named, decode_pixels, require_numbers
from .dicom import find_files
from .frames import Frame, Images
from .grid import affine_of, by_slice, group, is_even, packs

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_PET = "1.2.840.10008.5.1.4.1.1.128"
_ENHANCED_PET = "1.2.840.10008.5.1.4.1.1.130"
# Private elements: group, element, creator. Source: the makers' conformance statements, as
# collected by IBSI-SUV (oncoray/suv_computation, 2025).
_SUV_SCALE = (0x7053, 0x00, "Philips PET Private Group")
_ACTIVITY_SCALE = (0x7053, 0x09, "Philips PET Private Group")
_SCAN_TIME = (0x0009, 0x0D, "GEMS_PETD_01")
_MOST_DOUBT = 0.01


@dataclass(frozen=True)
class PetFrame:
    """One frame of a PET series.

    Attributes
    ----------
    images : Images
        One sample; ``data`` in the unit of the header.
    values : ndarray of float64, shape (slices, rows, columns)
        The same, in full precision.
    uptake : Uptake
        Of this frame.
    number, count : int
        Which frame of how many, from 1.
    voxel_ml : float
    """

    images: Images
    values: npt.NDArray[np.float64]
    uptake: Uptake
    number: int
    count: int
    voxel_ml: float


def load_pet(path: Path, number: int | None = None) -> PetFrame:
    """Read a frame of the one PET series at a path.

    Parameters
    ----------
    path : Path
        A folder with DICOM at any depth, or one file.
    number : int, optional
        Frame of a dynamic series, from 1; the last by default.

    Raises
    ------
    NothingUsableError
        If there is no PET series, several, a gated one, or no such frame.
    CorruptDataError
        If a file is damaged, or slices are missing.
    """
    if not path.exists():
        raise NothingUsableError(f"There is no {path}.", path=path, hint="Check the path.")
    series = _series(path)
    frames = _time_frames(series)
    if number is not None and not 1 <= number <= len(frames):
        raise NothingUsableError(
            f"There is no frame {number}; the series has {len(frames)}.",
            hint="Give a number from 1 on.",
        )
    chosen = (number or len(frames)) - 1
    return _frame(frames, chosen)


def _series(path: Path) -> list[tuple[Path, Dataset]]:
    import pydicom

    found: dict[str, list[tuple[Path, Dataset]]] = defaultdict(list)
    enhanced = False
    for file in find_files(path):
        try:
            with file.open("rb") as stream:
                if stream.read(132)[128:] != b"DICM":
                    continue
            ds = pydicom.dcmread(file)
        except PYDICOM_ERRORS as error:
            raise _damaged(file) from error
        enhanced |= str(ds.get("SOPClassUID", "")) == _ENHANCED_PET
        if str(ds.get("SOPClassUID", "")) == _PET:
            found[str(ds.get("SeriesInstanceUID", ""))].append((file, ds))
    if not found:
        hint = "Give a folder with PET images."
        if enhanced:
            hint = "These are Enhanced PET images: convert them again without --enhanced."
        raise NothingUsableError(f"There is no PET image in {path.name}.", path=path, hint=hint)
    if len(found) > 1:
        titles = ", ".join(
            sorted(
                f"{m[0][1].get('SeriesNumber', '')} {m[0][1].get('SeriesDescription', '')}".strip()
                for m in found.values()
            )
        )
        raise NothingUsableError(
            f"There are several PET series: {titles}.", hint="Give the folder of one of them."
        )
    return next(iter(found.values()))


def _damaged(file: Path) -> CorruptDataError:
    return CorruptDataError(f"{file.name} is damaged.", path=file, hint="Get the file again.")


def _time_frames(series: list[tuple[Path, Dataset]]) -> list[list[tuple[Path, Dataset]]]:
    """Return the files of each time frame, frames in the order of time.

    Frames are told by place: slices that lie at one place once each are one volume, whenever each
    was acquired, as in a scan of several bed positions.
    """
    if "GATED" in _several(series[0][1].get("SeriesType")):
        raise NothingUsableError(
            "The series is gated; each gate holds a part of the activity.",
            hint="Give the images summed over the gates.",
        )
    places = [_place(file, ds) for file, ds in series]
    groups = [
        [series[places.index(frame)] for frame in one]
        for members in group(places)
        for pack in packs(members)
        for one in pack
    ]
    counts = {len(one) for one in groups}
    if len(counts) > 1:
        times = Counter(_moment_key(ds) for _, ds in series)
        raise CorruptDataError(
            f"The frames have {min(times.values())} to {max(times.values())} slices: files are "
            "missing.",
            hint="Get the whole series again.",
        )
    ordered = [sorted(one, key=lambda pair: _moment_key(pair[1])) for one in groups]
    for one in ordered:
        keys = [_moment_key(ds) for _, ds in one]
        if len(set(keys)) < len(keys):
            raise CorruptDataError(
                "Two images lie in one place at one time.", hint="Give one series alone."
            )
    return [[one[k] for one in ordered] for k in range(counts.pop())]


def _moment_key(ds: Dataset) -> tuple[float, str, str]:
    """Return what orders the images of one place in time."""
    when = (str(ds.get("AcquisitionDate") or ""), str(ds.get("AcquisitionTime") or ""))
    return (_number(ds, "FrameReferenceTime") or 0.0, *when)


def _place(file: Path, ds: Dataset) -> Frame:
    with damage_named(file, ds):
        return _frame_of(file, ds)


def _frame(frames: list[list[tuple[Path, Dataset]]], chosen: int) -> PetFrame:
    described = [_described(file, ds) for file, ds in frames[chosen]]
    slices = by_slice([one for one, _ in described])
    pixels = {frame.path: values for frame, values in described}
    heads = {file: ds for file, ds in frames[chosen]}
    values = np.stack([pixels[one[0].path] for one in slices])
    affine, notes = affine_of(slices)
    intercepts = {_number(ds, "RescaleIntercept") or 0.0 for _, ds in frames[chosen]}
    file, first = frames[chosen][0]
    with damage_named(file, first):
        start, said = scan_start_of([ds for one in frames for _, ds in one])
        uptake = replace(uptake_of(first, start), intercepts=tuple(intercepts))
        measured = [_measured(heads[one[0].path], uptake) for one in slices]
        if all(measured):
            uptake = replace(uptake, measured=tuple(one for one in measured if one))
    if uptake.units == "CNTS" and uptake.activity_scale and not uptake.suv_scale:
        values = values * uptake.activity_scale
        uptake = replace(uptake, units="BQML")
        notes.append("The counts were brought to Bq/mL by the maker's activity scale factor.")
    images = Images(
        data=values[None].astype(np.float32),
        affine=affine,
        values={"frame_start_s": np.full((len(slices), 1), uptake.frame_start_s)},
        directions=None,
        b_matrices=None,
        reference=np.zeros(1, dtype=np.bool_),
        component="M",
        frames=slices,
        files=sorted(file for file, _ in frames[chosen]),
        notes=[*notes, *said],
        is_even=is_even(slices),
    )
    voxel_ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000.0
    return PetFrame(images, values, uptake, chosen + 1, len(frames), voxel_ml)


def _described(file: Path, ds: Dataset) -> tuple[Frame, npt.NDArray[np.float64]]:
    """Return place and values of one image."""
    with damage_named(file, ds):
        return _read_frame(file, ds)


def _read_frame(file: Path, ds: Dataset) -> tuple[Frame, npt.NDArray[np.float64]]:
    (slope,) = require_numbers(ds, "RescaleSlope", 1)
    stored = decode_pixels(ds)[0].astype(np.float64)
    return _frame_of(file, ds), stored * slope + (_number(ds, "RescaleIntercept") or 0)


def _frame_of(file: Path, ds: Dataset) -> Frame:
    return Frame(
        path=file,
        index=0,
        shape=(int(require_numbers(ds, "Rows", 1)[0]), int(require_numbers(ds, "Columns", 1)[0])),
        position=require_numbers(ds, "ImagePositionPatient", 3),
        orientation=require_numbers(ds, "ImageOrientationPatient", 6),
        spacing=require_numbers(ds, "PixelSpacing", 2),
        pitch_mm=_number(ds, "SliceThickness") or 0.0,
        component="M",
        values={},
        direction=None,
        b_matrix=None,
        order=(int(ds.get("SeriesNumber") or 0), int(ds.get("InstanceNumber") or 0), 0),
        series_uid=str(ds.get("SeriesInstanceUID", "")),
        instance_uid=str(ds.get("SOPInstanceUID", "")),
        class_uid=str(ds.get("SOPClassUID", "")),
        frame_of_reference_uid=str(ds.get("FrameOfReferenceUID", "")),
        title=f"{ds.get('SeriesNumber', '')} {ds.get('SeriesDescription', '')}".strip(),
        thickness_mm=_number(ds, "SliceThickness") or 0.0,
    )


def uptake_of(ds: Dataset, scan_start: datetime | None) -> Uptake:
    """Return what a header says that an SUV needs.

    Parameters
    ----------
    ds : pydicom.Dataset
        Any image of the frame.
    scan_start : datetime or None
        Decay reference of the series.
    """
    items = ds.get("RadiopharmaceuticalInformationSequence") or []
    item: Any = items[0] if items else {}
    codes = item.get("RadionuclideCodeSequence") or []
    kilograms = _number(ds, "PatientWeight")
    acquired = moment_of(ds.get("AcquisitionDate"), ds.get("AcquisitionTime"))
    begun = (acquired - scan_start).total_seconds() if acquired and scan_start else 0.0
    species = ds.get("PatientSpeciesCodeSequence") or []
    reference, height = _number(ds, "FrameReferenceTime"), _number(ds, "PatientSize")
    return Uptake(
        units=str(ds.get("Units") or ""),
        decay_correction=str(ds.get("DecayCorrection") or ""),
        corrections=tuple(str(word) for word in _several(ds.get("CorrectedImage"))),
        weight_g=None if kilograms is None else 1000.0 * kilograms,
        dose_bq=_number(item, "RadionuclideTotalDose"),
        half_life_s=_number(item, "RadionuclideHalfLife"),
        injected=_injection(item, scan_start),
        scan_start=scan_start,
        frame_reference_s=None if reference is None else reference / 1000.0,
        frame_start_s=begun,
        nuclide=str(codes[0].get("CodeMeaning") or "") if codes else "",
        species=str(
            (species[0].get("CodeMeaning") if species else ds.get("PatientSpeciesDescription"))
            or ""
        ),
        suv_type=str(ds.get("SUVType") or ""),
        height_cm=None if height is None else 100.0 * height,
        sex=str(ds.get("PatientSex") or ""),
        suv_scale=_private(ds, *_SUV_SCALE),
        activity_scale=_private(ds, *_ACTIVITY_SCALE),
    )


def _private(ds: Dataset, group: int, element: int, creator: str) -> Any:
    """Return a private value: in the block of its creator, else where its maker puts it."""
    try:
        value = ds.private_block(group, creator)[element].value
    except KeyError:
        found = ds.get((group, 0x1000 | element))
        value = None if found is None else found.value
    if element == _SCAN_TIME[1]:
        return value
    try:
        return float(value) or None
    except (TypeError, ValueError):
        return None


def _measured(ds: Dataset, uptake: Uptake) -> datetime | None:
    """Return when the rate of an image equals its mean: from its acquisition, else its reference.

    The acquisition is the image's own; a reference time counts from the start of the scan, which
    programs that process images write anew.
    """
    acquired = moment_of(ds.get("AcquisitionDate"), ds.get("AcquisitionTime"))
    duration, period = _number(ds, "ActualFrameDuration"), half_life(uptake)
    if acquired is not None and duration and period:
        return acquired + timedelta(seconds=mean_rate_time(duration / 1000.0, period))
    reference = _number(ds, "FrameReferenceTime")
    if reference is not None and uptake.scan_start is not None:
        return uptake.scan_start + timedelta(milliseconds=reference)
    return None


def scan_start_of(series: Sequence[Dataset]) -> tuple[datetime | None, list[str]]:
    """Return the decay reference of a series, and what is odd about it.

    Series Time, unless it is later than the first acquisition: then the series was made later from
    the same scan, and the maker's own scan time counts, else the time that an acquisition and its
    frame reference time point back to, else the first acquisition (IBSI-SUV, 2025).

    Parameters
    ----------
    series : sequence of pydicom.Dataset
        Headers of all its images, the first of them whole; of the others the times suffice.
    """
    ds = series[0]
    written = moment_of(ds.get("SeriesDate"), ds.get("SeriesTime"))
    acquired = [moment_of(one.get("AcquisitionDate"), one.get("AcquisitionTime")) for one in series]
    first = min((one for one in acquired if one is not None), default=None)
    back = _pointed_back(ds)
    if written is not None and (first is None or written <= first):
        return written, _doubt(written, back, half_life(uptake_of(ds, None)))
    maker = _private(ds, *_SCAN_TIME)
    if maker:
        told = str(maker)
        found = moment_of(told[:8], told[8:].split("+")[0])
        if found is not None:
            return found, []
    return back or first, []


def _pointed_back(ds: Dataset) -> datetime | None:
    """Return the start that acquisition, frame duration and frame reference time point back to."""
    acquired = moment_of(ds.get("AcquisitionDate"), ds.get("AcquisitionTime"))
    duration, reference = _number(ds, "ActualFrameDuration"), _number(ds, "FrameReferenceTime")
    period = half_life(uptake_of(ds, None))
    if acquired is None or not duration or reference is None or not period:
        return None
    since = mean_rate_time(duration / 1000.0, period) - reference / 1000.0
    return acquired + timedelta(seconds=since)


def _doubt(written: datetime, back: datetime | None, period: float) -> list[str]:
    """Return a note where two ways to the start of the scan give another SUV."""
    if back is None or not period:
        return []
    factor = 2.0 ** ((back - written).total_seconds() / period)
    if abs(factor - 1.0) <= _MOST_DOUBT:
        return []
    return [
        f"Series Time says that the scan began at {written:%H:%M:%S}, acquisition and frame "
        f"reference time say {back:%H:%M:%S}. The first was taken; with the second the SUV would "
        f"be {100 * (factor - 1):+.0f} %. Check the times where decay is corrected to the start."
    ]


def _injection(item: Any, scan_start: datetime | None) -> datetime | None:
    """Return date and time; a time alone is that of the scan's day, or of the day before."""
    whole = str(item.get("RadiopharmaceuticalStartDateTime") or "")
    digits = whole.split("+")[0].split("-")[0]
    if len(digits) >= 14:
        return moment_of(digits[:8], digits[8:])
    alone = item.get("RadiopharmaceuticalStartTime")
    if not alone or scan_start is None:
        return None
    found = moment_of(f"{scan_start:%Y%m%d}", alone)
    if found is not None and found > scan_start:
        earlier = found - timedelta(days=1)
        return earlier if (scan_start - earlier).total_seconds() < 12 * 3600 else found
    return found


def moment_of(day: Any, time: Any) -> datetime | None:
    """Return a DICOM date and time as one; None where they are none."""
    day, time = str(day or "").replace(".", ""), str(time or "").replace(":", "")
    whole, _, fraction = time.partition(".")
    try:
        moment = datetime.strptime(f"{day}{whole.ljust(6, '0')}", "%Y%m%d%H%M%S")
        return moment.replace(microsecond=int(fraction[:6].ljust(6, "0")) if fraction else 0)
    except ValueError:
        return None


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _number(ds: Any, keyword: str) -> float | None:
    try:
        value = float(ds.get(keyword))
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None
