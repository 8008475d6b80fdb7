"""Which folder level holds what: patterns such as ``group/{group}/{timepoint}/{subject}``.

A pattern is matched from the scanned folder downwards; levels below it (study, series) are free.

==============================  ==================================================================
``name``                        a folder of this name, without regard to case
``{group}``                     a level whose name is the value; ``{subject}_{timepoint}`` takes a
                                name apart
``{study}``, ``{modality}``     levels that name the study or the modality
``*``, ``?``, ``**``            any text, any character, any number of levels
``[dose/{dose}/]``              levels that some branches do not have
``group/{group}``               a name and its value: together they may be absent
``one|other``                   two patterns; the one that fits better counts
==============================  ==================================================================
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from xnat_config.variables import RESERVED, VARIABLE_NAME, Variables
from xnat_pic.errors import WrongCallError

SUBJECT = "subject"
# Levels that are recognised and are no variables.
PLAIN_TOKENS = (SUBJECT, "study", "modality")
_PIECE = re.compile(r"\{([^{}]*)\}|(\*)|(\?)|([^{}*?]+)|(.)")
_ANY_LEVELS = "**"


@dataclass(frozen=True)
class LayoutSegment:
    """One level of a pattern.

    Attributes
    ----------
    regex : pattern or None
        None stands for any number of levels.
    tokens : tuple of str
        Names it gives values to.
    literal : str
        Its text, in lower case, where it has neither token nor wildcard.
    """

    text: str
    regex: re.Pattern[str] | None
    tokens: tuple[str, ...]
    literal: str


@dataclass(frozen=True)
class LayoutUnit:
    """Levels that are there together or not at all.

    Attributes
    ----------
    optional : bool
        Branches may lack it.
    """

    segments: tuple[LayoutSegment, ...]
    optional: bool

    @property
    def may_be_missing(self) -> bool:
        """Whether it only gives values, so that a shorter branch can lack it."""
        return all(one.tokens and one.text == f"{{{one.tokens[0]}}}" for one in self.segments)


@dataclass(frozen=True)
class LayoutMatch:
    """How a folder fits a layout.

    Attributes
    ----------
    values : dict
        Token to value; a level that is absent is not in it.
    problem : str
        Why it does not fit, as half a message; empty where it does.
    """

    values: dict[str, str]
    problem: str = ""


@dataclass(frozen=True)
class _Alignment:
    """One way to lay a pattern over a folder's levels; less is better."""

    values: dict[str, str]
    dropped: int
    implicit: int
    wrong_subject: bool
    odd: int

    @property
    def cost(self) -> tuple[bool, int, int]:
        return (self.wrong_subject, self.odd, self.dropped)


