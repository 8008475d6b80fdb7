"""xnatpy, unmodified, on the hierarchy: connect, make, set, read, list, rename, share, delete."""

import datetime
from collections.abc import Iterator
from typing import Any

import pytest
import xnat
from archive_server import ServeArchive, Served
from xnat.core import XNATListing
from xnat.exceptions import XNATObjectAlreadyExistsError, XNATResponseError, XNATValueError

from sandbox.archive import accounts

PROTOCOL = (
    '<xnat:studyProtocol xmlns:xnat="http://nrg.wustl.edu/xnat"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" data-type="xnat:subjectData"'
    ' ID="P1_xnat_subjectData" name="Subjects" xsi:type="xnat:datatypeProtocol">'
    '<xnat:definitions><xnat:definition ID="treatment" data-type="xnat:subjectData">'
    '<xnat:fields><xnat:field name="dose" datatype="float" type="custom"/>'
    '<xnat:field name="group" datatype="string" type="custom"><xnat:possibleValues>'
    "<xnat:possibleValue>control</xnat:possibleValue><xnat:possibleValue>treated"
    "</xnat:possibleValue></xnat:possibleValues></xnat:field></xnat:fields></xnat:definition>"
    "</xnat:definitions></xnat:studyProtocol>"
)


@pytest.fixture
def session(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A session of xnatpy in an archive with project P1, as in a process of its own.

    xnatpy keeps the listings of all sessions of the process, and a deletion asks each of them
    again, those of sessions closed by earlier tests too.
    """
    monkeypatch.setattr(XNATListing, "__ALL_LISTINGS__", [])
    with xnat.connect(served.url, user="admin", password="admin", loglevel="ERROR") as connected:
        connected.classes.ProjectData(parent=connected.projects, id_="P1", name="P1")
        connected.clearcache()
        yield connected


@pytest.fixture
def scanned(session: Any) -> Any:
    """The session with subject S1, session MR1 and scan 2 in P1."""
    classes = session.classes
    subject = classes.SubjectData(parent=session.projects["P1"], label="S1")
    experiment = classes.MrSessionData(parent=subject, label="MR1")
    classes.MrScanData(parent=experiment, id="2", type="T2")
    session.clearcache()
    return session


@pytest.mark.parametrize("version", ["1.8", "1.9"])
def test_connects_and_builds_its_classes(serve: ServeArchive, version: str) -> None:
    served = serve(xnat=version)
    with xnat.connect(served.url, user="admin", password="admin", loglevel="ERROR") as connected:
        assert connected.xnat_version.startswith(version)
        for name in ("ProjectData", "SubjectData", "PetmrSessionData", "IcrRoiCollectionData"):
            assert hasattr(connected.classes, name)
        assert connected.classes.MrSessionData.__mro__[1].__name__ == "ImageSessionData"
    with served.archive.database.read() as connection:
        left = connection.execute("SELECT COUNT(*) FROM web_session").fetchone()[0]
    assert left == 0


def test_wrong_password(served: Served) -> None:
    with pytest.raises(xnat.exceptions.XNATLoginFailedError):
        xnat.connect(served.url, user="admin", password="wrong", loglevel="CRITICAL")


def test_alias_token_connects(served: Served) -> None:
    token = served.get("/data/services/tokens/issue").json()
    with xnat.connect(
        served.url, user=token["alias"], password=token["secret"], loglevel="ERROR"
    ) as connected:
        assert len(connected.projects) == 0


def test_projects(session: Any) -> None:
    project = session.projects["P1"]
    assert (project.id, project.name) == ("P1", "P1")
    project.description = "mice"
    project.keywords = "small animals"
    session.clearcache()
    project = session.projects["P1"]
    assert (project.description, project.keywords) == ("mice", "small animals")
    assert [user.access_level for user in project.users.values()] == ["Owners"]
    project.delete()
    session.clearcache()
    assert list(session.projects) == []


def test_subjects_variables_and_demographics(session: Any) -> None:
    project = session.projects["P1"]
    subject = session.classes.SubjectData(parent=project, label="S1")
    subject.fields["dose"] = "5"
    subject.fields["group"] = "treated"
    subject.group = "g"
    subject.demographics.gender = "male"
    subject.demographics.dob = datetime.date(2024, 1, 31)
    subject.demographics.birth_weight = 1.5
    session.clearcache()
    subject = session.projects["P1"].subjects["S1"]
    assert dict(subject.fields) == {"dose": "5", "group": "treated"}
    assert subject.group == "g"
    assert subject.demographics.gender == "male"
    assert subject.demographics.dob == datetime.date(2024, 1, 31)
    assert subject.demographics.birth_weight == 1.5
    del subject.fields["dose"]
    session.clearcache()
    assert dict(session.projects["P1"].subjects["S1"].fields) == {"group": "treated"}
    with pytest.raises(ValueError, match="gender has to be one of"):
        subject.demographics.gender = "mouse"


def test_declared_variables(served: Served, session: Any) -> None:
    session.classes.SubjectData(parent=session.projects["P1"], label="S1")
    path = "/data/projects/P1/protocols/P1_xnat_subjectData"
    served.put(path, data=PROTOCOL, headers={"Content-Type": "text/xml"})
    session.clearcache()
    subject = session.projects["P1"].subjects["S1"]
    variables = subject.custom_variables["treatment"]
    variables["dose"] = 2.5
    variables["group"] = "control"
    with pytest.raises(XNATValueError):
        variables["group"] = "other"
    session.clearcache()
    again = session.projects["P1"].subjects["S1"].custom_variables["treatment"]
    assert (again["dose"], again["group"]) == (2.5, "control")


def test_sessions_and_scans(scanned: Any) -> None:
    experiment = scanned.projects["P1"].experiments["MR1"]
    experiment.date = datetime.date(2024, 1, 31)
    experiment.fields["timepoint"] = "pre"
    experiment.scanner.model = "PharmaScan"
    scan = experiment.scans["2"]
    scan.quality = "usable"
    scan.frames = 12
    scan.parameters.tr = 2.5
    scan.fields["k"] = "v"
    scanned.clearcache()
    experiment = scanned.projects["P1"].subjects["S1"].experiments["MR1"]
    assert experiment.date == datetime.date(2024, 1, 31)
    assert experiment.fields["timepoint"] == "pre"
    assert experiment.scanner.model == "PharmaScan"
    assert experiment.subject.label == "S1"
    assert experiment.project == "P1"
    scan = experiment.scans["T2"]
    assert (scan.id, scan.quality, scan.frames) == ("2", "usable", 12)
    assert scan.fields["k"] == "v"
    assert scan.parameters.tr == 2.5


def test_session_of_the_same_label_is_refused(scanned: Any) -> None:
    subject = scanned.projects["P1"].subjects["S1"]
    with pytest.raises(XNATObjectAlreadyExistsError):
        scanned.classes.MrSessionData(parent=subject, label="MR1")


def test_assessors(scanned: Any) -> None:
    experiment = scanned.projects["P1"].experiments["MR1"]
    made = scanned.classes.IcrRoiCollectionData(parent=experiment, label="R1", name="tumour")
    assert made.name == "tumour"
    scanned.clearcache()
    experiment = scanned.projects["P1"].experiments["MR1"]
    assessor = experiment.assessors["R1"]
    assert assessor.__xsi_type__ == "icr:roiCollectionData"
    assessor.collection_type = "SEG"
    scanned.clearcache()
    assessor = scanned.projects["P1"].experiments["MR1"].assessors["R1"]
    assert assessor.collection_type == "SEG"
    assessor.delete()
    scanned.clearcache()
    assert len(scanned.projects["P1"].experiments["MR1"].assessors) == 0


def test_listings_and_tables(scanned: Any) -> None:
    project = scanned.projects["P1"]
    assert project.subjects.listing[0].label == "S1"
    table = project.experiments.tabulate(columns=("label", "xsiType", "subject_label"))
    found = [(row.label, row.xsiType, row.subject_label) for row in table]
    assert found == [("MR1", "xnat:mrSessionData", "S1")]
    assert [one.label for one in project.experiments.filter(label="MR*").values()] == ["MR1"]


def test_search(scanned: Any) -> None:
    classes = scanned.classes
    found = classes.MrSessionData.query().filter(classes.MrSessionData.project == "P1").all()
    assert [one.label for one in found] == ["MR1"]
    found = classes.SubjectData.query().filter(classes.SubjectData.label == "none").all()
    assert found == []


def test_rename_and_share(served: Served, scanned: Any) -> None:
    subject = scanned.projects["P1"].subjects["S1"]
    subject.label = "Renamed"
    served.put("/data/projects/P2")
    scanned.clearcache()
    subject = scanned.projects["P1"].subjects["Renamed"]
    subject.share("P2", label="Guest")
    scanned.clearcache()
    shared = scanned.projects["P2"].subjects["Guest"]
    assert shared.id == subject.id
    with pytest.raises(XNATResponseError):
        subject.share("P2")


def test_delete(scanned: Any) -> None:
    experiment = scanned.projects["P1"].experiments["MR1"]
    experiment.scans["2"].delete()
    scanned.clearcache()
    experiment = scanned.projects["P1"].experiments["MR1"]
    assert len(experiment.scans) == 0
    experiment.delete()
    scanned.projects["P1"].subjects["S1"].delete()
    scanned.clearcache()
    assert len(scanned.projects["P1"].subjects) == 0


def test_what_a_collaborator_may_not_do(served: Served, scanned: Any) -> None:
    del scanned
    with served.archive.database.write() as connection:
        accounts.set_user(connection, "col", "pw")
    served.put("/data/projects/P1/users/Collaborators/col")
    with xnat.connect(served.url, user="col", password="pw", loglevel="CRITICAL") as reader:
        subject = reader.projects["P1"].subjects["S1"]
        with pytest.raises(XNATResponseError):
            subject.fields["dose"] = "5"
        with pytest.raises(XNATResponseError):
            subject.delete()
