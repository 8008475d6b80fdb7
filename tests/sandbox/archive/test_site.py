"""What the site tells of itself, and searches."""

from html import escape

import pytest
from archive_server import ServeArchive, Served

BUNDLE = (
    '<xdat:bundle xmlns:xdat="http://nrg.wustl.edu/security">'
    "<xdat:root_element_name>{root}</xdat:root_element_name>{fields}"
    '<xdat:search_where method="{method}">{criteria}</xdat:search_where></xdat:bundle>'
)
FIELD = (
    "<xdat:search_field><xdat:element_name>{0}</xdat:element_name>"
    "<xdat:field_ID>{1}</xdat:field_ID><xdat:sequence>0</xdat:sequence></xdat:search_field>"
)
CRITERIA = (
    "<xdat:criteria><xdat:schema_field>{0}</xdat:schema_field>"
    "<xdat:comparison_type>{1}</xdat:comparison_type><xdat:value>{2}</xdat:value></xdat:criteria>"
)


@pytest.mark.parametrize("version", ["1.8", "1.9", "1.10"])
def test_version(serve: ServeArchive, version: str) -> None:
    served = serve(xnat=version)
    assert served.get("/data/version").status_code == 404
    info = served.get("/xapi/siteConfig/buildInfo").json()
    assert info["version"].startswith(version + ".")
    assert all(isinstance(value, str) for value in info.values())
    assert served.get("/xapi/siteConfig/buildInfo/version").text == info["version"]
    assert served.get("/xapi/siteConfig/buildInfo/none").status_code == 404


def test_site_config_and_uptime(served: Served) -> None:
    assert served.get("/xapi/siteConfig").json()["siteId"] == "XNATPIC"
    assert served.get("/xapi/siteConfig/checksums").json() is True
    assert set(served.get("/xapi/siteConfig/uptime").json()) == {
        "days",
        "hours",
        "minutes",
        "seconds",
    }


@pytest.mark.parametrize("containers", [True, False])
def test_plugins(serve: ServeArchive, containers: bool) -> None:
    found = serve(containers=containers).get("/xapi/plugins").json()
    assert ("containers" in found) is containers
    for key, plugin in found.items():
        assert plugin["id"] == key
        assert plugin["name"]
        assert plugin["version"]


def test_unknown_address_answers_as_its_kind_does(served: Served) -> None:
    assert "<h3>" in served.get("/data/nothing").text
    assert "<h" not in served.get("/xapi/nothing").text
    assert served.get("/xapi/nothing").status_code == 404


def test_users(served: Served) -> None:
    user = {"username": "ada", "password": "pw", "firstName": "Ada", "lastName": "L", "email": "e"}
    assert served.post("/xapi/users", json=user).status_code == 201
    assert served.post("/xapi/users", json=user).status_code == 409
    assert served.get("/xapi/users").json() == ["ada", "admin"]
    rows = served.rows("/data/users")
    assert (rows[0]["login"], rows[0]["firstname"], rows[0]["email"]) == ("ada", "Ada", "e")
    other = served.as_user("ada", "pw")
    assert other.get("/data/auth").text == "User 'ada' is logged in"
    assert other.post("/xapi/users", json={**user, "username": "bob"}).status_code == 403
    assert served.post("/xapi/users", data=b"no").status_code == 400


@pytest.fixture
def filled(served: Served) -> Served:
    """P1: S1 (male, dose 5) with MR E1; S2 (female) with PET E2."""
    base = "/data/projects/P1"
    served.put(base)
    dose = {"xnat:subjectData/fields/field[name=dose]/field": "5", "gender": "male"}
    served.put(f"{base}/subjects/S1", params=dose)
    served.put(f"{base}/subjects/S2?gender=female")
    served.put(f"{base}/subjects/S1/experiments/E1?xsiType=xnat:mrSessionData&date=2024-01-31")
    served.put(f"{base}/subjects/S2/experiments/E2?xsiType=xnat:petSessionData&date=2025-01-31")
    return served


