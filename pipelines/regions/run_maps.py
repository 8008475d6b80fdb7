"""Maps from files: by ``maps.json``, or as NIfTI, Parametric Map or 16-bit series themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xnat_pic.errors import CorruptDataError, NothingUsableError, WrongCallError

from ..images import grids
from ..inputs.nifti import read_array
from .run_maps_dicom import DicomMap, read_dicom_map

Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

_CONTENTS = "maps.json"
_MOST_FILES = 100_000
_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_NIFTI = (".nii", ".nii.gz")


@dataclass(frozen=True)
class MapVolume:
    """One map on its own grid.

    Attributes
    ----------
    name : str
        Such as ``T2map``.
    unit : str
        UCUM; empty where nothing says it.
    values : ndarray of float32, shape (n_slices, rows, columns)
        NaN where there is no value.
    affine : ndarray of float64, shape (4, 4)
        From (column, row, slice) to patient LPS, mm.
    flags : ndarray of bool, shape (n_slices, rows, columns), or None
        Voxels of which the fit says something bad; None without a flag map.
    frame_of_reference : str
        UID, or empty where nothing says it.
    source : str
        Name of the file.
    files : tuple of Path
        Everything that was read.
    parameters : str
        Hash of the fit's parameters, or empty.
    errors : ndarray of float32, shape (n_slices, rows, columns), or None
        Standard errors of the values; None where none lie on the same grid.
    """

    name: str
    unit: str
    values: Floats
    affine: Doubles
    flags: Bools | None
    frame_of_reference: str
    source: str
    files: tuple[Path, ...]
    parameters: str = ""
    errors: Floats | None = None

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel, mm3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def pixel_mm2(self) -> float:
        """Area of a pixel, mm2."""
        return float(np.linalg.norm(np.cross(self.affine[:3, 0], self.affine[:3, 1])))


def read_maps(path: Path) -> list[MapVolume]:
    """Read every map that a path names.

    Parameters
    ----------
    path : Path
        A folder with ``maps.json`` in it or below it, or with one NIfTI map, or with the DICOM
        files of a map; or one NIfTI or DICOM file. A file beside a ``maps.json`` that lists it
        gets its name, unit, frame of reference and flags from there.

    Returns
    -------
    list of MapVolume
        Not empty; of ``maps.json`` those with one value for each voxel.

    Raises
    ------
    WrongCallError
        Where several results lie below the folder.
    NothingUsableError
        Where there is no map.
    CorruptDataError
        Where a file of the map is damaged.
    """
    if not path.exists():
        raise NothingUsableError(f"There is no {path}.", path=path, hint="Check --map.")
    contents = _find_contents(path) if path.is_dir() else None
    if contents is not None:
        return _listed_maps(contents)
    listed = _row_of(path)
    if listed is not None:
        return [_read_row(*listed, path)]
    if path.is_dir():
        nifti = [p for p in sorted(path.iterdir()) if p.name.endswith(_NIFTI)]
        if len(nifti) > 1:
            raise WrongCallError(
                f"There are {len(nifti)} NIfTI files in {path.name} and no {_CONTENTS}.",
                path=path,
                hint="Name one file with --map; --map may be given several times.",
            )
        return [_lone_nifti(nifti[0]) if nifti else _lone_dicom(path)]
    return [_lone_nifti(path) if path.name.endswith(_NIFTI) else _lone_dicom(path)]


def is_listed(path: Path) -> bool:
    """Tell whether a path holds maps that a table of contents lists, or is NIfTI."""
    if path.is_file():
        return path.name.endswith(_NIFTI) or _row_of(path) is not None
    if not path.is_dir():
        return True  # whoever reads it says what is wrong
    some = list(islice(path.rglob("*"), _MOST_FILES))
    named = (*_NIFTI, _CONTENTS)
    return any(one.name.endswith(named) for one in some) or _row_of(path) is not None


def _find_contents(folder: Path) -> Path | None:
    """Return the table of contents in or below a folder."""
    if (folder / _CONTENTS).is_file():
        return folder / _CONTENTS
    found = [p for p in islice(folder.rglob("*"), _MOST_FILES) if p.name == _CONTENTS]
    if len(found) > 1:
        names = ", ".join(sorted(p.parent.relative_to(folder).as_posix() for p in found)[:8])
        raise WrongCallError(
            f"{folder.name} holds the maps of {len(found)} fits: {names}.",
            path=folder,
            hint="Name the folder of one of them with --map.",
        )
    return found[0] if found else None


def _rows(contents: Path) -> dict[str, dict[str, Any]]:
    try:
        rows = json.loads(contents.read_text(encoding="utf-8"))["maps"]
        if not all(isinstance(row, dict) for row in rows.values()):
            raise TypeError("a row is no object")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptDataError(
            f"{_CONTENTS} of {contents.parent.name} is no table of contents.",
            path=contents,
            hint="Make the maps again.",
        ) from error
    return dict(rows)


def _listed_maps(contents: Path) -> list[MapVolume]:
    """Return the maps of a table of contents that have one value for each voxel."""
    maps = []
    for name, row in _rows(contents).items():
        file = _file_of(contents.parent, row)
        if file is not None and row.get("median") is not None:
            maps.append(_read_row(contents.parent, name, row, file))
    if not maps:
        raise NothingUsableError(
            f"{contents.parent.name} lists no map of one value for each voxel whose file is there.",
            path=contents,
            hint="Name the folder of another fit with --map.",
        )
    return maps


def _file_of(folder: Path, row: dict[str, Any]) -> Path | None:
    """Return the file or folder of a row, the most exact form that is there."""
    for kind in ("nifti", "dicom", "secondary"):
        place = _inside(folder, row.get(kind))
        if place is not None and place.exists():
            return place
    return None


def _inside(folder: Path, name: Any) -> Path | None:
    """Return a file that a table of contents names, unless it leads out of the folder."""
    if not isinstance(name, str) or not name:
        return None
    place = folder / name
    return place if place.resolve().is_relative_to(folder.resolve()) else None


def _row_of(path: Path) -> tuple[Path, str, dict[str, Any]] | None:
    """Return folder, name and row of the table of contents that lists a file, if one does."""
    for folder in list(path.resolve().parents)[:3]:
        if not (folder / _CONTENTS).is_file():
            continue
        for name, row in _rows(folder / _CONTENTS).items():
            for kind in ("nifti", "dicom", "secondary"):
                place = _inside(folder, row.get(kind))
                if place is not None and place.resolve() in (path.resolve(), path.resolve().parent):
                    return folder, name, row
    return None


def _read_row(folder: Path, name: str, row: dict[str, Any], file: Path) -> MapVolume:
    """Read the map of a row, with its flags."""
    if file.name.endswith(_NIFTI):
        values, affine = _nifti(file)
        files: tuple[Path, ...] = (file,)
        frame = ""
    else:
        made = read_dicom_map(file)
        values, affine, files, frame = made.values, made.affine, made.files, made.frame_of_reference
    flags = None
    place = _inside(folder, row.get("flags"))
    if place is not None and place.is_file():
        flags = _flags(place, affine, values.shape)
        files = (*files, place)
    errors = None
    place = _inside(folder, row.get("error"))
    if place is not None and place.is_file():
        stored, there = _nifti(place)
        slices, rows, columns = values.shape
        found = grids.on_grid(stored, there, affine, (slices, rows, columns))
        if found is not None:
            errors = np.asarray(found, dtype=np.float32)
            files = (*files, place)
    return MapVolume(
        name=name,
        unit=str(row.get("unit") or ""),
        values=values,
        affine=affine,
        flags=flags,
        frame_of_reference=frame or str(row.get("frame_of_reference") or ""),
        source=file.name,
        files=(*files, folder / _CONTENTS),
        parameters=str(row.get("parameters") or ""),
        errors=errors,
    )


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")


def _lone_nifti(path: Path) -> MapVolume:
    """Read a NIfTI map with what its sidecar says."""
    values, affine = _nifti(path)
    sidecar = path.with_name(_stem(path) + ".json")
    content: dict[str, Any] = {}
    files = [path]
    if sidecar.is_file():
        files.append(sidecar)
        try:
            content = json.loads(sidecar.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CorruptDataError(
                f"{sidecar.name} is no JSON.", path=sidecar, hint="Correct it, or take it away."
            ) from error
    content = content if isinstance(content, dict) else {}
    flags = None
    for place in _flag_files(path):
        flags = _flags(place, affine, values.shape)
        files.append(place)
    return MapVolume(
        name=str(content.get("Name") or _name(_stem(path))),
        unit=str(content.get("Units") or ""),
        values=values,
        affine=affine,
        flags=flags,
        frame_of_reference=str(content.get("FrameOfReferenceUID") or ""),
        source=path.name,
        files=tuple(files),
    )


def _name(stem: str) -> str:
    """Return the end of a BIDS name: T2map of sub-m01_T2map, desc-se_T2map of an error."""
    parts = stem.split("_")
    if not stem.startswith("sub-") or not stem.endswith("map") or len(parts) < 2:
        return stem
    described = [part for part in parts[:-1] if part.startswith("desc-")]
    return "_".join([*described, parts[-1]])


def _flag_files(path: Path) -> Iterator[Path]:
    """Yield the flag map beside a map, ``<subject>_desc-flags_mask.nii.gz``."""
    stem = _stem(path)
    begin = stem.rpartition("_")[0]
    while begin:
        for suffix in _NIFTI:
            place = path.with_name(f"{begin}_desc-flags_mask{suffix}")
            if place.is_file():
                yield place
                return
        begin = begin.rpartition("_")[0]


def _lone_dicom(path: Path) -> MapVolume:
    made: DicomMap = read_dicom_map(path)
    return MapVolume(
        name=made.name,
        unit=made.unit,
        values=made.values,
        affine=made.affine,
        flags=None,
        frame_of_reference=made.frame_of_reference,
        source=path.name,
        files=made.files,
    )


def _nifti(path: Path) -> tuple[Floats, Doubles]:
    """Return values (n_slices, rows, columns) and affine to LPS of a 3-D image."""
    values, affine = read_array(path)
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3:
        raise NothingUsableError(
            f"{path.name} has {values.ndim} axes; a map has one value for each voxel.",
            path=path,
            hint="Name another file with --map.",
        )
    turned = _TO_LPS @ affine
    if not grids.has_volume(turned):
        raise CorruptDataError(
            f"{path.name} does not say where its voxels are.",
            path=path,
            hint="Give a file whose sform or qform is set.",
        )
    return np.ascontiguousarray(values.transpose(2, 1, 0)), turned


def _flags(path: Path, affine: Doubles, shape: tuple[int, ...]) -> Bools:
    """Return which voxels of a map's grid carry a flag; the flag map may be turned or flipped."""
    stored, place = _nifti(path)
    marked: Bools = np.asarray(np.nan_to_num(stored) != 0)
    slices, rows, columns = shape
    found = grids.on_grid(marked, place, affine, (slices, rows, columns), outside=False)
    if found is None:
        raise CorruptDataError(
            f"The flags in {path.name} are not on the grid of their map.",
            path=path,
            hint="Make the maps again.",
        )
    return np.asarray(found)
