"""How a value stands in a table."""

from __future__ import annotations

from typing import Any

_DIGITS = 9
# Signs with which a spreadsheet begins a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(value: Any) -> Any:
    """Return a value as a table holds it: digits limited, no formula, empty for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return format(value, f".{_DIGITS}g")
    if isinstance(value, str):
        text = " ".join(value.split())
        return f"'{text}" if value.startswith(_FORMULA) else text
    return value
