"""Load the tables of this package, with what a site changes in a TOML file of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from xnat_pic.errors import WrongCallError
from xnat_pic.tables import load_table, read_toml

from .kinds import Kinds, kinds_from
from .labels import LabelRules, label_rules_from
from .resources import Resources, resources_from
from .server.connection import settings_folder
from .variables import Variables, variables_from

SITE_VARIABLE = "XNAT_PIC_SITE"
SITE_FILE = "site.toml"

Table = dict[str, Any]
# Lists of tables that a site may extend, with the key that tells one entry from another.
_LISTS = {"variable": "name", "timepoint": "pattern", "kind": "code", "sop_class": "uid"}
_LISTS |= {"side": "label"}
_TABLES = ("form", "characters", "session", "dicom", "raw", "ignored")
_KEYS: dict[str, type | tuple[type, ...]] = {
    "name": str, "title": str, "level": str, "datatype": str, "aliases": list, "values": list,
    "pattern": str, "shown": bool, "replaces": str, "remove": bool, "source": str,
    "unit_days": (int, float), "code": str, "session_type": str, "scan_type": str, "dicom": list,
    "uid": str, "kind": str, "joins": bool, "primary": (bool, str), "pixels": bool,
    "label": str, "suffixes": list,
    "allowed": str, "replacement": str, "max_length": int, "template": str, "when": list,
    "again": str, "secondary": str, "project": str, "session": str, "markers": list, "names": list,
}  # fmt: skip


@dataclass(frozen=True)
class SiteConfig:
    """What this site's XNAT looks like."""

    variables: Variables
    labels: LabelRules
    kinds: Kinds
    resources: Resources


def load_config(site: Path | None = None, environ: Mapping[str, str] = os.environ) -> SiteConfig:
    """Return the configuration.

    Parameters
    ----------
    site : Path, optional
        A TOML file with the same tables as this package's. An entry of a list replaces the fields
        it names in the entry of the same name, or is added; ``replaces = "dose"`` renames,
        ``remove = true`` takes out. Without it the file that the environment variable
        ``XNAT_PIC_SITE`` names counts, or ``site.toml`` in the folder of settings.

    Raises
    ------
    WrongCallError
        If the file cannot be read or holds what means nothing.
    """
    tables = {name: dict(table) for name, table in _packaged().items()}
    named = site or (Path(environ[SITE_VARIABLE]) if environ.get(SITE_VARIABLE) else None)
    path = named or settings_folder(environ) / SITE_FILE
    if named or path.is_file():
        tables = _merge(tables, read_toml(path, "The site's settings"), path)
    return _build(tables, path)


def config_from(table: Mapping[str, Any], path: Path) -> SiteConfig:
    """Return the configuration with the changes of a table; `path` is named in errors.

    Raises
    ------
    WrongCallError
        If the table holds what means nothing.
    """
    tables = {name: dict(entries) for name, entries in _packaged().items()}
    return _build(_merge(tables, dict(table), path), path)


@cache
def _packaged() -> dict[str, Table]:
    merged: dict[str, Table] = {}
    for name in ("variables", "labels", "modalities", "sop_classes", "resources"):
        for key, value in load_table(__package__, f"{name}.toml").items():
            if key in _LISTS:
                merged[key] = {entry[_LISTS[key]]: entry for entry in value}
            else:
                merged[key] = value
    return merged


def _merge(tables: dict[str, Table], site: Table, path: Path) -> dict[str, Table]:
    for key, value in site.items():
        if key in _LISTS:
            if not (isinstance(value, list) and all(isinstance(one, dict) for one in value)):
                raise WrongCallError(f"{path}: write [[{key}]] with two brackets.")
            for entry in value:
                tables[key] = _merge_entry(tables[key], entry, key, path)
        elif key in _TABLES and isinstance(value, dict):
            _check(value, tables[key], f"[{key}]", path)
            tables[key] = {**tables[key], **value}
        elif key in _TABLES:
            raise WrongCallError(f"{path}: write [{key}] on a line of its own.")
        else:
            known = ", ".join(sorted([*_LISTS, *_TABLES]))
            raise WrongCallError(f"{path} has {key!r}, which means nothing. Known: {known}.")
    return tables


def _merge_entry(entries: Table, entry: Table, key: str, path: Path) -> Table:
    by = _LISTS[key]
    name = entry.get(by)
    if not isinstance(name, str):
        raise WrongCallError(f"{path}: every [[{key}]] needs a {by} in quotes.")
    known = {field for one in entries.values() for field in one} | {"replaces", "remove", "values"}
    _check(entry, known | {"pattern", "aliases"} if key == "variable" else known, name, path)
    fields = {k: v for k, v in entry.items() if k not in ("replaces", "remove")}
    old = entry.get("replaces", name)
    if old not in entries and (old != name or entry.get("remove")):
        raise WrongCallError(
            f"{path}: there is no {key} {old!r}. Known: {', '.join(map(repr, entries))}."
        )
    if entry.get("remove"):
        return {k: v for k, v in entries.items() if k != name}
    if old in entries:  # in its place, so that the order stays
        return {(name if k == old else k): ({**v, **fields} if k == old else v)
                for k, v in entries.items()}  # fmt: skip
    if key == "kind":  # the last kind takes everything, so it stays the last
        return {name: fields, **entries}
    return {**entries, name: fields}


def _check(entry: Table, known: Any, where: str, path: Path) -> None:
    for field, value in entry.items():
        if field not in known:
            raise WrongCallError(
                f"{path}: {where} has {field!r}, which means nothing. "
                f"Known: {', '.join(sorted(known))}."
            )
        kind = _KEYS[field]
        wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind in (int,))
        if wrong or (kind is list and not all(isinstance(one, str) for one in value)):
            raise WrongCallError(f"{path}: {where}: {field} has a value of the wrong kind.")


def _build(tables: dict[str, Table], path: Path) -> SiteConfig:
    try:
        variables = variables_from(tables["variable"], tables["timepoint"], tables["form"])
        return SiteConfig(
            variables=variables,
            labels=label_rules_from(tables["characters"], tables["session"], variables.names),
            kinds=kinds_from(tables["kind"], tables["sop_class"]),
            resources=resources_from(
                tables["dicom"], tables["raw"], tables["side"], tables["ignored"]
            ),
        )
    except KeyError as error:
        raise WrongCallError(f"{path}: a new entry lacks the field {error.args[0]!r}.") from error
    except (ValueError, re.error) as error:
        raise WrongCallError(f"{path}: {error}") from error
