"""Nothing is sent twice, nothing of others is overwritten, and no original follows a copy."""

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from click.testing import CliRunner
from disk import expected_files, write_study
from tampering import stored_files

from uploader.cli import main
from uploader.deidentification.deidentifier import Deidentifier
from uploader.deidentification.mode import (
    DeidentificationMode,
    key_path,
    load_deidentifier,
    mark_path,
)
from uploader.planning.plan_files import write_plan
from uploader.transfer.plan_upload import Outcome
from xnat_pic.errors import WrongCallError


def _session(work, label):
    (row,) = work.server.served.rows("/data/projects/P1/experiments", label=label)
    return f"/data/experiments/{row['ID']}"


def test_study_that_was_sent_under_another_label_is_not_sent_again(work, tell):
    write_study(work.folder / "m01")
    assert work.upload().exit_code == 0
    plan = work.plan()
    plan = replace(plan, rows=(replace(plan.rows[0], session="m01_again"),))
    result = work.upload(plan)
    assert result.exit_code == 8
    assert "already on the server as m01_20240109_MR" in result.rows[0].reason
    (found,) = work.verify(plan)
    assert "Its study is there as m01_20240109_MR of m01" in found.problems[0]
    tell("double", "a study sent again under another label", result.rows[0].reason)
    assert work.server.files() == expected_files(work.folder)


def test_session_that_was_relabelled_on_the_server_is_not_doubled(work, tell):
    write_study(work.folder / "m01")
    assert work.upload().exit_code == 0
    path = _session(work, "m01_20240109_MR")
    assert work.server.served.put(path, params={"label": "renamed"}).status_code == 200
    result = work.upload()
    assert "Write renamed into the column session" in result.rows[0].reason
    tell("double", "a session relabelled in XNAT", result.rows[0].reason)
    assert len(work.server.files()) == 6
    plan = work.plan()
    plan = replace(plan, rows=(replace(plan.rows[0], session="renamed"),))
    assert work.upload(plan).exit_code == 0


def test_scan_that_was_moved_into_another_animals_session_is_not_sent_again(work, tell):
    write_study(work.folder / "m01", "1", "m01")
    write_study(work.folder / "m02", "2", "m02", series=(1,))
    assert work.upload().exit_code == 0
    with work.server.served.archive.database.write() as connection:
        connection.execute(
            "UPDATE item SET parent = (SELECT pk FROM item WHERE label = 'm02_20240109_MR')"
            " WHERE kind = 'scan' AND id = '2'"
        )
    result = {one.row.subject: one for one in work.upload().rows}
    assert result["m01"].outcome is Outcome.FAILED
    assert result["m01"].reason == (
        "Series 2 (series 2) was archived in m01_20240109_MR, and is now scan 2 of "
        "m02_20240109_MR of m02. Move it back in XNAT, or delete it there, then run the same "
        "command again."
    )
    tell("double", "a scan moved into another animal's session", result["m01"].reason)
    assert len(work.server.files()) == 9


def test_side_file_that_a_colleague_changed_is_kept_and_told(work, tell):
    folder = write_study(work.folder / "m01")
    note = folder / "note.txt"
    note.write_text("calm", encoding="utf-8")
    assert work.upload().exit_code == 0
    target = f"{_session(work, 'm01_20240109_MR')}/resources/NOTES/files/note.txt"
    params = {"overwrite": "true", "inbody": "true"}
    work.server.served.put(target, params=params, data=b"seen again, better")
    (found,) = work.verify()
    assert found.problems == [
        "Files beside the images were changed on the server after they were sent: note.txt."
    ]
    note.write_text("calm, they say", encoding="utf-8")
    result = work.upload().rows[0]
    assert result.outcome is Outcome.PARTIAL
    assert "note.txt beside the images: changed on the server after it was sent" in result.reason
    tell("double", "a side file that a colleague changed", result.reason)
    assert work.server.served.get(target).text == "seen again, better"
    work.server.served.put(target, params=params, data=b"calm")
    assert work.upload().exit_code == 0
    assert work.server.served.get(target).text == "calm, they say"


def test_side_file_is_proved_by_content_though_its_listing_is_old(work, tell):
    folder = write_study(work.folder / "m01")
    (folder / "note.txt").write_text("calm", encoding="utf-8")
    assert work.upload().exit_code == 0
    path = f"{_session(work, 'm01_20240109_MR')}/resources/NOTES/files"
    (row,) = work.server.served.rows(path, locator="absolutePath")
    stored = Path(row["absolutePath"])
    stored.write_bytes(b"wild")
    (found,) = work.verify()
    assert not found.is_proved
    tell("double", "a side file changed in the store", found.problems[0])
    stored.unlink()
    (found,) = work.verify()
    assert found.problems == ["Files beside the images are missing: note.txt."]
    tell("double", "a side file gone from the store", found.problems[0])


