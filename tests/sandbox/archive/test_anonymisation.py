"""A fresh site's script runs on receipt, a project's when archiving; both leave their number."""

import io
from typing import Any

import numpy as np
import pytest
from archive_server import ServeArchive, Served
from dicoms import Study, encode, make_object, make_study, make_zip
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless
from study_calls import DICOM, IMPORT, archive, send, waiting

from sandbox.archive.dicomedit import ScriptError, parse_script

PLAIN = {"Content-Type": "text/plain"}
JSON = {"Content-Type": "application/json"}
OURS = Study("mouse1", "mouse1_MR1", values={"StudyDescription": "trial", "OperatorsName": "A^B"})


@pytest.fixture
def site(serve: ServeArchive) -> Served:
    """A fresh archive with the projects P1 and P2."""
    served = serve()
    for project in ("P1", "P2"):
        assert served.put(f"/data/projects/{project}").status_code == 200
    return served


def put_script(site: Served, *lines: str, project: str = "P1", version: str = "6.1") -> Any:
    place = f"projects/{project}" if project else "site"
    script = "\n".join([f'version "{version}"', *lines])
    return site.put(f"/xapi/anonymize/{place}", data=script, headers=PLAIN)


def stored(site: Served, session: str = "mouse1_MR1", project: str = "P1") -> list[Dataset]:
    files = site.rows(f"/data/projects/{project}/experiments/{session}/scans/ALL/files")
    found = [dcmread(io.BytesIO(site.get(row["URI"]).content)) for row in files]
    return sorted(found, key=lambda one: str(one.SOPInstanceUID))


def notes(one: Dataset) -> list[str]:
    return [str(item.CodeValue) for item in one.get("DeidentificationMethodCodeSequence") or []]


def test_fresh_site_writes_project_subject_and_session_and_a_note(site: Served) -> None:
    objects = make_study(OURS, 1, 2)
    answer = archive(site, objects, subject="S1", session="S1_MR")
    assert answer.status_code == 200, answer.text
    for one in stored(site, "S1_MR"):
        assert (one.StudyDescription, one.PatientName, one.PatientID) == ("P1", "S1", "S1_MR")
        (item,) = one.DeidentificationMethodCodeSequence
        assert (item.CodeValue, item.CodingSchemeDesignator, item.CodingSchemeVersion) == (
            "1",
            "XNAT",
            "1.0",
        )
        assert item.CodeMeaning == "XNAT DicomEdit 6 Script"
        assert one.OperatorsName == "A^B"
        (sent,) = [ds for ds in objects if ds.SOPInstanceUID == one.SOPInstanceUID]
        assert one.PixelData == sent.PixelData


def test_study_of_no_project_keeps_its_description(site: Served) -> None:
    assert send(site, [make_object(OURS)]).status_code == 200
    (row,) = waiting(site)
    assert row["project"] == "Unassigned"
    scans = f"/data{row['url']}/scans/1/resources/DICOM/files"
    (file,) = site.rows(scans)
    found = dcmread(io.BytesIO(site.get(f"{scans}/{file['Name']}").content))
    assert (found.StudyDescription, found.PatientID) == ("trial", "mouse1_MR1")


@pytest.mark.parametrize("way", ["xapi", "older"])
def test_site_script_is_switched_off_and_on(site: Served, way: str) -> None:
    def switch(value: str) -> int:
        if way == "older":
            path = "/data/config/edit/image/dicom/status"
            return site.put(path, params={"activate": value}).status_code
        path = "/xapi/anonymize/site/enabled"
        return site.put(path, params={"enable": value}, headers=JSON).status_code

    assert site.get("/xapi/anonymize/site/enabled").json() is True
    assert switch("false") == 200
    assert site.get("/xapi/anonymize/site/enabled").json() is False
    objects = [make_object(OURS)]
    assert archive(site, objects).status_code == 200
    (one,) = stored(site)
    assert encode(one) == encode(objects[0])
    assert switch("true") == 200
    (row,) = site.rows("/data/config/edit/image/dicom/status")
    assert (row["edit"], row["id"]) == ("true", "1")


def test_sender_that_anonymised_itself_prevents_it(site: Served) -> None:
    assert put_script(site, "- (0008,1070)").status_code == 200
    assert archive(site, [make_object(OURS)], prevent_anon="true").status_code == 200
    (one,) = stored(site)
    assert (one.StudyDescription, one.OperatorsName, notes(one)) == ("trial", "A^B", [])


