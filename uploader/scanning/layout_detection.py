"""Find out by itself which folder level holds what, from folders that announce their values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from xnat_config.variables import Variables

Shape = tuple[str, ...]


@dataclass(frozen=True)
class ImageFolder:
    """A folder with images, and the subject its files name.

    Attributes
    ----------
    levels : tuple of str
        Names from the scanned folder (and what counts above it) down to the files.
    """

    levels: tuple[str, ...]
    patient_id: str


def levels_above(root: Path, variables: Variables) -> tuple[str, ...]:
    """Return the folders that lead to the scanned one and say what it is.

    A person who picks one subject's folder has picked ``group/treated/timepoint/pre/m01``: the
    names and values directly above count, and the folder itself.
    """
    parts = [part for part in root.parts if part != root.anchor]
    if parts and variables.announced_by(parts[-1]):
        return (*_chain(parts[:-1], variables), parts[-1])
    chain = _chain(parts, variables)
    if chain:
        return chain
    chain = _chain(parts[:-1], variables)
    return (*chain, parts[-1]) if chain else ()


def _chain(parts: Sequence[str], variables: Variables) -> tuple[str, ...]:
    """Return the pairs of name and value at the end of a path, each variable once."""
    chain: tuple[str, ...] = ()
    seen: set[str] = set()
    while len(parts) >= 2:
        name = variables.announced_by(parts[-2])
        if not name or name in seen or variables.announced_by(parts[-1]):
            break
        seen.add(name)
        chain = (parts[-2], parts[-1], *chain)
        parts = parts[:-2]
    return chain


def detect_layout(
    folders: Iterable[ImageFolder], variables: Variables, same: Callable[[str, str], bool]
) -> str:
    """Return the pattern that the folders follow; empty where none announces anything.

    Names that announce a variable stand before its value. The subject's level is the one whose
    names equal the subject in most of the files.

    Parameters
    ----------
    same : callable
        Tells whether a folder's name and the subject in the files are the same.
    """
    read = [(folder, _elements(folder.levels, variables)) for folder in dict.fromkeys(folders)]
    subject_at = _subject_level(read, same)
    shapes = Counter(_shape(elements, subject_at) for _, elements in read)
    kept: list[Shape] = []
    for shape in sorted(shapes, key=lambda one: (-len(one), one)):
        if shape and not any(_covers(other, shape) for other in kept):
            kept.append(shape)
    return "|".join("/".join(shape) for shape in kept)


def _elements(levels: Sequence[str], variables: Variables) -> list[tuple[str, str]]:
    """Split levels into pairs (pattern, value) and other levels ("", name)."""
    found: list[tuple[str, str]] = []
    seen: set[str] = set()
    place = 0
    while place < len(levels):
        name = variables.announced_by(levels[place])
        value = levels[place + 1] if place + 1 < len(levels) else ""
        if name and name not in seen and value and not variables.announced_by(value):
            seen.add(name)
            found.append((f"{_literal(levels[place])}/{{{name}}}", value))
            place += 2
        else:
            found.append(("", levels[place]))
            place += 1
    return found


def _literal(name: str) -> str:
    """Write a folder's name as part of a pattern; what a pattern reads otherwise becomes ``?``."""
    return "".join("?" if c in "[]{}|*\\" else c for c in name.strip())


def _subject_level(
    read: Sequence[tuple[ImageFolder, list[tuple[str, str]]]], same: Callable[[str, str], bool]
) -> int:
    """Return which of the levels outside of pairs is the subject's, -1 where none is."""
    agree: Counter[int] = Counter()
    named = 0
    for folder, elements in read:
        if not folder.patient_id:
            continue
        named += 1
        others = [value for pattern, value in elements if not pattern]
        # The first that agrees: a study's folder below may begin with the subject's name too.
        index = next((k for k, value in enumerate(others) if same(value, folder.patient_id)), None)
        if index is not None:
            agree[index] += 1
    if not agree:
        return -1
    index, votes = min(agree.items(), key=lambda item: (-item[1], item[0]))
    return index if votes * 2 > named else -1


def _shape(elements: Sequence[tuple[str, str]], subject_at: int) -> Shape:
    shape: list[str] = []
    length = other = 0
    for pattern, _ in elements:
        if pattern:
            shape.append(pattern)
            length = len(shape)
        else:
            shape.append("{subject}" if other == subject_at else "*")
            length = len(shape) if other == subject_at else length
            other += 1
    return tuple(shape[:length])


def _covers(long: Shape, short: Shape) -> bool:
    """Tell whether a shape becomes another one by leaving out pairs of name and value."""
    place = 0
    for part in long:
        if place < len(short) and part.casefold() == short[place].casefold():
            place += 1
        elif "/" not in part:
            return False
    return place == len(short)
