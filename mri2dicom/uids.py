"""DICOM UIDs: valid ones, and ones derived from what they identify."""

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
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    number = int.from_bytes(digest[:16], "big")
    # The bits of a version 8 (custom) UUID of RFC 9562, as the 2.25 root asks for a UUID.
    number = number & ~(0xF << 76) | 8 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    return f"2.25.{number}"
