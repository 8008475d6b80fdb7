"""Folders of DICOM become sessions, whatever is wrong with the files."""

import shutil
import warnings

import pydicom
import pytest
from pydicom.uid import JPEGBaseline8Bit
from small_dicom import CT, MR, PET, SC, SEG, US, dataset, write, write_series

from uploader.findings import Level
from uploader.scanning.folder_scan import FILE_CODES, scan_folder
from uploader.scanning.headers import FileStatus, read_header, read_headers
from uploader.scanning.side_files import side_resources
from xnat_config import load_config
from xnat_pic.errors import CancelledError, WrongCallError

CONFIG = load_config(environ={"XNAT_PIC_HOME": "nowhere"})


def scan(folder, **options):
    return scan_folder(folder, CONFIG, jobs=1, **options)


def codes(session):
    return {finding.code: finding for finding in session.findings}


def test_header_holds_what_the_file_says(tmp_path):
    path = write(tmp_path / "a.dcm", study="7", series="3", instance=5)
    header = read_header(path)
    with pydicom.dcmread(path) as ds:
        assert header.status is FileStatus.DICOM
        assert header.sop_instance_uid == ds.SOPInstanceUID
        assert header.study_uid == ds.StudyInstanceUID
        assert header.series_uid == ds.SeriesInstanceUID
        assert (header.series_number, header.instance_number) == (3, 5)
    assert header.size == path.stat().st_size
    assert header.mtime_ns == path.stat().st_mtime_ns


def test_header_decodes_names_in_their_character_set(tmp_path):
    path = tmp_path / "a.dcm"
    ds = dataset(PatientID="Мышь 1", SeriesDescription="Größe")
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.save_as(path, enforce_file_format=True)
    header = read_header(path)
    assert (header.patient_id, header.series_description) == ("Мышь 1", "Größe")


def test_header_without_the_dicom_mark(tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(write(tmp_path / "b.dcm").read_bytes()[132:])
    assert read_header(path).status is FileStatus.DICOM


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"\0" * 200, b"\x08\0\x05\0" + b"\xff" * 300, b"\x02\0\0\0UL\x04\0" + b"z" * 500],
)
def test_what_is_no_dicom_is_another_file(tmp_path, content):
    path = tmp_path / "a"
    path.write_bytes(content)
    assert read_header(path).status is FileStatus.OTHER


@pytest.mark.parametrize("sop", [MR, SC])
def test_a_file_cut_at_any_byte_is_never_taken_for_whole(tmp_path, sop):
    whole = write(tmp_path / "whole.dcm", sop=sop).read_bytes()
    cut = tmp_path / "cut" / "a.dcm"
    cut.parent.mkdir()
    for length in range(132, len(whole), 23):
        cut.write_bytes(whole[:length])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = scan(cut.parent)
        assert found.sessions == (), length
        assert found.damaged == 1, length
        assert [f.code for f in found.findings] == ["damaged"], length


@pytest.mark.parametrize(
    ("end", "damaged"),
    [("88.11", 0), ("88.22", 0), ("481.2", 0), ("4.2", 0), ("30", 1), ("6.2", 1), ("4.3", 1)],
)
def test_only_images_must_have_pixels(tmp_path, end, damaged):
    """Reports, dose histograms and spectra have none, whatever resource the server has for them."""
    write(tmp_path / "a.dcm", sop=f"1.2.840.10008.5.1.4.1.1.{end}", pixels=False, Modality="MR")
    found = scan(tmp_path)
    assert (found.damaged, len(found.sessions)) == (damaged, 1 - damaged)


def test_compressed_pixels_that_are_cut_are_seen(tmp_path):
    ds = dataset()
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8" + bytes(500), b"\xff\xd8" + bytes(99)])
    ds["PixelData"].is_undefined_length = True
    path = tmp_path / "a.dcm"
    ds.save_as(path, enforce_file_format=True)
    assert read_header(path).status is FileStatus.DICOM
    whole = path.read_bytes()
    for length in (len(whole) - 1, len(whole) - 9, len(whole) - 200, len(whole) - 600):
        path.write_bytes(whole[:length])
        header = read_header(path)
        assert header.status is FileStatus.DAMAGED, length
        assert "cut off" in header.problem


