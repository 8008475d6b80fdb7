"""NIfTI by dcm2niix: classic and Enhanced files give one answer, and that is the scanner's.

What is expected is computed here from `2dseq` and the numbers in `visu_pars`, by another parser
than the product's; where a voxel lies in a NIfTI volume is found through the affine, so that no
flip of rows or slices is taken on trust.
"""

import re
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from builder import make_reco
from cases import converted, mouse

import mri2dicom
from mri2dicom.series.model import Loop, RawSeries

pytestmark = pytest.mark.tool

WORDS = {"_16BIT_SGN_INT": "<i2", "_32BIT_SGN_INT": "<i4", "_32BIT_FLOAT": "<f4"}
# dcm2niix keeps slope, intercept and affine as 32-bit floats.
SINGLE = 2e-6


def _program() -> Path:
    """Return dcm2niix of the Python environment: older ones in a distribution know less."""
    suffix = ".exe" if sys.platform == "win32" else ""
    found = Path(sys.executable).with_name(f"dcm2niix{suffix}")
    if not found.is_file():
        pytest.skip("dcm2niix is not in this Python environment: pip install dcm2niix.")
    return found


def numbers(text: str, name: str) -> np.ndarray:
    """Find a list of numbers in a parameter file; ``@3*(1)`` is three ones."""
    found = re.search(rf"##\${name}=\([^)]*\)\n(.*?)(?=\n\$\$|\n##)", text, re.DOTALL)
    assert found, name
    body = re.sub(
        r"@(\d+)\*\(([^)]*)\)",
        lambda run: " ".join([run[2]] * int(run[1])),
        found[1],
    )
    return np.array(body.split(), dtype=float)


def expected_values(series: RawSeries) -> np.ndarray:
    """Return what the scanner measured, shape (planes, rows, columns)."""
    folder = series.study / series.location
    text = (folder / "visu_pars").read_text("utf-8")
    word = re.search(r"##\$VisuCoreWordType=(\S+)", text)[1]
    raw = np.fromfile(folder / "2dseq", WORDS[word]).astype(float)
    size = numbers(text, "VisuCoreSize").astype(int)
    frames = raw.reshape(-1, *reversed(size))
    scale = [
        np.broadcast_to(numbers(text, f"VisuCore{name}"), len(frames))
        for name in ("DataSlope", "DataOffs")
    ]
    shape = (-1,) + (1,) * len(size)
    values = frames * scale[0].reshape(shape) + scale[1].reshape(shape)
    return values.reshape(-1, *values.shape[-2:])


def volume_numbers(series: RawSeries) -> np.ndarray:
    """Return which volume each plane belongs to: packages that are not parallel lie apart."""
    number, stride = np.zeros(series.plane_count, dtype=int), 1
    for dimension in series.dimensions:
        if dimension.loop is not Loop.SLICE:
            number += dimension.index * stride
            stride *= dimension.length
    apart = not np.allclose(series.orientation, series.orientation[0], atol=1e-4)
    return number + (series.stack * stride if apart else 0)


