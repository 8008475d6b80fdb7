"""Correct the variables of subjects and sessions that are on the server already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xnat_config.server.client import XnatClient
from xnat_config.server.paths import data_path
from xnat_config.site import SiteConfig

from ..errors import RowError
from ..planning.journal import Journal
from ..planning.plan import Plan, PlanRow
from ..server.listing import RemoteSession, read_item, read_sessions, variables_in
from ..server.variables import find_forms, form_item, write_form, write_values

_SUBJECT = "xnat:subjectData"


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
    """

    changes: tuple[VariableChange, ...]
    absent: tuple[PlanRow, ...]


def find_changes(
    plan: Plan, client: XnatClient, config: SiteConfig, *, clear_empty: bool = False
) -> VariableDifferences:
    """Compare the variables of a plan with those on the server. Reads only.

    Parameters
    ----------
    clear_empty : bool
        Remove values on the server where the plan's cell is empty; otherwise they stay.

    Raises
    ------
    RowError
        If two rows give one subject different values, or a session is another subject's.
    """
    rows = [row for row in plan.rows if row.include]
    sessions = {
        project: {one.label.casefold(): one for one in read_sessions(client, project)}
        for project in dict.fromkeys(row.project for row in rows)
    }
    absent, found = [], []
    for row in rows:
        session = sessions[row.project].get(row.session.casefold())
        if session is None:
            absent.append(row)
            continue
        if session.subject.casefold() != row.subject.casefold():
            raise RowError(
                "subject-elsewhere",
                f"{row.session} on the server belongs to {session.subject}, not {row.subject}.",
                hint="Correct the subject in the plan.",
            )
        found.append((row, session))
    changes = [
        *_of_subjects(client, found, config, clear_empty),
        *_of_sessions(client, found, config, clear_empty),
    ]
    return VariableDifferences(tuple(changes), tuple(absent))


def _of_subjects(
    client: XnatClient,
    found: list[tuple[PlanRow, RemoteSession]],
    config: SiteConfig,
    clear_empty: bool,
) -> Iterable[VariableChange]:
    wanted: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
    for row, session in found:
        values = wanted.setdefault((row.project, session.subject), {})
        for name, value in row.variables.items():
            if not config.variables.of_subject(name):
                continue
            before = values.setdefault(name, (row.key, value))[1]
            if before and value and before != value:
                raise RowError(
                    "subject-variable-differs",
                    f"The plan gives {session.subject} two values of {name}: {before} and {value}.",
                    hint="An animal has one; correct the plan.",
                )
            if value:
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
