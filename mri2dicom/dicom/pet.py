"""PET: one file for each plane with a slope of its own, or one multi-frame file for a series.

The multi-frame form is Legacy Converted Enhanced PET Image Storage: Enhanced PET itself asks for
what no Inveon header holds (detector dimensions, counts, route of administration); the legacy form
is made for images of older scanners and asks for none of it.
"""

import math
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from private_dictionaries import format_ds

from ..mapping.tables import code_item, load_mapping
from ..series.model import Loop, RawSeries
from .classic import ClassicSeries
from .encode import Elements, encode_element, tag_and_vr
from .multiframe import MultiFrameSeries
from .overrides import Overrides
from .pixels import PixelFormat, StoredPlane
from .planes import Quantity
from .uids import Form

# No standard code names an activity in a volume.
ACTIVITY = Quantity("Activity", ("99XNATPIC", "ACTIVITY", "Activity concentration"), "Bq/mL")
_HIGHEST = 32767.0
_ACQUISITION_TIME = ("AcquisitionDate", "AcquisitionTime")
# A frame must have a time; this one stands for an unknown day.
_UNKNOWN_DAY = "19000101000000"


def quantise(values: npt.NDArray[np.float64], slope: float) -> StoredPlane:
    """Return floats as signed 16-bit numbers with a slope and no intercept.

    Parameters
    ----------
    values : ndarray of float, shape (rows, columns)
        The scanner's stored values; those that are not finite become zero.
    slope : float
        Value = stored * slope, as for the scanner's.

    Returns
    -------
    StoredPlane
        Its slope is a number that a decimal string of 16 characters holds, so that what is read
        back differs from the values by half a step at most.

    Notes
    -----
    The step is the largest magnitude / 32767; DICOM requires an intercept of 0 in PET (PS3.3
    C.8.9.4.1.3). A plane of zeros has the slope 1.
    """
    finite = np.isfinite(values)
    bad = int(values.size - np.count_nonzero(finite))
    if bad:
        values = np.where(finite, values, 0.0)
    real = values * slope
    largest = float(np.max(np.abs(real), initial=0.0))
    if largest == 0.0 or not math.isfinite(largest):
        return StoredPlane(np.zeros(values.shape, np.int16), 1.0, 0.0, bad)
    step = float(format_ds(largest / _HIGHEST))
    if step == 0.0:  # smaller than any number a file can hold
        return StoredPlane(np.zeros(values.shape, np.int16), 1.0, 0.0, bad)
    stored = np.clip(np.rint(real / step), -_HIGHEST, _HIGHEST).astype(np.int16)
    return StoredPlane(stored, step, 0.0, bad)


def emission_plane(
    plane: npt.NDArray[Any], slope: float, target: np.dtype[Any], *, requantised: bool
) -> StoredPlane:
    """Return one plane of an emission image: the scanner's whole numbers where they fit.

    Parameters
    ----------
    target : dtype
        Signed 16 bits, or unsigned for bytes.
    requantised : bool
        The scanner's type has more than 16 bits.
    """
    limits = np.iinfo(target)
    fits = plane.dtype.kind in "iu" and limits.min <= plane.min() and plane.max() <= limits.max
    if slope > 0.0 and (not requantised or fits):
        return StoredPlane(np.ascontiguousarray(plane, dtype=target), slope, 0.0)
    return quantise(plane.astype(np.float64), slope)


def emission_warnings(target: PixelFormat) -> list[str]:
    """Return what a person should know of the stored form of an emission image."""
    if not target.requantised:
        return []
    return [
        "The values are written as 16-bit whole numbers, each image with a slope of its own: the "
        "error is at most half of its largest value / 32767."
    ]


def position_codes(values: dict[str, Any]) -> dict[str, Any]:
    """Return Patient Orientation and Gantry Relationship as sequences of codes.

    They are what PET and NM images have in the place of Patient Position.
    """
    for row in load_mapping("positions")["position"]:
        if row["word"] == values.get("PatientPosition"):
            orientation_item: dict[str, Any] = code_item(*row["orientation"])
            orientation_item["PatientOrientationModifierCodeSequence"] = [
                code_item(*row["modifier"])
            ]
            return {
                "PatientOrientationCodeSequence": [orientation_item],
                "PatientGantryRelationshipCodeSequence": [code_item(*row["gantry"])],
            }
    return {"PatientOrientationCodeSequence": [], "PatientGantryRelationshipCodeSequence": []}


