import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "mri2dicom",
    "pipelines",
    "private_dictionaries",
    "sandbox",
    "uploader",
    "xnat_config",
    "xnat_pic",
)
NOT_OURS = {".git", "build", "dist", "__pycache__", ".hypothesis"}


def _in_tree():
    for top, folders, names in os.walk(ROOT):  # other tests write below the folders left out
        folders[:] = [name for name in folders if not _is_left_out(Path(top), name)]
        yield from (Path(top, name) for name in names)


def _is_left_out(top, name):
    # What `make demo` writes lies in demo, at the top alone: sandbox/demo is ours.
    made = name == "demo" and top == ROOT
    ours = name not in NOT_OURS and not name.startswith(".venv")
    return made or not ours or name.endswith((".egg-info", "_cache"))


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def packages():
    return PACKAGES


@pytest.fixture(scope="session")
def committed_files():
    """Every file git tracks; in an unpacked archive without git, every file of the tree."""
    if not (ROOT / ".git").exists():
        return sorted(_in_tree())
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout.decode("utf-8")
    paths = [ROOT / name for name in listed.split("\0") if name]
    return sorted(path for path in paths if path.is_file())
