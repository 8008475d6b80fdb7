"""What stands in classic and Enhanced files beside the pixels: loops, groups, private block, text.

Both forms are read with pydicom and compared with the series that was read.
"""

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from builder import make_pixels, make_reco, read_one
from cases import converted, datasets, mouse, synthetic_studies

import mri2dicom
from mri2dicom import Overrides
from mri2dicom.dicom import frames
from mri2dicom.dicom.classic import ClassicSeries
from mri2dicom.dicom.multiframe import MultiFrameSeries
from mri2dicom.series.model import RawSeries
from private_dictionaries.reading import read_block, read_frames
from sandbox.mouse import VERSIONS


def written(series, *, enhanced=False, overrides=None):
    """Return the data sets of a series without a folder between."""
    form = MultiFrameSeries if enhanced else ClassicSeries
    files = form(series, overrides or Overrides())
    return [
        pydicom.dcmread(pydicom.filebase.DicomBytesIO(b"".join(content)))
        for _, content in files.files(0, len(files.names))
    ]


def frames_of(ds):
    """Yield each frame's groups with the shared ones put under them."""
    shared = ds.SharedFunctionalGroupsSequence[0]
    for frame in ds.PerFrameFunctionalGroupsSequence:
        both = pydicom.Dataset()
        both.update({one.tag: one for one in shared})
        both.update({one.tag: one for one in frame})
        yield both


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """Every synthetic series that becomes an image, by its name."""
    studies = synthetic_studies(tmp_path_factory.mktemp("synthetic"))
    series = {name: read_one(path) for name, path in studies.items()}
    return {name: one for name, one in series.items() if not one.is_quantity}


@pytest.fixture(scope="module", params=VERSIONS)
def mice(request, tmp_path_factory):
    study = mouse(tmp_path_factory.mktemp("mouse"), request.param)
    return {
        one.expno: one
        for one in mri2dicom.read(study)
        if isinstance(one, RawSeries) and not one.is_quantity
    }


# --- dimensions ------------------------------------------------------------------------------


def assert_dimensions_are_sound(ds):
    """Every frame has an index for each dimension, and no two frames share all of them."""
    rows = ds.DimensionIndexSequence
    pointers = [int(row.DimensionIndexPointer) for row in rows]
    assert len(set(pointers)) == len(pointers)
    organization = ds.DimensionOrganizationSequence[0].DimensionOrganizationUID
    values = []
    for frame in frames_of(ds):
        own = list(frame.FrameContentSequence[0].DimensionIndexValues)
        assert len(own) == len(rows)
        assert min(own) >= 1
        values.append(tuple(own))
        for row in rows:
            assert row.DimensionOrganizationUID == organization
            group = frame[row.FunctionalGroupPointer].value[0]
            if row.DimensionIndexPointer != 0x00189089:  # the b0 image has no direction
                assert _found(group, row.DimensionIndexPointer), row
    assert len(set(values)) == len(values)


def _found(item, tag):
    return tag in item or any(
        _found(inner, tag) for one in item if one.VR == "SQ" for inner in one.value
    )


def test_dimensions_of_every_kind(synthetic):
    assert len(synthetic) > 12
    for series in synthetic.values():
        for ds in written(series, enhanced=True):
            assert_dimensions_are_sound(ds)


def test_dimensions_of_the_mouse(mice):
    assert len(mice) == 7
    for series in mice.values():
        for ds in written(series, enhanced=True):
            assert_dimensions_are_sound(ds)


@pytest.mark.parametrize(
    ("scan", "keyword", "sequence"),
    [
        (3, "EffectiveEchoTime", "MREchoSequence"),
        (4, "RepetitionTime", "MRTimingAndRelatedParametersSequence"),
        (5, "DiffusionBValue", "MRDiffusionSequence"),
    ],
)
def test_what_varies_stands_in_each_frame(mice, scan, keyword, sequence):
    series = mice[scan]
    (ds,) = written(series, enhanced=True)
    found = [float(frame[sequence].value[0][keyword].value) for frame in frames_of(ds)]
    name = keyword if keyword in series.plane_attributes else "EchoTime"
    assert found == pytest.approx(series.plane_attributes[name])
    assert len(set(found)) > 3


@pytest.mark.parametrize(
    ("scan", "keyword"), [(3, "EchoTime"), (4, "RepetitionTime"), (5, "DiffusionBValue")]
)
def test_what_varies_stands_in_each_classic_file(mice, scan, keyword):
    series = mice[scan]
    found = [float(ds[keyword].value) for ds in written(series)]
    assert found == pytest.approx(series.plane_attributes[keyword], rel=1e-9)


