"""Custom variables: where they belong, how folders announce them, how timepoints sort."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

VARIABLE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
LEVELS = ("subject", "session")
DATATYPES = ("string", "integer", "float", "boolean", "date")
# Names that mean something else in a plan or in a folder layout.
RESERVED = frozenset(
    {"include", "key", "source", "project", "subject", "session", "modality", "date", "scans",
     "files", "bytes", "findings", "confirmed", "stated", "study"}
)  # fmt: skip


@dataclass(frozen=True)
class Variable:
    """One custom variable.

    Attributes
    ----------
    level : str
        ``subject``: belongs to the subject and is repeated on the session; ``session``: belongs
        to the session only.
    datatype : str
        ``string``, ``integer``, ``float``, ``boolean`` or ``date``.
    aliases : tuple of str
        Folder names, in lower case, that announce the variable.
    values : tuple of str
        The values allowed, in their order; empty where any is.
    shown : bool
        In the default view of tables and forms.
    """

    name: str
    title: str
    level: str
    datatype: str = "string"
    aliases: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    pattern: str = ""
    shown: bool = False
    source: str = ""

    def accepts(self, value: str) -> bool:
        """Tell whether a value is one that this variable usually has; True where none is usual."""
        if self.values:
            return value.casefold() in {one.casefold() for one in self.values}
        return not self.pattern or bool(re.fullmatch(self.pattern, value, re.IGNORECASE))

    def problem(self, value: str) -> str:
        """Return why a value is not allowed, as half a sentence; empty where it is."""
        if not value:
            return ""
        if self.values and value not in self.values:
            return f"is not one of {', '.join(self.values)}"
        if not _PARSERS[self.datatype](value):
            return f"is not of the type {self.datatype}"
        return ""


def _is_float(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


_PARSERS = {
    "string": lambda value: True,
    "integer": lambda value: bool(re.fullmatch(r"[+-]?\d+", value)),
    "float": _is_float,
    "boolean": lambda value: value.casefold() in ("true", "false", "1", "0"),
    "date": lambda value: bool(re.fullmatch(r"\d{4}-\d{2}-\d{2}", value)),
}


@dataclass(frozen=True)
class TimepointRule:
    """A form of timepoint names, and the length of one step in days."""

    pattern: re.Pattern[str]
    unit_days: float


@dataclass(frozen=True)
class Variables:
    """All variables of a site, in the order of display.

    Attributes
    ----------
    form_title : str
        Title of the custom form that holds them where the server has forms.
    """

    by_name: Mapping[str, Variable]
    timepoint_rules: tuple[TimepointRule, ...]
    form_title: str
    _by_alias: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __iter__(self) -> Any:
        return iter(self.by_name.values())

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order of display."""
        return tuple(self.by_name)

    def announced_by(self, folder: str) -> str:
        """Return the variable that a folder's name announces; empty if none."""
        return self._by_alias.get(folder.casefold(), "")

    def of_subject(self, name: str) -> bool:
        """Tell whether a variable belongs to the subject; one that is not declared does not."""
        return name in self.by_name and self.by_name[name].level == "subject"

    def timepoint_days(self, value: str) -> float | None:
        """Return the days after the baseline that a timepoint's name tells; None if it does not."""
        for rule in self.timepoint_rules:
            if match := rule.pattern.fullmatch(value.strip()):
                numbers = [text for text in match.groupdict().values() if text]
                return rule.unit_days * float(numbers[0]) if numbers else 0.0
        return None

    def timepoint_key(self, value: str) -> tuple[int, float, str]:
        """Return a key that sorts timepoints: declared values, then by days, then by name."""
        declared = self.by_name["timepoint"].values if "timepoint" in self.by_name else ()
        if value in declared:
            return (0, float(declared.index(value)), value)
        days = self.timepoint_days(value)
        return (2, 0.0, value) if days is None else (1, days, value)


def variables_from(
    variables: Mapping[str, Mapping[str, Any]],
    timepoints: Mapping[str, Mapping[str, Any]],
    form: Mapping[str, Any],
) -> Variables:
    """Build the variables from their tables.

    Raises
    ------
    ValueError
        If a name, a level, a datatype or a folder name twice makes no sense.
    """
    built = {name: _variable(table) for name, table in variables.items()}
    return Variables(
        by_name=built,
        timepoint_rules=tuple(
            TimepointRule(re.compile(t["pattern"], re.IGNORECASE), float(t["unit_days"]))
            for t in timepoints.values()
        ),
        form_title=form["title"],
        _by_alias=_aliases(built.values()),
    )


def _variable(table: Mapping[str, Any]) -> Variable:
    name = table["name"]
    if not VARIABLE_NAME.fullmatch(name) or name in RESERVED:
        raise ValueError(
            f"{name!r} cannot name a variable. Use lower-case letters, digits and _, and none of "
            f"{', '.join(sorted(RESERVED))}."
        )
    for key, allowed, value in (
        ("level", LEVELS, table["level"]),
        ("datatype", DATATYPES, table.get("datatype", "string")),
    ):
        if value not in allowed:
            raise ValueError(f"{name}: {key} is {value!r}. Use one of {', '.join(allowed)}.")
    re.compile(table.get("pattern", ""))
    return Variable(
        name=name,
        title=table.get("title", name),
        level=table["level"],
        datatype=table.get("datatype", "string"),
        aliases=tuple(alias.casefold() for alias in (name, *table.get("aliases", ()))),
        values=tuple(table.get("values", ())),
        pattern=table.get("pattern", ""),
        shown=table.get("shown", True),
        source=table.get("source", ""),
    )


def _aliases(variables: Iterable[Variable]) -> dict[str, str]:
    found: dict[str, str] = {}
    for variable in variables:
        for alias in variable.aliases:
            if found.setdefault(alias, variable.name) != variable.name:
                raise ValueError(
                    f"The folder name {alias!r} announces both {found[alias]} and {variable.name}."
                )
    return found
