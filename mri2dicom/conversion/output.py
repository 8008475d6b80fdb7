"""Write the files of a series: complete or not at all. The only module that writes output."""

import os
import shutil
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import Protocol

from xnat_pic.files import part_path

from ..dicom.classic import ClassicSeries, CtSeries
from ..dicom.multiframe import MultiFrameSeries
from ..dicom.nm import NmSeries
from ..dicom.optical import OpticalSeries
from ..dicom.overrides import Overrides
from ..dicom.pet import EnhancedPetSeries, PetSeries
from ..series.model import RawSeries, SeriesKind

# How much of a large object is compared to tell whether it is what would be written.
_COMPARED_BYTES = 2**22
_OPTICAL = (SeriesKind.PHOTOGRAPH, SeriesKind.LUMINESCENCE)


class SeriesFiles(Protocol):
    """The files of a series in one form."""

    names: list[str]

    def files(self, start: int, stop: int) -> Iterable[tuple[str, Iterable[bytes]]]:
        """Yield name and content of files, the content in parts."""

    @property
    def warnings(self) -> list[str]:
        """What a person should know of these files."""


def encode_series(
    series: RawSeries, overrides: Overrides, *, enhanced: bool = False
) -> SeriesFiles:
    """Return the DICOM files of a series, encoded when they are asked for.

    A quantity of 32 bits is always a Parametric Map.

    Parameters
    ----------
    enhanced : bool
        One multi-frame object instead of one for each plane, where the modality has one.
    """
    if series.kind in _OPTICAL and not series.is_quantity:
        return OpticalSeries(series, overrides)
    modality = series.attributes.get("Modality")
    if modality == "PT":
        return (EnhancedPetSeries if enhanced else PetSeries)(series, overrides)
    if modality == "CT":
        return CtSeries(series, overrides)
    if modality == "NM":
        return NmSeries(series, overrides)
    if enhanced or series.is_quantity:
        return MultiFrameSeries(series, overrides)
    return ClassicSeries(series, overrides)


def _old_folder(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def create_part_folder(folder: Path) -> Path:
    """Make an empty folder to write into; what an interrupted run left there is removed."""
    part = part_path(folder)
    if part.exists():
        shutil.rmtree(part)
    part.mkdir(parents=True)
    return part


def remove_leftovers(folder: Path) -> None:
    """Remove what an interrupted run left beside a complete series."""
    for left in (part_path(folder), _old_folder(folder)):
        shutil.rmtree(left, ignore_errors=True)


def write_files(
    files: SeriesFiles, part: Path, start: int, stop: int, on_file: Callable[[], None] | None = None
) -> None:
    """Write the files from `start` up to `stop` into `part`."""
    for name, content in files.files(start, stop):
        with (part / name).open("wb") as file:
            file.writelines(content)
        if on_file is not None:
            on_file()


def commit_folder(folder: Path) -> None:
    """Rename the complete files into the output; older ones of the same series are replaced.

    Where the new ones cannot be put there (a program holds a file open), the old ones stay.
    """
    part, old = part_path(folder), _old_folder(folder)
    if folder.exists():
        if old.exists():
            shutil.rmtree(old)
        folder.rename(old)
        try:
            part.rename(folder)
        except OSError:
            old.rename(folder)
            raise
    else:
        part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def discard_part(folder: Path) -> None:
    """Remove what was written of an unfinished series."""
    shutil.rmtree(part_path(folder), ignore_errors=True)


class OutputState(Enum):
    """What is in a series' output folder before a run."""

    ABSENT = "absent"
    PARTIAL = "partial"
    IDENTICAL = "identical"
    DIFFERENT = "different"


def compare_output(folder: Path, files: SeriesFiles) -> OutputState:
    """Tell what is in the output folder: nothing, a part of these files, all of them, or others.

    Others were made from other data, with other options, or by another version of this suite.
    """
    if not folder.is_dir():
        return OutputState.ABSENT
    with os.scandir(folder) as entries:
        # A file without content is what a power cut leaves.
        found = {
            e.name
            for e in entries
            if e.name.endswith(".dcm") and e.is_file() and e.stat().st_size > 0
        }
    present = [number for number, name in enumerate(files.names) if name in found]
    if not found:
        return OutputState.ABSENT
    if len(present) < len(found) or not _are_identical(folder, files, {present[0], present[-1]}):
        return OutputState.DIFFERENT
    return OutputState.IDENTICAL if len(present) == len(files.names) else OutputState.PARTIAL


def _are_identical(folder: Path, files: SeriesFiles, numbers: set[int]) -> bool:
    """Tell whether some files are byte for byte what would be written.

    The series' data, the options and the version of this suite all show in them.
    """
    return all(
        _starts_with(folder / name, content)
        for number in numbers
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
