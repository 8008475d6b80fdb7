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
from cases import checksums, converted, copy_study, files_below, mouse, small_study

import mri2dicom
from mri2dicom import Overrides, jobs
from mri2dicom.conversion import default_output
from mri2dicom.errors import CorruptDataError, NothingUsableError, WrongCallError

KEPT_NOTE = "other options"


@pytest.fixture
def study(tmp_path):
    return small_study(tmp_path / "study", scans=3)


def leftovers(folder: Path) -> list[str]:
    """Give what no finished run may leave: parts and old versions."""
    return sorted(p.name for p in folder.rglob(".*"))


def by_scan(report):
    return {one.expno: one for one in report.series}


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
def test_other_output_is_kept_with_a_note_until_asked(study, tmp_path, first, second):
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


def test_changed_data_are_noticed_and_read_anew(study, tmp_path):
    """A long-lived program must not write what it read before the data changed."""
    converted(study, tmp_path / "out")
    visu = study / "2" / "pdata" / "1" / "visu_pars"
    text = visu.read_text()
    visu.write_text(
        text.replace("##$VisuCoreDataSlope=( 1 )\n1.0", "##$VisuCoreDataSlope=( 1 )\n4")
    )
    assert visu.read_text() != text
    report = by_scan(converted(study, tmp_path / "out"))
    assert [bool(report[k].warnings) for k in (1, 2, 3)] == [False, True, False]
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


# --- names and places ------------------------------------------------------------------------


