"""What came out of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from xnat_pic.errors import LoginError, NothingUsableError, describe, exit_code_of

IN_PART = 8
"""Exit code of a run that has results and lacks others."""


@dataclass(frozen=True)
class SessionOutcome:
    """What a run made of a session. It can be sent to another process.

    Attributes
    ----------
    experiment_id, label, subject : str
        The session: its ID and label, and the label of its subject.
    exit_code : int
        As documented: 0 done, 3 nothing usable, 4 corrupt, 5 login, 6 server, 8 in part.
    maps : tuple of dict
        A row for each map: ``scan, resource, folder, name, unit, median, valid, parameters``.
    statistics : tuple of dict
        Rows of ``statistics.csv`` (Mask_Average), with ``scan``, ``resource`` and ``folder``.
    warnings : tuple of str
        Messages for a person.
    failure : str
        Why it failed; empty where all is done.
    skipped : bool
        All results were on the server already, made from these images with these parameters.
    parameters : str
        Hash of the parameters.
    seconds : dict of str to float
        Time of each part: find, download, run, upload.
    broken : bool
        A part of it ended with an error. Not so where ROIs were left out, or nothing suited.
    closing : str
        How it went, as text.
    """

    experiment_id: str
    label: str = ""
    subject: str = ""
    exit_code: int = 0
    maps: tuple[dict[str, Any], ...] = ()
    statistics: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    failure: str = ""
    skipped: bool = False
    parameters: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    broken: bool = False
    closing: str = ""

    @property
    def is_warning(self) -> bool:
        """Whether all that could be done is done, and a person has to know what was left out."""
        return self.exit_code == IN_PART and not self.broken


@dataclass
class RunResult:
    """What is collected while a run goes on.

    Attributes
    ----------
    maps, statistics : list of dict
        As of `SessionOutcome`.
    notes : list of str
        Warnings, and what was left out and why.
    faults : list of Exception
        Of parts that failed.
    left_out : list of str
        Why parts were left out that do not suit.
    results, found : int
        Results made in this run, and those that were there.
    partial : bool
        A result lacks some of its ROIs.
    seconds : dict
        Time of each part.
    """

    maps: list[dict[str, Any]] = field(default_factory=list)
    statistics: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    results: int = 0
    found: int = 0
    partial: bool = False
    seconds: dict[str, float] = field(default_factory=dict)

    def verdict(self, nothing: str) -> tuple[int, str]:
        """Return exit code and sentence of failure.

        Parameters
        ----------
        nothing : str
            What to say where nothing suited.
        """
        some = self.results + self.found
        if self.faults:
            text = " ".join(dict.fromkeys(describe(one) for one in self.faults))
            login = next((one for one in self.faults if isinstance(one, LoginError)), None)
            worst = login or self.faults[0]
            return (IN_PART if some else exit_code_of(worst)), text
        if not some:
            return NothingUsableError.exit_code, " ".join([nothing, *dict.fromkeys(self.left_out)])
        if self.partial:
            return (
                IN_PART,
                "Some ROIs, or parts of them, could not be measured; statistics.txt names them.",
            )
        return 0, ""
