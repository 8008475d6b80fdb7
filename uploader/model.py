"""What is uploaded: files, series, and the rows of a plan. Values only; no disk and no network."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class Level(Enum):
    """How much a finding matters: an error keeps its row from being uploaded."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """Something a person should know of a row, as a sentence with what to do.

    Attributes
    ----------
    code : str
        Stable short name, such as ``label-clash``.
    """

    code: str
    level: Level
    message: str


@dataclass(frozen=True)
class SourceFile:
    """One DICOM file on disk, with what is needed to recognise it without opening it again.

    Attributes
    ----------
    size, mtime_ns : int
        Tell whether the file changed since it was read.
    """

    path: Path
    size: int
    mtime_ns: int
    sop_instance_uid: str
    sop_class_uid: str
    instance_number: int | None = None


@dataclass(frozen=True)
class Series:
    """The files of one SeriesInstanceUID."""

    uid: str
    number: int | None
    modality: str
    description: str
    files: tuple[SourceFile, ...]

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Session:
    """What becomes one session: the series of one study and one modality.

    Attributes
    ----------
    source : Path
        The deepest folder that holds all files.
    modality : str
        Modality of the session (MR, PET, CT, US, NM, OT), which decides its XNAT type.
    side_files : tuple of Path
        Files beside the images (pdf, txt, ...) that become a resource.
    findings : tuple of Finding
        What reading the files showed. An error keeps the row from being uploaded.
    """

    source: Path
    study_uid: str
    study_date: str
    study_time: str
    patient_id: str
    modality: str
    series: tuple[Series, ...]
    side_files: tuple[Path, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def key(self) -> str:
        """What `PlanRow.key` and `Plan.sessions` know the session by."""
        return f"{self.study_uid}/{self.modality}"

    @property
    def files(self) -> int:
        """Number of DICOM files."""
        return sum(len(one.files) for one in self.series)

    @property
    def bytes(self) -> int:
        """Size of all DICOM files."""
        return sum(one.bytes for one in self.series)


@dataclass(frozen=True)
class PlanRow:
    """One line of a plan: where a session comes from and what it is to be in XNAT.

    Attributes
    ----------
    key : str
        Recognises the session whatever is edited: study UID and modality.
    include : bool
        False for a row that a person has left out.
    variables : dict
        Variable name to value; an empty value is an absent level.
    """

    key: str
    include: bool
    source: str
    project: str
    subject: str
    session: str
    modality: str
    variables: dict[str, str] = field(default_factory=dict)
    date: str = ""
    scans: int = 0
    files: int = 0
    bytes: int = 0
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Plan:
    """All rows, with the sessions behind them by `PlanRow.key`.

    Attributes
    ----------
    layout : str
        The folder layout the variables were read with.
    findings : tuple of Finding
        What concerns no single row (files that could not be read, empty folders).
    """

    root: Path
    project: str
    layout: str
    rows: tuple[PlanRow, ...]
    sessions: dict[str, Session] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
