"""The table of series: picture, name, kind, size, state, notes."""

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor, QImage, QPixmap

from mri2dicom.jobs import Progress
from mri2dicom.report import SeriesResult

from ..theme import colours
from ..words import say
from .work import Seen

_HEADS = ("series", "kind", "matrix", "state", "notes")
_STATES = {"kept", "failed", "skipped"}
Index = QModelIndex | QPersistentModelIndex


class SeriesTable(QAbstractTableModel):
    """One row for each series that was found; states come while it is converted."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Seen] = []
        self.states: list[str] = []
        self.results: list[SeriesResult | None] = []
        self._pictures: list[QPixmap | None] = []

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        """Return the number of series."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Return the number of columns."""
        return 0 if parent.isValid() else len(_HEADS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return a column's name."""
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return say(f"convert.{_HEADS[section]}")
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        seen, column = self.rows[index.row()], index.column()
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return self._text(index.row(), column)
        if role == Qt.ItemDataRole.DecorationRole and column == 0:
            return self._pictures[index.row()]
        if role == Qt.ItemDataRole.ForegroundRole:
            bad = seen.row.damaged or self.states[index.row()] == say("convert.failed")
            if bad and column >= 3:
                return QColor(colours().bad)
            if seen.row.reason or column == 4:
                return QColor(colours().soft)
        return None

    def notes(self, place: int) -> str:
        """Return why a series is skipped or failed, and what to know of it."""
        row, result = self.rows[place].row, self.results[place]
        if result is not None:
            return " ".join(filter(None, [result.reason, *result.warnings]))
        return " ".join(filter(None, [row.reason, *row.warnings]))

    def clear(self) -> None:
        """Forget all rows."""
        self.beginResetModel()
        for kept in (self.rows, self.states, self.results, self._pictures):
            kept.clear()
        self.endResetModel()

    def add(self, seen: Seen) -> None:
        """Add a series that was found."""
        place = len(self.rows)
        self.beginInsertRows(QModelIndex(), place, place)
        self.rows.append(seen)
        self.states.append(say("convert.skipped") if seen.row.reason else "")
        self.results.append(None)
        self._pictures.append(_picture(seen))
        self.endInsertRows()

    def clear_states(self) -> None:
        """Forget what the last run said."""
        for place, seen in enumerate(self.rows):
            self.results[place] = None
            self._set(place, say("convert.skipped") if seen.row.reason else "")

    def progress(self, progress: Progress) -> None:
        """Show how far a series is."""
        for place, seen in enumerate(self.rows):
            row = seen.row
            title = f"{row.expno}/{row.procno} {row.protocol}".strip()
            state = self.states[place]
            full = say("convert.percent", percent=100)
            if title == progress.title and state != full and not row.reason:
                percent = 100 * progress.files_done // max(1, progress.files)
                self._set(place, say("convert.percent", percent=percent))
                return

    def finish(self, results: list[SeriesResult]) -> None:
        """Show what became of each series."""
        left = list(results)
        for place, seen in enumerate(self.rows):
            row = seen.row
            key = (row.expno, row.procno, row.protocol)
            same = [one for one in left if (one.expno, one.procno, one.protocol) == key]
            one = next((r for r in same if r.study in (row.study, ".")), next(iter(same), None))
            if one is None:
                self._set(place, say("convert.skipped") if row.reason else "")
                continue
            left.remove(one)
            self.results[place] = one
            if one.status in _STATES:
                self._set(place, say(f"convert.{one.status}"))
            else:
                self._set(place, say("convert.converted", n=one.files))

    def _set(self, place: int, state: str) -> None:
        self.states[place] = state
        self.dataChanged.emit(self.index(place, 0), self.index(place, len(_HEADS) - 1))

    def _text(self, place: int, column: int) -> str:
        row = self.rows[place].row
        if column == 0:
            return f"{row.expno}/{row.procno}  {row.protocol or row.method}\n{row.study}"
        if column == 1:
            return "" if row.reason else row.kind
        if column == 2:
            shown = row.matrix.replace("x", "×")
            return say("convert.planes", matrix=shown, n=row.planes) if shown else ""
        if column == 3:
            return self.states[place]
        return self.notes(place)


def _picture(seen: Seen) -> QPixmap | None:
    if seen.thumbnail is None:
        return None
    rows, columns = seen.thumbnail.shape
    form = QImage.Format.Format_Grayscale8
    image = QImage(seen.thumbnail.tobytes(), columns, rows, columns, form)
    return QPixmap.fromImage(image).scaled(
        48,
        48,
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )
