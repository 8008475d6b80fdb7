"""Element paths, the tree of values, and its JSON and XML form."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.archive import schema
from sandbox.archive.elements import (
    build,
    canonical,
    flatten,
    from_xml,
    parse,
    to_json,
    to_xml,
    value_type,
)

NAMES = st.text(string.ascii_lowercase + string.digits + "_- .", min_size=1, max_size=12)
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("xsi_type", "path", "expected"),
    [
        ("xnat:mrScanData", "id", "ID"),
        ("xnat:mrSessionData", "SCANNER/Model", "scanner/model"),
        (
            "xnat:subjectData",
            "demographics[@xsi:type=xnat:demographicData]/GENDER",
            "demographics/gender",
        ),
        ("xnat:subjectData", "fields/field[name='a/b']/field", "fields/field[name=a/b]/field"),
        ("xnat:subjectData", "fields/field[name=x]", "fields/field[name=x]/field"),
        ("xnat:projectData", "aliases/alias", "aliases/alias/alias"),
        (
            "xnat:projectData",
            "investigators/investigator[2]/LASTNAME",
            "investigators/investigator[2]/lastname",
        ),
        (
            "xnat:mrScanData",
            "parameters/addParam[name=k]/addfield",
            "parameters/addParam[name=k]/addField",
        ),
        ("xnat:subjectData", "not/known[2]/here", "not/known[2]/here"),
    ],
)
def test_canonical_paths(xsi_type: str, path: str, expected: str) -> None:
    assert canonical(xsi_type, path) == expected
    assert canonical(xsi_type, expected) == expected


@pytest.mark.parametrize(
    ("xsi_type", "path", "expected"),
    [
        ("xnat:mrSessionData", "date", "xs:date"),
        ("xnat:mrScanData", "parameters/voxelRes/x", "xs:float"),
        ("xnat:subjectData", "demographics/yob", "xs:integer"),
        ("xnat:subjectData", "fields/field[name=a]/field", "xs:string"),
        ("xnat:subjectData", "nothing", "xs:string"),
    ],
)
def test_value_types(xsi_type: str, path: str, expected: str) -> None:
    assert value_type(xsi_type, path) == expected


@given(note=TEXTS, variables=st.dictionaries(NAMES.map(str.strip).filter(bool), TEXTS, max_size=4))
def test_xml_keeps_every_value(note: str, variables: dict[str, str]) -> None:
    values = {"note": note, "scanner/model": "M", "investigator/lastname": "L"}
    values |= {f"fields/field[name={name}]/field": text for name, text in variables.items()}
    document = to_xml(build("xnat:mrSessionData", values))
    back = flatten(from_xml(parse(document)))
    assert back == {path: text.strip() for path, text in values.items() if text.strip()}


def test_json_tells_numbers_and_parts() -> None:
    values = {"age": "3.5", "note": "7", "fields/field[name=dose]/field": "5"}
    told = to_json(build("xnat:mrSessionData", values))
    assert told["data_fields"] == {"age": 3.5, "note": "7"}
    assert told["children"][0]["field"] == "fields/field"
    assert told["children"][0]["items"][0]["data_fields"] == {"name": "dose", "field": "5"}


def test_a_number_that_is_none_stays_text() -> None:
    assert to_json(build("xnat:mrSessionData", {"age": "old"}))["data_fields"] == {"age": "old"}


def test_control_signs_leave_the_document_readable() -> None:
    document = to_xml(build("xnat:subjectData", {"group": "a\x00\x0bb"}))
    assert flatten(from_xml(parse(document))) == {"group": "ab"}


def test_plugin_elements_keep_their_namespaces() -> None:
    values = {"UID": "1.2", "fields/field[name=a]/field": "b", "name": "n"}
    text = to_xml(build("icr:roiCollectionData", values)).decode()
    assert "<xnat:fields><xnat:field" in text
    assert "<icr:UID>1.2</icr:UID>" in text
    assert text.index("xnat:fields") < text.index("icr:UID")


def test_names_for_people() -> None:
    assert schema.display_names("xnat:mrSessionData") == ("MR Session", "MR Sessions")
    assert schema.display_names("xnat:subjectData") == ("Subject", "Subjects")
    assert schema.display_names("icr:roiCollectionData")[1] == "ROI Collections"


def test_kinds() -> None:
    assert schema.kind_of("xnat:mrSessionData") == "experiment"
    assert schema.kind_of("icr:roiCollectionData") == "assessor"
    assert schema.kind_of("xnat:imageScanData") == ""
    assert schema.family_of("xnat:imageScanData") == "scan"
    assert schema.family_of("xnat:demographicData") == ""
