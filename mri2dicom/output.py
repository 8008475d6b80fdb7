"""Write the files of a series: complete or not at all. The only module that writes output."""

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from .dicom.classic import ClassicSeries
from .dicom.header import Overrides
from .dicom.multiframe import MultiFrameSeries
from .model import RawSeries

# How much of a large object is compared to tell whether it is what would be written.
_COMPARED_BYTES = 2**22


class SeriesFiles(Protocol):
    """The files of a series in one form."""

    names: list[str]

    def files(self, start: int, stop: int) -> Iterable[tuple[str, Iterable[bytes]]]:
        """Yield name and content of files, the content in parts."""

    @property
    def warnings(self) -> list[str]:
        """What a person should know of these files."""


def files_of(series: RawSeries, overrides: Overrides, *, enhanced: bool) -> SeriesFiles:
    """Return the files of a series: a quantity of 32 bits is always a parametric map."""
    if enhanced or series.is_quantity:
        return MultiFrameSeries(series, overrides)
    return ClassicSeries(series, overrides)


def part_folder(folder: Path) -> Path:
    """Return where the files of a series are written before they are complete."""
    return folder.with_name(f".{folder.name}.part")


def begin(folder: Path) -> Path:
    """Make an empty folder to write into; what an interrupted run left there is removed."""
    part = part_folder(folder)
    if part.exists():
        shutil.rmtree(part)
    part.mkdir(parents=True)
    return part


def write_files(
    files: SeriesFiles, part: Path, start: int, stop: int, on_file: Callable[[], None] | None = None
) -> None:
    """Write the files from `start` up to `stop` into `part`."""
    for name, content in files.files(start, stop):
        with (part / name).open("wb") as file:
            file.writelines(content)
        if on_file is not None:
            on_file()


def finish(folder: Path) -> None:
    """Put the complete files in their place; older ones of the same series give way."""
    part = part_folder(folder)
    if folder.exists():
        old = folder.with_name(f".{folder.name}.old")
        if old.exists():
            shutil.rmtree(old)
        folder.rename(old)
        part.rename(folder)
        shutil.rmtree(old)
    else:
        part.rename(folder)


def abandon(folder: Path) -> None:
    """Remove what was written of an unfinished series."""
    shutil.rmtree(part_folder(folder), ignore_errors=True)


def is_complete(folder: Path, names: list[str]) -> bool:
    """Tell whether all files of a series are there."""
    if not folder.is_dir():
        return False
    present = {entry.name for entry in os.scandir(folder) if entry.is_file()}
    return set(names) <= present


def is_same(folder: Path, files: SeriesFiles) -> bool:
    """Tell whether the first and the last file are byte for byte what would be written.

    The series' data, the options and the version of this suite all show in them.
    """
    last = len(files.names) - 1
    return all(
        _starts_with(folder / name, content)
        for number in {0, last}
        for name, content in files.files(number, number + 1)
    )


def _starts_with(path: Path, content: Iterable[bytes]) -> bool:
    compared = 0
    with path.open("rb") as file:
        for expected in content:
            if file.read(len(expected)) != expected:
                return False
            compared += len(expected)
            if compared > _COMPARED_BYTES:
                return True
        return file.read(1) == b""
