"""Preconditions of steps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from .errors import RunError
from .expressions import Values

_EXISTS = re.compile(r"(!?)EXISTS\((.*)\)")
_TRUTH = {"true": True, "false": False, "true()": True, "false()": False}


def is_true(condition: str, values: Values, loop_values: Mapping[str, str]) -> bool:
    """Tell whether a precondition holds now; one that is empty always does.

    A condition that is one expression is evaluated. Else words are joined by ``AND`` and ``OR``
    from left to right; each is ``EXISTS(path)``, ``!EXISTS(path)``, an expression or a truth value,
    without a blank in it.

    Raises
    ------
    RunError
        For a condition that cannot be read.
    """
    condition = condition.strip()
    if not condition:
        return True
    if condition.startswith("^") and condition.endswith("^") and condition.count("^") == 2:
        return _truth(values.one(condition, loop_values), condition)
    result, join = True, "AND"
    for word in condition.split():
        if word.upper() in ("AND", "OR"):
            join = word.upper()
            continue
        found = _word(word, values, loop_values)
        result = (result and found) if join == "AND" else (result or found)
    return result


def _word(word: str, values: Values, loop_values: Mapping[str, str]) -> bool:
    match = _EXISTS.fullmatch(word)
    if match is None:
        return _truth(values.one(word, loop_values), word)
    path = values.one(match[2], loop_values)
    if not path:
        raise RunError(f"The precondition {word} names no path.")
    return Path(path).exists() != bool(match[1])


def _truth(value: str, condition: str) -> bool:
    found = _TRUTH.get(value.strip().lower())
    if found is None:
        raise RunError(f"The precondition {condition} is {value!r}: neither true nor false.")
    return found
