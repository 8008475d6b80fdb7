"""One click folder: its text, its images, and the values of each image."""

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from xnat_pic.errors import CorruptDataError
from xnat_pic.files import file_digest

from .clickinfo import Section, normalized_key, read_click, sections_named
from .table import ImageRow, image_row, limit, value_rows

CLICK_FILE = "clickinfo.txt"
ANALYSED_FILE = "analyzedclickinfo.txt"
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_DATE = re.compile(r"([A-Za-z]{3,9})\.?\s+(\d{1,2}),?\s+(\d{4})")
_TIME = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})(?:\s*([AaPp])[Mm])?")
_EPOCH_1904 = datetime.datetime(1904, 1, 1)
_COEFFICIENT = re.compile(r"Coef\s*C-?ccd\s+at\s+FOV\s+([\d.]+)\s*,\s*f\s*([\d.]+)", re.IGNORECASE)


def parse_number(text: str) -> float | None:
    """Return the number a value begins with; text may follow it."""
    found = _NUMBER.match(text.strip())
    value = float(found[0]) if found else None
    return value if value is not None and abs(value) < 1e300 else None


def parse_date(text: str) -> datetime.date | None:
    """Return the date of English text such as ``Wednesday, January 5, 2022``."""
    for word, day, year in _DATE.findall(text):
        month = next((n for n, m in enumerate(_MONTHS, 1) if m.startswith(word.lower()[:3])), 0)
        try:
            return datetime.date(int(year), month, int(day))
        except ValueError:
            continue
    return None


def parse_time(text: str) -> datetime.time | None:
    """Return the time of text such as ``11:42:35`` or ``2:05:10 PM``."""
    found = _TIME.search(text)
    if not found:
        return None
    hour = int(found[1])
    if found[4]:
        hour = hour % 12 + (12 if found[4].lower() == "p" else 0)
    try:
        return datetime.time(hour, int(found[2]), int(found[3]))
    except ValueError:
        return None


@dataclass(frozen=True)
class Click:
    """A click folder.

    Attributes
    ----------
    folder : Path
    raw : tuple of Section
        Of ``ClickInfo.txt``: what the instrument recorded.
    analysed : tuple of Section
        Of ``AnalyzedClickInfo.txt``, where a person saved an analysis; labels may be newer there.
    files : dict
        Name in small letters to path.
    """

    folder: Path
    raw: tuple[Section, ...]
    analysed: tuple[Section, ...]
    files: dict[str, Path]

    def image_file(self, row: ImageRow) -> Path | None:
        """Return the image's file: the one its section names where it is there, else the usual."""
        stated = [
            s.value
            for prefix in row.sections
            for one in (self.raw, self.analysed)
            for s in sections_named(one, prefix)
        ]
        for name in (*stated, *row.files):
            found = self.files.get(Path(name.replace("\\", "/")).name.lower()) if name else None
            if found is not None:
                return found
        return None

    def value(self, name: str, row: ImageRow | None = None) -> str:
        """Return a value of the table as text, of an image where it is one of an image's."""
        entry = next(one for one in value_rows() if one["name"] == name)
        if entry["section"] == "image":
            sections = self._of_image(row or image_row("luminescent"))
        elif entry["section"] == "user label name set":
            both = (self.analysed, self.raw)
            sections = [s for one in both for s in sections_named(one, entry["section"])]
        else:
            both = (self.raw, self.analysed)
            sections = [s for one in both for s in sections_named(one, entry["section"])]
        return next((v for s in sections if (v := s.get(*entry["keys"]))), "")

    def quantity(self, name: str, row: ImageRow | None = None) -> float | None:
        """Return a value of the table as a number; None where there is none."""
        return parse_number(self.value(name, row))

    def acquisition_time(self, row: ImageRow) -> datetime.datetime | None:
        """Return when an image was taken, by the clock of the instrument; None if not stated.

        Another image's time stands in where its own section has none.
        """
        for one in (row, image_row("luminescent"), image_row("photograph")):
            day, hour = parse_date(self.value("date", one)), parse_time(self.value("time", one))
            if day is not None:
                return datetime.datetime.combine(day, hour or datetime.time())
        return None

    def clock_gap(self, row: ImageRow) -> datetime.timedelta | None:
        """Return how far date and time lie from the seconds since 1904; None if not comparable."""
        seconds, when = self.quantity("seconds_1904", row), self.acquisition_time(row)
        if seconds is None or when is None or not 0 < seconds < 1e10:
            return None
        return when - (_EPOCH_1904 + datetime.timedelta(seconds=seconds))

    def coefficient(self, fov_cm: float, f_number: float) -> float | None:
        """Return C-ccd for a field of view and f-number; None where the camera lists none."""
        for section in (
            s for one in (self.raw, self.analysed) for s in sections_named(one, "camera")
        ):
            for key, value in section.records:
                found = _COEFFICIENT.search(key)
                if found is None:
                    continue
                listed = (parse_number(found[1]) or 0.0, parse_number(found[2]) or 0.0)
                if abs(listed[0] - fov_cm) < 0.051 and abs(listed[1] - f_number) < 0.01:
                    coefficient = parse_number(value)
                    return coefficient if coefficient and coefficient > 0 else None
        return None

    @cached_property
    def animals(self) -> tuple[str, ...]:
        """The animals of the image, in the order of the list."""
        parts = re.split(r"[,;]", self.value("animal"))
        return tuple(part.strip() for part in parts if part.strip())

    def study_key(self) -> str:
        """Return what identifies the imaging session: instrument, labels and day.

        Clicks of one day with the same labels are one study, wherever their folders lie. Without
        a date, the text of the click itself stands in.
        """
        when = self.acquisition_time(image_row("luminescent"))
        names = ("serial", "model", "user", "group", "experiment", "time_point", "animal")
        if when is None:
            digest = file_digest(self.files[CLICK_FILE])
            return f"ivis\0{digest}"
        return "\0".join(["ivis", *(self.value(n) for n in names), when.date().isoformat()])

    def _of_image(self, row: ImageRow) -> list[Section]:
        """Return the sections of an image; the raw text counts before the analysed one.

        A corrected image has the settings of the luminescent one where its section is silent.
        """
        prefixes = row.sections
        if row.role == "corrected":
            prefixes += image_row("luminescent").sections
        found: list[Section] = []
        for prefix in prefixes:
            for sections in (self.raw, self.analysed):
                found += [s for s in sections_named(sections, prefix) if s not in found]
        return found


