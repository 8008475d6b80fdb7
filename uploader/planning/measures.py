"""Values of variables with a type: what is wrong with them, and what was meant. Pure."""

from __future__ import annotations

import re

from xnat_config.animals import WEIGHT, animal_fields
from xnat_config.variables import Variable, Variables

from .spreadsheet_values import dates_of, number_of

_UNIT = re.compile(r"(?P<number>.*[\d.,])\s*(?P<unit>g|gr|gram|grams|kg|mg)\.?", re.IGNORECASE)
_IN_GRAM = {"k": 1000.0, "m": 0.001}
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}([.,]\d{3})+")
_EXAMPLES = {"float": "25.3", "integer": "25", "date": "2023-11-07", "boolean": "true or false"}


def find_variable(name: str, variables: Variables) -> Variable | None:
    """Return the variable of a name: the site's own, else a field of the animal."""
    return variables.by_name.get(name) or animal_fields().get(name)


def is_weight(name: str, variables: Variables) -> bool:
    """Tell whether a variable is the weight of the animal in gram."""
    found = find_variable(name, variables)
    return found is not None and found.name == WEIGHT


def holds_dates(name: str, variables: Variables) -> bool:
    """Tell whether the values of a variable are days."""
    found = find_variable(name, variables)
    is_text = found is None or found.datatype == "string"
    return "date" in name.split("_") if is_text else found is not None and found.datatype == "date"


def value_problem(name: str, value: str, variables: Variables) -> str:
    """Return what is wrong with a value and what to write; empty where nothing is."""
    found = find_variable(name, variables)
    kind = found.datatype if found else "string"
    if holds_dates(name, variables) and dates_of(value) and not _is_iso(value):
        days = " or ".join(str(day) for day in dates_of(value))
        return f"{name} {value!r} is a date in a local form. Write {days} into the column {name}."
    why = found.problem(value) if found else ""
    if not why and value and is_weight(name, variables) and float(value) <= 0:
        why = "is no weight"
    if not why:
        return ""
    if found is not None and found.values:
        return f"{name} {value!r} {why}. Correct the column {name}."
    meant = meanings(name, value, variables)
    write = " or ".join(meant) if meant else f"a value such as {_EXAMPLES.get(kind, 'a')}"
    return f"{name} {value!r} {why}. Write {write} into the column {name}."


def meanings(name: str, value: str, variables: Variables) -> list[str]:
    """Return what a value in a local form may mean, in the form that its type wants.

    ``25,3`` is 25.3 and ``0,0253 kg`` of a weight 25.3; ``1,234`` may be 1.234 or 1234.
    """
    found = find_variable(name, variables)
    if found is None or found.datatype not in ("float", "integer"):
        return []
    factor = 1.0
    match = _UNIT.fullmatch(value.strip()) if is_weight(name, variables) else None
    if match:
        value, factor = match["number"], _IN_GRAM.get(match["unit"][0].casefold(), 1.0)
    value = value.strip()
    read = [number_of(value)]
    if _THOUSANDS.fullmatch(value):
        read.append(number_of(re.sub("[.,]", "", value)))
    numbers = [f"{factor * one:.10g}" for one in read if one is not None]
    return [text for text in dict.fromkeys(numbers) if not found.problem(text)]


def _is_iso(value: str) -> bool:
    return bool(re.fullmatch(r"\d{4}-\d{2}-\d{2}", value))
