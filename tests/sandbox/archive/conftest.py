"""A served archive for tests."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from archive_server import ServeArchive, Served, serving

from sandbox.archive import launching
from sandbox.archive.archive import PASSWORD_VARIABLE, Archive, Settings


@pytest.fixture(autouse=True)
def no_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive by itself: the installed runners have tests of their own."""
    monkeypatch.setattr(launching, "find_runner", lambda _kind: None)


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServeArchive]:
    """Serve archives: call it with a folder name and the settings that differ."""
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    with ExitStack() as stack:

        def start(folder: str = "archive", **settings: Any) -> Served:
            archive = Archive(tmp_path / folder, Settings(**settings))
            return stack.enter_context(serving(archive))

        yield start


@pytest.fixture
def served(serve: ServeArchive) -> Served:
    """An empty archive with the usual settings."""
    return serve()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One archive for a module's tests, which empty it themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(PASSWORD_VARIABLE, raising=False)
        with serving(Archive(tmp_path_factory.mktemp("module") / "archive")) as made:
            yield made
