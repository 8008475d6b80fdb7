"""How surely a session is to be proved, and how surely it is: values only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from ..findings import IDENTITY_CONFIRMED, Level, messages_of
from ..planning.plan import PlanRow


class ProofLevel(Enum):
    """What `verify` is asked to prove of every file.

    ``LISTED``: the server lists it by its SOP Instance UID. ``SIZED``: with the bytes that were
    sent, or that arrived. ``DIGEST``: with the MD5 of the bytes sent, which the server computes
    anew; a file that the server rewrote is fetched and compared. ``PIXELS``: every file is read
    from the server, and no listing is believed.
    """

    LISTED = "listed"
    SIZED = "sized"
    DIGEST = "digest"
    PIXELS = "pixels"

    @property
    def text(self) -> str:
        """What is compared with what, as a sentence."""
        return _COMPARED[self]


_COMPARED = {
    ProofLevel.LISTED: "The SOP Instance UIDs of the files on disk with those that the server "
    "lists.",
    ProofLevel.SIZED: "The SOP Instance UIDs and sizes of the files on disk with those that the "
    "server lists, which read the sizes anew.",
    ProofLevel.DIGEST: "The MD5 of the files on disk, read anew, with the MD5 that the server "
    "computed anew; files that it rewrote were fetched, and their decoded pixels compared.",
    ProofLevel.PIXELS: "The files on disk, read anew, with every file of the server, read anew: "
    "bytes, and where it rewrote them decoded pixels.",
}


class VerificationLevel(Enum):
    """How surely a session is known to be there.

    ``CHECKSUMMED``: every instance is there, each with the MD5 of the bytes that were sent.
    ``PIXELS``: every instance is there; where the server rewrote it, its decoded pixels are those
    on disk (an object without pixels: its content). ``SAMPLED``: that holds for some of them, and
    the others are there by their SOP Instance UID. ``SIZED``: all are there by their UID, with the
    bytes that were sent. ``COUNTED``: all are there by their UID alone; both prove no content.
    ``NONE``: something is missing, doubled or different.
    """

    CHECKSUMMED = "checksummed"
    PIXELS = "pixels equal"
    SAMPLED = "pixels equal in some files"
    SIZED = "sized"
    COUNTED = "counted"
    NONE = "not verified"


_WHOLE = (VerificationLevel.CHECKSUMMED, VerificationLevel.PIXELS)
_ENOUGH = {
    ProofLevel.LISTED: tuple(one for one in VerificationLevel if one is not VerificationLevel.NONE),
    ProofLevel.SIZED: (*_WHOLE, VerificationLevel.SIZED),
    ProofLevel.DIGEST: _WHOLE,
    ProofLevel.PIXELS: _WHOLE,
}


@dataclass
class RowVerification:
    """What was found of one session.

    Attributes
    ----------
    planned, found : int
        Instances planned, and those found on the server.
    checksummed, pixels_equal, sized : int
        Instances with the MD5 of the bytes sent, those rewritten but of equal content, and those
        of which only the size was compared.
    problems : list of str
        Messages; empty where all is well.
    notes : list of str
        What should be known, though all is there.
    asked : ProofLevel
        What was to be proved.
    is_sample : bool
        A sample was asked for: some files are enough.
    standing : list of (str, str)
        What no upload mends by itself: SOP Instance UID sent, or an empty text, and message.
    """

    row: PlanRow
    planned: int = 0
    found: int = 0
    checksummed: int = 0
    pixels_equal: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sized: int = 0
    asked: ProofLevel = ProofLevel.DIGEST
    is_sample: bool = False
    standing: list[tuple[str, str]] = field(default_factory=list)

    def __repr__(self) -> str:
        """Show what counts in a line."""
        return f"<RowVerification {self.row.session}: {self.proof}, {self.found}/{self.planned}>"

    @classmethod
    def of_plan(
        cls, row: PlanRow, asked: ProofLevel = ProofLevel.DIGEST, *, is_sample: bool = False
    ) -> RowVerification:
        """Begin with what the plan says of the row: nothing is proved of one with errors."""
        return cls(
            row,
            problems=[one.message for one in row.findings if one.level is Level.ERROR],
            notes=messages_of(row.findings, IDENTITY_CONFIRMED),
            asked=asked,
            is_sample=is_sample,
        )

    def stand(self, text: str, uids: Iterable[str] = ("",)) -> None:
        """Add a problem that stands until these objects are sent again, or a proof is made."""
        self.problems.append(text)
        self.standing += [(uid, text) for uid in uids]

    @property
    def level(self) -> VerificationLevel:
        """How surely it is there."""
        if self.problems or self.found < self.planned or not self.planned:
            return VerificationLevel.NONE
        if self.checksummed == self.planned:
            return VerificationLevel.CHECKSUMMED
        if self._proved == self.planned:
            return VerificationLevel.PIXELS
        if self._proved:
            return VerificationLevel.SAMPLED
        is_sized = self.sized == self.planned
        return VerificationLevel.SIZED if is_sized else VerificationLevel.COUNTED

    @property
    def is_proved(self) -> bool:
        """Whether what was asked for holds."""
        is_sampled = self.is_sample and self.level is VerificationLevel.SAMPLED
        return is_sampled or self.level in _ENOUGH[self.asked]

    @property
    def proof(self) -> str:
        """How surely it is there, in how many of its files."""
        if self.level is VerificationLevel.SAMPLED:
            return f"pixels equal in {self._proved} of {self.planned} files"
        return str(self.level.value)

    @property
    def _proved(self) -> int:
        return self.checksummed + self.pixels_equal