class PetSeries(ClassicSeries):
    """The files of a PET series."""

    form = Form.PET
    table = "dicom_pet"

    def attributes(self, overrides: Overrides) -> dict[str, Any]:
        """Return the attributes that are constant in the series, by keyword."""
        values = super().attributes(overrides)
        return values | position_codes(values)

    def store_plane(self, plane: npt.NDArray[Any], number: int) -> StoredPlane:
        """Return one plane of the scanner with a slope and no intercept."""
        slope = float(self.series.slope[number])
        return emission_plane(plane, slope, self.format.dtype, requantised=self.format.requantised)

    @property
    def warnings(self) -> list[str]:
        """What a person should know of these files."""
        return emission_warnings(self.format)

    def plane_elements(self, plane: int, stored: StoredPlane) -> Elements:
        """Return the elements of one plane; the time of acquisition is there, if only empty."""
        found = super().plane_elements(plane, stored)
        for keyword in _ACQUISITION_TIME:
            tag, vr = tag_and_vr(keyword)
            found.setdefault(tag, encode_element(tag, vr, None))
        return found

    def quantity(self, plane: int) -> Quantity | None:
        """Return nothing: Units holds the unit of the values."""
        return None


def _parse_datetime(text: str) -> datetime:
    return datetime.strptime(text[:14], "%Y%m%d%H%M%S")


def _with_frame_times(series: RawSeries) -> RawSeries:
    """Return the series with the times of its frames as multi-frame objects have them."""
    known = dict(series.plane_attributes)
    start = _parse_datetime(str(series.attributes.get("AcquisitionDateTime") or _UNKNOWN_DAY))
    reference = [
        start + timedelta(milliseconds=float(value)) for value in known["FrameReferenceTime"]
    ]
    known["FrameReferenceDateTime"] = [one.strftime("%Y%m%d%H%M%S.%f") for one in reference]
    known.setdefault("FrameAcquisitionDateTime", [_UNKNOWN_DAY] * series.plane_count)
    known["FrameAcquisitionDuration"] = [float(one) for one in known["ActualFrameDuration"]]
    if trigger := known.get("TriggerTime"):
        known["NominalCardiacTriggerDelayTime"] = trigger
    return replace(series, plane_attributes=known)


class EnhancedPetSeries(MultiFrameSeries):
    """The files of a PET series in Enhanced form."""

    table = "dicom_enhanced_pet"
    shares_scaling = False

    def __init__(self, series: RawSeries, overrides: Overrides) -> None:
        super().__init__(_with_frame_times(series), overrides)
        # The planes of a volume in the order of their place in the stack, as readers expect them.
        volume = np.arange(series.plane_count) // self._slices(series)
        order = np.lexsort((self.values.in_stack, volume))
        self.objects = [
            replace(one, planes=order[np.isin(order, one.planes)]) for one in self.objects
        ]

    @staticmethod
    def _slices(series: RawSeries) -> int:
        slices = series.dimension(Loop.SLICE)
        return slices.length if slices else series.plane_count

    def form_of(self, series: RawSeries) -> Form:
        """Return the kind of object of a series."""
        return Form.ENHANCED_PET

    def add_terms(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the constant attributes with the terms of a multi-frame image."""
        result = values | position_codes(values)
        gated = self.series.dimension(Loop.GATE) is not None
        dynamic = self.series.dimension(Loop.TIME) is not None
        flavor = "CARDIAC_GATED" if gated else "DYNAMIC" if dynamic else "STATIC"
        result["ImageType"] = ["ORIGINAL", "PRIMARY", flavor, "NONE"]
        start = str(values.get("AcquisitionDateTime") or _UNKNOWN_DAY)
        result["AcquisitionDateTime"] = start
        result.setdefault("ContentDate", start[:8])
        result.setdefault("ContentTime", start[8:14])
        manufacturer = str(values.get("Manufacturer") or "")
        if manufacturer.lower().startswith("siemens"):
            # dcm2niix takes multi-frame objects of Siemens for those of its clinical scanners,
            # and mixes up their frames and slopes.
            result["Manufacturer"] = f"Preclinical, {manufacturer}"
        return result

    def store_plane(self, plane: npt.NDArray[Any], number: int) -> StoredPlane:
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