@pytest.mark.parametrize("size", [30_000, 40_000, 90_000])
def test_a_long_header_is_read_to_its_end(tmp_path, size):
    path = write(tmp_path / "a.dcm", instance=4)
    ds = pydicom.dcmread(path)
    ds.add_new(0x00189999, "UT", "y" * size)
    ds.save_as(path)
    assert path.stat().st_size > size
    header = read_header(path)
    assert (header.status, header.instance_number, header.has_pixels) == (FileStatus.DICOM, 4, True)
    path.write_bytes(path.read_bytes()[:-5])
    assert "5 bytes" in read_header(path).problem


def test_workers_read_the_same_as_one_process(tmp_path):
    paths = write_series(tmp_path, 300)
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    paths.append(tmp_path / "notes.txt")
    described = []
    many = read_headers(paths, jobs=2, on_read=lambda *done: described.append(done))
    assert many == read_headers(paths, jobs=1)
    assert described == [(256, 301), (301, 301)]


def test_sessions_by_study_and_modality(tmp_path):
    write_series(tmp_path / "pet", study="1", series="1", sop=PET)
    write_series(tmp_path / "ct", study="1", series="2", sop=CT)
    write_series(tmp_path / "us", study="2", series="1", sop=US, StudyDate="20240108")
    write_series(tmp_path / "mr", study="3", series="1", sop=MR, StudyDate="20240110")
    late = {"study": "3", "StudyDate": "20240110"}
    write(tmp_path / "seg.dcm", series="9", sop=SEG, pixels=False, **late)
    write(tmp_path / "sc.dcm", series="8", sop=SC, **late)
    write(tmp_path / "ivis.dcm", study="4", sop=SC, StudyDate="20240111")
    sessions = scan(tmp_path).sessions
    assert [(s.modality, len(s.series), s.files) for s in sessions] == [
        ("US", 1, 3), ("CT", 1, 3), ("PET", 1, 3), ("MR", 3, 5), ("OT", 1, 1),
    ]  # fmt: skip
    assert sessions[1].key == "2.25.1/CT"
    assert "study-has-more" in codes(sessions[1])
    assert [one.number for one in sessions[3].series] == [1, 8, 9]


def test_corrupt_file_makes_its_session_an_error_and_keeps_the_others(tmp_path):
    write_series(tmp_path / "a" / "1")
    write_series(tmp_path / "b" / "1", study="2")
    bad = tmp_path / "a" / "1" / "0002.dcm"
    bad.write_bytes(bad.read_bytes()[:-20])
    one, other = scan(tmp_path).sessions
    assert codes(one)["damaged"].level is Level.ERROR
    assert "a/1/0002.dcm" in codes(one)["damaged"].message
    assert "20 bytes" in codes(one)["damaged"].message
    assert other.findings == ()
    assert one.files == 2


def test_damage_in_a_folder_of_its_own_is_told_to_the_session_around(tmp_path):
    write_series(tmp_path / "a" / "1")
    write_series(tmp_path / "b" / "1", study="2")
    bad = write(tmp_path / "a" / "2" / "0001.dcm", series="2")
    bad.write_bytes(bad.read_bytes()[:-20])
    one, other = scan(tmp_path).sessions
    assert "damaged" in codes(one)
    assert other.findings == ()


def test_two_studies_in_one_folder(tmp_path):
    for k in (1, 2, 3):
        write(tmp_path / f"a{k}.dcm", study="1", instance=k)
        write(tmp_path / f"b{k}.dcm", study="2", instance=k)
    sessions = scan(tmp_path).sessions
    assert [(s.study_uid, s.files) for s in sessions] == [("2.25.1", 3), ("2.25.2", 3)]


