"""DICOM UIDs: valid ones, and ones derived from what they identify."""

from __future__ import annotations

import hashlib


def is_uid(text: str) -> bool:
    """Tell whether a text is a valid DICOM UID."""
    parts = text.split(".")
    return (
        0 < len(text) <= 64
        and len(parts) > 2
        and all(p.isascii() and p.isdigit() and (p == "0" or p[0] != "0") for p in parts)
    )


def derived_uid(*parts: str) -> str:
    """Return a ``2.25.`` UID from a hash: the same parts give the same UID, always."""
    return uid_from_digest(hashlib.sha256("\0".join(parts).encode()).digest())


def uid_from_digest(digest: bytes) -> str:
    """Return the ``2.25.`` UID whose number is made of the first 16 bytes of a digest.

    The bits of a version 8 (custom) UUID of RFC 9562 are set, as the 2.25 root asks for a UUID.
    """
    number = int.from_bytes(digest[:16], "big")
    number = number & ~(0xF << 76) | 8 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    return f"2.25.{number}"
