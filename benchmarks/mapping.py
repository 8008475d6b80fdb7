"""Voxels per second of the fits, beside loops over voxels and beside peers, in one run.

Run ``python benchmarks/mapping.py [--voxels N] [--loop N]``; it prints tables in Markdown. Loops
are timed on fewer voxels of the same data. Peers are left out where they are not installed. See
``mapping_command.py`` for the time of the whole command and ``mapping_ivim.py`` for accuracy beside
published programs.
"""

import argparse
import importlib.util
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from mapping_tensor import by_dipy, by_us, signals
from measure import machine
from scipy.optimize import curve_fit

from pipelines.models.ivim import fit_ivim
from pipelines.models.t2 import fit_t2

Doubles = npt.NDArray[np.float64]

TE = 8.0 * np.arange(1, 26)
SNR = 50.0
RUNS = 25


def decays(voxels: int) -> tuple[Doubles, Doubles]:
    """Return magnitudes of 25 echoes, shape (voxels, 25), and the true T2 in ms."""
    rng = np.random.default_rng(0)
    t2 = rng.uniform(20, 120, voxels)
    clean = np.exp(-TE / t2[:, None])
    noise = rng.normal(0, 1 / SNR, (2, *clean.shape))
    return np.hypot(clean + noise[0], noise[1]), t2


def rate(fit: Callable[[Doubles], object], signal: Doubles, runs: int = 1) -> float:
    """Return voxels per second, of the fastest of several runs (others may use the machine)."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        fit(signal)
        times.append(time.perf_counter() - start)
    return len(signal) / min(times)


def decay(te: Doubles, s0: float, t2: float) -> Doubles:
    """Return S0 exp(-TE / T2)."""
    return s0 * np.exp(-te / t2)


def by_curve_fit(signal: Doubles) -> Doubles:
    """Fit S0 and T2 in a loop of `scipy.optimize.curve_fit`."""
    return np.array([curve_fit(decay, TE, y, p0=(y[0], 50.0))[0][1] for y in signal])


def by_lmfit(signal: Doubles) -> Doubles:
    """Fit S0 and T2 in a loop of lmfit models."""
    import lmfit

    model = lmfit.Model(decay)
    return np.array([model.fit(y, te=TE, s0=y[0], t2=50.0).params["t2"].value for y in signal])


def by_qmri(signal: Doubles) -> Doubles:
    """Fit S0 and T2 with qmri, which takes seconds and loops over voxels itself."""
    from qmri.relaxometry import t2

    return 1e3 * np.asarray(t2.fit(signal, TE / 1e3, model="reduced", skip_echoes=0).t2)


def by_qmrpy(signal: Doubles) -> Doubles:
    """Fit S0 and T2 in a loop of qmrpy's model."""
    from qmrpy.models.t2.mono_t2 import T2Mono

    model = T2Mono(TE)
    return np.array([model.fit(y)["t2_ms"] for y in signal])


PEERS = {"lmfit": by_lmfit, "qmri": by_qmri, "qmrpy": by_qmrpy}


def t2_rows(signal: Doubles, few: Doubles) -> list[tuple[str, float]]:
    """Return names and speeds of the fits of T2, the loop of `curve_fit` first."""
    rows = [("scipy curve_fit, loop", rate(by_curve_fit, few, 5))]
    rows += [
        (f"{name}, loop", rate(fit, few))
        for name, fit in PEERS.items()
        if importlib.util.find_spec(name)
    ]
    fit_t2(few, TE, skip_echoes=0, sigma=1 / SNR)
    fit_t2(few, TE, skip_echoes=0, model="3p")
    return [
        *rows,
        ("this, T2 2p", rate(lambda y: fit_t2(y, TE, skip_echoes=0), signal, RUNS)),
        ("this, T2 2p, first echo judged", rate(lambda y: fit_t2(y, TE), signal, RUNS)),
        ("this, T2 3p", rate(lambda y: fit_t2(y, TE, skip_echoes=0, model="3p"), signal, RUNS)),
        (
            "this, T2 2p, Rician likelihood",
            rate(lambda y: fit_t2(y, TE, skip_echoes=0, sigma=1 / SNR), signal, RUNS),
        ),
    ]