@dataclass(frozen=True)
class Layout:
    """A pattern, ready to be matched.

    Attributes
    ----------
    text : str
        As a person writes it.
    alternatives : tuple of tuple of LayoutUnit
        The patterns between ``|``.
    """

    text: str
    alternatives: tuple[tuple[LayoutUnit, ...], ...]
    variables: Variables

    @property
    def tokens(self) -> tuple[str, ...]:
        """Names of the variables it gives values to, in order."""
        found = {
            token: None
            for units in self.alternatives
            for unit in units
            for segment in unit.segments
            for token in segment.tokens
            if token not in PLAIN_TOKENS
        }
        return tuple(found)

    @property
    def has_announced_values(self) -> bool:
        """Whether any value has the name of its variable before it."""
        return any(
            unit.segments[0].literal and len(unit.segments) > 1
            for units in self.alternatives
            for unit in units
        )

    def match(self, levels: Sequence[str], is_subject: Callable[[str], bool]) -> LayoutMatch:
        """Read the values of a folder.

        Parameters
        ----------
        levels : sequence of str
            Names of the folders from the scanned one down to the files.
        is_subject : callable
            Tells whether a name is the subject that the files name; settles which level is
            absent in a shorter branch.
        """
        if not self.text:
            return LayoutMatch({})
        names = [unicodedata.normalize("NFC", level.strip()) for level in levels]
        alignments = [
            self._rate(values, dropped, implicit, is_subject)
            for units in self.alternatives
            for values, dropped, implicit in _align(units, names, 0)
            if self._allowed(units, values, names)
        ]
        explicit = [alignment for alignment in alignments if not alignment.implicit]
        if not any(_has_subject(alignment) for alignment in explicit):
            hinted = [
                alignment
                for alignment in alignments
                if alignment.implicit and _has_subject(alignment)
            ]
            # A way that finds every level absent reads nothing: it is no fit.
            explicit = (
                hinted or explicit or [alignment for alignment in alignments if alignment.values]
            )
        if not explicit:
            return LayoutMatch({}, f"the folder {'/'.join(levels)} does not fit {self.text}")
        best = min(alignment.cost for alignment in explicit)
        values = [alignment.values for alignment in explicit if alignment.cost == best]
        if any(one != values[0] for one in values):
            return LayoutMatch(
                {}, f"the folder {'/'.join(levels)} fits {self.text} in more than one way"
            )
        return LayoutMatch(values[0])

    def _rate(
        self, values: dict[str, str], dropped: int, implicit: int, is_subject: Callable[[str], bool]
    ) -> _Alignment:
        odd = sum(
            not self.variables.by_name[name].accepts(value)
            for name, value in values.items()
            if name in self.variables.by_name
        )
        wrong = SUBJECT in values and not is_subject(values[SUBJECT])
        return _Alignment(values, dropped + implicit, implicit, wrong, odd)

    def _allowed(
        self, units: Sequence[LayoutUnit], values: dict[str, str], names: Sequence[str]
    ) -> bool:
        """Refuse ways that read a level's announcement as a value, or overlook one."""
        if any(self.variables.announced_by(value) for value in values.values()):
            return False
        folded = {name.casefold() for name in names}
        for unit in units:
            tokens = {token for segment in unit.segments for token in segment.tokens}
            literals = {segment.literal for segment in unit.segments if segment.literal}
            if literals & folded and tokens and not tokens & set(values):
                return False
        return True


def _has_subject(alignment: _Alignment) -> bool:
    return SUBJECT in alignment.values and not alignment.wrong_subject


def _align(
    units: Sequence[LayoutUnit], names: Sequence[str], start: int
) -> Iterator[tuple[dict[str, str], int, int]]:
    """Yield every way to lay units over names: values, units told absent, units found absent."""
    if not units:
        yield {}, 0, 0
        return
    unit, rest = units[0], units[1:]
    for values, end in _align_segments(unit.segments, names, start):
        for others, dropped, implicit in _align(rest, names, end):
            if all(others.get(name, value) == value for name, value in values.items()):
                yield {**others, **values}, dropped, implicit
    if unit.optional:
        for others, dropped, implicit in _align(rest, names, start):
            yield others, dropped + 1, implicit
    elif unit.may_be_missing:
        for others, dropped, implicit in _align(rest, names, start):
            yield others, dropped, implicit + 1


def _align_segments(
    segments: Sequence[LayoutSegment], names: Sequence[str], start: int
) -> Iterator[tuple[dict[str, str], int]]:
    if not segments:
        yield {}, start
        return
    segment, rest = segments[0], segments[1:]
    if segment.regex is None:
        for end in range(start, len(names) + 1):
            yield from _align_segments(rest, names, end)
        return
    if start >= len(names):
        return
    found = segment.regex.fullmatch(names[start])
    if found is None:
        return
    for values, end in _align_segments(rest, names, start + 1):
        yield {**values, **found.groupdict()}, end


def parse_layout(text: str, variables: Variables) -> Layout:
    """Read a pattern.

    Raises
    ------
    WrongCallError
        If it cannot be understood; the text says which part.
    """
    text = text.strip().replace("\\", "/").strip("/")
    if not text:
        return Layout("", (), variables)
    alternatives = tuple(_units(one.strip(), variables) for one in text.split("|"))
    return Layout(text, alternatives, variables)


