"""A part of DicomEdit 6, the language of XNAT's anonymisation scripts.

Known are ``:=`` on a tag, ``-`` (delete) on a tag, ``removeAllPrivateTags``, ``reject``, names that
are given a value, conditions ``test ? statement : statement``, and the values text, tag, name,
``concatenate``, ``lowercase`` and ``uppercase``. A script that says anything else is refused.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*")
    |(?P<tag>\(\s*[0-9A-Fa-f]{4}\s*,\s*[0-9A-Fa-f]{4}\s*\))
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>:=|!=|!~|[=~?:\-,\[\]])
    |(?P<other>\S))""",
    re.VERBOSE,
)
_GIVEN = ("project", "subject", "session")
_MOST_STATEMENTS = 1000
_DEEPEST = 20

Values = dict[str, str]
Value = Callable[[Dataset, Values], str]
Test = Callable[[Dataset, Values], bool]
# Returns whether the object is rejected.
Statement = Callable[[Dataset, Values], bool]


class ScriptError(Exception):
    """A script that cannot be read, or says what this sandbox does not know."""


@dataclass(frozen=True)
class Script:
    """A script that was read.

    Attributes
    ----------
    version : str
        Of the language, as the script names it.
    """

    version: str
    statements: tuple[Statement, ...]

    def apply(self, dataset: Dataset, given: Mapping[str, str]) -> bool:
        """Change an object in place; return whether the script rejects it.

        Parameters
        ----------
        given : mapping
            Values of ``project``, ``subject`` and ``session``.
        """
        values = {name: given[name] for name in _GIVEN}
        return any(statement(dataset, values) for statement in self.statements)


def parse_script(text: str) -> Script:
    """Read a script.

    Raises
    ------
    ScriptError
        Also for a statement that XNAT knows and this sandbox does not.
    """
    lines = [line for line in map(_without_comment, text.splitlines()) if line.strip()]
    version = re.fullmatch(r'\s*version\s+"([0-9.]+)"\s*', lines[0]) if lines else None
    if version is None:
        raise ScriptError('A script begins with its version, such as: version "6.1".')
    if not version[1].startswith("6"):
        raise ScriptError(f"This sandbox knows DicomEdit 6 only, not {version[1]}.")
    if len(lines) > _MOST_STATEMENTS:
        raise ScriptError(f"A script has at most {_MOST_STATEMENTS} statements here.")
    names = set(_GIVEN)
    statements = tuple(_Line(line, names).whole() for line in lines[1:])
    return Script(version[1], statements)


def _without_comment(line: str) -> str:
    """Return a line up to its ``//``, which counts only outside of text."""
    found = re.match(r'(?:[^"/]|/(?!/)|"(?:[^"\\]|\\.)*")*', line)
    return found[0] if found else line


