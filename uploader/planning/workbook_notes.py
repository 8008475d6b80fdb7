"""What the values of a workbook do not show: hidden rows, merged cells, unsaved formulas."""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xnat_pic.text import counted, list_some

_WORTH_READING = re.compile(rb"<(\w+:)?(f|mergeCell)[\s/>]|hidden=")
_TRUE = ("1", "true")
_DAMAGED = (
    OSError, KeyError, ValueError, SyntaxError, zipfile.BadZipFile, zlib.error, EOFError,
    NotImplementedError, RuntimeError,
)  # fmt: skip


@dataclass
class SheetNotes:
    """What is to be known of one sheet.

    Attributes
    ----------
    hidden : list of int
        Numbers of the rows that are hidden, by hand or by a filter; the first row is 1.
    merged : list of str
        Ranges of merged cells, such as ``A2:A4``: only the first cell has the value.
    unsaved : list of str
        Cells with a formula whose value was not saved.
    """

    hidden: list[int] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)
    unsaved: list[str] = field(default_factory=list)

    def problem(self) -> str:
        """Return why its values cannot be read, as half a message; empty where they can."""
        if self.merged:
            ranges = list_some(self.merged)
            return f"has merged cells ({ranges}), of which only the first holds the value"
        if self.unsaved:
            return f"has formulas without a saved value ({list_some(self.unsaved)})"
        return ""

    def hidden_rows(self) -> str:
        """Return which rows are hidden, as a message; empty where none is."""
        if not self.hidden:
            return ""
        rows = counted(len(self.hidden), "row is", "rows are")
        return (
            f"{rows} hidden, by hand or by a filter, and counted all the same: "
            f"{list_some(self.hidden)}"
        )


def read_workbook_notes(path: Path) -> dict[str, SheetNotes]:
    """Return what is to be known of each sheet, by its name; nothing where it cannot be read."""
    from openpyxl.xml.functions import fromstring

    try:
        with zipfile.ZipFile(path) as archive:
            names = _sheet_files(
                fromstring(archive.read("xl/workbook.xml")),
                fromstring(archive.read("xl/_rels/workbook.xml.rels")),
            )
            there = set(archive.namelist())
            return {title: _notes(archive.read(name)) for title, name in names if name in there}
    except _DAMAGED:
        return {}  # the reader of its values says what is wrong with the file


def _sheet_files(book: Any, relations: Any) -> list[tuple[str, str]]:
    targets = {one.get("Id"): one.get("Target", "") for one in relations}
    found = []
    for one in book.iter():
        if _local(one.tag) == "sheet":
            key = next((value for name, value in one.items() if _local(name) == "id"), "")
            target = targets.get(key, "")
            place = target.lstrip("/") if target.startswith("/") else posixpath.join("xl", target)
            found.append((one.get("name", ""), place))
    return found


def _notes(content: bytes) -> SheetNotes:
    notes = SheetNotes()
    if not _WORTH_READING.search(content):
        return notes
    for name, element in _elements(content):
        if name == "row":
            if element.get("hidden") in _TRUE:
                notes.hidden.append(int(element.get("r", "0")))
            element.clear()
        elif name == "mergeCell":
            notes.merged.append(element.get("ref", ""))
        elif name == "c":
            parts = {_local(child.tag): child.text for child in element}
            if "f" in parts and not parts.get("v"):
                notes.unsaved.append(element.get("r", ""))
    return notes


def _elements(content: bytes) -> Iterator[tuple[str, Any]]:
    from openpyxl.xml.functions import iterparse

    for _, element in iterparse(io.BytesIO(content)):
        yield _local(element.tag), element


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
