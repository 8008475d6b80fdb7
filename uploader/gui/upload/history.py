"""Undo and redo of changes to rows. No Qt."""

from dataclasses import dataclass

from ... import PlanRow

_LONGEST = 1000


@dataclass(frozen=True)
class RowChange:
    """One thing a person did: rows before and after, by their place in the plan."""

    before: dict[int, PlanRow]
    after: dict[int, PlanRow]


class History:
    """What can be taken back, and done again."""

    def __init__(self) -> None:
        self._done: list[RowChange] = []
        self._undone: list[RowChange] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is anything to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether something taken back can be done again."""
        return bool(self._undone)

    def add(self, change: RowChange) -> None:
        """Keep a change; what was taken back before it is forgotten."""
        self._done.append(change)
        del self._done[:-_LONGEST]
        self._undone.clear()

    def undo(self) -> dict[int, PlanRow]:
        """Return the rows as they were before the last change; none if there was none."""
        if not self._done:
            return {}
        change = self._done.pop()
        self._undone.append(change)
        return change.before

    def redo(self) -> dict[int, PlanRow]:
        """Return the rows as the change last taken back had them; none if there was none."""
        if not self._undone:
            return {}
        change = self._undone.pop()
        self._done.append(change)
        return change.after
