"""Functional groups of multi-frame objects, from the table: shared where constant."""

from collections.abc import Callable, Mapping
from typing import Any

from ..mapping.tables import code_item, load_mapping
from ..series.model import Loop, RawSeries, SeriesKind
from .encode import encode_element, encode_sequence, tag_and_vr
from .uids import Form

Values = Mapping[str, Any]

# Neutral terms for what only makes sense for a person in a clinical scanner.
_NEUTRAL: dict[str, Any] = {
    "SpecificAbsorptionRateSequence": [
        {"SpecificAbsorptionRateDefinition": "IEC_WHOLE_BODY", "SpecificAbsorptionRateValue": 0.0}
    ],
    "OperatingModeSequence": [
        {"OperatingModeType": "STATIC FIELD", "OperatingMode": "IEC_NORMAL"},
    ],
    "AnatomicRegionSequence": [code_item("SCT", "38266002", "Entire body")],
}


def _is_on(values: Values, keyword: str) -> bool:
    return str(values.get(keyword, "NONE")) != "NONE"


CONDITIONS: dict[str, Callable[[Values], bool]] = {
    "three_d": lambda v: v.get("MRAcquisitionType") == "3D",
    "rectilinear": lambda v: v.get("GeometryOfKSpaceTraversal", "RECTILINEAR") == "RECTILINEAR",
    "spin_echo": lambda v: v.get("EchoPulseSequence", "BOTH") in ("SPIN", "BOTH"),
    "inversion": lambda v: v.get("InversionTime") is not None,
    "flow_compensated": lambda v: v.get("FlowCompensation", "NONE") != "NONE",
    "partial_fourier": lambda v: v.get("PartialFourier") == "YES",
    "parallel": lambda v: v.get("ParallelAcquisition") == "YES",
    "multi_coil": lambda v: v.get("ReceiveCoilType") == "MULTICOIL",
    "diffusion": lambda v: v.get("DiffusionBValue") is not None,
    "directional": lambda v: v.get("DiffusionGradientDirectionSequence") is not None,
    "gated_pet": lambda v: v.get("NumberOfTimeSlots") is not None,
    "triggered": lambda v: v.get("TriggerTime") is not None,
    "decay_factor": lambda v: v.get("DecayFactor") is not None,
    "dead_time_factor": lambda v: v.get("DeadTimeFactor") is not None,
    "in_time": lambda v: v.get("TemporalPositionTimeOffset") is not None,
    "cardiac_gated": lambda v: _is_on(v, "CardiacSynchronizationTechnique"),
    "respiratory_gated": lambda v: _is_on(v, "RespiratoryMotionCompensationTechnique"),
    "cardiac": lambda v: (
        v.get("NominalCardiacTriggerDelayTime") is not None
        or _is_on(v, "CardiacSynchronizationTechnique")
    ),
    "respiratory": lambda v: (
        v.get("NominalRespiratoryTriggerDelayTime") is not None
        or _is_on(v, "RespiratoryMotionCompensationTechnique")
    ),
}


def condition_holds(row: Mapping[str, Any], values: Values) -> bool:
    """Tell whether a row's condition holds; a row without one always does."""
    name = row.get("when")
    return name is None or CONDITIONS[name](values)


