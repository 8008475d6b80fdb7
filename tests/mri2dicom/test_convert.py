"""`convert` as a whole: what is written where, what is kept, and what a fault leaves behind."""

import errno
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from builder import make_pixels, make_reco
from cases import by_scan, checksums, converted, copy_study, files_below, mouse, small_study

import mri2dicom
from mri2dicom import Overrides
from mri2dicom.conversion import jobs
from xnat_pic.errors import CorruptDataError, NothingUsableError

KEPT_NOTE = "other options"


@pytest.fixture
def study(tmp_path):
    return small_study(tmp_path / "study", scans=3)


def leftovers(folder: Path) -> list[str]:
    """Give what no finished run may leave: parts and old versions."""
    return sorted(p.name for p in folder.rglob(".*"))


# --- the same again --------------------------------------------------------------------------


def test_the_input_is_not_changed(tmp_path, shared_data):
    source = copy_study(shared_data / "paravision" / "pv601_acidoCEST", tmp_path / "study")
    before = checksums(source)
    for enhanced in (False, True):
        converted(source, tmp_path / "out" / str(enhanced), enhanced=enhanced)
    assert checksums(source) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "study"]


@pytest.mark.parametrize("enhanced", [False, True])
def test_a_second_run_keeps_everything(study, tmp_path, enhanced):
    converted(study, tmp_path / "out", enhanced=enhanced)
    before = checksums(tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in files_below(tmp_path / "out")}
    report = converted(study, tmp_path / "out", enhanced=enhanced)
    assert [one.status for one in report.series] == ["kept"] * 3
    assert [one.warnings for one in report.series] == [[]] * 3
    assert [one.files for one in report.series] == [1 if enhanced else 3] * 3
    assert report.exit_code == 0
    assert checksums(tmp_path / "out") == before
    assert {path: path.stat().st_mtime_ns for path in times} == times


@pytest.mark.parametrize("enhanced", [False, True])
def test_two_runs_give_the_same_bytes(tmp_path, enhanced):
    study = mouse(tmp_path / "in", "360.3.6")
    converted(study, tmp_path / "a", enhanced=enhanced)
    converted(study, tmp_path / "b", enhanced=enhanced)
    assert checksums(tmp_path / "a") == checksums(tmp_path / "b") != {}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"enhanced": True}),
        ({"enhanced": True}, {}),
        ({}, {"overrides": Overrides(species="rat")}),
        ({}, {"overrides": Overrides(subject_id="other")}),
    ],
)
def test_different_output_is_kept_with_a_note_without_overwrite(study, tmp_path, first, second):
    converted(study, tmp_path / "out", **first)
    before = checksums(tmp_path / "out")
    report = converted(study, tmp_path / "out", **second)
    assert {one.status for one in report.series} == {"kept"}
    assert all(KEPT_NOTE in one.warnings[-1] for one in report.series)
    assert checksums(tmp_path / "out") == before
    report = converted(study, tmp_path / "out", overwrite=True, **second)
    assert {one.status for one in report.series} == {"converted"}
    converted(study, tmp_path / "fresh", **second)
    assert checksums(tmp_path / "out") == checksums(tmp_path / "fresh") != before
    assert leftovers(tmp_path) == []


def test_changed_data_are_noticed_and_read_anew(tmp_path):
    """A long-lived program must not write what it read before the data changed."""
    study = small_study(tmp_path / "study", scans=2)
    converted(study, tmp_path / "out")
    visu = study / "2" / "pdata" / "1" / "visu_pars"
    text = visu.read_text()
    visu.write_text(
        text.replace("##$VisuCoreDataSlope=( 1 )\n1.0", "##$VisuCoreDataSlope=( 1 )\n4")
    )
    assert visu.read_text() != text
    report = by_scan(converted(study, tmp_path / "out"))
    assert [bool(report[k].warnings) for k in (1, 2)] == [False, True]
    report = by_scan(converted(study, tmp_path / "out", overwrite=True))
    for scan, slope in ((1, 1.0), (2, 4.0)):
        (path, *_) = files_below(Path(report[scan].path))
        assert pydicom.dcmread(path).RescaleSlope == slope


@pytest.mark.parametrize("damage", ["missing", "empty"])
def test_a_series_that_lost_files_is_written_again(study, tmp_path, damage):
    converted(study, tmp_path / "out")
    before = checksums(tmp_path / "out")
    victim = files_below(tmp_path / "out")[4]
    victim.unlink()
    if damage == "empty":
        victim.touch()
    report = converted(study, tmp_path / "out")
    assert sorted(one.status for one in report.series) == ["converted", "kept", "kept"]
    assert checksums(tmp_path / "out") == before


# --- archives --------------------------------------------------------------------------------


def packed(study: Path, archive: Path, *, below: str = "") -> Path:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(study.rglob("*")):
            file.write(path, Path(below) / path.relative_to(study))
    return archive


