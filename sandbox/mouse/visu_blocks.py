"""Blocks that every ``visu_pars`` of a study shares: creator, subject, series, acquisition."""

from __future__ import annotations

from .dialects import Dialect
from .geometry import Pack
from .identity import Identity
from .jcamp_write import Parameters, Symbol, Text, numbers, symbols
from .protocols import Scan, imaging_frequency_mhz, load_table

GAMMA_MHZ_PER_TESLA = 42.577478518


def creator(dialect: Dialect, who: Identity, expno: int, procno: int) -> Parameters:
    """Spell who wrote the reconstruction and when."""
    parameters: Parameters = [
        ("VisuVersion", dialect.visu_version),
        ("VisuUid", Text(who.reco_uid(expno, procno))),
        ("VisuCreator", Text("ParaVision")),
        ("VisuCreatorVersion", Text(dialect.creator_version)),
        ("VisuCreationDate", dialect.date(who.scan_time(expno))),
    ]
    if dialect.experiment_number:
        parameters.append(("VisuInstanceModality", Text("MR")))
    return parameters


def subject_study(dialect: Dialect, who: Identity) -> Parameters:
    """Spell subject and study, the same in every file of a study."""
    plan = who.plan
    name = f"{plan.subject}^^^^" if dialect.version.startswith("360") else plan.subject
    parameters: Parameters = [
        ("VisuSubjectName", Text(name)),
        ("VisuSubjectId", Text(plan.subject)),
    ]
    if dialect.experiment_number:
        parameters += [
            ("VisuSubjectUid", Text(who.subject_uid())),
            ("VisuSubjectInstanceCreationDate", dialect.epoch(who.start)),
        ]
    parameters += [
        ("VisuSubjectBirthDate", Text(f"{who.birth:%Y%m%d}", 9)),
        ("VisuSubjectSex", Symbol("FEMALE")),
    ]
    if dialect.subject_type:
        parameters.append(("VisuSubjectType", Symbol("Quadruped")))
    return [
        *parameters,
        ("VisuSubjectComment", Text("Digital mouse: a phantom, not an animal", 2048)),
        ("VisuStudyUid", Text(who.study_uid())),
        ("VisuStudyDate", dialect.date(who.start)),
        ("VisuStudyId", Text(f"{plan.subject}_{plan.timepoint}")),
        ("VisuStudyNumber", who.number),
        ("VisuSubjectWeight", who.weight_kg),
        ("VisuStudyReferringPhysician", Text("")),
        ("VisuStudyDescription", Text("Digital mouse", 2048)),
    ]


def series(
    dialect: Dialect, who: Identity, expno: int, procno: int, comment: str, kind: str
) -> Parameters:
    """Spell number, kind and equipment of one series."""
    parameters: Parameters = []
    if dialect.experiment_number:
        parameters += [("VisuExperimentNumber", expno), ("VisuProcessingNumber", procno)]
    else:
        parameters.append(("VisuSeriesNumber", expno * 65536 + procno))
    if dialect.series_identity:
        parameters += [
            ("VisuSeriesUid", Text(who.uid("series", who.study_uid(), expno, procno))),
            ("VisuSeriesFrameOfReferenceUid", Text(who.study_uid())),
        ]
    if dialect.experiment_number:
        parameters.append(("VisuSeriesDate", dialect.date(who.scan_time(expno))))
    parameters += [
        ("VisuSubjectPosition", Symbol("Head_Prone")),
        ("VisuSeriesTypeId", Text(kind)),
    ]
    if dialect.experiment_number:
        parameters += [
            ("VisuSeriesComment", Text(comment)),
            ("VisuManufacturer", Text("Bruker BioSpin MRI GmbH")),
        ]
    return [
        *parameters,
        ("VisuAcqSoftwareVersion", Text(dialect.visu_software_version)),
        ("VisuInstitution", Text("Digital mouse")),
        ("VisuStation", Text("sandbox")),
    ]


