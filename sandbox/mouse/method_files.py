"""Contents of ``method`` and ``acqp``: how a scan was set up and played."""

from __future__ import annotations

import numpy as np

from .dialects import Dialect
from .identity import Identity
from .jcamp_write import Array, Parameters, Symbol, Text, numbers, symbols
from .protocols import Scan, imaging_frequency_mhz, load_table
from .visu_blocks import scan_time_ms

_READ_ORIENT = {
    ("axial", 0): "L_R",
    ("axial", 1): "A_P",
    ("coronal", 0): "L_R",
    ("coronal", 1): "H_F",
    ("sagittal", 0): "A_P",
    ("sagittal", 1): "H_F",
}
# Saturation: one long pulse, or a train of ten, in ms; gyromagnetic ratio in Hz/uT.
_ONE_PULSE_MS = 5000.0
_TRAIN = (10, 480.0, 20.0)
_SPOILER_MS = 2.5
_GAMMA_HZ_PER_UT = 42.577478518


def method_parameters(dialect: Dialect, scan: Scan) -> Parameters:
    """Describe a scan as its method does."""
    read_size, phase_size = _acquired(scan)
    parameters: Parameters = [("Method", dialect.enum(dialect.method_name(scan.method)))]
    parameters += _timing(dialect, scan)
    parameters += [
        ("PVM_Nucleus1Enum", dialect.enum(load_table()["nucleus"])),
        ("PVM_Nucleus1", Text(load_table()["nucleus"], 8)),
        ("PVM_FrqWork", numbers([imaging_frequency_mhz()] + [0] * 7)),
        ("PVM_FrqWorkPpm", numbers([4.7] + [0] * 7)),
        ("PVM_SpatDimEnum", dialect.enum("2D")),
        ("PVM_Matrix", numbers([read_size, phase_size])),
        ("PVM_EncMatrix", numbers([read_size, phase_size])),
        ("PVM_AntiAlias", numbers([1, 1])),
        ("PVM_EncZf", numbers([1, 1])),
    ]
    parameters += _slice_geometry(dialect, scan)
    if scan.diffusion is not None:
        parameters += _diffusion(scan)
    return parameters + _saturation(dialect, scan)


def acqp_parameters(dialect: Dialect, who: Identity, scan: Scan) -> Parameters:
    """Describe a scan as the acquisition parameters do."""
    when = who.scan_time(scan.expno)
    field_of_view_cm = [v / 10 for v in _field_of_view_mm(scan)]
    frequency = imaging_frequency_mhz()
    frames = scan.slice_count() * (len(scan.te_ms) if scan.loop == "echo" else 1)
    steps = 1 if scan.loop == "echo" else scan.loop_count()
    return [
        ("ACQ_protocol_name", Text(scan.name, 64)),
        ("ACQ_scan_name", Text(f"{scan.name} (E{scan.expno})", 64)),
        ("ACQ_method", Text(dialect.method_name(scan.method), 40)),
        ("ACQ_patient_pos", Symbol("Head_Prone")),
        ("ACQ_time", dialect.date(when, 24)),
        ("ACQ_abs_time", dialect.epoch(when)),
        ("ACQ_operator", Text("", 16)),
        ("ACQ_institution", Text("Digital mouse", 48)),
        ("ACQ_station", Text("sandbox", 64)),
        ("ACQ_sw_version", Text(dialect.software_version)),
        ("PULPROG", Text(f"{scan.method}.ppg", 32)),
        ("ACQ_dim", 2),
        ("ACQ_dim_desc", symbols(["Spatial", "Spatial"])),
        ("ACQ_size", numbers([2 * _acquired(scan)[0], _acquired(scan)[1]])),
        ("NI", frames),
        ("NA", 1),
        ("NR", steps * scan.repetitions),
        ("NECHOES", len(scan.te_ms)),
        ("NSLICES", scan.slice_count()),
        ("BF1", frequency),
        ("SFO1", frequency),
        ("NUC1", Text(load_table()["nucleus"], 8)),
        *_second_channel(dialect, scan),
        ("ACQ_rare_factor", scan.echo_train),
        ("ACQ_fov", numbers(field_of_view_cm)),
        ("ACQ_slice_thick", scan.packs[0].thickness_mm),
        ("ACQ_slice_offset", numbers(_offsets_mm(scan, 2))),
        ("ACQ_read_offset", numbers(_offsets_mm(scan, 0))),
        ("ACQ_phase1_offset", numbers(_offsets_mm(scan, 1))),
        ("ACQ_obj_order", numbers(range(scan.slice_count()))),
        (dialect.grad_matrix_name, _gradient_matrix(dialect, scan, per_slice=True)),
        ("ACQ_scaling_phase", 1),
        ("ACQ_echo_time", numbers(scan.te_ms)),
        ("ACQ_repetition_time", numbers(scan.tr_ms)),
        ("ACQ_flip_angle", scan.flip_deg),
    ]


