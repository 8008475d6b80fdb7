"""Listings of items: one query each, with columns, filters, paging and order."""

import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import schema
from .accounts import User
from .columns import Column, default_columns, full_path, resolve
from .items import Item

# Parameters of a listing that are no filters, also where a column has the same name.
_CONTROLS = frozenset(
    [
        "columns",
        "format",
        "limit",
        "offset",
        "sortby",
        "sortorder",
        "req_format",
        "requested_format",
        "all",
        "recursive",
    ]
)
_ABOVE = {
    "project": "",
    "subject": "LEFT JOIN item project ON project.pk = own.parent",
    "experiment": (
        "LEFT JOIN item parent ON parent.pk = own.parent"
        " LEFT JOIN item session ON session.pk = own.parent AND own.kind = 'assessor'"
        " LEFT JOIN item subject ON subject.pk ="
        " CASE own.kind WHEN 'assessor' THEN parent.parent ELSE own.parent END"
        " LEFT JOIN item project ON project.kind = 'project' AND project.id = own.project"
    ),
    "scan": (
        "LEFT JOIN item session ON session.pk = own.parent"
        " LEFT JOIN item subject ON subject.pk = session.parent"
        " LEFT JOIN item project ON project.kind = 'project' AND project.id = own.project"
    ),
}
_ABOVE["assessor"] = _ABOVE["experiment"]
_ABOVE["reconstruction"] = _ABOVE["scan"]
_GENERAL = "xnat:experimentData"
_VARIABLES = "LEFT JOIN field variable ON variable.item = own.pk AND variable.path LIKE"


@dataclass
class Listing:
    """What is to be listed.

    Attributes
    ----------
    kind : str
        project, subject, experiment, assessor, scan or reconstruction.
    project : Item, optional
        Only what this project owns or has been given a share of.
    parent : Item, optional
        Only what is right below this item.
    condition : (str, list of str)
        A further condition as SQL, with its values.
    params : list of (str, str)
        The request's parameters.
    """

    kind: str
    user: User
    params: Sequence[tuple[str, str]]
    project: Item | None = None
    parent: Item | None = None
    columns: list[str] = field(default_factory=list)
    condition: tuple[str, list[str]] = ("", [])

    def get(self, name: str) -> str:
        """Return a parameter by its name in any letters."""
        return next((value for key, value in self.params if key.lower() == name.lower()), "")


def run(connection: sqlite3.Connection, listing: Listing) -> list[dict[str, Any]]:
    """Return the rows of a listing; its `columns` are then the names, with URI last."""
    xsi_type = _root(listing, schema.exact_name(listing.get("xsiType")))
    shown = _columns(listing, xsi_type)
    conditions, values = _conditions(listing, xsi_type)
    conditions += ["0"] if _is_blind(listing, xsi_type) else []
    filters = _filters(listing)
    joins = {column.join for column in (*shown, *(column for column, _, _ in filters))}
    for condition, told in [(sql, told) for _, sql, told in filters] + [listing.condition]:
        conditions += [condition] if condition else []
        values += told
    selected = ", ".join(f"{column.sql} AS c{i}" for i, column in enumerate(shown))
    query = (
        f"SELECT {selected + ', ' if selected else ''}own.kind AS kind, own.id AS id,"
        f" {_session(listing.kind)} AS session FROM item own {_ABOVE[listing.kind]} {_joins(joins)}"
        f" WHERE {' AND '.join(conditions) or '1'}"
    )
    order, limits = _order(listing, shown), _limits(listing)
    told = [value for column in shown for value in column.values] + values
    rows = connection.execute(query + order + limits, told).fetchall()
    listing.columns = [column.key for column in shown] + ["URI"]
    uri = len(shown)
    return [
        {**{column.key: row[i] for i, column in enumerate(shown)}, "URI": _uri(*row[uri : uri + 3])}
        for row in rows
    ]


