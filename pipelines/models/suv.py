"""Standardised uptake value by body weight, and the checks that a physicist makes before."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ModelInputError

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
# Half-lives, s: National Nuclear Data Center. By element and mass, as in F18.
HALF_LIVES_S = {
    "F18": 6586.2,
    "C11": 1221.8,
    "N13": 597.9,
    "O15": 122.24,
    "CU64": 45722.0,
    "GA68": 4062.6,
    "ZR89": 282276.0,
    "I124": 360806.0,
    "RB82": 76.4,
    "Y86": 53064.0,
}
_HALF_LIFE_TOLERANCE = 0.02
_SMALLEST_DOSE_BQ, _LARGEST_DOSE_BQ = 1e4, 2e9
_MOST_HALF_LIVES = 5.0
_MOST_RECOVERED = 1.1
# Body weights beyond which a value is pointed out, g.
_WEIGHTS_G = {"mouse": (8.0, 70.0), "rat": (40.0, 1200.0), "": (5.0, 120_000.0)}
# Body weights beyond which a value was written in grams where kilograms belong, g.
_MOST_WEIGHT_G = {"mouse": 2e3, "rat": 2e4, "": 1e6}


@dataclass(frozen=True)
class Uptake:
    """What the images say of the injection and of themselves.

    Attributes
    ----------
    units : str
        DICOM Units, such as ``BQML``.
    decay_correction : str
        ``START`` (to the start of the scan), ``ADMIN`` (to the injection) or ``NONE``.
    corrections : tuple of str
        DICOM Corrected Image.
    weight_g, dose_bq, half_life_s : float or None
        Dose at the time of injection.
    injected : datetime or None
    scan_start : datetime or None
        Time that ``START`` refers to.
    frame_reference_s : float or None
        From the scan's start to the time at which the frame's rate equals its mean; None where the
        header does not say it.
    frame_start_s : float
        From the scan's start to the frame's.
    nuclide, species : str
        As the header says them.
    intercepts : tuple of float
        Rescale intercepts found, which must be 0 in PET.
    suv_type : str
        DICOM SUV Type of values that are an SUV already: ``BW``, ``LBM``, ``LBMJAMES128``,
        ``LBMJANMA``, ``IBW``, ``BSA``; empty is ``BW``.
    height_cm : float or None
    sex : str
        ``M``, ``F`` or ``O``.
    suv_scale, activity_scale : float or None
        Factors from counts to an SUV and to Bq/mL, as one maker writes them, (7053,1000) and
        (7053,1009).
    measured : tuple of datetime
        For each slice the time at which its rate equals its mean, by the scanner's clock.
    """

    units: str = ""
    decay_correction: str = ""
    corrections: tuple[str, ...] = ()
    weight_g: float | None = None
    dose_bq: float | None = None
    half_life_s: float | None = None
    injected: datetime | None = None
    scan_start: datetime | None = None
    frame_reference_s: float | None = None
    frame_start_s: float = 0.0
    nuclide: str = ""
    species: str = ""
    intercepts: tuple[float, ...] = ()
    suv_type: str = ""
    height_cm: float | None = None
    sex: str = ""
    suv_scale: float | None = None
    activity_scale: float | None = None
    measured: tuple[datetime, ...] = ()


def decayed(activity_bq: float, seconds: float, half_life_s: float) -> float:
    """Return an activity after a time: A 2^(-t / T).

    Parameters
    ----------
    activity_bq : float
        Bq at the beginning.
    seconds : float
        Time that passes, s.
    half_life_s : float
        > 0, s.
    """
    return activity_bq * math.exp2(-seconds / half_life_s)


def suv_body_weight(
    activity_bq_ml: npt.NDArray[Any],
    weight_g: float,
    reference_dose_bq: float | npt.NDArray[np.float64],
) -> Floats:
    """Return the standardised uptake value by body weight.

    SUV = C w / D, with the dose D decayed to the time to which the concentration C refers;
    the tissue is taken as 1 g/mL, so that a uniform animal has 1 everywhere.

    Parameters
    ----------
    activity_bq_ml : ndarray of float, any shape
        Concentration, Bq/mL; NaN stays NaN, noise below zero stays below zero.
    weight_g : float
        Body weight, g, > 0.
    reference_dose_bq : float or ndarray of float64
        Bq, > 0; an array that broadcasts against the concentration, such as one for each slice.

    Returns
    -------
    ndarray of float32, same shape
        g/mL.

    References
    ----------
    Kinahan & Fletcher, Semin Ultrasound CT MR 2010, doi:10.1053/j.sult.2010.10.001.
    """
    factor = weight_g / reference_dose_bq
    return (np.asarray(activity_bq_ml, dtype=np.float64) * factor).astype(np.float32)


def half_life(study: Uptake) -> float:
    """Return the half-life the header says, else that of its nuclide, s; 0 where not known."""
    return study.half_life_s or HALF_LIVES_S.get(_plain(study.nuclide), 0.0)


def mean_rate_time(duration_s: float, half_life_s: float) -> float:
    """Return when a decaying rate equals its mean over a frame, s from the frame's start.

    t = ln(L T / (1 - e^(-L T))) / L, with L = ln 2 / half-life (DICOM PS3.3 C.8.9.4.1.5).

    Parameters
    ----------
    duration_s : float
        T, > 0, s.
    half_life_s : float
        > 0, s.
    """
    decay = math.log(2) / half_life_s
    return math.log(decay * duration_s / -math.expm1(-decay * duration_s)) / decay


def correct_units(study: Uptake) -> tuple[Uptake, list[str]]:
    """Return a study with weight and dose in the units that DICOM asks for, and what was mended.

    A weight that as kilograms is none of such an animal, or of a person, and as grams is one; a
    dose that as Bq is none, and as MBq is one.
    """
    notes = []
    weight, dose = study.weight_g, study.dose_bq
    if weight is not None and weight > _MOST_WEIGHT_G.get(_species(study), _MOST_WEIGHT_G[""]):
        weight = weight / 1000
        notes.append(f"A body weight of {weight:g} kg is none: {weight:g} g was taken.")
    if (
        dose is not None
        and 0 < dose < _SMALLEST_DOSE_BQ
        and _SMALLEST_DOSE_BQ <= 1e6 * dose <= _LARGEST_DOSE_BQ
    ):
        notes.append(
            f"A dose of {dose:g} Bq is none: it was taken as {dose:g} MBq. Check it, or give "
            "--dose-mbq."
        )
        dose = 1e6 * dose
    return replace(study, weight_g=weight, dose_bq=dose), notes


def direct_factor(study: Uptake) -> tuple[float, str] | None:
    """Return what makes an SUV by body weight of values that need no dose; None of others.

    Values in g/mL are an SUV already, by a mass that SUV Type (0054,1006) names; in cm2/mL by body
    surface. One maker's counts have a factor to an SUV.

    Returns
    -------
    factor : float
        g/mL for each unit of the values.
    words : str
        What was done.

    Raises
    ------
    ModelInputError
        Where height, sex or weight that it needs are not known.
    """
    if study.units == "CNTS" and study.suv_scale:
        return study.suv_scale, "counts times the maker's SUV scale factor"
    kind = study.suv_type or ("BSA" if study.units == "CM2ML" else "BW")
    if study.units == "GML" and kind == "BW":
        return 1.0, "SUV by body weight already"
    if (study.units, kind == "BSA") not in (("GML", False), ("CM2ML", True)):
        return None
    weight = _weight(study) / 1000
    return 1000 * weight / _size(study, kind, weight), f"SUV by {kind}, brought to body weight"


def _size(study: Uptake, kind: str, weight_kg: float) -> float:
    """Return the mass (g) or surface (cm2) that values were divided by; of both sexes the mean."""
    height = study.height_cm
    if height is None or not 0 < height < math.inf:
        raise ModelInputError(
            f"The values are an SUV by {kind}, and the header has no Patient's Size.",
            hint="Add the height to the header, or convert images in Bq/mL.",
        )
    if kind == "BSA":
        return float(1e4 * 0.007184 * height**0.725 * weight_kg**0.425)
    sexes = ("M", "F") if study.sex not in ("M", "F") else (study.sex,)
    if kind not in _MASSES_KG:
        raise ModelInputError(
            f"The values are an SUV of the type {kind}, which is not known here.",
            hint=f"Known are {', '.join(('BW', *_MASSES_KG, 'BSA'))}.",
        )
    masses = [_MASSES_KG[kind](weight_kg, height, sex) for sex in sexes]
    return float(1000 * np.mean(masses))


def _lean(most: dict[str, tuple[float, float]], weight: float, height: float, sex: str) -> float:
    a, b = most[sex]
    return a * weight - b * (weight / height) ** 2


def _janmahasatian(weight: float, height: float, sex: str) -> float:
    a, b = {"M": (6680.0, 216.0), "F": (8780.0, 244.0)}[sex]
    return 9270.0 * weight / (a + b * weight / (height / 100) ** 2)


def _ideal(_weight_kg: float, height: float, sex: str) -> float:
    a, b = {"M": (48.0, 1.06), "F": (45.5, 0.91)}[sex]
    return a + b * (height - 152.0)


# Masses in kg of weight in kg, height in cm and sex (DICOM PS3.3 C.8.9.1.1.3, PS3.16 CID 85).
_MASSES_KG: dict[str, Callable[[float, float, str], float]] = {
    "LBM": partial(_lean, {"M": (1.10, 120.0), "F": (1.07, 148.0)}),
    "LBMJAMES128": partial(_lean, {"M": (1.10, 128.0), "F": (1.07, 148.0)}),
    "LBMJANMA": _janmahasatian,
    "IBW": _ideal,
}


def reference_dose(study: Uptake) -> float:
    """Return the dose at the time to which the voxel values refer, Bq; the study is checked.

    Of a study without decay correction that of its first slice, see `reference_doses`.

    Raises
    ------
    ModelInputError
        As `check`.
    """
    return float(reference_doses(study, 1)[0])


def reference_doses(study: Uptake, count: int) -> Doubles:
    """Return the dose at the time to which the values of each slice refer, Bq.

    Parameters
    ----------
    study : Uptake
        Is checked.
    count : int
        Slices.

    Returns
    -------
    ndarray of float64, shape (count,)

    Raises
    ------
    ModelInputError
        As `check`.
    """
    dose, period, wait = _checked(study)
    if study.decay_correction == "ADMIN":
        return np.full(count, dose)
    if study.decay_correction == "START":
        return np.full(count, decayed(dose, wait, period))
    if study.measured and study.injected is not None:
        waits = [(moment - study.injected).total_seconds() for moment in study.measured[:count]]
        return np.array([decayed(dose, one, period) for one in waits])
    if study.frame_reference_s is None:
        raise ModelInputError(
            "The images are not corrected for decay, and say neither when each was acquired and "
            "how long nor a Frame Reference Time.",
            hint="Convert the scanner's images again; without these times no SUV is right.",
        )
    return np.full(count, decayed(dose, wait + study.frame_reference_s, period))


def check(study: Uptake) -> list[str]:
    """Return what is odd about a study from which an SUV can be computed, as sentences.

    Raises
    ------
    ModelInputError
        If no SUV can be computed: the sentence says what is missing or wrong.
    """
    direct = direct_factor(study)
    notes: list[str] = []
    if direct is not None:
        notes.append(f"The images hold {direct[1]}: neither dose nor times were needed.")
        if study.sex not in ("M", "F") and "brought" in direct[1] and study.suv_type != "BSA":
            notes.append("The sex is not known: the mean of both formulas was taken.")
        return notes + (_odd_weight(study) if study.weight_g else [])
    reference_doses(study, 1)
    dose, period, wait = _checked(study)
    if study.decay_correction != "NONE" and study.corrections and "DECY" not in study.corrections:
        notes.append(
            "The header says how decay was corrected, but does not list the correction (DECY)."
        )
    for name, mark in (("attenuation", "ATTN"), ("scatter", "SCAT")):
        if study.corrections and mark not in study.corrections:
            notes.append(f"The images are not corrected for {name}; the SUV is off by as much.")
    if any(study.intercepts):
        notes.append("The rescale intercept is not 0, as PET images must have it; it was applied.")
    notes += _odd_weight(study) + _odd_half_life(study, period)
    if wait > _MOST_HALF_LIVES * period:
        notes.append(
            f"{wait / period:.1f} half-lives passed from injection to scan: check both times."
        )
    if not _SMALLEST_DOSE_BQ <= dose <= _LARGEST_DOSE_BQ:
        notes.append(f"A dose of {dose / 1e6:g} MBq is unusual: check its unit.")
    return notes


def check_total(
    activity_bq_ml: npt.NDArray[Any], voxel_ml: float, reference_dose_bq: float
) -> list[str]:
    """Return a note where the images hold more activity than was injected.

    Parameters
    ----------
    activity_bq_ml : ndarray of float
        Bq/mL.
    voxel_ml : float
        Volume of a voxel, mL.
    reference_dose_bq : float
        Dose at the time to which the values refer, Bq.
    """
    share = float(np.nansum(activity_bq_ml, dtype=np.float64)) * voxel_ml / reference_dose_bq
    if share <= _MOST_RECOVERED:
        return []
    return [
        f"The images hold {100 * share:.0f} % of the injected dose, more than was given: check the "
        "dose, its unit and time, the calibration, and whether several animals lie in the image."
    ]


def _checked(study: Uptake) -> tuple[float, float, float]:
    """Return dose (Bq), half-life (s) and time from injection to scan (s), or refuse."""
    _refuse_units(study)
    _weight(study)
    if study.decay_correction not in ("START", "ADMIN", "NONE"):
        stated = f"{study.decay_correction!r}" if study.decay_correction else "nothing"
        raise ModelInputError(
            f"The header says {stated} of the decay correction, so the time that the values refer "
            "to is not known.",
            hint="It must be START, ADMIN or NONE: convert the images again.",
        )
    if study.dose_bq is None or not 0 < study.dose_bq < math.inf:
        raise ModelInputError(
            "The header has no injected dose.", hint="Give it: --dose-mbq 7.4 (at the injection)."
        )
    if study.dose_bq < 1000.0:
        raise ModelInputError(
            f"The header says a dose of {study.dose_bq:g} Bq, which is the number of MBq written "
            "as Bq.",
            hint="Give the dose: --dose-mbq 7.4 (at the injection).",
        )
    period = half_life(study)
    if not 0 < period < math.inf:
        raise ModelInputError(
            "The header says neither the half-life nor a nuclide that is known here.",
            hint="Convert the images again with the isotope in the scanner's header.",
        )
    return study.dose_bq, period, _wait(study, period)


def _weight(study: Uptake) -> float:
    """Return the body weight in g, or refuse."""
    if study.weight_g is None or not 0 < study.weight_g < math.inf:
        raise ModelInputError(
            "The header has no body weight.", hint="Give it: --weight-g 24.5 (grams)."
        )
    return study.weight_g


def _refuse_units(study: Uptake) -> None:
    if study.units == "BQML":
        return
    known = {
        "CNTS": "counts: the scanner was not calibrated",
        "PROPCNTS": "proportional to counts: the scanner was not calibrated",
        "PROPCPS": "proportional to counts: the scanner was not calibrated",
        "CPS": "counts per second: the scanner was not calibrated",
    }
    stated = known.get(study.units, f"in the unit {study.units!r}" if study.units else "of no unit")
    raise ModelInputError(
        f"The values are {stated}; an SUV needs Bq/mL (BQML).",
        hint="Calibrate the scanner's images and convert them again.",
    )


def _wait(study: Uptake, period: float) -> float:
    """Return the time from injection to the scan's start, s; not needed for ``ADMIN``."""
    if study.injected is None or study.scan_start is None:
        if study.decay_correction == "ADMIN":
            return 0.0
        which = "injection" if study.injected is None else "scan"
        hint = "Give it: --injection-time '2024-01-08 10:30:00'." if which == "injection" else ""
        raise ModelInputError(f"The header does not say the time of the {which}.", hint=hint)
    wait = (study.scan_start - study.injected).total_seconds()
    if wait + study.frame_start_s < 0:
        raise ModelInputError(
            f"The injection ({study.injected}) is later than the images "
            f"(scan start {study.scan_start}).",
            hint="Correct it with --injection-time; clocks of dose calibrator and scanner differ.",
        )
    if wait > 50 * period:
        raise ModelInputError(
            f"{wait / 3600:.1f} hours lie between injection ({study.injected}) and scan "
            f"({study.scan_start}): nothing would be left.",
            hint="Correct the date with --injection-time.",
        )
    return wait


