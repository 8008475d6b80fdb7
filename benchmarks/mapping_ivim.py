"""IVIM beside published programs: errors on simulations of the same tissues at the same SNR.

Run ``XNAT_PIC_DATA=... python benchmarks/mapping_ivim.py``; it prints tables in Markdown. The
published numbers (OSIPI task force 2.4, ``reference_output.csv``) are means and deviations of 300
fits for each program, tissue and SNR; their signals were exp(-b D) (1 - f) + exp(-b D*) f with
noise of one channel of deviation 1 / SNR, and the absolute value was taken. Ours are made anew in
the same way. A voxel without a value counts as an error of 100 %.
"""

import argparse
import csv
import json
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
from measure import machine

from pipelines.models.ivim import Method, fit_ivim
from pipelines.models.ivim_prior import Prior
from pipelines.models.result import FATAL

Doubles = npt.NDArray[np.float64]

KEYS = (("f", 1.0), ("D", 1e3), ("Dp", 1e3))  # and the factor to our units
METHODS: tuple[Method, ...] = ("informed", "refined", "segmented")
SNRS = (10, 30, 50, 100, 200)
_FAST = float(np.log(30))
# The prior that is used, and others, to see how much of the result is its doing.
PRIORS = {
    "as used": Prior(),
    "D* around 15": Prior(mean=(0.2, 0.0, float(np.log(15)))),
    "D* around 60": Prior(mean=(0.2, 0.0, float(np.log(60)))),
    "D around 0.7": Prior(mean=(0.2, float(np.log(0.7)), _FAST)),
    "D around 2": Prior(mean=(0.2, float(np.log(2)), _FAST)),
    "f around 0.1": Prior(mean=(0.1, 0.0, _FAST)),
    "f around 0.4": Prior(mean=(0.4, 0.0, _FAST)),
    "nothing of f": Prior(width=(9.0, 0.7, 0.8)),
    "all wider": Prior(width=(0.5, 1.0, 1.0)),
}


def read(folder: Path) -> tuple[Doubles, dict[str, Doubles], dict[tuple[str, int], list[Doubles]]]:
    """Return b-values, tissues (f, D, D*), and squared errors of each program and SNR by tissue."""
    b = np.array(json.loads((folder / "b_values.json").read_text())["original"], float)
    tissues: dict[str, Doubles] = {}
    errors: dict[tuple[str, int], list[Doubles]] = defaultdict(list)
    with (folder / "reference_output.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            truth = np.array([float(row[k]) * factor for k, factor in KEYS])
            if not 0 < truth[0] < 1:
                continue  # one component does not exist, so one of D and D* has no true value
            tissues[row["Region"]] = truth
            mean = np.array([float(row[f"{k}_mu"]) * factor for k, factor in KEYS])
            spread = np.array([float(row[f"{k}_std"]) * factor for k, factor in KEYS])
            errors[(row["Algorithm"], int(row["SNR"]))].append((mean - truth) ** 2 + spread**2)
    return b, tissues, errors


def ours(
    b: Doubles,
    tissues: dict[str, Doubles],
    snr: int,
    method: Method,
    voxels: int,
    prior: Prior | None = None,
) -> tuple[Doubles, float]:
    """Return the RMSE of f, D and D* over tissues, and the share of voxels with all values."""
    rng = np.random.default_rng(snr)
    squares, valid = [], []
    for f, d, fast in tissues.values():
        clean = f * np.exp(-1e-3 * b * fast) + (1 - f) * np.exp(-1e-3 * b * d)
        noisy = np.abs(clean + rng.normal(0, 1 / snr, (voxels, len(b))))
        fit = fit_ivim(noisy, b, method=method, largest_f=1.0, prior=prior)
        found = np.stack([fit.maps[name].values for name in ("f", "D", "Dstar")], axis=1)
        complete = np.isfinite(found).all(axis=1) & ((fit.flags & FATAL) == 0)
        valid.append(complete.mean())
        off = np.nan_to_num(found.astype(np.float64)) - np.array([f, d, fast])
        squares.append(np.square(off).mean(axis=0))
    return np.sqrt(np.mean(squares, axis=0)), float(np.mean(valid))


def tables(folder: Path, voxels: int) -> list[str]:
    """Return the lines of one table for each quantity."""
    b, tissues, errors = read(folder)
    programs = sorted({name for name, _ in errors})
    theirs = {key: np.sqrt(np.mean(rows, axis=0)) for key, rows in errors.items()}
    middle = {s: np.median([theirs[(name, s)] for name in programs], axis=0) for s in SNRS}
    mine = {(m, s): ours(b, tissues, s, m, voxels) for m in METHODS for s in SNRS}
    head = "| program | " + " | ".join(f"SNR {s}" for s in SNRS) + " |"
    line = "| --- |" + " ---: |" * len(SNRS)
    lines = [
        f"{len(tissues)} tissues, {len(b)} b-values to {b.max():g} s/mm2, {voxels} voxels for each "
        "tissue and SNR; sigma not told.",
    ]
    for k, (name, unit) in enumerate([("f", ""), ("D", " (um2/ms)"), ("D*", " (um2/ms)")]):
        rows = [(p, [theirs[(p, s)][k] for s in SNRS]) for p in programs]
        rows.sort(key=lambda row: row[1][2])
        rows += [("**median of the programs**", [middle[s][k] for s in SNRS])]
        rows += [(f"this, {m}", [mine[(m, s)][0][k] for s in SNRS]) for m in METHODS]
        lines += ["", f"RMSE of {name}{unit}", "", head, line]
        lines += [f"| {p} | " + " | ".join(f"{v:.3g}" for v in values) + " |" for p, values in rows]
    lines += ["", "Voxels with a value of all three, per cent", "", head, line]
    for m in METHODS:
        shares = " | ".join(f"{100 * mine[(m, s)][1]:.2f}" for s in SNRS)
        lines.append(f"| this, {m} | {shares} |")
    lines += ["", "RMSE of f / D / D* over that of the median program, with other priors", ""]
    lines += [head.replace("program", "prior"), line]
    for name, prior in PRIORS.items():
        parts = [ours(b, tissues, s, "informed", voxels, prior)[0] / middle[s] for s in SNRS]
        cells = " | ".join(" / ".join(f"{v:.2f}" for v in part) for part in parts)
        lines.append(f"| {name} | {cells} |")
    return lines


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voxels", type=int, default=300)
    options = parser.parse_args()
    if "XNAT_PIC_DATA" not in os.environ:
        parser.error("Set XNAT_PIC_DATA to the folder of the reference data.")
    folder = Path(os.environ["XNAT_PIC_DATA"]) / "diffusion" / "osipi_ivim"
    print(f"On {machine()}.\n")
    print("\n".join(tables(folder, options.voxels)))


if __name__ == "__main__":
    main()
