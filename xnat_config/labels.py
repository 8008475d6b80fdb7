"""How subjects and sessions are named in XNAT. Pure: text in, text out."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any

_DIGEST = 8
_SEPARATORS = "_-"
_PARTS = ("subject", "when", "modality", "date", "study")


@dataclass(frozen=True)
class LabelRules:
    """The rules for labels.

    Attributes
    ----------
    allowed : pattern
        Matches one character that XNAT keeps.
    max_length : int
        Characters at most.
    template : str
        The session's label, with ``{subject}``, ``{when}``, ``{modality}``, ``{date}``,
        ``{study}`` and the variables by name.
    when : tuple of str
        ``{when}`` is the first of these that is not empty.
    again : str
        What stands before the number of a second study of the same kind.
    """

    allowed: re.Pattern[str]
    replacement: str
    max_length: int
    template: str
    when: tuple[str, ...]
    again: str

    def clean(self, text: str) -> str:
        """Return the label that XNAT makes of a text, never longer than allowed.

        A text that is too long keeps its beginning and gets eight characters of its hash, so
        that two long texts that differ stay different.
        """
        text = unicodedata.normalize("NFC", text.strip())
        label = "".join(c if self.allowed.fullmatch(c) else self.replacement for c in text)
        return label if len(label) <= self.max_length else self._shorten(label, text, "")

    def is_clean(self, label: str) -> bool:
        """Tell whether XNAT keeps a label as it is."""
        return bool(label) and self.clean(label) == label

    def session(self, values: Mapping[str, str], number: int = 1) -> str:
        """Return the label of a session.

        Parameters
        ----------
        values : mapping
            Value for every name of the template; one that is empty falls out with the separator
            before it.
        number : int
            1 for the first study of its kind, 2 for the second.
        """
        when = next((values[name] for name in self.when if values.get(name)), "")
        known = {**values, "when": when}
        parts: list[tuple[str, str, str]] = []  # separator, name, text
        pending = ""
        for literal, name, _, _ in Formatter().parse(self.template):
            pending += literal
            if name is None:
                continue
            text = self.clean(known.get(name, ""))
            if text:
                parts.append((pending if parts or not _is_separator(pending) else "", name, text))
                pending = ""
            elif _is_separator(pending):
                pending = ""
        label = "".join(separator + text for separator, _, text in parts)
        label += "" if _is_separator(pending) else pending
        tail = f"{self.again}{number}" if number > 1 else ""
        label = "".join(c if self.allowed.fullmatch(c) else self.replacement for c in label)
        if len(label) + len(tail) <= self.max_length:
            return label + tail
        keep = "".join(separator + text for separator, name, text in parts if name == "modality")
        keep = keep if keep and label.endswith(keep) else ""
        return self._shorten(label, label, keep + tail, cut=len(keep))

    def _shorten(self, label: str, full: str, tail: str, cut: int = 0) -> str:
        digest = hashlib.sha256(full.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
        head = label[: len(label) - cut] if cut else label
        room = self.max_length - len(tail) - _DIGEST - 1
        return f"{head[: max(room, 0)].rstrip(_SEPARATORS)}_{digest}{tail}"[-self.max_length :]


def _is_separator(text: str) -> bool:
    return all(c in _SEPARATORS for c in text)


def label_rules_from(
    characters: Mapping[str, Any], session: Mapping[str, Any], variables: Iterable[str]
) -> LabelRules:
    """Build the rules from their tables; `variables` are the names of those of the site.

    Raises
    ------
    ValueError
        If the replacement is a character that is not allowed, labels would be too short, or the
        template cannot tell one subject's sessions from another's.
    """
    allowed = re.compile(f"[{characters['allowed']}]")
    replacement = characters["replacement"]
    if not allowed.fullmatch(replacement):
        raise ValueError(f"The replacement {replacement!r} is no allowed character.")
    if not 24 <= characters["max_length"] <= 255:
        raise ValueError(f"max_length is {characters['max_length']}. Use 24 to 255.")
    _check_template(session["template"], {*_PARTS, *variables})
    return LabelRules(
        allowed=allowed,
        replacement=replacement,
        max_length=characters["max_length"],
        template=session["template"],
        when=tuple(session["when"]),
        again=session["again"],
    )


def _check_template(template: str, known: set[str]) -> None:
    """Refuse a template that names what there is not, or not the subject."""
    try:
        names = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise ValueError(f"The template {template!r} has a bracket without its partner.") from error
    if wrong := [name for name in names if name not in known]:
        there = ", ".join(sorted(known))
        raise ValueError(f"The template names {{{wrong[0]}}}, which there is not. Known: {there}.")
    if "subject" not in names:
        raise ValueError(
            "The template lacks {subject}: sessions of two animals would get one name."
        )
