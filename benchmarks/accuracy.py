"""Bias and root-mean-square error of the estimators beside the smallest possible error.

And how often the 95 % intervals hold the truth. Run ``python benchmarks/accuracy.py [--voxels N]``;
it prints tables in Markdown. Signals are made from the equations, with noise of both channels added
before the magnitude is taken, so that they have Rician noise of a known sigma; SNR is S0 / sigma.
A voxel without a value counts as an error of 100 %.
"""

import argparse
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from measure import machine

from pipelines.models import decay, rician
from pipelines.models.adc import fit_adc
from pipelines.models.cramer_rao import bound
from pipelines.models.intervals import confidence_interval
from pipelines.models.inversion import fit_t1_ir
from pipelines.models.noise_fit import sigma_from_fits
from pipelines.models.outcome import Noise
from pipelines.models.result import FitResult, Map
from pipelines.models.t1 import fit_t1_sr
from pipelines.models.t2 import fit_t2, fit_t2star

Doubles = npt.NDArray[np.float64]

SNRS = (20.0, 50.0, 100.0)
TE = 8.0 * np.arange(1, 26)
TR = np.array([200.0, 400.0, 700.0, 1000.0, 1500.0, 2500.0, 4000.0, 6000.0])
TI = np.array([50.0, 85.0, 145.0, 250.0, 420.0, 715.0, 1220.0, 2070.0, 3530.0, 6000.0])
B = np.array([0.0, 200.0, 400.0, 600.0, 800.0, 1000.0])
K = 1.9


def noisy(signal: Doubles, snr: float, seed: int = 1) -> Doubles:
    """Return magnitudes of signals (V, n) with noise 1 / snr in both channels."""
    rng = np.random.default_rng(seed)
    return np.hypot(
        signal + rng.normal(0, 1 / snr, signal.shape), rng.normal(0, 1 / snr, signal.shape)
    )


def floor(
    signal: Callable[[Doubles], Doubles],
    reach: tuple[float, float],
    others: tuple[float, ...],
    snr: float,
) -> float:
    """Return the root mean square, over an even reach of times, of their smallest relative error.

    `signal` takes the time first and then the others.
    """
    least = [bound(signal, (t, *others), 1 / snr)[0] / t for t in np.linspace(*reach, 201)]
    return float(np.sqrt(np.mean(np.square(least))))


def relative(estimate: npt.NDArray[np.floating], truth: Doubles) -> Doubles:
    """Return relative errors; 1 where there is no value."""
    off = np.asarray(estimate / truth - 1, dtype=np.float64)
    return np.where(np.isfinite(off), off, 1.0)


def errors(estimate: npt.NDArray[np.floating], truth: Doubles) -> str:
    """Return bias / RMSE in per cent and, where voxels are missing, how many have a value."""
    off = relative(estimate, truth)
    valid = 100 * np.mean(np.isfinite(estimate))
    text = f"{100 * off.mean():+.1f} / {100 * np.sqrt(np.mean(off**2)):.1f}"
    return text if valid == 100 else f"{text} ({valid:.1f} % valid)"


def line(logs: Doubles, weight: Doubles, at: Doubles = TE) -> tuple[Doubles, Doubles]:
    """Return slope and height of weighted straight lines through logarithms."""
    total = weight.sum(axis=1)
    t = (weight * at).sum(axis=1) / total
    y = (weight * logs).sum(axis=1) / total
    apart = at - t[:, None]
    slope = (weight * apart * (logs - y[:, None])).sum(axis=1) / (weight * apart**2).sum(axis=1)
    return slope, y - slope * t


def log_linear(signal: Doubles, passes: int, *, plain: bool = False) -> Doubles:
    """Return T2 of straight lines through the logarithms.

    The first with weights S^2 of the measured signal, or without any where `plain`; each further
    pass with those of the predicted signal.
    """
    logs = np.log(signal)
    slope, height = line(logs, np.ones_like(signal) if plain else np.square(signal))
    for _ in range(passes - 1):
        predicted = np.exp(np.minimum(height[:, None] + slope[:, None] * TE, 1.0))
        slope, height = line(logs, np.square(predicted))
    return -1 / slope


def offset(signal: Doubles) -> Doubles:
    """Return T2 of least squares with an offset that is free to be negative."""
    train = decay.as_train(signal, TE)
    fitted = decay.fit_one(train, np.ones(len(signal), np.bool_), Noise(None), offset=True)
    return fitted.found.parameter


