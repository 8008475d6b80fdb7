"""UIDs and hashes: the same maps get the same UIDs."""

import hashlib
import json
from pathlib import Path
from typing import Any

from .nifti import jsonable


def derived_uid(*parts: str) -> str:
    """Return a ``2.25.`` UID from a hash: the same parts give the same UID, always."""
    digest = hashlib.sha256("\0".join(("XNAT-PIC maps", *parts)).encode()).digest()
    number = int.from_bytes(digest[:16], "big")
    # The bits of a version 8 (custom) UUID of RFC 9562, as the 2.25 root asks for a UUID.
    number = number & ~(0xF << 76) | 8 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    return f"2.25.{number}"


def parameter_hash(content: Any) -> str:
    """Return the SHA-256 of parameters, as hexadecimal text."""
    text = json.dumps(jsonable(content), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
