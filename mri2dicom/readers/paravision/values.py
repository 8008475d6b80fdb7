"""Values of each plane that follow from loops: echo, time, diffusion, parts, units."""

from datetime import timedelta
from typing import Any

import numpy as np

from ...mapping.tables import load_mapping
from ...series.model import Dimension, Loop
from .dates import Dates, format_datetime
from .diffusion import (
    B0_LIMIT,
    b_matrices,
    diffusion_group,
    directions,
    frame_b_values,
    is_trace,
    read_gradient_axes,
)
from .planes import Planes
from .reco import Reco

_PARTS = {
    "MAGNITUDE_IMAGE": "MAGNITUDE",
    "PHASE_IMAGE": "PHASE",
    "REAL_IMAGE": "REAL",
    "IMAGINARY_IMAGE": "IMAGINARY",
    "IMAGINERY_IMAGE": "IMAGINARY",
}


def expand_to_planes(values: list[Any], planes: Planes) -> list[Any]:
    """Turn a list of one value per frame into one per plane."""
    return [values[frame] for frame in planes.frame]


def complex_parts(reco: Reco, planes: Planes, dimensions: tuple[Dimension, ...]) -> list[str]:
    """Return MAGNITUDE, PHASE, REAL or IMAGINARY for each plane.

    Complex reconstructions hold all real frames first and then all imaginary ones.
    """
    part = next((d for d in dimensions if d.loop is Loop.COMPLEX), None)
    types = reco.per_frame("VisuCoreFrameType")
    if part is not None and (types is None or all(word == types[0] for word in types)):
        return ["IMAGINARY" if step else "REAL" for step in part.index]
    words = reco.items("VisuCoreFrameType")
    if part is not None and len(words) == part.length:
        return [_PARTS.get(str(words[step]), "MAGNITUDE") for step in part.index]
    if types is None:
        return ["MAGNITUDE"] * len(planes.frame)
    return [_PARTS.get(str(word), "MAGNITUDE") for word in expand_to_planes(types, planes)]


def data_units(reco: Reco, planes: Planes) -> tuple[str, ...]:
    """Return the unit of each plane as the file spells it; empty where it has none."""
    found = reco.per_frame("VisuCoreDataUnits")
    arbitrary = load_mapping("paravision")["units"]["arbitrary"]
    units = [str(unit).strip() for unit in found or ()]
    units = ["" if unit.lower() in arbitrary else unit for unit in units]
    return tuple(expand_to_planes(units, planes)) if any(units) else ()


def diffusion_values(reco: Reco, planes: Planes) -> dict[str, list[Any]]:
    """Return b-value, directionality, direction and b-matrix of each plane, in patient axes.

    Below `B0_LIMIT` there is no direction; an image that weighs all directions alike is
    ISOTROPIC; otherwise BMATRIX.
    """
    group = diffusion_group(reco.groups)
    if group is None:
        return {}
    axes = read_gradient_axes(reco, planes.orientation)
    matrices = b_matrices(reco, group, axes)
    b_values = frame_b_values(reco, group, matrices)
    if b_values is None:
        return {}
    step = reco.groups.index(group)[planes.frame]
    result: dict[str, list[Any]] = {"DiffusionBValue": [b_values[k] for k in step]}
    if matrices is None:
        kinds = ["NONE" if b < B0_LIMIT else "ISOTROPIC" for b in b_values]
        return result | {"DiffusionDirectionality": [kinds[k] for k in step]}
    vectors = directions(reco, matrices, axes)
    kinds, gradient_directions, tensors = [], [], []
    for b, matrix, vector in zip(b_values, matrices, vectors, strict=True):
        weighted = b >= B0_LIMIT
        isotropic = weighted and is_trace(matrix)
        kinds.append("ISOTROPIC" if isotropic else "BMATRIX" if weighted else "NONE")
        full = kinds[-1] == "BMATRIX"
        gradient_directions.append([float(x) for x in vector] if full else None)
        upper = matrix[np.triu_indices(3)]
        tensors.append([float(x) for x in upper] if full else None)
    return result | {
        "DiffusionDirectionality": [kinds[k] for k in step],
        "DiffusionGradientOrientation": [gradient_directions[k] for k in step],
        "DiffusionBMatrix": [tensors[k] for k in step],
    }


def loop_values(dimensions: tuple[Dimension, ...]) -> dict[str, list[Any]]:
    """Return echo number, and position in time of each plane."""
    result: dict[str, list[Any]] = {}
    for dimension in dimensions:
        if dimension.loop is Loop.ECHO:
            result["EchoNumbers"] = [int(k) + 1 for k in dimension.index]
    times = [d for d in dimensions if d.loop is Loop.TIME]
    if times:
        index, stride = np.zeros(len(times[0].index), dtype=np.intp), 1
        for dimension in times:
            index = index + dimension.index * stride
            stride *= dimension.length
        result["TemporalPositionIndex"] = [int(k) + 1 for k in index]
    return result


def movie_times(reco: Reco, planes: Planes, dimensions: tuple[Dimension, ...]) -> dict[str, Any]:
    """Return the delay after the trigger, in ms, of each plane of a movie."""
    result: dict[str, list[Any]] = {}
    for loop, source, keyword in (
        (Loop.CARDIAC, "VisuCardiacMovieFrameTime", "NominalCardiacTriggerDelayTime"),
        (Loop.RESPIRATORY, "VisuRespMovieFrameTime", "NominalRespiratoryTriggerDelayTime"),
    ):
        dimension = next((d for d in dimensions if d.loop is loop), None)
        entries = reco.items(source)
        if dimension is None or len(entries) != dimension.length:
            continue
        nominal = [float(e[0] if isinstance(e, tuple) else e) for e in entries]
        result[keyword] = [nominal[k] for k in dimension.index]
    return result


def frame_times(
    reco: Reco, planes: Planes, dates: Dates, values: dict[str, list[Any]]
) -> dict[str, list[Any]]:
    """Return the start and duration of each plane's acquisition.

    ``VisuAcqFrameTime`` (start, duration) counts where it lies within the scan; otherwise the
    scan time is shared equally among the positions in time.
    """
    total = reco.number("VisuAcqScanTime", "method:PVM_ScanTime") or 0.0
    timed = reco.per_frame("VisuAcqFrameTime") if reco.items("VisuAcqFrameTime") else None
    index = values.get("TemporalPositionIndex")
    count = max(index) if index else 1
    if timed and _within(timed, total):
        spans = [(float(start), float(length)) for start, length in expand_to_planes(timed, planes)]
    elif index:
        spans = [((k - 1) * total / count, total / count) for k in index]
    else:
        spans = [(0.0, total)] * len(planes.frame)
    result: dict[str, list[Any]] = {"FrameAcquisitionDuration": [length for _, length in spans]}
    if index:
        result["TemporalPositionTimeOffset"] = [start / 1000.0 for start, _ in spans]
    acquired = dates.acquisition or dates.series
    if acquired is not None:
        moments = [
            format_datetime(acquired + timedelta(milliseconds=round(start))) for start, _ in spans
        ]
        result["FrameAcquisitionDateTime"] = moments
        result["FrameReferenceDateTime"] = moments
    return result


def _within(timed: list[Any], total: float) -> bool:
    try:
        return total > 0 and all(
            start >= 0 and length >= 0 and start + length <= 1.01 * total for start, length in timed
        )
    except (TypeError, ValueError):
        return False
