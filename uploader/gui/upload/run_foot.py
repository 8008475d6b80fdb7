"""The bar at the bottom of a plan: what can be done now, or how far the upload is."""

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QMenu,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
)

from ... import Progress
from .. import preferences
from ..theme import GAP, MARGIN, SPACE, label
from ..translation import translate
from . import work
from .logins import Account
from .parts import button, elided
from .sizes import size_text, time_text

_FULL = 10_000


class RunFooter(QFrame):
    """Buttons and progress.

    Attributes
    ----------
    check, upload, verify, report, retry, pause, stop : signal
        What a person wants done.
    """

    check = Signal()
    upload = Signal()
    verify = Signal()
    report = Signal()
    retry = Signal()
    pause = Signal()
    stop = Signal()
    server = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "foot")
        self.raw: Path | None = None
        self._failed = 0
        self._all_sent = self._proved = False
        self._state = ""
        self._options()
        self._build()
        self.show_state("edit")

    def _build(self) -> None:
        self.who = button("", "quiet")
        self.who.clicked.connect(self.server)
        self.buttons = {
            "check": button(translate("upload.check")),
            "upload": button(translate("upload.upload"), "primary"),
            "verify": button(translate("upload.verify")),
            "report": button(translate("upload.report")),
            "retry": button(""),
            "pause": button(translate("upload.pause")),
            "stop": button(translate("upload.stop")),
        }
        self.bar = QProgressBar(textVisible=False, maximum=_FULL)
        self.bar.setAccessibleName(translate("upload.progress"))
        self.line = elided(label("", "soft"))
        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN, SPACE + GAP, MARGIN, SPACE + GAP)
        column.setSpacing(SPACE)
        column.addWidget(self.bar)
        row = QHBoxLayout()
        row.setSpacing(SPACE)
        row.addWidget(self.who)
        row.addWidget(self.options)
        row.addWidget(self.line, 1)
        for name, made in self.buttons.items():
            made.clicked.connect(getattr(self, name))
            row.addWidget(made)
        column.addLayout(row)

    def _options(self) -> None:
        self.options = QToolButton()
        self.options.setText(translate("upload.options"))
        self.options.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.options)
        self.create_project = _tick(menu, translate("upload.create_project"))
        self.anonymise = _tick(menu, translate("upload.anonymise"))
        self.map_uids = _tick(menu, translate("upload.map_uids"))
        self.direct = _tick(menu, translate("upload.direct"))
        self.raw_action = _tick(menu, translate("upload.raw"))
        menu.addSeparator()
        self.repair = _tick(menu, translate("upload.repair"))
        self.accept = _tick(menu, translate("upload.accept"))
        self.map_uids.setEnabled(False)
        self.anonymise.toggled.connect(self.map_uids.setEnabled)
        self.raw_action.triggered.connect(self._choose_raw)
        self.options.setMenu(menu)

    def _choose_raw(self, wanted: bool) -> None:
        self.raw = None
        if wanted:
            chosen = QFileDialog.getExistingDirectory(
                self, translate("upload.choose_raw"), str(preferences.last_folder())
            )
            self.raw = Path(chosen) if chosen else None
        self.raw_action.setChecked(self.raw is not None)
        self.raw_action.setText(
            translate("upload.raw_from", folder=self.raw.name)
            if self.raw
            else translate("upload.raw")
        )

    def choices(self) -> work.UploadChoices:
        """Return how to upload."""
        return work.UploadChoices(
            create_project=self.create_project.isChecked(),
            anonymise=self.anonymise.isChecked(),
            map_uids=self.map_uids.isChecked() and self.map_uids.isEnabled(),
            direct=self.direct.isChecked(),
            raw=self.raw,
            repair=self.repair.isChecked(),
            accept_changes=self.accept.isChecked(),
        )

    def take_back_words(self) -> None:
        """Untick what a person allowed for one run: the next one asks for it anew."""
        self.repair.setChecked(False)
        self.accept.setChecked(False)

    def set_account(self, account: Account | None) -> None:
        """Say who is logged in, and where."""
        text = translate("upload.nobody")
        if account is not None:
            text = translate(
                "upload.who", user=account.connection.user, host=account.connection.host
            )
        self.who.setText(text)
        self.who.setAccessibleName(text)

    def set_failed(self, count: int, *, all_sent: bool, proved: bool) -> None:
        """Say how many rows did not get through, and whether all are on the server, and proved."""
        self._failed, self._all_sent, self._proved = count, all_sent, proved
        self._show()

    def show_state(self, state: str, line: str = "") -> None:
        """Show what can be done.

        Parameters
        ----------
        state : str
            ``edit``, ``checking``, ``sending``, ``paused``, ``stopping``, ``verifying`` or
            ``ended`` (something was sent).
        """
        self._state = state
        self.line.setText(line)
        if state in ("checking", "stopping"):
            self.bar.setRange(0, 0)
        elif state in ("sending", "verifying"):
            self.bar.setRange(0, _FULL)
        self._show()

    def _show(self) -> None:
        state = self._state
        if not state:
            return
        works = state in ("checking", "sending", "paused", "stopping", "verifying")
        self.bar.setVisible(works)
        self.options.setVisible(not works)
        self.who.setVisible(not works)
        shown = {
            "check": not works,
            "upload": not works,
            "verify": state == "ended",
            "report": state == "ended",
            "retry": state == "ended" and self._failed > 0,
            "pause": state in ("sending", "paused"),
            "stop": works,
        }
        for name, made in self.buttons.items():
            made.setVisible(shown[name])
        # One primary action: what comes next.
        first = "upload"
        if state == "ended" and self._all_sent:
            first = "report" if self._proved else "verify"
        elif state == "ended" and self._failed:
            first = "retry"
        for name in ("upload", "verify", "report", "retry"):
            _emphasise(self.buttons[name], name == first)
        self.buttons["stop"].setEnabled(state != "stopping")
        paused = state == "paused"
        self.buttons["pause"].setText(
            translate("upload.resume") if paused else translate("upload.pause")
        )
        self.buttons["retry"].setText(translate("upload.retry", n=self._failed))

    def progress(self, one: Progress) -> None:
        """Show bytes, rate, and the remaining time."""
        if self._state not in ("sending", "verifying"):
            return
        share = one.bytes_done / one.bytes_total if one.bytes_total else 0.0
        self.bar.setValue(round(min(share, 1.0) * _FULL))
        parts = [
            translate(
                "upload.bytes", done=size_text(one.bytes_done), total=size_text(one.bytes_total)
            )
        ]
        if one.bytes_per_s >= 1:
            parts.append(translate("upload.rate", rate=size_text(one.bytes_per_s)))
        if one.remaining_s is not None and one.bytes_done < one.bytes_total:
            parts.append(translate("upload.left", time=time_text(one.remaining_s)))
        self.line.setText(" · ".join(parts))


def _emphasise(made: QPushButton, primary: bool) -> None:
    role = "primary" if primary else ""
    if made.property("role") != role:
        made.setProperty("role", role)
        made.style().unpolish(made)
        made.style().polish(made)


def _tick(menu: QMenu, text: str) -> QAction:
    action = menu.addAction(text)
    action.setCheckable(True)
    return action
