"""A DICOM file that breaks off is noticed wherever it does; a whole one never is taken for it."""

import io

import pydicom
import pytest

from pipelines.regions.complete import check_complete
from xnat_pic.errors import CorruptDataError


def test_every_whole_file_of_the_shared_regions_passes(shared_data):
    files = [p for p in (shared_data / "roi").rglob("*") if p.is_file()]
    whole = [p for p in files if p.read_bytes()[128:132] == b"DICM"]
    assert len(whole) > 100
    for file in whole:
        check_complete(file)


@pytest.mark.parametrize("kind", ["RTSTRUCT", "SEG", "image"])
def test_a_file_cut_anywhere_is_damaged(shared_data, tmp_path, kind):
    source = min((shared_data / "roi" / "synthetic" / "axial" / kind).iterdir())
    data = source.read_bytes()
    cut = tmp_path / "cut.dcm"
    for length in {*range(140, len(data), max(len(data) // 150, 1)), len(data) - 1}:
        cut.write_bytes(data[:length])
        # Between two elements of the top level nothing tells a cut file from a whole one.
        if not _ends_between_elements(data, length):
            with pytest.raises(CorruptDataError, match=r"cut\.dcm"):
                check_complete(cut)


def _ends_between_elements(data, length):
    ds = pydicom.dcmread(io.BytesIO(data))
    starts = {e.file_tell - (12 if e.VR in ("OB", "OW", "SQ", "UT", "UN", "UC") else 8) for e in ds}
    return length in starts


@pytest.mark.parametrize(("deep", "refused"), [(60, False), (61, True)])
def test_sequences_may_lie_60_deep_in_each_other(tmp_path, deep, refused):
    inner = pydicom.Dataset()
    for _ in range(deep):
        outer = pydicom.Dataset()
        inner.is_undefined_length_sequence_item = True
        outer.ContentSequence = [inner]
        outer["ContentSequence"].is_undefined_length = True
        inner = outer
    inner.file_meta = pydicom.dataset.FileMetaDataset()
    inner.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    path = tmp_path / "deep.dcm"
    inner.preamble = bytes(128)
    inner.save_as(path, enforce_file_format=False)
    if refused:
        with pytest.raises(CorruptDataError, match=r"deep\.dcm"):
            check_complete(path)
    else:
        check_complete(path)