def test_diffusion_directions_and_matrices(mice):
    series = mice[6]
    (enhanced,) = written(series, enhanced=True)
    none = 0
    for plane, (classic, frame) in enumerate(
        zip(written(series), frames_of(enhanced), strict=True)
    ):
        item = frame.MRDiffusionSequence[0]
        way = series.plane_attributes["DiffusionGradientOrientation"][plane]
        for one in (classic, item):
            if way is None:
                assert one.DiffusionDirectionality == "NONE"
                assert "DiffusionGradientDirectionSequence" not in one
                assert "DiffusionBMatrixSequence" not in one
                continue
            assert one.DiffusionDirectionality == "BMATRIX"
            (direction,) = one.DiffusionGradientDirectionSequence
            assert list(direction.DiffusionGradientOrientation) == pytest.approx(list(way))
            (matrix,) = one.DiffusionBMatrixSequence
            trace = sum(matrix[f"DiffusionBValue{n}"].value for n in ("XX", "YY", "ZZ"))
            assert trace == pytest.approx(one.DiffusionBValue)
        none += way is None
    assert 0 < none < series.plane_count


# --- geometry and order ----------------------------------------------------------------------


def test_positions_in_both_forms(synthetic):
    """Frames lie where the series says, in the scanner's order within each object."""
    for series in synthetic.values():
        for plane, ds in enumerate(written(series)):
            np.testing.assert_allclose(
                np.array(ds.ImagePositionPatient, dtype=float), series.position_mm[plane]
            )
            assert ds.InstanceNumber == plane + 1
        form = MultiFrameSeries(series, Overrides())
        for chosen, ds in zip(form.objects, written(series, enhanced=True), strict=True):
            for plane, frame in zip(chosen.planes, frames_of(ds), strict=True):
                position = frame.PlanePositionSequence[0].ImagePositionPatient
                ways = frame.PlaneOrientationSequence[0].ImageOrientationPatient
                np.testing.assert_allclose(
                    np.array(position, dtype=float), series.position_mm[plane]
                )
                np.testing.assert_allclose(
                    np.array(ways, dtype=float), series.orientation[plane, :2].ravel()
                )


def test_packages_that_are_not_parallel_are_objects_of_their_own(synthetic):
    series = synthetic["packages"]
    found = written(series, enhanced=True)
    assert [ds.NumberOfFrames for ds in found] == [2, 3, 2]
    thickness = [float(next(frames_of(ds)).PixelMeasuresSequence[0].SliceThickness) for ds in found]
    assert thickness == [1.0, 1.5, 1.0]
    assert all("SpacingBetweenSlices" not in ds for ds in written(series))


def test_thickness_that_differs_within_an_object(tmp_path):
    make_reco(tmp_path, groups=[("FG_SLICE", 3)], thickness=[1.0, 1.0, 2.0])
    (ds,) = written(read_one(tmp_path), enhanced=True)
    found = [float(frame.PixelMeasuresSequence[0].SliceThickness) for frame in frames_of(ds)]
    assert found == [1.0, 1.0, 2.0]
    assert "PixelMeasuresSequence" not in ds.SharedFunctionalGroupsSequence[0]


def test_stack_positions_follow_the_normal_and_not_the_order(tmp_path):
    places = [[0, 0, z] for z in (4.0, 2.0, 0.0)]
    make_reco(tmp_path, groups=[("FG_SLICE", 3)], position=places)
    (ds,) = written(read_one(tmp_path), enhanced=True)
    found = [frame.FrameContentSequence[0].InStackPositionNumber for frame in frames_of(ds)]
    assert found == [3, 2, 1]


# --- concatenations --------------------------------------------------------------------------


def test_a_large_object_becomes_a_concatenation(tmp_path, monkeypatch):
    make_reco(tmp_path / "in", groups=[("FG_SLICE", 2), ("FG_REPETITION", 5)])
    monkeypatch.setattr(frames.split_into_objects, "__kwdefaults__", {"limit": 4 * 8 * 6 * 2})
    (one,) = converted(tmp_path / "in", tmp_path / "out", enhanced=True).series
    parts = datasets(one.path)
    assert [ds.NumberOfFrames for ds in parts] == [4, 4, 2]
    assert [ds.InConcatenationNumber for ds in parts] == [1, 2, 3]
    assert {ds.InConcatenationTotalNumber for ds in parts} == {3}
    assert [ds.ConcatenationFrameOffsetNumber for ds in parts] == [0, 4, 8]
    for keyword in (
        "ConcatenationUID",
        "SOPInstanceUIDOfConcatenationSource",
        "SeriesInstanceUID",
        "InstanceNumber",
    ):
        assert len({ds[keyword].value for ds in parts}) == 1, keyword
    assert len({ds.SOPInstanceUID for ds in parts}) == 3
    pixels = np.concatenate([ds.pixel_array for ds in parts])
    raw = np.fromfile(tmp_path / "in" / "1" / "pdata" / "1" / "2dseq", "<i2")
    np.testing.assert_array_equal(pixels.ravel(), raw)


