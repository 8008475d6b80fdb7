"""pyxnat, unmodified, on the hierarchy: select, create, exists, attributes, listings, delete."""

from collections.abc import Iterator
from typing import Any

import pytest
import pyxnat
from archive_server import Served
from pyxnat.core.errors import DatabaseError

DOSE = "xnat:subjectData/fields/field[name='dose']/field"


@pytest.fixture
def interface(served: Served) -> Iterator[Any]:
    """A connected interface of pyxnat."""
    made = pyxnat.Interface(server=served.url, user="admin", password="admin")
    yield made
    made.disconnect()


@pytest.fixture
def project(interface: Any) -> Any:
    """Project P1 with subject S1 (dose 5), session MR1 and scan 2."""
    project = interface.select.project("P1")
    project.create()
    subject = project.subject("S1")
    subject.create(**{"xnat:subjectData/group": "g1"})
    experiment = subject.experiment("MR1")
    experiment.create(
        **{"experiments": "xnat:mrSessionData", "xnat:mrSessionData/date": "2024-01-31"}
    )
    experiment.scan("2").create(scans="xnat:mrScanData")
    return project


def test_version_and_datatypes(interface: Any, project: Any) -> None:
    del project
    assert interface.version()["version"].startswith("1.8.")
    assert "xnat:mrSessionData" in interface.inspect.datatypes()
    assert "xnat:subjectData/GENDER_TEXT" in interface.inspect.datatypes("xnat:subjectData", "*")


def test_create_and_exists(interface: Any) -> None:
    project = interface.select.project("P1")
    assert not project.exists()
    project.create()
    assert project.exists()
    assert (project.id(), project.label()) == ("P1", "P1")
    subject = project.subject("S1")
    assert not subject.exists()
    subject.create()
    assert subject.exists()
    assert subject.label() == "S1"
    assert subject.id().endswith("_S00001")
    assert subject.parent().id() == "P1"


def test_wrong_password(served: Served) -> None:
    stranger = pyxnat.Interface(server=served.url, user="admin", password="wrong")
    assert stranger.get("/data/projects").status_code == 401
    with pytest.raises(DatabaseError, match="Unauthorized"):
        stranger.select.project("P1").create()


def test_attributes_of_a_subject(project: Any) -> None:
    subject = project.subject("S1")
    subject.attrs.set(DOSE, "5")
    gender = "xnat:subjectData/demographics[@xsi:type=xnat:demographicData]/gender"
    subject.attrs.mset({gender: "male", "xnat:subjectData/src": "own breed"})
    assert subject.attrs.get(DOSE) == "5"
    assert subject.attrs.get("gender") == "male"
    assert subject.attrs.get("xnat:subjectData/group") == "g1"
    assert subject.attrs.mget(["src", "group"]) == ["own breed", "g1"]


def test_attributes_of_sessions_and_scans(project: Any) -> None:
    experiment = project.subject("S1").experiment("MR1")
    assert experiment.datatype() == "xnat:mrSessionData"
    assert experiment.attrs.get("xnat:mrSessionData/date") == "2024-01-31"
    experiment.attrs.set("xnat:mrSessionData/fields/field[name='week']/field", "3")
    assert experiment.attrs.get("xnat:mrSessionData/fields/field[name='week']/field") == "3"
    scan = experiment.scan("2")
    assert scan.datatype() == "xnat:mrScanData"
    scan.attrs.mset({"xnat:mrScanData/type": "T2", "xnat:mrScanData/frames": "12"})
    assert scan.attrs.get("type") == "T2"
    assert scan.attrs.get("frames") == "12"


def test_listings(interface: Any, project: Any) -> None:
    assert interface.select.projects().get() == ["P1"]
    assert [subject.label() for subject in project.subjects()] == ["S1"]
    assert [experiment.label() for experiment in project.experiments()] == ["MR1"]
    experiment = next(iter(project.experiments()))
    assert experiment.label() == "MR1"
    assert experiment.scans().get() == ["2"]
    found = interface.select("/projects/P1/subjects/*/experiments/*/scans/*").get()
    assert found == ["2"]


