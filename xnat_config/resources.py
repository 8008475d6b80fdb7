"""Names of resources, and which files beside the images go into which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True)
class Resources:
    """Names of resources.

    Attributes
    ----------
    dicom, secondary : str
        Of a scan: its images, and its other DICOM objects.
    raw_project, raw_session : str
        Scanner data of the project, or of one session.
    raw_markers : frozenset of str
        Names, in lower case, of files that make their folder scanner data.
    side : tuple of (str, tuple of str)
        Resource label and endings in lower case; the last takes every other file.
    ignored : tuple of str
        Names in lower case of files and folders that are never uploaded; ``*`` is any text.
    """

    dicom: str
    secondary: str
    raw_project: str
    raw_session: str
    raw_markers: frozenset[str]
    raw_suffixes: tuple[str, ...]
    side: tuple[tuple[str, tuple[str, ...]], ...]
    ignored: tuple[str, ...]

    def is_ignored(self, name: str) -> bool:
        """Tell whether a file or folder of this name is left out."""
        folded = name.casefold()
        return any(fnmatchcase(folded, pattern) for pattern in self.ignored)

    def marks_raw(self, name: str) -> bool:
        """Tell whether a file of this name makes its folder scanner data."""
        return name.casefold() in self.raw_markers

    def label_of(self, name: str) -> str:
        """Return the resource for a file beside the images, by its name."""
        folded = name.casefold()
        if folded.endswith(self.raw_suffixes):
            return self.raw_session
        for label, suffixes in self.side:
            if suffixes and folded.endswith(suffixes):
                return label
        return self.side[-1][0]


def resources_from(
    dicom: Mapping[str, Any],
    raw: Mapping[str, Any],
    side: Mapping[str, Mapping[str, Any]],
    ignored: Mapping[str, Any],
) -> Resources:
    """Build the resources from their tables."""
    tables = [(t["label"], tuple(s.casefold() for s in t["suffixes"])) for t in side.values()]
    # The table without endings takes what is left, wherever a site's additions put it.
    tables.sort(key=lambda table: not table[1])
    return Resources(
        dicom=dicom["primary"],
        secondary=dicom["secondary"],
        raw_project=raw["project"],
        raw_session=raw["session"],
        raw_markers=frozenset(name.casefold() for name in raw["markers"]),
        raw_suffixes=tuple(suffix.casefold() for suffix in raw["suffixes"]),
        side=tuple(tables),
        ignored=tuple(name.casefold() for name in ignored["names"]),
    )