def cut(signal: Doubles, sigma: float) -> Doubles:
    """Return T2 of least squares on the samples before the first one below two sigma."""
    low = signal < 2 * sigma
    count = np.where(low.any(axis=1), np.argmax(low, axis=1), signal.shape[1])
    t2 = np.full(len(signal), np.nan)
    for n in range(3, signal.shape[1] + 1):
        chosen = count == n
        if chosen.any():
            train = decay.as_train(signal[chosen][:, :n], TE[:n])
            every = np.ones(int(chosen.sum()), np.bool_)
            t2[chosen] = decay.fit_one(train, every, Noise(None), offset=False).found.parameter
    return t2


def main_map(result: FitResult) -> npt.NDArray[np.float32]:
    """Return the values of a result's main map."""
    return next(iter(result.maps.values())).values


def table(title: str, rows: dict[str, list[str]]) -> None:
    """Print one table."""
    print(f"\n{title}: bias / RMSE in per cent of the true value\n")
    print("| estimator |" + "".join(f" SNR {snr:.0f} |" for snr in SNRS))
    print("|---|" + "---|" * len(SNRS))
    for name, cells in rows.items():
        print(f"| {name} |" + "".join(f" {cell} |" for cell in cells))


def t2_table(voxels: int) -> None:
    """Compare estimators of T2."""
    reach = (20.0, 120.0)
    t2 = np.random.default_rng(0).uniform(*reach, voxels)
    clean = np.exp(-TE / t2[:, None])
    names = (
        "log-linear OLS",
        "log-linear WLS, weights of the measured signal",
        "log-linear WLS, weights predicted by OLS",
        "log-linear WLS, weights of the predicted signal, twice",
        "NLLS, 2 parameters",
        "NLLS, 3 parameters, free offset",
        "NLLS, 3 parameters, offset >= 0",
        "NLLS, cut at first sample < 2 sigma",
        "NLLS of sqrt(S^2 - 2 sigma^2), 0 below",
        "NLLS of the same, with its sign below",
        "Rician maximum likelihood",
        "Cramer-Rao bound",
        "likelihood over bound",
    )
    rows: dict[str, list[str]] = {name: [] for name in names}
    for snr in SNRS:
        y, sigma = noisy(clean, snr), 1 / snr
        power = y**2 - 2 * sigma**2
        rooted = np.sign(power) * np.sqrt(np.abs(power))
        likeliest = main_map(fit_t2(y, TE, sigma=sigma, skip_echoes=0))
        least = floor(lambda p: p[1] * np.exp(-TE / p[0]), reach, (1.0,), snr)
        for name, estimate in zip(
            names,
            (
                log_linear(y, 1, plain=True),
                log_linear(y, 1),
                log_linear(y, 2, plain=True),
                log_linear(y, 3),
                main_map(fit_t2(y, TE, skip_echoes=0)),
                offset(y),
                main_map(fit_t2(y, TE, skip_echoes=0, model="3p")),
                cut(y, sigma),
                main_map(fit_t2(np.maximum(rooted, 0), TE, skip_echoes=0)),
                main_map(fit_t2(rooted, TE, skip_echoes=0)),
                likeliest,
            ),
            strict=False,
        ):
            rows[name].append(errors(estimate, t2))
        rows[names[-2]].append(f"{100 * least:.1f}")
        rows[names[-1]].append(ratio(likeliest, t2, least))
    table("T2, 25 echoes of 8 ms, T2 20 to 120 ms", rows)


def ratio(estimate: npt.NDArray[np.floating], truth: Doubles, least: float) -> str:
    """Return the RMSE of the relative error over its bound."""
    return f"{np.sqrt(np.mean(relative(estimate, truth) ** 2)) / least:.3f}"


def t1_table(voxels: int, *, inverted: bool) -> None:
    """Compare least squares and likelihood for T1 by saturation or inversion recovery."""
    reach = (800.0, 2000.0)
    t1 = np.random.default_rng(0).uniform(*reach, voxels)
    times = TI if inverted else TR
    others = (1.0, K) if inverted else (1.0,)

    def signal(p: Doubles) -> Doubles:
        return p[1] * (1 - (p[2] if inverted else 1.0) * np.exp(-times / p[0]))

    clean = np.abs(1 - (K if inverted else 1.0) * np.exp(-times / t1[:, None]))
    names = ("NLLS", "Rician maximum likelihood", "Cramer-Rao bound", "likelihood over bound")
    rows: dict[str, list[str]] = {name: [] for name in names}
    for snr in SNRS:
        y = noisy(clean, snr)
        fit = fit_t1_ir if inverted else fit_t1_sr
        likeliest = main_map(fit(y, times, sigma=1 / snr))
        least = floor(signal, reach, others, snr)
        rows[names[0]].append(errors(main_map(fit(y, times)), t1))
        rows[names[1]].append(errors(likeliest, t1))
        rows[names[2]].append(f"{100 * least:.1f}")
        rows[names[3]].append(ratio(likeliest, t1, least))
    what = f"inversion recovery, 10 TI, k = {K}" if inverted else "saturation recovery, 8 TR"
    table(f"T1, {what}, T1 800 to 2000 ms", rows)


