"""Several animals on one bed: cut apart, named right, with the scanner's own values."""

import csv
import json

import nibabel as nib
import numpy as np
import pydicom
import pytest
from cases import datasets
from click.testing import CliRunner
from inveon_images import CT, PET, frame, write_image
from programs import need_program

from mri2dicom.cli import main
from mri2dicom.hotel.roster import BedView
from mri2dicom.hotel.split import PICTURE, split_hotel
from sandbox.mouse import MouseOptions, write_mice
from xnat_pic.errors import WrongCallError

SUBJECTS = ("m01", "m02", "m03")


@pytest.fixture(scope="module")
def hotel(tmp_path_factory):
    """Return the bed of three digital mice, and its truth."""
    out = tmp_path_factory.mktemp("hotel") / "mice"
    options = MouseOptions(
        size="SMALL", groups=("untreated",), timepoints=("pre",), animals=3, hotel=True
    )
    write_mice(out, options)
    return out / "hotel_petct", out.with_name("mice_truth") / "hotel_petct"


@pytest.fixture(scope="module")
def split(hotel, tmp_path_factory):
    out = tmp_path_factory.mktemp("split")
    return split_hotel(hotel[0], hotel[0] / "hotel.csv", out), out


def rows_of(bed):
    with (bed / "hotel.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


def volume(folder):
    """Return values (z, y, x) and the first image of a written series."""
    files = datasets(folder)
    values = [ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds in files]
    return np.array(values), files[0], files


def series(out, subject, modality):
    return next((out / subject).glob(f"*_{modality}_{subject}"))


def truth_at(truth, name, files):
    """Look the truth up at the coordinates of every written voxel, (z, y, x)."""
    image = nib.load(truth / name)
    data, inverse = np.asarray(image.dataobj), np.linalg.inv(image.affine)
    found = []
    for ds in files:
        rows, columns = np.mgrid[: ds.Rows, : ds.Columns]
        axes = np.array(ds.ImageOrientationPatient, float)
        position = np.array(ds.ImagePositionPatient, float) + (
            columns[..., None] * ds.PixelSpacing[1] * axes[:3]
            + rows[..., None] * ds.PixelSpacing[0] * axes[3:]
        )
        voxel = nib.affines.apply_affine(inverse, position * [-1, -1, 1])
        index = np.rint(voxel).astype(int)
        assert np.abs(voxel - index).max() < 1e-3  # exactly on the truth's grid
        found.append(data[tuple(np.moveaxis(index, -1, 0))])
    return np.array(found)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_each_animal_is_whole_alone_and_named_right(hotel, split, number):
    _, truth = hotel
    _, out = split
    subject = SUBJECTS[number - 1]
    for modality, stem in (("PT", "pet"), ("CT", "ct")):
        _, first, files = volume(series(out, subject, modality))
        owners = truth_at(truth, f"hotel.{stem}_animal.nii.gz", files)
        whole = np.asarray(nib.load(truth / f"hotel.{stem}_animal.nii.gz").dataobj)
        assert first.PatientID == subject
        assert set(np.unique(owners)) == {0, number}
        assert (owners == number).sum() == (whole == number).sum()  # no voxel lost


@pytest.mark.parametrize("subject", SUBJECTS)
def test_values_are_the_truth(hotel, split, subject):
    _, truth = hotel
    _, out = split
    pet, _, files = volume(series(out, subject, "PT"))
    expected = 1000 * truth_at(truth, "hotel.pet_activity_kBq_mL.nii.gz", files)
    assert files[0].Units == "BQML"
    for plane, true in zip(pet, expected, strict=True):
        assert np.abs(plane - true).max() <= true.max() / 32767 + 1e-5 * true.max()
    ct, _, files = volume(series(out, subject, "CT"))
    noise = ct - truth_at(truth, "hotel.ct_HU.nii.gz", files)
    assert abs(noise.mean()) < 0.5
    assert noise.std() == pytest.approx(12, rel=0.05)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_suv_of_each_animal_from_its_own_dose_time_and_weight(hotel, split, subject):
    """The law of decay and the truth's SUV, from what the written headers say."""
    bed, truth = hotel
    _, out = split
    pet, first, _ = volume(series(out, subject, "PT"))
    known = {
        one["subject"]: one for one in json.loads((truth / "pet_ct.json").read_text())["animals"]
    }[subject]
    item = first.RadiopharmaceuticalInformationSequence[0]
    start = np.datetime64(f"{first.SeriesDate[:4]}-{first.SeriesDate[4:6]}-{first.SeriesDate[6:]}")
    seconds = [int(t[:2]) * 3600 + int(t[2:4]) * 60 + int(t[4:6]) for t in (
        first.SeriesTime, item.RadiopharmaceuticalStartTime)]  # fmt: skip
    assert str(start).replace("-", "") == item.RadiopharmaceuticalStartDateTime[:8]
    wait = seconds[0] - seconds[1]
    dose = float(item.RadionuclideTotalDose) * 0.5 ** (wait / 6586.2)
    suv = pet * 1000 * float(first.PatientWeight) / dose
    assert suv.max() == pytest.approx(known["tissues"]["kidney"]["suv"], rel=1e-3)
    row = next(r for r in rows_of(bed) if r["subject"] == subject)
    assert float(item.RadionuclideTotalDose) == pytest.approx(1e6 * float(row["dose_mbq"]))


def test_derived_images_name_their_source(split):
    report, out = split
    assert report.exit_code == 0
    assert report.found
    studies, frames = set(), set()
    for subject in SUBJECTS:
        pet, ct = (volume(series(out, subject, m))[1] for m in ("PT", "CT"))
        for ds in (pet, ct):
            group = ds.SourcePatientGroupIdentificationSequence[0].PatientID
            assert group == "m01, m02, m03"
            assert ds.DerivationCodeSequence[0].CodeValue == "113131"
            assert ds.ImageType[0] == "DERIVED"
        assert pet.StudyInstanceUID == ct.StudyInstanceUID
        assert pet.FrameOfReferenceUID == ct.FrameOfReferenceUID
        studies.add(pet.StudyInstanceUID)
        frames.add(pet.FrameOfReferenceUID)
    assert len(studies) == len(frames) == 3


def test_the_technicians_mirrored_view(hotel, split, tmp_path):
    """A table written in front of the bed gives the same files, byte for byte."""
    bed, _ = hotel
    swap = {"top-left": "top-right", "top-right": "top-left", "bottom-left": "bottom-right"}
    rows = [row | {"position": swap[row["position"]]} for row in rows_of(bed)]
    table = write_rows(tmp_path / "seen.csv", rows)
    split_hotel(bed, table, tmp_path / "out", view=BedView.TECHNICIAN)
    for subject in SUBJECTS:
        for modality in ("PT", "CT"):
            one, two = (volume(series(o, subject, modality)) for o in (split[1], tmp_path / "out"))
            assert np.array_equal(one[0], two[0])
            assert one[1].ImagePositionPatient == two[1].ImagePositionPatient
    # The same table read as the image would give two animals to each other, or none.
    with pytest.raises(WrongCallError, match="bottom-right"):
        split_hotel(bed, table, tmp_path / "wrong")


def test_a_table_that_fits_both_views_needs_the_view(hotel, tmp_path):
    bed, truth = hotel
    rows = rows_of(bed)[:2]  # top-left and top-right: with two animals asked for, they fit
    rows = [row | {"position": row["position"].removeprefix("top-")} for row in rows]
    known = json.loads((truth / "pet_ct.json").read_text())["animals"]
    for row, one in zip(rows, known, strict=False):
        row |= {"x_mm": one["centre_mm"][0], "y_mm": one["centre_mm"][1]}
    table = write_rows(tmp_path / "t.csv", rows)
    with pytest.raises(WrongCallError, match="alike"):
        split_hotel(bed, table, tmp_path / "out")
    call = ["split-hotel", str(bed), str(table), str(tmp_path / "out")]
    done = CliRunner().invoke(main, call)
    assert done.exit_code == 2
    assert "--view technician" in done.stderr


def test_two_in_a_row_need_the_view():
    """Found positions that are the same in the mirror are refused without a word on the view."""
    from mri2dicom.hotel import split as module
    from mri2dicom.hotel.roster import RosterEntry

    depth = np.zeros((80, 80))
    depth[10:30, 8:32] = depth[10:30, 48:72] = 40

    class Bed:
        location = "bed.ct.img"
        spacing_mm = (1.0, 1.0)

        class pixels:
            shape = (1, 80, 80)

    entries = [RosterEntry("left", "a"), RosterEntry("right", "b")]
    with pytest.raises(WrongCallError, match="alike"):
        module._find_boxes(entries, depth, Bed(), None)
    image, _ = module._find_boxes(entries, depth, Bed(), BedView.IMAGE)
    mirrored, _ = module._find_boxes(entries, depth, Bed(), BedView.TECHNICIAN)
    assert image == mirrored[::-1]
    assert image[0].centre[0] < 0 < image[1].centre[0]


def test_given_positions_in_both_views(hotel, split, tmp_path):
    bed, truth = hotel
    known = json.loads((truth / "pet_ct.json").read_text())["animals"]
    for view, sign in ((BedView.IMAGE, 1), (BedView.TECHNICIAN, -1)):
        rows = [
            row | {"x_mm": sign * one["centre_mm"][0], "y_mm": one["centre_mm"][1]}
            for row, one in zip(rows_of(bed), known, strict=True)
        ]
        table = write_rows(tmp_path / f"{view.value}.csv", rows)
        report = split_hotel(bed, table, tmp_path / view.value, view=view)
        assert not report.found
        for number, subject in enumerate(SUBJECTS, 1):
            files = volume(series(tmp_path / view.value, subject, "PT"))[2]
            owners = truth_at(truth, "hotel.pet_animal.nii.gz", files)
            assert set(np.unique(owners)) == {0, number}


def test_an_orientation_in_the_table_rotates_the_coordinates(hotel, split, tmp_path):
    """An animal that lies feet first and supine: head to feet and left to right exchange."""
    bed, _ = hotel
    rows = [row | {"orientation": "FFP" if row["subject"] == "m02" else ""} for row in rows_of(bed)]
    split_hotel(bed, write_rows(tmp_path / "t.csv", rows), tmp_path / "out")
    before = volume(series(split[1], "m02", "CT"))[1]
    after = volume(series(tmp_path / "out", "m02", "CT"))[1]
    assert after.PatientPosition == "FFP"
    old, new = (np.array(ds.ImagePositionPatient, float) for ds in (before, after))
    # Prone stays prone: turned about the vertical, x and z change sign and y stays.
    assert np.allclose(new, old * [-1, 1, -1], atol=1e-4)
    assert [int(v) for v in after.ImageOrientationPatient] == [1, 0, 0, 0, -1, 0]


def test_again_nothing_is_written_and_other_options_are_refused(hotel, split, tmp_path):
    bed, _ = hotel
    table = bed / "hotel.csv"
    split_hotel(bed, table, tmp_path / "out")
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.dcm")}
    assert {s.status for s in split_hotel(bed, table, tmp_path / "out").series} == {"kept"}
    assert stamps == {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.dcm")}
    rows = [row | {"weight_g": "30"} for row in rows_of(bed)]
    other = write_rows(tmp_path / "t.csv", rows)
    report = split_hotel(bed, other, tmp_path / "out")
    assert report.exit_code == 2
    assert "--overwrite" in report.series[0].reason
    report = split_hotel(bed, other, tmp_path / "out", overwrite=True)
    assert report.exit_code == 0
    first = volume(series(tmp_path / "out", "m01", "PT"))[1]
    assert float(first.PatientWeight) == 0.03


def test_the_picture(split):
    from PIL import Image

    with Image.open(split[1] / PICTURE) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    for colour in ((90, 200, 250), (255, 196, 61), (120, 220, 130)):
        assert (pixels == colour).all(axis=1).sum() > 200  # a frame about each animal


def test_the_command(hotel, tmp_path):
    bed, _ = hotel
    call = ["split-hotel", str(bed), str(bed / "hotel.csv"), str(tmp_path / "out"), "--json"]
    done = CliRunner().invoke(main, call)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["series"][0]["subject"] == "m01"
    assert "before you upload" in done.stderr
    inside = ["split-hotel", str(bed), str(bed / "hotel.csv"), str(bed / "out")]
    assert CliRunner().invoke(main, inside).exit_code == 2
    (tmp_path / "empty").mkdir()
    nothing = ["split-hotel", str(tmp_path / "empty"), str(bed / "hotel.csv"), str(tmp_path / "o")]
    assert CliRunner().invoke(main, nothing).exit_code == 3


@pytest.mark.tool
def test_the_validator_finds_no_error(split):
    import subprocess

    tool = need_program("dciodvfy")
    for subject in SUBJECTS:
        for modality in ("PT", "CT"):
            path = sorted(series(split[1], subject, modality).glob("*.dcm"))[5]
            done = subprocess.run([tool, path], capture_output=True, text=True, check=False)
            lines = (done.stderr + done.stdout).splitlines()
            assert [line for line in lines if line.startswith("Error")] == []
            assert {"PETImage", "CTImage"} & set(lines)


def test_fewer_animals_than_the_table_names(hotel, tmp_path):
    bed, _ = hotel
    rows = [*rows_of(bed), rows_of(bed)[0] | {"position": "bottom-right", "subject": "m09"}]
    with pytest.raises(WrongCallError, match="3 animals were found"):
        split_hotel(bed, write_rows(tmp_path / "t.csv", rows), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_bed_is_never_changed(hotel, tmp_path):
    bed, _ = hotel
    before = {p: p.read_bytes() for p in bed.iterdir()}
    split_hotel(bed, bed / "hotel.csv", tmp_path / "out")
    assert before == {p: p.read_bytes() for p in bed.iterdir()}
    files = list((tmp_path / "out").rglob("*"))
    assert not [p for p in files if p.name.startswith(".")]
    assert all(pydicom.dcmread(p) for p in files if p.suffix == ".dcm")


@pytest.mark.parametrize(
    ("kind", "around", "inside", "found"),
    [
        (CT, -1000, -290, True),
        (CT, -1000, -310, False),
        (PET, 0, 51, True),  # a twentieth of the brightest
        (PET, 0, 49, False),
    ],
)
def test_from_which_value_on_a_voxel_is_an_animals(tmp_path, kind, around, inside, found):
    voxels = np.full((1, 8, 40, 40), around, "<i2")
    voxels[:, :, 10:30, 10:30] = inside
    if kind is PET:
        voxels[:, :, 3, 5:15] = 1000  # a line is no animal
    write_image(tmp_path / "in" / "a.img", kind, voxels, [frame(scale_factor=1)], data_type=2)
    (tmp_path / "bed.csv").write_text("position,subject\nonly,m1\n")
    if found:
        report = split_hotel(tmp_path / "in", tmp_path / "bed.csv", tmp_path / "out")
        assert [one.subject for one in report.series] == ["m1"]
    else:
        with pytest.raises(WrongCallError, match="0 animals were found"):
            split_hotel(tmp_path / "in", tmp_path / "bed.csv", tmp_path / "out")
