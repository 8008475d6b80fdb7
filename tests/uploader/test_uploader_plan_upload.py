"""What an upload does beside sending images, and its ways of sending."""

import hashlib
import io
import threading
import zipfile
from dataclasses import replace

import pytest
from disk import expected_files, write_group, write_study
from pydicom import dcmread

from uploader.control import ProgressMeter, RunControl
from uploader.deidentification.deidentifier import Deidentifier
from uploader.planning.journal import SeriesState
from uploader.transfer.plan_upload import Outcome
from uploader.verification.session_verification import VerificationLevel, verify_uploads
from xnat_pic.errors import WrongCallError


def _states(work):
    with work.journal() as journal:
        found = [journal.states(one.row_key) for one in journal.sessions()]
    return {state for states in found for state in states.values()}


def test_states_follow_the_work(work):
    write_group(work.folder)
    assert work.upload().exit_code == 0
    assert _states(work) == {SeriesState.ARCHIVED}
    assert all(one.level is VerificationLevel.PIXELS for one in work.verify())
    assert _states(work) == {SeriesState.VERIFIED}
    assert work.upload().exit_code == 0
    assert _states(work) == {SeriesState.VERIFIED}


@pytest.mark.parametrize(("changed", "read"), [(0, 0), (1, 1), (3, 3), (5, 5), (6, 0)])
def test_files_that_differ_at_arrival_are_read_where_others_do_not(work, changed, read):
    """A server that anonymises changes all of a session; where it changed some, they are read."""
    work.server.served.keep_bytes()
    write_study(work.folder / "m01")
    other = "f" * 32
    with work.server.served.archive.database.write() as connection:
        connection.execute(
            "CREATE TRIGGER damage AFTER INSERT ON file WHEN"
            f" (SELECT count(*) FROM file WHERE digest = '{other}') < {changed}"
            f" BEGIN UPDATE file SET digest = '{other}'"
            " WHERE resource = NEW.resource AND path = NEW.path; END"
        )
    work.server.fault({"method": "GET", "path": "*.dcm", "count": 0})
    (row,) = work.upload(deidentifier=Deidentifier()).rows
    assert (row.outcome, row.reason) == (Outcome.DONE, "")
    assert work.server.faults()[0]["hits"] == read


def test_prearchive_holds_a_series_before_its_session_is_archived(work):
    write_study(work.folder / "m01")
    work.server.fault(
        {"method": "POST", "path": "/data/services/archive", "status": 403, "count": 0}
    )
    assert work.upload().exit_code == 8
    assert _states(work) == {SeriesState.RECEIVED}
    (row,) = work.server.waiting()
    assert (row["project"], row["subject"], row["name"]) == ("P1", "m01", "m01_20240109_MR")
    assert work.server.files() == []


@pytest.mark.parametrize("version", ["1.9", "1.10"])
def test_other_versions_of_the_server_take_the_same_upload(work, start, version):
    other = start(version, xnat=version)
    write_group(work.folder)
    there = replace(work, server=other)
    assert there.upload(create_project=True).exit_code == 0
    assert other.files() == expected_files(work.folder)
    assert all(one.level is VerificationLevel.PIXELS for one in there.verify())


def test_conflict_that_somebody_solved_is_gone_on_with(work):
    write_study(work.folder / "m01")
    archiving = {"method": "POST", "path": "/data/services/archive", "status": 403, "count": 0}
    work.server.fault(archiving)
    assert work.upload().exit_code == 8
    work.server.no_faults()
    served = work.server.served
    label = "/data/projects/P1/subjects/other/experiments/m01_20240109_MR"
    served.put(label, params={"xsiType": "xnat:mrSessionData", "xnat:mrSessionData/UID": "1.2"})
    (row,) = work.server.waiting()
    answer = served.post("/data/services/archive", params={"src": row["url"], "subject": "m01"})
    assert answer.status_code == 500
    assert work.server.waiting()[0]["status"] == "CONFLICT"
    result = work.upload()
    assert "belongs to subject other" in result.rows[0].reason
    served.delete(label, params={"removeFiles": "true"})
    assert work.upload().exit_code == 0
    assert work.server.files() == expected_files(work.folder)
    assert work.server.waiting() == []


