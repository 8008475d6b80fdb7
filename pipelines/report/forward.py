"""From the maps of a fit back to its samples: for curves, residuals and the errors to expect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..fitting.cest import offsets_of
from ..fitting.data import FittedMap
from ..fitting.diffusion import weighting
from ..models.epg import DEFAULT_T1_MS, echo_train
from ..models.vfa import spoiled_echo
from ..models.wasabi import wasabi_signal

Doubles = npt.NDArray[np.float64]
# Of parameters (p,) and the variable (n,): the signal (n,).
Signal = Callable[[Doubles, Doubles], Doubles]

_PER_B = 1e-3  # um2/ms times s/mm2


@dataclass(frozen=True)
class Forward:
    """The signal equation that was fitted.

    Attributes
    ----------
    names : tuple of str
        Maps that hold the parameters, in the order of `signal`.
    signal : callable
        From a voxel to its `Signal`.
    first : int
        Samples before it were left out of the fit.
    smooth : bool
        Whether the signal is a curve over the variable, or known at the samples alone.
    weights : ndarray of float64, shape (p,)
        The main map as a sum of parameters.
    """

    names: tuple[str, ...]
    signal: Callable[[int], Signal]
    first: int = 0
    smooth: bool = True
    weights: Doubles | None = None

    def parameters(self, fitted: FittedMap, index: int) -> Doubles:
        """Return the parameters of a voxel, shape (p,); NaN where they are not known."""
        maps = fitted.result.maps
        if self.names == ("tensor", "S0map"):
            both = np.append(maps["tensor"].values[index], maps["S0map"].values[index])
            return np.asarray(both, dtype=np.float64)
        return np.array([maps[name].values[index] for name in self.names], dtype=np.float64)

    def lead(self) -> Doubles:
        """Return how the main map follows from the parameters, shape (p,)."""
        if self.weights is not None:
            return self.weights
        return np.asarray(np.eye(len(self.names))[0], dtype=np.float64)


def forward_of(fitted: FittedMap) -> Forward | None:
    """Return the equation of a fit; None where there is none of the samples (MTR asymmetry)."""
    result = fitted.result
    equations = {
        "T2": _decay,
        "T2star": _decay,
        "T1 SR": _recovery,
        "T1 IR": _inversion,
        "T1 VFA": _spoiled,
        "DTI": _tensor,
        "IVIM": _perfusion,
    }
    if result.model == "T2 EPG":
        return _phase_graph(fitted)
    if result.model == "WASABI":
        return _wasabi(fitted)
    if result.model in ("ADC", "ADC wls"):
        names = ("ADC", "S0map")
        return Forward(names, lambda _: lambda p, b: p[1] * np.exp(-_PER_B * b * p[0]))
    stem = max((key for key in equations if result.model.startswith(key)), key=len, default="")
    return equations[stem](fitted) if stem else None


def samples_of(fitted: FittedMap, index: int) -> tuple[Doubles, Doubles]:
    """Return the variable and the samples of a voxel, both (n_samples,)."""
    size = fitted.images.grid[1] * fitted.images.grid[2]
    slice_index, inside = divmod(index, size)
    x = np.asarray(fitted.images.values[fitted.variable][slice_index], dtype=np.float64)
    plane = fitted.images.data[:, slice_index].reshape(len(x), -1)
    return x, plane[:, inside].astype(np.float64)


def _row(fitted: FittedMap, index: int, name: str) -> Doubles:
    size = fitted.images.grid[1] * fitted.images.grid[2]
    return np.asarray(fitted.images.values[name][index // size], dtype=np.float64)


def _present(fitted: FittedMap, *names: str) -> tuple[str, ...]:
    return tuple(name for name in names if name in fitted.result.maps)


def _decay(fitted: FittedMap) -> Forward:
    main = next(iter(fitted.result.maps))
    names = _present(fitted, main, "S0map", "Cmap")

    def signal(p: Doubles, t: Doubles) -> Doubles:
        return np.asarray(p[1] * np.exp(-t / p[0]) + (p[2] if len(p) > 2 else 0.0))

    skipped = fitted.result.settings.get("skipped_samples", 0)
    return Forward(names, lambda _: signal, skipped if isinstance(skipped, int) else 0)


def _recovery(fitted: FittedMap) -> Forward:
    names = _present(fitted, "T1map", "M0map", "kmap")
    echo = fitted.result.settings.get("echo_time_ms", 0.0)
    delay = echo / 2 if isinstance(echo, float) else 0.0

    def signal(p: Doubles, t: Doubles) -> Doubles:
        k = p[2] if len(p) > 2 else 1.0
        return np.asarray(p[1] * (1 - k * np.exp(-(t - delay) / p[0])))

    return Forward(names, lambda _: signal)


def _inversion(fitted: FittedMap) -> Forward:
    names = _present(fitted, "T1map", "M0map", "kmap")
    known = fitted.result.settings.get("repetition_times_ms") is not None
    magnitude = fitted.images.component == "M"
    own = fitted.images.values.get("repetition_time_ms") if known else None

    def voxel(index: int) -> Signal:
        repetition = None if own is None else _row(fitted, index, "repetition_time_ms")

        def signal(p: Doubles, t: Doubles) -> Doubles:
            k = p[2] if len(p) > 2 else 2.0
            late: Doubles | float = 0.0
            if repetition is not None:
                same = repetition if len(t) == len(repetition) else repetition[0]
                late = np.exp(-same / p[0])
            value = p[1] * (1 - k * np.exp(-t / p[0]) + late)
            return np.asarray(np.abs(value) if magnitude else value)

        return signal

    return Forward(names, voxel, smooth=own is None or float(np.ptp(own)) == 0.0)


def _spoiled(fitted: FittedMap) -> Forward:
    repetition = float(fitted.images.values["repetition_time_ms"].flat[0])

    def voxel(index: int) -> Signal:
        scale = 1.0 if fitted.inputs.b1 is None else float(fitted.inputs.b1[index])

        def signal(p: Doubles, angle: Doubles) -> Doubles:
            actual = np.radians(angle)[None, :] * scale
            return np.asarray(spoiled_echo(actual, repetition, p[:1], p[1:2])[0])

        return signal

    return Forward(("T1map", "M0map"), voxel)


def _phase_graph(fitted: FittedMap) -> Forward:
    t1 = fitted.result.settings.get("t1_ms", DEFAULT_T1_MS)

    def signal(p: Doubles, t: Doubles) -> Doubles:
        train = echo_train(
            p[:1],
            p[2:3],
            echo_spacing_ms=float(t[-1]) / len(t),
            echoes=len(t),
            t1_ms=t1 if isinstance(t1, float) else DEFAULT_T1_MS,
        )
        return np.asarray(p[1] * train[0])

    return Forward(("T2map", "S0map", "refocusingmap"), lambda _: signal, smooth=False)


def _tensor(fitted: FittedMap) -> Forward:
    b = fitted.images.one("b_value")
    matrices, directions = weighting(fitted.images, b)
    if matrices is None:
        unit = np.nan_to_num(np.zeros((len(b), 3)) if directions is None else directions)
        matrices = b[:, None, None] * unit[:, :, None] * unit[:, None, :]
    m = _PER_B * matrices
    twice = [2 * m[:, 0, 1], 2 * m[:, 0, 2], 2 * m[:, 1, 2]]
    design = np.stack([m[:, 0, 0], m[:, 1, 1], m[:, 2, 2], *twice], axis=1)

    def signal(p: Doubles, _: Doubles) -> Doubles:
        return np.asarray(p[6] * np.exp(-design @ p[:6]))

    third = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]) / 3
    return Forward(("tensor", "S0map"), lambda _: signal, smooth=False, weights=third)


def _perfusion(_: FittedMap) -> Forward:
    def signal(p: Doubles, b: Doubles) -> Doubles:
        x = _PER_B * b
        return np.asarray(p[3] * (p[1] * np.exp(-x * p[2]) + (1 - p[1]) * np.exp(-x * p[0])))

    return Forward(("D", "f", "Dstar", "S0map"), lambda _: signal)


def _wasabi(fitted: FittedMap) -> Forward:
    """Signals are those of the saturated images; the far reference has M0."""
    scan, mhz = fitted.images.scan, fitted.images.frequency_mhz or 1.0
    references = np.zeros(len(fitted.images.data), np.bool_)
    chosen = fitted.result.settings.get("m0_images")
    if isinstance(chosen, list):
        references[chosen] = True
    offsets = offsets_of(fitted.images)

    def signal(p: Doubles, x: Doubles) -> Doubles:
        own = np.array([[p[2], p[3], p[0] / 100, p[1]]])
        at = offsets if len(x) == len(offsets) else x
        z, _ = wasabi_signal(own, at, scan.pulse_ms or 1.0, scan.b1_ut or 1.0, mhz)
        found = p[4] * z[0]
        return np.asarray(np.where(references, p[4], found) if len(x) == len(offsets) else found)

    names = ("B1map", "B0map", "WASABIc", "WASABId", "M0map")
    return Forward(names, lambda _: signal)
