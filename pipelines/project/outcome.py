"""What came out of a run on a project."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from xnat_pic.errors import NothingUsableError

from ..xnat.outcome import IN_PART

DONE, SKIPPED, LEFT_OUT = "done", "done before", "left out"
PARTLY, FAILED = "done in part", "failed"
_MOST_NAMED = 20


@dataclass(frozen=True)
class SessionResult:
    """What a project keeps of one session. It can be sent to another process.

    Attributes
    ----------
    id, label, subject : str
        The session.
    exit_code : int
        As of `SessionOutcome`.
    failure : str
        Why it failed or was left out; empty where all is done.
    skipped : bool
        All was on the server already.
    rows : tuple of dict
        Of the project table.
    warnings : tuple of str
        Messages for a person.
    seconds : dict of str to float
        Time of each part.
    log : tuple of str
        Last lines of the log, of a session that failed.
    broken : bool
        As of `SessionOutcome`.
    """

    id: str
    label: str
    subject: str
    exit_code: int = 0
    failure: str = ""
    skipped: bool = False
    rows: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    log: tuple[str, ...] = field(default=(), repr=False)
    broken: bool = False

    @property
    def state(self) -> str:
        """``done``, ``done before``, ``done in part``, ``left out`` or ``failed``.

        Left out is a session that holds nothing that serves.
        """
        if self.exit_code == NothingUsableError.exit_code:
            return LEFT_OUT
        if self.exit_code == IN_PART and self.rows:
            return PARTLY
        if self.exit_code:
            return FAILED
        return SKIPPED if self.skipped else DONE


@dataclass(frozen=True)
class ProjectOutcome:
    """What a run made of a project.

    Attributes
    ----------
    project, pipeline : str
        What ran on what.
    exit_code : int
        0 done, 3 nothing usable, 8 in part, else that of what stopped the run.
    failure : str
        What failed, with the names of the sessions; empty where all is done.
    closing : str
        How it went, as text: n of N done.
    total, done, skipped : int
        Sessions that hold something for this pipeline, those wholly done, and those of them that
        were done before.
    failed, partly, left_out : dict of str to str
        Labels of sessions, and why: no value came out, or some, or nothing in them serves.
    resource, folder : str
        Where the table and the page are, in the project.
    seconds : float
        Wall time.
    broken : bool
        A session or the run itself ended with an error. Not so where ROIs were left out of some
        sessions, or nothing in them serves.
    warnings : tuple of str
        Messages for a person, each with its sessions.
    """

    project: str
    pipeline: str
    exit_code: int = 0
    failure: str = ""
    closing: str = ""
    total: int = 0
    done: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    partly: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    resource: str = ""
    folder: str = ""
    seconds: float = 0.0
    broken: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def is_warning(self) -> bool:
        """Whether all that could be done is done, and a person has to know what was left out."""
        return self.exit_code == IN_PART and not self.broken


def summarise(pipeline: str, project: str, results: list[SessionResult]) -> ProjectOutcome:
    """Return the outcome of a run whose sessions have all ended."""
    by_state: dict[str, list[SessionResult]] = {}
    for one in results:
        by_state.setdefault(one.state, []).append(one)
    failed, partly = by_state.get(FAILED, []), by_state.get(PARTLY, [])
    left_out = by_state.get(LEFT_OUT, [])
    skipped = len(by_state.get(SKIPPED, []))
    done = len(by_state.get(DONE, [])) + skipped
    total = done + len(partly) + len(failed)
    text = f"{pipeline} on {project}: {done} of {total} sessions done"
    text += f" ({skipped} of them before)" if skipped else ""
    text += f", {len(partly)} in part" if partly else ""
    text += f", {len(left_out)} left out, as nothing in them serves" if left_out else ""
    closing = f"{text}."
    code, failure = 0, ""
    if failed or partly:
        some = done or any(one.rows for one in results)
        code = IN_PART if some else failed[0].exit_code
        listed = [
            _list_causes(some, word)
            for some, word in ((failed, "Failed"), (partly, "In part"))
            if some
        ]
        failure = f"{text}. {' '.join(listed)}"
        closing = failure
    elif not total:
        code = NothingUsableError.exit_code
        reason = f" {left_out[0].label}: {left_out[0].failure}" if left_out else ""
        failure = f"{project} has no session that serves {pipeline}.{reason}"
        closing = failure
    return ProjectOutcome(
        project, pipeline, code, failure, closing, total, done, skipped,
        {one.label: one.failure for one in failed},
        {one.label: one.failure for one in partly},
        {one.label: one.failure for one in left_out},
        broken=bool(failed) or any(one.broken for one in partly),
    )  # fmt: skip


def _list_causes(failed: list[SessionResult], word: str) -> str:
    """Return which sessions lack something and why; those of one cause share its sentence."""
    causes: dict[str, list[SessionResult]] = {}
    for one in failed:
        causes.setdefault(_cause(one), []).append(one)
    if len(causes) == 1 and len(failed) > 1:
        why = failed[0].failure.rstrip(".")
        return f"{word}, all {len(failed)} for one reason: {why}. They are {_labels(failed)}."
    parts, room = [], _MOST_NAMED
    for alike in causes.values():
        if room <= 0:
            break
        parts.append(f"{_labels(alike, room)} ({alike[0].failure.rstrip('.')})")
        room -= len(alike)
    listed = "; ".join(parts)
    if len(parts) < len(causes):
        rest = sum(len(alike) for alike in list(causes.values())[len(parts) :])
        listed += f"; and {rest} more, which the summary names"
    return f"{word}: {listed}."


def _cause(one: SessionResult) -> str:
    """Return why a session failed, without the names of its own."""
    text = one.failure
    for name in sorted({one.label, one.id, one.subject} - {""}, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "*", text)
    return text


def _labels(alike: list[SessionResult], most: int = _MOST_NAMED) -> str:
    names = [one.label for one in alike[:most]]
    if len(alike) > len(names):
        names.append(f"{len(alike) - len(names)} more, which the summary names")
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]
