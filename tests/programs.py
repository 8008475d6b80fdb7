"""Programs that tests run and that pip does not install: `system-packages.txt` names them."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# `packaging/unpack-nginx` leaves nginx there: installed, it would start a server on port 80.
UNPACKED = ROOT / ".venv-tools" / "usr" / "sbin"


def need_program(name: str) -> str:
    """Return a program's path; without it a test is skipped (and fails in CI, see conftest)."""
    found = shutil.which(name) or shutil.which(name, path=UNPACKED)
    if found is None:
        pytest.skip(f"The program {name} is not installed: run 'make system-packages'.")
    return found
