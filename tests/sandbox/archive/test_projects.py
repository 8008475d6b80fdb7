"""Projects over REST: status and body of each call, settings, users, rights."""

import pytest
from archive_server import Served
from filled import add_user, fill

from sandbox.archive import accounts

PROTOCOL = (
    '<xnat:studyProtocol xmlns:xnat="http://nrg.wustl.edu/xnat"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ID="P1_xnat_subjectData"'
    ' data-type="xnat:subjectData" name="Subjects" xsi:type="xnat:datatypeProtocol">'
    '<xnat:definitions><xnat:definition ID="treatment" data-type="xnat:subjectData"'
    ' project-specific="1"><xnat:fields><xnat:field name="dose" datatype="float" type="custom">'
    '<xnat:possibleValues><xnat:possibleValue display="low">1</xnat:possibleValue>'
    "</xnat:possibleValues></xnat:field></xnat:fields></xnat:definition></xnat:definitions>"
    "</xnat:studyProtocol>"
)


@pytest.fixture
def people(served: Served) -> dict[str, Served]:
    """P1 with an owner, a member, a collaborator, and somebody who is none of them."""
    served.put("/data/projects/P1")
    with served.archive.database.write() as connection:
        for login in ("olga", "mia", "col", "nobody"):
            accounts.set_user(connection, login, "pw")
    for role, login in (("Owners", "olga"), ("Members", "mia"), ("Collaborators", "col")):
        assert served.put(f"/data/projects/P1/users/{role}/{login}").status_code == 200
    return {login: served.as_user(login, "pw") for login in ("olga", "mia", "col", "nobody")}


def test_put_answers_200_and_nothing_new_or_not(served: Served) -> None:
    path = "/data/projects/P1?xsiType=xnat:projectData&xnat:projectData/name=First"
    for _ in range(2):
        answer = served.put(path)
        assert (answer.status_code, answer.text) == (200, "")
    assert served.rows("/data/projects")[0]["name"] == "First"


def test_bare_put_makes_a_project_of_that_id(served: Served) -> None:
    assert served.put("/data/projects/NEW").status_code == 200
    row = served.rows("/REST/projects")[0]
    assert (row["ID"], row["name"], row["secondary_ID"]) == ("NEW", "NEW", "NEW")
    assert row["URI"] == "/data/projects/NEW"


@pytest.mark.parametrize(
    "path",
    [
        "/data/projects/p1",
        "/data/projects/other",
        "/data/projects/FIRST",
        "/data/projects/one",
        *(
            f"/data/projects/P2?{place}={taken}"
            for place in ("name", "secondary_ID", "xnat:projectData/aliases/alias")
            for taken in ("p1", "FIRST", "one", "OTHER")
        ),
    ],
)
def test_conflicting_project_is_refused(served: Served, path: str) -> None:
    served.put("/data/projects/P1?name=First&secondary_ID=One&xnat:projectData/aliases/alias=Other")
    answer = served.put(path)
    assert answer.status_code == 409
    assert "Requested new project conflicts with existing projects: P1" in answer.text
    assert len(served.rows("/data/projects")) == 1


def test_alias_finds_the_project(served: Served) -> None:
    served.put("/data/projects/P1?alias=Other")
    answer = served.get("/data/projects/Other?format=json")
    assert answer.json()["items"][0]["data_fields"]["ID"] == "P1"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/data/projects/a%20b", "Invalid character in project ID."),
        ("/data/projects/P1?xnat:projectData/ID=P2", "differs"),
    ],
)
def test_bad_id_is_refused(served: Served, path: str, message: str) -> None:
    answer = served.put(path)
    assert answer.status_code == 417
    assert message in answer.text
    assert served.rows("/data/projects") == []


def test_deleted_id_stays_burnt(served: Served) -> None:
    served.put("/data/projects/P1")
    answer = served.delete("/data/projects/P1?removeFiles=true")
    assert (answer.status_code, answer.text) == (200, "")
    again = served.put("/data/projects/P1")
    assert again.status_code == 403
    assert "was used in a previously deleted project" in again.text


