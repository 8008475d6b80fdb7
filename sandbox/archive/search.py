"""Search documents (``xdat:bundle``): which rows of which data type, with which fields.

They are answered by the same queries as the listings. Fields are display fields (shortcuts.toml)
or element paths.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from xml.etree.ElementTree import Element

from . import schema
from .accounts import User
from .columns import Column, resolve, search_columns, search_fields
from .elements import parse
from .listing import Listing
from .refusals import Refused

_VARIABLE = re.compile(r"(?:.*_)?FIELD_MAP=(.+)\Z", re.IGNORECASE)
_COMPARISONS = ("=", "!=", "<>", "<", ">", "<=", ">=", "LIKE", "NOT LIKE")
_NUMBERS = ("xs:integer", "xs:float", "xs:double", "xs:long")


@dataclass
class Search:
    """A search that was read.

    Attributes
    ----------
    columns : dict of str to str
        Names of the listing's columns by the names the answer gives them.
    """

    xsi_type: str
    kind: str
    columns: dict[str, str] = field(default_factory=dict)
    condition: tuple[str, list[str]] = ("", [])

    def listing(self, user: User) -> Listing:
        """Return the listing that answers it."""
        params = [("xsiType", self.xsi_type), ("columns", ",".join(self.columns.values()))]
        return Listing(self.kind, user, params, condition=self.condition)


def read(body: str | bytes) -> Search:
    """Read a search document.

    Raises
    ------
    Refused
        422 for what is no search document; 501 for a type that is not searched here; 400 for a
        field or comparison unknown here.
    """
    root = parse(body)
    if _name(root) not in ("bundle", "stored_search", "search"):
        raise Refused(422, "The document is not a search: send an xdat:bundle.")
    xsi_type = schema.exact_name(_text(root, "root_element_name"))
    kind = schema.family_of(xsi_type)
    if kind == "assessor":
        kind = "experiment"
    if kind not in ("project", "subject", "experiment"):
        raise Refused(501, f"Searches for {xsi_type or 'nothing'} are not served here.")
    found = Search(xsi_type, kind)
    for identifier in search_columns(kind):
        found.columns[identifier.lower()] = search_fields(kind)[identifier]
    for child in root:
        if _name(child) == "search_field":
            key, column = _field(kind, _text(child, "element_name"), _text(child, "field_ID"))
            found.columns.setdefault(key, column)
    parts = [_condition(kind, child) for child in root if _name(child) == "search_where"]
    found.condition = _joined([part for part in parts if part[0]], "AND")
    return found


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(element: Element, name: str) -> str:
    return next((c.text or "" for c in element if _name(c) == name), "").strip()


def _field(kind: str, xsi_type: str, identifier: str) -> tuple[str, str]:
    """Return the answer's key and the listing's column of a field."""
    xsi_type = schema.exact_name(xsi_type)
    prefix = f"{xsi_type}/"
    identifier = identifier.removeprefix(prefix)
    variable = _VARIABLE.match(identifier)
    key = re.sub(r"[^a-z0-9_]", "_", identifier.lower())
    if variable:
        return key, f"{prefix}fields/field[name={variable[1]}]/field"
    family = schema.family_of(xsi_type)
    family = "experiment" if family == "assessor" else family
    short = search_fields(family).get(identifier.upper()) if family in _FAMILIES else None
    if short and family == kind:
        return key, short
    if short:
        return f"{xsi_type.lower().replace(':', '_')}_{key}", f"{prefix}{short}"
    return key, prefix + identifier


_FAMILIES = ("project", "subject", "experiment")


def _condition(kind: str, element: Element) -> tuple[str, list[str]]:
    """Return a set of criteria as SQL with its values."""
    parts = []
    for child in element:
        if _name(child) in ("child_set", "search_where"):
            parts.append(_condition(kind, child))
        elif _name(child) == "criteria":
            parts.append(_criterion(kind, child))
    return _joined([part for part in parts if part[0]], element.get("method", "AND"))


def _joined(parts: list[tuple[str, list[str]]], method: str) -> tuple[str, list[str]]:
    if not parts:
        return "", []
    word = " OR " if method.upper() == "OR" else " AND "
    return (
        "(" + word.join(sql for sql, _ in parts) + ")",
        [value for _, values in parts for value in values],
    )


def _criterion(kind: str, element: Element) -> tuple[str, list[str]]:
    named = _text(element, "schema_field")
    separator = "/" if "/" in named else "."
    xsi_type, _, identifier = named.partition(separator)
    column = resolve(kind, _field(kind, xsi_type, identifier)[1])
    if column is None or column.join:
        raise Refused(400, f"There is no field {named} to search by here.")
    comparison = _text(element, "comparison_type").upper()
    if comparison in ("IS NULL", "IS NOT NULL"):
        sign = "=" if comparison == "IS NULL" else "!="
        return f"COALESCE({column.sql}, '') {sign} ''", list(column.values)
    if comparison not in _COMPARISONS:
        raise Refused(400, f"The comparison {comparison!r} is not served here.")
    return _compared(column, comparison, _text(element, "value"))


def _compared(column: Column, comparison: str, value: str) -> tuple[str, list[str]]:
    sql, mark = column.sql, "?"
    if "LIKE" in comparison:
        value = value.replace("*", "%")
    elif column.type in _NUMBERS:
        sql, mark = f"CAST({sql} AS REAL)", "CAST(? AS REAL)"
    elif column.type in ("xs:date", "xs:dateTime"):
        sql, value = f"substr({sql}, 1, 10)", _iso(value)
    return f"{sql} {comparison} {mark}", [*column.values, value]


def _iso(text: str) -> str:
    """Return MM/DD/YYYY as an ISO date; anything else as it is."""
    try:
        return datetime.strptime(text, "%m/%d/%Y").strftime("%Y-%m-%d")
    except ValueError:
        return text
