"""The table itself, its exports and its documentation page."""

import json
import os
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from click.testing import CliRunner
from programs import need_program
from pydicom import config
from pydicom.datadict import get_private_entry
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import STANDARD_VR, validate_value

from private_dictionaries import load, register, write_block
from private_dictionaries.cest import FIELDS
from private_dictionaries.cli import main

ROOT = Path(__file__).resolve().parents[2]
BOOK = load("cest")

# Table 1 of the paper, and the additions: element, keyword, VR.
EXPECTED = {
    0x01: ("ChemicalExchangeSaturationMethod", "LO"),
    0x02: ("SaturationType", "LO"),
    0x03: ("PulseShape", "LO"),
    0x04: ("B1Saturation", "DS"),
    0x05: ("PulseLength", "DS"),
    0x06: ("PulseNumber", "DS"),
    0x07: ("InterpulseDelay", "DS"),
    0x08: ("SaturationLength", "DS"),
    0x09: ("ReadoutTime", "DS"),
    0x10: ("PulseLength2", "DS"),
    0x11: ("DutyCycle", "DS"),
    0x12: ("RecoveryTime", "DS"),
    0x13: ("MeasurementNumber", "DS"),
    0x14: ("SaturationOffsetHz", "DS"),
    0x15: ("SaturationOffsetPpm", "DS"),
    0x20: ("ParameterSetOwner", "LO"),
    0x21: ("SaturationReferenceImage", "CS"),
    0x22: ("SaturationListIndex", "IS"),
    0x23: ("SaturationRepetition", "IS"),
    0x24: ("SaturationTimingSource", "CS"),
    0x25: ("B1Rms", "FD"),
    0x26: ("WorkingFrequency", "FD"),
    0x27: ("OffsetListSource", "LO"),
    0x30: ("SaturationFrameSequence", "SQ"),
}


def test_the_rows_are_those_of_the_paper_and_the_additions():
    assert {row.element: (row.keyword, row.vr) for row in BOOK.elements} == EXPECTED
    assert (BOOK.group, BOOK.creator) == (0x1061, "XNAT-PIC CEST")


def test_nothing_stands_twice():
    for name in ("element", "keyword", "name"):
        values = [getattr(row, name) for row in BOOK.elements]
        assert len(values) == len(set(values)), name
    fields = [row.field for row in BOOK.elements if row.field]
    assert len(fields) == len(set(fields))


@pytest.mark.parametrize("row", BOOK.elements, ids=lambda row: row.keyword)
def test_row_is_legal_and_complete(row):
    assert row.vr in STANDARD_VR
    assert row.vm == "1"
    assert row.level in ("ser", "img", "ser/img")
    assert row.keyword.isidentifier()
    assert row.definition.endswith(".")
    assert row.source
    assert (row.field in FIELDS) != (row.vr == "SQ")
    assert bool(row.unit) == (row.vr in ("DS", "FD", "IS"))
    for value in row.values:
        validate_value(row.vr, value, config.RAISE)


def test_the_creator_is_a_legal_long_string():
    validate_value("LO", BOOK.creator, config.RAISE)


@pytest.mark.parametrize("layout", BOOK.layouts, ids=lambda layout: layout.name)
def test_layouts_name_known_fields_once(layout):
    assert {name for _, _, name in layout.rows} <= FIELDS
    assert len({element for element, _, _ in layout.rows}) == len(layout.rows)
    assert len({name for _, _, name in layout.rows}) == len(layout.rows)
    assert {vr for _, vr, _ in layout.rows} <= {"LO", "DS", "CS", "IS", "FD"}
    assert layout.period
    assert layout.sign
    assert layout.source


def test_every_field_that_is_read_comes_from_some_row():
    from_rows = {name for layout in BOOK.layouts for _, _, name in layout.rows}
    assert FIELDS - from_rows == {"creator", "layout", "repairs", "acquisition_duration_s"}


def test_the_dictionary_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        BOOK.creator = "other"
    with pytest.raises(FrozenInstanceError):
        BOOK.elements[0].vr = "DS"
    assert load("cest") is BOOK


