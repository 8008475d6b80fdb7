"""Command lines of steps: for the shell, and for people with the secrets masked.

The engine gives ``sh -c`` one line. It leaves a value that is set between quotes as it is and puts
a backslash before the special signs of every other one; a blank divides such a value into words.
Here no value can start a command of its own, whatever is in it: text between quotes counts as such
only where it is one quoted word, and ``$`` and backticks between double quotes are masked as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from .documents import children, text
from .errors import RunError

MASK = "########"
_SPECIAL = re.compile(r"""[\\"{}'`?\[\]~$!&;()<>|#@^]""")
# Between single quotes anything but the quote, which is written '\''.
_SINGLE = re.compile(r"'[^']*'(?:\\''[^']*')*")
_DOUBLE = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
# What runs between double quotes, behind whole pairs: in two backslashes none is for the sign.
_RUNS = re.compile(r"(\\.)|[$`]", re.DOTALL)


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes
    ----------
    program : str
        As it stands first in the line.
    line : str
        For ``sh -c``.
    shown : str
        The same with secrets masked.
    secrets : tuple of str
        Values that must not be shown.
    """

    program: str
    line: str
    shown: str
    secrets: tuple[str, ...]


def command(resource: Element, given: dict[str, list[str]], catalog: Path) -> Command:
    """Put a command together.

    Parameters
    ----------
    resource : Element
        Description of the program.
    given : dict of str to list of str
        Values of the step's arguments by id; an empty list is an option without a value.
    catalog : Path
        Folder that a relative location of the program lies in.

    Raises
    ------
    RunError
        For an argument that the program does not have, or a program that is no executable.
    """
    name, kind = text(resource, "name"), text(resource, "type")
    if kind != "Executable" or not name:
        raise RunError(f"{name or 'A program'} is of type {kind}: only Executable is run here.")
    known = {one.get("id", ""): one for one in children(resource, "input/argument")}
    for wanted in given:
        if wanted not in known:
            raise RunError(f"The program {name} has no argument {wanted}.")
    location = text(resource, "location")
    program = f"{(catalog / location).as_posix()}/{name}" if location else name
    prefix = text(resource, "commandPrefix")
    words, shown, secrets = [f"{prefix} {program}".strip()], [f"{prefix} {program}".strip()], []
    for key, argument in known.items():
        if key not in given:
            continue
        values = given[key] or ([text(argument, "value")] if text(argument, "value") else [])
        masked = argument.get("isSensitive", "").lower() == "true"
        listed: list[str | None] = [*values] or [None]
        for value in listed:
            option = _option(argument)
            words.append(_joined(argument, option, value, value))
            shown.append(_joined(argument, option, value, MASK if masked else value))
        if masked:
            secrets += [_bare(value) for value in values if _bare(value)]
    return Command(program, " ".join(words), " ".join(shown), tuple(secrets))


def _option(argument: Element) -> str:
    name = text(argument, "name")
    return argument.get("prefix", "-") + name if name else ""


def _joined(argument: Element, option: str, value: str | None, put: str | None) -> str:
    if value is None or put is None:
        return option
    between = "" if argument.get("nospace") == "true" else " "
    word = put if put == MASK else escaped(put)
    return f"{option}{between}{word}" if option else word


def escaped(value: str) -> str:
    """Return a value as text of a shell line in which nothing is run."""
    if _SINGLE.fullmatch(value):
        return value
    if _DOUBLE.fullmatch(value):
        return _RUNS.sub(lambda match: match[1] or "\\" + match[0], value)
    return _SPECIAL.sub(lambda match: "\\" + match[0], value).replace("\n", "'\n'")


def _bare(value: str) -> str:
    """Return a value without the quotes that the shell takes away."""
    if _SINGLE.fullmatch(value):
        return value[1:-1].replace("'\\''", "'")
    return value.strip('"')
