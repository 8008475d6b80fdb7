"""The scanner's own DICOM is the judge: the same frames, one by one, in the same order.

ParaVision 6.0.1 exported its reconstructions itself. The export is taken out of the input, the
study is converted, and every frame is compared.
"""

import numpy as np
import pydicom
import pytest
from cases import converted, copy_study, datasets

STUDIES = ("pv601_acidoCEST", "pv601_gtagora_localizer")
# Ten significant digits are what the scanner writes of a number.
DIGITS = 1e-9


@pytest.fixture(scope="module")
def frames(shared_data, tmp_path_factory):
    """Every frame: (scan, the scanner's data set, ours)."""
    pairs = []
    for name in STUDIES:
        source = shared_data / "paravision" / name
        study = copy_study(source, tmp_path_factory.mktemp("in") / name, without="dicom")
        assert not list(study.rglob("*.dcm"))
        report = converted(study, tmp_path_factory.mktemp("out"))
        for one in report.series:
            theirs = [
                pydicom.dcmread(path)
                for path in (source / str(one.expno) / "pdata" / "1" / "dicom").glob("*.dcm")
            ]
            theirs.sort(key=lambda ds: ds.InstanceNumber)
            ours = datasets(one.path)
            assert len(theirs) == len(ours) > 0
            pairs += [
                (f"{name}/{one.expno} #{k}", *pair)
                for k, pair in enumerate(zip(theirs, ours, strict=True))
            ]
    return pairs


def _numbers(value) -> np.ndarray:
    return np.array([float(one) for one in np.atleast_1d(np.asarray(value, dtype=object))])


def _unequal(frames, keyword, rtol=0.0, atol=0.0):
    """Give the frames whose value differs from the scanner's."""
    return [
        (name, theirs[keyword].value, ours[keyword].value)
        for name, theirs, ours in frames
        if not np.allclose(
            _numbers(ours[keyword].value), _numbers(theirs[keyword].value), rtol=rtol, atol=atol
        )
    ]


def test_there_are_206_frames(frames):
    assert len(frames) == 206


def test_pixel_bytes(frames):
    assert [n for n, theirs, ours in frames if theirs.PixelData != ours.PixelData] == []


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "SeriesNumber", "InstanceNumber"])
def test_whole_numbers(frames, keyword):
    assert _unequal(frames, keyword) == []


@pytest.mark.parametrize("keyword", ["BitsAllocated", "BitsStored", "PixelRepresentation"])
def test_pixel_format(frames, keyword):
    assert _unequal(frames, keyword) == []


@pytest.mark.parametrize(
    "keyword", ["ImagePositionPatient", "ImageOrientationPatient", "SliceLocation"]
)
def test_position_and_orientation(frames, keyword):
    assert _unequal(frames, keyword, atol=1e-8, rtol=DIGITS) == []


@pytest.mark.parametrize("keyword", ["PixelSpacing", "SliceThickness"])
def test_spacing(frames, keyword):
    assert _unequal(frames, keyword, rtol=DIGITS) == []


def test_slices_apart(frames):
    """Where the scanner gives the distance of slices ours is the same; a tripilot has none."""
    spacing = "SpacingBetweenSlices"
    assert [n for n, theirs, ours in frames if (spacing in theirs) != (spacing in ours)] == []
    stacked = [one for one in frames if spacing in one[2]]
    assert {name.split(" ")[0] for name, _, _ in stacked} == {"pv601_acidoCEST/2"}
    assert _unequal(stacked, spacing, rtol=DIGITS) == []


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
def test_scaling(frames, keyword):
    assert _unequal(frames, keyword, rtol=DIGITS) == []


def test_scaling_is_worth_comparing(frames):
    """Slopes of 1 everywhere would prove nothing."""
    assert len({float(theirs.RescaleSlope) for _, theirs, _ in frames} - {1.0}) >= 3


@pytest.mark.parametrize("keyword", ["FlipAngle", "EchoTime", "RepetitionTime", "PixelBandwidth"])
def test_acquisition(frames, keyword):
    assert _unequal(frames, keyword, rtol=DIGITS) == []


@pytest.mark.parametrize(
    "keyword", ["StudyInstanceUID", "InPlanePhaseEncodingDirection", "PatientPosition", "PatientID"]
)
def test_text(frames, keyword):
    wrong = [
        (n, theirs[keyword].value, ours[keyword].value)
        for n, theirs, ours in frames
        if theirs[keyword].value != ours[keyword].value
    ]
    assert wrong == []


def test_no_uid_of_the_scanners_images_is_used_again(frames):
    """Our objects differ from the scanner's in their header, so their UIDs must."""
    theirs = {one.SOPInstanceUID for _, one, _ in frames}
    ours = [one.SOPInstanceUID for _, _, one in frames]
    assert len(set(ours)) == len(ours)
    assert not theirs & set(ours)
