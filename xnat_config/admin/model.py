"""What is to be in place, what is there, and what follows: pure values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from xnat_pic.text import printable

SITE = ""


class State(Enum):
    """How one thing stands, and what the next apply or remove does about it."""

    ADD = "to add"
    UPDATE = "to change"
    SAME = "in place"
    EDITED = "changed by hand"
    OTHER = "made otherwise"
    MANUAL = "by hand"
    IMPOSSIBLE = "not possible"
    REMOVE = "to remove"
    DONE = "done"
    REMOVED = "removed"
    KEPT = "kept"
    FAILED = "failed"

    @property
    def needs_attention(self) -> bool:
        """Whether a person should look at it."""
        return self in (State.EDITED, State.OTHER, State.MANUAL, State.FAILED, State.KEPT)


@dataclass(frozen=True, order=True)
class Key:
    """What a thing is called.

    Attributes
    ----------
    kind : str
        The component it belongs to, such as ``variable``.
    project : str
        ID of its project; empty for what belongs to the whole site.
    name : str
        Unique in kind and project.
    """

    kind: str
    project: str
    name: str


@dataclass(frozen=True)
class Item:
    """One thing and its state, with a sentence where there is something to say."""

    key: Key
    state: State
    message: str = ""
    desired: Any = None


class Component(Protocol):
    """One kind of things that can be installed. Documents are plain JSON values."""

    kind: str

    def desired(self) -> dict[Key, Any]:
        """Return what should be there."""
        ...

    def read(self, keys: Iterable[Key]) -> dict[Key, Any]:
        """Return the documents of those keys that the server has now."""
        ...

    def batches(self, keys: Iterable[Key]) -> list[list[Key]]:
        """Return what `create` makes at once, in order: what is refused, is refused as a whole."""
        return [[key] for key in keys]

    def create(self, items: Sequence[tuple[Key, Any]]) -> None:
        """Make things, or change them to these documents."""
        ...

    def remove(self, key: Key) -> str:
        """Remove one thing; return why it stays, empty where it is gone."""
        ...

    def obstacle(self, key: Key) -> str:
        """Return why the server cannot have it, as a sentence; empty where it can."""
        del key
        return ""

    def manual_step(self, key: Key) -> str:
        """Return what a person does on which page to make it; empty where a call makes it."""
        del key
        return ""

    def change_obstacle(self, key: Key) -> str:
        """Return why a thing that is there cannot be changed; empty where it can."""
        del key
        return ""

    def removal_note(self, key: Key) -> str:
        """Return what goes along with a thing that is removed; empty for nothing."""
        del key
        return ""


def covers(found: Any, desired: Any) -> bool:
    """Tell whether a server's document says all that another one says; it may say more."""
    if isinstance(desired, dict):
        if not isinstance(found, dict):
            return not desired and found is None
        return all(covers(found.get(name), value) for name, value in desired.items())
    if isinstance(desired, list):
        if not isinstance(found, list):
            return not desired and found is None
        same = len(found) == len(desired)
        return same and all(covers(a, b) for a, b in zip(found, desired, strict=True))
    if found is None and desired in ("", False):
        return True  # a server leaves out what is empty
    return bool(found == desired)


def decide(key: Key, desired: Any, found: Any, recorded: Any) -> Item:
    """Return the state of a thing that should be there.

    Parameters
    ----------
    desired, found, recorded : document or None
        What should be there, what is there, and what an earlier apply put there.
    """
    if found is None:
        return Item(key, State.ADD, desired=desired)
    if covers(found, desired):
        return Item(key, State.SAME, desired=desired)
    if recorded is None:
        message = f"It was there before; {difference(found, desired)}. It is left as it is."
        return Item(key, State.OTHER, message, desired)
    if covers(found, recorded):
        return Item(key, State.UPDATE, f"{difference(found, desired)}.", desired)
    message = f"{difference(found, recorded)}. It is left as it is."
    return Item(key, State.EDITED, message, desired)


def difference(found: Any, desired: Any) -> str:
    """Return the first difference of two documents in a few words."""
    if isinstance(found, dict) and isinstance(desired, dict):
        for name, value in desired.items():
            if not covers(found.get(name), value):
                return f"{name}: {_one_difference(found.get(name), value)}"
    return _one_difference(found, desired)


def _one_difference(found: Any, desired: Any) -> str:
    if not (isinstance(found, list) and isinstance(desired, list)):
        return f"{_short(found)} instead of {_short(desired)}"
    more = [one for one in found if one not in desired]
    less = [one for one in desired if one not in found]
    parts = [f"{_short(more)} is there besides"] if more else []
    parts += [f"{_short(less)} is missing"] if less else []
    return " and ".join(parts) or "the order is another"


def _short(value: Any) -> str:
    """Return a value for people: short, and nothing that a terminal would act upon."""
    if value is None or value in ([], {}, ""):
        return "nothing"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    text = printable(text)
    return text if len(text) <= 60 else text[:57] + "..."
