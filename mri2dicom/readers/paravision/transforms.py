"""The named transforms of the ParaVision mapping table."""

import math
from typing import Any

from .attributes import PerFrame, Row, Transform
from .reco import Reco

# Gyromagnetic ratio over 2 pi in MHz/T. Source: CODATA 2018 for 1H; NMR frequency table of
# Harris et al., Pure Appl. Chem. 73 (2001) 1795, for the others.
GAMMA_MHZ_PER_T = {
    "1H": 42.57747892,
    "2H": 6.535902,
    "3HE": 32.434,
    "7LI": 16.546,
    "13C": 10.70839,
    "15N": 4.31726,
    "17O": 5.7723,
    "19F": 40.0776,
    "23NA": 11.26945,
    "31P": 17.25144,
    "129XE": 11.777,
}


def text(reco: Reco, row: Row) -> str | None:
    """Return the first non-empty source as text."""
    value = reco.first(*row.sources)
    return None if value is None else str(value).strip()


def number(reco: Reco, row: Row) -> Any:
    """Return a number, or one per frame where the parameter follows a loop.

    A list that fits a loop is trusted before a single value. A list of the method counts only
    where its length is not that of the slice loop, which it knows nothing of.
    """
    single: float | None = None
    slices = [group.length for group in reco.groups.groups if group.identifier == "FG_SLICE"]
    for name in row.sources:
        items = reco.numbers(name)
        if not items:
            continue
        if not row.per_frame or len(items) == 1:
            single = items[0] if single is None else single
            continue
        values = None if ":" in name and len(items) in slices else reco.per_frame(name)
        if values is not None:
            return PerFrame([float(value) for value in values])
        if ":" not in name and not reco.is_map:
            reco.warnings.append(
                f"{name} has {len(items)} values that fit no loop of the images; left out."
            )
    return single


def positive(reco: Reco, row: Row) -> Any:
    """Return `number` where it is above zero."""
    value = number(reco, row)
    if isinstance(value, PerFrame):
        return value if any(item > 0 for item in value.values) else None
    return value if value is not None and value > 0 else None


def whole(reco: Reco, row: Row) -> int | None:
    """Return a whole number."""
    value = reco.number(*row.sources)
    return None if value is None else int(value)


def term(reco: Reco, row: Row) -> str | None:
    """Translate the vendor's word; ``*`` in the table stands for any other word."""
    for name in row.sources:
        value = reco.first(name)
        if value is not None:
            return row.values.get(str(value).strip(), row.values.get("*"))
    return None


def birth_date(reco: Reco, row: Row) -> str | None:
    """Return a date of eight digits as it stands; anything else is unknown."""
    value = text(reco, row)
    return value if value and len(value) == 8 and value.isdigit() else None


def weight(reco: Reco, row: Row) -> float | None:
    """Return the weight in kg; the console's default of 0.001 means unknown."""
    value = reco.number(*row.sources)
    return value if value is not None and value > 0.001 else None


def manufacturer(reco: Reco, row: Row) -> str:
    """Return the manufacturer, from the file's ORIGIN where Visu does not name it."""
    return text(reco, row) or reco.visu.header.get("ORIGIN") or "Bruker BioSpin MRI GmbH"


def software_versions(reco: Reco, row: Row) -> list[str] | None:
    """Return acquisition and reconstruction software as vendor text."""
    acquired, created = (reco.first(name) for name in row.sources)
    versions = []
    if acquired is not None:
        versions.append(f"ParaVision Acquisition {acquired}")
    if created is not None:
        versions.append(f"ParaVision {created}")
    return versions or None


def method_name(value: str) -> str:
    """Return the bare name of a method: without its owner and the 5.1 suffix."""
    bare = value.strip().removesuffix("(pvm)").strip()
    return bare.rpartition(":")[2] or bare


def sequence_name(reco: Reco, row: Row) -> str | None:
    """Return the sequence with its owner where 16 characters allow it, else the bare name."""
    value = text(reco, row)
    if not value:
        return None
    full = value.removesuffix("(pvm)").strip()
    return full if len(full) <= 16 else method_name(full)


def flip_angle(reco: Reco, row: Row) -> float | None:
    """Return the excitation angle: third field of the pulse, else that of Visu."""
    for name in row.sources:
        value = reco.first(name)
        if isinstance(value, tuple) and len(value) > 2:
            value = value[2]
        if isinstance(value, (int, float)) and math.isfinite(value):
            return float(value)
    return None


def nucleus(reco: Reco, row: Row) -> str | None:
    """Return the nucleus without blanks or display name."""
    value = reco.first(*row.sources)
    if isinstance(value, tuple):
        value = value[0] if value else None
    return "".join(str(value).split()) if value else None


