"""The one helper that runs work beside the window, in a thread or in a process of its own."""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from PySide6.QtCore import QCoreApplication, QObject, Qt, QTimer, Signal, Slot
from shiboken6 import isValid

from .child_process import FAILED, REPORT, RESULT, STOPPED, TaskHandle, TaskStopped, run_in_child

# How long one turn may hand out reports before the window gets its turn again.
_TURN_SECONDS = 0.02
_POLL_SECONDS = 0.05

_running: set["Task"] = set()


def while_alive(owner: QObject, call: Callable[..., object]) -> Callable[..., None]:
    """Return a call that does nothing once its owner is gone.

    Qt forgets a method of an object that it deletes, but not a function that holds one: what a
    task hands back late would reach a part of a window that was closed.
    """

    def guarded(*values: object) -> None:
        if isValid(owner):
            call(*values)

    return guarded


class Task(QObject):
    """Work that goes on beside the window; all signals arrive in the window's thread.

    Attributes
    ----------
    progress : signal
        Each value that the work reported, in order.
    result : signal
        What the function returned.
    failed : signal
        The exception that it raised (`error_texts.error_text` gives the message).
    stopped : signal
        It was cancelled and handed nothing back.
    ended : signal
        Last, once, after exactly one of `result`, `failed` and `stopped`.
    """

    progress = Signal(object)
    result = Signal(object)
    failed = Signal(object)
    stopped = Signal()
    ended = Signal()
    _wake = Signal()

    def __init__(self, kill_after: float | None = None) -> None:
        super().__init__()
        self._cancel = threading.Event()
        self._mail: deque[tuple[str, Any]] = deque()
        self._lock = threading.Lock()
        self._awake = False
        self._done = False
        self._over = threading.Event()
        self._kill_after = kill_after
        self._wake.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    @property
    def running(self) -> bool:
        """True until `ended`."""
        return not self._done

    @property
    def cancelling(self) -> bool:
        """True once `cancel` was called."""
        return self._cancel.is_set()

    def cancel(self) -> None:
        """Ask the work to stop; it says itself when it has."""
        self._cancel.set()

    def wait(self, seconds: float) -> bool:
        """Wait until the work itself is over (its signals come later); for closing and tests."""
        return self._over.wait(seconds)

    def run_here(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> None:
        """Do the work in the calling thread."""
        handle = TaskHandle(lambda value: self._post(REPORT, value), self._cancel.is_set)
        try:
            value = function(handle, *arguments, **keywords)
        except TaskStopped:
            self._finish(STOPPED, None)
        except Exception as error:  # every fault becomes a message in the window
            self._finish(FAILED, error)
        else:
            self._finish(RESULT, value)

    def run_aside(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> None:
        """Do the work in a child process, and pass on what it sends."""
        context = get_context("spawn")
        messages, theirs = context.Pipe(duplex=False)
        orders, ours = context.Pipe(duplex=False)
        process = context.Process(
            target=run_in_child, args=(theirs, orders, function, arguments, keywords)
        )
        try:
            process.start()
        except Exception as error:  # arguments that cannot cross, or no process to be had
            self._finish(FAILED, error)
            return
        theirs.close()
        orders.close()
        try:
            word, value = self._listen(messages, ours)
        except OSError as error:  # the process went while it was told to stop
            word, value = FAILED, error
        if process.is_alive() and self._overdue(time.monotonic()):
            process.kill()
        self._finish(word, value)
        # The window need not wait until the interpreter of the child has tidied up.
        process.join()
        messages.close()
        ours.close()

    def _listen(self, messages: Connection, orders: Connection) -> tuple[str, Any]:
        """Pass on reports until the last word; return it."""
        self._asked = 0.0
        while True:
            now = time.monotonic()
            if self._cancel.is_set() and not self._asked:
                self._asked = now
                orders.send("stop")
            if self._overdue(now):
                return STOPPED, None
            try:
                if not messages.poll(_POLL_SECONDS):
                    continue
                word, value = messages.recv()
            except (EOFError, OSError):
                if self._cancel.is_set():
                    return STOPPED, None
                return FAILED, ChildProcessError("ended early")
            if word != REPORT:
                return word, value
            self._post(word, value)

    def _overdue(self, now: float) -> bool:
        if self._kill_after is None or not self._asked:
            return False
        return now - self._asked > self._kill_after

    def _finish(self, word: str, value: Any) -> None:
        self._over.set()
        self._post(word, value)

    def _post(self, word: str, value: Any) -> None:
        with self._lock:
            self._mail.append((word, value))
            if self._awake:
                return
            self._awake = True
        with suppress(RuntimeError):  # the application is gone; there is nobody to tell
            self._wake.emit()

    @Slot()
    def _deliver(self) -> None:
        """Hand out what has come, and let the window breathe in between."""
        until = time.monotonic() + _TURN_SECONDS
        while True:
            with self._lock:
                if not self._mail:
                    self._awake = False
                    return
                word, value = self._mail.popleft()
            if word == REPORT:
                self.progress.emit(value)
            else:
                self._last_word(word, value)
                return
            if time.monotonic() > until:
                QTimer.singleShot(0, self._deliver)
                return

    def _last_word(self, word: str, value: Any) -> None:
        self._done = True
        _running.discard(self)
        if word == RESULT:
            self.result.emit(value)
        elif word == FAILED:
            self.failed.emit(value)
        else:
            self.stopped.emit()
        self.ended.emit()


def start(
    function: Callable[..., Any],
    *arguments: Any,
    aside: bool = False,
    kill_after: float | None = None,
    **keywords: Any,
) -> Task:
    """Run ``function(call, *arguments, **keywords)`` beside the window.

    Call it in the window's thread, and connect to the task's signals before giving control back
    to the event loop: none of them comes before that.

    Parameters
    ----------
    function : callable
        Its first argument is a `child.TaskHandle`: ``call.report(value)``, ``call.cancelled()``,
        ``call.check()``. It touches no widget.
    aside : bool
        Run in a process of its own, for work that computes: a thread would share the
        interpreter with the window. Function, arguments, reports and result must then pickle,
        and the function's module should import no Qt.
    kill_after : float, optional
        Seconds after `Task.cancel` when the process is ended by force. Only for work that
        writes nothing.

    Returns
    -------
    Task
    """
    task = Task(kill_after)
    _running.add(task)
    target = task.run_aside if aside else task.run_here
    threading.Thread(
        target=target, args=(function, *arguments), kwargs=keywords, daemon=True
    ).start()
    return task


def running() -> tuple[Task, ...]:
    """Return the tasks that have not ended."""
    return tuple(_running)


def stop_all(seconds: float = 5.0) -> bool:
    """Ask every task to stop and wait for them, the event loop turning; for closing the window.

    Returns
    -------
    bool
        False where some work was not over in time.
    """
    until = time.monotonic() + seconds
    for task in running():
        task.cancel()
    while any(not task.wait(0) for task in running()) and time.monotonic() < until:
        QCoreApplication.processEvents()
        time.sleep(0.01)
    return all(task.wait(0) for task in running())
