"""The table of series: what each is, its state, notes."""

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor, QImage

from mri2dicom import ConversionProgress, SeriesResult

from ..theme import colours
from ..translation import translate
from .work import FoundSeries

_HEADS = ("series", "state")
SERIES, STATE = range(len(_HEADS))
# Roles for the delegate: two lines of text, the picture (QImage), how far (0 to 100).
LINES = Qt.ItemDataRole.UserRole + 1
PICTURE = Qt.ItemDataRole.UserRole + 2
PERCENT = Qt.ItemDataRole.UserRole + 3
# What a state is called, and the tone it is painted in.
_TONES = {"converted": "good", "kept": "good", "failed": "bad", "skipped": "soft"}
Index = QModelIndex | QPersistentModelIndex


class SeriesTable(QAbstractTableModel):
    """One row for each series that was found; states come while it is converted."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[FoundSeries] = []
        self.states: list[str] = []
        self.results: list[SeriesResult | None] = []
        self.percent: list[int | None] = []
        self._pictures: list[QImage | None] = []
        self._words: list[str] = []

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
            return translate(f"convert.{_HEADS[section]}")
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        place, column = index.row(), index.column()
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return self._text(place, column)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{translate(f'convert.{_HEADS[column]}')}: {self._text(place, column)}"
        if role == Qt.ItemDataRole.ForegroundRole:
            return self._colour(place, column)
        if role == LINES:
            return self._lines(place) if column == SERIES else self._state(place)
        if role == PICTURE and column == SERIES:
            return self._pictures[place]
        if role == PERCENT and column == STATE:
            return self.percent[place]
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
        self.rows, self.results, self.states = [], [], []
        self.percent, self._pictures, self._words = [], [], []
        self.endResetModel()

    def add(self, seen: FoundSeries) -> None:
        """Add a series that was found."""
        place = len(self.rows)
        self.beginInsertRows(QModelIndex(), place, place)
        self.rows.append(seen)
        self.states.append("")
        self._words.append("")
        self.percent.append(None)
        self.results.append(None)
        self._pictures.append(_picture(seen))
        if seen.row.reason:
            self._words[place], self.states[place] = "skipped", translate("convert.skipped")
        self.endInsertRows()

    def clear_states(self) -> None:
        """Forget what the last run said."""
        for place, seen in enumerate(self.rows):
            self.results[place] = None
            self._set(place, "skipped" if seen.row.reason else "")

    def progress(self, progress: ConversionProgress) -> None:
        """Show how far a series is."""
        for place, seen in enumerate(self.rows):
            row = seen.row
            title = f"{row.expno}/{row.procno} {row.protocol}".strip()
            same = title == progress.title and progress.study in (row.study, ".")
            if same and self.percent[place] != 100 and not row.reason:
                percent = 100 * progress.files_done // max(1, progress.files)
                self.percent[place] = percent
                self.states[place] = translate("convert.percent", percent=percent)
                self._changed(place)
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
                self._set(place, "skipped" if row.reason else "")
                continue
            left.remove(one)
            self.results[place] = one
            self._set(place, one.status, one.files)

    def _set(self, place: int, word: str, files: int = 0) -> None:
        self._words[place], self.percent[place] = word, None
        self.states[place] = translate(f"convert.{word}", n=files) if word else ""
        self._changed(place)

    def _changed(self, place: int) -> None:
        self.dataChanged.emit(self.index(place, 0), self.index(place, len(_HEADS) - 1))

    def _colour(self, place: int, column: int) -> QColor | None:
        row, word = self.rows[place].row, self._words[place]
        if column == STATE and row.damaged:
            return QColor(colours().bad)
        if column == STATE and word:
            return QColor(getattr(colours(), _TONES[word]))
        return QColor(colours().soft) if row.reason else None

    def _text(self, place: int, column: int) -> str:
        if column == SERIES:
            return "\n".join(filter(None, self._lines(place)))
        return "\n".join(filter(None, self._state(place)))

    def _state(self, place: int) -> tuple[str, str]:
        """Return what became of a series, and why, or what to know of it."""
        return self.states[place], self.notes(place)

    def _lines(self, place: int) -> tuple[str, str]:
        """Return a series' name, and what it is: kind, size, study if there are several."""
        row = self.rows[place].row
        size = "×".join(filter(None, row.matrix.split(" x ")))
        if size and row.planes > 1:
            size = f"{size}×{row.planes}"
        kind = "" if row.reason else translate(kind_key(row.kind))
        several = any(other.row.study != row.study for other in self.rows)
        second = filter(None, [kind, size, row.study.rpartition("/")[2] if several else ""])
        return f"{row.expno}/{row.procno}  {row.protocol or row.method}", " · ".join(second)


def kind_key(kind: str) -> str:
    """Return the key of a kind's name: the words of `mri2dicom.SeriesKind` with underscores."""
    return "kind." + "_".join(kind.lower().replace("*", "star").split())


def _picture(seen: FoundSeries) -> QImage | None:
    if seen.thumbnail is None:
        return None
    rows, columns = seen.thumbnail.shape
    form = QImage.Format.Format_Grayscale8
    return QImage(seen.thumbnail.tobytes(), columns, rows, columns, form).copy()