def _root(listing: Listing, xsi_type: str) -> str:
    """Return the type that a listing is of: of experiments, the most special type that is named.

    A column or a filter of a more special type than all before it makes the listing one of it.
    """
    if listing.kind != "experiment" or (xsi_type and "," not in xsi_type):
        return xsi_type
    root = _GENERAL
    named = [*_asked(listing), *(name for name, _ in listing.params)]
    for found in (full_path("experiment", name) for name in named if name.lower() not in _CONTROLS):
        if found is not None and found[1] != root and root in schema.bases(found[1]):
            root = found[1]
    return xsi_type if root == _GENERAL else root


def _asked(listing: Listing) -> list[str]:
    return [name.strip() for name in listing.get("columns").split(",") if name.strip()]


def _is_blind(listing: Listing, xsi_type: str) -> bool:
    """Tell whether the rights of a listing of the whole site cannot be seen.

    They are looked up by the first column, which is the ID or leads to nothing; a type that has
    rights of its own needs no such look.
    """
    asked = _asked(listing)
    if listing.kind != "experiment" or listing.project or listing.parent or not asked:
        return False
    found = full_path("experiment", asked[0])
    is_id = asked[0].upper() == "DEFAULT" or (found is not None and found[2] == "ID")
    return not is_id and _is_general(xsi_type)


def _is_general(xsi_type: str) -> bool:
    """Tell whether a type stands for several; those have no rights of their own."""
    return not xsi_type or "," in xsi_type or len(schema.subtypes(xsi_type)) > 1


def _session(kind: str) -> str:
    return "session.id" if kind in ("scan", "reconstruction") else "''"


def _uri(kind: str, identifier: str, session: str) -> str:
    if kind in ("scan", "reconstruction"):
        return f"/data/experiments/{session}/{kind}s/{identifier}"
    return f"/data/{'experiment' if kind == 'assessor' else kind}s/{identifier}"


def _columns(listing: Listing, xsi_type: str) -> list[Column]:
    project = listing.project.id if listing.project else ""
    names: list[str] = []
    for name in _asked(listing) or ["DEFAULT"]:
        if name.upper() == "DEFAULT":
            names += default_columns(listing.kind, xsi_type)
        else:
            names.append(name)
    if listing.kind == "experiment":
        if not (xsi_type and (listing.project or listing.parent)):
            names.append("xsiType")  # pyxnat reads it without asking for it
        if not xsi_type:
            names.append("project")
    found: dict[str, Column] = {}
    for name in names:
        column = resolve(listing.kind, name, project)
        if column is not None:
            found.setdefault(column.key, column)
    return list(found.values())


def _joins(joins: Iterable[str]) -> str:
    """Return the joins to what is below: scans of sessions, sessions of subjects, variables."""
    text = ""
    for join in joins:
        if join == "variables":
            text += f" {_VARIABLES} 'fields/field[name=%'"
        elif join:
            text += f" LEFT JOIN item below ON below.parent = own.pk AND below.kind = '{join}'"
    return text


def _conditions(listing: Listing, xsi_type: str) -> tuple[list[str], list[str]]:
    """Return what restricts the listing by kind, place, type and right."""
    kinds = f"'{listing.kind}'"
    # Those of a project begin at what is done to subjects: assessors are none, unless named.
    if listing.kind == "experiment" and (xsi_type or listing.project is None):
        kinds += ", 'assessor'"
    conditions, values = [f"own.kind IN ({kinds})"], []
    if listing.parent is not None:
        conditions.append(f"own.parent = {int(listing.parent.pk)}")
    if listing.project is not None:
        conditions.append(
            "(own.project = ? OR own.pk IN (SELECT item FROM share WHERE project = ?))"
        )
        values += [listing.project.id] * 2
    if xsi_type:
        names = [name for part in xsi_type.split(",") for name in _subtypes(part)]
        conditions.append(f"own.xsi_type IN ({', '.join('?' for _ in names)})")
        values += names
    if not listing.user.is_admin and listing.parent is None:
        conditions.append(_READABLE)
        values += [listing.user.login] * 2
    return conditions, values


