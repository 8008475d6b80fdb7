"""The values of a series, the names of their axes, and where they lie."""

from dataclasses import replace

import numpy as np
import pytest
from builder import AXIAL, CORONAL, SAGITTAL, make_pixels, make_reco, read_one
from cases import FIXTURES, mouse, synthetic_studies

import mri2dicom
from mri2dicom import Loop, RawSeries
from mri2dicom.dicom.planes import spacing_between_slices


def test_loops_come_before_slice_row_and_column(tmp_path):
    """Echoes vary fastest in the file, then slices, then repetitions."""
    pixels = make_pixels(2 * 3 * 4, (8, 6), "<i2")
    make_reco(
        tmp_path / "s",
        groups=[("FG_ECHO", 2), ("FG_SLICE", 3), ("FG_CYCLE", 4)],
        pixels=pixels,
        slope=0.5,
        offset=7.0,
    )
    series = read_one(tmp_path / "s")
    assert series.axes == ("time", "echo", "slice", "row", "column")
    found = series.values()
    assert found.shape == (4, 2, 3, 6, 8)
    assert found.dtype == np.float64
    expected = pixels.reshape(4, 3, 2, 6, 8).transpose(0, 2, 1, 3, 4) * 0.5 + 7.0
    np.testing.assert_array_equal(found, expected)


def test_each_plane_has_its_own_slope_and_offset(tmp_path):
    pixels = make_pixels(3, (8, 6), "<i2")
    slope, offset = np.array([1.0, 2.0, 4.0]), np.array([0.0, 10.0, -10.0])
    make_reco(tmp_path / "s", groups=[("FG_SLICE", 3)], pixels=pixels, slope=slope, offset=offset)
    expected = pixels.reshape(3, 6, 8) * slope[:, None, None] + offset[:, None, None]
    np.testing.assert_array_equal(read_one(tmp_path / "s").values(), expected)


def test_values_are_computed_in_blocks(tmp_path, monkeypatch):
    pixels = make_pixels(7, (8, 6), "<i2")
    make_reco(tmp_path / "s", groups=[("FG_SLICE", 7)], pixels=pixels)
    monkeypatch.setattr("mri2dicom.series.model._BLOCK_BYTES", 8 * 8 * 6 * 2)
    np.testing.assert_array_equal(read_one(tmp_path / "s").values(), pixels.reshape(7, 6, 8))


def test_planes_of_a_slab_are_slices(tmp_path):
    make_reco(tmp_path / "s", groups=[("FG_CYCLE", 2)], size=(8, 6, 5), thickness=5.0)
    series = read_one(tmp_path / "s")
    assert series.axes == ("time", "slice", "row", "column")
    assert series.values().shape == (2, 5, 6, 8)


def test_a_second_loop_of_one_meaning_has_a_number(tmp_path):
    make_reco(tmp_path / "s", groups=[("FG_SLICE", 2), ("FG_A", 3), ("FG_B", 4)])
    series = read_one(tmp_path / "s")
    assert series.axes == ("other_2", "other", "slice", "row", "column")
    assert series.values().shape == (4, 3, 2, 6, 8)


def test_loops_that_make_no_grid_are_refused(tmp_path):
    make_reco(tmp_path / "s", groups=[("FG_SLICE", 2), ("FG_CYCLE", 3)])
    series = read_one(tmp_path / "s")
    time = series.dimension(Loop.TIME)
    uneven = replace(time, index=np.array([0, 0, 0, 1, 1, 2]))
    odd = replace(series, dimensions=(series.dimension(Loop.SLICE), uneven))
    with pytest.raises(ValueError, match="do not make a grid"):
        odd.values()


def test_the_affine_of_a_stack(tmp_path):
    """Column, row and slice to millimetres, against the positions of the planes."""
    make_reco(tmp_path / "s", groups=[("FG_ECHO", 2), ("FG_SLICE", 4)], orientation=CORONAL)
    series = read_one(tmp_path / "s")
    planes = np.flatnonzero(series.dimension(Loop.ECHO).index == 1)
    for number, plane in enumerate(planes):
        np.testing.assert_allclose(
            series.affine @ (0, 0, number, 1), (*series.position_mm[plane], 1), atol=1e-6
        )
    along = (series.affine @ (1, 0, 0, 0))[:3], (series.affine @ (0, 1, 0, 0))[:3]
    np.testing.assert_allclose(along[0], series.spacing_mm[1] * CORONAL[0])
    np.testing.assert_allclose(along[1], series.spacing_mm[0] * CORONAL[1])


