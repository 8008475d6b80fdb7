"""The digital mouse, whose every number is known, in the dialect of four versions."""

import json

import nibabel as nib
import numpy as np
import pytest
from builder import read_all

from mri2dicom.series.model import Loop, RawSeries, SeriesKind, Skipped
from sandbox.mouse import VERSIONS, MouseOptions, write_mice

KINDS = {
    "localizer": SeriesKind.LOCALIZER,
    "t2w": SeriesKind.ANATOMY,
    "t2map": SeriesKind.T2_SERIES,
    "t1map": SeriesKind.T1_SERIES,
    "dwi": SeriesKind.DIFFUSION,
    "dti": SeriesKind.DIFFUSION,
    "cest": SeriesKind.CEST,
}


class Mouse:
    """A noiseless study: its truth, and its series as read."""

    def __init__(self, folder, version):
        options = MouseOptions(
            paravision=version, animals=1, groups=("treated",), doses=("dose1",),
            timepoints=("pre",), noise=0.0, size="SMALL", traps=True,
        )  # fmt: skip
        study = write_mice(folder, options)[-1]
        self.version = version
        self.folder = study.truth
        self.truth = json.loads((study.truth / "truth.json").read_text("utf-8"))
        self.found = read_all(study.path)

    def scan(self, key):
        """Give a scan's truth and its first reconstruction."""
        entry = next(scan for scan in self.truth["scans"] if scan["key"] == key)
        return entry, self.series(entry["expno"])

    def series(self, expno, procno=1):
        return next(s for s in self.found if (s.expno, s.procno) == (expno, procno))

    def labels(self, key):
        """Give the tissue of each voxel, (slice, row, column), and the affine in LPS."""
        entry, _ = self.scan(key)
        image = nib.load(self.folder / f"{entry['expno']}_{key}_label.nii.gz")
        return np.asarray(image.dataobj).transpose(2, 1, 0), np.diag(
            [-1, -1, 1, 1.0]
        ) @ image.affine


@pytest.fixture(scope="module", params=VERSIONS)
def mouse(request, tmp_path_factory):
    return Mouse(tmp_path_factory.mktemp("mouse") / "data", request.param)


def values(series):
    """Give real values, (plane, row, column)."""
    stored = series.pixels.array.astype(np.float64)
    return stored * series.slope[:, None, None] + series.offset[:, None, None]


def first_slice(series, keyword):
    """Give one value of each step of the other loop."""
    index = series.dimension(Loop.SLICE).index
    listed = series.plane_attributes[keyword]
    return [value for value, k in zip(listed, index, strict=True) if k == 0]


@pytest.mark.parametrize("key", KINDS)
def test_what_each_scan_is(mouse, key):
    entry, series = mouse.scan(key)
    assert series.kind is KINDS[key]
    assert series.plane_count == entry["frames"]
    assert series.dimension(Loop.SLICE).length == entry["slices"]
    assert series.attributes["ProtocolName"] == entry["name"]
    assert series.attributes["PatientID"] == mouse.truth["subject"]
    assert series.identity.study_uid == mouse.truth["study_uid"]
    assert series.attributes["StudyDate"] == mouse.truth["study_date"].replace("-", "")
    assert len(set(series.stack)) == (3 if key == "localizer" else 1)
    expected = () if mouse.version != "5.1" else ("does not say whether the animal",)
    assert len(series.warnings) == len(expected)
    assert all(words in text for words, text in zip(expected, series.warnings, strict=True))


def test_what_must_be_skipped(mouse):
    skipped = [series for series in mouse.found if isinstance(series, Skipped)]
    assert [series.expno for series in skipped] == [8, 9]
    assert "Spectroscopy" in skipped[0].reason
    assert "aborted" in skipped[1].reason
    assert not any(series.damaged for series in skipped)


def test_echo_times(mouse):
    entry, series = mouse.scan("t2map")
    assert first_slice(series, "EchoTime") == pytest.approx(entry["TE_ms"])
    assert series.attributes["RepetitionTime"] == pytest.approx(entry["TR_ms"][0])


def test_repetition_times(mouse):
    entry, series = mouse.scan("t1map")
    assert first_slice(series, "RepetitionTime") == pytest.approx(entry["TR_ms"])
    assert series.dimension(Loop.REPETITION_TIME).length == len(entry["TR_ms"])
    assert series.attributes["EchoTime"] == pytest.approx(entry["TE_ms"][0])