_READABLE = (
    "(own.project IN (SELECT project FROM member WHERE login = ?"
    " UNION SELECT open.id FROM item open JOIN field ON field.item = open.pk"
    " WHERE open.kind = 'project' AND field.path = 'accessibility' AND field.value = 'public')"
    " OR own.pk IN (SELECT item FROM share JOIN member ON member.project = share.project"
    " WHERE member.login = ?))"
)


def _subtypes(name: str) -> tuple[str, ...]:
    exact = schema.exact_name(name.strip())
    return schema.subtypes(exact)


def _filters(listing: Listing) -> list[tuple[Column, str, list[str]]]:
    """Return column, condition and its values of each parameter that names a column."""
    found = []
    project = listing.project.id if listing.project else ""
    for name, value in listing.params:
        if name.lower() in _CONTROLS or name.lower() == "xsitype":
            continue
        if full_path(listing.kind, name) is None:
            continue
        column = resolve(listing.kind, name, project)
        if column is None or not value:
            continue
        parts = [_condition(column, part.strip()) for part in value.split(",")]
        found.append(
            (
                column,
                "(" + " OR ".join(condition for condition, _ in parts) + ")",
                [told for _, values in parts for told in values],
            )
        )
    return found


_RANGED = ("xs:date", "xs:dateTime", "xs:integer", "xs:float", "xs:double", "xs:long")


def _condition(column: Column, value: str) -> tuple[str, list[str]]:
    """Return a condition on a column with its values: equal, like (``*``, ``%``) or in a range."""
    if "*" in value or "%" in value:
        pattern = value.replace("\\", "\\\\").replace("_", "\\_").replace("*", "%")
        return f"{column.sql} LIKE ? ESCAPE '\\'", [*column.values, pattern]
    if column.type in _RANGED:
        return _ranged(column, value)
    return f"{column.sql} = ?", [*column.values, value]


def _ranged(column: Column, value: str) -> tuple[str, list[str]]:
    dates = column.type in ("xs:date", "xs:dateTime")
    low, sign, high = value.partition("-") if value[:1] != "-" else (value, "", "")
    first, last = (_date(t) if dates else _number(t) for t in (low, high if sign else low))
    if first is None or last is None:
        return "0", []
    if dates:
        return f"substr({column.sql}, 1, 10) BETWEEN ? AND ?", [*column.values, first, last]
    sql = f"CAST({column.sql} AS REAL) BETWEEN CAST(? AS REAL) AND CAST(? AS REAL)"
    return sql, [*column.values, first, last]


def _date(text: str) -> str | None:
    """Return MM/DD/YYYY as an ISO date; None for anything else, as XNAT does not match it."""
    try:
        return datetime.strptime(text.strip(), "%m/%d/%Y").strftime("%Y-%m-%d")
    except ValueError:
        return None


def _number(text: str) -> str | None:
    return text.strip() if re.fullmatch(r"\s*[+-]?\d+(\.\d*)?\s*", text) else None


def _order(listing: Listing, shown: Sequence[Column]) -> str:
    keys = {column.key.lower(): i for i, column in enumerate(shown)}
    down = " DESC" if listing.get("sortOrder").upper() == "DESC" else ""
    parts = []
    for name in listing.get("sortBy").split(","):
        found = full_path(listing.kind, name.strip()) if name.strip() else None
        key = found[0] if found else name.strip()
        if key.lower() in keys:
            parts.append(f"c{keys[key.lower()]}{down}")
    return " ORDER BY " + ", ".join([*parts, "own.pk"])


def _limits(listing: Listing) -> str:
    limit, offset = listing.get("limit"), listing.get("offset")
    if not limit.isdecimal() and not offset.isdecimal():
        return ""
    size = int(limit) if limit.isdecimal() else -1
    return f" LIMIT {size} OFFSET {int(offset) if offset.isdecimal() else 0}"
