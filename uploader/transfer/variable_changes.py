"""Correct the variables of subjects and sessions that are on the server already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xnat_config.server.client import XnatClient
from xnat_config.server.errors import MissingError
from xnat_config.server.paths import data_path
from xnat_config.site import SiteConfig

from ..deidentification.deidentifier import Deidentifier
from ..findings import Level
from ..planning.journal import Journal
from ..planning.plan import Plan, PlanRow
from ..planning.plan_building import check_plan
from ..server.listing import RemoteSession, read_item, read_sessions, variables_in
from ..server.ownership import undo_advice
from ..server.project import missing_project
from ..server.variables import find_forms, form_item, write_form, write_values
from ..verification.payload import build_payload

_SUBJECT = "xnat:subjectData"
# What is wrong with the files of a row says nothing of whose they are.
_OF_FILES = frozenset({"changed", "damaged", "unreadable", "duplicate-differs", "closed-folder"})


@dataclass(frozen=True)
class VariableChange:
    """One value to write.

    Attributes
    ----------
    subject : str
        Label of the subject.
    session : str
        Label of the session; empty for a value of the subject itself.
    old, new : str
        An empty text is no value.
    """

    row_key: str
    project: str
    subject: str
    session: str
    data_type: str
    name: str
    old: str
    new: str

    @property
    def item(self) -> str:
        """The subject or session as text."""
        return f"session {self.session}" if self.session else f"subject {self.subject}"

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the item's address."""
        above = ("projects", self.project, "subjects", self.subject)
        return (*above, "experiments", self.session) if self.session else above

    def sentence(self) -> str:
        """Return old and new as text."""
        return f"{self.name} of {self.item}: {self.old or '(empty)'} -> {self.new or '(empty)'}"


@dataclass(frozen=True)
class VariableDifferences:
    """What differs between a plan and the server.

    Attributes
    ----------
    absent : tuple of PlanRow
        Rows whose session is not on the server.
    refused : tuple of (PlanRow, str)
        Rows of which nothing is written, each with its reason: a message for each.
    """

    changes: tuple[VariableChange, ...]
    absent: tuple[PlanRow, ...]
    refused: tuple[tuple[PlanRow, str], ...] = ()


def find_changes(
    plan: Plan,
    client: XnatClient,
    config: SiteConfig,
    *,
    clear_empty: bool = False,
    deidentifier: Deidentifier | None = None,
) -> VariableDifferences:
    """Compare the variables of a plan with those on the server. Reads only.

    A row is refused where folder or header say otherwise and nobody confirmed it, where its session
    on the server is another study or another animal's, and where its project is not there.

    Parameters
    ----------
    plan : Plan
        With its sessions.
    clear_empty : bool
        Remove values on the server where the plan's cell is empty; otherwise they stay.
    deidentifier : Deidentifier, optional
        The change of the upload.
    """
    rows = [row for row in check_plan(plan, config).rows if row.include]
    refused = [(row, text) for row in rows for text in _own_errors(row, plan)]
    wrong = {row.key for row, _ in refused}
    sessions: dict[str, dict[str, RemoteSession]] = {}
    absent, found = [], []
    for row in rows:
        if row.key in wrong:
            continue
        try:
            if row.project not in sessions:
                there = read_sessions(client, row.project)
                sessions[row.project] = {one.label.casefold(): one for one in there}
        except MissingError:
            refused.append((row, missing_project(row.project)))
            continue
        session = sessions[row.project].get(row.session.casefold())
        if session is None:
            absent.append(row)
        elif why := _another(row, session, plan, deidentifier):
            refused.append((row, why))
        else:
            found.append((row, session))
    changes = [
        *_of_subjects(client, found, config, clear_empty),
        *_of_sessions(client, found, config, clear_empty),
    ]
    return VariableDifferences(tuple(changes), tuple(absent), tuple(refused))


def _own_errors(row: PlanRow, plan: Plan) -> list[str]:
    """Return why nothing of a row may be written, by the plan and its folder alone."""
    errors = [
        one.message
        for one in row.findings
        if one.level is Level.ERROR and one.code not in _OF_FILES
    ]
    if row.key not in plan.sessions and not errors:
        errors = ["The files of this row are not there, so nobody can tell whose it is."]
    return errors


def _another(
    row: PlanRow, session: RemoteSession, plan: Plan, deidentifier: Deidentifier | None
) -> str:
    """Return why a session on the server is not that of a row; empty where it is."""
    if session.subject.casefold() != row.subject.casefold():
        return (
            f"{session.label} on the server belongs to subject {session.subject}, not "
            f"{row.subject}. {undo_advice(session, row.subject)}"
        )
    study = build_payload(plan.sessions[row.key], deidentifier).study_uid
    if session.study_uid and session.study_uid != study:
        return (
            f"{session.label} on the server is another study than that of this row. Correct the "
            "column session."
        )
    return ""


def _of_subjects(
    client: XnatClient,
    found: list[tuple[PlanRow, RemoteSession]],
    config: SiteConfig,
    clear_empty: bool,
) -> Iterable[VariableChange]:
    # That an animal has one value of each was checked with the plan.
    wanted: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
    for row, session in found:
        values = wanted.setdefault((row.project, session.subject), {})
        for name, value in row.variables.items():
            if config.variables.of_subject(name) and (value or name not in values):
                values[name] = (row.key, value)
    for (project, subject), values in wanted.items():
        there = variables_in(read_item(client, data_path("projects", project, "subjects", subject)))
        for name, (key, value) in values.items():
            old = there.get(name, "")
            if old != value and (value or clear_empty):
                yield VariableChange(key, project, subject, "", _SUBJECT, name, old, value)


def _of_sessions(
    client: XnatClient,
    found: list[tuple[PlanRow, RemoteSession]],
    config: SiteConfig,
    clear_empty: bool,
) -> Iterable[VariableChange]:
    for row, session in found:
        there = variables_in(read_item(client, session.path))
        for name, value in row.variables.items():
            old = there.get(name, "")
            if old != value and (value or clear_empty):
                yield VariableChange(
                    row.key,
                    row.project,
                    session.subject,
                    session.label,
                    session.xsi_type,
                    name,
                    old,
                    value,
                )


def apply_changes(
    client: XnatClient,
    config: SiteConfig,
    changes: Iterable[VariableChange],
    journal: Journal | None = None,
) -> int:
    """Write values, one request for each item, and note each in the journal; return their number.

    Raises
    ------
    XnatPicError
        If the server refuses; what was written before stays and is noted.
    """
    by_item: dict[tuple[str, ...], list[VariableChange]] = {}
    for one in changes:
        by_item.setdefault(one.parts, []).append(one)
    forms: dict[str, dict[str, str]] = {}
    count = 0
    for parts, mine in by_item.items():
        project, data_type = mine[0].project, mine[0].data_type
        if project not in forms:
            forms[project] = find_forms(client, project, config.variables.form_title)
        values = {one.name: one.new for one in mine}
        write_values(client, data_path(*parts), data_type, values)
        if form := forms[project].get(data_type, ""):
            write_form(client, form_item(*parts), form, values)
        for one in mine:
            if journal is not None:
                journal.add_event(one.row_key, "changed", one.sentence())
        count += len(mine)
    return count
