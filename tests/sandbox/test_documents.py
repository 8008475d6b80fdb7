"""Every command of README and the tutorial is run as it stands there."""

import os
import re
import shlex
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.archive.archive import PASSWORD_VARIABLE

ROOT = Path(__file__).parents[2]
COMMAND = re.compile(r"^(?:xnat-pic|mri2dicom|make|mkdir|cd|export)\b")
ANSWERS_S = 60
# Installs, and has a test of its own where it is the demonstration.
NOT_HERE = ("make install", "make demo", "make test", "export PATH=")


def commands(page):
    """Return the lines of all blocks without a language, and the texts of the others in order."""
    found = []
    for language, text in re.findall(
        r"^```(\w*)\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL
    ):
        found += [(language, line) for line in text.splitlines()]
    return found


def _environment(folder):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("XNAT_PIC_S")}
    kept.pop(PASSWORD_VARIABLE, None)
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": paths, "XNAT_PIC_HOME": str(folder / "home"), "COLUMNS": "200"}


@contextmanager
def _served(line, folder, environment):
    """Run `serve` as the page has it, but on a port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    words = [*shlex.split(line), "--port", str(port), "--json"]
    with subprocess.Popen(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            assert process.stdout.readline().startswith(b"{")
            yield port
        finally:
            process.terminate()
            process.wait(ANSWERS_S)


def _run(lines, folder, environment):
    """Run lines one after the other in one shell; return what was said, by line."""
    said = {}
    for line in lines:
        done = subprocess.run(
            ["bash", "-ec", line],
            cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=300,
        )  # fmt: skip
        # Pipelines of the classic engine are left to a person: 8.
        installs = line.startswith(("xnat-pic-admin plan", "xnat-pic-admin apply"))
        expected = 8 if installs else 0
        assert done.returncode == expected, (line, done.stdout[-500:], done.stderr[-2000:])
        said[line] = done.stdout + done.stderr
    return said


def test_every_block_holds_commands_that_are_known():
    """So that no line of a page is left out by the tests below."""
    for page in ("README.md", "docs/tutorial.md"):
        lines = [line for language, line in commands(page) if not language]
        assert lines
        assert [line for line in lines if not COMMAND.match(line)] == []


def test_the_commands_of_the_readme(tmp_path):
    lines = [
        line for language, line in commands("README.md")
        if not language and not line.startswith(NOT_HERE)
    ]  # fmt: skip
    assert len(lines) >= 5
    _run(lines, tmp_path, _environment(tmp_path))
    assert (tmp_path / "plan.xlsx").is_file()
    assert (tmp_path / "T2" / "report.html").is_file()


@pytest.mark.slow
def test_the_tutorial(tmp_path):
    page = commands("docs/tutorial.md")
    typed = [line for language, line in page if not language and not line.startswith(NOT_HERE)]
    shown = [line for language, line in page if language == "text"]
    assert typed[:2] == ["mkdir first-study", "cd first-study"]
    folder = tmp_path / "first-study"
    folder.mkdir()
    environment = _environment(tmp_path)
    export = shlex.split(typed[2])
    assert export[0] == "export"
    environment |= dict(word.split("=", 1) for word in export[1:])
    at = next(n for n, line in enumerate(typed) if line.startswith("xnat-pic-sandbox serve"))
    said = _run(typed[3:at], folder, environment)
    with _served(typed[at], folder, environment) as port:
        assert environment["XNAT_PIC_SERVER"] == "http://localhost:8080"
        environment["XNAT_PIC_SERVER"] = f"http://localhost:{port}"
        said |= _run(typed[at + 1 :], folder, environment)
    lines = [" ".join(line.split()) for text in said.values() for line in text.splitlines()]
    assert [line for line in shown if not any(line in one for one in lines)] == []
    _compare_with_the_truth(folder)


def _compare_with_the_truth(folder):
    """The table of the page is what was measured, and within two standard errors of the truth."""
    import json

    rows = re.findall(
        r"^\| (\d) \| (\w+) \| ([\d.]+) \| ([\d.]+) \|$",
        (ROOT / "docs/tutorial.md").read_text("utf-8"), re.MULTILINE,
    )  # fmt: skip
    assert [row[1] for row in rows] == ["brain", "kidney", "tumour"]
    below = "mice_truth/group/treated/dose/dose1/timepoint/post1w/m01/*/truth.json"
    [path] = folder.glob(below)
    tissues = json.loads(path.read_text("utf-8"))["tissues"]
    text = (folder / "REGIONS" / "statistics.txt").read_text("utf-8")
    for number, tissue, measured, planted in rows:
        part = re.split(r"^ROI number: +", text, flags=re.MULTILINE)[int(number)]
        mean, spread = (
            float(re.search(rf"^{word} T2 \(ms\): +(\S+)$", part, re.MULTILINE)[1])
            for word in ("Mean", "SD")
        )
        voxels = int(re.search(r"^Pixels in the map: +(\d+)$", part, re.MULTILINE)[1])
        assert f"{mean:.2f}" == measured
        truth = tissues[tissue]["T2_ms"]
        assert f"{truth:.2f}" == planted
        assert abs(mean - truth) <= 2 * spread / voxels**0.5
