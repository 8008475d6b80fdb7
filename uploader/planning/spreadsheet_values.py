"""What spreadsheet programs make of a text: numbers and dates. Pure."""

from __future__ import annotations

import re
from datetime import date

_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?%?", re.IGNORECASE)
_ISO = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?")
_DAY = re.compile(r"(\d{1,4})[./-](\d{1,2})[./-](\d{1,4})")
_MONTHS = (  # in English, Italian and German
    "jan|gen|feb|mar|m\u00e4r|mrz|apr|may|mai|mag|jun|giu|jul|lug|aug|ago|sep|set|"
    "oct|okt|ott|nov|dec|dez|dic"
)
_MONTH = re.compile(
    rf"(\d{{2,4}}[ ./-]+)?({_MONTHS})[a-z]*\.?[ ./-]+\d{{2,4}}|"
    rf"\d{{2}}[ ./-]+({_MONTHS})[a-z]*\.?([ ./-]+\d{{2,4}})?",
    re.IGNORECASE,
)


def looks_like_date(text: str) -> bool:
    """Tell whether a text is what a spreadsheet program shows of a date."""
    text = text.strip()
    if _ISO.fullmatch(text) or _MONTH.fullmatch(text):
        return True
    found = _DAY.fullmatch(text)
    return bool(found) and bool(dates_of(text))


def dates_of(text: str) -> list[date]:
    """Return the days that a text such as ``07/11/2023`` may mean, the day first before the month.

    More than one where nobody can tell which number is the month.
    """
    found = _DAY.fullmatch(text.strip())
    if found is None:
        return []
    a, b, c = found[1], found[2], found[3]
    if len(a) == 4:
        orders = [(a, b, c)]
    elif len(c) in (2, 4):
        year = c if len(c) == 4 else f"20{c}"
        orders = [(year, b, a), (year, a, b)]
    else:
        return []
    days = []
    for year, month, day in orders:
        try:
            one = date(int(year), int(month), int(day))
        except ValueError:
            continue
        if one not in days:
            days.append(one)
    return days


def number_of(text: str) -> float | None:
    """Return the number of a text in any local form; None where it is none."""
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text.rstrip("%").replace(",", "."))
    return number / 100 if text.endswith("%") else number


def may_be_changed(before: str, after: str) -> bool:
    """Tell whether a spreadsheet program may have made one text of the other.

    ``7`` of ``007``, ``1`` of ``1.000`` (``1000``, where it speaks Italian or German), ``0.5`` of
    ``0,50``, ``100000`` of ``1E5``, ``10.00%`` of ``10%``, a date of ``MAR-1``.
    """
    if before == after:
        return False
    if looks_like_date(after):
        return True
    one, other = number_of(before), number_of(after)
    if one is None or other is None:
        return False
    return one == other or number_of(re.sub("[.,]", "", before)) == other
