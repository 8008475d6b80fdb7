"""xnatctl and xnatutils, unmodified commands of other people: list, put a resource, get a session.

They live in an environment of their own, which ``make test`` makes: ``.venv-clients``.
"""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from archive_server import Served
from filled import fill

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = Path(os.environ.get("XNAT_PIC_CLIENTS") or ROOT / ".venv-clients") / "bin"
PASSWORD = "admin"


class Commands:
    """Runs the programs with a home of their own."""

    def __init__(self, served: Served, home: Path) -> None:
        if not (PROGRAMS / "xnatctl").exists():
            pytest.skip(f"There is no {PROGRAMS}: run 'make test-install'.")
        self.home = home
        host = served.url.partition("//")[2].partition(":")[0]
        (home / ".netrc").write_text(f"machine {host} login admin password {PASSWORD}\n")
        (home / ".netrc").chmod(0o600)
        self.environment = {
            **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
            "HOME": str(home),
            "XNAT_URL": served.url,
            "XNAT_USER": "admin",
            "XNAT_PASS": PASSWORD,
            "CI": "1",  # xnatctl looks for no update
            "NO_COLOR": "1",
        }
        self.server = served.url

    def run(self, program: str, *words: str | Path) -> str:
        """Return what a command writes to standard output."""
        done = subprocess.run(
            [PROGRAMS / program, *map(str, words)],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )
        assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr[-3000:])
        return done.stdout

    def xnatctl(self, *words: str | Path) -> str:
        return self.run("xnatctl", *words)

    def utils(self, program: str, *words: str | Path) -> str:
        return self.run(program, *words, "--server", self.server)


@pytest.fixture
def commands(served: Served, tmp_path: Path) -> Commands:
    """A project P1 with a session S1_MR of two scans, and the programs."""
    (tmp_path / "home").mkdir()
    made = Commands(served, tmp_path / "home")
    fill(served)
    return made


def _digests(served: Served) -> set[str]:
    return {
        row["digest"] for row in served.rows("/data/projects/P1/experiments/S1_MR/scans/ALL/files")
    }


def _sums(folder: Path) -> set[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {hashlib.md5(path.read_bytes()).hexdigest() for path in files}


def test_xnatctl_lists(commands: Commands) -> None:
    assert commands.xnatctl("project", "list", "-q").split() == ["P1"]
    subjects = json.loads(commands.xnatctl("subject", "list", "-P", "P1", "-o", "json"))
    assert [one["label"] for one in subjects] == ["S1"]
    sessions = json.loads(commands.xnatctl("session", "list", "-P", "P1", "-o", "json"))
    assert [one["label"] for one in sessions] == ["S1_MR"]


def test_xnatctl_uploads_a_resource(commands: Commands, served: Served) -> None:
    folder = commands.home / "maps"
    folder.mkdir()
    (folder / "a.txt").write_text("first")
    (folder / "b.txt").write_text("second")
    commands.xnatctl("resource", "upload", "-P", "P1", "S1_MR", "MAPS", folder)
    rows = served.rows("/data/projects/P1/experiments/S1_MR/resources/MAPS/files")
    assert {row["digest"] for row in rows} == _sums(folder)


@pytest.mark.parametrize("workers", ["1", "4"])
def test_xnatctl_downloads_a_session(commands: Commands, served: Served, workers: str) -> None:
    out = commands.home / "out"
    words = ("session", "download", "-P", "P1", "-E", "S1_MR", "--out", out, "-w", workers)
    # --verify wants labels where the URIs of XNAT's listings have the numbers of resources.
    commands.xnatctl(*words, "--extract")
    assert _digests(served) <= _sums(out)


def test_xnatutils_lists(commands: Commands) -> None:
    assert commands.utils("xnat-ls").split() == ["P1"]
    assert commands.utils("xnat-ls", "P1", "--datatype", "subject").split() == ["S1"]
    sessions = commands.utils("xnat-ls", "--project", "P1", "--datatype", "session")
    assert sessions.split() == ["S1_MR"]


def test_xnatutils_puts_a_scan(commands: Commands, served: Served) -> None:
    path = commands.home / "map.nii"
    path.write_bytes(bytes(range(256)) * 20)
    words = ("S1_MR", "t2map", path, "--project_id", "P1", "--subject_id", "S1")
    # By default it sends a tar that holds a link and no file.
    commands.utils("xnat-put", *words, "--resource_name", "NIFTI", "--method", "per_file")
    rows = served.rows("/data/projects/P1/experiments/S1_MR/scans/t2map/resources/NIFTI/files")
    assert {row["digest"] for row in rows} == {hashlib.md5(path.read_bytes()).hexdigest()}


def test_xnatutils_gets_a_session(commands: Commands, served: Served) -> None:
    out = commands.home / "out"
    out.mkdir()
    commands.utils("xnat-get", "S1_MR", "--project", "P1", "--target", out)
    assert _digests(served) <= _sums(out)
