"""Legacy Converted Enhanced PET Image Storage: one file for a whole series.

Enhanced PET itself asks for what no Inveon header holds (detector dimensions, counts, route of
administration); the legacy form is made for images of older scanners and asks for none of it.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from ..model import Loop, RawSeries
from .header import Overrides
from .multiframe import MultiFrameSeries
from .pet import ACTIVITY, emission_plane, emission_warnings, position_codes
from .pixels import StoredPlane
from .planes import Quantity
from .uids import Form

# A frame must have a time; this one stands for an unknown day.
_UNKNOWN_DAY = "19000101000000"


def _moment(text: str) -> datetime:
    return datetime.strptime(text[:14], "%Y%m%d%H%M%S")


def _in_time(series: RawSeries) -> RawSeries:
    """Return the series with the times of its frames as multi-frame objects have them."""
    known = dict(series.plane_attributes)
    begun = _moment(str(series.attributes.get("AcquisitionDateTime") or _UNKNOWN_DAY))
    reference = [
        begun + timedelta(milliseconds=float(value)) for value in known["FrameReferenceTime"]
    ]
    known["FrameReferenceDateTime"] = [one.strftime("%Y%m%d%H%M%S.%f") for one in reference]
    known.setdefault("FrameAcquisitionDateTime", [_UNKNOWN_DAY] * series.planes)
    known["FrameAcquisitionDuration"] = [float(one) for one in known["ActualFrameDuration"]]
    if trigger := known.get("TriggerTime"):
        known["NominalCardiacTriggerDelayTime"] = trigger
    return replace(series, plane_attributes=known)


class EnhancedPetSeries(MultiFrameSeries):
    """The files of a PET series in Enhanced form."""

    table = "dicom_enhanced_pet"
    shares_scaling = False

    def __init__(self, series: RawSeries, overrides: Overrides) -> None:
        super().__init__(_in_time(series), overrides)
        # The planes of a volume in the order of their place in the stack, as readers expect them.
        volume = np.arange(series.planes) // self._slices(series)
        order = np.lexsort((self.values.in_stack, volume))
        self.objects = [
            replace(one, planes=order[np.isin(order, one.planes)]) for one in self.objects
        ]

    @staticmethod
    def _slices(series: RawSeries) -> int:
        slices = series.dimension(Loop.SLICE)
        return slices.length if slices else series.planes

    def form_of(self, series: RawSeries) -> Form:
        """Return the kind of object of a series."""
        return Form.ENHANCED_PET

    def terms(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the constant attributes with the terms of a multi-frame image."""
        result = values | position_codes(values)
        gated = self.series.dimension(Loop.GATE) is not None
        dynamic = self.series.dimension(Loop.TIME) is not None
        flavor = "CARDIAC_GATED" if gated else "DYNAMIC" if dynamic else "STATIC"
        result["ImageType"] = ["ORIGINAL", "PRIMARY", flavor, "NONE"]
        begun = str(values.get("AcquisitionDateTime") or _UNKNOWN_DAY)
        result["AcquisitionDateTime"] = begun
        result.setdefault("ContentDate", begun[:8])
        result.setdefault("ContentTime", begun[8:14])
        maker = str(values.get("Manufacturer") or "")
        if maker.lower().startswith("siemens"):
            # dcm2niix takes multi-frame objects of Siemens for those of its clinical scanners,
            # and mixes up their frames and slopes.
            result["Manufacturer"] = f"Preclinical, {maker}"
        return result

    def stored(self, plane: npt.NDArray[Any], number: int) -> StoredPlane:
        """Return one plane of the scanner with a slope and no intercept."""
        slope, requantised = float(self.series.slope[number]), self.format.requantised
        return emission_plane(plane, slope, self.format.dtype, requantised=requantised)

    def quantity(self, plane: int) -> Quantity | None:
        """Return activity where the values are calibrated."""
        return ACTIVITY if self.series.unit else None

    @property
    def warnings(self) -> list[str]:
        """What a person should know of these files."""
        return emission_warnings(self.format)
