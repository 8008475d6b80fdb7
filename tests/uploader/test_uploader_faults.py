"""Whatever the server or the line does, an upload ends complete or with a clear row."""

import pytest
from disk import expected_files, write_group, write_study

from uploader.transfer.plan_upload import Outcome

IMPORT = {"method": "POST", "path": "/data/services/import"}
ARCHIVE = {"method": "POST", "path": "/data/services/archive"}


def _end_complete(work, runs=1):
    """Run until done; everything is there once, proved by listing."""
    for _ in range(runs):
        result = work.upload()
        if result.exit_code == 0:
            break
    assert result.exit_code == 0, [row.reason for row in result.rows]
    work.server.no_faults()
    assert work.server.files() == expected_files(work.folder)
    assert work.server.waiting() == []
    assert all(not one.problems for one in work.verify())


COMPLETE_AT_ONCE = {
    "login lost before an import": [{**IMPORT, "drop_login": True, "skip": 1}],
    "login lost at every kind of request": [
        {"method": "PUT", "path": "/data/projects/P1/subjects/*", "drop_login": True},
        {"path": "/data/prearchive/projects/P1", "drop_login": True},
        {**ARCHIVE, "drop_login": True},
        {"path": "/data/experiments/*", "drop_login": True},
    ],
    "500 once for an import": [{**IMPORT, "status": 500}],
    "500 once for archiving": [{**ARCHIVE, "status": 500}],
    "503 at start": [{"status": 503, "count": 3, "path": "/data/services/auth"}],
    "502 from a proxy everywhere, now and then": [
        {"status": 502, "count": 1, "skip": k} for k in (3, 7, 12, 20, 31)
    ],
    "import cut after the first bytes": [{**IMPORT, "cut_request_after": 10}],
    "import cut in the middle": [{**IMPORT, "cut_request_after": 700}],
    "second import cut near its end": [{**IMPORT, "skip": 1, "cut_request_after": 1900}],
    "answer of an import cut": [{**IMPORT, "cut_answer_after": 5}],
    "answer of an import lost after the work": [{**IMPORT, "lose_answer": True}],
    "answer of the second import lost": [{**IMPORT, "lose_answer": True, "skip": 1}],
    "answers of all first imports lost": [{**IMPORT, "lose_answer": True, "count": 3}],
    "answer of archiving lost after the work": [{**ARCHIVE, "lose_answer": True, "count": 3}],
    "answer of a listing cut": [
        {"method": "GET", "path": "/data/*", "cut_answer_after": 20, "count": 2, "skip": 6}
    ],
    "answer of making a subject lost": [
        {"method": "PUT", "path": "/data/projects/P1/subjects/m01", "lose_answer": True}
    ],
    "login page of a proxy, with 200, at archiving": [{**ARCHIVE, "login_page": True}],
    "login page of a proxy, with 200, where values are written": [
        {"method": "PUT", "path": "/data/projects/P1/subjects/*", "login_page": True, "count": 2}
    ],
    "login page of a proxy, with 200, in place of a listing": [
        {"method": "GET", "path": "/data/experiments/*", "login_page": True, "count": 2}
    ],
    "empty answer of an import that was stored": [{**IMPORT, "empty_answer": True, "count": 3}],
    "slow server": [{**IMPORT, "delay_s": 0.5, "count": 2}, {**ARCHIVE, "delay_s": 0.5}],
}


@pytest.mark.parametrize("rules", COMPLETE_AT_ONCE.values(), ids=COMPLETE_AT_ONCE.keys())
def test_fault_that_passes_is_overcome_in_one_run(work, tell, request, rules):
    write_group(work.folder)
    work.server.fault(*rules)
    result = work.upload()
    hits = [rule["hits"] for rule in work.server.faults()]
    assert all(hits), f"a rule was never met: {hits}"
    assert [row.reason for row in result.rows] == [""] * 3
    _end_complete(work)
    tell("fault", request.node.callspec.id, "done in the same run")


@pytest.mark.parametrize("rule", [IMPORT, ARCHIVE], ids=["import", "archive"])
def test_server_always_at_fault_ends_in_clear_rows_and_the_next_run_goes_on(work, tell, rule):
    write_group(work.folder)
    work.server.fault({**rule, "status": 500, "count": 0})
    result = work.upload()
    assert {row.outcome for row in result.rows} == {Outcome.FAILED}
    assert all("fault (status 500)" in row.reason for row in result.rows)
    assert result.exit_code == 6
    tell("fault", f"500 for good at {rule['path']}", result.rows[0].reason)
    assert work.server.files() == []
    work.server.no_faults()
    _end_complete(work)


def test_line_that_always_breaks_ends_in_clear_rows_and_the_next_run_goes_on(work, tell):
    write_group(work.folder)
    work.server.fault({**IMPORT, "cut_request_after": 800, "count": 0})
    result = work.upload()
    assert {row.outcome for row in result.rows} == {Outcome.FAILED}
    assert all("was cut" in row.reason for row in result.rows)
    tell("fault", "every import cut", result.rows[0].reason)
    work.server.no_faults()
    _end_complete(work)


