"""What is done with a plan in hand: keep it, check it, send it, verify it, report it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from xnat_pic.errors import CancelledError, LoginError

from ... import (
    Outcome,
    Plan,
    Progress,
    RowCheck,
    RowVerification,
    RunControl,
    UploadResult,
    VerificationLevel,
)
from .. import worker
from ..page import Notice
from ..translation import translate
from . import work
from .logins import Account
from .plan_step import PlanStep
from .states import (
    FAILED,
    HALTED,
    PROVED,
    SENDING,
    STOPPED,
    UNPROVED,
    WAITING,
    of_check,
    of_result,
    of_verification,
)
from .table import PlanTable
from .wording import window_error_text, window_text

_KEEP_AFTER_MS = 400
_SHOW_EVERY_MS = 100
_CLOSE_WAIT_S = 10.0


class PlanRun(QObject):
    """The work on one plan.

    Attributes
    ----------
    notified : signal (`Notice` or None, str)
        Something for the band, and what its button does.
    login_needed : signal (`LoginError` or None, list of str or None)
        Nobody is logged in, or not any more; the keys of rows that wait for it.
    report_written : signal (Path)
        The page.
    working : bool
        Something runs that a closing window would interrupt.
    """

    notified = Signal(object, str)
    login_needed = Signal(object, object)
    report_written = Signal(object)

    def __init__(self, opened: work.OpenedPlan, table: PlanTable, step: PlanStep) -> None:
        super().__init__()
        self.opened, self.table, self.step = opened, table, step
        self.account: Account | None = None
        self.working = False
        self.ended = bool(opened.states)
        self._control = RunControl()
        self._is_saving = False
        self._dirty = False
        self._saving: worker.Task | None = None
        self._task: worker.Task | None = None
        self._waiting: list[str] = []
        self._news: dict[str, Any] = {}
        self._timer = QTimer(self, singleShot=True, interval=_KEEP_AFTER_MS)
        self._timer.timeout.connect(self._save)
        self._pulse = QTimer(self, interval=_SHOW_EVERY_MS)
        self._pulse.timeout.connect(self._show_news)
        self._links: list[tuple[Any, Callable[..., None]]] = [
            (table.edited, self._edited),
            (step.foot.check, self.check),
            (step.foot.upload, self._upload_all),
            (step.foot.verify, self.verify),
            (step.foot.report, self.report),
            (step.foot.retry, self.retry),
            (step.foot.pause, self.pause),
            (step.foot.stop, self.stop),
            (step.send.clicked, self._upload_selected),
        ]
        for signal, slot in self._links:
            signal.connect(slot)
        self._rest()

    def close(self) -> None:
        """Stop what runs, keep the plan and let go of it."""
        for signal, slot in self._links:
            signal.disconnect(slot)
        self._links = []
        self._control.cancel()
        self._timer.stop()
        self._pulse.stop()
        if self._saving is not None:
            self._saving.wait(_CLOSE_WAIT_S)
        if self._dirty:
            worker.start(work.recheck, self.plan, self.opened.config, self.opened.path).wait(
                _CLOSE_WAIT_S
            )
        if self.working and self._task is not None:
            self._task.ended.connect(self.opened.journal.close)
        else:
            self.opened.journal.close()

    @property
    def plan(self) -> Plan:
        """The plan as its table stands now."""
        return replace(self.opened.plan, rows=self.table.rows)

    # Keeping it

    def _edited(self) -> None:
        self._dirty = True
        self._timer.start()

    def _save(self) -> None:
        """Check the rows and write the plan; once more if it changed meanwhile."""
        if self._is_saving:
            return
        self._is_saving, self._dirty = True, False
        task = worker.start(work.recheck, self.plan, self.opened.config, self.opened.path)
        self._saving = task
        task.result.connect(self._saved)
        task.failed.connect(self._not_saved)

    def _saved(self, plan: Plan) -> None:
        self._is_saving = False
        if self._dirty:
            self._timer.start()
        else:
            self.table.set_findings(plan.rows)

    def _not_saved(self, error: Exception) -> None:
        self._is_saving, self._dirty = False, True
        self.notified.emit(
            Notice(window_error_text(error), "bad", translate("upload.try_again")), "keep"
        )

    def save_again(self) -> None:
        """Try again to write the plan."""
        self._save()

    # Comparing and sending

    def check(self) -> None:
        """Compare all rows with the server."""
        task = self._start("checking", work.compare, self.plan, self.step.foot.choices())
        if task is not None:
            task.result.connect(self._checked)

    def _checked(self, rows: list[RowCheck]) -> None:
        self.table.set_states({one.row.key: of_check(one) for one in rows})
        bad = sum(one.has_errors for one in rows)
        files = sum(one.missing for one in rows if not one.has_errors)
        if bad:
            text, tone = translate("upload.checked_bad", n=bad), "warning"
        elif files:
            text, tone = translate("upload.checked", n=files), "good"
        else:
            text, tone = translate("upload.checked_same"), "good"
        self.notified.emit(Notice(text, tone), "")  # type: ignore[arg-type]
        self._rest()

    def _upload_all(self) -> None:
        self.upload()

    def _upload_selected(self) -> None:
        self.upload(self.step.keys())

    def retry(self) -> None:
        """Send the rows again that failed or were stopped."""
        self.upload(self.failed())

    def failed(self) -> list[str]:
        """Return the keys of rows that did not get through."""
        wrong = (FAILED, STOPPED, UNPROVED)
        rows = self.table.rows
        return [r.key for r in rows if r.include and self.table.state(r.key).key in wrong]

    def upload(self, keys: list[str] | None = None) -> None:
        """Send rows; by default all that are not left out."""
        chosen = [row.key for row in self.table.rows if row.include]
        if keys is not None:
            wanted = set(keys)
            chosen = [key for key in chosen if key in wanted]
        if not chosen:
            self.notified.emit(Notice(translate("upload.no_rows"), "warning"), "")
            return
        task = self._start(
            "sending", work.send, self.plan, self.step.foot.choices(), chosen, waiting=chosen
        )
        if task is None:
            return
        self.ended = True
        self._waiting = chosen
        self.table.set_states(dict.fromkeys(chosen, WAITING))
        task.progress.connect(self._report)
        task.result.connect(self._sent)

    def _report(self, value: Any) -> None:
        if isinstance(value, Progress):
            self.step.foot.progress(value)
        elif value[0] == "begin":
            self._news[value[1].key] = SENDING
        else:
            self._news[value[1].row.key] = of_result(value[1])

    def _show_news(self) -> None:
        if self._news:
            news, self._news = self._news, {}
            self.table.set_states(news)

    def _sent(self, result: UploadResult) -> None:
        self._show_news()
        self.table.set_states({one.row.key: of_result(one) for one in result.rows})
        self.step.foot.take_back_words()
        logins = [one.error for one in result.rows if isinstance(one.error, LoginError)]
        self._rest()
        if logins:
            self._control = RunControl()
            self.login_needed.emit(logins[0], self.failed())
            return
        notice, action = self._result_notice(result)
        self.notified.emit(notice, action)

    def _result_notice(self, result: UploadResult) -> tuple[Notice, str]:
        ends = [one.outcome for one in result.rows]
        good = ends.count(Outcome.DONE) + ends.count(Outcome.NOTHING_TO_DO)
        bad = ends.count(Outcome.FAILED) + ends.count(Outcome.PARTIAL)
        stopped = ends.count(Outcome.STOPPED)
        if stopped:
            return Notice(
                translate("upload.sent_stopped", n=good), "warning", translate("upload.go_on")
            ), "go"
        if bad or result.problems:
            problems = [one.sentence() for one in result.problems]
            problems += list(dict.fromkeys(one.reason for one in result.rows
                                       if one.outcome is Outcome.PARTIAL or one.error))  # fmt: skip
            first = window_text(problems[0]) if problems else translate("upload.see_rows")
            text = translate("upload.sent_part", good=good, bad=bad, why=first)
            return Notice(text, "bad", translate("upload.try_again")), "go"
        return Notice(
            translate("upload.sent", n=good), "good", translate("upload.verify")
        ), "verify"

    # Afterwards

    def verify(self) -> None:
        """Prove that everything is there."""
        task = self._start("verifying", work.verify_plan, self.plan, self.step.foot.choices())
        if task is not None:
            task.progress.connect(self._report)
            task.result.connect(self._proved)

    def _proved(self, found: tuple[list[RowVerification], list[str]]) -> None:
        verifications, problems = found
        self.table.set_states({one.row.key: of_verification(one) for one in verifications})
        self.step.foot.take_back_words()
        bad = sum(one.level is VerificationLevel.NONE for one in verifications)
        self._rest()
        if bad or problems:
            why = window_text(problems[0]) if problems else translate("upload.see_rows")
            self.notified.emit(Notice(translate("upload.proved_part", n=bad, why=why), "bad"), "")
        elif counted := sum(one.level is VerificationLevel.COUNTED for one in verifications):
            text = translate("upload.proved_counted", n=counted)
            self.notified.emit(Notice(text, "warning", translate("upload.report")), "report")
        else:
            text = translate("upload.proved", n=len(verifications))
            self.notified.emit(Notice(text, "good", translate("upload.report")), "report")

    def report(self) -> None:
        """Write the report, and show it."""
        task = worker.start(work.make_report, self.opened, self.plan)
        task.result.connect(self.report_written)
        task.failed.connect(self._failed)

    def pause(self) -> None:
        """Pause after what is being sent, or go on."""
        if self._control.is_paused:
            self._control.resume()
            self.step.foot.show_state("sending")
        else:
            self._control.pause()
            self.step.foot.show_state("paused", translate("upload.paused"))

    def stop(self) -> None:
        """Stop; what is done stays."""
        self._control.cancel()
        self.step.foot.show_state("stopping", translate("upload.stopping"))

    def do(self, action: str) -> None:
        """Do what a notice offered."""
        actions = {"keep": self.save_again, "go": self.retry, "verify": self.verify,
                   "report": self.report}  # fmt: skip
        if action in actions and not self.working:
            actions[action]()

    def _start(
        self, state: str, function: Callable[..., Any], plan: Plan, *more: Any,
        waiting: list[str] | None = None,
    ) -> worker.Task | None:  # fmt: skip
        if self.working:
            return None
        if self.account is None:
            self.login_needed.emit(None, waiting)
            return None
        self.working = True
        self._control = RunControl()
        self.table.locked = True
        self.notified.emit(None, "")
        self.step.refresh()
        first = {"checking": "upload.comparing", "sending": "upload.comparing",
                 "verifying": "upload.proving"}[state]  # fmt: skip
        self.step.foot.show_state(state, translate(first))
        self._pulse.start()
        task = worker.start(function, self.opened, plan, self.account, self._control, *more)
        self._task = task
        task.failed.connect(self._failed)
        return task

    def _failed(self, error: Exception) -> None:
        """Say what went wrong, and keep the rows that waited ready to be sent."""
        self._show_news()
        waiting = [k for k in self._waiting if self.table.state(k) in (WAITING, SENDING)]
        self._waiting = []
        self.table.set_states(dict.fromkeys(waiting, HALTED))
        self._rest()
        if isinstance(error, LoginError):
            self.login_needed.emit(error, waiting or None)
        elif isinstance(error, CancelledError):
            self.notified.emit(Notice(translate("upload.stopped"), "info"), "")
        else:
            offer = translate("upload.try_again") if waiting else ""
            self.notified.emit(
                Notice(window_error_text(error), "bad", offer), "go" if waiting else ""
            )

    def _rest(self) -> None:
        """Nothing runs any more."""
        self.working = False
        self._pulse.stop()
        self.table.locked = False
        rows = [self.table.state(row.key) for row in self.table.rows if row.include]
        sent = bool(rows) and all(one.tone == "good" or one.key in PROVED for one in rows)
        self.step.foot.set_failed(
            len(self.failed()), all_sent=sent, proved=all(one.key in PROVED for one in rows)
        )
        self.step.foot.show_state("ended" if self.ended else "edit")
        self.step.refresh()