def test_an_object_that_fits_is_whole(tmp_path):
    make_reco(tmp_path, groups=[("FG_SLICE", 4)])
    series = read_one(tmp_path)
    exact = frames.split_into_objects(series, 2, by_map=False, limit=4 * 8 * 6 * 2)
    assert [(one.parts, len(one.planes)) for one in exact] == [(1, 4)]
    # Java holds an array of less than 2 GiB: 16 MiB are left for the rest.
    size = (2**31 - 2**24) // (series.plane_count * 8 * 6)
    for itemsize, parts in ((size, 1), (size + 1, 2)):
        assert len(frames.split_into_objects(series, itemsize, by_map=False)) == parts
    # A single frame larger than the limit cannot be split further.
    least = frames.split_into_objects(series, 2, by_map=False, limit=1)
    assert [one.first for one in least] == [0, 1, 2, 3]
    (ds,) = written(series, enhanced=True)
    assert "ConcatenationUID" not in ds


# --- complex parts, labels, text -------------------------------------------------------------


def test_complex_parts(synthetic):
    series = synthetic["complex"]
    parts = ["REAL", "REAL", "IMAGINARY", "IMAGINARY"]
    assert [ds.ComplexImageComponent for ds in written(series)] == parts
    assert [ds.ImageType[3] for ds in written(series)] == ["R", "R", "I", "I"]
    found = written(series, enhanced=True)
    assert [ds.ComplexImageComponent for ds in found] == ["REAL", "IMAGINARY"]
    assert len({ds.SOPInstanceUID for ds in found}) == 2


def test_names_of_loop_steps_outside_ascii(synthetic):
    """The character set is declared in a file whose only such sign is in a plane's own text."""
    series = synthetic["coils"]
    for plane, ds in enumerate(written(series)):
        assert ds.SpecificCharacterSet == "ISO_IR 192"
        assert ds.ImageComments == f"element µ{plane // 2}"
    (ds,) = written(series, enhanced=True)
    assert ds.SpecificCharacterSet == "ISO_IR 192"
    labels = [frame.FrameContentSequence[0].FrameLabel for frame in frames_of(ds)]
    assert labels == [f"element µ{plane // 2}" for plane in range(8)]


def test_plain_text_declares_no_character_set(synthetic):
    assert all("SpecificCharacterSet" not in ds for ds in written(synthetic["three_d"]))


def test_gating_reaches_both_forms(synthetic):
    for ds in written(synthetic["gated"]):
        assert list(ds.ScanOptions) == ["CG", "RG"]
        assert ds["TriggerTime"].value is None
    (ds,) = written(synthetic["gated"], enhanced=True)
    assert ds.CardiacSynchronizationTechnique == "PROSPECTIVE"
    assert ds.RespiratoryMotionCompensationTechnique == "TRIGGER"
    times = [float(one.TriggerTime) for one in written(synthetic["film"])]
    assert times == [0.0, 10.0, 20.0, 30.0, 40.0]


# --- the private CEST block ------------------------------------------------------------------


def test_cest_is_the_same_in_both_forms(mice):
    series = mice[7]
    (enhanced,) = written(series, enhanced=True)
    one, other = [read_block(ds) for ds in written(series)], read_frames(enhanced)
    assert len(one) == len(other) == series.plane_count
    # An Enhanced object also says how long the scan took, which classic MR has no place for.
    assert one == [replace(found, acquisition_duration_s=None) for found in other]
    offsets = [found.offset_hz for found in one]
    assert offsets == pytest.approx(series.private["SaturationOffsetHz"])
    assert len({round(offset) for offset in offsets if offset is not None}) > 10


def _with_private(folder, planes, values):
    make_reco(folder, groups=[("FG_REPETITION", planes)])
    return replace(read_one(folder), private=values)


