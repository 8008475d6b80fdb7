"""One animal's part of a series: its voxels, where they lie, and what is known of the animal."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xnat_pic.errors import WrongCallError
from xnat_pic.uids import derived_uid

from ..mapping.tables import code_item, load_mapping
from ..series.geometry import Floats
from ..series.model import Identity, RawSeries
from ..series.pixels import PixelSource
from .detect import Box, coordinates
from .roster import RosterEntry


@dataclass(frozen=True)
class CropSource(PixelSource):
    """A rectangle of every plane of another source.

    Attributes
    ----------
    whole : PixelSource
    first_row, first_column : int
        Of the rectangle; its size is in `shape`.
    """

    whole: PixelSource | None = field(default=None)
    first_row: int = 0
    first_column: int = 0

    @property
    def array(self) -> npt.NDArray[Any]:
        """The planes, loaded."""
        return self.read_planes(0, self.shape[0])

    def read_planes(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Read planes from `start` up to `stop`, shape (stop - start, rows, columns)."""
        assert self.whole is not None
        _, rows, columns = self.shape
        block = self.whole.read_planes(start, stop)
        return block[
            :,
            self.first_row : self.first_row + rows,
            self.first_column : self.first_column + columns,
        ].copy()


def crop_window(box: Box, series: RawSeries) -> tuple[int, int, int, int]:
    """Return first row, first column, rows and columns of the voxels whose centre is in a box.

    Raises
    ------
    WrongCallError
        If there are none.
    """
    _, rows, columns = series.pixels.shape
    y, x = (coordinates(n, d) for n, d in zip((rows, columns), series.spacing_mm, strict=True))
    inside_y = np.flatnonzero((y >= box.top) & (y < box.bottom))
    inside_x = np.flatnonzero((x >= box.left) & (x < box.right))
    if not inside_y.size or not inside_x.size:
        raise WrongCallError(
            f"The position {box.centre[0]:g}, {box.centre[1]:g} mm lies outside the image.",
            hint="x_mm counts from the middle of the image to the right, y_mm down.",
        )
    return int(inside_y[0]), int(inside_x[0]), len(inside_y), len(inside_x)


def crop_animal(series: RawSeries, box: Box, entry: RosterEntry, group: str) -> RawSeries:
    """Return one animal's part of a series.

    The voxels and their values are the scanner's; only the rectangle, the identity and what the
    table says of the animal are new. Where the table names an orientation of the animal's own, the
    coordinates are rotated from the header's to it.

    Parameters
    ----------
    series : RawSeries
        PET or CT of the whole bed.
    box : Box
        On this series' image.
    entry : RosterEntry
        The animal.
    group : str
        What the scanner's header calls the subjects.
    """
    row, column, rows, columns = crop_window(box, series)
    source = series.pixels
    rotation = _rotation(series, entry)
    axes = series.orientation
    step = row * series.spacing_mm[0] * axes[:, 1] + column * series.spacing_mm[1] * axes[:, 0]
    attributes = _attributes(series, entry, group)
    return replace(
        series,
        pixels=CropSource(
            source.path,
            source.dtype,
            (source.shape[0], rows, columns),
            whole=source,
            first_row=row,
            first_column=column,
        ),
        position_mm=(series.position_mm + step) @ rotation.T,
        orientation=axes @ rotation.T,
        identity=_identity(series.identity, entry, (row, column, rows, columns), attributes),
        attributes=attributes,
        warnings=_remaining_warnings(series, attributes),
    )


def _rotation(series: RawSeries, entry: RosterEntry) -> Floats:
    """Return the rotation from the header's patient axes to those of the animal, shape (3, 3)."""
    stated = str(series.attributes.get("PatientPosition") or "")
    if not entry.orientation or entry.orientation == stated:
        return np.eye(3)
    table = load_mapping("inveon")["orientation"]
    rows = {row["position"]: np.array(row["axes"], float) for row in table}
    rotated: Floats = rows[entry.orientation] @ rows[stated].T
    return rotated


def _identity(
    whole: Identity,
    entry: RosterEntry,
    rectangle: tuple[int, int, int, int],
    attributes: dict[str, Any],
) -> Identity:
    """Return identifiers of its own for each animal: two subjects never share a study."""
    facts = (entry.weight_g, entry.dose_mbq, entry.injection_time, entry.orientation)
    content = f"{whole.content} {entry.subject} {rectangle} {facts}"
    return Identity(
        derived_uid("hotel study", whole.study_uid, str(attributes["PatientID"])),
        content,
        derived_uid("hotel frame of reference", whole.frame_of_reference_uid, entry.subject),
    )


def _attributes(series: RawSeries, entry: RosterEntry, group: str) -> dict[str, Any]:
    result = dict(series.attributes)
    kind = [str(word) for word in result.get("ImageType") or ["ORIGINAL", "PRIMARY"]]
    result |= {
        "PatientID": entry.subject,
        "ImageType": ["DERIVED", *kind[1:]],
        "SourcePatientGroupIdentificationSequence": [{"PatientID": group}],
        "DerivationDescription": f"Cut from an image of several animals, position {entry.position}",
        "DerivationCodeSequence": [
            code_item("DCM", "113131", "Extraction of individual subject from group")
        ],
    }
    if entry.orientation:
        result["PatientPosition"] = entry.orientation
    if entry.weight_g is not None:
        result["PatientWeight"] = entry.weight_g / 1000.0
    items = result.get("RadiopharmaceuticalInformationSequence")
    if items:
        result["RadiopharmaceuticalInformationSequence"] = [_injection(dict(items[0]), entry)]
    return result


def _injection(item: dict[str, Any], entry: RosterEntry) -> dict[str, Any]:
    """Return the injection of one animal; the table's values replace those of the bed."""
    if entry.dose_mbq is not None:
        item["RadionuclideTotalDose"] = 1e6 * entry.dose_mbq
    if entry.injection_time is not None:
        item["RadiopharmaceuticalStartDateTime"] = f"{entry.injection_time:%Y%m%d%H%M%S}"
        item["RadiopharmaceuticalStartTime"] = f"{entry.injection_time:%H%M%S}"
    return item


def _remaining_warnings(series: RawSeries, attributes: dict[str, Any]) -> tuple[str, ...]:
    """Return the series' warnings; what the bed's header lacked the table may have given."""
    items = attributes.get("RadiopharmaceuticalInformationSequence") or [{}]
    complete = attributes.get("PatientWeight") and all(
        items[0].get(name) for name in ("RadionuclideTotalDose", "RadiopharmaceuticalStartDateTime")
    )
    return tuple(
        one
        for one in series.warnings
        if not (complete and one.startswith("No SUV can be computed"))
    )
