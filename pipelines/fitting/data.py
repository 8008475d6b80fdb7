"""What a fit is asked for, what it is given, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..inputs.frames import Doubles, Floats, Images
from ..models.ph import PhCalibration
from ..models.result import FATAL, FitResult

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class MapOptions:
    """What a person may choose about a map.

    Attributes
    ----------
    mask : Path or None
        NIfTI on the grid of the images, not 0 where to fit.
    sigma : float or "auto" or None
        Noise of one real channel; None for a fit without it.
    model : str
        Empty for the method's own choice.
    skip_echoes : int or "auto"
        Echoes left out at the start.
    offsets_ppm : tuple of float
        CEST: where MTR asymmetry is wanted.
    windows : tuple of str
        CEST: ranges over which MTR asymmetry is averaged, ``amide`` or ``3.2-3.8``.
    b0, b1, t1 : Path or None
        Maps on the grid of the images, NIfTI or Parametric Map; for B0 also a series.
    ph : Path or None
        Calibration of pH, TOML.
    assume_aligned : bool
        Series of several frames of reference, studies or animals lie together: a person says so.
    """

    mask: Path | None = None
    sigma: float | Literal["auto"] | None = "auto"
    model: str = ""
    skip_echoes: int | Literal["auto"] = "auto"
    offsets_ppm: tuple[float, ...] = ()
    windows: tuple[str, ...] = ()
    b0: Path | None = None
    b1: Path | None = None
    t1: Path | None = None
    ph: Path | None = None
    assume_aligned: bool = False


@dataclass(frozen=True)
class FitInputs:
    """What a model is given beside the signal.

    Attributes
    ----------
    images : Images
        The input.
    mask : ndarray of bool, shape (n_voxels,)
        Voxels to fit.
    options : MapOptions
        What was chosen.
    sigma : float or None
        Noise of one real channel.
    b0, b1, t1 : ndarray of float32, shape (n_voxels,), or None
        Shift in ppm, relative flip angle, T1 in ms.
    ph : PhCalibration or None
        Calibration of pH.
    slice_index : int
        The slice whose protocol values count.
    """

    images: Images
    mask: Bools
    options: MapOptions = MapOptions()
    sigma: float | None = None
    b0: Floats | None = None
    b1: Floats | None = None
    t1: Floats | None = None
    ph: PhCalibration | None = None
    slice_index: int = 0

    def __repr__(self) -> str:
        """Show the images, the mask's size and the noise."""
        sigma = "not known" if self.sigma is None else f"{self.sigma:.4g}"
        return f"<FitInputs {self.images}, mask of {int(self.mask.sum())} voxels, sigma {sigma}>"

    def protocol_values(self, name: str) -> Doubles:
        """Return a protocol value of each sample, shape (n_samples,), such as ``echo_time_ms``."""
        return np.asarray(self.images.values[name][self.slice_index])


@dataclass
class FittedMap:
    """A map between its fit and its files.

    Attributes
    ----------
    command : str
        Such as ``t2``.
    variable : str
        What was varied, such as ``echo_time_ms``.
    inputs : FitInputs
        Images, mask, noise and what else the fit was given.
    result : FitResult
        Of every voxel; voxels by slice, row, column.
    mask_source, sigma_source : str
        Where they come from, as text.
    options : dict
        What was chosen, as the provenance records it.
    notes : list of str
        Messages for a person.
    """

    command: str
    variable: str
    inputs: FitInputs
    result: FitResult
    mask_source: str
    sigma_source: str
    options: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        """Show the command and the fit."""
        return f"<FittedMap {self.command}: {self.result}>"

    @property
    def images(self) -> Images:
        """The images that were fitted."""
        return self.inputs.images

    @property
    def mask(self) -> Bools:
        """Voxels that were to be fitted, shape (n_slices, rows, columns)."""
        return self.volume(self.inputs.mask)

    @property
    def valid(self) -> Bools:
        """Voxels with a value, shape (n_voxels,)."""
        return np.asarray((self.result.flags & np.uint8(FATAL)) == 0)

    def volume(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return values of voxels on the grid, shape (n_slices, rows, columns[, k])."""
        return values.reshape(*self.images.grid, *values.shape[1:])
