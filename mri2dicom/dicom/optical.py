"""Optical images: a photograph as Secondary Capture, counts as Multi-frame Grayscale Word SC.

DICOM has no object for bioluminescence. These two keep every stored value and are shown by any
viewer; the counts are never turned into a picture of 8 bits. Radiance is a Parametric Map.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..mapping.tables import load_mapping
from ..series.model import RawSeries, SeriesKind
from .encode import character_set, encode_element, encode_elements, join_elements
from .header import common_header, complete_attributes, file_bytes
from .overrides import Overrides
from .uids import Form, SeriesUids

_PIXEL_DATA = 0x7FE00010
# Of a frame of reference, which these objects do not have.
_ABSENT = ("FrameOfReferenceUID", "PositionReferenceIndicator", "PatientPosition")


class OpticalSeries:
    """The one file of an optical image.

    Attributes
    ----------
    names : list of str
        File names.
    """

    def __init__(self, series: RawSeries, overrides: Overrides) -> None:
        self.series = series
        self.form = Form.PHOTOGRAPH if series.kind is SeriesKind.PHOTOGRAPH else Form.COUNTS
        self.uids = SeriesUids(series.identity, self.form, overrides.subject_id)
        self.names = ["0001.dcm"]
        self._values = complete_attributes(series, self.form, overrides)

    @property
    def warnings(self) -> list[str]:
        """What a person should know of these files: nothing, their values are the camera's."""
        return []

    def instance_uid(self) -> str:
        """Return the SOP Instance UID."""
        return self.uids.instance("0")

    def files(self, start: int, stop: int) -> Iterator[tuple[str, list[bytes]]]:
        """Yield name and content of the file."""
        for name in self.names[start:stop]:
            yield name, file_bytes(self.form, self.instance_uid(), [self._body()])

    def _body(self) -> bytes:
        pixels = self.series.pixels.read_planes(0, 1)[0]
        bits = 8 if pixels.dtype.itemsize == 1 and self.form is Form.PHOTOGRAPH else 16
        stored = np.ascontiguousarray(pixels, dtype="<u1" if bits == 8 else "<u2")
        low, high = int(stored.min()), int(stored.max())
        header = self._header(bits) | {
            "WindowCenter": (low + high + 1) / 2,
            "WindowWidth": max(1, high - low + 1),
        }
        elements = encode_elements(header | character_set(header))
        data = stored.tobytes()
        elements[_PIXEL_DATA] = encode_element(_PIXEL_DATA, "OB" if bits == 8 else "OW", data)
        return join_elements(elements)

    def _header(self, bits: int) -> dict[Any, Any]:
        series = self.series
        _, rows, columns = series.pixels.shape
        values = self._values
        if not np.isnan(series.spacing_mm[0]):
            values = values | {"PixelSpacing": list(series.spacing_mm)}
        header = common_header(series, self.form, self.uids, values)
        for keyword in _ABSENT:
            header.pop(keyword, None)
        return {
            **header,
            **_select_elements(self.form, values),
            "SOPInstanceUID": self.instance_uid(),
            "InstanceNumber": 1,
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "Rows": rows,
            "Columns": columns,
            "BitsAllocated": bits,
            "BitsStored": bits,
            "HighBit": bits - 1,
            "PixelRepresentation": 0,
        }


def _select_elements(form: Form, values: dict[str, Any]) -> dict[str, Any]:
    """Select what the table requires in this object."""
    result: dict[str, Any] = {}
    for row in load_mapping("ivis_objects")["element"]:
        kind = row["type"][0 if form is Form.PHOTOGRAPH else 1]
        value = values.get(row["keyword"])
        if kind == "1" and (value is None or value == ""):
            value = row["default"]
        if kind == "2" or (kind != "-" and value is not None and value != ""):
            result[row["keyword"]] = value
    return result
