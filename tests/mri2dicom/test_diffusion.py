"""Diffusion weighting: axes of the b-matrix, directions, and what is not known."""

import numpy as np
import pytest
from builder import AXIAL, CORONAL, SAGITTAL, Word, make_reco, read_one
from hypothesis import given
from hypothesis import strategies as st
from test_geometry import rotations

from mri2dicom.readers.paravision import diffusion
from mri2dicom.readers.paravision.jcamp import read_parameters
from mri2dicom.series.model import Loop, SeriesKind

DIRECTIONS = np.array([[1.0, 0, 0], [0.6, 0.8, 0], [0.48, 0.6, 0.64], [0, 0, -1]])
IMAGING = np.diag([12.0, 6.0, 8.0])


def b_matrices(b=1000.0, directions=DIRECTIONS):
    """Give one image without and some with diffusion gradients, in read, phase, slice axes."""
    weighted = [b * np.outer(d, d) + IMAGING for d in directions]
    return np.array([IMAGING, *weighted])


def oblique(degrees=20.0):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]]) @ np.array(
        [[1, 0, 0], [0, c, s], [0, -s, c]]
    )


def angle(a, b):
    """Return the angle between two lines in degrees; polarity does not matter."""
    return np.degrees(np.arccos(min(1.0, abs(float(np.dot(a, b))))))


@given(rotations(), st.booleans())
def test_gradient_axes_are_a_right_handed_system(axes, transposed):
    if np.linalg.det(axes) < 0:
        return
    read, phase, normal = diffusion.gradient_axes(axes, transposed=transposed)
    np.testing.assert_allclose(np.cross(read, phase), normal, atol=1e-12)
    np.testing.assert_allclose(read, -axes[1 if transposed else 0], atol=1e-12)
    np.testing.assert_allclose(phase, -axes[0 if transposed else 1], atol=1e-12)


@given(rotations())
def test_rotation_keeps_b_and_rotates_the_direction(axes):
    own = diffusion.gradient_axes(axes)
    turned = diffusion.rotate_to_patient(b_matrices(), own)
    np.testing.assert_allclose(diffusion.b_value(turned), [26, 1026, 1026, 1026, 1026])
    found = diffusion.principal_direction(turned)
    for vector, nominal in zip(found[1:], DIRECTIONS @ own, strict=True):
        assert angle(vector, nominal) < 1.5
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_nominal_direction_decides_the_sign(sign):
    matrices = np.array([np.outer(d, d) for d in DIRECTIONS])
    found = diffusion.principal_direction(matrices, sign * DIRECTIONS)
    np.testing.assert_allclose(found, sign * DIRECTIONS, atol=1e-12)


def study(tmp_path, **options):
    count = options.pop("steps", 5)
    visu = options.pop("visu", {})
    group = ("FG_DIFFUSION", count, "", ["VisuAcqDiffusionBMatrix"])
    make_reco(tmp_path / "s", groups=[("FG_SLICE", 2), group], visu=visu, **options)
    return read_one(tmp_path / "s")


def weighted(series, keyword):
    """Give the values of the first slice, one per step."""
    return series.plane_attributes[keyword][::2]


@pytest.mark.parametrize("axes", [AXIAL, CORONAL, SAGITTAL, oblique()])
def test_the_visu_matrix_is_in_patient_axes_already(tmp_path, axes):
    matrices = b_matrices()
    series = study(
        tmp_path,
        orientation=axes,
        visu={
            "VisuAcqDiffusionBMatrix": matrices,
            "VisuAcqDiffusionGradOrient": np.ones((5, 3)),
        },
    )
    assert series.kind is SeriesKind.DIFFUSION
    assert weighted(series, "DiffusionBValue") == pytest.approx([26.0] + [1026.0] * 4)
    upper = [[m[0, 0], m[0, 1], m[0, 2], m[1, 1], m[1, 2], m[2, 2]] for m in matrices]
    tensors = weighted(series, "DiffusionBMatrix")
    assert tensors[0] is None
    np.testing.assert_allclose(tensors[1:], upper[1:])
    # The gradient orientation of Visu is in no frame that could be used.
    for vector, nominal in zip(
        weighted(series, "DiffusionGradientOrientation")[1:], DIRECTIONS, strict=True
    ):
        assert angle(vector, nominal) < 1.5