def test_unknown_project(served: Served) -> None:
    answer = served.get("/data/projects/P1?format=json")
    assert answer.status_code == 404
    assert "<h3>" in answer.text
    assert "<br>" in answer.text
    assert served.delete("/data/projects/P1").status_code == 400


def test_project_as_json_xml_and_page(served: Served) -> None:
    served.put("/data/projects/P1?name=First&pi_lastname=Curie&keywords=a%20b")
    item = served.get("/data/projects/P1?format=json").json()["items"][0]
    assert item["meta"]["xsi:type"] == "xnat:projectData"
    assert item["data_fields"]["keywords"] == "a b"
    fields = {child["field"]: child["items"] for child in item["children"]}
    assert fields["PI"][0]["data_fields"]["lastname"] == "Curie"
    answer = served.get("/data/projects/P1?format=xml")
    assert answer.headers["Content-Type"].startswith("text/xml")
    assert "<xnat:Project " in answer.text
    assert "<xnat:name>First</xnat:name>" in answer.text
    assert served.get("/data/projects/P1").headers["Content-Type"].startswith("text/html")


def test_xml_of_one_project_makes_another(served: Served) -> None:
    served.put("/data/projects/P1?name=First&keywords=k&pi_firstname=Marie")
    text = served.get("/data/projects/P1?format=xml").text
    other = text.replace('"P1"', '"P2"').replace("First", "Second").replace('"P1_', '"P2_')
    answer = served.put("/data/projects/P2", data=other, headers={"Content-Type": "text/xml"})
    assert answer.status_code == 200
    rows = served.rows("/data/projects", columns="ID,name,keywords,pi_firstname")
    assert rows[1] == {
        "ID": "P2",
        "name": "Second",
        "keywords": "k",
        "pi_firstname": "Marie",
        "URI": "/data/projects/P2",
    }


@pytest.mark.parametrize("text", ["<xnat:Project", "<nothing/>", "<a>&b;</a>"])
def test_bad_xml_is_refused(served: Served, text: str) -> None:
    answer = served.put("/data/projects/P1", data=text, headers={"Content-Type": "text/xml"})
    assert answer.status_code == 422
    assert served.rows("/data/projects") == []


def test_entities_are_refused(served: Served) -> None:
    text = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
    answer = served.put("/data/projects/P1", data=text, headers={"Content-Type": "text/xml"})
    assert answer.status_code == 422
    assert "root:" not in answer.text


def test_settings(served: Served) -> None:
    served.put("/data/projects/P1")
    for name, first, then in (
        ("prearchive_code", "4", "0"),
        ("quarantine_code", "0", "1"),
        ("accessibility", "private", "public"),
        ("current_arc", "arc001", "arc002"),
    ):
        assert served.get(f"/data/projects/P1/{name}").text == first
        assert served.put(f"/data/projects/P1/{name}/{then}").status_code == 200
        assert served.get(f"/data/projects/P1/{name}").text == then
    assert served.put("/data/projects/P1/prearchive_code/11").status_code == 200
    assert served.get("/data/projects/P1/prearchive_code").text == "11"
    assert served.put("/data/projects/P1/prearchive_code/many").status_code == 400
    assert served.put("/data/projects/P1/quarantine_code/true").status_code == 200
    assert served.get("/data/projects/P1/quarantine_code").text == "1"
    item = served.get("/data/projects/P1?format=json").json()["items"][0]
    assert "prearchive_code" not in item["data_fields"]