def test_direct_archiving_ends_in_the_same_archive(work):
    write_group(work.folder)
    assert work.upload(direct_archive=True).exit_code == 0
    assert work.server.files() == expected_files(work.folder)
    assert work.server.waiting() == []
    assert all(one.level is VerificationLevel.PIXELS for one in work.verify())
    assert {row.outcome for row in work.upload(direct_archive=True).rows} == {Outcome.NOTHING_TO_DO}


@pytest.mark.parametrize(
    "rule",
    [
        {"method": "POST", "path": "/data/services/import", "lose_answer": True},
        {"method": "POST", "path": "/data/services/import", "cut_request_after": 900},
        {"method": "POST", "path": "/xapi/direct-archive/*", "lose_answer": True},
        {"method": "POST", "path": "/xapi/direct-archive/*", "status": 500},
    ],
)
def test_direct_archiving_survives_lost_answers(work, rule):
    write_group(work.folder)
    work.server.fault(rule)
    for _ in range(2):
        if work.upload(direct_archive=True).exit_code == 0:
            break
    assert work.server.files() == expected_files(work.folder)
    assert all(one.level is VerificationLevel.PIXELS for one in work.verify())


def test_series_larger_than_a_part_goes_in_several_archives(work):
    write_study(work.folder / "m01", series=(1,), count=9)
    login = {"method": "POST", "path": "/data/services/import", "count": 0}
    work.server.fault(login)
    assert work.upload(part_bytes=2500).exit_code == 0
    assert work.server.faults()[0]["hits"] >= 3
    assert work.server.files() == expected_files(work.folder)
    assert len(work.server.served.rows("/data/projects/P1/experiments")) == 1


def test_two_studies_of_one_kind_on_one_day_stay_two_sessions(work):
    write_study(work.folder / "a", "1")
    write_study(work.folder / "b", "2", StudyTime="170000")
    assert work.upload().exit_code == 0
    labels = [row["label"] for row in work.server.served.rows("/data/projects/P1/experiments")]
    assert sorted(labels) == ["m01_20240109_MR", "m01_20240109_MR_2"]


def test_series_with_one_number_become_scans_of_their_own(work):
    write_study(work.folder / "a", series=(1,))
    write_study(work.folder / "a", series=(2,), SeriesNumber=1)
    assert work.upload().exit_code == 0
    assert work.server.files() == expected_files(work.folder)
    assert all(one.level is VerificationLevel.PIXELS for one in work.verify())


def test_odd_names_arrive(work):
    folder = work.folder / ("Mäuschen #1 (left & right) 50% ? " + "x" * 150)
    write_study(
        folder, subject="m 1", series=(1,),
        SpecificCharacterSet="ISO_IR 192", SeriesDescription="T2 ü <b> & \\ %41",
    )  # fmt: skip
    (folder / "note & 100% ü #1?.txt").write_text("x", encoding="utf-8")
    plan = work.plan(layout="{subject}")
    result = work.upload(plan)
    assert result.exit_code == 0, [row.reason for row in result.rows]
    (verification,) = work.verify(plan)
    assert verification.problems == []
    assert work.server.files() == expected_files(work.folder)
    (row,) = work.server.served.rows("/data/projects/P1/experiments")
    (note,) = work.server.served.rows(f"/data/experiments/{row['ID']}/resources/NOTES/files")
    assert note["Name"] == "note & 100% ü #1?.txt"


