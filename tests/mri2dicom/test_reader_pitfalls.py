"""The known traps of ParaVision data, by their number in the list of `docs/vendors/bruker.md`.

Numbers 29, 34 and 35 are about writing and are tested with the writer.
"""

import numpy as np
import pytest
from builder import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    Raw,
    Word,
    make_pixels,
    make_reco,
    read_one,
)

from mri2dicom.series.geometry import in_stack_positions, measured_spacing
from mri2dicom.series.model import Loop, SeriesKind


def test_pitfall_01_run_lengths_also_inside_structs(tmp_path):
    make_reco(
        tmp_path / "s",
        version="360.3.6",
        groups=[("FG_SLICE", 6)],
        slope=[2.0] * 5 + [3.0],
        visu={
            "VisuCoreOrientation": Raw("( 6, 9 )\n@6*(1 @3*(0) 1 @3*(0) 1)"),
            "VisuCoreSlicePacksSlices": Raw("( 1 )\n@1*((0, 6))"),
        },
        method={"ExcPulse1": Raw("(1, 5400, 25, @3*(7) @2*(0), <a>)")},
    )
    assert "@5*(2.0)" in (tmp_path / "s/1/pdata/1/visu_pars").read_text("utf-8")
    series = read_one(tmp_path / "s")
    assert series.slope.tolist() == [2.0] * 5 + [3.0]
    np.testing.assert_array_equal(series.orientation, np.broadcast_to(np.eye(3), (6, 3, 3)))
    assert series.attributes["FlipAngle"] == 25
    assert series.warnings == ()


def test_pitfall_02_escaped_brackets_in_strings(tmp_path):
    make_reco(tmp_path / "s", visu={"VisuAcquisitionProtocol": "T2 <map> \\ (a, b) = @3*(c); d"})
    assert "\\<map\\>" in (tmp_path / "s/1/pdata/1/visu_pars").read_text("utf-8")
    assert read_one(tmp_path / "s").attributes["ProtocolName"] == "T2 <map> \\ (a, b) = @3*(c); d"


def test_pitfall_03_strings_wrapped_over_lines(tmp_path):
    make_reco(tmp_path / "s", visu={"VisuAcquisitionProtocol": Raw("( 65 )\n<one two \nthree>")})
    assert read_one(tmp_path / "s").attributes["ProtocolName"] == "one two three"


def test_pitfall_04_comments_between_values(tmp_path):
    make_reco(
        tmp_path / "s",
        groups=[("FG_SLICE", 3)],
        visu={"VisuCoreDataSlope": Raw("( 3 )\n1 2\n$$ @vis= VisuCoreDataSlope ( 9 )\n3")},
    )
    assert read_one(tmp_path / "s").slope.tolist() == [1, 2, 3]


def test_pitfall_05_labels_in_utf8(tmp_path):
    make_reco(
        tmp_path / "s",
        version="360.3.6",
        groups=[("FG_ISA", 2, "T2", ["VisuFGElemComment", "VisuCoreDataUnits"])],
        dtype="<f4",
        visu={"VisuFGElemComment": ["σ of T2", "χ²"], "VisuCoreDataUnits": ["ms", ""]},
    )
    series = read_one(tmp_path / "s")
    assert series.dimensions[0].labels == ("σ of T2", "χ²")
    assert series.unit == ("ms", "")


@pytest.mark.parametrize("version", ["5.1", "6.0.1"])
@pytest.mark.parametrize("form", ["PHASE_IMAGE", "( 1 )\nPHASE_IMAGE"])
def test_pitfall_06_scalars_and_arrays_of_one(tmp_path, version, form):
    visu = {
        "VisuCoreFrameType": Raw(form),
        "VisuCoreDataSlope": Raw("0.5" if "(" not in form else "( 1 )\n0.5"),
        "VisuAcqEchoTime": Raw("7"),
    }
    make_reco(tmp_path / "s", version=version, groups=[("FG_SLICE", 4)], visu=visu)
    series = read_one(tmp_path / "s")
    assert series.attributes["ComplexImageComponent"] == "PHASE"
    assert series.slope.tolist() == [0.5] * 4
    assert series.attributes["EchoTime"] == 7


