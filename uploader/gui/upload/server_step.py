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
from xnat_pic.errors import LoginError, XnatPicError

from ... import LoginStore
from .. import preferences, worker
from ..page import Notice
from ..theme import MARGIN, SPACE, WIDE, label
from ..translation import translate
from . import logins
from .parts import button, card, field, foot, set_tone
from .wording import window_error_text


class ServerStep(QWidget):
    """Server, user and password; or a login that was kept.

    Attributes
    ----------
    entered : signal (`logins.Account`)
        Somebody is logged in.
    skipped : signal
        The plan comes first.
    notified : signal (`Notice` or None)
        Something for the band.
    """

    entered = Signal(object)
    skipped = Signal()
    notified = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._login_status: logins.LoginStatus | None = None
        self._store = LoginStore.MEMORY
        self._number = 0
        self.busy = False
        self._build()
        for edit in (self.server, self.user):
            edit.textChanged.connect(self._refresh_controls)
        for edit in (self.password, self.passphrase):
            edit.textChanged.connect(self._refresh_controls)
        for edit in (self.server, self.user, self.password, self.passphrase, self.method):
            edit.returnPressed.connect(self.enter)
        self.remember.toggled.connect(self._refresh_controls)
        self.log_in.clicked.connect(self.enter)
        self.later.clicked.connect(self.skipped)
        self._refresh_controls()

    def _build(self) -> None:
        frame, column = card()
        frame.setMaximumWidth(520)
        self.server, self.user = QLineEdit(), QLineEdit()
        self.password, self.passphrase = QLineEdit(), QLineEdit()
        self.server.setPlaceholderText(translate("upload.server_example"))
        for edit in (self.password, self.passphrase):
            edit.setEchoMode(QLineEdit.EchoMode.Password)
        self.remember = QCheckBox(translate("upload.remember"))
        self.where = label("", "soft", wrap=True)
        self.plain = label("", "warning", wrap=True)
        self.log_in = button(translate("upload.log_in"), "primary")
        self.later = button(translate("upload.later"), "quiet")
        self.progress = QProgressBar(textVisible=False, maximum=0)
        self.progress.setAccessibleName(translate("upload.asking_server"))
        self.progress.hide()
        self.title = label(translate("upload.server_title"), "title")
        column.addLayout(field(translate("upload.server"), self.server))
        column.addWidget(self.plain)
        self.trust = self._certificates()
        column.addWidget(self.trust)
        column.addLayout(field(translate("upload.user"), self.user))
        column.addLayout(field(translate("upload.password"), self.password))
        column.addWidget(self._method())
        column.addWidget(self.remember)
        self.secret = QWidget()
        inner = QVBoxLayout(self.secret)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addLayout(field(translate("upload.passphrase"), self.passphrase))
        column.addWidget(self.secret)
        column.addWidget(self.where)
        column.addWidget(self.progress)
        middle = QVBoxLayout()
        middle.setSpacing(SPACE)
        middle.addStretch(1)
        middle.addWidget(self.title)
        middle.addWidget(label(translate("upload.server_says"), "soft", wrap=True))
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

    def _method(self) -> QWidget:
        """Return the field that is shown once a login was refused: a directory has a method."""
        self.method = QLineEdit()
        self.method.setPlaceholderText(translate("upload.method_example"))
        self.directory = QWidget()
        inner = QVBoxLayout(self.directory)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addLayout(field(translate("upload.method"), self.method))
        self.directory.hide()
        return self.directory

    def _certificates(self) -> QWidget:
        """Return the field that is shown once a server's certificate was not trusted."""
        self.certificates = QLineEdit()
        choose = button(translate("upload.choose_file"))
        choose.clicked.connect(self._choose_certificates)
        line = QWidget()
        row = QHBoxLayout(line)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.certificates, 1)
        row.addWidget(choose)
        holder = QWidget()
        inner = QVBoxLayout(holder)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addLayout(field(translate("upload.certificates"), line))
        self.certificates.setAccessibleName(translate("upload.certificates"))
        holder.hide()
        return holder

    def _choose_certificates(self) -> None:
        found, _ = QFileDialog.getOpenFileName(
            self, translate("upload.certificates"), str(preferences.last_folder())
        )
        if found:
            self.certificates.setText(found)

    def begin(self) -> None:
        """Look for a login that was kept."""
        if self.busy:
            return
        self._wait(True)
        number = self._number
        task = worker.start(logins.restore_login)
        task.result.connect(
            worker.while_alive(self, lambda greeting: self._login_restored(number, greeting))
        )
        task.failed.connect(worker.while_alive(self, lambda error: self._failed(number, error)))

    def _login_restored(self, number: int, greeting: logins.LoginStatus) -> None:
        if number != self._number:
            return
        self._wait(False)
        self._login_status = greeting
        if greeting.connection is not None:
            self.server.setText(greeting.connection.server)
            self.user.setText(greeting.connection.user)
            self.method.setText(greeting.connection.method)
            self.directory.setVisible(bool(greeting.connection.method))
        self._refresh_controls()
        if greeting.account is not None:
            self.entered.emit(greeting.account)
            return
        if greeting.problem is not None:
            self.notified.emit(Notice(window_error_text(greeting.problem), "warning"))
        self.focus_first()

    def focus_first(self) -> None:
        """Put the cursor where the next thing is to be typed."""
        edits = (self.server, self.user, self.password)
        empty = [edit for edit in edits if not edit.text()]
        (empty or [self.password])[0].setFocus(Qt.FocusReason.OtherFocusReason)

    @property
    def unlocking(self) -> bool:
        """Whether a kept login is to be opened with a passphrase, and no password was typed."""
        known = self._login_status
        if known is None or known.connection is None or known.store is not LoginStore.FILE:
            return False
        same = self.server.text().strip() == known.connection.server
        return (
            same
            and self.user.text().strip() == known.connection.user
            and not (self.password.text())
        )

    def _refresh_controls(self) -> None:
        """Say what will happen with the login, and whether it travels in the open."""
        keyring = self._login_status is not None and self._login_status.keyring
        self._store = LoginStore.MEMORY
        if self.remember.isChecked():
            self._store = LoginStore.KEYRING if keyring else LoginStore.FILE
        message_key = {
            LoginStore.MEMORY: "upload.kept_memory",
            LoginStore.KEYRING: "upload.kept_keyring",
            LoginStore.FILE: "upload.kept_file",
        }[self._store]
        if self.unlocking:
            message_key = "upload.kept_unlock"
        self.secret.setVisible(self.unlocking or self._store is LoginStore.FILE)
        self.where.setText(translate(message_key))
        self.plain.setVisible(self._is_plain())
        self.plain.setText(translate("upload.plain_http"))
        ready = bool(self.server.text().strip() and self.user.text().strip())
        secret = self.password.text() or (self.unlocking and self.passphrase.text())
        protected = self._store is not LoginStore.FILE or self.passphrase.text() or self.unlocking
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
        self.notified.emit(None)
        if (
            self.unlocking
            and self._login_status is not None
            and self._login_status.connection is not None
        ):
            task = worker.start(
                logins.unlock, self._login_status.connection, self.passphrase.text()
            )
        else:
            task = worker.start(
                logins.log_in, self.server.text(), self.user.text(), self.password.text(),
                self._store, self.passphrase.text(), self.certificates.text(),
                self.method.text(),
            )  # fmt: skip
        self._wait(True)
        number = self._number
        task.result.connect(
            worker.while_alive(self, lambda account: self._entered(number, account))
        )
        task.failed.connect(worker.while_alive(self, lambda error: self._failed(number, error)))

    def _entered(self, number: int, account: logins.Account) -> None:
        if number == self._number:
            self._wait(False)
            self.password.clear()
            self.passphrase.clear()
            self.entered.emit(account)

    def _failed(self, number: int, error: Exception) -> None:
        if number == self._number:
            self._wait(False)
            self.notified.emit(Notice(window_error_text(error), "bad"))
            if isinstance(error, UntrustedError):
                self.trust.show()
            if isinstance(error, LoginError):
                self.directory.show()
            self.password.setFocus(Qt.FocusReason.OtherFocusReason)
            self.password.selectAll()

    def _wait(self, busy: bool) -> None:
        self._number += 1
        self.busy = busy
        self.progress.setVisible(busy)
        edits = (self.server, self.user, self.password, self.passphrase, self.method)
        for widget in (*edits, self.remember):
            widget.setEnabled(not busy)
        self._refresh_controls()

    def again(self, error: Exception) -> None:
        """Ask for the password anew, because the server refused the login."""
        self._login_status = None
        set_tone(self.title, "title", translate("upload.server_title"))
        self.notified.emit(Notice(window_error_text(error), "bad"))
        self.focus_first()