def _search(
    served: Served,
    root: str,
    *criteria: tuple[str, str, str],
    method: str = "AND",
    fields: str = "",
) -> list[dict[str, str]]:
    text = "".join(CRITERIA.format(*map(escape, one)) for one in criteria)
    body = BUNDLE.format(root=root, method=method, criteria=text, fields=fields)
    answer = served.post("/data/search?format=json", data=body)
    assert answer.status_code == 200, answer.text
    result: list[dict[str, str]] = answer.json()["ResultSet"]["Result"]
    return result


@pytest.mark.parametrize(
    ("root", "criterion", "labels"),
    [
        ("xnat:imageSessionData", ("xnat:imageSessionData/DATE", ">", "06/01/2024"), ["E2"]),
        ("xnat:imageSessionData", ("xnat:imageSessionData/date", "<", "06/01/2024"), ["E1"]),
        ("xnat:mrSessionData", ("xnat:mrSessionData/ID", "LIKE", "*"), ["E1"]),
        ("xnat:mrSessionData", ("xnat:mrSessionData.SUBJECT_LABEL", "=", "S1"), ["E1"]),
        ("xnat:petSessionData", ("xnat:subjectData/GENDER_TEXT", "=", "male"), []),
    ],
)
def test_search_for_sessions(
    filled: Served, root: str, criterion: tuple[str, str, str], labels: list[str]
) -> None:
    assert [row["label"] for row in _search(filled, root, criterion)] == labels


def test_search_for_subjects_by_variable(filled: Served) -> None:
    name = "XNAT_SUBJECTDATA_FIELD_MAP=dose"
    fields = FIELD.format("xnat:subjectData", name)
    rows = _search(
        filled, "xnat:subjectData", (f"xnat:subjectData/{name}", "=", "5"), fields=fields
    )
    assert [row["subject_label"] for row in rows] == ["S1"]
    assert rows[0]["xnat_subjectdata_field_map_dose"] == "5"


def test_search_joins_its_criteria(filled: Served) -> None:
    both = [("xnat:subjectData/GENDER_TEXT", "=", one) for one in ("male", "female")]
    assert _search(filled, "xnat:subjectData", *both) == []
    assert len(_search(filled, "xnat:subjectData", *both, method="OR")) == 2
    empty = ("xnat:subjectData/HANDEDNESS_TEXT", "IS NULL", "")
    assert len(_search(filled, "xnat:subjectData", empty)) == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("no xml", 422),
        ("<other/>", 422),
        (BUNDLE.format(root="xnat:mrScanData", method="AND", criteria="", fields=""), 501),
        (
            BUNDLE.format(
                root="xnat:subjectData",
                method="AND",
                criteria=CRITERIA.format("xnat:subjectData/ID", "SOUNDS LIKE", "x"),
                fields="",
            ),
            400,
        ),
        (
            BUNDLE.format(
                root="xnat:subjectData",
                method="AND",
                criteria=CRITERIA.format("other:data/ID", "=", "x"),
                fields="",
            ),
            400,
        ),
    ],
)
def test_search_that_cannot_be_answered(filled: Served, body: str, status: int) -> None:
    answer = filled.post("/data/search?format=csv", data=body)
    assert answer.status_code == status
    assert "<h3>" in answer.text


def test_search_elements(filled: Served) -> None:
    names = [row["ELEMENT_NAME"] for row in filled.rows("/data/search/elements")]
    assert names == [
        "xnat:mrSessionData",
        "xnat:petSessionData",
        "xnat:projectData",
        "xnat:subjectData",
    ]
    fields = filled.rows("/data/search/elements/xnat:subjectData")
    assert "SUBJECT_LABEL" in {row["FIELD_ID"] for row in fields}
    assert filled.get("/data/search/elements/other:data").status_code == 404
