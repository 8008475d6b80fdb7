"""What protocol and place of the images decide about a fit, on both sides of each limit."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pipelines.fitting.cest import fit_cest_map, is_wasabi
from pipelines.fitting.data import FitInputs
from pipelines.fitting.diffusion import fit_diffusion_map
from pipelines.fitting.relaxation import fit_t1sr_map, fit_t1vfa_map
from pipelines.inputs.extra import read_mask
from pipelines.inputs.frames import Frame, Images, ScanProperties
from pipelines.inputs.grid import affine_of, by_slice
from pipelines.models.ph import PhCalibration
from xnat_pic.errors import NothingUsableError, WrongCallError

VOXELS = 5
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def images(signal, values, *, spacing=1.0, **more):
    """Images of five voxels that are alike."""
    samples = len(signal)
    data = np.repeat(np.asarray(signal, np.float32)[:, None], VOXELS, axis=1)
    given = {"directions": None, "b_matrices": None, "reference": np.zeros(samples, bool)}
    return Images(
        data=data[:, None, :, None],
        affine=np.diag([spacing, spacing, spacing, 1.0]),
        values={name: np.array([one], float) for name, one in values.items()},
        component="M",
        frames=[],
        files=[Path("x.nii.gz")],
        **given | more,
    )


def inputs(made, **more):
    return FitInputs(made, np.ones(VOXELS, bool), **more)


def spectrum(near, **scan):
    """A Z-spectrum with water at 0 and an image without saturation."""
    offsets = np.array([300.0, -5, -4, -3, -2, *near, 2, 3, 4, 5])
    z = 1 - 0.9 * 0.49 / (0.49 + offsets**2)
    return images(1000 * z, {"offset_ppm": offsets}, scan=ScanProperties(**scan))


@pytest.mark.parametrize(
    ("near", "line"),
    [([-1, -0.5, 0.5, 1], True), ([-1, -0.5, 0.5, 1.01], False), ([-0.5, 0, 0.5], False)],
)
def test_a_line_of_water_needs_four_offsets_within_one_ppm(near, line):
    made = spectrum(near)
    result = fit_cest_map(made.signal(), inputs(made))
    assert any(name.startswith("LD_") for name in result.maps) == line
    assert any("Fewer than 4 offsets lie within 1 ppm" in one for one in result.notes) != line
    t1 = np.full(VOXELS, 1500.0, np.float32)
    if line:
        fit_cest_map(made.signal(), inputs(made, t1=t1))
    else:
        with pytest.raises(NothingUsableError, match="and no AREX"):
            fit_cest_map(made.signal(), inputs(made, t1=t1))


@pytest.mark.parametrize(
    ("field", "b1", "refused"),
    [
        (7.34, 3.29, ""),
        (6.66, 2.71, ""),
        (7.36, 3.0, "field of 7 T"),
        (6.64, 3.0, "field of 7 T"),
        (7.0, 3.31, "B1 of 3 uT"),
        (7.0, 2.69, "B1 of 3 uT"),
    ],
)
def test_a_calibration_of_ph_holds_within_five_and_ten_per_cent(field, b1, refused):
    curve = PhCalibration((6.0, 7.0), (0.8, 1.7), 7.0, 3.0, 37.0, "test", (2.0, 3.0))
    made = spectrum([-1, -0.5, 0, 0.5, 1], field_t=field, b1_ut=b1)
    if refused:
        with pytest.raises(WrongCallError, match=refused):
            fit_cest_map(made.signal(), inputs(made, ph=curve))
    else:
        assert "pH" in fit_cest_map(made.signal(), inputs(made, ph=curve)).maps


@pytest.mark.parametrize(
    ("pulse", "pulses", "short"),
    [(29.9, 1, True), (29.9, None, True), (30.0, 1, False), (5.0, 2, False)],
)
def test_one_pulse_below_30_ms_is_wasabi(pulse, pulses, short):
    made = spectrum([0], pulse_ms=pulse, pulses=pulses)
    assert is_wasabi(made) == short


SIX = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1]], float)


def beside(degrees):
    """A direction so far from the first one."""
    return [np.cos(np.radians(degrees)), 0.0, -np.sin(np.radians(degrees))]


@pytest.mark.parametrize(
    ("b", "sixth", "tensor"),
    [
        ([400] * 5 + [51], SIX[5], True),
        ([400] * 5 + [49], SIX[5], False),  # of so low a b the direction means nothing
        ([1000] * 5 + [101], SIX[5], True),
        ([1000] * 5 + [99], SIX[5], False),
        ([1000] * 6, beside(11), True),
        ([1000] * 6, beside(9), False),  # an axis that is there already
    ],
)
def test_a_tensor_is_fitted_from_six_axes_on(b, sixth, tensor):
    weights = np.array([0.0, *b])
    axes = np.vstack([np.full(3, np.nan), SIX[:5], sixth])
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    made = images(1000 * np.exp(-weights / 1000), {"b_value": weights}, directions=axes)
    assert ("FA" in fit_diffusion_map(made.signal(), inputs(made)).maps) == tensor


@pytest.mark.parametrize(("cosine", "mean"), [(0.29, True), (0.31, False)])
def test_three_axes_nearly_at_right_angles_give_the_mean_of_three(cosine, mean):
    weights = np.array([0.0, 1000, 1000, 1000])
    axes = np.array([[np.nan] * 3, [1, 0, 0], [cosine, np.sqrt(1 - cosine**2), 0], [0, 0, 1]])
    made = images(1000 * np.exp(-weights / 1000), {"b_value": weights}, directions=axes)
    assert ("ADC3" in fit_diffusion_map(made.signal(), inputs(made)).maps) == mean


@pytest.mark.parametrize(("echo", "counted"), [(19.9, False), (20.1, True)])
def test_half_an_echo_counts_from_a_twentieth_of_the_shortest_tr_on(echo, counted):
    times = np.array([200.0, 500, 1000, 2000, 5000])
    signal = 1000 * (1 - np.exp(-(times - echo / 2) / 1000))
    values = {"repetition_time_ms": times, "echo_time_ms": np.full(5, echo)}
    made = images(signal, values, scan=ScanProperties(spin_echo=True))
    result = fit_t1sr_map(made.signal(), inputs(made))
    assert any("counted from TE / 2" in note for note in result.notes) == counted


@pytest.mark.parametrize(("wider", "refused"), [(0.9e-3, False), (1.1e-3, True)])
def test_flip_angles_have_one_repetition_time_within_a_thousandth(wider, refused):
    angles, times = np.array([3.0, 8, 15]), np.array([15.0, 15, 15 * (1 + wider)])
    made = images([10.0, 20, 25], {"flip_angle_deg": angles, "repetition_time_ms": times})
    if refused:
        with pytest.raises(NothingUsableError, match="The repetition time goes from 15"):
            fit_t1vfa_map(made.signal(), inputs(made))
    else:
        assert "T1map" in fit_t1vfa_map(made.signal(), inputs(made)).maps


@pytest.mark.parametrize(
    ("spacing", "off", "refused"),
    [(1.0, 0.09, False), (1.0, 0.11, True), (0.005, 0.0004, False), (0.005, 0.0006, True)],
)
def test_a_mask_lies_on_the_images_within_a_tenth_of_a_voxel(tmp_path, spacing, off, refused):
    made = images([1.0], {}, spacing=spacing)
    placed = made.affine.copy()
    placed[0, 3] = off
    path = tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((1, VOXELS, 1), np.uint8), placed), path)
    if refused:
        with pytest.raises(WrongCallError, match="mm away from the images"):
            read_mask(path, made)
    else:
        assert read_mask(path, made).all()


def planes(depths):
    return [
        Frame(
            path=Path(f"{k}.dcm"),
            index=0,
            shape=(4, 4),
            position=(0.0, 0.0, depth),
            orientation=AXIAL,
            spacing=(1.0, 1.0),
            pitch_mm=1.0,
            component="M",
            values={},
            direction=None,
            b_matrix=None,
            order=(1, k, 0),
            series_uid="1.2",
            instance_uid=f"1.2.{k}",
            class_uid="",
            frame_of_reference_uid="",
            title="1 T2",
        )
        for k, depth in enumerate(depths)
    ]


@pytest.mark.parametrize(("apart", "slices"), [(0.0099, 1), (0.0101, 2)])
def test_planes_within_a_hundredth_of_a_voxel_are_one_slice(apart, slices):
    assert len(by_slice(planes([0.0, apart]))) == slices


@pytest.mark.parametrize(("wider", "told"), [(0.030, False), (0.0306, True)])
def test_slices_two_per_cent_beside_their_even_place_are_told(wider, told):
    _, notes = affine_of(by_slice(planes([0.0, 1.0, 2.0, 3.0 + wider])))
    assert any("mm apart" in note for note in notes) == told
