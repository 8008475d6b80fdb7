"""The first page: convert, upload, or go on with the last plan."""

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout

from . import memory
from .icons import picture
from .page import Page
from .theme import GAP, MARGIN, SPACE, WIDE, colours, label, theme
from .words import say


class Choice(QPushButton):
    """One way to go on: a picture, a name and a sentence; the whole of it is the button."""

    def __init__(self, symbol: str, name: str, sentence: str) -> None:
        super().__init__()
        self.symbol = symbol
        self.setProperty("role", "choice")
        self.setAccessibleName(name)
        self.setAccessibleDescription(sentence)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.picture = label("")
        self.sentence = label(sentence, "soft", wrap=True)
        texts = QVBoxLayout()
        texts.setSpacing(GAP)
        texts.addWidget(label(name, "heading"))
        texts.addWidget(self.sentence)
        row = QHBoxLayout(self)
        row.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        row.setSpacing(MARGIN)
        row.addWidget(self.picture, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(texts, 1)
        self.setMinimumHeight(88)
        for child in self.findChildren(QFrame):
            child.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        theme().changed.connect(self._dress)
        self._dress()

    def _dress(self) -> None:
        scale = self.devicePixelRatioF()
        self.picture.setPixmap(picture(self.symbol, 28, colours().accent, scale))


class StartPage(Page):
    """Where a person begins."""

    def __init__(self) -> None:
        super().__init__()
        self.convert = Choice("convert", say("start.convert"), say("start.convert_says"))
        self.upload = Choice("upload", say("start.upload"), say("start.upload_says"))
        self.resume = Choice("continue", say("start.resume"), "")
        self.convert.clicked.connect(lambda: self.go.emit("convert", None))
        self.upload.clicked.connect(lambda: self.go.emit("upload", None))
        self.resume.clicked.connect(lambda: self.go.emit("upload", memory.last_plan()))
        middle = QVBoxLayout()
        middle.setSpacing(SPACE)
        middle.addStretch(2)
        middle.addWidget(label(say("frame.product"), "title"))
        middle.addWidget(label(say("start.says"), "soft", wrap=True))
        middle.addSpacing(MARGIN)
        for choice in (self.convert, self.upload, self.resume):
            middle.addWidget(choice)
        middle.addStretch(3)
        row = QHBoxLayout(self)
        row.setContentsMargins(WIDE, WIDE, WIDE, WIDE)
        row.addStretch(1)
        row.addLayout(middle, 4)
        row.addStretch(1)

    def title(self) -> str:
        """Return the product's name."""
        return say("frame.product")

    def enter(self, argument: Any = None) -> None:
        """Offer the last plan if it is still there."""
        plan = memory.last_plan()
        self.resume.setVisible(plan is not None)
        if plan is not None:
            self.resume.sentence.setText(str(plan))
            self.resume.setAccessibleDescription(str(plan))
        self.convert.setFocus()
