"""What the pages about running and installing pipelines say is true: their commands are run."""

import re
import sys
from pathlib import Path

import keyring
import pytest
from archive_server import serving
from click.testing import CliRunner

from mri2dicom.cli import main as convert_main
from pipelines.catalog import load_catalog
from pipelines.cli import main as pipelines_main
from sandbox.archive import catalogue
from sandbox.archive.archive import PASSWORD_VARIABLE, Archive
from sandbox.cli import main as sandbox_main
from uploader.cli import main as uploader_main
from xnat_config.admin.cli import main as admin_main

TESTS = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TESTS / "uploader"))

from keyring_in_memory import Memory  # noqa: E402

PAGES = TESTS.parent / "docs" / "how-to"
RUN = (PAGES / "run-pipelines.md").read_text(encoding="utf-8")
INSTALL = (PAGES / "install-pipelines.md").read_text(encoding="utf-8")
PROGRAMS = {
    "xnat-pic-uploader": uploader_main,
    "xnat-pic-pipelines": pipelines_main,
    "xnat-pic-admin": admin_main,
    "xnat-pic-sandbox": sandbox_main,
    "mri2dicom": convert_main,
}
CODES = {"20001": 3}
# Pipelines of the classic engine are left to a person.
BY_HAND = {"plan": 8, "apply": 8}
PASSWORD = {"XNAT_PIC_PASSWORD": "admin"}


def transcript(page):
    """Return each command of a page with the lines that it shows after it."""
    found = []
    for text in re.findall(r"^ *```\n(.*?)^ *```", page, re.MULTILINE | re.DOTALL):
        lines = [line.strip() for line in text.splitlines()]
        if lines[0].split()[0] in PROGRAMS:
            found += [[line, []] for line in lines if line.split()[0] in PROGRAMS]
        elif found and not lines[0].startswith(("python", "docker")):
            found[-1][1].extend(lines)
    return found


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Type a command of a page; what the page shows after it is looked for in what it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XNAT_PIC_HOME", str(tmp_path / "home"))
    for name in ("XNAT_PIC_SERVER", "XNAT_PIC_USER", "XNAT_PIC_PASSWORD", PASSWORD_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    before = keyring.get_keyring()
    keyring.set_keyring(Memory())
    with serving(Archive(tmp_path / "archive")) as served:

        def typed(command, shown=()):
            command = command.replace("http://localhost:8080", served.url)
            words, _, target = command.partition(" > ")
            program, *arguments = words.split()
            yes = {"apply": "y\n", "remove": "y\n", "login": "admin\n"}.get(arguments[0])
            env = PASSWORD if program in ("xnat-pic-pipelines", "xnat-pic-admin") else {}
            done = CliRunner().invoke(PROGRAMS[program], arguments, input=yes, env=env)
            expected = CODES.get(arguments[-1], BY_HAND.get(arguments[0], 0))
            assert done.exit_code == expected, (command, done.output)
            if target:
                Path(target).write_text(done.stdout, encoding="utf-8")
            said = [" ".join(line.split()) for line in done.output.splitlines()]
            for line in shown:
                wanted = " ".join(line.split())
                assert any(wanted in one for one in said), (command, line, said)
            return done

        typed.served = served
        yield typed
    keyring.set_keyring(before)


def test_from_an_empty_server_to_the_table_of_a_project(run):
    commands = transcript(RUN)
    work = [(line, shown) for line, shown in commands if line.split()[1] == "run"]
    for line, shown in commands:
        if (line, shown) not in work and line.split()[1] != "serve":
            run(line, shown)
    archive = run.served.archive
    install = [
        (line, shown)
        for line, shown in transcript(INSTALL)
        if line.split()[0] != "xnat-pic-sandbox"
    ]
    assert [line.split()[1] for line, _ in install] == [
        "export", "example", "plan", "apply", "status", "export", "remove"
    ]  # fmt: skip
    for line, shown in install[:-1]:
        run(line, shown)
        if line == "xnat-pic-pipelines export catalog":  # serve --pipelines catalog/engine
            with archive.database.write() as connection:
                catalogue.register_folder(connection, Path("catalog/engine").resolve())
        if "apply" in line:  # what the table leaves to the pages of XNAT
            named = {"folder": str(Path("catalog/engine").resolve()), "project": "TRIAL"}
            assert run.served.post("/sandbox/pipelines", params=named).status_code == 200
    used = run.served.rows("/data/projects/TRIAL/pipelines")
    assert len(used) == len(load_catalog().pipelines) == 16, used
    assert len(work) == 5
    for line, shown in work:
        run(line, shown)
    rows = run.served.rows("/data/projects/TRIAL/resources/XNAT_PIC_SUMMARY/files")
    table = RUN[RUN.index("| file | what |") : RUN.index("![T2 of the tumour")]
    told = set(re.findall(r"`([a-z]+\.[a-z]+)`", table))
    assert {row["Name"] for row in rows} - {"summary.json"} == told
    done = run(install[-1][0])
    assert "pipeline" in done.output
    assert run.served.rows("/data/projects/TRIAL/pipelines") == []


def test_every_pipeline_is_on_the_page_under_the_name_that_xnat_shows():
    for one in load_catalog().pipelines:
        assert one.label.removesuffix(" project") in RUN
        assert f"`{one.resource}`" in RUN, one


def test_options_of_the_sandbox_that_the_page_names():
    lines = re.findall(r"^xnat-pic-sandbox serve (.*)$", INSTALL, re.MULTILINE)
    assert len(lines) == 2
    options = CliRunner().invoke(sandbox_main, ["serve", "--help"]).output
    for name in re.findall(r"--[a-z-]+", " ".join(lines)):
        assert name in options
