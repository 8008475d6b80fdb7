"""A project with one MR session of two scans, put in through REST; a catalog with one pipeline."""

from pathlib import Path

from archive_server import Served
from dicoms import Study, make_study, make_zip

STUDY = Study()
DESCRIPTOR = """<?xml version="1.0" encoding="UTF-8"?>
<Pipeline xmlns="http://nrg.wustl.edu/pipeline">
  <name>process_T2</name><location>process_T2</location><description>T2 maps</description>
  <documentation appliesTo="xnat:mrSessionData">
    <website>https://example.org</website>
    <authors><author><lastname>Group</lastname><firstname>Imaging</firstname>
      <contact><email>imaging@example.org</email></contact></author></authors>
    <version>1.0</version>
    <input-parameters>
      <parameter><name>scanids</name>
        <values><schemalink>xnat:imageSessionData/scans/scan/ID</schemalink></values>
        <description>Scans to fit</description></parameter>
      <parameter><name>model</name><values><csv>2p,3p</csv></values>
        <description>Model</description></parameter>
    </input-parameters>
  </documentation>
  <xnatInfo appliesTo="xnat:mrSessionData">
    <generatesElements><element>xnat:mrSessionData</element></generatesElements></xnatInfo>
  <steps><step id="1" description="Fetch"/><step id="2" description="Fit"/></steps>
</Pipeline>
"""


def fill(served: Served) -> str:
    """Make project P1 with subject S1 and session S1_MR; return the session's ID."""
    assert served.put("/data/projects/P1").status_code == 200
    dose = "xnat:subjectData/fields/field[name=dose]/field"
    made = served.put("/data/projects/P1/subjects/S1", params={"gender": "female", dose: "low"})
    assert made.status_code == 201, made.text
    answer = served.post(
        "/data/services/import",
        params={"dest": "/archive/projects/P1/subjects/S1/experiments/S1_MR"},
        data=make_zip(make_study(STUDY)),
        headers={"Content-Type": "application/zip"},
    )
    assert answer.status_code == 200, answer.text
    return served.rows("/data/projects/P1/experiments")[0]["ID"]


def write_catalog(folder: Path, descriptor: str = DESCRIPTOR) -> Path:
    """Write a catalog with the pipeline process_T2; return its folder."""
    (folder / "process_T2").mkdir(parents=True)
    (folder / "process_T2" / "process_T2.xml").write_text(descriptor, "utf-8")
    (folder / "process_T2" / "fit.xml").write_text(
        '<pip:Resource xmlns:pip="http://nrg.wustl.edu/pipeline"/>', "utf-8"
    )
    return folder


def use_pipeline(served: Served, catalog: Path) -> None:
    """Offer the catalog on the site, and let P1 use it."""
    answer = served.post("/sandbox/pipelines", params={"folder": str(catalog), "project": "P1"})
    assert answer.json() == ["process_T2/process_T2.xml"], answer.text


def add_user(served: Served, login: str, role: str = "", password: str = "secret") -> Served:
    """Make a user, with a role in P1 if one is named; return the archive asked as that user."""
    from sandbox.archive import accounts

    with served.archive.database.write() as connection:
        accounts.set_user(connection, login, password)
        if role:
            connection.execute("INSERT INTO member VALUES ('P1', ?, ?)", (login, role))
    return served.as_user(login, password)
