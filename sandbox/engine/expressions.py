"""Values of a descriptor: XPath 2.0 between ``^`` marks, parameters, loops."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement

import elementpath

from .documents import NAMESPACE, P, children, text
from .errors import RunError

_MARK = "^"
_LOOP = re.compile(r"PIPELINE_LOOP(ON|VALUE)\(\s*([^()]*?)\s*\)")
_NAMED = re.compile(r"parameter\[\s*name\s*=\s*['\"]([^'\"]+)['\"]\s*\]")
_MOST_VALUES = 10_000


class Values:
    """A descriptor with its launch parameters, and the values of its expressions.

    Launch parameters stand for those of the same name in the descriptor. The engine evaluates them
    too: who may launch may write an expression, and read with it what the engine knows.

    Parameters
    ----------
    root : Element
        Of the descriptor; its ``parameters`` are extended in place.
    launched : mapping of str to sequence of str
        One value becomes ``unique``, several become ``list``.

    Raises
    ------
    RunError
        Where an expression of a parameter or a loop cannot be evaluated.
    """

    def __init__(self, root: Element, launched: Mapping[str, Sequence[str]]) -> None:
        self._root = root
        parent = root.find(P + "parameters")
        if parent is None:
            parent = SubElement(root, P + "parameters")
        self._parent: Element = parent
        self._open = self._extend(launched)
        for name in list(self._open):
            self._settle(name, ())
        self._loops = {one.get("id", ""): self._loop(one) for one in children(root, "loop")}

    def _extend(self, launched: Mapping[str, Sequence[str]]) -> dict[str, list[Element]]:
        """Add launch parameters; return the values that are expressions, by parameter."""
        for one in list(self._parent):
            if text(one, "name") in launched:
                self._parent.remove(one)
        for name, values in launched.items():
            parameter = SubElement(self._parent, P + "parameter")
            SubElement(parameter, P + "name").text = name
            inner = SubElement(parameter, P + "values")
            for value in values:
                tag = "unique" if len(values) == 1 else "list"
                SubElement(inner, P + tag).text = value
        found = {
            text(one, "name"): [
                value for value in one.findall(f"{P}values/*") if _is_marked(value.text or "")
            ]
            for one in self._parent
        }
        return {name: values for name, values in found.items() if values}

    def _settle(self, name: str, asked: tuple[str, ...]) -> None:
        """Evaluate the values of a parameter after those it is made from."""
        if name in asked:
            raise RunError(f"The parameter {name} of the descriptor is made from itself.")
        for value in self._open.get(name, ()):
            expression = value.text or ""
            for other in _NAMED.findall(expression):
                if other in self._open:
                    self._settle(other, (*asked, name))
            value.text = ",".join(self.evaluate(expression))
        self._open.pop(name, None)

    def _loop(self, loop: Element) -> list[str]:
        xpath = loop.get("xpath", "")
        if not xpath:
            return [(one.text or "").strip() for one in children(loop, "value")]
        return self.evaluate(xpath) or self.evaluate(
            xpath.replace("/values/list", "/values/unique")
        )

    def evaluate(self, expression: str, loop_values: Mapping[str, str] | None = None) -> list[str]:
        """Return the values of an attribute or a text: itself where it is no expression.

        Parameters
        ----------
        expression : str
            As it stands in the descriptor.
        loop_values : mapping of str to str, optional
            Value of each loop in the present instance of the step.

        Raises
        ------
        RunError
            For an expression that cannot be evaluated.
        """
        expression = expression.strip()
        if not expression.startswith(_MARK):
            return [expression]
        if not _is_marked(expression):
            raise RunError(f"The expression {expression} does not end with {_MARK}.")
        found: list[str] = []
        for one in self._unrolled(expression[1:-1], loop_values or {}):
            found += self._xpath(one)
            if len(found) > _MOST_VALUES:
                raise RunError(f"The expression {expression} has too many values.")
        return found

    def one(self, expression: str, loop_values: Mapping[str, str] | None = None) -> str:
        """Return the only value of an expression; empty for none.

        Raises
        ------
        RunError
            For several values, or an expression that cannot be evaluated.
        """
        found = self.evaluate(expression, loop_values)
        if len(found) > 1:
            raise RunError(f"The expression {expression} has {len(found)} values, not one.")
        return found[0] if found else ""

    def loop_values(self, expressions: Sequence[str]) -> list[dict[str, str]]:
        """Return the loops' values for each instance of a step; one empty set without loops.

        Raises
        ------
        RunError
            For a loop that the descriptor does not have, or too many instances.
        """
        names: list[str] = []
        for expression in expressions:
            names += [name for kind, name in _LOOP.findall(expression) if kind == "ON"]
        found: list[dict[str, str]] = [{}]
        for name in dict.fromkeys(names):
            found = [
                loop_values | {name: value} for loop_values in found for value in self._looped(name)
            ]
            if len(found) > _MOST_VALUES:
                raise RunError(f"The loops of a step make {len(found)} instances: too many.")
        return found

    def _looped(self, name: str) -> list[str]:
        if name not in self._loops:
            raise RunError(f"The descriptor has no loop {name}.")
        return self._loops[name]

    def _unrolled(self, xpath: str, loop_values: Mapping[str, str]) -> list[str]:
        """Return an XPath with the loops' values in it: one for each value of LOOPVALUE."""
        match = _LOOP.search(xpath)
        if match is None:
            return [xpath]
        kind, name = match.groups()
        values = [loop_values[name]] if kind == "ON" and name in loop_values else self._looped(name)
        unrolled: list[str] = []
        for value in values:
            literal = "'" + value.replace("'", "''") + "'"
            rest = self._unrolled(xpath[match.end() :], loop_values)
            unrolled += [xpath[: match.start()] + literal + one for one in rest]
        return unrolled

    def _xpath(self, xpath: str) -> list[str]:
        try:
            found = elementpath.select(
                ElementTree(self._root),
                xpath,
                namespaces={"": NAMESPACE},
                parser=elementpath.XPath2Parser,
            )
        except (elementpath.ElementPathError, RecursionError) as error:
            raise RunError(f"XPath that cannot be evaluated: {xpath} ({error}).") from error
        return [_string(one) for one in (found if isinstance(found, list) else [found])]