def test_arrays(interface: Any, project: Any) -> None:
    del project
    experiment = interface.array.experiments(project_id="P1").data[0]
    assert experiment["subject_ID"].endswith("_S00001")
    assert experiment["project"] == "P1"
    scan = interface.array.scans(project_id="P1").data[0]
    assert scan["xnat:imagescandata/id"] == "2"
    assert len(interface.array.mrsessions(project_id="P1").data) == 1
    assert len(interface.array.experiments(project_id="P2").data) == 0


def test_search(interface: Any, project: Any) -> None:
    project.subject("S1").attrs.set(DOSE, "5")
    columns = ["xnat:subjectData/SUBJECT_LABEL", "xnat:subjectData/XNAT_SUBJECTDATA_FIELD_MAP=dose"]
    wanted = [("xnat:subjectData/XNAT_SUBJECTDATA_FIELD_MAP=dose", "=", "5"), "AND"]
    found = interface.select("xnat:subjectData", columns).where(wanted)
    assert [row["subject_label"] for row in found.data] == ["S1"]
    later = [("xnat:mrSessionData/DATE", ">", "2024-02-01"), "AND"]
    assert len(interface.select("xnat:mrSessionData").where(later).data) == 0


def test_objects_describe_themselves(project: Any) -> None:
    assert "1 MR experiment (owner: admin)" in repr(project)
    assert "(project: P1)" in repr(project.subject("S1"))
    assert "1 scan 0 resource" in repr(project.subject("S1").experiment("MR1"))


def test_custom_variables(project: Any) -> None:
    project.add_custom_variables({"Subjects": {"treatment": {"dose": "float", "group": "string"}}})
    found = project.get_custom_variables()
    assert found["Subjects"]["treatment"] == {"dose": "float", "group": "string"}
    project.add_custom_variables({"Subjects": {"treatment": {"week": "integer"}}})
    found = project.get_custom_variables()
    assert set(found["Subjects"]["treatment"]) == {"dose", "group", "week"}
    project.subject("S1").attrs.set(DOSE, "5")
    assert project.get_custom_variables() == found


def test_settings_and_users(served: Served, project: Any) -> None:
    served.post("/xapi/users", json={"username": "ada", "password": "pw"})
    project.set_prearchive_code("4")
    assert project.prearchive_code() == 4
    project.set_accessibility("public")
    assert project.accessibility() == b"public"
    project.add_user("ada", "member")
    assert project.members() == ["ada"]
    assert project.user_role("ada") == "member"
    project.remove_user("ada")
    assert project.users() == ["admin"]


def test_assessors_and_reconstructions(project: Any) -> None:
    experiment = project.subject("S1").experiment("MR1")
    assessor = experiment.assessor("A1")
    assessor.create(assessors="xnat:qcManualAssessorData")
    assert assessor.exists()
    assert assessor.datatype() == "xnat:qcManualAssessorData"
    assessor.attrs.set("xnat:qcManualAssessorData/rater", "somebody")
    assert assessor.attrs.get("xnat:qcManualAssessorData/rater") == "somebody"
    reconstruction = experiment.reconstruction("R1")
    reconstruction.create()
    assert reconstruction.exists()
    assessor.delete()
    assert not assessor.exists()


def test_sharing(interface: Any, project: Any) -> None:
    other = interface.select.project("P2")
    other.create()
    subject = project.subject("S1")
    subject.share("P2")
    assert subject.shares().get() == ["P1", "P2"]
    assert [shared.label() for shared in other.subjects()] == ["S1"]
    subject.unshare("P2")
    assert other.subjects().get() == []


def test_delete_and_errors(interface: Any, project: Any) -> None:
    experiment = project.subject("S1").experiment("MR1")
    experiment.delete()
    assert not experiment.exists()
    project.subject("S1").delete()
    assert project.subjects().get() == []
    project.delete()
    assert interface.select.projects().get() == []
    with pytest.raises(DatabaseError, match="previously deleted"):
        interface.select.project("P1").create()
