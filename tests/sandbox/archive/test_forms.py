"""Custom forms, with the statuses and bodies that XNAT's own code gives."""

import json
from typing import Any

import pytest
from archive_server import Served
from filled import add_user

SAVE = "/xapi/customforms/save"
FIELDS = "/xapi/custom-fields/projects/P1/subjects/S1/fields"
ELEMENT = "/xapi/customforms/element?xsiType=xnat:subjectData&appendPrevNextButtons=false"


@pytest.fixture
def projects(served: Served) -> Served:
    """P1 with subject S1, and P2."""
    served.put("/data/projects/P1")
    served.put("/data/projects/P2")
    served.put("/data/projects/P1/subjects/S1")
    return served


def _form(title: str, *places: str, **data: Any) -> dict[str, Any]:
    told = {
        "xnatDatatype": {"label": "Subject", "value": "xnat:subjectData"},
        "isThisASiteWideConfiguration": "NO" if places else "YES",
        "xnatProject": [{"label": one, "value": one} for one in places],
        **data,
    }
    components = [{"type": "number", "key": "dose", "label": "Dose", "input": True}]
    builder = {"display": "form", "title": title, "components": components}
    return {"submission": {"data": told}, "builder": builder}


def _save(served: Served, title: str, *places: str) -> str:
    answer = served.put(SAVE, json=_form(title, *places))
    assert answer.status_code == 201, answer.text
    return str(answer.text)


def _listed(served: Served, project: str = "") -> list[dict[str, Any]]:
    query = f"?projectId={project}" if project else ""
    found: list[dict[str, Any]] = served.get(f"/xapi/customforms{query}").json()
    return found


def _places(served: Served, project: str = "") -> dict[str, tuple[str, str]]:
    """Return row and status of the first form by where it applies."""
    (form,) = _listed(served, project)
    return {
        one["entityId"]: (one["idCustomVariableFormAppliesTo"], one["status"])
        for one in form["appliesToList"]
    }


def _row(served: Served, place: str) -> list[dict[str, str]]:
    return [{"idCustomVariableFormAppliesTo": _places(served)[place][0], "entityId": place}]


def test_a_form_is_stored_listed_and_shown(projects: Served) -> None:
    uuid = _save(projects, "Treatment", "P1")
    (form,) = _listed(projects)
    assert (form["formUUID"], form["scope"], form["hasData"]) == (uuid, "Project", False)
    assert form["path"] == "datatype/xnat:subjectData"
    assert json.loads(form["contents"])["title"] == "Treatment"
    assert _listed(projects, "P2") == []
    shown = projects.get(f"{ELEMENT}&projectId=P1").json()
    assert shown["components"][0]["key"] == uuid
    assert shown["components"][0]["components"][0]["key"] == "dose"
    assert projects.get(f"{ELEMENT}&projectId=P2").status_code == 404


def test_rows_are_named_by_form_and_place(projects: Served) -> None:
    _save(projects, "One", "P1", "P2")
    _save(projects, "Two", "P1")
    rows = [
        one["idCustomVariableFormAppliesTo"]
        for f in _listed(projects)
        for one in f["appliesToList"]
    ]
    assert rows == ["1_1", "1_2", "2_1"]  # P1 is one place for both forms


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"builder": json.dumps({"title": "T", "components": []})}, "Missing form title"),
        ({"builder": {"components": []}}, "Missing form title"),
        ({"builder": {"title": "a<b", "components": []}}, "Invalid characters in form title"),
        ({"builder": {"title": "", "components": []}}, "Invalid characters in form title"),
        ({"submission": None}, 'Missing required value "submission"'),
        ({"submission": {}}, 'missing required value "data"'),
        ({"submission": {"data": {}}}, "isThisASiteWideConfiguration"),
    ],
)
def test_a_bad_form_is_refused(projects: Served, change: dict[str, Any], message: str) -> None:
    answer = projects.put(SAVE, json={**_form("T", "P1"), **change})
    assert answer.status_code == 400
    assert message in answer.text
    assert _listed(projects) == []


def test_a_form_is_changed_by_its_row(projects: Served) -> None:
    uuid = _save(projects, "Old", "P1")
    row = _places(projects)["P1"][0]
    changed = _form("New", "P2", idCustomVariableFormAppliesTo=row)
    answer = projects.put(SAVE, json=changed)
    assert (answer.status_code, answer.text) == (201, uuid)
    (form,) = _listed(projects)
    assert json.loads(form["contents"])["title"] == "New"
    assert set(_places(projects)) == {"P1", "P2"}


