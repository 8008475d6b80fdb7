"""What docs/how-to/administer.md says is true: its commands and its example are run."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from snapshot import snapshot

from xnat_config.admin.model import State
from xnat_config.admin.specification import load_specification

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "administer.md").read_text("utf-8")
PROGRAMS = Path(sys.executable).parent


def _block(after, language=""):
    text = PAGE[PAGE.index(after) :]
    return re.search(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[1]


def test_the_commands_of_the_page(start, tmp_path):
    served = start()
    served.put("/data/projects/MY_PROJECT")
    before = snapshot(served)
    environment = {
        **os.environ,
        "XNAT_PIC_SERVER": served.url,
        "XNAT_PIC_USER": "admin",
        "XNAT_PIC_PASSWORD": "admin",
        "XNAT_PIC_HOME": str(tmp_path / "home"),
    }
    lines = _block("# Install").splitlines()
    assert len(lines) == 6
    for line in lines:
        program, *words = line.partition(" > ")[0].split()
        done = subprocess.run(
            [PROGRAMS / program, *words],
            cwd=tmp_path,
            env=environment,
            input="y\n",
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )
        by_hand = "--catalog" in words  # pipelines of the classic engine
        assert done.returncode == (8 if by_hand else 0), line + done.stderr
        if " > " in line:
            (tmp_path / line.rpartition(" ")[2]).write_text(done.stdout, encoding="utf-8")
        if "apply" in line:
            assert snapshot(served) != before
    assert snapshot(served) == before


def test_the_example_of_the_page(tmp_path):
    path = tmp_path / "installation.toml"
    text = _block("## What it installs", "toml")
    path.write_text(text, encoding="utf-8")
    spec = load_specification(path)
    assert spec.projects == tuple(tomllib.loads(text)["projects"])
    animals = {one.name: one for one in spec.animals}
    assert animals["strain"].values == ("C57BL/6J", "BALB/c")
    assert animals["housing"].title == "Housing"
    assert spec.config.variables.by_name["group"].values == ("untreated", "treated")
    named = set(
        re.findall(r"`(\w+)`", PAGE.partition("The fields of an animal")[2].partition(".")[0])
    )
    assert named == set(animals) - {"housing"}


def test_the_states_of_the_page():
    table = PAGE[PAGE.index("## What the states mean") : PAGE.index("Exit codes:")]
    listed = re.findall(r"^\| ([a-z ,]+?) \|", table, re.MULTILINE)
    words = {word for row in listed if row != "state" for word in row.split(", ")}
    assert words == {one.value for one in State} - {"to remove", "removed", "done"}


def test_the_sandbox_has_the_options_of_the_page():
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.cli", "serve", "--help"],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    options = re.findall(r" (--[a-z-]+)", _block("## Try it first"))
    assert options
    assert all(option in done.stdout for option in options)
    table = _block("## Test a real server", "text")
    assert table.count(" ok  ") == 13