def test_project_script_leaves_a_second_note_when_archived(site: Served) -> None:
    assert put_script(site, "- (0008,1070)").status_code == 200
    assert send(site, make_study(OURS, 1, 2), project="P1", dest="/prearchive").status_code == 200
    (row,) = waiting(site)
    assert site.post("/data/services/archive", params={"src": row["url"]}).status_code in (200, 303)
    for one in stored(site):
        assert ("OperatorsName" in one, notes(one)) == (False, ["1", "2"])


def test_project_script_runs_again_at_relabel_and_move(site: Served) -> None:
    assert put_script(site, "(0010,0020) := session").status_code == 200
    assert archive(site, [make_object(OURS)]).status_code == 200
    path = "/data/projects/P1/subjects/mouse1/experiments"
    assert site.put(f"{path}/mouse1_MR1", params={"label": "OTHER"}).status_code == 200
    (one,) = stored(site, "OTHER")
    assert (one.PatientID, notes(one)) == ("OTHER", ["1", "2", "2"])
    moved = "(0008,1030) := project"
    assert put_script(site, moved, "reject", project="P2").status_code == 200
    answer = site.put(f"{path}/OTHER/projects/P2", params={"primary": "true"})
    assert answer.status_code == 200, answer.text
    (one,) = stored(site, "OTHER", "P2")
    assert notes(one) == ["1", "2", "2"]  # what is archived is never rejected any more
    assert put_script(site, moved, project="P2").status_code == 200
    path = "/data/projects/P2/experiments/OTHER"
    assert site.put(path, params={"label": "THIRD"}).status_code == 200
    (one,) = stored(site, "THIRD", "P2")
    assert (one.StudyDescription, notes(one)) == ("P2", ["1", "2", "2", "4"])
    (file,) = site.rows("/data/projects/P2/experiments/THIRD/scans/1/files")
    assert int(file["Size"]) == len(site.get(file["URI"]).content)


def test_rejected_objects_are_left_out_and_an_emptied_session_is_an_error(site: Served) -> None:
    put_script(site, '(0020,0011) = "2" ? reject', project="")
    assert archive(site, make_study(OURS, 2, 2)).status_code == 200
    assert len(stored(site)) == 2
    answer = archive(site, make_study(Study("m2", "m2_MR"), 2, 1)[1:])
    assert (answer.status_code, answer.text) == (200, "")
    (row,) = waiting(site)
    assert row["status"] == "ERROR"


def test_project_script_that_rejects_all_leaves_the_data_in_the_prearchive(site: Served) -> None:
    put_script(site, "reject")
    answer = archive(site, make_study(OURS, 1, 2))
    assert (answer.status_code, "rejects every object" in answer.text) == (400, True)
    (row,) = waiting(site)
    assert row["status"] == "ERROR"
    put_script(site, "- (0008,1070)")
    answer = site.post("/data/services/archive", params={"src": row["url"]})
    assert answer.status_code in (200, 303)
    assert [notes(one) for one in stored(site)] == [["1", "3"]] * 2


def test_compressed_objects_are_unpacked_where_there_is_a_codec(site: Served) -> None:
    one = make_object(OURS)
    pixels = one.pixel_array.copy()
    one.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    other = make_object(OURS, instance=2)
    other.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    other.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"  # MPEG2: no codec
    assert archive(site, [one, other]).status_code == 200
    found = {int(one.InstanceNumber): one for one in stored(site)}
    assert found[1].file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(found[1].pixel_array, pixels)
    assert found[1].SOPInstanceUID == one.SOPInstanceUID
    assert found[2].file_meta.TransferSyntaxUID == other.file_meta.TransferSyntaxUID
    assert found[2].PixelData == other.PixelData
    assert found[2].PatientID == "mouse1_MR1"


def test_gradual_import_is_anonymised_too(site: Served) -> None:
    params = {
        "import-handler": "gradual-DICOM",
        "PROJECT_ID": "P1",
        "SUBJECT_ID": "S9",
        "EXPT_LABEL": "S9_MR",
    }
    answer = site.post(IMPORT, params=params, data=encode(make_object(OURS)), headers=DICOM)
    assert answer.status_code == 200, answer.text
    path = answer.text.strip()
    assert site.post(path, params={"action": "commit", "AA": "true"}).status_code == 301
    (one,) = stored(site, "S9_MR")
    assert (one.StudyDescription, one.PatientName, one.PatientID) == ("P1", "S9", "S9_MR")


