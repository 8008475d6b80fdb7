"""What runs aside: the handle that work gets, and the child process's side. Imports no Qt."""

import pickle
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

# What a child process sends: one of these words, then a value.
REPORT, RESULT, FAILED, STOPPED = "report", "result", "failed", "stopped"


class TaskStopped(Exception):
    """Raised by work that was asked to stop and has nothing to hand back."""


class TaskHandle:
    """What a function that works aside may say and ask.

    Parameters
    ----------
    report : callable
        Takes any value that shows how far the work is; it arrives as the task's `progress`.
    cancelled : callable
        True as soon as a person asked to stop.
    """

    def __init__(self, report: Callable[[Any], None], cancelled: Callable[[], bool]) -> None:
        self.report = report
        self.cancelled = cancelled

    def check(self) -> None:
        """Raise `TaskStopped` if a person asked to stop."""
        if self.cancelled():
            raise TaskStopped


def run_in_child(
    messages: Connection,
    orders: Connection,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
) -> None:
    """Run a function in this child process and send what it reports and returns.

    It is asked to stop when the window says so, or is gone.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the window alone decides
    stop = threading.Event()
    lock = threading.Lock()

    def listen() -> None:
        with suppress(EOFError, OSError):
            orders.recv()
        stop.set()

    def send(word: str, value: Any) -> None:
        with lock:
            messages.send((word, value))

    threading.Thread(target=listen, daemon=True).start()
    try:
        try:
            value = function(
                TaskHandle(lambda report: send(REPORT, report), stop.is_set), *arguments, **keywords
            )
        except TaskStopped:
            send(STOPPED, None)
        except Exception as error:  # every fault becomes a message in the window
            _send_error(send, error)
        else:
            send(RESULT, value)
    except (BrokenPipeError, ConnectionError):
        pass  # the window is gone; there is nobody to tell


def _send_error(send: Callable[[str, Any], None], error: Exception) -> None:
    """Send an error as itself where it can cross, else as its words."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # an exception class may refuse in any way it likes
        send(FAILED, RuntimeError(f"{type(error).__name__}: {error}"))
    else:
        send(FAILED, error)
