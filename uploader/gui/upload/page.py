"""The upload page: server, folder, plan; what is done with a plan is in `run`."""

from pathlib import Path
from typing import Any

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QMessageBox, QStackedWidget, QVBoxLayout, QWidget

from xnat_pic.errors import CancelledError, LoginError

from .. import preferences, worker
from ..page import Notice, Page
from ..translation import translate
from . import work
from .folder_step import FolderStep
from .logins import Account
from .plan_step import PlanStep
from .run import PlanRun
from .server_step import ServerStep
from .states import of_journal
from .table import PlanTable
from .wording import window_error_text


class UploadPage(Page):
    """From a folder to sessions on the server."""

    def __init__(self) -> None:
        super().__init__()
        self.account: Account | None = None
        self.run: PlanRun | None = None
        self._action = ""
        self._wanted: Path | None = None
        self._resume_upload: list[str] | None = None
        self._opening: worker.Task | None = None
        self.config = work.site()
        self.server, self.folder = ServerStep(), FolderStep()
        self.table = PlanTable(self.config)
        self.plan = PlanStep(self.table)
        self.stack = QStackedWidget()
        for step in (self.server, self.folder, self.plan):
            self.stack.addWidget(step)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.stack)
        for step in (self.server, self.folder):
            step.notified.connect(self._notify)
        self.server.entered.connect(self._entered)
        self.server.skipped.connect(self._go_on)
        self.folder.made.connect(self._opened)
        self.plan.foot.server.connect(self.ask_server)
        self._asked = False

    def title(self) -> str:
        """Return the page's title."""
        return translate("upload.title")

    def enter(self, argument: Any = None) -> None:
        """Take a folder, or a plan to go on with; None keeps what is there."""
        if isinstance(argument, str | Path):
            place = Path(argument)
            if self.run is not None and self.run.working:
                self._notify(Notice(translate("upload.still_sending"), "warning"))
                return
            self._wanted = place
            self._leave_plan()
        elif self.run is not None:
            return
        if not self._asked:
            self._asked = True
            self.server.begin()
        elif self.account is not None or self.stack.currentWidget() is not self.server:
            self._go_on()

    def close_down(self) -> bool:
        """Ask before an upload is interrupted; the plan goes on another day."""
        if self.run is None:
            return True
        if self.run.working and not self._may_stop():
            return False
        self.run.close()
        return True

    def _may_stop(self) -> bool:
        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(translate("upload.close_title"))
        box.setText(translate("upload.close_title"))
        box.setInformativeText(translate("upload.close_says"))
        stop = box.addButton(translate("upload.close_stop"), QMessageBox.ButtonRole.AcceptRole)
        stay = box.addButton(translate("upload.close_stay"), QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(stay)
        box.setEscapeButton(stay)
        box.exec()
        return box.clickedButton() is stop

    def notice_action(self) -> None:
        """Do what the band offers."""
        action, self._action = self._action, ""
        self._notify(None)
        if action == "continue" and self.folder.existing is not None:
            self._open(self.folder.existing)
        elif action == "open" and self._wanted is not None:
            self._open(self._wanted)
        elif self.run is not None:
            self.run.do(action)

    def _notify(self, notice: Notice | None, action: str = "") -> None:
        if notice is not None and notice.action and not action:
            action = "continue"
        self._action = action
        self.notice.emit(notice)

    # From step to step

    def _show(self, step: QWidget) -> None:
        self.stack.setCurrentWidget(step)

    def ask_server(self) -> None:
        """Show the step where somebody logs in."""
        if self.run is not None and self.run.working:
            return
        self._show(self.server)
        self.server.focus_first()

    def _entered(self, account: Account) -> None:
        self.account = account
        self.folder.set_projects(account.projects)
        self.plan.foot.set_account(account)
        self._notify(None)
        self._go_on()

    def _go_on(self) -> None:
        """Show the next step that has something to do."""
        if self.run is not None:
            self.run.account = self.account
            self._show(self.plan)
            keys, self._resume_upload = self._resume_upload, None
            if keys is not None and self.account is not None:
                self.run.upload(keys)
            return
        self._show(self.folder)
        place, wanted = self._wanted, self._wanted
        if place is not None and wanted is not None:
            if place.is_file():
                self._open(place)
            else:
                self._wanted = None
                self.folder.read(place)
        else:
            self.folder.choose.setFocus()

    def _open(self, path: Path) -> None:
        """Go on with a plan."""
        if self._opening is not None and self._opening.running:
            return
        self._wanted = path
        self._opening = worker.start(work.open_plan, path, self.config)
        self.folder.show_opening(path, self._opening)
        self._opening.result.connect(self._opened)
        self._opening.failed.connect(self._not_opened)

    def _not_opened(self, error: Exception) -> None:
        if not isinstance(error, CancelledError):
            self._notify(
                Notice(window_error_text(error), "bad", translate("upload.try_again")), "open"
            )

    def _opened(self, opened: work.OpenedPlan) -> None:
        self._wanted = None
        preferences.remember_plan(opened.path)
        states = {key: of_journal(*known) for key, known in opened.states.items()}
        self.table.set_plan(opened.plan, states)
        self.plan.show_plan(opened.plan, opened.path.name)
        self.plan.foot.set_account(self.account)
        self.plan.foot.create_project.setChecked(self.folder.create_project.isChecked())
        self.run = PlanRun(opened, self.table, self.plan)
        self.run.account = self.account
        self.run.notified.connect(self._notify)
        self.run.login_needed.connect(self._login_needed)
        self.run.report_written.connect(self.open_report)
        self._notify(None)
        self._show(self.plan)

    def _leave_plan(self) -> None:
        if self.run is not None:
            self.run.close()
            self.run = None

    def _login_needed(self, error: LoginError | None, keys: list[str] | None) -> None:
        """Ask for a login, and go on afterwards with the rows that were to be sent."""
        self._resume_upload = keys
        self.account = None
        self.plan.foot.set_account(None)
        self._show(self.server)
        if error is not None:
            self.server.again(error)
        else:
            self._notify(Notice(translate("upload.log_in_first"), "info"))
            self.server.focus_first()

    def open_report(self, page: Path) -> None:
        """Show the report in the browser."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(page)))
