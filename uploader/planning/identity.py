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

UNUSED = "identity-unused"
CODES = frozenset({IDENTITY_DIFFERS, IDENTITY_CONFIRMED, UNUSED})
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
    rows = [row for row in rows if row.include and row.key in claims]
    animals = _Animals(rows, claims, rules)
    return {
        row.key: _row_findings(row, list(_differences(row, claims[row.key], rules, animals)))
        for row in rows
    }


def _row_findings(row: PlanRow, differences: Sequence[tuple[str, str]]) -> list[Finding]:
    whole, parts = confirmed_values(row)
    statements = {statement.casefold() for _, statement in differences}
    found = [
        _finding(text, statement, statement.casefold() in parts | {whole})
        for text, statement in differences
    ]
    unused = set() if whole in statements else parts - statements
    if unused:
        named = ", ".join(sorted(unused))
        message = f"The column confirmed says {named}: nothing of this row differs so."
        found.append(warning(UNUSED, message))
    return found


class _Animals:
    """The animals of a plan, by the names that folders, headers and rows give them."""

    def __init__(
        self, rows: Sequence[PlanRow], claims: Mapping[str, IdentityClaim], rules: LabelRules
    ) -> None:
        self.names: set[str] = set()
        self._patients: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            claim = claims[row.key]
            folder = rules.clean(claim.subject).casefold()
            self.names |= {folder or row.subject.casefold()} - {""}
            self._patients[folder].add(rules.clean(claim.patient).casefold())

    def is_another(self, folder: str, patient: str) -> bool:
        """Tell whether a header names another animal than its folder.

        So it does where it has the name of another one, or where other images in the folder have
        the folder's name and these have none that begins alike.
        """
        folder, patient = folder.casefold(), patient.casefold()
        alike = patient.startswith(folder) or folder.startswith(patient)
        return patient in self.names or (not alike and folder in self._patients[folder])


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


def confirmed_values(row: PlanRow) -> tuple[str, set[str]]:
    """Return the column ``confirmed`` as one statement and as several, in lower case."""
    text = row.confirmed.replace("\n", ";")
    return _statement(text), {_statement(part) for part in text.split(";") if part.strip()}


def _statement(text: str) -> str:
    name, sign, value = text.partition("=")
    return f"{name.strip()}{sign}{value.strip()}".casefold()


def _differences(
    row: PlanRow,
    claim: IdentityClaim,
    rules: LabelRules,
    animals: _Animals,
) -> Iterable[tuple[str, str]]:
    """Yield each difference as a message, with the statement that confirms it."""
    patient = rules.clean(claim.patient)
    subject = f"subject={row.subject}"
    if not row.subject:
        pass  # an error of its own
    elif claim.subject:
        if not same_name(rules.clean(claim.subject), row.subject):
            yield f"The folder says subject {claim.subject!r}, the plan {row.subject!r}", subject
        elif (
            patient
            and not same_name(patient, row.subject)
            and animals.is_another(rules.clean(claim.subject), patient)
        ):
            yield (
                f"The folder says subject {claim.subject!r}, the header of the images "
                f"{claim.patient!r}, which is another animal",
                subject,
            )
    elif patient and not same_name(patient, row.subject):
        yield (
            f"The header of the images says {claim.patient!r}, the plan subject {row.subject!r}",
            subject,
        )
    elif other := _other_level(row, claim, rules, animals):
        yield f"The files lie in a folder {other!r}, the plan says {row.subject!r}", subject
    for name, value in claim.variables.items():
        planned = row.variables.get(name, "")
        if planned != value:
            yield f"The folder says {name} {value!r}, the plan {planned!r}", f"{name}={planned}"
    if row.source and row.source != claim.source:
        yield f"The files lie in {claim.source}, the plan says {row.source}", SOURCE


def _other_level(row: PlanRow, claim: IdentityClaim, rules: LabelRules, animals: _Animals) -> str:
    """Return a folder level with the name of another animal of the plan, where none has its own."""
    levels = {rules.clean(level).casefold(): level for level in claim.source.split("/")}
    if row.subject.casefold() in levels:
        return ""
    return next((level for name, level in levels.items() if name in animals.names), "")


def _finding(text: str, statement: str, confirmed: bool) -> Finding:
    if confirmed:
        return warning(IDENTITY_CONFIRMED, f"Confirmed in the plan: {statement}. {text}.")
    return error(
        IDENTITY_DIFFERS,
        f"{text}. Correct the row; or, where the plan is right, write {statement} into its column "
        "confirmed.",
    )
