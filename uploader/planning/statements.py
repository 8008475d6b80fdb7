"""What a row states of itself, as text: ``dose=1.000; group=treated``. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PARTS = re.compile(r"(?:\\.|[^;\n\\])+", re.DOTALL)


def statement(name: str, value: str) -> str:
    """Return one statement; a semicolon, a line break or a backslash of the value is marked."""
    marked = re.sub(r"([;\\])", r"\\\1", value).replace("\n", "\\n")
    return f"{name}={marked}"


def join_statements(values: Mapping[str, str]) -> str:
    """Return several statements as one text."""
    return "; ".join(statement(name, value) for name, value in values.items())


def split_statements(text: str) -> list[tuple[str, str]]:
    """Return name and value of each statement; a word without ``=`` has the value ``""``."""
    found = []
    for part in _PARTS.findall(text):
        name, _, value = part.partition("=")
        if name.strip():
            plain = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], value.strip())
            found.append((name.strip(), plain))
    return found