def open_click(folder: Path) -> Click:
    """Read the text of a click folder.

    Raises
    ------
    CorruptDataError
        If the text is damaged. A damaged analysis alone is left out.
    """
    files = {p.name.lower(): p for p in sorted(folder.iterdir()) if p.is_file()}
    raw = read_click(files[CLICK_FILE])
    analysed: tuple[Section, ...] = ()
    if ANALYSED_FILE in files:
        try:
            analysed = read_click(files[ANALYSED_FILE])
        except CorruptDataError:
            analysed = ()
    return Click(folder, raw, analysed, files)


def find_clicks(path: Path) -> Iterator[Path]:
    """Yield the click folders at or below a path, in the order of names; bounded."""
    pending = [path]
    count = 0
    while pending and count < limit("click_folders"):
        folder = pending.pop()
        count += 1
        try:
            entries = sorted(folder.iterdir(), reverse=True)
        except OSError:
            continue
        if any(e.name.lower() == CLICK_FILE and e.is_file() for e in entries):
            yield folder
        pending += [e for e in entries if e.is_dir() and not e.is_symlink()]


def has_click_signature(folder: Path) -> bool:
    """Tell whether a folder's ``ClickInfo.txt`` begins as one; reads a few bytes."""
    for entry in folder.iterdir():
        if entry.name.lower() == CLICK_FILE:
            try:
                with entry.open("rb") as file:
                    return b"***" in file.read(4096)
            except OSError:
                return False
    return False


def constant_attributes(click: Click) -> dict[str, Any]:
    """Return the DICOM attributes that the table gives directly."""
    result: dict[str, Any] = {}
    for row in value_rows():
        keyword, text = row.get("keyword"), click.value(row["name"])
        if not keyword or not text:
            continue
        if row["kind"] == "number":
            value = parse_number(text)
            if value is not None:
                result[keyword] = value
        elif row["kind"] == "sex":
            letter = {"m": "M", "f": "F"}.get(normalized_key(text)[:1])
            if letter:
                result[keyword] = letter
        else:
            result[keyword] = text
    return result
