"""Voxels per second of the fits, beside loops over voxels and beside peers, in one run.

Run ``python benchmarks/mapping.py [--voxels N] [--loop N]``; it prints a table in Markdown. Loops
are timed on fewer voxels of the same data. ``lmfit`` and ``qmri`` are left out where they are not
installed.
"""

import argparse
import importlib.util
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from measure import machine
from scipy.optimize import curve_fit

from pipelines.models.t2 import fit_t2

Doubles = npt.NDArray[np.float64]

TE = 8.0 * np.arange(1, 26)
SNR = 50.0
RUNS = 9


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


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voxels", type=int, default=327_680)
    parser.add_argument("--loop", type=int, default=2_000, help="voxels for loops")
    options = parser.parse_args()
    signal, _ = decays(options.voxels)
    few = signal[: options.loop]
    ours = fit_t2(few, TE, skip_echoes=0).maps["T2map"].values
    off = float(np.max(np.abs(by_curve_fit(few) / ours - 1)))
    base = rate(by_curve_fit, few, 5)
    rows = [("scipy curve_fit, loop", base)]
    rows += [
        (f"{name}, loop", rate(fit, few))
        for name, fit in (("lmfit", by_lmfit), ("qmri", by_qmri))
        if importlib.util.find_spec(name)
    ]
    fit_t2(few, TE, skip_echoes=0, sigma=1 / SNR)
    rows += [
        ("this, T2 2p", rate(lambda y: fit_t2(y, TE, skip_echoes=0), signal, RUNS)),
        ("this, T2 2p, first echo judged", rate(lambda y: fit_t2(y, TE), signal, RUNS)),
        ("this, T2 3p", rate(lambda y: fit_t2(y, TE, skip_echoes=0, model="3p"), signal, RUNS)),
        (
            "this, T2 2p, Rician likelihood",
            rate(lambda y: fit_t2(y, TE, skip_echoes=0, sigma=1 / SNR), signal, RUNS),
        ),
    ]
    print(f"{options.voxels} voxels of 25 echoes (loops: {options.loop}), on {machine()}.")
    print("Ours: everything of the result, with errors, flags and checks; kernels compiled.")
    print(f"Largest relative difference of T2 from curve_fit: {off:.1e}\n")
    print("| fit | voxels per second | times curve_fit |")
    print("|---|---|---|")
    for name, speed in rows:
        print(f"| {name} | {speed:,.0f} | {speed / base:,.1f} |")


if __name__ == "__main__":
    main()
