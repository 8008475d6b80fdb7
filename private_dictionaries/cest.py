"""The CEST attributes of an image as a frozen value, and the repairs of what other writers did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

DEFECT_OFFSET = 1000.0
DEFECT_RELATIVE = 1e-6
DAY_S = 86400.0
DURATION_RATIO = 900.0


@dataclass(frozen=True, slots=True)
class CestParameters:
    """The values of the private block of one image; None where the file has none.

    Parameters
    ----------
    creator : str
        Private creator found in the file.
    layout : str
        Name of the layout of the elements: 2019-11, 2020-04 or 2021-01.
    method, saturation_type, pulse_shape : str or None
        Acquisition method, transfer mechanism, shape of the pulse.
    b1_ut, b1_rms_ut : float or None
        Peak and root mean square B1, µT.
    pulse_length_ms, interpulse_delay_ms, saturation_length_ms : float or None
        One pulse, the gap between two, the whole saturation.
    second_pulse_length_ms : float or None
        Short pulse before readouts 2 to n of an uneven scheme.
    pulse_number, measurement_number : int or None
        Pulses in the train; offsets in the list.
    readout_time_ms, recovery_time_ms : float or None
        As the writer understood them: other creators' recovery time may be TR minus pulse length.
    duty_cycle_percent : float or None
    offset_hz, offset_ppm : float or None
        Offset of this image from the working frequency.
    working_frequency_mhz : float or None
        f0 of the block, else the standard Imaging or Transmitter Frequency.
    is_reference : bool or None
        Unsaturated reference M0.
    list_index, repetition : int or None
        Position in the offset list and pass through it, from 1.
    timing_source, offset_list_source, owner : str or None
    sampling_type, m0_option, spoiling, b1_definition, reference_voltage : str or None
        Historic layouts only, as text.
    m0_recovery_time_ms : float or None
        Historic layouts only.
    acquisition_duration_s : float or None
        Standard Acquisition Duration (0018,9073), corrected to seconds.
    repairs : tuple of str
        One sentence for each thing that was put right or left out.
    """

    creator: str
    layout: str
    method: str | None = None
    saturation_type: str | None = None
    pulse_shape: str | None = None
    b1_ut: float | None = None
    b1_rms_ut: float | None = None
    pulse_length_ms: float | None = None
    pulse_number: int | None = None
    interpulse_delay_ms: float | None = None
    saturation_length_ms: float | None = None
    second_pulse_length_ms: float | None = None
    readout_time_ms: float | None = None
    recovery_time_ms: float | None = None
    duty_cycle_percent: float | None = None
    measurement_number: int | None = None
    offset_hz: float | None = None
    offset_ppm: float | None = None
    working_frequency_mhz: float | None = None
    is_reference: bool | None = None
    list_index: int | None = None
    repetition: int | None = None
    timing_source: str | None = None
    offset_list_source: str | None = None
    owner: str | None = None
    sampling_type: str | None = None
    m0_option: str | None = None
    m0_recovery_time_ms: float | None = None
    spoiling: str | None = None
    b1_definition: str | None = None
    reference_voltage: str | None = None
    acquisition_duration_s: float | None = None
    repairs: tuple[str, ...] = ()


FIELDS = frozenset(field.name for field in fields(CestParameters))


def repair_offset(values: dict[str, Any]) -> str | None:
    r"""Correct an offset in ppm that was multiplied by f0 instead of divided.

    Parameters
    ----------
    values : dict
        Fields of `CestParameters`, changed in place.

    Returns
    -------
    str or None
        What was done.

    Notes
    -----
    Written so for lists in Hz by the converter of 2019 to 2021: repaired where
    \|ppm\| > 1000 and \|ppm - Hz f0\| < 1e-6 \|ppm\|.
    """
    ppm, hz, f0 = (values.get(key) for key in ("offset_ppm", "offset_hz", "working_frequency_mhz"))
    if ppm is None or hz is None or not f0 or abs(ppm) <= DEFECT_OFFSET:
        return None
    if abs(ppm - hz * f0) >= DEFECT_RELATIVE * abs(ppm):
        return None
    values["offset_ppm"] = hz / f0
    return (
        f"The offset in ppm was Hz times the working frequency ({ppm:.10g}); "
        f"it is Hz divided by it: {hz / f0:.10g} ppm."
    )


def repair_duty_cycle(values: dict[str, Any]) -> str | None:
    """Turn the fraction another writer may have written into percent.

    Parameters
    ----------
    values : dict
        Fields of `CestParameters`, changed in place.

    Returns
    -------
    str or None
        What was done.
    """
    duty, pulses = values.get("duty_cycle_percent"), values.get("pulse_number")
    if duty is None or pulses is None or not 0 < duty <= 1 or pulses <= 1:
        return None
    values["duty_cycle_percent"] = 100.0 * duty
    return f"The duty cycle {duty:g} was a fraction; it is {100.0 * duty:.10g} percent."


def repair_duration(
    values: dict[str, Any], *, duration: float | None, repetition_time_ms: float | None
) -> str | None:
    """Turn an Acquisition Duration in milliseconds into seconds, where it cannot be seconds.

    Parameters
    ----------
    values : dict
        Fields of `CestParameters`; gets ``acquisition_duration_s``.
    duration : float or None
        As in the file; the standard says seconds.
    repetition_time_ms : float or None
        TR.

    Returns
    -------
    str or None
        What was done.

    Notes
    -----
    In milliseconds if above a day in seconds, or if one measurement would take more than 900
    repetition times: the same scan in milliseconds takes a few.
    """
    if duration is None:
        return None
    measurements = values.get("measurement_number") or 1
    per_measurement = duration / measurements
    long = repetition_time_ms and per_measurement > DURATION_RATIO * repetition_time_ms / 1000.0
    if duration <= DAY_S and not long:
        values["acquisition_duration_s"] = duration
        return None
    values["acquisition_duration_s"] = duration / 1000.0
    return (
        f"The acquisition duration {duration:g} was in milliseconds; it is {duration / 1000:g} s."
    )


def make_parameters(
    values: Mapping[str, Any], *, creator: str, layout: str, repairs: tuple[str, ...]
) -> CestParameters:
    """Build the frozen value from the fields found.

    Parameters
    ----------
    values : mapping
        Fields of `CestParameters`.
    creator, layout : str
    repairs : tuple of str

    Returns
    -------
    CestParameters
    """
    known = {key: value for key, value in values.items() if key in FIELDS}
    return CestParameters(creator=creator, layout=layout, repairs=repairs, **known)
