"""Fit every map that the pipelines offer, of small synthetic images: kernels are compiled by it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt

from ..catalog import Pipeline, load_catalog
from ..fitting.data import MapOptions
from ..fitting.methods import MAP_METHODS
from .run import make_maps

_SIDE, _SLICES, _EDGE = 24, 2, 6
_NOISE = 4.0
_BRIGHT = 1000.0


@dataclass(frozen=True)
class SyntheticSeries:
    """A series that varies what a map needs; no physics, only what fits can work on.

    Attributes
    ----------
    samples : tuple of float
        Signal of each sample, of 1.
    sidecar : dict
        What is said of it.
    directions : ndarray or None
        Of diffusion, shape (n_samples, 3).
    """

    samples: tuple[float, ...]
    sidecar: dict[str, Any]
    directions: npt.NDArray[np.float64] | None = field(default=None, repr=False)


def warm(commands: Sequence[str] = (), report: Callable[[str], None] = lambda _: None) -> list[str]:
    """Fit every map and model of the catalog once; return their names, such as ``t2 epg``.

    Parameters
    ----------
    commands : sequence of str
        Maps to fit, such as ``t2``; empty fits all.
    report : callable
        Called with each name before it is fitted.

    Raises
    ------
    XnatPicError, OSError
        Where one cannot be fitted or written: what is installed here does not work.
    """
    done = []
    with tempfile.TemporaryDirectory(prefix="xnat-pic-warm-") as scratch:
        for number, (command, model, series) in enumerate(_every()):
            if commands and command not in commands:
                continue
            name = f"{command} {model}".strip()
            report(name)
            folder = Path(scratch) / str(number)
            source = _write(series, folder)
            options = MapOptions(model=model)
            make_maps(command, source, folder / "maps", options, formats=("nifti", "report"))
            done.append(name)
    return done


def _every() -> Iterator[tuple[str, str, SyntheticSeries]]:
    """Yield command, model and images of everything that a scan can be asked for."""
    for pipeline in load_catalog().pipelines:
        if pipeline.command not in MAP_METHODS:
            continue
        for choice in _models(pipeline):
            command = pipeline.models.get(choice, pipeline.command)
            model = choice if choice in MAP_METHODS[command].models else ""
            yield command, model, _SERIES[f"{command} {model}"]()


def _models(pipeline: Pipeline) -> tuple[str, ...]:
    found = [one.choices for one in pipeline.inputs if one.name == "model"]
    return found[0] if found else ("",)


def _relaxation(keyword: str, times_s: npt.NDArray[Any], rising: bool) -> SyntheticSeries:
    decay = np.exp(-times_s / np.median(times_s))
    signal = 1 - decay if rising else decay
    return SyntheticSeries(tuple(signal), {keyword: times_s.tolist()})


def _echoes() -> SyntheticSeries:
    return _relaxation("EchoTime", np.arange(1, 17) * 0.01, rising=False)


def _recovery() -> SyntheticSeries:
    times = np.array([0.2, 0.4, 0.8, 1.5, 3.0, 5.0, 8.0])
    return _relaxation("RepetitionTime", times, rising=True)


def _diffusion(values: npt.NDArray[np.float64], directions: int) -> SyntheticSeries:
    """Return diffusion weighting along directions that are spread over the sphere."""
    turn = np.arange(directions) * (np.pi * (3 - np.sqrt(5)))
    height = (np.arange(directions) + 0.5) / directions
    flat = np.sqrt(1 - height**2)
    one = np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=1)
    b = np.concatenate([[0.0], np.repeat(values, directions)])
    signal = 0.9 * np.exp(-b * 0.8e-3) + 0.1 * np.exp(-b * 0.02)
    vectors = np.concatenate([np.zeros((1, 3)), np.tile(one, (len(values), 1))])
    return SyntheticSeries(tuple(signal), {"bValues": b.tolist()}, vectors)


def _spectrum() -> SyntheticSeries:
    offsets = np.concatenate([[300.0], np.linspace(-5, 5, 41)])
    signal = 1 - 0.9 / (1 + (offsets / 0.7) ** 2) - 0.08 / (1 + ((offsets - 3.5) / 0.5) ** 2)
    said = {"SaturationOffsetPpm": offsets.tolist(), "ImagingFrequency": 300.3}
    return SyntheticSeries(tuple(signal), said)


def _wasabi() -> SyntheticSeries:
    offsets = np.concatenate([[300.0], np.linspace(-2, 2, 41)])
    shift, strength = 2 * np.pi * offsets * 300.3, 2 * np.pi * 42.577 * 3.7
    turned = np.sin(np.arctan2(strength, np.abs(shift)))
    angle = np.hypot(shift, strength) * 0.005
    signal = np.abs(1 - 2 * turned**2 * np.sin(angle / 2) ** 2)
    said = {
        "SaturationOffsetPpm": offsets.tolist(), "ImagingFrequency": 300.3, "SaturationB1": 3.7,
        "SaturationPulseLength": 0.005, "MagneticFieldStrength": 7.05,
    }  # fmt: skip
    return SyntheticSeries(tuple(signal), said)


def _single() -> SyntheticSeries:
    return _diffusion(np.array([200.0, 500.0, 900.0]), 1)


def _tensor() -> SyntheticSeries:
    return _diffusion(np.array([800.0]), 12)


def _perfusion() -> SyntheticSeries:
    return _diffusion(np.array([10.0, 30, 60, 100, 200, 400, 700, 1000]), 1)


_SERIES: dict[str, Callable[[], SyntheticSeries]] = {
    "t2 2p": _echoes,
    "t2 3p": _echoes,
    "t2 auto": _echoes,
    "t2 epg": _echoes,
    "t1sr 2p": _recovery,
    "t1sr 3p": _recovery,
    "dwi ": _tensor,
    "dwi adc": _single,
    "dwi dti": _tensor,
    "ivim ": _perfusion,
    "cest mtr": _spectrum,
    "cest wasabi": _wasabi,
}


def _write(series: SyntheticSeries, folder: Path) -> Path:
    """Write a bright square in noise as NIfTI with its sidecar; return the file."""
    folder.mkdir()
    noise = np.random.default_rng(0).normal(
        0, _NOISE, (2, _SIDE, _SIDE, _SLICES, len(series.samples))
    )
    inside = np.zeros((_SIDE, _SIDE, _SLICES, 1))
    inside[_EDGE:-_EDGE, _EDGE:-_EDGE] = _BRIGHT
    signal = inside * np.asarray(series.samples)
    values = np.hypot(signal + noise[0], noise[1]).astype(np.float32)
    path = folder / "series.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, np.diag([0.3, 0.3, 1.0, 1.0])), path)
    folder.joinpath("series.json").write_text(json.dumps(series.sidecar), encoding="utf-8")
    if series.directions is not None:
        b = series.sidecar["bValues"]
        folder.joinpath("series.bval").write_text(" ".join(map(str, b)), encoding="utf-8")
        rows = [" ".join(map(str, row)) for row in series.directions.T]
        folder.joinpath("series.bvec").write_text("\n".join(rows), encoding="utf-8")
    return path
