"""Read a series of DICOM whose images vary along one axis, to be measured sample by sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom

from xnat_pic.errors import NothingUsableError

from ..errors import ModelInputError
from ..inputs.damage import PYDICOM_ERRORS, damage_named
from ..inputs.dicom import find_files
from ..inputs.pet import moment_of, scan_start_of, uptake_of
from ..inputs.volumes import MR, PLANES, Volume, read_volumes
from ..models import suv
from .curves import Samples
from .run_maps import MapVolume
from .run_maps_dicom import plain_unit

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_AXES = {
    "time_ms": ("time", "s", 1e-3),
    "frame_time_ms": ("time", "s", 1e-3),
    "echo_time_ms": ("echo time", "ms", 1.0),
    "repetition_time_ms": ("repetition time", "ms", 1.0),
    "inversion_time_ms": ("inversion time", "ms", 1.0),
    "flip_angle_deg": ("flip angle", "deg", 1.0),
    "b_value": ("b-value", "s/mm2", 1.0),
    "offset_ppm": ("offset", "ppm", 1.0),
}
_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_TAGS = ("SeriesInstanceUID", "SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime")


def read_samples(path: Path) -> tuple[Samples, Volume] | None:
    """Read a folder or file of one series with several images at a place; None of anything else.

    Returns
    -------
    samples : Samples
        With the axis that varies.
    volume : Volume
        The same with its geometry and files.

    Raises
    ------
    NothingUsableError
        Where the series has several images at a place and nothing says by what they differ.
    CorruptDataError
        Where a file is damaged.
    """
    heads = _one_series(path)
    if not heads:
        return None
    files = list(heads)
    header = pydicom.dcmread(files[0], stop_before_pixels=True)
    if str(header.get("SOPClassUID", "")) not in (*MR, *PLANES):
        return None
    volumes = [one for one in read_volumes(files, header) if not one.derived]
    several = [one for one in volumes if len(one.data) > 1 and one.component in ("M", "R")]
    if not several:
        return None
    volume = several[0]
    if not volume.varied:
        raise NothingUsableError(
            f"{path.name} has {len(volume.data)} images at each place, and nothing in their "
            "headers says by what they differ.",
            path=path,
            hint="Times of acquisition, temporal positions, echo times or b-values are looked for.",
        )
    samples = _samples(volume, header)
    if str(header.get("Modality", "")) == "PT":
        samples = _with_dose(samples, heads)
    return samples, volume


def mean_map(samples: Samples, volume: Volume) -> MapVolume:
    """Return the mean of all samples as a map, which stands for the series in pictures and tables.

    Frames of time count by their duration.
    """
    weights = samples.durations_s
    return MapVolume(
        name=f"{samples.name} mean of {len(samples.at)}",
        unit=samples.unit,
        values=np.average(volume.data, axis=0, weights=weights).astype(np.float32),
        affine=_TO_LPS @ volume.affine,
        flags=None,
        frame_of_reference=volume.frames[0][0].frame_of_reference_uid,
        source=volume.frames[0][0].title,
        files=tuple(sorted({f.path for one in volume.frames for f in one})),
    )


def _one_series(path: Path) -> dict[Path, Dataset]:
    """Return the files of the one series at a path with their times; none where others are."""
    found: dict[str, dict[Path, Dataset]] = {}
    for file in find_files(path):
        try:
            with file.open("rb") as stream:
                if stream.read(132)[128:] != b"DICM":
                    continue
            ds = pydicom.dcmread(file, specific_tags=list(_TAGS))
        except PYDICOM_ERRORS:
            return {}
        found.setdefault(str(ds.get("SeriesInstanceUID", "")), {})[file] = ds
    return next(iter(found.values())) if len(found) == 1 else {}


def _samples(volume: Volume, header: Dataset) -> Samples:
    axis, unit, factor = _AXES[volume.varied]
    at = np.array(volume.one(volume.varied), dtype=np.float64) * factor
    durations = volume.one("frame_duration_ms")
    notes = list(volume.notes)
    in_time = axis == "time"
    if in_time and volume.one("acquired_ms"):
        at = np.array(volume.one("acquired_ms"), dtype=np.float64) / 1000
        at = at - at.min()
    if np.isnan(at).any():
        at = np.where(np.isnan(at), np.inf, at)  # images without saturation, beyond every offset
    kind, words = plain_unit(header)
    return Samples(
        name=kind,
        unit=words,
        axis=axis,
        axis_unit=unit,
        at=at,
        durations_s=np.array(durations) / 1000 if in_time and durations else None,
        data=volume.data,
        notes=tuple(notes),
    )


def _with_dose(samples: Samples, heads: Mapping[Path, Dataset]) -> Samples:
    """Add what makes an SUV and per cent of the dose, where weight and dose are known."""
    in_time = sorted(heads, key=lambda file: _acquired(heads[file]))
    # The last frame, as of a map: it begins after an injection into the running scan.
    first, last = (pydicom.dcmread(in_time[k], stop_before_pixels=True) for k in (0, -1))
    with damage_named(in_time[-1], last):
        start, odd = scan_start_of([first, *heads.values()])
        study, notes = suv.correct_units(uptake_of(last, start))
    said = f"Decay correction: {study.decay_correction or 'not said'}."
    if study.units != "BQML":
        return replace(samples, notes=(*samples.notes, said))
    try:
        if study.decay_correction == "NONE":
            raise ModelInputError("Each frame has another reference.", hint="")
        dose = suv.reference_dose(study)
    except ModelInputError as error:
        text = f"Neither SUV nor per cent of the dose: {error.message}"
        return replace(samples, notes=(*samples.notes, said, *notes, text))
    assert study.weight_g is not None  # the study was checked
    return replace(
        samples,
        per_suv=study.weight_g / dose,
        per_percent_dose=100.0 / dose,  # of 1 ml, taken as 1 g
        notes=(*samples.notes, said, *odd, *notes),
    )


def _acquired(head: Dataset) -> datetime:
    found = moment_of(head.get("AcquisitionDate"), head.get("AcquisitionTime"))
    return found or datetime.min
