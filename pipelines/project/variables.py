"""Group, timepoint and dose of a session, as the server holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from xnat_config.server.client import XnatClient
from xnat_config.server.paths import data_path
from xnat_config.variables import Variables
from xnat_pic.errors import LoginError, XnatPicError


def session_variables(
    client: XnatClient, project: str, session: str, names: Variables
) -> dict[str, str]:
    """Return the value of each variable of a session; empty where it has none.

    Of the session's own classic fields, else of its custom form, else, for variables that belong
    to the subject, of the subject's.

    Parameters
    ----------
    client : XnatClient
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
    item = client.item(data_path("experiments", session))
    found = classic(item)
    wanted = names.names
    if any(not found.get(name) for name in wanted):
        _add(found, _forms(client, f"projects/{quote(project)}/experiments/{quote(session)}"))
    subject = str(item.get("data_fields", {}).get("subject_ID", ""))
    of_subject = [name for name in wanted if names.of_subject(name)]
    if subject and any(not found.get(name) for name in of_subject):
        theirs = classic(client.item(data_path("subjects", subject)))
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


def _forms(client: XnatClient, item: str) -> dict[str, str]:
    """Return the values of an item's custom forms; none on a server without forms."""
    try:
        return of_forms(client.json(f"/xapi/custom-fields/{item}/fields"))
    except LoginError:
        raise
    except XnatPicError:
        return {}


def _add(found: dict[str, str], more: Mapping[str, str]) -> None:
    for name, value in more.items():
        if value and not found.get(name):
            found[name] = value


def _listed(value: Any) -> list[dict[str, Any]]:
    rows: Iterable[Any] = value if isinstance(value, list) else ()
    return [row for row in rows if isinstance(row, dict)]
