"""Kernels on a machine where nothing can be kept."""

import os
import subprocess
import sys

import pytest

SAID = """
from pipelines.models import kernels

@kernels.compiled
def twice(value):
    return 2 * value

print(kernels.CACHED, twice(21.0))
"""


@pytest.mark.parametrize(("place", "kept"), [("folder", "True"), ("a file/in it", "False")])
def test_an_account_without_a_home_compiles_all_the_same(tmp_path, place, kept):
    (tmp_path / "a file").write_text("no folder")
    script = tmp_path / "kernels_of_a_test.py"
    script.write_text(SAID)
    left = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**left, "NUMBA_CACHE_DIR": str(tmp_path / place)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.stdout.split(), done.returncode) == ([kept, "42.0"], 0), done.stderr
