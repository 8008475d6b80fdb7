"""Listings: form, columns, filters, order, paging; and that each is one pass of the database."""

from collections.abc import Iterator

import pytest
from archive_server import Served
from database_work import database_work

from sandbox.archive.archive import Archive

MR = "?xsiType=xnat:mrSessionData"


@pytest.fixture
def filled(served: Served) -> Served:
    """P1 with S1 (E1 of three scans, E2) and S2 (PET E3); E1 has an assessor."""
    served.put("/data/projects/P1?name=First&description=a,%20%22b%22")
    base = "/data/projects/P1/subjects"
    served.put(f"{base}/S1?gender=male&yob=1990")
    served.put(f"{base}/S2?gender=female&yob=2005")
    served.put(f"{base}/S1/experiments/E1{MR}&date=2024-01-31&note=first")
    served.put(f"{base}/S1/experiments/E2{MR}&date=2024-03-01")
    served.put(f"{base}/S2/experiments/E3?xsiType=xnat:petSessionData&date=2025-03-01")
    for name in ("1", "2", "10"):
        served.put(f"{base}/S1/experiments/E1/scans/{name}?xsiType=xnat:mrScanData&frames={name}")
    served.put(f"{base}/S1/experiments/E1/assessors/A1?xsiType=icr:roiCollectionData")
    return served


def _labels(served: Served, path: str, **params: str) -> list[str]:
    return [row["label"] for row in served.rows(path, columns="ID,label", **params)]


def test_result_set_of_text(filled: Served) -> None:
    found = filled.get("/data/projects/P1/subjects").json()["ResultSet"]
    assert "title" not in found
    everywhere = filled.get("/data/experiments").json()["ResultSet"]
    assert everywhere["title"] == "Matching experiments"
    assert found["totalRecords"] == "2"
    for row in found["Result"]:
        assert list(row) == ["ID", "project", "label", "insert_date", "insert_user", "URI"]
        assert all(isinstance(value, str) for value in row.values())
        assert row["URI"] == f"/data/subjects/{row['ID']}"


def test_csv(filled: Served) -> None:
    answer = filled.get("/data/projects?format=csv&columns=ID,name,description")
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert answer.text == 'ID,name,description,URI\nP1,First,"a, ""b""",/data/projects/P1\n'
    empty = filled.get("/data/projects?format=csv&columns=ID&ID=none")
    assert empty.text == "ID,URI\n"


@pytest.mark.parametrize(
    ("path", "columns"),
    [
        ("/data/projects", "ID secondary_ID name description pi_firstname pi_lastname URI"),
        ("/data/subjects", "ID project label insert_date insert_user URI"),
        (
            "/data/projects/P1/experiments",
            "ID project date xsiType label insert_date URI",
        ),
        (
            "/data/projects/P1/experiments?xsiType=xnat:subjectAssessorData",
            "ID project date xsiType label insert_date subject_ID subject_label URI",
        ),
        (
            "/data/projects/P1/experiments?xsiType=icr:roiCollectionData",
            "ID project date xsiType label insert_date session_ID session_label URI",
        ),
        (
            "/data/projects/P1/experiments/E1/scans",
            "xnat_imagescandata_id ID type quality xsiType note series_description URI",
        ),
        (
            "/data/projects/P1/experiments/E1/assessors",
            "ID project label date xsiType insert_date session_ID session_label URI",
        ),
    ],
)
def test_default_columns(filled: Served, path: str, columns: str) -> None:
    assert list(filled.rows(path)[0]) == columns.split()


def test_columns_asked_for(filled: Served) -> None:
    row = filled.rows("/data/projects/P1/experiments", columns="ID,nothing,label,ID,xsiType")[0]
    assert list(row) == ["ID", "label", "xsiType", "project", "URI"]
    named = {"columns": "ID", "xsiType": "xnat:mrSessionData"}
    assert list(filled.rows("/data/projects/P1/experiments", **named)[0]) == ["ID", "URI"]
    row = filled.rows("/data/projects/P1/subjects/S1/experiments", columns="ID,label")[0]
    assert list(row) == ["ID", "label", "xsiType", "project", "URI"]
    row = filled.rows("/data/subjects", columns="DEFAULT,gender")[0]
    assert list(row)[-2:] == ["gender", "URI"]


def test_full_paths_come_back_in_lower_case(filled: Served) -> None:
    rows = filled.rows(
        "/data/experiments",
        columns="ID,xnat:mrSessionData/date,xnat:subjectAssessorData/subject_id,xnat:subjectData/yob",
        label="E1",
    )
    assert rows[0]["xnat:mrsessiondata/date"] == "2024-01-31"
    assert rows[0]["subject_ID"].endswith("_S00001")


