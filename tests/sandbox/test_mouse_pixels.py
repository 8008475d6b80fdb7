"""What the written pixels say, read by the tests' own reader, against the truth beside them."""

import nibabel as nib
import numpy as np
import pytest


def load(sample, name):
    image = nib.load(sample.study.truth / name)
    return np.asanyarray(image.dataobj), image.affine


def in_tissue(sample, labels, name):
    mask = labels == sample.truth["tissues"][name]["label"]
    assert mask.sum() >= 3, f"no {name} in this scan"
    return mask


def slices_last(frames):
    """(slice, row, column) to (column, row, slice), as the truth has it."""
    return frames.transpose(2, 1, 0)


def test_t2_from_the_echoes(sample):
    reco = sample.reco(3)
    echo_times = reco.visu["VisuAcqEchoTime"].array
    series = reco.real.reshape(-1, len(echo_times), *reco.real.shape[1:])  # echo fastest
    labels, _ = load(sample, "3_t2map_label.nii.gz")
    for name, tissue in sample.truth["tissues"].items():
        mask = in_tissue(sample, labels, name)
        early = np.stack([slices_last(series[:, i])[mask] for i in range(4)])
        slope = np.polyfit(echo_times[:4], np.log(early), 1)[0]
        np.testing.assert_allclose(-1 / slope, tissue["T2_ms"], rtol=2e-3)


def test_t1_from_the_recovery(sample):
    reco = sample.reco(4)
    tr = reco.visu["VisuAcqRepetitionTime"].array
    series = reco.real.reshape(len(tr), -1, *reco.real.shape[1:])  # slices fastest
    labels, _ = load(sample, "4_t1map_label.nii.gz")
    for name, tissue in sample.truth["tissues"].items():
        mask = in_tissue(sample, labels, name)
        signal = np.stack([slices_last(series[i])[mask] for i in range(len(tr))])
        grid = np.arange(1000, 2600, 2.0)
        recovery = 1 - np.exp(-tr[:, None] / grid)
        m0 = np.einsum("tg,tv->gv", recovery, signal) / (recovery**2).sum(0)[:, None]
        misfit = ((signal[:, None] - recovery[:, :, None] * m0) ** 2).sum(0)
        np.testing.assert_allclose(grid[misfit.argmin(0)], tissue["T1_ms"], rtol=5e-3)


def test_adc_of_the_tumour_from_the_effective_b_values(sample):
    reco = sample.reco(5)
    b = sample.parameters("5", "method")["PVM_DwEffBval"].array
    series = reco.real.reshape(len(b), -1, *reco.real.shape[1:])
    labels, _ = load(sample, "5_dwi_label.nii.gz")
    mask = in_tissue(sample, labels, "tumour")
    signal = np.stack([slices_last(image)[mask] for image in series])
    slope = np.polyfit(b, np.log(signal), 1)[0]
    tumour = sample.truth["tissues"]["tumour"]
    np.testing.assert_allclose(-slope * 1000, tumour["ADC_um2_ms"], rtol=2e-3)


def test_tensor_of_the_white_matter_from_the_patient_b_matrix(sample):
    reco = sample.reco(6)
    b = reco.visu["VisuAcqDiffusionBMatrix"].array.reshape(-1, 3, 3)
    series = reco.real.reshape(len(b), -1, *reco.real.shape[1:])
    labels, _ = load(sample, "6_dti_label.nii.gz")
    mask = in_tissue(sample, labels, "corpus_callosum")
    signal = np.stack([slices_last(image)[mask] for image in series])
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    columns = [-b[:, i, j] * (1 if i == j else 2) for i, j in pairs] + [np.ones(len(b))]
    fitted = np.linalg.lstsq(np.stack(columns, axis=1), np.log(signal), rcond=None)[0][:6]
    truth = [
        sample.truth["tissues"]["corpus_callosum"]["tensor_um2_ms"][f"D{'xyz'[i]}{'xyz'[j]}"]
        for i, j in pairs
    ]
    assert truth[0] > 3 * truth[3]  # fibres from right to left
    np.testing.assert_allclose(fitted.mean(axis=1) * 1000, truth, atol=0.01)