class Nifti:
    """What dcm2niix makes of the files of one series."""

    def __init__(self, dicom: str, folder: Path) -> None:
        folder.mkdir(parents=True)
        command = [_program(), "-b", "y", "-z", "n", "-f", "%r", "-o", folder, dicom]
        subprocess.run(command, check=True, capture_output=True)
        names = sorted(
            folder.glob("*.nii"), key=lambda p: (int(re.match(r"\d+", p.name)[0]), p.name)
        )
        self.images = [nibabel.load(path) for path in names]
        self.shapes = [image.shape for image in self.images]
        self.bval = [np.loadtxt(path) for path in sorted(folder.glob("*.bval"))]
        self.bvec = [np.loadtxt(path) for path in sorted(folder.glob("*.bvec"))]

    def volumes(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return affine and values of each volume, in the order of instance numbers."""
        result = []
        for image in self.images:
            values = image.get_fdata()
            values = values if values.ndim == 4 else values[..., None]
            result += [(image.affine, values[..., k]) for k in range(values.shape[-1])]
        return result


def looked_up(affine: np.ndarray, volume: np.ndarray, series: RawSeries, plane: int) -> np.ndarray:
    """Return a NIfTI volume's values where the voxels of one plane lie."""
    rows, columns = series.pixels.shape[1:]
    row, column = np.mgrid[:rows, :columns]
    axes = series.orientation[plane]
    place = series.position_mm[plane] + (
        column[..., None] * axes[0] * series.spacing_mm[1]
        + row[..., None] * axes[1] * series.spacing_mm[0]
    )
    world = place * [-1, -1, 1]
    inverse = np.linalg.inv(affine)
    index = world @ inverse[:3, :3].T + inverse[:3, 3]
    nearest = np.rint(index).astype(int)
    assert np.abs(index - nearest).max() < 0.02
    assert nearest.min() >= 0
    assert (nearest.reshape(-1, 3).max(axis=0) < volume.shape).all()
    return volume[tuple(np.moveaxis(nearest, -1, 0))]


def assert_equal_to_source(found: Nifti, series: RawSeries) -> None:
    expected, number = expected_values(series), volume_numbers(series)
    volumes = found.volumes()
    assert len(volumes) == number.max() + 1
    assert sum(volume.size for _, volume in volumes) == expected.size
    for plane in range(series.plane_count):
        affine, volume = volumes[number[plane]]
        values = looked_up(affine, volume, series, plane)
        scale = np.nanmax(np.abs(expected[plane])) or 1.0
        np.testing.assert_allclose(values, expected[plane], rtol=0, atol=SINGLE * scale)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Return a function from an input to its series with the NIfTI of both forms."""

    def of(source: Path) -> dict[int, tuple[RawSeries, Nifti, Nifti]]:
        folder = tmp_path_factory.mktemp("nifti")
        series = {
            10000 * one.expno + one.procno: one
            for one in mri2dicom.read(source)
            if isinstance(one, RawSeries)
        }
        forms = []
        for name, enhanced in (("classic", False), ("enhanced", True)):
            report = converted(source, folder / name, enhanced=enhanced)
            forms.append(
                {
                    10000 * one.expno + one.procno: Nifti(
                        one.path, folder / "nii" / name / f"{one.expno}_{one.procno}"
                    )
                    for one in report.series
                    if one.status == "converted"
                }
            )
        assert forms[0].keys() == forms[1].keys() == series.keys()
        return {key: (series[key], forms[0][key], forms[1][key]) for key in series}

    return of


@pytest.fixture(scope="module")
def real(both, shared_data):
    folder = shared_data / "paravision"
    result = {}
    for name in ("pv601_acidoCEST", "pv51_brukerMRI_tripilot", "pv3601_mrs4brain"):
        for key, found in both(folder / name).items():
            result[name, key] = found
    result["epi", 10001] = both(folder / "pv51_bruker2nifti_testdata" / "bru_banana" / "1")[10001]
    return result


@pytest.fixture(scope="module", params=["5.1", "360.3.6"])
def mice(request, both, tmp_path_factory):
    return both(mouse(tmp_path_factory.mktemp("mouse"), request.param))


def assert_one_answer(series: RawSeries, classic: Nifti, enhanced: Nifti) -> None:
    assert_equal_to_source(classic, series)
    assert_equal_to_source(enhanced, series)
    for one, other in zip(classic.volumes(), enhanced.volumes(), strict=True):
        np.testing.assert_allclose(one[0], other[0], atol=1e-4)
        np.testing.assert_array_equal(one[1], other[1])


def test_real_series(real):
    assert len(real) == 6
    for found in real.values():
        assert_one_answer(*found)


def test_offsets_are_time_points(real):
    _, classic, enhanced = real["pv601_acidoCEST", 40001]
    assert classic.shapes == enhanced.shapes == [(64, 64, 1, 176)]


@pytest.mark.parametrize("key", [("pv601_acidoCEST", 10001), ("pv51_brukerMRI_tripilot", 1000001)])
def test_a_tripilot_is_three_volumes(real, key):
    _, classic, enhanced = real[key]
    assert len(classic.shapes) == len(enhanced.shapes) == 3
    assert {shape[2] for shape in classic.shapes + enhanced.shapes} == {1}


def test_stacks(real):
    _, classic, enhanced = real["pv601_acidoCEST", 20001]
    assert classic.shapes == enhanced.shapes == [(128, 128, 24)]
    _, classic, enhanced = real["epi", 10001]
    assert classic.shapes == enhanced.shapes == [(80, 64, 5)]


def test_digital_mouse(mice):
    assert len(mice) == 8
    for found in mice.values():
        assert_one_answer(*found)


def test_echoes_are_volumes(mice):
    _, classic, enhanced = mice[30001]
    assert classic.shapes == enhanced.shapes == [(16, 32, 3)] * 8


def test_repetition_times_are_volumes(mice):
    """Classic files of other TR become files of their own; in Enhanced they are time points."""
    _, classic, enhanced = mice[40001]
    assert classic.shapes == [(16, 32, 3)] * 8
    assert enhanced.shapes == [(16, 32, 3, 8)]


def test_offsets_of_the_mouse_are_time_points(mice):
    series, classic, enhanced = mice[70001]
    offsets = series.plane_count // 2
    assert classic.shapes == enhanced.shapes == [(16, 16, 2, offsets)]


def test_maps_are_volumes_of_floats(mice):
    _, classic, enhanced = mice[30002]
    assert classic.shapes == enhanced.shapes == [(16, 32, 3)] * 5
    assert {image.get_data_dtype() for image in classic.images} == {np.dtype("f4")}


def _per_volume(series: RawSeries, keyword: str) -> list:
    _, first = np.unique(volume_numbers(series), return_index=True)
    return [series.plane_attributes[keyword][plane] for plane in first]


@pytest.mark.parametrize("key", [50001, 60001])
def test_b_values_and_directions(mice, key):
    series, classic, enhanced = mice[key]
    b_values = np.array(_per_volume(series, "DiffusionBValue"))
    for found in (classic, enhanced):
        assert len(found.bval) == len(found.bvec) == 1
        np.testing.assert_allclose(found.bval[0], b_values, atol=0.06)
    np.testing.assert_allclose(classic.bvec[0], enhanced.bvec[0], atol=1e-4)
    directions = _per_volume(series, "DiffusionGradientOrientation")
    assert sum(way is not None for way in directions) >= 12
    for vector, way in zip(classic.bvec[0].T, directions, strict=True):
        if way is not None:
            assert abs(_in_patient(vector, classic.images[0].affine) @ way) > 0.999


def _in_patient(vector: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Turn a direction of FSL's kind (voxel axes, x mirrored if these are right-handed) to LPS."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    mirrored = vector * [-1 if np.linalg.det(axes) > 0 else 1, 1, 1]
    return axes @ mirrored * [-1, -1, 1]


def test_slopes_of_single_frames(both, tmp_path):
    """Frames of one volume, and of one time series, each with a slope and offset of its own."""
    count = 6
    make_reco(
        tmp_path / "slopes",
        size=(16, 12),
        groups=[("FG_SLICE", 3), ("FG_REPETITION", 2)],
        slope=[0.5 * (k + 1) for k in range(count)],
        offset=[10.0 * k for k in range(count)],
    )
    found = both(tmp_path / "slopes")[10001]
    assert_one_answer(*found)
    assert found[1].shapes == found[2].shapes == [(16, 12, 3, 2)]
