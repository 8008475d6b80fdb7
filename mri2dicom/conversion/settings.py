"""What a person adds to the scanner's files: options, and small TOML files beside the studies."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from xnat_pic.errors import WrongCallError
from xnat_pic.tables import read_toml

from ..dicom.overrides import Overrides, normalize_overrides

SIDE_FILE = "mri2dicom.toml"


def read_side_file(path: Path) -> dict[str, str]:
    """Read one side file.

    Raises
    ------
    WrongCallError
        If it is no TOML, or holds a key or value that means nothing.
    """
    known = {field.name for field in fields(Overrides)}
    values = read_toml(path)
    for key, value in values.items():
        if key not in known:
            raise WrongCallError(
                f"{path} has the key {key!r}, which means nothing here.",
                path=path,
                hint=f"Known keys: {', '.join(sorted(known))}.",
            )
        if not isinstance(value, str):
            raise WrongCallError(f"{path}: {key} must be a text in quotes.", path=path)
    return values


def read_side_files(study: Path, root: Path) -> dict[str, str]:
    """Return the values of the side files for one study, from the input down; the nearest wins.

    Parameters
    ----------
    study : Path
        Folder of the study.
    root : Path
        The input; nothing above it is looked at, but the study's own folder always is.
    """
    folders = [study]
    for parent in study.parents:
        if folders[-1] == root or not parent.is_relative_to(root):
            break
        folders.append(parent)
    values: dict[str, str] = {}
    for folder in reversed(folders):
        path = folder / SIDE_FILE
        if path.is_file():
            values |= read_side_file(path)
    return values


def merge_overrides(side: Mapping[str, str], options: Overrides) -> Overrides:
    """Return the values of side files overridden by the options of the call."""
    given = {f.name: getattr(options, f.name) for f in fields(options)}
    values: dict[str, Any] = dict(side) | {name: value for name, value in given.items() if value}
    return normalize_overrides(replace(Overrides(), **values))
