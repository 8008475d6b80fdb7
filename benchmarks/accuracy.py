"""Bias and root-mean-square error of the estimators beside the smallest possible error.

Run ``python benchmarks/accuracy.py [--voxels N]``; it prints tables in Markdown. Signals are made
from the equations, with noise of both channels added before the magnitude is taken, so that they
have Rician noise of a known sigma; SNR is S0 / sigma.
"""

import argparse
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from measure import machine

from pipelines.models import decay, rician
from pipelines.models.cramer_rao import bound
from pipelines.models.inversion import fit_t1_ir
from pipelines.models.outcome import Noise
from pipelines.models.result import FitResult
from pipelines.models.t1 import fit_t1_sr
from pipelines.models.t2 import fit_t2

Doubles = npt.NDArray[np.float64]

SNRS = (20.0, 50.0, 100.0)
TE = 8.0 * np.arange(1, 26)
TR = np.array([200.0, 400.0, 700.0, 1000.0, 1500.0, 2500.0, 4000.0, 6000.0])
TI = np.array([50.0, 85.0, 145.0, 250.0, 420.0, 715.0, 1220.0, 2070.0, 3530.0, 6000.0])
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
    relative = [bound(signal, (t, *others), 1 / snr)[0] / t for t in np.linspace(*reach, 201)]
    return float(np.sqrt(np.mean(np.square(relative))))


def errors(estimate: npt.NDArray[np.floating], truth: Doubles) -> str:
    """Return bias / RMSE in per cent and, where voxels are missing, how many have a value."""
    off = estimate / truth - 1
    there = np.isfinite(off)
    text = f"{100 * off[there].mean():+.1f} / {100 * np.sqrt(np.mean(off[there] ** 2)):.1f}"
    return text if there.all() else f"{text} ({100 * there.mean():.1f} % valid)"


def line(logs: Doubles, weight: Doubles) -> tuple[Doubles, Doubles]:
    """Return slope and height of weighted straight lines through logarithms."""
    total = weight.sum(axis=1)
    t = (weight * TE).sum(axis=1) / total
    y = (weight * logs).sum(axis=1) / total
    apart = TE - t[:, None]
    slope = (weight * apart * (logs - y[:, None])).sum(axis=1) / (weight * apart**2).sum(axis=1)
    return slope, y - slope * t


def log_linear(signal: Doubles, weighted: bool) -> Doubles:
    """Return T2 of straight lines through the logarithms.

    Without weights, or with S^2 of the measured and then, twice, of the predicted signal.
    """
    logs = np.log(signal)
    if not weighted:
        return -1 / line(logs, np.ones_like(signal))[0]
    slope, height = line(logs, np.square(signal))
    for _ in range(2):
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
        "log-linear WLS",
        "NLLS, 2 parameters",
        "NLLS, 3 parameters, free offset",
        "NLLS, 3 parameters, offset >= 0",
        "NLLS, cut at first sample < 2 sigma",
        "NLLS of sqrt(S^2 - 2 sigma^2)",
        "Rician maximum likelihood",
        "Cramer-Rao bound",
        "likelihood over bound",
    )
    rows: dict[str, list[str]] = {name: [] for name in names}
    for snr in SNRS:
        y, sigma = noisy(clean, snr), 1 / snr
        corrected = np.sqrt(np.maximum(y**2 - 2 * sigma**2, 0))
        likeliest = main_map(fit_t2(y, TE, sigma=sigma, skip_echoes=0))
        least = floor(lambda p: p[1] * np.exp(-TE / p[0]), reach, (1.0,), snr)
        for name, estimate in zip(
            names,
            (
                log_linear(y, False),
                log_linear(y, True),
                main_map(fit_t2(y, TE, skip_echoes=0)),
                offset(y),
                main_map(fit_t2(y, TE, skip_echoes=0, model="3p")),
                cut(y, sigma),
                main_map(fit_t2(corrected, TE, skip_echoes=0)),
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
    return f"{np.sqrt(np.nanmean((estimate / truth - 1) ** 2)) / least:.3f}"


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


if __name__ == "__main__":
    main()
