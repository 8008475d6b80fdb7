"""The same study again: merges and conflicts, with their statuses."""

import hashlib

import pytest
from archive_server import Served
from dicoms import Study, encode, make_object, make_study
from study_calls import (
    EXISTS,
    MATCHING,
    archive,
    contents,
    heading,
    scans,
    sessions,
    set_code,
    states,
    study_site,
    waiting,
)


@pytest.fixture
def site(server: Served) -> Served:
    return study_site(server).keep_bytes()


class TestAgain:
    """The same study twice, in other order, in halves, with a conflicting subject."""

    def test_twice_without_overwrite(self, site: Served) -> None:
        set_code(site, "0")
        objects = make_study(Study())
        archive(site, objects)
        answer = archive(site, objects[::-1])
        assert answer.status_code == 400
        assert heading(answer) == f"unable to archive for the Prearchive session: {EXISTS}"
        assert states(site) == ["CONFLICT"]
        assert EXISTS in site.get("/data" + waiting(site)[0]["url"] + "/logs").text
        assert scans(site) == {"1": 3, "2": 3}
        assert contents(site) == 12

    @pytest.mark.parametrize(("code", "status"), [("0", 400), ("4", 200), ("5", 200)])
    def test_next_series_without_overwrite(self, site: Served, code: str, status: int) -> None:
        """A project that archives by itself merges, and one that overwrites replaces, too."""
        set_code(site, code)
        study = Study()
        archive(site, make_study(study, 1, 2))
        later = make_object(study, 2, 1)
        assert archive(site, [later]).status_code == status
        assert scans(site) == ({"1": 2, "2": 1} if status == 200 else {"1": 2})
        again = archive(site, [make_object(study, 1, 1)])
        assert again.status_code == (200 if code == "5" else 400)
        assert (EXISTS if code == "0" else MATCHING) in again.text or code == "5"

    def test_twice_with_append(self, site: Served) -> None:
        objects = make_study(Study())
        archive(site, objects)
        answer = archive(site, objects, overwrite="append")
        assert MATCHING in heading(answer)
        assert states(site) == ["CONFLICT"]
        assert archive(site, objects, overwrite="none").status_code == 400
        assert len(waiting(site)) == 1
        replaced = archive(site, objects, overwrite="append", overwrite_files="true")
        assert replaced.status_code == 200
        assert (waiting(site), contents(site)) == ([], 6)
        assert scans(site) == {"1": 3, "2": 3}

    @pytest.mark.parametrize("word", ["delete", "override", "DELETE"])
    def test_twice_with_delete(self, site: Served, word: str) -> None:
        study = Study()
        archive(site, make_study(study))
        fewer = [make_object(study, 1, 1, PatientComments="new")]
        assert archive(site, fewer, overwrite=word).status_code == 200
        assert scans(site) == {"1": 3, "2": 3}
        assert contents(site) == 6
        digest = hashlib.md5(encode(fewer[0])).hexdigest()
        rows = site.rows("/data/projects/P1/experiments/mouse1_MR1/scans/1/files")
        assert digest in {row["digest"] for row in rows}

    def test_halves_by_series(self, site: Served) -> None:
        objects = make_study(Study(), 2, 3)
        archive(site, objects[3:])
        assert archive(site, objects[:3], overwrite="append").status_code == 200
        assert scans(site) == {"1": 3, "2": 3}

    def test_halves_of_a_series(self, site: Served) -> None:
        objects = make_study(Study(), 1, 6)
        archive(site, objects[::2])
        assert archive(site, objects[1::2], overwrite="append").status_code == 200
        assert scans(site) == {"1": 6}
        item = site.get("/data/projects/P1/experiments/mouse1_MR1/scans/1?format=json").json()
        assert str(item["items"][0]["data_fields"]["frames"]) == "6"

    def test_other_subject(self, site: Served) -> None:
        study = Study()
        archive(site, make_study(study, 1, 2))
        for word in ("append", "delete"):
            answer = archive(site, make_study(study, 1, 2), overwrite=word, subject="other")
            assert answer.status_code == 400
            assert heading(answer).endswith(
                "Invalid modification of session subject via archive process."
                ": mouse1_MR1 Already Exists for another Subject"
            )
        assert states(site) == ["CONFLICT"]
        assert [row["label"] for row in site.rows("/data/projects/P1/subjects")] == ["mouse1"]

    def test_other_study_of_the_same_label(self, site: Served) -> None:
        archive(site, make_study(Study(), 1, 2))
        other = make_study(Study(), 1, 2)
        assert "session UID" in heading(archive(site, other, overwrite="append"))
        assert archive(site, other, overwrite="delete").status_code == 200
        assert scans(site) == {"1": 2, "1-MR1": 2}

    def test_other_modality(self, site: Served) -> None:
        study = Study()
        archive(site, make_study(study, 1, 2))
        pet = make_study(study, 1, 2, modality="PT")
        answer = archive(site, pet, overwrite="delete")
        assert "Data may require a manual merge." in heading(answer)

    def test_same_series_under_another_number(self, site: Served) -> None:
        study = Study()
        archive(site, [make_object(study, 1, 1, series_uid="1.2.77")])
        again = [make_object(study, 3, 2, series_uid="1.2.77")]
        answer = archive(site, again, overwrite="append")
        assert "same UID, but a different number (1)." in heading(answer)

    def test_same_number_of_another_series(self, site: Served) -> None:
        study = Study()
        archive(site, [make_object(study, 3, 1, series_uid="1.2.77")])
        again = [make_object(study, 3, 1, series_uid="1.2.78")]
        assert archive(site, again, overwrite="append").status_code == 200
        assert scans(site) == {"3": 1, "3-MR1": 1}

    def test_open_workflow(self, site: Served) -> None:
        study = Study()
        archive(site, make_study(study, 1, 1))
        identifier = site.rows("/data/projects/P1/experiments")[0]["ID"]
        with site.archive.database.write() as connection:
            connection.execute(
                "INSERT INTO workflow (id, pipeline_name, launch_time, status)"
                " VALUES (?, 'process_T2', '2024-01-01', 'Running')",
                (identifier,),
            )
        more = [make_object(study, 1, 2)]
        answer = archive(site, more, overwrite="append")
        assert "Session processing may already be in progress: process_T2." in heading(answer)
        with site.archive.database.write() as connection:
            connection.execute("UPDATE workflow SET status = 'Complete'")
        assert archive(site, more, overwrite="append").status_code == 200

    def test_after_a_conflict_the_session_waits_and_can_be_archived(self, site: Served) -> None:
        study = Study()
        archive(site, make_study(study, 1, 2))
        archive(site, make_study(study, 2, 2))
        (row,) = waiting(site)
        assert row["status"] == "CONFLICT"
        src = {"src": row["url"]}
        answer = site.post("/data/services/archive", params=src)
        assert answer.status_code == 500
        assert heading(answer) == f"FAILED: Unable to archive {row['folderName']}: {MATCHING}"
        assert states(site) == ["CONFLICT"]
        answer = site.post("/data/services/archive", params={**src, "overwrite": "append"})
        assert answer.status_code == 303
        assert answer.headers["location"].endswith("/subjects/mouse1/experiments/mouse1_MR1")
        assert scans(site) == {"1": 2, "2": 2}
        assert (waiting(site), contents(site)) == ([], 4)


