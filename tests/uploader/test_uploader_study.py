"""The whole way: a longitudinal study of several modalities from its folder into the archive.

The digital mouse (two doses and untreated, two timepoints, three animals each) is converted to
DICOM; PET, CT and US series and a second scan at one timepoint lie beside it. One scan, one check,
one upload, one verify; what is on the server is read back with xnatpy and pyxnat.
"""

import json
import logging

import pytest
import pyxnat
import xnat as xnatpy
from click.testing import CliRunner
from disk import expected_files, write_group, write_study
from small_dicom import CT, PET, US, write_series

from mri2dicom import convert
from sandbox.mouse import MouseOptions, write_mice
from uploader.cli import main

TYPES = {
    "MR": "xnat:mrSessionData",
    "PET": "xnat:petSessionData",
    "CT": "xnat:ctSessionData",
    "US": "xnat:usSessionData",
}


@pytest.fixture(scope="module")
def mice(tmp_path_factory):
    """The study on disk; its folder levels tell group, dose and timepoint."""
    home = tmp_path_factory.mktemp("mice")
    write_mice(home / "raw", MouseOptions(animals=3, size="SMALL", matrix=16))
    assert convert(home / "raw", home / "study", jobs=1).exit_code == 0
    base = home / "study" / "group" / "treated" / "dose" / "dose1" / "timepoint" / "pre" / "m01"
    others = (("901", PET, "pet"), ("902", CT, "ct"), ("903", US, "us"))
    for number, sop, name in others:
        write_series(
            base / name, 2, study=number, sop=sop, PatientID="m01", PatientName="m01",
            StudyDate="20240109", StudyTime="150000",
        )  # fmt: skip
    write_series(
        base / "again", 3, study="904", PatientID="m01", PatientName="m01",
        StudyDate="20240109", StudyTime="170000",
    )  # fmt: skip
    (base / "ct" / "protocol.pdf").write_bytes(b"%PDF-1.4 not much of a document")
    return home


class Command:
    """Runs the command line as a person would."""

    def __init__(self, server, home):
        self.env = {
            "XNAT_PIC_SERVER": server.url,
            "XNAT_PIC_USER": "admin",
            "XNAT_PIC_PASSWORD": "admin",
            "XNAT_PIC_HOME": str(home),
        }

    def __call__(self, *arguments, code=0):
        done = CliRunner().invoke(main, [str(one) for one in arguments], env=self.env)
        assert done.exit_code == code, done.output
        return done


@pytest.mark.slow
def test_study_goes_into_the_archive_in_one_run(start, mice, tmp_path):
    server = start()
    run = Command(server, tmp_path / "home")
    study, plan = mice / "study", tmp_path / "plan.csv"
    run("scan", study, "--project", "MICE", "-o", plan)
    checked = run("check", plan, "--create-project", "--json")
    assert {row["verdict"] for row in json.loads(checked.stdout)} == {"new"}
    raw = mice / "raw" / "group" / "untreated" / "timepoint" / "pre"
    run("upload", plan, "--create-project", "--raw", raw, "--jobs", "3")
    verified = json.loads(run("verify", plan, "--json").stdout)
    assert verified["problems"] == []
    assert {row["proof"] for row in verified["rows"]} == {"pixels equal"}
    run("report", plan, "-o", tmp_path / "report.html")

    assert server.files("MICE") == expected_files(study)
    assert server.waiting("MICE") == []
    _check_raw(server, raw)
    _check_xnatpy(server)
    _check_pyxnat(server)
    again = json.loads(run("upload", plan, "--json").stdout)
    assert {row["outcome"] for row in again["rows"]} == {"nothing to do"}
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "22 sessions: 22 pixels equal" in page
    assert "http" not in page.replace(server.url, "")  # needs nothing from elsewhere


def _check_raw(server, raw):
    rows = server.served.rows("/data/projects/MICE/resources/bruker_data/files")
    studies = [path.parent for path in raw.rglob("subject")]
    assert len(rows) == len(studies) == 3
    assert all(row["digest"] for row in rows)


def _check_xnatpy(server):
    logger = logging.getLogger("tests.xnatpy")
    logger.addHandler(logging.NullHandler())
    with xnatpy.connect(server.url, user="admin", password="admin", logger=logger) as connection:
        project = connection.projects["MICE"]
        subjects = {one.label: one for one in project.subjects.values()}
        assert len(subjects) == 9
        groups = [dict(one.fields) for one in subjects.values()]
        assert sum(fields == {"group": "untreated"} for fields in groups) == 3
        for dose in ("dose1", "dose2"):
            assert sum(fields == {"group": "treated", "dose": dose} for fields in groups) == 3
        labels = {one.label: one for one in project.experiments.values()}
        assert len(labels) == 22
        for label in ("m01_pre_MR", "m01_pre_MR_2", "m01_post1w_MR"):
            fields = dict(labels[label].fields)
            timepoint = label.split("_")[1]
            assert fields == {"group": "treated", "dose": "dose1", "timepoint": timepoint}
        for kind, xsi_type in TYPES.items():
            assert labels[f"m01_pre_{kind}"].__xsi_type__ == xsi_type
        assert labels["m01_pre_MR_2"].scans["1"].files


def _check_pyxnat(server):
    interface = pyxnat.Interface(server=server.url, user="admin", password="admin")
    try:
        subject = interface.select("/project/MICE/subject/m01")
        path = "xnat:subjectData/fields/field[name='{}']/field"
        assert subject.attrs.get(path.format("group")) == "treated"
        assert subject.attrs.get(path.format("dose")) == "dose1"
        session = subject.experiment("m01_post1w_MR")
        assert session.exists()
        path = "xnat:mrSessionData/fields/field[name='timepoint']/field"
        assert session.attrs.get(path) == "post1w"
        resource = subject.experiment("m01_pre_CT").resource("DOCUMENTS")
        assert resource.files().get() == ["protocol.pdf"]
    finally:
        interface.disconnect()


def test_second_upload_adds_only_what_is_new(start, tmp_path):
    """A month later the folder holds one more timepoint: the plan is made anew and sent."""
    server = start()
    run = Command(server, tmp_path / "home")
    data = tmp_path / "data"
    write_group(data)
    run("scan", data, "--project", "LONG", "-o", tmp_path / "first.csv")
    run("upload", tmp_path / "first.csv", "--create-project")
    write_study(data / "group" / "treated" / "timepoint" / "post1m" / "m01", "4", "m01")
    run("scan", data, "--project", "LONG", "-o", tmp_path / "second.csv")
    checked = json.loads(run("check", tmp_path / "second.csv", "--json").stdout)
    assert sorted(row["verdict"] for row in checked) == ["new"] + ["same"] * 3
    run("upload", tmp_path / "second.csv")
    run("verify", tmp_path / "second.csv")
    assert server.files("LONG") == expected_files(data)
