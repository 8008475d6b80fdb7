"""Which files a conversion writes: where, under which names and UIDs, and with how much memory."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from builder import make_pixels, make_reco
from cases import by_scan, checksums, converted, files_below, small_study

import mri2dicom
from mri2dicom.conversion.run import default_output
from xnat_pic.errors import WrongCallError


@pytest.fixture
def study(tmp_path):
    return small_study(tmp_path / "study", scans=3)


# --- names and places ------------------------------------------------------------------------


def test_the_function_is_not_hidden_by_a_module():
    """Loading any module of the package leaves `mri2dicom.convert` the function it is."""
    code = (
        "import pkgutil, importlib, mri2dicom\n"
        "for found in pkgutil.walk_packages(mri2dicom.__path__, 'mri2dicom.'):\n"
        "    importlib.import_module(found.name)\n"
        "for name in mri2dicom.__all__:\n"
        "    value = getattr(mri2dicom, name)\n"
        "    constant = name in ('SUBJECT_POSITIONS', '__version__')\n"
        "    assert callable(value) or constant and isinstance(value, (tuple, str)), name\n"
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


# --- memory ----------------------------------------------------------------------------------

PEAK = """
import re
import sys
from pathlib import Path
import mri2dicom

report = mri2dicom.convert(sys.argv[1], sys.argv[2], enhanced=bool(int(sys.argv[3])))
assert [one.status for one in report.series] == ["converted"], report.series
# Not ru_maxrss, which a new process takes over from the one that started it.
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
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
