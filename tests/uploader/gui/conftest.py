"""What the window's tests share: no screen, own settings, and a clock on the event loop."""

import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from PySide6.QtCore import QCoreApplication, QSettings, QTimer

from uploader.gui import app as window_app
from uploader.gui import main_window, words, worker
from uploader.gui.child import Call


def _queued_ms():
    """Time that each thread was ready and other programs had the processors; none if unknown.

    Those of the other threads count too: while one that holds the interpreter waits for a
    processor, the window waits for it, and no program of ours could help that. On a machine with
    nothing else to do all of them are near zero.
    """
    found = {}
    with suppress(OSError):
        for task in Path("/proc/self/task").iterdir():
            with suppress(OSError):
                found[task.name] = int((task / "schedstat").read_text("ascii").split()[1]) / 1e6
    return found


class Longest:
    """The longest time between two turns of the event loop, other programs' turns left out."""

    def __init__(self):
        self.ms = 0.0
        self._queued, self._own = _queued_ms(), time.thread_time()
        self._last = time.perf_counter()

    def tick(self):
        now, queued = time.perf_counter(), _queued_ms()
        others = sum(ms - self._queued.get(name, 0.0) for name, ms in queued.items())
        # However busy the machine is, the thread's own work between two turns counts in full.
        own = (time.thread_time() - self._own) * 1000
        self.ms = max(self.ms, own, (now - self._last) * 1000 - others)
        # Looking at the clocks of all threads takes time of its own.
        self._queued, self._own, self._last = queued, time.thread_time(), time.perf_counter()


@pytest.fixture(scope="session")
def qapp():
    """The application as it is for people, in English, with all pages loaded."""
    app = window_app.application("en")
    main_window.preload(Call(lambda value: None, lambda: False))
    return app


@pytest.fixture(autouse=True)
def own_settings(tmp_path):
    """Nothing of the person who runs the tests is read or changed; no work outlives a test."""
    folder = tmp_path / "settings"
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(folder))
    words.choose("en")
    yield
    if QCoreApplication.instance() is not None:
        assert worker.stop_all(10)
    words.choose("en")


@pytest.fixture
def held(qtbot):
    """A context that measures how long the event loop is held at most, by a timer of 5 ms."""

    @contextmanager
    def measure():
        longest = Longest()
        timer = QTimer()
        timer.timeout.connect(longest.tick)
        timer.start(5)
        try:
            yield longest
            longest.tick()
        finally:
            timer.stop()

    return measure