def test_an_unknown_dictionary_is_named_with_the_choices():
    with pytest.raises(ValueError, match=r"'pet'; choose one of \['cest'\]"):
        load("pet")
    with pytest.raises(KeyError, match="1999"):
        BOOK.layout("1999")


def test_register_serves_any_block():
    register("cest")
    register("cest")
    for block in (0x10, 0x11, 0xFF):
        tag = BOOK.tag("SaturationOffsetPpm", block=block)
        entry = get_private_entry(tag, "XNAT-PIC CEST")
        assert entry[:3] == ("DS", "1", "Saturation Offset (ppm)")
    assert BOOK.tag("PulseLength2") == 0x10611010


def _export(*arguments):
    result = CliRunner().invoke(main, ["export", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout_bytes.decode("utf-8")


def test_documentation_page_is_the_export():
    page = ROOT / "docs" / "reference" / "cest-dictionary.md"
    remedy = "run: python -m private_dictionaries export --format markdown -o " + "/".join(
        page.relative_to(ROOT).parts
    )
    assert page.read_text(encoding="utf-8") == _export("--format", "markdown"), remedy


def test_json_holds_every_row():
    content = json.loads(_export("--format", "json"))
    assert content["group"] == "1061"
    rows = {int(row["element"], 16): (row["keyword"], row["vr"]) for row in content["elements"]}
    assert rows == EXPECTED
    assert [layout["name"] for layout in content["layouts"]] == ["2019-11", "2020-04", "2021-01"]


def test_dcmtk_lines_have_five_fields():
    text = _export("cest", "--format", "dcmtk")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert text.isascii()
    assert len(lines) == len(EXPECTED)
    assert '(1061,"XNAT-PIC CEST",14)\tDS\tSaturationOffsetHz\t1\tPrivateTag' in lines
    assert all(line.count("\t") == 4 for line in lines)


def test_output_file_equals_standard_output(tmp_path):
    target = tmp_path / "cest.dic"
    assert _export("--format", "dcmtk", "-o", str(target)) == ""
    assert target.read_bytes().decode("ascii") == _export("--format", "dcmtk")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "pet", "--format", "json"], "choose one of ['cest']"),
        (["export", "--format", "xml"], "'dcmtk', 'json', 'markdown'"),
        (["export", "--format", "json", "-o", "no/such/folder/x"], "file in a folder that exists"),
    ],
)
def test_wrong_calls_name_a_remedy(arguments, words):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert words in result.output


def test_module_runs_and_stays_light():
    code = (
        "import sys, private_dictionaries.cli, private_dictionaries.cest_formulas\n"
        "import private_dictionaries.cest_offsets\n"
        "print(sorted({'numpy', 'pydicom'} & set(sys.modules)))"
    )
    light = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert light.stdout.strip() == "[]"
    version = subprocess.run(
        [sys.executable, "-m", "private_dictionaries", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert version.stdout.startswith("private_dictionaries ")


@pytest.mark.tool
def test_dcmdump_shows_the_keywords(tmp_path):
    dcmdump = need_program("dcmdump")
    # Every attribute that is not a sequence, with a value legal for its VR.
    values = {
        row.keyword: (row.values[0] if row.values else "text" if row.vr == "LO" else 7)
        for row in BOOK.elements
        if row.vr != "SQ"
    }
    ds = Dataset()
    write_block(ds, values)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    ds.file_meta.MediaStorageSOPInstanceUID = "2.25.1"
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    book = tmp_path / "cest.dic"
    book.write_text(_export("--format", "dcmtk"), encoding="ascii")
    shown = subprocess.run(
        [dcmdump, str(tmp_path / "a.dcm")],
        env=os.environ | {"DCMDICTPATH": str(book)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = {line[:11]: line for line in shown.stdout.splitlines()}
    for keyword in values:
        tag = BOOK.tag(keyword)
        line = lines[f"({tag >> 16:04x},{tag & 0xFFFF:04x})"]
        assert line.split()[-1] == keyword
        assert line.split()[1] == BOOK.by_keyword[keyword].vr
