"""Whose images these are: what folder and header claim, held against the rows of a plan. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from xnat_config import SiteConfig
from xnat_config.labels import LabelRules

from ..findings import (
    IDENTITY_CONFIRMED,
    IDENTITY_DIFFERS,
    Finding,
    error,
    path_below,
    warning,
)
from ..scanning.layout import PLAIN_TOKENS, SUBJECT, parse_layout
from ..scanning.sessions import Session
from .folder_values import FolderValues, counted_above, read_folder_values, same_name
from .plan import IdentityClaim, PlanRow

CODES = frozenset({IDENTITY_DIFFERS, IDENTITY_CONFIRMED})
SOURCE = "source"


def read_claims(
    root: Path, layout: str, sessions: Sequence[Session], config: SiteConfig
) -> dict[str, IdentityClaim]:
    """Return what folders and headers say of each session, by its key.

    Raises
    ------
    WrongCallError
        If the layout cannot be understood.
    """
    pattern = parse_layout(layout, config.variables)
    above = counted_above(root, sessions, config)
    return {
        one.key: claim_of(one, read_folder_values(one, root, pattern, above, config), root)
        for one in sessions
    }


def claim_of(session: Session, read: FolderValues, root: Path) -> IdentityClaim:
    """Return what the folders of a session, as they were read, and its header say."""
    return IdentityClaim(
        source=path_below(session.source, root),
        subject=read.values.get(SUBJECT, ""),
        patient=session.patient_id,
        variables={name: value for name, value in read.values.items() if name not in PLAIN_TOKENS},
    )


def identity_findings(
    rows: Iterable[PlanRow], claims: Mapping[str, IdentityClaim], rules: LabelRules
) -> dict[str, list[Finding]]:
    """Compare rows with what their folders and headers say, by key of the row.

    A difference keeps its row from being uploaded, until the row's column ``confirmed`` names it;
    what is confirmed stays a warning, so that everybody who looks is told.
    """
    rows = [row for row in rows if row.include]
    animals: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        claim = claims.get(row.key)
        if claim is not None and claim.subject:
            animals[rules.clean(claim.subject).casefold()].add(row.key)
        elif row.subject:
            animals[row.subject.casefold()].add(row.key)
    found: dict[str, list[Finding]] = {}
    for row in rows:
        claim = claims.get(row.key)
        if claim is None:
            continue
        confirmed = confirmed_values(row)
        found[row.key] = [
            _finding(text, statement, statement.casefold() in confirmed)
            for text, statement in _differences(row, claim, rules, animals)
        ]
    return found


def confirm_differences(
    rows: Iterable[PlanRow], claims: Mapping[str, IdentityClaim], names: Iterable[str]
) -> list[PlanRow]:
    """Return rows with what a person stated of them in a table counted as confirmed.

    Parameters
    ----------
    names : iterable of str
        The columns of that table.
    """
    stated = set(names)
    found = []
    for row in rows:
        claim = claims[row.key]
        statements = [
            f"{name}={row.variables[name]}"
            for name, value in claim.variables.items()
            if name in stated and row.variables.get(name, "") not in ("", value)
        ]
        if statements:
            row = replace(row, confirmed="; ".join(statements))
        found.append(row)
    return found


def confirmed_values(row: PlanRow) -> set[str]:
    """Return the statements in the column ``confirmed``, in lower case."""
    parts = row.confirmed.replace("\n", ";").split(";")
    pairs = (part.partition("=") for part in parts if part.strip())
    return {f"{name.strip()}{sign}{value.strip()}".casefold() for name, sign, value in pairs}


def _differences(
    row: PlanRow,
    claim: IdentityClaim,
    rules: LabelRules,
    animals: Mapping[str, set[str]],
) -> Iterable[tuple[str, str]]:
    """Yield each difference as a message, with the statement that confirms it."""
    patient = rules.clean(claim.patient)
    subject = f"subject={row.subject}"
    if claim.subject:
        if not same_name(rules.clean(claim.subject), row.subject):
            yield f"The folder says subject {claim.subject!r}, the plan {row.subject!r}", subject
        elif patient and not same_name(patient, row.subject) and patient.casefold() in animals:
            yield (
                f"The folder says subject {claim.subject!r}, the header of the images "
                f"{claim.patient!r}, which is another animal of this plan",
                subject,
            )
    elif patient and not same_name(patient, row.subject):
        yield (
            f"The header of the images says {claim.patient!r}, the plan subject {row.subject!r}",
            subject,
        )
    for name, value in claim.variables.items():
        planned = row.variables.get(name, "")
        if planned != value:
            yield f"The folder says {name} {value!r}, the plan {planned!r}", f"{name}={planned}"
    if row.source and row.source != claim.source:
        yield f"The files lie in {claim.source}, the plan says {row.source}", SOURCE


def _finding(text: str, statement: str, confirmed: bool) -> Finding:
    if confirmed:
        return warning(IDENTITY_CONFIRMED, f"Confirmed in the plan: {statement}. {text}.")
    return error(
        IDENTITY_DIFFERS,
        f"{text}. Correct the row; or, where the plan is right, write {statement} into its column "
        "confirmed.",
    )
