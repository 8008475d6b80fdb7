"""Where voxels lie: every orientation code on an image without symmetry, shifts and sharing."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from cases import converted, datasets
from inveon_images import CT, PET, SPECT, air_and_water, frame, ramp, write_image

import mri2dicom

SUBJECT_POSITIONS = ("", "FFP", "HFP", "FFS", "HFS", "FFDR", "HFDR", "FFDL", "HFDL")
# Where the scanner's axes point in the animal, told from how it lies: x to the right of a person
# who looks into the bore, y down, z out of the bore towards that person. Feet first, the head is
# outside; down is the back (supine), the belly (prone), or the side that is named.
LEFT, BACK, HEAD = np.eye(3)
OUT = {"FF": HEAD, "HF": -HEAD}
DOWN = {"S": BACK, "P": -BACK, "DR": -LEFT, "DL": LEFT}


def axes_of(position: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the directions of stored x, y, z in the animal.

    Right, down and forward (into the bore, away from the person) are a right-handed system:
    right = down x forward = out x down.
    """
    out, down = OUT[position[:2]], DOWN[position[2:]]
    return np.cross(out, down), down, out


def first_file(tmp_path, base=PET, voxels=None, **keys) -> list[pydicom.Dataset]:
    source = tmp_path / "in"
    data_type = 2 if base is CT else 4
    frames = [frame(scale_factor=1)]
    write_image(source / "a.img", base, voxels, frames, data_type=data_type, **keys)
    (one,) = converted(source, tmp_path / "out").series
    return datasets(one.path)


@pytest.mark.parametrize("code", range(1, 9))
def test_every_orientation(tmp_path, code):
    """A voxel with a left, a back and a head of its own lies where the animal has it."""
    shift = np.array([1.5, -2.5, 4.0])
    position = SUBJECT_POSITIONS[code]
    series_shift = " ".join(map(str, shift))
    files = first_file(
        tmp_path, CT, air_and_water(), subject_orientation=str(code), image_ref_shift=series_shift
    )
    assert files[0].PatientPosition == position
    right, down, out = axes_of(position)
    size = np.array([0.776, 0.777, 0.796])
    middle = (np.array([12, 12, 6]) - 1) / 2
    for z, ds in enumerate(files):
        row_way = np.array(ds.ImageOrientationPatient[:3], float)
        column_way = np.array(ds.ImageOrientationPatient[3:], float)
        spacing = [float(v) for v in ds.PixelSpacing]
        for x, y in ((0, 0), (5, 4), (11, 2)):
            found = (
                np.array(ds.ImagePositionPatient, float)
                + row_way * spacing[1] * x
                + column_way * spacing[0] * y
            )
            place = (np.array([x, y, z]) - middle) * size + shift
            expected = right * place[0] + down * place[1] + out * place[2]
            np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("code", "orientation"), [("3", [-1, 0, 0, 0, 1, 0]), ("2", [-1, 0, 0, 0, -1, 0])]
)
def test_published_positions(tmp_path, code, orientation):
    """The formula of the one program that was compared with the vendor's workstation."""
    shift = (1.5, -2.5, 4.0)
    files = first_file(
        tmp_path, CT, air_and_water(), subject_orientation=code, image_ref_shift="1.5 -2.5 4"
    )
    for k, ds in enumerate(files):
        x = (12 - 1) / 2 * 0.776 - shift[0]
        y = -((12 - 1) / 2 * 0.777 - shift[1])
        z = (k + 0.5 - 6 / 2) * 0.796 + shift[2]
        expected = (x, -y if code == "2" else y, -z if code == "2" else z)
        np.testing.assert_allclose(np.array(ds.ImagePositionPatient, float), expected, atol=1e-9)
        assert [float(v) for v in ds.ImageOrientationPatient] == orientation


def test_an_unknown_orientation(tmp_path):
    files = first_file(tmp_path, subject_orientation="0")
    assert [float(v) for v in files[0].ImageOrientationPatient] == [-1, 0, 0, 0, 1, 0]
    assert list(files[0].PatientOrientationCodeSequence) == []
    assert "unknown" in files[0].ImageComments
    (series,) = mri2dicom.read(tmp_path / "in")
    assert "PatientPosition" not in series.attributes
    assert any("is unknown and assumed" in note for note in series.warnings)


