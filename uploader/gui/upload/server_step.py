"""Who uploads, and where to."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from xnat_config.server.errors import UntrustedError
from xnat_pic.errors import XnatPicError

from ...login.login_store import Store
from .. import memory, worker
from ..page import Notice
from ..theme import MARGIN, SPACE, WIDE, label
from ..words import say
from . import logins
from .parts import button, card, field, foot, retone
from .wording import told_as


class ServerStep(QWidget):
    """Server, user and password; or a login that was kept.

    Attributes
    ----------
    entered : signal (`logins.Account`)
        Somebody is logged in.
    skipped : signal
        The plan comes first.
    said : signal (`Notice` or None)
        Something for the band.
    """

    entered = Signal(object)
    skipped = Signal()
    said = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._greeting: logins.Greeting | None = None
        self._store = Store.MEMORY
        self._number = 0
        self.busy = False
        self._build()
        for edit in (self.server, self.user):
            edit.textChanged.connect(self._look)
        for edit in (self.password, self.passphrase):
            edit.textChanged.connect(self._look)
        for edit in (self.server, self.user, self.password, self.passphrase):
            edit.returnPressed.connect(self.enter)
        self.remember.toggled.connect(self._look)
        self.log_in.clicked.connect(self.enter)
        self.later.clicked.connect(self.skipped)
        self._look()

    def _build(self) -> None:
        frame, column = card()
        frame.setMaximumWidth(520)
        self.server, self.user = QLineEdit(), QLineEdit()
        self.password, self.passphrase = QLineEdit(), QLineEdit()
        self.server.setPlaceholderText(say("upload.server_example"))
        for edit in (self.password, self.passphrase):
            edit.setEchoMode(QLineEdit.EchoMode.Password)
        self.remember = QCheckBox(say("upload.remember"))
        self.where = label("", "soft", wrap=True)
        self.plain = label("", "warning", wrap=True)
        self.log_in = button(say("upload.log_in"), "primary")
        self.later = button(say("upload.later"), "quiet")
        self.progress = QProgressBar(textVisible=False, maximum=0)
        self.progress.setAccessibleName(say("upload.asking_server"))
        self.progress.hide()
        self.title = label(say("upload.server_title"), "title")
        column.addLayout(field(say("upload.server"), self.server))
        column.addWidget(self.plain)
        self.trust = self._certificates()
        column.addWidget(self.trust)
        column.addLayout(field(say("upload.user"), self.user))
        column.addLayout(field(say("upload.password"), self.password))
        column.addWidget(self.remember)
        self.secret = QWidget()
        inner = QVBoxLayout(self.secret)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addLayout(field(say("upload.passphrase"), self.passphrase))
        column.addWidget(self.secret)
        column.addWidget(self.where)
        column.addWidget(self.progress)
        middle = QVBoxLayout()
        middle.setSpacing(SPACE)
        middle.addStretch(1)
        middle.addWidget(self.title)
        middle.addWidget(label(say("upload.server_says"), "soft", wrap=True))
        middle.addSpacing(SPACE)
        middle.addWidget(frame)
        middle.addStretch(2)
        row = QHBoxLayout()
        row.setContentsMargins(WIDE, MARGIN, WIDE, MARGIN)
        row.addStretch(1)
        row.addLayout(middle, 3)
        row.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addLayout(row, 1)
        outer.addWidget(foot(self.later, None, self.log_in))

    def _certificates(self) -> QWidget:
        """Return the field that is shown once a server's certificate was not trusted."""
        self.certificates = QLineEdit()
        choose = button(say("upload.choose_file"))
        choose.clicked.connect(self._choose_certificates)
        line = QWidget()
        row = QHBoxLayout(line)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.certificates, 1)
        row.addWidget(choose)
        holder = QWidget()
        inner = QVBoxLayout(holder)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addLayout(field(say("upload.certificates"), line))
        self.certificates.setAccessibleName(say("upload.certificates"))
        holder.hide()
        return holder

    def _choose_certificates(self) -> None:
        found, _ = QFileDialog.getOpenFileName(
            self, say("upload.certificates"), str(memory.last_folder())
        )
        if found:
            self.certificates.setText(found)

    def begin(self) -> None:
        """Look for a login that was kept."""
        if self.busy:
            return
        self._wait(True)
        number = self._number
        task = worker.start(logins.greet)
        task.result.connect(lambda greeting: self._greeted(number, greeting))
        task.failed.connect(lambda error: self._failed(number, error))

    def _greeted(self, number: int, greeting: logins.Greeting) -> None:
        if number != self._number:
            return
        self._wait(False)
        self._greeting = greeting
        if greeting.connection is not None:
            self.server.setText(greeting.connection.server)
            self.user.setText(greeting.connection.user)
        self._look()
        if greeting.account is not None:
            self.entered.emit(greeting.account)
            return
        if greeting.problem is not None:
            self.said.emit(Notice(told_as(greeting.problem), "warning"))
        self.focus_first()

    def focus_first(self) -> None:
        """Put the cursor where the next thing is to be typed."""
        edits = (self.server, self.user, self.password)
        empty = [edit for edit in edits if not edit.text()]
        (empty or [self.password])[0].setFocus(Qt.FocusReason.OtherFocusReason)

    @property
    def unlocking(self) -> bool:
        """Whether a kept login is to be opened with a passphrase, and no password was typed."""
        known = self._greeting
        if known is None or known.connection is None or known.store is not Store.FILE:
            return False
        same = self.server.text().strip() == known.connection.server
        return (
            same
            and self.user.text().strip() == known.connection.user
            and not (self.password.text())
        )

    def _look(self) -> None:
        """Say what will happen with the login, and whether it travels in the open."""
        keyring = self._greeting is not None and self._greeting.keyring
        self._store = Store.MEMORY
        if self.remember.isChecked():
            self._store = Store.KEYRING if keyring else Store.FILE
        told = {
            Store.MEMORY: "upload.kept_memory",
            Store.KEYRING: "upload.kept_keyring",
            Store.FILE: "upload.kept_file",
        }[self._store]
        if self.unlocking:
            told = "upload.kept_unlock"
        self.secret.setVisible(self.unlocking or self._store is Store.FILE)
        self.where.setText(say(told))
        self.plain.setVisible(self._is_plain())
        self.plain.setText(say("upload.plain_http"))
        ready = bool(self.server.text().strip() and self.user.text().strip())
        secret = self.password.text() or (self.unlocking and self.passphrase.text())
        protected = self._store is not Store.FILE or self.passphrase.text() or self.unlocking
        self.log_in.setEnabled(bool(ready and secret and protected) and not self.busy)

    def _is_plain(self) -> bool:
        try:
            return logins.connection_of(self.server.text(), "").is_plain
        except XnatPicError:
            return False

    def enter(self) -> None:
        """Log in."""
        if not self.log_in.isEnabled():
            self.focus_first()
            return
        self.said.emit(None)
        if self.unlocking and self._greeting is not None and self._greeting.connection is not None:
            task = worker.start(logins.unlock, self._greeting.connection, self.passphrase.text())
        else:
            task = worker.start(
                logins.log_in, self.server.text(), self.user.text(), self.password.text(),
                self._store, self.passphrase.text(), self.certificates.text(),
            )  # fmt: skip
        self._wait(True)
        number = self._number
        task.result.connect(lambda account: self._entered(number, account))
        task.failed.connect(lambda error: self._failed(number, error))

    def _entered(self, number: int, account: logins.Account) -> None:
        if number == self._number:
            self._wait(False)
            self.password.clear()
            self.passphrase.clear()
            self.entered.emit(account)

    def _failed(self, number: int, error: Exception) -> None:
        if number == self._number:
            self._wait(False)
            self.said.emit(Notice(told_as(error), "bad"))
            if isinstance(error, UntrustedError):
                self.trust.show()
            self.password.setFocus(Qt.FocusReason.OtherFocusReason)
            self.password.selectAll()

    def _wait(self, busy: bool) -> None:
        self._number += 1
        self.busy = busy
        self.progress.setVisible(busy)
        for widget in (self.server, self.user, self.password, self.passphrase, self.remember):
            widget.setEnabled(not busy)
        self._look()

    def again(self, error: Exception) -> None:
        """Ask for the password anew, because the server refused the login."""
        self._greeting = None
        retone(self.title, "title", say("upload.server_title"))
        self.said.emit(Notice(told_as(error), "bad"))
        self.focus_first()
