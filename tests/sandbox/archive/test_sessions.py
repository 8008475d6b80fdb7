"""Sessions, scans, assessors and reconstructions over REST."""

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
from archive_server import Served
from dicoms import Study, encode, make_object
from filled import add_user, fill

BASE = "/data/projects/P1/subjects/S1/experiments"
MR = "?xsiType=xnat:mrSessionData"


@pytest.fixture
def subject(served: Served) -> Served:
    """P1 with subject S1; P2 empty."""
    for name in ("P1", "P2"):
        served.put(f"/data/projects/{name}")
    served.put("/data/projects/P1/subjects/S1")
    return served


@pytest.fixture
def session(subject: Served) -> Served:
    """An MR session E1 of S1."""
    assert subject.put(f"{BASE}/E1{MR}&date=2024-01-31").status_code == 201
    return subject


def test_put_answers_201_then_200_with_the_id(subject: Served) -> None:
    path = f"{BASE}/E1{MR}&xnat:mrSessionData/date=2024-01-31&xnat:mrSessionData/label=E1"
    first, second = subject.put(path), subject.put(path)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.text == second.text
    assert first.text.endswith("_E00001")


def test_typed_key_is_enough_of_a_type(subject: Served) -> None:
    assert subject.put(f"{BASE}/E1?xnat:petSessionData/date=2024-01-31").status_code == 201
    assert subject.rows("/data/experiments")[0]["xsiType"] == "xnat:petSessionData"


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        (f"{BASE}/E1", 417, "Need PUT Contents"),
        (f"{BASE}/E1?label=E1", 417, "Need PUT Contents"),
        (f"{BASE}/E%201{MR}", 417, "Invalid character in experiment label."),
        (f"{BASE}/E1?xsiType=xnat:imageSessionData", 400, "imageSessionData"),
        (f"{BASE}/E1?xsiType=xnat:otSessionData", 400, "not a data type"),
        (f"/data/experiments/E1{MR}", 422, "project"),
        (f"/data/projects/P1/experiments/E1{MR}", 400, "subject"),
        (f"/data/projects/no/subjects/S1/experiments/E1{MR}", 404, "project"),
    ],
)
def test_session_that_cannot_be_made(subject: Served, path: str, status: int, message: str) -> None:
    answer = subject.put(path)
    assert answer.status_code == status
    assert message in answer.text
    assert subject.rows("/data/experiments") == []


def test_missing_subject_is_made_on_the_way(subject: Served) -> None:
    assert subject.put(f"/data/projects/P1/subjects/NEW/experiments/E1{MR}").status_code == 201
    assert [row["label"] for row in subject.rows("/data/subjects")] == ["S1", "NEW"]


def test_failed_session_makes_no_subject(subject: Served) -> None:
    subject.put("/data/projects/P1/subjects/NEW/experiments/E1?xsiType=xnat:imageSessionData")
    assert len(subject.rows("/data/subjects")) == 1


def test_session_is_found_everywhere(session: Served) -> None:
    name = session.rows("/data/experiments")[0]["ID"]
    for path in (
        f"/data/experiments/{name}",
        f"/data/archive/experiments/{name}",
        "/data/projects/P1/experiments/E1",
        f"{BASE}/e1",
        f"/REST/projects/P1/subjects/S1/experiments/{name}",
        f"/data/subjects/{session.rows('/data/subjects')[0]['ID']}/experiments/E1",
    ):
        item = session.get(path + "?format=json").json()["items"][0]
        assert item["meta"]["xsi:type"] == "xnat:mrSessionData"
        fields = item["data_fields"]
        assert (fields["ID"], fields["label"], fields["project"]) == (name, "E1", "P1")
        assert fields["subject_ID"].endswith("_S00001")
    session.put("/data/projects/P1/subjects/S2")
    assert (
        session.get("/data/projects/P1/subjects/S2/experiments/E1?format=json").status_code == 404
    )


def test_missing_session(session: Served) -> None:
    for path in ("/data/experiments/no", f"{BASE}/no", "/data/projects/P2/experiments/E1"):
        answer = session.get(path + "?format=xml")
        assert answer.status_code == 404
        assert session.delete(path).status_code == 404


def test_one_label_in_a_project(session: Served) -> None:
    session.put(f"{BASE}/E2{MR}")
    answer = session.put(f"{BASE}/E2?label=E1")
    assert answer.status_code == 409
    assert session.put(f"{BASE}/E2?label=a.b").status_code == 417
    renamed = session.put(f"{BASE}/E2?label=E3")
    assert (renamed.status_code, renamed.text) == (200, "")
    assert {row["label"] for row in session.rows("/data/experiments")} == {"E1", "E3"}


