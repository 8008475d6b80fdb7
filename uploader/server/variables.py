"""Custom variables on the server: their definitions, and the values of subjects and sessions.

XNAT keeps them twice: as classic fields, which every version has and every client reads, and as the
values of custom forms from 1.8.8 on. Both are written; a form is found by its title.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote
from xml.etree.ElementTree import Element

from xnat_config import definitions, forms
from xnat_config.server.client import XnatClient
from xnat_config.server.errors import RefusedError
from xnat_config.server.paths import data_path
from xnat_config.variables import Variable, Variables
from xnat_pic.errors import ServerError

Definitions = dict[str, dict[str, tuple[str, ...]]]


def read_definitions(client: XnatClient, project: str) -> Definitions:
    """Return what a project defines: allowed values by data type and variable (none: any)."""
    return _definitions(_read_project(client, project))


def _definitions(root: Element) -> Definitions:
    return {
        data_type: {name: one.values for name, one in fields.items()}
        for data_type, fields in definitions.definitions(root).items()
    }


def _read_project(client: XnatClient, project: str) -> Element:
    answer = client.send("GET", data_path("projects", project), params={"format": "xml"})
    try:
        return definitions.parse_project(answer.content)
    except ValueError as error:
        raise ServerError(
            f"The server's document of the project {project} is not what XNAT sends."
        ) from error


def variables_by_type(
    variables: Variables, session_types: Iterable[str]
) -> dict[str, list[Variable]]:
    """Return which variables each data type carries."""
    every = list(variables)
    subject = [one for one in every if one.level == "subject"]
    return {definitions.SUBJECT: subject, **dict.fromkeys(sorted(set(session_types)), every)}


def define_variables(
    client: XnatClient, project: str, variables: Variables, session_types: Iterable[str]
) -> list[str]:
    """Define what a project lacks, in the classic way and as a custom form.

    Returns
    -------
    list of str
        Messages about what was done, and about what could not be.
    """
    wanted = variables_by_type(variables, session_types)
    done = _define_classic(client, project, wanted)
    return done + _define_forms(client, project, variables, wanted)


def _define_classic(
    client: XnatClient, project: str, wanted: Mapping[str, list[Variable]]
) -> list[str]:
    root = _read_project(client, project)
    known = _definitions(root)
    done = []
    for data_type, variables in wanted.items():
        missing = [one for one in variables if one.name not in known.get(data_type, {})]
        if missing:
            definitions.add_fields(root, project, data_type, missing)
            names = ", ".join(one.name for one in missing)
            done.append(f"Defined {names} for {data_type} in {project}.")
    if done:
        document = definitions.to_bytes(root)
        client.send(
            "PUT",
            data_path("projects", project),
            body=lambda: document,
            content_type=definitions.CONTENT_TYPE,
        )
    return done


def find_forms(client: XnatClient, project: str, title: str) -> dict[str, str]:
    """Return the identifier of our form for each data type.

    There is none where the server has no forms, nor where the project has left or disabled it:
    nobody would see its values.
    """
    return {
        one.data_type: one.name
        for one in _listed_forms(client, project, title)
        if (place := one.place_in(project)) is None or place.is_enabled
    }


def _listed_forms(client: XnatClient, project: str, title: str) -> list[forms.Form]:
    found = client.find_json("/xapi/customforms", {"projectId": project})
    return forms.forms_in(found, title)


def _define_forms(
    client: XnatClient,
    project: str,
    variables: Variables,
    wanted: Mapping[str, list[Variable]],
) -> list[str]:
    version = client.version
    if version and version < forms.SINCE:
        return []
    done = []
    known = {one.data_type for one in _listed_forms(client, project, variables.form_title)}
    for data_type, ours in wanted.items():
        if data_type in known:
            continue
        try:
            client.send(
                "PUT",
                "/xapi/customforms/save",
                json=forms.form_document(project, data_type, variables.form_title, ours),
            )
        except RefusedError as refusal:
            if refusal.status not in (404, 405, 501):
                done.append(
                    f"The server keeps no form for {data_type} ({refusal.message}). The classic "
                    "variables hold the same values; an administrator can add the form."
                )
            break
        done.append(f"Made the form '{variables.form_title}' for {data_type} in {project}.")
    return done


def write_values(
    client: XnatClient, item: str, data_type: str, values: Mapping[str, str], *, make: bool = False
) -> None:
    """Set classic variables of an item in one request; an empty value removes one.

    Parameters
    ----------
    item : str
        Address of the subject or session.
    make : bool
        Make the item if it is not there.
    """
    if values or make:
        pairs = [("xsiType", data_type)]
        pairs += [
            (f"{data_type}/fields/field[name={name}]/field", value or "NULL")
            for name, value in values.items()
        ]
        client.send("PUT", item, params=pairs)


def write_form(client: XnatClient, item: str, form: str, values: Mapping[str, str]) -> None:
    """Set values of our form of an item; an empty value removes one.

    Parameters
    ----------
    item : str
        ``projects/P/subjects/S`` and what may follow.
    form : str
        Identifier from `find_forms`.
    """
    if not values:
        return
    path = f"/xapi/custom-fields/{item}/fields"
    before = client.find_json(path)
    kept = forms.as_object(before.get(form)) if isinstance(before, dict) else {}
    kept.update(values)
    client.send("PUT", path, json={form: {k: v for k, v in kept.items() if v}})


def form_item(*parts: str) -> str:
    """Return an item as the forms address it: ``form_item("projects", "P1")``."""
    return "/".join(quote(part, safe="") for part in parts)
