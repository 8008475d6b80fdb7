"""What a person should know of a row or a plan, as messages; one place for their form."""

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from xnat_pic.text import printable


class Level(Enum):
    """How much a finding matters: an error keeps its row from being uploaded."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """Something a person should know of a row, as a message with what to do.

    Attributes
    ----------
    code : str
        Stable short name, such as ``label-clash``.
    """

    code: str
    level: Level
    message: str


def note(code: str, message: str) -> Finding:
    """Return a finding that only informs."""
    return Finding(code, Level.NOTE, printable(message, "?"))


def warning(code: str, message: str) -> Finding:
    """Return a finding to look at; the row is uploaded."""
    return Finding(code, Level.WARNING, printable(message, "?"))


def error(code: str, message: str) -> Finding:
    """Return a finding that keeps its row from being uploaded."""
    return Finding(code, Level.ERROR, printable(message, "?"))


# Whose images a row sends: against what folder and header say, and that a person has confirmed it.
IDENTITY_DIFFERS, IDENTITY_CONFIRMED = "identity-differs", "identity-confirmed"


def messages_of(findings: Iterable[Finding], code: str) -> list[str]:
    """Return what the findings with a code say."""
    return [one.message for one in findings if one.code == code]


def group_by_message(
    messages: Iterable[tuple[str, str, str]], rows: int
) -> list[tuple[str, list[str]]]:
    """Say once what is said of many rows.

    Parameters
    ----------
    messages : iterable of (str, str, str)
        Level, row and message.
    rows : int
        How many rows there are in all.

    Returns
    -------
    list of (str, list of str)
        Level and lines of each message, in the order they came; the rows that a message holds
        for are counted, and named below it unless it holds for all of them.
    """
    names: dict[tuple[str, str], list[str]] = {}
    for level, row, message in messages:
        names.setdefault((level, message), []).append(row)
    found = []
    for (level, message), mine in names.items():
        lines = [f"{mine[0]}: {message}"]
        if len(mine) > 1:
            of = f"all {rows}" if len(mine) == rows else f"{len(mine)} of {rows}"
            lines = [f"{of} rows: {message}"]
        if 1 < len(mine) < rows:
            lines += textwrap.wrap(", ".join(mine), 96, initial_indent="  ", subsequent_indent="  ",
                                   break_long_words=False, break_on_hyphens=False)  # fmt: skip
        if level:
            lines[0] = f"{level}: {lines[0]}"
        found.append((level, lines))
    return found


def path_below(path: Path, root: Path) -> str:
    """Return a path as people read it: relative to the folder that was scanned."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return path.as_posix()
