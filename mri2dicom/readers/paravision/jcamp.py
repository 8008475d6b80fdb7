"""Parse the JCAMP-DX dialect of Bruker ParaVision parameter files.

A file is cut into records at once; a record's value is parsed when it is asked for. Values become
`int`, `float`, `str`, `tuple` (a struct) or `list` (several items). See
``docs/vendors/bruker.md`` for the dialect.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xnat_pic.errors import CorruptDataError

MAX_FILE_BYTES = 256 * 2**20
MAX_ITEMS = 20_000_000
MAX_DEPTH = 32

# A size prefix has blanks inside its brackets and whole numbers only; a struct has no blank, and
# an enumeration with a display name has a blank and then "<".
_SIZE = re.compile(r"\( *(\d+(?: *, *\d+)*) +\)(?=\s|<|$)")
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string><(?:[^>\\]|\\.)*>)          # opaque, with \< \> escaped
      | @(?P<repeat>\d+)\*\(                   # run-length: so many copies of what follows
      | (?P<open>\()
      | (?P<close>\))
      | (?P<comma>,)
      | (?P<word>[^\s<>(),]+)
    )""",
    re.VERBOSE | re.DOTALL,
)
_PLAIN_RUN = re.compile(r"@(\d+)\*\(([^()<>,\s]+)\)")
# An escaped sign, or a line break: after a backslash it belongs to the text, else it only wraps.
_ESCAPE = re.compile(r"\\([<>\\\n])|\n")
_DIGITS = 18
_INT = re.compile(r"[+-]?\d+\Z")
_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z")


@dataclass(frozen=True)
class Record:
    """One ``##$Name=`` record before its value is parsed.

    Attributes
    ----------
    dims : tuple of int
        The declared sizes, empty for a scalar. For strings the last one is the longest length
        allowed, not a count.
    text : str
        The value without the size prefix, line breaks kept.
    """

    name: str
    dims: tuple[int, ...]
    text: str


@dataclass
class Parameters:
    """The parameters of one file, parsed on demand.

    Missing parameters give the default and never raise; damaged ones raise `CorruptDataError`.
    """

    records: dict[str, Record] = field(default_factory=dict)
    header: dict[str, str] = field(default_factory=dict)
    complete: bool = True
    path: Path | None = None
    _parsed: dict[str, list[Any]] = field(default_factory=dict, repr=False)

    def __contains__(self, name: object) -> bool:
        return name in self.records

    def __iter__(self) -> Iterator[str]:
        return iter(self.records)

    def items(self, name: str) -> list[Any]:
        """Return the value as a list, whatever way it was written; empty where it is missing."""
        record = self.records.get(name)
        if record is None:
            return []
        if name not in self._parsed:
            try:
                self._parsed[name] = parse_value(record)
            except ValueError as error:
                where = f" in {self.path}" if self.path else ""
                raise CorruptDataError(
                    f"Parameter {name}{where} cannot be read: {error}.", path=self.path
                ) from error
        return self._parsed[name]

    def first(self, name: str, default: Any = None) -> Any:
        """Return the first item of the value, or the default."""
        values = self.items(name)
        return values[0] if values else default

    def text(self, name: str, default: str = "") -> str:
        """Return the first item as text without surrounding blanks."""
        value = self.first(name)
        return default if value is None else str(value).strip()

    def number(self, name: str) -> float | None:
        """Return the first item as a number, None where it is missing or no number."""
        value = self.first(name)
        return float(value) if isinstance(value, (int, float)) else None

    def numbers(self, name: str) -> list[float]:
        """Return all items as numbers.

        Raises
        ------
        CorruptDataError
            If an item is no number.
        """
        values = self.items(name)
        try:
            return [float(value) for value in values]
        except (TypeError, ValueError) as error:
            raise CorruptDataError(
                f"Parameter {name} in {self.path} should hold numbers and does not.",
                path=self.path,
            ) from error

    def texts(self, name: str) -> list[str]:
        """Return all items as text."""
        return [str(value) for value in self.items(name)]

    def size(self, name: str) -> tuple[int, ...]:
        """Return the declared sizes of a parameter."""
        record = self.records.get(name)
        return record.dims if record else ()


def read_parameters(path: Path) -> Parameters:
    """Read a parameter file.

    Raises
    ------
    CorruptDataError
        If the file is larger than any parameter file, or is not one.
    OSError
        If it cannot be read.
    """
    if path.stat().st_size > MAX_FILE_BYTES:
        raise CorruptDataError(f"{path} is too large to be a parameter file.", path=path)
    parameters = parse(path.read_bytes())
    parameters.path = path
    return parameters


