"""The band at the top of a page: one message, a next step, no dialog."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QSizePolicy, QWidget

from .page import Notice
from .theme import MARGIN, SPACE, label
from .translation import translate


class NoticeBand(QFrame):
    """Shows a `Notice`, or nothing.

    Attributes
    ----------
    pressed : signal
        The button in the band.
    """

    pressed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.notice: Notice | None = None
        self.text = label("", wrap=True)
        self.text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.action = QPushButton()
        self.action.clicked.connect(self.pressed)
        self.away = QPushButton(translate("frame.dismiss"))
        self.away.setProperty("role", "quiet")
        self.away.clicked.connect(lambda: self.show_notice(None))
        row = QHBoxLayout(self)
        row.setContentsMargins(MARGIN, SPACE, SPACE, SPACE)
        row.setSpacing(SPACE)
        row.addWidget(self.text, 1)
        row.addWidget(self.action)
        row.addWidget(self.away)
        self.show_notice(None)

    def show_notice(self, notice: Notice | None) -> None:
        """Show a message, or take the band away."""
        self.notice = notice
        if notice is None:
            self.hide()
            return
        self.text.setText(notice.text)
        self.setAccessibleName(notice.text)
        self.action.setText(notice.action)
        self.action.setVisible(bool(notice.action))
        self.setProperty("tone", notice.tone)
        for widget in (self, self.text):
            widget.style().unpolish(widget)
            widget.style().polish(widget)
        self.show()
