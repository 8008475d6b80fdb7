"""Verify finds what is missing, doubled or different, and says how sure it is."""

import csv
import io
import sqlite3

import pytest
from compressed import grey, write_as
from disk import with_values, write_group, write_study
from pydicom import dcmread
from pydicom.uid import JPEGLosslessSV1
from small_dicom import SC, dataset, write

from uploader.control import RunControl
from uploader.errors import PlanError
from uploader.planning.journal import Journal, SeriesState, journal_path
from uploader.reports.report import report_rows, write_report
from uploader.server.listing import read_header, read_scans
from uploader.transfer.variable_changes import apply_changes, find_changes
from uploader.verification.levels import ProofLevel, VerificationLevel
from xnat_pic.errors import CancelledError


@pytest.fixture
def sent(work):
    """Two sessions that are uploaded, to a site that leaves bytes alone."""
    work.server.served.keep_bytes()
    write_study(work.folder / "group" / "treated" / "timepoint" / "pre" / "m01", "1")
    write_study(work.folder / "group" / "control" / "timepoint" / "pre" / "m02", "2", "m02")
    assert work.upload().exit_code == 0
    return work


def _first(work):
    (row,) = work.server.served.rows("/data/projects/P1/experiments", label="m01_pre_MR")
    return f"/data/experiments/{row['ID']}"


def _proof(work):
    return next(one for one in work.verify() if one.row.session == "m01_pre_MR")


def _change_contents(work, share=1.0):
    """Change what the archive holds of the first session, as an anonymisation script does."""
    rows = work.server.served.rows(f"{_first(work)}/scans/ALL/files")
    count = round(len(rows) * share)
    for row in rows[:count]:
        content = work.server.served.get(row["URI"]).content
        changed = content[:-2] + b"\x07\x07"
        answer = work.server.served.put(
            row["URI"], params={"overwrite": "true", "inbody": "true"}, data=changed
        )
        assert answer.status_code == 200, answer.text


def _rewrite(work, change=lambda ds, number: None):
    """Rewrite what the archive holds of the first session, as a site with a script does."""
    rows = sorted(
        work.server.served.rows(f"{_first(work)}/scans/ALL/files"), key=lambda row: row["Name"]
    )
    for number, row in enumerate(rows):
        ds = dcmread(io.BytesIO(work.server.served.get(row["URI"]).content))
        ds.StudyDescription, ds.PatientName, ds.PatientID = "P1", "m01", "m01_pre_MR"
        if ds.file_meta.TransferSyntaxUID.is_compressed:
            ds.decompress(generate_instance_uid=False)
        change(ds, number)
        out = io.BytesIO()
        ds.save_as(out, enforce_file_format=True)
        answer = work.server.served.put(
            row["URI"], params={"overwrite": "true", "inbody": "true"}, data=out.getvalue()
        )
        assert answer.status_code == 200, answer.text
    return rows


def _wrong_pixel(at):
    """Return a change of one pixel of one file."""

    def change(ds, number):
        if number == at:
            ds.PixelData = ds.PixelData[:2] + bytes([ds.PixelData[2] ^ 1]) + ds.PixelData[3:]

    return change


@pytest.fixture(params=[3, 14], ids=["single files", "archive"])
def rewritable(work, request):
    """A session of few or of many files, one series of them compressed, not rewritten yet."""
    work.server.served.keep_bytes()
    folder = write_study(
        work.folder / "group" / "treated" / "timepoint" / "pre" / "m01", "1", count=request.param
    )
    for k in range(1, request.param + 1):
        ds = grey(study="1", series="3", instance=k)
        write_as(ds, folder / "s3" / f"{k:04}.dcm", JPEGLosslessSV1)
    assert work.upload().exit_code == 0
    return work


def test_rewritten_headers_and_decompressed_pixels_are_equal(rewritable):
    rows = _rewrite(rewritable)
    rewritable.forget_arrival()
    (verification,) = rewritable.verify()
    assert (verification.level, verification.proof) == (VerificationLevel.PIXELS, "pixels equal")
    assert (verification.checksummed, verification.pixels_equal) == (0, len(rows))
    assert f"with equal decoded pixels: {len(rows)}." in verification.notes[0]
    assert "PatientID" in verification.notes[1]
    with rewritable.journal() as journal:
        (entry,) = journal.sessions()
        page = write_report(rewritable.plan(), journal, rewritable.home / "r.html")[0]
    assert entry.verified == "pixels equal"
    assert "1 sessions: 1 pixels equal" in page.read_text("utf-8")


