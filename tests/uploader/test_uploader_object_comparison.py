"""Two copies of an object compare by what they hold, however they are packed and named."""

from copy import deepcopy

import numpy as np
import pytest
from compressed import LOSSLESS, LOSSY, colour, grey, write_as
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    RLELossless,
)
from small_dicom import SC, SEG, dataset

from uploader.verification.object_comparison import ContentResult, compare_objects, read_sop_uid
from xnat_pic.errors import CorruptDataError

PIXELS, CONTENT = ContentResult.PIXELS, ContentResult.CONTENT
UNDECIDED, DIFFERENT = ContentResult.UNDECIDED, ContentResult.DIFFERENT
SR = "1.2.840.10008.5.1.4.1.1.88.33"
PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"


def rewritten(ds):
    """Return a copy with the headers of a default site script."""
    copy = deepcopy(ds)
    copy.StudyDescription, copy.PatientName, copy.PatientID = "P1", "m01", "m01_pre_MR"
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = "1", "XNAT"
    copy.DeidentificationMethodCodeSequence = Sequence([item])
    return copy


def plain(ds, path):
    return write_as(ds, path, ExplicitVRLittleEndian)


def unpacked(path, target):
    """Write a file as a server that decompresses does."""
    ds = dcmread(path)
    if ds.file_meta.TransferSyntaxUID.is_compressed:
        ds.decompress(generate_instance_uid=False)
    return plain(rewritten(ds), target)


def with_pixel(path, target, place, value):
    """Write a copy of which one stored value is another one."""
    ds = dcmread(path)
    values = np.frombuffer(ds.PixelData, "<u2" if ds.BitsAllocated == 16 else "u1").copy()
    values[place] = value
    ds.PixelData = values.tobytes()
    return plain(ds, target)


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda one: one.name)
@pytest.mark.parametrize("signed", [False, True])
def test_pixels_are_equal_however_they_are_packed(tmp_path, syntax, signed):
    ds = grey(frames=1, signed=signed)
    ours = write_as(ds, tmp_path / "ours.dcm", syntax)
    theirs = plain(rewritten(ds), tmp_path / "theirs.dcm")
    found = compare_objects(ours, theirs)
    assert (found.result, found.reason) == (PIXELS, "")
    assert {"PatientID", "StudyDescription"} <= found.rewritten


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda one: one.name)
def test_one_wrong_pixel_is_found_however_it_is_packed(tmp_path, syntax):
    ds = grey()
    ours = write_as(ds, tmp_path / "ours.dcm", syntax)
    theirs = plain(rewritten(ds), tmp_path / "theirs.dcm")
    value = int(ds.pixel_array[23, 23]) ^ 1
    wrong = with_pixel(theirs, tmp_path / "wrong.dcm", -1, value)
    found = compare_objects(ours, wrong)
    assert (found.result, found.reason) == (DIFFERENT, "other pixels")


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda one: one.name)
def test_wrong_frame_is_named(tmp_path, syntax):
    ds = grey(frames=5)
    ours = write_as(ds, tmp_path / "ours.dcm", syntax)
    theirs = plain(rewritten(ds), tmp_path / "theirs.dcm")
    assert compare_objects(ours, theirs).result is PIXELS
    wrong = with_pixel(theirs, tmp_path / "wrong.dcm", 3 * 576, 4095 - int(ds.pixel_array[3, 0, 0]))
    assert compare_objects(ours, wrong).reason == "other pixels in frame 4"


@pytest.mark.parametrize("syntax", LOSSY, ids=lambda one: one.name)
@pytest.mark.parametrize("make", [colour, lambda: grey(bits=8)], ids=["colour", "grey"])
def test_lossy_pixels_are_equal_where_both_were_decoded_alike(tmp_path, syntax, make):
    ours = write_as(make(), tmp_path / "ours.dcm", syntax)
    assert compare_objects(ours, unpacked(ours, tmp_path / "theirs.dcm")).result is PIXELS


