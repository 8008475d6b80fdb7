"""Drive a whole session in the window and take its pictures.

Digital mice are converted, uploaded to a sandbox and verified; nothing is made up. On a screen that
nobody sees::

    xvfb-run -a python docs/images/make_window.py docs/images
    xvfb-run -a python docs/images/make_window.py docs/images --dark
    xvfb-run -a python docs/images/make_window.py docs/images --language it

The exit code is 0 only if every session was verified.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from PIL import Image
from PySide6.QtCore import QEventLoop, QItemSelectionModel, QSettings, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMessageBox, QWidget

from uploader.gui import app as window_app
from uploader.gui import theme
from uploader.gui.main_window import MainWindow
from uploader.gui.shortcuts import add_shortcuts

SIZE = (1120, 740)
COLOURS = 200
COMMAND = Path(sys.executable).with_name("xnat-pic-sandbox")
IMPORT = "/data/services/import"


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, requests.Session]]:
    """Serve a sandbox with an empty project; yields its address and its administrator."""
    process = subprocess.Popen(
        [COMMAND, "serve", "--data", folder, "--port", "0", "--faults", "--json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        url = json.loads(process.stdout.readline())["url"]
        with requests.Session() as session:
            session.trust_env = False
            session.auth = ("admin", "admin")
            session.put(f"{url}/data/projects/MICE", timeout=30).raise_for_status()
            yield url, session
    finally:
        process.terminate()
        process.communicate(timeout=30)


def pause(milliseconds: int) -> None:
    """Let the window live for a while; `QTest.qWait` keeps the interpreter from all threads."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


