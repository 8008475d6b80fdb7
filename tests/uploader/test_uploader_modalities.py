"""Every modality becomes the session that XNAT has for it; progress tells bytes, rate and time."""

import io
import sys
import time
from dataclasses import replace

import pytest
from disk import expected_files, with_values, write_study
from small_dicom import CT, MR, PET, SC, US, write_series

from uploader.cli.display import UploadProgressBar
from uploader.control import Progress
from uploader.server.variables import find_forms
from uploader.transfer.variable_changes import apply_changes, find_changes

NM = "1.2.840.10008.5.1.4.1.1.20"
# XNAT's own names, not read from our table.
KINDS = {
    "MR": (MR, "MR", "xnat:mrSessionData"),
    "PET": (PET, "PT", "xnat:petSessionData"),
    "CT": (CT, "CT", "xnat:ctSessionData"),
    "US": (US, "US", "xnat:usSessionData"),
    "NM": (NM, "NM", "xnat:nmSessionData"),
    "OT": (SC, "OT", "xnat:otherDicomSessionData"),
}


def test_six_modalities_of_one_animal(work):
    for k, (sop, modality, _) in enumerate(KINDS.values()):
        write_series(work.folder / f"s{k}", study=f"5{k}", sop=sop, Modality=modality)
    result = work.upload()
    assert result.exit_code == 0, [row.reason for row in result.rows]
    assert work.server.files() == expected_files(work.folder)
    rows = work.server.served.rows("/data/projects/P1/experiments")
    assert {row["label"]: row["xsiType"] for row in rows} == {
        f"m01_20240109_{code}": xsi_type for code, (_, _, xsi_type) in KINDS.items()
    }


def test_corrections_reach_the_custom_form_too(work):
    write_study(work.folder / "group" / "treated" / "timepoint" / "pre" / "m01")
    plan = work.plan(project="FORMS")
    assert work.upload(plan, create_project=True).exit_code == 0
    (row,) = plan.rows
    row = with_values(row, group="sham", timepoint="post1w")
    with work.server.client() as client:
        found = find_changes(replace(plan, rows=(row,)), client, work.config)
        assert apply_changes(client, work.config, found.changes) == 3
        forms = find_forms(client, "FORMS", work.config.variables.form_title)
        base = "/xapi/custom-fields/projects/FORMS/subjects/m01"
        subject = client.json(f"{base}/fields")
        session = client.json(f"{base}/experiments/m01_pre_MR/fields")
    assert subject == {forms["xnat:subjectData"]: {"group": "sham"}}
    wanted = {"group": "sham", "timepoint": "post1w"}
    assert session == {forms["xnat:mrSessionData"]: wanted}


class _Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("what", ["Session m01", "[bold]x[/bold] \x1b[2J"])
def test_bar_shows_bytes_rate_and_remaining_time(monkeypatch, what):
    screen = _Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with UploadProgressBar() as bar:
        for k in range(1, 9):
            bar.update(Progress(k << 20, 16 << 20, 1 << 20, 8.0, what))
            time.sleep(0.03)
    text = screen.getvalue()
    assert "8.0/16.0 MiB" in text
    assert "/s" in text
    assert "0:00:0" in text
    assert what.split(" ")[0] in text, "a name is no markup"
    assert "\x1b[2J" not in text, "and steers no terminal"
