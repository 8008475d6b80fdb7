"""Uploads to an XNAT as it comes out of the box: it archives by itself, and in its own ways."""

import pytest
from disk import expected_files, write_group, write_study
from small_dicom import write_series

from uploader.transfer.plan_upload import Outcome
from uploader.verification.session_verification import VerificationLevel

IMPORT = {"method": "POST", "path": "/data/services/import"}
ARCHIVE = {"method": "POST", "path": "/data/services/archive"}
ELSEWHERE = "http://127.0.0.1:9"  # the discard port: a redirect that is followed fails there
SESSION = "m01_20240109_MR"


def _set(work, **preferences):
    answer = work.server.served.post("/xapi/siteConfig", json=preferences)
    assert answer.status_code == 200, answer.text


def _session(work, label=SESSION):
    (row,) = work.server.served.rows("/data/projects/P1/experiments", label=label)
    return f"/data/experiments/{row['ID']}"


def _levels(work):
    found = work.verify()
    assert [one.problems for one in found] == [[]] * len(found)
    return {one.level for one in found}


@pytest.mark.parametrize("code", ["0", "4", "5"])
def test_upload_looks_maps_and_one_more_animal_on_every_prearchive_code(work, code):
    """Upload, verify, map, look at the session, verify again, add an animal, upload, verify."""
    _set(work, siteUrl=ELSEWHERE)
    served = work.server.served
    assert served.get("/data/projects/P1/prearchive_code").text == "4"
    assert served.put(f"/data/projects/P1/prearchive_code/{code}").status_code == 200
    write_study(work.folder / "m01")
    assert work.upload().exit_code == 0
    assert _levels(work) == {VerificationLevel.CHECKSUMMED}
    session = _session(work)
    result = f"{session}/scans/1/resources/PROCESSED_T2/files/T2.nii.gz"
    assert served.put(result, params={"inbody": "true"}, data=b"a map").status_code == 200
    number = session.rpartition("/")[2]
    for kind in ("thumbnail", "snapshot"):
        answer = served.get(f"/xapi/experiments/{number}/scan/2/{kind}")
        assert answer.headers["content-type"] == "image/gif"
    downloads = {"method": "GET", "path": "/data/experiments/*/files/*", "count": 0}
    work.server.fault(downloads)
    (verified,) = work.verify()
    assert (verified.level, verified.problems) == (VerificationLevel.CHECKSUMMED, [])
    assert "3 files in PROCESSED_T2, SNAPSHOTS, which are not compared" in verified.notes[0]
    write_study(work.folder / "m02", "2", "m02")
    result = work.upload()
    assert {row.row.subject: row.outcome for row in result.rows} == {
        "m01": Outcome.NOTHING_TO_DO,
        "m02": Outcome.DONE,
    }
    assert _levels(work) == {VerificationLevel.CHECKSUMMED}
    assert work.server.waiting() == []
    assert work.server.faults()[0]["hits"] == 0


@pytest.mark.parametrize("code", ["0", "4", "5"])
def test_series_that_come_later_join_their_session(work, code):
    work.server.served.put(f"/data/projects/P1/prearchive_code/{code}")
    write_study(work.folder / "m01", series=(1,))
    assert work.upload().exit_code == 0
    write_study(work.folder / "m01", series=(1, 2))
    write_series(work.folder / "m01" / "s3", series="3", SeriesNumber=1)
    assert work.upload().exit_code == 0
    assert work.server.files() == expected_files(work.folder)
    assert _levels(work) == {VerificationLevel.CHECKSUMMED}


def test_direct_archive_follows_the_server_into_the_prearchive(work):
    """What is archived already is added to through the prearchive; the answer says so."""
    write_study(work.folder / "m01", series=(1,))
    assert work.upload(direct_archive=True).exit_code == 0
    write_study(work.folder / "m01", series=(1, 2))
    work.server.fault({**ARCHIVE, "count": 0}, {**IMPORT, "count": 0})
    assert work.upload(direct_archive=True).exit_code == 0
    assert [rule["hits"] for rule in work.server.faults()] == [1, 1]
    assert work.server.files() == expected_files(work.folder)
    assert work.server.waiting() == []
    assert _levels(work) == {VerificationLevel.CHECKSUMMED}


def test_direct_archive_goes_on_with_what_an_earlier_run_left_in_the_prearchive(work):
    write_study(work.folder / "m01", series=(1,))
    assert work.upload().exit_code == 0
    write_study(work.folder / "m01", series=(1, 2))
    work.server.fault({**ARCHIVE, "status": 403, "count": 0})
    assert work.upload(direct_archive=True).exit_code == 8
    work.server.no_faults()
    assert len(work.server.waiting()) == 1
    assert work.upload(direct_archive=True).exit_code == 0
    assert work.server.files() == expected_files(work.folder)
    assert work.server.waiting() == []