@pytest.mark.parametrize("key", ["dwi", "dti"])
def test_effective_b_values(mouse, key):
    entry, series = mouse.scan(key)
    assert first_slice(series, "DiffusionBValue") == pytest.approx(entry["b_effective_s_mm2"])
    nominal = np.array(entry["b_nominal_s_mm2"])
    kinds = first_slice(series, "DiffusionDirectionality")
    assert [kind == "NONE" for kind in kinds] == (nominal == 0).tolist()


def test_saturation(mouse):
    entry, series = mouse.scan("cest")
    private = series.private
    index = series.dimension(Loop.SLICE).index
    ppm = [v for v, k in zip(private["SaturationOffsetPpm"], index, strict=True) if k == 0]
    listed = [None if v is None else round(v, 3) for v in ppm]
    offsets = entry["offset_ppm"]
    assert [v is None for v in listed] == [v is None for v in offsets]
    known = [v for v in offsets if v is not None]
    assert [v for v in listed if v is not None] == pytest.approx(known, abs=2e-3)
    assert private["B1Saturation"] == pytest.approx(entry["b1_ut"])
    marks = [v for v, k in zip(private["SaturationReferenceImage"], index, strict=True) if k == 0]
    assert [mark == "YES" for mark in marks] == [v is None or abs(v) >= 99.9 for v in listed]
    assert private["DutyCycle"] <= 100
    assert private["SaturationLength"] > 0


@pytest.mark.parametrize("key", [key for key in KINDS if key != "localizer"])
def test_voxels_lie_where_the_truth_has_them(mouse, key):
    """The affine from position, orientation and spacing is that of the truth's label map."""
    labels, expected = mouse.labels(key)
    _, series = mouse.scan(key)
    np.testing.assert_allclose(series.affine, expected, atol=1e-4)
    assert series.axes[-3:] == ("slice", "row", "column")
    signal = series.values().reshape(-1, *labels.shape)[0]
    assert signal[labels > 0].mean() > 20 * abs(signal[labels == 0].mean())


def test_the_tensor_in_patient_axes(mouse):
    """Fitting with the b-matrices as read must give the truth's tensor of each tissue."""
    labels, _ = mouse.labels("dti")
    _, series = mouse.scan("dti")
    index = series.dimension(Loop.SLICE).index
    data = np.stack([values(series)[index == k] for k in range(len(labels))], axis=1)
    names = ("Dxx", "Dxy", "Dxz", "Dyy", "Dyz", "Dzz")
    weighted = [k for k, way in enumerate(first_slice(series, "DiffusionBMatrix")) if way]
    tensors = [first_slice(series, "DiffusionBMatrix")[k] for k in weighted]
    design = np.array(
        [[-1, *(-b * f for b, f in zip(t, (1, 2, 2, 1, 2, 1), strict=True))] for t in tensors]
    )
    checked = anisotropic = 0
    for tissue in mouse.truth["tissues"].values():
        own = labels == tissue["label"]
        if own.sum() < 4:
            continue
        signal = np.log(data[weighted][:, own].mean(axis=1))
        fitted = np.linalg.lstsq(design, signal, rcond=None)[0][1:] * 1000
        expected = [tissue["tensor_um2_ms"][name] for name in names]
        np.testing.assert_allclose(fitted, expected, atol=0.02, err_msg=str(tissue["label"]))
        checked += 1
        anisotropic += tissue["FA"] > 0.3
    assert checked >= 3
    assert anisotropic >= 1


def test_the_map_the_scanner_made(mouse):
    entry, _ = mouse.scan("t2map")
    series = mouse.series(entry["expno"], 2)
    assert isinstance(series, RawSeries)
    assert series.kind is SeriesKind.DERIVED
    assert series.is_quantity
    maps = series.dimension(Loop.MAP)
    t2 = maps.labels.index("T2 relaxation time")
    assert {unit for unit, k in zip(series.unit, maps.index, strict=True) if k == t2} == {"ms"}
    truth = nib.load(mouse.folder / f"{entry['expno']}_t2map_T2_ms.nii.gz")
    expected = np.asarray(truth.dataobj).transpose(2, 1, 0)
    found = values(series)[maps.index == t2]
    inside = expected > 0
    np.testing.assert_allclose(found[inside], expected[inside], rtol=0.05)