def test_one_study_in_two_folders_is_one_session(tmp_path):
    write_series(tmp_path / "x" / "part1", series="1")
    write_series(tmp_path / "x" / "part2", series="2")
    (session,) = scan(tmp_path).sessions
    assert (session.files, session.source) == (6, tmp_path / "x")


def test_copies_are_sent_once_and_different_content_is_an_error(tmp_path):
    write_series(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    (session,) = scan(tmp_path).sessions
    assert session.files == 3
    assert codes(session)["duplicate-instance"].level is Level.NOTE
    other = dataset(instance=2)
    other.PixelData = b"\x09" * 128
    other.save_as(tmp_path / "copy" / "0002.dcm", enforce_file_format=True)
    (session,) = scan(tmp_path).sessions
    assert session.files == 3
    assert codes(session)["duplicate-differs"].level is Level.ERROR
    assert "copy/0002.dcm" in codes(session)["duplicate-differs"].message


def test_one_instance_in_two_studies(tmp_path):
    write(tmp_path / "a.dcm", study="1", SOPInstanceUID="2.25.99")
    write(tmp_path / "b.dcm", study="2", SOPInstanceUID="2.25.99")
    for session in scan(tmp_path).sessions:
        assert "instance-in-two-studies" in codes(session)


def test_missing_and_repeated_series_numbers(tmp_path):
    write_series(tmp_path / "1", series="1", SeriesNumber=None)
    write_series(tmp_path / "2", series="2", SeriesNumber=5)
    write_series(tmp_path / "3", series="3", SeriesNumber=5)
    (session,) = scan(tmp_path).sessions
    assert [one.number for one in session.series] == [5, 5, None]
    assert "1 series has no Series Number" in codes(session)["no-series-number"].message
    assert "number 5" in codes(session)["same-series-number"].message


def test_unknown_sop_class_is_planned_and_told(tmp_path):
    write_series(tmp_path, sop="1.2.826.0.1.3680043.2.1125.1", Modality="MR")
    (session,) = scan(tmp_path).sessions
    assert (session.modality, session.files) == ("MR", 3)
    assert codes(session)["unknown-sop-class"].level is Level.WARNING


@pytest.mark.parametrize("name", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_without_its_uids_a_file_is_damaged(tmp_path, name):
    path = tmp_path / "a.dcm"
    ds = dataset()
    setattr(ds, name, "")
    ds.save_as(path, enforce_file_format=True)
    header = read_header(path)
    assert header.status is FileStatus.DAMAGED
    assert header.problem.startswith("it has no")


def test_a_file_that_cannot_be_opened_is_unreadable(tmp_path):
    write_series(tmp_path / "a")
    gone = tmp_path / "a" / "0009.dcm"
    try:
        gone.symlink_to(tmp_path / "nowhere")
    except OSError:
        pytest.skip("this system makes no links")
    (session,) = scan(tmp_path).sessions
    assert codes(session)["unreadable"].level is Level.ERROR
    assert "a/0009.dcm" in codes(session)["unreadable"].message


def test_links_in_a_circle_end(tmp_path):
    write_series(tmp_path / "a" / "b")
    try:
        (tmp_path / "a" / "b" / "up").symlink_to(tmp_path, target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    (session,) = scan(tmp_path).sessions
    assert session.files == 3


def test_empty_folders_are_named_once(tmp_path):
    write_series(tmp_path / "a")
    for name in "pqrst":
        (tmp_path / "empty" / name).mkdir(parents=True)
    found = scan(tmp_path)
    (finding,) = found.findings
    assert finding.code == "empty-folder"
    assert "6 folders are empty" in finding.message


def test_odd_and_long_names(tmp_path):
    name = "Mäuse & 'co' ; ünï 日本 " + "x" * 150
    write_series(tmp_path / name / "se ries#1", PatientID="p" * 64)
    (session,) = scan(tmp_path).sessions
    assert (session.source.parent.name, session.files) == (name, 3)


def test_side_files_go_to_the_nearest_session(tmp_path):
    write_series(tmp_path / "m1" / "study" / "1")
    write_series(tmp_path / "m2" / "study" / "1", study="2")
    places = {
        "m1/report.pdf": "DOCUMENTS",
        "m1/study/notes.txt": "NOTES",
        "m1/study/1/odd.xyz": "FILES",
        "m1/raw/subject": "RAW",
        "m1/raw/3/fid": "RAW",
        "m1/raw/3/pdata/1/readme.txt": "RAW",
    }
    for name in [*places, "m1/.DS_Store", "Thumbs.db", "both.pdf"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"text")
    found = scan(tmp_path)
    one, other = found.sessions
    sent = {
        side.path.relative_to(tmp_path).as_posix(): side
        for side in side_resources(one, CONFIG.resources)
    }
    assert {name: side.resource for name, side in sent.items()} == places
    assert len({(side.resource, side.name) for side in sent.values()}) == len(places)
    assert other.side_files == ()
    (finding,) = found.findings
    assert finding.code == "shared-side-file"
    assert "both.pdf" in finding.message


def test_dicom_in_scanner_data_is_not_imported_and_told(tmp_path):
    write_series(tmp_path / "dcm")
    write_series(tmp_path / "raw" / "pdata" / "1" / "dicom", study="5")
    (tmp_path / "raw" / "subject").write_bytes(b"##TITLE=")
    found = scan(tmp_path)
    assert [s.study_uid for s in found.sessions] == ["2.25.1"]
    assert "dicom-in-raw" in {f.code for f in found.findings}


def test_the_plan_itself_is_no_data(tmp_path):
    write_series(tmp_path / "a")
    plan = tmp_path / "plan.csv"
    plan.write_text("x", encoding="utf-8")
    (session,) = scan(tmp_path).sessions
    assert session.side_files == (plan,)
    (session,) = scan(tmp_path, leave_out=[plan]).sessions
    assert session.side_files == ()


def test_no_folder_is_a_wrong_call(tmp_path):
    with pytest.raises(WrongCallError, match="is not there"):
        scan(tmp_path / "x")
    with pytest.raises(WrongCallError, match="is a file"):
        scan(write(tmp_path / "a.dcm"))


def test_a_scan_can_be_stopped(tmp_path):
    write_series(tmp_path)
    with pytest.raises(CancelledError):
        scan(tmp_path, cancelled=lambda: True)


def test_findings_of_files_are_declared(tmp_path):
    write_series(tmp_path / "a", PatientID="m01")
    write(tmp_path / "a" / "x.dcm", instance=9, PatientID="", SeriesNumber=None)
    (tmp_path / "a" / "bad.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"zz")
    (tmp_path / "e").mkdir()
    found = scan(tmp_path)
    said = {f.code for s in found.sessions for f in s.findings} | {f.code for f in found.findings}
    assert {"patients-differ", "damaged", "empty-folder"} <= said
    assert said <= FILE_CODES


def test_a_mistake_of_ours_is_not_called_damage(tmp_path, monkeypatch):
    def wrong(_item):
        raise TypeError("of ours")

    write_series(tmp_path / "a", 1)
    monkeypatch.setattr("uploader.scanning.headers._bytes", wrong)
    with pytest.raises(TypeError, match="of ours"):
        read_header(tmp_path / "a" / "0001.dcm")


@pytest.mark.parametrize("charset", ["ISO_IR 999", "rubbish"])
def test_an_unknown_character_set_is_no_end_of_the_scan(tmp_path, charset):
    write_series(tmp_path / "a", 1)
    path = tmp_path / "a" / "0001.dcm"
    ds = pydicom.dcmread(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds.SpecificCharacterSet = charset
        ds.save_as(path)
        (found,) = read_headers([path])
    assert found.status in (FileStatus.DICOM, FileStatus.DAMAGED)
