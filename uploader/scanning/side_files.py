"""Files beside the images: to which session they belong, and into which resource they go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xnat_config.resources import Resources
from xnat_pic.text import counted, list_some

from ..findings import Finding, note, path_below, warning
from .sessions import Session


@dataclass(frozen=True)
class SideFile:
    """A file beside the images.

    Attributes
    ----------
    name : str
        Its name in the resource, with ``/`` between folders.
    """

    path: Path
    resource: str
    name: str


def assign_side_files(
    sessions: Sequence[Session], paths: Iterable[Path], root: Path
) -> tuple[list[Session], list[Finding]]:
    """Give each file to the session it lies in or beside.

    A file belongs to the session of the nearest folder, from its own upwards, that holds images
    of one session only, in it or below. The folder that was scanned counts only where it holds
    one session.

    Returns
    -------
    sessions : list of Session
        The same sessions, with their files.
    findings : list of Finding
        Which files belong to no session.
    """
    by_folder = sessions_by_folder(sessions, root)
    own: dict[str, list[Path]] = defaultdict(list)
    shared: list[Path] = []
    for path in sorted(paths):
        keys = nearest_sessions(path, by_folder, root)
        if len(keys) == 1:
            own[next(iter(keys))].append(path)
        else:
            shared.append(path)
    findings = []
    if shared and sessions:
        findings.append(
            warning(
                "shared-side-file",
                f"{counted(len(shared), 'file', 'files')} beside several sessions, not uploaded: "
                f"{list_some([path_below(path, root) for path in shared])}. Move each into the "
                "folder of its session and scan again, or upload them to the project.",
            )
        )
    elif shared:
        findings.append(
            note(
                "no-dicom",
                f"{counted(len(shared), 'file is', 'files are')} no DICOM: "
                f"{list_some([path_below(path, root) for path in shared])}.",
            )
        )
    return [replace(one, side_files=tuple(own[one.key])) for one in sessions], findings


def sessions_by_folder(sessions: Iterable[Session], root: Path) -> dict[Path, set[str]]:
    """Return, for each folder with images in it or below, the keys of their sessions."""
    by_folder: dict[Path, set[str]] = defaultdict(set)
    for session in sessions:
        for folder in {file.path.parent for one in session.series for file in one.files}:
            for place in (folder, *folder.parents):
                by_folder[place].add(session.key)
                if place == root:
                    break
    return dict(by_folder)


def nearest_sessions(path: Path, by_folder: Mapping[Path, set[str]], root: Path) -> set[str]:
    """Return the sessions of the first folder, from the file upwards, that holds any."""
    for folder in path.parents:
        if folder in by_folder:
            return by_folder[folder]
        if folder == root:
            break
    return set()


def side_resources(session: Session, resources: Resources) -> tuple[SideFile, ...]:
    """Return into which resource of the session each file beside its images goes.

    Names are relative to the session's folder, or where a file lies outside of it, to the
    deepest folder that holds both. No two names in one resource are equal.
    """
    raw = _raw_folders(session.side_files, resources)
    found: list[SideFile] = []
    taken: set[tuple[str, str]] = set()
    for path in session.side_files:
        is_raw = any(folder in path.parents for folder in raw)
        label = resources.raw_session if is_raw else resources.label_of(path.name)
        base = session.source
        while base not in path.parents and base != base.parent:
            base = base.parent
        name = path.relative_to(base).as_posix() if base in path.parents else path.name
        stem, count = name, 1
        while (label, name.casefold()) in taken:
            count += 1
            name = f"{count}_{stem}" if "/" not in stem else stem.replace("/", f"_{count}/", 1)
        taken.add((label, name.casefold()))
        found.append(SideFile(path, label, name))
    return tuple(found)


def _raw_folders(paths: Iterable[Path], resources: Resources) -> set[Path]:
    return {path.parent for path in paths if resources.marks_raw(path.name)}
