"""Values of rows: read, written and put in order. No Qt."""

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager

from ...model import PlanRow

# Columns with a field of their own; every other one that can be written is a variable.
EDITABLE = ("project", "subject", "session")
_DIGITS = re.compile(r"\d+")
_LONGEST = 12  # digits of a number in a name


@contextmanager
def quietly() -> Iterator[None]:
    """Do something with all rows at once; the collector, which would find nothing, waits."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def value_of(row: PlanRow, column: str) -> str:
    """Return what a person may write over in a column."""
    return str(getattr(row, column)) if column in EDITABLE else row.variables.get(column, "")


def with_value(row: PlanRow, column: str, value: str) -> PlanRow:
    """Return a row with another value in a column."""
    # Not `replace`, which takes three times as long: ten thousand rows are written at once.
    fields = dict(vars(row))
    if column in EDITABLE:
        fields[column] = value
    else:
        fields["variables"] = {**row.variables, column: value}
    return PlanRow(**fields)


def natural(text: str) -> tuple[bool, str]:
    """Return a key that puts m2 before m10, and an empty text last."""
    return not text, _DIGITS.sub(lambda found: found[0].zfill(_LONGEST), text.casefold())
