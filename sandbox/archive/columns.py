"""What a column of an item listing means, as SQL.

A listing is of projects, subjects, experiments (sessions and assessors), scans or
reconstructions. A column is a short name (shortcuts.toml) or ``type/path``; it may belong to the
listed item, to what is above it, or to what is below it, which then gives a row for each.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from xnat_pic.tables import load_table

from . import schema
from .elements import canonical, value_type

_BOOK_KEEPING = {
    "meta/insert_date": "insert_date",
    "meta/insert_user": "insert_user",
    "meta/last_modified": "last_modified",
    "meta/type": "xsi_type",
    "meta/key": "pk",
    "id": "id",
    "label": "label",
    "project": "project",
}
_COUNT = "meta/count/"
_TOLD = {
    "meta/session_label": "session.label",
    "meta/owners": (
        "(SELECT group_concat(login, ' <br/> ') FROM member"
        " WHERE project = own.id AND role = 'Owners')"
    ),
    "meta/access": (
        "COALESCE((SELECT value FROM field"
        " WHERE field.item = own.pk AND field.path = 'accessibility'), 'private')"
    ),
}
_DATES = ("meta/insert_date", "meta/last_modified")
_VARIABLES = "fields/field"
_OF_SCANS = "scans/scan/"


@dataclass(frozen=True)
class Column:
    """A column of a listing.

    Attributes
    ----------
    key : str
        Its name in the answer.
    sql : str
        Expression; `values` are its parameters in order.
    type : str
        XML Schema type of its values.
    join : str
        What it needs below the listed item: a kind of item, ``variables`` or empty.
    """

    key: str
    sql: str
    values: tuple[str, ...]
    type: str
    join: str = ""


@cache
def shortcuts(kind: str) -> dict[str, str]:
    """Return the paths of a kind's short names, by short name."""
    table = _table()[kind]
    found: dict[str, str] = table.get("paths") or _table()["experiment"]["paths"]
    return found


def _table() -> dict[str, Any]:
    return load_table("sandbox.archive", "shortcuts.toml")


def title(kind: str) -> str:
    """Return the title of a kind's listing; most have none."""
    return str(_table()[kind].get("title", ""))


def search_fields(kind: str) -> dict[str, str]:
    """Return the short names that the display fields of searches show, by field ID."""
    found: dict[str, str] = _table()["experiment" if kind == "assessor" else kind]["search"][
        "fields"
    ]
    return found


def search_columns(kind: str) -> list[str]:
    """Return the IDs of the display fields that every search answers with."""
    return list(_table()["experiment" if kind == "assessor" else kind]["search"]["always"])


def default_columns(kind: str, xsi_type: str = "") -> list[str]:
    """Return the columns of a listing that was asked for none, for a type where one is given."""
    found = list(_table()[kind]["default"])
    if kind == "experiment" and xsi_type:
        if schema.is_a(xsi_type, "xnat:subjectAssessorData"):
            found += ["subject_ID", "subject_label"]
        elif schema.is_a(xsi_type, "xnat:imageAssessorData"):
            found += ["session_ID", "session_label"]
    return found


@cache
def _short_names(kind: str) -> dict[str, tuple[str, str]]:
    """Return the short names of a kind by lower-case name and by lower-case path."""
    found = {path.lower(): (name, path) for name, path in reversed(shortcuts(kind).items())}
    return found | {name.lower(): (name, path) for name, path in shortcuts(kind).items()}


def full_path(kind: str, name: str) -> tuple[str, str, str] | None:
    """Return the answer's key, the type and the path of a column; None for an unknown name."""
    if "/" in name and ":" in name.partition("/")[0]:
        xsi_type, _, path = name.partition("/")
        xsi_type = schema.exact_name(xsi_type)
        if not schema.is_known(xsi_type):
            return None
        path = path if path.lower().startswith("meta/") else canonical(xsi_type, path)
        short = _short_names(kind).get(f"{xsi_type}/{path}".lower())
        return (short[0] if short else f"{xsi_type}/{path}".lower()), xsi_type, path
    short = _short_names(kind).get(name.lower())
    if short is None:
        return None
    xsi_type, _, path = short[1].partition("/")
    return short[0], xsi_type, path


