"""Results as BIDS derivatives: maps under the names of the images they were made from."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from xnat_pic.errors import CorruptDataError, NothingUsableError, XnatPicError

from ..outputs.nifti import write_sidecar
from .names import label
from .raw import Raw
from .sidecars import rules
from .study import CONTENTS, PROVENANCE, read_json
from .tables import DERIVATIVE, RESULTS

_HEAD = re.compile(r"^(?:(?:sub|ses|acq|run|trc)-[^_]+_)*")
_MEANING = {
    "nifti": "Map",
    "error": "Standard error of the map",
    "flags": "Why a voxel has no value; 0 where it has one",
    "r2fit": "Coefficient of determination of the fit",
}
_KEPT = (CONTENTS, PROVENANCE, "report.html")


@dataclass
class Derived:
    """One run of a fit in the data set.

    Attributes
    ----------
    command : str
        The fit, such as ``t2``.
    parameters : str
        Hash of images and parameters.
    files : list of str
        Its files, below the data set.
    sources : list of str
        Images it was made from, below the data set.
    provenance : dict
        Of ``provenance.json``.
    """

    command: str
    parameters: str
    files: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)


def write_result(out: Path, folder: Path, raws: dict[str, Raw]) -> Derived:
    """Copy a result to the derivatives of the data set.

    Parameters
    ----------
    out : Path
        Root of the data set.
    folder : Path
        With ``maps.json``.
    raws : dict of str to Raw
        The series in the data set by UID.

    Raises
    ------
    NothingUsableError
        Where its images are not in the data set, or it has no maps as NIfTI.
    CorruptDataError
        Where its tables cannot be read, or name files outside of its folder.
    """
    content = read_json(folder / CONTENTS)
    provenance = read_json(folder / PROVENANCE)
    rows = content.get("maps")
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise CorruptDataError(f"{CONTENTS} names no maps.", path=folder / CONTENTS)
    found = [raws[uid] for uid in _series(rows, provenance) if uid in raws]
    if not found:
        raise NothingUsableError("The images it was made from are not in the export.")
    done = Derived(str(content.get("command", "")), str(content.get("parameters", "")))
    done.provenance = provenance
    done.sources = sorted({image for raw in found for image in raw.images})
    place = found[0].place
    maps, rest = _free(out, _below(found[0]), place.stem(), done)
    try:
        for row in rows.values():
            _copy_map(out, maps, rest, folder, row, done, found[0])
        _copy_rest(out, folder, rest, done)
    except XnatPicError:
        # All of a result, or nothing.
        for name in done.files:
            (out / name).unlink()
        shutil.rmtree(rest, ignore_errors=True)
        raise
    return done


def _series(rows: dict[str, Any], provenance: dict[str, Any]) -> list[str]:
    uids = [str(uid) for row in rows.values() for uid in row.get("source_series") or ()]
    listed = provenance.get("series")
    uids += [str(uid) for uid in listed] if isinstance(listed, list) else []
    return list(dict.fromkeys(uids))


def _free(out: Path, below: str, stem: str, done: Derived) -> tuple[Path, Path]:
    """Return the folders of maps and of everything else of a run; others where these are taken."""
    mark = label(done.command) or "maps"
    for number in range(1, 1000):
        more = "" if number == 1 else f"-{number}"
        rest = out / RESULTS / f"{stem}_{mark}{more}"
        if not rest.exists():
            rest.mkdir(parents=True)
            return out / f"{DERIVATIVE}{more}" / below, rest
    raise NothingUsableError("There are 1000 results of these images already.")


def _below(raw: Raw) -> str:
    """Return the folder of the maps; those of images without suffix are kept as anatomy."""
    return raw.place.below if raw.has_suffix else replace(raw.place, folder="anat").below


def _copy_map(
    out: Path, maps: Path, rest: Path, folder: Path, row: dict[str, Any], done: Derived, raw: Raw
) -> None:
    """Copy the files of one map; their sidecars name the images by their place."""
    for key in ("nifti", "error", "flags", "r2fit"):
        source = inside(folder, str(row.get(key) or "."))
        if not source.is_file():
            if key == "nifti":
                raise NothingUsableError(f"The map {row.get(key)} is not there.", path=source)
            continue
        tail = _HEAD.sub("", source.name)
        suffix = tail.partition(".")[0].rpartition("_")[2]
        known = suffix in rules()["maps"]["anat"] and maps.name == "anat"
        target = (maps if known else rest) / f"{raw.place.stem()}_{tail}"
        below = target.relative_to(out).as_posix()
        if below in done.files:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        done.files.append(below)
        content: dict[str, Any] = {}
        if key == "nifti" and row.get("sidecar"):
            content = read_json(inside(folder, str(row["sidecar"])))
        content.setdefault("Description", _MEANING[key])
        content["Sources"] = [f"bids:raw:{image}" for image in done.sources]
        content.setdefault("Units", "1" if key in ("flags", "r2fit") else str(row.get("unit", "")))
        content["SkullStripped"] = False  # what is outside of the mask is NaN, never 0
        sidecar = target.with_name(target.name.removesuffix(".nii.gz") + ".json")
        write_sidecar(sidecar, content)
        done.files.append(sidecar.relative_to(out).as_posix())


def _copy_rest(out: Path, folder: Path, rest: Path, done: Derived) -> None:
    """Copy report and provenance."""
    for name in _KEPT:
        if (folder / name).is_file() and not (folder / name).is_symlink():
            shutil.copyfile(folder / name, rest / name)
            done.files.append((rest / name).relative_to(out).as_posix())


def inside(folder: Path, name: str) -> Path:
    """Return a path of a table below its folder.

    Raises
    ------
    CorruptDataError
        Where it leads out of the folder.
    """
    parts = PurePosixPath(name.replace("\\", "/"))
    path = folder.joinpath(*parts.parts)
    if parts.is_absolute() or ".." in parts.parts or path.is_symlink():
        raise CorruptDataError(f"{CONTENTS} names a file outside of its folder.", path=folder)
    return path
