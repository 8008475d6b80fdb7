"""Subjects over REST: make, name, change, share, delete."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from archive_server import ServeArchive, Served


@pytest.fixture
def project(served: Served) -> Served:
    """P1 and P2, empty."""
    for name in ("P1", "P2"):
        served.put(f"/data/projects/{name}")
    return served


def test_put_answers_201_then_200_with_the_id(project: Served) -> None:
    path = "/data/projects/P1/subjects/S1?xsiType=xnat:subjectData&xnat:subjectData/label=S1"
    first, second = project.put(path), project.put(path)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.text == second.text
    assert first.text.endswith("_S00001")
    assert first.headers["Content-Type"].startswith("text/plain")


def test_subject_is_found_by_id_and_by_label_in_any_letters(project: Served) -> None:
    name = project.put("/data/projects/P1/subjects/Mouse1").text
    for path in (
        f"/data/subjects/{name}",
        f"/data/archive/subjects/{name}",
        f"/REST/projects/P1/subjects/{name}",
        "/data/projects/P1/subjects/Mouse1",
        "/data/projects/P1/subjects/mouse1",
    ):
        item = project.get(path + "?format=json").json()["items"][0]
        assert item["data_fields"]["ID"] == name
        assert item["data_fields"]["label"] == "Mouse1"
        assert item["meta"]["isHistory"] is False


def test_missing_subject(project: Served) -> None:
    answer = project.get("/data/projects/P1/subjects/no?format=json")
    assert answer.status_code == 404
    assert "<h3>Unable to find the specified subject.</h3>" in answer.text
    assert project.delete("/data/projects/P1/subjects/no").status_code == 404
    assert project.get("/data/projects/no/subjects/S1?format=json").status_code == 404


def test_subject_needs_a_project(project: Served) -> None:
    assert project.put("/data/subjects/S1").status_code == 422
    assert project.put("/data/subjects/S1?project=P1").status_code == 201


@pytest.mark.parametrize("label", ["%2E%2E", "a%00b", "a%5Cb", "x" * 256])
def test_label_that_is_no_name(project: Served, label: str) -> None:
    assert project.put(f"/data/projects/P1/subjects/{label}").status_code == 400
    project.put("/data/projects/P1/subjects/S1")
    assert project.put(f"/data/projects/P1/subjects/S1?label={label}").status_code == 400
    shared = project.put(f"/data/projects/P1/subjects/S1/projects/P2?label={label}")
    assert shared.status_code == 400
    session = "/data/projects/P1/subjects/S1/experiments/E1"
    project.put(session + "?xsiType=xnat:mrSessionData")
    query = "?xsiType=xnat:mrScanData"
    assert project.put(f"{session}/scans/{label}{query}").status_code in (200, 400)
    assert project.rows(f"{session}/scans") == []
    assert [row["label"] for row in project.rows("/data/subjects")] == ["S1"]


def test_rename_ignores_the_rest_and_answers_nothing(project: Served) -> None:
    name = project.put("/data/projects/P1/subjects/S1").text
    answer = project.put("/data/projects/P1/subjects/S1?label=New&group=g")
    assert (answer.status_code, answer.text) == (200, "")
    row = project.rows("/data/subjects", columns="ID,label,group")[0]
    assert (row["ID"], row["label"], row["group"]) == (name, "New", "")


def test_label_in_use(project: Served) -> None:
    for name in ("S1", "S2"):
        project.put(f"/data/projects/P1/subjects/{name}")
    answer = project.put("/data/projects/P1/subjects/S1?label=s2")
    assert answer.status_code == 409
    assert "Specified label is already in use." in answer.text


def test_identity_stays(project: Served) -> None:
    project.put("/data/projects/P1/subjects/S1")
    answer = project.put("/data/projects/P1/subjects/S1?project=P2")
    assert answer.status_code == 409
    assert "Project must be modified through separate URI." in answer.text
    answer = project.put("/data/projects/P1/subjects/S1?xnat:subjectData/ID=X")
    assert answer.status_code == 400
    assert "ID cannot be modified" in answer.text


@pytest.mark.parametrize(
    ("setter", "column", "value"),
    [
        ("gender=male", "gender", "male"),
        ("xnat:subjectData/demographics/yob=1999", "yob", "1999"),
        (
            "xnat:subjectData/demographics%5B%40xsi:type%3Dxnat:demographicData%5D/DOB=2024-01-31",
            "dob",
            "2024-01-31",
        ),
        ("group=g1", "group", "g1"),
        ("xnat:subjectData/SRC=breeder", "src", "breeder"),
        ("pi_lastname=Curie", "pi_lastname", "Curie"),
    ],
)
def test_setters(project: Served, setter: str, column: str, value: str) -> None:
    project.put("/data/projects/P1/subjects/S1?race=r&" + setter)
    row = project.rows("/data/subjects", columns=f"{column},race")[0]
    assert (row[column], row["race"]) == (value, "r")
    project.put(f"/data/projects/P1/subjects/S1?{column}=NULL")
    assert project.rows("/data/subjects", columns=column)[0][column] == ""


def test_setters_from_a_form_body(project: Served) -> None:
    data = {"xnat:subjectData/fields/field[name=dose]/field": "5", "group": "from the form"}
    project.put("/data/projects/P1/subjects/S1?group=query", data=data)
    column = "xnat:subjectData/fields/field[name=dose]/field"
    row = project.rows("/data/subjects", columns=f"group,{column}")[0]
    assert (row["group"], row[column.lower()]) == ("query", "5")


@pytest.mark.parametrize("predicate", ["[name=dose]", "[name='dose']", '[name="dose"]'])
def test_custom_variable_in_every_spelling(project: Served, predicate: str) -> None:
    path = f"xnat:subjectData/fields/field{predicate}/field"
    project.put("/data/projects/P1/subjects/S1", params={path: "5", "handedness": "left"})
    item = project.get("/data/projects/P1/subjects/S1?format=json").json()["items"][0]
    found = next(one for one in item["children"] if one["field"] == "fields/field")["items"]
    assert [one["data_fields"] for one in found] == [{"name": "dose", "field": "5"}]
    assert found[0]["meta"]["xsi:type"] == "xnat:subjectData_field"
    key = "xnat:subjectdata/fields/field[name=dose]/field"
    assert project.rows("/data/subjects", columns=path)[0][key] == "5"
    assert project.rows("/data/subjects", columns="ID", **{path: "6"}) == []
    assert len(project.rows("/data/subjects", columns="ID", **{path: "5"})) == 1


def test_unescaped_predicate_is_understood(project: Served) -> None:
    project.put("/data/projects/P1/subjects/S1?xnat:subjectData/fields/field[name=dose]/field=5")
    text = project.get("/data/projects/P1/subjects/S1?format=xml").text
    assert '<xnat:field name="dose">5</xnat:field>' in text


def test_variables_are_deleted_and_listed_one_a_row(project: Served) -> None:
    path = "xnat:subjectData/fields/field[name={}]/field"
    values = {path.format("dose"): "5", path.format("group"): "a", path.format("x"): "1"}
    project.put("/data/projects/P1/subjects/S1", params=values)
    project.put("/data/projects/P1/subjects/S1", params={path.format("x"): "NULL"})
    columns = "label,xnat:subjectData/fields/field/name,xnat:subjectData/fields/field/field"
    rows = project.rows("/data/projects/P1/subjects", columns=columns)
    found = {tuple(row[name.lower()] for name in columns.split(",")) for row in rows}
    assert found == {("S1", "dose", "5"), ("S1", "group", "a")}


def test_sharing(project: Served) -> None:
    name = project.put("/data/projects/P1/subjects/S1").text
    path = "/data/projects/P1/subjects/S1/projects/P2"
    assert project.put(path + "?label=Other").status_code == 200
    again = project.put(path)
    assert again.status_code == 409
    assert "Already assigned to project: P2" in again.text
    row = project.rows("/data/projects/P2/subjects")[0]
    assert (row["ID"], row["label"], row["project"]) == (name, "Other", "P1")
    item = project.get("/data/projects/P2/subjects/Other?format=json").json()["items"][0]
    assert item["data_fields"]["project"] == "P1"
    share = next(child for child in item["children"] if child["field"] == "sharing/share")
    assert share["items"][0]["data_fields"] == {"project": "P2", "label": "Other"}
    listed = project.rows("/data/projects/P1/subjects/S1/projects")
    assert [row["ID"] for row in listed] == ["P1", "P2"]


def test_share_under_a_label_in_use(project: Served) -> None:
    project.put("/data/projects/P1/subjects/S1")
    project.put("/data/projects/P2/subjects/S1")
    answer = project.put("/data/projects/P1/subjects/S1/projects/P2")
    assert answer.status_code == 409
    assert "Label already in use:" in answer.text


def test_renaming_a_share(project: Served) -> None:
    project.put("/data/projects/P1/subjects/S1")
    project.put("/data/projects/P2/subjects/Taken")
    project.put("/data/projects/P1/subjects/S1/projects/P2")
    assert project.put("/data/projects/P2/subjects/S1?label=taken").status_code == 409
    assert project.put("/data/projects/P2/subjects/S1?label=Guest").status_code == 200
    labels = {row["label"] for row in project.rows("/data/projects/P2/subjects")}
    assert labels == {"Guest", "Taken"}
    assert project.rows("/data/projects/P1/subjects")[0]["label"] == "S1"


def test_deleting_a_share_leaves_the_subject(project: Served) -> None:
    name = project.put("/data/projects/P1/subjects/S1").text
    project.put(f"/data/subjects/{name}/projects/P2")
    assert project.delete(f"/data/projects/P2/subjects/{name}").status_code == 200
    assert project.rows("/data/projects/P2/subjects") == []
    assert len(project.rows("/data/projects/P1/subjects")) == 1


def test_primary_share_hands_the_subject_over(project: Served) -> None:
    project.put("/data/projects/P1/subjects/S1/experiments/E1?xsiType=xnat:mrSessionData")
    answer = project.put("/data/projects/P1/subjects/S1/projects/P2?primary=true&label=Moved")
    assert answer.status_code == 200
    assert project.rows("/data/projects/P1/subjects") == []
    assert project.rows("/data/projects/P2/subjects")[0]["label"] == "Moved"
    assert project.rows("/data/projects/P2/experiments")[0]["label"] == "E1"
    project.delete("/data/projects/P1")
    assert len(project.rows("/data/subjects")) == 1


def test_deleting_takes_everything_below(project: Served) -> None:
    project.put("/data/projects/P1/subjects/S1/experiments/E1?xsiType=xnat:mrSessionData")
    project.put("/data/projects/P1/experiments/E1/scans/1?xsiType=xnat:mrScanData")
    answer = project.delete("/data/projects/P1/subjects/S1?removeFiles=true")
    assert (answer.status_code, answer.text) == (200, "")
    assert project.rows("/data/experiments") == []
    assert project.get("/data/projects/P1/experiments/E1/scans").status_code == 404


def test_ids_are_never_used_again(project: Served) -> None:
    first = project.put("/data/projects/P1/subjects/S1").text
    project.delete(f"/data/subjects/{first}")
    assert project.put("/data/projects/P1/subjects/S1").text > first


def test_subject_document_goes_round(project: Served) -> None:
    path = "xnat:subjectData/fields/field[name=dose]/field"
    project.put("/data/projects/P1/subjects/S1", params={path: "5", "gender": "female"})
    text = project.get("/data/projects/P1/subjects/S1?format=xml").text
    text = text.replace("S1", "S2").replace("_S00001", "_S00009")
    text = text.replace("S20001", "S10001")
    headers = {"Content-Type": "text/xml"}
    answer = project.post(
        "/data/projects/P2/subjects/S2", data=text.replace('"P1"', '"P2"'), headers=headers
    )
    assert answer.status_code == 201
    rows = project.rows("/data/projects/P2/subjects", columns=f"label,gender,{path}")
    assert (rows[0]["label"], rows[0]["gender"], rows[0][path.lower()]) == ("S2", "female", "5")


def test_documents_with_empty_names_take_those_of_the_address(project: Served) -> None:
    spaces = 'xmlns:xnat="http://nrg.wustl.edu/xnat" ID="" project=""'
    base = "/data/projects/P1/subjects/S1"
    for path, name in (
        (base, "Subject"),
        (f"{base}/experiments/E1", "MRSession"),
        (f"{base}/experiments/E1/assessors/Q1", "QCManualAssessment"),
        ("/data/projects/P1", "Project"),
    ):
        answer = project.put(path, data=f"<xnat:{name} {spaces}/>")
        assert answer.status_code in (200, 201), (name, answer.text)
        item = project.get(f"{path}?format=json").json()["items"][0]["data_fields"]
        assert item.get("project", "P1") == "P1"
        assert item["ID"]


def test_document_of_another_kind(project: Served) -> None:
    text = project.get("/data/projects/P1?format=xml").text
    headers = {"Content-Type": "text/xml"}
    assert (
        project.put("/data/projects/P1/subjects/S1", data=text, headers=headers).status_code == 422
    )


def test_many_make_one_subject_at_once(project: Served) -> None:
    def make(_: int) -> tuple[int, str]:
        answer = project.as_user("admin", "admin").put("/data/projects/P1/subjects/S1")
        return answer.status_code, answer.text

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(make, range(16)))
    assert sorted(status for status, _ in answers) == [200] * 15 + [201]
    assert len({text for _, text in answers}) == 1


def test_a_restart_keeps_everything(serve: ServeArchive) -> None:
    first = serve()
    first.put("/data/projects/P1")
    name = first.put("/data/projects/P1/subjects/S1?gender=male").text
    second = serve()
    row = second.rows("/data/subjects", columns="ID,gender")[0]
    assert (row["ID"], row["gender"]) == (name, "male")