@pytest.mark.parametrize(
    "query",
    [
        {"columns": "label"},
        {"columns": "label,ID"},
        {"columns": "scanner,label", "xsiType": ""},
        {"columns": "label", "xsiType": "xnat:imageSessionData"},
        {"columns": "label", "xsiType": "xnat:mrSessionData,xnat:petSessionData"},
    ],
)
def test_a_listing_of_all_types_begins_with_the_id(filled: Served, query: dict[str, str]) -> None:
    """The first column is what the right to read is looked up by."""
    assert filled.rows("/data/experiments", **query) == []
    columns = "ID," + query["columns"].removesuffix(",ID")
    assert filled.rows("/data/experiments", **{**query, "columns": columns}) != []
    of_one_type = {**query, "xsiType": "xnat:mrSessionData"}
    assert filled.rows("/data/experiments", **of_one_type) != []
    assert filled.rows("/data/projects/P1/experiments", **query) != []


def test_a_column_of_one_type_makes_a_listing_of_that_type(filled: Served) -> None:
    for path in ("/data/experiments", "/data/projects/P1/experiments"):
        for name in ("xnat:mrSessionData/date", "fieldStrength"):
            rows = filled.rows(path, columns=f"ID,label,{name}")
            assert [row["label"] for row in rows] == ["E1", "E2"]
    rows = filled.rows("/data/experiments", **{"xnat:petSessionData/date": "*"})
    assert [row["label"] for row in rows] == ["E3"]
    columns = "ID,xnat:mrSessionData/date,xnat:imageSessionData/UID"
    assert len(filled.rows("/data/experiments", columns=columns)) == 2


def test_numbers_of_scans_by_their_path(filled: Served) -> None:
    path = "xnat:mrSessionData/scans/scan/ID"
    for columns in (path, f"ID,{path}"):
        rows = filled.rows("/data/experiments", columns=columns)
        assert sorted(row[path.lower()] for row in rows) == ["", "1", "10", "2"]


def test_scans_of_sessions_give_a_row_each(filled: Served) -> None:
    columns = "ID,label,xnat:subjectData/label,xnat:imageScanData/ID"
    rows = filled.rows("/data/experiments", xsiType="xnat:imageSessionData", columns=columns)
    found = [(row["label"], row["subject_label"], row["xnat:imagescandata/id"]) for row in rows]
    expected = {("E1", "S1", "1"), ("E1", "S1", "2"), ("E1", "S1", "10")}
    assert set(found) == expected | {("E2", "S1", ""), ("E3", "S2", "")}
    assert len(found) == 5


def test_scan_listing_tells_of_session_and_subject(filled: Served) -> None:
    columns = "ID,xnat:mrSessionData/label,xnat:subjectData/label,xnat:imageScanData/frames"
    row = filled.rows("/data/projects/P1/experiments/E1/scans", columns=columns)[2]
    assert row["xnat:mrsessiondata/label"] == "E1"
    assert row["xnat:subjectdata/label"] == "S1"
    assert (row["ID"], row["frames"]) == ("10", "10")


@pytest.mark.parametrize(
    ("path", "params", "expected"),
    [
        ("/data/experiments", {"xsiType": "xnat:petSessionData"}, ["E3"]),
        ("/data/experiments", {"xsiType": "xnat:imageSessionData"}, ["E1", "E2", "E3"]),
        ("/data/experiments", {"xsiType": "xnat:imageAssessorData"}, ["A1"]),
        ("/data/experiments", {}, ["E1", "E2", "E3", "A1"]),
        ("/data/projects/P1/subjects/S1/experiments", {}, ["E1", "E2"]),
        ("/data/experiments", {"label": "E2"}, ["E2"]),
        ("/data/experiments", {"label": "E2,E3"}, ["E2", "E3"]),
        ("/data/experiments", {"label": "E*"}, ["E1", "E2", "E3"]),
        ("/data/experiments", {"label": "%3"}, ["E3"]),
        ("/data/experiments", {"label": "E_"}, []),
        ("/data/experiments", {"note": "first"}, ["E1"]),
        ("/data/experiments", {"date": "01/31/2024"}, ["E1"]),
        ("/data/experiments", {"date": "01/01/2024-12/31/2024"}, ["E1", "E2"]),
        ("/data/experiments", {"date": "2024-01-31"}, []),
        ("/data/experiments", {"subject_label": "S2"}, ["E3"]),
        ("/data/experiments", {"xnat:subjectData/demographics/gender": "male"}, ["E1", "E2", "A1"]),
        ("/data/experiments", {"xnat:mrSessionData/note": "first"}, ["E1"]),
        ("/data/experiments", {"project": "P2"}, []),
        ("/data/experiments", {"unknown": "x"}, ["E1", "E2", "E3", "A1"]),
        ("/data/subjects", {"yob": "1990-2000"}, ["S1"]),
        ("/data/subjects", {"yob": "2005"}, ["S2"]),
        ("/data/subjects", {"gender": "fem*"}, ["S2"]),
        ("/data/subjects", {"insert_date": "01/01/2000-01/02/2000"}, []),
    ],
)
def test_filters(filled: Served, path: str, params: dict[str, str], expected: list[str]) -> None:
    assert _labels(filled, path, **params) == expected


