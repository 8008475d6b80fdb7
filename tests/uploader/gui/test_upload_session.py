"""A whole upload in the window, and what can go wrong with it, against a served archive."""

import errno
import time
from dataclasses import replace

import pytest
from disk import expected_files, write_group
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QComboBox,
    QLineEdit,
    QProgressBar,
    QTableView,
)
from tampering import TAMPERINGS, edited, stored_files
from turn_work import TurnWork

from uploader.gui.main_window import MainWindow
from uploader.gui.upload import logins
from uploader.gui.upload import work as work_module
from uploader.gui.upload.wording import window_text
from uploader.planning.plan_files import read_plan, write_plan
from xnat_config.server.tokens import withdraw_token


@pytest.fixture
def window(qtbot, monkeypatch, tmp_path):
    """The window, with settings of its own and no keyring."""
    monkeypatch.setenv("XNAT_PIC_HOME", str(tmp_path / "home"))
    quick = logins.RetryPolicy(attempts=2, first_wait_s=0.01, longest_wait_s=0.05)
    monkeypatch.setattr(logins, "_RETRY_AT_LOGIN", quick)
    monkeypatch.setattr(work_module, "_RETRY", quick)
    made = MainWindow()
    qtbot.addWidget(made)
    made.show()
    return made


@pytest.fixture
def page(window):
    return window.page("upload")


def wait(qtbot, what):
    qtbot.waitUntil(lambda: bool(what()), timeout=15_000)


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
    monkeypatch.setattr(type(page), "open_report", lambda _, path: shown.append(path))
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
    assert {page.table.state(row.key).text for row in page.table.rows} == {"Pixels equal"}
    foot.buttons["report"].click()
    wait(qtbot, lambda: shown)
    assert "m01_pre_MR" in shown[0].read_text(encoding="utf-8")


@pytest.fixture
def planned(qtbot, window, page, work):
    """The window with a plan of the group study, logged in."""
    write_group(work.folder)
    window.open("upload", work.folder)
    log_in(qtbot, page, work.server.url)
    wait(qtbot, lambda: page.folder.scan is not None)
    page.folder.project.setCurrentText("P1")
    page.folder.make.click()
    wait(qtbot, lambda: page.run is not None)
    return page


def said(window):
    """Return the sentence in the band, empty where there is none."""
    notice = window.bands["upload"].notice
    return notice.text if notice else ""


def upload(qtbot, page):
    page.plan.foot.buttons["upload"].click()
    wait(qtbot, lambda: not page.run or not page.run.working)


def states(page):
    return sorted(page.table.state(row.key).text for row in page.table.rows)


def test_what_verify_found_is_replaced_by_a_persons_word_once(qtbot, planned, work):
    page = planned
    foot = page.plan.foot

    def press(name):
        foot.buttons[name].click()
        wait(qtbot, lambda: not page.run.working)
        return {page.table.state(row.key).text for row in page.table.rows}

    assert press("upload") == {"Uploaded"}
    assert press("verify") == {"Pixels equal"}
    TAMPERINGS["a pixel of one file in the store"](stored_files(work, "m01_pre_MR"))
    assert "Not complete" in press("verify")
    assert press("upload") != {"Uploaded"}, "what was found stands"
    row = next(one for one in page.table.rows if one.session == "m01_pre_MR")
    said = window_text(" ".join(page.table.state(row.key).messages))
    assert "Replace what differs on the server" in said
    assert "--" not in said
    foot.repair.setChecked(True)
    press("upload")
    assert not foot.repair.isChecked()
    assert press("verify") == {"Pixels equal"}
    stored = stored_files(work, "m01_pre_MR")[-1]
    stored.put(edited(stored.content, lambda ds: setattr(ds, "StudyDescription", "another")))
    assert "Not complete" in press("verify")
    foot.accept.setChecked(True)
    assert press("verify") == {"Pixels equal"}
    assert not foot.accept.isChecked()


def test_plan_of_the_commands_goes_on_in_the_window(qtbot, window, page, work):
    """They write .xlsx where no name is given; what is edited here goes back into that file."""
    write_group(work.folder)
    path = work.folder.parent / "plan.xlsx"
    write_plan(work.plan(), path)
    window.open("upload", path)
    log_in(qtbot, page, work.server.url)
    wait(qtbot, lambda: page.run is not None)
    page.plan.foot.buttons["upload"].click()
    wait(qtbot, lambda: not page.run.working)
    assert {page.table.state(row.key).text for row in page.table.rows} == {"Uploaded"}
    assert page.run.opened.path == path
    assert work.server.files() == expected_files(work.folder)


def test_wrong_password_is_a_sentence_and_the_field_is_ready(qtbot, window, page, work):
    window.open("upload")
    log_in(qtbot, page, work.server.url, "wrong")
    assert "refuses the login of admin" in said(window)
    assert page.stack.currentWidget() is page.server
    assert page.server.password.selectedText()
    assert page.account is None


