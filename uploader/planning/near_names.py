"""Names that differ by what people mistype: ``m01``, ``m_01``, ``mO1``, ``m1``. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

_SEPARATOR = re.compile(r"(?<=\d)[ _.-]+(?=\d)")
_OTHERS = re.compile(r"[ _.-]+")
_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
# A letter beside a digit that looks like one.
_LIKE_ZERO = re.compile(r"(?<=\d)o|o(?=\d)")
_LIKE_ONE = re.compile(r"(?<=\d)[il]|[il](?=\d)")


def name_shape(name: str) -> str:
    """Return what is left of a name without what people mistype.

    Capitals, separators except between two digits, leading zeros, and O and l for 0 and 1.
    """
    text = _LIKE_ONE.sub("1", _LIKE_ZERO.sub("0", name.casefold()))
    text = _OTHERS.sub("", _SEPARATOR.sub("/", text))
    return _ZEROS.sub("", text)


class NameIndex:
    """Names by what is left of them without typing errors."""

    def __init__(self, names: Iterable[str]) -> None:
        self._by_shape: dict[str, dict[str, str]] = defaultdict(dict)
        for name in names:
            self._by_shape[name_shape(name)].setdefault(name.casefold(), name)

    def near(self, name: str) -> tuple[str, ...]:
        """Return the names that differ from one by little, and by more than capitals."""
        group = self._by_shape.get(name_shape(name), {})
        return tuple(sorted(one for key, one in group.items() if key != name.casefold()))


def near_names(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the names that are near to others, each with those others."""
    names = list(names)
    index = NameIndex(names)
    return {name: near for name in names if (near := index.near(name))}
