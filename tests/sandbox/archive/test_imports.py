"""Imports with every handler: what goes where, with every status."""

import hashlib
import io
import time

import pytest
from archive_server import Served
from dicoms import Study, encode, make_object, make_study, make_zip
from study_calls import (
    DICOM,
    EXISTS,
    IMPORT,
    ZIP,
    archive,
    contents,
    heading,
    scans,
    send,
    sessions,
    set_code,
    states,
    study_site,
    waiting,
)

from sandbox.archive import accounts


@pytest.fixture
def site(server: Served) -> Served:
    return study_site(server)


class TestDicomZip:
    def test_without_destination_it_is_being_received(self, site: Served) -> None:
        objects = make_study(Study())
        answer = send(site, objects, project="P1", subject="S1", session="E1")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/uri-list")
        uri = answer.text.removesuffix("\r\n")
        (row,) = waiting(site)
        assert uri == "/data" + row["url"]
        assert row["url"] == f"/prearchive/projects/P1/{row['timestamp']}/E1"
        assert row["status"] == "RECEIVING"
        assert (row["subject"], row["name"], row["tag"]) == (
            "S1",
            "E1",
            objects[0].StudyInstanceUID,
        )
        time.strptime(row["lastmod"], "%Y-%m-%d %H:%M:%S.%f")
        assert len(row["timestamp"]) == len("20240108_101112123")
        assert list(row) == [
            "project",
            "timestamp",
            "lastmod",
            "uploaded",
            "scan_date",
            "scan_time",
            "subject",
            "folderName",
            "name",
            "tag",
            "status",
            "url",
            "autoarchive",
            "prevent_anon",
            "prevent_auto_commit",
            "SOURCE",
            "VISIT",
            "PROTOCOL",
            "TIMEZONE",
        ]

    def test_to_the_prearchive_it_is_built(self, site: Served) -> None:
        answer = send(site, make_study(Study()), dest="/prearchive/projects/P1")
        uri = answer.text.strip()
        assert states(site) == ["READY"]
        (row,) = site.rows(uri)
        assert row["scan_time"] == "10:11:12"
        assert [r["ID"] for r in site.rows(uri + "/scans")] == ["1", "2"]
        (resource,) = site.rows(uri + "/scans/1/resources")
        assert (resource["label"], resource["file_count"]) == ("DICOM", "3")
        files = site.rows(uri + "/scans/1/resources/DICOM/files")
        assert [f["Name"] for f in files] == ["MR0001.dcm", "MR0002.dcm", "MR0003.dcm"]
        assert site.get(files[0]["URI"]).content[128:132] == b"DICM"
        assert "<xnat:MRSession" in site.get(uri + "?format=xml").text
        assert site.get(uri + "?format=zip").content[:2] == b"PK"
        assert "built" in site.get(uri + "/logs").text
        assert site.rows(uri + "/resources") == []
        assert site.get(uri + "/scans/9/resources").status_code == 404
        assert site.get(uri + "x").status_code == 404

    def test_to_the_archive_within_the_request(self, site: Served) -> None:
        objects = make_study(Study())
        answer = archive(site.keep_bytes(), objects)
        assert answer.text == (
            "/data/archive/projects/P1/subjects/mouse1/experiments/mouse1_MR1\r\n"
        )
        assert waiting(site) == []
        assert scans(site) == {"1": 3, "2": 3}
        base = "/data/projects/P1/subjects/mouse1/experiments/mouse1_MR1"
        digests = {row["digest"] for row in site.rows(base + "/scans/ALL/files")}
        assert digests == {hashlib.md5(encode(one)).hexdigest() for one in objects}
        item = site.get(base + "?format=json").json()["items"][0]
        assert item["meta"]["xsi:type"] == "xnat:mrSessionData"
        assert item["data_fields"]["UID"] == objects[0].StudyInstanceUID
        assert str(item["data_fields"]["date"]) == "2024-01-31"

    @pytest.mark.parametrize(
        "dest",
        [
            "/archive/projects/P1/subjects/S 1/experiments/E.1",
            "/data/archive/projects/P1/subjects/S 1/experiments/E.1",
        ],
    )
    def test_labels_are_cleaned_when_archived(self, site: Served, dest: str) -> None:
        answer = send(site, make_study(Study(), 1, 1), dest=dest)
        assert answer.text.strip() == "/data/archive/projects/P1/subjects/S_1/experiments/E_1"

    def test_subjects_are_found_without_case(self, site: Served) -> None:
        site.put("/data/projects/P1/subjects/MOUSE1")
        archive(site, make_study(Study(), 1, 1))
        assert [row["label"] for row in site.rows("/data/projects/P1/subjects")] == ["MOUSE1"]

    def test_headers_say_where_it_belongs(self, site: Served) -> None:
        comments = "Project:P2 Subject:S7 Session:S7_day1"
        objects = make_study(Study(values={"PatientComments": comments}), 1, 1)
        answer = send(site, objects, dest="/archive")
        assert answer.text.strip() == "/data/archive/projects/P2/subjects/S7/experiments/S7_day1"

    def test_without_a_project_it_is_unassigned(self, site: Served) -> None:
        answer = send(site, make_study(Study(), 1, 1), dest="/archive")
        assert answer.status_code == 400
        assert "unable to identify destination project" in heading(answer)
        (row,) = waiting(site)
        assert (row["project"], row["status"]) == ("Unassigned", "ERROR")
        assert row["url"].startswith("/prearchive/projects/Unassigned/")
        assert len(site.rows("/data/prearchive/projects/Unassigned")) == 1
        assert site.rows("/data/prearchive/projects/P1") == []

    def test_several_studies_in_one_file(self, site: Served) -> None:
        one = make_study(Study(patient="a", patient_id="a1"), 1, 2)
        two = make_study(Study(patient="b", patient_id="b1"), 1, 2)
        answer = archive(site, [*one, two[0]])
        assert sorted(answer.text.split()) == [
            "/data/archive/projects/P1/subjects/a/experiments/a1",
            "/data/archive/projects/P1/subjects/b/experiments/b1",
        ]

    def test_forms_and_tar(self, site: Served) -> None:
        data = make_zip(make_study(Study(), 1, 2))
        parts = {"image_archive": ("study.zip", data), "project": (None, "P1")}
        answer = site.post(IMPORT + "?dest=/prearchive", files=parts)
        assert answer.status_code == 200
        assert waiting(site)[0]["project"] == "P1"
        two = [("a", ("a.zip", data)), ("b", ("b.zip", data))]
        assert "limited to one" in heading(site.post(IMPORT, files=two))

    def test_repeated_import_while_receiving_is_one_session(self, site: Served) -> None:
        study = Study()
        first = send(site, make_study(study, 1, 2), project="P1")
        again = send(site, make_study(study, 2, 2), project="P1")
        assert first.text == again.text
        assert len(site.rows(first.text.strip() + "/scans")) == 2
        assert contents(site) == 4

    def test_nothing_but_files_that_are_no_dicom(self, site: Served) -> None:
        data = make_zip([], notes__txt=b"text")
        answer = site.post(IMPORT + "?Ignore-Unparsable=true", data=data, headers=ZIP)
        assert answer.status_code == 400
        assert "notes.txt" in heading(answer)

    def test_other_files_are_passed_over_where_asked(self, site: Served) -> None:
        data = make_zip(make_study(Study(), 1, 2), notes__txt=b"text")
        refused = site.post(IMPORT, data=data, headers=ZIP)
        assert refused.status_code == 400
        assert (waiting(site), contents(site)) == ([], 0)
        for query in ("?Ignore-Unparsable=true", "?action=commit"):
            assert site.post(IMPORT + query, data=data, headers=ZIP).status_code == 200
        assert contents(site) == 2

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ("import-handler=none", 404),
            ("import-handler=XAR", 404),
            ("dest=/elsewhere", 400),
            ("dest=/archive/projects", 400),
            ("src=/etc/passwd", 400),
            ("src=/user/cache/resources/none/files/a.zip", 404),
        ],
    )
    def test_bad_parameters(self, site: Served, query: str, status: int) -> None:
        data = make_zip(make_study(Study(), 1, 1))
        assert site.post(f"{IMPORT}?{query}", data=data, headers=ZIP).status_code == status
        assert contents(site) == 0

    def test_bad_bodies(self, site: Served) -> None:
        octets = {"Content-Type": "application/octet-stream"}
        answer = site.post(IMPORT, data=make_zip([]), headers=octets)
        assert heading(answer).startswith("Unsupported format")
        assert site.post(IMPORT, data=b"", headers=DICOM).status_code == 400
        assert site.post(IMPORT, data=iter([b"x"]), headers=octets).status_code == 400
        chunked = iter([make_zip(make_study(Study(), 1, 1))])
        assert site.post(IMPORT, data=chunked, headers=ZIP).status_code == 200

    def test_own_names_where_asked(self, site: Served) -> None:
        (one,) = make_study(Study(), 1, 1)
        archive(site, [one], rename="true")
        (row,) = site.rows("/data/projects/P1/experiments/mouse1_MR1/scans/1/files")
        assert row["Name"].startswith(f"{one.StudyInstanceUID}-1-1-")

    def test_other_object_of_the_same_name_gets_its_own(self, site: Served) -> None:
        study = Study()
        send(site, [make_object(study, 1, 1)], project="P1", dest="/prearchive")
        other = make_object(study, 1, 1, SOPInstanceUID="1.2.3.4")
        answer = send(site, [other], project="P1", dest="/prearchive")
        files = site.rows(answer.text.strip() + "/scans/1/resources/DICOM/files")
        assert len(files) == 2
        assert {f["Name"] for f in files} > {"MR0001.dcm"}

    def test_file_from_the_users_cache(self, site: Served) -> None:
        data = make_zip(make_study(Study(), 1, 2))
        path = "/user/cache/resources/up/files/f.zip"
        assert site.put("/data" + path, data=data, headers=ZIP).status_code == 200
        query = {"src": path, "dest": "/archive/projects/P1"}
        assert site.post(IMPORT, params=query).status_code == 200
        assert scans(site) == {"1": 2}

    def test_secondary_captures_have_their_own_resource(self, site: Served) -> None:
        study = Study()
        capture = make_object(study, 1, 9, sop_class="1.2.840.10008.5.1.4.1.1.7")
        archive(site, [*make_study(study, 1, 2), capture])
        rows = site.rows("/data/projects/P1/experiments/mouse1_MR1/scans/1/resources")
        assert {r["label"]: r["file_count"] for r in rows} == {"DICOM": "2", "secondary": "1"}

    def test_all_in_one_resource_where_the_site_does_not_separate(self, site: Served) -> None:
        name = "separateSecondaryDicomOnArchive"
        assert site.post("/xapi/siteConfig", json={name: False}).status_code == 200
        study = Study()
        capture = make_object(study, 1, 9, sop_class="1.2.840.10008.5.1.4.1.1.7")
        archive(site, [*make_study(study, 1, 2), capture])
        rows = site.rows("/data/projects/P1/experiments/mouse1_MR1/scans/1/resources")
        assert {r["label"]: r["file_count"] for r in rows} == {"DICOM": "3"}

    def test_series_without_number_or_with_the_same(self, site: Served) -> None:
        study = Study()
        objects = [
            make_object(study, 5, 1, series_uid="1.2.5.1"),
            make_object(study, 5, 2, series_uid="1.2.5.2"),
            make_object(study, None, 3, series_uid="1.2.5.3"),
        ]
        archive(site, objects)
        assert scans(site) == {"5-MR1": 1, "5-MR2": 1, "1_2_5_3": 1}