def add_enhanced_terms(series: RawSeries, values: dict[str, Any]) -> dict[str, Any]:
    """Add the terms of Enhanced MR that follow from what is known."""
    echo = values.get("EchoPulseSequence", "BOTH")
    train = int(values.get("EchoTrainLength") or 1)
    multi_echo = series.dimension(Loop.ECHO) is not None
    epi = values.get("EchoPlanarPulseSequence") == "YES"
    result = dict(values) | _NEUTRAL
    result["RFEchoTrainLength"] = train if echo == "SPIN" and not epi else 0
    result["GradientEchoTrainLength"] = train if epi or echo == "GRADIENT" else 0
    result["MultipleSpinEcho"] = "YES" if multi_echo and echo == "SPIN" else "NO"
    if series.kind is SeriesKind.DIFFUSION:
        result["AcquisitionContrast"] = "DIFFUSION"
    elif series.kind is SeriesKind.T2_SERIES:
        result["AcquisitionContrast"] = "T2"
    elif series.kind is SeriesKind.T1_SERIES:
        result["AcquisitionContrast"] = "T1"
    if values.get("ParallelReductionFactorInPlane"):
        result["ParallelAcquisition"] = "YES"
    if series.kind is SeriesKind.FIELD_MAP:
        result["PhaseContrast"] = "NO"
    inverted = values.get("InversionTime") or "InversionTime" in series.plane_attributes
    result["InversionRecovery"] = "YES" if inverted else "NO"
    elements = values.get("MultiCoilDefinitionSequence") or [{"name": "1", "used": "YES"}]
    result["MultiCoilDefinitionSequence"] = [
        {"MultiCoilElementName": e["name"], "MultiCoilElementUsed": e["used"]} for e in elements
    ]
    return result


def to_enhanced_terms(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with classic terms in the spelling of enhanced objects."""
    result = dict(values)
    direction = result.get("InPlanePhaseEncodingDirection")
    if direction is not None:
        result["InPlanePhaseEncodingDirection"] = {"COL": "COLUMN"}.get(direction, direction)
    matrix = result.get("AcquisitionMatrix")
    if matrix:
        result["MRAcquisitionFrequencyEncodingSteps"] = max(matrix[0], matrix[1])
        result["MRAcquisitionPhaseEncodingStepsInPlane"] = max(matrix[2], matrix[3])
    return result


class GroupTable:
    """The functional groups of one form, encoded with a cache of what was encoded before."""

    def __init__(self, form: Form, table: str = "dicom_enhanced") -> None:
        column = form.column - 1
        self._groups = [
            group for group in load_mapping(table)["group"] if group["forms"][column] == "1"
        ]
        self._cache: dict[tuple[str, str], bytes] = {}

    def split(self, varying: set[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Part the groups in shared ones and per-frame ones, by the attributes that vary."""
        shared: list[dict[str, Any]] = []
        frames: list[dict[str, Any]] = []
        for group in self._groups:
            sources = {row.get("from", row["keyword"]) for row in group["items"]}
            if group["sequence"] == "MRFOVGeometrySequence":
                sources.add("AcquisitionMatrix")
            (frames if sources & varying else shared).append(group)
        return shared, frames

    def encode(self, groups: list[dict[str, Any]], values: Values) -> dict[int, bytes]:
        """Return the encoded groups, by tag; those whose condition does not hold are left out."""
        result: dict[int, bytes] = {}
        for group in groups:
            if not condition_holds(group, values):
                continue
            item = self._item(group, values)
            key = (group["sequence"], repr(item))
            if key not in self._cache:
                tag, _ = tag_and_vr(group["sequence"])
                self._cache[key] = encode_sequence(tag, [item])
            tag, _ = tag_and_vr(group["sequence"])
            result[tag] = self._cache[key]
        return result

    def _item(self, group: dict[str, Any], values: Values) -> dict[Any, Any]:
        item: dict[Any, Any] = {}
        for row in group["items"]:
            if not condition_holds(row, values):
                continue
            value = values.get(row.get("from", row["keyword"]))
            item[row["keyword"]] = row.get("default") if value is None else value
        return item


def single_item_group(keyword: str, item: Mapping[Any, Any]) -> tuple[int, bytes]:
    """Return tag and bytes of a functional group with one item."""
    tag, _ = tag_and_vr(keyword)
    return tag, encode_sequence(tag, [item])


def private_group(triples: list[tuple[int, str, Any]], creator: str, tag: int) -> dict[int, bytes]:
    """Return a private functional group whose one item holds a private block."""
    if not triples:
        return {}
    inner = b"".join(encode_element(t, vr, value) for t, vr, value in triples)
    reservation = (tag & 0xFFFF0000) | (tag >> 8 & 0xFF)
    return {
        reservation: encode_element(reservation, "LO", creator),
        tag: encode_sequence(tag, [inner]),
    }