def test_definitions_are_made_once_and_keep_those_of_others(work):
    write_group(work.folder)
    served = work.server.served
    before = served.get("/data/projects/P1", params={"format": "xml"}).content
    own = before.replace(
        b"</xnat:Project>",
        b'<xnat:studyProtocol ID="P1_xnat_ctSessionData" data-type="xnat:ctSessionData" name="CT"'
        b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        b' xsi:type="xnat:datatypeProtocol"><xnat:definitions><xnat:definition ID="own"'
        b' data-type="xnat:ctSessionData" project-specific="1"><xnat:fields><xnat:field name="kv"'
        b' datatype="float" type="custom" required="0"'
        b' xmlPath="xnat:ctSessionData/fields/field[name=kv]/field"/></xnat:fields>'
        b"</xnat:definition></xnat:definitions></xnat:studyProtocol></xnat:Project>",
    )
    answer = served.put("/data/projects/P1", data=own, headers={"Content-Type": "text/xml"})
    assert answer.status_code == 200, answer.text
    from uploader.server.variables import define_variables, read_definitions

    with work.server.client() as client:
        said = define_variables(client, "P1", work.config.variables, ["xnat:mrSessionData"])
        assert any("group, timepoint, dose for xnat:mrSessionData" in text for text in said)
        found = read_definitions(client, "P1")
        assert set(found["xnat:subjectData"]) >= {"group", "dose"}
        assert "timepoint" not in found["xnat:subjectData"]
        assert set(found["xnat:mrSessionData"]) >= {"group", "timepoint", "dose"}
        assert set(found["xnat:ctSessionData"]) == {"kv"}
        assert define_variables(client, "P1", work.config.variables, ["xnat:mrSessionData"]) == []


def test_values_are_in_the_custom_form_too_where_there_is_one(work):
    from uploader.server.variables import define_variables, find_forms

    write_study(work.folder / "group" / "treated" / "timepoint" / "pre" / "m01")
    plan = work.plan(project="FORMS")
    assert work.upload(plan, create_project=True).exit_code == 0
    with work.server.client() as client:
        forms = find_forms(client, "FORMS", work.config.variables.form_title)
        assert set(forms) == {"xnat:subjectData", "xnat:mrSessionData"}
        subject = client.json("/xapi/custom-fields/projects/FORMS/subjects/m01/fields")
        assert subject == {forms["xnat:subjectData"]: {"group": "treated"}}
        session = client.json(
            "/xapi/custom-fields/projects/FORMS/subjects/m01/experiments/m01_pre_MR/fields"
        )
        wanted = {"group": "treated", "timepoint": "pre"}
        assert session == {forms["xnat:mrSessionData"]: wanted}
        # A form that was disabled gets no values, and no second one is made beside it.
        listed = client.json("/xapi/customforms", {"projectId": "FORMS"})
        for one in listed:
            client.send("POST", "/xapi/customforms/disable", json=one["appliesToList"])
        assert find_forms(client, "FORMS", work.config.variables.form_title) == {}
        variables = work.config.variables
        assert define_variables(client, "FORMS", variables, ["xnat:mrSessionData"]) == []
        assert len(client.json("/xapi/customforms", {"projectId": "FORMS"})) == len(listed)


def test_scanner_data_is_compressed_checked_and_sent_once(work, tmp_path):
    write_study(work.folder / "m01")
    raw = tmp_path / "raw"
    for name in ("m01/20240109_1", "m01/20240116_1"):
        (raw / name / "1").mkdir(parents=True)
        (raw / name / "subject").write_text(f"##TITLE={name}", encoding="utf-8")
        (raw / name / "1" / "fid").write_bytes(bytes(300_000))
    assert work.upload(raw=raw).exit_code == 0
    path = "/data/projects/P1/resources/bruker_data/files"
    rows = {row["URI"].partition("/files/")[2]: row for row in work.server.served.rows(path)}
    assert set(rows) == {"m01/20240109_1.zip", "m01/20240116_1.zip"}
    content = work.server.served.get(f"{path}/m01/20240109_1.zip").content
    assert hashlib.md5(content).hexdigest() == rows["m01/20240109_1.zip"]["digest"]
    assert len(content) < 10_000
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("1/fid") == bytes(300_000)
        assert (
            f"{hashlib.md5(bytes(300_000)).hexdigest()}  1/fid" in archive.read("MD5SUMS").decode()
        )
    puts = {"method": "PUT", "path": "*bruker_data*", "count": 0}
    work.server.fault(puts)
    assert work.upload(raw=raw).exit_code == 0
    assert work.server.faults()[0]["hits"] == 0
    (raw / "m01" / "20240116_1" / "1" / "fid").write_bytes(bytes(200_000))
    assert work.upload(raw=raw).exit_code == 0
    assert work.server.faults()[0]["hits"] == 1


