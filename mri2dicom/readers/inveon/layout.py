"""Find Inveon headers below a folder, and number the series of each folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xnat_pic.errors import CorruptDataError

from .groups import FrameGroup, frame_groups
from .header import Header, has_header_signature, read_header

SUFFIX = ".hdr"
# A folder of thousands of other headers (Analyze) must not make `sniff` slow.
MAX_SNIFFED = 1000


@dataclass(frozen=True)
class InveonPath:
    """Where one series lies.

    Attributes
    ----------
    header : Path
        The header file; the image is the same name without ``.hdr``.
    group : Group
        Which of its frames belong to the series.
    expno, procno : int
        Number of the measurement in its folder, in order of time, and of the image made from it.
    study : Path
        The folder.
    """

    header: Path
    group: FrameGroup
    expno: int
    procno: int

    @property
    def study(self) -> Path:
        """The folder that holds the header."""
        return self.header.parent

    @property
    def image(self) -> Path:
        """The data file: never the path in the header, which is that of another computer."""
        return self.header.with_suffix("")

    @property
    def location(self) -> str:
        """The series below its folder."""
        return " ".join(filter(None, [self.image.name, self.group.name]))


def find_headers(root: Path) -> Iterator[list[Path]]:
    """Yield the headers of each folder below `root`, sorted by name; links are not followed."""
    for name, folders, files in os.walk(root.resolve()):
        folders.sort()
        found = [Path(name) / file for file in sorted(files) if _is_header_name(file)]
        found = [path for path in found if has_header_signature(path)]
        if found:
            yield found


def has_headers(root: Path) -> bool:
    """Tell whether any Inveon header lies below a folder, after a bounded number of files."""
    count = 0
    for name, folders, files in os.walk(root):
        folders.sort()
        for file in sorted(files):
            if _is_header_name(file):
                count += 1
                if has_header_signature(Path(name) / file):
                    return True
                if count >= MAX_SNIFFED:
                    return False
    return False


def _is_header_name(name: str) -> bool:
    """Tell whether a name is a data file's full name with ``.hdr`` after it."""
    return name.lower().endswith(SUFFIX) and "." in name[: -len(SUFFIX)].lstrip(".")


def find_series(root: Path) -> Iterator[InveonPath]:
    """Yield every series below `root`.

    The measurements of a folder are numbered from 1 in order of their time, and the images of one
    measurement in order of their names, what is no image after them, so that neither a later
    measurement nor the raw data change a number.
    """
    for headers in find_headers(root):
        read = {path: _read_or_none(path) for path in headers}
        times = {path: _time_key(path, header) for path, header in read.items()}
        order = sorted(set(times.values()))
        image_count: dict[int, int] = {}
        for path in sorted(headers, key=lambda one: (times[one], _is_raw(read[one]), one.name)):
            expno = order.index(times[path]) + 1
            for group in _frame_groups(read[path]):
                image_count[expno] = image_count.get(expno, 0) + 1
                yield InveonPath(path, group, expno, image_count[expno])


def _read_or_none(path: Path) -> Header | None:
    try:
        return read_header(path)
    except (CorruptDataError, OSError):
        return None


def _is_raw(header: Header | None) -> bool:
    """Tell whether a header describes anything but an image (file_type 5)."""
    return header is None or header.main.text("file_type") != "5"


def _frame_groups(header: Header | None) -> list[FrameGroup]:
    """Return the series of one file; a damaged one is a series skipped with the reason."""
    if header is None:
        return [FrameGroup()]
    try:
        return frame_groups(header) or [FrameGroup()]
    except CorruptDataError:
        return [FrameGroup()]


def _time_key(path: Path, header: Header | None) -> tuple[bool, str]:
    """Return a key that sorts measurements by time; those without a time come last, by name."""
    moment = header.time_of("scan_time") if header else None
    return (True, path.name) if moment is None else (False, moment.isoformat())
