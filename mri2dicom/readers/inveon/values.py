"""Times, corrections and counts of the frames of an Inveon image, as DICOM has them."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .decay import correction_reference, decay_constant, frame_factor, mean_time
from .groups import FrameAxis, FrameGroup
from .header import Header, Section
from .scaling import BQML, Scaling

_DAY_S = 86_400
_PROMPTS, _TRUES = 2, 4
# A frame starts at most some weeks after its scan; a duration is shorter too, and its whole
# milliseconds must fit into an integer string of DICOM, which ends at 2 ** 31.
_MAX_TIME_S = 2e6


@dataclass(frozen=True)
class FrameTime:
    """Start after that of the scan, and duration, of one frame in seconds."""

    start_s: float
    duration_s: float


def read_frames(header: Header, group: FrameGroup) -> list[FrameTime]:
    """Return the times of the frames of a group; 0 where absent, negative or 2e6 s and more."""
    result = []
    for number in group.frames:
        section = header.frames[number]
        start, duration = section.number("frame_start"), section.number("frame_duration")
        result.append(FrameTime(_plausible(start), _plausible(duration)))
    return result


def _plausible(value: float | None) -> float:
    return value if value is not None and 0.0 <= value < _MAX_TIME_S else 0.0


def date_attributes(header: Header) -> dict[str, str]:
    """Return the dates and times that hold for the series.

    Study Time stays empty: the images of one study are measured one after the other, and each
    header knows its own time alone.
    """
    scanned = header.time_of("scan_time")
    if scanned is None:
        return {}
    day, time = scanned.strftime("%Y%m%d"), scanned.strftime("%H%M%S")
    result = {"StudyDate": day, "AcquisitionDateTime": day + time}
    for stem in ("Series", "Acquisition", "Content"):
        result |= {f"{stem}Date": day, f"{stem}Time": time}
    zone = _zone(scanned, header.time_of("gmt_scan_time"))
    return result | ({"TimezoneOffsetFromUTC": zone} if zone else {})


def _zone(local: datetime, utc: datetime | None) -> str:
    """Return the zone from local and universal time; empty where the difference is no zone."""
    if utc is None:
        return ""
    minutes = (local - utc).total_seconds() / 60.0
    if not -720 <= minutes <= 840 or minutes % 15:
        return ""
    sign, rest = ("-" if minutes < 0 else "+"), abs(int(minutes))
    return f"{sign}{rest // 60:02d}{rest % 60:02d}"


def frame_attributes(header: Header, group: FrameGroup) -> dict[str, list[Any]]:
    """Return the times of each frame: DICOM keyword to one value per frame."""
    frames = read_frames(header, group)
    rate = decay_constant(header.main.number("isotope_half_life"))
    result: dict[str, list[Any]] = {
        "FrameReferenceTime": [
            1000.0 * mean_time(one.start_s, one.duration_s, rate) for one in frames
        ],
        "ActualFrameDuration": [round(1000.0 * one.duration_s) for one in frames],
    }
    scanned = header.time_of("scan_time")
    if scanned is not None:
        moments = [scanned + timedelta(seconds=one.start_s) for one in frames]
        result["FrameAcquisitionDateTime"] = [_timestamp(moment) for moment in moments]
    if group.axis is FrameAxis.TIME:
        result["TemporalPositionIndex"] = list(range(1, len(frames) + 1))
    return result


def _timestamp(moment: datetime) -> str:
    text = moment.strftime("%Y%m%d%H%M%S")
    return f"{text}.{moment.microsecond:06d}" if moment.microsecond else text


def pet_attributes(
    header: Header, group: FrameGroup, scaling: Scaling, slices: int
) -> tuple[dict[str, Any], dict[str, list[Any]], list[str]]:
    """Return the attributes of a PET series about its corrections and its frames.

    Returns
    -------
    constant : dict
        DICOM keyword to value.
    frames : dict
        DICOM keyword to one value per frame.
    warnings : list of str
    """
    scope = header.scope(group.frames[0])
    decay, factors, warnings = _decay(header, group)
    constant: dict[str, Any] = {
        "SeriesType": ["STATIC" if group.axis is FrameAxis.NONE else group.axis.name, "IMAGE"],
        "Units": scaling.unit,
        "CountsSource": "EMISSION",
        "CollimatorType": "NONE",
        "NumberOfSlices": slices,
        "DecayCorrection": decay,
        "CorrectedImage": _corrections(scope, decay),
        "RandomsCorrectionMethod": _randoms(scope),
    }
    if group.axis is FrameAxis.TIME:
        constant["SeriesType"][0] = "DYNAMIC"
        constant["NumberOfTimeSlices"] = len(group.frames)
    if scaling.unit == BQML:
        constant["DoseCalibrationFactor"] = scaling.calibration
    frames: dict[str, list[Any]] = {}
    if factors:
        frames["DecayFactor"] = factors
    dead = [header.frames[number].number("deadtime_correction") for number in group.frames]
    if all(one is not None and one > 0.0 for one in dead):
        frames["DeadTimeFactor"] = dead
    if group.axis is FrameAxis.GATE:
        constant["SeriesType"][0] = "GATED"
        gated, trigger, note = _gates(header, group)
        constant |= gated
        frames["TriggerTime"] = list(trigger)
        warnings += [note] if note else []
    return constant, frames, warnings


def _decay(header: Header, group: FrameGroup) -> tuple[str, list[float], list[str]]:
    """Return Decay Correction, the factor of each frame, and what does not agree."""
    main = header.main
    if not main.integer("decay_correction_applied"):
        return "NONE", [], []
    rate = decay_constant(main.number("isotope_half_life"))
    injected, scanned = header.time_of("injection_time"), header.time_of("scan_time")
    uptake = (scanned - injected).total_seconds() if injected and scanned else None
    factors, found = [], []
    for number, frame in zip(group.frames, read_frames(header, group), strict=True):
        own = header.frames[number].number("decay_correction")
        computed = frame_factor(frame.start_s, frame.duration_s, min(rate, 1.0))
        if own is None or own <= 0.0:
            factors.append(computed if math.isfinite(computed) else 1.0)
            continue
        factors.append(own)
        if rate > 0.0:
            found.append(correction_reference(own, frame.start_s, frame.duration_s, rate, uptake))
    references = set(found)
    if references == {"ADMIN"}:
        return "ADMIN", factors, []
    if references <= {"START"}:
        return "START", factors, []
    first = factors[0]
    return (
        "START",
        factors,
        [
            f"The header says that decay is corrected, and its factor ({first:g} for the first "
            "frame) agrees neither with a correction to the start of the scan nor to the "
            "injection: START is written; check it before you compute an SUV."
        ],
    )


def _corrections(scope: Section, decay: str) -> list[str]:
    terms = [
        ("DECY", decay != "NONE"),
        ("ATTN", bool(scope.integer("attenuation_applied"))),
        ("SCAT", bool(scope.integer("scatter_correction"))),
        ("DTIM", bool(scope.integer("deadtime_correction_applied"))),
        ("NORM", bool(scope.integer("normalization_applied"))),
        ("RADL", bool(scope.integer("arc_correction_applied"))),
        ("RAN", _randoms(scope) == "DLYD"),
    ]
    return [term for term, applied in terms if applied]


def _randoms(scope: Section) -> str | None:
    """Return how randoms were corrected (trues are prompts without delays), None if unknown."""
    return {_PROMPTS: "NONE", _TRUES: "DLYD"}.get(scope.integer("event_type") or 0)


def _gates(header: Header, group: FrameGroup) -> tuple[dict[str, Any], list[float], str]:
    """Return the attributes of a gated series, the trigger time of each gate in ms, and a note.

    Notes
    -----
    ``gate_bins`` holds input, number of bins, and the shortest and longest cycle in s. Without a
    closed interval the length of the cycle is unknown; the time spent in the gates before is
    written then, which has the right order and proportions.
    """
    frames, count = read_frames(header, group), len(group.frames)
    constant: dict[str, Any] = {"NumberOfRRIntervals": 1, "NumberOfTimeSlots": count}
    bins = header.main.numbers("gate_bins")
    if len(bins) >= 4 and 0.0 < bins[2] <= bins[3] and int(bins[1]) == count:
        step = 1000.0 * (bins[2] + bins[3]) / 2.0 / count
        # A closed interval means that longer and shorter cycles are not in the image.
        constant |= {"FrameTime": step, "BeatRejectionFlag": "Y"}
        return constant, [step * k for k in range(count)], ""
    before = [1000.0 * sum(one.duration_s for one in frames[:k]) for k in range(count)]
    constant["FrameTime"] = 1000.0 * sum(one.duration_s for one in frames) / count
    return (
        constant,
        before,
        "The header does not say how long a gated cycle lasts: trigger times are the time spent "
        "in the gates before.",
    )
