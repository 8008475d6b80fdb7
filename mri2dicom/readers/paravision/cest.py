"""Saturation of CEST and MT images: parameters, offsets and timing from ParaVision files."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from private_dictionaries.cest_formulas import (
    duty_cycle_percent,
    readout_time_ms,
    recovery_time_ms,
    saturation_length_ms,
)
from private_dictionaries.cest_offsets import find_m0_images, hz_from_ppm, ppm_from_hz

from ...mapping.tables import load_mapping
from .reco import Reco
from .transforms import method_name


@dataclass(frozen=True)
class Saturation:
    """What is known of the saturation of a series.

    Attributes
    ----------
    values : dict
        CEST keyword to value; a list holds one value per frame.
    spectrum : bool
        At least two distinct offsets were played.
    """

    values: dict[str, Any]
    spectrum: bool


@dataclass(frozen=True)
class _OffsetList:
    """One pass through the offset list, Hz; `reference` images precede it."""

    hz: list[float]
    source: str
    reference: int = 0


def read_saturation(reco: Reco, image_index: Sequence[int]) -> Saturation | None:
    """Read the saturation of a series; None where no saturation was played.

    Parameters
    ----------
    image_index : sequence of int, one per frame
        Which image of its slice a frame is, in the order played.
    """
    table = load_mapping("paravision_cest")
    on = any(str(reco.first(name)) in table["gate"]["on"] for name in table["gate"]["from"])
    frequency = reco.number("method:PVM_FrqWork", "acqp:BF1", "VisuAcqImagingFrequency")
    images = max(image_index, default=0) + 1
    offsets = _find_offsets(reco, images, frequency, module_on=on)
    if not on and offsets is None:
        return None
    values = _read_values(reco, image_index)
    values |= _timing(reco, values)
    values.pop("ModuleTime", None)
    values["ChemicalExchangeSaturationMethod"] = str(reco.first("method:Method") or "") or None
    values["WorkingFrequency"] = frequency
    if "SaturationType" not in values and "cest" in _method(reco).lower():
        values["SaturationType"] = "CEST"
    distinct = 0
    if offsets is not None:
        distinct = len({round(hz, 3) for hz in offsets.hz})
        values |= _frame_offsets(reco, offsets, image_index, frequency)
    else:
        values |= _single_offset(reco, frequency)
    return Saturation({k: v for k, v in values.items() if _is_known(v)}, distinct >= 2)


def _is_known(value: Any) -> bool:
    return value is not None and (not isinstance(value, float) or math.isfinite(value))


def _method(reco: Reco) -> str:
    return method_name(str(reco.first("method:Method", "VisuAcqSequenceName") or ""))


def _read_values(reco: Reco, image_index: Sequence[int]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for row in load_mapping("paravision_cest")["value"]:
        if row["keyword"] in values:
            continue
        name = next((name for name in row["from"] if reco.first(name) is not None), None)
        if name is None:
            continue
        several = reco.numbers(name)
        value = reco.first(name)
        if len(set(several)) > 1:
            value = _values_of_images(reco, row, name, several, image_index)
        elif isinstance(value, tuple):
            value = value[0] if value else None
        if row.get("text", False):
            value = str(value) if isinstance(value, str) else None
        elif isinstance(value, (int, float)):
            value = _plausible(reco, row, float(value) * row.get("factor", 1.0))
        elif not isinstance(value, list):
            value = None
        if value is not None:
            values[row["keyword"]] = value
    return values


def _plausible(reco: Reco, row: dict[str, Any], value: float) -> float | None:
    low, high = row.get("range", (-math.inf, math.inf))
    if math.isfinite(value) and low <= value <= high:
        return value
    reco.warnings.append(
        f"{row['keyword']} reads {value:g}, outside {low:g} to {high:g}; left out."
    )
    return None


def _values_of_images(
    reco: Reco,
    row: dict[str, Any],
    name: str,
    several: list[float],
    image_index: Sequence[int],
) -> list[float] | None:
    """Return the value of each frame where it differs between images, as B1 in a power series."""
    images = max(image_index, default=0) + 1
    _, high = row.get("range", (0.0, math.inf))
    possible = all(0 <= value <= high for value in several)
    if row.get("per_image", False) and possible and images % len(several) == 0:
        return [several[index % len(several)] for index in image_index]
    reco.warnings.append(
        f"{name.partition(':')[2]} has {len(several)} differing values, which are not those of "
        f"the {images} images of a slice; left out."
    )
    return None


def _timing(reco: Reco, values: dict[str, Any]) -> dict[str, Any]:
    """Compute saturation length, duty cycle, readout and recovery (reference, section 4)."""
    pulse, number = values.get("PulseLength"), values.get("PulseNumber")
    delay, second = values.get("InterpulseDelay"), values.get("PulseLength2")
    repetition = reco.number("VisuAcqRepetitionTime", "method:PVM_RepetitionTime")
    if second is not None and repetition and second > repetition:
        reco.warnings.append(
            "The second saturation pulse is longer than TR: taken as microseconds."
        )
        second = second / 1000.0
    length = saturation_length_ms(
        pulse_length_ms=pulse, pulse_number=number, interpulse_delay_ms=delay
    )
    slices = next((g.length for g in reco.groups.groups if g.identifier == "FG_SLICE"), 1)
    spacing, factor = reco.number("method:PVM_EchoTime"), reco.number("method:PVM_RareFactor")
    readout: float | None
    if spacing and factor and "rare" in _method(reco).lower():
        readout, source = spacing * factor, "MEASURED"
    else:
        readout = readout_time_ms(
            repetition_time_ms=repetition,
            saturation_length_ms=length,
            second_pulse_length_ms=second,
            readouts=slices,
            scan_time_ms=reco.number("VisuAcqScanTime", "method:PVM_ScanTime"),
            frames=reco.groups.frames,
        )
        source = "UNKNOWN" if readout is None else "DERIVED"
    one = number is not None and number <= 1
    return {
        "PulseLength2": second,
        "InterpulseDelay": None if one else delay,
        "SaturationLength": length,
        "DutyCycle": duty_cycle_percent(
            pulse_length_ms=pulse, pulse_number=number, interpulse_delay_ms=delay
        ),
        "ReadoutTime": readout,
        "SaturationTimingSource": source,
        "RecoveryTime": recovery_time_ms(
            repetition_time_ms=repetition,
            saturation_length_ms=length,
            readout_time_ms=readout,
            timing_source=source,
            module_time_ms=values.get("ModuleTime"),
            second_pulse_length_ms=second,
            readouts=slices,
        ),
    }


def _find_offsets(
    reco: Reco, images: int, frequency: float | None, *, module_on: bool
) -> _OffsetList | None:
    """Return the most trusted list whose length fits the images, else the most trusted one.

    With the module off only laboratories' own lists count, and not in a stock method. A list that
    repeats one offset is a last choice: unused lists are filled with a default.
    """
    table = load_mapping("paravision_cest")
    reference = int(str(reco.first(table["reference"]["from"])) in table["reference"]["on"])
    stock = str(reco.first("method:Method", "VisuAcqSequenceName") or "").startswith("Bruker:")
    ranked: list[tuple[bool, bool, _OffsetList]] = []
    for row in table["offsets"]:
        own = row.get("own", False)
        if not module_on and (not own or stock):
            continue
        hz = _to_hz(reco, row, frequency)
        constant = len(set(hz)) < 2
        if len(hz) < 2 or (constant and not module_on):
            continue
        # A list may hold the reference image itself or not: what fits the images decides.
        extras = dict.fromkeys((0 if own else reference, 0))
        fitting = [extra for extra in extras if images % (len(hz) + extra) == 0]
        found = _OffsetList(hz, row["from"].partition(":")[2], fitting[0] if fitting else 0)
        ranked.append((not fitting, constant, found))
    return min(ranked, key=lambda entry: entry[:2])[2] if ranked else None


def _to_hz(reco: Reco, row: dict[str, Any], frequency: float | None) -> list[float]:
    values = reco.numbers(row["from"])
    unit = row["unit"]
    if ":" in unit:
        unit = str(reco.first(unit) or "").removeprefix("unit_")
    largest = max((abs(value) for value in values), default=0.0)
    if unit == "ppm" and largest > row.get("ppm_limit", math.inf):
        reco.warnings.append(
            f"{row['from'].partition(':')[2]} reaches {largest:g}, too much for ppm: read as Hz."
        )
        unit = "hz"
    if unit == "hz":
        return values
    if unit != "ppm":
        return []
    converted = [hz_from_ppm(offset_ppm=v, working_frequency_mhz=frequency) for v in values]
    return [hz for hz in converted if hz is not None]


def _frame_offsets(
    reco: Reco, offsets: _OffsetList, image_index: Sequence[int], frequency: float | None
) -> dict[str, Any]:
    """Give each frame its offset: the list varies fastest and is played again for each pass."""
    length = len(offsets.hz) + offsets.reference
    images = max(image_index, default=0) + 1
    series = {"MeasurementNumber": len(offsets.hz), "OffsetListSource": offsets.source}
    if images % length:
        reco.warnings.append(
            f"{offsets.source} holds {len(offsets.hz)} offsets ({min(offsets.hz):g} to "
            f"{max(offsets.hz):g} Hz), which does not fit the {images} images of a slice: "
            "no offset is given to single images."
        )
        return series
    played: list[float | None] = [None] * offsets.reference + list(offsets.hz)
    ppm = [ppm_from_hz(offset_hz=hz, working_frequency_mhz=frequency) for hz in played]
    unsaturated = find_m0_images(
        offsets_ppm=ppm,
        is_reference=[hz is None for hz in played],
        working_frequency_mhz=frequency,
    )
    steps = [index % length for index in image_index]
    return series | {
        "SaturationOffsetHz": [played[step] for step in steps],
        "SaturationOffsetPpm": [ppm[step] for step in steps],
        "SaturationReferenceImage": ["YES" if s in unsaturated else "NO" for s in steps],
        "SaturationListIndex": [
            s - offsets.reference + 1 if s >= offsets.reference else None for s in steps
        ],
        "SaturationRepetition": [index // length + 1 for index in image_index],
    }


def _single_offset(reco: Reco, frequency: float | None) -> dict[str, Any]:
    """Return the one offset of a series without a list."""
    for name in load_mapping("paravision_cest")["single"]["from"]:
        values = reco.numbers(name)
        if len(values) != 1:
            continue
        hz: float | None = values[0]
        if str(reco.first("method:PVM_SatTransFreqUnit")) == "unit_ppm" and "FreqValues" in name:
            hz = hz_from_ppm(offset_ppm=values[0], working_frequency_mhz=frequency)
        return {
            "MeasurementNumber": 1,
            "OffsetListSource": name.partition(":")[2],
            "SaturationOffsetHz": hz,
            "SaturationOffsetPpm": ppm_from_hz(offset_hz=hz, working_frequency_mhz=frequency),
        }
    return {}