@pytest.mark.parametrize("axes", [AXIAL, CORONAL, oblique()])
@pytest.mark.parametrize("version", ["5.1", "6.0.1"])
@pytest.mark.parametrize("transposed", [False, True])
def test_the_matrix_of_the_method_is_rotated(tmp_path, axes, version, transposed):
    old = {"VisuAcqImagePhaseEncDir": [Word("row_dir" if transposed else "col_dir")]}
    words = ["phase_enc", "read_enc"] if transposed else ["read_enc", "phase_enc"]
    new = {"VisuAcqGradEncoding": [Word(word) for word in words]}
    series = study(
        tmp_path,
        version=version,
        orientation=axes,
        visu=old if version == "5.1" else new,
        method={
            "PVM_DwBMat": b_matrices(),
            "PVM_DwDir": DIRECTIONS,
            "PVM_DwAoImages": 1,
            "PVM_DwNDiffExpEach": 1,
        },
    )
    read, phase, normal = (-axes[0], -axes[1], axes[2])
    if transposed:
        read, phase, normal = (-axes[1], -axes[0], -axes[2])
    for vector, d in zip(
        weighted(series, "DiffusionGradientOrientation")[1:], DIRECTIONS, strict=True
    ):
        nominal = d[0] * read + d[1] * phase + d[2] * normal
        assert angle(vector, nominal) < 1.5
        assert np.dot(vector, nominal) > 0
    tensor = weighted(series, "DiffusionBMatrix")[2]
    full = np.array(
        [[tensor[0], tensor[1], tensor[2]], [0, tensor[3], tensor[4]], [0, 0, tensor[5]]]
    )
    full = full + np.triu(full, 1).T
    own = np.array([read, phase, normal])
    np.testing.assert_allclose(own @ full @ own.T, b_matrices()[2], atol=1e-9)


def test_gradient_offsets_of_real_scans_agree_with_the_axes(shared_data):
    """The centre of a slice is its read, phase and slice offset along the gradient axes."""
    checked = set()
    for scan, turned in (
        ("pv601_acidoCEST/2", False),
        ("pv601_acidoCEST/1", None),
        ("pv3601_mrs4brain/DemoRat14T/12", True),
    ):
        folder = shared_data / "paravision" / scan
        visu = read_parameters(folder / "pdata/1/visu_pars")
        acqp, method = read_parameters(folder / "acqp"), read_parameters(folder / "method")
        positions = np.reshape(visu.numbers("VisuCorePosition"), (-1, 3))
        axes = np.reshape(visu.numbers("VisuCoreOrientation"), (-1, 3, 3))
        slices = acqp.numbers("ACQ_slice_offset")
        read = method.numbers("PVM_SPackArrReadOffset")
        phase = method.numbers("PVM_SPackArrPhase1Offset")
        half = np.array(visu.numbers("VisuCoreExtent")) / 2
        turns = visu.numbers("VisuCoreTransposition") or [float(bool(turned))] * len(positions)
        for k, (position, turn) in enumerate(zip(positions, turns, strict=True)):
            own = axes[min(k, len(axes) - 1)]
            centre = position + half[0] * own[0] + half[1] * own[1]
            package = min(k, len(read) - 1)
            offsets = np.array([read[package], phase[package], slices[k]])
            gradients = diffusion.gradient_axes(own, transposed=turn == 1)
            np.testing.assert_allclose(
                gradients @ centre, offsets, atol=1e-4, err_msg=f"{scan} {k}"
            )
            checked.add(bool(turn))
    assert checked == {True, False}


def test_an_image_that_weighs_all_directions_alike_is_isotropic(tmp_path):
    matrices = np.array([np.eye(3) * 5, np.eye(3) * 330, np.diag([1000.0, 5, 5])])
    series = study(tmp_path, steps=3, visu={"VisuAcqDiffusionBMatrix": matrices})
    assert weighted(series, "DiffusionDirectionality") == ["NONE", "ISOTROPIC", "BMATRIX"]
    assert weighted(series, "DiffusionGradientOrientation")[:2] == [None, None]
    assert weighted(series, "DiffusionBMatrix")[:2] == [None, None]


def test_b_values_are_effective_and_not_nominal(tmp_path):
    series = study(
        tmp_path,
        visu={"VisuAcqDiffusionBMatrix": b_matrices()},
        method={"PVM_DwBvalEach": [0.0, 1000, 1000, 1000, 1000], "PVM_DwEffBval": [9.0] * 5},
    )
    assert weighted(series, "DiffusionBValue")[1] == pytest.approx(1026)


def test_vectors_of_the_method_where_it_has_no_matrix(tmp_path):
    vectors = np.vstack([[0, 0, 0], 0.7 * DIRECTIONS])
    series = study(
        tmp_path,
        orientation=CORONAL,
        method={"PVM_DwEffBval": [20.0, 1000, 1000, 1000, 1000], "PVM_DwGradVec": vectors},
    )
    assert weighted(series, "DiffusionBValue") == pytest.approx([20, 1000, 1000, 1000, 1000])
    assert weighted(series, "DiffusionDirectionality") == ["NONE"] + ["BMATRIX"] * 4
    found = weighted(series, "DiffusionGradientOrientation")[1:]
    own = DIRECTIONS @ np.array([-CORONAL[0], -CORONAL[1], CORONAL[2]])
    np.testing.assert_allclose(found, own, atol=1e-9)


