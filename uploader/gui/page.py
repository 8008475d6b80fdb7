"""What a page of the window is."""

from dataclasses import dataclass
from typing import Any, Literal

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

Tone = Literal["info", "good", "warning", "bad"]


@dataclass(frozen=True)
class Notice:
    """A message in the band at the top of the page, never a dialog.

    Attributes
    ----------
    action : str
        Label of a button in the band, or empty; `Page.notice_action` is called when it is pressed.
    """

    text: str
    tone: Tone = "info"
    action: str = ""


class Page(QWidget):
    """One page of the window.

    Attributes
    ----------
    go : signal (str, object)
        Open another page by its name (a key of `main_window.PAGES`) with an argument.
    notice : signal (object)
        Show a `Notice` in the band at the top of this page; None takes it away.
    title_changed : signal (str)
        Another title, shown in the bar and in the window's title.
    """

    go = Signal(str, object)
    notice = Signal(object)
    title_changed = Signal(str)

    def title(self) -> str:
        """Return what the bar at the top shows."""
        raise NotImplementedError

    def enter(self, argument: Any = None) -> None:
        """Be shown: the person came here, or came back with something.

        Parameters
        ----------
        argument : object
            What the other page gave with `go`; None where there is nothing, as on coming back.
        """

    def leave(self) -> bool:
        """Return whether the page may be left, or the window closed, now; ask if need be.

        Work may go on while another page is shown.
        """
        return True

    def at_rest(self) -> bool:
        """Return whether nothing would be lost if this page were made anew."""
        return False

    def close_down(self) -> bool:
        """Return whether the window may close now; ask where work would be interrupted.

        After True the window asks every task to stop and waits for it.
        """
        return True

    def notice_action(self) -> None:
        """Do what the button in the band says."""
