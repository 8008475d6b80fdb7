"""What the window's tests share: no screen, own settings, and a clock on the event loop."""

import os
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from PySide6.QtCore import QCoreApplication, QSettings, QTimer

from uploader.gui import app as window_app
from uploader.gui import main_window, words, worker
from uploader.gui.child import Call


def _queued_ms():
    """Time that this thread was ready and other programs had the processors; 0 if unknown."""
    try:
        text = Path("/proc/thread-self/schedstat").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return int(text.split()[1]) / 1e6


class Longest:
    """The longest time between two turns of the event loop, other programs' turns left out."""

    def __init__(self):
        self.ms = 0.0
        self._last = self._now()

    def tick(self):
        now = self._now()
        self.ms = max(self.ms, now - self._last)
        self._last = now

    def _now(self):
        return time.perf_counter() * 1000 - _queued_ms()


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
