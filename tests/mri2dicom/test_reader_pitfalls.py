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
    make_uid,
    read_all,
    read_one,
    read_skipped,
)

from mri2dicom.geometry import in_stack_positions, measured_spacing
from mri2dicom.model import Kind, Loop, Skipped


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


def test_pitfall_09_without_any_slope_the_user_is_told(tmp_path):
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
    assert series.kind is Kind.LOCALIZER


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


def test_pitfall_12_frames_not_square_that_differ_in_transposition_are_turned_back(tmp_path):
    frames = make_pixels(3, (8, 6), "<i2")
    stored = b"".join([frames[0].tobytes(), frames[1].T.tobytes(), frames[2].T.tobytes()])
    visu = {"VisuCoreTransposition": [0, 1, 1]}
    make_reco(tmp_path / "s", size=(8, 6), pixels=stored, visu=visu, **TRIPILOT)
    series = read_one(tmp_path / "s")
    np.testing.assert_array_equal(series.pixels.array, frames)
    np.testing.assert_array_equal(series.pixels.planes(1, 2), frames[1:2])
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


def test_pitfall_17_the_thickness_of_a_plane_of_a_slab(tmp_path):
    series = slab(tmp_path, None)
    assert series.thickness_mm.tolist() == [1.0] * 16
    assert series.spacing_mm == (1.0, 1.0)
    assert series.attributes["MRAcquisitionType"] == "3D"


def test_pitfall_17_slabs_of_their_own(tmp_path):
    make_reco(
        tmp_path / "s",
        size=(8, 6, 4),
        groups=[("FG_SLICE", 2, "", ["VisuCorePosition"])],
        position=[[0, 0, 0], [0, 0, 40]],
        extent=[8, 6, 8],
    )
    series = read_one(tmp_path / "s")
    assert series.position_mm[:, 2].tolist() == [0, 2, 4, 6, 40, 42, 44, 46]
    assert series.stack.tolist() == [0] * 4 + [1] * 4


@pytest.mark.parametrize("dtype", ["<i4", "<f4"])
@pytest.mark.parametrize("derived", [True, False])
def test_pitfall_18_maps_of_32_bits(tmp_path, dtype, derived):
    pixels = make_pixels(2, (8, 6), dtype)
    groups = [("FG_ISA", 2, "", ["VisuFGElemComment", "VisuCoreDataUnits"])] if derived else []
    make_reco(
        tmp_path / "s",
        frames=2,
        groups=groups or [("FG_SLICE", 2)],
        dtype=dtype,
        pixels=pixels,
        frame_type="REAL_IMAGE" if derived else "MAGNITUDE_IMAGE",
        visu={
            "VisuFGElemComment": ["T2 relaxation time", "sd of T2"] if derived else None,
            "VisuCoreDataUnits": ["ms", "ms"] if derived else None,
            "VisuSeriesTypeId": "DERIVED_ISA" if derived else "ACQ_BRUKER_PVM",
        },
    )
    series = read_one(tmp_path / "s")
    assert series.pixels.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(series.pixels.array, pixels)
    assert series.is_quantity == derived
    assert (series.kind is Kind.DERIVED) == derived
    assert series.attributes["ImageIsDerived"] == derived
    if derived:
        assert series.unit == ("ms", "ms")
        assert series.dimension(Loop.MAP).labels == ("T2 relaxation time", "sd of T2")


COMPLEX = [
    ("nothing", [], "COMPLEX_IMAGE"),
    ("one type", [("FG_SLICE", 3)], "COMPLEX_IMAGE"),
    ("group", [("FG_SLICE", 3), ("FG_COMPLEX", 2)], "COMPLEX_IMAGE"),
    ("types", [("FG_SLICE", 3), ("FG_COMPLEX", 2)], ["REAL_IMAGE", "IMAGINARY_IMAGE"]),
    ("old spelling", [("FG_SLICE", 3)], ["REAL_IMAGE"] * 3 + ["IMAGINERY_IMAGE"] * 3),
    ("even", [("FG_SLICE", 2), ("FG_COMPLEX", 2)], ["REAL_IMAGE", "IMAGINARY_IMAGE"]),
    ("two loops", [("FG_ECHO", 2), ("FG_SLICE", 2)], "COMPLEX_IMAGE"),
]


