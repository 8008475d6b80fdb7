"""Maps beside `scipy.optimize.least_squares`, voxel by voxel, on 5000 voxels a model.

Each reference fit has its own signal and slopes, written here from the equation, and starts from
the truth; a voxel inside the bounds may be off by 1e-4 and no more, and 99 % must have a value.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from relaxation import TE, TI, TR, K, decays, inversions, rician, saturations
from scipy.optimize import least_squares

from pipelines.models import kernels_epg
from pipelines.models.adc import fit_adc
from pipelines.models.epg import echo_train, fit_t2_epg
from pipelines.models.inversion import fit_t1_ir
from pipelines.models.ivim import fit_ivim
from pipelines.models.t1 import fit_t1_sr
from pipelines.models.t2 import fit_t2, fit_t2star
from pipelines.models.vfa import fit_t1_vfa, spoiled_echo

VOXELS = 5000
OWN_TR = TI + 2500.0
ANGLES = np.array([3.0, 8.0, 15.0, 25.0])
B = np.array([0.0, 200.0, 400.0, 600.0, 800.0, 1000.0])


@dataclass
class Pair:
    """Our fit, and by map what the reference found; `inside` the bounds."""

    result: object
    reference: dict
    inside: np.ndarray


def exponential(times, offset=False, late=None, rise=False):
    """Model of p = (amplitude, ln T) or (amplitude, ln T, offset) with its slopes.

    a exp(-t/T); with `rise` a (1 - exp(-t/T)); with `offset` a exp(-t/T) + o, where `late` (TR)
    makes that o (1 + exp(-TR/T)).
    """

    def model(p):
        e = np.exp(-times * np.exp(-p[1]))
        bent = p[0] * e * times * np.exp(-p[1])
        if rise:
            return p[0] * (1 - e), np.stack([1 - e, -bent], axis=1)
        if not offset:
            return p[0] * e, np.stack([e, bent], axis=1)
        f, g = np.ones_like(e), np.zeros_like(e)
        if late is not None:
            f = 1 + np.exp(-late * np.exp(-p[1]))
            g = (f - 1) * late * np.exp(-p[1])
        return p[0] * e + p[2] * f, np.stack([e, bent + p[2] * g, f], axis=1)

    return model


def spoiled(angles_deg, repetition):
    """Spoiled gradient echo of p = (M0, ln T1) with its slopes."""
    sine, cosine = np.sin(np.radians(angles_deg)), np.cos(np.radians(angles_deg))

    def model(p):
        x = repetition * np.exp(-p[1])
        e = np.exp(-x)
        shape = sine * (1 - e) / (1 - cosine * e)
        return p[0] * shape, np.stack(
            [shape, p[0] * sine * (cosine - 1) / (1 - cosine * e) ** 2 * e * x], axis=1
        )

    return model


def solve(signal, model, starts, xtol=1e-10):
    """Reference parameters, shape (voxels, p), and their sums of squares."""
    found, squares = np.empty(starts.shape), np.empty(len(signal))
    for v, y in enumerate(signal):
        answer = least_squares(
            lambda p, y=y: model(p)[0] - y,
            starts[v],
            jac=lambda p: model(p)[1],
            method="lm",
            xtol=xtol,
            ftol=1e-14,
            gtol=1e-14,
        )
        found[v], squares[v] = answer.x, 2 * answer.cost
    return found, squares


def begin(*columns):
    """Starts of all voxels, shape (voxels, p)."""
    return np.stack(np.broadcast_arrays(*columns), axis=1).astype(float)


def t2():
    signal, truth = decays(VOXELS, 50)
    p, _ = solve(signal, exponential(TE), begin(1.0, np.log(truth)))
    result = fit_t2(signal, TE, skip_echoes=0)
    return Pair(result, {"T2map": np.exp(p[:, 1]), "S0map": p[:, 0]}, np.ones(VOXELS, bool))


def t2_offset():
    truth = np.random.default_rng(1).uniform(15, 60, VOXELS)
    signal = rician(np.exp(-TE / truth[:, None]) + 0.15, 100)
    p, _ = solve(signal, exponential(TE, offset=True), begin(1.0, np.log(truth), 0.15))
    inside = (p[:, 2] > 0) & (p[:, 2] < 0.5 * signal[:, 0])
    result = fit_t2(signal, TE, skip_echoes=0, model="3p")
    reference = {"T2map": np.exp(p[:, 1]), "S0map": p[:, 0], "Cmap": p[:, 2]}
    return Pair(result, reference, inside & (p[:, 2] > 1e-3))


def t2star():
    signal, truth = decays(VOXELS, 40, seed=3)
    p, _ = solve(signal, exponential(TE), begin(1.0, np.log(truth)))
    result = fit_t2star(signal, TE)
    return Pair(result, {"T2starmap": np.exp(p[:, 1]), "S0map": p[:, 0]}, np.ones(VOXELS, bool))


def t2star_offset():
    truth = np.random.default_rng(1).uniform(10, 40, VOXELS)
    signal = rician(np.exp(-TE / truth[:, None]) + 0.1, 80)
    p, _ = solve(signal, exponential(TE, offset=True), begin(1.0, np.log(truth), 0.1))
    reference = {"T2starmap": np.exp(p[:, 1]), "S0map": p[:, 0]}
    inside = (p[:, 2] > 1e-3) & (p[:, 2] < 0.5 * signal[:, 0])
    return Pair(fit_t2star(signal, TE, model="3p"), reference, inside)


def t1_sr():
    signal, truth = saturations(VOXELS, 50)
    p, _ = solve(signal, exponential(TR, rise=True), begin(1.0, np.log(truth)))
    result = fit_t1_sr(signal, TR)
    return Pair(result, {"T1map": np.exp(p[:, 1]), "M0map": p[:, 0]}, np.ones(VOXELS, bool))


def t1_sr_partial():
    signal, truth = saturations(VOXELS, 50, k=0.9)
    p, _ = solve(signal, exponential(TR, offset=True), begin(-0.9, np.log(truth), 1.0))
    k = -p[:, 0] / p[:, 2]
    inside = (np.exp(p[:, 1]) < 5 * TR.max()) & (np.abs(k - 0.9) < 0.2)
    result = fit_t1_sr(signal, TR, model="3p")
    return Pair(result, {"T1map": np.exp(p[:, 1]), "M0map": p[:, 2], "kmap": k}, inside)


def polarities(signal, model, starts):
    """The best of reference fits with samples before the smallest, or up to it, turned."""
    best, least = starts.copy(), np.full(len(signal), np.inf)
    for extra in (0, 1):
        turned = np.arange(len(TI)) < (np.argmin(signal, axis=1) + extra)[:, None]
        found, squares = solve(np.where(turned, -signal, signal), model, starts)
        better = squares < least
        best[better], least[better] = found[better], squares[better]
    return best


def t1_ir():
    signal, truth = inversions(VOXELS, 50)
    p = polarities(signal, exponential(TI, offset=True), begin(-K, np.log(truth), 1.0))
    reference = {"T1map": np.exp(p[:, 1]), "M0map": p[:, 2], "kmap": -p[:, 0] / p[:, 2]}
    return Pair(fit_t1_ir(signal, TI), reference, np.ones(VOXELS, bool))


def t1_ir_own_tr():
    signal, truth = inversions(VOXELS, 80, repetition=OWN_TR)
    model = exponential(TI, offset=True, late=OWN_TR)
    p = polarities(signal, model, begin(-K, np.log(truth), 1.0))
    reference = {"T1map": np.exp(p[:, 1]), "M0map": p[:, 2]}
    result = fit_t1_ir(signal, TI, repetition_times_ms=OWN_TR)
    return Pair(result, reference, np.ones(VOXELS, bool))


def t1_ir_signed():
    truth = np.random.default_rng(2).uniform(400, 2000, VOXELS)
    clean = 1 - K * np.exp(-TI / truth[:, None])
    signal = clean + np.random.default_rng(0).normal(0, 0.02, clean.shape)
    p, _ = solve(signal, exponential(TI, offset=True), begin(-K, np.log(truth), 1.0))
    reference = {"T1map": np.exp(p[:, 1]), "M0map": p[:, 2], "kmap": -p[:, 0] / p[:, 2]}
    return Pair(fit_t1_ir(signal, TI, signed=True), reference, np.ones(VOXELS, bool))


def t1_vfa():
    truth = np.random.default_rng(0).uniform(500, 2500, VOXELS)
    clean = spoiled_echo(np.tile(np.radians(ANGLES), (VOXELS, 1)), 15.0, truth, np.ones(VOXELS))
    signal = 1e3 * clean + np.random.default_rng(1).normal(0, 0.5, clean.shape)
    p, _ = solve(signal / 1e3, spoiled(ANGLES, 15.0), begin(1.0, np.log(truth)))
    reference = {"T1map": np.exp(p[:, 1]), "M0map": 1e3 * p[:, 0]}
    return Pair(fit_t1_vfa(signal, ANGLES, 15.0), reference, np.ones(VOXELS, bool))


def adc():
    truth = np.random.default_rng(1).uniform(0.4, 2.5, VOXELS)
    clean = np.exp(-1e-3 * B * truth[:, None])
    signal = clean + np.random.default_rng(2).normal(0, 0.02, clean.shape)
    p, _ = solve(signal, exponential(1e-3 * B), begin(1.0, -np.log(truth)))
    result = fit_adc(1e3 * signal, B, rician=False)
    reference = {"ADC": np.exp(-p[:, 1]), "S0map": 1e3 * p[:, 0]}
    return Pair(result, reference, np.ones(VOXELS, bool))


def perfusion(b):
    """Two exponentials of p = (S0, f, ln D, ln D*) with their slopes."""
    x = 1e-3 * b

    def model(p):
        slow, fast = np.exp(-x * np.exp(p[2])), np.exp(-x * np.exp(p[3]))
        shape = p[1] * fast + (1 - p[1]) * slow
        slopes = [
            shape,
            p[0] * (fast - slow),
            -p[0] * (1 - p[1]) * x * slow * np.exp(p[2]),
            -p[0] * p[1] * x * fast * np.exp(p[3]),
        ]
        return p[0] * shape, np.stack(slopes, axis=1)

    return model


def ivim():
    b = np.array([0, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 400, 600, 800, 1000.0])
    rng = np.random.default_rng(1)
    f, slow, fast = (rng.uniform(*reach, VOXELS) for reach in ((0.1, 0.3), (0.6, 1.5), (10, 40)))
    starts = begin(1.0, f, np.log(slow), np.log(fast))
    clean = np.stack([perfusion(b)(p)[0] for p in starts])
    signal = clean + rng.normal(0, 0.01, clean.shape)
    p, _ = solve(signal, perfusion(b), starts)
    d, dstar = np.exp(p[:, 2]), np.exp(p[:, 3])
    inside = (p[:, 1] > 0) & (p[:, 1] < 0.5) & (dstar > 4) & (dstar < 200) & (dstar > 3 * d)
    result = fit_ivim(700 * signal, b, method="refined", rician=False)
    return Pair(result, {"f": p[:, 1], "D": d, "Dstar": dstar}, inside)


CASES = (
    t2,
    t2_offset,
    t2star,
    t2star_offset,
    t1_sr,
    t1_sr_partial,
    t1_ir,
    t1_ir_own_tr,
    t1_ir_signed,
    t1_vfa,
    adc,
    ivim,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_maps_are_those_of_an_independent_solver(case):
    pair = case()
    assert pair.inside.mean() > 0.9
    for name, reference in pair.reference.items():
        ours = pair.result.maps[name].values[pair.inside]
        assert np.isfinite(ours).mean() >= 0.99, name
        off = np.abs(ours / reference[pair.inside] - 1)
        assert np.nanmax(off) < 1e-4, (name, np.nanmax(off))


def folded(angle):
    """An angle below 180 degrees that gives the same echoes."""
    return np.pi - np.abs(angle - np.pi)


def test_phase_graphs_are_those_of_an_independent_solver():
    """Its signal is that of the kernel, which other tests compare with turned spins."""
    rng = np.random.default_rng(0)
    truth, angle = rng.uniform(20, 120, VOXELS), rng.uniform(110, 170, VOXELS)
    signal = echo_train(truth, angle, echo_spacing_ms=8.0, echoes=25)
    signal = signal + rng.normal(0, 0.01, signal.shape)
    states, echoes, whole = np.empty((3, 3, 27)), np.empty((3, 25)), np.ones(1)

    def train(u, radians):
        kernels_epg.train(4.0, 1500.0, u, folded(radians), whole, states, echoes)
        return echoes[0].copy()

    def model(p, step=1e-7):
        plain = train(p[1], p[2])
        slopes = [p[0] * (train(p[1] + step, p[2]) - plain) / step]
        slopes.append(p[0] * (train(p[1], p[2] + step) - plain) / step)
        return p[0] * plain, np.stack([plain, *slopes], axis=1)

    starts = begin(1.0, np.log(truth), np.radians(angle))
    p, squares = solve(signal, model, starts, xtol=1e-7)
    result = fit_t2_epg(signal, TE)
    inside = (np.degrees(folded(p[:, 2])) > 61) & (np.degrees(folded(p[:, 2])) < 179)
    ours = result.residual_width[inside] ** 2 * 22
    off = np.abs(result.maps["T2map"].values / np.exp(p[:, 1]) - 1)[inside]
    assert inside.mean() > 0.95
    assert np.isfinite(off).mean() >= 0.99
    # Where there are two optima, the one of smaller squares counts.
    same = np.abs(ours / squares[inside] - 1) < 1e-5
    assert same.mean() > 0.99
    assert np.nanmax(off[same]) < 1e-4
    assert np.nanmax(ours / squares[inside]) < 1 + 1e-5
