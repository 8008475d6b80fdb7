from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.optimize import brentq

from pipelines.errors import ModelInputError
from pipelines.models import dti, kernels_elementary
from pipelines.models.dti import b_matrices, fit_dti
from pipelines.models.result import FATAL, Flag


def directions(n, seed=5):
    g = np.random.default_rng(seed).normal(size=(n, 3))
    return g / np.linalg.norm(g, axis=1)[:, None]


def protocol(n=30, low=5):
    b = np.concatenate([np.zeros(low), np.full(n, 1000.0)])
    return b, np.concatenate([np.zeros((low, 3)), directions(n)])


def tensors(n, seed=2):
    rng = np.random.default_rng(seed)
    values = np.sort(rng.uniform(0.3, 1.8, (n, 3)), axis=1)[:, ::-1]
    turn, _ = np.linalg.qr(rng.normal(size=(n, 3, 3)))
    return values, turn, turn @ (values[:, :, None] * np.swapaxes(turn, 1, 2))


def signals(d, b, g):
    return 200 * np.exp(-1e-3 * b * np.einsum("ni,vij,nj->vn", g, d, g))


def test_exact_without_noise():
    b, g = protocol()
    values, turn, d = tensors(500)
    fit = fit_dti(signals(d, b, g), b, g)
    np.testing.assert_allclose(fit.maps["eigenvalues"].values, values, rtol=1e-5)
    np.testing.assert_allclose(fit.maps["MD"].values, values.mean(1), rtol=1e-5)
    np.testing.assert_allclose(fit.maps["RD"].values, values[:, 1:].mean(1), rtol=1e-5)
    cosine = np.abs(np.einsum("vk,vk->v", fit.maps["V1"].values, turn[:, :, 0]))
    np.testing.assert_allclose(cosine, 1, atol=1e-5)
    spread = values - values.mean(1, keepdims=True)
    fa = np.sqrt(1.5 * (spread**2).sum(1) / (values**2).sum(1))
    np.testing.assert_allclose(fit.maps["FA"].values, fa, rtol=1e-5)
    np.testing.assert_allclose(fit.maps["S0map"].values, 200, rtol=1e-5)
    np.testing.assert_allclose(
        fit.maps["color"].values, np.abs(turn[:, :, 0]) * fa[:, None], atol=1e-5
    )


@pytest.mark.parametrize("name", ["small_64D.nii", "small_101D.nii.gz", "small_25.nii.gz"])
def test_equal_to_dipy_with_the_same_weights(shared_data: Path, name: str, monkeypatch):
    reconst = pytest.importorskip("dipy.reconst.dti")
    from dipy.core.gradients import gradient_table

    folder = shared_data / "diffusion" / "dipy_small"
    stem = name.split(".")[0]
    image = np.asarray(nib.load(folder / name).dataobj, dtype=np.float64)
    b = np.loadtxt(folder / f"{stem}.bval").ravel()
    g = np.loadtxt(folder / f"{stem}.bvec")
    g = g.T if g.shape[0] == 3 else g
    signal = image.reshape(-1, image.shape[-1])
    signal = signal[(signal > 0).all(axis=1)]
    g = np.nan_to_num(g)
    fit = fit_dti(signal, b, g)
    valid = (fit.flags & FATAL) == 0
    assert valid.mean() > 0.99
    # What one reweighting less predicts is the square root of the last weights.
    monkeypatch.setattr(dti, "_PASSES", 0)
    before = fit_dti(signal, b, g)
    length = np.linalg.norm(g, axis=1)
    unit = g / np.where(length > 0, length, 1)[:, None]
    gradients = gradient_table(b, bvecs=unit, b0_threshold=50)
    design = reconst.design_matrix(gradients)
    d = before.maps["tensor"].values[valid].astype(float) * 1e-3
    s0 = before.maps["S0map"].values[valid].astype(float)
    logs = np.stack([d[:, 0], d[:, 3], d[:, 1], d[:, 4], d[:, 5], d[:, 2], -np.log(s0)], 1)
    weights = np.exp(2 * logs @ design.T)
    params, _ = reconst.wls_fit_tensor(design, signal[valid], weights=weights)
    positive = fit.maps["eigenvalues"].values[valid][:, 2] > 0  # dipy clips the others
    assert positive.mean() > 0.8
    md = 1e3 * params[positive, :3].mean(1)
    fa = reconst.fractional_anisotropy(params[positive, :3])
    np.testing.assert_allclose(fit.maps["MD"].values[valid][positive], md, rtol=1e-4)
    np.testing.assert_allclose(fit.maps["FA"].values[valid][positive], fa, atol=1e-4)
    plain, _ = reconst.wls_fit_tensor(design, signal[valid])
    md = 1e3 * plain[:, :3].mean(1)
    if b.max() < 2000:  # beyond it the tensor is no model, and the weights matter
        off = fit.maps["MD"].values[valid][positive] / md[positive] - 1
        assert np.median(np.abs(off)) < 0.02


