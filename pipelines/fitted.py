"""A map on its way from the fit to the files."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .inputs.frames import Images
from .models.result import FATAL, FitResult


@dataclass
class Fitted:
    """Images, the fit, and how it came about.

    Attributes
    ----------
    command : str
        Such as ``t2``.
    variable : str
        What was varied, such as ``echo_time_ms``.
    images : Images
        The input.
    result : FitResult
        Of every voxel; voxels by slice, row, column.
    mask : ndarray of bool, shape (n_slices, rows, columns)
        Voxels that were to be fitted.
    mask_source, sigma_source : str
        Where they come from, as text.
    options : dict
        What was asked for.
    notes : list of str
        Sentences.
    b1 : ndarray of float32, shape (n_voxels,), or None
        Relative flip angles that were given.
    """

    command: str
    variable: str
    images: Images
    result: FitResult
    mask: npt.NDArray[np.bool_]
    mask_source: str
    sigma_source: str
    options: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    b1: npt.NDArray[np.float32] | None = None

    def volume(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return values of voxels on the grid, shape (n_slices, rows, columns[, k])."""
        return values.reshape(*self.images.grid, *values.shape[1:])

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """Voxels with a value, shape (n_voxels,)."""
        return np.asarray((self.result.flags & np.uint8(FATAL)) == 0)
