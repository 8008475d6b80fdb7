"""Arithmetic of CEST saturation: timing and B1.

Times in milliseconds, B1 in µT, duty cycle in percent. Every function takes
keywords only, and returns None where an input is None or the quantity is not defined.

References
----------
Zullino et al., XNAT-PIC: Extending XNAT to Preclinical Imaging Centers, arXiv 2103.02044, Table 1.
The exceptions to the paper, with their reasons, stand at the functions.
"""

from __future__ import annotations

import math


def _known(*values: float | None) -> bool:
    return all(value is not None and math.isfinite(value) for value in values)


def saturation_length_ms(
    *,
    pulse_length_ms: float | None,
    pulse_number: float | None,
    interpulse_delay_ms: float | None = None,
) -> float | None:
    """Return the time from the start of the first pulse to the end of the last.

    Parameters
    ----------
    pulse_length_ms : float or None
        tp.
    pulse_number : float or None
        N, at least 1.
    interpulse_delay_ms : float or None
        td; None counts as no gap.

    Returns
    -------
    float or None

    Notes
    -----
    Tsat = N tp + (N - 1) td. The paper gives N tp; the gaps are part of the saturation in the
    convention of the open pulseq-CEST library.
    """
    if pulse_length_ms is None or pulse_number is None or pulse_number < 1:
        return None
    delay = interpulse_delay_ms or 0.0
    if not _known(pulse_length_ms, pulse_number, delay):
        return None
    return pulse_number * pulse_length_ms + (pulse_number - 1) * delay


def duty_cycle_percent(
    *,
    pulse_length_ms: float | None,
    pulse_number: float | None,
    interpulse_delay_ms: float | None = None,
) -> float | None:
    """Return the share of the saturation train during which a pulse plays.

    Parameters
    ----------
    pulse_length_ms : float or None
        tp, above 0.
    pulse_number : float or None
        N, at least 1.
    interpulse_delay_ms : float or None
        td; None counts as no gap.

    Returns
    -------
    float or None
        Percent.

    Notes
    -----
    DC = 100 tp / (tp + td) for N > 1, and 100 for N = 1 or td = 0.
    """
    if pulse_length_ms is None or pulse_number is None or pulse_length_ms <= 0 or pulse_number < 1:
        return None
    delay = interpulse_delay_ms or 0.0
    if not _known(pulse_length_ms, pulse_number, delay) or delay < 0:
        return None
    if pulse_number == 1:
        return 100.0
    return 100.0 * pulse_length_ms / (pulse_length_ms + delay)


def readout_time_ms(
    *,
    repetition_time_ms: float | None,
    saturation_length_ms: float | None,
    second_pulse_length_ms: float | None = None,
    readouts: int | None = 1,
    scan_time_ms: float | None = None,
    frames: int | None = None,
) -> float | None:
    """Return the time of one readout as what is left of the repetition time.

    A readout time known from the sequence (echo spacing x RARE factor, EPI train, excitation TR x
    steps per shot) is better: this one is DERIVED.

    Parameters
    ----------
    repetition_time_ms : float or None
        TR.
    saturation_length_ms : float or None
        Tsat; equal to tp for one pulse.
    second_pulse_length_ms : float or None
        tp2, the pulse before readouts 2 to n; None counts as 0.
    readouts : int or None
        n, readouts (slices) that share one saturation.
    scan_time_ms : float or None
        Time of the whole scan.
    frames : int or None
        Number of frames of the scan.

    Returns
    -------
    float or None

    Notes
    -----
    TR = Tsat + tp2 (n - 1) + n RT, without recovery, so RT = (TR - Tsat - tp2 (n - 1)) / n.
    Where TR < Tsat, TR is that of the excitation within the readout; then
    RT = scan time / frames, if that is below Tsat.
    """
    if repetition_time_ms is None or saturation_length_ms is None:
        return None
    if not _known(repetition_time_ms, saturation_length_ms):
        return None
    if repetition_time_ms < saturation_length_ms:
        if scan_time_ms is None or not frames or not _known(scan_time_ms):
            return None
        per_frame = scan_time_ms / frames
        return per_frame if 0 < per_frame < saturation_length_ms else None
    if readouts is None or readouts < 1:
        return None
    second = second_pulse_length_ms or 0.0
    residual = repetition_time_ms - saturation_length_ms - second * (readouts - 1)
    return residual / readouts if _known(residual) and residual > 0 else None


def recovery_time_ms(
    *,
    repetition_time_ms: float | None,
    saturation_length_ms: float | None,
    readout_time_ms: float | None,
    timing_source: str | None,
    module_time_ms: float | None = None,
    second_pulse_length_ms: float | None = None,
    readouts: int | None = 1,
) -> float | None:
    """Return the time from the end of the readout to the start of the next saturation.

    Parameters
    ----------
    repetition_time_ms : float or None
        TR.
    saturation_length_ms : float or None
        Tsat, taken where the module time is not known.
    readout_time_ms : float or None
        RT of one readout.
    timing_source : {"MEASURED", "DERIVED", "UNKNOWN"} or None
        How RT is known. With a derived RT the recovery is 0 by construction, hence undefined.
    module_time_ms : float or None
        Duration of the whole saturation module, with its delays and spoiler.
    second_pulse_length_ms : float or None
        tp2; None counts as 0.
    readouts : int or None
        n, readouts that share one saturation.

    Returns
    -------
    float or None
        None where it would be negative.

    Notes
    -----
    t_rec = TR - Tmodule - tp2 (n - 1) - n RT.
    """
    module = saturation_length_ms if module_time_ms is None else module_time_ms
    if timing_source != "MEASURED" or repetition_time_ms is None or module is None:
        return None
    if readout_time_ms is None or readouts is None or readouts < 1:
        return None
    second = second_pulse_length_ms or 0.0
    recovery = repetition_time_ms - module - second * (readouts - 1) - readouts * readout_time_ms
    return recovery if _known(recovery) and recovery >= 0 else None


def b1_cw_equivalent_ut(
    *, b1_ut: float | None, shape_mean: float | None, duty_cycle_percent: float | None
) -> float | None:
    """Return the amplitude of continuous saturation with the same mean B1 (flip angle).

    Parameters
    ----------
    b1_ut : float or None
        Peak B1.
    shape_mean : float or None
        p1, mean of the normalised pulse shape (0 to 1).
    duty_cycle_percent : float or None
        DC.

    Returns
    -------
    float or None
        B1peak p1 DC, with DC as a fraction.
    """
    if b1_ut is None or shape_mean is None or duty_cycle_percent is None:
        return None
    return b1_ut * shape_mean * duty_cycle_percent / 100.0


def b1_rms_ut(
    *, b1_ut: float | None, shape_mean_square: float | None, duty_cycle_percent: float | None
) -> float | None:
    """Return the root mean square of B1 over the saturation train.

    Parameters
    ----------
    b1_ut : float or None
        Peak B1.
    shape_mean_square : float or None
        p2, mean of the square of the normalised pulse shape (0 to 1).
    duty_cycle_percent : float or None
        DC.

    Returns
    -------
    float or None
        B1peak sqrt(p2 DC), with DC as a fraction.
    """
    if b1_ut is None or shape_mean_square is None or duty_cycle_percent is None:
        return None
    power = shape_mean_square * duty_cycle_percent / 100.0
    return b1_ut * math.sqrt(power) if power >= 0 else None
