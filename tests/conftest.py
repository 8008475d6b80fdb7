"""What the tests of all packages share: the folder of real data beside the checkout."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _shared_data() -> Path:
    named = os.environ.get("XNAT_PIC_DATA")
    return Path(named) if named else ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real test data; the test is marked `shared_data`.

    Without the folder a test is skipped, and fails where the environment names CI.
    """
    folder = _shared_data()
    if not folder.is_dir():
        message = (
            "The shared test data is not beside the checkout (shared/data): "
            "set XNAT_PIC_DATA to its folder."
        )
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that uses the shared data, so that none forgets it."""
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.shared_data)