class Session:
    """One person at the window.

    Parameters
    ----------
    out : Path
        Where the pictures go.
    mark : str
        What the names of the pictures end with.
    """

    def __init__(self, app: QApplication, out: Path, mark: str) -> None:
        self.app, self.out, self.mark = app, out, mark
        self.window = MainWindow()
        add_shortcuts(self.window)
        self.window.resize(*SIZE)
        self.window.show()

    def until(self, what: Callable[[], Any], seconds: float = 60) -> None:
        """Let the window live until something is so."""
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                self.picture("stuck")
                raise TimeoutError(f"not within {seconds} s; see window_stuck{self.mark}.png")
            pause(20)

    def picture(self, name: str, of: QWidget | None = None) -> None:
        """Keep what the window shows."""
        pause(150)
        path = self.out / f"window_{name}{self.mark}.png"
        (of or self.window).grab().save(str(path))
        with Image.open(path) as picture:
            # Each colour of a few letters is kept, and those of large areas are exact.
            full = picture.convert("RGB")
            small = full.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=4)
        small.save(path, optimize=True)

    def click(self, widget: QWidget) -> None:
        """Press the mouse on a widget, as soon as it can be pressed."""
        self.until(lambda: widget.isVisible() and widget.isEnabled())
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton)

    def type(self, widget: QWidget, text: str) -> None:
        """Write into a field, in the place of what is there."""
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton)
        QTest.keySequence(widget, "Ctrl+A")
        QTest.keyClicks(widget, text)

    def convert(self, study: Path) -> None:
        """Look into a study, and convert it."""
        self.picture("start")
        self.click(self.window.pages["start"].convert)  # type: ignore[attr-defined]
        self.until(lambda: self.window.name == "convert")
        page: Any = self.window.pages["convert"]
        self.picture("convert_empty")
        page.show_folder(study)  # a folder that was dropped; the dialog for folders is the system's
        self.until(lambda: page.listing is None)
        page.table.selectRow(2)
        self.picture("convert_looked")
        self.click(page.go_button)
        self.until(lambda: page.writing is None or any(page.model.states[2:]))
        self.picture("convert_going")
        self.until(lambda: page.writing is None)
        self.picture("convert_done")
        self.click(self.window.bands["convert"].action)

    def log_in(self, url: str) -> None:
        """Log in; the first password is wrong."""
        self.until(lambda: self.window.name == "upload")
        step = self.window.pages["upload"].server  # type: ignore[attr-defined]
        self.until(lambda: not step.busy)
        self.type(step.server, url)
        self.type(step.user, "admin")
        self.picture("login")
        self.type(step.password, "wrong")
        self.click(step.log_in)
        self.until(lambda: not step.busy and self.window.bands["upload"].notice)
        self.picture("login_refused")
        self.type(step.password, "admin")
        self.click(step.log_in)

    def plan(self) -> None:
        """Choose the project, see what becomes of the folders, and make the plan."""
        page: Any = self.window.pages["upload"]
        step = page.folder
        self.until(lambda: step.tree.topLevelItemCount() > 0)
        self.type(step.project.lineEdit(), "MICE")
        self.picture("folder")
        self.click(step.make)
        self.until(lambda: page.run is not None)
        self.picture("plan")
        view, model = page.plan.view, page.table
        flags = QItemSelectionModel.SelectionFlag
        for line in range(3):
            view.selectionModel().select(model.index(line, 0), flags.Select | flags.Rows)
        self.picture("plan_several")

    def upload(self, url: str, server: requests.Session) -> None:
        """Upload with a server that fails once and is slow, try again, and verify."""
        page: Any = self.window.pages["upload"]
        foot, run = page.plan.foot, page.run
        refuse = {"method": "POST", "path": IMPORT, "status": 403, "count": 1}
        slow = {"method": "POST", "path": IMPORT, "delay_s": 1.0, "count": 0}
        server.post(f"{url}/sandbox/faults", json=[refuse, slow], timeout=30)
        self.click(foot.buttons["upload"])
        self.until(
            lambda: any(self._state(page, n) == "upload.state_done" for n in self._rows(page))
        )
        self.picture("uploading")
        server.delete(f"{url}/sandbox/faults", timeout=30)
        self.until(lambda: not run.working)
        self.picture("upload_failed")
        if run.failed():
            self.click(foot.buttons["retry"])
            self.until(lambda: not run.working)
        self.click(foot.buttons["verify"])
        self.until(lambda: not run.working, 240)  # every image is fetched and decoded
        page.plan.view.selectRow(0)
        self.picture("verified")

    def _rows(self, page: Any) -> range:
        return range(len(page.table.rows))

    def _state(self, page: Any, line: int) -> str:
        return str(page.table.state(page.table.rows[line].key).key)

    def close_in_mid_upload(self, url: str, server: requests.Session) -> None:
        """Ask to close the window while a comparison with the server goes on; stay."""
        page: Any = self.window.pages["upload"]
        slow = {"method": "GET", "path": "/data", "delay_s": 3.0, "count": 1}
        server.post(f"{url}/sandbox/faults", json=[slow], timeout=30)
        self.click(page.plan.foot.buttons["check"])
        seen: list[bool] = []

        def answer() -> None:
            box = QApplication.activeModalWidget()
            if isinstance(box, QMessageBox):
                self.picture("close", box)
                seen.append(True)
                box.reject()

        QTimer.singleShot(700, answer)
        self.window.close()
        assert seen
        assert self.window.isVisible()
        server.delete(f"{url}/sandbox/faults", timeout=30)
        self.until(lambda: not page.run.working)

    def all_verified(self) -> bool:
        """Whether the window says that each session is on the server."""
        page: Any = self.window.pages["upload"]
        states = {self._state(page, line) for line in self._rows(page)}
        return states == {"upload.state_pixels"}  # the sandbox anonymises, as a fresh XNAT does


def main() -> int:
    """Take the pictures; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--language", choices=("en", "it"), default="en")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--small", action="store_true", help="One small animal in each group.")
    told = parser.parse_args()
    mark = ("_it" if told.language == "it" else "") + ("_dark" if told.dark else "")
    with tempfile.TemporaryDirectory(prefix="mice-") as made:
        work = Path(made)
        os.environ["XNAT_PIC_HOME"] = str(work / "home")
        QSettings.setPath(
            QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(work / "settings")
        )
        mice = [COMMAND, "mouse", work / "study", "--size", "SMALL", "--doses", "dose1"]
        mice += ["--animals", "1"] if told.small else ["--animals", "2", "--matrix", "64"]
        mice += ["--timepoints", "pre"] if told.small else ["--with-traps"]
        subprocess.run(mice, check=True, capture_output=True, timeout=300)
        app = window_app.application(told.language)
        theme.apply(app, dark=told.dark)
        with served(work / "archive") as (url, server):
            session = Session(app, told.out, mark)
            session.convert(work / "study")
            session.log_in(url)
            session.plan()
            session.upload(url, server)
            verified = session.all_verified()
            session.close_in_mid_upload(url, server)
            assert session.window.close()
    return 0 if verified else 8


if __name__ == "__main__":
    sys.exit(main())