def test_rows_are_disabled_and_enabled_by_a_list(projects: Served) -> None:
    _save(projects, "T", "P1", "P2")
    answer = projects.post("/xapi/customforms/disable", json=_row(projects, "P1"))
    assert (answer.status_code, answer.text) == (200, "Form disabled")
    assert {place: row[1] for place, row in _places(projects).items()} == {
        "P1": "disabled",
        "P2": "enabled",
    }
    assert projects.get(f"{ELEMENT}&projectId=P1").status_code == 404
    assert projects.post("/xapi/customforms/enable", json=_row(projects, "P1")).status_code == 200
    assert projects.get(f"{ELEMENT}&projectId=P1").status_code == 200
    for body in ([{"idCustomVariableFormAppliesTo": "9_9"}], {"a": 1}, [{"unknown": "1_1"}]):
        assert projects.post("/xapi/customforms/enable", json=body).status_code == 500
    assert projects.post("/xapi/customforms/enable/1_1").status_code in (404, 405)


def test_a_form_of_projects_is_promoted(projects: Served) -> None:
    _save(projects, "T", "P1")
    assert projects.post("/xapi/customforms/promote", json=_row(projects, "P1")).status_code == 200
    assert set(_places(projects)) == {"Site"}
    assert len(_listed(projects, "P2")) == 1
    assert (
        projects.post("/xapi/customforms/promote", json=_row(projects, "Site")).status_code == 400
    )


def test_a_project_leaves_a_form_of_the_site(projects: Served) -> None:
    _save(projects, "Everywhere")
    row = _places(projects)["Site"][0]
    assert projects.post(f"/xapi/customforms/optout/{row}", json=["P1"]).status_code == 200
    assert projects.get(f"{ELEMENT}&projectId=P1").status_code == 404
    assert projects.get(f"{ELEMENT}&projectId=P2").status_code == 200
    assert _places(projects, "P1")["P1"][1] == "optedout"
    assert projects.post(f"/xapi/customforms/optin/{row}", json=["P1"]).status_code == 200
    assert projects.get(f"{ELEMENT}&projectId=P1").status_code == 200


def test_opting_out_has_its_statuses(projects: Served) -> None:
    _save(projects, "T", "P1")
    row = _places(projects)["P1"][0]
    optout = "/xapi/customforms/optout"
    assert projects.post(f"{optout}/{row}", json=["P1"]).status_code == 400  # its only project
    assert projects.post(f"{optout}/{row}", json=["NONE"]).status_code == 404
    assert projects.post(f"{optout}/{row}", json=[]).status_code == 400
    assert projects.post(f"{optout}/9_9", json=["P1"]).status_code == 400
    assert projects.post(f"/xapi/customforms/optin/{row}", json=["P2"]).status_code == 200
    assert projects.post(f"{optout}/{row}", json=["P1"]).status_code == 200
    assert set(_places(projects)) == {"P2"}


def test_a_form_with_values_is_only_disabled(projects: Served) -> None:
    uuid = _save(projects, "T", "P1")
    row = _places(projects)["P1"][0]
    hasdata = f"/xapi/customforms/hasdata/{row}"
    assert projects.get(hasdata).json() is False
    projects.put(FIELDS, json={uuid: {}})
    assert projects.get(hasdata).json() is False  # none of its fields has a value
    projects.put(FIELDS, json={uuid: {"dose": 5}})
    assert projects.get(hasdata).json() is True
    answer = projects.delete("/xapi/customforms", json=_row(projects, "P1"))
    assert (answer.status_code, answer.text) == (200, "Form P1: disabled")
    assert _places(projects)["P1"] == (row, "disabled")
    projects.delete(f"{FIELDS}/{uuid}")
    answer = projects.delete("/xapi/customforms", json=_row(projects, "P1"))
    assert (answer.status_code, answer.text) == (200, "Form P1: deleted")
    assert _listed(projects) == []
    again = projects.delete(
        "/xapi/customforms", json=[{"idCustomVariableFormAppliesTo": row, "entityId": "P1"}]
    )
    assert again.status_code == 400
    assert projects.get("/xapi/customforms/hasdata/9_9").json() is False
    assert projects.get("/xapi/customforms/hasdata/nonsense").status_code == 500


def test_deleting_one_row_leaves_the_others(projects: Served) -> None:
    _save(projects, "T", "P1", "P2")
    assert projects.delete("/xapi/customforms", json=_row(projects, "P1")).status_code == 200
    assert set(_places(projects)) == {"P2"}
    assert projects.delete("/xapi/customforms/1_2").status_code in (404, 405)


def test_forms_need_an_administrator(projects: Served) -> None:
    _save(projects, "T", "P1")
    owner = add_user(projects, "owner", "Owners")
    rows = _row(projects, "P1")
    assert owner.put(SAVE, json=_form("U", "P1")).status_code == 403
    assert owner.delete("/xapi/customforms", json=rows).status_code == 403
    assert owner.post("/xapi/customforms/disable", json=rows).status_code == 403
    assert owner.post("/xapi/customforms/promote", json=rows).status_code == 403
    assert len(_listed(owner)) == 1
