"""Custom fields and custom forms of the newer API."""

import json

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


def _form(title: str, **data: object) -> dict[str, object]:
    submission = {"xnatDatatype": {"label": "Subject", "value": "xnat:subjectData"}, **data}
    components = [{"type": "number", "key": "dose", "label": "Dose"}]
    builder = json.dumps({"display": "form", "title": title, "components": components})
    return {"submission": {"data": submission}, "builder": builder}


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
    assert answer.status_code == 404
    assert "<html" not in answer.text
    assert subject.put(FIELDS, data=b"[1]").status_code == 400
    assert subject.put(FIELDS, data=b"{").status_code == 400


def test_only_members_change_fields(subject: Served) -> None:
    with subject.archive.database.write() as connection:
        accounts.set_user(connection, "col", "pw")
    subject.put("/data/projects/P1/users/Collaborators/col")
    reader = subject.as_user("col", "pw")
    assert reader.get(FIELDS).status_code == 200
    assert reader.put(FIELDS, json={"a": 1}).status_code == 403


def test_form_is_kept_listed_and_shown(subject: Served) -> None:
    answer = subject.put(
        "/xapi/customforms/save", json=_form("Treatment", xnatProject=[{"value": "P1"}])
    )
    assert answer.status_code == 201
    name = answer.text
    found = subject.get("/xapi/customforms").json()
    assert [one["formUUID"] for one in found] == [name]
    assert json.loads(found[0]["contents"])["title"] == "Treatment"
    assert subject.get("/xapi/customforms?projectId=P2").json() == []
    query = "xsiType=xnat:subjectData&projectId=P1&appendPrevNextButtons=false"
    shown = subject.get(f"/xapi/customforms/element?{query}").json()
    assert shown["components"][0]["key"] == name
    assert shown["components"][0]["components"][0]["key"] == "dose"
    missing = subject.get("/xapi/customforms/element?xsiType=xnat:mrSessionData")
    assert missing.status_code == 404


def test_form_of_the_site(subject: Served) -> None:
    form = _form("Everywhere", isThisASiteWideConfiguration="yes")
    name = subject.put("/xapi/customforms/save", json=form).text
    assert len(subject.get("/xapi/customforms?projectId=P1").json()) == 1
    number = subject.get("/xapi/customforms").json()[0]["formId"]
    assert subject.post(f"/xapi/customforms/optout/{number}", json=["P1"]).status_code == 200
    assert subject.get("/xapi/customforms?projectId=P1").json() == []
    assert subject.post(f"/xapi/customforms/optin/{number}", json=["P1"]).status_code == 200
    assert len(subject.get("/xapi/customforms?projectId=P1").json()) == 1
    assert subject.post(f"/xapi/customforms/disable/{name}").status_code == 200
    query = "xsiType=xnat:subjectData&projectId=P1"
    assert subject.get(f"/xapi/customforms/element?{query}").status_code == 404
    assert subject.post(f"/xapi/customforms/explode/{name}").status_code == 404


def test_form_with_values_is_not_deleted(subject: Served) -> None:
    name = subject.put("/xapi/customforms/save", json=_form("T")).text
    subject.put(FIELDS, json={name: {"dose": 5}})
    assert subject.get(f"/xapi/customforms/hasdata/{name}").json() is True
    assert subject.delete(f"/xapi/customforms/{name}").text == "disabled"
    subject.delete(f"{FIELDS}/{name}")
    assert subject.delete(f"/xapi/customforms/{name}").text == "deleted"
    assert subject.get("/xapi/customforms").json() == []
    assert subject.delete(f"/xapi/customforms/{name}").status_code == 404


def test_form_needs_a_type_and_an_administrator(subject: Served) -> None:
    assert subject.put("/xapi/customforms/save", json={"builder": "{}"}).status_code == 400
    with subject.archive.database.write() as connection:
        accounts.set_user(connection, "plain", "pw")
    answer = subject.as_user("plain", "pw").put("/xapi/customforms/save", json=_form("T"))
    assert answer.status_code == 403
