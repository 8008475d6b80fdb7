"""Archives: read like the folder they hold; damaged and hostile ones refused or cleaned."""

import contextlib
import gzip
import io
import os
import stat
import struct
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from builder import make_reco, read_all, read_one

import mri2dicom
from mri2dicom.readers import archive
from xnat_pic.errors import CorruptDataError, NothingUsableError, OutputError


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Make the folder for temporary files, which must be empty again after every test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "data/20240725_m01"
    make_reco(folder, groups=[("FG_SLICE", 3)], method={"Method": "Bruker:FLASH"}, subject={})
    make_reco(folder, expno=2, procno=3)
    (folder / "1/fid").write_bytes(b"raw data that no reader needs")
    return folder


def entries(study, above=True):
    top = study.parent if above else study
    return [
        (p.relative_to(top).as_posix(), p.read_bytes()) for p in study.rglob("*") if p.is_file()
    ]


def make_zip(path, items):
    with zipfile.ZipFile(path, "w") as file:
        for name, data in items:
            info = zipfile.ZipInfo(name) if isinstance(name, str) else name
            file.writestr(info, data, zipfile.ZIP_DEFLATED)
    return path


def make_tar(path, items, mode="w:gz"):
    with tarfile.open(path, mode) as file:
        for name, data in items:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