def parse(data: bytes) -> Parameters:
    """Cut a parameter file into records.

    Parameters
    ----------
    data : bytes
        UTF-8 (ParaVision 360), or latin-1 where that fails.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    parameters = Parameters(complete=False)
    for label, lines in _split(text):
        if label == "END":
            parameters.complete = True
            break
        if label.startswith("$"):
            name = label[1:].strip()
            parameters.records[name] = _record(name, "\n".join(lines))
        else:
            parameters.header[label.strip()] = " ".join(lines).strip()
    return parameters


def _split(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield label and value lines of each record, comments (``$$``) left out."""
    label: str | None = None
    lines: list[str] = []
    for line in text.split("\n"):
        if line.startswith("$$"):
            continue
        if line.startswith("##"):
            if label is not None:
                yield label, lines
            label, equals, value = line[2:].partition("=")
            lines = [value]
            if not equals:
                label = None
        elif label is not None:
            lines.append(line)
    if label is not None:
        yield label, lines


def _record(name: str, raw: str) -> Record:
    raw = raw.strip("\n")
    match = _SIZE.match(raw)
    if match is None:
        return Record(name, (), raw)
    dims = tuple(_count(number) for number in match[1].split(","))
    return Record(name, dims, raw[match.end() :])


def _count(digits: str) -> int:
    """Return a number of items; one of absurd length counts as more than any file holds."""
    digits = digits.strip().lstrip("0")
    return int(digits or "0") if len(digits) <= _DIGITS else 10**_DIGITS


def parse_value(record: Record) -> list[Any]:
    """Parse a record's value into a list of items and check their number.

    Raises
    ------
    ValueError
        If brackets or strings are not closed, or the number of items is not the declared one.
    """
    items = _plain_numbers(record.text)
    if items is None:
        items = _parse_items(record.text)
    if not record.dims:
        return items
    expected = math.prod(record.dims)
    strings = bool(items) and all(isinstance(item, _QuotedText) for item in items)
    if strings and len(items) != expected:
        expected = math.prod(record.dims[:-1])
    if len(items) != expected:
        raise ValueError(f"{len(items)} values instead of the {expected} it announces")
    return [str(item) for item in items] if strings else items


class _QuotedText(str):
    """A value written in angle brackets, to tell it from a bare word."""

    __slots__ = ()


def _plain_numbers(text: str) -> list[Any] | None:
    """Return the items of a purely numeric value, or None; the quick way for long arrays."""
    if "<" in text or "," in text:
        return None
    items: list[Any] = []
    for word in text.split():
        if "(" not in word and ")" not in word:
            items.append(_parse_word(word))
            continue
        run = _PLAIN_RUN.fullmatch(word)
        if run is None:
            return None
        copies = _count(run[1])
        if copies + len(items) > MAX_ITEMS:
            raise ValueError(f"a run of {copies} values is too long")
        items += [_parse_word(run[2])] * copies
    return items


def _parse_word(word: str) -> int | float | str:
    if _INT.match(word) and len(word) <= _DIGITS:
        return int(word)
    if _FLOAT.match(word):
        return float(word)
    return word


def _unescape(string: str) -> _QuotedText:
    return _QuotedText(_ESCAPE.sub(lambda match: match[1] or "", string[1:-1]))


@dataclass
class _Bracket:
    """An open bracket: its fields so far, and how often its content counts."""

    fields: list[list[Any]] = field(default_factory=lambda: [[]])
    copies: int | None = None


def _parse_items(text: str) -> list[Any]:
    stack = [_Bracket()]
    position, total, end = 0, 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"it is cut off or damaged at {text[position : position + 20]!r}")
        position = match.end()
        kind = match.lastgroup
        if kind == "open" or kind == "repeat":
            stack.append(_Bracket(copies=_count(match["repeat"]) if kind == "repeat" else None))
            if len(stack) > MAX_DEPTH:
                raise ValueError("its brackets are nested too deep")
        elif kind == "close":
            closed = _close_bracket(stack)
            total += len(closed)
            if total > MAX_ITEMS:
                raise ValueError("it holds too many values")
            stack[-1].fields[-1].extend(closed)
        elif kind == "comma":
            stack[-1].fields.append([])
        else:
            item = _unescape(match["string"]) if kind == "string" else _parse_word(match["word"])
            stack[-1].fields[-1].append(item)
    if len(stack) != 1:
        raise ValueError("a bracket is not closed")
    return [item for part in stack[0].fields for item in part]


def _close_bracket(stack: list[_Bracket]) -> list[Any]:
    if len(stack) == 1:
        raise ValueError("a bracket is closed that was not opened")
    level = stack.pop()
    struct = tuple(_struct_field(part) for part in level.fields)
    if level.copies is None:
        return [struct]
    content = level.fields[0] if len(level.fields) == 1 else [struct]
    if level.copies * max(len(content), 1) > MAX_ITEMS:
        raise ValueError(f"a run of {level.copies} values is too long")
    return content * level.copies


def _struct_field(part: Sequence[Any]) -> Any:
    """Return a struct's field: one item as itself, none as "", several as a list."""
    if len(part) == 1:
        return part[0]
    return list(part) if part else ""