def test_the_contrast_agent_shows_in_tumour_and_kidney_only(sample):
    reco = sample.reco(7)
    offsets = np.array([np.nan if o is None else o for o in sample.scan(7)["offset_ppm"]])
    series = reco.real.reshape(len(offsets), -1, *reco.real.shape[1:])
    labels, _ = load(sample, "7_cest_label.nii.gz")
    shift, _ = load(sample, "7_cest_B0_ppm.nii.gz")
    reference = slices_last(series[np.isnan(offsets)][0])
    at = {offset: slices_last(series[offsets == offset][0]) for offset in (0, 4, -4, 5.5, -5.5)}
    for name, low, high in (("tumour", 0.02, 0.1), ("kidney", 0.02, 0.1), ("muscle", -0.05, 0.01)):
        mask = in_tissue(sample, labels, name) & (np.abs(shift) < 0.06)
        z = {offset: (image[mask] / reference[mask]).mean() for offset, image in at.items()}
        assert z[0] < 0.35
        assert low < z[-4] - z[4] < high, name
    assert np.abs(shift).max() > 0.02


def test_the_derived_map_is_the_true_t2(sample):
    reco = sample.reco(3, 2)
    labels, _ = load(sample, "3_t2map_label.nii.gz")
    truth, _ = load(sample, "3_t2map_T2_ms.nii.gz")
    slices = labels.shape[2]
    maps = reco.real.reshape(slices, 5, *reco.real.shape[1:])  # maps fastest
    np.testing.assert_allclose(slices_last(maps[:, 2]), truth, rtol=1e-6)
    assert reco.visu["VisuCoreDataUnits"].strings == ["", "", "ms", "ms", ""]
    assert (slices_last(maps[:, 0])[labels > 0] > 0).all()


def test_noise_has_the_stated_width_in_air_and_tissue(make_sample):
    sample = make_sample(noise=0.01, size="SMALL", matrix=64)
    air = sample.reco(1).real[0][:8]  # Rayleigh: mean is 1.2533 sigma
    assert air.mean() == pytest.approx(1.2533 * sample.truth["noise_sigma"], rel=0.05)


@pytest.mark.parametrize("expno", [2, 3, 4, 5, 6, 7])
def test_truth_lies_where_the_scanner_says(sample, expno):
    """The NIfTI affine and the Visu geometry give each corner voxel the same place."""
    reco = sample.reco(expno)
    key = sample.scan(expno)["key"]
    labels, affine = load(sample, f"{expno}_{key}_label.nii.gz")
    columns, rows, slices = labels.shape
    assert (rows, columns) == reco.real.shape[1:]
    for index in (0, slices - 1):
        for row, column in ((0, 0), (rows - 1, columns - 1)):
            ras = affine @ [column, row, index, 1]
            lps = reco.voxel_lps(index, row, column)
            np.testing.assert_allclose(ras[:3], lps * [-1, -1, 1], atol=1e-4)


@pytest.mark.parametrize("expno", [2, 3, 5, 7])
def test_the_tumour_is_at_one_place_in_all_scans(make_sample, expno):
    """Axial, oblique and coronal scans see the same ellipsoid in patient coordinates."""
    sample = make_sample(matrix=128, size="SMALL")
    reco = sample.reco(expno)
    labels, _ = load(sample, f"{expno}_{sample.scan(expno)['key']}_label.nii.gz")
    organ = next(o for o in sample.truth["organs"] if o["name"] == "tumour")
    voxels = np.argwhere(labels == 5)
    points = np.array([reco.voxel_lps(k, j, i) for i, j, k in voxels])
    distance = (points - organ["centre"]) / organ["half"]
    assert len(points) > 20
    assert (np.linalg.norm(distance, axis=1) <= 1 + 1e-6).all()
    inside = reco.real[:: len(reco.real)][0]  # the first frame is bright where the tumour is
    first = voxels[voxels[:, 2] == 0]
    assert inside[first[:, 1], first[:, 0]].min() > 0.1 * inside.max()


def test_frames_use_one_slope_or_their_own(sample):
    shared = sample.reco(3).visu["VisuCoreDataSlope"].array
    own = sample.reco(5)
    assert len(set(shared)) == 1
    assert len(set(own.visu["VisuCoreDataSlope"].array)) > 10
    assert (own.stored.max(axis=(1, 2)) == 32766).all()


def test_stored_extremes_and_reciprocal_slopes(sample):
    reco = sample.reco(5)
    np.testing.assert_array_equal(reco.visu["VisuCoreDataMax"].array, reco.stored.max((1, 2)))
    np.testing.assert_array_equal(reco.visu["VisuCoreDataMin"].array, reco.stored.min((1, 2)))
    slopes = sample.parameters("5", "pdata", "1", "reco")["RECO_map_slope"].array
    np.testing.assert_allclose(slopes * reco.visu["VisuCoreDataSlope"].array, 1)