def test_errors_are_true():
    b, g = protocol()
    _, _, d = tensors(1, seed=8)
    clean = signals(d, b, g)
    noise = np.random.default_rng(0).normal(0, 4, (20_000, len(b)))
    fit = fit_dti(clean + noise, b, g, sigma=4.0)
    exact = fit_dti(clean, b, g)
    for name in ["MD", "FA", "AD", "RD", "S0map"]:
        z = (fit.maps[name].values - exact.maps[name].values[0]) / fit.maps[name].error
        assert np.std(z) == pytest.approx(1.0, abs=0.05), name
    estimated = fit_dti(clean + noise, b, g)
    ratio = estimated.maps["MD"].error / fit.maps["MD"].error
    assert np.median(ratio) == pytest.approx(1.0, abs=0.03)


def test_negative_eigenvalues_are_flagged_and_not_clipped():
    b, g = protocol()
    d = np.broadcast_to(np.diag([1.5, 0.5, -0.2]), (3, 3, 3))
    fit = fit_dti(signals(d, b, g), b, g)
    assert np.all(fit.flags & Flag.MISFIT)
    np.testing.assert_allclose(fit.maps["eigenvalues"].values[:, 2], -0.2, atol=1e-4)
    assert fit.settings["negative_eigenvalues"] == 3
    assert any("negative eigenvalue" in note for note in fit.notes)


def test_b_matrices_stand_for_directions_and_sign_does_not_matter():
    b, g = protocol()
    _, _, d = tensors(50)
    signal = signals(d, b, g)
    one = fit_dti(signal, b, 3 * g)
    two = fit_dti(signal, b, b_matrix=b_matrices(b, -g))
    np.testing.assert_allclose(one.maps["FA"].values, two.maps["FA"].values, rtol=1e-5)
    assert 1 < one.settings["condition_number"] < 100


def test_bad_voxels_have_no_number():
    b, g = protocol()
    _, _, d = tensors(6)
    signal = signals(d, b, g)
    signal[0] = 0
    signal[1, 3] = np.nan
    signal[2, 6:] = 0
    signal[3, 7] = -1  # one sample without weight is no harm
    fit = fit_dti(signal, b, g)
    for name, quantity in fit.maps.items():
        assert np.isnan(quantity.values[:3]).all(), name
        assert np.isfinite(quantity.values[3:]).all(), name
    assert fit.flags[2] & Flag.TOO_FEW_SAMPLES
    clean = fit_dti(signals(d, b, g), b, g)
    assert fit.maps["MD"].values[3] == pytest.approx(clean.maps["MD"].values[3], rel=1e-4)


@pytest.mark.parametrize("count", [3, 5])
def test_too_few_directions_are_refused(count):
    b, g = protocol(count)
    with pytest.raises(ModelInputError, match="of the seven unknowns"):
        fit_dti(np.ones((4, len(b))), b, g)


