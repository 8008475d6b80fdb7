"""The mapping tables: every row complete, known to the standard, and known to the code."""

import re
import tomllib
from collections import Counter
from importlib import resources

import pytest
from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

from mri2dicom.mapping.tables import load_mapping
from mri2dicom.readers.paravision.attributes import attribute_rows
from mri2dicom.readers.paravision.transforms import GAMMA_MHZ_PER_T, TRANSFORMS
from mri2dicom.series.model import Loop
from private_dictionaries import load

ROWS = attribute_rows()
CEST = load_mapping("paravision_cest")
METHODS = load_mapping("paravision_methods")["method"]
PARAMETER = re.compile(r"(Visu|(method|acqp|reco|subject):)[A-Za-z][A-Za-z0-9_]*")
# Computed for the CEST block, not written themselves.
HELPERS = {"ModuleTime"}


def name_of(row):
    return row["keyword"] if isinstance(row, dict) and "keyword" in row else "/".join(row.keyword)


def test_every_table_can_be_loaded_and_has_a_heading():
    folder = resources.files("mri2dicom.mapping")
    tables = [entry for entry in folder.iterdir() if entry.name.endswith(".toml")]
    assert len(tables) >= 3
    for table in tables:
        text = table.read_text("utf-8")
        assert text.startswith("# "), table.name
        assert tomllib.loads(text), table.name


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_an_attribute_row(row):
    assert row.source.strip()
    assert row.versions.strip()
    assert row.sources
    assert all(PARAMETER.fullmatch(name) for name in row.sources)
    assert len(set(row.sources)) == len(row.sources)
    for keyword in row.keyword:
        assert tag_for_keyword(keyword) is not None, keyword
    assert row.transform in TRANSFORMS
    uses_values = row.transform in ("term", "phase_encode_order")
    assert bool(row.values) == uses_values


@pytest.mark.parametrize("row", [row for row in ROWS if row.values], ids=name_of)
def test_terms_are_code_strings(row):
    for keyword in row.keyword:
        text = dictionary_VR(tag_for_keyword(keyword)) in ("LO", "SH")
        for term in row.values.values():
            assert text or re.fullmatch(r"[A-Z0-9_ ]{1,16}", term), (keyword, term)


def test_units_stand_where_the_standard_has_numbers():
    for row in ROWS:
        if row.unit:
            for keyword in row.keyword:
                assert dictionary_VR(tag_for_keyword(keyword)) in ("DS", "FD", "FL", "IS", "US")


def test_no_attribute_is_mapped_twice():
    counts = Counter(keyword for row in ROWS for keyword in row.keyword)
    assert [keyword for keyword, count in counts.items() if count > 1] == []


def test_every_transform_is_used():
    assert set(TRANSFORMS) == {row.transform for row in ROWS}


def test_only_single_values_are_mapped_to_single_valued_attributes():
    several = {"software_versions", "coil_elements", "acquisition_matrix"}
    for row in ROWS:
        for keyword in row.keyword:
            if row.transform in several:
                vr = dictionary_VR(tag_for_keyword(keyword))
                assert dictionary_VM(tag_for_keyword(keyword)) != "1" or vr == "SQ", keyword


def test_loops():
    loops = load_mapping("paravision")["loops"]
    assert all(name.startswith("FG_") for name in loops)
    assert {Loop(meaning) for meaning in loops.values()} >= {
        Loop.SLICE, Loop.ECHO, Loop.DIFFUSION, Loop.TIME, Loop.MAP, Loop.COMPLEX, Loop.COIL,
    }  # fmt: skip


@pytest.mark.parametrize("row", METHODS, ids=lambda row: row["name"])
def test_a_method_row(row):
    assert set(row) <= {"name", "echo", "epi", "varies", "source"}
    assert row["source"].strip()
    assert row.get("echo", "SPIN") in ("SPIN", "GRADIENT", "BOTH")
    assert row.get("epi", "YES") == "YES"
    assert not set(row["name"]) & set(":<> ()")


def test_no_method_stands_twice():
    names = [row["name"].lower() for row in METHODS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("row", CEST["value"], ids=name_of)
def test_a_saturation_row(row):
    known = {"keyword", "from", "source", "unit", "factor", "range", "text", "per_image"}
    assert set(row) <= known
    assert row["source"].strip()
    assert all(PARAMETER.fullmatch(name) for name in row["from"])
    elements = load("cest").by_keyword
    if row["keyword"] in HELPERS:
        return
    element = elements[row["keyword"]]
    assert row.get("text", False) == (element.vr == "LO")
    assert not row.get("per_image") or "img" in element.level
    micro = {"uT": "µT"}
    if "factor" in row:
        assert (row["unit"], row["factor"], element.unit) == ("us", 0.001, "ms")
    elif "unit" in row:
        assert micro.get(row["unit"], row["unit"]) == element.unit


@pytest.mark.parametrize("row", CEST["offsets"], ids=lambda row: row["from"])
def test_an_offset_row(row):
    assert set(row) <= {"from", "unit", "own", "ppm_limit", "source"}
    assert row["source"].strip()
    assert PARAMETER.fullmatch(row["from"])
    assert row["unit"] in ("hz", "ppm") or PARAMETER.fullmatch(row["unit"])
    assert ("ppm_limit" in row) == (row["unit"] == "ppm")


def test_the_order_of_trust_in_offset_lists():
    names = [row["from"].partition(":")[2] for row in CEST["offsets"]]
    assert len(set(names)) == len(names)
    order = [
        "PVM_ppgFreqList1",
        "PVM_SatTransFL",
        "PVM_SatTransFreqValues",
        "PVM_MagTransFL",
        "ACQ_O2_list",
    ]
    assert [name for name in names if name in order] == order


def test_the_rest_of_the_saturation_table():
    assert set(CEST) == {"gate", "value", "offsets", "single", "reference"}
    for name in ("gate", "single", "reference"):
        assert CEST[name]["source"].strip()
    for name in (*CEST["gate"]["from"], *CEST["single"]["from"], CEST["reference"]["from"]):
        assert PARAMETER.fullmatch(name)


def test_gyromagnetic_ratios():
    """Against the larmor frequencies of the periodic table at 2.3488 T, in MHz."""
    at_100_mhz = {
        "1H": 100.0,
        "2H": 15.351,
        "13C": 25.145,
        "19F": 94.094,
        "23NA": 26.452,
        "31P": 40.481,
    }
    for nucleus, frequency in at_100_mhz.items():
        ratio = GAMMA_MHZ_PER_T[nucleus] / GAMMA_MHZ_PER_T["1H"]
        assert ratio == pytest.approx(frequency / 100, rel=2e-3), nucleus
