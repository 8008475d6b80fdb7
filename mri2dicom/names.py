"""File and folder names that are legal everywhere, Windows included."""

import unicodedata

_ILLEGAL = frozenset('<>:"/\\|?*')
_RESERVED = frozenset(
    {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
    | {f"{stem}{digit}" for stem in ("COM", "LPT") for digit in "123456789¹²³"}
)


def safe_name(text: str, *, limit: int = 48, empty: str = "_") -> str:
    r"""Return a name that any file system takes.

    Parameters
    ----------
    text : str
        Any text.
    limit : int
        Longest result, in characters; UTF-8 bytes are kept below 255.
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
    while len(kept.encode("utf-8", "replace")) > 240:
        kept = kept[:-1]
    kept = kept.encode("utf-8", "replace").decode().rstrip(". ")
    if kept.partition(".")[0].rstrip().upper() in _RESERVED:
        kept = f"_{kept}"
    return kept if kept not in ("", ".", "..") else empty


class UniqueNames:
    """Hand out names that differ also where upper and lower case do not count."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def claim(self, name: str) -> str:
        """Return the name, with a number at its end where it is taken."""
        candidate, number = name, 1
        while candidate.casefold() in self._taken:
            number += 1
            candidate = f"{name}_{number}"
        self._taken.add(candidate.casefold())
        return candidate
