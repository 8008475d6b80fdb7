"""Uploads to an XNAT as it comes out of the box: it archives by itself, and in its own ways."""

import io
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
import requests
from disk import expected_files, write_group, write_study
from pydicom import dcmread
from small_dicom import PET, write_series
from upload_work import RETRY

from uploader.control import RunControl
from uploader.transfer import prearchive
from uploader.transfer.jobs import UploadOptions
from uploader.transfer.plan_upload import Outcome
from uploader.verification.plan_check import check
from uploader.verification.session_verification import VerificationLevel
from xnat_config.server.client import XnatClient
from xnat_pic.errors import WrongCallError

IMPORT = {"method": "POST", "path": "/data/services/import"}
ARCHIVE = {"method": "POST", "path": "/data/services/archive"}
ELSEWHERE = "http://127.0.0.1:9"  # the discard port: a redirect that is followed fails there
SESSION = "m01_20240109_MR"
ZIP = "application/zip"


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
    assert _levels(work) == {VerificationLevel.PIXELS}
    session = _session(work)
    result = f"{session}/scans/1/resources/PROCESSED_T2/files/T2.nii.gz"
    assert served.put(result, params={"inbody": "true"}, data=b"a map").status_code == 200
    number = session.rpartition("/")[2]
    for kind in ("thumbnail", "snapshot"):
        answer = served.get(f"/xapi/experiments/{number}/scan/2/{kind}")
        assert answer.headers["content-type"] == "image/gif"
    for foreign in ("*.nii.gz", "*.gif"):
        work.server.fault({"method": "GET", "path": foreign, "count": 0})
    (verified,) = work.verify()
    assert (verified.level, verified.problems) == (VerificationLevel.PIXELS, [])
    assert "3 files in PROCESSED_T2, SNAPSHOTS, which are not compared" in " ".join(verified.notes)
    write_study(work.folder / "m02", "2", "m02")
    result = work.upload()
    assert {row.row.subject: row.outcome for row in result.rows} == {
        "m01": Outcome.NOTHING_TO_DO,
        "m02": Outcome.DONE,
    }
    assert _levels(work) == {VerificationLevel.PIXELS}
    assert work.server.waiting() == []
    assert [rule["hits"] for rule in work.server.faults()] == [0, 0]


@pytest.mark.parametrize("code", ["0", "4", "5"])
def test_series_that_come_later_join_their_session(work, code):
    work.server.served.put(f"/data/projects/P1/prearchive_code/{code}")
    write_study(work.folder / "m01", series=(1,))
    assert work.upload().exit_code == 0
    write_study(work.folder / "m01", series=(1, 2))
    write_series(work.folder / "m01" / "s3", series="3", SeriesNumber=1)
    assert work.upload().exit_code == 0
    assert work.server.files() == expected_files(work.folder)
    assert _levels(work) == {VerificationLevel.PIXELS}


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
    assert _levels(work) == {VerificationLevel.PIXELS}


@pytest.mark.parametrize(("version", "code"), [("1.8.2.2", 2), ("1.8.3", 0), ("", 0)])
def test_direct_archive_is_there_from_xnat_1_8_3_on(work, monkeypatch, version, code):
    monkeypatch.setattr(XnatClient, "version_text", version)
    write_study(work.folder / "m01", series=(1,))
    if code:
        with pytest.raises(WrongCallError, match=r"XNAT has from 1\.8\.3 on"):
            work.upload(direct_archive=True)
        assert not work.server.files()
    else:
        assert work.upload(direct_archive=True).exit_code == 0


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
    assert _levels(work) == {VerificationLevel.PIXELS}


def test_changes_give_a_reason_where_the_site_demands_one(work):
    _set(work, requireChangeJustification=True, showChangeJustification=True)
    served = work.server.served
    subject = "/data/projects/P1/subjects/other"
    assert served.put(subject).status_code == 403
    assert served.put(subject, params={"event_reason": "why"}).status_code == 201
    write_group(work.folder)
    (work.folder / "group" / "treated" / "timepoint" / "pre" / "m01" / "a.txt").write_text("calm")
    assert work.upload().exit_code == 0
    assert _levels(work) == {VerificationLevel.PIXELS}


