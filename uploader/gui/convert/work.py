"""What the convert page does beside the window. Imports no Qt."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mri2dicom import ConversionReport, Overrides, RawSeries, SeriesOverview, convert, survey

from ..child_process import TaskHandle
from ..viewer.stack import thumbnail


@dataclass(frozen=True)
class FoundSeries:
    """One series that was found.

    Attributes
    ----------
    thumbnail : ndarray of uint8, shape (rows, columns), or None
        The middle plane, its longer side at most 96.
    series : RawSeries or None
        For the viewer; None where there is nothing to look at, or in an archive.
    """

    row: SeriesOverview
    thumbnail: npt.NDArray[np.uint8] | None
    series: RawSeries | None


def list_series(handle: TaskHandle, path: Path) -> int:
    """Report each series at `path` as `FoundSeries`; return how many there are."""
    count = 0
    for row, series in survey(path):
        handle.check()
        raw = series if isinstance(series, RawSeries) else None
        thumbnail = _thumbnail(raw) if raw is not None else None
        handle.report(FoundSeries(row, thumbnail, raw if path.is_dir() else None))
        count += 1
    return count


def _thumbnail(series: RawSeries) -> npt.NDArray[np.uint8] | None:
    middle = series.plane_count // 2
    try:
        plane = series.pixels.read_planes(middle, middle + 1)[0]
    except (OSError, ValueError):
        return None  # the row says what is wrong with it; here there is just no picture
    return thumbnail(plane * series.slope[middle])


def convert_study(
    handle: TaskHandle, path: Path, out: Path, overrides: Overrides, options: dict[str, Any]
) -> ConversionReport:
    """Convert, reporting `mri2dicom.ConversionProgress`."""
    return convert(
        path,
        out,
        overrides=overrides,
        on_progress=handle.report,
        cancelled=handle.cancelled,
        **options,
    )
