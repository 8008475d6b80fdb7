"""Faults on purpose: what a client sees, and what was done all the same."""

import time
from typing import Any

import pytest
import requests
from archive_server import ServeArchive, Served

BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


@pytest.fixture
def faulty(serve: ServeArchive) -> Served:
    """A server whose tests may inject faults."""
    return serve(faults=True)


def _set(served: Served, **rule: Any) -> None:
    answer = requests.post(served.url + "/sandbox/faults", json=rule, timeout=10)
    assert answer.status_code == 200, answer.text


def _hits(served: Served) -> list[int]:
    answer = requests.get(served.url + "/sandbox/faults", timeout=10)
    return [one["hits"] for one in answer.json()]


def test_status_as_often_as_asked_and_no_work(faulty: Served) -> None:
    _set(faulty, method="PUT", path="/data/projects/*", status=503, count=2, skip=1)
    codes = [faulty.put(f"/data/archive/projects/P{n}").status_code for n in range(4)]
    assert codes == [200, 503, 503, 200]
    assert [row["ID"] for row in faulty.rows("/data/projects")] == ["P0", "P3"]
    assert _hits(faulty) == [2]


def test_other_methods_and_paths_pass(faulty: Served) -> None:
    _set(faulty, method="PUT", path="/data/projects/P1", status=500, count=0)
    assert faulty.get("/data/projects").status_code == 200
    assert faulty.put("/data/projects/P2").status_code == 200
    assert [faulty.put("/REST/projects/P1").status_code for _ in range(3)] == [500] * 3


def test_lost_answer_of_work_that_was_done(faulty: Served) -> None:
    _set(faulty, method="PUT", lose_answer=True)
    with pytest.raises(BROKEN):
        faulty.put("/data/projects/P1")
    assert [row["ID"] for row in faulty.rows("/data/projects")] == ["P1"]


def test_answer_is_cut(faulty: Served) -> None:
    faulty.put("/data/projects/P1")
    path = "/data/projects/P1/resources/R/files/a.bin"
    content = bytes(range(256)) * 400
    headers = {"Content-Type": "application/octet-stream"}
    assert faulty.put(path, data=content, headers=headers).status_code == 200
    _set(faulty, method="GET", path="*/files/*", cut_answer_after=1000)
    with pytest.raises(BROKEN):
        faulty.get(path)
    _set(faulty, method="GET", path="*/files/*", cut_answer_after=1000)
    answer = faulty.get(path, stream=True)
    assert answer.raw.read(1000) == content[:1000]
    assert faulty.get(path).content == content


def test_request_is_cut_and_leaves_nothing(faulty: Served) -> None:
    faulty.put("/data/projects/P1")
    _set(faulty, method="PUT", path="*/files/*", cut_request_after=1 << 20)
    path = "/data/projects/P1/resources/R/files/a.bin"
    headers = {"Content-Type": "application/octet-stream"}
    with pytest.raises(BROKEN):
        faulty.put(path, data=b"x" * (8 << 20), headers=headers)
    assert faulty.rows("/data/projects/P1/files") == []
    assert not list(faulty.archive.folder.glob("blobs/*/*/*"))
    assert faulty.put(path, data=b"x", headers=headers).status_code == 200


def test_login_is_dropped(faulty: Served) -> None:
    token = faulty.get("/data/JSESSION").text
    cookies = {"JSESSIONID": token}
    _set(faulty, path="/data/projects", drop_login=True)
    url = faulty.url + "/data/projects"
    codes = [requests.get(url, cookies=cookies, timeout=10).status_code for _ in range(2)]
    assert codes == [401, 401]  # the session itself has ended
    assert faulty.get("/data/projects").status_code == 200


def test_delay(faulty: Served) -> None:
    _set(faulty, path="/data/projects", delay_s=0.4)
    start = time.monotonic()
    assert faulty.get("/data/projects").status_code == 200
    assert time.monotonic() - start >= 0.4


@pytest.mark.parametrize(
    "rule", [{"statuss": 500}, {"status": "500"}, {"lose_answer": 1}, 5], ids=str
)
def test_wrong_rule_is_refused(faulty: Served, rule: Any) -> None:
    answer = requests.post(faulty.url + "/sandbox/faults", json=rule, timeout=10)
    assert answer.status_code == 400
    assert _hits(faulty) == []


def test_rules_are_cleared(faulty: Served) -> None:
    _set(faulty, status=500, count=0)
    requests.delete(faulty.url + "/sandbox/faults", timeout=10)
    assert faulty.get("/data/projects").status_code == 200


def test_web_pages_cannot_set_rules(faulty: Served) -> None:
    headers = {"Origin": faulty.url}
    answer = requests.post(faulty.url + "/sandbox/faults", json={}, headers=headers, timeout=10)
    assert answer.status_code == 403


def test_ordinary_server_has_no_faults(served: Served) -> None:
    assert served.post("/sandbox/faults", json={"status": 500}).status_code == 404
    assert served.get("/data/projects").status_code == 200
