"""What a value may be: XNAT's own model sets lengths, forms of dates and numbers, closed lists."""

import re
from collections.abc import Callable
from datetime import date, time
from functools import cache

from . import schema
from .elements import plain_path, value_type
from .refusals import Refused

MAX_TEXT = 255
_US_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
_NO_NUMBERS = ("INF", "-INF", "NAN", "NULL")


def check(xsi_type: str, path: str, value: str) -> None:
    """Refuse a value that is not of the kind that an element takes.

    Raises
    ------
    Refused
        400
    """
    kind = value_type(xsi_type, path)
    problem = _problem(xsi_type, path, kind, value)
    if problem:
        raise Refused(400, f"{xsi_type}/{path} : {problem}")


def stored_text(xsi_type: str, path: str, value: str) -> str:
    """Return a value as it is read again: a real number as XNAT writes it, ``42.0`` or ``1.0E-5``.

    Parameters
    ----------
    value : str
        One that `check` lets pass.
    """
    if value_type(xsi_type, path) not in ("xs:float", "xs:double") or not value:
        return value
    try:
        text = repr(float(value))
    except ValueError:
        return value
    mantissa, _, exponent = text.partition("e")
    if not exponent or not mantissa.lstrip("-")[:1].isdigit():
        return text
    return f"{mantissa}{'' if '.' in mantissa else '.0'}E{int(exponent)}"


def _problem(xsi_type: str, path: str, kind: str, value: str) -> str:
    """Return what is wrong with a value; empty for nothing."""
    if not value:
        return ""
    form, wanted = _FORMS.get(kind, (None, ""))
    if form is not None:
        return "" if form(value) else f"Must Be A Valid {wanted}"
    limit, choices = _limits(xsi_type, plain_path(path).lower())
    if limit and len(value) > limit:
        return f"Must Be Less Than {limit} Characters : Current Length ({len(value)})"
    if choices and value.strip().lower() not in choices:
        return f"Must Be One Of {', '.join(sorted(choices))}"
    return ""


@cache
def _limits(xsi_type: str, path: str) -> tuple[int, frozenset[str]]:
    """Return the longest text of an element, 0 for no limit, and its choices, none for any."""
    facts = schema.facts()
    longest, choices = MAX_TEXT, frozenset[str]()
    for owner in schema.bases(xsi_type):
        for element, limit in facts["limits"].get(owner, {}).items():
            if path == element.lower():
                longest = int(limit)
    for listed in facts["choices"].values():
        for element, values in listed.items():
            if path.rpartition("/")[2] == element.lower():
                choices = frozenset(str(one).lower() for one in values)
    return longest, choices


def _is_date(value: str) -> bool:
    match = _US_DATE.fullmatch(value)
    try:
        if match:
            date(int(match[3]), int(match[1]), int(match[2]))
        else:
            date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_time(value: str) -> bool:
    try:
        time.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_integer(value: str) -> bool:
    return bool(re.fullmatch(r"[+-]?\d+", value))


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return value.upper() in _NO_NUMBERS
    return True


def _is_boolean(value: str) -> bool:
    return value.lower() in ("0", "1", "true", "false")


_FORMS: dict[str, tuple[Callable[[str], bool], str]] = {
    "xs:date": (_is_date, "Date"),
    "xs:time": (_is_time, "Time"),
    "xs:integer": (_is_integer, "Integer"),
    "xs:int": (_is_integer, "Integer"),
    "xs:long": (_is_integer, "Integer"),
    "xs:float": (_is_number, "Float"),
    "xs:double": (_is_number, "Double"),
    "xs:decimal": (_is_number, "Decimal"),
    "xs:boolean": (_is_boolean, "Boolean"),
}
