"""The plan as a table to look at, filter and correct, with what there is to say beside the rows."""

from PySide6.QtCore import (
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QAction, QKeySequence, QPalette, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from ... import Level, Plan
from ..theme import MARGIN, SPACE, label
from ..translation import translate
from .parts import button, elided, set_tone
from .row_picture import RowPicture
from .run_foot import RunFooter
from .sizes import size_text
from .states import row_messages
from .table import FINDINGS, PlanTable, RowFilter
from .wording import window_text

_FILTER_AFTER_MS = 150
_WIDTHS = {"include": 34, "state": 100, "subject": 84, "header": 144, "session": 150,
           "confirmed": 90, "modality": 48, "date": 92,
           "files": 52, "bytes": 80, "findings": 240, "source": 240, "project": 110}  # fmt: skip
_VARIABLE_WIDTH = 84
_NARROW = 120  # messages that are cut stand in full below the table
_ROW_HEIGHT = 30
_FEW = 2000  # lines that are selected again after sorting


class RowDelegate(QStyledItemDelegate):
    """Paints a row; the tone of a state stays when the row is selected."""

    def initStyleOption(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Use the cell's own colour for selected text, too."""
        super().initStyleOption(option, index)
        option.palette.setBrush(
            QPalette.ColorRole.HighlightedText, option.palette.brush(QPalette.ColorRole.Text)
        )


class PlanView(QTableView):
    """The table.

    Attributes
    ----------
    resized : signal
        There is another room for columns.
    """

    resized = Signal()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Tell it, once the viewport has its size."""
        super().resizeEvent(event)
        self.resized.emit()


class PlanStep(QWidget):
    """A plan in hand."""

    def __init__(self, table: PlanTable) -> None:
        super().__init__()
        self.table = table
        self.plan_findings: list[tuple[str, str]] = []
        self._timer = QTimer(self, singleShot=True, interval=_FILTER_AFTER_MS)
        self._timer.timeout.connect(self._filter)
        self._build()
        self._actions()
        self.view.resized.connect(self._fit)
        table.dataChanged.connect(self._changed)
        table.modelReset.connect(self._changed)
        table.modelAboutToBeReset.connect(self._keep_selection)
        table.modelReset.connect(self._select_again)
        self.search.textChanged.connect(lambda _: self._timer.start())
        self.kind.currentIndexChanged.connect(lambda _: self._filter())
        self.apply.clicked.connect(self._write)
        self.value.returnPressed.connect(self._write)
        self.leave_out.clicked.connect(self._toggle)
        self._kept: tuple[list[str], str] = ([], "")
        self._changed()

    def _build(self) -> None:
        self.title = label("", "heading")
        self.summary = elided(label("", "soft"))
        self.view = self._view()
        self.search = QLineEdit(clearButtonEnabled=True)
        self.search.setPlaceholderText(translate("upload.search"))
        self.search.setAccessibleName(translate("upload.search"))
        self.kind = QComboBox()
        self.kind.setAccessibleName(translate("upload.show"))
        for key, text in (
            ("all", translate("upload.show_all")),
            ("wrong", translate("upload.show_wrong")),
            ("told", translate("upload.show_told")),
        ):
            self.kind.addItem(text, key)
        self.undo_button = button(translate("upload.undo"), "quiet")
        self.redo_button = button(translate("upload.redo"), "quiet")
        top = QHBoxLayout()
        top.setSpacing(SPACE)
        top.addWidget(self.search, 2)
        top.addWidget(self.kind, 1)
        top.addWidget(self.undo_button)
        top.addWidget(self.redo_button)
        self.empty = label("", "soft")
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.foot = RunFooter()
        body = QVBoxLayout()
        body.setContentsMargins(MARGIN, SPACE, MARGIN, SPACE)
        body.setSpacing(SPACE)
        head = QHBoxLayout()
        head.addWidget(self.title)
        head.addSpacing(SPACE)
        head.addWidget(self.summary, 1)
        body.addLayout(head)
        body.addLayout(top)
        body.addWidget(self.view, 1)
        body.addWidget(self.empty)
        body.addWidget(self._bulk())
        body.addLayout(self._below())
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addLayout(body, 1)
        outer.addWidget(self.foot)

    def _below(self) -> QHBoxLayout:
        """Return what stands below the table: an image of the row, and what there is to know."""
        self.picture = RowPicture()
        self.details = label("", wrap=True)
        self.details.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.details.setAccessibleName(translate("upload.details"))
        row = QHBoxLayout()
        row.setSpacing(SPACE)
        row.addWidget(self.picture, 0, Qt.AlignmentFlag.AlignLeft)
        row.addWidget(self.details, 1)
        return row

    def _view(self) -> PlanView:
        view = PlanView()
        view.setAccessibleName(translate("upload.table"))
        view.setModel(self.table)
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked
            | QAbstractItemView.EditTrigger.EditKeyPressed
            | QAbstractItemView.EditTrigger.AnyKeyPressed
        )
        view.setAlternatingRowColors(True)
        view.setShowGrid(False)
        view.setWordWrap(False)
        view.setTabKeyNavigation(False)
        view.setSortingEnabled(True)
        view.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        view.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        # One height for all: rows that are measured one by one would hold a long table.
        view.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        view.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        view.verticalHeader().hide()
        header = view.horizontalHeader()
        # With the table's own selection a header asks every row whether its column is selected.
        for one in (header, view.verticalHeader()):
            one.setSelectionModel(QItemSelectionModel(self.table, one))
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        view.setItemDelegate(RowDelegate(view))
        view.selectionModel().selectionChanged.connect(lambda *_: self._selected())
        view.selectionModel().currentRowChanged.connect(lambda *_: self._selected())
        return view

    def _bulk(self) -> QWidget:
        self.bulk = QWidget()
        row = QHBoxLayout(self.bulk)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACE)
        self.count = label("", "soft")
        self.column = QComboBox()
        self.value = QLineEdit()
        self.apply = button(translate("upload.bulk_apply"))
        self.leave_out = button("")
        self.send = button(translate("upload.send_these"))
        self.column.setAccessibleName(translate("upload.bulk_column"))
        self.value.setAccessibleName(translate("upload.bulk_value"))
        self.value.setPlaceholderText(translate("upload.bulk_value"))
        for widget in (self.count, label(translate("upload.bulk_write"), "soft"), self.column):
            row.addWidget(widget)
        row.addWidget(self.value, 1)
        row.addWidget(self.apply)
        row.addWidget(self.leave_out)
        row.addWidget(self.send)
        return self.bulk

    def _actions(self) -> None:
        for standard, method, widget in (
            (QKeySequence.StandardKey.Undo, self.table.undo, self.undo_button),
            (QKeySequence.StandardKey.Redo, self.table.redo, self.redo_button),
        ):
            action = QAction(self)
            action.setShortcuts(QKeySequence.keyBindings(standard))
            action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            action.triggered.connect(method)
            self.addAction(action)
            widget.clicked.connect(method)
            widget.setToolTip(QKeySequence(standard).toString())
        find = QAction(self)
        find.setShortcuts(QKeySequence.keyBindings(QKeySequence.StandardKey.Find))
        find.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        find.triggered.connect(lambda: self.search.setFocus(Qt.FocusReason.ShortcutFocusReason))
        self.addAction(find)

    def show_plan(self, plan: Plan, name: str) -> None:
        """Set the table up for another plan."""
        self.title.setText(name)
        self.picture.set_sessions(plan.sessions)
        self.search.clear()
        self.kind.setCurrentIndex(0)
        tones = {Level.ERROR: "bad", Level.WARNING: "warning", Level.NOTE: "soft"}
        self.plan_findings = [(tones[one.level], window_text(one.message)) for one in plan.findings]
        for place, column in enumerate(self.table.columns):
            self.view.setColumnWidth(place, _WIDTHS.get(column, _VARIABLE_WIDTH))
        self._fit()
        self.column.clear()
        for column in self.table.editable():
            heads = {
                "subject": translate("upload.head_subject"),
                "session": translate("upload.head_session"),
                "project": translate("upload.head_project"),
            }
            self.column.addItem(heads.get(column, column), column)
        first = self.table.variables[0] if self.table.variables else "subject"
        self.column.setCurrentIndex(self.column.findData(first))
        self._changed()
        if self.table.rowCount():
            start = self.table.index(0, self.table.columns.index("subject"))
            self.view.setCurrentIndex(start)
            self.view.setFocus(Qt.FocusReason.OtherFocusReason)

    def _fit(self) -> None:
        """Let the column of messages end at the edge of the window, where there is room."""
        columns = self.table.columns
        place = columns.index(FINDINGS)
        before = sum(self.view.columnWidth(n) for n in range(place))
        room = self.view.viewport().width() - before
        self.view.setColumnWidth(place, room if room > _NARROW else _WIDTHS[FINDINGS])

    # Rows

    def lines(self) -> list[int]:
        """Return the selected lines."""
        chosen = self.view.selectionModel().selection()
        spans = [chosen.at(place) for place in range(chosen.count())]
        return sorted({n for span in spans for n in range(span.top(), span.bottom() + 1)})

    def keys(self) -> list[str]:
        """Return the keys of the selected rows."""
        return [self.table.row_at(line).key for line in self.lines()]

    def _filter(self) -> None:
        self.table.show_only(RowFilter(self.search.text(), str(self.kind.currentData())))

    def _write(self) -> None:
        self.table.write(self.lines(), str(self.column.currentData()), self.value.text())

    def _toggle(self) -> None:
        lines = self.lines()
        included = any(self.table.row_at(line).include for line in lines)
        self.table.include(lines, not included)

    def _keep_selection(self) -> None:
        lines = self.lines()
        current = self.view.currentIndex().row()
        here = self.table.row_at(current).key if 0 <= current < self.table.rowCount() else ""
        keys = [self.table.row_at(n).key for n in lines] if len(lines) <= _FEW else []
        self._kept = (keys, here)

    def _select_again(self) -> None:
        keys, here = self._kept
        if not keys and not here:
            return
        selection, last = QItemSelection(), len(self.table.columns) - 1
        for line in _runs(self.table.lines_of(keys)):
            selection.select(self.table.index(line[0], 0), self.table.index(line[1], last))
        model = self.view.selectionModel()
        column = self.table.columns.index("subject")
        for line_here in self.table.lines_of([here]):
            model.setCurrentIndex(
                self.table.index(line_here, column), QItemSelectionModel.SelectionFlag.NoUpdate
            )
        model.select(selection, QItemSelectionModel.SelectionFlag.ClearAndSelect)

    # What is said

    def _changed(self, *_: object) -> None:
        rows = self.table.rows
        sent = [row for row in rows if row.include]
        wrong = self.table.wrong
        text = translate(
            "upload.summary", n=len(sent), size=size_text(sum(row.bytes for row in sent))
        )
        if len(sent) < len(rows):
            text += translate("upload.summary_out", n=len(rows) - len(sent))
        if wrong:
            text += translate("upload.summary_wrong", n=wrong)
        self.summary.setText(text)
        history, free = self.table.history, not self.table.locked
        self.undo_button.setEnabled(history.can_undo and free)
        self.redo_button.setEnabled(history.can_redo and free)
        nothing = bool(rows) and not self.table.rowCount()
        self.empty.setText(translate("upload.no_match") if nothing else "")
        self.empty.setVisible(nothing)
        self._selected()

    def refresh(self) -> None:
        """Show anew what can be done with the rows."""
        self._changed()

    def _selected(self) -> None:
        lines = self.lines()
        free = not self.table.locked
        self.bulk.setVisible(bool(lines) and free)
        self.count.setText(translate("upload.selected", n=len(lines)))
        included = any(self.table.row_at(n).include for n in lines if n < self.table.rowCount())
        self.leave_out.setText(
            translate("upload.leave_out") if included else translate("upload.take_in")
        )
        current = self.view.currentIndex().row()
        messages = self.plan_findings
        self.picture.show_row(
            self.table.row_at(current).key if 0 <= current < self.table.rowCount() else ""
        )
        if 0 <= current < self.table.rowCount():
            row = self.table.row_at(current)
            messages = row_messages(row, self.table.state(row.key)) or []
        tone = messages[0][0] if messages else "soft"
        tone = tone if tone in ("good", "warning", "bad", "soft") else "soft"
        set_tone(self.details, tone, "\n".join(text for _, text in messages[:4]))


def _runs(lines: list[int]) -> list[tuple[int, int]]:
    """Return runs of neighbouring lines: first and last of each."""
    found: list[tuple[int, int]] = []
    for line in lines:
        if found and found[-1][1] == line - 1:
            found[-1] = (found[-1][0], line)
        else:
            found.append((line, line))
    return found
