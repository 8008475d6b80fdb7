"""Positron Emission Tomography Image Storage: one file for each plane, with a slope of its own."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from private_dictionaries import format_ds

from ..mapping.tables import code, load_mapping
from .classic import ClassicSeries
from .encode import Elements, element, tag_and_vr
from .header import Overrides
from .pixels import PixelFormat, StoredPlane
from .planes import Quantity
from .uids import Form

# No standard code names an activity in a volume.
ACTIVITY = Quantity("Activity", ("99XNATPIC", "ACTIVITY", "Activity concentration"), "Bq/mL")
_HIGHEST = 32767.0
_LATER = ("AcquisitionDate", "AcquisitionTime")


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
    The step is the largest magnitude / 32767; DICOM asks for an intercept of 0 in PET (PS3.3
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
            turned: dict[str, Any] = code(*row["orientation"])
            turned["PatientOrientationModifierCodeSequence"] = [code(*row["modifier"])]
            return {
                "PatientOrientationCodeSequence": [turned],
                "PatientGantryRelationshipCodeSequence": [code(*row["gantry"])],
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

    def stored(self, plane: npt.NDArray[Any], number: int) -> StoredPlane:
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
        for keyword in _LATER:
            tag, vr = tag_and_vr(keyword)
            found.setdefault(tag, element(tag, vr, None))
        return found

    def quantity(self, plane: int) -> Quantity | None:
        """Return nothing: Units says what the values are."""
        return None