def test_lossy_pixels_decoded_otherwise_are_counted_and_planted_ones_found(tmp_path):
    ours = write_as(grey(bits=8), tmp_path / "ours.dcm", JPEGBaseline8Bit)
    theirs = unpacked(ours, tmp_path / "theirs.dcm")
    value = dcmread(theirs).pixel_array[5, 5]
    near = with_pixel(theirs, tmp_path / "near.dcm", 5 * 24 + 5, value + (1 if value < 255 else -1))
    found = compare_objects(ours, near)
    assert found.result is UNDECIDED
    assert "is decoded otherwise there, by up to 1" in found.reason
    far = with_pixel(theirs, tmp_path / "far.dcm", 5 * 24 + 5, value ^ 0x80)
    assert compare_objects(ours, far).result is DIFFERENT


@pytest.mark.parametrize(("by", "result"), [(4, UNDECIDED), (5, DIFFERENT)])
def test_decoders_may_differ_by_four_and_no_more(tmp_path, by, result):
    ours = write_as(grey(bits=8), tmp_path / "ours.dcm", JPEGBaseline8Bit)
    theirs = unpacked(ours, tmp_path / "theirs.dcm")
    value = int(dcmread(theirs).pixel_array[5, 5])
    other = value + by if value < 128 else value - by
    moved = with_pixel(theirs, tmp_path / "moved.dcm", 5 * 24 + 5, other)
    assert compare_objects(ours, moved).result is result


def test_order_of_colours_and_padding_are_no_difference(tmp_path):
    ds = colour(size=15)  # an odd number of bytes
    ours = plain(ds, tmp_path / "ours.dcm")
    other = rewritten(ds)
    pixels = np.frombuffer(ds.PixelData, np.uint8).reshape(15, 15, 3)
    other.PlanarConfiguration = 1
    other.PixelData = pixels.transpose(2, 0, 1).tobytes() + b"\0"
    assert compare_objects(ours, plain(other, tmp_path / "theirs.dcm")).result is PIXELS


def test_syntax_without_a_decoder_is_undecided_unless_the_bytes_are_equal(tmp_path):
    ds = write_as(grey(bits=8), tmp_path / "jpeg.dcm", JPEGBaseline8Bit)
    packed = dcmread(ds)
    packed.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    packed.BitsStored, packed.BitsAllocated, packed.HighBit = 12, 16, 11
    packed.save_as(tmp_path / "ours.dcm")
    rewritten(packed).save_as(tmp_path / "same.dcm")
    assert compare_objects(tmp_path / "ours.dcm", tmp_path / "same.dcm").result is PIXELS
    other = rewritten(packed)
    content = bytearray(other.PixelData)
    content[-20] ^= 1
    other.PixelData = bytes(content)
    other.save_as(tmp_path / "other.dcm")
    found = compare_objects(tmp_path / "ours.dcm", tmp_path / "other.dcm")
    assert (found.result, "no decoder here reads" in found.reason) == (UNDECIDED, True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"RescaleSlope": 2}, "other values of RescaleSlope"),
        ({"PixelRepresentation": 1}, "other values of PixelRepresentation"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "other values of PhotometricInterpretation"),
        ({"Rows": 12}, "other values of Rows"),
    ],
)
def test_what_says_how_pixels_are_read_is_part_of_them(tmp_path, change, reason):
    ours = plain(grey(RescaleSlope=1, RescaleIntercept=0), tmp_path / "ours.dcm")
    other = rewritten(dcmread(ours))
    for name, value in change.items():
        setattr(other, name, value)
    found = compare_objects(ours, plain(other, tmp_path / "theirs.dcm"))
    assert (found.result, found.reason) == (DIFFERENT, reason)