def resolve(kind: str, name: str, project: str = "") -> Column | None:
    """Return a column of a listing by its name; None for an unknown one.

    Parameters
    ----------
    kind : str
        What is listed.
    project : str
        The project whose items are listed: shared ones then show their label in it.
    """
    if name.upper() == "URI":
        return None
    found = full_path(kind, name)
    if found is None:
        return None
    key, xsi_type, path = found
    if kind == "experiment" and path.lower().startswith(_OF_SCANS):
        xsi_type, path = "xnat:imageScanData", path[len(_OF_SCANS) :]
    alias, join = _where(kind, xsi_type, path)
    if not alias:
        return None
    values: tuple[str, ...] = ()
    if path.lower().startswith(_VARIABLES) and "[" not in path:
        sql, join = _variables(path), "variables"
    elif project and alias == "own" and (path == "label" or (kind, path) == _SHOWN_AS_OWN):
        sql, values = _in_project(path), (project,)
    else:
        sql, values = _expression(kind, alias, xsi_type, path)
    kind_of_value = "xs:dateTime" if path in _DATES else value_type(xsi_type, path)
    return Column(key, sql, values, kind_of_value, join)


# A session that is shared into a project is listed under its ID; a subject keeps its owner's.
_SHOWN_AS_OWN = ("experiment", "project")


def _where(kind: str, xsi_type: str, path: str) -> tuple[str, str]:
    """Return the table alias that holds a type's values in a listing, and the join it needs."""
    family = schema.family_of(xsi_type)
    listed = "experiment" if kind == "assessor" else kind
    if listed == "experiment" and family in ("experiment", "assessor"):
        return "own", ""
    if family == listed or (listed == "experiment" and family == "assessor"):
        return "own", ""
    above = {
        "subject": {"project": "project"},
        "experiment": {"subject": "subject", "project": "project"},
        "scan": {"experiment": "session", "subject": "subject", "project": "project"},
        "reconstruction": {"experiment": "session", "subject": "subject", "project": "project"},
    }
    if family in above.get(listed, {}):
        return above[listed][family], ""
    below = {"subject": ("experiment",), "experiment": ("scan", "reconstruction")}
    return ("below", family) if family in below.get(listed, ()) else ("", "")


def _variables(path: str) -> str:
    """Return name or value of each custom variable: ``fields/field[name=<name>]/field``."""
    if path.lower().endswith("/name"):
        return "substr(variable.path, 19, length(variable.path) - 25)"
    return "variable.value"


def _in_project(path: str) -> str:
    if path == "project":
        return "?"
    return (
        "COALESCE((SELECT label FROM share WHERE share.item = own.pk AND share.project = ?),"
        " own.label)"
    )


def _expression(kind: str, alias: str, xsi_type: str, path: str) -> tuple[str, tuple[str, ...]]:
    lower = path.lower()
    values: tuple[str, ...] = ()
    if lower == "subject_id":
        sql = "subject.id"
    elif lower in ("image_session_id", "imagesession_id"):
        sql = "session.id"
    elif lower in _TOLD:
        sql = _TOLD[lower]
    elif lower.startswith(_COUNT):
        sql = (
            "(SELECT NULLIF(COUNT(*), 0) FROM item counted WHERE counted.kind = 'experiment'"
            " AND counted.project = own.id AND counted.xsi_type = ?)"
        )
        values = (path.removeprefix(_COUNT),)
    elif lower in _BOOK_KEEPING:
        sql = f"{alias}.{_BOOK_KEEPING[lower]}"
    else:
        sql = f"(SELECT value FROM field WHERE field.item = {alias}.pk AND field.path = ?)"
        return _checked(kind, alias, xsi_type, sql, (path,))
    return _checked(kind, alias, xsi_type, sql, values)


def _checked(
    kind: str, alias: str, xsi_type: str, sql: str, values: tuple[str, ...]
) -> tuple[str, tuple[str, ...]]:
    """Give a value only on rows whose item is of the type that the path names."""
    base = {"subject": "xnat:subjectData", "project": "xnat:projectData"}.get(alias)
    if alias == "session":
        base = "xnat:imageSessionData"
    elif alias == "own":
        base = schema.facts()["kinds"].get("experiment" if kind == "assessor" else kind)
    general = {base, *schema.bases(base or "")}
    if xsi_type in general or (kind in ("experiment", "assessor") and alias == "subject"):
        return sql, values
    names = schema.subtypes(xsi_type)
    if not all(re.fullmatch(r"[\w:]+", name) for name in names):
        return "NULL", ()
    marks = ", ".join(f"'{name}'" for name in names)
    return f"CASE WHEN {alias}.xsi_type IN ({marks}) THEN {sql} END", values
