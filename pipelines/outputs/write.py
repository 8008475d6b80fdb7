"""Write everything of a map into one folder."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xnat_pic.files import file_digest
from xnat_pic.version import version

from . import protocol
from .catalogue import entry, window
from .nifti import write_nifti, write_sidecar
from .uids import parameter_hash

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from ..fitting.data import FittedMap

FORMATS = ("nifti", "dicom", "report")
_SCALAR = 3
_FILE_KEYS = ("nifti", "sidecar", "error", "flags", "r2fit", "dicom", "secondary", "png")


@dataclass
class WrittenMaps:
    """What was written.

    Attributes
    ----------
    maps : dict
        Rows of ``maps.json`` by the name of the map.
    report : str
        Name of the report, or empty.
    seconds : dict
        Time of each part.
    """

    maps: dict[str, dict[str, Any]] = field(default_factory=dict)
    report: str = ""
    seconds: dict[str, float] = field(default_factory=dict)


def write_maps(
    folder: Path,
    fitted: FittedMap,
    formats: tuple[str, ...],
    stem: str,
    started: datetime | None = None,
    pack: int = 0,
) -> WrittenMaps:
    """Write maps, errors, flags, tables of contents and arrays.

    Parameters
    ----------
    folder : Path
        There, and empty.
    fitted : FittedMap
        What to write.
    formats : tuple of str
        Some of ``nifti``, ``dicom``, ``report``.
    stem : str
        Begin of every NIfTI name, such as ``sub-m01``.
    started : datetime, optional
        When the run began, with its zone; ``provenance.json`` tells it with when it ended.
    pack : int
        Which of several packs of slices, from 1; 0 where there is one.

    Returns
    -------
    WrittenMaps
        The report is not yet in it.
    """
    key = parameter_hash([fitted.command, fitted.options, protocol.inputs_key(fitted)])
    written = WrittenMaps(maps=_rows(fitted, stem, key))
    jobs: list[Callable[[], None]] = []
    if "nifti" in formats:
        jobs += _nifti_jobs(folder, fitted, written.maps, stem, key)
    jobs.append(lambda: _write_mat(folder / "results.mat", fitted))
    with ThreadPoolExecutor(4) as pool:
        pending = [pool.submit(job) for job in jobs]
        if "dicom" in formats and fitted.images.frames:
            _write_dicom(folder, fitted, written.maps, key, pack)
        for one in pending:
            one.result()
    for row in written.maps.values():
        if "nifti" not in formats:
            for kind in ("nifti", "sidecar", "error", "flags", "r2fit"):
                row.pop(kind, None)
    provenance = protocol.provenance(fitted, key, [file_digest(p) for p in fitted.images.files])
    when = {"ended": datetime.now(UTC).isoformat(timespec="milliseconds")}
    if started:
        when = {"started": started.isoformat(timespec="milliseconds"), **when}
    write_sidecar(folder / "provenance.json", {**provenance, **when, "call": _call()})
    return written


def write_contents(
    folder: Path, fitted: FittedMap, rows: dict[str, dict[str, Any]], report: str
) -> None:
    """Write ``maps.json``, the machine's table of contents, when everything else is there.

    Parameters
    ----------
    folder : Path
        Where to.
    fitted : FittedMap
        What was fitted; of several packs the first.
    rows : dict
        Of every map by its name.
    report : str
        Name of the report, or empty.
    """
    content = {
        "command": fitted.command,
        "parameters": next(iter(rows.values()))["parameters"],
        "software": f"xnat-pic {version()}",
        "report": report,
        "maps": rows,
    }
    write_sidecar(folder / "maps.json", content)


def join_packs(folder: Path, packs: dict[str, WrittenMaps]) -> WrittenMaps:
    """Return what was written of several packs as one, and write what was made of which images.

    Parameters
    ----------
    folder : Path
        The folder that holds a folder for each pack.
    packs : dict of str to WrittenMaps
        By the name of the pack's folder.

    Returns
    -------
    WrittenMaps
        Maps named ``<name>_<pack>``, with their files below the folder.
    """
    joined = WrittenMaps(report=next(iter(packs.values())).report)
    inputs: list[Any] = []
    whole: dict[str, Any] = {}
    for name, one in packs.items():
        for key, row in one.maps.items():
            placed = {k: f"{name}/{v}" if k in _FILE_KEYS else v for k, v in row.items()}
            joined.maps[f"{key}_{name}"] = placed
        whole = json.loads((folder / name / "provenance.json").read_text(encoding="utf-8"))
        inputs += [row for row in whole["inputs"] if row not in inputs]
    joined.report = f"{next(iter(packs))}/{joined.report}" if joined.report else ""
    write_sidecar(folder / "provenance.json", {**whole, "inputs": inputs, "packs": list(packs)})
    return joined


def _call() -> list[str]:
    """Return the command line without folders."""
    return [Path(word).name if os.sep in word else word for word in sys.argv]


def _rows(fitted: FittedMap, stem: str, key: str) -> dict[str, dict[str, Any]]:
    """Return what ``maps.json`` says of each map."""
    rows: dict[str, dict[str, Any]] = {}
    frames = fitted.images.frames
    first = frames[0][0] if frames else None
    sources = sorted({f.series_uid for one in frames for f in one})
    for name, one in fitted.result.maps.items():
        values = one.values[fitted.mask.ravel()]
        finite = values[np.isfinite(values).all(axis=1)] if values.ndim > 1 else values
        finite = finite[np.isfinite(finite)] if values.ndim == 1 else finite
        scalar = values.ndim == 1
        rows[name] = {
            "nifti": f"{stem}_{entry(name).suffix or name}.nii.gz",
            "sidecar": f"{stem}_{entry(name).suffix or name}.json",
            "unit": one.unit,
            "median": float(np.median(finite)) if scalar and finite.size else None,
            "valid": len(finite),
            "source_series": sources,
            "frame_of_reference": first.frame_of_reference_uid if first else "",
            "parameters": key,
            "flags": f"{stem}_desc-flags_mask.nii.gz",
            "r2fit": f"{stem}_desc-R2fit_map.nii.gz",
        }
        if one.error is not None:
            suffix = entry(name).suffix or name
            mark = (
                suffix.replace("desc-", "desc-se", 1) if "desc-" in suffix else f"desc-se_{suffix}"
            )
            rows[name]["error"] = f"{stem}_{mark}.nii.gz"
    return rows


def _nifti_jobs(
    folder: Path, fitted: FittedMap, rows: dict[str, dict[str, Any]], stem: str, key: str
) -> list[Callable[[], None]]:
    affine = fitted.images.affine
    jobs: list[Callable[[], None]] = []

    def add(file: str, values: npt.NDArray[Any], top: float | None = None) -> None:
        volume = fitted.volume(values)
        jobs.append(lambda: write_nifti(folder / file, volume, affine, top))

    for name, one in fitted.result.maps.items():
        top = window(name, one.values)[1] if one.values.ndim == 1 else None
        add(rows[name]["nifti"], one.values, top)
        if one.error is not None:
            add(rows[name]["error"], one.error)
        content = protocol.sidecar(fitted, name, one.unit, key)
        write_sidecar(folder / rows[name]["sidecar"], content)
    add(f"{stem}_desc-flags_mask.nii.gz", fitted.result.flags)
    add(f"{stem}_desc-R2fit_map.nii.gz", fitted.result.r2fit)
    if fitted.result.chi2_red is not None:
        add(f"{stem}_desc-chi2_map.nii.gz", fitted.result.chi2_red)
    return jobs


def _write_dicom(
    folder: Path, fitted: FittedMap, rows: dict[str, dict[str, Any]], key: str, pack: int
) -> None:
    from .parametric_map import ENHANCED, make_references, read_header, write_parametric_map
    from .secondary import write_secondary

    images = fitted.images
    header: Dataset = read_header(images.frames[0][0].path)
    references = None if ENHANCED in header else make_references(images)
    target = folder / "dicom"
    target.mkdir()
    base = images.frames[0][0].order[0] * 100 + 10 * max(pack - 1, 0)
    key = f"{key} pack {pack}" if pack else key  # packs of one series have UIDs of their own
    for index, (name, one) in enumerate(fitted.result.maps.items()):
        if one.values.ndim != 1:
            continue
        values = fitted.volume(one.values)
        path = target / f"{name}.dcm"
        number = _series_number(base + index + 1)
        options: dict[str, Any] = {"key": key, "version": version(), "number": number}
        write_parametric_map(path, name, values, one.unit, images, header, references, **options)
        rows[name]["dicom"] = f"dicom/{name}.dcm"
        if entry(name).secondary:
            place = target / f"{name}_int16"
            options["number"] = _series_number(base + index + 51)
            write_secondary(place, name, values, one.unit, images, header, **options)
            rows[name]["secondary"] = f"dicom/{name}_int16"


def _series_number(number: int) -> int:
    """Return a number that an IS value can hold."""
    return number % 2_147_483_647


def _write_mat(path: Path, fitted: FittedMap) -> None:
    """Write the arrays for MATLAB: maps with axes (column, row, slice[, k])."""
    from scipy.io import savemat

    def to_matlab_axes(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        volume = fitted.volume(values)
        return volume.transpose((2, 1, 0) if volume.ndim == _SCALAR else (2, 1, 0, 3))

    content: dict[str, Any] = {
        "flags": to_matlab_axes(fitted.result.flags),
        "affine": fitted.images.affine,
    }
    content["R2fit"] = to_matlab_axes(fitted.result.r2fit)
    content["units"] = {_matlab_name(n): one.unit for n, one in fitted.result.maps.items()}
    for name, one in fitted.result.maps.items():
        content[_matlab_name(name)] = to_matlab_axes(one.values)
        if one.error is not None:
            content[f"{_matlab_name(name)}_se"] = to_matlab_axes(one.error)
    content[fitted.variable] = fitted.images.values[fitted.variable]
    savemat(path, content, long_field_names=True, oned_as="row")


def _matlab_name(name: str) -> str:
    """Return a name that MATLAB takes for a variable."""
    return "".join(sign if sign.isalnum() else "_" for sign in name)[:60]
