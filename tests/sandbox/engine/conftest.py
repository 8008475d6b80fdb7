"""An archive with the runner of descriptors."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "archive"))

from archive_server import serving
from engine_bench import Bench
from filled import fill

from sandbox.archive.archive import PASSWORD_VARIABLE, Archive


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """An archive for a module's tests; each writes its own pipeline."""
    folder = tmp_path_factory.mktemp("engine")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(PASSWORD_VARIABLE, raising=False)
        with serving(Archive(folder / "archive")) as served:
            yield Bench(served, fill(served), folder / "catalog")
