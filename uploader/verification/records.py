"""Keep in the journal what a verification compared and found."""

from __future__ import annotations

from xnat_pic.version import version

from ..planning.journal import Journal, SeriesState
from .levels import ProofLevel, RowVerification, VerificationLevel
from .payload import SessionPayload

MISSING = "Files are missing."


def record_verification(
    journal: Journal | None,
    found: RowVerification,
    payload: SessionPayload | None,
    user: str = "",
) -> None:
    """Note the result of one session; what was found wrong stands until a verification finds it so.

    Parameters
    ----------
    payload : SessionPayload, optional
        What was to be there; None where the files are gone.
    user : str
        As whom the server was asked.
    """
    if journal is None:
        return
    row = found.row
    series = [(one.uid, len(one.instances), one.bytes) for one in payload.series] if payload else []
    journal.add_session(row.key, row.project, row.subject, row.session, series)
    if found.level is VerificationLevel.NONE:
        problems = found.problems or [MISSING]
        journal.set_verified(row.key, "")
        journal.set_problem(row.key, " ".join(problems))
        journal.set_findings(row.key, found.standing)
    elif _stands(journal, found):
        found.notes.append(
            "What an earlier verification found stands: this one compared less. Verify with "
            f"--level {journal.verification(row.key)[1].get('level', ProofLevel.DIGEST.value)}."
        )
        return
    else:
        journal.set_verified(row.key, found.proof)
        journal.set_problem(row.key, "")
        journal.set_findings(row.key, [])
        if found.is_proved:
            journal.set_state(row.key, [uid for uid, _, _ in series], SeriesState.VERIFIED)
    journal.set_verification(row.key, {**verification_record(found), "user": user})


_ORDER = [one.value for one in ProofLevel]


def _stands(journal: Journal, found: RowVerification) -> bool:
    """Tell whether there is a finding that a verification like this one would not have made."""
    if not journal.findings(found.row.key):
        return False
    before = journal.verification(found.row.key)[1]
    level = str(before.get("level", ProofLevel.DIGEST.value))
    was_deeper = _ORDER.index(level) > _ORDER.index(found.asked.value)
    return was_deeper or (found.is_sample and not before.get("sample"))


def verification_record(found: RowVerification) -> dict[str, object]:
    """Return what a report tells of a verification."""
    return {
        "level": found.asked.value,
        "sample": found.is_sample,
        "version": version(),
        "planned": found.planned,
        "found": found.found,
        "checksummed": found.checksummed,
        "pixels_equal": found.pixels_equal,
        "sized": found.sized,
        "proof": found.proof,
        "is_proved": found.is_proved,
        "problems": found.problems,
        "notes": found.notes,
    }