class TestRights:
    def test_only_who_may_edit(self, site: Served) -> None:
        with site.archive.database.write() as connection:
            for login in ("member", "reader"):
                accounts.set_user(connection, login, "pw")
            connection.execute("INSERT INTO member VALUES ('P1', 'member', 'Members')")
            connection.execute("INSERT INTO member VALUES ('P1', 'reader', 'Collaborators')")
        member, reader = site.as_user("member", "pw"), site.as_user("reader", "pw")
        objects = make_study(Study(), 1, 1)
        # A project that may not be added to counts as none was named: the data wait unassigned.
        assert archive(reader, objects).status_code == 400
        (lost,) = waiting(site)
        assert "/Unassigned/" in lost["url"]
        assert waiting(reader) == []
        assert reader.post(f"/data{lost['url']}?action=build").status_code == 200
        assert reader.post(f"/data{lost['url']}?action=move&newProject=P1").status_code == 403
        assert site.delete("/data" + lost["url"]).status_code == 200
        assert contents(site) == 0
        uri = send(member, objects, dest="/prearchive/projects/P1").text.strip()
        assert [row["url"] for row in waiting(member)] == [uri.removeprefix("/data")]
        assert waiting(reader) == []
        assert reader.get(uri).status_code == 403
        assert member.delete(uri).status_code == 403
        moved = member.post(f"/data/services/prearchive/move?src={uri}&newProject=P2")
        assert moved.status_code in (403, 404)
        assert reader.post(f"/data/services/archive?src={uri}").status_code == 403
        assert member.post(f"/data/services/archive?src={uri}").status_code == 303


