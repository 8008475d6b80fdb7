"""Dimension Index of multi-frame objects: which attribute each loop of the frames runs along."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..model import Dimension, Loop, RawSeries
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


@dataclass(frozen=True)
class Axis:
    """One dimension index: what it points to, and its value (from 1) for each plane."""

    pointer: str
    group: str
    index: list[int]
    label: str


def axes(series: RawSeries, values: PlaneValues, *, is_map: bool) -> list[Axis]:
    """Return the dimension indices: stack and place in it, then every other loop.

    Loops whose attribute is not in the object run along Frame Label. Complex parts, and the maps
    of a parametric map, are objects of their own and no dimension.
    """
    result = [
        Axis("StackID", _CONTENT, [int(s) + 1 for s in series.stack], "Stack"),
        Axis("InStackPositionNumber", _CONTENT, [int(k) for k in values.in_stack], "Position"),
    ]
    own = {Loop.SLICE, Loop.COMPLEX} | ({Loop.MAP} if is_map else set())
    if "TemporalPositionIndex" in series.plane_attributes:
        own.add(Loop.TIME)
        index = series.plane_attributes["TemporalPositionIndex"]
        result.append(Axis("TemporalPositionIndex", _CONTENT, index, "Time"))
    labelled: list[Dimension] = []
    for dimension in series.dimensions:
        if dimension.loop in own:
            continue
        if dimension.loop is Loop.DIFFUSION and not is_map and _has(series, "DiffusionBValue"):
            result += _diffusion(series, dimension)
            continue
        pointer, group = _POINTERS.get(dimension.loop, ("", ""))
        if pointer and not is_map and _has(series, _SOURCE.get(pointer, pointer)):
            index = [int(k) + 1 for k in dimension.index]
            result.append(Axis(pointer, group, index, dimension.loop.value.capitalize()))
        else:
            labelled.append(dimension)
    if labelled:
        result.append(Axis("FrameLabel", _CONTENT, _combined(labelled), "Label"))
    return result


def _has(series: RawSeries, keyword: str) -> bool:
    return keyword in series.plane_attributes


def _combined(dimensions: list[Dimension]) -> list[int]:
    index, stride = np.zeros(len(dimensions[0].index), dtype=np.intp), 1
    for dimension in dimensions:
        index = index + dimension.index * stride
        stride *= dimension.length
    return [int(k) + 1 for k in index]


def _diffusion(series: RawSeries, dimension: Dimension) -> list[Axis]:
    """Return b-value and direction; images of one b-value and no direction count on."""
    group = "MRDiffusionSequence"
    b_values = np.round(series.plane_attributes["DiffusionBValue"], 3)
    _, rank = np.unique(b_values, return_inverse=True)
    step = [int(k) + 1 for k in dimension.index]
    result = [Axis("DiffusionBValue", group, [int(k) + 1 for k in rank], "b-value")]
    ways = series.plane_attributes.get("DiffusionGradientOrientation")
    if ways and any(way is not None for way in ways):
        result.append(Axis("DiffusionGradientOrientation", group, step, "Direction"))
    elif len(set(rank.tolist())) < dimension.length:
        result.append(Axis("FrameLabel", _CONTENT, step, "Label"))
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


def index_sequences(found: list[Axis], uid: str) -> dict[Any, Any]:
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
