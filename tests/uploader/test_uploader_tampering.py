"""No byte that changed on the server passes as proved, whatever the site does to what it gets."""

from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from archive_server import serving
from disk import write_study
from tampering import OF_A_SCRIPT, TAMPERINGS, edited, flip_pixel, stored_files
from upload_work import Server, Work

from sandbox.archive.archive import Archive
from uploader.reports.report import report_rows
from uploader.transfer.plan_upload import Outcome
from uploader.verification.levels import ProofLevel, VerificationLevel
from uploader.verification.session_verification import verify

GEOMETRY = {
    "ImagePositionPatient": [1, 2, 3],
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "PixelSpacing": [0.5, 0.5],
    "FrameOfReferenceUID": "2.25.77",
}
SITES = ("a site that keeps bytes", "a site that anonymises")
UNTOUCHED = ("untouched", "untouched too", "nor this one")


@pytest.fixture(params=SITES)
def sent(work, request):
    """Two animals on a site that leaves bytes alone, or on one as it is installed."""
    if request.param == SITES[0]:
        work.server.served.keep_bytes()
    write_study(work.folder / "m01", "1", "m01", **GEOMETRY)
    write_study(work.folder / "m02", "2", "m02", **GEOMETRY)
    assert work.upload().exit_code == 0
    return work


def _verify(work, level=ProofLevel.DIGEST, **options):
    """Return the proofs of the two animals."""
    found = {one.row.subject: one for one in work.verify(level=level, **options)}
    return found["m01"], found["m02"]


@pytest.fixture(scope="module", params=SITES)
def table(request, tmp_path_factory):
    """An animal for each tampering and three that nobody touches, on each kind of site.

    The plan is verified first, all of it is tampered with, and every command is asked.
    """
    folder = tmp_path_factory.mktemp("table")
    with ExitStack() as stack:
        server = Server(stack.enter_context(serving(Archive(folder / "archive"))))
        served = server.served
        if request.param == SITES[0]:
            served.keep_bytes()
        assert served.put("/data/projects/P1").status_code == 200
        work = Work(server, folder / "data", folder / "home")
        (folder / "home").mkdir()
        names = [*TAMPERINGS, *UNTOUCHED]
        for number, _ in enumerate(names, 2):
            subject = f"a{number:02}"
            write_study(work.folder / subject, str(number), subject, **GEOMETRY)
        write_study(work.folder / "m02", "1", "m02", series=(1,), count=1)
        assert work.upload().exit_code == 0
        found = _Table({name: f"a{number:02}" for number, name in enumerate(names, 2)})
        found.before = _by_subject(work.verify())
        for name, tamper in TAMPERINGS.items():
            tamper(stored_files(work, f"{found.subjects[name]}_20240109_MR"))
        bare = work.plan()
        with server.client() as client:
            found.without_journal = {
                one.row.subject: one for one in verify(bare, client, work.config)
            }
        found.after = _by_subject(work.verify())
        with work.journal() as journal:
            found.report = {one.row.subject: one for one in report_rows(bare, journal)}
        found.upload = {one.row.subject: one for one in work.upload().rows}
        with work.journal() as journal:
            found.report_later = {one.row.subject: one for one in report_rows(bare, journal)}
        found.repair = {one.row.subject: one for one in work.upload(repair=True).rows}
        found.mended = _by_subject(work.verify(level=ProofLevel.PIXELS))
        for client in server.clients:
            client.close()
        yield found


@dataclass
class _Table:
    subjects: dict
    before: dict = field(default_factory=dict)
    without_journal: dict = field(default_factory=dict)
    after: dict = field(default_factory=dict)
    report: dict = field(default_factory=dict)
    upload: dict = field(default_factory=dict)
    report_later: dict = field(default_factory=dict)
    repair: dict = field(default_factory=dict)
    mended: dict = field(default_factory=dict)


