"""The command: its words, its exit codes, and what it never says."""

import subprocess
import sys
from collections import Counter

import pytest
from snapshot import snapshot


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "installation.toml"
    path.write_text('projects = ["P1"]\n', encoding="utf-8")
    return path


def test_plan_apply_status_remove(start, admin, file, catalog, do_by_hand):
    served = start()
    before = snapshot(served)
    code, planned, message = admin(served, "plan", file, "--catalog", catalog)
    assert code == 8
    assert {row["state"] for row in planned} == {"add", "manual"}
    by_hand = [row["message"] for row in planned if row["state"] == "manual"]
    assert len(by_hand) == 16
    species = next(row for row in planned if row["name"] == "xnat:subjectData/species")
    assert species["desired"]["values"][:2] == ["Mus musculus", "Rattus norvegicus"]
    assert snapshot(served) == before
    counted = f"{len(planned) - 16} to add"
    assert counted in message.replace("\n", " ")

    code, applied, message = admin(served, "apply", file, "--catalog", catalog, "--yes")
    assert code == 8
    assert Counter(row["state"] for row in applied) == {"done": len(planned) - 16, "manual": 16}
    for row in applied:  # each address on one line, to be copied
        assert row["state"] == "done" or f"{row['name']}: {row['message']}\n" in message
    code, status, _ = admin(served, "status", file, "--catalog", catalog)
    assert code == 8
    assert Counter(row["state"] for row in status["things"])["manual"] == 16
    do_by_hand(served, by_hand)
    after = snapshot(served)

    code, again, _ = admin(served, "apply", file, "--catalog", catalog)  # nothing to ask about
    assert code == 0
    assert {row["state"] for row in again} == {"same"}
    assert snapshot(served) == after

    code, status, message = admin(served, "status", file, "--catalog", catalog)
    assert code == 0
    assert status["version"] == "1.8.10"
    assert [status[name] for name in ("forms", "engine", "containers", "viewer")] == [True] * 4
    assert "OHIF viewer with regions: there" in message

    code, removed, _ = admin(served, "remove", file, "--yes")
    assert code == 0
    assert Counter(row["state"] for row in removed) == {"removed": len(planned)}
    assert snapshot(served) == before


def test_without_yes_and_without_a_person_nothing_is_changed(start, admin, file):
    served = start()
    before = snapshot(served)
    code, _, message = admin(served, "apply", file)
    assert code == 2
    assert "nothing was typed" in message
    assert snapshot(served) == before


def test_what_was_changed_by_hand_gives_8(start, admin, file):
    served = start()
    assert admin(served, "apply", file, "--yes")[0] == 0
    address = "/data/projects/P1/protocols/xnat:subjectData"
    body = served.get(address).text.replace(">Mus musculus<", ">mouse<")
    assert served.put(address, data=body.encode()).status_code == 200
    for words in (("plan", file), ("apply", file, "--yes"), ("remove", file, "--yes")):
        code, rows, message = admin(served, *words)
        assert code == 8, words
        edited = [row for row in rows if row["state"] == "edited"]
        assert [row["name"] for row in edited] == ["xnat:subjectData/species"]
        assert "values: mouse is there besides and Mus musculus is missing" in edited[0]["message"]
        assert "changed by hand" in message.replace("\n", " ")
    assert ">mouse</xnat:possibleValue>" in served.get(address).text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("projects = [", "no valid TOML"),
        ('project = ["P1"]', "'project', which means nothing"),
        ("", "projects: nothing is named"),
        ('projects = ["P1"]\nsession_types = []', '"xnat:otherDicomSessionData"]'),
        ('projects = ["a/b"]', "'a/b' makes no sense"),
        ('projects = "P1"', "value of the wrong kind"),
        ('projects = ["P1"]\nsession_types = ["xnat:subjectData"]', "makes no sense"),
        ('projects = ["P1"]\n[[animal]]\nname = "Bad Name"', "cannot name"),
        ('projects = ["P1"]\n[[animal]]\nname = "age"\ndatatype = "text"', "'text' is unknown"),
        ('projects = ["P1"]\n[[animal]]\nname = "dose"', "both a [[variable]] and an [[animal]]"),
        ('projects = ["P1"]\n[[variable]]\nname = "group"\nlevel = "moon"', "Use one of subject"),
        ('projects = ["NONE"]', "has no project NONE"),
    ],
)
def test_a_file_that_makes_no_sense(start, admin, file, text, words):
    file.write_text(text, encoding="utf-8")
    code, _, message = admin(start(), "plan", file)
    assert code == 2
    assert words in message
    assert "Traceback" not in message


def test_a_folder_without_pipelines(start, admin, file, tmp_path, catalog):
    served = start()
    code, _, message = admin(served, "plan", file, "--catalog", tmp_path / "nowhere")
    assert (code, "holds no pipelines" in message) == (2, True)
    file.write_text('projects = ["P1"]\npipelines = ["process_T9"]\n', encoding="utf-8")
    code, _, message = admin(served, "plan", file, "--catalog", catalog)
    assert (code, "no pipeline process_T9" in message) == (2, True)


def test_only_the_pipelines_that_are_named(start, admin, file, catalog):
    file.write_text('projects = ["P1"]\npipelines = ["process_T2"]\n', encoding="utf-8")
    _, rows, _ = admin(start(), "plan", file, "--catalog", catalog)
    names = {row["name"].partition("/")[0] for row in rows if row["kind"] == "launch"}
    assert names == {"process_T2", "process_T2_scan"}
    assert [row["name"] for row in rows if row["kind"] == "pipeline"] == ["process_T2"]


def test_a_wrong_password_gives_5_and_is_not_told(start, admin, file):
    code, rows, message = admin(start(), "plan", file, password="not-the-password")
    assert (code, rows) == (5, None)
    assert "refuses the login" in message
    assert "not-the-password" not in message


def test_a_server_that_is_not_there_gives_6(start, admin, file):
    served = start()
    served.url = "http://127.0.0.1:9"
    code, _, message = admin(served, "plan", file)
    assert code == 6
    assert "failed or was cut" in message


def test_the_example_can_be_used(start, admin, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "xnat_config.admin.cli", "example"],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    path = tmp_path / "example.toml"
    path.write_text(done.stdout, encoding="utf-8")
    served = start()
    code, rows, message = admin(served, "plan", path, "--project", "P2")
    assert code == 0, message
    assert {row["where"] for row in rows} == {"P2"}
    uncommented = done.stdout.replace("# [[", "[[")
    for key in ("name", "values", "remove"):
        uncommented = uncommented.replace(f"# {key} =", f"{key} =")
    path.write_text(uncommented, encoding="utf-8")
    code, rows, message = admin(served, "plan", path, "--project", "P2")
    assert code == 0, message
    assert not [row for row in rows if row["name"].endswith("/cell_line")]
