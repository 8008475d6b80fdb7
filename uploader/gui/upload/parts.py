"""Small pieces that the steps of an upload share."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ..theme import GAP, MARGIN, SPACE, label


def field(name: str, widget: QWidget, help_text: str = "") -> QVBoxLayout:
    """Return a widget with its name above it, and a line of help below."""
    column = QVBoxLayout()
    column.setSpacing(GAP)
    title = label(name)
    title.setBuddy(widget)
    widget.setAccessibleName(name)
    column.addWidget(title)
    column.addWidget(widget)
    if help_text:
        widget.setAccessibleDescription(help_text)
        column.addWidget(label(help_text, "soft", wrap=True))
    return column


def button(text: str, role: str = "") -> QPushButton:
    """Return a button of a role: ``primary``, ``quiet`` or none."""
    made = QPushButton(text)
    if role:
        made.setProperty("role", role)
    return made


def card() -> tuple[QFrame, QVBoxLayout]:
    """Return a card and the column in it."""
    frame = QFrame()
    frame.setProperty("role", "card")
    column = QVBoxLayout(frame)
    column.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
    column.setSpacing(SPACE + GAP)
    return frame, column


def foot(*widgets: QWidget | None) -> QFrame:
    """Return the bar at the bottom; None is the free space between left and right."""
    frame = QFrame()
    frame.setProperty("role", "foot")
    row = QHBoxLayout(frame)
    row.setContentsMargins(MARGIN, SPACE + GAP, MARGIN, SPACE + GAP)
    row.setSpacing(SPACE)
    for widget in widgets:
        if widget is None:
            row.addStretch(1)
        else:
            row.addWidget(widget)
    return frame


def set_tone(widget: QLabel, role: str, text: str) -> None:
    """Give a label another text and tone, and hide it where there is nothing to say."""
    widget.setText(text)
    widget.setProperty("role", role)
    widget.style().unpolish(widget)
    widget.style().polish(widget)
    widget.setVisible(bool(text))


def elided(widget: QLabel) -> QLabel:
    """Let a long text be cut rather than widen the window; it can be selected and copied."""
    widget.setMinimumWidth(1)
    widget.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return widget
