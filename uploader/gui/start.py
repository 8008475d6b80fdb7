"""The first page: convert, upload, or go on with the last plan."""

from pathlib import Path
from typing import Any

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QPushButton, QVBoxLayout

from . import preferences, translation
from .icons import picture
from .page import Page
from .theme import GAP, MARGIN, SPACE, WIDE, colours, label, theme
from .translation import translate


class Choice(QPushButton):
    """One way to go on: a picture, a name and a message; the whole of it is the button."""

    def __init__(self, symbol: str, name: str, message: str) -> None:
        super().__init__()
        self.symbol = symbol
        self.setProperty("role", "choice")
        self.setAccessibleName(name)
        self.setAccessibleDescription(message)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.picture = label("")
        self.description = label(message, "soft", wrap=True)
        texts = QVBoxLayout()
        texts.setSpacing(GAP)
        texts.addWidget(label(name, "heading"))
        texts.addWidget(self.description)
        row = QHBoxLayout(self)
        row.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        row.setSpacing(MARGIN)
        row.addWidget(self.picture, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(texts, 1)
        self.setMinimumHeight(88)
        for child in self.findChildren(QFrame):
            child.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        theme().changed.connect(self._refresh)
        self._refresh()

    def _refresh(self) -> None:
        scale = self.devicePixelRatioF()
        self.picture.setPixmap(picture(self.symbol, 28, colours().accent, scale))


class StartPage(Page):
    """Where a person begins.

    Attributes
    ----------
    language_chosen : signal (str)
        The code of the language that the window shall speak.
    """

    language_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setAcceptDrops(True)
        self.convert = Choice(
            "convert", translate("start.convert"), translate("start.convert_says")
        )
        self.upload = Choice("upload", translate("start.upload"), translate("start.upload_says"))
        self.resume = Choice("continue", translate("start.resume"), "")
        self.convert.clicked.connect(lambda: self.go.emit("convert", None))
        self.upload.clicked.connect(lambda: self.go.emit("upload", None))
        self.resume.clicked.connect(lambda: self.go.emit("upload", preferences.last_plan()))
        self.language = self._languages()
        middle = QVBoxLayout()
        middle.setSpacing(SPACE)
        middle.addStretch(2)
        middle.addWidget(label(translate("frame.product"), "title"))
        middle.addWidget(label(translate("start.says"), "soft", wrap=True))
        middle.addSpacing(MARGIN)
        for choice in (self.convert, self.upload, self.resume):
            middle.addWidget(choice)
        middle.addSpacing(SPACE)
        middle.addWidget(label(translate("start.drop"), "soft", wrap=True))
        middle.addStretch(3)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addLayout(middle, 4)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(WIDE, MARGIN, WIDE, MARGIN)
        column.addLayout(row, 1)
        column.addWidget(self.language, 0, Qt.AlignmentFlag.AlignRight)

    def title(self) -> str:
        """Return the product's name."""
        return translate("frame.product")

    def at_rest(self) -> bool:
        """Return True: it holds nothing."""
        return True

    def enter(self, argument: Any = None) -> None:
        """Offer the last plan if it is still there."""
        plan = preferences.last_plan()
        self.resume.setVisible(plan is not None)
        if plan is not None:
            self.resume.description.setText(str(plan))
            self.resume.setAccessibleDescription(str(plan))
        self.convert.setFocus()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take one file or folder."""
        urls = event.mimeData().urls()
        if len(urls) == 1 and urls[0].isLocalFile():
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Show where it would go: the choice under the mouse, or else converting."""
        self._wanted(event.position().toPoint()).setFocus()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open what was dropped: a plan, or a folder for the choice under the mouse."""
        path = Path(event.mimeData().urls()[0].toLocalFile())
        wanted = self._wanted(event.position().toPoint())
        from .. import is_plan_file  # not before something is dropped

        uploading = is_plan_file(path) or wanted is not self.convert
        self.go.emit("upload" if uploading else "convert", path)

    def _wanted(self, where: QPoint) -> Choice:
        return self.upload if self.upload.geometry().contains(where) else self.convert

    def _languages(self) -> QComboBox:
        box = QComboBox()
        for code, name in translation.LANGUAGES.items():
            box.addItem(name, code)
        box.setCurrentIndex(box.findData(translation.language()))
        box.setAccessibleName(translate("start.language"))
        box.setToolTip(translate("start.language"))
        box.activated.connect(lambda _: self.language_chosen.emit(str(box.currentData())))
        return box