def test_pitfall_07_echo_fastest(tmp_path):
    position = np.array([[0, 0, k] for k in range(5)], float)
    make_reco(
        tmp_path / "s",
        groups=[
            ("FG_ECHO", 3, "", ["VisuAcqEchoTime"]),
            ("FG_SLICE", 5, "", ["VisuCorePosition"]),
        ],
        position=position,
        visu={"VisuAcqEchoTime": [10.0, 20.0, 30.0]},
    )
    series = read_one(tmp_path / "s")
    assert series.plane_attributes["EchoTime"] == [10.0, 20.0, 30.0] * 5
    assert series.plane_attributes["EchoNumbers"] == [1, 2, 3] * 5
    np.testing.assert_array_equal(series.position_mm, np.repeat(position, 3, axis=0))
    echo, slices = series.dimensions
    assert (echo.loop, slices.loop) == (Loop.ECHO, Loop.SLICE)
    assert slices.index.tolist() == sorted([0, 1, 2, 3, 4] * 3)
    np.testing.assert_array_equal(series.pixels.array, make_pixels(15, (8, 6), "<i2"))


def test_pitfall_08_slopes_differ_between_frames(tmp_path):
    """Peer defect: the first slope applied to all."""
    slope = [5.7e-10, 8.3e-13, 1.0, 4.5]
    offset = [0.0, 1.0, -2.0, 1e-7]
    make_reco(
        tmp_path / "s",
        groups=[("FG_ISA", 2, "", ["VisuCoreDataUnits"]), ("FG_SLICE", 2)],
        slope=slope,
        offset=offset,
    )
    series = read_one(tmp_path / "s")
    assert series.slope.tolist() == slope
    assert series.offset.tolist() == offset


def test_pitfall_08_slopes_that_follow_one_loop(tmp_path):
    make_reco(
        tmp_path / "s",
        groups=[("FG_ISA", 2, "", ["VisuCoreDataSlope"]), ("FG_SLICE", 3)],
        slope=[2.0, 7.0],
    )
    assert read_one(tmp_path / "s").slope.tolist() == [2.0, 7.0] * 3


def test_pitfall_09_map_slope_is_the_reciprocal(tmp_path):
    """Peer defect: RECO_map_slope taken as the slope."""
    make_reco(
        tmp_path / "s",
        groups=[("FG_SLICE", 2)],
        visu={"VisuCoreDataSlope": None, "VisuCoreDataOffs": None},
        reco={"RECO_map_slope": [4.0, 0.5]},
    )
    series = read_one(tmp_path / "s")
    assert series.slope.tolist() == [0.25, 2.0]
    assert any("RECO_map_slope" in text for text in series.warnings)


def test_pitfall_09_without_any_slope_there_is_a_warning(tmp_path):
    make_reco(tmp_path / "s", visu={"VisuCoreDataSlope": None})
    series = read_one(tmp_path / "s")
    assert series.slope.tolist() == [1.0]
    assert any("No scaling" in text for text in series.warnings)


TRIPILOT = {
    "groups": [("FG_SLICE", 3, "", ["VisuCoreOrientation", "VisuCorePosition"])],
    "orientation": [AXIAL, SAGITTAL, CORONAL],
    "position": [[-19.2, -18.7, -0.1], [0, -19.2, 19.2], [-19.2, 3.4, 19.3]],
}


@pytest.mark.parametrize("packages", [None, [1, 1, 1]])
def test_pitfall_10_a_tripilot_is_three_stacks(tmp_path, packages):
    make_reco(tmp_path / "s", packages=packages, **TRIPILOT)
    series = read_one(tmp_path / "s")
    assert series.stack.tolist() == [0, 1, 2]
    assert series.kind is SeriesKind.LOCALIZER


def test_pitfall_10_packages_of_differing_lengths(tmp_path):
    axes = [AXIAL] * 2 + [CORONAL] * 3 + [SAGITTAL]
    position = [[0, 0, 0], [0, 0, 2], [0, 0, 0], [0, 1, 0], [0, 2, 0], [0, 0, 0]]
    for name, packages in (("declared", [2, 3, 1]), ("seen", None)):
        make_reco(
            tmp_path / name,
            groups=[("FG_SLICE", 6, "", ["VisuCoreOrientation", "VisuCorePosition"])],
            orientation=axes,
            position=position,
            packages=packages,
        )
        assert read_one(tmp_path / name).stack.tolist() == [0, 0, 1, 1, 1, 2], name


def test_pitfall_11_square_frames_that_are_transposed_stay_as_they_are(tmp_path):
    pixels = make_pixels(3, (6, 6), "<i2")
    visu = {"VisuCoreTransposition": [0, 1, 1]}
    make_reco(tmp_path / "s", size=(6, 6), pixels=pixels, visu=visu, **TRIPILOT)
    series = read_one(tmp_path / "s")
    np.testing.assert_array_equal(series.pixels.array, pixels)
    np.testing.assert_array_equal(series.orientation[1], SAGITTAL)
    assert series.plane_attributes["InPlanePhaseEncodingDirection"] == ["COL", "ROW", "ROW"]


