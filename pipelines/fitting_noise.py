"""The noise that a fit goes by: given, measured in the background, or in what the fits leave."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .models.noise import NoiseEstimate, sigma_from_background

if TYPE_CHECKING:
    from .commands import Command, Setup
    from .fitting import Options
    from .inputs.frames import Floats, Images
    from .models.result import FitResult


def find_sigma(
    options: Options, command: Command, images: Images, signal: Floats, setup: Setup
) -> tuple[float | None, str]:
    """Return sigma of one real channel, and where it is from.

    Without a wish it is measured in the background; where that is blanked, filtered, of several
    channels or not there, in what Rician fits of the mask leave over; and where that is more than
    noise it is not known, and the text says why.

    Parameters
    ----------
    options : Options
        What was asked for.
    command : Command
        Whose fit it is for.
    images : Images
        What kind of images they are.
    signal : ndarray of float32, shape (n_voxels, n_samples)
        All voxels.
    setup : Setup
        With the mask.

    Returns
    -------
    sigma : float or None
        In the unit of the signal.
    source : str
        As text.
    """
    if options.sigma is None:
        return None, "not asked for"
    if options.sigma != "auto":
        return float(options.sigma), "given by --sigma"
    if images.component != "M":
        return None, "not estimated: the images are not magnitudes"
    found = sigma_from_background(signal)
    if found.sigma is None and setup.model in command.rician:
        left = _in_residuals(command, images, signal, setup)
        reason = f"{found.reason} {left.reason}"
        return left.sigma, f"{left.source}: {reason}"
    return found.sigma, f"{found.source}: {found.reason}"


def _in_residuals(command: Command, images: Images, signal: Floats, setup: Setup) -> NoiseEstimate:
    """Measure it in fits of some of the mask; of one slice where slices have their own values."""
    from .models.noise_fit import sigma_from_fits

    chosen = setup.mask & np.isfinite(signal).all(axis=1)
    if command.need.per_slice:
        per_slice = chosen.reshape(images.grid[0], -1)
        setup = replace(setup, slice_index=int(np.argmax(per_slice.sum(axis=1))))
        others = np.arange(len(per_slice)) != setup.slice_index
        chosen = np.where(others[:, None], False, per_slice).ravel()

    def fit(samples: npt.NDArray[np.float64], sigma: float | None) -> FitResult:
        every = np.ones(len(samples), np.bool_)
        kept = samples.astype(np.float32)
        return command.fit(images, kept, replace(setup, mask=every, sigma=sigma))

    rows = signal[chosen].astype(np.float64)
    return sigma_from_fits(fit, rows)
