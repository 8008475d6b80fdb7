"""The animal: ellipsoid organs, tissue properties, variation between animals, treatment effect.

Pure: nothing is read but the table ``tissues.toml``, nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xnat_pic import tables

Floats = npt.NDArray[np.float64]
AIR = 0
B0_STEP_PPM = 0.01
B0_LIMIT_PPM = 0.15


@dataclass(frozen=True)
class Pool:
    """One exchanging pool of a Z-spectrum: a Lorentzian (amplitude 0..1, ppm from water)."""

    name: str
    offset_ppm: float
    amplitude: float
    width_ppm: float


@dataclass(frozen=True)
class Tissue:
    """What one tissue is made of; the tensor is in um2/ms (10^-3 mm2/s), patient LPS."""

    label: int
    name: str
    proton_density: float
    t1_ms: float
    t2_ms: float
    axial: float
    radial: float
    axis: tuple[float, float, float]
    pools: tuple[Pool, ...]

    def tensor(self) -> Floats:
        """Give the diffusion tensor, shape (3, 3), um2/ms."""
        axis = np.asarray(self.axis)
        return self.radial * np.eye(3) + (self.axial - self.radial) * np.outer(axis, axis)

    def mean_diffusivity(self) -> float:
        """Give the trace of the tensor over three, um2/ms."""
        return (self.axial + 2 * self.radial) / 3


@dataclass(frozen=True)
class Organ:
    """An ellipsoid with axes along LPS; centre and half axes in mm."""

    name: str
    label: int
    centre: tuple[float, float, float]
    half: tuple[float, float, float]


@dataclass(frozen=True)
class Effect:
    """What the treatment did to the tumour of this study, as factors on the baseline."""

    t2_factor: float
    adc_factor: float
    size_factor: float


@dataclass(frozen=True)
class Animal:
    """One animal at one timepoint; later organs lie on top of earlier ones."""

    tissues: tuple[Tissue, ...]
    organs: tuple[Organ, ...]
    effect: Effect


def load_table() -> dict[str, Any]:
    """Read the table of tissues, organs, variation and effect."""
    return tables.load_table("sandbox.mouse", "tissues.toml")


def treatment_effect(dose_index: int, time_index: int) -> Effect:
    """Say what `dose_index` (0 = untreated) has done by timepoint `time_index` (0 = baseline).

    T2 and ADC rise, and growth is held back, in proportion to both.
    """
    effect = load_table()["effect"]
    steps = dose_index * time_index
    growth = effect["tumour_growth"] * time_index - effect["growth_held_back"] * steps
    return Effect(
        t2_factor=1 + effect["tumour_t2"] * steps,
        adc_factor=1 + effect["tumour_adc"] * steps,
        size_factor=float(np.clip(1 + growth, 0.6, 1.5)),
    )


def make_animal(seed: int, number: int, dose_index: int, time_index: int) -> Animal:
    """Make animal `number` as it is at one timepoint.

    The animal's own deviations depend on `seed` and `number` alone, so that it comes back with
    the same anatomy at each timepoint, and only the tumour has changed.
    """
    table = load_table()
    rng = np.random.default_rng([seed, number, 0])
    spread = table["variation"]
    effect = treatment_effect(dose_index, time_index)
    labels = {row["name"]: row["label"] for row in table["tissue"]}
    tissues = tuple(_make_tissue(row, spread, rng) for row in table["tissue"])
    organs = tuple(_make_organ(row, labels, spread, rng) for row in table["organ"])
    return Animal(
        tuple(_treat(t, effect) if t.name == "tumour" else t for t in tissues),
        tuple(_grow(o, effect.size_factor) if o.name == "tumour" else o for o in organs),
        effect,
    )


def label_points(animal: Animal, points_mm: Floats) -> npt.NDArray[np.uint8]:
    """Tell the tissue at each point.

    Parameters
    ----------
    animal : Animal
        Its organs are tested in order; the last that holds the point wins.
    points_mm : ndarray of float, shape (..., 3)
        Patient LPS, mm.

    Returns
    -------
    ndarray of uint8, shape (...)
        Tissue labels, 0 for air.
    """
    labels = np.zeros(points_mm.shape[:-1], dtype=np.uint8)
    for organ in animal.organs:
        distance = (points_mm - np.asarray(organ.centre)) / np.asarray(organ.half)
        labels[np.einsum("...i,...i->...", distance, distance) <= 1] = organ.label
    return labels


def coil_profile(points_mm: Floats) -> npt.NDArray[np.float32]:
    """Give the smooth receive sensitivity (0..1] at points of shape (..., 3), LPS mm."""
    distance = (points_mm - np.array([2.0, 6.0, 2.0])) / np.array([30.0, 25.0, 60.0])
    squared = np.einsum("...i,...i->...", distance, distance)
    profile: npt.NDArray[np.float32] = np.exp(-0.5 * squared).astype(np.float32)
    return profile


def b0_shift_ppm(points_mm: Floats) -> Floats:
    """Give the field offset at points of shape (..., 3): whole steps of 0.01 ppm within 0.15."""
    x, y, z = np.moveaxis(points_mm, -1, 0)
    shift = 0.006 * x - 0.004 * y + 0.0005 * x * y + 0.0001 * (z + 12) ** 2
    steps: Floats = np.round(shift / B0_STEP_PPM) * B0_STEP_PPM
    return np.clip(steps, -B0_LIMIT_PPM, B0_LIMIT_PPM)


def _make_tissue(row: dict[str, Any], spread: dict[str, float], rng: np.random.Generator) -> Tissue:
    t1, t2 = 1 + spread["relaxation"] * rng.uniform(-1.5, 1.5, 2)
    diffusion = 1 + spread["diffusion"] * rng.uniform(-1.5, 1.5)
    return Tissue(
        label=row["label"],
        name=row["name"],
        proton_density=row["proton_density"],
        t1_ms=float(row["t1_ms"] * t1),
        t2_ms=float(row["t2_ms"] * t2),
        axial=float(row["axial"] * diffusion),
        radial=float(row["radial"] * diffusion),
        axis=tuple(row["axis"]),
        pools=tuple(Pool(*pool) for pool in row["pools"]),
    )


def _make_organ(
    row: dict[str, Any], labels: dict[str, int], spread: dict[str, float], rng: np.random.Generator
) -> Organ:
    sigma = spread["tumour_size" if row["name"] == "tumour" else "organ_size"]
    factor = 1 + sigma * rng.uniform(-1.5, 1.5)
    half = tuple(float(h * factor) for h in row["half"])
    return Organ(row["name"], labels[row["tissue"]], tuple(row["centre"]), half)  # type: ignore[arg-type]


def _treat(tissue: Tissue, effect: Effect) -> Tissue:
    return replace(
        tissue,
        t2_ms=tissue.t2_ms * effect.t2_factor,
        axial=tissue.axial * effect.adc_factor,
        radial=tissue.radial * effect.adc_factor,
    )


def _grow(organ: Organ, factor: float) -> Organ:
    """Grow outwards: the flank side stays where it was."""
    x, y, z = organ.centre
    a, b, c = organ.half
    return replace(
        organ, centre=(x + a * (factor - 1), y, z), half=(a * factor, b * factor, c * factor)
    )
