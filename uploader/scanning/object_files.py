"""Where pydicom reads an object from."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

# Bytes of a file up to which it is held in memory while its object is looked at.
SMALL_FILE = 8 << 20


def object_source(path: Path) -> BytesIO | Path:
    """Return what pydicom reads an object from: its bytes, or the path of a large file.

    pydicom asks a file hundreds of times for its position. Each is a call of the system, in which a
    thread gives up the interpreter.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    if path.stat().st_size > SMALL_FILE:
        return path
    return BytesIO(path.read_bytes())
