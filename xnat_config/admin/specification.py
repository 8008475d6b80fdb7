"""What an administrator wants, from one TOML file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xnat_pic.errors import WrongCallError
from xnat_pic.tables import load_table, read_text, read_toml

from ..animals import animal_field, packaged_animals
from ..site import SiteConfig, config_from
from ..variables import DATATYPES, VARIABLE_NAME, Variable

EXAMPLE = "example.toml"
_PROJECT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SESSION_TYPE = re.compile(r"[a-z][A-Za-z0-9]*:[A-Za-z0-9]+SessionData")
_SITE_TABLES = ("variable", "timepoint", "form", "session", "characters")
_KEYS: dict[str, type] = {
    "projects": list, "session_types": list, "classic": bool, "forms": bool, "conventions": bool,
    "pipelines": list, "animal": list,
}  # fmt: skip
_ANIMAL: dict[str, type] = {
    "name": str, "title": str, "datatype": str, "values": list, "source": str, "remove": bool,
}  # fmt: skip


@dataclass(frozen=True)
class InstallationSpec:
    """What should be in place.

    Attributes
    ----------
    config : SiteConfig
        Variables, labels and resources with the file's changes.
    animals : tuple of Variable
        What subjects carry beside the variables of a study.
    pipelines : tuple of str
        Names of the pipelines to offer; empty offers all of the folder.
    """

    projects: tuple[str, ...]
    session_types: tuple[str, ...]
    config: SiteConfig
    animals: tuple[Variable, ...]
    animal_title: str
    classic: bool = True
    forms: bool = True
    conventions: bool = True
    pipelines: tuple[str, ...] = ()


def example_text() -> str:
    """Return an installation file to start from."""
    return read_text(__package__, EXAMPLE)


def load_specification(path: Path, projects: tuple[str, ...] = ()) -> InstallationSpec:
    """Read an installation file; `projects` count in place of those it names.

    Raises
    ------
    WrongCallError
        If it cannot be read or holds what means nothing.
    """
    table = read_toml(path)
    return parse_specification({**table, "projects": list(projects)} if projects else table, path)


def parse_specification(table: Mapping[str, Any], path: Path) -> InstallationSpec:
    """Build a specification from the table of an installation file.

    Raises
    ------
    WrongCallError
        If a key or a value means nothing.
    """
    own = {name: value for name, value in table.items() if name not in _SITE_TABLES}
    _check(own, _KEYS, str(path))
    site = {name: value for name, value in table.items() if name in _SITE_TABLES}
    config = config_from(site, path)
    packaged = packaged_animals()
    animals = _animals(packaged["animal"], own.get("animal", []), path)
    clash = sorted({one.name for one in animals} & set(config.variables.names))
    if clash:
        raise WrongCallError(
            f"{path}: {', '.join(clash)} is both a [[variable]] and an [[animal]]. Remove one."
        )
    return InstallationSpec(
        projects=_names(own, "projects", _PROJECT, path),
        session_types=_names(
            {"session_types": _default_types(), **own}, "session_types", _SESSION_TYPE, path
        ),
        config=config,
        animals=animals,
        animal_title=str(packaged["form"]["title"]),
        classic=own.get("classic", True),
        forms=own.get("forms", True),
        conventions=own.get("conventions", True),
        pipelines=tuple(own.get("pipelines", ())),
    )


def _default_types() -> list[str]:
    found: list[str] = load_table(__package__, EXAMPLE)["session_types"]
    return found


def _names(
    table: Mapping[str, Any], key: str, pattern: re.Pattern[str], path: Path
) -> tuple[str, ...]:
    values = table.get(key, [])
    wrong = [value for value in values if not pattern.fullmatch(value)]
    if wrong or not values:
        what = f"{wrong[0]!r} makes no sense" if wrong else "nothing is named"
        example = json.dumps(load_table(__package__, EXAMPLE)[key])
        raise WrongCallError(f"{path}: {key}: {what}. Write, for example, {key} = {example}")
    return tuple(dict.fromkeys(values))


def _check(table: Mapping[str, Any], known: Mapping[str, type], where: str) -> None:
    for name, value in table.items():
        if name not in known:
            raise WrongCallError(
                f"{where} has {name!r}, which means nothing. Known: "
                f"{', '.join(sorted([*known, *(_SITE_TABLES if known is _KEYS else ())]))}."
            )
        kind = known[name]
        inner = dict if name == "animal" else str
        if not isinstance(value, kind) or (
            isinstance(value, list) and not all(isinstance(one, inner) for one in value)
        ):
            raise WrongCallError(f"{where}: {name} has a value of the wrong kind.")


def _animals(
    packaged: list[dict[str, Any]], changes: list[dict[str, Any]], path: Path
) -> tuple[Variable, ...]:
    tables = {str(one["name"]): one for one in packaged}
    for change in changes:
        _check(change, _ANIMAL, f"{path}: [[animal]]")
        name = change.get("name", "")
        if not VARIABLE_NAME.fullmatch(name):
            raise WrongCallError(
                f"{path}: {name!r} cannot name an [[animal]] field. Use lower-case letters, "
                "digits and _."
            )
        tables[name] = {**tables.get(name, {}), **change}
    kept = [one for one in tables.values() if not one.get("remove")]
    for one in kept:
        if one.get("datatype", "string") not in DATATYPES:
            raise WrongCallError(
                f"{path}: {one['name']}: the datatype {one['datatype']!r} is unknown. Use one of "
                f"{', '.join(DATATYPES)}."
            )
    return tuple(map(animal_field, kept))
