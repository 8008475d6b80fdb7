"""How frames are organized in multi-frame objects: which object, and which dimension index."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..series import geometry
from ..series.geometry import Ints
from ..series.model import Dimension, Loop, RawSeries
from .encode import tag_and_vr
from .planes import PlaneValues

_CONTENT = "FrameContentSequence"
# The attribute a loop runs along and the functional group it stands in.
_POINTERS = {
    Loop.ECHO: ("EffectiveEchoTime", "MREchoSequence"),
    Loop.REPETITION_TIME: ("RepetitionTime", "MRTimingAndRelatedParametersSequence"),
    Loop.INVERSION: ("InversionTimes", "MRModifierSequence"),
    Loop.CARDIAC: ("NominalCardiacTriggerDelayTime", "CardiacSynchronizationSequence"),
    Loop.RESPIRATORY: ("NominalRespiratoryTriggerDelayTime", "RespiratorySynchronizationSequence"),
}
_SOURCE = {"InversionTimes": "InversionTime"}
# Java readers (XNAT's among them) hold pixel data in one array of at most 2 GiB; a larger object
# becomes a concatenation.
MAX_PIXEL_BYTES = 2**31 - 2**24


@dataclass(frozen=True)
class DimensionIndex:
    """One dimension index: what it points to, and its value (from 1) for each plane."""

    pointer: str
    group: str
    index: list[int]
    label: str


def dimension_indices(
    series: RawSeries, values: PlaneValues, *, is_map: bool
) -> list[DimensionIndex]:
    """Return the dimension indices: stack and place in it, then every other loop.

    Loops whose attribute is not in the object run along Frame Label. Complex parts, and the maps
    of a parametric map, are objects of their own and no dimension.
    """
    result = [
        DimensionIndex("StackID", _CONTENT, [int(s) + 1 for s in series.stack], "Stack"),
        DimensionIndex(
            "InStackPositionNumber", _CONTENT, [int(k) for k in values.in_stack], "Position"
        ),
    ]
    own = {Loop.SLICE, Loop.COMPLEX} | ({Loop.MAP} if is_map else set())
    if "TemporalPositionIndex" in series.plane_attributes:
        own.add(Loop.TIME)
        index = series.plane_attributes["TemporalPositionIndex"]
        result.append(DimensionIndex("TemporalPositionIndex", _CONTENT, index, "Time"))
    labelled: list[Dimension] = []
    for dimension in series.dimensions:
        if dimension.loop in own:
            continue
        if dimension.loop is Loop.DIFFUSION and not is_map and _varies(series, "DiffusionBValue"):
            result += _diffusion_indices(series, dimension)
            continue
        pointer, group = _POINTERS.get(dimension.loop, ("", ""))
        if pointer and not is_map and _varies(series, _SOURCE.get(pointer, pointer)):
            index = [int(k) + 1 for k in dimension.index]
            result.append(DimensionIndex(pointer, group, index, dimension.loop.value.capitalize()))
        else:
            labelled.append(dimension)
    if labelled:
        result.append(DimensionIndex("FrameLabel", _CONTENT, _combined_index(labelled), "Label"))
    return result


def _varies(series: RawSeries, keyword: str) -> bool:
    return keyword in series.plane_attributes


def _combined_index(dimensions: list[Dimension]) -> list[int]:
    index, stride = np.zeros(len(dimensions[0].index), dtype=np.intp), 1
    for dimension in dimensions:
        index = index + dimension.index * stride
        stride *= dimension.length
    return [int(k) + 1 for k in index]


def _diffusion_indices(series: RawSeries, dimension: Dimension) -> list[DimensionIndex]:
    """Return b-value and direction; images of one b-value and no direction count on."""
    group = "MRDiffusionSequence"
    b_values = np.round(series.plane_attributes["DiffusionBValue"], 3)
    _, rank = np.unique(b_values, return_inverse=True)
    step = [int(k) + 1 for k in dimension.index]
    result = [DimensionIndex("DiffusionBValue", group, [int(k) + 1 for k in rank], "b-value")]
    directions = series.plane_attributes.get("DiffusionGradientOrientation")
    if directions and any(direction is not None for direction in directions):
        result.append(DimensionIndex("DiffusionGradientOrientation", group, step, "Direction"))
    elif len(set(rank.tolist())) < dimension.length:
        result.append(DimensionIndex("FrameLabel", _CONTENT, step, "Label"))
    return result


def frame_label(series: RawSeries, plane: int) -> str:
    """Return a name for the steps of the loops that have no attribute of their own."""
    parts = []
    for d in series.dimensions:
        if d.loop in (Loop.SLICE, Loop.COMPLEX):
            continue
        step = int(d.index[plane])
        parts.append(d.labels[step] if d.labels else f"{d.source.removeprefix('FG_')} {step + 1}")
    return ", ".join(parts)[:16].rstrip()


def index_sequences(found: list[DimensionIndex], uid: str) -> dict[Any, Any]:
    """Return Dimension Organization and Dimension Index Sequence."""
    return {
        "DimensionOrganizationSequence": [{"DimensionOrganizationUID": uid}],
        "DimensionIndexSequence": [
            {
                "DimensionOrganizationUID": uid,
                "DimensionIndexPointer": tag_and_vr(axis.pointer)[0],
                "FunctionalGroupPointer": tag_and_vr(axis.group)[0],
                "DimensionDescriptionLabel": axis.label,
            }
            for axis in found
        ],
    }


@dataclass(frozen=True)
class MultiFrame:
    """One multi-frame object.

    Attributes
    ----------
    name : str
        Tells it from the other objects of its series.
    planes : ndarray of int
        Planes of the series, in the scanner's order.
    part, parts, first : int
        Number in its concatenation, how many there are, and frames in those before it.
    number : int
        Instance Number; the parts of a concatenation have one.
    """

    name: str
    planes: Ints
    part: int = 1
    parts: int = 1
    first: int = 0
    number: int = 1


def split_into_objects(
    series: RawSeries, itemsize: int, *, by_map: bool, limit: int = MAX_PIXEL_BYTES
) -> list[MultiFrame]:
    """Split the planes of a series into multi-frame objects.

    Packages that are not parallel (a tripilot), complex parts and, if `by_map`, the maps of a
    series become objects of their own, because few readers can tell them apart within one.

    Parameters
    ----------
    itemsize : int
        Bytes of a stored pixel.
    limit : int
        Most pixel bytes of one object.
    """
    keys = np.zeros((series.plane_count, 3), dtype=np.intp)
    axes = series.orientation
    parallel = np.allclose(axes, axes[0], atol=geometry.PARALLEL_TOLERANCE, rtol=0)
    if not parallel or _has_separate_slices(series):
        keys[:, 0] = series.stack
    for column, loop in ((1, Loop.COMPLEX), (2, Loop.MAP)):
        dimension = series.dimension(loop)
        if dimension is not None and (loop is Loop.COMPLEX or by_map):
            keys[:, column] = dimension.index
    distinct, group = np.unique(keys, axis=0, return_inverse=True)
    _, rows, columns = series.pixels.shape
    most = max(1, limit // (rows * columns * itemsize))
    result = []
    for number, key in enumerate(distinct):
        planes = np.flatnonzero(group.reshape(-1) == number)
        name = "stack {} part {} map {}".format(*key)
        parts = -(-len(planes) // most)
        for part in range(parts):
            chosen = planes[part * most : (part + 1) * most]
            result.append(MultiFrame(name, chosen, part + 1, parts, part * most, number + 1))
    return result


def _has_separate_slices(series: RawSeries) -> bool:
    """Tell whether parallel planes lie in stacks that are no stack together."""
    count = int(series.stack.max(initial=0)) + 1
    slices = series.dimension(Loop.SLICE)
    return count > 1 and slices is not None and count == slices.length
