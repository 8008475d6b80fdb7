"""From counts to radiance: what is subtracted, the factor, and what a corrected image holds."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from xnat_pic.errors import CorruptDataError

from ...series.pixels import PixelSource
from .click import Click
from .table import image_row
from .tiff import read_tiff

Floats = npt.NDArray[np.float64]
# Fewest bright pixels from which the scale of a corrected image is classified.
_MIN_BRIGHT_PIXELS = 12
# A pixel is bright where it lies so many robust standard deviations above the median.
_BRIGHT_DEVIATIONS = 8.0
_SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "second": 1.0, "": 1.0}
_MINUTES = {"m": 60.0, "min": 60.0, "minutes": 60.0, "minute": 60.0}


def radiance_per_count(
    exposure_s: float, binning: float, coefficient: float, multiplier: float = 1.0
) -> float:
    """Return the radiance of one count above bias and dark charge.

    radiance = counts / (t binning^2) C_ccd; the flat field is not part of it.

    Parameters
    ----------
    exposure_s : float
        Exposure, s.
    binning : float
        CCD pixels along one side of an image pixel.
    coefficient : float
        C_ccd at the field of view and f-number, photons cm-2 sr-1 per count.
    multiplier : float
        Counts of the image for one of its stored values.

    Returns
    -------
    float
        photons s-1 cm-2 sr-1 per stored count.

    Raises
    ------
    ValueError
        If exposure, binning or coefficient is not above 0.
    """
    if not (exposure_s > 0 and binning > 0 and coefficient > 0):
        raise ValueError("exposure, binning and coefficient must be above 0")
    return multiplier * coefficient / (exposure_s * binning**2)


@dataclass(frozen=True)
class RadianceSource(PixelSource):
    """Radiance computed from counts when asked for.

    Attributes
    ----------
    factor : float
        Radiance of one count.
    bias : float
        Electronic bias, counts.
    dark : Path or None
        Image of the dark charge of the same exposure.
    dark_scale : float
        Its stored values times this are counts.
    """

    factor: float = 1.0
    bias: float = 0.0
    dark: Path | None = None
    dark_scale: float = 1.0

    @property
    def array(self) -> npt.NDArray[Any]:
        """The plane, shape (1, rows, columns)."""
        return self.read_planes(0, 1)

    def read_planes(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Compute the plane, float32, shape (1, rows, columns)."""
        net = net_counts(read_tiff(self.path), self.bias, self.dark, self.dark_scale)
        return (net * self.factor).astype(np.float32)[None][start:stop]


def net_counts(
    counts: npt.NDArray[Any], bias: float, dark: Path | None, dark_scale: float
) -> Floats:
    """Return counts above bias and dark charge, shape (rows, columns); noise may be negative."""
    net = counts.astype(np.float64) - bias
    return net if dark is None else net - dark_scale * read_tiff(dark).astype(np.float64)


PixelScale = Literal["radiance", "counts", "unknown"]


def classify_scale(
    corrected: npt.NDArray[Any], net: Floats, per_count: float
) -> tuple[PixelScale, float | None]:
    """Tell whether a corrected image holds radiance or counts, from the raw counts of its click.

    The ratio of sums over bright pixels is that of the scales; a shift of half a pixel and the
    flat field change it by tenths, the two answers differ by `per_count`.

    Parameters
    ----------
    corrected, net : ndarray, shape (rows, columns)
        The vendor's image, and the raw counts above bias; of the same shape.
    per_count : float
        Radiance of one count.

    Returns
    -------
    scale : str
        ``unknown`` where too few pixels are bright or both answers are as near.
    ratio : float or None
        Corrected over raw.
    """
    if corrected.shape != net.shape:
        return "unknown", None
    values = np.nan_to_num(corrected.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    middle = float(np.median(net))
    spread = 1.4826 * float(np.median(np.abs(net - middle)))
    bright = net > middle + _BRIGHT_DEVIATIONS * max(spread, 1.0)
    if np.count_nonzero(bright) < _MIN_BRIGHT_PIXELS:
        return "unknown", None
    background = float(np.median(values[~bright])) if not bright.all() else 0.0
    ratio = float((values[bright] - background).sum() / (net[bright] - middle).sum())
    near = {
        name
        for name, expected in (("radiance", per_count), ("counts", 1.0))
        if 0.5 < ratio / expected < 2.0
    }
    if len(near) != 1:
        return "unknown", ratio
    return ("radiance" if "radiance" in near else "counts"), ratio


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
