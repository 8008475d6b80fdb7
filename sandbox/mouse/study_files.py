"""Contents of ``subject``, ``reco`` and ``id``."""

from __future__ import annotations

from collections.abc import Sequence

from .dialects import Dialect
from .identity import Identity
from .jcamp_write import Parameters, Symbol, Text, numbers, symbols
from .protocols import Scan


def subject_parameters(dialect: Dialect, who: Identity) -> Parameters:
    """Describe animal and study as the ``subject`` file does."""
    plan = who.plan
    gender = dialect.subject_keys == "gender"
    kind = "Quadruped" if dialect.subject_type else "Human"
    parameters: Parameters = [
        ("SUBJECT_version_nr", 1),
        ("SUBJECT_id", Text(plan.subject, 60)),
        ("SUBJECT_instance_uid", Text(who.subject_uid())),
        ("SUBJECT_name_string", Text(plan.subject, 64)),
        ("SUBJECT_name", (plan.subject, "")),
        ("SUBJECT_dbirth", Text(f"{who.birth:%Y%m%d}", 12)),
        ("SUBJECT_type", Symbol(kind)),
    ]
    if gender:
        parameters += [
            ("SUBJECT_gender", Symbol("FEMALE")),
            ("SUBJECT_study_instrument_position", Symbol("Head_Prone")),
            ("SUBJECT_study_weight", who.weight_kg),
            ("SUBJECT_study_operator", Text("", 64)),
        ]
    else:
        parameters += [
            ("SUBJECT_sex", Text("female", 8)),
            ("SUBJECT_sex_animal", Symbol("FEMALE")),
            ("SUBJECT_entry", Symbol("SUBJ_ENTRY_HeadFirst")),
            ("SUBJECT_position", Symbol("SUBJ_POS_Prone")),
            ("SUBJECT_weight", who.weight_kg),
            ("SUBJECT_referral", Text("", 64)),
        ]
    return [
        *parameters,
        ("SUBJECT_remarks", Text("Digital mouse: a phantom, not an animal", 2048)),
        ("SUBJECT_study_name", Text(f"{plan.subject}_{plan.timepoint}", 64)),
        ("SUBJECT_study_nr", who.number),
        ("SUBJECT_study_instance_uid", Text(who.study_uid())),
        ("SUBJECT_date", dialect.date(who.start, 24)),
        ("SUBJECT_abs_date", dialect.epoch(who.start)),
        ("SUBJECT_comment", Text("", 2048)),
    ]


def reco_parameters(
    dialect: Dialect, who: Identity, scan: Scan, slopes: Sequence[float]
) -> Parameters:
    """Describe the primary reconstruction; ``RECO_map_slope`` is one over the Visu slope."""
    pack = scan.packs[0]
    fov_cm = [n * d / 10 for n, d in zip(pack.size, pack.spacing_mm, strict=True)]
    read_axes = [p.read_axis for p in scan.packs for _ in p.centres_mm]
    transposition = read_axes * (len(slopes) // len(read_axes))
    return [
        ("RECO_mode", Symbol("FT_MODE")),
        ("RECO_inp_size", numbers([pack.size[pack.read_axis], pack.size[1 - pack.read_axis]])),
        ("RECO_ft_size", numbers(pack.size)),
        ("RECO_fov", numbers(fov_cm)),
        ("RECO_size", numbers(pack.size)),
        ("RECO_ft_mode", symbols(["COMPLEX_FT", "COMPLEX_FT"])),
        ("RECO_transposition", numbers(transposition)),
        ("RECO_image_type", Symbol("MAGNITUDE_IMAGE")),
        ("RECO_wordtype", Symbol("_16BIT_SGN_INT")),
        ("RECO_byte_order", Symbol("littleEndian")),
        ("RECO_map_mode", Symbol("ABSOLUTE_MAPPING")),
        ("RECO_map_offset", numbers([0] * len(slopes))),
        ("RECO_map_slope", numbers([1 / slope for slope in slopes])),
        ("RECO_time", dialect.date(who.scan_time(scan.expno), 24)),
        ("RECO_base_image_uid", Text(who.reco_uid(scan.expno, 1))),
    ]


def id_parameters(dialect: Dialect, who: Identity, expno: int, procno: int) -> Parameters:
    """Name the data set of one reconstruction."""
    key = who.uid("dataset", who.study_uid(), expno, procno)
    parameters: Parameters = [("DATASET_KEY", Text(key))]
    if dialect.animal_transport:
        parameters.append(("DATASET_Modality", Symbol("MR_Modality")))
    return parameters
