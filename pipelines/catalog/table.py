"""Read the table of pipelines, ``catalog.toml``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, get_args

from xnat_pic.tables import load_table

InputType = Literal["list", "choice", "text", "boolean"]
Level = Literal["session", "project"]
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True)
class Input:
    """One question of a launch form, and one option of ``xnat-pic-pipelines step``.

    Attributes
    ----------
    name : str
        Of the option and of the parameter, with underscores.
    form : str
        Of the question in the engine's launch form.
    ticks : mapping of str to str
        What the check boxes of that form say, with the choice that each stands for; empty where
        the form has a text field.
    empty : str
        Word of that form for "not given".
    type : str
        ``list`` (comma-separated), ``choice``, ``text`` or ``boolean`` (``true``, ``false``).
    label, help : str
        What people read.
    default : str
        Empty where nothing is handed on.
    choices : tuple of str
        The allowed values of a choice.
    link : str
        Schema link whose values the form offers; empty for none.
    """

    name: str
    form: str
    type: InputType
    label: str
    help: str
    default: str = ""
    choices: tuple[str, ...] = ()
    ticks: Mapping[str, str] = field(default_factory=dict)
    empty: str = ""
    link: str = ""

    @property
    def shown(self) -> tuple[str, ...]:
        """Return what the engine's launch form shows of an input without a link."""
        if self.type == "boolean":
            return ("yes" if self.default == "true" else "no",)
        return tuple(self.ticks) or (self.default or self.empty,)

    @property
    def option(self) -> str:
        """Return the option of the step program, such as ``--skip-echoes``."""
        return "--" + self.name.replace("_", "-")


@dataclass(frozen=True)
class Pipeline:
    """One pipeline.

    Attributes
    ----------
    name, label, description : str
        Identifier, text of the menu, one line.
    level : str
        ``session``, or ``project`` for all its sessions.
    makes : str
        What comes out, as text.
    applies_to : str
        Type of the session that it is started from.
    resource : str
        Label of the resource that takes the results (design, contract G).
    inputs : tuple of Input
        In the order of the form.
    command : str
        What ``xnat-pic-pipelines`` does with a scan: a map's name or ``mask-average``; empty for
        a project pipeline.
    models : mapping
        Models that are a map of another name, such as ``ivim``.
    session : str
        The session pipeline that a project pipeline repeats, else empty.
    measures : str
        What ROIs are measured in: ``maps``, or the ``images`` that they were drawn on.
    """

    name: str
    label: str
    description: str
    level: Level
    makes: str
    applies_to: str
    resource: str
    inputs: tuple[Input, ...]
    command: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    session: str = ""
    measures: Literal["maps", "images"] = "maps"

    def input(self, name: str) -> Input:
        """Return an input by its name.

        Raises
        ------
        KeyError
            Where there is none.
        """
        for one in self.inputs:
            if one.name == name:
                return one
        raise KeyError(name)


@dataclass(frozen=True)
class Catalog:
    """The whole table.

    Attributes
    ----------
    version : str
        Of the table.
    authors, publications : tuple of str
        What descriptors name.
    folder : str
        Of the descriptors below the catalog of an engine.
    program, image : str
        What runs a step, and the container image that holds it.
    pipelines : tuple of Pipeline
        In the order of the menu.
    """

    version: str
    authors: tuple[str, ...]
    publications: tuple[str, ...]
    folder: str
    program: str
    image: str
    pipelines: tuple[Pipeline, ...]

    def pipeline(self, name: str) -> Pipeline:
        """Return a pipeline by its name.

        Raises
        ------
        KeyError
            Where there is none.
        """
        for one in self.pipelines:
            if one.name == name:
                return one
        raise KeyError(name)


@cache
def load_catalog() -> Catalog:
    """Return the table.

    Raises
    ------
    ValueError
        Where the table contradicts itself.
    """
    return read_catalog(load_table("pipelines.catalog", "catalog.toml"))


def read_catalog(table: Mapping[str, Any]) -> Catalog:
    """Return a table that was read as TOML.

    Raises
    ------
    ValueError
        Where the table contradicts itself.
    """
    inputs = {key: _input(key, row) for key, row in table["input"].items()}
    catalog = Catalog(
        version=str(table["version"]),
        authors=tuple(table["authors"]),
        publications=tuple(table["publications"]),
        folder=table["folder"],
        program=table["program"],
        image=table["image"],
        pipelines=tuple(_pipeline(row, inputs) for row in table["pipeline"]),
    )
    _check(catalog)
    return catalog


def _input(key: str, row: Mapping[str, Any]) -> Input:
    name = row.get("name", key)
    return Input(
        name=name,
        form=row.get("form", name),
        type=row["type"],
        label=row["label"],
        help=row["help"],
        default=row.get("default", ""),
        choices=tuple(row.get("choices", ())),
        ticks=dict(row.get("ticks", {})),
        empty=row.get("empty", ""),
        link=row.get("link", ""),
    )


def _pipeline(row: Mapping[str, Any], inputs: Mapping[str, Input]) -> Pipeline:
    listed = tuple(inputs[key] for key in row["inputs"])
    return Pipeline(**{**row, "inputs": listed})


def _check(catalog: Catalog) -> None:
    names = [one.name for one in catalog.pipelines]
    for one in catalog.pipelines:
        where = f"Pipeline {one.name}"
        if not _NAME.fullmatch(one.name) or names.count(one.name) > 1:
            raise ValueError(f"{where} needs a name of letters, digits and _ of its own.")
        if one.level not in get_args(Level):
            raise ValueError(f"{where}: level {one.level!r} is neither session nor project.")
        if (one.level == "project") != (one.session in names) or bool(one.session) == bool(
            one.command
        ):
            raise ValueError(f"{where} needs a command, or the session pipeline it repeats.")
        input_names = [two.name for two in one.inputs]
        if len(set(input_names)) != len(input_names):
            raise ValueError(f"{where} asks twice for one input.")
        for two in one.inputs:
            _check_input(where, two)


def _check_input(where: str, one: Input) -> None:
    if not (_NAME.fullmatch(one.name) and _NAME.fullmatch(one.form)):
        raise ValueError(f"{where}: an input's name has letters, digits and _ only: {one.name!r}.")
    if one.type not in get_args(InputType):
        raise ValueError(f"{where}, {one.name}: type {one.type!r} is unknown.")
    if (one.type == "choice") != bool(one.choices) or (one.type == "list") != bool(one.link):
        raise ValueError(f"{where}, {one.name}: choices, link and type contradict each other.")
    allowed = {"boolean": ("true", "false"), "choice": one.choices}.get(one.type)
    if allowed is not None and one.default not in allowed:
        raise ValueError(f"{where}, {one.name}: the default {one.default!r} is no choice.")
    if one.choices and one.default != one.choices[0]:
        raise ValueError(f"{where}, {one.name}: forms begin with the first choice: the default.")
    _check_form(f"{where}, {one.name}", one)


def _check_form(where: str, one: Input) -> None:
    """Check what the engine's form shows, where a comma divides values."""
    boxes = one.choices if len(one.choices) > 2 else ()
    if tuple(one.ticks.values()) != boxes:
        raise ValueError(f"{where}: ticks are for choices of three or more, in their order.")
    if bool(one.empty) != (one.type == "text" and not one.default):
        raise ValueError(f"{where}: a text needs a default, or a word for none.")
    for word in () if one.link else one.shown:
        if not word or re.search(r"[\s,^]", word):
            raise ValueError(f"{where}: {word!r} is no single word for a form.")
