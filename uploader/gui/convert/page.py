"""The convert page: choose, look, convert, and see what became of it."""

from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QMessageBox,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from mri2dicom import ConversionReport, default_output
from xnat_pic.errors import XnatPicError
from xnat_pic.machine import processors

from .. import preferences, worker
from ..child_process import TaskHandle
from ..error_texts import error_text
from ..page import Notice, Page, Tone
from ..theme import GAP, MARGIN, SPACE, WIDE, label
from ..translation import translate
from ..viewer.panel import Viewer
from ..viewer.stack import Stack, dicom_stack, raw_stack
from . import work
from .delegate import SIDE, SeriesDelegate
from .options import ConversionForm
from .table import SeriesTable

_KILL_SECONDS = 0.5


class ConvertPage(Page):
    """From a scanner's folder to DICOM."""

    def __init__(self) -> None:
        super().__init__()
        self.setAcceptDrops(True)
        self.folder: Path | None = None
        self.output: Path | None = None
        self.report: ConversionReport | None = None
        self.listing: worker.Task | None = None
        self.writing: worker.Task | None = None
        self.model = SeriesTable()
        self.viewer = Viewer()
        self.layers = QStackedWidget()
        self.layers.addWidget(self._empty())
        self.layers.addWidget(self._full())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.layers)

    def title(self) -> str:
        """Return the page's name."""
        return translate("convert.title")

    def enter(self, argument: Any = None) -> None:
        """Look into a folder, if one was given."""
        if isinstance(argument, Path):
            self.show_folder(argument)
        elif self.folder is None:
            self.choose_button.setFocus()

    def at_rest(self) -> bool:
        """Return whether no folder is looked at."""
        return self.folder is None

    def close_down(self) -> bool:
        """Ask before a conversion is stopped."""
        if self.writing is None:
            return True
        answer = QMessageBox.question(
            self, translate("convert.close_title"), translate("convert.close_says")
        )
        return answer == QMessageBox.StandardButton.Yes

    def notice_action(self) -> None:
        """Open the upload page with what was written."""
        self._upload()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take one file or folder."""
        urls = event.mimeData().urls()
        if len(urls) == 1 and urls[0].isLocalFile() and self.writing is None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Look into what was dropped."""
        self.show_folder(Path(event.mimeData().urls()[0].toLocalFile()))

    def show_folder(self, path: Path) -> None:
        """Show what a folder or an archive holds; nothing is written."""
        if self.writing is not None:
            return
        if self.listing is not None:
            self.listing.cancel()
        self.folder, self.report = path, None
        self.notice.emit(None)
        self.model.clear()
        self.notes.hide()
        self.viewer.clear(translate("viewer.empty"))
        self.layers.setCurrentIndex(1)
        self.place.setText(str(path))
        try:
            self._set_output(default_output(path))
        except XnatPicError as error:
            self._show_error(error)
            return
        preferences.remember_folder(path.parent)
        self.count.setText(translate("convert.looking"))
        task = worker.start(work.list_series, path, aside=True, kill_after=_KILL_SECONDS)
        self.listing = task
        task.progress.connect(worker.while_alive(self, lambda seen: self._add(task, seen)))
        task.failed.connect(worker.while_alive(self, lambda error: self._listed(task, error)))
        task.result.connect(worker.while_alive(self, lambda _: self._listed(task, None)))
        self._refresh()

    def convert(self) -> None:
        """Convert, or stop the conversion that goes on."""
        if self.writing is not None:
            self.writing.cancel()
            self._refresh()
            return
        if self.folder is None or self.output is None:
            return
        switches = self.options.switches() | {"jobs": max(1, processors() // 2)}
        overrides = self.options.overrides()
        self.notice.emit(None)
        self.report = None
        self.model.clear_states()
        task = worker.start(
            work.convert_study, self.folder, self.output, overrides, switches, aside=True
        )
        self.writing = task
        task.progress.connect(self.model.progress)
        task.result.connect(self._written)
        task.failed.connect(self._show_error)
        task.ended.connect(self._ended)
        self._refresh()

    def _add(self, task: worker.Task, seen: work.FoundSeries) -> None:
        if task is self.listing:
            self.model.add(seen)
            if len(self.model.rows) == 1:
                self.table.selectRow(0)

    def _listed(self, task: worker.Task, error: Exception | None) -> None:
        if task is not self.listing:
            return
        self.listing = None
        rows = self.model.rows
        usable = sum(not seen.row.reason for seen in rows)
        self.count.setText(translate("convert.found", n=len(rows), usable=usable))
        if error is not None:
            self._show_error(error)
        elif not usable:
            self.notice.emit(Notice(translate("convert.nothing"), "warning"))
        self._refresh()
        if usable:
            self.go_button.setFocus()

    def _written(self, report: ConversionReport) -> None:
        self.report = report
        self.model.finish(report.series)
        good = report.count("converted") + report.count("kept")
        skipped = report.count("skipped")
        failed = report.count("failed") + sum(one.damaged for one in report.series)
        if report.cancelled:
            text, tone = translate("convert.stopped", good=good), "warning"
        elif failed:
            text, tone = translate("convert.partly", good=good, failed=failed), "warning"
        else:
            key = "convert.done_in_part" if skipped else "convert.done"
            text, tone = translate(key, n=good, skipped=skipped), "good"
        action = translate("convert.upload") if good and not report.cancelled else ""
        worst: Tone = "warning" if good else "bad"
        self.notice.emit(Notice(text, "good" if tone == "good" else worst, action))
        self._show_chosen()

    def _ended(self) -> None:
        self.writing = None
        self._refresh()

    def _show_error(self, error: Exception) -> None:
        self.notice.emit(Notice(error_text(error), "bad"))

    def _upload(self) -> None:
        if self.report is not None:
            self.go.emit("upload", self.report.output)

    def _refresh(self) -> None:
        """Let the buttons say what can be done now."""
        writing = self.writing
        usable = any(not seen.row.reason for seen in self.model.rows)
        name = "convert.start"
        if writing is not None:
            name = "convert.cancelling" if writing.cancelling else "convert.cancel"
        self.go_button.setText(translate(name))
        self.go_button.setProperty("stops", writing is not None)
        stoppable = writing is not None and not writing.cancelling
        self.go_button.setEnabled(stoppable or (writing is None and usable and not self.listing))
        for widget in (self.options, self.other_button):
            widget.setEnabled(writing is None)

    def _set_output(self, path: Path) -> None:
        self.output = path
        self.options.where.setText(str(path))
        self.options.where.setToolTip(str(path))

    def _choose(self) -> None:
        found = QFileDialog.getExistingDirectory(
            self, translate("convert.choose"), str(preferences.last_folder())
        )
        if found:
            self.show_folder(Path(found))

    def _choose_output(self) -> None:
        found = QFileDialog.getExistingDirectory(
            self, translate("convert.output"), self.options.where.text()
        )
        if found:
            self._set_output(Path(found))

    def _show_chosen(self) -> None:
        """Show the chosen series: the converted one where there is one."""
        places = self.table.selectionModel().selectedRows()
        if not places:
            return
        place = places[0].row()
        seen, result = self.model.rows[place], self.model.results[place]
        title = f"{seen.row.expno}/{seen.row.procno} {seen.row.protocol}"
        self.notes.setText(self.model.notes(place))
        self.notes.setVisible(bool(self.notes.text()))
        if result is not None and result.path:
            task = worker.start(_converted, Path(result.path), title)
        elif seen.series is not None:
            self.viewer.show_stack(raw_stack(seen.series, title))
            return
        else:
            self.viewer.clear(seen.row.reason or translate("viewer.archive"))
            return
        task.result.connect(self.viewer.show_stack)
        task.failed.connect(
            worker.while_alive(self, lambda error: self.viewer.clear(error_text(error)))
        )

    def _empty(self) -> QWidget:
        layer = QWidget()
        self.choose_button = QPushButton(translate("convert.choose"))
        self.choose_button.setProperty("role", "primary")
        self.choose_button.clicked.connect(self._choose)
        column = QVBoxLayout(layer)
        column.setContentsMargins(WIDE, WIDE, WIDE, WIDE)
        column.setSpacing(MARGIN)
        column.addStretch(2)
        for text, role in (("convert.drop", "title"), ("convert.drop_says", "soft")):
            line = label(translate(text), role, wrap=True)
            line.setAlignment(Qt.AlignmentFlag.AlignCenter)
            column.addWidget(line)
        column.addWidget(self.choose_button, 0, Qt.AlignmentFlag.AlignCenter)
        column.addStretch(3)
        return layer

    def _full(self) -> QWidget:
        layer = QWidget()
        self.place = label("", "heading")
        self.count = label("", "soft")
        self.other_button = QPushButton(translate("convert.choose"))
        self.other_button.clicked.connect(self._choose)
        self.place.setMinimumWidth(50)
        head = QHBoxLayout()
        head.addWidget(self.place, 1)
        head.addWidget(self.count)
        head.addWidget(self.other_button)
        self.table = self._table()
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(self.table)
        split.addWidget(self.viewer)
        split.setSizes([640, 400])
        split.setHandleWidth(MARGIN)
        split.setChildrenCollapsible(False)
        inner = QVBoxLayout()
        inner.setContentsMargins(MARGIN, SPACE, MARGIN, MARGIN)
        inner.setSpacing(SPACE)
        inner.addLayout(head)
        inner.addWidget(split, 1)
        self.notes = label("", "soft", wrap=True)
        self.notes.setMaximumHeight(90)
        self.notes.hide()
        inner.addWidget(self.notes)
        column = QVBoxLayout(layer)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(inner, 1)
        column.addWidget(self._foot())
        return layer

    def _table(self) -> QTableView:
        table = QTableView()
        table.setModel(self.model)
        table.setAccessibleName(translate("convert.table"))
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setItemDelegate(SeriesDelegate(table))
        table.setShowGrid(False)
        table.setTabKeyNavigation(False)
        table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        table.setTextElideMode(Qt.TextElideMode.ElideRight)
        table.setWordWrap(False)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(SIDE + SPACE + GAP)
        heads = table.horizontalHeader()
        heads.setMinimumSectionSize(80)
        heads.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        heads.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
        heads.setHighlightSections(False)
        table.setMinimumWidth(360)
        table.selectionModel().selectionChanged.connect(lambda *_: self._show_chosen())
        return table

    def _foot(self) -> QFrame:
        foot = QFrame()
        foot.setProperty("role", "foot")
        self.options = ConversionForm()
        self.options.change.connect(self._choose_output)
        self.go_button = QPushButton(translate("convert.start"))
        self.go_button.setProperty("role", "primary")
        self.go_button.setMinimumWidth(130)
        self.go_button.clicked.connect(self.convert)
        line = QHBoxLayout(foot)
        line.setContentsMargins(MARGIN, SPACE, MARGIN, SPACE)
        line.setSpacing(MARGIN)
        line.addWidget(self.options, 1)
        line.addWidget(self.go_button, 0, Qt.AlignmentFlag.AlignBottom)
        return foot


def _converted(handle: TaskHandle, folder: Path, title: str) -> Stack:
    return dicom_stack(folder, title)