def test_the_function_is_not_hidden_by_a_module():
    """Loading any module of the package leaves `mri2dicom.convert` the function it is."""
    code = (
        "import pkgutil, importlib, mri2dicom\n"
        "for found in pkgutil.walk_packages(mri2dicom.__path__, 'mri2dicom.'):\n"
        "    importlib.import_module(found.name)\n"
        "for name in mri2dicom.__all__:\n"
        "    assert callable(getattr(mri2dicom, name)), name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_default_output(tmp_path):
    assert default_output(tmp_path / "study") == tmp_path / "study_dcm"
    archive = tmp_path / "my.study.tar.gz"
    archive.touch()
    assert default_output(archive) == tmp_path / "my.study_dcm"
    study = small_study(tmp_path / "s.1", scans=1)
    report = mri2dicom.convert(study)
    assert report.output == tmp_path / "s.1_dcm"
    assert len(files_below(tmp_path / "s.1_dcm")) == 3


def test_a_whole_drive_needs_an_output(tmp_path):
    with pytest.raises(WrongCallError, match="whole drive"):
        default_output(Path(tmp_path.anchor))


def test_folder_levels_are_kept(tmp_path):
    project = tmp_path / "project"
    levels = ["treated/dose1/pre/m01", "treated/dose1/post/m01_2", "untreated/pre/m02"]
    for level in levels:
        small_study(project / level, scans=1)
    report = converted(project, tmp_path / "out")
    assert sorted(one.study for one in report.series) == sorted(levels)
    for level in levels:
        assert len(files_below(tmp_path / "out" / level / "10001_scan_1")) == 3


BAD_NAMES = [
    "T2*",
    "a:b?c",
    "CON",
    "ends. . .",
    "x" * 200,
    "<pipe|>",
    "a/b\\c",
    "trailing ",
    "[red]",
]


@pytest.mark.parametrize("protocol", BAD_NAMES)
def test_names_are_legal_everywhere(tmp_path, protocol):
    make_reco(tmp_path / "s", frames=1, visu={"VisuAcquisitionProtocol": protocol})
    (one,) = converted(tmp_path / "s", tmp_path / "out").series
    folder = Path(one.path)
    assert folder.parent == tmp_path / "out"
    assert folder.is_dir()
    assert len(folder.name) <= 48
    assert not set(folder.name) & set('<>:"/\\|?*')
    assert folder.name == folder.name.strip().rstrip(".")
    assert folder.name.startswith("10001_")


@pytest.mark.parametrize(("level", "legal"), [("CON", "_CON"), ("a:b", "a_b"), ("dot.", "dot")])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot make such a folder")
def test_levels_are_legal_everywhere(tmp_path, level, legal):
    small_study(tmp_path / "in" / level / "m01", scans=1)
    (one,) = converted(tmp_path / "in", tmp_path / "out").series
    assert Path(one.path) == tmp_path / "out" / legal / "m01" / "10001_scan_1"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot make such folders")
def test_two_levels_that_become_one_lose_nothing(tmp_path):
    small_study(tmp_path / "in" / "a:b", scans=1)
    small_study(tmp_path / "in" / "a?b", scans=1)
    report = converted(tmp_path / "in", tmp_path / "out")
    assert len({one.path for one in report.series}) == 2
    assert len(files_below(tmp_path / "out")) == 6


def test_two_series_of_one_description_lie_apart(tmp_path):
    """Scans and reconstructions that share every name."""
    for expno, procno in ((1, 1), (1, 2), (2, 1)):
        make_reco(
            tmp_path / "s",
            expno=expno,
            procno=procno,
            frames=1,
            visu={"VisuAcquisitionProtocol": "same"},
        )
    report = converted(tmp_path / "s", tmp_path / "out")
    assert [Path(one.path).name for one in report.series] == [
        "10001_same",
        "10002_same",
        "20001_same",
    ]


def test_deep_folders(tmp_path):
    deep = tmp_path / "in" / Path(*["level_of_some_length"] * 12)
    small_study(deep, scans=1)
    converted(tmp_path / "in", tmp_path / "out")
    assert len(files_below(tmp_path / "out")) == 3


@pytest.mark.parametrize("inside", [".", "dicom", "1/pdata"])
def test_output_inside_the_input_is_refused(study, inside):
    before = checksums(study)
    with pytest.raises(WrongCallError, match="inside the input"):
        mri2dicom.convert(study, study / inside)
    assert checksums(study) == before


def test_output_that_would_reach_into_the_input_is_refused(tmp_path):
    """`out` holds the input, and the input's own levels lead back into it."""
    small_study(tmp_path / "in" / "in" / "m01", scans=1)
    before = checksums(tmp_path / "in")
    report = mri2dicom.convert(tmp_path / "in", tmp_path)
    assert [one.status for one in report.series] == ["failed"]
    assert "inside the input" in report.series[0].reason
    assert checksums(tmp_path / "in") == before


def test_an_output_that_is_a_file_is_refused(study, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(WrongCallError, match="is a file"):
        mri2dicom.convert(study, tmp_path / "file")


def test_copies_of_a_scan_are_written_once(study, tmp_path):
    shutil.copytree(study / "2", study / "7")
    report = by_scan(converted(study, tmp_path / "out"))
    assert report[7].status == "skipped"
    assert "copy of" in report[7].reason
    assert len(files_below(tmp_path / "out")) == 9


# --- UIDs ------------------------------------------------------------------------------------


def test_uids_of_a_project(tmp_path):
    project = tmp_path / "project"
    for name in ("m01", "m02"):
        small_study(project / name)
    converted(project, tmp_path / "out")
    files = [pydicom.dcmread(path) for path in files_below(tmp_path / "out")]
    assert len(files) == 12
    assert len({ds.SOPInstanceUID for ds in files}) == 12
    assert len({ds.SeriesInstanceUID for ds in files}) == 4
    assert len({ds.StudyInstanceUID for ds in files}) == 2
    frames = {(ds.StudyInstanceUID, ds.FrameOfReferenceUID) for ds in files}
    assert len(frames) == len({frame for _, frame in frames}) == 2
    for ds in files:
        for uid in (ds.SOPInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID):
            assert pydicom.uid.UID(uid).is_valid
            assert uid.startswith("2.25.")
            assert len(uid) <= 64


def test_one_scan_in_two_studies_has_two_identities(tmp_path):
    """Files without a study UID of their own, copied into another study."""
    for name in ("a", "b"):
        make_reco(
            tmp_path / "in" / name,
            version="5.1",
            frames=1,
            visu={"VisuStudyUid": None, "VisuUid": "1.2.3.4"},
            subject={"SUBJECT_study_instance_uid": f"1.2.3.{ord(name)}"},
        )
    report = converted(tmp_path / "in", tmp_path / "out")
    assert report.count("converted") == 2
    files = [pydicom.dcmread(path) for path in files_below(tmp_path / "out")]
    assert len({ds.StudyInstanceUID for ds in files}) == 2
    assert len({ds.SOPInstanceUID for ds in files}) == 2


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


def test_a_folder_that_cannot_be_replaced_stays(study, tmp_path, monkeypatch):
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
        time.sleep(float(random.uniform(0, 0.15)))
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
    assert killed_midway >= 3  # else nothing was tested


# --- memory ----------------------------------------------------------------------------------

PEAK = """
import resource
import sys
import mri2dicom

report = mri2dicom.convert(sys.argv[1], sys.argv[2], enhanced=bool(int(sys.argv[3])))
assert [one.status for one in report.series] == ["converted"], report.series
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory the Linux way")
@pytest.mark.parametrize("enhanced", [False, True])
def test_memory_of_a_long_series(tmp_path, enhanced):
    frames = 20_000
    pixels = np.tile(make_pixels(1, (8, 8), "<i2"), (frames, 1, 1))
    groups = [("FG_SLICE", 20), ("FG_REPETITION", frames // 20)]
    # A slope of its own for each frame is the worst case of an Enhanced object.
    slopes = 1.0 + np.arange(frames) / 7919.0
    make_reco(tmp_path / "in", size=(8, 8), groups=groups, pixels=pixels, slope=slopes)
    command = [sys.executable, "-c", PEAK, tmp_path / "in", tmp_path / "out", str(int(enhanced))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    limit = 300 * 1024 + (12 * frames if enhanced else 0)
    assert int(done.stdout) < limit
    assert len(files_below(tmp_path / "out")) == (1 if enhanced else frames)


def test_memory_does_not_grow_with_the_pixels(tmp_path):
    """128 MiB of pixels pass through in pieces."""
    import tracemalloc

    study = make_reco(tmp_path / "in", frames=64, size=(1024, 1024), pixels=b"").parents[2]
    with (study / "1" / "pdata" / "1" / "2dseq").open("wb") as file:
        file.truncate(64 * 1024 * 1024 * 2)
    for enhanced in (False, True):
        tracemalloc.start()
        try:
            converted(study, tmp_path / str(enhanced), enhanced=enhanced)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 32 * 2**20
