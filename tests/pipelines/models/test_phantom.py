"""Real data: the NIST system phantom on three scanners, and open single-slice examples."""

import json

import nibabel
import numpy as np
import phantom
import pytest

from pipelines.models.inversion import fit_t1_ir
from pipelines.models.noise import sigma_from_background, sigma_from_residuals
from pipelines.models.result import FATAL
from pipelines.models.t2 import fit_t2
from pipelines.models.vfa import fit_t1_vfa


def fitted(kind, folder, plan):
    """Mean of the map in each sphere."""
    keyword = "InversionTime" if kind == "T1" else "EchoTime"
    times, repetition, images = phantom.read(folder, keyword)
    regions = phantom.spheres(images, plan)
    signal = images.reshape(-1, len(times))[np.concatenate(regions)]
    if kind == "T1":
        result = fit_t1_ir(signal, times, repetition_times_ms=repetition)
    else:
        first = fit_t2(signal, times)
        count = len(times) - first.settings["skipped_samples"]
        result = fit_t2(signal, times, sigma=sigma_from_residuals(first, count, 2).sigma)
    ends = np.cumsum([len(region) for region in regions])
    order = np.split(np.arange(ends[-1]), ends[:-1])
    return phantom.means(next(iter(result.maps.values())).values, order)


@pytest.mark.parametrize("series", phantom.SERIES, ids="-".join)
def test_spheres_have_the_times_of_the_reference(shared_data, series):
    kind, site, plate = series
    root = shared_data / "relaxometry" / "nist_phantom"
    found = fitted(kind, root / kind / site / plate, phantom.centres(root, plate))
    phantom.compare(found, root, series, phantom.EXCEPTIONS)


def test_scanners_that_blank_the_background_are_not_asked_for_noise_there(shared_data):
    folder = shared_data / "relaxometry" / "nist_phantom" / "T2" / "site4_philips" / "plate5"
    _, _, images = phantom.read(folder, "EchoTime")
    found = sigma_from_background(images.reshape(-1, images.shape[-1]))
    assert found.sigma is None
    assert "exactly zero" in found.reason


def demo(shared_data, name):
    """Images (x, y, n), sidecar with reference values at some voxels, and mask."""
    folder = shared_data / "relaxometry" / "qmrlab_demo"
    load = lambda path: np.asarray(nibabel.load(path).dataobj, dtype=float)  # noqa: E731
    sidecar = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    images = load(folder / f"{name}.nii.gz")
    return folder, load, sidecar, images.reshape(*images.shape[:2], -1)


def test_an_open_multi_echo_slice_agrees_with_its_reference(shared_data):
    _, _, sidecar, images = demo(shared_data, "mono_t2")
    times = [1e3 * v["EchoTime"] for v in sidecar["volume_ids"]]
    probes = sidecar["probes"]
    signal = np.stack([images[p["x"], p["y"]] for p in probes])
    result = fit_t2(signal, times, skip_echoes=0)
    expected = [1e3 * p["expected"]["T2"] for p in probes]
    np.testing.assert_allclose(result.maps["T2map"].values, expected, rtol=2e-3)


def efficiency(signal, times, t1):
    """-b/a of the best |a + b exp(-TI/T1)| at a given T1."""
    design = np.stack([np.ones(len(times)), np.exp(-np.array(times) / t1)], axis=1)
    fits = []
    for switch in range(len(times)):
        turned = np.where(np.arange(len(times)) < switch, -signal, signal)
        (a, b), squares, *_ = np.linalg.lstsq(design, turned)
        fits.append((squares[0], -b / a))
    return min(fits)[1]


def test_an_open_inversion_recovery_agrees_with_its_reference(shared_data):
    """The reference searched T1 in steps of 1 ms up to 5 s, its bound, with any efficiency."""
    _, _, sidecar, images = demo(shared_data, "inversion_recovery")
    times = [1e3 * v["InversionTime"] for v in sidecar["volume_ids"]]
    probes = [p for p in sidecar["probes"] if p["expected"]["T1"] < 4.9]
    signal = np.stack([images[p["x"], p["y"]] for p in probes])
    expected = np.array([1e3 * p["expected"]["T1"] for p in probes])
    k = np.array([efficiency(y, times, t1) for y, t1 in zip(signal, expected, strict=True)])
    possible = (k > 0) & (k <= 3)
    values = fit_t1_ir(signal, times).maps["T1map"].values
    assert possible.sum() == 4
    np.testing.assert_allclose(values[possible], expected[possible], atol=1.0)


def test_an_open_variable_flip_angle_slice_agrees_with_its_reference(shared_data):
    folder, load, sidecar, images = demo(shared_data, "vfa_t1")
    angles = [v["FlipAngle"] for v in sidecar["volume_ids"]]
    b1 = load(folder / "vfa_t1_B1map.nii.gz").reshape(images.shape[:2])
    probes = sidecar["probes"]
    at = tuple(np.array([[p["x"], p["y"]] for p in probes]).T)
    result = fit_t1_vfa(images[at], angles, 15.0, b1=b1[at])
    expected = [1e3 * p["expected"]["T1"] for p in probes]
    np.testing.assert_allclose(result.maps["T1map"].values, expected, rtol=1e-3)


def test_every_voxel_of_an_open_slice_has_a_value_or_a_reason(shared_data):
    _, _, sidecar, images = demo(shared_data, "mono_t2")
    times = [1e3 * v["EchoTime"] for v in sidecar["volume_ids"]]
    result = fit_t2(images.reshape(-1, len(times)), times)
    lost = (result.flags & np.uint8(FATAL)) != 0
    assert np.array_equal(np.isnan(result.maps["T2map"].values), lost)
    assert np.nanmin(result.maps["T2map"].values) > 0