def trap_acqp(dialect: Dialect, who: Identity, expno: int, name: str, method: str) -> Parameters:
    """Describe a scan that has no image: only what every scan has."""
    when = who.scan_time(expno)
    return [
        ("ACQ_protocol_name", Text(name, 64)),
        ("ACQ_scan_name", Text(f"{name} (E{expno})", 64)),
        ("ACQ_method", Text(dialect.method_name(method), 40)),
        ("ACQ_patient_pos", Symbol("Head_Prone")),
        ("ACQ_time", dialect.date(when, 24)),
        ("ACQ_abs_time", dialect.epoch(when)),
        ("ACQ_sw_version", Text(dialect.software_version)),
        ("BF1", imaging_frequency_mhz()),
        ("NUC1", Text(load_table()["nucleus"], 8)),
    ]


def _acquired(scan: Scan) -> tuple[int, int]:
    pack = scan.packs[0]
    return pack.size[pack.read_axis], pack.size[1 - pack.read_axis]


def _field_of_view_mm(scan: Scan) -> list[float]:
    pack = scan.packs[0]
    extent = [n * d for n, d in zip(pack.size, pack.spacing_mm, strict=True)]
    return [extent[pack.read_axis], extent[1 - pack.read_axis]]


def _timing(dialect: Dialect, scan: Scan) -> Parameters:
    parameters: Parameters = [("PVM_EchoTime", scan.te_ms[0])]
    if dialect.version == "5.1":
        parameters = [("PVM_EchoTime1", scan.te_ms[0])]
    parameters += [
        ("EffectiveTE", numbers(scan.te_ms)),
        ("PVM_RareFactor", scan.echo_train),
        ("PVM_RepetitionTime", scan.tr_ms[0]),
        ("PVM_NAverages", 1),
        ("PVM_NRepetitions", scan.repetitions),
        ("PVM_NEchoImages", len(scan.te_ms)),
        ("PVM_ScanTime", scan_time_ms(scan)),
    ]
    if scan.loop == "vtr":
        parameters.append(("MultiRepTime", numbers(scan.tr_ms)))
    pulse = (1.05, 4000, scan.flip_deg, True, 3, 4200, 0.236151639875348, 0.2, 0, 50, 0.4)
    parameters.append(("ExcPulse1", (*pulse, "$ExcPulse1Shape")))
    return parameters