def test_bits_of_a_segmentation_and_float_pixels_compare(tmp_path):
    seg = dataset(sop=SEG, BitsAllocated=1, BitsStored=1, HighBit=0, NumberOfFrames=3)
    seg.PixelData = np.packbits(np.arange(192) % 3 == 0, bitorder="little").tobytes()
    ours = plain(seg, tmp_path / "seg.dcm")
    assert compare_objects(ours, plain(rewritten(seg), tmp_path / "b.dcm")).result is PIXELS
    other = rewritten(seg)
    other.PixelData = bytes([seg.PixelData[0] ^ 2]) + seg.PixelData[1:]
    assert (
        compare_objects(ours, plain(other, tmp_path / "c.dcm")).reason == "other pixels in frame 1"
    )

    values = np.linspace(0, 1, 64, dtype=np.float32)
    values[3] = np.nan
    pm = dataset(sop=PARAMETRIC_MAP, pixels=False, Rows=8, Columns=8, BitsAllocated=32)
    pm.SamplesPerPixel, pm.PhotometricInterpretation = 1, "MONOCHROME2"
    pm.FloatPixelData = values.tobytes()
    ours = plain(pm, tmp_path / "pm.dcm")
    assert compare_objects(ours, plain(rewritten(pm), tmp_path / "d.dcm")).result is PIXELS
    other = rewritten(pm)
    other.FloatPixelData = np.nextafter(values, 2).tobytes()
    assert compare_objects(ours, plain(other, tmp_path / "e.dcm")).reason == "other pixels"


def test_object_without_pixels_compares_by_its_content(tmp_path):
    item = Dataset()
    item.ValueType, item.TextValue = "TEXT", "T2 is 40 ms"
    sr = dataset(sop=SR, pixels=False, ContentSequence=Sequence([item]), OperatorsName="A^B")
    ours = plain(sr, tmp_path / "sr.dcm")
    copy = rewritten(sr)
    del copy.OperatorsName
    found = compare_objects(ours, plain(copy, tmp_path / "a.dcm"))
    assert (found.result, "OperatorsName" in found.rewritten) == (CONTENT, True)
    copy.ContentSequence[0].TextValue = "T2 is 41 ms"
    found = compare_objects(ours, plain(copy, tmp_path / "b.dcm"))
    assert (found.result, found.reason) == (DIFFERENT, "other values of ContentSequence")

    pdf = dataset(sop=PDF, pixels=False, EncapsulatedDocument=b"%PDF-1.7 " * 20_000)
    ours = plain(pdf, tmp_path / "pdf.dcm")
    assert compare_objects(ours, plain(rewritten(pdf), tmp_path / "c.dcm")).result is CONTENT
    copy = rewritten(pdf)
    copy.EncapsulatedDocument = pdf.EncapsulatedDocument[:-2] + b"x "
    found = compare_objects(ours, plain(copy, tmp_path / "d.dcm"))
    assert found.reason == "other values of EncapsulatedDocument"


def test_copy_without_pixels_cut_off_or_zeroed_is_found(tmp_path):
    ds = grey(sop=SC)
    ours = plain(ds, tmp_path / "ours.dcm")
    bare = rewritten(ds)
    del bare.PixelData
    found = compare_objects(ours, plain(bare, tmp_path / "bare.dcm"))
    assert found.reason == "the server's copy has no pixels"
    (tmp_path / "cut.dcm").write_bytes(ours.read_bytes()[:-200])
    assert compare_objects(ours, tmp_path / "cut.dcm").result is DIFFERENT
    (tmp_path / "zero.dcm").write_bytes(bytes(ours.stat().st_size))
    assert compare_objects(ours, tmp_path / "zero.dcm").result is DIFFERENT
    assert (read_sop_uid(ours), read_sop_uid(tmp_path / "zero.dcm")) == (ds.SOPInstanceUID, "")
    with pytest.raises(CorruptDataError, match="cannot be read"):
        compare_objects(tmp_path / "zero.dcm", ours)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLosslessSV1])
def test_compressed_copy_that_is_damaged_is_different(tmp_path, syntax):
    ours = write_as(grey(), tmp_path / "ours.dcm", syntax)
    content = bytearray(ours.read_bytes())
    content[-120:-60] = bytes(60)
    (tmp_path / "theirs.dcm").write_bytes(bytes(content))
    assert compare_objects(ours, tmp_path / "theirs.dcm").result is DIFFERENT
