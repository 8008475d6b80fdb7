"""Folders that a server or a run changes while a test reads them."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def present_files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield each file below a folder with its content; what goes meanwhile is passed over.

    Path.rglob would raise FileNotFoundError for a folder that goes while it is walked.
    """
    for top, _, names in os.walk(folder):
        for name in names:
            path = Path(top, name)
            with suppress(FileNotFoundError):
                if path.is_file():
                    yield path, path.read_bytes()
