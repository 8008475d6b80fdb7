"""Text that comes from files and servers, made safe to show and to use as a name."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection

_ILLEGAL = frozenset('<>:"/\\|?*')
_RESERVED = frozenset(
    {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
    | {f"{stem}{digit}" for stem in ("COM", "LPT") for digit in "123456789¹²³"}
)
_LONGEST_NAME_BYTES = 240
_NAMED = 3


def printable(text: str, replacement: str = " ", keep: str = "") -> str:
    """Return a text without signs that would steer a terminal or break a line.

    Parameters
    ----------
    text : str
        Any text.
    replacement : str
        What stands in the place of each sign that cannot be printed; line ends are such signs.
    keep : str
        Signs that stay all the same, such as a line end or a tabulator.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else replacement for c in text)


def one_line(text: str, limit: int = 0) -> str:
    """Return a text as one printable line, blanks folded.

    Parameters
    ----------
    text : str
        Any text.
    limit : int
        Longest result in characters; 0 for no limit.
    """
    line = " ".join(printable(text).split())
    return line[:limit] if limit else line


def safe_name(text: str, *, limit: int = 48, empty: str = "_") -> str:
    r"""Return a name that any file system takes.

    Parameters
    ----------
    text : str
        Any text.
    limit : int
        Longest result, in characters; it has at most 240 bytes of UTF-8, so that an ending fits.
    empty : str
        Result where nothing is left.

    Notes
    -----
    Windows refuses ``< > : " / \\ | ? *``, control characters, a blank or dot at the end, and
    device names such as CON, also with an ending.
    """
    kept = "".join(
        "_" if c in _ILLEGAL or not c.isprintable() else c
        for c in unicodedata.normalize("NFC", text)
    )
    kept = kept.strip()[:limit]
    while len(kept.encode("utf-8", "replace")) > _LONGEST_NAME_BYTES:
        kept = kept[:-1]
    kept = kept.encode("utf-8", "replace").decode().rstrip(". ")
    if kept.partition(".")[0].rstrip().upper() in _RESERVED:
        kept = f"_{kept}"
    return kept if kept not in ("", ".", "..") else empty


class UniqueNames:
    """Hand out names that differ also where upper and lower case do not count."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def claim(self, name: str) -> str:
        """Return the name, with a number at its end where it is used already."""
        candidate, number = name, 1
        while candidate.casefold() in self._used:
            number += 1
            candidate = f"{name}_{number}"
        self._used.add(candidate.casefold())
        return candidate


def as_sentence(text: str) -> str:
    """Return a text that others can follow: with a sign at its end."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def counted(count: int, one: str, many: str) -> str:
    """Return a number with its words: ``1 file is``, ``2 files are``."""
    return f"{count} {one if count == 1 else many}"


def list_some(things: Collection[object]) -> str:
    """Name the first of several things, and say how many more there are."""
    named = ", ".join(str(thing) for thing in list(things)[:_NAMED])
    more = len(things) - _NAMED
    return f"{named} and {more} more" if more > 0 else named
