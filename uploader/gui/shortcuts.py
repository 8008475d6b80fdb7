"""Two keys that do the next thing on any page, so that a session needs no mouse.

A button whose property `stops` is set stops what goes on: no key presses it by chance.
"""

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMainWindow, QPushButton, QWidget

from .band import NoticeBand

NEXT = ("Ctrl+Return", "Ctrl+Enter")
OFFER = ("Alt+Return", "Alt+Enter")


def add_shortcuts(window: QMainWindow) -> None:
    """Let Ctrl+Enter press the primary button that is shown, and Alt+Enter the band's."""
    for keys, press in ((NEXT, _press_primary), (OFFER, _press_offer)):
        action = QAction(window)
        action.setShortcuts([QKeySequence(one) for one in keys])
        action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
        action.triggered.connect(lambda _=False, press=press: press(window))
        window.addAction(action)


def _press_primary(window: QWidget) -> None:
    for button in window.findChildren(QPushButton):
        ready = button.isVisible() and button.isEnabled() and not button.property("stops")
        if button.property("role") == "primary" and ready:
            button.click()
            return


def _press_offer(window: QWidget) -> None:
    for band in window.findChildren(NoticeBand):
        if band.action.isVisible():
            band.action.click()
            return
