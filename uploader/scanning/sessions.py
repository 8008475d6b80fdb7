"""What a folder holds: files, series and sessions. Values only; no disk and no network."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..findings import Finding


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

    def __repr__(self) -> str:
        """Show what counts in a line."""
        return f"<Series {self.number}: {self.description or self.uid}, {len(self.files)} files>"

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class HeaderIdentity:
    """What the headers of a session say of the animal, texts as they stand there.

    Attributes
    ----------
    patients : tuple of str
        Every PatientID, sorted; an empty one does not count.
    weight_kg, sex, birth_date, study_id : str
        Of the first file that says it.
    """

    patients: tuple[str, ...] = ()
    weight_kg: str = ""
    sex: str = ""
    birth_date: str = ""
    study_id: str = ""

    @property
    def weight_g(self) -> float:
        """The weight in gram; 0 where the header says none, or none that can be."""
        try:
            grams = 1000 * float(self.weight_kg)
        except ValueError:
            return 0.0
        return grams if 0 < grams < float("inf") else 0.0


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
    header : HeaderIdentity
        What the headers say of the animal.
    copies : tuple of Path
        Other folders that hold some of the same images again.
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
    header: HeaderIdentity = field(default_factory=HeaderIdentity)
    copies: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        """Show what counts in a line."""
        return f"<Session {self.patient_id} {self.study_date} {self.modality}: {self.files} files>"

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