def test_open_workflow_of_the_server_is_waited_for(work):
    _set(work, sandboxAutoRunSeconds=3600)
    write_study(work.folder / "m01", series=(1,))
    assert work.upload().exit_code == 0
    write_study(work.folder / "m01", series=(1, 2))
    work.server.fault({**ARCHIVE, "count": 0})

    def end_workflow():
        for _ in range(600):  # at most a minute
            if requests.get(f"{work.server.url}/sandbox/faults", timeout=10).json()[0]["hits"] > 1:
                break
            time.sleep(0.1)
        _set(work, sandboxAutoRunSeconds=0.001)

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(end_workflow)
        assert work.upload(settle_s=90).exit_code == 0
        ended.result()
    assert work.server.faults()[0]["hits"] > 1
    assert work.server.files() == expected_files(work.folder)
    with work.journal() as journal:
        (note,) = journal.events("note")
    assert note.text == f"Session {SESSION}: waiting for xnat_tools/AutoRun.xml on the server."


def test_workflow_is_waited_for_a_quarter_of_an_hour(work, monkeypatch):
    """By a clock that only goes on while the upload waits."""
    clock = [0.0]
    monkeypatch.setattr(prearchive, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    _set(work, sandboxAutoRunSeconds=3600)
    write_study(work.folder / "m01", series=(1,))
    assert work.upload().exit_code == 0
    write_study(work.folder / "m01", series=(1, 2))
    monkeypatch.setattr(RunControl, "sleep", lambda _, s: clock.__setitem__(0, clock[0] + 600 * s))
    (row,) = work.upload(settle_s=UploadOptions().settle_s).rows
    assert "xnat_tools/AutoRun.xml is still at work on" in row.reason
    assert 900 < clock[0] <= 900 + 600 * 1.1 * RETRY.longest_wait_s


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


FILTER = {"enableSitewideSeriesImportFilter": True, "sitewideSeriesImportFilter": "series.2"}
REJECTED = (
    f"3 of 6 files of {SESSION} arrived: the site rejects series 2 (series 2). A series filter or "
    "an anonymisation script leaves them out."
)


@pytest.mark.parametrize("direct", [False, True])
def test_series_that_the_site_rejects_are_named_neither_success_nor_loss(work, direct):
    _set(work, **FILTER)
    write_study(work.folder / "m01")
    for _ in range(2):
        result = work.upload(direct_archive=direct)
        (row,) = result.rows
        assert (row.outcome, row.reason) == (Outcome.PARTIAL, REJECTED)
        assert result.exit_code == 8
        assert work.server.waiting() == []
        assert len(work.server.files()) == 3
    (verified,) = work.verify()
    assert verified.level is VerificationLevel.NONE
    assert "3 of 3 files are missing" in verified.problems[0]
    assert verified.problems[0].endswith("The site rejects them.")
    _set(work, enableSitewideSeriesImportFilter=False)
    assert work.upload(direct_archive=direct).exit_code == 0
    assert work.server.files() == expected_files(work.folder)
    assert _levels(work) == {VerificationLevel.PIXELS}


@pytest.mark.parametrize("direct", [False, True])
def test_session_that_the_site_rejects_whole_says_so_and_the_others_go_on(work, direct):
    _set(work, enableSitewideSeriesImportFilter=True, sitewideSeriesImportFilter="series.1")
    write_study(work.folder / "m01", series=(1,))
    write_study(work.folder / "m02", "2", "m02", series=(2,))
    result = work.upload(direct_archive=direct)
    rows = {row.row.subject: row for row in result.rows}
    assert rows["m01"].outcome is Outcome.FAILED
    assert "0 of 3 files of m01_20240109_MR arrived: the site rejects" in rows["m01"].reason
    assert rows["m02"].outcome is Outcome.DONE
    assert work.server.waiting() == []


def test_objects_that_archiving_leaves_out_are_named(work):
    """A project's script works when the session leaves the prearchive."""
    with work.server.served.archive.database.write() as connection:
        connection.execute(
            "CREATE TRIGGER script AFTER INSERT ON file WHEN NEW.path LIKE '2.25.1.2.%'"
            " BEGIN DELETE FROM file WHERE resource = NEW.resource AND path = NEW.path; END"
        )
    write_study(work.folder / "m01")
    (row,) = work.upload().rows
    assert (row.outcome, row.reason) == (Outcome.PARTIAL, REJECTED)


def test_study_that_the_site_separated_is_found_and_verified_as_two(work):
    """PET and MR of one study, sent by the scanner as one: XNAT made two sessions of it."""
    _write_pet_mr(work.folder)
    served = work.server.served
    params = {"dest": "/archive/projects/P1", "subject": "m01", "session": "m01_20240109"}
    answer = served.post(
        IMPORT["path"], params=params, data=_zip(work.folder), headers={"Content-Type": ZIP}
    )
    assert len(answer.text.split()) == 2, answer.text
    plan = work.plan()
    assert sorted(row.session for row in plan.rows) == ["m01_20240109_MR", "m01_20240109_PET"]
    found = work.verify(plan)
    assert [(one.level, one.problems) for one in found] == [(VerificationLevel.PIXELS, [])] * 2
    assert {row.outcome for row in work.upload(plan).rows} == {Outcome.NOTHING_TO_DO}
    mr_only = replace(plan, rows=tuple(row for row in plan.rows if row.modality == "MR"))
    (verified,) = work.verify(mr_only)
    assert (verified.level, verified.problems) == (VerificationLevel.PIXELS, [])
    assert any("m01_20240109_PET, with its other modality" in note for note in verified.notes)


def test_study_of_pet_and_mr_is_uploaded_as_two_sessions(work):
    _write_pet_mr(work.folder)
    assert work.upload().exit_code == 0
    labels = [row["label"] for row in work.server.served.rows("/data/projects/P1/experiments")]
    assert sorted(labels) == ["m01_20240109_MR", "m01_20240109_PET"]
    assert work.server.files() == expected_files(work.folder)
    assert _levels(work) == {VerificationLevel.PIXELS}


def _write_pet_mr(folder):
    write_series(folder / "mr", study="1", series="1")
    write_series(folder / "pet", study="1", series="2", sop=PET)


def _zip(folder):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in folder.rglob("*.dcm"):
            uid = dcmread(path, stop_before_pixels=True).SOPInstanceUID
            archive.write(path, f"{uid}.dcm")
    return out.getvalue()


def test_two_studies_that_share_a_series_are_warned_about(work):
    write_series(work.folder / "m01", study="1", series="1")
    write_series(
        work.folder / "m02", study="2", series="1", PatientID="m02", PatientName="m02",
        SeriesInstanceUID="2.25.1.1",
    )  # fmt: skip
    plan = work.plan()
    with work.server.client() as client:
        found = check(plan, client, work.config)
    for one, other in ((0, 1), (1, 0)):
        (finding,) = [f for f in found[one].findings if f.code == "series-shared"]
        assert finding.level.value == "warning"
        assert f"is in the study of {plan.rows[other].session}, too" in finding.message
    assert work.upload(plan).exit_code == 0


def test_fault_of_the_verification_in_one_row_does_not_end_the_others(work, monkeypatch):
    from uploader.verification import session_verification

    write_group(work.folder)
    assert work.upload().exit_code == 0
    original = session_verification.read_scans
    broken = [True]

    def read_scans(client, path):
        if broken:
            broken.pop()
            raise KeyError("a fault that nobody foresaw")
        return original(client, path)

    monkeypatch.setattr(session_verification, "read_scans", read_scans)
    found = work.verify(jobs=1)
    assert [bool(one.problems) for one in found] == [True, False, False]
    assert "KeyError" in found[0].problems[0]