def test_type_stays(session: Served) -> None:
    answer = session.put(f"{BASE}/E1?xsiType=xnat:petSessionData&date=2024-02-02")
    assert answer.status_code == 409
    assert session.rows("/data/experiments")[0]["date"] == "2024-01-31"
    assert session.put(f"{BASE}/E1?xsiType=xnat:imageSessionData&note=n").status_code == 200


def test_session_values(session: Served) -> None:
    values = {
        "xnat:imageSessionData/scanner": "S",
        "xnat:mrSessionData/scanner/model": "PharmaScan",
        "xnat:mrSessionData/fields/field[name=week]/field": "3",
        "xnat:mrSessionData/fieldStrength": "7",
        "operator": "somebody",
    }
    session.put(f"{BASE}/E1", params=values)
    fields = session.get(f"{BASE}/E1?format=json").json()["items"][0]["data_fields"]
    assert (fields["scanner"], fields["scanner/model"], fields["operator"]) == (
        "S",
        "PharmaScan",
        "somebody",
    )
    text = session.get(f"{BASE}/E1?format=xml").text
    assert '<xnat:scanner model="PharmaScan">S</xnat:scanner>' in text
    assert '<xnat:field name="week">3</xnat:field>' in text
    row = session.rows("/data/experiments", columns="fieldStrength,scanner,date")[0]
    assert (row["fieldStrength"], row["scanner"], row["date"]) == ("7", "S", "2024-01-31")


def test_what_has_its_own_address_is_not_set_by_path(session: Served) -> None:
    path = "xnat:mrSessionData/scans/scan[ID=1]/type"
    answer = session.put(f"{BASE}/E1", params={path: "T2"})
    assert answer.status_code == 400
    assert "its own address" in answer.text


def test_session_goes_to_another_subject(session: Served) -> None:
    session.put("/data/projects/P1/subjects/S2")
    answer = session.put("/data/projects/P1/experiments/E1?xnat:mrSessionData/subject_ID=S2")
    assert answer.status_code == 200
    assert session.rows("/data/projects/P1/subjects/S1/experiments") == []
    assert len(session.rows("/data/projects/P1/subjects/S2/experiments")) == 1


def test_actions(session: Served) -> None:
    session.put(f"{BASE}/E1/scans/1?xsiType=xnat:mrScanData&series_description=RARE")
    session.put(f"{BASE}/E1/scans/2?xsiType=xnat:mrScanData&series_description=FLASH&type=T1")
    assert session.put(f"{BASE}/E1?fixScanTypes=true").status_code == 200
    assert [row["type"] for row in session.rows(f"{BASE}/E1/scans")] == ["RARE", "T1"]
    assert session.get(f"{BASE}/E1/status").text == "active"
    session.put(f"{BASE}/E1?quarantine=true")
    assert session.get(f"{BASE}/E1/status").text == "quarantine"
    session.put(f"{BASE}/E1?activate=true")
    assert session.get(f"{BASE}/E1/status").text == "active"


def test_scan_types_are_those_that_the_project_uses(session: Served) -> None:
    for label, kind in (("E7", "T2w"), ("E8", "T2w"), ("E9", "odd")):
        session.put(f"{BASE}/{label}?xsiType=xnat:mrSessionData")
        scan = "scans/1?xsiType=xnat:mrScanData&series_description=RARE"
        session.put(f"{BASE}/{label}/{scan}&type={kind}")
    session.put(f"{BASE}/E1/scans/1?xsiType=xnat:mrScanData&series_description=rare&type=x")
    session.put(f"{BASE}/E1/scans/2?xsiType=xnat:mrScanData&series_description=FLASH&type=T1")
    assert session.put(f"{BASE}/E1?fixScanTypes=true").status_code == 200
    assert [row["type"] for row in session.rows(f"{BASE}/E1/scans")] == ["T2w", "T1"]


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("PUT", f"{BASE}/E1?pullDataFromHeaders=true"),
        ("POST", "/data/projects/P1/pipelines/pullDataFromHeaders/experiments/E1"),
    ],
)
def test_values_are_pulled_from_the_files(session: Served, method: str, address: str) -> None:
    session.put(f"{BASE}/E1/scans/1?xsiType=xnat:mrScanData&type=mine")
    image = make_object(Study(), modality="MR")
    path = f"{BASE}/E1/scans/1/resources/DICOM/files/a.dcm"
    assert session.put(path, data=encode(image), params={"inbody": "true"}).status_code == 200
    session.put(f"{BASE}/E1/scans/1/resources/DICOM/files/no.dcm?inbody=true", data=b"no image")
    assert session.request(method, address).status_code == 200
    row = session.rows(f"{BASE}/E1/scans")[0]
    assert (row["type"], row["series_description"]) == ("mine", "T2 series 1")
    scanner = session.get(f"{BASE}/E1?format=json").json()["items"][0]["data_fields"]
    assert scanner["scanner/manufacturer"] == "Maker"
    assert scanner["date"] == "2024-01-31"


