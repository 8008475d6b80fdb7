"""From an animal and a scan to frames of numbers; only the random generator has a state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import signals
from .anatomy import (
    B0_LIMIT_PPM,
    B0_STEP_PPM,
    Animal,
    Tissue,
    b0_shift_ppm,
    coil_profile,
    label_points,
)
from .protocols import Scan

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]

GAIN = 10000.0  # arbitrary units of pure water's equilibrium signal
LARGEST = 32766
_T2_STAR = 0.4  # T2* of the gradient echo localizer, as a fraction of T2
_POOL_PIXELS = 2**22


@dataclass(frozen=True)
class Scene:
    """What the coil sees in one scan, without noise.

    Attributes
    ----------
    labels : list of ndarray of uint8, shape (rows, columns)
        Tissue of each voxel, for each slice.
    profile : list of ndarray of float32, shape (rows, columns)
        Receive sensitivity, for each slice.
    classes : list of ndarray of int, shape (rows, columns)
        Column of `table` for each voxel: tissue, and field offset in a Z-spectrum.
    table : ndarray of float32, shape (loop steps, classes)
        Signal of each class, arbitrary units; class 0 is air.
    """

    labels: list[npt.NDArray[np.uint8]]
    profile: list[Image]
    classes: list[npt.NDArray[np.intp]]
    table: Image

    def largest(self) -> float:
        """Give the largest noiseless signal."""
        return float(self.table.max() * max(float(p.max()) for p in self.profile))


class NoiseSource:
    """Gaussian noise of two channels, fresh or taken from a pool at random places.

    A pool (for very large studies) repeats itself after four million values.
    """

    def __init__(self, rng: np.random.Generator, sigma: float, pooled: bool) -> None:
        self._rng = rng
        self._sigma = np.float32(sigma)
        self._pool = None
        if pooled and sigma > 0:
            self._pool = rng.standard_normal(_POOL_PIXELS, dtype=np.float32) * self._sigma

    def magnitude(self, signal: Image) -> Image:
        """Give sqrt((S + n1)^2 + n2^2), which follows a Rice distribution."""
        if self._sigma == 0:
            return signal
        real, imaginary = signal + self._draw(signal.shape), self._draw(signal.shape)
        magnitude: Image = np.hypot(real, imaginary)
        return magnitude

    def _draw(self, shape: tuple[int, ...]) -> Image:
        if self._pool is None:
            return self._rng.standard_normal(shape, dtype=np.float32) * self._sigma
        count = int(np.prod(shape))
        start = int(self._rng.integers(0, _POOL_PIXELS - count))
        return self._pool[start : start + count].reshape(shape)


def make_scene(animal: Animal, scan: Scan) -> Scene:
    """Sample the animal at the voxel centres of a scan and work out its signals."""
    labels, profile, classes = [], [], []
    for pack in scan.packs:
        for index in range(len(pack.centres_mm)):
            points = pack.voxel_centres(index)
            label = label_points(animal, points)
            labels.append(label)
            profile.append(coil_profile(points))
            if scan.loop == "cest":
                classes.append(label * len(field_levels()) + _field_index(points))
            else:
                classes.append(label.astype(np.intp))
    table = signal_table(animal.tissues, scan) * GAIN
    return Scene(labels, profile, classes, table.astype(np.float32))


def signal_table(tissues: tuple[Tissue, ...], scan: Scan) -> Floats:
    """Work out the signal of every tissue at every step of the scan's loop.

    Returns
    -------
    ndarray of float64, shape (steps, 1 + tissues)
        Relative to pure water at equilibrium; column 0 is air. For a Z-spectrum each tissue,
        air included, has one column for each of `field_levels`.
    """
    m0, t1, t2 = (
        np.array([getattr(t, name) for t in tissues])
        for name in ("proton_density", "t1_ms", "t2_ms")
    )
    tr, te = scan.tr_ms[0], scan.te_ms[0]
    if scan.loop == "echo":
        rows = [signals.spin_echo(m0, t1, t2, tr, echo) for echo in scan.te_ms]
    elif scan.loop == "vtr":
        rows = [signals.spin_echo(m0, t1, t2, time, te) for time in scan.tr_ms]
    elif scan.method == "FLASH":
        rows = [signals.spoiled_gradient_echo(m0, t1, t2 * _T2_STAR, tr, te, scan.flip_deg)]
    else:
        rows = [signals.spin_echo(m0, t1, t2, tr, te)]
    table = np.stack(rows)
    if scan.diffusion is not None:
        tensors = np.stack([t.tensor() for t in tissues]) * 1e-3
        table = table * signals.diffusion_weighting(scan.diffusion.b_patient, tensors)
    if scan.loop == "cest":
        return _z_table(table[0], tissues, scan)
    return np.concatenate([np.zeros((len(table), 1)), table], axis=1)


def field_levels() -> Floats:
    """List the field offsets that occur, ppm, ascending."""
    count = round(2 * B0_LIMIT_PPM / B0_STEP_PPM) + 1
    return np.linspace(-B0_LIMIT_PPM, B0_LIMIT_PPM, count)


def frames(scene: Scene, scan: Scan, noise: NoiseSource) -> Iterator[Image]:
    """Yield every frame in storage order, each of shape (rows, columns), arbitrary units."""
    for index, step in scan.frame_indices():
        signal = scene.table[step].take(scene.classes[index]) * scene.profile[index]
        yield noise.magnitude(signal)


def common_slope(scene: Scene, sigma: float) -> float:
    """Give a slope that fits the whole series into 16 bits, with room for six sigma of noise."""
    return (scene.largest() + 6 * sigma) / LARGEST


def quantise(image: Image, slope: float | None) -> tuple[npt.NDArray[np.int16], float]:
    """Turn an image into stored 16-bit values.

    Parameters
    ----------
    image : ndarray of float32
        >= 0.
    slope : float or None
        real = stored * slope; None chooses the slope that uses the whole range.

    Returns
    -------
    stored : ndarray of int16, little-endian, same shape
    slope : float
        The one used.
    """
    if slope is None:
        largest = float(image.max())
        slope = largest / LARGEST if largest > 0 else 1.0
    stored = np.rint(image * np.float32(1 / slope))
    return np.minimum(stored, LARGEST).astype("<i2"), slope


def t2_analysis(scene: Scene, animal: Animal, scan: Scan, sigma: float) -> list[list[Image]]:
    """Make the maps that an image sequence analysis of an echo series would give, from the truth.

    Returns
    -------
    list over slices of list of five ndarray of float32, shape (rows, columns)
        Signal at TE 0, its standard error, T2 in ms, its standard error in ms, and the standard
        deviation of the fit. 0 in air.
    """
    t1 = np.array([t.t1_ms for t in animal.tissues])
    t2 = np.array([t.t2_ms for t in animal.tissues])
    m0 = np.array([t.proton_density for t in animal.tissues]) * GAIN
    s0 = signals.spin_echo(m0, t1, t2, scan.tr_ms[0], 0.0)
    s0_error, t2_error = signals.t2_fit_errors(s0, t2, np.array(scan.te_ms), sigma)
    columns = [s0, s0_error, t2, t2_error, np.full_like(s0, sigma)]
    tables = [np.concatenate([[0.0], column]).astype(np.float32) for column in columns]
    maps = []
    for label, profile in zip(scene.labels, scene.profile, strict=True):
        s0_map, s0_error_map, t2_map, t2_error_map, fit = (table.take(label) for table in tables)
        maps.append([s0_map * profile, s0_error_map, t2_map, t2_error_map / profile, fit])
    return maps


def _field_index(points_mm: Floats) -> npt.NDArray[np.intp]:
    return np.rint((b0_shift_ppm(points_mm) + B0_LIMIT_PPM) / B0_STEP_PPM).astype(np.intp)


def _z_table(signal: Floats, tissues: tuple[Tissue, ...], scan: Scan) -> Floats:
    levels = field_levels()
    saturated = [i for i, offset in enumerate(scan.offsets_ppm) if offset is not None]
    offsets = np.array([offset for offset in scan.offsets_ppm if offset is not None])
    table = np.zeros((len(scan.offsets_ppm), 1 + len(tissues), len(levels)))
    for column, tissue in enumerate(tissues):
        amplitude, centre, width = (
            np.array([getattr(pool, name) for pool in tissue.pools])
            for name in ("amplitude", "offset_ppm", "width_ppm")
        )
        table[:, column + 1] = signal[column]
        table[saturated, column + 1] *= signals.z_spectrum(
            offsets, amplitude, centre, width, levels
        )
    return table.reshape(len(table), -1)