def test_preferences_of_the_site(served: Served) -> None:
    address = "/xapi/siteConfig"
    wrong = served.post(address, json={"sitewideSeriesImportFilter": "good\n[bad"})
    assert wrong.status_code == 400
    assert "'[bad' is no regular expression" in wrong.text
    assert served.get(address).json()["siteUrl"] == served.url
    assert served.post(address, json={"defaultPrearchiveCode": "0"}).status_code == 200
    assert served.get(f"{address}/defaultPrearchiveCode").json() == "0"
    served.put("/data/projects/P1")
    assert served.get("/data/projects/P1/prearchive_code").text == "0"
    answer = served.post(f"{address}/defaultPrearchiveCode", data="5")
    assert answer.status_code == 200
    served.put("/data/projects/P2")
    assert served.get("/data/projects/P2/prearchive_code").text == "5"
    assert served.post(address, json={"emailVerification": True}).status_code == 200
    assert served.get(f"{address}/emailVerification").status_code == 404
    for bad in ({"defaultPrearchiveCode": "9"}, {"requireChangeJustification": "x"}, ["a"]):
        assert served.post(address, json=bad).status_code == 400
    assert served.post(address, data="no JSON").status_code == 400
    with served.archive.database.write() as connection:
        accounts.set_user(connection, "member", "pw")
    member = served.as_user("member", "pw")
    assert member.post(address, json={"defaultPrearchiveCode": "4"}).status_code == 403


def test_accessibility_of_a_new_project(served: Served) -> None:
    served.put("/data/projects/P1?accessibility=public")
    assert served.get("/data/projects/P1/accessibility").text == "public"
    assert served.put("/data/projects/P2?accessibility=odd").status_code == 400
    assert [row["ID"] for row in served.rows("/data/projects")] == ["P1"]


def test_users_of_a_project(served: Served, people: dict[str, Served]) -> None:
    del people
    rows = {row["login"]: row for row in served.rows("/data/projects/P1/users")}
    assert rows["mia"]["GROUP_ID"] == "P1_member"
    assert rows["mia"]["displayname"] == "Members"
    assert rows["admin"]["displayname"] == "Owners"
    assert served.delete("/data/projects/P1/users/Members/mia").status_code == 200
    assert "mia" not in {row["login"] for row in served.rows("/data/projects/P1/users")}
    assert served.put("/data/projects/P1/users/Members/unknown").status_code == 404
    assert served.put("/data/projects/P1/users/Kings/mia").status_code == 404


def test_what_each_role_may_do(served: Served, people: dict[str, Served]) -> None:
    expected = {"olga": (201, 200, 200), "mia": (201, 403, 403), "col": (403, 403, 403)}
    for login, (make, remove, setting) in expected.items():
        person = people[login]
        assert person.get("/data/projects/P1?format=json").status_code == 200
        path = f"/data/projects/P1/subjects/by_{login}"
        assert person.put(path).status_code == make
        served.put(path)
        assert person.delete(path).status_code == remove
        assert person.put("/data/projects/P1/prearchive_code/4").status_code == setting
    roles = people["mia"].get("/xapi/access/projects").json()
    assert roles == [{"ID": "P1", "role": "Members"}]


def test_stranger_sees_nothing(people: dict[str, Served]) -> None:
    stranger = people["nobody"]
    assert stranger.rows("/data/projects") == []
    assert stranger.rows("/data/subjects") == []
    assert stranger.get("/data/projects/P1?format=json").status_code == 404
    assert stranger.get("/data/projects/P1/subjects?format=json").status_code == 404
    assert stranger.put("/data/projects/P1").status_code == 403
    assert stranger.delete("/data/projects/P1").status_code == 403


def test_public_project_is_read_by_all_and_changed_by_none(
    served: Served, people: dict[str, Served]
) -> None:
    served.put("/data/projects/P1/accessibility/public")
    served.put("/data/projects/P1/subjects/S1")
    stranger = people["nobody"]
    assert [row["label"] for row in stranger.rows("/data/subjects")] == ["S1"]
    assert stranger.put("/data/projects/P1/subjects/S2").status_code == 403