def _slice_geometry(dialect: Dialect, scan: Scan) -> Parameters:
    packs = scan.packs
    resolution = [
        packs[0].spacing_mm[packs[0].read_axis],
        packs[0].spacing_mm[1 - packs[0].read_axis],
    ]
    gap = [pack.distance_mm - pack.thickness_mm for pack in packs]
    firsts = [sum(len(p.centres_mm) for p in packs[:i]) for i in range(len(packs))]
    return [
        ("PVM_Fov", numbers(_field_of_view_mm(scan))),
        ("PVM_SpatResol", numbers(resolution)),
        ("PVM_SliceThick", packs[0].thickness_mm),
        ("PVM_ObjOrderScheme", Symbol("Sequential")),
        ("PVM_ObjOrderList", numbers(range(scan.slice_count()))),
        ("PVM_NSPacks", len(packs)),
        ("PVM_SPackArrNSlices", numbers([len(pack.centres_mm) for pack in packs])),
        ("PVM_SPackArrSliceOrient", symbols([pack.name for pack in packs])),
        (
            "PVM_SPackArrReadOrient",
            symbols([_READ_ORIENT[pack.name, pack.read_axis] for pack in packs]),
        ),
        ("PVM_SPackArrReadOffset", numbers([_offsets_mm(scan, 0)[i] for i in firsts])),
        ("PVM_SPackArrPhase1Offset", numbers([_offsets_mm(scan, 1)[i] for i in firsts])),
        ("PVM_SPackArrSliceOffset", numbers(_pack_centres(scan))),
        ("PVM_SPackArrSliceGap", numbers(np.round(gap, 9))),
        ("PVM_SPackArrSliceDistance", numbers([pack.distance_mm for pack in packs])),
        ("PVM_SPackArrGradOrient", _gradient_matrix(dialect, scan, per_slice=False)),
        ("PVM_EffSliceOffset", numbers(_offsets_mm(scan, 2))),
        ("PVM_EffReadOffset", numbers(_offsets_mm(scan, 0))),
        ("PVM_EffPhase1Offset", numbers(_offsets_mm(scan, 1))),
    ]


def _offsets_mm(scan: Scan, axis: int) -> list[float]:
    """List each slice's offset along its read (0), phase (1) or stepping (2) direction."""
    offsets: list[float] = []
    for pack in scan.packs:
        rows = pack.gradient_rows()
        rows[2] *= pack.step_sign
        offsets += [float(v) for v in np.round(pack.centres_mm @ rows[axis], 9) + 0.0]
    return offsets


def _pack_centres(scan: Scan) -> list[float]:
    offsets = _offsets_mm(scan, 2)
    centres = []
    for pack in scan.packs:
        count = len(pack.centres_mm)
        centres.append(round(sum(offsets[:count]) / count, 9))
        offsets = offsets[count:]
    return centres


def _gradient_matrix(dialect: Dialect, scan: Scan, per_slice: bool) -> Array:
    """Spell read, phase and slice directions in gradient axes, one matrix a pack or a slice."""
    matrices = []
    for pack in scan.packs:
        rows = pack.gradient_rows()
        rows[2] *= pack.step_sign
        count = len(pack.centres_mm) if per_slice else 1
        matrices += [np.round(rows * np.array(dialect.gradient_axes), 12)] * count
    return numbers(np.stack(matrices))


def _diffusion(scan: Scan) -> Parameters:
    table = scan.diffusion
    assert table is not None
    vectors = table.gradient_vectors
    return [
        ("PVM_DwMeasMode", Symbol("DWI_DTI_SE_EPI")),
        ("PVM_DwAoImages", table.a0_images),
        ("PVM_DwNDiffDir", len(table.directions)),
        ("PVM_DwNDiffExpEach", len(table.b_each)),
        ("PVM_DwNDiffExp", len(vectors)),
        ("PVM_DwBvalEach", numbers(table.b_each)),
        ("PVM_DwGradDur", numbers([4.0])),
        ("PVM_DwGradSep", numbers([12.0])),
        ("PVM_DwDir", numbers(table.directions)),
        ("PVM_DwGradVec", numbers(vectors)),
        ("PVM_DwGradRead", numbers(vectors[:, 0])),
        ("PVM_DwGradPhase", numbers(vectors[:, 1])),
        ("PVM_DwGradSlice", numbers(vectors[:, 2])),
        ("PVM_DwEffBval", numbers(table.effective_b())),
        ("PVM_DwBMat", numbers(table.b_gradient)),
        ("PVM_DwBMatImag", numbers(table.b_image)),
        ("PVM_DwBMatPat", numbers(table.b_patient)),
    ]


