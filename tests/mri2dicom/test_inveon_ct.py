"""Inveon CT: Hounsfield units only where the image's own air proves them."""

import numpy as np
import pytest
from inveon_images import CT, TYPES, air_and_water, frame, write_image
from test_inveon_values import decoded, notes, written


@pytest.mark.parametrize(
    ("keys", "stored", "kind"),
    [
        ({}, lambda hu: hu, "HU"),
        ({"ct_hounsfield_scale": "0.5", "ct_hounsfield_offset": "200"},
         lambda hu: (hu - 200) * 2, "HU"),
        ({"ct_hounsfield_scale": "0.5", "ct_hounsfield_offset": "200"}, lambda hu: hu, "HU"),
        ({}, lambda hu: hu + 3000, "US"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("data_type", [2, 4, 6])
def test_hounsfield_units(tmp_path, keys, stored, kind, data_type):
    """Air near -1000 proves the unit: a scale in the header may be in the values already."""
    hu = air_and_water()
    voxels = stored(hu.astype(np.float64)).astype(TYPES[data_type])
    path = tmp_path / "in" / "a.ct.img"
    frames = [frame(0.0, 0.0, scale_factor=1)]
    write_image(path, CT, voxels, frames, data_type=data_type, **keys)
    files = written(tmp_path / "in")
    assert {ds.RescaleType for ds in files} == {kind}
    expected = hu[0] if kind == "HU" else voxels[0]
    np.testing.assert_allclose(decoded(files), expected, atol=0.05)
    assert ("not known to be Hounsfield" in notes(tmp_path / "in")) == (kind == "US")


@pytest.mark.parametrize(
    ("air", "planes", "rows", "kind"),
    [
        (-1000, 4, 3, "HU"),  # of 4 planes and 60 rows
        (-1000, 3, 3, "US"),
        (-850, 4, 60, "HU"),
        (-849, 4, 60, "US"),
        (-1150, 4, 60, "HU"),
        (-1151, 4, 60, "US"),
    ],
)
def test_five_per_cent_within_150_of_air_prove_the_unit(tmp_path, air, planes, rows, kind):
    voxels = np.zeros((1, 4, 60, 3), "<i2")
    voxels[:, :planes, :rows] = air
    path = tmp_path / "in" / "a.ct.img"
    write_image(path, CT, voxels, [frame(0.0, 0.0, scale_factor=1)], data_type=2)
    assert {ds.RescaleType for ds in written(tmp_path / "in")} == {kind}


def test_ct_attributes(tmp_path):
    write_image(tmp_path / "in" / "a.ct.img", CT, air_and_water(), [frame(0, 0, scale_factor=1)],
                data_type=2)  # fmt: skip
    ds = written(tmp_path / "in")[0]
    assert ds.SOPClassUID.name == "CT Image Storage"
    assert float(ds.KVP) == 80
    assert float(ds.XRayTubeCurrentInuA) == 500
    assert float(ds.ExposureTimeInuS) == 210_000
    assert float(ds.DistanceSourceToDetector) == 403.2
    assert float(ds.DistanceSourceToPatient) == 344
    assert ds.RotationDirection == "CC"
    assert ds.ConvolutionKernel == "Shepp 0.5"
    assert ds.FilterType == "Al 0.5 mm"
    assert ds.ImageType == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert ds.pixel_array.dtype == np.int16
