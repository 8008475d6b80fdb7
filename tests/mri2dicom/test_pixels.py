"""Stored pixels: the scanner's bytes where they fit 16 bits, a slope for each plane where not."""

import numpy as np
import pytest
from builder import AXIAL, CORONAL, make_pixels, make_reco, read_one
from cases import converted, datasets
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mri2dicom.dicom.pixels import PixelFormat, stored_plane

SIGNED = PixelFormat(np.dtype("<i2"), True)
UNSIGNED = PixelFormat(np.dtype("<u2"), True)
PLANES = hnp.arrays(
    "f4", (3, 4), elements=st.floats(-(2.0**99), 2.0**99, width=32, allow_subnormal=False)
)


def real(stored):
    return stored.pixels.astype(float) * stored.slope + stored.offset


@given(PLANES, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_the_error_is_at_most_half_a_step(plane, slope, offset):
    stored = stored_plane(plane, slope, offset, SIGNED)
    exact = plane.astype(float) * slope + offset
    step = (exact.max() - exact.min()) / 65535
    rounding = 1e-12 * np.abs(exact).max()
    assert np.abs(real(stored) - exact).max() <= step / 2 + rounding
    assert stored.not_finite == 0


@given(hnp.arrays("f4", (3, 4), elements=st.floats(0, 2.0**99, width=32, allow_subnormal=False)))
def test_zero_stays_zero_in_a_magnitude(plane):
    stored = stored_plane(plane, 2.0, 0.0, UNSIGNED)
    assert stored.offset == 0.0 or plane.min() == plane.max()
    if plane.min() != plane.max():
        assert (real(stored)[plane == 0] == 0).all()


@given(hnp.arrays("i4", (3, 4), elements=st.integers(-(2**15), 2**15 - 1)))
def test_whole_numbers_that_fit_are_kept(plane):
    stored = stored_plane(plane, 0.3, 7.0, SIGNED)
    np.testing.assert_array_equal(stored.pixels, plane)
    assert (stored.slope, stored.offset) == (0.3, 7.0)


@pytest.mark.parametrize("target", [SIGNED, UNSIGNED])
@pytest.mark.parametrize("value", [0.0, 5.5, -3.0])
def test_one_value_everywhere(target, value):
    plane = np.full((2, 2), value, dtype="f4")
    np.testing.assert_allclose(real(stored_plane(plane, 2.0, 1.0, target)), 2 * value + 1)


def test_values_that_are_no_number():
    plane = np.array([[np.nan, np.inf], [-np.inf, 8.0], [2.0, 4.0]], dtype="f4")
    stored = stored_plane(plane, 1.0, 0.0, SIGNED)
    values = real(stored)
    assert stored.not_finite == 3
    assert values[0, 1] == pytest.approx(8.0)
    assert values[1, 0] == pytest.approx(2.0)
    assert values[0, 0] == pytest.approx(2.0)  # zero lies below the lowest value
    assert values[1, 1] == pytest.approx(8.0)


def test_nothing_but_values_that_are_no_number():
    stored = stored_plane(np.full((2, 2), np.nan, dtype="f4"), 1.0, 0.0, UNSIGNED)
    assert stored.not_finite == 4
    assert (real(stored) == 0).all()


@pytest.mark.parametrize(
    ("dtype", "frame_type", "signed"),
    [
        ("<i2", "MAGNITUDE_IMAGE", 1),
        (">i2", "MAGNITUDE_IMAGE", 1),
        ("u1", "MAGNITUDE_IMAGE", 0),
        ("<i4", "MAGNITUDE_IMAGE", 0),
        ("<f4", "MAGNITUDE_IMAGE", 0),
        ("<f4", "PHASE_IMAGE", 1),
    ],
)
@pytest.mark.parametrize("enhanced", [False, True])
def test_every_word_type_gives_the_values_of_the_source(
    tmp_path, dtype, frame_type, signed, enhanced
):
    pixels = make_pixels(3, (8, 6), dtype)
    if dtype == "<i4":
        pixels = pixels * 4000
    slope, offset = [0.5, 2.0, 3.0], [0.0, 10.0, -7.0]
    make_reco(
        tmp_path / "in",
        groups=[("FG_SLICE", 3)],
        dtype=dtype,
        pixels=pixels,
        slope=slope,
        offset=offset,
        frame_type=frame_type,
    )
    exact = pixels.astype(float) * np.reshape(slope, (3, 1, 1)) + np.reshape(offset, (3, 1, 1))
    (one,) = converted(tmp_path / "in", tmp_path / "out", enhanced=enhanced).series
    files = datasets(one.path)
    assert {ds.PixelRepresentation for ds in files} == {signed}
    found = np.concatenate([scaled(ds) for ds in files])
    wide = np.dtype(dtype).itemsize == 4
    # A magnitude spans from zero on, so that zero stays zero.
    low = pixels.min(axis=(1, 2)) if signed else np.minimum(pixels.min(axis=(1, 2)), 0)
    span = (pixels.max(axis=(1, 2)) - low) * np.array(slope)
    step = span.max() / 65535 if wide else 0.0
    assert np.abs(found - exact).max() <= step * 0.501 + 1e-6
    assert bool(one.warnings) == wide
    if not wide:
        raw = np.concatenate([ds.pixel_array.reshape(-1, 6, 8) for ds in files])
        np.testing.assert_array_equal(raw, pixels)


def scaled(ds):
    """Apply slope and intercept where readers look for them: at the top, or in each frame."""
    raw = ds.pixel_array.astype(float).reshape(-1, ds.Rows, ds.Columns)
    if "RescaleSlope" in ds:
        return raw * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    result = []
    shared = ds.SharedFunctionalGroupsSequence[0]
    for frame, plane in zip(ds.PerFrameFunctionalGroupsSequence, raw, strict=True):
        group = frame if "PixelValueTransformationSequence" in frame else shared
        item = group.PixelValueTransformationSequence[0]
        result.append(plane * float(item.RescaleSlope) + float(item.RescaleIntercept))
    return np.array(result)


def test_transposed_planes_are_written_as_they_are_read(tmp_path):
    """Frames stored with their sizes exchanged come out as the reader gives them."""
    pixels = make_pixels(2, (8, 6), "<i2")
    make_reco(
        tmp_path / "in",
        groups=[("FG_SLICE", 2)],
        pixels=pixels,
        orientation=np.array([AXIAL, CORONAL]),
        position=np.zeros((2, 3)),
        visu={"VisuCoreTransposition": [0, 1]},
    )
    series = read_one(tmp_path / "in")
    assert series.pixels.transposed == (1,)
    (one,) = converted(tmp_path / "in", tmp_path / "out").series
    found = np.array([ds.pixel_array for ds in datasets(one.path)])
    np.testing.assert_array_equal(found[0], pixels[0])
    np.testing.assert_array_equal(found[1], pixels[1].reshape(8, 6).T)
