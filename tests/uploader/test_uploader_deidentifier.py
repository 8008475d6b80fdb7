"""People and places go, the animal's id and the numbers stay."""

import io
import re
from importlib import resources

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from small_dicom import dataset

from uploader import deidentification
from uploader.deidentification.deidentifier import Deidentifier, load_profile
from xnat_pic.errors import CorruptDataError

SECRET = "Anna Neumann"


@pytest.fixture
def path(tmp_path):
    ds = dataset()
    ds.InstitutionName = ds.StationName = ds.OperatorsName = SECRET
    ds.ImageComments = ds.PatientComments = f"Project:X {SECRET}"
    ds.ReferringPhysicianName = SECRET
    ds.ResponsiblePerson = SECRET
    ds.StudyDescription = "T2 of tumours"
    ds.FrameOfReferenceUID = "2.25.55"
    item = Dataset()
    item.ReferencedSOPClassUID = ds.SOPClassUID
    item.ReferencedSOPInstanceUID = "2.25.1.1.2"
    item.InstitutionName = SECRET
    item.OperatorsName = SECRET
    ds.ReferencedImageSequence = Sequence([item])
    cest = ds.private_block(0x1061, "XNAT-PIC CEST", create=True)
    cest.add_new(0x01, "DS", "2.5")
    cest.add_new(0x20, "LO", SECRET)
    other = ds.private_block(0x0019, "VENDOR", create=True)
    other.add_new(0x01, "LO", SECRET)
    path = tmp_path / "a.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


def changed(path, **options):
    content = Deidentifier(**options).content(path)
    return content, pydicom.dcmread(io.BytesIO(content))


def test_no_person_is_left_and_the_rest_is(path):
    before = path.read_bytes()
    assert SECRET.encode() in before
    content, ds = changed(path)
    assert SECRET.encode() not in content
    assert path.read_bytes() == before
    assert (ds.PatientID, str(ds.PatientName), ds.StudyDate) == ("m01", "m01", "20240109")
    assert ds.StudyDescription == "T2 of tumours"
    assert "InstitutionName" not in ds
    assert ds.ReferringPhysicianName == ""
    assert ds[0x1061, 0x1001].value == 2.5
    assert ds.private_creators(0x0019) == []
    assert ds.PixelData == dataset().PixelData
    assert ds.PatientIdentityRemoved == "NO"


def test_uids_are_kept_or_mapped_together(path):
    _, kept = changed(path)
    assert kept.SOPInstanceUID == "2.25.1.1.1"
    assert kept.FrameOfReferenceUID == "2.25.55"
    options = {"key": b"P1"}
    mapper = Deidentifier(**options)
    content, ds = changed(path, **options)
    assert ds.SOPInstanceUID == ds.file_meta.MediaStorageSOPInstanceUID
    assert ds.SOPInstanceUID == mapper.uid("2.25.1.1.1")
    assert ds.StudyInstanceUID == mapper.uid("2.25.1")
    assert ds.ReferencedImageSequence[0].ReferencedSOPInstanceUID == mapper.uid("2.25.1.1.2")
    assert ds.SOPClassUID == dataset().SOPClassUID
    assert content == Deidentifier(**options).content(path)  # the same in every run
    assert b"2.25.1.1.1\0" not in content
    assert Deidentifier(key=b"P2").uid("2.25.1") != mapper.uid("2.25.1")


def test_mapped_uids_are_valid_and_standard_ones_stay():
    mapper = Deidentifier(key=b"k")
    mapped = {mapper.uid(f"2.25.{k}") for k in range(500)}
    assert len(mapped) == 500
    assert all(pydicom.uid.UID(uid).is_valid and len(uid) <= 64 for uid in mapped)
    assert mapper.uid("1.2.840.10008.1.4.1.1") == "1.2.840.10008.1.4.1.1"
    assert mapper.uid("") == ""


def test_a_damaged_file_is_a_data_error(tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(b"no DICOM")
    with pytest.raises(CorruptDataError, match="cannot be read"):
        Deidentifier().content(path)


def test_a_damaged_value_is_a_data_error(path, monkeypatch):
    ds = pydicom.dcmread(path)
    ds.AcquisitionDuration = 12.25
    ds.save_as(path)
    whole, half = (b"FD" + bytes([n, 0]) for n in (8, 4))
    content = path.read_bytes()
    start = content.index(whole) + len(whole)
    path.write_bytes(content[: start - 4] + half + content[start + 4 :])
    monkeypatch.setattr(Deidentifier, "apply", lambda _, ds: ds.AcquisitionDuration)
    with pytest.raises(CorruptDataError, match="cannot be read"):
        Deidentifier().content(path)


@pytest.mark.parametrize("mistake", [ValueError, AttributeError, TypeError])
def test_a_mistake_of_ours_is_not_called_damage(path, monkeypatch, mistake):
    def wrong(*_):
        raise mistake("of ours")

    monkeypatch.setattr(Deidentifier, "apply", wrong)
    with pytest.raises(mistake, match="of ours"):
        Deidentifier().content(path)


def test_the_table_is_sound():
    profile = load_profile()
    text = (resources.files(deidentification) / "profile.toml").read_text(encoding="utf-8")
    keywords = re.findall(r'^keyword = "(\w+)"', text, re.MULTILINE)
    assert len(keywords) == len(profile.rules)
    for rule in profile.rules.values():
        assert rule.action in tuple("XZDUK")
        assert rule.source
        assert (rule.action == "D") == bool(rule.value)
    uids = {tag for tag, rule in profile.rules.items() if rule.action == "U"}
    assert all(pydicom.datadict.dictionary_VR(tag) == "UI" for tag in uids)
