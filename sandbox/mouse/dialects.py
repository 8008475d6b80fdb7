"""The dialects of ParaVision, read from ``dialects.toml``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache

from xnat_pic.tables import load_table

from .jcamp_write import Envelope, Symbol, Text, Value

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Dialect:
    """Every difference between versions that the writer has to know; see the table for each."""

    version: str
    title: str
    creator_version: str
    software_version: str
    visu_software_version: str
    visu_version: int
    rle: bool
    vis_every: int
    iso_dates: bool
    method_prefix: str
    sequence_suffix: str
    quoted_enums: bool
    frame_type_array: bool
    slice_packs: bool
    transposition: bool
    grad_encoding: bool
    diffusion_group: str
    visu_b_matrix: bool
    visu_grad_orient: bool
    field_strength: bool
    series_identity: bool
    experiment_number: bool
    subject_type: bool
    animal_transport: bool
    subject_keys: str
    saturation: str
    gradient_axes: list[int]
    grad_matrix_name: str
    axial_rows: list[int]
    against_normal: list[str]
    study_folder: str
    raw_file: str
    isa_labels: list[str]

    def date(self, when: datetime, length: int = 21) -> Value:
        """Spell a date as Visu parameters have it; `length` is the string length of 5.1."""
        if self.iso_dates:
            stamp = f"{when:%Y-%m-%dT%H:%M:%S},{when.microsecond // 1000:03d}{when:%z}"
            return Symbol(f"<{stamp}>")
        return Text(f"{when:%H:%M:%S} {when.day:2d} {_MONTHS[when.month - 1]} {when.year}", length)

    def epoch(self, when: datetime) -> Value:
        """Spell a date as seconds since 1970, with milliseconds and zone minutes from PV6 on."""
        seconds = int(when.timestamp())
        offset = when.utcoffset()
        minutes = 0 if offset is None else int(offset.total_seconds()) // 60
        return (seconds, when.microsecond // 1000, minutes) if self.iso_dates else seconds

    def enum(self, name: str) -> Symbol:
        """Spell the symbol of an enumeration that PV6 and later put between brackets."""
        return Symbol(f"<{name}>" if self.quoted_enums else name)

    def method_name(self, method: str) -> str:
        """Spell a method as ``method`` and ``acqp`` name it."""
        return f"{self.method_prefix}{method}"

    def envelope(self, path: str, when: datetime) -> Envelope:
        """Make the head and foot of the file that the scanner would have kept at `path`."""
        if not self.iso_dates:
            stamp = (
                f"{_DAYS[when.weekday()]} {_MONTHS[when.month - 1]} {when.day:2d} "
                f"{when:%H:%M:%S} {when.year} CET (UT+1h)  nmr"
            )
            return Envelope(self.title, (stamp, path), "", self.rle, self.vis_every)
        stamp = f"{when:%Y-%m-%d %H:%M:%S}.{when.microsecond // 1000:03d} {when:%z}"
        options = "Write Options: Symbolic Enums, RLE encoded arrays, symbol visibility"
        comments = [f"{stamp}  nmr@mouse", path, "process digital mouse"]
        return Envelope(
            self.title,
            tuple([options, *comments] if self.rle else comments),
            f"File finished by PARX at {stamp}",
            self.rle,
            self.vis_every,
        )


@cache
def load_dialect(version: str) -> Dialect:
    """Read one dialect; `version` is one of the column names of the table."""
    table = load_table("sandbox.mouse", "dialects.toml")
    facts = {row["name"]: row[version] for row in table["fact"]}
    return Dialect(version=version, **facts)