def test_order_and_pages(filled: Served) -> None:
    path = "/data/experiments"
    assert _labels(filled, path, sortBy="label", sortOrder="DESC") == ["E3", "E2", "E1", "A1"]
    assert _labels(filled, path, sortBy="label", limit="2") == ["A1", "E1"]
    assert _labels(filled, path, sortBy="label", limit="2", offset="3") == ["E3"]
    assert _labels(filled, path, sortBy="label", offset="2") == ["E2", "E3"]


def test_a_value_is_never_part_of_the_question(filled: Served) -> None:
    bad = "x' OR '1'='1"
    assert _labels(filled, "/data/experiments", label=bad) == []
    answer = filled.get("/data/experiments", params={"columns": bad, "sortBy": bad})
    assert answer.status_code == 200
    name = f"xnat:mrSessionData/fields/field[name={bad}]/field"
    assert filled.get("/data/experiments", params={"columns": name}).status_code == 200


def test_parents_that_have_no_such_children(filled: Served) -> None:
    assert filled.get("/data/projects/P1/scans?format=json").status_code == 404
    assert filled.get("/data/projects/no/subjects?format=json").status_code == 404
    assert filled.get("/data/experiments/no/scans?format=json").status_code == 404


def _many(archive: Archive, sessions: int, scans: int) -> None:
    """Put sessions with scans straight into the database."""
    moment = "2024-01-01 10:00:00.0"
    with archive.database.write() as connection:
        keys: Iterator[int] = iter(range(1000, 10**9))
        subject = next(keys)
        parent = connection.execute("SELECT pk FROM item WHERE kind = 'project'").fetchone()[0]
        items = [(subject, "subject", "X_S1", "S1", "xnat:subjectData", parent)]
        values = []
        for n in range(sessions):
            session = next(keys)
            items.append((session, "experiment", f"X_E{n}", f"E{n}", "xnat:mrSessionData", subject))
            values += [(session, "date", "2024-01-31"), (session, "note", str(n))]
            for m in range(scans):
                scan = next(keys)
                items.append((scan, "scan", str(m), str(m), "xnat:mrScanData", session))
                values += [(scan, "type", "T2"), (scan, "series_description", f"RARE {m}")]
        connection.executemany(
            "INSERT INTO item (pk, kind, id, label, xsi_type, parent, project, insert_date,"
            f" insert_user, last_modified) VALUES (?, ?, ?, ?, ?, ?, 'P1', '{moment}', 'admin',"
            f" '{moment}')",
            items,
        )
        connection.executemany("INSERT INTO field VALUES (?, ?, ?)", values)


def test_two_thousand_sessions_with_twenty_thousand_scans(served: Served) -> None:
    served.put("/data/projects/P1")
    _many(served.archive, sessions=2000, scans=10)
    paths = {
        "/data/projects/P1/experiments": 2000,
        "/data/projects/P1/experiments?columns=ID,label,date,note,xsiType,subject_label": 2000,
        "/data/experiments?xsiType=xnat:imageSessionData&project=P1&format=json"
        "&columns=ID,project,xnat:imageSessionData/subject_id,xnat:imageScanData/ID": 20000,
        "/data/experiments?columns=ID,xnat:mrScanData/type,xnat:mrScanData/frames": 20000,
        "/data/projects/P1/experiments?label=E19*": 111,
        "/data/experiments/X_E7/scans": 10,
    }
    for path, expected in paths.items():
        with database_work() as work:
            rows = served.rows(path)
        work.assert_one_pass(22_000)
        assert len(rows) == expected
    with database_work() as work:
        item = served.get("/data/subjects/X_S1?format=json").json()["items"][0]
    work.assert_one_pass(22_000)
    assert len(item["children"][0]["items"]) == 2000