@pytest.mark.parametrize(("address", "pulled"), [("", ["1", "2"]), ("/scans/1", ["1"])])
def test_the_type_unknown_is_replaced_in_a_session_or_in_one_scan(
    session: Served, address: str, pulled: list[str]
) -> None:
    for number in "12":
        scan = f"{BASE}/E1/scans/{number}"
        session.put(f"{scan}?xsiType=xnat:mrScanData&type=Unknown")
        image = encode(make_object(Study(), int(number)))
        path = f"{scan}/resources/DICOM/files/a.dcm"
        assert session.put(path, data=image, params={"inbody": "true"}).status_code == 200
    assert session.put(f"{BASE}/E1{address}?pullDataFromHeaders=true").status_code == 200
    types = {row["ID"]: row["type"] for row in session.rows(f"{BASE}/E1/scans")}
    assert types == {n: f"T2 series {n}" if n in pulled else "Unknown" for n in "12"}


def test_scan_answers_200_and_nothing(session: Served) -> None:
    path = f"{BASE}/E1/scans/2?xsiType=xnat:mrScanData&xnat:mrScanData/id=2&type=T2"
    for _ in range(2):
        answer = session.put(path)
        assert (answer.status_code, answer.text) == (200, "")
    row = session.rows(f"{BASE}/E1/scans")[0]
    assert (row["ID"], row["type"], row["xsiType"]) == ("2", "T2", "xnat:mrScanData")
    item = session.get(f"{BASE}/E1/scans/2?format=json").json()["items"][0]
    assert item["data_fields"]["image_session_ID"].endswith("_E00001")
    assert "<xnat:MRScan " in session.get(f"{BASE}/E1/scans/2?format=xml").text


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("", 417, "Need PUT Contents"),
        ("?type=T2", 417, "Need PUT Contents"),
        ("?xsiType=xnat:imageScanData", 400, "Multiple scan modalities"),
        ("?xsiType=xnat:nothingScanData", 400, "not a data type"),
    ],
)
def test_scan_that_cannot_be_made(session: Served, query: str, status: int, message: str) -> None:
    answer = session.put(f"{BASE}/E1/scans/1{query}")
    assert answer.status_code == status
    assert message in answer.text
    assert session.rows(f"{BASE}/E1/scans") == []


def test_scan_type_differs(session: Served) -> None:
    session.put(f"{BASE}/E1/scans/1?xsiType=xnat:mrScanData")
    answer = session.put(f"{BASE}/E1/scans/1?xsiType=xnat:ctScanData")
    assert answer.status_code == 409
    assert "Specified xsiType differs from existing xsiType" in answer.text


def test_missing_scan(session: Served) -> None:
    answer = session.get(f"{BASE}/E1/scans/9?format=json")
    assert answer.status_code == 404
    assert "Unable to find the specified scan." in answer.text
    assert session.put("/data/experiments/no/scans/1?xsiType=xnat:mrScanData").status_code == 404
    session.put(f"{BASE}/E1/scans/1?xsiType=xnat:mrScanData")
    assert session.delete(f"{BASE}/E1/scans/1?removeFiles=true").status_code == 200
    assert session.delete(f"{BASE}/E1/scans/1?removeFiles=true").status_code == 404


def test_scan_parameters(session: Served) -> None:
    values = {
        "xsiType": "xnat:mrScanData",
        "xnat:mrScanData/parameters/tr": "2.5",
        "xnat:mrScanData/parameters/voxelRes/x": "0.1",
        "xnat:mrScanData/parameters/addParam[name=k]/addField": "v",
        "xnat:mrScanData/frames": "12",
    }
    session.put(f"{BASE}/E1/scans/1", params=values)
    item = session.get(f"{BASE}/E1/scans/1?format=json").json()["items"][0]
    fields = item["data_fields"]
    assert fields["parameters/tr"] == 2.5
    assert fields["parameters/voxelRes/x"] == 0.1
    assert fields["frames"] == 12
    assert item["children"][0]["field"] == "parameters/addParam"
    assert item["children"][0]["items"][0]["data_fields"] == {"name": "k", "addField": "v"}
    text = session.get(f"{BASE}/E1?format=xml").text
    assert '<xnat:addParam name="k">v</xnat:addParam>' in text
    assert '<xnat:scan xsi:type="xnat:mrScanData" ID="1">' in text