@pytest.mark.parametrize("base", [PET, SPECT])
@pytest.mark.parametrize("code", range(1, 9))
def test_positions_in_codes(tmp_path, base, code):
    """PET and NM images have codes and no Patient Position."""
    ds = first_file(tmp_path, base, subject_orientation=str(code))[0]
    assert "PatientPosition" not in ds
    (turned,) = ds.PatientOrientationCodeSequence
    word = {
        "1240000": "P", "40199007": "S", "102535000": "DR", "102536004": "DL",
    }[turned.PatientOrientationModifierCodeSequence[0].CodeValue]  # fmt: skip
    gantry = {"102540008": "HF", "102541007": "FF"}
    found = gantry[ds.PatientGantryRelationshipCodeSequence[0].CodeValue] + word
    assert found == SUBJECT_POSITIONS[code]


def test_a_position_that_was_entered_wrongly(tmp_path):
    write_image(tmp_path / "in" / "a.img")
    given = mri2dicom.Overrides(subject_position="HFP")
    (one,) = converted(tmp_path / "in", tmp_path / "out", overrides=given).series
    (turned,) = datasets(one.path)[0].PatientOrientationCodeSequence
    assert turned.PatientOrientationModifierCodeSequence[0].CodeValue == "1240000"


def _frames_of_reference(folder):
    return [one.identity.frame_of_reference_uid for one in mri2dicom.read(folder)]


@pytest.mark.parametrize(
    ("pet", "ct", "shared"),
    [
        ({}, {}, False),
        ({"spatial_identifier": "bed 4 of 12"}, {"spatial_identifier": "bed 4 of 12"}, True),
        ({"spatial_identifier": "bed 4"}, {"spatial_identifier": "bed 5"}, False),
        (
            {"spatial_identifier": "bed 4", "transformation_matrix": "m.txt"},
            {"spatial_identifier": "bed 4"},
            False,
        ),
        ({"registration_available": "1"}, {"registration_available": "2"}, False),
    ],
)
def test_one_coordinate_system_only_where_it_is_known(tmp_path, pet, ct, shared):
    write_image(tmp_path / "m.pet.img", PET, **pet)
    write_image(
        tmp_path / "m.ct.img", CT, air_and_water(), [frame(0, 0, scale_factor=1)], data_type=2, **ct
    )
    one, other = _frames_of_reference(tmp_path)
    assert (one == other) == shared
    first, second = mri2dicom.read(tmp_path)
    assert first.identity.study_uid == second.identity.study_uid


def test_animals_are_never_one_study(tmp_path):
    write_image(tmp_path / "1.img", voxels=ramp(4))
    write_image(tmp_path / "2.img", voxels=ramp(4) + 1, subject_identifier="Maus 2")
    write_image(tmp_path / "3.img", voxels=ramp(4) + 2, subject_identifier=None)
    write_image(tmp_path / "4.img", voxels=ramp(4) + 3, subject_identifier=None)
    write_image(tmp_path / "5.img", voxels=ramp(4) + 4, scan_time="Fri Dec  5 11:32:21 2023")
    found = [one.identity.study_uid for one in mri2dicom.read(tmp_path)]
    assert len(set(found)) == 5


def test_uids_follow_the_content(tmp_path):
    """A second conversion gives identical files; another header or image other UIDs."""
    source = tmp_path / "in"
    write_image(source / "a.img")
    (one,) = converted(source, tmp_path / "one").series
    (two,) = converted(source, tmp_path / "two").series
    for name in ("0001.dcm", "0004.dcm"):
        assert (Path(one.path) / name).read_bytes() == (Path(two.path) / name).read_bytes()
    seen = {datasets(one.path)[0].SeriesInstanceUID}
    write_image(source / "a.img", dose="0.3")
    seen.add(datasets(converted(source, tmp_path / "three").series[0].path)[0].SeriesInstanceUID)
    write_image(source / "a.img", voxels=ramp(4) + 1)
    seen.add(datasets(converted(source, tmp_path / "four").series[0].path)[0].SeriesInstanceUID)
    assert len(seen) == 3


def test_quadruped_is_a_switch(tmp_path):
    assert "AnatomicalOrientationType" not in first_file(tmp_path / "a", subject_genus="phantom")[0]
    write_image(tmp_path / "b" / "a.img")
    given = mri2dicom.Overrides(anatomical_orientation="biped")
    (one,) = converted(tmp_path / "b", tmp_path / "out", overrides=given).series
    assert datasets(one.path)[0].AnatomicalOrientationType == "BIPED"
