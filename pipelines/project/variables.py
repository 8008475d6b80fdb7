"""Group, timepoint and dose of a session, as the server holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from xnat_config.variables import Variables

from ..errors import PipelineError
from ..xnat.client import Client, path_of
from ..xnat.errors import LoginError


def session_variables(
    client: Client, project: str, session: str, names: Variables
) -> dict[str, str]:
    """Return the value of each variable of a session; empty where it has none.

    Of the session's own classic fields, else of its custom form, else, for variables that belong
    to the subject, of the subject's.

    Parameters
    ----------
    client : Client
        The server.
    project, session : str
        Project, and ID of the session.
    names : Variables
        Of the site.

    Raises
    ------
    ServerError, LoginError
        Where the session cannot be read.
    """
    item = _item(client, path_of("experiments", session))
    found = classic(item)
    wanted = names.names
    if any(not found.get(name) for name in wanted):
        _add(found, _forms(client, f"projects/{quote(project)}/experiments/{quote(session)}"))
    subject = str(item.get("data_fields", {}).get("subject_ID", ""))
    of_subject = [name for name in wanted if names.of_subject(name)]
    if subject and any(not found.get(name) for name in of_subject):
        theirs = classic(_item(client, path_of("subjects", subject)))
        _add(theirs, _forms(client, f"projects/{quote(project)}/subjects/{quote(subject)}"))
        _add(found, {name: theirs.get(name, "") for name in of_subject})
    return {name: found.get(name, "") for name in wanted}


def classic(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the classic custom variables of an item by their names in lower case."""
    found = {}
    for group in _listed(item.get("children")):
        if group.get("field") != "fields/field":
            continue
        for child in _listed(group.get("items")):
            values = child.get("data_fields")
            if isinstance(values, dict) and values.get("name"):
                found[str(values["name"]).lower()] = str(values.get("field", "")).strip()
    return found


def of_forms(content: Any) -> dict[str, str]:
    """Return the plain values of an item's custom forms by their names in lower case."""
    found: dict[str, str] = {}
    for values in content.values() if isinstance(content, dict) else ():
        for name, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, str | int | float):
                found.setdefault(str(name).lower(), str(value).strip())
    return found


def _forms(client: Client, item: str) -> dict[str, str]:
    """Return the values of an item's custom forms; none on a server without forms."""
    try:
        answer = client.request("GET", f"/xapi/custom-fields/{item}/fields")
        return of_forms(answer.json())
    except LoginError:
        raise
    except (PipelineError, ValueError):
        return {}


def _item(client: Client, path: str) -> dict[str, Any]:
    answer = client.request("GET", path, params={"format": "json"})
    try:
        items = _listed(answer.json().get("items"))
    except (ValueError, AttributeError):
        return {}
    return items[0] if items else {}


def _add(found: dict[str, str], more: Mapping[str, str]) -> None:
    for name, value in more.items():
        if value and not found.get(name):
            found[name] = value


def _listed(value: Any) -> list[dict[str, Any]]:
    rows: Iterable[Any] = value if isinstance(value, list) else ()
    return [row for row in rows if isinstance(row, dict)]
