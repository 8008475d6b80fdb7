"""The report says what was compared with what, so that a person can sign it."""

import csv
import hashlib
import io
import re

import pytest
from click.testing import CliRunner
from disk import write_study
from small_dicom import write_series
from tampering import TAMPERINGS, stored_files

from uploader.cli import main
from uploader.planning.plan_files import write_plan
from uploader.reports.report import report_rows, write_report
from uploader.verification.levels import ProofLevel
from xnat_pic.version import version


@pytest.fixture
def sent(work):
    write_study(work.folder / "m01")
    assert work.upload().exit_code == 0
    return work


def _report(work):
    """Return page and rows of the table, by the plan as it is now."""
    with work.journal() as journal:
        page, table = write_report(work.plan(), journal, work.home / "report.html")
    content = table.read_bytes()
    text = page.read_text("utf-8")
    assert hashlib.sha256(content).hexdigest() in text
    return text, list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


def test_report_of_what_nobody_verified_claims_nothing(sent):
    text, (row,) = _report(sent)
    assert (row["proof"], row["level"], row["verified"]) == ("not verified", "", "")
    assert "<li><em>" not in text


@pytest.mark.parametrize("level", ProofLevel)
def test_report_names_level_counts_version_and_account(sent, level):
    sent.verify(level=level)
    text, (row,) = _report(sent)
    assert (row["level"], row["planned"], row["found"]) == (level.value, "6", "6")
    equal = "6" if level in (ProofLevel.DIGEST, ProofLevel.PIXELS) else "0"
    assert (row["bytes equal"], row["pixels equal"]) == ("0", equal)
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}$", row["verified"])
    assert f"<em>{level.value}</em>: " in text
    assert f"Written by XNAT-PIC {version()}." in text
    assert "<td>admin</td>" in text
    assert "Signature: <span>" in text


def test_what_came_after_a_proof_is_not_proved_by_it(sent):
    sent.verify()
    write_series(sent.folder / "m01" / "s3", series="3", PatientID="m01")
    assert sent.upload().exit_code == 0
    _, (row,) = _report(sent)
    assert (row["proof"], row["state"]) == ("not verified", "archived")


def test_finding_stays_in_the_report_whatever_upload_says(sent):
    TAMPERINGS["a pixel of one file in the store"](stored_files(sent))
    assert not sent.verify()[0].is_proved
    assert sent.upload().exit_code == 8
    text, (row,) = _report(sent)
    assert row["proof"] == "not verified"
    assert "other pixels, changed after it arrived" in row["findings"]
    assert "1 need attention" in text
    with sent.journal() as journal:
        (found,) = report_rows(sent.plan(), journal)
    assert found.has_errors


def test_command_tells_the_digest_of_what_it_wrote(sent, tmp_path):
    sent.verify()
    plan = tmp_path / "plan.csv"
    write_plan(sent.plan(), plan)
    (sent.home / "plan.csv.journal").rename(tmp_path / "plan.csv.journal")
    done = CliRunner().invoke(main, ["report", str(plan), "-o", str(tmp_path / "r.html")])
    assert done.exit_code == 0
    said = "".join(done.output.split())
    for name in ("r.html", "r.csv"):
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() in said