@pytest.mark.parametrize("maps", [False, True], ids=["anonymised", "mapped"])
@pytest.mark.parametrize("left", ["mark", "nothing"])
def test_anonymised_upload_without_its_journal_sends_no_original(work, tell, maps, left):
    write_study(work.folder / "m01", "1", "m01", OperatorsName="Somebody")
    path = work.home / "plan.csv"
    with work.journal() as journal:
        deidentifier = load_deidentifier(
            path, journal, DeidentificationMode(True, maps), record=True
        )
    assert work.upload(deidentifier=deidentifier).exit_code == 0
    write_study(work.folder / "m02", "2", "m02", OperatorsName="Somebody")
    work.home.joinpath("plan.csv.journal").unlink()
    if left == "nothing":
        (key_path(path) if maps else mark_path(path)).unlink()
        with pytest.raises(WrongCallError, match="would send originals") as refused:
            work.upload()
    else:
        with (
            work.journal() as journal,
            pytest.raises(WrongCallError, match="this run asks for") as refused,
        ):
            load_deidentifier(path, journal, DeidentificationMode(), record=True)
        with work.journal() as journal:
            found = load_deidentifier(path, journal)  # verify asks for nothing
        assert isinstance(found, Deidentifier)
        (one, _) = work.verify(deidentifier=found)
        assert one.is_proved
    what = "mapped" if maps else "anonymised"
    kept = "its journal" if left == "mark" else "its journal and mark"
    tell("double", f"the rest of {what} studies after {kept} moved away", str(refused.value))
    assert len(work.server.files()) == 6


def test_originals_are_refused_where_the_site_added_a_method_of_its_own(work, tell):
    write_study(work.folder / "m01", "1", "m01", OperatorsName="Somebody")
    path = work.home / "plan.csv"
    with work.journal() as journal:
        deidentifier = load_deidentifier(path, journal, DeidentificationMode(True), record=True)
    assert work.upload(deidentifier=deidentifier).exit_code == 0
    scans = f"{_session(work, 'm01_20240109_MR')}/scans/ALL/files"
    for row in work.server.served.rows(scans, locator="absolutePath"):
        stored = pydicom.dcmread(row["absolutePath"])
        ours = stored.DeidentificationMethod
        stored.DeidentificationMethod = [ours, "the script of the site"]
        stored.save_as(row["absolutePath"])
    write_study(work.folder / "m02", "2", "m02", OperatorsName="Somebody")
    work.home.joinpath("plan.csv.journal").unlink()
    mark_path(path).unlink()
    with pytest.raises(WrongCallError, match="would send originals") as refused:
        work.upload()
    tell("double", "the same on a site with a method of its own", str(refused.value))


def test_row_with_errors_and_a_plan_without_rows_are_no_proof(work, tmp_path):
    write_study(work.folder / "m01")
    assert work.upload().exit_code == 0
    plan = tmp_path / "plan.csv"
    env = {
        "XNAT_PIC_SERVER": work.server.url,
        "XNAT_PIC_USER": "admin",
        "XNAT_PIC_PASSWORD": "admin",
        "XNAT_PIC_HOME": str(work.home),
    }

    def run(*arguments):
        done = CliRunner().invoke(main, [str(one) for one in arguments], env=env)
        return done.exit_code, " ".join(done.output.split())

    write_plan(work.plan(), plan)
    assert run("verify", plan)[0] == 0
    assert "are not proved by digest" not in run("verify", plan, "--level", "listed")[1]
    write_plan(replace(work.plan(), rows=()), plan)
    code, text = run("verify", plan)
    assert (code, "No row of" in text) == (3, True)
    cut = next(work.folder.rglob("0002.dcm"))
    cut.write_bytes(cut.read_bytes()[:300])
    write_plan(work.plan(), plan)
    code, text = run("verify", plan)
    assert code == 8, text


def test_pixel_that_changed_on_the_way_is_found_at_arrival(work, tell):
    """Where a site keeps bytes, one file of a session that differs is looked into."""
    work.server.served.keep_bytes()
    write_study(work.folder / "m01", "1", "m01", series=(1, 2), count=1)
    plan = work.plan()
    client = work.server.client()
    send, changed = client.send, []

    def tampering(method, path, **options):
        answer = send(method, path, **options)
        if path == "/data/services/archive" and not changed:
            first = stored_files(work)[0]
            first.put(first.content[:-1] + b"\x55")
            changed.append(first.name)
        return answer

    client.send = tampering
    result = work.upload(plan, client=client)
    assert (result.exit_code, changed) == (8, ["2.25.1.1.1.dcm"])
    assert "1 of 2 files of m01_20240109_MR are not on the server as sent: other pixels" in (
        result.rows[0].reason
    )
    tell("double", "a pixel that changed on the way", result.rows[0].reason)
    assert "What verify found" in work.upload().rows[0].reason
    assert work.upload(repair=True).exit_code == 0
    assert [one.is_proved for one in work.verify()] == [True]