@pytest.mark.parametrize("suffix", [".zip", ".PvDatasets"])
def test_an_archive_gives_the_same_files(study, tmp_path, suffix):
    archive = packed(study, tmp_path / "other" / f"packed{suffix}")
    converted(study, tmp_path / "a")
    converted(archive, tmp_path / "b")
    assert checksums(tmp_path / "a") == checksums(tmp_path / "b") != {}


def test_exported_archives_in_a_folder(tmp_path):
    project = tmp_path / "project"
    small_study(project / "treated" / "m01", scans=1)
    other = small_study(tmp_path / "m02", scans=1)
    packed(other, project / "untreated" / "m02.PvDatasets", below="m02")
    (project / "untreated" / "mri2dicom.toml").write_text('strain = "BALB/c"')
    (project / "untreated" / "broken.PvDatasets").write_bytes(b"PK no archive")
    report = mri2dicom.convert(project, tmp_path / "out")
    status = {one.study: one.status for one in report.series}
    assert status == {
        "treated/m01": "converted",
        "untreated/m02/m02": "converted",
        "untreated/broken": "skipped",
    }
    assert report.exit_code == 8
    assert [one.damaged for one in report.series if one.status == "skipped"] == [True]
    files = files_below(tmp_path / "out" / "untreated" / "m02" / "m02")
    assert {pydicom.dcmread(path).StrainDescription for path in files} == {"BALB/c"}
    rows = {row.study: row.kind for row in mri2dicom.inspect(project)}
    assert rows == {
        "treated/m01": "anatomy",
        "untreated/m02/m02": "anatomy",
        "untreated/broken": "skipped",
    }


def test_a_folder_of_nothing_but_exported_archives(tmp_path, study):
    packed(study, tmp_path / "project" / "a.PvDatasets")
    report = converted(tmp_path / "project", tmp_path / "out")
    assert [one.study for one in report.series] == ["a"] * 3
    assert [row.study for row in mri2dicom.inspect(tmp_path / "project")] == ["a"] * 3