@pytest.mark.parametrize(("groups", "types"), [c[1:] for c in COMPLEX], ids=[c[0] for c in COMPLEX])
def test_pitfall_19_all_real_frames_first_and_then_all_imaginary(tmp_path, groups, types):
    whole = int(np.prod([group[1] for group in groups])) if groups else 1
    frames = whole if any(group[0] == "FG_COMPLEX" for group in groups) else 2 * whole
    make_reco(tmp_path / "s", groups=groups, frames=frames, frame_type=types)
    series = read_one(tmp_path / "s")
    parts = series.plane_attributes["ComplexImageComponent"]
    assert parts == ["REAL"] * (frames // 2) + ["IMAGINARY"] * (frames // 2)
    half = frames // 2
    np.testing.assert_array_equal(series.position_mm[:half], series.position_mm[half:])
    assert series.stack[:half].tolist() == series.stack[half:].tolist()
    assert series.dimension(Loop.COMPLEX).index.tolist() == [0] * half + [1] * half
    assert series.kind is Kind.PHASE or len(groups) > 1


def test_pitfall_19_the_scaling_of_parts(tmp_path):
    make_reco(
        tmp_path / "s", groups=[("FG_SLICE", 2)], frames=4, frame_type="COMPLEX_IMAGE",
        slope=[1.0, 2.0, 3.0, 4.0],
    )  # fmt: skip
    assert read_one(tmp_path / "s").slope.tolist() == [1, 2, 3, 4]


def test_pitfall_20_no_direction_without_weighting(tmp_path):
    """The rest of diffusion is in test_diffusion.py."""
    matrices = np.array([np.diag([10.0, 5, 5]), np.diag([1000.0, 5, 5])])
    make_reco(
        tmp_path / "s",
        groups=[("FG_DIFFUSION", 2, "", ["VisuAcqDiffusionBMatrix"])],
        visu={"VisuAcqDiffusionBMatrix": matrices},
    )
    planes = read_one(tmp_path / "s").plane_attributes
    assert planes["DiffusionBValue"] == [20.0, 1010.0]
    assert planes["DiffusionDirectionality"] == ["NONE", "BMATRIX"]
    assert planes["DiffusionGradientOrientation"][0] is None
    assert planes["DiffusionBMatrix"][0] is None
    assert planes["DiffusionBMatrix"][1] == [1000, 0, 0, 5, 0, 5]
    np.testing.assert_allclose(planes["DiffusionGradientOrientation"][1], [1, 0, 0])


def test_pitfall_21_diffusion_is_a_movie_in_5_1(tmp_path):
    make_reco(
        tmp_path / "s",
        version="5.1",
        groups=[("FG_SLICE", 2), ("FG_MOVIE", 3, "diffusion")],
        method={"Method": Word("DtiEpi"), "PVM_DwEffBval": [20.0, 500.0, 1000.0]},
    )
    series = read_one(tmp_path / "s")
    assert series.kind is Kind.DIFFUSION
    assert series.dimension(Loop.DIFFUSION).source == "FG_MOVIE"
    assert series.plane_attributes["DiffusionBValue"] == [20, 20, 500, 500, 1000, 1000]


def test_pitfall_21_another_movie_is_no_diffusion(tmp_path):
    make_reco(
        tmp_path / "s",
        version="5.1",
        groups=[("FG_MOVIE", 3)],
        method={"PVM_DwEffBval": [20.0, 500.0, 1000.0]},
    )
    series = read_one(tmp_path / "s")
    assert series.dimension(Loop.DIFFUSION) is None
    assert "DiffusionBValue" not in series.plane_attributes


def test_pitfall_22_hz_are_divided_by_mhz(tmp_path):
    """The rest of CEST is in test_reader_cest.py."""
    make_reco(
        tmp_path / "s",
        version="360.3.6",
        groups=[("FG_CYCLE", 2)],
        method={
            "PVM_SatTransOnOff": Word("On"),
            "PVM_SatTransFreqValues": [-1681.6, 1681.6],
            "PVM_SatTransFreqUnit": Word("unit_hz"),
            "PVM_FrqWork": [400.38072396468129],
        },
    )
    private = read_one(tmp_path / "s").private
    assert private["SaturationOffsetHz"] == [-1681.6, 1681.6]
    np.testing.assert_allclose(private["SaturationOffsetPpm"], [-4.200002396, 4.200002396])


@pytest.mark.parametrize(
    ("kinds", "size"),
    [
        (["spectroscopic", "spatial", "spatial"], (16, 4, 4)),
        (["temporal", "spatial"], (16, 4)),
        (["spectroscopic"], (16,)),
    ],
)
def test_pitfall_23_spectroscopy_is_skipped(tmp_path, kinds, size):
    """Peer defect: a CSI data set with three axes converted as a volume."""
    visu = {
        "VisuCoreDimDesc": [Word(kind) for kind in kinds],
        "VisuCorePosition": None,
        "VisuCoreOrientation": None,
    }
    make_reco(tmp_path / "s", size=size, visu=visu)
    series = read_skipped(tmp_path / "s")
    assert not series.damaged
    assert "Spectroscopy" in series.reason
    assert kinds[0] in series.reason
    assert series.attributes["ProtocolName"] == "scan_1"


def test_pitfall_23_one_axis_is_no_image(tmp_path):
    make_reco(tmp_path / "s", size=(16,))
    series = read_skipped(tmp_path / "s")
    assert "One-dimensional" in series.reason
    assert not series.damaged


def test_pitfall_23_a_csi_method_with_spatial_axes_is_an_image(tmp_path):
    make_reco(tmp_path / "s", size=(8, 6, 4), visu={"VisuAcqSequenceName": "Bruker:CSI"})
    assert read_one(tmp_path / "s").planes == 4


@pytest.mark.parametrize("with_visu", [True, False])
def test_pitfall_24_an_aborted_scan(tmp_path, with_visu):
    folder = make_reco(tmp_path / "s", pixels=b"", method={})
    make_reco(tmp_path / "s", expno=2)
    if not with_visu:
        (folder / "visu_pars").unlink()
    aborted, whole = read_all(tmp_path / "s")
    assert isinstance(aborted, Skipped)
    assert "aborted" in aborted.reason
    assert not aborted.damaged
    assert whole.expno == 2


def test_pitfall_24_a_scan_without_reconstruction(tmp_path):
    make_reco(tmp_path / "s", expno=3)
    for empty in ("4", "5/pdata"):
        (tmp_path / "s" / empty).mkdir(parents=True)
        (tmp_path / "s" / empty[0] / "method").write_text("##TITLE=x\n##END=\n", "utf-8")
    found = {series.expno: series for series in read_all(tmp_path / "s")}
    assert sorted(found) == [3, 4, 5]
    for expno in (4, 5):
        assert "No reconstruction" in found[expno].reason
        assert not found[expno].damaged


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("version", ["5.1", "6.0.1", "360.3.6"])
def test_pitfall_25_image_and_visu_are_enough(tmp_path, version, flat):
    folder = make_reco(tmp_path / "s", version=version, groups=[("FG_SLICE", 3)])
    assert sorted(p.name for p in (tmp_path / "s").rglob("*") if p.is_file()) == [
        "2dseq", "visu_pars",
    ]  # fmt: skip
    if flat:
        folder = folder.rename(tmp_path / "some folder")
    series = read_one(folder if flat else tmp_path / "s")
    assert series.planes == 3
    assert series.attributes["PatientID"] == "m01"
    assert (series.expno, series.procno) == (1, 1)


def test_pitfall_25_a_study_without_uid_gets_one_that_stays(tmp_path):
    for name in ("a", "b"):
        make_reco(tmp_path / name / "s", visu={"VisuStudyUid": None})
    first, second = (read_one(tmp_path / name).identity.study_uid for name in ("a", "b"))
    assert first == second
    assert first.startswith("2.25.")
    make_reco(tmp_path / "c/s", visu={"VisuStudyUid": None, "VisuSubjectId": "other"})
    assert read_one(tmp_path / "c").identity.study_uid != first


def test_pitfall_26_several_recos_of_one_scan(tmp_path):
    same = {"VisuSeriesComment": "same words"}
    make_reco(tmp_path / "s", procno=1, visu=same, slope=9.18)
    make_reco(tmp_path / "s", procno=2, visu=same, size=(4, 4), dtype="<f4", slope=1.0)
    make_reco(tmp_path / "s", procno=10, visu=same, size=(5, 5), dtype="u1")
    found = read_all(tmp_path / "s")
    assert [series.procno for series in found] == [1, 2, 10]
    assert [series.pixels.shape[1:] for series in found] == [(6, 8), (4, 4), (5, 5)]
    assert [series.pixels.dtype.str[1:] for series in found] == ["i2", "f4", "u1"]
    assert [series.slope[0] for series in found] == [9.18, 1.0, 1.0]
    assert len({series.identity.content for series in found}) == 3
    assert {series.attributes["SeriesDescription"] for series in found} == {"same words"}


@pytest.mark.parametrize("name", ["2dseq", "visu_pars"])
def test_pitfall_27_git_lfs_pointer(tmp_path, name):
    folder = make_reco(tmp_path / "s")
    (folder / name).write_bytes(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    )
    series = read_skipped(tmp_path / "s")
    assert series.damaged
    assert "git lfs pull" in series.reason


def test_pitfall_27_truncated_image(tmp_path):
    folder = make_reco(tmp_path / "s", groups=[("FG_SLICE", 4)])
    (folder / "2dseq").write_bytes((folder / "2dseq").read_bytes()[:-96])
    series = read_skipped(tmp_path / "s")
    assert series.damaged
    assert "cut off" in series.reason


@pytest.mark.parametrize("version", ["5.1", "6.0.1"])
def test_pitfall_28_the_folder_names_the_scan_and_the_file_the_uid(tmp_path, version):
    folder = make_reco(tmp_path / "s", version=version, expno=400)
    (tmp_path / "s/400").rename(tmp_path / "s/100")
    series = read_one(tmp_path / "s")
    assert (series.expno, series.procno) == (100, 1)
    assert any("called 100 and the file says scan 400" in text for text in series.warnings)
    assert series.identity.content.startswith(make_uid("s", 400, 1))
    assert folder.name == "1"


@pytest.mark.parametrize(
    ("nucleus", "frequency", "field"),
    [
        ("1H", 300.319057, 7.0535),
        (" 19F ", 282.57, 7.0506),
        ("13C", 75.52, 7.0524),
        ("31P", 121.58, 7.0475),
        ("23Na", 79.45, 7.0500),
        ("2H", 46.10, 7.0533),
        ("99X", 50.0, None),
    ],
)
def test_pitfall_30_other_nuclei(tmp_path, nucleus, frequency, field):
    make_reco(
        tmp_path / "s",
        visu={"VisuAcqImagedNucleus": nucleus, "VisuAcqImagingFrequency": frequency},
    )
    attributes = read_one(tmp_path / "s").attributes
    assert attributes["ImagedNucleus"] == nucleus.strip()
    assert attributes["ImagingFrequency"] == frequency
    assert attributes.get("MagneticFieldStrength") == (
        None if field is None else pytest.approx(field, abs=2e-3)
    )


@pytest.mark.parametrize("kind", ["i2", "i4", "f4", "u1"])
def test_pitfall_31_big_endian(tmp_path, kind):
    big, little = (">", "<") if kind != "u1" else ("|", "|")
    pixels = make_pixels(2, (8, 6), little + kind)
    make_reco(tmp_path / "s", groups=[("FG_SLICE", 2)], dtype=big + kind, pixels=pixels)
    series = read_one(tmp_path / "s")
    np.testing.assert_array_equal(series.pixels.array, pixels)
    np.testing.assert_array_equal(series.pixels.planes(1, 2), pixels[1:])


@pytest.mark.parametrize("version", ["5.1", "6.0.1", "360.3.6"])
def test_pitfall_32_the_subjects_position_is_told_and_not_applied(tmp_path, version):
    terms = {}
    for word in ("Head_Supine", "Head_Prone", "Head_Left", "Head_Right", "Tail_Prone"):
        for kind in (Word("Quadruped"), Word("OtherAnimal"), None):
            name = f"{word}{kind}"
            make_reco(
                tmp_path / name,
                version=version,
                orientation=SAGITTAL,
                position=[1, 2, 3],
                visu={"VisuSubjectPosition": Word(word), "VisuSubjectType": kind},
            )
            series = read_one(tmp_path / name)
            np.testing.assert_array_equal(series.orientation[0], SAGITTAL)
            np.testing.assert_array_equal(series.position_mm[0], [1, 2, 3])
            terms[word] = series.attributes["PatientPosition"]
            told = series.attributes.get("AnatomicalOrientationType")
            assert told == {"Quadruped": "QUADRUPED", "OtherAnimal": "BIPED"}.get(kind)
    assert list(terms.values()) == ["HFS", "HFP", "HFDL", "HFDR", "FFP"]


def test_pitfall_33_unknown_versions_and_methods(tmp_path):
    make_reco(
        tmp_path / "s",
        version="400.1",
        groups=[("FG_SLICE", 2), ("FG_NEW_THING", 3, "twist")],
        visu={"VisuVersion": 9, "VisuAcqSequenceName": "User:mySequence_v2"},
        method={"Method": "User:mySequence_v2", "Unheard": (1, "x")},
    )
    series = read_one(tmp_path / "s")
    assert series.planes == 6
    assert series.attributes["SequenceName"].startswith("mySequence")
    other = series.dimension(Loop.OTHER)
    assert (other.source, other.comment, other.length) == ("FG_NEW_THING", "twist", 3)
    assert other.index.tolist() == [0, 0, 1, 1, 2, 2]
