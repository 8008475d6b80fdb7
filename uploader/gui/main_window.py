"""The window: a bar with the way back, a band for sentences, and one page at a time."""

from importlib import import_module
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QCloseEvent, QKeySequence
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QMainWindow,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from . import memory, worker
from .band import Band
from .child import Call
from .icons import icon
from .page import Notice, Page
from .theme import GAP, MARGIN, SPACE, label, theme
from .words import say

# Name of a page: module below this package, and the class in it. Loaded when it is first opened.
PAGES = {
    "start": (".start", "StartPage"),
    "convert": (".convert.page", "ConvertPage"),
    "upload": (".upload.page", "UploadPage"),
}
HOME = "start"


class MainWindow(QMainWindow):
    """Holds the pages and walks between them."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: dict[str, Page] = {}
        self.bands: dict[str, Band] = {}
        self.name = ""
        self._way: list[str] = []
        self.stack = QStackedWidget()
        self.back = QToolButton()
        self.back.clicked.connect(self.go_back)
        self.heading = label("", "heading")
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._bar())
        column.addWidget(self.stack, 1)
        self.setCentralWidget(body)
        self._shortcuts()
        self.setMinimumSize(760, 520)
        self.resize(1120, 760)
        where = memory.geometry()
        if where is not None:
            self.restoreGeometry(where)
        theme().changed.connect(self._dress)
        self._dress()
        self.open(HOME)

    def page(self, name: str) -> Page:
        """Return a page by its name, made when it is first asked for."""
        if name not in self.pages:
            page = _made(name)
            band = Band()
            page.go.connect(self.open)
            page.notice.connect(band.show_notice)
            page.title_changed.connect(lambda _: self._show_title())
            band.pressed.connect(page.notice_action)
            holder = _holder(band, page)
            self.stack.addWidget(holder)
            self.pages[name], self.bands[name] = page, band
        return self.pages[name]

    def open(self, name: str, argument: Any = None) -> None:
        """Show a page, if the one that is shown lets go.

        Parameters
        ----------
        name : str
            A key of `PAGES`.
        argument : object
            Handed to the page's `enter`.
        """
        if self.name == name:
            self.pages[name].enter(argument)
            return
        if self.name and not self.pages[self.name].leave():
            return
        page = self.page(name)
        if name == HOME:
            self._way.clear()
        elif self.name:
            self._way.append(self.name)
        self._show(name, page, argument)

    def go_back(self) -> None:
        """Show the page that was shown before, if this one lets go."""
        if self._way and self.pages[self.name].leave():
            name = self._way.pop()
            self._show(name, self.pages[name], None)

    def notify(self, notice: Notice | None) -> None:
        """Show a sentence on the page that is shown."""
        self.bands[self.name].show_notice(notice)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask each page, stop what is at work, and close."""
        for name, page in self.pages.items():
            if not page.close_down():
                if name != self.name:
                    self.open(name)
                event.ignore()
                return
        self.hide()
        worker.stop_all()
        memory.remember_geometry(self.saveGeometry())
        event.accept()

    def _show(self, name: str, page: Page, argument: Any) -> None:
        self.name = name
        holder = page.parentWidget()
        assert holder is not None
        self.stack.setCurrentWidget(holder)
        page.enter(argument)
        self._show_title()

    def _show_title(self) -> None:
        title = self.pages[self.name].title()
        self.heading.setText(title)
        home = self.name == HOME
        self.bar.setVisible(not home)
        self.back.setEnabled(bool(self._way))
        product = say("frame.product")
        self.setWindowTitle(product if home else f"{title} - {product}")

    def _bar(self) -> QFrame:
        self.bar = QFrame()
        self.bar.setProperty("role", "bar")
        row = QHBoxLayout(self.bar)
        row.setContentsMargins(SPACE, SPACE, MARGIN, SPACE)
        row.setSpacing(GAP)
        self.back.setToolTip(say("frame.back"))
        self.back.setAccessibleName(say("frame.back"))
        row.addWidget(self.back)
        row.addWidget(self.heading, 1)
        return self.bar

    def _shortcuts(self) -> None:
        for keys, method in (
            (QKeySequence.StandardKey.Back, self.go_back),
            (QKeySequence.StandardKey.Quit, self.close),
        ):
            action = QAction(self)
            action.setShortcuts(QKeySequence.keyBindings(keys))
            action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
            action.triggered.connect(method)
            self.addAction(action)

    def _dress(self) -> None:
        self.back.setIcon(icon("back"))


def preload(call: Call) -> None:
    """Load the modules of all pages beside the window, so that each opens at once."""
    for module, _ in PAGES.values():
        call.check()
        import_module(module, __package__)


def _made(name: str) -> Page:
    module, kind = PAGES[name]
    page: Page = getattr(import_module(module, __package__), kind)()
    return page


def _holder(band: Band, page: Page) -> QWidget:
    """Return the page with its band above it."""
    holder = QWidget()
    column = QVBoxLayout(holder)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(0)
    row = QHBoxLayout()
    row.setContentsMargins(MARGIN, SPACE, MARGIN, 0)
    row.addWidget(band)
    column.addLayout(row)
    column.addWidget(page, 1)
    return holder
