"""From a server comes the same data set as from the folder it was filled from."""

import pytest

from pipelines.xnat.client import Access
from pipelines.xnat.session_run import run_session
from sandbox.archive.archive import PASSWORD_VARIABLE as ARCHIVE_PASSWORD
from sandbox.archive.archive import Archive, Settings
from uploader import Journal, UploadOptions, build_plan, scan_folder, upload
from xnat_config import load_config
from xnat_config.server.client import XnatClient
from xnat_config.server.connection import PASSWORD_VARIABLE, Connection
from xnat_config.server.login import password_login
from xnat_config.server.retry import RetryPolicy


@pytest.fixture
def server(study, tmp_path, monkeypatch):
    """Address of an archive that the uploader filled, with a T2 map of a pipeline."""
    from archive_server import serving

    monkeypatch.delenv(ARCHIVE_PASSWORD, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    config = load_config(environ={"XNAT_PIC_HOME": str(home)})
    with serving(Archive(tmp_path / "archive", Settings())) as served:
        assert served.keep_bytes().put("/data/projects/P1").status_code == 200
        plan = build_plan(scan_folder(study / "dicom", config), "P1", config)
        login = password_login("admin", "admin")
        with Journal(home / "j") as journal, XnatClient(Connection(served.url), login) as client:
            upload(plan, client, journal, config, UploadOptions(settle_s=20))
        token = served.get("/data/services/tokens/issue").json()
        retry = RetryPolicy(attempts=4, first_wait_s=0.02, longest_wait_s=0.1)
        access = Access(served.url, token["alias"], token["secret"], retry=retry)
        rows = served.rows("/data/projects/P1/experiments")
        [session] = [one["ID"] for one in rows if one["xsiType"] == "xnat:mrSessionData"]
        done = run_session(access, "process_T2", session, {}, tmp_path / "work")
        assert done.exit_code == 0, done.failure
        [subject] = served.rows("/data/projects/P1/subjects")
        field = "xnat:subjectData/fields/field[name=strain]/field"
        served.put(f"/data/projects/P1/subjects/{subject['ID']}", params={field: "C57BL/6J"})
        monkeypatch.setenv(PASSWORD_VARIABLE, "admin")
        monkeypatch.setenv("XNAT_PIC_HOME", str(home))
        yield served.url


def images(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in [*folder.glob("sub-*/**/*"), *(folder / "sourcedata").rglob("*")]
        if p.is_file() and not p.name.endswith((".tsv", "_sessions.json"))
    }


def test_the_server_gives_the_same_images(server, exported, about, tmp_path, command):
    out = tmp_path / "out"
    done = command("P1", out, "--server", server, "--user", "admin", "--about", about)
    assert done.exit_code == 0, done.output
    here, there = images(out), images(exported)
    assert set(here) == set(there)
    assert [name for name in here if here[name] != there[name]] == []
    text = (out / "participants.tsv").read_text(encoding="utf-8").splitlines()
    row = dict(zip(text[0].split("\t"), text[1].split("\t"), strict=True))
    assert row["strain"] == "C57BL/6J"  # what the server says counts more than the file
    assert (row["group"], row["dose"]) == ("treated", "dose1")
    maps = list(out.glob("derivatives/xnat-pic/sub-m01/ses-pre/anat/*_T2map.nii.gz"))
    assert len(maps) == 2  # the map and its standard error
    assert [p for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    assert "admin" not in (out / "fair.json").read_text(encoding="utf-8")


def test_a_wrong_password_is_said(server, tmp_path, monkeypatch, command):
    monkeypatch.setenv(PASSWORD_VARIABLE, "wrong")
    done = command("P1", tmp_path / "out", "--server", server, "--user", "admin", "--bids")
    assert done.exit_code == 5
    assert "login" in done.output
    assert not (tmp_path / "out").exists()


def test_a_project_without_sessions(server, tmp_path, command):
    done = command("P2", tmp_path / "out", "--server", server, "--user", "admin", "--bids")
    assert done.exit_code in (3, 6)
    assert not (tmp_path / "out").exists()
