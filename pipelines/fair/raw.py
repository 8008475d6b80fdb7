"""Images of the scanner as BIDS: the place of a series, its files and sidecars."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..inputs.frames import Doubles, Floats
from ..inputs.volumes import Volume, gradients
from ..outputs.nifti import write_sidecar
from .names import Labels, Place, label
from .sidecars import general, of_samples, pet, rules, tracer

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SOURCEDATA = "sourcedata"


@dataclass
class Raw:
    """One series in the data set.

    Attributes
    ----------
    uid : str
        SeriesInstanceUID.
    place : Place
        Where it is; results of it go to the same subject, session and run.
    images : list of str
        Its NIfTI files, below the data set.
    has_suffix : bool
        BIDS has a suffix for it; otherwise it is in sourcedata.
    """

    uid: str
    place: Place
    images: list[str] = field(default_factory=list)
    has_suffix: bool = True


@dataclass
class Runs:
    """Counts series of one protocol in a session."""

    _count: dict[tuple[str, ...], int] = field(default_factory=dict)

    def numbered(self, place: Place) -> Place:
        """Return the place with the next run number."""
        parts = (place.subject, place.session, place.folder, place.tracer or place.acquisition)
        key = tuple(part.casefold() for part in parts)
        self._count[key] = self._count.get(key, 0) + 1
        return replace(place, run=self._count[key])


def kind_of(volumes: list[Volume], header: Dataset, name: str) -> dict[str, Any] | None:
    """Return the row of the table that a series fits; None where BIDS has no suffix for it."""
    modality = str(header.get("Modality", ""))
    volume = volumes[0]
    words = f"{name} {header.get('SeriesDescription', '')} {header.get('ProtocolName', '')}".lower()
    if len(volumes) > 1 or volume.derived or volume.component != "M":
        return None
    if any(word in words for word in rules()["scout"]["words"]):
        return None
    for row in rules()["kind"]:
        if row["modality"] == modality and _fits(row, volume, header):
            return dict(row)
    return None


def _fits(row: dict[str, Any], volume: Volume, header: Dataset) -> bool:
    count = len(volume.frames[0])
    if row.get("varied", volume.varied) != volume.varied or count < row.get("least", 1):
        return False
    if row.get("varied") == "" and count > 1:
        return False
    if "spin_echo" in row and row["spin_echo"] != _spin_echo(header):
        return False
    if any(name not in volume.values for name in row.get("needs", ())):
        return False
    for key, name in (("echo_ms", "echo_time_ms"), ("repetition_ms", "repetition_time_ms")):
        if key in row:
            stated = volume.one(name)
            if not stated or not row[key][0] <= stated[0] < row[key][1]:
                return False
    # One sample of each value: a repeated echo has no name of its own.
    return "each" not in row or len(set(volume.one(volume.varied))) == count


def _spin_echo(header: Dataset) -> bool | None:
    words = header.get("EchoPulseSequence") or header.get("ScanningSequence") or ""
    stated = {str(w).upper() for w in ([words] if isinstance(words, str) else words)}
    if stated & {"SE", "SPIN", "BOTH"}:
        return True
    return False if stated & {"GR", "GRADIENT"} else None


def write_series(
    out: Path,
    volumes: list[Volume],
    header: Dataset,
    subject: str,
    session: str,
    runs: Runs,
    name: str,
) -> Raw:
    """Write a series below `out` and return where it is.

    Parameters
    ----------
    out : Path
        Root of the data set.
    volumes : list of Volume
        Of `read_volumes`.
    header : Dataset
        Of the first image.
    subject, session : str
        Labels.
    runs : Runs
        Gives the run number.
    name : str
        Of the series, for planning pictures that are known by it.
    """
    row = kind_of(volumes, header, name)
    modality = str(header.get("Modality", ""))
    place = _place(header, subject, session, row["folder"] if row else "")
    if row and row["suffix"] == "pet":
        place = replace(place, tracer=label(tracer(header)))
    raw = Raw(str(header.get("SeriesInstanceUID", "")), runs.numbered(place), [], row is not None)
    root = out if row else out / SOURCEDATA
    (root / raw.place.below).mkdir(parents=True, exist_ok=True)
    if row is None:
        _write_source(out, raw, volumes, header, modality)
    else:
        _WRITERS.get(row["suffix"], _write_each)(out, raw, volumes[0], header, row)
    return raw


def _place(header: Dataset, subject: str, session: str, folder: str) -> Place:
    protocol = str(header.get("ProtocolName") or header.get("SeriesDescription") or "")
    return Place(
        subject=subject,
        session=session,
        folder=folder or label(str(header.get("Modality", ""))).lower() or "other",
        acquisition=label(protocol) or "unnamed",
        run=1,
    )


def copy_series(
    out: Path, files: list[Path], header: Dataset, subject: str, session: str, runs: Runs
) -> Raw:
    """Copy the DICOM of a series that makes no volumes, such as maps of the scanner, to sourcedata.

    Parameters are as those of `write_series`.
    """
    place = runs.numbered(_place(header, subject, session, "dicom"))
    raw = Raw(str(header.get("SeriesInstanceUID", "")), place, [], has_suffix=False)
    below = f"{SOURCEDATA}/{place.below}/{place.stem()}"
    (out / below).mkdir(parents=True)
    for number, path in enumerate(files, 1):
        raw.images.append(f"{below}/{number:06d}.dcm")
        shutil.copyfile(path, out / raw.images[-1])
    return raw


def _save(out: Path, raw: Raw, below: str, volume: Volume, samples: slice) -> Path:
    """Write samples of a volume and return the path without ending."""
    path = out / f"{below}.nii.gz"
    data = volume.data[samples]
    turned = data[0] if len(data) == 1 else np.moveaxis(data, 0, -1)
    _write_image(path, turned, volume.affine)
    raw.images.append(f"{below}.nii.gz")
    return out / below


def _write_image(path: Path, values: Floats, affine: Doubles) -> None:
    """Write NIfTI of values (slices, rows, columns[, samples]) in mm, and s where there are."""
    import nibabel as nib

    axes = (2, 1, 0, 3)[: values.ndim]
    image = nib.Nifti1Image(np.asfortranarray(values.transpose(axes)), affine)
    image.header.set_xyzt_units("mm", "sec" if values.ndim > len("xyz") else None)
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    nib.save(image, path)


def _with(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _write_each(out: Path, raw: Raw, volume: Volume, header: Dataset, row: dict[str, Any]) -> None:
    """Write one file for each sample, or one where there is one."""
    for index in range(len(volume.data)):
        number = {row["each"]: index + 1} if "each" in row else {}
        below = f"{raw.place.below}/{raw.place.stem(**number)}_{row['suffix']}"
        path = _save(out, raw, below, volume, slice(index, index + 1))
        content = general(header, "MR") | of_samples(volume, index)
        # BIDS means by RepetitionTime the time of a volume; that of the pulses is this one.
        if "RepetitionTime" in content:
            content["RepetitionTimeExcitation"] = content.pop("RepetitionTime")
        write_sidecar(_with(path, ".json"), content)


def _write_diffusion(
    out: Path, raw: Raw, volume: Volume, header: Dataset, row: dict[str, Any]
) -> None:
    path = _save(out, raw, f"{raw.place.below}/{raw.place.stem()}_dwi", volume, slice(None))
    values, vectors = gradients(volume)
    lines = [" ".join(f"{value:.6g}" for value in values)]
    _with(path, ".bval").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    lines = [" ".join(f"{value:.8f}" for value in line) for line in vectors]
    _with(path, ".bvec").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    write_sidecar(_with(path, ".json"), general(header, "MR") | of_samples(volume))


def _write_pet(out: Path, raw: Raw, volume: Volume, header: Dataset, row: dict[str, Any]) -> None:
    path = _save(out, raw, f"{raw.place.below}/{raw.place.stem()}_pet", volume, slice(None))
    write_sidecar(_with(path, ".json"), pet(header, volume) | general(header, "PT"))


_WRITERS: dict[str, Callable[[Path, Raw, Volume, Dataset, dict[str, Any]], None]] = {
    "dwi": _write_diffusion,
    "pet": _write_pet,
}


def _write_source(
    out: Path, raw: Raw, volumes: list[Volume], header: Dataset, modality: str
) -> None:
    """Write what BIDS has no suffix for: all samples in one file, every value in the sidecar."""
    parts = Labels()
    for number, volume in enumerate(volumes, 1):
        more = {"part": parts.of(f"{volume.component}{number}", "")} if len(volumes) > 1 else {}
        below = f"{SOURCEDATA}/{raw.place.below}/{raw.place.stem(**more)}_{raw.place.folder}"
        path = _save(out, raw, below, volume, slice(None))
        content = general(header, modality) | of_samples(volume)
        if volume.derived:
            content["ImageType"] = [str(word) for word in header.get("ImageType") or []]
        write_sidecar(_with(path, ".json"), content)