def field_strength(reco: Reco, row: Row) -> float | None:
    """Return the field in tesla: measured, else frequency / gamma of the imaged nucleus."""
    measured = reco.number("VisuMagneticFieldStrength")
    if measured:
        return measured
    frequency = reco.number("VisuAcqImagingFrequency", "method:PVM_FrqWork", "acqp:BF1")
    kind = str(reco.first("VisuAcqImagedNucleus") or "1H").replace(" ", "").upper()
    gamma = GAMMA_MHZ_PER_T.get(kind)
    return frequency / gamma if frequency and gamma else None


def ms_to_s(reco: Reco, row: Row) -> float | None:
    """Turn milliseconds into seconds."""
    value = reco.number(*row.sources)
    return value / 1000.0 if value is not None and value > 0 else None


def phase_encode_order(reco: Reco, row: Row) -> str | None:
    """Return the order of the phase encoding direction; the other ones have no DICOM attribute."""
    orders = [str(item) for item in reco.items(row.sources[0])]
    axis = _phase_axis(reco)
    if not orders:
        return None
    name = orders[axis if axis is not None and axis < len(orders) else -1]
    return row.values.get(name, row.values.get("*"))


def partial_fourier(reco: Reco, row: Row) -> tuple[str, str] | tuple[str, None]:
    """Return whether part of k-space was left out, and along which direction."""
    factors = reco.numbers(row.sources[0])
    axis = _phase_axis(reco)
    short = [k for k, factor in enumerate(factors) if abs(factor - 1.0) > 1e-6]
    if not short:
        return "NO", None
    if len(short) > 1:
        return "YES", "COMBINATION"
    return "YES", "PHASE" if short[0] == axis else "FREQUENCY"


def parallel_reduction(reco: Reco, row: Row) -> float | None:
    """Return the acceleration in plane where there is any."""
    factors = reco.numbers(row.sources[0])[:2]
    product = 1.0
    for factor in factors:
        product *= factor
    return product if 1.0 < product < math.inf else None


def _phase_axis(reco: Reco) -> int | None:
    encoding = [str(item) for item in reco.items("VisuAcqGradEncoding")]
    return encoding.index("phase_enc") if "phase_enc" in encoding[:2] else None


def phase_encoding(reco: Reco, row: Row) -> Any:
    """Return ROW or COL for each frame.

    Phase encoding along image axis 1 is COL; a frame whose transposition is 1 has its axes
    exchanged. ParaVision 5.1 says it frame by frame.
    """
    directions = phase_directions(reco)
    return None if directions is None else PerFrame(directions)


def phase_directions(reco: Reco) -> list[str] | None:
    """Return ROW, COL or OTHER for each frame; None where it is not in the file."""
    axis = _phase_axis(reco)
    if axis is not None:
        transposition = reco.per_frame("VisuCoreTransposition") or [0] * reco.groups.frames
        swapped = [axis ^ (1 if step == 1 else 0) for step in transposition]
        return ["COL" if one == 1 else "ROW" for one in swapped]
    old = reco.per_frame("VisuAcqImagePhaseEncDir")
    if old is None:
        return None
    return [{"col_dir": "COL", "row_dir": "ROW"}.get(str(word), "OTHER") for word in old]


def acquisition_matrix(reco: Reco, row: Row) -> Any:
    """Return frequency rows, frequency columns, phase rows and phase columns for each frame.

    ``VisuAcqSize`` is in image order of an untransposed frame: its phase encoding axis gives the
    phase size.
    """
    sizes = [int(size) for size in reco.numbers(row.sources[0])[:2]]
    directions = phase_encoding(reco, row)
    if len(sizes) != 2 or not isinstance(directions, PerFrame) or max(sizes) > 65535:
        return None
    axis = _phase_axis(reco)
    read, phase = sizes if axis in (None, 1) else (sizes[1], sizes[0])
    by_direction = {"COL": [read, 0, 0, phase], "ROW": [0, read, phase, 0]}
    values = [by_direction.get(direction) for direction in directions.values]
    return None if None in values else PerFrame(values)


def coil_elements(reco: Reco, row: Row) -> list[dict[str, str]] | None:
    """Return the elements of a multi-element coil, by name and whether they were used."""
    elements = []
    for entry in reco.items(row.sources[0]):
        if isinstance(entry, tuple) and len(entry) >= 2:
            used = "YES" if str(entry[1]) == "Yes" else "NO"
            elements.append({"name": str(entry[0])[:16], "used": used})
    return elements or None


TRANSFORMS: dict[str, Transform] = {
    function.__name__: function
    for function in (
        text,
        number,
        positive,
        whole,
        term,
        birth_date,
        weight,
        manufacturer,
        software_versions,
        sequence_name,
        flip_angle,
        nucleus,
        field_strength,
        ms_to_s,
        phase_encode_order,
        partial_fourier,
        parallel_reduction,
        phase_encoding,
        acquisition_matrix,
        coil_elements,
    )
}
