"""A whole upload in the window, against a served archive."""

import pytest
from disk import expected_files, write_group

from uploader.gui.main_window import MainWindow
from uploader.gui.upload import logins


@pytest.fixture
def window(qtbot, monkeypatch, tmp_path):
    """The window, with settings of its own and no keyring."""
    monkeypatch.setenv("XNAT_PIC_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(logins, "_AT_LOGIN", logins.Patience(attempts=1, first_wait_s=0.01))
    made = MainWindow()
    qtbot.addWidget(made)
    made.show()
    return made


@pytest.fixture
def page(window):
    return window.page("upload")


def wait(qtbot, what):
    qtbot.waitUntil(what, timeout=20_000)


def log_in(qtbot, page, url, password="admin"):
    wait(qtbot, lambda: not page.server.busy)
    page.server.server.setText(url)
    page.server.user.setText("admin")
    page.server.password.setText(password)
    page.server.enter()
    wait(qtbot, lambda: not page.server.busy)


def test_folder_becomes_sessions_that_are_verified(qtbot, window, page, work, monkeypatch):
    write_group(work.folder)
    shown = []
    monkeypatch.setattr(page, "open_report", shown.append)
    window.open("upload", work.folder)
    log_in(qtbot, page, work.server.url)
    assert page.stack.currentWidget() is page.folder
    wait(qtbot, lambda: page.folder.tree.topLevelItemCount() > 0)
    page.folder.project.setCurrentText("P1")
    assert page.folder.make.isEnabled()
    page.folder.make.click()
    wait(qtbot, lambda: page.run is not None)
    foot = page.plan.foot
    foot.buttons["upload"].click()
    wait(qtbot, lambda: not page.run.working)
    assert work.server.files() == expected_files(work.folder)
    assert {page.table.state(row.key).text for row in page.table.rows} == {"Uploaded"}
    foot.buttons["verify"].click()
    wait(qtbot, lambda: not page.run.working)
    assert {page.table.state(row.key).text for row in page.table.rows} == {"Verified"}
    foot.buttons["report"].click()
    page.run.report_written.disconnect()