def test_the_first_login_of_a_user_of_the_directory(qtbot, window, page, start):
    server = start("directory", directory=(("mouse", "cheese"),))
    window.open("upload")
    wait(qtbot, lambda: not page.server.busy)
    assert not page.server.method.isVisible()
    page.server.server.setText(server.url)
    page.server.user.setText("mouse")
    page.server.password.setText("cheese")
    page.server.enter()
    wait(qtbot, lambda: not page.server.busy)
    assert "write ldap as Authentication method" in said(window)
    assert page.server.method.isVisible()
    page.server.method.setText("ldap")
    page.server.enter()
    wait(qtbot, lambda: page.account is not None)
    assert page.account.connection.method == "ldap"


def test_server_that_is_gone_is_a_sentence_with_a_next_step(qtbot, window, page):
    window.open("upload")
    log_in(qtbot, page, "http://127.0.0.1:9")
    assert "127.0.0.1:9" in said(window)
    assert "upload again" in said(window)
    assert "command" not in said(window)


def test_login_kept_in_a_file_opens_with_its_passphrase(qtbot, window, page, work, monkeypatch):
    monkeypatch.setattr(logins, "has_keyring", lambda: False)
    window.open("upload")
    wait(qtbot, lambda: not page.server.busy)
    page.server.remember.setChecked(True)
    page.server.passphrase.setText("correct horse")
    log_in(qtbot, page, work.server.url)
    assert page.account.login.is_token
    other = type(page)()
    qtbot.addWidget(other)
    other.enter()
    wait(qtbot, lambda: not other.server.busy)
    assert other.server.unlocking
    other.server.passphrase.setText("wrong")
    other.server.enter()
    wait(qtbot, lambda: not other.server.busy)
    assert other.account is None
    other.server.passphrase.setText("correct horse")
    other.server.enter()
    wait(qtbot, lambda: other.account is not None)
    assert other.account.connection.user == "admin"


def test_layout_is_previewed_as_it_is_typed(qtbot, window, page, work):
    write_group(work.folder)
    window.open("upload", work.folder)
    wait(qtbot, lambda: not page.server.busy)
    page.server.later.click()
    wait(qtbot, lambda: page.folder.tree.topLevelItemCount() > 0)
    step = page.folder
    step.layout_text.setText("group/{group")
    step.layout_text.textEdited.emit("group/{group")
    assert "brace" in step.layout_problem.text()
    assert not step.make.isEnabled()
    step.layout_text.setText("**/{subject}")
    step.layout_text.textEdited.emit("**/{subject}")
    heads = ("group", "timepoint")

    def values():
        item = step.tree.topLevelItem(0)
        while item is not None and item.childCount():
            item = item.child(0)
        names = [step.tree.headerItem().text(n) for n in range(step.tree.columnCount())]
        return [item.text(names.index(name)) for name in heads] if item else None

    wait(qtbot, lambda: values() == ["", ""])
    step.layout_text.setText("")
    step.layout_text.textEdited.emit("")
    wait(qtbot, lambda: all(values() or [""]))
    assert values() in (["treated", "pre"], ["treated", "post1w"], ["untreated", "pre"])


def test_edit_is_kept_and_checked_without_asking(qtbot, planned):
    line = 0
    planned.table.write([line], "subject", "no/slash")
    wait(qtbot, lambda: "characters that XNAT does not keep" in planned.plan.details.text())
    wait(qtbot, lambda: read_plan(planned.run.opened.path).rows[0].subject == "no/slash")
    planned.table.undo()
    wait(qtbot, lambda: "does not keep" not in planned.plan.details.text())


def test_row_that_fails_says_why_and_is_tried_again(qtbot, window, planned, work):
    refusal = {"method": "POST", "path": "/data/services/archive", "status": 403, "count": 0}
    work.server.fault(refusal)
    upload(qtbot, planned)
    assert states(planned) == ["Failed"] * 3
    assert "command" not in said(window)
    work.server.no_faults()
    planned.plan.foot.buttons["retry"].click()
    wait(qtbot, lambda: not planned.run.working)
    assert states(planned) == ["Uploaded"] * 3
    assert work.server.files() == expected_files(work.folder)


def test_token_that_ended_asks_for_a_login_and_goes_on(qtbot, window, planned, work):
    with work.server.client() as client:
        token = logins.issue_token(client)
        withdraw_token(client, token)
    planned.run.account = replace(planned.account, login=token)
    planned.plan.foot.buttons["upload"].click()
    wait(qtbot, lambda: planned.stack.currentWidget() is planned.server)
    assert "Log in again: the upload goes on." in said(window)
    log_in(qtbot, planned, work.server.url)
    wait(qtbot, lambda: states(planned) == ["Uploaded"] * 3)
    assert planned.stack.currentWidget() is planned.plan