def tensor_lines(voxels: int) -> list[str]:
    """Return a table of tensors per second; runs of both alternate."""
    signal, b, g = signals(voxels)
    dipy, us = by_dipy(b, g), by_us(b, g)
    off = np.nanmax(np.abs(us(signal[:2000]) - dipy(signal[:2000])), axis=0)
    speeds = [(rate(us, signal), rate(dipy, signal)) for _ in range(RUNS)]
    ours, theirs = (max(pair[k] for pair in speeds) for k in (0, 1))
    return [
        f"{voxels} voxels of {len(b)} volumes, {b.max():g} s/mm2. Largest difference of FA "
        f"{off[0]:.1e}, of MD {off[1]:.1e} um2/ms.",
        "",
        "| fit | voxels per second | times dipy |",
        "| --- | ---: | ---: |",
        f"| dipy, weighted least squares, FA and MD | {theirs:,.0f} | 1.0 |",
        f"| this, tensor, eigenvectors, FA, MD, AD, RD, errors | {ours:,.0f} "
        f"| {ours / theirs:.1f} |",
    ]


IVIM_B = np.array([0, 5, 10, 20, 30, 50, 75, 100, 150, 250, 400, 550, 700, 850, 1000.0])


def bi_exponential(b: Doubles, s0: float, f: float, d: float, fast: float) -> Doubles:
    """Return the signal of IVIM, D and D* in um2/ms."""
    return s0 * (f * np.exp(-1e-3 * b * fast) + (1 - f) * np.exp(-1e-3 * b * d))


def ivim_lines(voxels: int, loop: int) -> list[str]:
    """Return a table of IVIM fits per second."""
    rng = np.random.default_rng(0)
    limits = ((0.05, 0.3), (0.6, 1.5), (10, 60))
    f, d, fast = (rng.uniform(*pair, (voxels, 1)) for pair in limits)
    clean = f * np.exp(-1e-3 * IVIM_B * fast) + (1 - f) * np.exp(-1e-3 * IVIM_B * d)
    signal = np.hypot(clean + rng.normal(0, 1 / SNR, clean.shape), 0)

    def by_loop(y: Doubles) -> object:
        bounds = ([0, 0, 0, 4], [np.inf, 0.5, 4, 200])
        start = (1, 0.1, 1, 20)
        return [curve_fit(bi_exponential, IVIM_B, v, p0=start, bounds=bounds) for v in y]

    base = rate(by_loop, signal[:loop])
    rows = [("scipy curve_fit within bounds, loop", base)]
    fit_ivim(signal[:100], IVIM_B)
    for method in ("informed", "refined"):
        speed = rate(lambda y, m=method: fit_ivim(y, IVIM_B, method=m), signal, 3)
        rows.append((f"this, {method}", speed))
    return table_lines(rows, "curve_fit")


def table_lines(rows: list[tuple[str, float]], first: str) -> list[str]:
    """Return a table of speeds, beside that of the first row."""
    lines = [f"| fit | voxels per second | times {first} |", "| --- | ---: | ---: |"]
    base = rows[0][1]
    return lines + [f"| {name} | {speed:,.0f} | {speed / base:,.1f} |" for name, speed in rows]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voxels", type=int, default=327_680)
    parser.add_argument("--loop", type=int, default=2_000, help="voxels for loops")
    options = parser.parse_args()
    signal, _ = decays(options.voxels)
    few = signal[: options.loop]
    ours = fit_t2(few, TE, skip_echoes=0).maps["T2map"].values
    off = float(np.max(np.abs(by_curve_fit(few) / ours - 1)))
    print(f"On {machine()}. Ours: everything of the result, with errors, flags and checks;")
    print("kernels compiled.\n")
    print(f"T2: {options.voxels} voxels of {len(TE)} echoes (loops: {options.loop}). Largest")
    print(f"relative difference of T2 from curve_fit: {off:.1e}\n")
    print("\n".join(table_lines(t2_rows(signal, few), "curve_fit")))
    if importlib.util.find_spec("dipy"):
        print("\nTensor: " + "\n".join(tensor_lines(100_000)))
    print(f"\nIVIM: 20000 voxels of {len(IVIM_B)} b-values (loop: 200).\n")
    print("\n".join(ivim_lines(20_000, 200)))


if __name__ == "__main__":
    main()
