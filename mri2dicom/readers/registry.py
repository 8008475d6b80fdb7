"""The readers, in order of priority, and the way others add theirs."""

from importlib import metadata
from pathlib import Path

from ..errors import AmbiguousFormatError, NothingUsableError
from .contract import Confidence, Reader

ENTRY_POINTS = "mri2dicom.readers"


def readers() -> tuple[Reader, ...]:
    """Return the built-in readers and those that other distributions add.

    The built-in ones stand in an explicit tuple, so that a bundled program finds them.
    """
    from .ivis.reader import IvisReader
    from .paravision.reader import ParaVisionReader

    builtin: tuple[Reader, ...] = (ParaVisionReader(), IvisReader())
    added = tuple(entry.load()() for entry in metadata.entry_points(group=ENTRY_POINTS))
    return builtin + added


def reader_named(name: str) -> Reader:
    """Return a reader by its name.

    Raises
    ------
    NothingUsableError
        If there is none.
    """
    for reader in readers():
        if reader.name == name:
            return reader
    raise NothingUsableError(f"There is no reader called {name!r}.")


def choose_reader(path: Path) -> Reader:
    """Return the reader for an input folder.

    Raises
    ------
    NothingUsableError
        If no reader recognises anything at or below `path`.
    AmbiguousFormatError
        If two readers are equally sure.
    """
    ranked = sorted(
        ((reader.sniff(path), reader) for reader in readers()), key=lambda pair: -pair[0]
    )
    best, reader = ranked[0]
    if best is Confidence.NO:
        raise NothingUsableError(
            f"No scanner data found in {path}.",
            path=path,
            hint="Choose a ParaVision study, a folder of studies, or an archive of one.",
        )
    rivals = [other.name for sure, other in ranked if sure == best]
    if len(rivals) > 1:
        raise AmbiguousFormatError(
            f"{path} could be read as {' or '.join(rivals)}.",
            path=path,
            hint="Choose a single study instead.",
        )
    return reader
