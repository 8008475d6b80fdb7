"""What the tests of all packages share: the real data beside the checkout, and no skip in CI."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A run in the background of a shell ignores Ctrl+C, and so would every program that tests stop.
signal.signal(signal.SIGINT, signal.default_int_handler)


def _shared_data() -> Path:
    named = os.environ.get("XNAT_PIC_DATA")
    return Path(named) if named else ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real test data; the test is marked `shared_data`.

    Without the folder a test is skipped (and fails in CI, see below).
    """
    folder = _shared_data()
    if not folder.is_dir():
        pytest.skip(
            "The shared test data is not beside the checkout (shared/data): "
            "set XNAT_PIC_DATA to its folder."
        )
    return folder


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Record what a command says of a case: `docs/reference/tell_cases.py` makes a table of it.

    Called with the kind of case, its name, and what is said.
    """

    def record(kind: str, case: str, *said: str) -> None:
        record_property("told", json.dumps([kind, case, [one for one in said if one]]))

    return record


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that uses the shared data, so that none forgets it."""
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.shared_data)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Fail a test that skips itself where the environment names CI: nothing may be missing there.

    What a mark says of the operating system still skips.
    """
    report = yield
    missing = report.skipped and not hasattr(report, "wasxfail")
    if missing and os.environ.get("CI") and not any(item.iter_markers("skipif")):
        report.outcome = "failed"
        report.longrepr = f"nothing may be skipped in CI: {call.excinfo.value}"
    return report


MODULE_LINES = 500


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the modules that are long: a warning, for a topic is a better border than a number."""
    if hasattr(terminalreporter.config, "workerinput"):
        return
    packages = [path.parent for path in ROOT.glob("*/py.typed")]
    for path in sorted(one for package in packages for one in package.rglob("*.py")):
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > MODULE_LINES:
            terminalreporter.write_line(
                f"{path.relative_to(ROOT).as_posix()} has {lines} lines: is it one topic?"
            )