class TestOldImporter:
    def test_it_builds_and_reports_conflicts_as_such(self, site: Served) -> None:
        set_code(site, "0")
        objects = make_study(Study(), 1, 2)
        params = {"import-handler": "SI"}
        assert send(site, objects, project="P1", **params).status_code == 200
        assert states(site) == ["READY"]
        assert archive(site, objects, **params).status_code == 200
        answer = archive(site, objects, **params)
        assert (answer.status_code, heading(answer)) == (409, EXISTS)


class TestGradual:
    QUERY = "?import-handler=gradual-DICOM"

    def test_object_by_object_then_commit(self, site: Served) -> None:
        set_code(site, "0")
        objects = make_study(Study(), 2, 3)
        uris = {
            site.post(f"{IMPORT}{self.QUERY}&PROJECT_ID=P1", data=encode(one), headers=DICOM).text
            for one in [*objects, objects[0]]
        }
        (uri,) = uris
        assert states(site) == ["RECEIVING"]
        answer = site.post(uri.strip() + "?action=commit")
        assert (answer.status_code, answer.text) == (200, uri)
        assert states(site) == ["READY"]
        assert contents(site) == 6
        answer = site.post(uri.strip(), data={"action": "commit", "AA": "true"})
        assert answer.status_code == 301
        assert "location" not in answer.headers
        assert answer.text == "/data/archive/projects/P1/subjects/mouse1/experiments/mouse1_MR1"
        assert scans(site) == {"1": 3, "2": 3}

    def test_only_upper_case_parameters_count(self, site: Served) -> None:
        one = encode(make_object(Study()))
        lower = "&project=P1&subject=S&session=E"
        site.post(f"{IMPORT}{self.QUERY}{lower}", data=one, headers=DICOM)
        upper = "&PROJECT_ID=P1&SUBJECT_ID=S&EXPT_LABEL=E"
        site.post(f"{IMPORT}{self.QUERY}{upper}", data=one, headers=DICOM)
        found = [(row["project"], row["subject"], row["name"]) for row in waiting(site)]
        assert found == [("Unassigned", "mouse1", "mouse1_MR1"), ("P1", "S", "E")]

    @pytest.mark.parametrize(
        "missing", ["SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID"]
    )
    def test_objects_that_lack_what_they_need(self, site: Served, missing: str) -> None:
        one = make_object(Study())
        data = encode(one)
        broken = make_object(Study())
        delattr(broken, missing)
        buffer = io.BytesIO()
        broken.save_as(buffer, enforce_file_format=False, implicit_vr=False, little_endian=True)
        for content in (buffer.getvalue(), data[:100], b"text", data[200:]):
            answer = site.post(IMPORT + self.QUERY, data=content, headers=DICOM)
            assert answer.status_code == 400
            assert heading(answer).startswith("unable to read DICOM object")
        assert (waiting(site), contents(site)) == ([], 0)


