"""A small project of digital mice, served."""

import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from sandbox.archive.archive import PASSWORD_VARIABLE, Archive, Settings

_TESTS = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_TESTS / "sandbox" / "archive"))
sys.path.insert(0, str(_TESTS / "pipelines" / "regions"))
sys.path.insert(0, str(_TESTS / "pipelines" / "xnat"))

from archive_server import serving  # noqa: E402
from cohort import bench_of, make_cohort  # noqa: E402


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Two treated and two untreated animals, before and after."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(PASSWORD_VARIABLE, raising=False)
        folder = tmp_path_factory.mktemp("small")
        yield make_cohort(folder, serving, animals=2, doses=("dose1",))


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Three animals in each of three arms, before and after."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(PASSWORD_VARIABLE, raising=False)
        # The matrix of the default mouse; only slices and echoes are fewer.
        yield make_cohort(tmp_path_factory.mktemp("whole"), serving, matrix=128)


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Serve a copy of a cohort."""
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    monkeypatch.setenv("XNAT_PIC_HOME", str(tmp_path))
    with ExitStack() as stack:

        def start(cohort):
            folder = tmp_path / "archive"
            shutil.copytree(cohort.folder, folder)
            served = stack.enter_context(serving(Archive(folder, Settings(faults=True))))
            return bench_of(served, cohort)

        yield start