def _phase_direction(dialect: Dialect, packs: tuple[Pack, ...]) -> Parameters:
    if dialect.grad_encoding:
        # Packages that differ are described untransposed; a common transposition is applied.
        read = packs[0].read_axis if len(packs) == 1 else 0
        words = ["phase_enc", "read_enc"] if read else ["read_enc", "phase_enc"]
        return [("VisuAcqGradEncoding", symbols(words))]
    frames = [pack.read_axis for pack in packs for _ in pack.centres_mm]
    words = ["row_dir" if read else "col_dir" for read in frames]
    if len(set(words)) == 1:
        words = words[:1]
    return [("VisuAcqImagePhaseEncDir", symbols(words))]


def acquisition(dialect: Dialect, who: Identity, scan: Scan) -> Parameters:
    """Spell how the images were acquired."""
    pack = scan.packs[0]
    read = pack.read_axis
    acquired = [pack.size[read], pack.size[1 - read]]
    sequence = dialect.method_name(scan.method) + dialect.sequence_suffix
    parameters: Parameters = [
        ("VisuAcqDate", dialect.date(who.scan_time(scan.expno))),
        ("VisuAcqEchoTrainLength", scan.echo_train),
        ("VisuAcqSequenceName", Text(sequence, 40)),
        ("VisuAcqNumberOfAverages", 1),
        ("VisuAcqImagingFrequency", imaging_frequency_mhz()),
        ("VisuAcqImagedNucleus", Text(load_table()["nucleus"], 8)),
        ("VisuAcqRepetitionTime", numbers(scan.tr_ms)),
        ("VisuAcqPhaseEncSteps", acquired[1]),
        ("VisuAcqPixelBandwidth", 390.625),
        ("VisuAcqFlipAngle", scan.flip_deg),
        ("VisuAcqSize", numbers(acquired)),
        ("VisuAcqImageSizeAccellerated", False),
        *_phase_direction(dialect, scan.packs),
        ("VisuAcqEchoTime", numbers(scan.te_ms)),
        ("VisuAcquisitionProtocol", Text(scan.name)),
        ("VisuAcqScanTime", scan_time_ms(scan)),
    ]
    if dialect.experiment_number:
        parameters += _sequence_details(scan)
    if dialect.field_strength:
        field_t = imaging_frequency_mhz() / GAMMA_MHZ_PER_TESLA
        parameters.append(("VisuMagneticFieldStrength", field_t))
    return parameters


def _sequence_details(scan: Scan) -> Parameters:
    echo = "GradientEcho" if scan.method == "FLASH" else "SpinEcho"
    return [
        ("VisuAcqAntiAlias", numbers([1, 1])),
        ("VisuAcqEchoSequenceType", Symbol(echo)),
        ("VisuAcqSpinsVelocityEncoded", False),
        ("VisuAcqHasTimeOfFlightContrast", False),
        ("VisuAcqIsEpiSequence", scan.epi),
        ("VisuAcqSpectralSuppression", Symbol("FatSuppression" if scan.epi else "NoSuppression")),
        ("VisuAcqKSpaceTraversal", Symbol("RectilinearTraversal")),
        ("VisuAcqEncodingOrder", symbols(["LinearEncoding", "LinearEncoding"])),
        ("VisuAcqKSpaceTrajectoryCnt", 1),
        ("VisuAcqFlowCompensation", Symbol("FlowNone")),
        ("VisuAcqSpoiling", Symbol("GradientSpoiled")),
        ("VisuAcqPartialFourier", numbers([1, 1])),
        ("VisuAcqParallelReductionFactor", numbers([1, 1])),
        ("VisuAcqMagnetizationTransfer", scan.loop == "cest"),
        ("VisuAcqBloodSignalNulling", False),
        ("VisuCardiacSynchUsed", False),
        ("VisuRespSynchUsed", False),
    ]


def scan_time_ms(scan: Scan) -> float:
    """Give the duration of a scan: TR times excitations."""
    pack = scan.packs[0]
    lines = 1 if scan.epi else pack.size[1 - pack.read_axis] / scan.echo_train
    steps = scan.loop_count() if scan.loop in ("diffusion", "cest") else 1
    return float(round(sum(scan.tr_ms) * max(1, round(lines)) * steps * scan.repetitions, 3))
