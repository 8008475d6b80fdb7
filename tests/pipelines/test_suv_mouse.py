"""SUV of the digital mice all the way: Inveon files, DICOM, map; against what was put in."""

import json

import nibabel as nib
import numpy as np
import pytest

import mri2dicom
from pipelines.maps.suv import make_suv
from sandbox.mouse import MouseOptions, write_mice


@pytest.fixture(scope="module")
def mouse(tmp_path_factory):
    out = tmp_path_factory.mktemp("suv") / "mice"
    options = MouseOptions(
        size="SMALL", groups=("untreated",), timepoints=("pre",), animals=1, pet_ct=True
    )
    (study,) = write_mice(out, options)
    bed = study.path.parent / "m01_pre_petct"
    mri2dicom.convert(bed, out.with_name("dicom"))
    return out.with_name("dicom"), study.truth.parent / "m01_pre_petct"


def test_every_voxel_within_a_tenth_of_a_percent(mouse, tmp_path):
    dicom, truth = mouse
    summary = make_suv(dicom, tmp_path / "out", formats=("nifti",))
    known = json.loads((truth / "pet_ct.json").read_text())["animals"][0]
    factor = {t["suv"]: t["activity_kBq_mL"] for t in known["tissues"].values() if t["suv"]}
    activity = nib.load(truth / "m01.pet_activity_kBq_mL.nii.gz")
    found = nib.load(next((tmp_path / "out").glob("*_SUVbw.nii.gz")))
    # Both in RAS: the same voxels by their coordinates, whatever the order of the axes.
    voxels = np.argwhere(np.asarray(activity.dataobj) > 0)
    place = nib.affines.apply_affine(activity.affine, voxels)
    other = nib.affines.apply_affine(np.linalg.inv(found.affine), place)
    index = np.rint(other).astype(int)
    assert np.abs(other - index).max() < 1e-3
    values = np.asarray(found.dataobj)[tuple(index.T)]
    given = np.asarray(activity.dataobj)[tuple(voxels.T)]
    for suv, level in factor.items():
        here = np.isclose(given, level, rtol=1e-5)
        assert here.any()
        assert values[here].mean() == pytest.approx(suv, rel=1e-3)
        assert np.abs(values[here] - suv).max() <= 1e-3 * max(suv, 0.6)
    assert summary.warnings == []
