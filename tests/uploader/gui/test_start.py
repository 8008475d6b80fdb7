"""The first page: where it leads, what may be dropped on it, the language, and a cold opening."""

import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragMoveEvent, QDropEvent
from turn_work import TurnWork

from uploader.gui import preferences, translation
from uploader.gui.main_window import MainWindow

# Opens a page right after the start, when nothing is loaded; prints what the longest turn did.
COLD = """
import os
import sys
sys.path.insert(0, sys.argv[1])
import turn_work
from PySide6.QtCore import QEventLoop, QTimer
from uploader.gui import app, main_window, worker
application = app.application("en")
window = main_window.MainWindow()
window.show()
worker.start(main_window.preload)
assert "pydicom" not in sys.modules
timer, loop = QTimer(), QEventLoop()
def look():
    if window.name == sys.argv[2]:
        timer.stop()
        QTimer.singleShot(200, loop.quit)
timer.timeout.connect(look)
QTimer.singleShot(0, lambda: window.open(sys.argv[2]))
QTimer.singleShot(60000, loop.quit)
timer.start(5)
with turn_work.TurnWork() as work:
    loop.exec()  # ended before the application, which waits for its threads
assert window.name == sys.argv[2], window.opening
print(work.most, *work.waits, flush=True)
if not worker.stop_all(0):  # as the application ends: a thread must not outlive it
    os._exit(0)
"""


@pytest.fixture
def window(qtbot):
    made = MainWindow()
    qtbot.addWidget(made)
    made.show()
    return made


@pytest.fixture
def went(window):
    gone = []
    start = window.pages["start"]
    start.go.disconnect()
    start.go.connect(lambda name, argument: gone.append((name, argument)))
    return gone


def _mime(path):
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    return mime


def _drop(page, path, where):
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    action, mime = Qt.DropAction.CopyAction, _mime(path)
    page.dragMoveEvent(QDragMoveEvent(where, action, mime, buttons, keys))
    page.dropEvent(QDropEvent(QPointF(where), action, mime, buttons, keys))


@pytest.mark.parametrize("name", ["convert", "upload"])
def test_a_page_opened_from_cold_holds_no_turn_of_the_loop(name):
    done = subprocess.run(
        [sys.executable, "-c", COLD, Path(__file__).parent, name],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    calls, *waits = done.stdout.split()
    assert int(calls) < TurnWork.LIMIT
    assert not waits


def test_dropped_folders_and_plans_go_where_they_belong(window, went, tmp_path):
    start = window.pages["start"]
    plan, sheet = tmp_path / "plan.csv", tmp_path / "plan.XLSX"
    for one in (plan, sheet):
        one.write_text("source\n", encoding="utf-8")
    _drop(start, tmp_path, QPoint(3, 3))
    _drop(start, tmp_path, start.convert.geometry().center())
    assert window.focusWidget() is start.convert
    _drop(start, tmp_path, start.upload.geometry().center())
    assert window.focusWidget() is start.upload
    _drop(start, plan, start.convert.geometry().center())
    _drop(start, sheet, start.convert.geometry().center())
    assert went == [
        ("convert", tmp_path),
        ("convert", tmp_path),
        ("upload", tmp_path),
        ("upload", plan),
        ("upload", sheet),
    ]


def test_the_choices_lead_on_by_keyboard(window, went, qtbot):
    start = window.pages["start"]
    assert window.focusWidget() is start.convert
    qtbot.keyClick(start.convert, Qt.Key.Key_Space)
    qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Tab)
    assert window.focusWidget() is start.upload
    qtbot.keyClick(start.upload, Qt.Key.Key_Space)
    assert went == [("convert", None), ("upload", None)]


def test_the_language_is_spoken_at_once_and_remembered(window):
    start = window.pages["start"]
    start.language.setCurrentIndex(1)
    start.language.activated.emit(1)
    assert translation.language() == preferences.language() == "it"
    again = window.pages["start"]
    assert again is not start
    assert again.convert.accessibleName() == "Converti"
    assert window.back.accessibleName() == "Indietro"
    assert again.language.currentData() == "it"


def test_open_work_keeps_its_language_until_the_next_start(window, tmp_path, qtbot):
    window.open("convert", tmp_path)
    page = window.pages["convert"]
    qtbot.waitUntil(lambda: page.listing is None, timeout=30000)
    window.go_back()
    window.speak("it")
    assert (translation.language(), preferences.language()) == ("en", "it")
    assert window.pages["convert"] is page
    assert window.bands["start"].notice.text.startswith("XNAT-PIC parlerà italiano")


def test_going_back_while_a_page_is_loaded_stays(window):
    window._wanted = ("upload", None)
    window.stack.setCurrentWidget(window.waiting)
    window.go_back()
    assert (window.name, window.opening) == ("start", "")
    window._loaded("upload")
    assert "upload" not in window.pages
