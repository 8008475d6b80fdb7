"""Pause, stop and watch a long piece of work from another thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from xnat_pic.errors import CancelledError

_WINDOW_S = 15.0
_REPORT_EVERY_S = 0.2


@dataclass(frozen=True)
class Progress:
    """How far the work is.

    Attributes
    ----------
    bytes_done, bytes_total : int
        What is sent, and what there is to send.
    bytes_per_s : float
        Rate of the last seconds.
    remaining_s : float or None
        None while it cannot be told.
    activity : str
        What is at work now, as text.
    """

    bytes_done: int
    bytes_total: int
    bytes_per_s: float
    remaining_s: float | None
    activity: str


class RunControl:
    """Stops and pauses work; `cancel` and `pause` may be called from any thread."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._running = threading.Event()
        self._running.set()

    def cancel(self) -> None:
        """Stop as soon as possible; what is done stays."""
        self._cancelled.set()
        self._running.set()

    def pause(self) -> None:
        """Stop after the archive that is being sent; `resume` goes on."""
        self._running.clear()

    def resume(self) -> None:
        """Go on."""
        self._running.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody stopped the work."""
        return self._cancelled.is_set()

    @property
    def is_paused(self) -> bool:
        """Whether the work waits."""
        return not self._running.is_set()

    def check(self) -> None:
        """Raise if the work was stopped.

        Raises
        ------
        CancelledError
            If it was.
        """
        if self.is_cancelled:
            raise CancelledError("Stopped.", hint="Run the same command again: it goes on.")

    def wait_if_paused(self) -> None:
        """Wait while paused; raise if stopped."""
        self._running.wait()
        self.check()

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than until the work is stopped."""
        self._cancelled.wait(seconds)
        self.check()


class ProgressMeter:
    """Counts bytes of several threads and tells somebody from time to time."""

    def __init__(self, total: int, on_progress: Callable[[Progress], None] | None = None) -> None:
        self._lock = threading.Lock()
        self._total = total
        self._done = 0
        self._activity = ""
        self._on_progress = on_progress
        self._reported_at = 0.0
        self._past: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def add(self, count: int) -> None:
        """Count bytes; a negative count takes back what has to be sent again."""
        self._step(count, None)

    def extend(self, count: int) -> None:
        """Add bytes to what there is to do."""
        with self._lock:
            self._total += count

    def set_activity(self, activity: str) -> None:
        """Tell what is at work now."""
        self._step(0, activity)

    def progress(self) -> Progress:
        """Return how far the work is."""
        with self._lock:
            return self._progress(time.monotonic())

    def _step(self, done: int, activity: str | None) -> None:
        with self._lock:
            now = time.monotonic()
            self._done = max(self._done + done, 0)
            # What there is to do is estimated, from the mean size of the files that are missing.
            self._total = max(self._total, self._done)
            if activity is not None:
                self._activity = activity
            if (
                activity is None
                and now - self._reported_at < _REPORT_EVERY_S
                and self._done < self._total
            ):
                return
            self._reported_at = now
            progress = self._progress(now)
            on_progress = self._on_progress
        if on_progress is not None:
            on_progress(progress)

    def _progress(self, now: float) -> Progress:
        self._past.append((now, self._done))
        while len(self._past) > 2 and now - self._past[0][0] > _WINDOW_S:
            self._past.popleft()
        then, before = self._past[0]
        rate = max(self._done - before, 0) / max(now - then, 1e-3)
        left = max(self._total - self._done, 0)
        remaining = left / rate if rate > 1.0 else None
        return Progress(self._done, self._total, rate, remaining, self._activity)


class ArchiveMeter:
    """Counts the bytes of one archive, and takes them back when it is sent again."""

    def __init__(self, meter: ProgressMeter, control: RunControl) -> None:
        self._meter = meter
        self._control = control
        self._sent = 0

    def restart(self) -> None:
        """Start from nothing."""
        self._meter.add(-self._sent)
        self._sent = 0

    def count(self, count: int) -> None:
        """Count a block; raise if the work was stopped."""
        self._control.check()
        self._sent += count
        self._meter.add(count)