def _species(study: Uptake) -> str:
    """Return ``mouse``, ``rat``, or nothing."""
    text = study.species.lower()
    if "mouse" in text or "mus musculus" in text:
        return "mouse"
    return "rat" if "rat" in text else ""


def _odd_weight(study: Uptake) -> list[str]:
    weight, kind = study.weight_g or 0.0, _species(study)
    low, high = _WEIGHTS_G[kind]
    if low <= weight <= high:
        return []
    return [f"A body weight of {weight:g} g is unusual{f' for a {kind}' if kind else ''}."]


def _odd_half_life(study: Uptake, period: float) -> list[str]:
    known = HALF_LIVES_S.get(_plain(study.nuclide))
    if known is None or abs(period / known - 1) <= _HALF_LIFE_TOLERANCE:
        return []
    return [f"The header says a half-life of {period:g} s; that of {study.nuclide} is {known:g} s."]


def _plain(nuclide: str) -> str:
    """Return element and mass of any spelling: ``^18^Fluorine``, ``18F``, ``F-18`` as ``F18``."""
    words = nuclide.upper().replace("^", " ").replace("-", " ").replace("*", " ")
    digits = "".join(c for c in words if c.isdigit())
    letters = "".join(c for c in words if c.isalpha())
    names = {
        "FLUORINE": "F",
        "CARBON": "C",
        "NITROGEN": "N",
        "OXYGEN": "O",
        "COPPER": "CU",
        "GALLIUM": "GA",
        "ZIRCONIUM": "ZR",
        "IODINE": "I",
        "RUBIDIUM": "RB",
        "YTTRIUM": "Y",
    }
    return names.get(letters, letters) + digits