@pytest.mark.parametrize(
    "rule",
    [{"lose_answer": True}, {"cut_request_after": 100}, {"status": 500}, {"drop_login": True}],
)
def test_scanner_data_survives_faults(work, tmp_path, rule):
    write_study(work.folder / "m01", series=(1,), count=1)
    (tmp_path / "raw" / "s").mkdir(parents=True)
    (tmp_path / "raw" / "s" / "subject").write_bytes(b"x" * 5000)
    work.server.fault({"method": "PUT", "path": "*bruker_data*", **rule})
    assert work.upload(raw=tmp_path / "raw").exit_code == 0
    with work.journal() as journal, work.server.client() as client:
        assert verify_uploads(client, journal) == []
        assert len(journal.uploads()) == 1


def test_missing_scanner_data_is_found_by_verify(work, tmp_path):
    write_study(work.folder / "m01", series=(1,), count=1)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "subject").write_bytes(b"x")
    assert work.upload(raw=tmp_path / "raw").exit_code == 0
    work.server.served.delete(
        "/data/projects/P1/resources/bruker_data", params={"removeFiles": "true"}
    )
    with work.journal() as journal, work.server.client() as client:
        (problem,) = verify_uploads(client, journal)
    assert "raw.zip in bruker_data is missing" in problem


def test_side_files_become_resources_and_are_not_sent_again(work):
    folder = write_study(work.folder / "m01")
    (folder / "weights.csv").write_text("a;b", encoding="utf-8")
    (folder / "sub").mkdir()
    (folder / "sub" / "note.txt").write_text("calm", encoding="utf-8")
    (folder / "empty.txt").touch()
    assert work.upload().exit_code == 0
    path = "/data/projects/P1/subjects/m01/experiments/m01_20240109_MR/resources"
    labels = {row["label"] for row in work.server.served.rows(path)}
    assert {"NOTES", "TABLES"} <= labels
    answer = work.server.served.get(f"{path}/NOTES/files/sub/note.txt")
    assert answer.text == "calm"
    puts = {"method": "PUT", "path": "*/resources/*", "count": 0}
    work.server.fault(puts)
    assert work.upload().exit_code == 0
    assert work.server.faults()[0]["hits"] == 0
    (folder / "sub" / "note.txt").write_text("restless", encoding="utf-8")
    assert work.upload().exit_code == 0
    assert work.server.served.get(f"{path}/NOTES/files/sub/note.txt").text == "restless"


def test_side_file_of_somebody_else_is_kept(work):
    folder = write_study(work.folder / "m01")
    assert work.upload().exit_code == 0
    target = (
        "/data/projects/P1/subjects/m01/experiments/m01_20240109_MR/resources/NOTES/files/a.txt"
    )
    work.server.served.put(target, params={"inbody": "true"}, data=b"theirs")
    (folder / "a.txt").write_text("ours", encoding="utf-8")
    assert work.upload().exit_code == 0
    assert work.server.served.get(target).text == "theirs"
    with work.journal() as journal:
        assert any("were kept" in event.text for event in journal.events("note"))


