"""Real data: the NIST system phantom on three scanners, and open single-slice examples.

The spheres are found by their dark rims; times and slopes are read with pydicom itself.
"""

import json

import nibabel
import numpy as np
import pydicom
import pytest
from scipy import ndimage

from pipelines.models.inversion import fit_t1_ir
from pipelines.models.noise import sigma_from_background, sigma_from_residuals
from pipelines.models.result import FATAL
from pipelines.models.t2 import fit_t2
from pipelines.models.vfa import fit_t1_vfa

SPHERES = 14
RADIUS_MM = 5.2  # of the region in a sphere of 7.5
FIELD_MM = 250.0

SERIES = {
    ("T1", "site1_20200218", "plate5"): "PLATE5_T1",
    ("T1", "site3_ge", "plate4"): "SITE3_T1_P4_VALS",
    ("T1", "site3_ge", "plate5"): "SITE3_T1_P5_VALS",
    ("T2", "site1_20200218", "plate4"): "PLATE4_T2",
    ("T2", "site4_philips", "plate4"): "SITE4_T2_P4",
    ("T2", "site4_philips", "plate5"): "SITE4_T2_P5",
}

# Spheres whose reference value is not reached, each with its reason. Except where there is none,
# the value is still within `PUBLISHED` of the one that the phantom was made for.
EXCEPTIONS = {
    ("PLATE5_T1", 4): "nearly no signal at 400 ms, and its own TR for each later image: T1 goes "
    "from 680 to 790 ms with the radius of the region (2 to 5 mm) and an image left out",
    ("PLATE5_T1", 14): "T1 of 23 ms is gone at the second of the inversion times 50, 100 ... ms",
    ("SITE3_T1_P4_VALS", 1): "T1 of 2376 ms with TR 1000 ms: the sign at 400 ms is open, and the "
    "reference kept the sign that fits worse",
    ("SITE3_T1_P4_VALS", 14): "T1 of 83 ms: the zero crossing is near the first image, whose sign "
    "the reference turned although the squares are forty times larger then",
    ("SITE3_T1_P5_VALS", 14): "T1 of 23 ms is gone at the second of the inversion times",
    ("PLATE4_T2", 14): "T2 of 8 ms: of the echoes that are kept, from 25.4 ms, the second is noise",
    ("SITE4_T2_P5", 1): "T2 of 1.6 s is ten times the last echo of 160 ms, the bound",
}
NO_VALUE = {("SITE3_T1_P5_VALS", 14), ("SITE4_T2_P5", 1)}
PUBLISHED = 0.12
FIELD = "1.5T"


def read(folder, keyword):
    """Protocol values, repetition times, and images (rows, columns, n) with each one's slope."""
    files = sorted(
        (pydicom.dcmread(path) for path in folder.iterdir()), key=lambda d: float(d[keyword].value)
    )
    images = [
        d.pixel_array * float(d.get("RescaleSlope", 1)) + float(d.get("RescaleIntercept", 0))
        for d in files
    ]
    times = [float(d[keyword].value) for d in files]
    return times, [float(d.RepetitionTime) for d in files], np.stack(images, axis=-1)


def spheres(images, centres):
    """Index arrays of the spheres: the turn and shift of the plan on which dark rims lie."""
    size = len(images)
    pixel = FIELD_MM / size
    unit = 192 / size  # the plan is drawn on 192 pixels
    brightest = images.max(axis=-1)
    reach = int(9 / unit)
    across = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) * unit
    kernel = (across <= 4) / np.sum(across <= 4)
    rim = (across >= 5.6) & (across <= 6.6)
    likeness = ndimage.convolve(brightest, kernel - rim / rim.sum())
    middle = centres.mean(axis=0)
    shifts = np.stack(np.meshgrid(*2 * [np.arange(-14, 14.1, unit)]), axis=-1).reshape(-1, 1, 2)
    best, most = None, -np.inf
    for turn in np.radians(np.arange(-8, 8.1, 0.5)):
        matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        places = ((centres - middle) @ matrix.T + middle + shifts) / unit
        nearest = np.clip(np.rint(places).astype(int), 0, size - 1)
        scores = likeness[nearest[..., 0], nearest[..., 1]].mean(axis=1)
        if scores.max() > most:
            best, most = places[np.argmax(scores)], scores.max()
    # Each sphere's own place, within a millimetre or two of the plan.
    near = ndimage.maximum_filter(likeness, size=round(4 / pixel) | 1)
    peaks = np.argwhere(likeness == near)
    own = [peaks[np.argmin(np.hypot(*(peaks - place).T))] for place in best]
    rows, columns = np.mgrid[:size, :size]
    return [np.flatnonzero(np.hypot(rows - r, columns - c) * pixel <= RADIUS_MM) for r, c in own]


def fitted(kind, folder, centres):
    """Mean of the map in each sphere, NaN where less than half of it has a value."""
    keyword = "InversionTime" if kind == "T1" else "EchoTime"
    times, repetition, images = read(folder, keyword)
    regions = spheres(images, centres)
    signal = images.reshape(-1, len(times))[np.concatenate(regions)]
    if kind == "T1":
        result = fit_t1_ir(signal, times, repetition_times_ms=repetition)
    else:
        first = fit_t2(signal, times)
        count = len(times) - first.settings["skipped_samples"]
        result = fit_t2(signal, times, sigma=sigma_from_residuals(first, count, 2).sigma)
    values = np.split(
        next(iter(result.maps.values())).values, np.cumsum([len(r) for r in regions])[:-1]
    )
    return [np.nanmean(v) if np.isfinite(v).mean() >= 0.5 else np.nan for v in values], result


@pytest.mark.parametrize("series", SERIES, ids="-".join)
def test_spheres_have_the_times_of_the_reference(shared_data, series):
    kind, site, plate = series
    root = shared_data / "relaxometry" / "nist_phantom"
    told = json.loads((root / "expected_values.json").read_text(encoding="utf-8"))
    centres = np.array(told["published_template_values"][plate]["sphere_centres_row_col"])[:SPHERES]
    expected = told["expected_fit_ms"][SERIES[series]][:SPHERES]
    found, _ = fitted(kind, root / kind / site / plate, centres.astype(float))
    missed = {
        sphere: (round(float(ours), 2), theirs)
        for sphere, (ours, theirs) in enumerate(zip(found, expected, strict=True), 1)
        if not abs(ours - theirs) <= max(0.02 * theirs, 1.0)
    }
    allowed = {sphere for name, sphere in EXCEPTIONS if name == SERIES[series]}
    assert set(missed) == allowed, missed
    plan = told["published_template_values"][plate][kind.lower()]["relax_times"][FIELD]
    for sphere in allowed:
        if (SERIES[series], sphere) in NO_VALUE:
            assert np.isnan(found[sphere - 1]), sphere
        else:
            assert found[sphere - 1] == pytest.approx(plan[sphere - 1], rel=PUBLISHED), sphere


def test_scanners_that_blank_the_background_are_not_asked_for_noise_there(shared_data):
    folder = shared_data / "relaxometry" / "nist_phantom" / "T2" / "site4_philips" / "plate5"
    _, _, images = read(folder, "EchoTime")
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