@pytest.mark.parametrize("series", [1, 3])
def test_one_wrong_pixel_of_a_rewritten_session_is_found(rewritable, series):
    """In a plain file, and in one that was sent compressed."""
    at = (series - 1) * (len(rewritable.server.files()) // 3)
    rows = _rewrite(rewritable, _wrong_pixel(at))
    rewritable.forget_arrival()
    uid = rows[at]["Name"].removesuffix(".dcm")
    (verification,) = rewritable.verify()
    assert verification.level is VerificationLevel.NONE
    assert verification.problems == [
        f"Series {series} (series {series}): 1 of {len(rows) // 3} files are not as on disk: "
        f"other pixels (SOP Instance UID {uid}). Look at them in XNAT; upload --repair replaces "
        "them by the files on disk."
    ]
    assert verification.pixels_equal == len(rows) - 1


def test_sample_tells_that_it_may_not_have_looked_there(rewritable):
    count = len(rewritable.server.files())
    _rewrite(rewritable)
    rewritable.forget_arrival()
    (sampled,) = rewritable.verify(sample=4)
    assert (sampled.level, sampled.proof) == (
        VerificationLevel.SAMPLED,
        f"pixels equal in 4 of {count} files",
    )
    assert (
        f"Not looked at, only counted by UID: {count - 4}, as a sample was asked for. "
        "A wrong pixel, header or object there is not found."
    ) in sampled.notes
    levels = []
    for at in range(count if count < 10 else 0):
        _rewrite(rewritable, _wrong_pixel(at))
        rewritable.forget_arrival()
        levels.append(rewritable.verify(sample=4)[0].level)
        _rewrite(rewritable, _wrong_pixel(at))  # the same bit again puts it back
    if levels:
        assert levels.count(VerificationLevel.NONE) == 4
        assert levels.count(VerificationLevel.SAMPLED) == count - 4


def test_file_that_was_zeroed_exchanged_or_cut_is_found(rewritable):
    rows = _rewrite(rewritable)
    contents = [rewritable.server.served.get(row["URI"]).content for row in rows]
    changed = {0: bytes(len(contents[0])), 1: contents[2], 4: contents[4][:-50]}
    for at, content in changed.items():
        rewritable.server.served.put(
            rows[at]["URI"], params={"overwrite": "true", "inbody": "true"}, data=content
        )
    (verification,) = rewritable.verify()
    assert verification.level is VerificationLevel.NONE
    text = "\n".join(verification.problems)
    for at in changed:
        assert rows[at]["Name"].removesuffix(".dcm") in text
    assert "its file is no DICOM object" in text
    assert "its file holds the object 2.25.1.1." in text


def test_secondary_resource_is_compared_too(work):
    work.server.served.keep_bytes()
    write_study(work.folder / "m01")
    write(work.folder / "m01" / "s9" / "1.dcm", sop=SC, series="9", study="1", Modality="MR")
    assert work.upload().exit_code == 0
    (row,) = work.server.served.rows("/data/projects/P1/experiments")
    files = work.server.served.rows(f"/data/experiments/{row['ID']}/scans/ALL/files")
    assert {file["collection"] for file in files} == {"DICOM", "secondary"}
    with work.server.served.archive.database.write() as connection:
        connection.execute("UPDATE file SET digest = 'f'")
    assert [one.level for one in work.verify()] == [VerificationLevel.CHECKSUMMED]


def test_archive_that_breaks_off_is_asked_for_again(work):
    work.server.served.keep_bytes()
    write_study(work.folder / "m01", count=14)
    assert work.upload().exit_code == 0
    work.server.fault(
        {"method": "GET", "path": "*/scans/ALL/resources/DICOM/files", "cut_answer_after": 9000}
    )
    (found,) = work.verify(level=ProofLevel.PIXELS)
    assert found.level is VerificationLevel.CHECKSUMMED
    assert [rule["hits"] for rule in work.server.faults()] == [1]


@pytest.mark.parametrize(("count", "archives"), [(19, 0), (20, 1)])
def test_twenty_files_are_fetched_in_an_archive(work, count, archives):
    work.server.served.keep_bytes()
    write_study(work.folder / "m01", series=(1,), count=count)
    assert work.upload().exit_code == 0
    work.server.fault(
        {"method": "GET", "path": "*/scans/ALL/resources/DICOM/files", "count": 0},
        {"method": "GET", "path": "*/scans/1/resources/*/files/*", "count": 0},
    )
    (found,) = work.verify(level=ProofLevel.PIXELS)
    assert found.level is VerificationLevel.CHECKSUMMED
    assert [rule["hits"] for rule in work.server.faults()] == [archives, 0 if archives else count]


@pytest.mark.parametrize(("before", "found"), [((2 << 20) - 4096, True), (2 << 20, False)])
def test_of_an_object_two_mib_are_looked_at(work, before, found):
    """An element that stands further behind is not waited for."""
    work.server.served.keep_bytes()
    ds = dataset(DeidentificationMethod="by hand", PixelData=bytes(4 << 20), Rows=4096, Columns=512)
    ds.private_block(0x0009, "FILLER", create=True).add_new(1, "OB", bytes(before))
    path = work.folder / "m01" / "1.dcm"
    path.parent.mkdir()
    ds.save_as(path, enforce_file_format=True)
    assert work.upload().exit_code == 0
    (row,) = work.server.served.rows("/data/projects/P1/experiments")
    client = work.server.client()
    ((file,),) = (scan.files for scan in read_scans(client, f"/data/experiments/{row['ID']}"))
    values = read_header(client, file, "DeidentificationMethod")
    assert values == (("by hand",) if found else ())


def test_stopping_ends_a_comparison(work):
    write_study(work.folder / "m01")
    assert work.upload().exit_code == 0
    with work.server.served.archive.database.write() as connection:
        connection.execute("UPDATE file SET digest = ''")
    control = RunControl()

    def stop(progress):
        if progress.bytes_done > progress.bytes_total // 2:
            control.cancel()

    with pytest.raises(CancelledError):
        work.verify(control=control, on_progress=stop)


def test_all_there_is_checksummed(sent):
    assert [(one.found, one.level) for one in sent.verify()] == [
        (6, VerificationLevel.CHECKSUMMED)
    ] * 2


def test_missing_file_is_found_and_sent_again(sent):
    (file, *_) = sent.server.served.rows(f"{_first(sent)}/scans/1/files")
    assert sent.server.served.delete(file["URI"]).status_code == 200
    verification = _proof(sent)
    assert (verification.found, verification.level) == (5, VerificationLevel.NONE)
    assert "1 of 3 files are missing" in verification.problems[0]
    assert sent.upload().exit_code == 0
    assert _proof(sent).level is VerificationLevel.CHECKSUMMED


def test_missing_scan_and_missing_session_are_found(sent):
    path = _first(sent)
    sent.server.served.delete(f"{path}/scans/2", params={"removeFiles": "true"})
    assert "3 of 3 files are missing" in _proof(sent).problems[0]
    sent.server.served.delete(path, params={"removeFiles": "true"})
    assert "There is no session m01_pre_MR" in _proof(sent).problems[0]
    assert sent.upload().exit_code == 0
    assert _proof(sent).level is VerificationLevel.CHECKSUMMED


def test_instance_that_is_there_twice_is_found(sent):
    path = _first(sent)
    (file, *_) = sent.server.served.rows(f"{path}/scans/1/files")
    content = sent.server.served.get(file["URI"]).content
    sent.server.served.put(
        f"{path}/scans/1/resources/DICOM/files/copy.dcm", params={"inbody": "true"}, data=content
    )
    verification = _proof(sent)
    assert verification.level is VerificationLevel.NONE
    assert "1 instance is on the server twice" in verification.problems[0]


def test_study_that_is_there_twice_is_found(sent):
    plan = sent.plan()
    study = plan.sessions[plan.rows[0].key].study_uid
    sent.server.served.put(
        "/data/projects/P1/subjects/m01/experiments/COPY",
        params={"xsiType": "xnat:mrSessionData", "xnat:mrSessionData/UID": study},
    )
    assert any("is also in P1 as COPY" in text for one in sent.verify() for text in one.problems)


def test_last_pixel_of_every_file_changed_is_found_with_series_and_uids(sent):
    _change_contents(sent)
    verification = _proof(sent)
    assert (verification.level, verification.found, verification.checksummed) == (
        VerificationLevel.NONE,
        6,
        0,
    )
    first, second = verification.problems
    assert first.startswith("Series 1 (series 1): 3 of 3 files are not as on disk: other pixels")
    assert "2.25.1.1.1, 2.25.1.1.2, 2.25.1.1.3" in first
    assert second.startswith("Series 2 (series 2): 3 of 3 files")


def test_pixel_of_half_of_the_files_changed_is_found(sent):
    _change_contents(sent, 0.5)
    verification = _proof(sent)
    assert verification.level is VerificationLevel.NONE
    assert (verification.checksummed, len(verification.problems)) == (3, 1)


def test_names_alone_prove_nothing(sent):
    """Other objects under the names of ours: without equal checksums the objects are asked."""
    path = _first(sent)
    rows = sent.server.served.rows(f"{path}/scans/ALL/files")
    contents = [sent.server.served.get(row["URI"]).content for row in rows]
    for row, content in zip(rows, contents[1:] + contents[:1], strict=True):
        changed = content[:-2] + b"\x07\x07"
        sent.server.served.put(
            row["URI"], params={"overwrite": "true", "inbody": "true"}, data=changed
        )
    sent.server.served.put(
        rows[0]["URI"], params={"overwrite": "true", "inbody": "true"}, data=contents[0][:-1] + b"z"
    )
    verification = _proof(sent)
    assert verification.level is VerificationLevel.NONE


def test_files_whose_digests_the_server_does_not_keep_are_fetched(sent):
    with sent.server.served.archive.database.write() as connection:
        connection.execute("UPDATE file SET digest = ''")
    assert {one.level for one in sent.verify()} == {VerificationLevel.CHECKSUMMED}
    (sampled, _) = sent.verify(level=ProofLevel.PIXELS, sample=2)
    assert (sampled.level, sampled.proof, sampled.checksummed) == (
        VerificationLevel.SAMPLED,
        "pixels equal in 2 of 6 files",
        2,
    )
    assert "only counted by UID: 4, as a sample was asked for" in " ".join(sampled.notes)


def test_variables_that_differ_are_found(sent):
    sent.server.served.put(
        _first(sent), params={"xnat:mrSessionData/fields/field[name=group]/field": "control"}
    )
    problems = _proof(sent).problems
    assert problems == [
        "group of the session is control on the server and treated in the plan. Use set-variables."
    ]


def test_side_file_that_is_gone_is_found(work):
    folder = write_study(work.folder / "m01")
    (folder / "note.txt").write_text("calm", encoding="utf-8")
    assert work.upload().exit_code == 0
    (row,) = work.server.served.rows("/data/projects/P1/experiments")
    work.server.served.delete(f"/data/experiments/{row['ID']}/resources/NOTES/files/note.txt")
    (verification,) = work.verify()
    assert verification.problems == ["Files beside the images are missing: note.txt."]


def test_set_variables_shows_old_and_new_and_writes_them(sent):
    plan = sent.plan(given={"dose": "10"})
    from dataclasses import replace

    rows = [
        with_values(row, group="sham", dose="10")
        if row.subject == "m01"
        else with_values(row, **dict.fromkeys(row.variables, ""))
        for row in plan.rows
    ]
    plan = replace(plan, rows=tuple(rows))
    with sent.server.client() as client, sent.journal() as journal:
        found = find_changes(plan, client, sent.config)
        assert sorted(one.sentence() for one in found.changes) == [
            "dose of session m01_pre_MR: (empty) -> 10",
            "dose of subject m01: (empty) -> 10",
            "group of session m01_pre_MR: treated -> sham",
            "group of subject m01: treated -> sham",
        ]
        assert apply_changes(client, sent.config, found.changes, journal) == 4
        assert len(journal.events("changed")) == 4
        assert find_changes(plan, client, sent.config).changes == ()
    with sent.journal() as journal:
        page = write_report(plan, journal, sent.home / "r.html")[0].read_text("utf-8")
    assert "group of subject m01: treated -&gt; sham" in page


def test_empty_cells_clear_values_only_where_that_is_asked(sent):
    from dataclasses import replace

    plan = sent.plan()
    rows = [with_values(row, **dict.fromkeys(row.variables, "")) for row in plan.rows]
    plan = replace(plan, rows=tuple(rows))
    with sent.server.client() as client:
        assert find_changes(plan, client, sent.config).changes == ()
        found = find_changes(plan, client, sent.config, clear_empty=True)
        assert len(found.changes) == 6
        apply_changes(client, sent.config, found.changes)
        assert find_changes(sent.plan(), client, sent.config, clear_empty=True).changes != ()
        assert find_changes(plan, client, sent.config, clear_empty=True).changes == ()


def test_one_animal_has_one_group(work):
    write_group(work.folder)
    assert work.upload().exit_code == 0
    from dataclasses import replace

    plan = work.plan()
    rows = [with_values(row, group=f"g{k}") for k, row in enumerate(plan.rows)]
    with work.server.client() as client:
        found = find_changes(replace(plan, rows=tuple(rows)), client, work.config)
    assert [row.subject for row, _ in found.refused] == ["m01", "m01"]
    assert all("several values of group: 'g0' (m01_" in text for _, text in found.refused)
    # The animal beside it is corrected all the same.
    assert {one.subject for one in found.changes} == {"m02"}


def test_report_is_whole_and_inert(work):
    write_group(work.folder)
    plan = work.plan()
    from dataclasses import replace

    rows = list(plan.rows)
    rows[0] = replace(rows[0], source="=cmd|' /C calc'!A0", project="P1")
    rows[1] = replace(rows[1], session="<script>alert(1)</script>", include=False)
    work.upload(plan)
    plan = replace(plan, rows=tuple(rows))
    with work.journal() as journal:
        page, table = write_report(plan, journal, work.home / "report.html")
        states = [one.state for one in report_rows(plan, journal)]
    assert states.count("left out") == 1
    text = page.read_text("utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    read = list(csv.DictReader(io.StringIO(table.read_bytes().decode("utf-8-sig"))))
    assert [row["state"] for row in read] == states
    assert read[0]["source"].startswith("'=")
    assert read[2]["group"] == rows[2].variables["group"]


def test_journal_survives_and_says_what_it_is(tmp_path):
    path = journal_path(tmp_path / "plan.csv")
    with Journal(path) as journal:
        journal.add_session("k", "P1", "m01", "L", [("1.2", 3, 4)])
        journal.mark_sending("k")
        journal.set_state("k", ["1.2"], SeriesState.SENT)
        journal.set_value("server", "https://xnat.example.org")
    with Journal(path) as journal:
        entry = journal.session("k")
        assert (entry.label, entry.sending, entry.prearchive) == ("L", True, "")
        assert journal.states("k") == {"1.2": SeriesState.SENT}
        journal.set_prearchive("k", "/prearchive/x")
        journal.add_session("k", "P1", "m01", "L2", [("1.2", 3, 4), ("1.3", 1, 1)])
        entry = journal.session("k")
        assert (entry.label, entry.sending, entry.prearchive) == ("L2", False, "/prearchive/x")
        assert journal.states("k") == {"1.2": SeriesState.SENT, "1.3": SeriesState.PLANNED}


def test_journal_in_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(PlanError, match="cannot be used"):
        Journal(tmp_path / "no" / "plan.csv.journal")


def test_what_is_no_journal_is_refused(tmp_path):
    path = tmp_path / "plan.csv.journal"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(PlanError, match="cannot be used"):
        Journal(path)
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(PlanError, match="another version"):
        Journal(path)


def test_files_of_others_in_the_images_resource_cost_no_download(sent):
    path = _first(sent)
    for name in ("notes.txt", "scan.nii.gz", "scout.gif"):
        sent.server.served.put(
            f"{path}/scans/1/resources/DICOM/files/{name}",
            params={"inbody": "true"},
            data=b"no image",
        )
    sent.server.fault({"method": "GET", "path": "/data/experiments/*/files/*", "count": 0})
    verification = _proof(sent)
    assert verification.level is VerificationLevel.CHECKSUMMED
    assert verification.notes == ["The server has 3 files and 0 scans more than this plan."]
    assert sent.server.faults()[0]["hits"] == 0
