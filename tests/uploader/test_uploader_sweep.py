"""One fault at each request of an upload in turn, and a cut at bytes all over an import.

Each upload goes into a project of its own with a journal of its own; afterwards the server's
listing is compared with the disk.
"""

from dataclasses import replace

import pytest
from disk import expected_files, write_study

from uploader.transfer.archives import entries
from uploader.transfer.zip_stream import ZipStream
from uploader.verification.payload import build_payload
from xnat_config.server.client import XnatClient
from xnat_config.server.connection import Connection
from xnat_config.server.retry import RetryPolicy
from xnat_config.server.tokens import issue_token

FAULTS = {
    "500": (1, {"status": 500}),
    "answer lost after the work": (1, {"lose_answer": True}),
    "login lost": (2, {"drop_login": True}),
    "answer cut": (2, {"cut_answer_after": 3}),
}


def _fresh(work, name):
    """Return the same folder with a project and a journal of its own."""
    assert work.server.served.put(f"/data/projects/{name}").status_code == 200
    home = work.home / name
    home.mkdir()
    return replace(work, home=home), work.plan(name)


def _upload_through(work, name, rule):
    """Upload while a rule is in force, and again if need be; return the rule's hits."""
    fresh, plan = _fresh(work, name)
    work.server.fault(rule)
    result = fresh.upload(plan)
    hits = work.server.faults()[0]["hits"]
    work.server.no_faults()
    first = [row.reason for row in result.rows]
    if result.exit_code:
        assert all(first), "a row that failed says why"
        result = fresh.upload(plan)
    assert result.exit_code == 0, (name, rule, first, [row.reason for row in result.rows])
    assert work.server.files(name) == expected_files(work.folder), (name, rule)
    assert work.server.waiting(name) == [], (name, rule)
    (verification,) = fresh.verify(plan)
    assert verification.problems == [], (name, rule)
    return hits


@pytest.mark.slow
@pytest.mark.parametrize(("step", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_fault_at_each_request_in_turn(work, tell, request, step, fault):
    """A step of 2 takes every other request."""
    write_study(work.folder / "group" / "treated" / "timepoint" / "pre" / "m01", series=(1,))
    met = 0
    for skip in range(0, 100, step):
        rule = {"path": "/data/*", "skip": skip, **fault}
        if not _upload_through(work, f"F{skip}", rule):
            break
        met += 1
    assert 10 / step < met < 100 / step, "every request was spoilt once, until there were no more"
    case = f"{request.node.callspec.id}, at each of {met * step} requests in turn"
    tell("fault", case, "done in the same run or the next")


@pytest.mark.slow
def test_import_cut_at_bytes_all_over_it(work, tell):
    write_study(work.folder / "m01", series=(1,), count=2)
    ((_key, session),) = work.plan().sessions.items()
    (series,) = build_payload(session).series
    length = len(ZipStream(entries(list(series.instances.values()))))
    cuts = [0, 1, *range(29, length, 83), length - 1]
    assert len(cuts) > 15
    for after in cuts:
        rule = {"method": "POST", "path": "/data/services/import", "cut_request_after": after}
        assert _upload_through(work, f"C{after}", rule) == 1
    tell("fault", f"import cut at each of {len(cuts)} bytes", "done in the same run or the next")


def test_token_that_is_withdrawn_in_mid_run_ends_in_clear_rows(work, tell):
    write_study(work.folder / "m01", "1", "m01")
    write_study(work.folder / "m02", "2", "m02")
    with work.server.client() as client:
        token = issue_token(client)
    client = _Withdrawing(work.server, token)
    result = work.upload(client=client, jobs=1)
    assert client.withdrawn
    assert result.exit_code == 5
    assert [row.outcome.value for row in result.rows] == ["failed", "stopped"]
    assert "no longer valid" in result.rows[0].reason
    assert "Log in again, or start the run again" in result.rows[0].reason
    tell("fault", "a token withdrawn in mid-run", result.rows[0].reason)
    assert work.upload().exit_code == 0
    assert work.server.files() == expected_files(work.folder)
    assert work.server.waiting() == []


class _Withdrawing(XnatClient):
    """A client whose token and session both end when the first session is to be archived."""

    def __init__(self, server, token):
        super().__init__(
            Connection(server.url, "admin"), token, retry=RetryPolicy(attempts=4, first_wait_s=0.01)
        )
        self._server, self._token = server, token
        self.withdrawn = False
        server.clients.append(self)

    def send(self, method, path, **options):
        if path == "/data/services/archive" and not self.withdrawn:
            self.withdrawn = True
            address = f"/data/services/tokens/invalidate/{self._token.name}/{self._token.secret}"
            assert self._server.served.get(address).status_code == 200
            self._server.fault({"path": path, "drop_login": True})
        return super().send(method, path, **options)
