"""Workbooks that are damaged, or made to do harm, end in a sentence."""

import random
import re
import zipfile
from pathlib import Path

import pytest

from uploader.errors import PlanError
from uploader.planning import spreadsheets
from uploader.planning.spreadsheets import read_xlsx, write_xlsx
from uploader.planning.workbook_notes import read_workbook_notes

SHEET = "xl/worksheets/sheet1.xml"


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "plan.xlsx"
    write_xlsx(path, {"plan": [["a", "b"], ["x", "y"]]})
    return path


def rewrite(path, change):
    """Pack a workbook again with another text of its sheet."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[SHEET] = change(members[SHEET])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(b'<row r="2"', b'<row hidden="1" r="x"'),
        lambda text: text.replace(b'<row r="2"', b'<row hidden="1" r="99999999999"'),
        lambda text: text.replace(b"<worksheet", b'<!DOCTYPE w [<!ENTITY a "b">]><worksheet', 1),
    ],
    ids=["cut", "a row without a number", "a row without an end", "an entity"],
)
def test_damaged_sheet_is_told_and_ends(book, change):
    rewrite(book, change)
    with pytest.raises(PlanError, match=r"plan\.xlsx cannot be read"):
        read_xlsx(book)
    read_workbook_notes(book)
    if Path("/proc/self/fd").is_dir():  # Windows could not replace what is left open
        opened = [one.readlink() for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
        assert book not in opened


@pytest.mark.parametrize(("row", "refused"), [(1_048_576, False), (1_048_577, True)])
def test_sheet_has_as_many_rows_as_the_format_allows(book, row, refused):
    """The rows between the first and one of a high number are filled in."""
    rewrite(book, lambda text: re.sub(rb'(\br="[A-Z]*)2"', rb'\g<1>%d"' % row, text))
    if refused:
        with pytest.raises(PlanError, match="a row has a number above 1048576"):
            read_xlsx(book)
    else:
        assert len(read_xlsx(book)["plan"]) == row


def test_workbook_that_unpacks_into_too_much_is_not_unpacked(book, monkeypatch):
    with zipfile.ZipFile(book) as archive:
        size = sum(one.file_size for one in archive.infolist())
    monkeypatch.setattr(spreadsheets, "_LARGEST_BOOK", size)
    assert read_xlsx(book)["plan"][1] == ["x", "y"]
    monkeypatch.setattr(spreadsheets, "_LARGEST_BOOK", size - 1)
    with pytest.raises(PlanError, match="it unpacks into"):
        read_xlsx(book)


@pytest.mark.parametrize(("size", "refused"), [(256 << 20, False), ((256 << 20) + 1, True)])
def test_workbook_unpacks_into_256_mib_at_most(book, size, refused):
    """Its list of contents announces the sizes; that of a member nobody reads is made up."""
    with zipfile.ZipFile(book) as archive:
        others = sum(one.file_size for one in archive.infolist()[1:])
    content = bytearray(book.read_bytes())
    first = content.index(b"PK\1\2")
    content[first + 24 : first + 28] = (size - others).to_bytes(4, "little")
    book.write_bytes(content)
    if refused:
        with pytest.raises(PlanError, match="unpacks into 256 MiB"):
            read_xlsx(book)
    else:
        assert read_xlsx(book)["plan"][1] == ["x", "y"]


@pytest.mark.parametrize(("letters", "refused"), [(32_767, False), (32_768, True)])
def test_cell_holds_32767_characters(tmp_path, letters, refused):
    path = tmp_path / "plan.xlsx"
    if refused:
        with pytest.raises(PlanError, match="32768 characters does not fit"):
            write_xlsx(path, {"plan": [["x" * letters]]})
        assert not path.exists()
    else:
        write_xlsx(path, {"plan": [["x" * letters]]})
        assert read_xlsx(path)["plan"] == [["x" * letters]]


def test_bytes_that_are_wrong_anywhere_never_end_in_a_fault_of_ours(book):
    order, whole = random.Random(1), book.read_bytes()
    told = 0
    for _ in range(200):
        content = bytearray(whole)
        for _ in range(order.randrange(1, 6)):
            content[order.randrange(len(content))] = order.randrange(256)
        book.write_bytes(content)
        try:
            read_xlsx(book)
        except PlanError:
            told += 1
        read_workbook_notes(book)
    assert told > 100
