"""How far a row is, as text and in a tone."""

from dataclasses import dataclass

from ... import (
    Finding,
    Level,
    Outcome,
    PlanRow,
    RowCheck,
    RowResult,
    RowVerification,
    Verdict,
    VerificationLevel,
)
from ..translation import translate
from .wording import window_text


@dataclass(frozen=True)
class RowState:
    """How far a row is.

    Attributes
    ----------
    key : str
        Of the message, such as ``upload.state_new``; empty where nothing is known.
    tone : str
        ``soft``, ``accent``, ``good``, ``warning`` or ``bad``.
    messages : tuple of str
        What there is to say beside the row's own findings.
    findings : tuple of Finding
        Those of the comparison with the server.
    """

    key: str = ""
    tone: str = "soft"
    messages: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def text(self) -> str:
        """The state as text."""
        return translate(self.key) if self.key else ""


PLANNED = RowState()
WAITING = RowState("upload.state_waiting")
SENDING = RowState("upload.state_sending", "accent")
FAILED = "upload.state_failed"
STOPPED = "upload.state_stopped"
HALTED = RowState(STOPPED, "warning")
UNPROVED = "upload.state_unproved"
PROVED = (
    "upload.state_verified",
    "upload.state_pixels",
    "upload.state_sampled",
    "upload.state_counted",
)
_VERDICTS = {
    Verdict.NEW: ("upload.state_new", "accent"),
    Verdict.SAME: ("upload.state_same", "good"),
    Verdict.ADDS_SCANS: ("upload.state_adds", "accent"),
    Verdict.BAD: ("upload.state_bad", "bad"),
    Verdict.LEFT_OUT: ("upload.state_left_out", "soft"),
}
_OUTCOMES = {
    Outcome.DONE: ("upload.state_done", "good"),
    Outcome.PARTIAL: ("upload.state_partial", "warning"),
    Outcome.NOTHING_TO_DO: ("upload.state_same", "good"),
    Outcome.FAILED: (FAILED, "bad"),
    Outcome.STOPPED: (STOPPED, "warning"),
    Outcome.LEFT_OUT: ("upload.state_left_out", "soft"),
}
_LEVELS = {
    VerificationLevel.CHECKSUMMED: ("upload.state_verified", "good"),
    VerificationLevel.PIXELS: ("upload.state_pixels", "good"),
    VerificationLevel.SAMPLED: ("upload.state_sampled", "good"),
    VerificationLevel.SIZED: ("upload.state_counted", "warning"),
    VerificationLevel.COUNTED: ("upload.state_counted", "warning"),
    VerificationLevel.NONE: (UNPROVED, "bad"),
}
_KNOWN = {
    "verified": ("upload.state_verified", "good"),
    "counted": ("upload.state_counted", "warning"),
    "archived": ("upload.state_done", "good"),
    "problem": (FAILED, "bad"),
}


def of_check(one: RowCheck) -> RowState:
    """Return the state after a comparison with the server."""
    own = set(one.row.findings)
    found = tuple(finding for finding in one.findings if finding not in own)
    return RowState(*_VERDICTS[one.verdict], findings=found)


def of_result(one: RowResult) -> RowState:
    """Return the state after an upload."""
    told = (Outcome.FAILED, Outcome.PARTIAL)
    messages = (one.reason,) if one.reason and one.outcome in told else ()
    return RowState(*_OUTCOMES[one.outcome], messages=messages)


def of_verification(one: RowVerification) -> RowState:
    """Return the state after a verification."""
    how = {
        VerificationLevel.CHECKSUMMED: translate("upload.proof_checksummed"),
        VerificationLevel.PIXELS: translate("upload.proof_pixels"),
        VerificationLevel.SAMPLED: translate(
            "upload.proof_sampled", n=one.checksummed + one.pixels_equal, planned=one.planned
        ),
        VerificationLevel.SIZED: translate("upload.proof_counted"),
        VerificationLevel.COUNTED: translate("upload.proof_counted"),
        VerificationLevel.NONE: translate(
            "upload.proof_none", found=one.found, planned=one.planned
        ),
    }[one.level]
    return RowState(*_LEVELS[one.level], messages=(*one.problems, how, *one.notes))


def of_journal(kind: str, message: str) -> RowState:
    """Return the state that the journal of an earlier day tells."""
    return RowState(*_KNOWN[kind], messages=(message,) if message else ())


def row_messages(row: PlanRow, state: RowState) -> list[tuple[str, str]]:
    """Return all there is to say of a row, worst first: tone and message."""
    tones = {Level.ERROR: "bad", Level.WARNING: "warning", Level.NOTE: "soft"}
    order = ("bad", "warning", "accent", "good", "soft")
    found = [(state.tone, window_text(message)) for message in state.messages]
    findings = (*state.findings, *row.findings)
    found += [(tones[one.level], window_text(one.message)) for one in findings]
    return sorted(dict.fromkeys(found), key=lambda one: order.index(one[0]))


def is_wrong(row: PlanRow, state: RowState) -> bool:
    """Tell whether a row would not be uploaded as it stands, or was not."""
    if not row.include:
        return False
    if state.tone == "bad":
        return True
    findings = (*row.findings, *state.findings)
    return any(one.level is Level.ERROR for one in findings)
