"""Every command answers at once."""

import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"numpy", "pydicom", "scipy", "nibabel", "highdicom", "PySide6", "cv2", "matplotlib"}


def _commands():
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = config["options.entry_points"]["console_scripts"].strip().splitlines()
    return {name.strip(): target.strip() for name, target in (line.split("=") for line in lines)}


def _exists(module):
    path = ROOT.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _run(target, *arguments):
    module, _, function = target.partition(":")
    assert _exists(module), f"setup.cfg names {target}, and there is no module {module}"
    code = f"import sys; from {module} import {function} as main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )


def _imported(stderr):
    """Top-level names of the modules in the report of -X importtime."""
    lines = re.findall(r"^import time:.*\|\s+(\S+)$", stderr, re.MULTILINE)
    return {name.split(".")[0] for name in lines}


@pytest.mark.parametrize(("name", "target"), _commands().items(), ids=_commands().keys())
def test_version_answers_without_heavy_imports(name, target):
    done = _run(target, "--version")
    assert done.returncode == 0, done.stderr[-2000:]
    assert re.search(r"\d+\.\d+|checkout", done.stdout), f"{name} --version said {done.stdout!r}"
    imported = _imported(done.stderr)
    assert "sys" in imported or "encodings" in imported  # the report was read
    assert imported & HEAVY == set()


@pytest.mark.parametrize(("name", "target"), _commands().items(), ids=_commands().keys())
def test_wrong_option_is_a_wrong_call(name, target):
    done = _run(target, "--no-such-option")
    assert done.returncode == 2, f"{name}: {done.stderr[-2000:]}"
    assert "--no-such-option" in done.stderr


def test_version_of_the_dictionaries():
    done = _run("private_dictionaries.cli:main", "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("private_dictionaries ")
    assert _imported(done.stderr) & HEAVY == set()