def test_close_in_mid_upload_asks_and_the_plan_goes_on(qtbot, window, planned, work, monkeypatch):
    path = planned.run.opened.path
    work.server.fault({"method": "POST", "path": "/data/services/import", "delay_s": 2, "count": 0})
    planned.plan.foot.buttons["upload"].click()
    wait(qtbot, lambda: "Uploading" in states(planned))
    answers = [False, True]
    monkeypatch.setattr(planned, "_may_stop", lambda: answers.pop(0))
    assert not window.close()
    assert planned.run.working
    assert window.close()
    assert answers == []
    work.server.no_faults()
    again = MainWindow()
    qtbot.addWidget(again)
    again.show()
    again.open("upload", path)
    page = again.pages["upload"]
    log_in(qtbot, page, work.server.url)
    wait(qtbot, lambda: page.run is not None)
    upload(qtbot, page)
    assert work.server.files() == expected_files(work.folder)
    assert page.close_down()


def test_two_windows_on_one_plan_are_refused_in_a_sentence(qtbot, window, planned, work):
    other = type(planned)()
    qtbot.addWidget(other)
    notices = []
    other.notice.connect(notices.append)
    other.enter(planned.run.opened.path)
    wait(qtbot, lambda: not other.server.busy)
    other.server.later.click()
    wait(qtbot, lambda: any(one and "open in another window" in one.text for one in notices))
    assert other.run is None


def test_folder_that_vanished_is_a_sentence(qtbot, window, planned, work):
    work.folder.rename(work.folder.with_name("elsewhere"))
    upload(qtbot, planned)
    assert states(planned) == ["Failed"] * 3
    texts = [planned.table.index(n, planned.table.columns.index("findings")).data() for n in (0, 1)]
    assert all(texts)


def test_disk_that_is_full_is_a_sentence_and_the_edit_is_kept_later(
    qtbot, window, planned, monkeypatch
):
    whole = work_module.write_plan

    def full(_plan, path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(work_module, "write_plan", full)
    planned.table.write([0], "dose", "5")
    wait(qtbot, lambda: "disk is full" in said(window))
    monkeypatch.setattr(work_module, "write_plan", whole)
    window.bands["upload"].action.click()
    wait(qtbot, lambda: read_plan(planned.run.opened.path).rows[0].variables["dose"] == "5")


def test_window_breathes_while_it_uploads(qtbot, planned):
    with TurnWork() as work:
        upload(qtbot, planned)
    assert states(planned) == ["Uploaded"] * 3
    assert work.most < work.LIMIT
    assert not work.waits


def with_many_rows(plan):
    """Return a plan with ten thousand rows more, left out, and what was read of their files."""
    row = plan.rows[0]
    sessions = dict(plan.sessions)
    left_out = []
    for n in range(10_000):
        read = replace(plan.sessions[row.key], study_uid=f"1.2.{n}", patient_id=f"x{n}")
        series = [
            replace(one, files=tuple(replace(file) for file in one.files)) for one in read.series
        ]
        read = replace(read, series=tuple(series))
        sessions[read.key] = read
        names = {"subject": f"x{n}", "session": f"x{n}_pre_MR"}
        left_out.append(
            replace(row, key=read.key, include=False, variables=dict(row.variables), **names)
        )
    return replace(plan, rows=(*plan.rows, *left_out), sessions=sessions)


def test_window_breathes_with_ten_thousand_rows_in_the_plan(qtbot, planned):
    run = planned.run
    run.opened = replace(run.opened, plan=with_many_rows(run.opened.plan))
    planned.table.set_plan(run.opened.plan)
    with TurnWork() as work:
        upload(qtbot, planned)
    assert states(planned).count("Uploaded") == 3
    assert work.most < work.LIMIT
    assert not work.waits


def test_slots_that_hold_the_window_are_noticed(qtbot):
    over = []
    with TurnWork() as work:
        QTimer.singleShot(0, lambda: [n.bit_length() for n in range(work.LIMIT)])
        QTimer.singleShot(0, lambda: over.append(time.sleep(0)))
        qtbot.waitUntil(lambda: bool(over), timeout=60_000)
    assert work.most > work.LIMIT
    assert work.waits == {"sleep"}


def test_paused_upload_goes_on(qtbot, planned, work):
    work.server.fault({"method": "POST", "path": "/data/services/import", "delay_s": 1, "count": 1})
    foot = planned.plan.foot
    foot.buttons["upload"].click()
    wait(qtbot, lambda: "Uploading" in states(planned))
    foot.buttons["pause"].click()
    assert foot.buttons["pause"].text() == "Go on"
    foot.buttons["pause"].click()
    wait(qtbot, lambda: not planned.run.working)
    assert work.server.files() == expected_files(work.folder)


def test_everything_that_takes_the_keyboard_has_a_name(planned):
    kinds = (QLineEdit, QComboBox, QTableView, QProgressBar, QAbstractButton)
    nameless = [
        widget
        for kind in kinds
        for widget in planned.findChildren(kind)
        if not widget.objectName().startswith("qt_")
        and not isinstance(widget.parent(), QComboBox | QLineEdit | QAbstractItemView)
        and not (widget.accessibleName() or getattr(widget, "text", str)())
    ]
    assert nameless == []
