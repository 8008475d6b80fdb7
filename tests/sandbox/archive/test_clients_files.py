"""xnatpy and pyxnat, unmodified: files, imports and the prearchive as their users do it."""

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pyxnat
import xnat
from archive_server import Served, serving
from dicoms import Study, make_study, make_zip

from sandbox.archive.archive import DEFAULT_PASSWORD, PASSWORD_VARIABLE, Archive

# Both clients use functions that Python or their own dependencies announce to remove.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(PASSWORD_VARIABLE, raising=False)
        patch.setenv("NO_PROXY", "127.0.0.1")
        with serving(Archive(tmp_path_factory.mktemp("clients") / "archive")) as served:
            yield served


@pytest.fixture(scope="module")
def connection(site: Served) -> Iterator[Any]:
    with xnat.connect(site.url, user="admin", password=DEFAULT_PASSWORD) as session:
        yield session


@pytest.fixture(scope="module")
def interface(site: Served) -> Iterator[Any]:
    made = pyxnat.Interface(server=site.url, user="admin", password=DEFAULT_PASSWORD)
    yield made
    made.disconnect()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of files to upload."""
    (tmp_path / "up" / "sub").mkdir(parents=True)
    (tmp_path / "up" / "a.txt").write_text("first")
    (tmp_path / "up" / "sub" / "b.nii").write_bytes(bytes(range(256)) * 500)
    return tmp_path / "up"


def write_study(path: Path, study: Study, series: int = 2, instances: int = 2) -> Path:
    path.write_bytes(make_zip(make_study(study, series, instances)))
    return path


class TestXnatpy:
    @pytest.fixture(scope="class")
    def project(self, site: Served, connection: Any) -> Any:
        site.put("/data/projects/XP")
        site.put("/data/projects/XP2")
        return connection.projects["XP"]

    @pytest.fixture(scope="class")
    def experiment(self, connection: Any, project: Any) -> Any:
        subject = connection.classes.SubjectData(parent=project, label="S1")
        made = connection.classes.MrSessionData(parent=subject, label="MR1")
        connection.classes.MrScanData(parent=made, id="2", type="T2")
        return made

    def test_files(self, connection: Any, experiment: Any, folder: Path, tmp_path: Path) -> None:
        resource = experiment.scans["2"].create_resource("NIFTI")
        resource.upload(str(folder / "a.txt"), "sub/f.txt", overwrite=True)
        resource.upload_data("from memory", "data.txt")
        resource.clearcache()
        assert {"f.txt", "data.txt"} == {one.name for one in resource.files.values()}
        assert resource.files["sub/f.txt"].digest == hashlib.md5(b"first").hexdigest()
        resource.files["sub/f.txt"].download(str(tmp_path / "back.txt"), verbose=False)
        assert (tmp_path / "back.txt").read_text() == "first"
        resource.download(str(tmp_path / "all.zip"), verbose=False)
        with zipfile.ZipFile(tmp_path / "all.zip") as archive:
            assert sorted(archive.namelist()) == [
                "MR1/scans/2-T2/resources/NIFTI/files/data.txt",
                "MR1/scans/2-T2/resources/NIFTI/files/sub/f.txt",
            ]
        resource.files["sub/f.txt"].delete()
        resource.clearcache()
        assert [one.name for one in resource.files.values()] == ["data.txt"]
        connection.clearcache()
        scan = connection.projects["XP"].experiments["MR1"].scans["2"]
        assert "NIFTI" in scan.resources
        scan.resources["NIFTI"].delete()
        connection.clearcache()
        scan = connection.projects["XP"].experiments["MR1"].scans["2"]
        assert "NIFTI" not in scan.resources

    @pytest.mark.parametrize("method", ["tgz_file", "tgz_memory", "tar_file", "per_file"])
    def test_folders(self, experiment: Any, folder: Path, tmp_path: Path, method: str) -> None:
        resource = experiment.create_resource(f"DIR_{method}")
        resource.upload_dir(str(folder), method=method, overwrite=True)
        resource.clearcache()
        assert {one.id for one in resource.files.values()} == {"a.txt", "sub/b.nii"}
        resource.download_dir(str(tmp_path / "down"), verbose=False)
        (back,) = (tmp_path / "down").rglob("b.nii")
        assert back.read_bytes() == (folder / "sub" / "b.nii").read_bytes()

    def test_session_download(self, experiment: Any, tmp_path: Path) -> None:
        experiment.scans["2"].create_resource("DICOM").upload_data("x", "one.dcm")
        experiment.clearcache()
        experiment.download(str(tmp_path / "s.zip"), verbose=False)
        with zipfile.ZipFile(tmp_path / "s.zip") as archive:
            assert "MR1/scans/2-T2/resources/DICOM/files/one.dcm" in archive.namelist()
        experiment.scans["2"].download_dir(str(tmp_path / "scan"), verbose=False)
        assert list((tmp_path / "scan").rglob("one.dcm"))

    def test_assessor_files(self, connection: Any, experiment: Any, folder: Path) -> None:
        made = connection.classes.IcrRoiCollectionData(parent=experiment, label="R1")
        made.create_resource("SEG").upload(str(folder / "a.txt"), "seg.dcm", overwrite=True)
        experiment.clearcache()
        found = experiment.assessors["R1"].resources["SEG"]
        assert [one.name for one in found.files.values()] == ["seg.dcm"]

    def test_import_to_the_archive(self, connection: Any, project: Any, tmp_path: Path) -> None:
        path = write_study(tmp_path / "s.zip", Study())
        made = connection.services.import_(
            str(path), project="XP", subject="S5", experiment="E5", destination="/archive"
        )
        assert (made.label, made.subject.label) == ("E5", "S5")
        assert {one.id: len(one.files) for one in made.scans.values()} == {"1": 2, "2": 2}
        dataset = made.scans["1"].read_dicom(read_pixel_data=True)
        assert dataset.pixel_array.shape == (8, 8)
        fields = {row["desc"]: row["value"] for row in made.scans["1"].dicom_dump(["PatientID"])}
        assert fields == {"Patient ID": "E5"}  # the script of a fresh site
        with pytest.raises(xnat.exceptions.XNATUploadError, match="Session already exists"):
            connection.services.import_(
                str(path), project="XP", subject="S5", experiment="E5", destination="/archive"
            )
        (conflict,) = connection.prearchive.sessions()
        assert conflict.status == "CONFLICT"
        conflict.delete()

    def test_archiving_where_the_project_archives_by_itself(
        self, connection: Any, project: Any, tmp_path: Path
    ) -> None:
        """XNAT answers 303 once it is archived; xnatpy follows, and takes the page for a fault."""
        path = write_study(tmp_path / "s.zip", Study("m9", "m9"))
        waiting = connection.services.import_(str(path), project="XP", destination="/prearchive")
        with pytest.raises(xnat.exceptions.XNATResponseError, match="Invalid content"):
            waiting.archive(project="XP", subject="S9", experiment="E9")
        connection.clearcache()
        assert "E9" in [one.label for one in connection.projects["XP"].experiments.values()]
        assert connection.prearchive.sessions(project="XP") == []

    def test_prearchive(self, connection: Any, project: Any, tmp_path: Path) -> None:
        connection.put("/data/projects/XP/prearchive_code/0")
        path = write_study(tmp_path / "s.zip", Study())
        waiting = connection.services.import_(
            str(path), project="XP", destination="/prearchive", overwrite="append"
        )
        assert (waiting.status, waiting.project) == ("READY", "XP")
        assert waiting.timestamp <= waiting.lastmod
        assert str(waiting.scan_date) == "2024-01-31"
        assert [one.id for one in waiting.scans.values()] == ["1", "2"]
        scan = waiting.scans["1"]
        assert scan.series_description == "T2 series 1"
        assert [one.name for one in scan.files.values()] == ["MR0001.dcm", "MR0002.dcm"]
        assert scan.read_dicom().PatientID == "mouse1_MR1"
        assert scan.dicom_dump(["PatientID"])[0]["value"] == "mouse1_MR1"
        waiting.download(str(tmp_path / "pre.zip"))
        with zipfile.ZipFile(tmp_path / "pre.zip") as archive:
            assert len(archive.namelist()) == 4
        waiting.rebuild()
        waiting.move("XP2")
        (waiting,) = connection.prearchive.sessions(project="XP2")
        made = waiting.archive(
            project="XP", subject="S6", experiment="E6", overwrite="none", quarantine=False
        )
        assert made.label == "E6"
        assert connection.prearchive.sessions(project="XP2") == []

    def test_prearchive_hides_what_is_received(
        self, connection: Any, project: Any, tmp_path: Path
    ) -> None:
        path = write_study(tmp_path / "s.zip", Study("m7", "m7"))
        waiting = connection.services.import_(str(path), project="XP")
        assert waiting.status == "RECEIVING"
        assert connection.prearchive.sessions() == []
        found = connection.prearchive.find(project="XP", status="RECEIVING")
        assert [one.label for one in found] == ["m7"]
        waiting.delete()
        assert connection.prearchive.find(project="XP", status="RECEIVING") == []

    def test_import_folder(self, connection: Any, project: Any, tmp_path: Path) -> None:
        with zipfile.ZipFile(write_study(tmp_path / "s.zip", Study("m8", "m8"))) as archive:
            archive.extractall(tmp_path / "study")
        made = connection.services.import_dir(
            str(tmp_path / "study"), project="XP", destination="/archive"
        )
        assert (made.label, len(made.scans)) == ("m8", 2)

    def test_refresh(self, connection: Any, experiment: Any) -> None:
        connection.services.refresh_catalog(experiment, checksum=True, populate_stats=True)


class TestPyxnat:
    @pytest.fixture(scope="class")
    def experiment(self, interface: Any) -> Any:
        interface.select.project("YP").create()
        made = interface.select("/project/YP/subject/S1/experiment/MR1")
        made.create(experiments="xnat:mrSessionData")
        made.scan("2").create(scans="xnat:mrScanData", **{"xnat:mrScanData/type": "T2"})
        return made

    def test_files(self, experiment: Any, folder: Path, tmp_path: Path) -> None:
        resource = experiment.scan("2").resource("NIFTI")
        file = resource.file("sub/f.txt")
        file.put(str(folder / "a.txt"), format="TXT", content="text", tags="t")
        assert file.exists()
        assert (file.format(), file.content(), file.size()) == ("TXT", "text", "5")
        assert [one.label() for one in resource.files()] == ["sub/f.txt"]
        assert Path(file.get(str(tmp_path / "back.txt"))).read_text() == "first"
        (folder / "a.txt").write_text("second")
        file.put(str(folder / "a.txt"), overwrite=True)
        assert Path(file.get(str(tmp_path / "new.txt"))).read_text() == "second"
        assert resource.exists()
        assert resource.label() == "NIFTI"
        file.delete()
        assert not file.exists()
        resource.delete()
        assert not experiment.scan("2").resource("NIFTI").exists()

    def test_zip_both_ways(self, experiment: Any, folder: Path, tmp_path: Path) -> None:
        packed = tmp_path / "up.zip"
        with zipfile.ZipFile(packed, "w") as archive:
            archive.write(folder / "a.txt", "a.txt")
            archive.write(folder / "sub" / "b.nii", "sub/b.nii")
        resource = experiment.resource("RAW")
        resource.put_zip(str(packed), extract=True, overwrite=True)
        assert sorted(one.label() for one in resource.files()) == ["a.txt", "sub/b.nii"]
        resource.get(str(tmp_path), extract=True)
        assert [p.read_text() for p in tmp_path.rglob("RAW/**/a.txt")] == ["first"]

    def test_scans_download(self, experiment: Any, folder: Path, tmp_path: Path) -> None:
        experiment.scan("2").resource("DICOM").file("one.dcm").put(str(folder / "a.txt"))
        experiment.scans().download(str(tmp_path), type="ALL", extract=True)
        assert [p.read_text() for p in tmp_path.rglob("one.dcm")] == ["first"]

    def test_assessor_files(self, experiment: Any, folder: Path) -> None:
        assessor = experiment.assessor("A1")
        assessor.create(assessors="xnat:qcManualAssessorData")
        for side in ("in", "out"):
            resource = getattr(assessor, f"{side}_resource")("R")
            resource.file(f"{side}.txt").put(str(folder / "a.txt"))
            assert [one.label() for one in resource.files()] == [f"{side}.txt"]

    def test_import_and_prearchive(self, interface: Any, experiment: Any, tmp_path: Path) -> None:
        path = write_study(tmp_path / "s.zip", Study("p1", "p1_MR"))
        with path.open("rb") as file:
            answer = interface.post(
                "/data/services/import?dest=/prearchive&project=YP",
                data=file,
                headers={"Content-Type": "application/zip"},
            )
        manager = interface.manage.prearchive
        (triple,) = [one for one in manager.get() if one[0] == "YP"]
        assert answer.text.strip() == "/data/prearchive/projects/" + "/".join(triple)
        assert manager.status(triple) == "READY"
        assert manager.get_scans(triple) == ["1", "2"]
        assert manager.get_resources(triple, "1") == "DICOM"
        assert manager.get_files(triple, "1", "DICOM") == ["MR0001.dcm", "MR0002.dcm"]
        manager.reset(triple)
        uri = manager.get_uri(triple)
        assert uri == "/prearchive/projects/" + "/".join(triple)
        archived = interface.post(f"/data/services/archive?src={uri}")
        assert archived.status_code == 200
        assert interface.select("/project/YP/subject/p1/experiment/p1_MR").exists()
        with path.open("rb") as file:
            again = interface.post(
                "/data/services/import?dest=/prearchive&project=YP",
                data=file,
                headers={"Content-Type": "application/zip"},
            )
        manager.delete(again.text.strip().removeprefix("/data"))
        assert [one for one in manager.get() if one[0] == "YP"] == []

    def test_errors_are_read_as_such(self, experiment: Any) -> None:
        resource = experiment.resource("TWICE")
        resource.create()
        with pytest.raises(pyxnat.core.errors.DatabaseError):
            resource.create()
