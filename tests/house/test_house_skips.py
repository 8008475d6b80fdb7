"""What is missing on a machine skips a test for a person, and fails it in CI."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = """
import os
import pytest
from programs import need_program

def test_missing_program():
    need_program("no-such-program")

@pytest.fixture
def data():
    pytest.skip("no data here")

def test_missing_data(data):
    pass

@pytest.mark.skipif(os.sep != "\\0", reason="another system")
def test_another_system():
    pass

@pytest.mark.xfail(reason="known")
def test_known():
    assert False
"""


@pytest.mark.parametrize(
    ("ci", "outcomes"),
    [("", "3 skipped, 1 xfailed"), ("true", "1 failed, 1 skipped, 1 xfailed, 1 error")],
)
def test_what_is_missing_skips_and_fails_in_ci(tmp_path, ci, outcomes):
    (tmp_path / "test_some.py").write_text(TESTS, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider",
         "-c", os.devnull, f"--rootdir={tmp_path}", tmp_path],
        env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT / "tests")},
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert outcomes in done.stdout.splitlines()[-1], done.stdout
    assert ("nothing may be skipped in CI: no data here" in done.stdout) is bool(ci)
