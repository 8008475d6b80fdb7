"""What is subtracted from the counts of a click, and their factor to radiance: all or nothing."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xnat_pic.errors import CorruptDataError

from .click import Click
from .radiance import radiance_per_count
from .table import image_row
from .tiff import read_tiff

_SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "second": 1.0, "": 1.0}
_MINUTES = {"m": 60.0, "min": 60.0, "minutes": 60.0, "minute": 60.0}


@dataclass(frozen=True)
class Calibration:
    """How counts become radiance.

    Attributes
    ----------
    factor : float
        Radiance (photons s-1 cm-2 sr-1) of one count.
    bias : float
        Electronic bias, counts.
    dark : Path or None
        Image of the dark charge, where it can be believed.
    dark_scale : float
        Counts of one stored value of it.
    notes : tuple of str
        What was not done, as sentences.
    """

    factor: float
    bias: float
    dark: Path | None = None
    dark_scale: float = 1.0
    notes: tuple[str, ...] = field(default=())


def exposure_s(click: Click, role: str) -> float | None:
    """Return the exposure of an image in seconds; None where it or its unit is not known."""
    row = image_row(role)
    value = click.quantity("exposure", row)
    unit = click.value("exposure_unit", row).strip().lower().rstrip(".")
    factor = (_SECONDS | _MINUTES).get(unit)
    return value * factor if value is not None and value > 0 and factor else None


def calibrate(click: Click, counts: npt.NDArray[Any]) -> Calibration | str:
    """Return how the counts of a click become radiance, or what is missing for it.

    Parameters
    ----------
    counts : ndarray, shape (rows, columns)
        The luminescent image.

    Returns
    -------
    Calibration or str
        The text names what the files do not say.
    """
    row = image_row("luminescent")
    known = {
        "exposure": exposure_s(click, "luminescent"),
        "binning": click.quantity("binning", row),
        "f-number": click.quantity("f_number", row),
        "field of view": click.quantity("fov_cm", row),
    }
    missing = [name for name, value in known.items() if value is None or value <= 0]
    if missing:
        return f"the {' and the '.join(missing)} of the luminescent image"
    fov, stop = known["field of view"] or 0.0, known["f-number"] or 0.0
    coefficient = click.coefficient(fov, stop)
    if coefficient is None:
        return f"the camera's coefficient C-ccd at FOV {fov:g}, f{stop:g}"
    bias = _bias(click)
    if bias is None:
        return "the read bias"
    factor = radiance_per_count(known["exposure"] or 0.0, known["binning"] or 0.0, coefficient)
    dark, scale, note = _dark(click, counts, bias)
    return Calibration(factor, bias, dark, scale, (note,) if note else ())


def _bias(click: Click) -> float | None:
    """Return the level from the text, else the median of the bias image."""
    level = click.quantity("read_bias_level", image_row("luminescent"))
    if level is not None and level >= 0:
        return level
    row = image_row("readbias")
    path = click.image_file(row)
    if path is None:
        return None
    try:
        image = read_tiff(path)
    except CorruptDataError:
        return None
    return float(np.median(image)) / _multiplier(click, "readbias")


def _multiplier(click: Click, role: str) -> float:
    value = click.quantity("data_multiplier", image_row(role))
    return value if value is not None and value > 0 else 1.0


def _dark(click: Click, counts: npt.NDArray[Any], bias: float) -> tuple[Path | None, float, str]:
    """Return the dark charge image and its scale, or why it is not subtracted."""
    row = image_row("background")
    path = click.image_file(row)
    if click.quantity("background_corrected", image_row("luminescent")):
        return None, 1.0, ""
    if path is None:
        return None, 1.0, "There is no image of the dark charge; it is not subtracted."
    left = "The dark charge is not subtracted:"
    try:
        image = read_tiff(path)
    except CorruptDataError as error:
        return None, 1.0, f"{left} {error.message}"
    if image.shape != counts.shape:
        return None, 1.0, f"{left} {path.name} has another size than the luminescent image."
    if image.min() == image.max():
        return None, 1.0, f"{left} {path.name} holds {image.min()} everywhere."
    own, its = exposure_s(click, "luminescent") or 0.0, exposure_s(click, "background")
    if its is not None and abs(its - own) > 0.01 * own:
        return None, 1.0, f"{left} {path.name} was exposed for {its:g} s and not for {own:g} s."
    scale = 1.0 / _multiplier(click, "background")
    middle = float(np.median(counts)) - bias
    spread = 1.4826 * float(np.median(np.abs(counts.astype(np.float64) - np.median(counts))))
    if not -1.0 <= scale * float(np.median(image)) <= middle + 3 * max(spread, 1.0):
        return None, 1.0, f"{left} {path.name} is brighter than the luminescent image above bias."
    return path, scale, ""
