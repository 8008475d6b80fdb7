"""The form that a pipeline or a container command asks its users to fill in."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from .. import schema_links
from ..catalogue import ProjectPipeline, SitePipeline
from ..commands import Wrapper
from ..descriptors import Input
from ..http import Call
from ..items import Item
from ..schema_links import Choice


@dataclass(frozen=True)
class Field:
    """One question of a form.

    Attributes
    ----------
    kind : str
        ``ticks`` (several of the choices), ``choice`` (one of them) or ``text``.
    values : tuple of str
        What is ticked, chosen or written at first.
    """

    name: str
    description: str
    kind: str
    choices: tuple[Choice, ...]
    values: tuple[str, ...]
    required: bool = False


def pipeline_fields(
    connection: sqlite3.Connection, one: ProjectPipeline, site: SitePipeline, session: Item
) -> list[Field]:
    """Return the questions of a pipeline's descriptor, answered as far as the session can."""
    return [
        _pipeline_field(connection, asked, one.defaults.get(asked.name, ""), session)
        for asked in site.descriptor.inputs
    ]


def _pipeline_field(
    connection: sqlite3.Connection, asked: Input, default: str, session: Item
) -> Field:
    name, description = asked.name, asked.description
    if asked.schema_link:
        found = tuple(schema_links.resolve(connection, session, asked.schema_link))
        if "/scans/scan/" in asked.schema_link or len(found) > 1:
            ticked = tuple(default.split(",")) if default else ()
            return Field(name, description, "ticks", found, ticked)
        values = (found[0].value,) if found else (default,)
        return Field(name, description, "text", (), values)
    if len(asked.choices) > 1:
        choices = tuple(Choice(value, "") for value in asked.choices)
        return Field(name, description, "choice", choices, (default or asked.choices[0],))
    values = (default or (asked.choices[0] if asked.choices else ""),)
    return Field(name, description, "text", (), values)


def wrapper_fields(wrapper: Wrapper) -> list[Field]:
    """Return the questions of a command; what its root input provides is not asked."""
    fields = []
    for one in wrapper.command.get("inputs") or []:
        name = str(one.get("name"))
        fed = any(
            name == other.get("provides-value-for-command-input")
            for other in (
                *wrapper.external_inputs,
                *(wrapper.about.get("derived-inputs") or []),
            )
        )
        if not fed:
            fields.append(_wrapper_field(name, one))
    return fields


def _wrapper_field(name: str, one: Mapping[str, object]) -> Field:
    default = one.get("default-value")
    value = "" if default is None else str(default)
    description = str(one.get("description") or one.get("label") or "")
    required = bool(one.get("required"))
    listed = one.get("select-values")
    if one.get("type") == "boolean":
        value = "true" if value.lower() == "true" else "false"
        both = (Choice("true", "yes"), Choice("false", "no"))
        return Field(name, description, "choice", both, (value,), required)
    if isinstance(listed, list) and listed:
        choices = tuple(
            Choice(str(two["value"]), str(two.get("label") or ""))
            if isinstance(two, dict)
            else Choice(str(two), "")
            for two in listed
        )
        kind = "ticks" if one.get("type") == "select-many" else "choice"
        return Field(name, description, kind, choices, (value,) if value else (), required)
    return Field(name, description, "text", (), (value,), required)


def answers(call: Call, fields: list[Field]) -> dict[str, list[str]]:
    """Return what a sent form holds, by question; empty answers are left out."""
    found = {field.name: [value for value in call.all(field.name) if value] for field in fields}
    return {name: values for name, values in found.items() if values}
