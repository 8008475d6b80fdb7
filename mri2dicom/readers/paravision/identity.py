"""Recognise a series: numbers from its folder, UIDs from its files, and what it is to a person."""

from xnat_pic.files import file_digest
from xnat_pic.uids import derived_uid, is_uid

from ...mapping.tables import load_mapping
from ...series.geometry import PARALLEL_TOLERANCE, Floats, Ints
from ...series.model import Dimension, Identity, Loop, SeriesKind
from .layout import IMAGE, VISU
from .reco import Reco
from .transforms import method_name


def series_numbers(reco: Reco) -> tuple[int, int]:
    """Return scan and reconstruction number.

    The folders' names are preferred: scans are copied, and two copies in one study must not share
    a number.
    """
    packed = _whole(reco, "VisuSeriesNumber", 2**31)
    expno, procno = (packed >> 16, packed & 0xFFFF) if packed else (1, 1)
    expno = _whole(reco, "VisuExperimentNumber", 10**6) or expno
    procno = _whole(reco, "VisuProcessingNumber", 10**4) or procno
    if reco.path.expno is not None and reco.path.expno != expno:
        if packed or _whole(reco, "VisuExperimentNumber", 10**6):
            reco.warnings.append(
                f"The folder is called {reco.path.expno} and the file says scan {expno}: "
                "the folder's number is used."
            )
        expno = reco.path.expno
    return expno, reco.path.procno or procno


def _whole(reco: Reco, name: str, limit: int) -> int:
    """Return a number that can number a series; 0 for any other."""
    value = reco.number(name) or 0.0
    return int(value) if 0 < value < limit else 0


def read_identity(reco: Reco) -> Identity:
    """Return the study's UID and what identifies the image.

    The digest of visu_pars joins the scanner's UID, so that a hand-edited copy is another image;
    without a UID the image file's own SHA-256 is used.
    """
    study = str(reco.first("VisuStudyUid", "subject:SUBJECT_study_instance_uid") or "")
    if not is_uid(study):
        study = derived_uid("study", _study_fields(reco))
        reco.warnings.append("The study has no UID: one is derived from its header.")
    digest = file_digest(reco.path.folder / VISU)
    visu_uid = str(reco.first("VisuUid") or "")
    if not is_uid(visu_uid):
        visu_uid = file_digest(reco.path.folder / IMAGE)
    frame = str(reco.first("VisuSeriesFrameOfReferenceUid") or "")
    if not is_uid(frame) or frame in (study, visu_uid, str(reco.first("VisuSeriesUid"))):
        frame = ""
    return Identity(study, f"{visu_uid} {digest}", frame)


def _study_fields(reco: Reco) -> str:
    """Return what identifies a study without a UID: subject, study and date, else its folder."""
    names = ("VisuSubjectId", "VisuStudyId", "VisuStudyNumber", "VisuStudyDate", "VisuStation")
    fields = [f"{name}={reco.first(name)}" for name in names if reco.first(name) is not None]
    return "\n".join(fields) if len(fields) > 1 else reco.path.study.name


def method_row(reco: Reco) -> dict[str, str]:
    """Return the row of the method table for this series; empty for an unknown method."""
    name = method_name(str(reco.first("method:Method", "VisuAcqSequenceName") or "")).lower()
    rows: list[dict[str, str]] = load_mapping("paravision_methods")["method"]
    return next((row for row in rows if row["name"].lower() == name), {})


def is_derived(reco: Reco, dimensions: tuple[Dimension, ...]) -> bool:
    """Tell whether the series was computed from another one."""
    identifier = str(reco.first("VisuSeriesTypeId") or "")
    maps = any(dimension.loop is Loop.MAP for dimension in dimensions)
    return identifier.startswith("DERIVED") or maps


def classify(
    reco: Reco,
    dimensions: tuple[Dimension, ...],
    orientation: Floats,
    stack: Ints,
    *,
    spectrum: bool,
    parts: bool,
) -> SeriesKind:
    """Return what a series is.

    Parameters
    ----------
    orientation : ndarray of float, shape (n_planes, 3, 3)
    stack : ndarray of int, shape (n_planes,)
    spectrum : bool
        Saturation at two offsets or more.
    parts : bool
        Real, imaginary or phase images.
    """
    row = method_row(reco)
    loops = {d.loop: d.length for d in dimensions}
    if is_derived(reco, dimensions):
        return SeriesKind.DERIVED
    if row.get("varies") == "field":
        return SeriesKind.FIELD_MAP
    if spectrum:
        return SeriesKind.CEST
    if Loop.DIFFUSION in loops:
        return SeriesKind.DIFFUSION
    if loops.get(Loop.REPETITION_TIME, 0) > 1 or loops.get(Loop.INVERSION, 0) > 1:
        return SeriesKind.T1_SERIES
    if loops.get(Loop.ECHO, 0) > 2:
        gradient = (_echo(reco) or row.get("echo")) == "GRADIENT"
        return SeriesKind.T2STAR_SERIES if gradient else SeriesKind.T2_SERIES
    if Loop.CARDIAC in loops or Loop.RESPIRATORY in loops:
        return SeriesKind.CINE
    if loops.get(Loop.TIME, 0) > 1:
        return SeriesKind.TIME_SERIES
    normals = orientation[:, 2]
    if stack.max(initial=0) > 0 and (abs(normals - normals[0]) > PARALLEL_TOLERANCE).any():
        return SeriesKind.LOCALIZER
    return SeriesKind.PHASE if parts else SeriesKind.ANATOMY


def _echo(reco: Reco) -> str:
    word = str(reco.first("VisuAcqEchoSequenceType") or "")
    return {"GradientEcho": "GRADIENT", "SpinEcho": "SPIN"}.get(word, "")
