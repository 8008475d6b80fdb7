"""Contents of ``visu_pars``: everything needed to interpret a ``2dseq``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .dialects import Dialect
from .identity import Identity
from .jcamp_write import Array, Parameters, Symbol, Text, numbers, symbols
from .protocols import Scan, imaging_frequency_mhz, load_table
from .visu_blocks import acquisition, creator, series, subject_study


@dataclass(frozen=True)
class FrameStats:
    """One entry for each frame of a reconstruction: extremes as stored, and slope."""

    minimum: list[float]
    maximum: list[float]
    slope: list[float]


@dataclass(frozen=True)
class Group:
    """One frame group with the parameters that depend on it."""

    length: int
    name: str
    comment: str
    dependents: tuple[str, ...]


def image_visu(dialect: Dialect, who: Identity, scan: Scan, stats: FrameStats) -> Parameters:
    """Describe the primary reconstruction of a scan."""
    groups = _scan_groups(dialect, scan)
    head = creator(dialect, who, scan.expno, 1)
    core = _core(dialect, scan, stats, "MAGNITUDE_IMAGE", "_16BIT_SGN_INT")
    session = series(dialect, who, scan.expno, 1, scan.name, "ACQ_BRUKER_PVM")
    parameters = head + core + group_parameters(groups) + subject_study(dialect, who) + session
    return parameters + acquisition(dialect, who, scan) + _scan_loop(dialect, scan)


def analysis_visu(dialect: Dialect, who: Identity, scan: Scan, stats: FrameStats) -> Parameters:
    """Describe the derived T2 maps of an echo series: maps fastest, then slices."""
    labels = dialect.isa_labels
    groups = [
        Group(
            len(labels),
            "FG_ISA",
            "T2 relaxation: y=A*exp(-t/T2)",
            ("VisuCoreDataUnits", "VisuFGElemComment"),
        ),
        _slice_group(scan),
    ]
    parameters = creator(dialect, who, scan.expno, 2)
    parameters += _core(dialect, scan, stats, "REAL_IMAGE", "_32BIT_FLOAT")
    parameters.append(("VisuCoreDataUnits", Array(["", "", "ms", "ms", ""], length=65)))
    parameters += group_parameters(groups)
    parameters.append(("VisuFGElemComment", Array(list(labels), length=65)))
    parameters += subject_study(dialect, who)
    parameters += series(dialect, who, scan.expno, 2, f"{scan.name} T2 map", "DERIVED_ISA")
    if dialect.series_identity:
        parameters.append(("VisuSeriesReferences", Array([who.reco_uid(scan.expno, 1)], length=65)))
    return parameters + acquisition(dialect, who, scan)


def scan_visu(dialect: Dialect, who: Identity, scan: Scan) -> Parameters:
    """Describe a scan without its images, for the file beside ``method``."""
    parameters = creator(dialect, who, scan.expno, 1)
    parameters += subject_study(dialect, who)
    parameters += series(dialect, who, scan.expno, 1, scan.name, "ACQ_BRUKER_PVM")
    return parameters + acquisition(dialect, who, scan)


def spectrum_visu(
    dialect: Dialect,
    who: Identity,
    expno: int,
    name: str,
    method: str,
    stats: FrameStats,
    points: int,
) -> Parameters:
    """Describe a single-voxel spectrum: one spectroscopic dimension, no geometry."""
    parameters = creator(dialect, who, expno, 1)
    parameters += [
        ("VisuCoreFrameCount", 1),
        ("VisuCoreDim", 1),
        ("VisuCoreSize", Array([points])),
        ("VisuCoreDimDesc", symbols(["spectroscopic"])),
        ("VisuCoreExtent", Array([10])),
        ("VisuCoreUnits", Array(["[ppm]"], length=65)),
        *_scaling(stats),
        ("VisuCoreFrameType", _frame_type(dialect, "REAL_IMAGE")),
        ("VisuCoreWordType", Symbol("_32BIT_SGN_INT")),
        ("VisuCoreByteOrder", Symbol("littleEndian")),
    ]
    parameters += subject_study(dialect, who)
    parameters += series(dialect, who, expno, 1, name, "ACQ_BRUKER_PVM")
    sequence = dialect.method_name(method) + dialect.sequence_suffix
    parameters += [
        ("VisuAcqSequenceName", Text(sequence, 40)),
        ("VisuAcqImagingFrequency", imaging_frequency_mhz()),
        ("VisuAcqImagedNucleus", Text(load_table()["nucleus"], 8)),
        ("VisuAcqRepetitionTime", Array([2500])),
        ("VisuAcqEchoTime", Array([16])),
        ("VisuAcquisitionProtocol", Text(name)),
    ]
    return parameters


def group_parameters(groups: Sequence[Group]) -> Parameters:
    """Spell the frame groups, the fastest first; none for a single frame."""
    if not groups:
        return []
    dependents = [name for group in groups for name in group.dependents]
    order = []
    first = 0
    for group in groups:
        count = len(group.dependents)
        order.append((group.length, group.name, group.comment, first, count))
        first += count
    return [
        ("VisuFGOrderDescDim", len(groups)),
        ("VisuFGOrderDesc", Array(order)),
        ("VisuGroupDepVals", Array([(name, 0) for name in dependents] or [("", 0)])),
    ]


def _core(
    dialect: Dialect, scan: Scan, stats: FrameStats, frame_type: str, word: str
) -> Parameters:
    pack = scan.packs[0]
    extent = [n * d for n, d in zip(pack.size, pack.spacing_mm, strict=True)]
    slices = scan.slice_count()
    orientation = np.concatenate([np.tile(p.matrix.ravel(), len(p.centres_mm)) for p in scan.packs])
    position = np.concatenate([p.positions() for p in scan.packs])
    parameters: Parameters = [
        ("VisuCoreFrameCount", len(stats.slope)),
        ("VisuCoreDim", 2),
        ("VisuCoreSize", numbers(pack.size)),
        ("VisuCoreDimDesc", symbols(["spatial", "spatial"])),
        ("VisuCoreExtent", numbers(extent)),
        ("VisuCoreFrameThickness", numbers([pack.thickness_mm])),
        ("VisuCoreUnits", Array(["mm", "mm"], length=65)),
        ("VisuCoreOrientation", numbers(np.round(orientation, 12), slices, 9)),
        ("VisuCorePosition", numbers(np.round(position, 9))),
    ]
    if dialect.animal_transport:
        parameters += [
            ("VisuCoreModalityOffset", numbers([0, 0, 0], 1, 3)),
            ("VisuCoreAtsCenterDistance", 0),
        ]
    parameters += [*_scaling(stats), ("VisuCoreFrameType", _frame_type(dialect, frame_type))]
    if dialect.slice_packs:
        parameters += _slice_packs(scan, 1 if scan.loop_first or word == "_32BIT_FLOAT" else 0)
    parameters += [
        ("VisuCoreWordType", Symbol(word)),
        ("VisuCoreByteOrder", Symbol("littleEndian")),
    ]
    read_axes = [p.read_axis for p in scan.packs]
    if dialect.transposition and len(set(read_axes)) > 1:
        parameters.append(("VisuCoreTransposition", numbers(read_axes)))
    return parameters


def _slice_packs(scan: Scan, group_index: int) -> Parameters:
    counts = [len(pack.centres_mm) for pack in scan.packs]
    starts = [sum(counts[:i]) for i in range(len(counts))]
    return [
        ("VisuCoreSlicePacksDef", (group_index, len(counts))),
        ("VisuCoreSlicePacksSlices", Array(list(zip(starts, counts, strict=True)))),
        ("VisuCoreSlicePacksSliceDist", numbers([pack.distance_mm for pack in scan.packs])),
    ]


def _scaling(stats: FrameStats) -> Parameters:
    return [
        ("VisuCoreDataMin", numbers(stats.minimum)),
        ("VisuCoreDataMax", numbers(stats.maximum)),
        ("VisuCoreDataOffs", numbers([0] * len(stats.slope))),
        ("VisuCoreDataSlope", numbers(stats.slope)),
    ]


def _frame_type(dialect: Dialect, name: str) -> Symbol | Array:
    return symbols([name]) if dialect.frame_type_array else Symbol(name)


def _slice_group(scan: Scan) -> Group:
    return Group(scan.slice_count(), "FG_SLICE", "", ("VisuCoreOrientation", "VisuCorePosition"))


def _scan_groups(dialect: Dialect, scan: Scan) -> list[Group]:
    groups = [_slice_group(scan)]
    steps = scan.loop_count()
    if scan.loop == "echo":
        groups.append(Group(steps, "FG_ECHO", "", ("VisuAcqEchoTime",)))
    elif scan.loop == "vtr":
        groups.append(Group(steps, "FG_MOVIE", "vtr", ("VisuAcqRepetitionTime",)))
    elif scan.loop == "diffusion":
        names: tuple[str, ...] = ("VisuAcqDiffusionBMatrix",) if dialect.visu_b_matrix else ()
        names += ("VisuAcqDiffusionGradOrient",) if dialect.visu_grad_orient else ()
        group = Group(steps, dialect.diffusion_group, "diffusion", (*names, "VisuFGElemComment"))
        groups.append(group)
    elif scan.loop == "cest":
        return [*groups, Group(steps * scan.repetitions, "FG_CYCLE", "", ())]
    if scan.loop_first:
        groups.reverse()
    if scan.repetitions > 1:
        groups.append(Group(scan.repetitions, "FG_CYCLE", "", ()))
    return groups


def _scan_loop(dialect: Dialect, scan: Scan) -> Parameters:
    table = scan.diffusion
    if table is None:
        return []
    parameters: Parameters = []
    if dialect.visu_b_matrix:
        b_matrix = numbers(table.b_patient, len(table.b_patient), 9)
        parameters.append(("VisuAcqDiffusionBMatrix", b_matrix))
    if dialect.visu_grad_orient:
        # As the scanner does: the method's directions, x and z negated, not turned to the patient.
        vectors = table.gradient_vectors
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = vectors / np.where(length > 0, length, 1) * np.array([-1, 1, -1])
        parameters.append(("VisuAcqDiffusionGradOrient", numbers(unit)))
    count = len(table.b_each)
    labels = [f"A0 {i + 1}" for i in range(table.a0_images)]
    labels += [
        f"Dir {i // count + 1}, B {table.b_each[i % count]:g}"
        for i in range(count * len(table.directions))
    ]
    parameters.append(("VisuFGElemComment", Array(labels, length=65)))
    return parameters
