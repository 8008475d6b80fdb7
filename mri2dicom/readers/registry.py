"""The readers, in order of priority, and the way others add theirs."""

from importlib import metadata
from pathlib import Path

from xnat_pic.errors import NothingUsableError

from ..errors import AmbiguousFormatError
from ..series.model import Confidence, Reader

ENTRY_POINTS = "mri2dicom.readers"
# What a person may choose, for the message that nothing was found.
INPUT_HINT = (
    "Choose a ParaVision study, a folder with Inveon images and their headers, an IVIS click, a "
    "folder of studies, or an archive of one."
)


def list_readers() -> tuple[Reader, ...]:
    """Return the built-in readers and those that other distributions add.

    The built-in ones stand in an explicit tuple, so that a bundled program finds them.
    """
    added = tuple(entry.load()() for entry in metadata.entry_points(group=ENTRY_POINTS))
    return _builtin_readers() + added


def _builtin_readers() -> tuple[Reader, ...]:
    """Return the built-in readers; each reads files that no other one reads."""
    from .inveon.reader import InveonReader
    from .ivis.reader import IvisReader
    from .paravision.reader import ParaVisionReader

    return (ParaVisionReader(), InveonReader(), IvisReader())


def find_reader(name: str) -> Reader:
    """Return a reader by its name.

    Raises
    ------
    NothingUsableError
        If there is none.
    """
    for reader in list_readers():
        if reader.name == name:
            return reader
    raise NothingUsableError(f"There is no reader called {name!r}.")


def choose_readers(path: Path) -> tuple[Reader, ...]:
    """Return the readers for an input folder: several where it holds data of several scanners.

    Raises
    ------
    NothingUsableError
        If no reader recognises anything at or below `path`.
    AmbiguousFormatError
        If a reader that another distribution added is as sure as any other one: the two may
        take the same files.
    """
    ranked = sorted(
        ((reader.sniff(path), reader) for reader in list_readers()), key=lambda pair: -pair[0]
    )
    best = ranked[0][0]
    if best is Confidence.NO:
        raise NothingUsableError(
            f"No scanner data found in {path}.",
            path=path,
            hint=INPUT_HINT,
        )
    chosen = tuple(other for sure, other in ranked if sure == best)
    names = [other.name for other in chosen]
    if len(names) > 1 and not set(names) <= {one.name for one in _builtin_readers()}:
        raise AmbiguousFormatError(
            f"{path} could be read as {' or '.join(names)}.",
            path=path,
            hint="Choose a single study instead.",
        )
    return chosen
