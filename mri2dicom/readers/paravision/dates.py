"""Dates and times of ParaVision: three spellings, one meaning."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from .reco import Reco

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_OLD = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})\s+(\d{1,2})\s+([A-Za-z]{3})\w*\s+(\d{4})")
_ISO = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:[.,](\d{1,6}))?(Z|[+-]\d{2}:?\d{2})?")


def parse_datetime(value: Any) -> datetime | None:
    """Parse a date as ParaVision writes it.

    Parameters
    ----------
    value : str or tuple
        ``15:03:33 17 Jun 2013`` (5.1, no zone), ``2024-07-25T09:18:04,238+0200``, or a tuple of
        epoch seconds, milliseconds and zone in minutes.

    Returns
    -------
    datetime or None
        With its zone where the value has one; None for anything else.
    """
    try:
        if isinstance(value, tuple):
            parts = [part for part in value[:3] if isinstance(part, int | float | str)]
            seconds, milliseconds, minutes = map(int, parts)
            zone = timezone(timedelta(minutes=minutes))
            return datetime.fromtimestamp(seconds, UTC).astimezone(zone) + timedelta(
                milliseconds=milliseconds
            )
        text = str(value).strip()
        if match := _OLD.search(text):
            hour, minute, second, day = (int(match[k]) for k in (1, 2, 3, 4))
            month = _MONTHS.index(match[5].lower()) + 1
            return datetime(int(match[6]), month, day, hour, minute, second)
        if match := _ISO.search(text):
            fraction = (match[3] or "0").ljust(6, "0")
            return datetime.fromisoformat(f"{match[1]}T{match[2]}.{fraction}{match[4] or ''}")
    except (ValueError, OverflowError, OSError):
        return None
    return None


@dataclass(frozen=True)
class Dates:
    """The times of a series; all in one zone, that of the study, where zones are known."""

    study: datetime | None
    series: datetime | None
    acquisition: datetime | None
    creation: datetime | None

    def attributes(self) -> dict[str, str]:
        """Return the DICOM date and time attributes."""
        result: dict[str, str] = {}
        for stem, moment in (
            ("Study", self.study),
            ("Series", self.series),
            ("Acquisition", self.acquisition),
            ("Content", self.acquisition or self.series),
            ("InstanceCreation", self.creation),
        ):
            if moment is not None:
                result[f"{stem}Date"] = moment.strftime("%Y%m%d")
                result[f"{stem}Time"] = format_time(moment)
        if self.acquisition is not None:
            result["AcquisitionDateTime"] = format_datetime(self.acquisition)
        zoned = self.study or self.acquisition or self.creation
        if zoned is not None and zoned.tzinfo is not None:
            result["TimezoneOffsetFromUTC"] = zoned.strftime("%z")[:5]
        return result


def read_dates(reco: Reco) -> Dates:
    """Read the dates of a reconstruction and bring them into the zone of the study."""

    def first(*names: str) -> datetime | None:
        moments = (parse_datetime(reco.first(name)) for name in names if reco.first(name))
        return next((moment for moment in moments if moment is not None), None)

    acquisition = first("VisuAcqDate", "acqp:ACQ_abs_time", "acqp:ACQ_time")
    creation = first("VisuCreationDate")
    series = first("VisuSeriesDate") or acquisition or creation
    study = first("VisuStudyDate", "subject:SUBJECT_date", "subject:SUBJECT_study_date")
    study = study or series
    zone = study.tzinfo if study else None

    def in_zone(moment: datetime | None) -> datetime | None:
        if moment is None or moment.tzinfo is None or zone is None:
            return moment
        return moment.astimezone(zone)

    return Dates(study, in_zone(series), in_zone(acquisition), in_zone(creation))


def format_time(moment: datetime) -> str:
    """Return a DICOM TM: with a fraction only where there is one."""
    text = moment.strftime("%H%M%S")
    return f"{text}.{moment.microsecond:06d}" if moment.microsecond else text


def format_datetime(moment: datetime) -> str:
    """Return a DICOM DT without zone: (0008,0201) holds the zone for all."""
    return moment.strftime("%Y%m%d") + format_time(moment)
