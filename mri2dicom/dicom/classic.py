"""Classic images, one file for each plane: MR and CT Image Storage, and what PET shares."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from ..mapping.tables import load_mapping
from ..series.model import RawSeries
from .encode import (
    Elements,
    Template,
    TypedValue,
    character_set,
    encode_element,
    encode_elements,
    tag_and_vr,
)
from .groups import condition_holds
from .header import common_header, complete_attributes, file_bytes, select_elements
from .overrides import Overrides
from .pixels import PixelFormat, StoredPlane, pixel_format, requantisation_warning, stored_plane
from .planes import PlaneValues, Quantity, real_world_value, spacing_between_slices
from .uids import Form, SeriesUids

_PIXEL_DATA = 0x7FE00010
# Attributes whose value differs between planes whatever the series.
_VARYING = (
    "SOPInstanceUID",
    "InstanceNumber",
    "ImagePositionPatient",
    "SliceLocation",
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "PixelData",
)
_BY_PLANE = ("ImageOrientationPatient", "SliceThickness", "RescaleSlope", "RescaleIntercept")
_OPTIONAL = (
    *("RealWorldValueMappingSequence", "ImageComments", "ImageType"),
    *("AcquisitionDate", "AcquisitionTime"),
)


@lru_cache(maxsize=8192)
def _encode_cached(keyword: str, value: Any) -> bytes:
    tag, vr = tag_and_vr(keyword)
    return encode_element(tag, vr, list(value) if isinstance(value, tuple) else value)


def _encode_keyword(keyword: str, value: Any) -> tuple[int, bytes]:
    tag, vr = tag_and_vr(keyword)
    if vr == "SQ":
        return tag, encode_element(tag, vr, value)
    return tag, _encode_cached(keyword, tuple(value) if isinstance(value, list) else value)


class ClassicSeries:
    """The files of a series in classic form.

    Attributes
    ----------
    names : list of str
        File names, one for each plane, in the scanner's order.
    """

    form = Form.CLASSIC
    # The table of the attributes beside those of dicom_common.toml.
    table = "dicom_classic"

    def __init__(self, series: RawSeries, overrides: Overrides) -> None:
        self.series = series
        self.uids = SeriesUids(series.identity, self.form, overrides.subject_id)
        self.format: PixelFormat = pixel_format(series)
        self.values = PlaneValues(series)
        digits = max(4, len(str(series.plane_count)))
        self.names = [f"{plane + 1:0{digits}d}.dcm" for plane in range(series.plane_count)]
        self._rows = {row["keyword"] for row in load_mapping(self.table)["element"]}
        self._instances: dict[int, bytes] = {}
        constant = self._constant(overrides)
        varying = [tag_and_vr(keyword)[0] for keyword in (*_VARYING, *_BY_PLANE, *_OPTIONAL)]
        varying += [tag_and_vr(k)[0] for k in self._plane_keywords()]
        varying += self.values.saturation_tags()
        self._template = Template(constant, varying)
        self._image_type = constant[tag_and_vr("ImageType")[0]]

    @property
    def warnings(self) -> list[str]:
        """What a person should know of these files."""
        found = requantisation_warning(self.series, self.format)
        return [found] if found else []

    def _plane_keywords(self) -> set[str]:
        known = set(self.series.plane_attributes)
        if "DiffusionGradientOrientation" in known:
            known |= {"DiffusionGradientDirectionSequence", "DiffusionBMatrixSequence"}
        if "NominalCardiacTriggerDelayTime" in known:
            known.add("TriggerTime")
        if "TemporalPositionIndex" in known:
            known |= {"TemporalPositionIdentifier"}
        return known & self._rows

    def attributes(self, overrides: Overrides) -> dict[str, Any]:
        """Return the attributes that are constant in the series, by keyword."""
        return complete_attributes(self.series, self.form, overrides)

    def store_plane(self, plane: np.ndarray[Any, Any], number: int) -> StoredPlane:
        """Return one plane of the scanner in the format of this object."""
        slope, offset = float(self.series.slope[number]), float(self.series.offset[number])
        return stored_plane(plane, slope, offset, self.format)

    def quantity(self, plane: int) -> Quantity | None:
        """Return what a plane measures where the object needs a mapping of real world values."""
        return self.values.quantity(plane)

    def _constant(self, overrides: Overrides) -> Elements:
        series = self.series
        values = self.attributes(overrides)
        rows = [r for r in load_mapping(self.table)["element"] if condition_holds(r, values)]
        values["SpacingBetweenSlices"] = spacing_between_slices(series)
        header: dict[Any, Any] = {
            **common_header(series, self.form, self.uids, values),
            **select_elements(rows, self.form, values),
            "AcquisitionNumber": 1,
            "ImagesInAcquisition": series.plane_count,
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "Rows": series.pixels.shape[1],
            "Columns": series.pixels.shape[2],
            "PixelSpacing": list(series.spacing_mm),
            "BitsAllocated": 16,
            "BitsStored": 16,
            "HighBit": 15,
            "PixelRepresentation": int(self.format.signed),
        }
        header |= {tag: TypedValue(vr, v) for tag, vr, v in self.values.saturation(None)}
        return encode_elements(header | character_set(header, self.values.texts()))

    def plane_elements(self, plane: int, stored: StoredPlane) -> Elements:
        """Return the elements of one plane that differ from those of another."""
        series = self.series
        axes = series.orientation[plane]
        vr = "SS" if self.format.signed else "US"
        thickness = float(series.thickness_mm[plane])
        own = self.values.attributes(plane)
        component = own.get("ComplexImageComponent")
        values: dict[str, Any] = {
            "InstanceNumber": plane + 1,
            "ImagePositionPatient": series.position_mm[plane].tolist(),
            "ImageOrientationPatient": axes[:2].ravel().tolist(),
            "SliceLocation": float(self.values.location[plane]),
            "SliceThickness": None if np.isnan(thickness) else thickness,
            "RescaleSlope": stored.slope,
            "RescaleIntercept": stored.offset,
        }
        if "TemporalPositionIndex" in own:
            values["TemporalPositionIdentifier"] = own["TemporalPositionIndex"]
        if "FrameAcquisitionDateTime" in own:
            values["AcquisitionDate"] = own["FrameAcquisitionDateTime"][:8]
            values["AcquisitionTime"] = own["FrameAcquisitionDateTime"][8:]
        if "NominalCardiacTriggerDelayTime" in own:
            values["TriggerTime"] = own["NominalCardiacTriggerDelayTime"]
        if label := self.values.label(plane) or series.attributes.get("ImageComments"):
            values["ImageComments"] = label
        values |= {k: v for k, v in own.items() if k in self._rows}
        found = self.quantity(plane)
        if found is not None:
            limits = np.iinfo(self.format.dtype)
            item = real_world_value(
                found, stored.slope, stored.offset, (limits.min, limits.max), floats=False
            )
            values["RealWorldValueMappingSequence"] = [item]
        elements = dict(_encode_keyword(keyword, value) for keyword, value in values.items())
        elements |= dict([_encode_keyword("SOPInstanceUID", self.instance_uid(plane))])
        for tag, code, value in self.values.saturation(plane):
            elements[tag] = encode_element(tag, code, value)
        low, high = int(stored.pixels.min()), int(stored.pixels.max())
        for keyword, extreme in (
            ("SmallestImagePixelValue", low),
            ("LargestImagePixelValue", high),
        ):
            tag = tag_and_vr(keyword)[0]
            elements[tag] = encode_element(tag, vr, extreme)
        elements[tag_and_vr("ImageType")[0]] = self._image_type_of(component)
        elements[_PIXEL_DATA] = encode_element(_PIXEL_DATA, "OW", stored.pixels.tobytes())
        return elements

    def _image_type_of(self, component: str | None) -> bytes:
        if component is None:
            return self._image_type
        letter = {"PHASE": "P", "REAL": "R", "IMAGINARY": "I"}.get(component, "M")
        head = "DERIVED" if self.series.attributes.get("ImageIsDerived") else "ORIGINAL"
        return _encode_cached("ImageType", (head, "PRIMARY", "OTHER", letter))

    def instance_uid(self, plane: int) -> str:
        """Return the SOP Instance UID of a plane."""
        return self.uids.instance(str(plane))

    def files(self, start: int, stop: int) -> Iterator[tuple[str, list[bytes]]]:
        """Yield name and content of the files from `start` up to `stop`."""
        series = self.series
        step = max(1, 2**22 // max(1, series.pixels.nbytes // series.plane_count))
        for first in range(start, stop, step):
            last = min(first + step, stop)
            block = series.pixels.read_planes(first, last)
            for plane in range(first, last):
                stored = self.store_plane(block[plane - first], plane)
                body = self._template.render(self.plane_elements(plane, stored))
                yield (
                    self.names[plane],
                    file_bytes(self.form, self.instance_uid(plane), [body]),
                )


class CtSeries(ClassicSeries):
    """The files of a CT series."""

    form = Form.CT
    table = "dicom_ct"

    def quantity(self, plane: int) -> Quantity | None:
        """Return nothing: Rescale Type holds the unit of the values."""
        return None
