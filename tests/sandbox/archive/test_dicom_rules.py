"""DICOM assignment and typing rules: what headers make of projects, sessions and scans."""

import re

import pydicom.datadict
import pytest
from pydicom.uid import UID_dictionary

from sandbox.archive import dicom_rules
from sandbox.archive.dicom_rules import assign, describe, file_name, rules, session_type

IMAGES = "1.2.840.10008.5.1.4.1.1."
MR, CT, PET, SC = IMAGES + "4", IMAGES + "2", IMAGES + "128", IMAGES + "7"
RTSTRUCT, SEG, RAW = IMAGES + "481.3", IMAGES + "66.4", IMAGES + "66"


def header(sop: str = MR, modality: str = "MR", **values: str) -> dict[str, str]:
    found = {
        "SOPClassUID": sop,
        "Modality": modality,
        "StudyInstanceUID": "1.2",
        "SeriesInstanceUID": "1.2.3",
        "SOPInstanceUID": "1.2.3.4",
    }
    return {key: value for key, value in {**found, **values}.items() if value}


def known(name: str) -> str:
    return {"P1": "P1", "alias1": "P1", "P2": "P2"}.get(name, "")


@pytest.mark.parametrize(
    ("values", "project"),
    [
        ({"PatientComments": "Project:P1 Subject:s", "StudyDescription": "P2"}, "P1"),
        ({"PatientComments": "Project:NONE", "StudyComments": "project : P2;x"}, "P2"),
        ({"AdditionalPatientHistory": "a,PROJECT:P1,b"}, "P1"),
        ({"StudyDescription": "alias1"}, "P1"),
        ({"StudyDescription": "other", "AccessionNumber": "P2"}, "P2"),
        ({"StudyDescription": "other"}, ""),
        ({"PatientComments": "xProject:P1"}, ""),
        ({"PatientComments": "Project:P1!"}, ""),
    ],
)
def test_project_is_the_first_that_may_be_written(values: dict[str, str], project: str) -> None:
    assert assign(header(**values), known).project == project


def test_subject_session_and_archiving_come_from_comments_first() -> None:
    comments = "Project:P1, Subject: S_1; Session:S_1-MR AA:false"
    found = assign(header(PatientComments=comments, PatientName="name^x", PatientID="id"), known)
    assert (found.subject, found.session, found.auto_archive) == ("S_1", "S_1-MR", "false")


def test_subject_and_session_fall_back_to_name_and_id() -> None:
    found = assign(header(PatientName="name^x", PatientID="id 1"), known)
    assert (found.subject, found.session, found.auto_archive) == ("name^x", "id 1", "")


@pytest.mark.parametrize(
    ("objects", "kind"),
    [
        ([(MR, "MR"), (RTSTRUCT, "RTSTRUCT")], "mr"),
        ([(PET, "PT"), (CT, "CT")], "pet"),
        ([(PET, "PT"), (CT, "CT"), (RTSTRUCT, "RTSTRUCT")], "pet"),
        ([(PET, "PT"), (MR, "MR")], "petmr"),
        ([(SC, "SC")], "otherDicom"),
        ([(SC, "CT")], "ct"),
        ([(MR, "")], "mr"),
        ([(RAW, "MR")], "mr"),
        ([(SEG, "SEG")], "otherDicom"),
        ([(CT, "CT"), (MR, "MR")], "mr"),
        ([(RAW, "OT"), (RAW, "US")], "us"),
    ],
)
def test_session_type(objects: list[tuple[str, str]], kind: str) -> None:
    assert session_type(header(*pair) for pair in objects) == f"xnat:{kind}SessionData"


@pytest.mark.parametrize(
    ("sop", "kind"),
    [
        (MR, "mr"),
        (MR + ".1", "mr"),
        (MR + ".2", "mrs"),
        (SC, "sc"),
        (SEG, "seg"),
        (RTSTRUCT, "rtImage"),
        (IMAGES + "88.33", "sr"),
        (RAW, "otherDicom"),
        (IMAGES + "13.1.1", "xa"),
        ("1.2.3.4.5", "otherDicom"),
    ],
)
def test_scan_type(sop: str, kind: str) -> None:
    assert dicom_rules.scan_type([header(sop)]) == f"xnat:{kind}ScanData"


def test_scan_ids_are_series_numbers_and_shared_ones_are_told_apart() -> None:
    series = {
        "1.1": header(SeriesNumber="5"),
        "1.2": header(SeriesNumber="5"),
        "1.3": header(SeriesNumber="5", modality="PT"),
        "1.4": header(SeriesNumber="6"),
        "1.5": header(SeriesNumber="+7"),
        "1.6-x": header(SeriesInstanceUID="1.6-x"),
        "1.7": header(SeriesNumber="5", modality=""),
    }
    assert dicom_rules.scan_ids(series) == {
        "1.1": "5-MR1",
        "1.2": "5-MR2",
        "1.3": "5-PT1",
        "1.4": "6",
        "1.5": "_7",
        "1.6-x": "1_6_x",
        "1.7": "5-OT1",
    }