def test_scripts_are_read_and_set_with_the_right_rights(site: Served) -> None:
    assert "project != " in site.get("/xapi/anonymize/site").text
    assert site.get("/xapi/anonymize/default").text == site.get("/xapi/anonymize/site").text
    assert site.get("/xapi/anonymize/projects/P1").status_code == 204
    assert site.get("/xapi/anonymize/projects/P1/enabled").json() is False
    assert put_script(site, "- (0008,1070)").status_code == 200
    assert site.get("/xapi/anonymize/projects/P1/enabled").json() is True
    site.put("/xapi/anonymize/projects/P1/enabled", params={"enable": "false"}, headers=JSON)
    assert archive(site, [make_object(OURS)]).status_code == 200
    assert [notes(one) for one in stored(site)] == [["1"]]
    assert site.get("/xapi/anonymize/projects/NONE").status_code == 404
    (row,) = site.rows("/data/config/edit/projects/P1/image/dicom/script")
    assert "(0008,1070)" in row["script"]
    made = site.post("/xapi/users", json={"username": "ann", "password": "p", "email": "a@b.c"})
    assert made.status_code in (200, 201), made.text
    ann = site.as_user("ann", "p")
    assert put_script(ann, "reject", project="").status_code == 403
    assert ann.get("/xapi/anonymize/site").status_code == 200
    assert put_script(ann, "reject").status_code in (403, 404)


@pytest.mark.parametrize(
    "line",
    [
        "(0008,1070) := shiftDateByIncrement[(0008,0020), 3]",
        "(50XX,0010) := session",
        "(0008,1140)[0]/(0008,1150) := session",
        'alterPixels["rectangle"]',
        "(0008,1070) := nobody",
        "(0010,0020) := session session",
        "delete (0008,1070)",
    ],
)
def test_statement_that_is_not_known_is_refused_as_a_whole(site: Served, line: str) -> None:
    before = site.get("/xapi/anonymize/site").text
    answer = put_script(site, "(0010,0020) := session", line, project="")
    assert (answer.status_code, "does not know the statement" in answer.text) == (400, True)
    assert site.get("/xapi/anonymize/site").text == before
    assert put_script(site, version="4").status_code == 400


@pytest.mark.parametrize(
    ("lines", "result"),
    [
        (['(0010,0020) := "a // b" // c'], "a // b"),
        (
            ['x := concatenate[project, "_", (0010,0010)]', "(0010,0020) := uppercase[x]"],
            "P1_MOUSE1",
        ),
        (['(0008,0060) = "MR" ? (0010,0020) := "yes" : (0010,0020) := "no"'], "yes"),
        (['(0008,0060) !~ "M." ? (0010,0020) := "yes" : (0010,0020) := "no"'], "no"),
        (["- (0010,0020)"], None),
        (["removeAllPrivateTags"], "mouse1_MR1"),
    ],
)
def test_statements_do_what_they_say(lines: list[str], result: str | None) -> None:
    one = make_object(OURS)
    one.private_block(0x0099, "MAKER", create=True).add_new(1, "LO", "secret")
    script = parse_script("\n".join(['version "6.3"', *lines]))
    rejected = script.apply(one, {"project": "P1", "subject": "S", "session": "E"})
    assert (rejected, one.get("PatientID")) == (False, result)
    assert ((0x0099, 0x0010) in one) is ("removeAllPrivateTags" not in lines)


def test_script_without_its_version_is_refused() -> None:
    for text in ("", "reject", 'version "4"\nreject'):
        with pytest.raises(ScriptError):
            parse_script(text)


def test_zip_of_one_object_is_what_gradual_sends(site: Served) -> None:
    """Every way in ends in the same bytes."""
    one = make_object(OURS)
    site.post(IMPORT, params={"dest": "/archive/projects/P1"}, data=make_zip([one]),
              headers={"Content-Type": "application/zip"})  # fmt: skip
    site.post(IMPORT, params={"import-handler": "gradual-DICOM", "PROJECT_ID": "P2",
                              "SUBJECT_ID": "mouse1", "EXPT_LABEL": "mouse1_MR1"},
              data=encode(one), headers=DICOM)  # fmt: skip
    (row,) = waiting(site)
    site.post(f"/data{row['url']}", params={"action": "commit", "AA": "true"})
    (first,), (second,) = stored(site), stored(site, project="P2")
    second.StudyDescription = "P1"
    assert encode(first) == encode(second)