def test_b_values_alone(tmp_path):
    series = study(tmp_path, method={"PVM_DwEffBval": [20.0, 500, 1000, 1500, 2000]})
    assert weighted(series, "DiffusionBValue") == [20, 500, 1000, 1500, 2000]
    assert "DiffusionBMatrix" not in series.plane_attributes
    assert "DiffusionGradientOrientation" not in series.plane_attributes


def test_below_50_an_image_has_no_direction(tmp_path):
    series = study(tmp_path, method={"PVM_DwEffBval": [49.9, 50.1, 1000, 1500, 2000]})
    assert weighted(series, "DiffusionDirectionality")[:3] == ["NONE", "ISOTROPIC", "ISOTROPIC"]


@pytest.mark.parametrize("count", [4, 6])
def test_a_list_that_does_not_fit_is_left_out_with_a_word(tmp_path, count):
    series = study(
        tmp_path,
        method={
            "PVM_DwEffBval": [1000.0] * count,
            "PVM_DwBMat": np.ones((count, 3, 3)),
            "PVM_DwGradVec": np.ones((count, 3)),
        },
    )
    assert series.kind is SeriesKind.DIFFUSION
    assert "DiffusionBValue" not in series.plane_attributes
    assert any("No b-values for the 5 steps" in text for text in series.warnings)


def test_several_shells_count_by_their_arrays(tmp_path):
    """Sixty directions listed for sixty-five images in two shells: no formula holds."""
    b = np.array([20.0] * 5 + [1000.0] * 30 + [2000.0] * 30)
    unit = np.random.default_rng(1).normal(size=(60, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    matrices = [np.eye(3) * 20 / 3] * 5 + [
        v * np.outer(u, u) for v, u in zip(b[5:], unit, strict=True)
    ]
    series = study(
        tmp_path,
        steps=65,
        visu={"VisuAcqDiffusionBMatrix": np.array(matrices)},
        method={
            "PVM_DwDir": unit,
            "PVM_DwAoImages": 5,
            "PVM_DwNDiffDir": 60,
            "PVM_DwNDiffExpEach": 2,
        },
    )
    np.testing.assert_allclose(weighted(series, "DiffusionBValue"), b)
    for vector, nominal in zip(
        weighted(series, "DiffusionGradientOrientation")[5:], unit, strict=True
    ):
        assert angle(vector, nominal) < 1e-3


@pytest.mark.parametrize("identifier", ["FG_CYCLE", "FG_SOMETHING"])
def test_a_loop_of_any_name_that_owns_the_matrix_is_diffusion(tmp_path, identifier):
    make_reco(
        tmp_path / "s",
        groups=[(identifier, 5, "", ["VisuAcqDiffusionBMatrix"])],
        visu={"VisuAcqDiffusionBMatrix": b_matrices()},
    )
    series = read_one(tmp_path / "s")
    assert series.kind is SeriesKind.DIFFUSION
    assert series.dimension(Loop.DIFFUSION).source == identifier
    assert series.plane_attributes["DiffusionBValue"] == pytest.approx([26.0] + [1026.0] * 4)


def test_slices_of_differing_orientation_get_no_direction_of_the_method(tmp_path):
    make_reco(
        tmp_path / "s",
        groups=[
            ("FG_SLICE", 2, "", ["VisuCoreOrientation", "VisuCorePosition"]),
            ("FG_DIFFUSION", 5),
        ],
        orientation=[AXIAL, CORONAL],
        method={"PVM_DwBMat": b_matrices(), "PVM_DwEffBval": [26.0, 1026, 1026, 1026, 1026]},
    )
    series = read_one(tmp_path / "s")
    assert series.plane_attributes["DiffusionBValue"][::2] == [26, 1026, 1026, 1026, 1026]
    assert "DiffusionGradientOrientation" not in series.plane_attributes
    assert any("differ in orientation" in text for text in series.warnings)


@pytest.mark.parametrize(("least", "trace"), [(0.79, False), (0.81, True)])
def test_a_matrix_of_nearly_equal_weights_is_a_trace(least, trace):
    """In any orientation; an image of one has no direction."""
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    assert diffusion.is_trace(500 * turn @ np.diag([1.0, 0.9, least]) @ turn.T) == trace