def test_anybody_makes_projects_and_owns_them(people: dict[str, Served]) -> None:
    stranger = people["nobody"]
    assert stranger.put("/data/projects/MINE").status_code == 200
    assert stranger.rows("/data/projects/MINE/users")[0]["displayname"] == "Owners"
    assert stranger.delete("/data/projects/MINE").status_code == 200


def test_new_project_has_a_protocol_for_subjects(served: Served) -> None:
    served.put("/data/projects/P1")
    text = served.get("/data/projects/P1?format=xml").text
    assert 'ID="P1_xnat_subjectData" name="Subjects"' in text


def test_protocol_defines_fields(served: Served) -> None:
    served.put("/data/projects/P1")
    path = "/data/projects/P1/protocols/P1_xnat_subjectData"
    headers = {"Content-Type": "text/xml"}
    assert served.put(path, data=PROTOCOL, headers=headers).status_code == 200
    assert 'name="dose"' in served.get(path).text
    item = served.get("/data/projects/P1?format=json").json()["items"][0]
    found = next(child for child in item["children"] if child["field"] == "studyProtocol")
    subject = next(one for one in found["items"] if one["data_fields"]["name"] == "Subjects")
    group = subject["children"][0]["items"][0]
    assert group["data_fields"]["ID"] == "treatment"
    variable = group["children"][0]["items"][0]
    assert variable["data_fields"] == {"name": "dose", "datatype": "float", "type": "custom"}
    values = variable["children"][0]
    assert values["field"] == "possibleValues/possibleValue"
    assert values["items"][0]["data_fields"] == {"display": "low", "possibleValue": "1"}


def test_protocol_errors(served: Served) -> None:
    served.put("/data/projects/P1")
    assert served.get("/data/projects/P1/protocols/other").status_code == 404
    answer = served.put("/data/projects/P1/protocols/x", data="<a/>")
    assert answer.status_code == 422


def test_document_may_remove_what_it_does_not_name(served: Served) -> None:
    served.put("/data/projects/P1?keywords=k&description=d")
    served.put("/data/projects/P1/prearchive_code/4")
    text = served.get("/data/projects/P1?format=xml").text
    text = text.replace("<xnat:keywords>k</xnat:keywords>", "")
    headers = {"Content-Type": "text/xml"}
    served.put("/data/projects/P1", data=text, headers=headers)
    assert served.rows("/data/projects", columns="keywords")[0]["keywords"] == "k"
    served.put("/data/projects/P1?allowDataDeletion=true", data=text, headers=headers)
    row = served.rows("/data/projects", columns="keywords,description")[0]
    assert (row["keywords"], row["description"]) == ("", "d")
    assert served.get("/data/projects/P1/prearchive_code").text == "4"


def test_document_in_a_form_part(served: Served) -> None:
    served.put("/data/projects/P1")
    text = served.get("/data/projects/P1?format=xml").text
    text = text.replace(
        "<xnat:studyProtocol", "<xnat:keywords>k</xnat:keywords><xnat:studyProtocol", 1
    )
    answer = served.put("/data/projects/P1", files={"cust.xml": ("cust.xml", text, "text/xml")})
    assert answer.status_code == 200
    assert served.rows("/data/projects", columns="keywords")[0]["keywords"] == "k"


def test_a_protected_project_is_known_and_closed(served: Served) -> None:
    fill(served)
    assert served.put("/data/projects/P1/accessibility/protected").status_code == 200
    stranger = add_user(served, "stranger")
    assert stranger.get("/data/projects/P1/accessibility").text == "protected"
    assert stranger.get("/data/projects/P1/prearchive_code").status_code == 403
    assert stranger.get("/data/projects/P1/subjects").status_code == 403
    assert stranger.put("/data/projects/P1/subjects/S2").status_code == 403
    assert served.put("/data/projects/P1/accessibility/private").status_code == 200
    assert stranger.get("/data/projects/P1/accessibility").status_code == 404
    assert stranger.put("/data/projects/P1/subjects/S2").status_code == 404
