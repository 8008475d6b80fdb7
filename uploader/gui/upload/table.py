"""The plan as a table: edited, sorted and filtered here, because ten thousand rows must be quick.

Qt's own sorting asks Python for every comparison; this model sorts and filters its rows itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QColor

from xnat_config import SiteConfig

from ... import Plan, PlanRow, relabel_rows
from ..garbage_collection import freeze_gc, gc_paused
from ..theme import colours
from ..translation import translate
from .history import History, RowChange
from .row_values import EDITABLE, header_text, natural_key, value_of, with_fields, with_value
from .sizes import size_text
from .states import PLANNED, RowState, is_wrong, row_messages

Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()
INCLUDE, STATE, FINDINGS, HEADER = "include", "state", "findings", "header"
_RELABELLED = 800  # rows changed at once whose labels follow; more would hold the window
_MANY = 1000  # rows that are made anew at once, which the collector need not look at again
_NUMBERS = ("scans", "files", "bytes")
_BEFORE = (INCLUDE, STATE, "subject", HEADER, "date", "session")
_AFTER = ("confirmed", FINDINGS, "modality", "files", "bytes", "source", "project")
_HEADS = {
    STATE: "upload.head_state",
    "subject": "upload.head_subject",
    HEADER: "upload.head_header",
    "session": "upload.head_session",
    "modality": "upload.head_modality",
    "date": "upload.head_date",
    "files": "upload.head_files",
    "bytes": "upload.head_bytes",
    FINDINGS: "upload.head_findings",
    "confirmed": "upload.head_confirmed",
    "source": "upload.head_source",
    "project": "upload.head_project",
}


@dataclass(frozen=True)
class RowFilter:
    """Which rows to show.

    Attributes
    ----------
    text : str
        Every word of it stands somewhere in the row.
    kind : str
        ``all``, ``wrong`` (would not be uploaded, or failed) or ``told`` (has something to say).
    """

    text: str = ""
    kind: str = "all"


class PlanTable(QAbstractTableModel):
    """The rows of a plan.

    Attributes
    ----------
    edited : signal
        A person changed rows, or took a change back.
    locked : bool
        Nothing can be edited, because it is being sent.
    """

    edited = Signal()

    def __init__(self, config: SiteConfig) -> None:
        super().__init__()
        self.config = config
        self.history = History()
        self.locked = False
        self._rows: list[PlanRow] = []
        self._states: dict[str, RowState] = {}
        self._headers: dict[str, str] = {}
        self._place: dict[str, int] = {}
        self._shown: list[int] = []
        self._texts: dict[int, str] = {}
        self._wrong: set[int] = set()
        self._sorted: tuple[str, bool] = ("", False)
        self._wanted = RowFilter()
        self.columns: tuple[str, ...] = (*_BEFORE, *_AFTER)
        self.variables: tuple[str, ...] = ()

    # What is in it

    def set_plan(self, plan: Plan, states: Mapping[str, RowState] | None = None) -> None:
        """Show another plan."""
        self.beginResetModel()
        self.history = History()
        self._rows = list(plan.rows)
        self._place = {row.key: place for place, row in enumerate(self._rows)}
        self._states = dict(states or {})
        self._headers = {key: header_text(claim) for key, claim in plan.claims.items()}
        self._wrong.clear()
        self._index_rows(range(len(self._rows)))
        self.variables = tuple(dict.fromkeys(name for row in plan.rows for name in row.variables))
        self.columns = (*_BEFORE, *self.variables, *_AFTER)
        self._arrange()
        self.endResetModel()
        freeze_gc()

    @property
    def rows(self) -> tuple[PlanRow, ...]:
        """All rows in the plan's order."""
        return tuple(self._rows)

    def row_at(self, shown: int) -> PlanRow:
        """Return the row in a line of the table."""
        return self._rows[self._shown[shown]]

    def line_of(self, key: str) -> int:
        """Return the line of a row, -1 where it is not shown."""
        place = self._place.get(key, -1)
        return self._shown.index(place) if place in self._shown else -1

    def lines_of(self, keys: Iterable[str]) -> list[int]:
        """Return the lines of rows, of those that are shown, in order."""
        lines = {place: line for line, place in enumerate(self._shown)}
        places = (self._place.get(key, -1) for key in keys)
        return sorted(lines[place] for place in places if place in lines)

    def state(self, key: str) -> RowState:
        """Return how far a row is."""
        return self._states.get(key, PLANNED)

    def editable(self) -> tuple[str, ...]:
        """Return the columns in which a person can write."""
        return ("subject", "session", *self.variables, "confirmed", "project")

    # What a person does

    def write(self, lines: Iterable[int], column: str, value: str) -> bool:
        """Write one value into many rows, as one change; return whether any differed."""
        value = value.strip()
        return self._change(
            lines,
            lambda row: value_of(row, column) != value,
            lambda row: with_value(row, column, value),
        )

    def include(self, lines: Iterable[int], include: bool) -> bool:
        """Take rows in, or leave them out."""
        return self._change(
            lines,
            lambda row: row.include != include,
            lambda row: with_fields(row, {"include": include}),
        )

    def undo(self) -> None:
        """Take the last change back."""
        if not self.locked:
            self._replace_rows(self.history.undo())

    def redo(self) -> None:
        """Do again what was taken back."""
        if not self.locked:
            self._replace_rows(self.history.redo())

    def _change(
        self,
        lines: Iterable[int],
        differs: Callable[[PlanRow], bool],
        change: Callable[[PlanRow], PlanRow],
    ) -> bool:
        if self.locked:
            return False
        # In the order in which they were made: memory that lies side by side is read twice as fast.
        places = sorted(self._shown[line] for line in lines)
        before = {place: row for place in places if differs(row := self._rows[place])}
        if not before:
            return False
        with gc_paused():
            after = {place: change(row) for place, row in before.items()}
            if len(after) <= _RELABELLED:
                changed = {row.key: row for row in after.values()}
                made = relabel_rows(self._rows, changed, self.config.labels)
                after = {self._place[key]: row for key, row in made.items()}
            self.history.add(RowChange(before, after))
            self._replace_rows(after)
        if len(after) > _MANY:
            freeze_gc()
        return True

    def _replace_rows(self, rows: Mapping[int, PlanRow]) -> None:
        if not rows:
            return
        for place, row in rows.items():
            # Findings are of now, whatever the row was when the change was made.
            findings = self._rows[place].findings
            same = row.findings is findings
            self._rows[place] = row if same else with_fields(row, {"findings": findings})
            self._states.pop(row.key, None)
        self._index_rows(rows)
        self._emit_changed()
        self.edited.emit()

    def _index_rows(self, places: Iterable[int]) -> None:
        """Keep what is asked of all rows at once, for rows that are new or changed."""
        for place in places:
            row = self._rows[place]
            self._texts.pop(place, None)
            state = self._states.get(row.key, PLANNED)
            if (row.findings or state is not PLANNED) and is_wrong(row, state):
                self._wrong.add(place)
            else:
                self._wrong.discard(place)

    @property
    def wrong(self) -> int:
        """How many rows would not be uploaded as they stand, or were not."""
        return len(self._wrong)

    # What the work aside found

    def set_findings(self, rows: Sequence[PlanRow]) -> None:
        """Take the findings of rows that were checked; the rows stay as they are."""
        changed = []
        for row in rows:
            place = self._place.get(row.key)
            if place is not None and self._rows[place].findings != row.findings:
                self._rows[place] = with_fields(self._rows[place], {"findings": row.findings})
                changed.append(place)
        if changed:
            self._index_rows(changed)
            self._emit_changed()

    def set_states(self, states: Mapping[str, RowState]) -> None:
        """Show how far rows are."""
        self._states.update(states)
        self._index_rows([self._place[key] for key in states if key in self._place])
        if len(states) == 1 and (line := self.line_of(next(iter(states)))) >= 0:
            self._emit_changed(line, line)
        else:
            self._emit_changed()

    def _emit_changed(self, first: int = 0, last: int = -1) -> None:
        last = len(self._shown) - 1 if last < 0 else last
        if last >= first:
            self.dataChanged.emit(self.index(first, 0), self.index(last, len(self.columns) - 1), [])

    # Order and choice

    def show_only(self, wanted: RowFilter) -> None:
        """Filter."""
        if wanted != self._wanted:
            self.beginResetModel()
            self._wanted = wanted
            self._arrange()
            self.endResetModel()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; -1 is the order of the plan."""
        self.beginResetModel()
        name = self.columns[column] if 0 <= column < len(self.columns) else ""
        self._sorted = (name, order == Qt.SortOrder.DescendingOrder)
        self._arrange()
        self.endResetModel()

    def _arrange(self) -> None:
        words = self._wanted.text.casefold().split()
        shown = list(range(len(self._rows)))
        if words or self._wanted.kind != "all":
            shown = [place for place in shown if self._passes(place, words)]
        name, falling = self._sorted
        if name in self.columns:
            with gc_paused():
                shown.sort(key=lambda place: self._sort_key(place, name), reverse=falling)
        self._shown = shown

    def _passes(self, place: int, words: Sequence[str]) -> bool:
        row = self._rows[place]
        state = self.state(row.key)
        if self._wanted.kind == "wrong" and place not in self._wrong:
            return False
        if self._wanted.kind == "told" and not row_messages(row, state):
            return False
        if not words:
            return True
        text = self._texts.get(place)
        if text is None:
            messages = (message for _, message in row_messages(row, state))
            parts = (row.project, row.subject, row.session, row.modality, row.date, row.source)
            text = "\n".join((*parts, state.text, *row.variables.values(), *messages)).casefold()
            self._texts[place] = text
        return all(word in text for word in words)

    def _sort_key(self, place: int, name: str) -> Any:
        row = self._rows[place]
        if name in _NUMBERS:
            return getattr(row, name)
        if name == INCLUDE:
            return not row.include
        if name == "timepoint":
            return self.config.variables.timepoint_key(row.variables.get(name, ""))
        return natural_key(self._text(row, name))

    # What the view asks

    def rowCount(self, parent: Index = _ROOT) -> int:
        """Return how many rows are shown."""
        return 0 if parent.isValid() else len(self._shown)

    def columnCount(self, parent: Index = _ROOT) -> int:
        """Return how many columns there are."""
        return 0 if parent.isValid() else len(self.columns)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return the names of columns; a variable is called as the site calls it."""
        if orientation is not Qt.Orientation.Horizontal or section >= len(self.columns):
            return None
        name = self.columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return translate(_HEADS[name]) if name in _HEADS else "" if name == INCLUDE else name
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return translate("upload.head_include") if name == INCLUDE else None
        if role == Qt.ItemDataRole.TextAlignmentRole and name in _NUMBERS:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        if not index.isValid() or index.row() >= len(self._shown):
            return None
        name, row = self.columns[index.column()], self.row_at(index.row())
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return self._text(row, name)
        if role == Qt.ItemDataRole.ForegroundRole:
            return self._colour(row, name)
        if role == Qt.ItemDataRole.CheckStateRole and name == INCLUDE:
            return Qt.CheckState.Checked if row.include else Qt.CheckState.Unchecked
        if role == Qt.ItemDataRole.TextAlignmentRole and name in _NUMBERS:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ToolTipRole and name in (FINDINGS, "source", "session", HEADER):
            messages = "\n".join(text for _, text in row_messages(row, self.state(row.key)))
            return (messages if name == FINDINGS else self._text(row, name)) or None
        if role == Qt.ItemDataRole.AccessibleTextRole and name == INCLUDE:
            return (
                translate("upload.included") if row.include else translate("upload.state_left_out")
            )
        return None

    def _text(self, row: PlanRow, name: str) -> str:
        if name == INCLUDE:
            return ""
        if name == STATE:
            state = self.state(row.key)
            return translate("upload.state_left_out") if not row.include else state.text
        if name == "bytes":
            return size_text(row.bytes)
        if name == HEADER:
            return self._headers.get(row.key, "")
        if name == FINDINGS:
            messages = row_messages(row, self.state(row.key))
            return messages[0][1] if messages else ""
        if name in self.variables:
            return row.variables.get(name, "")
        return str(getattr(row, name))

    def _colour(self, row: PlanRow, name: str) -> QColor | None:
        if not row.include:
            return QColor(colours().soft)
        state = self.state(row.key)
        tone = ""
        if name == STATE:
            tone = state.tone
        elif name == FINDINGS:
            messages = row_messages(row, state)
            tone = messages[0][0] if messages else ""
        elif name in ("source", "date", "modality", "files", "bytes", "project"):
            tone = "soft"
        return QColor(getattr(colours(), tone)) if tone else None

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Return what can be done with a cell."""
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if not index.isValid() or self.locked:
            return flags
        name = self.columns[index.column()]
        if name == INCLUDE:
            return flags | Qt.ItemFlag.ItemIsUserCheckable
        if name in EDITABLE or name in self.variables:
            return flags | Qt.ItemFlag.ItemIsEditable
        return flags

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Take what a person typed or ticked."""
        if role == Qt.ItemDataRole.CheckStateRole:
            return self.include([index.row()], Qt.CheckState(value) is Qt.CheckState.Checked)
        if role == Qt.ItemDataRole.EditRole:
            return self.write([index.row()], self.columns[index.column()], str(value))
        return False
