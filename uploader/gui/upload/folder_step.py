"""Which folder, into which project, and what its levels mean."""

from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QColor, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QProgressBar,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from xnat_pic.errors import CancelledError, XnatPicError

from ... import FolderScan, Level, Plan, PlanRow, parse_layout
from .. import preferences, worker
from ..page import Notice
from ..theme import GAP, MARGIN, SPACE, colours, label
from ..translation import translate
from . import work
from .parts import button, field, foot, set_tone
from .wording import window_error_text, window_text

_PREVIEW_AFTER_MS = 250
_LAYOUTS = ("group/{group}/timepoint/{timepoint}/{subject}", "{subject}_{timepoint}")


class FolderStep(QWidget):
    """The folder, the project and the layout with its preview.

    Attributes
    ----------
    made : signal (`work.OpenedPlan`)
        A plan was written.
    notified : signal (`Notice` or None)
        Something for the band.
    """

    made = Signal(object)
    notified = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setAcceptDrops(True)
        self.scan: FolderScan | None = None
        self.folder: Path | None = None
        self.existing: Path | None = None
        self._target: Path | None = None
        self._config = work.site()
        self._task: worker.Task | None = None
        self._number = 0
        self._timer = QTimer(self, singleShot=True, interval=_PREVIEW_AFTER_MS)
        self._timer.timeout.connect(self._preview)
        self._build()
        self.choose.clicked.connect(self._choose)
        self.stop.clicked.connect(self._stop)
        self.make.clicked.connect(self._make)
        self.layout_text.textEdited.connect(self._layout_typed)
        self.project.editTextChanged.connect(self._refresh_controls)
        self._refresh_controls()

    def _build(self) -> None:
        self.path = QLineEdit(readOnly=True)
        self.path.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.path.setPlaceholderText(translate("upload.folder_none"))
        self.choose = button(translate("upload.choose_folder"))
        self.stop = button(translate("upload.stop"))
        self.stop.hide()
        self.progress = QProgressBar(textVisible=False)
        self.progress.setAccessibleName(translate("upload.reading"))
        self.progress.hide()
        self.what = label("", "soft", wrap=True)
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.path, 1)
        row.addWidget(self.choose)
        row.addWidget(self.stop)
        self.project = QComboBox(editable=True, insertPolicy=QComboBox.InsertPolicy.NoInsert)
        self.create_project = QCheckBox(translate("upload.create_project"))
        self.layout_text = QLineEdit()
        self.layout_text.setPlaceholderText(translate("upload.layout_auto"))
        self.layout_problem = label("", "bad", wrap=True)
        self.layout_problem.hide()
        self.tree = QTreeWidget()
        self.tree.setAccessibleName(translate("upload.preview"))
        self.tree.setUniformRowHeights(True)
        self.tree.setAlternatingRowColors(True)
        self.tree.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.make = button(translate("upload.make_plan"), "primary")
        self._lay_out(holder)

    def _lay_out(self, holder: QWidget) -> None:
        places = QHBoxLayout()
        places.setSpacing(MARGIN)
        folder = field(translate("upload.folder"), holder)
        self.path.setAccessibleName(translate("upload.folder"))
        folder.addWidget(self.progress)
        folder.addWidget(self.what)
        folder.addStretch(1)
        project = field(translate("upload.project"), self.project)
        project.addWidget(self.create_project)
        project.addStretch(1)
        places.addLayout(folder, 3)
        places.addLayout(project, 2)
        body = QVBoxLayout()
        body.setContentsMargins(MARGIN, SPACE, MARGIN, MARGIN)
        body.setSpacing(SPACE + GAP)
        body.addLayout(places)
        body.addLayout(
            field(
                translate("upload.layout"),
                self.layout_text,
                translate("upload.layout_says", first=_LAYOUTS[0], second=_LAYOUTS[1]),
            )
        )
        body.addWidget(self.layout_problem)
        self.preview_title = label("", "heading")
        body.addWidget(self.preview_title)
        body.addWidget(self.tree, 1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addLayout(body, 1)
        self.plan_name = label("", "soft")
        outer.addWidget(foot(self.plan_name, None, self.make))

    # The folder

    def set_projects(self, names: tuple[str, ...]) -> None:
        """Offer the projects of the server; what was typed stays."""
        typed = self.project.currentText()
        self.project.clear()
        self.project.addItems(list(names))
        self.project.setCurrentText(typed)
        edit = self.project.lineEdit()
        if edit is not None:
            edit.setPlaceholderText(translate("upload.project_example"))
        self._refresh_controls()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take folders only."""
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if len(paths) == 1 and paths[0].is_dir():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Read the folder that was dropped."""
        self.read(Path(event.mimeData().urls()[0].toLocalFile()))

    def _choose(self) -> None:
        chosen = QFileDialog.getExistingDirectory(
            self, translate("upload.choose_folder"), str(preferences.last_folder())
        )
        if chosen:
            self.read(Path(chosen))

    def read(self, folder: Path) -> None:
        """Read a folder, and show what is in it."""
        if self._task is not None and self._task.running:
            self._task.cancel()
        self._number += 1
        number = self._number
        self.notified.emit(None)
        self.folder, self.scan = folder, None
        self.path.setText(str(folder))
        self.path.setToolTip(str(folder))
        self.tree.clear()
        self.what.setText(translate("upload.reading"))
        preferences.remember_folder(folder)
        plan = work.plan_for(folder)
        self.existing = plan if plan.is_file() else None
        self._target = work.free_name(folder)
        self._task = worker.start(work.read_folder, folder, self._config)
        self._task.progress.connect(
            worker.while_alive(self, lambda value: self._progress(number, value))
        )
        self._task.result.connect(worker.while_alive(self, lambda scan: self._read(number, scan)))
        self._task.failed.connect(
            worker.while_alive(self, lambda error: self._failed(number, error))
        )
        self._task.stopped.connect(
            worker.while_alive(self, lambda: self._failed(number, CancelledError("")))
        )
        self._busy(True)

    def show_opening(self, path: Path, task: worker.Task) -> None:
        """Show how far a plan that is being opened is."""
        self._number += 1
        number = self._number
        self._task, self.scan, self.folder = task, None, None
        self.tree.clear()
        self.path.setText(str(path))
        self.what.setText(translate("upload.reading"))
        task.progress.connect(worker.while_alive(self, lambda value: self._progress(number, value)))
        task.ended.connect(worker.while_alive(self, lambda: self._opened(number)))
        self._busy(True)

    def _opened(self, number: int) -> None:
        if number == self._number:
            self.what.setText("")
            self._busy(False)

    def _busy(self, busy: bool) -> None:
        self.progress.setVisible(busy)
        self.progress.setRange(0, 0)
        self.stop.setVisible(busy)
        self.choose.setVisible(not busy)
        self._refresh_controls()

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _progress(self, number: int, value: tuple[int, int]) -> None:
        if number == self._number:
            self.progress.setRange(0, value[1])
            self.progress.setValue(value[0])
            self.what.setText(translate("upload.read_files", done=value[0], total=value[1]))

    def _read(self, number: int, scan: FolderScan) -> None:
        if number != self._number:
            return
        self._busy(False)
        if not scan.sessions:
            self.what.setText("")
            self.notified.emit(
                Notice(translate("upload.nothing", folder=str(scan.root)), "warning")
            )
            return
        self.scan = scan
        files = sum(one.files for one in scan.sessions)
        self.what.setText(translate("upload.found", n=len(scan.sessions), files=files))
        if self.existing is not None:
            self.notified.emit(
                Notice(translate("upload.plan_exists", name=self.existing.name), "info",
                       translate("upload.continue_it"))
            )  # fmt: skip
        if not self._project():
            self.project.setFocus(Qt.FocusReason.OtherFocusReason)
        self._preview()

    def _failed(self, number: int, error: Exception) -> None:
        if number != self._number:
            return
        self._busy(False)
        self.what.setText("")
        if isinstance(error, CancelledError):
            self.what.setText(translate("upload.read_stopped"))
        else:
            self.notified.emit(Notice(window_error_text(error), "bad"))

    # The layout

    def _layout_typed(self) -> None:
        try:
            parse_layout(self.layout_text.text(), self._config.variables)
        except XnatPicError as error:
            self._timer.stop()
            set_tone(self.layout_problem, "bad", window_error_text(error))
        else:
            set_tone(self.layout_problem, "bad", "")
            self._timer.start()
        self._refresh_controls()

    def _preview(self) -> None:
        if self.scan is None or not self.layout_problem.isHidden():
            return
        number = self._number
        text = self.layout_text.text().strip()
        task = worker.start(work.preview, self.scan, self._project(), self._config, text)
        task.result.connect(
            worker.while_alive(self, lambda plan: self._previewed(number, text, plan))
        )
        task.failed.connect(
            lambda error: set_tone(self.layout_problem, "bad", window_error_text(error))
        )

    def _previewed(self, number: int, text: str, plan: Plan) -> None:
        if number != self._number or text != self.layout_text.text().strip():
            return
        if not text:
            shown = plan.layout or translate("upload.layout_none")
            self.layout_text.setPlaceholderText(translate("upload.layout_found", layout=shown))
        total = len(self.scan.sessions) if self.scan else 0
        wrong = sum(bool(_errors(row)) for row in plan.rows)
        title = translate("upload.preview_title", n=total)
        if total > len(plan.rows):
            title = translate("upload.preview_some", shown=len(plan.rows), n=total)
        if wrong:
            title += translate("upload.preview_wrong", n=wrong)
        self.preview_title.setText(title)
        _fill(self.tree, plan)
        self._refresh_controls()

    # The plan

    def _project(self) -> str:
        return self.project.currentText().strip()

    def _refresh_controls(self) -> None:
        ready = self.scan is not None and bool(self._project()) and self.layout_problem.isHidden()
        self.make.setEnabled(ready)
        name = self._target.name if ready and self._target else ""
        self.plan_name.setText(translate("upload.plan_name", name=name) if name else "")

    def _make(self) -> None:
        if self.scan is None or self.folder is None:
            return
        self.notified.emit(None)
        self.make.setEnabled(False)
        number = self._number
        task = worker.start(
            work.make_plan, self.scan, self._project(), self._config,
            self.layout_text.text().strip(), work.free_name(self.folder),
        )  # fmt: skip
        task.result.connect(self.made)
        task.failed.connect(worker.while_alive(self, lambda error: self._failed(number, error)))
        task.ended.connect(self._refresh_controls)


def _fill(tree: QTreeWidget, plan: Plan) -> None:
    """Show the folders as a tree, and beside each session what its levels became."""
    names = list(dict.fromkeys(name for row in plan.rows for name in row.variables))
    heads = [translate("upload.head_source"), translate("upload.head_subject"), *names,
             translate("upload.head_session")]  # fmt: skip
    tree.setUpdatesEnabled(False)
    tree.clear()
    tree.setColumnCount(len(heads))
    tree.setHeaderLabels(heads)
    folders: dict[tuple[str, ...], QTreeWidgetItem] = {}
    for row in plan.rows:
        parts = tuple(part for part in row.source.split("/") if part not in ("", "."))
        item = _folder_item(tree, folders, parts)
        if item.text(len(heads) - 1):  # two sessions in one folder
            item = QTreeWidgetItem(item, [row.modality])
        _write(item, row, names)
    tree.expandAll()
    tree.setUpdatesEnabled(True)
    header = tree.header()
    header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
    for column in range(len(heads) - 1):
        tree.resizeColumnToContents(column)
        tree.setColumnWidth(column, min(max(tree.columnWidth(column) + MARGIN, 80), 360))


def _folder_item(
    tree: QTreeWidget, folders: dict[tuple[str, ...], QTreeWidgetItem], parts: tuple[str, ...]
) -> QTreeWidgetItem:
    """Return the item of a folder; those above it are made where they are missing."""
    for depth in range(max(len(parts), 1)):
        key = parts[: depth + 1]
        if key not in folders:
            above = folders.get(parts[:depth]) if depth else None
            folders[key] = QTreeWidgetItem(above or tree, [key[-1] if key else "."])
    return folders[parts[: max(len(parts), 1)]]


def _errors(row: PlanRow) -> list[str]:
    """Return what is wrong with a row, but for the project, which may be typed last."""
    found = [one for one in row.findings if one.level is Level.ERROR]
    return [
        window_text(one.message) for one in found if one.code not in ("no-project", "project-label")
    ]


def _write(item: QTreeWidgetItem, row: PlanRow, names: list[str]) -> None:
    texts = [row.subject, *(row.variables.get(name, "") for name in names), row.session]
    for column, text in enumerate(texts, 1):
        item.setText(column, text)
        if 1 < column <= len(names) + 1:
            item.setForeground(column, QColor(colours().accent))
    bad = _errors(row)
    if bad:
        item.setForeground(0, QColor(colours().bad))
        for column in range(len(texts) + 1):
            item.setToolTip(column, "\n".join(bad))
        item.setData(0, Qt.ItemDataRole.AccessibleDescriptionRole, bad[0])
