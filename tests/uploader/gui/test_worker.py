"""Work beside the window: reports in order, one end, cancel, and an event loop that turns."""

import itertools
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QLabel
from shiboken6 import delete

from uploader.gui import worker
from uploader.gui.error_texts import error_text

sys.path.insert(0, str(Path(__file__).parent))

import window_work as work


def _ended(qtbot, task, timeout=60000):
    seen = []
    task.result.connect(lambda value: seen.append(("result", value)))
    task.failed.connect(lambda error: seen.append(("failed", error)))
    task.stopped.connect(lambda: seen.append(("stopped", None)))
    with qtbot.waitSignal(task.ended, timeout=timeout):
        pass
    assert len(seen) == 1
    return seen[0]


@pytest.mark.parametrize("aside", [False, True])
def test_reports_come_in_order_and_the_loop_turns(qtbot, monkeypatch, aside):
    # A clock that goes on by a millisecond whenever it is read: a turn hands out twenty reports.
    ticks = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: next(ticks) / 1000, sleep=time.sleep)
    monkeypatch.setattr(worker, "time", clock)
    task = worker.start(work.count, 2000, aside=aside)
    got, turns = [], []
    task.progress.connect(got.append)
    timer = QTimer()
    timer.timeout.connect(lambda: turns.append(len(got)))
    timer.start(0)
    word, pid = _ended(qtbot, task)
    assert word == "result"
    assert got == list(range(2000))
    assert (pid != os.getpid()) is aside
    turns.append(len(got))
    assert max(later - sooner for sooner, later in itertools.pairwise([0, *turns])) <= 21
    assert not task.running


@pytest.mark.parametrize("aside", [False, True])
def test_a_failure_becomes_a_sentence(qtbot, aside):
    word, error = _ended(qtbot, worker.start(work.fail, aside=aside))
    assert word == "failed"
    assert error_text(error) == (
        f"{Path('gone') / 'away'} is no longer there. Connect its drive or choose another folder."
    )


@pytest.mark.parametrize("aside", [False, True])
def test_cancelled_work_stops(qtbot, aside):
    task = worker.start(work.obey, aside=aside)
    task.cancel()
    assert _ended(qtbot, task) == ("stopped", None)


def test_work_that_does_not_listen_is_ended_by_force(qtbot):
    task = worker.start(work.ignore, aside=True, kill_after=0.3)
    with qtbot.waitSignal(task.progress, timeout=60000):
        pass
    task.cancel()
    assert _ended(qtbot, task) == ("stopped", None)


def test_a_process_that_dies_is_told(qtbot):
    word, error = _ended(qtbot, worker.start(work.vanish, aside=True))
    assert word == "failed"
    assert error_text(error).startswith("The work ended early")


def test_a_full_disk_says_what_to_do():
    assert "disk is full at out" in error_text(OSError(28, "No space left", "out"))


def test_what_a_task_hands_back_late_reaches_no_part_that_was_closed(qtbot):
    taken = []
    gone, there = QLabel(), QLabel()
    qtbot.addWidget(there)
    task = worker.start(_answer)
    task.result.connect(worker.while_alive(gone, lambda value: taken.append(("gone", value))))
    task.result.connect(worker.while_alive(there, lambda value: taken.append(("there", value))))
    delete(gone)
    qtbot.waitUntil(lambda: not task.running, timeout=20_000)
    assert taken == [("there", 7)]


def _answer(_task):
    return 7