class TestDirectArchive:
    def test_straight_to_the_archive(self, site: Served) -> None:
        study = Study()
        answer = send(site, make_study(study, 1, 2), project="P1", **{"Direct-Archive": "true"})
        uri = answer.text.strip()
        assert uri == f"/xapi/direct-archive/P1/{study.uid}/mouse1_MR1"
        assert waiting(site) == []
        assert site.get(uri).json()["status"] == "RECEIVING"
        assert sessions(site) == []
        assert site.post(uri).status_code == 200
        assert scans(site) == {"1": 2}
        assert site.get(uri).status_code == 404

    def test_what_is_archived_already_goes_to_the_prearchive(self, site: Served) -> None:
        study = Study()
        archive(site, make_study(study, 1, 2))
        more = [make_object(study, 2, 1)]
        uri = send(site, more, project="P1", **{"Direct-Archive": "true"}).text.strip()
        assert uri == "/data" + waiting(site)[0]["url"]
        assert site.post("/xapi/direct-archive").json() == []
        assert states(site) == ["RECEIVING"]
        assert site.post(uri, params={"action": "commit", "AA": "true"}).status_code == 301
        assert scans(site) == {"1": 2, "2": 1}

    def test_a_conflict_shows_in_the_prearchive(self, site: Served) -> None:
        objects = make_study(Study(), 1, 2)
        uri = send(site, objects, project="P1", **{"Direct-Archive": "true"}).text.strip()
        (known,) = site.post("/xapi/direct-archive").json()
        assert (known["tag"], known["status"]) == (objects[0].StudyInstanceUID, "RECEIVING")
        archive(site, objects)
        site.post(uri)
        assert states(site) == ["CONFLICT"]

    def test_it_can_be_dropped(self, site: Served) -> None:
        objects = make_study(Study(), 1, 2)
        uri = send(site, objects, project="P1", **{"Direct-Archive": "true"}).text.strip()
        number = site.get(uri).json()["id"]
        assert site.delete(f"/xapi/direct-archive/{number}").status_code == 200
        assert site.delete(f"/xapi/direct-archive/{number}").status_code == 404
        assert contents(site) == 0