def test_description_of_a_study() -> None:
    common = {
        "StudyDate": "20240131",
        "StudyTime": "101112.5",
        "PatientName": "m 1",
        "SeriesNumber": "3",
        "SeriesDescription": "T2 map",
        "RepetitionTime": "2500.0",
        "PixelSpacing": "0.2\\0.1",
    }
    objects = [
        header(**common, SOPInstanceUID="1.2.3.2", InstanceNumber="2", EchoTime="20"),
        header(**common, SOPInstanceUID="1.2.3.1", InstanceNumber="1", EchoTime="10"),
    ]
    made = describe(objects)
    assert made.xsi_type == "xnat:mrSessionData"
    assert made.fields == {
        "date": "2024-01-31", "time": "10:11:12", "UID": "1.2", "dcmPatientName": "m 1",
        "modality": "MR",
    }  # fmt: skip
    (scan,) = made.scans
    assert (scan.id, scan.series, scan.xsi_type) == ("3", "1.2.3", "xnat:mrScanData")
    assert scan.fields["type"] == scan.fields["series_description"] == "T2 map"
    assert scan.fields["frames"] == "2"
    assert scan.fields["parameters/te"] == "10"
    assert (scan.fields["parameters/voxelRes/x"], scan.fields["parameters/voxelRes/y"]) == (
        "0.1",
        "0.2",
    )


@pytest.mark.parametrize(
    ("directions", "plane"),
    [
        ("1\\0\\0\\0\\1\\0", "Tra"),
        ("1\\0\\0\\0\\0\\-1", "Cor"),
        ("0\\1\\0\\0\\0\\-1", "Sag"),
        ("0.8\\0.6\\0\\0\\0\\1", "Cor"),
        ("1\\0\\0", ""),
        ("1\\0\\0\\1\\0\\0", ""),
    ],
)
@pytest.mark.parametrize(("sop", "modality"), [(MR, "MR"), (CT, "CT"), (PET, "PT")])
def test_plane_and_field_of_view_of_a_scan(
    directions: str, plane: str, sop: str, modality: str
) -> None:
    values = {"ImageOrientationPatient": directions, "Columns": "96", "Rows": "64"}
    (scan,) = describe([header(sop, modality, **values)]).scans
    wanted = {"orientation": plane, "fov/x": "96", "fov/y": "64"}
    shown = {name: scan.fields.get(f"parameters/{name}", "") for name in wanted}
    assert shown == (wanted if sop != PET else dict.fromkeys(wanted, ""))


@pytest.mark.parametrize(
    ("ends", "label"),
    [
        ("4 4.1 2 2.1 128 130 6.1 3.1 20 481.1 481.2 88.11 88.22 9.1.1", "DICOM"),
        ("30 66.4 7 481.3 88.33 88.34 4.3 4.4 4.2 2.2 128.1 12.1.1 66", "secondary"),
    ],
)
def test_the_class_alone_decides_the_resource(ends: str, label: str) -> None:
    for end in ends.split():
        for kind in ("ORIGINAL\\PRIMARY", "DERIVED\\SECONDARY"):
            assert dicom_rules.resource_label(header(IMAGES + end, ImageType=kind)) == label, end
    assert sum(row["primary"] for row in rules()["sop"]) == 47


def test_frames_of_multiframe_objects_add_up() -> None:
    objects = [header(NumberOfFrames="40"), header(SOPInstanceUID="1.9", NumberOfFrames="2")]
    assert describe(objects).scans[0].fields["frames"] == "42"


def test_file_names_are_kept_where_they_are_safe() -> None:
    assert file_name(header(), "a/b/IM0001") == "IM0001"
    own = file_name(header(SeriesNumber="3", InstanceNumber="7"))
    assert re.fullmatch(r"1\.2-3-7-[0-9a-z]{1,10}\.dcm", own)  # a number to the base 36
    for unsafe in ("..", ".hidden", "a b", "x\ny", "ü", "", "-rf"):
        assert file_name(header(SeriesNumber="3", InstanceNumber="7"), unsafe) == own
    other = file_name(header(SeriesNumber="3", InstanceNumber="7", SOPInstanceUID="1.5"))
    assert other != own


def test_every_class_and_keyword_of_the_table_is_one_of_the_standard() -> None:
    table = rules()
    for row in table["sop"]:
        assert row["name"] in UID_dictionary[row["uid"]][0].replace(" Storage", "")
        assert row["session"] in {"", *table["session_order"]}
        assert row["source"]
    assert len({row["uid"] for row in table["sop"]}) == len(table["sop"])
    for keyword in dicom_rules.keywords():
        assert pydicom.datadict.tag_for_keyword(keyword) is not None
    assert len({(row["of"], row["path"]) for row in table["field"]}) == len(table["field"])
    assert set(table["modality"]) <= set(table["modality_order"])


def test_types_and_paths_of_the_table_are_in_the_schemas() -> None:
    from sandbox.archive import schema

    table = rules()
    for row in table["sop"]:
        assert schema.is_known(dicom_rules.scan_type([header(row["uid"])]))
        assert schema.is_known(session_type([header(row["uid"], "")]))
    for modality in table["modality"]:
        assert schema.is_known(session_type([header(RAW, modality)]))
    of = {"session": "xnat:mrSessionData", "scan": "xnat:ctScanData", "mr": "xnat:mrScanData"}
    of["mrSession"] = "xnat:mrSessionData"
    for row in table["field"]:
        named = ["xnat:mrScanData", "xnat:ctScanData"] if row["of"] == "plane" else [of[row["of"]]]
        for name in named:
            assert schema.data_type(name).find(row["path"]) is not None, row["path"]
