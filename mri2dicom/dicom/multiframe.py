"""Enhanced MR Image Storage and Parametric Map Storage: one file for a whole series.

The functional groups of each frame are kept encoded (about a kibibyte each) and the pixels are
streamed, so that a series of any length needs little memory.
"""

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from private_dictionaries import load

from ..mapping.tables import load_mapping
from ..series.model import RawSeries
from .encode import (
    Elements,
    character_set,
    encode_element,
    encode_elements,
    encode_sequence,
    join_elements,
)
from .frames import MultiFrame, dimension_indices, frame_label, index_sequences, split_into_objects
from .groups import (
    GroupTable,
    add_enhanced_terms,
    condition_holds,
    private_group,
    single_item_group,
    to_enhanced_terms,
)
from .header import common_header, complete_attributes, file_bytes, select_elements
from .overrides import Overrides
from .pixels import StoredPlane, pixel_format, requantisation_warning, stored_plane
from .planes import PlaneValues, Quantity, real_world_value, spacing_between_slices
from .uids import Form, SeriesUids

_SHARED, _PER_FRAME = 0x52009229, 0x52009230
_BLOCK_BYTES = 2**22


class MultiFrameSeries:
    """The files of a series in Enhanced MR or Parametric Map form.

    Attributes
    ----------
    names : list of str
        File names, one for each object.
    """

    # The table of top-level attributes and functional groups.
    table = "dicom_enhanced"
    # Whether a scaling that is the same for all frames may stand once.
    shares_scaling = True

    def __init__(self, series: RawSeries, overrides: Overrides) -> None:
        self.series = series
        self.form = self.form_of(series)
        self.uids = SeriesUids(series.identity, self.form, overrides.subject_id)
        self.values = PlaneValues(series)
        self.format = pixel_format(series)
        self.is_map = self.form is Form.MAP
        self.float_type = _float_type(series) if self.is_map else np.dtype("<f4")
        itemsize = self.float_type.itemsize if self.is_map else 2
        self.objects = split_into_objects(series, itemsize, by_map=self.is_map)
        self.names = [f"{number + 1:04d}.dcm" for number in range(len(self.objects))]
        self._attributes = self.add_terms(complete_attributes(series, self.form, overrides))
        self._axes = dimension_indices(series, self.values, is_map=self.is_map)
        self._table = GroupTable(self.form, self.table)
        self._spacing = spacing_between_slices(series)

    def form_of(self, series: RawSeries) -> Form:
        """Return the kind of object of a series."""
        return Form.MAP if series.is_quantity else Form.ENHANCED

    def add_terms(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the constant attributes with the terms of this kind of object."""
        return add_enhanced_terms(self.series, values)

    def store_plane(self, plane: np.ndarray[Any, Any], number: int) -> StoredPlane:
        """Return one plane of the scanner in the format of this object."""
        slope, offset = float(self.series.slope[number]), float(self.series.offset[number])
        return stored_plane(plane, slope, offset, self.format)

    def quantity(self, plane: int) -> Quantity | None:
        """Return what a plane measures; None for an intensity."""
        return self.values.quantity(plane)

    @property
    def warnings(self) -> list[str]:
        """What a person should know of these files."""
        if self.is_map:
            return []
        found = requantisation_warning(self.series, self.format)
        return [found] if found else []

    def instance_uid(self, number: int) -> str:
        """Return the SOP Instance UID of an object."""
        chosen = self.objects[number]
        return self.uids.instance(f"{chosen.name} {chosen.part}")

    def files(self, start: int, stop: int) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Yield name and content (in parts) of the objects from `start` up to `stop`."""
        for number in range(start, stop):
            yield self.names[number], self._file_parts(number)

    def _file_parts(self, number: int) -> Iterator[bytes]:
        chosen = self.objects[number]
        scaling = self._scaling(chosen)
        head = self._header(number, chosen, scaling)
        yield from file_bytes(self.form, self.instance_uid(number), [head])
        _, rows, columns = self.series.pixels.shape
        itemsize = self.float_type.itemsize if self.is_map else 2
        total = len(chosen.planes) * rows * columns * itemsize
        double = self.is_map and itemsize == 8
        element, vr = (
            (0x0009, b"OD") if double else (0x0008, b"OF") if self.is_map else (0x0010, b"OW")
        )
        yield struct.pack("<HH2s2sI", 0x7FE0, element, vr, b"\0\0", total)
        yield from self._pixels(chosen.planes)

    def _read_blocks(self, planes: np.ndarray[Any, Any]) -> Iterator[tuple[int, Any]]:
        """Yield number and stored pixels of each plane, read in runs of neighbours."""
        size = self.series.pixels.nbytes // self.series.plane_count
        most = max(1, _BLOCK_BYTES // max(size, 1))
        start = 0
        while start < len(planes):
            stop = start + 1
            while (
                stop < len(planes) and stop - start < most and planes[stop] == planes[stop - 1] + 1
            ):
                stop += 1
            block = self.series.pixels.read_planes(int(planes[start]), int(planes[stop - 1]) + 1)
            yield from zip(planes[start:stop].tolist(), block, strict=True)
            start = stop

    def _pixels(self, planes: np.ndarray[Any, Any]) -> Iterator[bytes]:
        for plane, stored in self._read_blocks(planes):
            slope, offset = float(self.series.slope[plane]), float(self.series.offset[plane])
            if self.is_map:
                yield _physical_values(stored, slope, offset).astype(self.float_type).tobytes()
            else:
                yield self.store_plane(stored, plane).pixels.tobytes()

    def _scaling(self, chosen: MultiFrame) -> dict[int, tuple[float, float]]:
        """Return slope and intercept of each plane; for a map its lowest and highest value."""
        result: dict[int, tuple[float, float]] = {}
        if not self.is_map and not self.format.requantised:
            for plane in chosen.planes.tolist():
                result[plane] = float(self.series.slope[plane]), float(self.series.offset[plane])
            return result
        for plane, stored in self._read_blocks(chosen.planes):
            slope, offset = float(self.series.slope[plane]), float(self.series.offset[plane])
            if self.is_map:
                # The ends as they are stored: readers refuse a value outside them.
                values = _physical_values(stored, slope, offset).astype(self.float_type)
                finite = values[np.isfinite(values)]
                result[plane] = (
                    (float(finite.min()), float(finite.max())) if finite.size else (np.inf, -np.inf)
                )
            else:
                kept = self.store_plane(stored, plane)
                result[plane] = kept.slope, kept.offset
        return result

    def _header(
        self, number: int, chosen: MultiFrame, scaling: dict[int, tuple[float, float]]
    ) -> bytes:
        values = to_enhanced_terms(self._attributes)
        first = int(chosen.planes[0])
        # The objects of complex parts have one part each, so that it is constant in each.
        varying = set(self.series.plane_attributes) - {"ComplexImageComponent"}
        if parts := self.series.plane_attributes.get("ComplexImageComponent"):
            values["ComplexImageComponent"] = parts[first]
        if "DiffusionBValue" in varying:
            varying |= {"DiffusionGradientDirectionSequence", "DiffusionBMatrixSequence"}
        shared_rows, frame_rows = self._table.split(varying)
        kinds = {(scaling[p], self.quantity(p)) for p in chosen.planes.tolist()}
        is_shared = len(kinds) == 1 and self.shares_scaling
        thickness, orientation = self.series.thickness_mm, self.series.orientation
        one_thickness = np.array_equal(
            thickness[chosen.planes],
            np.full(len(chosen.planes), thickness[first]),
            equal_nan=True,
        )
        one_orientation = bool(np.all(orientation[chosen.planes] == orientation[first]))
        shared = self._table.encode(shared_rows, values) | self._geometry(
            first, measures=one_thickness, orientation=one_orientation
        )
        if is_shared and not self.is_map:
            shared |= self._transformation(first, scaling)
        if self.is_map:
            shared |= self._transformation(first, scaling, chosen)
        frames = [
            join_elements(
                self._table.encode(
                    frame_rows, values | to_enhanced_terms(self.values.attributes(plane))
                )
                | self._frame_groups(plane)
                | self._geometry(plane, measures=not one_thickness, orientation=not one_orientation)
                | ({} if is_shared or self.is_map else self._transformation(plane, scaling))
                | self._saturation(plane)
            )
            for plane in chosen.planes.tolist()
        ]
        elements = self._top_level(number, chosen, values)
        if not self.is_map:
            # A functional group is shared or per frame, never both: the constant part of the
            # private block stands at the top.
            elements |= {t: encode_element(t, vr, v) for t, vr, v in self.values.saturation(None)}
        elements[_SHARED] = encode_sequence(_SHARED, [join_elements(shared)])
        elements[_PER_FRAME] = encode_sequence(_PER_FRAME, frames)
        return join_elements(elements)

    def _top_level(self, number: int, chosen: MultiFrame, values: dict[str, Any]) -> Elements:
        rows = [r for r in load_mapping(self.table)["element"] if condition_holds(r, values)]
        _, height, width = self.series.pixels.shape
        header: dict[Any, Any] = {
            **common_header(self.series, self.form, self.uids, values),
            **select_elements(rows, self.form, values),
            **index_sequences(self._axes, self.uids.dimension_organization),
            "SOPInstanceUID": self.instance_uid(number),
            "InstanceNumber": chosen.number,
            "AcquisitionContextSequence": [],
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "NumberOfFrames": len(chosen.planes),
            "Rows": height,
            "Columns": width,
        }
        if self.is_map:
            label = self.quantity(int(chosen.planes[0]))
            header |= {
                "BitsAllocated": 8 * self.float_type.itemsize,
                "ContentLabel": _content_label(label.name if label else "MAP"),
                "ContentDescription": self.values.label(int(chosen.planes[0])) or None,
                "ContentCreatorName": None,
                "RecognizableVisualFeatures": "NO",
            }
        else:
            header |= {
                "BitsAllocated": 16,
                "BitsStored": 16,
                "HighBit": 15,
                "PixelRepresentation": int(self.format.signed),
            }
        if chosen.parts > 1:
            header |= {
                "SOPInstanceUIDOfConcatenationSource": self.uids.instance(chosen.name),
                "ConcatenationUID": self.uids.concatenation(chosen.name),
                "InConcatenationNumber": chosen.part,
                "InConcatenationTotalNumber": chosen.parts,
                "ConcatenationFrameOffsetNumber": chosen.first,
            }
        return encode_elements(header | character_set(values, self.values.texts()))

    def _geometry(self, plane: int, *, measures: bool, orientation: bool) -> dict[int, bytes]:
        """Return the groups with pixel measures and plane orientation of one plane."""
        series = self.series
        result: dict[int, bytes] = {}
        if measures:
            own = float(series.thickness_mm[plane])
            item: dict[Any, Any] = {
                "PixelSpacing": list(series.spacing_mm),
                "SliceThickness": own if not np.isnan(own) else (self._spacing or 1.0),
            }
            if self._spacing is not None:
                item["SpacingBetweenSlices"] = self._spacing
            result |= dict([single_item_group("PixelMeasuresSequence", item)])
        if orientation:
            result |= dict([_orientation_group(series.orientation[plane])])
        return result

    def _transformation(
        self,
        plane: int,
        scaling: dict[int, tuple[float, float]],
        chosen: MultiFrame | None = None,
    ) -> dict[int, bytes]:
        """Return scaling and, where the values are a quantity, what they measure."""
        found = self.quantity(plane)
        result: dict[int, bytes] = {}
        if self.is_map and chosen is not None and found is not None:
            low = min(scaling[int(p)][0] for p in chosen.planes)
            high = max(scaling[int(p)][1] for p in chosen.planes)
            low, high = (low, high) if low <= high else (0.0, 0.0)  # no value anywhere
            item = real_world_value(found, 1.0, 0.0, (low, high), floats=True)
            result |= dict([single_item_group("RealWorldValueMappingSequence", item)])
        slope, offset = (1.0, 0.0) if self.is_map else scaling[plane]
        result |= dict(
            [
                single_item_group(
                    "PixelValueTransformationSequence",
                    {"RescaleIntercept": offset, "RescaleSlope": slope, "RescaleType": "US"},
                )
            ]
        )
        if found is not None and not self.is_map:
            limits = np.iinfo(self.format.dtype)
            ends = (limits.min, limits.max)
            item = real_world_value(found, slope, offset, ends, floats=False)
            result |= dict([single_item_group("RealWorldValueMappingSequence", item)])
        return result

    def _frame_groups(self, plane: int) -> dict[int, bytes]:
        """Return position and Frame Content of one frame."""
        series = self.series
        values = {k: v[plane] for k, v in series.plane_attributes.items()}
        content: dict[Any, Any] = {
            "StackID": str(int(series.stack[plane]) + 1),
            "InStackPositionNumber": int(self.values.in_stack[plane]),
            "DimensionIndexValues": [axis.index[plane] for axis in self._axes],
        }
        for keyword in (
            "FrameReferenceDateTime",
            "FrameAcquisitionDateTime",
            "FrameAcquisitionDuration",
            "TemporalPositionIndex",
        ):
            if values.get(keyword) is not None:
                content[keyword] = values[keyword]
        if any(axis.pointer == "FrameLabel" for axis in self._axes):
            content["FrameLabel"] = frame_label(series, plane)
        if label := self.values.label(plane):
            content["FrameComments"] = label
        position = {"ImagePositionPatient": series.position_mm[plane].tolist()}
        return dict(
            [
                single_item_group("FrameContentSequence", content),
                single_item_group("PlanePositionSequence", position),
            ]
        )

    def _saturation(self, plane: int) -> dict[int, bytes]:
        if not self.series.private or self.is_map:
            return {}
        dictionary = load("cest")
        return private_group(
            self.values.saturation(plane),
            dictionary.creator,
            dictionary.tag("SaturationFrameSequence"),
        )


def _orientation_group(axes_: np.ndarray[Any, Any]) -> tuple[int, bytes]:
    return single_item_group(
        "PlaneOrientationSequence", {"ImageOrientationPatient": axes_[:2].ravel().tolist()}
    )


def _physical_values(
    stored: np.ndarray[Any, Any], slope: float, offset: float
) -> np.ndarray[Any, Any]:
    values: np.ndarray[Any, Any] = stored.astype(np.float64) * slope + offset
    return values


def _float_type(series: RawSeries) -> np.dtype[Any]:
    """Return float32, or float64 where whole numbers of 32 bits need it."""
    return np.dtype("<f8" if series.pixels.dtype.kind == "i" else "<f4")


def _content_label(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name.upper())[:16]