def test_dicom_dump_never_shows_secondary_objects(site: Served) -> None:
    study = Study()
    capture = make_object(study, 1, 9, sop_class="1.2.840.10008.5.1.4.1.1.7")
    alone = make_object(study, 2, 1, sop_class="1.2.840.10008.5.1.4.1.1.7")
    archive(site, [capture, make_object(study, 1, 20), alone])
    src = "/archive/projects/P1/experiments/mouse1_MR1/scans/"
    query = {"src": src + "1", "field": "InstanceNumber"}
    rows = site.get("/data/services/dicomdump", params=query).json()["ResultSet"]["Result"]
    assert [row["value"] for row in rows] == ["20"]
    query["src"] = src + "2"
    assert site.get("/data/services/dicomdump", params=query).status_code == 404


def test_dicom_dump(site: Served) -> None:
    archive(site, make_study(Study(), 1, 1))
    src = "/archive/projects/P1/experiments/mouse1_MR1/scans/1"
    query = {"src": src, "field": ["PatientID", "00100010"], "format": "json"}
    rows = site.get("/data/services/dicomdump", params=query).json()["ResultSet"]["Result"]
    assert rows == [
        {
            "tag1": "(0010,0010)",
            "tag2": "",
            "vr": "PN",
            "value": "mouse1",
            "desc": "Patient's Name",
        },
        {
            "tag1": "(0010,0020)",
            "tag2": "",
            "vr": "LO",
            "value": "mouse1_MR1",
            "desc": "Patient ID",
        },
    ]
    everything = site.get("/data/services/dicomdump", params={"src": src}).json()
    assert len(everything["ResultSet"]["Result"]) > 20
    uri = send(site, make_study(Study(), 1, 1), project="P2", dest="/prearchive").text.strip()
    query = {"src": uri.removeprefix("/data") + "/scans/1", "field": "Modality"}
    rows = site.get("/data/services/dicomdump", params=query).json()["ResultSet"]["Result"]
    assert [row["value"] for row in rows] == ["MR"]
    for bad, status in (("/archive/experiments/NONE", 404), ("", 400), ("/archive", 400)):
        assert site.get("/data/services/dicomdump", params={"src": bad}).status_code == status
