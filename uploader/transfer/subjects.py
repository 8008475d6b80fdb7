"""Make the project and its subjects, one by one, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable

from xnat_config.server.client import XnatClient
from xnat_config.server.errors import RefusedError
from xnat_config.server.paths import data_path

from ..errors import RowError
from ..planning.plan import PlanRow
from ..server.listing import RemoteSubject, read_subjects
from ..server.ownership import subject_made
from ..server.variables import define_variables, find_forms, form_item, write_form, write_values
from .jobs import UploadContext

_SUBJECT = "xnat:subjectData"


def ensure_project(context: UploadContext, project: str, rows: Iterable[PlanRow]) -> None:
    """Make a project where it is missing, and define the variables that it lacks.

    Raises
    ------
    RowError
        If the server does not let us.
    """
    client = context.client
    types = {context.config.kinds.by_code[row.modality].session_type for row in rows}
    try:
        if not client.exists(data_path("projects", project)):
            client.send(
                "PUT",
                data_path("projects", project),
                params={"xsiType": "xnat:projectData", "xnat:projectData/name": project},
            )
            context.journal.add_event("", "made", f"Made the project {project}.")
        for message in define_variables(client, project, context.config.variables, types):
            context.journal.add_event("", "made", message)
    except RefusedError as refusal:
        raise RowError(
            "no-permission",
            f"The project {project} cannot be made ready: {refusal.message}",
            hint="Ask an administrator for it, or choose another project.",
        ) from refusal


def ensure_subjects(context: UploadContext, project: str, rows: list[PlanRow]) -> dict[str, str]:
    """Make the subjects of a project's rows, and fill in their empty variables.

    Returns
    -------
    dict of str to str
        Message by row key, for rows whose subject could not be made.
    """
    config, client = context.config, context.client
    names = [one.name for one in config.variables if one.level == "subject"]
    known = {one.label.casefold(): one for one in read_subjects(client, project, names)}
    form = find_forms(client, project, config.variables.form_title).get(_SUBJECT, "")
    failed: dict[str, str] = {}
    for subject in dict.fromkeys(row.subject for row in rows):
        mine = [row for row in rows if row.subject == subject]
        values = {
            name: next((row.variables[name] for row in mine if row.variables.get(name)), "")
            for name in names
        }
        try:
            _ensure_subject(client, project, subject, known.get(subject.casefold()), values, form)
        except RefusedError as refusal:
            message = f"The subject {subject} cannot be written: {refusal.message}"
            failed |= dict.fromkeys((row.key for row in mine), message)
        else:
            if subject.casefold() not in known:
                context.journal.add_event("", "made", subject_made(project, subject))
    return failed


def _ensure_subject(
    client: XnatClient,
    project: str,
    subject: str,
    known: RemoteSubject | None,
    values: dict[str, str],
    form: str,
) -> None:
    label = known.label if known else subject
    path = data_path("projects", project, "subjects", label)
    before = known.variables if known else {}
    # What the server has stays: a contradiction was found by check, and set-variables corrects.
    filled = {name: value for name, value in values.items() if value and not before.get(name)}
    write_values(client, path, _SUBJECT, filled, make=known is None)
    if form:
        write_form(client, form_item("projects", project, "subjects", label), form, filled)