def adc_table(voxels: int) -> None:
    """Compare estimators of ADC."""
    reach = (0.4, 2.5)
    adc = np.random.default_rng(0).uniform(*reach, voxels)
    clean = np.exp(-1e-3 * B * adc[:, None])
    names = (
        "log-linear OLS",
        "log-linear WLS",
        "NLLS",
        "Rician maximum likelihood",
        "Cramer-Rao bound",
        "likelihood over bound",
    )
    rows: dict[str, list[str]] = {name: [] for name in names}
    for snr in SNRS:
        y = noisy(clean, snr)
        likeliest = main_map(fit_adc(y, B, sigma=1 / snr))
        least = floor(lambda p: p[1] * np.exp(-1e-3 * B * p[0]), reach, (1.0,), snr)
        plain = -line(np.log(y), np.ones_like(y), 1e-3 * B)[0]
        rows[names[0]].append(errors(plain, adc))
        rows[names[1]].append(errors(main_map(fit_adc(y, B, method="wls", rician=False)), adc))
        rows[names[2]].append(errors(main_map(fit_adc(y, B, rician=False)), adc))
        rows[names[3]].append(errors(likeliest, adc))
        rows[names[4]].append(f"{100 * least:.1f}")
        rows[names[5]].append(ratio(likeliest, adc, least))
    table("ADC, 6 b to 1000 s/mm2, ADC 0.4 to 2.5 um2/ms", rows)


def covered(estimate: Map, truth: Doubles, freedom: int | None) -> str:
    """Return how many per cent of the 95 % intervals hold the truth."""
    assert estimate.error is not None
    low, high = confidence_interval(estimate.values, estimate.error, freedom)
    there = np.isfinite(estimate.values)
    return f"{100 * np.mean(((truth >= low) & (truth <= high))[there]):.1f}"


def coverage_table(voxels: int) -> None:
    """Print how often intervals hold the truth, by what is known of sigma."""
    rng = np.random.default_rng(0)
    t2, t1 = rng.uniform(20, 120, voxels), rng.uniform(800, 2000, voxels)
    adc = rng.uniform(0.4, 2.5, voxels)
    decays = np.exp(-TE / t2[:, None])
    inverted = np.abs(1 - K * np.exp(-TI / t1[:, None]))
    Fit = Callable[[Doubles, float | None], FitResult]
    cases: dict[str, tuple[Doubles, Doubles, int, Fit]] = {
        "T2": (decays, t2, 23, lambda y, s: fit_t2(y, TE, skip_echoes=0, sigma=s)),
        "T2*": (decays, t2, 23, lambda y, s: fit_t2star(y, TE, sigma=s)),
        "T1 SR": (1 - np.exp(-TR / t1[:, None]), t1, 6, lambda y, s: fit_t1_sr(y, TR, sigma=s)),
        "T1 SR, 3 parameters": (
            1 - 0.9 * np.exp(-TR / t1[:, None]),
            t1,
            5,
            lambda y, s: fit_t1_sr(y, TR, sigma=s, model="3p"),
        ),
        "T1 IR": (inverted, t1, 7, lambda y, s: fit_t1_ir(y, TI, sigma=s)),
        "ADC": (np.exp(-1e-3 * B * adc[:, None]), adc, 4, lambda y, s: fit_adc(y, B, sigma=s)),
    }
    print("\n95 % intervals that hold the truth, in per cent: sigma known / found in the residuals")
    print("of all voxels, as the maps do without a background / not known, each voxel for itself\n")
    print("| map |" + "".join(f" SNR {snr:.0f} |" for snr in SNRS))
    print("|---|" + "---|" * len(SNRS))
    for name, (clean, truth, freedom, fit) in cases.items():
        cells = []
        for snr in SNRS:
            y = noisy(clean, snr)
            known = covered(next(iter(fit(y, 1 / snr).maps.values())), truth, None)
            sigma = sigma_from_fits(fit, y).sigma
            assert sigma is not None
            found = covered(next(iter(fit(y, sigma).maps.values())), truth, None)
            alone = covered(next(iter(fit(y, None).maps.values())), truth, freedom)
            cells.append(f"{known} / {found} / {alone}")
        print(f"| {name} |" + "".join(f" {cell} |" for cell in cells))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voxels", type=int, default=60_000)
    voxels = parser.parse_args().voxels
    print(f"{voxels} voxels a table, on {machine()}.")
    rician.tables()
    t2_table(voxels)
    t1_table(voxels, inverted=False)
    t1_table(voxels, inverted=True)
    adc_table(voxels)
    coverage_table(voxels)


if __name__ == "__main__":
    main()