MAKERS = {
    "study.zip": make_zip,
    "study.ZIP": make_zip,
    "study.PvDatasets": make_zip,
    "study.tar": lambda path, items: make_tar(path, items, "w"),
    "study.tar.gz": make_tar,
    "study.tgz": make_tar,
    "study.tar.bz2": lambda path, items: make_tar(path, items, "w:bz2"),
    "study.tar.xz": lambda path, items: make_tar(path, items, "w:xz"),
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("above", [True, False])
def test_an_archive_reads_like_its_folder(tmp_path, study, name, above):
    path = MAKERS[name](tmp_path / name, entries(study, above))
    found = []
    for series in mri2dicom.read(path):
        found.append((series, np.array(series.pixels.array)))
        assert series.study.name == ("20240725_m01" if above else "study")
    folder = read_all(study)
    assert [(s.expno, s.procno, s.location) for s, _ in found] == [
        (s.expno, s.procno, s.location) for s in folder
    ]
    for (series, pixels), expected in zip(found, folder, strict=True):
        np.testing.assert_array_equal(pixels, expected.pixels.array)
        assert series.attributes == expected.attributes
        assert series.identity == expected.identity
        np.testing.assert_array_equal(series.position_mm, expected.position_mm)


def test_a_study_without_uid_keeps_its_derived_one(tmp_path):
    """The folder for temporary files has another name each time."""
    visu = {name: None for name in ("VisuStudyUid", "VisuSubjectId", "VisuStudyId", "VisuStation")}
    folder = tmp_path / "plain"
    make_reco(folder, visu=visu | {"VisuStudyDate": None})
    path = make_zip(tmp_path / "m01.zip", entries(folder, above=False))
    uids = {series.identity.study_uid for _ in range(2) for series in mri2dicom.read(path)}
    assert len(uids) == 1


def test_only_what_a_reader_needs_is_unpacked(tmp_path, study):
    path = make_zip(tmp_path / "s.zip", entries(study))
    with archive.open_input(path) as folder:
        names = {p.name for p in folder.rglob("*") if p.is_file()}
    assert names == {"2dseq", "visu_pars", "method", "subject"}


def test_the_folder_is_removed_when_reading_stops_early(tmp_path, study, temporary):
    reading = mri2dicom.read(make_zip(tmp_path / "s.zip", entries(study)))
    next(reading)
    assert list(temporary.iterdir())
    reading.close()
    assert list(temporary.iterdir()) == []


TRAVERSAL = [
    "../2dseq",
    "../../../../../../outside/visu_pars",
    "a/../../2dseq",
    "/absolute/2dseq",
    "//server/share/2dseq",
    "C:/windows/2dseq",
    "C:\\windows\\2dseq",
    "..\\..\\2dseq",
    "a\\..\\..\\visu_pars",
    "\\\\server\\share\\method",
    "\\2dseq",
]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_no_name_leaves_the_folder(tmp_path, study, temporary, kind):
    before = {p for p in tmp_path.rglob("*") if temporary not in p.parents}
    items = [(name, b"evil") for name in TRAVERSAL] + entries(study)
    path = (
        make_zip(tmp_path / "s.zip", items)
        if kind == "zip"
        else make_tar(tmp_path / "s.tgz", items)
    )
    with archive.open_input(path) as folder:
        unpacked = [p for p in folder.rglob("*") if p.is_file()]
        assert all(p.read_bytes() != b"evil" for p in unpacked)
        everything = {p for p in temporary.rglob("*") if p.is_file()}
        assert everything == set(unpacked)
        assert len(unpacked) == 6
    after = {p for p in tmp_path.rglob("*") if temporary not in p.parents}
    assert after - before == {path}


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_left_out(tmp_path, study, kind):
    items = []
    for name in ("20240725_m01/9/pdata/1/2dseq", "20240725_m01/9/pdata/1/visu_pars"):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        items.append((info, b""))
    path = make_tar(tmp_path / "s.tar.gz", entries(study) + items)
    with archive.open_input(path) as folder:
        assert not (folder / "20240725_m01/9").exists()
        assert all(stat.S_ISREG(p.lstat().st_mode) for p in folder.rglob("*") if not p.is_dir())


def test_links_in_a_zip_are_left_out(tmp_path, study):
    info = zipfile.ZipInfo("20240725_m01/9/pdata/1/2dseq")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = make_zip(tmp_path / "s.zip", [*entries(study), (info, b"/etc/passwd")])
    with archive.open_input(path) as folder:
        assert not (folder / "20240725_m01/9").exists()


def test_a_linked_folder_in_a_tar_leads_nowhere(tmp_path, study):
    link = tarfile.TarInfo("20240725_m01/out")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
    items = [(link, b""), ("20240725_m01/out/2dseq", b"evil"), *entries(study)]
    with archive.open_input(make_tar(tmp_path / "s.tar", items, "w")) as folder:
        assert (folder / "20240725_m01/out/2dseq").read_bytes() == b"evil"
    assert not (tmp_path / "2dseq").exists()


NAMES = [
    'T2*: "map" <1>?',
    "CON",
    "aux.study",
    "ends in a dot.",
    "ends in a blank ",
    "tab\there",
    "x" * 300,
]


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", NAMES)
def test_names_that_windows_refuses_are_cleaned(tmp_path, study, kind, name):
    items = [(f"{name}/{path}", data) for path, data in entries(study, above=False)]
    path = (
        make_zip(tmp_path / "s.zip", items)
        if kind == "zip"
        else make_tar(tmp_path / "s.tgz", items)
    )
    with archive.open_input(path) as folder:
        (inner,) = folder.iterdir()
        assert not set('<>:"/\\|?*\t') & set(inner.name)
        assert len(inner.name) <= 121
        assert inner.name == inner.name.rstrip(". ")
        assert inner.name.partition(".")[0].upper() not in ("CON", "AUX")
        assert len(read_all(inner)) == 2


@pytest.mark.parametrize("pair", [("a*b", "a?b"), ("y" * 200 + "1", "y" * 200 + "2"), ("S", "s")])
def test_names_that_become_one_when_cleaned_stay_two(tmp_path, study, pair):
    items = [
        (f"{name}/{path}", data) for name in pair for path, data in entries(study, above=False)
    ]
    assert len(read_all(make_zip(tmp_path / "s.zip", items))) == 4


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_that_grows_beyond_the_limit_is_refused(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(archive, "FREE_GROWTH", 0)
    monkeypatch.setattr(archive, "MAX_GROWTH", 100)
    items = [(f"s/{k}/pdata/1/2dseq", bytes(2**22)) for k in range(4)]
    path = (
        make_zip(tmp_path / "s.zip", items)
        if kind == "zip"
        else make_tar(tmp_path / "s.tgz", items)
    )
    with pytest.raises(CorruptDataError, match="grows far beyond its size"):
        read_all(path)


def test_an_archive_of_endless_entries_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_ENTRIES", 50)
    path = make_zip(tmp_path / "s.zip", [(f"{k}/x", b"") for k in range(51)])
    with pytest.raises(CorruptDataError, match="too many entries"):
        read_all(path)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_parameter_file_beyond_the_limit_is_refused(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(archive, "MAX_PARAMETER_BYTES", 1000)
    items = [("s/1/method", bytes(2000))]
    path = (
        make_zip(tmp_path / "s.zip", items)
        if kind == "zip"
        else make_tar(tmp_path / "s.tgz", items)
    )
    with pytest.raises(CorruptDataError, match="method"):
        read_all(path)


def test_a_zip_that_lies_about_sizes_is_refused(tmp_path):
    path = make_zip(tmp_path / "s.zip", [("s/1/pdata/1/2dseq", bytes(100_000))])
    data = path.read_bytes().replace(struct.pack("<L", 100_000), struct.pack("<L", 1000))
    path.write_bytes(data)
    with pytest.raises(CorruptDataError):
        read_all(path)


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "study.ZIP"])
def test_an_archive_cut_anywhere_is_damaged_and_never_half_read(tmp_path, study, name):
    items = entries(study)
    whole = MAKERS[name](tmp_path / name, items).read_bytes()
    path = tmp_path / f"cut_{name}"
    last = len(whole) - (1 if ".zip" in name or "Pv" in name else 11)
    if name == "study.tar":  # its end is two blocks of zeros, and more of them to fill up
        last = len(whole.rstrip(b"\0"))
    for length in [*range(0, last, max(1, len(whole) // 60)), last]:
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptDataError, match="damaged") as caught:
            read_all(path)
        assert caught.value.hint == "Copy it again."


def test_a_tar_cut_between_two_files_is_damaged(tmp_path, study):
    path = make_tar(tmp_path / "s.tar", entries(study), "w")
    with tarfile.open(path) as file:
        boundaries = [member.offset for member in file][1:]
    whole = path.read_bytes()
    for length in boundaries:
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptDataError, match="its end is missing"):
            read_all(path)


@pytest.mark.parametrize("name", MAKERS)
def test_an_archive_with_a_changed_byte_gives_series_or_a_sentence(tmp_path, study, name):
    path = MAKERS[name](tmp_path / name, entries(study))
    whole = bytearray(path.read_bytes())
    random = np.random.default_rng(5)
    for place in random.integers(0, len(whole), 60):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(random.integers(8))
        path.write_bytes(changed)
        with contextlib.suppress(CorruptDataError, NothingUsableError):
            assert len(read_all(path)) <= 3


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04", b"\x1f\x8b\x08", bytes(1024)])
def test_what_is_no_archive(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises((CorruptDataError, NothingUsableError)) as caught:
        read_all(path)
    assert str(path.name) in caught.value.message or "No scanner data" in caught.value.message


def test_damage_inside_a_gzip_is_not_a_lack_of_space(tmp_path, study):
    path = make_tar(tmp_path / "s.tar.gz", entries(study))
    data = bytearray(path.read_bytes())
    data[-8:-4] = b"\0\0\0\0"  # the checksum
    path.write_bytes(data)
    with pytest.raises(CorruptDataError, match="damaged"):
        read_all(path)


def encrypted(path, items):
    """Set the flag of encryption in every header: without a password no one reads further."""
    data = bytearray(make_zip(path, items).read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(mark, at + 4)
    path.write_bytes(data)
    return path


def test_an_encrypted_zip(tmp_path, study):
    path = encrypted(tmp_path / "s.zip", entries(study))
    with pytest.raises(CorruptDataError, match="encrypted") as caught:
        read_all(path)
    assert caught.value.hint == "Unpack it first."


def test_a_file_with_the_name_of_a_folder(tmp_path, study):
    items = [("s/2dseq", b"x"), ("s/2dseq/2dseq", b"y"), ("s/visu_pars", b"z")]
    with pytest.raises(CorruptDataError, match="damaged"):
        read_all(make_zip(tmp_path / "s.zip", items))


def test_the_first_of_two_entries_of_one_name_counts(tmp_path, study):
    items = entries(study)
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = make_zip(tmp_path / "s.zip", [*items, *((name, b"other") for name, _ in items)])
    assert [series.expno for series in read_all(path)] == [1, 2]


def test_an_archive_without_scanner_data(tmp_path):
    path = make_zip(tmp_path / "s.zip", [("notes.txt", b"nothing"), ("a/b.dcm", b"nothing")])
    with pytest.raises(NothingUsableError, match="No scanner data"):
        read_all(path)


def test_no_room_to_unpack(tmp_path, study, monkeypatch):
    path = make_zip(tmp_path / "s.zip", entries(study))
    real_open = Path.open

    def full(self, mode="r", *args, **kwargs):
        if self.name == "2dseq" and "w" in mode:
            raise OSError(28, "No space left on device")
        return real_open(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OutputError, match="No space left"):
        read_all(path)


def test_a_gzip_that_is_no_tar(tmp_path):
    path = tmp_path / "s.tar.gz"
    path.write_bytes(gzip.compress(b"just text, long enough to be read as a header" * 30))
    with pytest.raises(CorruptDataError, match="damaged"):
        read_all(path)


def test_reading_below_the_current_folder(study, monkeypatch):
    """The names of the folders above are needed, and "." does not tell them."""
    monkeypatch.chdir(study / "2/pdata/3")
    series = read_one(Path())
    assert (series.expno, series.procno, series.study.name) == (2, 3, study.name)
    monkeypatch.chdir(study / "1")
    series = read_one(Path())
    assert (series.expno, series.study.name) == (1, study.name)
    assert series.attributes["SequenceName"] == "Bruker:FLASH"
    monkeypatch.chdir(study)
    assert [one.location for one in read_all(Path(os.curdir))] == ["1/pdata/1", "2/pdata/3"]