def test_session_document_goes_round(session: Served) -> None:
    values = {"xsiType": "xnat:mrScanData", "xnat:mrScanData/parameters/tr": "2.5", "type": "T2"}
    session.put(f"{BASE}/E1/scans/1", params=values)
    text = session.get(f"{BASE}/E1?format=xml").text.replace('"E1"', '"E2"')
    text = text.replace("_E00001", "_E00099")
    answer = session.put(f"{BASE}/E2", data=text, headers={"Content-Type": "text/xml"})
    assert answer.status_code == 201
    scan = session.get(f"{BASE}/E2/scans/1?format=json").json()["items"][0]
    assert scan["data_fields"]["parameters/tr"] == 2.5
    assert session.rows("/data/experiments", label="E2")[0]["date"] == "2024-01-31"


def test_assessor(session: Served) -> None:
    path = f"{BASE}/E1/assessors/A1?xsiType=icr:roiCollectionData&icr:roiCollectionData/name=n"
    first, second = session.put(path), session.put(path)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.text == second.text
    row = session.rows(f"{BASE}/E1/assessors")[0]
    assert (row["label"], row["xsiType"]) == ("A1", "icr:roiCollectionData")
    assert (row["session_label"], row["session_ID"][-7:]) == ("E1", "_E00001")
    for address in (f"{BASE}/E1/assessors/A1", f"/data/experiments/{first.text}"):
        item = session.get(address + "?format=json").json()["items"][0]
        assert item["data_fields"]["imageSession_ID"].endswith("_E00001")
        assert item["data_fields"]["name"] == "n"
    text = session.get(f"/data/experiments/{first.text}?format=xml").text
    assert "<icr:RoiCollection " in text
    assert "<icr:name>n</icr:name>" in text
    assert session.delete(f"{BASE}/E1/assessors/A1").status_code == 200
    assert session.get(f"{BASE}/E1/assessors/A1?format=json").status_code == 404


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 417),
        ("?xsiType=xnat:imageAssessorData", 400),
        ("?xsiType=other:roiData", 400),
        ("?xsiType=xnat:mrSessionData", 422),
    ],
)
def test_assessor_that_cannot_be_made(session: Served, query: str, status: int) -> None:
    assert session.put(f"{BASE}/E1/assessors/A1{query}").status_code == status
    assert session.rows(f"{BASE}/E1/assessors") == []


def test_scans_and_provenance_of_an_assessor_are_kept(session: Served) -> None:
    body = (
        '<xnat:QCManualAssessment xmlns:xnat="http://nrg.wustl.edu/xnat" label="Q2">'
        '<xnat:date>2024-02-02</xnat:date><xnat:provenance xmlns:prov="http://www.nbirn.net/prov">'
        '<prov:processStep><prov:program version="2" arguments="-a &lt;b&gt;">fit</prov:program>'
        "<prov:user>ada</prov:user></prov:processStep></xnat:provenance><xnat:scans>"
        '<xnat:scan xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        ' xsi:type="xnat:mrQcScanData"><xnat:rating>3</xnat:rating></xnat:scan></xnat:scans>'
        "</xnat:QCManualAssessment>"
    )
    path = f"{BASE}/E1/assessors/Q2"
    assert session.put(path, data=body).status_code == 201
    assert session.put(f"{path}?note=n").status_code == 200
    for _ in range(2):
        text = session.get(f"{path}?format=xml").text
        root = ElementTree.fromstring(text)
        xnat, prov = "{http://nrg.wustl.edu/xnat}", "{http://www.nbirn.net/prov}"
        assert root.findtext(f"{xnat}scans/{xnat}scan/{xnat}rating") == "3"
        program = root.find(f".//{prov}processStep/{prov}program")
        assert program is not None
        assert (program.text, program.get("arguments")) == ("fit", "-a <b>")
        assert root.findtext(f"{xnat}note") == "n"
        assert session.put(path, data=text).status_code == 200
    children = _children(session.get(f"{path}?format=json").json()["items"][0])
    (scan,) = children["scans/scan"]
    assert (scan["meta"]["xsi:type"], scan["data_fields"]) == ("xnat:mrQcScanData", {"rating": "3"})
    (step,) = children["provenance/processStep"]
    assert step["data_fields"] == {"user": "ada"}
    above = _children(session.get(f"{BASE}/E1?format=json").json()["items"][0])
    assert "scans/scan" in _children(above["assessors/assessor"][0])
    assert session.delete(path).status_code == 200
    assert session.put(f"{path}?xsiType=xnat:qcManualAssessorData").status_code == 201
    assert "rating" not in session.get(f"{path}?format=xml").text