class _Line:
    """One statement of a script, read token by token."""

    def __init__(self, line: str, names: set[str]) -> None:
        self._line = line.strip()
        self._tokens = [
            (match.lastgroup or "", match[match.lastgroup or 0])
            for match in _TOKEN.finditer(self._line)
        ]
        self._at = 0
        self._names = names

    def whole(self) -> Statement:
        """Return the statement; nothing may follow it."""
        statement = self._statement(0)
        if self._at < len(self._tokens):
            raise self._unknown()
        return statement

    def _unknown(self) -> ScriptError:
        return ScriptError(f"This sandbox does not know the statement: {self._line}")

    def _next(self, kind: str = "", *texts: str) -> str:
        """Return the next token, which has to be of a kind, or one of several."""
        if self._at >= len(self._tokens):
            raise self._unknown()
        found, text = self._tokens[self._at]
        if (kind and found != kind) or (texts and text not in texts):
            raise self._unknown()
        self._at += 1
        return text

    def _sees(self, *texts: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at][1] in texts

    def _statement(self, depth: int) -> Statement:
        if depth > _DEEPEST:
            raise self._unknown()
        start = self._at
        if self._sees("-"):
            self._next()
            return _deletion(_tag(self._next("tag")))
        if self._sees("reject"):
            self._next()
            return lambda _dataset, _values: True
        if self._sees("removeAllPrivateTags"):
            self._next()
            return _remove_private
        kind, target = self._tokens[start] if start < len(self._tokens) else ("", "")
        self._at += 1
        if kind in ("tag", "word") and self._sees(":="):
            self._next()
            value = self._value()
            if kind == "word":
                self._names.add(target)
                return _naming(target, value)
            return _assignment(_tag(target), value)
        self._at = start
        return self._condition(depth)

    def _condition(self, depth: int) -> Statement:
        test = self._test()
        self._next("sign", "?")
        first = self._statement(depth + 1)
        second: Statement = _nothing
        if self._sees(":"):
            self._next()
            second = self._statement(depth + 1)
        return lambda dataset, values: (first if test(dataset, values) else second)(dataset, values)

    def _test(self) -> Test:
        left = self._value()
        sign = self._next("sign", "=", "!=", "~", "!~")
        right = self._value()
        is_not = sign.startswith("!")
        if sign.endswith("="):
            return lambda dataset, values: (
                (left(dataset, values) == right(dataset, values)) != is_not
            )

        def matches(dataset: Dataset, values: Values) -> bool:
            try:
                found = re.fullmatch(right(dataset, values), left(dataset, values)) is not None
            except re.error as error:
                raise ScriptError(f"{self._line}: the pattern cannot be read.") from error
            return found != is_not

        return matches

    def _value(self) -> Value:
        if self._at < len(self._tokens) and self._tokens[self._at][0] == "text":
            text = re.sub(r"\\(.)", r"\1", self._next()[1:-1])
            return lambda _dataset, _values: text
        if self._at < len(self._tokens) and self._tokens[self._at][0] == "tag":
            tag = _tag(self._next())
            return lambda dataset, _values: _text(dataset, tag)
        name = self._next("word")
        if self._sees("["):
            return self._function(name)
        if name not in self._names:
            raise self._unknown()
        return lambda _dataset, values: values.get(name, "")

    def _function(self, name: str) -> Value:
        self._next("sign", "[")
        parts = [self._value()]
        while self._sees(","):
            self._next()
            parts.append(self._value())
        self._next("sign", "]")
        if name == "concatenate":
            return lambda dataset, values: "".join(part(dataset, values) for part in parts)
        if name in ("lowercase", "uppercase") and len(parts) == 1:
            change = str.lower if name == "lowercase" else str.upper
            return lambda dataset, values: change(parts[0](dataset, values))
        raise self._unknown()


def _tag(text: str) -> int:
    group, element = text.strip("() ").split(",")
    return int(group, 16) << 16 | int(element, 16)


def _text(dataset: Dataset, tag: int) -> str:
    return str(dataset[tag].value) if tag in dataset and dataset[tag].value is not None else ""


def _nothing(_dataset: Dataset, _values: Values) -> bool:
    return False


def _deletion(tag: int) -> Statement:
    def delete(dataset: Dataset, _values: Values) -> bool:
        if tag in dataset:
            del dataset[tag]
        return False

    return delete


def _remove_private(dataset: Dataset, _values: Values) -> bool:
    dataset.remove_private_tags()
    return False


def _naming(name: str, value: Value) -> Statement:
    def give(dataset: Dataset, values: Values) -> bool:
        values[name] = value(dataset, values)
        return False

    return give


def _assignment(tag: int, value: Value) -> Statement:
    def assign(dataset: Dataset, values: Values) -> bool:
        try:
            vr = dictionary_VR(tag)
        except KeyError:
            vr = "UN" if tag >> 16 & 1 else "LO"
        text = value(dataset, values)
        dataset.add_new(tag, vr, text.encode() if vr == "UN" else text)
        return False

    return assign
