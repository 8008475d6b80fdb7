"""Signal equations against values worked out by hand and against each other."""

import numpy as np
import pytest

from sandbox.mouse import signals

ONE = np.array([1.0])


def test_spin_echo_after_one_t1_and_one_t2():
    value = signals.spin_echo(np.array([200.0]), 1000 * ONE, 50 * ONE, 1000.0, 50.0)
    assert value[0] == pytest.approx(200 * (1 - np.exp(-1)) * np.exp(-1))


def test_gradient_echo_at_90_degrees_is_a_saturation_recovery():
    m0, t1, t2 = 5 * ONE, 900 * ONE, 30 * ONE
    flash = signals.spoiled_gradient_echo(m0, t1, t2, 300.0, 4.0, 90.0)
    np.testing.assert_allclose(flash, signals.spin_echo(m0, t1, t2, 300.0, 4.0))


def test_diffusion_uses_the_whole_tensor():
    tensor = np.array([[[1.0, 0.2, 0], [0.2, 1.0, 0], [0, 0, 1.0]]]) * 1e-3
    direction = np.array([1, 1, 0]) / np.sqrt(2)
    b_matrix = 1000 * np.outer(direction, direction)[None]
    assert signals.diffusion_weighting(b_matrix, tensor)[0, 0] == pytest.approx(np.exp(-1.2))


def test_z_spectrum_dips_where_the_pools_are_and_moves_with_the_field():
    offsets = np.linspace(-8, 8, 1601)
    pools = (np.array([0.8, 0.1]), np.array([0.0, 4.2]), np.array([1.0, 0.6]))
    z = signals.z_spectrum(offsets, *pools, np.array([0.0, 0.1]))
    assert z.shape == (1601, 2)
    assert offsets[z[:, 0].argmin()] == pytest.approx(0, abs=0.011)
    assert offsets[z[:, 1].argmin()] == pytest.approx(0.1, abs=0.011)
    high = offsets > 3
    assert offsets[high][z[high, 0].argmin()] == pytest.approx(4.2, abs=0.011)
    far = signals.z_spectrum(np.array([-1000.0]), *pools, np.array([0.0]))
    assert far[0, 0] == pytest.approx(1, abs=1e-5)


def test_fractional_anisotropy_of_a_stick_a_ball_and_nothing():
    tensors = np.stack([np.diag([1.0, 0, 0]), np.eye(3), np.zeros((3, 3))])
    np.testing.assert_allclose(signals.fractional_anisotropy(tensors), [1, 0, 0], atol=1e-12)


def test_fit_errors_agree_with_repeated_fits():
    rng = np.random.default_rng(3)
    te, s0, t2, sigma = np.arange(10.0, 210, 10), 1000.0, 60.0, 4.0
    clean = s0 * np.exp(-te / t2)
    estimates = []
    for _ in range(2000):
        noisy = clean + rng.normal(0, sigma, te.size)
        weights = clean**2
        design = np.stack([np.ones_like(te), -te], axis=1)
        # One Gauss-Newton step from the truth is the efficient estimate at this noise.
        residual = (noisy - clean) / clean
        step = np.linalg.solve(design.T * weights @ design, design.T * weights @ residual)
        estimates.append((s0 * (1 + step[0]), 1 / (1 / t2 + step[1])))
    spread = np.std(estimates, axis=0)
    errors = signals.t2_fit_errors(np.array([s0]), np.array([t2]), te, sigma)
    np.testing.assert_allclose([e[0] for e in errors], spread, rtol=0.06)