@pytest.mark.parametrize("key", [b"", b"a key"])
def test_objects_are_anonymised_on_the_way(work, key):
    write_study(work.folder / "m01", InstitutionName="Clinic of Secrets", OperatorsName="Ann^Onym")
    deidentifier = Deidentifier(key)
    assert work.upload(deidentifier=deidentifier).exit_code == 0
    (row,) = work.server.served.rows("/data/projects/P1/experiments")
    rows = work.server.served.rows(f"/data/experiments/{row['ID']}/scans/ALL/files")
    assert len(rows) == 6
    planned = {name for name, _ in expected_files(work.folder)}
    assert ({one["Name"] for one in rows} == planned) is not bool(key)
    for one in rows:
        content = work.server.served.get(one["URI"]).content
        assert b"Secrets" not in content
        assert b"Onym" not in content
        dataset = dcmread(io.BytesIO(content))
        assert f"{dataset.SOPInstanceUID}.dcm" == one["Name"]
        assert dataset.PatientID == "m01_20240109_MR"  # the script of a fresh site
    assert all(
        one.level is VerificationLevel.PIXELS for one in work.verify(deidentifier=deidentifier)
    )
    again = work.upload(deidentifier=deidentifier)
    assert {one.outcome for one in again.rows} == {Outcome.NOTHING_TO_DO}


def test_stopped_upload_says_so_and_goes_on_later(work):
    write_group(work.folder)
    control = RunControl()
    result = work.upload(control=control, jobs=1, on_row=lambda _row: control.cancel())
    outcomes = [row.outcome for row in result.rows]
    assert outcomes.count(Outcome.DONE) == 1
    assert outcomes.count(Outcome.STOPPED) == 2
    assert result.exit_code == 8
    assert work.upload().exit_code == 0
    assert work.server.files() == expected_files(work.folder)


def test_stop_in_the_middle_of_an_archive_is_seen_at_once(work):
    write_study(work.folder / "m01", count=5)
    control = RunControl()
    sent = []

    class Stopping(ProgressMeter):
        def add(self, count):
            super().add(count)
            sent.append(count)
            if len(sent) == 3:
                control.cancel()

    from uploader.transfer import plan_upload as module

    original = module.ProgressMeter
    module.ProgressMeter = Stopping
    try:
        result = work.upload(control=control)
    finally:
        module.ProgressMeter = original
    assert [row.outcome for row in result.rows] == [Outcome.STOPPED]
    assert len(sent) <= 5
    assert work.upload().exit_code == 0
    assert work.server.files() == expected_files(work.folder)


def test_paused_upload_waits_and_resumes(work):
    write_group(work.folder)
    control = RunControl()
    control.pause()
    done = []
    thread = threading.Thread(target=lambda: done.append(work.upload(control=control)))
    thread.start()
    thread.join(1.0)
    assert thread.is_alive()
    assert work.server.files() == []
    control.resume()
    thread.join(30)
    assert done[0].exit_code == 0
    assert work.server.files() == expected_files(work.folder)


def test_progress_counts_the_bytes_to_send_and_takes_repetitions_back():
    told = []
    meter = ProgressMeter(100, told.append)
    meter.add(60)
    meter.add(-60)
    meter.add(100)
    last = meter.progress()
    assert (last.bytes_done, last.bytes_total) == (100, 100)
    assert told[-1].bytes_done == 100
    meter.add(5)  # more than was estimated
    assert (meter.progress().bytes_done, meter.progress().bytes_total) == (105, 105)
    assert last.remaining_s == pytest.approx(0)


def test_journal_of_another_server_is_not_used(work, start):
    write_study(work.folder / "m01")
    assert work.upload().exit_code == 0
    other = start("other")
    other.served.put("/data/projects/P1")
    with pytest.raises(WrongCallError, match="belongs to that server"):
        replace(work, server=other).upload()


def test_file_that_changes_after_the_scan_fails_its_row_only(work):
    write_group(work.folder)
    plan = work.plan()
    changed = next((work.folder / "group" / "untreated").rglob("*.dcm"))
    changed.write_bytes(changed.read_bytes() + b"xx")
    result = work.upload(plan)
    reasons = {row.row.session: row.reason for row in result.rows}
    assert "changed since it was planned" in reasons["m02_pre_MR"]
    assert [text for name, text in reasons.items() if name != "m02_pre_MR"] == ["", ""]
    assert result.exit_code == 8
