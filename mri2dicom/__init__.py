"""Vendor raw data to DICOM; no network and no window.

`inspect` tells what a study, a folder of studies or an archive holds, `read` gives its series with
their values, `convert` writes them as DICOM, `split_hotel` cuts a bed with several animals into a
study for each.
"""

from typing import TYPE_CHECKING

from xnat_pic.public import lazy_names

if TYPE_CHECKING:
    from xnat_pic.version import version

    from .conversion.jobs import ConversionProgress
    from .conversion.output import encode_series
    from .conversion.overview import SeriesOverview, inspect, read, survey
    from .conversion.report import ConversionReport, SeriesResult
    from .conversion.run import convert, default_output
    from .dicom.overrides import SUBJECT_POSITIONS, Overrides
    from .hotel.roster import BedView
    from .hotel.split import SplitReport, split_hotel
    from .mapping.tables import species_names
    from .series.model import Dimension, Loop, RawSeries, SeriesKind, Skipped

    __version__ = version()

__all__ = [
    "SUBJECT_POSITIONS",
    "BedView",
    "ConversionProgress",
    "ConversionReport",
    "Dimension",
    "Loop",
    "Overrides",
    "RawSeries",
    "SeriesKind",
    "SeriesOverview",
    "SeriesResult",
    "Skipped",
    "SplitReport",
    "__version__",
    "convert",
    "default_output",
    "encode_series",
    "inspect",
    "read",
    "species_names",
    "split_hotel",
    "survey",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "SUBJECT_POSITIONS": "dicom.overrides",
        "BedView": "hotel.roster",
        "ConversionProgress": "conversion.jobs",
        "ConversionReport": "conversion.report",
        "Dimension": "series.model",
        "Loop": "series.model",
        "Overrides": "dicom.overrides",
        "RawSeries": "series.model",
        "SeriesKind": "series.model",
        "SeriesOverview": "conversion.overview",
        "SeriesResult": "conversion.report",
        "Skipped": "series.model",
        "SplitReport": "hotel.split",
        "convert": "conversion.run",
        "default_output": "conversion.run",
        "encode_series": "conversion.output",
        "inspect": "conversion.overview",
        "read": "conversion.overview",
        "species_names": "mapping.tables",
        "split_hotel": "hotel.split",
        "survey": "conversion.overview",
    },
)