def test_a_private_value_that_many_planes_lack(tmp_path):
    """Values may begin late in the series; no plane's are lost, and each block has its creator."""
    lists = {"SaturationListIndex": [None] * 40 + list(range(1, 11))}
    series = _with_private(tmp_path, 50, {"PulseShape": "gauss", **lists})
    files = written(series)
    assert [(0x1061, 0x1022) in ds for ds in files] == [False] * 40 + [True] * 10
    assert [int(ds[0x1061, 0x1022].value) for ds in files[40:]] == list(range(1, 11))
    assert {ds[0x1061, 0x0010].value for ds in files} == {"XNAT-PIC CEST"}
    assert {ds[0x1061, 0x1003].value for ds in files} == {"gauss"}


def test_a_private_block_that_some_planes_lack_altogether(tmp_path):
    series = _with_private(tmp_path, 4, {"SaturationListIndex": [None, 1, 2, None]})
    files = written(series)
    assert [(0x1061, 0x0010) in ds for ds in files] == [False, True, True, False]


# --- identity --------------------------------------------------------------------------------


def test_attributes_of_every_file_of_a_series(synthetic):
    for series in synthetic.values():
        for enhanced in (False, True):
            files = written(series, enhanced=enhanced)
            assert len({ds.SOPInstanceUID for ds in files}) == len(files)
            for ds in files:
                assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
                assert ds.file_meta.MediaStorageSOPClassUID == ds.SOPClassUID
                assert ds.StudyInstanceUID == series.identity.study_uid
                assert ds.SeriesNumber == 10000 * series.expno + series.procno
                assert ds.PatientID == str(ds.PatientName) == "m01"
                assert ds.Modality == "MR"


@pytest.mark.parametrize(
    ("name", "written_name"),
    [("^^^^", ""), ("", ""), ("a\\b^c", "a/b_c"), ("ü" * 70, "ü" * 64)],
)
def test_subject_names_of_the_files(tmp_path, name, written_name):
    make_reco(tmp_path, frames=1, visu={"VisuSubjectId": name, "VisuSubjectName": name})
    (ds,) = written(read_one(tmp_path))
    assert ds.PatientID == str(ds.PatientName) == written_name


def test_long_texts_are_cut_at_their_limits(tmp_path):
    long = "abcdefghij" * 30
    names = ("VisuStudyId", "VisuAcqSequenceName", "VisuAcquisitionProtocol", "VisuStation")
    make_reco(tmp_path, frames=1, visu=dict.fromkeys(names, long))
    (ds,) = written(read_one(tmp_path))
    assert ds.StudyID == long[:16]
    assert ds.ProtocolName == long[:64]
    assert len(ds.SequenceName) == 16


@pytest.mark.parametrize(("nucleus", "mhz", "tesla"), [("19F", 282.4, 7.05), ("13C", 75.5, 7.05)])
def test_other_nuclei(tmp_path, nucleus, mhz, tesla):
    visu = {"VisuAcqImagedNucleus": nucleus, "VisuAcqImagingFrequency": mhz}
    make_reco(tmp_path, frames=1, visu=visu)
    series = read_one(tmp_path)
    (classic,), (enhanced,) = written(series), written(series, enhanced=True)
    assert classic.ImagedNucleus == enhanced.ResonantNucleus == nucleus
    assert float(classic.MagneticFieldStrength) == pytest.approx(tesla, rel=0.01)
    assert float(classic.ImagingFrequency) == pytest.approx(mhz)


def test_the_forms_differ_in_every_uid_of_their_own(tmp_path):
    make_reco(tmp_path, groups=[("FG_SLICE", 2)], pixels=make_pixels(2, (8, 6), "<i2"))
    series = read_one(tmp_path)
    kinds = {
        "classic": written(series),
        "enhanced": written(series, enhanced=True),
        "named": written(series, overrides=Overrides(subject_id="other")),
    }
    of_series = [{ds.SeriesInstanceUID for ds in files} for files in kinds.values()]
    assert [len(found) for found in of_series] == [1, 1, 1]
    assert len(set.union(*of_series)) == 3
    instances = [ds.SOPInstanceUID for files in kinds.values() for ds in files]
    assert len(set(instances)) == len(instances) == 5
    frames = {ds.FrameOfReferenceUID for files in kinds.values() for ds in files}
    assert len(frames) == 1
    for uid in (*set.union(*of_series), *instances, *frames):
        assert uid.startswith("2.25.")
        assert len(uid) <= 64
        assert pydicom.uid.UID(uid).is_valid
