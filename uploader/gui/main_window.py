"""The window: a bar with the way back, a band for messages, and one page at a time."""

from importlib import import_module
from threading import Lock
from typing import Any

from PySide6.QtCore import Qt, QTimer
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

from . import preferences, translation, worker
from .band import NoticeBand
from .child_process import TaskHandle
from .error_texts import error_text
from .garbage_collection import freeze_gc
from .icons import icon
from .page import Notice, Page
from .start import StartPage
from .theme import GAP, MARGIN, SPACE, label, theme
from .translation import translate

# Name of a page: module below this package, and the class in it. Loaded when it is first opened.
PAGES = {
    "start": (".start", "StartPage"),
    "convert": (".convert.page", "ConvertPage"),
    "upload": (".upload.page", "UploadPage"),
}
HOME = "start"

_loaded = {HOME}
_one_at_a_time = Lock()


class MainWindow(QMainWindow):
    """Holds the pages and walks between them."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: dict[str, Page] = {}
        self.bands: dict[str, NoticeBand] = {}
        self.name = ""
        self._way: list[str] = []
        self._wanted: tuple[str, Any] | None = None
        self.stack = QStackedWidget()
        self.waiting = label(translate("frame.opening"), "soft")
        self.waiting.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.stack.addWidget(self.waiting)
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
        where = preferences.geometry()
        if where is not None:
            self.restoreGeometry(where)
        theme().changed.connect(self._refresh)
        self._refresh()
        self.open(HOME)

    @property
    def opening(self) -> str:
        """Name of the page whose modules are being loaded, or empty."""
        return self._wanted[0] if self._wanted else ""

    def page(self, name: str) -> Page:
        """Return a page by its name, made when it is first asked for."""
        if name not in self.pages:
            page = _make_page(name)
            band = NoticeBand()
            page.go.connect(self.open)
            page.notice.connect(band.show_notice)
            page.title_changed.connect(lambda _: self._show_title())
            band.pressed.connect(page.notice_action)
            if isinstance(page, StartPage):
                page.language_chosen.connect(self.speak)
            holder = _holder(band, page)
            self.stack.addWidget(holder)
            self.pages[name], self.bands[name] = page, band
        return self.pages[name]

    def open(self, name: str, argument: Any = None) -> None:
        """Show a page, if the one that is shown lets go.

        Where its modules are not loaded yet, a thread loads them first: the window stays alive.

        Parameters
        ----------
        name : str
            A key of `PAGES`.
        argument : object
            Handed to the page's `enter`.
        """
        if self.name == name and self._wanted is None:
            self.pages[name].enter(argument)
            return
        if self.name and not self.pages[self.name].leave():
            return
        if name not in _loaded:
            self._load(name, argument)
            return
        self._wanted = None
        page = self.page(name)
        if name == HOME:
            self._way.clear()
        elif self.name != name:
            self._way.append(self.name)
        self._show(name, page, argument)

    def go_back(self) -> None:
        """Show the page that was shown before, if this one lets go."""
        if self._wanted is not None:
            self._wanted = None
            self._show(self.name, self.pages[self.name], None)
        elif self._way and self.pages[self.name].leave():
            name = self._way.pop()
            self._show(name, self.pages[name], None)

    def notify(self, notice: Notice | None) -> None:
        """Show a message on the page that is shown."""
        self.bands[self.name].show_notice(notice)

    def speak(self, code: str) -> None:
        """Speak another language: at once if no page holds anything, else from the next start."""
        preferences.remember_language(code)
        before = translation.language()
        translation.choose(code)
        if not all(page.at_rest() for page in self.pages.values()):
            notice = Notice(translate("start.language_later")) if code != before else None
            translation.choose(before)
            self.notify(notice)
            return
        for page in self.pages.values():
            holder = page.parentWidget()
            assert holder is not None
            self.stack.removeWidget(holder)
            holder.deleteLater()
        self.pages, self.bands, self.name = {}, {}, ""
        self._way.clear()
        self._name_controls()
        self.open(HOME)

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
        preferences.remember_geometry(self.saveGeometry())
        event.accept()

    def _load(self, name: str, argument: Any) -> None:
        """Load a page beside the window, then open it unless another is wanted."""
        self._wanted = (name, argument)
        self.stack.setCurrentWidget(self.waiting)
        self.bar.show()
        self.heading.setText("")
        self.back.setEnabled(True)
        task = worker.start(load, name)
        task.result.connect(self._loaded)
        task.failed.connect(worker.while_alive(self, lambda error: self._not_loaded(name, error)))

    def _loaded(self, name: str) -> None:
        """Make the page in one turn of the event loop and show it in another: each is short."""
        if self.opening == name:
            self.page(name)
            QTimer.singleShot(0, self._open_wanted)

    def _open_wanted(self) -> None:
        if self._wanted is not None:
            self.open(*self._wanted)

    def _not_loaded(self, name: str, error: Exception) -> None:
        if self.opening == name:
            self.go_back()
            self.notify(Notice(error_text(error), "bad"))

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
        product = translate("frame.product")
        self.setWindowTitle(product if home else f"{title} - {product}")

    def _bar(self) -> QFrame:
        self.bar = QFrame()
        self.bar.setProperty("role", "bar")
        row = QHBoxLayout(self.bar)
        row.setContentsMargins(SPACE, SPACE, MARGIN, SPACE)
        row.setSpacing(GAP)
        self._name_controls()
        row.addWidget(self.back)
        row.addWidget(self.heading, 1)
        return self.bar

    def _name_controls(self) -> None:
        self.waiting.setText(translate("frame.opening"))
        self.back.setToolTip(translate("frame.back"))
        self.back.setAccessibleName(translate("frame.back"))

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

    def _refresh(self) -> None:
        self.back.setIcon(icon("back"))


def load(handle: TaskHandle, name: str) -> str:
    """Load the modules of one page; return its name.

    One at a time: two threads that import the same modules may see them half made.
    """
    with _one_at_a_time:
        import_module(PAGES[name][0], __package__)
    _loaded.add(name)
    return name


def preload(handle: TaskHandle) -> None:
    """Load the modules of all pages beside the window, so that each opens at once."""
    for name in PAGES:
        handle.check()
        load(handle, name)
    freeze_gc()


def _make_page(name: str) -> Page:
    module, kind = PAGES[name]
    page: Page = getattr(import_module(module, __package__), kind)()
    return page


def _holder(band: NoticeBand, page: Page) -> QWidget:
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
