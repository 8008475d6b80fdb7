"""Nuclear Medicine Image Storage: one reconstructed volume in each file."""

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from private_dictionaries import format_ds

from ..mapping.tables import load_mapping
from ..series.model import Loop, RawSeries
from .encode import character_set, encode_elements, join_elements
from .header import common_header, complete_attributes, file_bytes, select_elements
from .overrides import Overrides
from .pet import ACTIVITY, emission_warnings, position_codes
from .pixels import pixel_format
from .planes import real_world_value
from .uids import Form, SeriesUids

_HIGHEST = 32767.0
_BLOCK_BYTES = 2**22


class NmSeries:
    """The files of a SPECT series: one for each time or gate, all slices within.

    Attributes
    ----------
    names : list of str
        File names.
    """

    form = Form.NM

    def __init__(self, series: RawSeries, overrides: Overrides) -> None:
        self.series = series
        self.uids = SeriesUids(series.identity, self.form, overrides.subject_id)
        self.format = pixel_format(series)
        slices = series.dimension(Loop.SLICE)
        self._slices = slices.length if slices else series.plane_count
        self.names = [f"{k + 1:04d}.dcm" for k in range(series.plane_count // self._slices)]
        self._values = complete_attributes(series, self.form, overrides)
        self._values |= position_codes(self._values)

    @property
    def warnings(self) -> list[str]:
        """What a person should know of these files."""
        return emission_warnings(self.format)

    def files(self, start: int, stop: int) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Yield name and content (in parts) of the files from `start` up to `stop`."""
        for number in range(start, stop):
            yield self.names[number], self._file_parts(number)

    def _read_blocks(self, number: int) -> Iterator[np.ndarray[Any, Any]]:
        """Yield the stored planes of one volume in parts."""
        first, step = number * self._slices, self._step()
        for offset in range(0, self._slices, step):
            start, stop = first + offset, first + min(offset + step, self._slices)
            yield self.series.pixels.read_planes(start, stop)

    def _step(self) -> int:
        return max(1, _BLOCK_BYTES // max(1, self.series.pixels.nbytes // self.series.plane_count))

    def _slope(self, number: int) -> tuple[float, float]:
        """Return the slope of one volume, and the scanner's own where its values stay."""
        own = float(self.series.slope[number * self._slices])
        if not self.format.requantised:
            return own, own
        largest = 0.0
        for block in self._read_blocks(number):
            values = np.abs(block[np.isfinite(block)].astype(np.float64))
            largest = max(largest, float(values.max(initial=0.0)))
        step = float(format_ds(largest * abs(own) / _HIGHEST)) if largest * abs(own) else 0.0
        return (step or 1.0), own

    def _file_parts(self, number: int) -> Iterator[bytes]:
        slope, own = self._slope(number)
        uid = self.uids.instance(str(number))
        yield from file_bytes(self.form, uid, [self._header(number, uid, slope)])
        _, rows, columns = self.series.pixels.shape
        total = self._slices * rows * columns * 2
        yield struct.pack("<HH2s2sI", 0x7FE0, 0x0010, b"OW", b"\0\0", total + total % 2)
        for block in self._read_blocks(number):
            if not self.format.requantised:
                yield block.astype(self.format.dtype).tobytes()
                continue
            real = np.where(np.isfinite(block), block, 0).astype(np.float64) * own
            yield np.clip(np.rint(real / slope), -_HIGHEST, _HIGHEST).astype("<i2").tobytes()

    def _header(self, number: int, uid: str, slope: float) -> bytes:
        series, first = self.series, number * self._slices
        own = {k: v[first] for k, v in series.plane_attributes.items() if v[first] is not None}
        values = self._values | own
        if moment := own.get("FrameAcquisitionDateTime"):
            values |= {"AcquisitionDate": moment[:8], "AcquisitionTime": moment[8:]}
        values["SpacingBetweenSlices"] = float(series.thickness_mm[first])
        _, rows, columns = series.pixels.shape
        window = values.get("EnergyWindowRangeSequence") or []
        limits = np.iinfo(self.format.dtype)
        header: dict[Any, Any] = {
            **common_header(series, self.form, self.uids, values),
            **select_elements(load_mapping("dicom_nm")["element"], self.form, values),
            "SOPInstanceUID": uid,
            "InstanceNumber": number + 1,
            "ImageType": ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"],
            "NumberOfFrames": self._slices,
            "FrameIncrementPointer": 0x00540080,
            "NumberOfSlices": self._slices,
            "SliceVector": list(range(1, self._slices + 1)),
            "SliceThickness": float(series.thickness_mm[first]),
            "NumberOfEnergyWindows": 1,
            "EnergyWindowInformationSequence": [{"EnergyWindowRangeSequence": window}],
            "NumberOfRotations": 1,
            "RotationInformationSequence": _rotation_items(values),
            "NumberOfDetectors": 1,
            "DetectorInformationSequence": [
                {
                    "CollimatorType": None,
                    "ImagePositionPatient": series.position_mm[first].tolist(),
                    "ImageOrientationPatient": series.orientation[first][:2].ravel().tolist(),
                }
            ],
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "Rows": rows,
            "Columns": columns,
            "PixelSpacing": list(series.spacing_mm),
            "BitsAllocated": 16,
            "BitsStored": 16,
            "HighBit": 15,
            "PixelRepresentation": int(self.format.signed),
            "RescaleSlope": slope,
            "RescaleIntercept": 0.0,
        }
        if series.unit:
            ends = (limits.min, limits.max)
            item = real_world_value(ACTIVITY, slope, 0.0, ends, floats=False)
            header["RealWorldValueMappingSequence"] = [item]
        return join_elements(encode_elements(header | character_set(header)))


def _rotation_items(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return how the detector turned, with the time that one of its positions took, in ms."""
    found = values.get("RotationInformationSequence") or []
    duration = values.get("ActualFrameDuration") or 0
    return [
        one | {"ActualFrameDuration": round(duration / one["NumberOfFramesInRotation"])}
        for one in found
    ]
