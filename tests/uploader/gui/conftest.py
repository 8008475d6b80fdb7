"""What the window's tests share: no screen, own settings, all pages loaded."""

import os

import pytest

from uploader.gui import translation

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from PySide6.QtCore import QCoreApplication, QSettings

from uploader.gui import app as window_app
from uploader.gui import main_window, worker
from uploader.gui.child_process import TaskHandle


@pytest.fixture(scope="session")
def qapp():
    """The application as it is for people, in English, with all pages loaded."""
    app = window_app.application("en")
    main_window.preload(TaskHandle(lambda value: None, lambda: False))
    return app


@pytest.fixture(autouse=True)
def own_settings(tmp_path):
    """Nothing of the person who runs the tests is read or changed; no work outlives a test."""
    folder = tmp_path / "settings"
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(folder))
    translation.choose("en")
    yield
    if QCoreApplication.instance() is not None:
        assert worker.stop_all(10)
    translation.choose("en")
