"""Rows of text from and to .csv and .xlsx files, without loss whatever a text holds."""

from __future__ import annotations

import csv
import datetime
import io
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from xnat_pic.files import write_file

from ..errors import PlanError

Rows = list[list[str]]

_DELIMITERS = ",;\t"
_MARK = re.compile(r'"?sep=([,;\t])"?[,;\t]*(?:\r\n|\n|\r)', re.IGNORECASE)
# Signs that a spreadsheet program would take for a formula.
_FORMULA = "=+-@"
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
# Characters that a cell cannot hold are written as _xHHHH_, as in the format of .xlsx itself.
_UNWRITABLE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_LONGEST_CELL = 32767
_MOST_ROWS = 1_048_576  # of a sheet, by the format
_LARGEST_BOOK = 256 << 20  # bytes, unpacked


def escape(text: str) -> str:
    """Replace what a cell cannot hold."""
    text = _ESCAPED.sub(lambda match: f"_x005F_{match[0][1:]}", text)
    return _UNWRITABLE.sub(lambda match: f"_x{ord(match[0]):04X}_", text)


def unescape(text: str) -> str:
    """Undo `escape`."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def read_csv(path: Path) -> Rows:
    """Read a .csv file as our own writer, or a spreadsheet program of any language, left it.

    Raises
    ------
    PlanError
        If it cannot be read.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _unopened(path, error) from error
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = raw.decode("utf-16", "replace")
    else:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = raw.decode("cp1252", "replace")
    text, delimiter = _without_mark(text)
    delimiter = delimiter or _delimiter(text)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise unreadable(path, str(error)) from error
    return [[_from_csv(cell) for cell in row] for row in rows]


def write_csv(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write a .csv file; it appears complete or not at all."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerows([[_to_csv(cell) for cell in row] for row in rows])
    # The mark at the beginning tells spreadsheet programs that the text is UTF-8.
    save_file(path, out.getvalue().encode("utf-8-sig"))


def _without_mark(text: str) -> tuple[str, str]:
    """Take off a first line ``sep=;``, by which a program tells itself the sign between cells."""
    found = _MARK.match(text)
    return (text[found.end() :], found[1]) if found else (text, "")


def _delimiter(text: str) -> str:
    """Return the sign between cells: the most frequent in the first line that is no remark."""
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    head = next(lines, "")
    return max(_DELIMITERS, key=head.count)


def _to_csv(text: str) -> str:
    text = escape(text)
    bare = text.lstrip("'")
    risky = bare[:1] and bare[0] in _FORMULA and not _NUMBER.fullmatch(bare)
    return f"'{text}" if risky else text


def _from_csv(cell: str) -> str:
    bare = cell.lstrip("'")
    if cell.startswith("'") and bare[:1] and bare[0] in _FORMULA and not _NUMBER.fullmatch(bare):
        cell = cell[1:]
    return unescape(cell)


def read_xlsx(path: Path) -> dict[str, Rows]:
    """Read all sheets of an .xlsx file, by name; numbers and dates become text.

    Raises
    ------
    PlanError
        If it cannot be read.
    """
    from openpyxl import load_workbook

    _check_size(path)
    try:
        # Opened here: what fails to load keeps a file open that it opened itself.
        with (
            path.open("rb") as stream,
            closing(load_workbook(stream, read_only=True, data_only=True)) as book,
        ):
            return {sheet.title: _rows_of(sheet.values, path) for sheet in book.worksheets}
    except PlanError:
        raise
    except OSError as error:
        raise _unopened(path, error) from error
    except Exception as error:  # what a damaged file makes openpyxl raise has no common base
        raise unreadable(path, "it is no .xlsx file, or damaged") from error


def _check_size(path: Path) -> None:
    """Refuse a workbook that unpacks into more than any plan, before anything is unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(one.file_size for one in archive.infolist())
    except OSError as error:
        raise _unopened(path, error) from error
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise unreadable(path, "it is no .xlsx file, or damaged") from error
    if size > _LARGEST_BOOK:
        raise unreadable(path, f"it unpacks into {size >> 20} MiB")


def _rows_of(values: Iterable[Sequence[Any]], path: Path) -> Rows:
    """Return the rows of a sheet as text; openpyxl fills rows that are left out."""
    rows: Rows = []
    for row in values:
        if len(rows) >= _MOST_ROWS:
            raise unreadable(path, f"a row has a number above {_MOST_ROWS}")
        rows.append([_text(value) for value in row])
    return rows


def write_xlsx(
    path: Path, sheets: Mapping[str, Sequence[Sequence[str | int]]], widths: Sequence[int] = ()
) -> None:
    """Write an .xlsx file, one sheet for each name; every text stays a text.

    Parameters
    ----------
    widths : sequence of int
        Widths of the first sheet's columns, in characters; its first row stays in view.

    Raises
    ------
    PlanError
        If a text is longer than a cell can hold.
    """
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    ready = {
        title: [[_number_or_text(value, path) for value in row] for row in rows]
        for title, rows in sheets.items()
    }
    book = Workbook(write_only=True)
    for index, (title, rows) in enumerate(ready.items()):
        sheet = book.create_sheet(title)
        if index == 0:
            sheet.freeze_panes = "A2"
            for column, width in enumerate(widths, start=1):
                sheet.column_dimensions[get_column_letter(column)].width = width
        for number, row in enumerate(rows):
            cells: list[Any] = []
            for value in row:
                cell = WriteOnlyCell(sheet, value=value)
                if isinstance(value, str):
                    # A text that begins with = is no formula.
                    cell.data_type = "s"
                    cell.number_format = "@"
                if index == 0 and number == 0:
                    cell.font = Font(bold=True)
                cells.append(cell)
            sheet.append(cells)
    out = io.BytesIO()
    book.save(out)
    save_file(path, out.getvalue())


def _number_or_text(value: str | int, path: Path) -> str | int:
    if isinstance(value, int):
        return value
    text = escape(value)
    if len(text) > _LONGEST_CELL:
        raise PlanError(
            f"A text of {len(text)} characters does not fit into a cell of {path.name}.",
            path=path,
            hint="Save the plan as .csv.",
        )
    return text


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ") if value.time() != datetime.time() else str(value.date())
    return unescape(str(value))


def save_file(path: Path, content: bytes | str) -> None:
    """Write a file that belongs to a plan; it appears complete or not at all.

    Raises
    ------
    PlanError
        If it cannot be written.
    """
    try:
        write_file(path, content)
    except OSError as error:
        raise PlanError(
            f"{path} cannot be written: {error.strerror or 'the disk refuses'}.",
            path=path,
            hint="Close it in other programs, or choose another name with -o.",
        ) from error


def _unopened(path: Path, error: OSError) -> PlanError:
    if isinstance(error, FileNotFoundError):
        return PlanError(f"{path} is not there.", path=path, hint="Check its name and folder.")
    return unreadable(path, error.strerror or "the disk refuses")


def unreadable(path: Path, why: str) -> PlanError:
    """Return the error of a table that cannot be read."""
    return PlanError(f"{path} cannot be read: {why}.", path=path, hint="Use a .csv or .xlsx file.")