def _offsets_hz(scan: Scan) -> list[float]:
    return [offset * imaging_frequency_mhz() for offset in scan.offsets_ppm if offset is not None]


def _saturation(dialect: Dialect, scan: Scan) -> Parameters:
    """Spell the saturation module; switched off it still holds its placeholders."""
    on = scan.loop == "cest"
    onoff = Symbol("On" if on else "Off")
    if dialect.saturation == "sattrans":
        return [("PVM_SatTransOnOff", onoff), *_sattrans(scan, on)]
    pulse = _pulse(_ONE_PULSE_MS, scan.b1_ut)
    named = "PVM_MagTransPulse" if dialect.version == "5.1" else "PVM_MagTransPulse1"
    offsets = _offsets_hz(scan) if on and dialect.saturation == "magtrans" else [1500.0]
    return [
        ("PVM_MagTransOnOff", onoff),
        (f"{named}Enum", dialect.enum("bp")),
        (named, pulse),
        ("PVM_MagTransPower", scan.b1_ut),
        ("PVM_MagTransOffset", offsets[0]),
        ("PVM_MagTransInterDelay", 0.01),
        ("PVM_MagTransPulsNumb", 1),
        ("PVM_MagTransModuleTime", _ONE_PULSE_MS + _SPOILER_MS if on else 0),
        ("PVM_MagTransFL", numbers(offsets)),
    ]


def _sattrans(scan: Scan, on: bool) -> Parameters:
    count, length, gap = _TRAIN
    ppm = [offset for offset in scan.offsets_ppm if offset is not None] if on else [5.0]
    hertz = _offsets_hz(scan) if on else [1500.0]
    reference = on and len(ppm) < len(scan.offsets_ppm)
    powers = [0.0] * reference + [0.034 if on else 0.0656] * len(ppm)
    return [
        ("PVM_SatTransType", Symbol("CEST" if on else "MTC")),
        ("PVM_SatTransPulse", _pulse(length, scan.b1_ut)),
        ("PVM_SatTransPulseEnum", Symbol("<bp>")),
        ("PVM_SatTransPulseAmpl_uT", scan.b1_ut),
        ("PVM_SatTransFreqInput", Symbol("by_value")),
        ("PVM_SatTransFreqUnit", Symbol("unit_ppm" if on else "unit_hz")),
        ("PVM_SatTransFreqValues", numbers(ppm if on else hertz)),
        ("PVM_SatTransFreqRanges", numbers([0, 0, 0], 1, 3)),
        ("PVM_SatTransInterPulseDelay", gap),
        ("PVM_SatTransNPulses", count if on else 1),
        ("PVM_SatTransModuleTime", count * length + (count - 1) * gap + _SPOILER_MS if on else 0),
        ("PVM_SatTransPowerList", numbers(powers)),
        ("PVM_SatTransRepetitions", len(powers)),
        ("PVM_SatTransRefScan", Symbol("On" if reference else "Off")),
        ("PVM_SatTransFL", numbers(hertz)),
        ("PVM_StP0", length * 1000),
    ]


def _pulse(length_ms: float, b1_ut: float) -> tuple[object, ...]:
    flip = round(_GAMMA_HZ_PER_UT * b1_ut * length_ms / 1000 * 360, 6)
    return (length_ms, 1280 / length_ms, flip, False, 3, 1280, 1, 1, 0, 50, 0.034, "bp.exc")


def _second_channel(dialect: Dialect, scan: Scan) -> Parameters:
    on = scan.loop == "cest" and dialect.saturation == "o2list"
    offsets = _offsets_hz(scan) if on else [0.0]
    return [("ACQ_O2_list_size", len(offsets)), ("ACQ_O2_list", numbers(offsets))]