@pytest.mark.parametrize("after", [0, 29, 880, 2400])
def test_connection_cut_at_any_byte_loses_and_doubles_nothing(work, tell, after):
    write_study(work.folder / "m01", series=(1,))
    work.server.fault({**IMPORT, "cut_request_after": after, "count": 2})
    _end_complete(work)
    tell("fault", f"import cut twice after {after} bytes", "done in the same run")


def test_session_from_somebody_else_in_the_prearchive_is_left_alone(work, tell):
    write_study(work.folder / "m01")
    plan = work.plan()
    row = plan.rows[0]
    other = _zip(work.folder)
    answer = work.server.served.post(
        "/data/services/import",
        params={
            "dest": "/prearchive/projects/P1",
            "project": "P1",
            "subject": row.subject,
            "session": row.session,
        },
        data=other,
        headers={"Content-Type": "application/zip"},
    )
    assert answer.status_code == 200, answer.text
    result = work.upload(plan)
    assert result.rows[0].outcome is Outcome.FAILED
    assert "prearchive" in result.rows[0].reason
    assert "did not send" in result.rows[0].reason
    tell("fault", "a session of somebody else in the prearchive", result.rows[0].reason)
    assert result.exit_code == 8
    assert len(work.server.waiting()) == 1
    assert work.server.files() == []


def _zip(folder):
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in folder.rglob("*.dcm"):
            archive.write(path, path.relative_to(folder).as_posix().replace("/", "_"))
    return out.getvalue()


def test_full_disk_ends_in_a_clear_row_that_is_not_repeated(work, tell):
    """XNAT tells a full disk as 400; the import must be asked once only."""
    write_study(work.folder / "m01")
    work.server.fault({**IMPORT, "status": 400, "count": 0})
    result = work.upload()
    assert result.rows[0].outcome is Outcome.FAILED
    assert "refuses" in result.rows[0].reason
    tell("fault", "a full disk, told as 400", result.rows[0].reason)
    assert work.server.faults()[0]["hits"] == 1
    work.server.no_faults()
    _end_complete(work)


def test_insufficient_storage_is_not_repeated(work, tell):
    write_study(work.folder / "m01")
    work.server.fault({**IMPORT, "status": 507, "count": 0})
    result = work.upload()
    assert result.rows[0].outcome is Outcome.FAILED
    assert work.server.faults()[0]["hits"] == 1
    tell("fault", "insufficient storage (507)", result.rows[0].reason)
    work.server.no_faults()
    _end_complete(work)


def test_login_that_ends_for_good_stops_everything_and_says_so(work, tell):
    """A token that expires in mid-run: no session goes on, none is half there."""
    write_group(work.folder)
    client = work.server.client()
    client.open()
    client._login = type(client._login)("admin", "admin", "no longer right")
    work.server.fault({**IMPORT, "drop_login": True, "skip": 1})
    result = work.upload(client=client)
    assert result.exit_code == 5
    assert any("refuses the login" in row.reason for row in result.rows)
    tell("fault", "login withdrawn in mid-run", next(r.reason for r in result.rows if r.reason))
    work.server.no_faults()
    _end_complete(work)


def test_server_that_answers_too_late_is_asked_what_it_did(work, tell):
    from dataclasses import replace

    write_study(work.folder / "m01")
    client = work.server.client()
    client.connection = replace(client.connection, read_timeout_s=0.4)
    work.server.fault({**IMPORT, "delay_s": 1.0})
    result = work.upload(client=client)
    assert result.exit_code == 0, [row.reason for row in result.rows]
    _end_complete(work)
    tell("fault", "an answer that comes too late", "done in the same run")


def test_refused_archiving_gives_the_servers_reason(work, tell):
    """Somebody archives another study under the label between check and upload."""
    write_study(work.folder / "m01")
    work.server.fault({**ARCHIVE, "status": 409, "count": 0})
    result = work.upload()
    assert result.rows[0].outcome is Outcome.FAILED
    assert result.rows[0].reason
    tell("fault", "archiving refused with 409", result.rows[0].reason)
    work.server.no_faults()
    _end_complete(work)


def test_import_that_was_stored_and_answered_with_nothing_stays_ours(work, tell):
    """The run ends behind it; the next one goes on with what is there."""
    write_study(work.folder / "m01")
    work.server.fault({**IMPORT, "empty_answer": True}, {**ARCHIVE, "status": 403, "count": 0})
    result = work.upload()
    assert result.exit_code == 8
    tell("fault", "import stored, answered with nothing, archiving refused", result.rows[0].reason)
    assert len(work.server.waiting()) == 1
    work.server.no_faults()
    _end_complete(work)


def test_login_page_that_stays_ends_the_run_as_a_login(work, tell):
    write_study(work.folder / "m01")
    work.server.fault({**ARCHIVE, "login_page": True, "count": 0})
    result = work.upload()
    assert (result.exit_code, work.server.files()) == (5, [])
    tell("fault", "a login page that stays", result.rows[0].reason)
    work.server.no_faults()
    _end_complete(work)


def test_no_read_is_answered_by_a_copy_on_the_way(work):
    write_study(work.folder / "m01")
    asked = []
    client = work.server.client(on_answer=lambda answer: asked.append(answer.request.headers))
    assert work.upload(client=client).exit_code == 0
    assert {one.get("Cache-Control") for one in asked} == {"no-cache"}