class TestNothingIsLost:
    """What a merge may never do: let one object take another's place."""

    @pytest.mark.parametrize("word", ["append", "delete"])
    def test_another_object_under_a_name_in_use(self, site: Served, word: str) -> None:
        study = Study()
        first = make_object(study, 1, 1)
        archive(site, [first])
        other = make_object(study, 1, 1, SOPInstanceUID="1.2.3.4")
        answer = archive(site, [other], overwrite=word, overwrite_files="true")
        assert answer.status_code == 400
        assert "same name but different UID" in heading(answer)
        assert states(site) == ["ERROR"]
        (row,) = site.rows("/data/projects/P1/experiments/mouse1_MR1/scans/1/files")
        assert row["digest"] == hashlib.md5(encode(first)).hexdigest()
        assert contents(site) == 2

    def test_a_file_of_another_kind_under_a_name_in_use(self, site: Served) -> None:
        study = Study()
        archive(site, [make_object(study, 1, 1)])
        base = "/data/projects/P1/experiments/mouse1_MR1/scans/1/resources/DICOM/files"
        headers = {"Content-Type": "application/octet-stream"}
        assert site.put(f"{base}/MR0002.dcm", data=b"notes", headers=headers).status_code == 200
        answer = archive(site, [make_object(study, 1, 2)], overwrite="delete")
        assert "A non-DICOM file exists with the same name" in heading(answer)
        assert site.get(f"{base}/MR0002.dcm").content == b"notes"

    def test_the_same_object_under_another_name(self, site: Served) -> None:
        study = Study()
        archive(site, [make_object(study, 1, 1)])
        renamed = make_object(study, 1, 1, InstanceNumber=7)
        refused = archive(site, [renamed], overwrite="append")
        assert heading(refused).endswith("Session already exists with the same resources.")
        assert states(site) == ["CONFLICT"]
        assert archive(site, [renamed], overwrite="delete").status_code == 200
        (row,) = site.rows("/data/projects/P1/experiments/mouse1_MR1/scans/1/files")
        assert (row["Name"], row["digest"]) == (
            "MR0007.dcm",
            hashlib.md5(encode(renamed)).hexdigest(),
        )
        assert contents(site) == 1

    def test_an_object_twice_in_one_scan(self, site: Served) -> None:
        study = Study()
        twice = [make_object(study, 1, 1), make_object(study, 1, 1, InstanceNumber=2)]
        answer = archive(site, twice)
        assert answer.status_code == 400
        assert "contains duplicated SOP instance UIDs" in heading(answer)
        assert (states(site), sessions(site)) == (["ERROR"], [])
        (row,) = waiting(site)
        answer = site.post("/data/services/archive", params={"src": row["url"]})
        assert answer.status_code == 500
        query = {"src": row["url"], "overwrite": "append"}
        assert site.post("/data/services/archive", params=query).status_code in (200, 303)
        assert scans(site) == {"1": 2}

    def test_later_files_of_a_renumbered_series_join_it(self, site: Served) -> None:
        study = Study()
        archive(site, [make_object(study, 1, 1, series_uid="1.2.77")])
        archive(site, [make_object(study, 1, 2, series_uid="1.2.78")], overwrite="append")
        assert scans(site) == {"1": 1, "1-MR1": 1}
        archive(site, [make_object(study, 1, 3, series_uid="1.2.78")], overwrite="append")
        assert scans(site) == {"1": 1, "1-MR1": 2}
        archive(site, [make_object(study, 1, 4, series_uid="1.2.79")], overwrite="append")
        assert scans(site) == {"1": 1, "1-MR1": 2, "1-MR2": 1}

    def test_the_letters_of_a_renumbered_scan_are_its_types(self, site: Served) -> None:
        study = Study()
        archive(site, [make_object(study, 1, 1, series_uid="1.2.77")])
        capture = make_object(
            study, 1, 2, series_uid="1.2.78", sop_class="1.2.840.10008.5.1.4.1.1.7"
        )
        assert archive(site, [capture], overwrite="append").status_code == 200
        assert scans(site) == {"1": 1, "1-SC1": 1}


