"""Recognise a series: numbers from its folder, UIDs from its files."""

from xnat_pic.files import file_digest
from xnat_pic.uids import derived_uid, is_uid

from ...model import Identity
from .layout import IMAGE, VISU
from .reco import Reco


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
