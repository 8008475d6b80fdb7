"""The picture of a row: one image of its session, beside what the plan says of it."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import QLabel

from ... import Session
from .. import worker
from ..translation import translate
from . import work

_AFTER_MS = 150  # who walks through the rows waits for no picture
_SIDE = 96
_KEPT = 500


class RowPicture(QLabel):
    """Shows the middle image of the row that is chosen, read beside the window."""

    def __init__(self) -> None:
        super().__init__()
        self._sessions: Mapping[str, Session] = {}
        self._pictures: dict[str, QPixmap | None] = {}
        self._key = ""
        self._timer = QTimer(self, singleShot=True, interval=_AFTER_MS)
        self._timer.timeout.connect(self._read)
        self.setFixedSize(_SIDE, _SIDE)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setAccessibleName(translate("upload.picture"))
        self.setToolTip(translate("upload.picture"))
        self.hide()

    def set_sessions(self, sessions: Mapping[str, Session]) -> None:
        """Take the sessions of another plan."""
        self._sessions, self._pictures, self._key = sessions, {}, ""
        self.hide()

    def show_row(self, key: str) -> None:
        """Show the picture of a row; nothing where it has none."""
        if key == self._key:
            return
        self._key = key
        if key in self._pictures:
            self._show()
            return
        self.clear()
        if key in self._sessions:
            self._timer.start()
        else:
            self.hide()

    def _read(self) -> None:
        key = self._key
        if key in self._sessions and key not in self._pictures:
            task = worker.start(work.row_picture, self._sessions[key])
            task.result.connect(worker.while_alive(self, lambda pixels: self._take(key, pixels)))

    def _take(self, key: str, pixels: Any) -> None:
        if len(self._pictures) >= _KEPT:
            self._pictures.clear()
        self._pictures[key] = None
        if pixels is not None:
            rows, columns = pixels.shape
            form = QImage.Format.Format_Grayscale8
            image = QImage(pixels.tobytes(), columns, rows, columns, form).copy()
            self._pictures[key] = QPixmap.fromImage(image)
        if key == self._key:
            self._show()

    def _show(self) -> None:
        picture = self._pictures[self._key]
        self.setVisible(picture is not None)
        if picture is not None:
            mode = Qt.AspectRatioMode.KeepAspectRatio
            self.setPixmap(picture.scaled(_SIDE, _SIDE, mode))
