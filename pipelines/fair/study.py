"""What is exported: subjects, sessions, series of images and results, wherever they lie."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from xnat_config.variables import Variables
from xnat_pic.errors import CorruptDataError, NothingUsableError

_T = TypeVar("_T")

CONTENTS = "maps.json"
PROVENANCE = "provenance.json"
_MOST_FILES = 2_000_000
_LARGEST_JSON = 64 << 20


@dataclass(frozen=True)
class Series:
    """One series of images.

    Attributes
    ----------
    name : str
        For messages: where it lies.
    subject, session : str
        As the server names them; empty where only the headers say it.
    variables : mapping
        Such as group, dose and timepoint.
    opened : callable
        Returns a context that yields the DICOM files of the series.
    """

    name: str
    subject: str
    session: str
    variables: Mapping[str, str]
    opened: Callable[[], AbstractContextManager[list[Path]]] = field(repr=False)


@dataclass(frozen=True)
class Result:
    """One folder of maps, known by its ``maps.json``.

    Attributes
    ----------
    name : str
        For messages: where it lies.
    opened : callable
        Returns a context that yields the folder.
    """

    name: str
    opened: Callable[[], AbstractContextManager[Path]] = field(repr=False)


@dataclass
class ExportStudy:
    """A project.

    Attributes
    ----------
    project : str
        Its ID.
    series, results : list
        In a steady order.
    subjects : dict
        What the server tells of each subject beyond its variables, such as species.
    """

    project: str
    series: list[Series] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    subjects: dict[str, dict[str, str]] = field(default_factory=dict)


def read_folder(folder: Path, project: str, variables: Variables) -> ExportStudy:
    """Return the study in a folder: DICOM at any depth, and folders of results.

    Parameters
    ----------
    folder : Path
        Levels such as ``group/treated/timepoint/pre`` are read as variables.
    project : str
        Its ID.
    variables : Variables
        Of the site; they know the names of levels.

    Raises
    ------
    NothingUsableError
        Where there is no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise NothingUsableError(f"There is no folder {folder}.", path=folder, hint="Check --from.")
    study = ExportStudy(project)
    inside: set[Path] = set()
    groups: dict[Path, list[Path]] = {}
    for count, path in enumerate(sorted(folder.rglob("*")), 1):
        if count > _MOST_FILES:
            raise NothingUsableError(f"{folder} has more than {_MOST_FILES} files.", path=folder)
        if path.name == CONTENTS and path.is_file():
            inside.add(path.parent)
        elif path.is_file() and not path.name.startswith("."):
            groups.setdefault(path.parent, []).append(path)
    for place, paths in groups.items():
        if not any(one in inside for one in (place, *place.parents)):
            study.series += _series(folder, place, paths, variables)
    for place in sorted(inside):
        name = place.relative_to(folder).as_posix()
        study.results.append(Result(name, _as_context(place)))
    if not study.series:
        raise NothingUsableError(
            f"There is no DICOM image in {folder.name}.",
            path=folder,
            hint="Give the folder that mri2dicom wrote, or that holds it and the results.",
        )
    return study


def _series(folder: Path, place: Path, paths: list[Path], known: Variables) -> list[Series]:
    """Return the series in one folder, of which there may be several."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    found: dict[str, list[Path]] = {}
    for path in paths:
        try:
            with path.open("rb") as file:
                if file.read(132)[128:] != b"DICM":
                    continue
            header = pydicom.dcmread(path, specific_tags=["SeriesInstanceUID"])
        except (InvalidDicomError, EOFError, OSError, ValueError, AttributeError) as error:
            raise CorruptDataError(
                f"{path.name} is damaged.", path=path, hint="Get the file again."
            ) from error
        found.setdefault(str(header.get("SeriesInstanceUID", "")), []).append(path)
    parts = place.relative_to(folder).parts
    levels = _levels(parts, known)
    name = "/".join(parts) or folder.name
    return [Series(name, "", "", levels, _as_context(files)) for files in found.values()]


def _levels(parts: tuple[str, ...], known: Variables) -> dict[str, str]:
    """Return the variables that names of folders announce: ``group/treated``."""
    found: dict[str, str] = {}
    index = 0
    while index + 1 < len(parts):
        name = known.announced_by(parts[index])
        if name and name not in found:
            found[name] = parts[index + 1]
            index += 1
        index += 1
    return found


def _as_context(what: _T) -> Callable[[], AbstractContextManager[_T]]:
    @contextmanager
    def opened() -> Iterator[_T]:
        yield what

    return opened


def read_json(path: Path) -> dict[str, Any]:
    """Return an object of a JSON file.

    Raises
    ------
    CorruptDataError
        Where it is none.
    """
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise ValueError("it is too large")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError, RecursionError) as error:
        raise CorruptDataError(
            f"{path.name} of {path.parent.name} cannot be read ({error}).", path=path
        ) from error
    return content
