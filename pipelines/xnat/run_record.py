"""What a run tells the server about itself: what it does, how far it is, how it ended, by mail."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from xnat_config.server.errors import RefusedError
from xnat_config.server.mail import send_mail
from xnat_config.server.workflows import (
    SIGN_S,
    list_workflows,
    sign_of_life,
    update_workflow,
)
from xnat_pic.errors import XnatPicError, describe

from .client import Access, RunClient

Report = Callable[[str], None]
_MOST_OFTEN_S = 5.0  # between two messages of progress
_LAST_WAIT_S = 5.0
# What is told is not worth a long wait: neither a run's beginning nor its end hangs on it.
_MOST_ATTEMPTS = 3
_READ_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Started:
    """Who started a run, as far as the run has to know.

    Attributes
    ----------
    workflow : str
        Number of the server's record of it; empty for none.
    mail_to : str
        Address of a person who is told how it ended; empty for nobody. The Container Service mails
        by itself.
    by_engine : bool
        Whether the classic engine runs it. It leaves the field ``details`` to the step, which the
        Container Service overwrites.
    """

    workflow: str = ""
    mail_to: str = ""
    by_engine: bool = False


class RunRecord:
    """The server's record of a run, kept up to date while the block runs.

    Signs of life are sent from a thread of their own, with a client of its own: they do not wait
    for the work, and the work does not wait for them. A server that never took one is left alone
    after the first refusal; one that took some is told on, since a run that falls silent is taken
    for dead.

    Parameters
    ----------
    access : Access
        The server.
    started : Started
        Which record.
    report : callable
        Told a line where something could not be told to the server.
    now : callable
        The present time.
    often_s, sign_s : float
        Seconds between two messages at least, and at most.
    """

    def __init__(
        self,
        access: Access,
        started: Started,
        report: Report,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        often_s: float = _MOST_OFTEN_S,
        sign_s: float = SIGN_S,
    ) -> None:
        self._access, self._started, self._report = _impatient(access), started, report
        self._now, self._often_s, self._sign_s = now, often_s, sign_s
        self._doing, self._share = "", 0.0
        self._was_taken = self._was_refused = False
        self._over, self._changed = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> RunRecord:
        """Begin to give signs of life."""
        if self._started.workflow:
            self._thread = threading.Thread(target=self._keep_telling, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give no more."""
        self._over.set()
        self._changed.set()
        if self._thread is not None:
            self._thread.join(_LAST_WAIT_S)

    def progress(self, share: float, doing: str) -> None:
        """Note how much is done, 0 to 1, and what is done now."""
        self._share, self._doing = min(max(share, 0.0), 1.0), doing
        self._changed.set()

    def _keep_telling(self) -> None:
        try:
            with RunClient(self._access) as client:
                while not self._over.is_set():
                    self._changed.wait(self._sign_s)
                    self._changed.clear()
                    if self._over.is_set() or not self._tell(client):
                        return
                    self._over.wait(self._often_s)
        except XnatPicError as error:
            self._report(f"The server is not told how far the run is. {describe(error)}")

    def _tell(self, client: RunClient) -> bool:
        """Tell what is done now; a fault of the line is left to the next sign."""
        said = sign_of_life(self._doing or "Working", self._now())
        percent = f"{100 * self._share:.0f}"
        try:
            update_workflow(
                client, self._started.workflow, step_description=said, percentageComplete=percent
            )
            self._was_taken = True
        except RefusedError as error:
            if not self._was_refused:
                self._report(f"The server takes no progress of this run. {describe(error)}")
            self._was_refused = True
            return self._was_taken
        except XnatPicError:
            pass
        return True

    def close(self, subject: str, text: str, details: str, *, failed: bool) -> None:
        """Tell how the run ended: in the record, and by mail where it did not fail.

        The classic engine mails a failure by itself. The Container Service mails by itself, too,
        and overwrites the reason, but leaves how far the run came. What cannot be told is reported,
        and no fault of the run.

        Parameters
        ----------
        subject, text : str
            Of the mail.
        details : str
            The reason of a failure or a warning, for the page of the run; empty for none.
        """
        by_engine = self._started.by_engine
        if not by_engine and (failed or not self._was_taken):
            return
        try:
            with RunClient(self._access) as client:
                if not by_engine:
                    self._try("page", lambda: self._finish(client))
                    return
                if details and self._started.workflow:
                    self._try("page", lambda: self._detail(client, details))
                if self._started.mail_to and not failed:
                    to = self._started.mail_to
                    self._try("mail", lambda: send_mail(client, to, subject, text))
        except XnatPicError as error:
            self._report(f"The server was not told how the run ended. {describe(error)}")

    def _finish(self, client: RunClient) -> None:
        number = self._started.workflow
        update_workflow(client, number, step_description="Done", percentageComplete="100")

    def _detail(self, client: RunClient, details: str) -> None:
        update_workflow(client, self._started.workflow, details=details)

    def _try(self, what: str, call: Callable[[], None]) -> None:
        try:
            call()
        except XnatPicError as error:
            self._report(f"The server took no {what} of how the run ended. {describe(error)}")


def end_dead_runs(access: Access, pipeline: str, session: str, own: str, report: Report) -> None:
    """Close the records of earlier runs of a pipeline on a session that died without saying so.

    XNAT starts nothing on a session while one of its runs is open.

    Parameters
    ----------
    pipeline, session : str
        Name of the pipeline and ID of the session.
    own : str
        Number of the record of this run.
    report : callable
        Told a line for each.
    """
    now = datetime.now(UTC)
    try:
        with RunClient(_impatient(access)) as client:
            for one in list_workflows(client, pipeline, session):
                if one.pipeline != pipeline or one.number == own or not one.is_dead(now):
                    continue
                said = f"It gave no sign of life since {one.last_sign:%Y-%m-%d %H:%M} UTC."
                report(f"note: an earlier run of {one.launched} ended without saying so. {said}")
                update_workflow(client, one.number, status="Failed", details=said)
    except XnatPicError as error:
        report(f"note: earlier runs could not be looked at. {describe(error)}")


def _impatient(access: Access) -> Access:
    """Return the same access with less patience."""
    retry = replace(access.retry, attempts=min(access.retry.attempts, _MOST_ATTEMPTS))
    wait = min(access.read_timeout_s, _READ_TIMEOUT_S)
    return replace(access, retry=retry, read_timeout_s=wait)
