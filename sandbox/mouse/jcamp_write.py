"""Writer of ParaVision's JCAMP-DX dialect: typed values in, text out. Nothing here touches a file.

Lines end before column 80 and keep the blank they were broken at, so that deleting the newline
restores the text. Runs of equal values become ``@N*(value)`` where the dialect has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

WIDTH = 79
SHORTEST_RUN = 10


class Symbol(str):
    """A bare word or an already spelt value: an enumeration symbol, ``Yes``, ``<inline>``."""

    __slots__ = ()


@dataclass(frozen=True)
class Text:
    """One string with its greatest length, written ``( 65 )`` and ``<...>``."""

    value: str
    length: int = 65


@dataclass(frozen=True)
class Array:
    """Values in C order under their dimensions, the last index fastest.

    Attributes
    ----------
    values : sequence
        Numbers, `Symbol`, str (with `length`), or tuples (structs).
    dims : tuple of int
        Empty means the number of values.
    length : int
        Greatest string length, the last dimension of an array of strings; 0 for none.
    """

    values: Sequence[Any]
    dims: tuple[int, ...] = field(default=())
    length: int = 0

    def header(self) -> str:
        """Spell the size prefix, e.g. ``( 3, 9 )``."""
        dims = self.dims or (len(self.values),)
        return (
            "( "
            + ", ".join(str(d) for d in (*dims, *([self.length] if self.length else [])))
            + " )"
        )


Value = Symbol | Text | Array | tuple[Any, ...] | int | float | bool
Parameters = list[tuple[str, Value]]


def numbers(values: Any, *dims: int) -> Array:
    """Wrap an array or a sequence of numbers; without `dims` its own shape is taken."""
    array = np.asarray(values, dtype=float)
    flat = [float(v) + 0.0 for v in array.ravel()]
    return Array([int(v) if v.is_integer() else v for v in flat], dims or array.shape)


def symbols(words: Sequence[str]) -> Array:
    """Wrap bare enumeration symbols."""
    return Array([Symbol(word) for word in words])


def render_item(item: Any, rle: bool = False) -> str:
    """Spell one value as it stands inside an array or a struct.

    A str goes between angle brackets with ``<`` and ``>`` escaped; a list inside a struct is an
    array without size prefix.
    """
    if isinstance(item, Symbol):
        return str.__str__(item)
    if isinstance(item, bool):
        return "Yes" if item else "No"
    if isinstance(item, str):
        return "<" + item.replace("<", "\\<").replace(">", "\\>") + ">"
    if isinstance(item, tuple):
        return "(" + ", ".join(render_item(i, rle) for i in item) + ")"
    if isinstance(item, list):
        return " ".join(render_run([render_item(i, rle) for i in item], rle))
    if isinstance(item, int):
        return str(item)
    return f"{float(item):.15g}"


def render_run(words: list[str], rle: bool) -> Iterator[str]:
    """Replace long runs of equal words by ``@N*(word)``."""
    if not rle:
        yield from words
        return
    for word, group in groupby(words):
        count = sum(1 for _ in group)
        if count >= SHORTEST_RUN:
            yield f"@{count}*({word})"
        else:
            for _ in range(count):
                yield word


def wrap(text: str) -> str:
    """Break a text into lines of at most 79 characters, each break keeping its blank.

    No line may begin like a record (``##``) or a comment (``$$``).
    """
    lines = []
    start = 0
    while len(text) - start > WIDTH:
        cut = text.rfind(" ", start, start + WIDTH) + 1
        if cut <= start:
            cut = start + WIDTH
        while text.startswith(("##", "$$"), cut):
            cut -= 1
        lines.append(text[start:cut])
        start = cut
    lines.append(text[start:])
    return "\n".join(lines)


def render_parameter(name: str, value: Value, rle: bool) -> str:
    """Spell one parameter, ``##$name=...``, without the final newline."""
    if isinstance(value, Text):
        return f"##${name}=( {value.length} )\n{wrap(render_item(value.value))}"
    if isinstance(value, Array):
        words = [render_item(item, rle) for item in value.values]
        return f"##${name}={value.header()}\n{wrap(' '.join(render_run(words, rle)))}"
    return wrap(f"##${name}={render_item(value, rle)}")


@dataclass(frozen=True)
class Envelope:
    """What stands around the parameters of one file.

    Attributes
    ----------
    title : str
        Value of ``##TITLE``.
    comments : tuple of str
        The ``$$`` lines of the head, without the sign.
    footer : str
        The ``$$`` line after ``##END=``; empty for none.
    rle : bool
        Whether runs are shortened.
    vis_every : int
        A ``$$ @vis=`` line after so many parameters; 0 puts them all at the end.
    """

    title: str
    comments: tuple[str, ...]
    footer: str
    rle: bool
    vis_every: int


def render_file(envelope: Envelope, parameters: Parameters) -> str:
    """Spell a whole parameter file.

    Parameters
    ----------
    envelope : Envelope
        Head, foot and habits of the dialect.
    parameters : list of (str, Value)
        In the order to be written.

    Returns
    -------
    str
        With a newline at the end of every line.
    """
    lines = [
        f"##TITLE={envelope.title}",
        "##JCAMPDX=4.24",
        "##DATATYPE=Parameter Values",
        "##ORIGIN=Bruker BioSpin MRI GmbH",
        "##OWNER=nmr",
        *(f"$$ {comment}" for comment in envelope.comments),
    ]
    pending: list[str] = []
    for name, value in parameters:
        lines.append(render_parameter(name, value, envelope.rle))
        pending.append(name)
        if envelope.vis_every and len(pending) == envelope.vis_every:
            lines += _vis(pending)
            pending = []
    lines += _vis(pending)
    lines.append("##END=")
    if envelope.footer:
        lines.append(f"$$ {envelope.footer}")
    return "\n".join(lines) + "\n"


def _vis(names: list[str]) -> list[str]:
    lines: list[str] = []
    for name in names:
        if lines and len(lines[-1]) + len(name) < WIDTH:
            lines[-1] += f" {name}"
        else:
            lines.append(f"$$ @vis= {name}")
    return lines