def test_no_low_b_and_missing_directions_are_refused():
    g = directions(12)
    with pytest.raises(ModelInputError, match="of the seven unknowns"):
        fit_dti(np.ones((4, 12)), np.linspace(999.99, 1000.01, 12), g)
    b, g = protocol()
    g[7] = 0
    with pytest.raises(ModelInputError, match="have no direction"):
        fit_dti(np.ones((4, len(b))), b, g)
    with pytest.raises(ModelInputError, match="directions or b-matrices"):
        fit_dti(np.ones((4, len(b))), b)


@pytest.mark.parametrize(("condition", "refused"), [(0.9e4, False), (1.1e4, True)])
def test_a_protocol_of_condition_beyond_ten_thousand_determines_no_tensor(condition, refused):
    g = directions(12)

    def matrices(spread):
        return b_matrices(1000 + spread * np.linspace(-1, 1, 12), g)

    def found(spread):
        b = matrices(spread)
        rows, columns = np.triu_indices(3)
        design = np.column_stack([b[:, rows, columns], np.ones(12)])
        values = np.linalg.svd(design / np.linalg.norm(design, axis=0), compute_uv=False)
        return values[0] / values[-1]

    spread = brentq(lambda one: np.log(found(one) / condition), 0.01, 100)
    if refused:
        with pytest.raises(ModelInputError, match="determine 6 of the seven unknowns"):
            dti.design_matrix(matrices(spread))
    else:
        assert dti.design_matrix(matrices(spread))[1] == pytest.approx(condition, rel=1e-6)


@pytest.mark.parametrize(("last", "counts"), [(0.99, False), (1.01, True)])
def test_a_sample_below_a_tenth_of_the_noise_has_no_weight(last, counts):
    b, g = protocol()
    signal = signals(np.diag([1.5, 0.5, 0.4])[None], b, g)
    signal[0, -1] = last
    fit = fit_dti(signal, b, g, sigma=10.0)
    assert (fit.maps["MD"].values[0] != pytest.approx(0.8, rel=1e-5)) == counts


def test_vector_functions_are_those_of_the_library():
    x = np.random.default_rng(0).uniform(-50, 5, 1003)
    bits = np.empty(len(x), np.int64)
    out = np.empty_like(x)
    kernels_elementary.exponentials(x, out, bits, bits.view(np.float64))
    np.testing.assert_allclose(out, np.exp(x), rtol=2e-14)
    positive = np.exp(np.random.default_rng(1).uniform(-600, 600, 1003))
    kernels_elementary.logarithms(positive.view(np.int64), out, bits, bits.view(np.float64))
    np.testing.assert_allclose(out, np.log(positive), rtol=1e-14, atol=1e-15)


def test_a_voxel_does_not_depend_on_its_neighbours():
    rng = np.random.default_rng(3)
    b = np.r_[np.zeros(3), np.full(20, 800.0)]
    g = rng.normal(size=(23, 3))
    d = np.diag([1.4, 0.6, 0.5])
    unit = g / np.linalg.norm(g, axis=1)[:, None]
    clean = 100 * np.exp(-1e-3 * b * np.einsum("ni,ij,nj->n", unit, d, unit))
    signal = clean + rng.normal(0, 2, (700, 23))
    signal[::7] = -1.0  # nothing to fit
    together = fit_dti(signal, b, g)
    for v in (1, 63, 64, 65, 129, 255, 257, 699):
        alone = fit_dti(signal[v : v + 1], b, g)
        for name in ("MD", "FA", "AD", "RD", "S0map", "V1", "tensor"):
            np.testing.assert_array_equal(
                together.maps[name].values[v], alone.maps[name].values[0], err_msg=name
            )
    assert np.isnan(together.maps["FA"].values[::7]).all()
    valid = np.setdiff1d(np.arange(700), np.arange(0, 700, 7))
    tensor = together.maps["tensor"].values[valid].astype(float)[:, [0, 3, 4, 3, 1, 5, 4, 5, 2]]
    form = np.einsum("ni,vij,nj->vn", unit, tensor.reshape(-1, 3, 3), unit)
    model = together.maps["S0map"].values[valid, None] * np.exp(-1e-3 * b * form)
    np.testing.assert_allclose(
        together.residual_mean, (signal[valid] - model).mean(axis=0), atol=1e-4
    )
