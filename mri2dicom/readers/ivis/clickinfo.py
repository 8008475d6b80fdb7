"""The text of a click: sections of records, in the order of the file."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xnat_pic.errors import CorruptDataError

from .table import limit

_SECTION = re.compile(r"^\*\*\*\s*([^:\t]*?)\s*:[ \t]*(.*)$")
_RECORD = re.compile(r"^([^\t]+?)\s*:\s*(?:\t[ \t]*(.*))?$")
_LOOSE = re.compile(r"^([^:\t]+?)\s*:[ \t]*(.*)$")


@dataclass(frozen=True)
class Section:
    """One section.

    Attributes
    ----------
    name : str
        Such as ``luminescent image``.
    value : str
        What stands behind the name: often the image's file name.
    records : tuple of (str, str)
        Key and value in the order of the file; a key may occur again.
    """

    name: str
    value: str
    records: tuple[tuple[str, str], ...]

    def get(self, *keys: str) -> str:
        """Return the first value that is not empty, by the keys in their order; else empty."""
        for key in keys:
            wanted = normalized_key(key)
            for name, value in self.records:
                if value and normalized_key(name) == wanted:
                    return value
        return ""


def normalized_key(key: str) -> str:
    """Return a key without case, blanks and punctuation, by which spellings are compared."""
    return "".join(c for c in key.lower() if c.isalnum())


def parse(text: str) -> tuple[Section, ...]:
    """Parse the text of a click.

    Parameters
    ----------
    text : str
        With any line ends. Lines that are no record are left out; ``#`` begins a comment at the
        start of a line, and in the camera's section anywhere: a person may have typed ``#3``.

    Returns
    -------
    tuple of Section
        Records before the first section stand in one without a name.
    """
    found: list[tuple[str, str, list[tuple[str, str]]]] = [("", "", [])]
    in_camera = False
    for raw in text.splitlines():
        line = raw.partition("#")[0].rstrip() if in_camera else raw.rstrip()
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        head = _SECTION.match(line)
        if head:
            found.append((head[1].strip(), head[2].partition("#")[0].strip(), []))
            in_camera = normalized_key(head[1]).startswith("camerasystem")
            continue
        record = _RECORD.match(line) or _LOOSE.match(line)
        if record:
            value = (record[2] or "").strip()
            found[-1][2].append((record[1].strip(), value))
    return tuple(Section(name, value, tuple(rows)) for name, value, rows in found)


def read_click(path: Path) -> tuple[Section, ...]:
    """Read ``ClickInfo.txt`` or ``AnalyzedClickInfo.txt``.

    Raises
    ------
    CorruptDataError
        If it is larger than any click's text, or holds no section.
    """
    if path.stat().st_size > limit("text_bytes"):
        raise CorruptDataError(
            f"{path.name} has {path.stat().st_size} bytes, far more than the text of a click.",
            path=path,
        )
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    sections = parse(text)
    if not any(section.name for section in sections):
        raise CorruptDataError(
            f"{path.name} holds no section that begins with ***: it is empty or half-written.",
            path=path,
            hint="Copy the click again from the instrument.",
        )
    return sections


def sections_named(sections: tuple[Section, ...], prefix: str) -> Iterator[Section]:
    """Yield the sections whose name begins so."""
    wanted = normalized_key(prefix)
    for section in sections:
        if section.name and normalized_key(section.name).startswith(wanted):
            yield section