def test_series_of_a_session_go_in_one_import_which_is_described_once(work):
    write_study(work.folder / "m01", series=(1, 2, 3, 4))
    work.server.fault({**IMPORT, "count": 0}, {**ARCHIVE, "status": 403, "count": 0})
    assert work.upload().exit_code == 8
    assert work.server.faults()[0]["hits"] == 1
    (row,) = work.server.waiting()
    log = work.server.served.rows(f"/data{row['url']}/logs")
    assert sum("built" in line["entry"] for line in log) == 1
    work.server.no_faults()
    assert work.upload().exit_code == 0
    assert work.server.files() == expected_files(work.folder)


def test_import_of_several_series_that_is_cut_is_sent_anew_and_counted_once(work):
    write_study(work.folder / "m01", series=(1, 2, 3))
    work.server.fault({**IMPORT, "cut_request_after": 4000, "skip": 1})
    assert work.upload(part_bytes=6000).exit_code == 0
    assert work.server.faults()[0]["hits"] == 1
    assert work.server.files() == expected_files(work.folder)
    assert _levels(work) == {VerificationLevel.CHECKSUMMED}


def test_changes_give_a_reason_where_the_site_demands_one(work):
    _set(work, requireChangeJustification=True, showChangeJustification=True)
    served = work.server.served
    subject = "/data/projects/P1/subjects/other"
    assert served.put(subject).status_code == 403
    assert served.put(subject, params={"event_reason": "why"}).status_code == 201
    write_group(work.folder)
    (work.folder / "group" / "treated" / "timepoint" / "pre" / "m01" / "a.txt").write_text("calm")
    assert work.upload().exit_code == 0
    assert _levels(work) == {VerificationLevel.CHECKSUMMED}


def test_open_workflow_of_the_server_is_waited_for(work):
    _set(work, sandboxAutoRunSeconds=1.5)
    write_study(work.folder / "m01", series=(1,))
    assert work.upload().exit_code == 0
    write_study(work.folder / "m01", series=(1, 2))
    work.server.fault({**ARCHIVE, "count": 0})
    assert work.upload().exit_code == 0
    assert work.server.faults()[0]["hits"] > 1
    assert work.server.files() == expected_files(work.folder)
    with work.journal() as journal:
        (note,) = journal.events("note")
    assert note.text == f"Session {SESSION}: waiting for xnat_tools/AutoRun.xml on the server."


def test_workflow_that_never_ends_ends_in_a_clear_row(work):
    _set(work, sandboxAutoRunSeconds=3600)
    write_study(work.folder / "m01", series=(1,))
    write_study(work.folder / "m02", "2", "m02", series=(1,))
    assert work.upload().exit_code == 0
    write_study(work.folder / "m01", series=(1, 2))
    result = work.upload(settle_s=0.5)
    reasons = {row.row.subject: row.reason for row in result.rows}
    assert "xnat_tools/AutoRun.xml is still at work on" in reasons["m01"]
    assert reasons["m02"] == ""
    with work.server.served.archive.database.write() as connection:
        connection.execute("UPDATE workflow SET status = 'Complete'")
    assert work.upload().exit_code == 0
    assert work.server.files() == expected_files(work.folder)


def test_fault_of_the_program_in_one_row_does_not_end_the_others(work, monkeypatch):
    from uploader.transfer import plan_upload

    write_group(work.folder)
    original = plan_upload.send_to_prearchive

    def broken(context, job):
        if job.row.session == "m01_pre_MR":
            raise KeyError("a fault that nobody foresaw")
        original(context, job)

    monkeypatch.setattr(plan_upload, "send_to_prearchive", broken)
    result = work.upload()
    assert {row.row.session: row.outcome for row in result.rows} == {
        "m01_pre_MR": Outcome.FAILED,
        "m01_post1w_MR": Outcome.DONE,
        "m02_pre_MR": Outcome.DONE,
    }
    (bad,) = (row for row in result.rows if row.outcome is Outcome.FAILED)
    assert "KeyError: 'a fault that nobody foresaw'" in bad.reason
    assert result.exit_code == 8


def test_fault_of_the_check_in_one_row_does_not_end_the_others(work):
    write_group(work.folder)
    assert work.upload().exit_code == 0
    work.server.fault(
        {"method": "GET", "path": "/data/experiments/*/scans", "status": 403, "count": 1}
    )
    result = work.upload()
    ends = sorted(row.outcome.value for row in result.rows)
    assert ends == ["failed", "nothing to do", "nothing to do"]
    assert any("cannot be compared" in row.reason for row in result.rows)