def test_pitfall_12_non_square_frames_that_differ_in_transposition_are_transposed(tmp_path):
    frames = make_pixels(3, (8, 6), "<i2")
    stored = b"".join([frames[0].tobytes(), frames[1].T.tobytes(), frames[2].T.tobytes()])
    visu = {"VisuCoreTransposition": [0, 1, 1]}
    make_reco(tmp_path / "s", size=(8, 6), pixels=stored, visu=visu, **TRIPILOT)
    series = read_one(tmp_path / "s")
    np.testing.assert_array_equal(series.pixels.array, frames)
    np.testing.assert_array_equal(series.pixels.read_planes(1, 2), frames[1:2])
    assert any("check them by eye" in text for text in series.warnings)


@pytest.mark.parametrize("turns", [[1, 1, 1], [0, 0, 0], None])
def test_pitfall_12_frames_of_one_transposition_are_left_alone(tmp_path, turns):
    make_reco(tmp_path / "s", visu={"VisuCoreTransposition": turns}, **TRIPILOT)
    series = read_one(tmp_path / "s")
    np.testing.assert_array_equal(series.pixels.array, make_pixels(3, (8, 6), "<i2"))
    assert not any("by eye" in text for text in series.warnings)


def slab(tmp_path, order):
    """A slab of eight planes of 1 mm whose centre lies at y = +4, lowest plane at 0.5."""
    make_reco(
        tmp_path / "s",
        size=(8, 6, 8),
        groups=[("FG_ECHO", 2, "", ["VisuAcqEchoTime"])],
        orientation=CORONAL,
        position=[-4, 0.5, 3],
        extent=[8, 6, 8],
        thickness=8.0,
        visu={"VisuAcqEchoTime": [3.0, 9.0], "VisuCoreDiskSliceOrder": order},
    )
    return read_one(tmp_path / "s")


def test_pitfall_13_planes_in_reversed_disk_order(tmp_path):
    """Peer defect: the slab mirrored, its first stored plane at the given position."""
    series = slab(tmp_path, Word("disk_reverse_slice_order"))
    heights = series.position_mm.reshape(2, 8, 3)
    np.testing.assert_allclose(heights[0, :, 1], [7.5, 6.5, 5.5, 4.5, 3.5, 2.5, 1.5, 0.5])
    np.testing.assert_allclose(heights[1], heights[0])
    np.testing.assert_allclose(heights[..., [0, 2]], np.broadcast_to([-4.0, 3.0], (2, 8, 2)))
    assert heights[0, :, 1].mean() == 4.0
    np.testing.assert_array_equal(
        series.pixels.array, make_pixels(2, (8, 6, 8), "<i2").reshape(16, 6, 8)
    )


@pytest.mark.parametrize("order", [None, Word("disk_normal_slice_order")])
def test_pitfall_13_planes_in_normal_disk_order(tmp_path, order):
    series = slab(tmp_path, order)
    np.testing.assert_allclose(series.position_mm[:8, 1], np.arange(8) + 0.5)
    assert series.stack.tolist() == [0] * 16
    assert series.plane_attributes["EchoTime"] == [3.0] * 8 + [9.0] * 8


def test_pitfall_14_slices_against_the_normal(tmp_path):
    """Peer defect: slices put in the order of the normal, or mirrored."""
    position = [[1, 2, 3 - 0.8 * k] for k in range(4)]
    make_reco(tmp_path / "s", groups=[("FG_SLICE", 4)], position=position)
    series = read_one(tmp_path / "s")
    np.testing.assert_allclose(series.position_mm, position)
    assert series.stack.tolist() == [0, 0, 0, 0]
    numbers = in_stack_positions(series.position_mm, series.orientation, series.stack)
    assert numbers.tolist() == [4, 3, 2, 1]
    assert measured_spacing(series.position_mm, series.orientation) == pytest.approx(0.8)


def test_pitfall_15_the_pitch_is_measured(tmp_path):
    """Peer defect: the pitch believed of VisuCoreSlicePacksSliceDist."""
    make_reco(
        tmp_path / "s",
        groups=[("FG_SLICE", 5)],
        packages=[5],
        position=[[0, 0, 1.3 * k] for k in range(5)],
        visu={"VisuCoreSlicePacksSliceDist": [0.0469]},
    )
    series = read_one(tmp_path / "s")
    assert measured_spacing(series.position_mm, series.orientation) == pytest.approx(1.3)


def test_pitfall_16_slices_that_overlap(tmp_path):
    position = [[0, 0, 0.5 * k] for k in range(5)]
    make_reco(tmp_path / "s", groups=[("FG_SLICE", 5)], position=position, thickness=0.8)
    series = read_one(tmp_path / "s")
    assert measured_spacing(series.position_mm, series.orientation) == pytest.approx(0.5)
    assert set(series.thickness_mm) == {0.8}
    assert set(series.stack) == {0}