def _units(text: str, variables: Variables) -> tuple[LayoutUnit, ...]:
    units: list[LayoutUnit] = []
    depth = 0
    bracketed: list[LayoutSegment] = []
    at_border = True
    for part in re.findall(r"[\[\]/]|[^\[\]/]+", text):
        if part == "[":
            if depth or not at_border:
                raise _wrong(text, "a [ stands inside a level or another [")
            depth, bracketed = 1, []
        elif part == "]":
            if not depth or not bracketed:
                raise _wrong(text, "a ] has no [ with levels before it")
            depth = 0
            units.append(LayoutUnit(tuple(bracketed), optional=True))
            at_border = True
        elif part == "/":
            at_border = True
        else:
            if not at_border:
                raise _wrong(text, f"{part!r} follows a ] without a /")
            segment = _segment(part.strip(), text)
            if depth:
                bracketed.append(segment)
            else:
                units.append(LayoutUnit((segment,), optional=False))
            at_border = False
    if depth:
        raise _wrong(text, "a [ is not closed")
    _check_tokens(units, text)
    return tuple(_pairs(units, variables))


def _pairs(units: Sequence[LayoutUnit], variables: Variables) -> Iterator[LayoutUnit]:
    """Join a level that announces a variable with the level that holds its value."""
    announced: LayoutUnit | None = None
    for unit in units:
        single = unit.segments[0] if len(unit.segments) == 1 and not unit.optional else None
        if announced is not None:
            name = announced.segments[0].literal
            tokens = single.tokens if single else ()
            if single and len(tokens) == 1 and tokens[0] in (name, variables.announced_by(name)):
                yield LayoutUnit((announced.segments[0], single), optional=True)
                announced = None
                continue
            yield announced
            announced = None
        if single and single.literal:
            announced = unit
        else:
            yield unit
    if announced is not None:
        yield announced


def _segment(text: str, pattern: str) -> LayoutSegment:
    if text == _ANY_LEVELS:
        return LayoutSegment(text, None, (), "")
    regex, tokens = "", []
    for token, star, mark, literal, other in _PIECE.findall(text):
        if other:
            raise _wrong(pattern, f"{text!r} has a brace too many or too few")
        if star or mark:
            regex += ".*" if star else "."
        elif literal:
            regex += re.escape(unicodedata.normalize("NFC", literal))
        else:
            tokens.append(_token(token, pattern))
            regex += f"(?P<{token}>.+)"
    if len(set(tokens)) != len(tokens):
        raise _wrong(pattern, f"{text!r} names a token twice")
    plain = not tokens and not re.search(r"[*?]", text)
    compiled = re.compile(regex, re.IGNORECASE | re.DOTALL)
    return LayoutSegment(text, compiled, tuple(tokens), text.casefold() if plain else "")


def _token(name: str, pattern: str) -> str:
    if name in PLAIN_TOKENS or (VARIABLE_NAME.fullmatch(name) and name not in RESERVED):
        return name
    raise _wrong(
        pattern,
        f"{{{name}}} is no possible name; use {{subject}}, {{study}}, {{modality}} or a variable "
        "in lower-case letters, digits and _",
    )


def _check_tokens(units: Sequence[LayoutUnit], text: str) -> None:
    tokens = [t for unit in units for segment in unit.segments for t in segment.tokens]
    twice = {token for token in tokens if tokens.count(token) > 1}
    if twice:
        raise _wrong(text, f"{{{min(twice)}}} stands in it twice")


def _wrong(text: str, why: str) -> WrongCallError:
    return WrongCallError(
        f"The layout {text!r} is not understood: {why}.",
        hint="Write it like group/{group}/timepoint/{timepoint}/{subject}.",
    )
