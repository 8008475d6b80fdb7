"""List what lies in a folder: files to look at, scanner data, empty and closed folders."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from xnat_config.resources import Resources
from xnat_pic.errors import WrongCallError


@dataclass
class FolderTree:
    """What a folder holds, each list in the order of names.

    Attributes
    ----------
    files : list of Path
        Files that may be DICOM or side files.
    raw_folders : list of Path
        The topmost folders of scanner data; their files are in `raw_files` only.
    closed : list of (Path, str)
        Folders that cannot be listed, with the reason.
    """

    files: list[Path] = field(default_factory=list)
    raw_folders: list[Path] = field(default_factory=list)
    raw_files: list[Path] = field(default_factory=list)
    empty: list[Path] = field(default_factory=list)
    closed: list[tuple[Path, str]] = field(default_factory=list)


def list_tree(
    root: Path, resources: Resources, leave_out: frozenset[Path] = frozenset()
) -> FolderTree:
    """List a folder and all below it; links are followed, each folder once.

    Parameters
    ----------
    leave_out : frozenset of Path
        Files that are not part of the data, such as the plan itself.

    Raises
    ------
    WrongCallError
        If there is no such folder.
    """
    if not root.is_dir():
        what = "is a file" if root.exists() else "is not there"
        raise WrongCallError(f"{root} {what}.", path=root, hint="Name a folder of DICOM files.")
    tree = FolderTree()
    _list_folder(root, resources, leave_out, tree, raw=False, seen=set())
    return tree


def _list_folder(
    folder: Path,
    resources: Resources,
    leave_out: frozenset[Path],
    tree: FolderTree,
    *,
    raw: bool,
    seen: set[Path],
) -> bool:
    """List one folder; return whether any file lies in it or below."""
    real = Path(os.path.realpath(folder))
    if real in seen:
        return True
    seen.add(real)
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        tree.closed.append((folder, error.strerror or "the disk refuses"))
        return True
    entries = [e for e in entries if not resources.is_ignored(e.name)]
    folders = [e for e in entries if _is_folder(e)]
    files = [folder / e.name for e in entries if not _is_folder(e)]
    files = [path for path in files if path not in leave_out]
    if not raw and any(resources.marks_raw(path.name) for path in files):
        tree.raw_folders.append(folder)
        raw = True
    (tree.raw_files if raw else tree.files).extend(files)
    # Each is walked, so no short-circuit.
    below = [
        _list_folder(folder / e.name, resources, leave_out, tree, raw=raw, seen=seen)
        for e in folders
    ]
    if not files and not any(below):
        tree.empty.append(folder)
        return False
    return True


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