def _string(value: object) -> str:
    if isinstance(value, Element):
        return "".join(value.itertext())
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _is_marked(value: str) -> bool:
    value = value.strip()
    return len(value) > 1 and value.startswith(_MARK) and value.endswith(_MARK)


_EXISTS = re.compile(r"(!?)EXISTS\((.*)\)")
_TRUTH = {"true": True, "false": False, "true()": True, "false()": False}


def is_true(condition: str, values: Values, loop_values: Mapping[str, str]) -> bool:
    """Tell whether a precondition holds now; one that is empty always does.

    A condition that is one expression is evaluated. Else words are joined by ``AND`` and ``OR``
    from left to right; each is ``EXISTS(path)``, ``!EXISTS(path)``, an expression or a truth value,
    without a blank in it.

    Raises
    ------
    RunError
        For a condition that cannot be read.
    """
    condition = condition.strip()
    if not condition:
        return True
    if condition.startswith("^") and condition.endswith("^") and condition.count("^") == 2:
        return _truth(values.one(condition, loop_values), condition)
    result, join = True, "AND"
    for word in condition.split():
        if word.upper() in ("AND", "OR"):
            join = word.upper()
            continue
        found = _word(word, values, loop_values)
        result = (result and found) if join == "AND" else (result or found)
    return result


def _word(word: str, values: Values, loop_values: Mapping[str, str]) -> bool:
    match = _EXISTS.fullmatch(word)
    if match is None:
        return _truth(values.one(word, loop_values), word)
    path = values.one(match[2], loop_values)
    if not path:
        raise RunError(f"The precondition {word} names no path.")
    return Path(path).exists() != bool(match[1])


def _truth(value: str, condition: str) -> bool:
    found = _TRUTH.get(value.strip().lower())
    if found is None:
        raise RunError(f"The precondition {condition} is {value!r}: neither true nor false.")
    return found