class TestValues:
    """Values that XNAT's model does not take."""

    @pytest.mark.parametrize(
        ("query", "problem"),
        [
            ("xnat:mrSessionData/operator=" + "x" * 256, "Must Be Less Than 255 Characters"),
            ("xnat:mrSessionData/note=" + "x" * 2501, "Must Be Less Than 2500 Characters"),
            ("xnat:mrSessionData/date=2024-02-30", "Must Be A Valid Date"),
            ("xnat:mrSessionData/time=noon", "Must Be A Valid Time"),
        ],
    )
    def test_of_sessions(self, site: Served, query: str, problem: str) -> None:
        archive(site, make_study(Study(), 1, 1))
        answer = site.put(f"/data/projects/P1/experiments/mouse1_MR1?{query}")
        assert answer.status_code == 400
        assert problem in heading(answer)

    def test_of_scans_and_subjects(self, site: Served) -> None:
        archive(site, make_study(Study(), 1, 1))
        scan = "/data/projects/P1/experiments/mouse1_MR1/scans/1"
        subject = "/data/projects/P1/subjects/mouse1"
        for path, query in (
            (scan, "xnat:mrScanData/frames=two"),
            (scan, "xnat:mrScanData/parameters/tr=long"),
            (subject, "yob=MMXX"),
            (subject, "gender=mouse"),
            (subject, "xnat:subjectData/fields/field[name=dose]/field=" + "5" * 256),
        ):
            assert site.put(f"{path}?{query}").status_code == 400, query

    def test_what_is_long_where_it_may_be(self, site: Served) -> None:
        archive(site, make_study(Study(), 1, 1))
        path = "/data/projects/P1/experiments/mouse1_MR1"
        form = {
            "xnat:mrSessionData/note": "x" * 2500,
            "xnat:mrSessionData/fields/field[name=story]/field": "x" * 9000,
        }
        assert site.put(path, data=form).status_code == 200

    @pytest.mark.filterwarnings("ignore:Invalid value for VR DA")
    @pytest.mark.parametrize(
        "value", [{"StudyDate": "20241399"}, {"OperatorsName": "\\".join(["x" * 60] * 6)}]
    )
    def test_archiving_ends_in_error(self, site: Served, value: dict[str, str]) -> None:
        answer = archive(site, make_study(Study(values=value), 1, 1))
        assert answer.status_code == 400
        assert "Must Be" in heading(answer)
        assert (states(site), sessions(site)) == (["ERROR"], [])
