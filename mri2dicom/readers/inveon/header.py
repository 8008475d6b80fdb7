"""The text header beside an Inveon image: one record a line, a main section, a block per frame."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from xnat_pic.errors import CorruptDataError

SIGNATURE = "header file for data file"
END = "end_of_header"
# A header of hundreds of frames has some hundred kilobytes; more is no header.
MAX_BYTES = 16 * 2**20
MAX_FRAMES = 20_000
_PEEK = 4096
# The keys that open a file without the usual sentence in its comments.
_FIRST_KEYS = frozenset({"version", "model", "manufacturer", "institution"})
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ASCTIME = re.compile(
    r"(?:[A-Za-z]{3}\w*\s+)?([A-Za-z]{3})\w*\s+(\d{1,2})\s+(\d{1,2}):(\d{2}):(\d{2})\s+(\d{4})$"
)
# str.splitlines would also part a line at a Latin-1 control character.
_LINE_END = re.compile(r"\r\n?|\n")
# Absent times are written as the beginning of the UNIX epoch, in whatever zone.
_EPOCH_YEARS = (1969, 1970)


@dataclass(frozen=True)
class Section:
    """Records of the main section or of one frame, in order; none is lost.

    Attributes
    ----------
    records : tuple
        (key, value) pairs; a value may be empty.
    location : str
        Where this is, for a sentence.
    """

    records: tuple[tuple[str, str], ...]
    location: str

    def all_values(self, key: str) -> list[str]:
        """Return every value of a key, in order."""
        return [value for name, value in self.records if name == key]

    def text(self, key: str) -> str | None:
        """Return the last value of a key; None where it is absent or empty."""
        return next((value for value in reversed(self.all_values(key)) if value), None)

    def number(self, key: str) -> float | None:
        """Return a key's first number; None where it is absent, empty or no number.

        Raises
        ------
        CorruptDataError
            If the value is infinite or says that it is not a number.
        """
        value = _parse_number(self.text(key))
        if value is not None and not math.isfinite(value):
            raise CorruptDataError(
                f"The header is damaged: {key} in {self.location} is '{self.text(key)}'."
            )
        return value

    def integer(self, key: str) -> int | None:
        """Return a key's first number as a whole one; None where it is none."""
        value = self.number(key)
        return int(value) if value is not None and value == int(value) else None

    def numbers(self, key: str) -> list[float]:
        """Return the numbers of a key's last value; what is no finite number ends them."""
        result: list[float] = []
        for token in (self.text(key) or "").split():
            value = _parse_number(token)
            if value is None or not math.isfinite(value):
                break
            result.append(value)
        return result


def _parse_number(text: str | None) -> float | None:
    try:
        return float(text.split()[0]) if text else None
    except ValueError:
        return None


@dataclass(frozen=True)
class Header:
    """One header: its main section and its frames."""

    main: Section
    frames: tuple[Section, ...]

    def scope(self, frame: int) -> Section:
        """Return what holds for one frame: its own records win over those of the main section."""
        own = self.frames[frame]
        return Section(self.main.records + own.records, own.location)

    def time_of(self, key: str) -> datetime | None:
        """Return the time that a key of the main section holds; None for an absent one."""
        return parse_time(self.main.text(key))


def parse_time(text: str | None) -> datetime | None:
    """Parse ``Sun Sep 16 01:03:52 1973``; None for anything else and for the UNIX epoch.

    Month names are English, whatever the language of this computer.
    """
    match = _ASCTIME.match((text or "").strip())
    if match is None or match[1].lower() not in _MONTHS or int(match[6]) in _EPOCH_YEARS:
        return None
    day, hour, minute, second = (int(match[k]) for k in (2, 3, 4, 5))
    try:
        return datetime(
            int(match[6]), _MONTHS.index(match[1].lower()) + 1, day, hour, minute, second
        )
    except ValueError:
        return None


def has_header_signature(path: Path) -> bool:
    """Tell whether a file begins as an Inveon header does; an unreadable one does not."""
    try:
        with path.open("rb") as file:
            text = file.read(_PEEK).decode("latin-1")
    except OSError:
        return False
    if SIGNATURE in text[:1024].lower():
        return True
    keys = [line.split()[0] for line in _LINE_END.split(text)[:-1] if _is_record(line)]
    return len(keys) >= 3 and set(keys[:3]) <= _FIRST_KEYS and keys[0] == "version"


def _is_record(line: str) -> bool:
    stripped = line.strip()
    return bool(stripped) and not stripped.startswith("#")


def read_header(path: Path) -> Header:
    """Read a header.

    Raises
    ------
    CorruptDataError
        If it is too large, holds what no text holds, or ends before it should.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise CorruptDataError(
            f"The header {path.name} is larger than {MAX_BYTES // 2**20} MiB: it is no header.",
            path=path,
        )
    if b"\0" in data:
        raise CorruptDataError(
            f"The header {path.name} is damaged: it holds bytes that are no text.", path=path
        )
    return parse(_LINE_END.split(data.decode("latin-1")), path.name)


def parse(lines: Iterable[str], name: str = "header") -> Header:
    """Parse the lines of a header.

    Parameters
    ----------
    lines : iterable of str
        Without line ends.
    name : str
        File name for messages.

    Raises
    ------
    CorruptDataError
        If a section has no end, frames do not count on from 0, or fewer of them are there than
        the header says.
    """
    main: Section | None = None
    frames: list[Section] = []
    records: list[tuple[str, str]] = []
    for line in filter(_is_record, lines):
        parts = line.strip().split(None, 1)
        key, value = parts[0], parts[1] if len(parts) > 1 else ""
        if key != END:
            records.append((key, value))
        elif main is None:
            main, records = Section(tuple(records), "the main section"), []
        elif records:
            frames.append(_frame(records, len(frames), name))
            records = []
    if main is None or records:
        where = "its main section" if main is None else f"frame {len(frames)}"
        raise CorruptDataError(
            f"The header {name} ends within {where}: it was not written or copied to its end. "
            "Copy it again."
        )
    announced = main.integer("total_frames")
    if announced is not None and announced > len(frames):
        raise CorruptDataError(
            f"The header {name} says {announced} frames and describes {len(frames)}: it was not "
            "written or copied to its end. Copy it again."
        )
    return Header(main, tuple(frames))


def _frame(records: list[tuple[str, str]], count: int, name: str) -> Section:
    key, value = records[0]
    if key != "frame" or _parse_number(value) != count:
        raise CorruptDataError(
            f"The header {name} is damaged: frame {count} begins with '{key} {value}'."
        )
    if count >= MAX_FRAMES:
        raise CorruptDataError(f"The header {name} describes more than {MAX_FRAMES} frames.")
    return Section(tuple(records), f"frame {count}")