def _by_subject(verifications):
    return {one.row.subject: one for one in verifications}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_found_stands_and_is_mended_by_a_persons_word(table, tell, name):
    subject = table.subjects[name]
    assert table.before[subject].is_proved
    found = table.after[subject]
    assert not found.is_proved
    assert any("SOP Instance UID" in text for text in found.problems), found.problems
    assert (table.report[subject].verification, table.report[subject].has_errors) == (
        "not verified",
        True,
    )
    result = table.upload[subject]
    tell("tampering", name, found.problems[0], result.reason or "sends what is missing")
    if "deleted" in name:  # what is missing is sent again, and no word is needed for it
        assert result.outcome is Outcome.DONE, result.reason
    else:
        assert result.outcome is Outcome.PARTIAL, result.reason
        assert "What verify found on" in result.reason
        assert table.report_later[subject].has_errors
        assert table.repair[subject].outcome is Outcome.DONE, table.repair[subject].reason
    assert (table.mended[subject].is_proved, table.mended[subject].problems) == (True, [])


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_found_without_a_journal_too(table, tell, name):
    found = table.without_journal[table.subjects[name]]
    tell("alone", name, *(found.problems[:1] or found.notes))
    if name in OF_A_SCRIPT and not found.problems:
        assert OF_A_SCRIPT[name] in " ".join(found.notes)
    else:
        assert not found.is_proved
        assert found.problems


@pytest.mark.parametrize("name", UNTOUCHED)
def test_what_nobody_touched_passes_in_silence(table, name):
    subject = table.subjects[name]
    for found in (table.before, table.without_journal, table.after, table.mended):
        assert (found[subject].is_proved, found[subject].problems) == (True, [])
    assert table.upload[subject].outcome is Outcome.NOTHING_TO_DO
    assert not table.report_later[subject].has_errors


@pytest.mark.parametrize("name", ["every file cut off in the store", "one file gone from the store",
                                  "every file cut off through XNAT"])  # fmt: skip
def test_sizes_find_what_is_cut_off_or_gone(sent, name):
    assert [one.is_proved for one in _verify(sent, ProofLevel.SIZED)] == [True, True]
    assert {one.level for one in _verify(sent, ProofLevel.SIZED)} == {VerificationLevel.SIZED}
    TAMPERINGS[name](stored_files(sent))
    bad, good = _verify(sent, ProofLevel.SIZED)
    assert (bad.is_proved, good.is_proved) == (False, True)


def test_listing_is_worth_a_listing_and_clears_no_finding(sent):
    assert {one.level for one in _verify(sent, ProofLevel.LISTED)} == {VerificationLevel.COUNTED}
    TAMPERINGS["a pixel of one file in the store"](stored_files(sent))
    assert _verify(sent, ProofLevel.LISTED)[0].is_proved
    assert not _verify(sent)[0].is_proved
    listed, _ = _verify(sent, ProofLevel.LISTED)
    assert "stands" in " ".join(listed.notes)
    sampled, _ = _verify(sent, sample=1)
    if sampled.is_proved:
        assert "stands" in " ".join(sampled.notes)
    assert sent.upload().exit_code == 8
    with sent.journal() as journal:
        assert report_rows(sent.plan(), journal)[0].has_errors


@pytest.mark.parametrize("keeps", [True, False], ids=["keeps bytes", "anonymises"])
@pytest.mark.parametrize("exchange", [True, False], ids=["exchanged", "replaced"])
def test_one_file_sessions_with_another_animals_bytes_are_found(work, keeps, exchange):
    if keeps:
        work.server.served.keep_bytes()
    for k in (1, 2):
        write_study(work.folder / f"m0{k}", str(k), f"m0{k}", series=(1,), count=1)
    assert work.upload().exit_code == 0
    (first,), (second,) = stored_files(work), stored_files(work, "m02_20240109_MR")
    before = first.content
    first.write(second.content)
    if exchange:
        second.write(before)
    bad, other = _verify(work)
    assert "its file holds the object 2.25.2.1.1" in " ".join(bad.problems)
    assert (bad.is_proved, other.is_proved) == (False, not exchange)


def test_objects_exchanged_between_scans_of_many_files_are_found_in_an_archive(work):
    write_study(work.folder / "m01", count=14)
    assert work.upload().exit_code == 0
    TAMPERINGS["two files of two scans exchanged in the store"](stored_files(work))
    (found,) = work.verify(level=ProofLevel.PIXELS)
    text = " ".join(found.problems)
    assert found.pixels_equal == 26
    assert "its file holds the object 2.25.1.2.9" in text
    assert "its file holds the object 2.25.1.1.1" in text