def test_one_slice_is_as_thick_as_it_says(tmp_path):
    make_reco(tmp_path / "s", frames=1, thickness=2.5)
    series = read_one(tmp_path / "s")
    np.testing.assert_allclose(series.affine[:3, 2], 2.5 * AXIAL[2])
    unknown = replace(series, thickness_mm=np.array([np.nan]))
    np.testing.assert_allclose(unknown.affine[:3, 2], AXIAL[2])


def _changed(series, **arrays):
    return replace(series, **{name: np.array(values) for name, values in arrays.items()})


def test_geometry_of_no_one_matrix_is_refused(tmp_path):
    make_reco(tmp_path / "s", groups=[("FG_SLICE", 3), ("FG_CYCLE", 2)])
    series = read_one(tmp_path / "s")
    turned = series.orientation.copy()
    turned[1::3] = SAGITTAL
    with pytest.raises(ValueError, match="not parallel"):
        _ = _changed(series, orientation=turned).affine
    for row, change in ((2, (0, 0, 0.1)), (4, (0, 0.1, 0)), (5, (0, 0, 5.0))):
        moved = series.position_mm.copy()
        moved[row] += change
        with pytest.raises(ValueError, match="no common spacing"):
            _ = _changed(series, position_mm=moved).affine
    flat = np.tile(series.position_mm[:1], (6, 1))
    with pytest.raises(ValueError, match="no common spacing"):
        _ = _changed(series, position_mm=flat).affine
    with pytest.raises(ValueError, match="size of a pixel"):
        _ = replace(series, spacing_mm=(np.nan, np.nan)).affine


def _check(series):
    """Axes fit the values, values are those of the planes, and an affine can be inverted."""
    found = series.values()
    assert found.ndim == len(series.axes)
    assert found.size == np.prod(series.pixels.shape)
    assert found.shape[-2:] == series.pixels.shape[1:]
    assert len(set(series.axes)) == len(series.axes)
    stored = series.pixels.array.astype(np.float64)
    planes = stored * series.slope[:, None, None] + series.offset[:, None, None]
    np.testing.assert_array_equal(np.sort(found, axis=None), np.sort(planes, axis=None))
    one_slice = len(np.unique(np.round(series.position_mm, 6), axis=0)) == 1
    if one_slice or (spacing_between_slices(series) is not None and series.stack.max() == 0):
        assert abs(np.linalg.det(series.affine)) > 0
        return True
    with pytest.raises(ValueError, match="no one matrix"):
        _ = series.affine
    return False


@pytest.mark.parametrize("name", FIXTURES)
def test_real_series(shared_data, name):
    for series in mri2dicom.read(shared_data / "paravision" / name):
        if isinstance(series, RawSeries):
            _check(series)


def test_real_pet(shared_data):
    read = [s for s in mri2dicom.read(shared_data / "inveon") if isinstance(s, RawSeries)]
    assert read
    assert all(_check(series) for series in read)


def test_synthetic_series(tmp_path):
    for study in synthetic_studies(tmp_path).values():
        for series in mri2dicom.read(study):
            if isinstance(series, RawSeries):
                _check(series)


def test_what_objects_show_of_themselves_is_short(tmp_path):
    study = mouse(tmp_path, "360.3.6")
    report = mri2dicom.convert(study, tmp_path / "out")
    shown = [*mri2dicom.read(study), *mri2dicom.inspect(study), *report.series, report]
    texts = [repr(one).replace(str(tmp_path), "") for one in shown]
    assert max(map(len, texts)) < 160
    assert any(t.startswith("<RawSeries 1/1 ") and ": localizer, " in t for t in texts)
    assert any(t.startswith("<Skipped ") for t in texts)
    assert any(t.startswith("<SeriesOverview 1/1 ") and ": localizer, " in t for t in texts)
    assert any(t.startswith("<SeriesResult 1/1 ") and ": converted, " in t for t in texts)
    assert texts[-1].startswith("<ConversionReport /out: ")
    assert texts[-1].endswith(" skipped>")
