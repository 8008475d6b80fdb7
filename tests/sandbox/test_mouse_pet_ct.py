"""PET and CT of the digital mice: the stored values are the truth, by the vendor's own formula."""

import csv
import json
import re
from datetime import datetime

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

from sandbox.cli import main
from sandbox.mouse import MouseOptions, write_mice
from xnat_pic.errors import WrongCallError

WISH = {"size": "SMALL", "groups": ("untreated",), "timepoints": ("pre",), "animals": 3}
TYPES = {"4": "<f4", "2": "<i2"}


def read_header(path):
    """Read keys of the main section and of frame 0; written for this test alone."""
    main, frame = path.read_text("latin-1").split("end_of_header")[:2]
    pairs = (re.fullmatch(r"(\w+) ?(.*)", line) for line in (main + frame).splitlines())
    return {m[1]: m[2] for m in pairs if m}


def read_image(path):
    head = read_header(path.with_name(path.name + ".hdr"))
    shape = [int(head[f"{a}_dimension"]) for a in "zyx"]
    return head, np.fromfile(path, TYPES[head["data_type"]]).reshape(shape)


@pytest.fixture(scope="module")
def mice(tmp_path_factory):
    out = tmp_path_factory.mktemp("pet") / "mice"
    write_mice(out, MouseOptions(**WISH, pet_ct=True, hotel=True))
    return out, out.with_name("mice_truth")


def below(mice, name):
    data, truth = mice
    found = next(data.rglob(name))
    return found, truth / found.relative_to(data).parent


@pytest.mark.parametrize("stem", ["m02", "hotel"])
def test_pet_is_the_activity_by_the_vendors_formula(mice, stem):
    image, truth = below(mice, f"{stem}.pet.img")
    head, stored = read_image(image)
    assert head["calibration_units"] == "1"  # nCi/cc
    factor = float(head["scale_factor"]) * float(head["calibration_factor"])
    kbq_ml = stored * (factor / float(head["isotope_branching_fraction"]) * 37 / 1000)
    expected = nib.load(truth / f"{stem}.pet_activity_kBq_mL.nii.gz").get_fdata()
    assert np.allclose(kbq_ml.transpose(2, 1, 0), expected, rtol=1e-6)
    assert expected.max() > 100


def test_activity_suv_dose_and_weight_agree(mice):
    image, truth = below(mice, "m02.pet.img")
    head, _ = read_image(image)
    known = json.loads((truth / "pet_ct.json").read_text())
    (animal,) = known["animals"]
    scan = datetime.strptime(head["scan_time"], "%a %b %d %H:%M:%S %Y")
    injected = datetime.strptime(head["injection_time"], "%a %b %d %H:%M:%S %Y")
    wait = (scan - injected).total_seconds()
    assert wait == 3600
    dose = float(head["dose"]) * 1e6 * 0.5 ** (wait / 6586.2)
    weight = float(head["subject_weight"])
    for tissue in animal["tissues"].values():
        suv = tissue["activity_kBq_mL"] * 1000 * weight / dose
        assert suv == pytest.approx(tissue["suv"], rel=1e-9)
    assert animal["tissues"]["kidney"]["suv"] == 4.2


def test_ct_is_in_hounsfield_units(mice):
    image, truth = below(mice, "m01.ct.img")
    head, stored = read_image(image)
    expected = nib.load(truth / "m01.ct_HU.nii.gz").get_fdata().transpose(2, 1, 0)
    assert head["modality"] == "1"
    noise = stored - expected
    assert abs(noise.mean()) < 0.1
    assert noise.std() == pytest.approx(12, rel=0.02)
    assert {-1000, 50, 600} <= set(np.unique(expected))


def test_the_kidney_lies_on_its_side(mice):
    """The larger tumour of the left flank: in RAS its x is negative."""
    _, truth = below(mice, "m01.pet.img")
    image = nib.load(truth / "m01.pet_activity_kBq_mL.nii.gz")
    known = json.loads((truth / "pet_ct.json").read_text())["animals"][0]
    values = image.get_fdata()
    tumour = known["tissues"]["tumour"]["activity_kBq_mL"]
    voxels = np.argwhere(np.isclose(values, tumour, rtol=1e-6))
    place = nib.affines.apply_affine(image.affine, voxels.mean(axis=0))
    centre = next(o["centre"] for o in known["organs"] if o["name"] == "tumour")
    assert np.allclose(place, [-centre[0], -centre[1], centre[2]], atol=1.2)


def test_the_hotel_has_three_animals_in_their_slots(mice):
    image, truth = below(mice, "hotel.pet.img")
    with image.with_name("hotel.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["position"] for row in rows] == ["top-left", "top-right", "bottom-left"]
    owners = nib.load(truth / "hotel.pet_animal.nii.gz").get_fdata().transpose(2, 1, 0)
    assert set(np.unique(owners)) == {0, 1, 2, 3}
    _, rows_of, columns_of = (
        [np.argwhere(owners == n)[:, k].mean() for n in (1, 2, 3)] for k in range(3)
    )
    assert columns_of[0] < columns_of[1]  # left of the image
    assert rows_of[0] < rows_of[2]  # top of the image
    doses = [float(row["dose_mbq"]) for row in rows]
    assert len(set(doses)) == 3


def test_without_the_options_nothing_is_added(tmp_path):
    write_mice(tmp_path / "a", MouseOptions(**{**WISH, "animals": 1}))
    assert not list((tmp_path / "a").rglob("*.img"))


def test_options_that_contradict(tmp_path):
    with pytest.raises(WrongCallError, match="3 animals"):
        MouseOptions(**{**WISH, "animals": 2}, hotel=True)
    with pytest.raises(WrongCallError, match="MiB"):
        MouseOptions(size="64", pet_ct=True)
    done = CliRunner().invoke(
        main, ["mouse", str(tmp_path / "x"), "--animals", "1", "--groups", "untreated", "--hotel"]
    )
    assert done.exit_code == 2


def test_the_same_options_give_the_same_bytes(mice, tmp_path):
    write_mice(tmp_path / "again", MouseOptions(**WISH, pet_ct=True, hotel=True))
    first = {p.relative_to(mice[0]): p.read_bytes() for p in mice[0].rglob("*.img*")}
    again = {
        p.relative_to(tmp_path / "again"): p.read_bytes()
        for p in (tmp_path / "again").rglob("*.img*")
    }
    assert first == again
    assert len(first) == 16
