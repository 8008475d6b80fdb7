"""Values of rows: read, written and put in order. No Qt."""

import re
from typing import Any

from ... import IdentityClaim, PlanRow

# Columns with a field of their own; every other one that can be written is a variable.
EDITABLE = ("project", "subject", "session", "confirmed")
_DIGITS = re.compile(r"\d+")
_LONGEST = 12  # digits of a number in a name


def value_of(row: PlanRow, column: str) -> str:
    """Return what a person may write over in a column."""
    return str(getattr(row, column)) if column in EDITABLE else row.variables.get(column, "")


def with_value(row: PlanRow, column: str, value: str) -> PlanRow:
    """Return a row with another value in a column."""
    if column in EDITABLE:
        return with_fields(row, {column: value})
    return with_fields(row, {"variables": {**row.variables, column: value}})


def with_fields(row: PlanRow, fields: dict[str, Any]) -> PlanRow:
    """Return a row with other fields.

    Like `dataclasses.replace`, which takes many times as long: ten thousand rows are written at
    once, and the window waits for it.
    """
    made = object.__new__(PlanRow)
    object.__setattr__(made, "__dict__", vars(row) | fields)
    return made


def header_text(claim: IdentityClaim) -> str:
    """Return what the header says of the animal: name, weight, sex and birth date, as it knows."""
    header = claim.header
    weight = f"{header.weight_g:.4g} g" if header.weight_g else ""
    names = ", ".join(header.patients) or claim.patient
    return " \N{MIDDLE DOT} ".join(
        part for part in (names, weight, header.sex, header.birth_date) if part
    )


def natural_key(text: str) -> tuple[bool, str]:
    """Return a key that puts m2 before m10, and an empty text last."""
    return not text, _DIGITS.sub(lambda found: found[0].zfill(_LONGEST), text.casefold())