def test_file_that_the_store_lost_is_named_and_the_others_are_compared(sent):
    files = stored_files(sent)
    files[-1].remove()
    for level in (ProofLevel.DIGEST, ProofLevel.PIXELS):
        bad, _ = _verify(sent, level)
        assert bad.checksummed + bad.pixels_equal == 5
        text = " ".join(bad.problems)
        assert (
            "the server lists it and does not give it (404) (SOP Instance UID 2.25.1.2.3)" in text
        )


def test_server_that_computes_no_checksums_anew_has_every_file_read(sent):
    sent.server.fault({"method": "POST", "path": "*/refresh/catalog", "status": 403, "count": 0})
    one, _ = _verify(sent)
    assert one.is_proved
    assert "did not compute the checksums anew" in one.notes[0]
    assert "every file was read instead" in one.notes[0]
    TAMPERINGS["a pixel of one file in the store"](stored_files(sent))
    assert not _verify(sent)[0].is_proved


def test_relabelled_session_is_told_as_changed_and_taken_by_a_persons_word(work):
    """A site that anonymises writes its files anew where a session gets another label."""
    write_study(work.folder / "m01", "1", "m01")
    assert work.upload().exit_code == 0
    assert [one.proof for one in work.verify()] == ["pixels equal"]
    script = 'version "6.1"\n(0010,0020) := session\n- (0008,1070)'
    work.server.served.put(
        "/data/config/edit/projects/P1/image/dicom/script",
        data=script,
        headers={"Content-Type": "text/plain"},
    )
    (row,) = work.server.served.rows("/data/projects/P1/experiments")
    for name in ("OTHER", row["label"]):
        work.server.served.put(f"/data/experiments/{row['ID']}", params={"label": name})
    (found,) = work.verify()
    assert not found.is_proved
    assert "changed on the server after arrival, with equal pixels" in " ".join(found.problems)
    assert [one.is_proved for one in work.verify(accept_changes=True)] == [True]
    assert [one.is_proved for one in work.verify()] == [True]
    assert work.upload().rows[0].outcome is Outcome.NOTHING_TO_DO


def test_second_proof_of_what_the_server_rewrote_reads_no_file(work):
    write_study(work.folder / "m01", "1", "m01")
    assert work.upload().exit_code == 0
    assert [one.proof for one in work.verify()] == ["pixels equal"]
    work.server.fault({"method": "GET", "path": "*.dcm", "count": 0})
    (found,) = work.verify()
    assert (found.proof, found.is_proved) == ("pixels equal", True)
    assert "compared by an earlier verification and not changed since: 6" in " ".join(found.notes)
    assert work.server.faults()[0]["hits"] == 0


def test_file_corrected_on_the_disk_at_the_same_size_is_told_and_sent_by_a_persons_word(sent):
    assert all(one.is_proved for one in _verify(sent))
    path = next((sent.folder / "m01").rglob("0003.dcm"))
    path.write_bytes(edited(path.read_bytes(), flip_pixel))
    result = {one.row.subject: one for one in sent.upload().rows}["m01"]
    assert result.outcome is Outcome.PARTIAL
    assert "1 file changed on the disk after being sent" in result.reason
    bad, _ = _verify(sent)
    assert not bad.is_proved
    assert "changed on the disk after" in " ".join(
        bad.problems
    ) or "on disk was changed" in " ".join(bad.problems)
    assert sent.upload().exit_code == 8
    assert sent.upload(repair=True).exit_code == 0
    assert all(one.is_proved for one in _verify(sent))


def test_session_that_was_deleted_and_sent_again_is_said_to_be(sent):
    assert all(one.is_proved for one in _verify(sent))
    (row,) = sent.server.served.rows("/data/projects/P1/experiments", label="m01_20240109_MR")
    sent.server.served.delete(f"/data/experiments/{row['ID']}", params={"removeFiles": "true"})
    journal = sent.home / "plan.csv.journal"
    kept = journal.read_bytes()
    assert sent.upload().exit_code == 0
    journal.write_bytes(kept)  # as if a colleague's plan had sent it
    one, _ = _verify(sent)
    assert (one.is_proved, one.problems) == (True, [])
    assert "it was deleted and sent again since" in " ".join(one.notes)
