"""Regions of published and synthetic data, against their truth."""

import json

import nibabel as nib
import numpy as np
import pytest

from pipelines.regions.rasterize import rasterize
from pipelines.regions.readers import read_regions
from pipelines.regions.volume import read_image

IBSI = "roi/ibsi/ibsi_validation"
PUBLISHED = {"MR_T1": 117145, "CT": 117145, "PET": 5095}
FORMS = {
    "axial": ("AIM", "RTSTRUCT", "SEG"),
    "enhanced_multiframe": ("AIM", "RTSTRUCT"),
}
CASES = [(form, kind) for form, kinds in FORMS.items() for kind in kinds]


def _published_points(path):
    """Patient LPS of every voxel of a NIfTI mask, by its affine alone."""
    mask = nib.load(path)
    index = np.argwhere(np.asarray(mask.dataobj) > 0)
    ras = nib.affines.apply_affine(mask.affine, index)
    return ras * [-1, -1, 1]


@pytest.mark.parametrize("modality", PUBLISHED)
def test_masks_of_sts_001_are_the_published_ones_voxel_for_voxel(shared_data, modality):
    folder = shared_data / IBSI / "dicom/STS_001" / modality
    image = read_image(folder / "image")
    (region,) = read_regions(folder / "mask" / "RS.dcm", image).regions
    found = rasterize(region, image)
    assert found.voxels == PUBLISHED[modality]
    lps = _published_points(shared_data / IBSI / f"nifti/STS_001/{modality}_mask.nii.gz")
    index = np.linalg.solve(image.affine, np.column_stack([lps, np.ones(len(lps))]).T)[:3]
    column, row, k = np.rint(index).astype(int)
    assert np.abs(index - np.rint(index)).max() < 0.01
    expected = np.zeros(image.shape, dtype=bool)
    expected[k, row, column] = True
    assert expected.sum() == PUBLISHED[modality]
    assert np.array_equal(found.mask, expected)


def test_the_published_nifti_mask_read_as_a_region_is_the_same(shared_data):
    image = read_image(shared_data / IBSI / "dicom/STS_001/PET/image")
    path = shared_data / IBSI / "nifti/STS_001/PET_mask.nii.gz"
    (region,) = read_regions(path, image).regions
    (drawn,) = read_regions(shared_data / IBSI / "dicom/STS_001/PET/mask/RS.dcm", image).regions
    assert np.array_equal(rasterize(region, image).mask, rasterize(drawn, image).mask)


def _synthetic(shared_data, form, kind):
    folder = shared_data / "roi/synthetic" / form
    image = read_image(folder / "image")
    (path,) = (folder / kind).iterdir()
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    return image, read_regions(path, image), truth


@pytest.mark.parametrize(("form", "kind"), CASES)
def test_every_value_of_the_synthetic_truth(shared_data, form, kind):
    image, drawn, truth = _synthetic(shared_data, form, kind)
    assert list(image.spacing) == pytest.approx(truth["pixel_spacing"])
    assert image.step_mm == pytest.approx(truth["slice_step"])
    assert image.row.tolist() == pytest.approx(truth["row"])
    assert image.column.tolist() == pytest.approx(truth["col"])
    assert {region.name for region in drawn.regions} == set(truth["rois"])
    for region in drawn.regions:
        true = truth["rois"][region.name]
        found = rasterize(region, image)
        assert found.voxels == true["voxels_pixel_centre"]
        assert np.flatnonzero(found.mask.any(axis=(1, 2))).tolist() == true["slices"]
        if kind == "SEG":
            continue
        used = found.areas_mm2[found.areas_mm2 > 0] / (image.spacing[0] * image.spacing[1])
        assert used == pytest.approx(true["area_px_per_slice"], rel=1e-6)
        assert found.areas_mm2.sum() * image.step_mm == pytest.approx(true["volume_mm3"], rel=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_of_one_drawing_give_one_mask(shared_data, form):
    masks = {}
    for kind in FORMS[form]:
        image, drawn, _ = _synthetic(shared_data, form, kind)
        masks[kind] = {one.name: rasterize(one, image).mask for one in drawn.regions}
    first = masks.pop("AIM")
    for others in masks.values():
        for name, mask in first.items():
            assert np.array_equal(mask, others[name]), name


@pytest.mark.parametrize("form", FORMS)
def test_the_shifted_twin_is_recognised_and_said(shared_data, form):
    _, drawn, _ = _synthetic(shared_data, form, "RTSTRUCT_halfpixel")
    (warning,) = drawn.warnings
    assert "shifted by half a pixel" in warning
    assert drawn.path.with_suffix(".xml").name in warning
    _, right, _ = _synthetic(shared_data, form, "RTSTRUCT")
    assert right.warnings == ()


def test_a_folder_with_a_drawing_and_its_twins_is_measured_once(shared_data):
    folder = shared_data / "roi/synthetic/enhanced_multiframe"
    image = read_image(folder / "image")
    drawn = read_regions(folder, image)
    assert [region.source for region in drawn.regions] == ["AIM"] * 4
    said = " ".join(drawn.warnings)
    assert said.count("The AIM file was used.") == 2
    assert said.count("shifted by half a pixel") == 1
