"""The plan: its rows, and the sessions behind them. Values only; no disk and no network."""

from dataclasses import dataclass, field
from pathlib import Path

from ..findings import Finding
from ..scanning.sessions import HeaderIdentity, Session


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
    confirmed : str
        Differences between the row and what folder or header say that a person has confirmed, such
        as ``subject=m02; dose=dose1``.
    stated : str
        Values that ``--variables`` and ``--set`` gave, in the same form.
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
    confirmed: str = ""
    stated: str = ""

    def __repr__(self) -> str:
        """Show what counts in a line."""
        return f"<PlanRow {self.session or self.source}: {self.files} files, {self.variables}>"


@dataclass(frozen=True)
class IdentityClaim:
    """What the folder and the header of a session say of whose images these are.

    Attributes
    ----------
    source : str
        The folder, relative to the plan's.
    subject : str
        By the folder levels; empty where none names it.
    patient : str
        PatientID.
    variables : dict
        Variables that the folder levels give.
    date, modality : str
        Of the study, as in the plan.
    header : HeaderIdentity
        What else the headers say of the animal.
    """

    source: str
    subject: str
    patient: str
    variables: dict[str, str] = field(default_factory=dict)
    date: str = ""
    modality: str = ""
    header: HeaderIdentity = field(default_factory=HeaderIdentity)


@dataclass(frozen=True)
class Plan:
    """All rows, with the sessions behind them by `PlanRow.key`.

    Attributes
    ----------
    layout : str
        The folder layout the variables were read with.
    findings : tuple of Finding
        What concerns no single row (files that could not be read, empty folders).
    claims : dict
        What folders and headers say, by `PlanRow.key`; empty without the sessions.
    """

    root: Path
    project: str
    layout: str
    rows: tuple[PlanRow, ...]
    sessions: dict[str, Session] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    claims: dict[str, IdentityClaim] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Show what counts in a line."""
        return f"<Plan {self.project}: {len(self.rows)} rows, folder {self.root}>"
