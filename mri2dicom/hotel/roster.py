"""The table of who lies where, as a technician keeps it."""

import csv
import io
import math
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path

from xnat_pic.errors import WrongCallError
from xnat_pic.text import safe_name

from ..dicom.header import subject_name
from ..dicom.overrides import SUBJECT_POSITIONS

COLUMNS = (
    *("position", "subject", "weight_g", "dose_mbq", "injection_time", "orientation"),
    *("x_mm", "y_mm"),
)
_REQUIRED = ("position", "subject")
_MAX_ANIMALS = 12
_MAX_BYTES = 2**16
_TIME_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M")
_MIRROR = {"left": "right", "right": "left"}


class BedView(Enum):
    """From where the names left and right of the table are seen."""

    IMAGE = "image"
    TECHNICIAN = "technician"


@dataclass(frozen=True)
class RosterEntry:
    """One animal of the table.

    Attributes
    ----------
    position : str
        As the person wrote it, in small letters.
    subject : str
    weight_g, dose_mbq : float or None
        Dose at the time of injection.
    injection_time : datetime or None
        By the scanner's clock.
    orientation : str
        DICOM Patient Position of this animal, empty where it is that of the header.
    centre_mm : tuple of float or None
        Given centre on the image, from its middle: to the right and down.
    """

    position: str
    subject: str
    weight_g: float | None = None
    dose_mbq: float | None = None
    injection_time: datetime | None = None
    orientation: str = ""
    centre_mm: tuple[float, float] | None = None

    def on_image(self, view: BedView) -> str:
        """Return the position as seen on the image: the technician's left is its right."""
        if view is BedView.IMAGE:
            return self.position
        return "-".join(_MIRROR.get(part, part) for part in self.position.split("-"))


def read_roster(path: Path) -> list[RosterEntry]:
    """Read the table.

    Raises
    ------
    WrongCallError
        If it is no such table: the sentence names the line.
    """
    if not path.is_file():
        raise WrongCallError(f"There is no table {path}.", path=path)
    if path.stat().st_size > _MAX_BYTES:
        raise WrongCallError(f"{path.name} is too large for a table of a bed.", path=path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise WrongCallError(
            f"{path.name} is no text in UTF-8.", path=path, hint="Save it as CSV (UTF-8)."
        ) from error
    first = text.partition("\n")[0]
    try:
        rows = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in first else ",")
        columns = [column.strip().lower() for column in rows.fieldnames or ()]
        rows.fieldnames = columns
        found = [(rows.line_num, row) for row in rows]
    except csv.Error as error:
        raise WrongCallError(f"{path.name} is no table: {error}.", path=path) from error
    _check_columns(path, columns)
    for number, row in found:
        if None in row:
            raise WrongCallError(
                f"{path.name}, line {number} has more values than there are columns.", path=path
            )
    lines = [(number, {k: (v or "").strip() for k, v in row.items()}) for number, row in found]
    entries = [_parse_entry(path, number, row) for number, row in lines if any(row.values())]
    _check_entries(path, entries)
    return entries


def _check_columns(path: Path, columns: list[str]) -> None:
    missing = [name for name in _REQUIRED if name not in columns]
    unknown = [name for name in columns if name not in COLUMNS]
    if missing or unknown or len(set(columns)) != len(columns):
        odd = next(iter(unknown or columns), "")
        what = f"has no column {missing[0]}" if missing else f"has the column {odd!r}"
        raise WrongCallError(
            f"{path.name} {what}.", path=path, hint=f"Columns are {', '.join(COLUMNS)}."
        )


def _parse_entry(path: Path, number: int, row: dict[str, str]) -> RosterEntry:
    where = f"{path.name}, line {number}"

    def quantity(name: str, *, positive: bool = True) -> float | None:
        text = row.get(name, "")
        if not text:
            return None
        try:
            value = float(text.replace(",", "."))
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or (positive and value <= 0):
            raise WrongCallError(f"{where}: {name} {text!r} is no usable number.", path=path)
        return value

    subject = row["subject"]
    if not subject or subject_name({"PatientID": subject}) != subject:
        raise WrongCallError(f"{where}: the subject {subject!r} cannot be an id.", path=path)
    orientation = row.get("orientation", "").upper()
    if orientation and orientation not in SUBJECT_POSITIONS:
        hint = f"It is one of {', '.join(SUBJECT_POSITIONS)}."
        raise WrongCallError(f"{where}: orientation {orientation!r}?", path=path, hint=hint)
    x, y = quantity("x_mm", positive=False), quantity("y_mm", positive=False)
    if (x is None) != (y is None):
        raise WrongCallError(f"{where}: give both x_mm and y_mm, or none.", path=path)
    return RosterEntry(
        position="-".join(row["position"].lower().replace("_", "-").split()),
        subject=subject,
        weight_g=quantity("weight_g"),
        dose_mbq=quantity("dose_mbq"),
        injection_time=_parse_time(row.get("injection_time", ""), where, path),
        orientation=orientation,
        centre_mm=None if x is None or y is None else (x, y),
    )


def _parse_time(text: str, where: str, path: Path) -> datetime | None:
    if not text:
        return None
    for form in _TIME_FORMATS:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    hint = "Write it as 2024-01-08 10:30:00."
    raise WrongCallError(f"{where}: injection_time {text!r} is no time.", path=path, hint=hint)


def _check_entries(path: Path, entries: list[RosterEntry]) -> None:
    if not entries or len(entries) > _MAX_ANIMALS:
        count = len(entries)
        raise WrongCallError(
            f"{path.name} names {count} animals; a bed has 1 to {_MAX_ANIMALS}.", path=path
        )
    for what, values in (
        ("position", [entry.position for entry in entries]),
        ("subject", [safe_name(entry.subject).casefold() for entry in entries]),
    ):
        twice = next((v for v in values if values.count(v) > 1), None)
        if twice is not None:
            raise WrongCallError(f"{path.name} names the {what} {twice!r} twice.", path=path)
    given = {entry.centre_mm is not None for entry in entries}
    if len(given) > 1:
        raise WrongCallError(f"{path.name}: give x_mm and y_mm for all animals or none.", path=path)
