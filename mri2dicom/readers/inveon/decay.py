"""Radioactive decay within and before a frame. Pure functions."""

import math


def decay_constant(half_life_s: float | None) -> float:
    """Return ln 2 / half-life in 1/s; 0 where there is no half-life."""
    return math.log(2.0) / half_life_s if half_life_s is not None and half_life_s > 0.0 else 0.0


def frame_factor(start_s: float, duration_s: float, rate: float) -> float:
    """Return the factor that corrects a frame's mean activity to the start of the scan.

    Parameters
    ----------
    start_s, duration_s : float
        Start of the frame after that of the scan, and its length; 0 is a moment.
    rate : float
        Decay constant, 1/s.

    Notes
    -----
    exp(r s) r d / (1 - exp(-r d)). Cherry, Sorenson and Phelps, Physics in Nuclear Medicine,
    4th edition, chapter 4 (doi:10.1016/C2009-0-51635-2).
    """
    return math.exp(rate * start_s) * _mean_decay_factor(rate * duration_s)


def mean_time(start_s: float, duration_s: float, rate: float) -> float:
    """Return the time, in s after the start of the scan, at which the decaying rate is its mean.

    Notes
    -----
    s + ln(r d / (1 - exp(-r d))) / r, which is the middle of the frame where nothing decays.
    DICOM PS3.3 C.8.9.4.1.5 calls it the frame reference time.
    """
    if rate * duration_s < 1e-6:
        return start_s + duration_s / 2.0
    return start_s + math.log(_mean_decay_factor(rate * duration_s)) / rate


def _mean_decay_factor(decayed: float) -> float:
    return decayed / -math.expm1(-decayed) if decayed > 0.0 else 1.0


def correction_reference(
    stated: float, start_s: float, duration_s: float, rate: float, uptake_s: float | None
) -> str:
    """Return what a frame was corrected to by its own factor: START, ADMIN or, neither, empty.

    Parameters
    ----------
    stated : float
        The header's factor.
    uptake_s : float or None
        From injection to the start of the scan.

    Notes
    -----
    A factor agrees within 1 %: headers round half-lives and factors.
    """
    to_start = frame_factor(start_s, duration_s, rate)
    if math.isclose(stated, to_start, rel_tol=0.01):
        return "START"
    if uptake_s is not None and math.isclose(
        stated, to_start * math.exp(min(rate * uptake_s, 700.0)), rel_tol=0.01
    ):
        return "ADMIN"
    return ""
