"""Custom fields of the newer API."""

import pytest
from archive_server import Served

from sandbox.archive import accounts

FIELDS = "/xapi/custom-fields/projects/P1/subjects/S1/fields"


@pytest.fixture
def subject(served: Served) -> Served:
    """P1 with subject S1, session E1 and scan 1."""
    served.put("/data/projects/P1")
    served.put("/data/projects/P1/subjects/S1")
    served.put("/data/projects/P1/subjects/S1/experiments/E1?xsiType=xnat:mrSessionData")
    served.put("/data/projects/P1/experiments/E1/scans/1?xsiType=xnat:mrScanData")
    return served


@pytest.mark.parametrize(
    "scope",
    [
        "projects/P1",
        "projects/P1/subjects/S1",
        "projects/P1/experiments/E1",
        "projects/P1/subjects/S1/experiments/E1",
        "projects/P1/subjects/S1/experiments/E1/scans/1",
        "subjects/XNATPIC_S00001",
        "experiments/XNATPIC_E00001",
        "experiments/XNATPIC_E00001/scans/1",
    ],
)
def test_fields_of_every_kind(subject: Served, scope: str) -> None:
    path = f"/xapi/custom-fields/{scope}/fields"
    assert subject.get(path).json() == {}
    answer = subject.put(path, json={"dose": 5, "deep": {"a": [1, None]}})
    assert (answer.status_code, answer.json()) == (200, {"dose": 5, "deep": {"a": [1, None]}})


def test_fields_are_merged_key_by_key(subject: Served) -> None:
    subject.put(FIELDS, json={"a": 1, "b": "two"})
    assert subject.put(FIELDS, json={"a": 3}).json() == {"a": 3, "b": "two"}
    assert subject.get(FIELDS + "?fieldNames=b,none").json() == {"b": "two"}
    assert subject.get(FIELDS + "/b").text == "two"
    assert subject.get(FIELDS + "/a").text == "3"
    assert subject.delete(FIELDS + "/a").json() == {"b": "two"}
    assert subject.delete(FIELDS + "/a").status_code == 404
    assert subject.get(FIELDS + "/a").status_code == 404


def test_fields_and_variables_do_not_see_each_other(subject: Served) -> None:
    subject.put(FIELDS, json={"dose": 5})
    item = subject.get("/data/projects/P1/subjects/S1?format=json").json()["items"][0]
    assert all(child["field"] != "fields/field" for child in item["children"])


def test_fields_of_what_is_not_there(subject: Served) -> None:
    answer = subject.get("/xapi/custom-fields/projects/P1/subjects/no/fields")
    assert answer.status_code == 403  # as of what may not be read
    assert "<html" not in answer.text
    assert subject.put(FIELDS, data=b"[1]").status_code == 400
    assert subject.put(FIELDS, data=b"{").status_code == 400


def test_only_members_change_fields(subject: Served) -> None:
    with subject.archive.database.write() as connection:
        accounts.set_user(connection, "col", "pw")
        accounts.set_user(connection, "mem", "pw")
        accounts.set_user(connection, "out", "pw")
    subject.put("/data/projects/P1/users/Collaborators/col")
    subject.put("/data/projects/P1/users/Members/mem")
    reader = subject.as_user("col", "pw")
    assert reader.get(FIELDS).status_code == 200
    assert reader.put(FIELDS, json={"a": 1}).status_code == 403
    member = subject.as_user("mem", "pw")
    assert member.put(FIELDS, json={"a": 1}).status_code == 200
    project = "/xapi/custom-fields/projects/P1/fields"
    assert member.put(project, json={"a": 1}).status_code == 403
    assert subject.put(project, json={"a": 1}).status_code == 200
    assert subject.as_user("out", "pw").get(FIELDS).status_code == 403