def test_a_damaged_archive(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(CorruptDataError, match=r"x\.zip is damaged"):
        mri2dicom.convert(tmp_path / "x.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_to_convert(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(NothingUsableError, match="No scanner data"):
        mri2dicom.convert(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- workers, cancel, faults -----------------------------------------------------------------


@pytest.mark.parametrize("enhanced", [False, True])
def test_two_processes_write_what_one_writes(tmp_path, enhanced):
    study = mouse(tmp_path / "in", "6.0.1")
    one = converted(study, tmp_path / "one", enhanced=enhanced)
    two = converted(study, tmp_path / "two", enhanced=enhanced, jobs=2)
    assert checksums(tmp_path / "one") == checksums(tmp_path / "two") != {}
    for first, second in zip(one.series, two.series, strict=True):
        assert (first.expno, first.procno, first.status, first.files, first.warnings) == (
            second.expno,
            second.procno,
            second.status,
            second.files,
            second.warnings,
        )
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_cancel_leaves_whole_series(study, tmp_path, workers):
    seen = []
    report = mri2dicom.convert(
        study,
        tmp_path / "out",
        jobs=workers,
        on_progress=seen.append,
        cancelled=lambda: len(seen) >= (4 if workers == 1 else 1),
    )
    assert report.cancelled
    assert report.exit_code == 8
    for one in report.series:
        assert len(files_below(Path(one.path))) == one.files == 3
    assert len(report.series) < 3 or workers == 2
    assert leftovers(tmp_path) == []
    converted(study, tmp_path / "out")
    converted(study, tmp_path / "whole")
    assert checksums(tmp_path / "out") == checksums(tmp_path / "whole")


def test_cancel_before_anything(study, tmp_path):
    report = mri2dicom.convert(study, tmp_path / "out", cancelled=lambda: True)
    assert report.cancelled
    assert report.series == []
    assert not (tmp_path / "out").exists()


def test_progress_counts_files(study, tmp_path):
    seen = []
    converted(study, tmp_path / "out", on_progress=seen.append)
    assert [(one.files_done, one.files) for one in seen] == [(1, 3), (2, 3), (3, 3)] * 3
    assert {one.title for one in seen} == {f"{k}/1 scan_{k}" for k in (1, 2, 3)}


class _Full:
    """A disk that is full after some bytes."""

    def __init__(self, real, room):
        self.real, self.room = real, room

    def __call__(self, path, *args, **kwargs):
        file = self.real(path, *args, **kwargs)
        if path.suffix == ".dcm" and args and "w" in args[0] and "20001" in str(path):
            if self.room <= 0:
                file.close()
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            self.room -= 1
        return file


def test_a_full_disk_fails_one_series_alone(study, tmp_path, monkeypatch):
    full = _Full(Path.open, room=1)
    monkeypatch.setattr(Path, "open", lambda self, *a, **k: full(self, *a, **k))
    report = mri2dicom.convert(study, tmp_path / "out")
    status = {one.expno: one.status for one in report.series}
    assert status == {1: "converted", 2: "failed", 3: "converted"}
    failed = by_scan(report)[2]
    assert failed.reason == "It could not be written: No space left on device."
    assert (failed.files, failed.path) == (0, "")
    assert report.exit_code == 8
    assert len(files_below(tmp_path / "out")) == 6
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "out" / "20001_scan_2").exists()


def test_a_full_disk_keeps_what_was_there(study, tmp_path, monkeypatch):
    converted(study, tmp_path / "out")
    before = checksums(tmp_path / "out")
    full = _Full(Path.open, room=1)
    monkeypatch.setattr(Path, "open", lambda self, *a, **k: full(self, *a, **k))
    report = mri2dicom.convert(study, tmp_path / "out", overwrite=True)
    assert by_scan(report)[2].status == "failed"
    monkeypatch.undo()
    assert checksums(tmp_path / "out") == before


@pytest.mark.parametrize("error", [ValueError("odd"), KeyError("x"), ZeroDivisionError()])
def test_any_fault_fails_one_series_alone(study, tmp_path, monkeypatch, error):
    real = jobs.write_files

    def write_files(files, part, *args):
        if "20001" in part.name:
            raise error
        real(files, part, *args)

    monkeypatch.setattr(jobs, "write_files", write_files)
    report = mri2dicom.convert(study, tmp_path / "out")
    status = {one.expno: one.status for one in report.series}
    assert status == {1: "converted", 2: "failed", 3: "converted"}
    assert by_scan(report)[2].reason.startswith("It could not be written: ")
    assert leftovers(tmp_path) == []


def test_all_failed_is_a_wrong_call(study, tmp_path, monkeypatch):
    def write_files(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(jobs, "write_files", write_files)
    assert mri2dicom.convert(study, tmp_path / "out").exit_code == 2


def test_a_folder_that_cannot_be_replaced_is_kept(study, tmp_path, monkeypatch):
    """Another program holds a file open (Windows): the old series must survive."""
    converted(study, tmp_path / "out")
    before = checksums(tmp_path / "out")
    real = Path.rename

    def rename(self, target):
        if self.name.endswith(".part"):
            raise PermissionError(errno.EACCES, "The file is in use")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    report = mri2dicom.convert(study, tmp_path / "out", overwrite=True)
    assert {one.status for one in report.series} == {"failed"}
    assert checksums(tmp_path / "out") == before


def test_what_a_killed_run_left_is_removed(study, tmp_path):
    converted(study, tmp_path / "out")
    before = checksums(tmp_path / "out")
    shutil.copytree(tmp_path / "out" / "10001_scan_1", tmp_path / "out" / ".10001_scan_1.old")
    (tmp_path / "out" / ".20001_scan_2.part").mkdir()
    (tmp_path / "out" / "30001_scan_3").rename(tmp_path / "out" / ".30001_scan_3.old")
    converted(study, tmp_path / "out")
    assert checksums(tmp_path / "out") == before


RUN = """
import sys
import mri2dicom
mri2dicom.convert(sys.argv[1], sys.argv[2], enhanced=bool(int(sys.argv[3])))
"""


@pytest.mark.slow
@pytest.mark.parametrize("enhanced", [False, True])
def test_killed_at_any_moment(tmp_path, enhanced):
    """Only whole series are ever seen, and the next run makes up what is missing."""
    study = tmp_path / "study"
    for number in range(1, 9):
        pixels = np.tile(make_pixels(1, (64, 64), "<i2", seed=number), (60, 1, 1))
        groups = [("FG_REPETITION", 60)]
        make_reco(study, expno=number, size=(64, 64), groups=groups, pixels=pixels)
    converted(study, tmp_path / "whole", enhanced=enhanced)
    whole = checksums(tmp_path / "whole")
    command = [sys.executable, "-c", RUN, study, tmp_path / "out", str(int(enhanced))]
    random, killed_midway = np.random.default_rng(3), 0
    for attempt in range(10):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        process = subprocess.Popen(command)
        deadline = time.monotonic() + 20
        while not (tmp_path / "out").exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(float(random.uniform(0, 0.08)))
        process.kill()
        process.wait()
        found = checksums(tmp_path / "out")
        visible = {k: v for k, v in found.items() if not k.startswith(".")}
        assert visible.items() <= whole.items(), attempt
        for folder in {name.partition("/")[0] for name in visible}:
            own = {k for k in whole if k.partition("/")[0] == folder}
            assert own <= set(visible), attempt
        killed_midway += found != whole
        report = converted(study, tmp_path / "out", enhanced=enhanced)
        assert report.exit_code == 0
        assert checksums(tmp_path / "out") == whole, attempt
    assert killed_midway >= 2  # else nothing was tested
