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
NOT_OURS = {".git", ".venv", "build", "dist", "__pycache__", ".hypothesis"}


def _in_tree():
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        ignored = any(part in NOT_OURS or part.endswith((".egg-info", "_cache")) for part in parts)
        # What `make demo` writes lies in demo, at the top alone: sandbox/demo is ours.
        if path.is_file() and not ignored and parts[0] != "demo":
            yield path


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