def _children(item: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    return {one["field"]: one["items"] for one in item["children"]}


def test_experiments_of_a_project_are_no_assessors_unless_named(session: Served) -> None:
    kind = {"xsiType": "xnat:qcManualAssessorData"}
    assert session.put(f"{BASE}/E1/assessors/Q1", params=kind).status_code in (200, 201)
    labels = [row["label"] for row in session.rows("/data/projects/P1/experiments")]
    assert "E1" in labels
    assert "Q1" not in labels
    named = session.rows("/data/projects/P1/experiments", **kind)
    assert [row["label"] for row in named] == ["Q1"]
    assert "Q1" in [row["label"] for row in session.rows("/data/experiments")]


def test_assessors_and_sessions_share_their_labels(session: Served) -> None:
    query = "?xsiType=xnat:qcManualAssessorData"
    assert session.put(f"{BASE}/E1/assessors/E1{query}").status_code == 409
    assert session.put(f"{BASE}/E1/assessors/A1{query}").status_code == 201
    assert session.put(f"{BASE}/A1{MR}").status_code == 409


def test_reconstruction(session: Served) -> None:
    path = f"{BASE}/E1/reconstructions/R1?type=mean&baseScanType=T2"
    for _ in range(2):
        answer = session.put(path)
        assert (answer.status_code, answer.text) == (200, "")
    row = session.rows(f"{BASE}/E1/reconstructions")[0]
    assert (row["ID"], row["type"], row["baseScanType"]) == ("R1", "mean", "T2")
    assert row["URI"].endswith("/reconstructions/R1")
    assert session.delete(f"{BASE}/E1/reconstructions/R1").status_code == 200
    assert session.rows(f"{BASE}/E1/reconstructions") == []


def test_sharing_a_session(session: Served) -> None:
    assert session.put(f"{BASE}/E1/projects/P2?label=Z").status_code == 200
    assert session.put(f"{BASE}/E1/projects/P2").status_code == 409
    row = session.rows("/data/projects/P2/experiments")[0]
    assert (row["label"], row["project"]) == ("Z", "P2")
    assert session.get("/data/projects/P2/experiments/Z?format=json").status_code == 200
    assert session.delete(f"{BASE}/E1/projects/P2").status_code == 200
    assert session.delete(f"{BASE}/E1/projects/P2").status_code == 404
    assert session.get("/data/projects/P2/experiments/Z?format=json").status_code == 404


def test_experiment_of_a_shared_subject(session: Served) -> None:
    session.put("/data/projects/P1/subjects/S1/projects/P2")
    path = f"/data/projects/P2/subjects/S1/experiments/E9{MR}"
    assert session.put(path).status_code == 201
    assert [row["label"] for row in session.rows("/data/projects/P2/experiments")] == ["E9"]
    session.delete("/data/projects/P2")
    assert [row["label"] for row in session.rows("/data/experiments")] == ["E1"]


def test_an_assessor_is_made_through_a_project_that_shares_the_session(served: Served) -> None:
    session = fill(served)
    served.put("/data/projects/P2")
    assert served.put(f"/data/projects/P1/experiments/{session}/projects/P2").status_code == 200
    member = add_user(served, "member")
    served.put("/data/projects/P2/users/Members/member")
    path = f"experiments/{session}/assessors/QC1?xsiType=xnat:qcManualAssessorData"
    assert member.put(f"/data/projects/P1/{path}").status_code in (403, 404)
    made = member.put(f"/data/projects/P2/{path}")
    assert made.status_code == 201
    found = served.get(f"/data/experiments/{made.text}?format=json").json()["items"][0]
    assert found["data_fields"]["project"] == "P2"


def test_values_of_another_scan_type_are_ignored(served: Served) -> None:
    session = fill(served)
    path = f"/data/experiments/{session}/scans/1"
    assert served.put(f"{path}?xnat:ctScanData/note=x").status_code == 200
    found = served.get(f"{path}?format=json").json()["items"][0]["data_fields"]
    assert "note" not in found
    assert served.put(f"{path}?xsiType=xnat:ctScanData").status_code == 409
