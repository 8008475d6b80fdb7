"""The folder that ``xnat-pic-pipelines export`` writes, as data."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xnat_pic.errors import WrongCallError

ENGINE, CONTAINERS = "engine", "containers"
_LARGEST = 4_000_000


@dataclass(frozen=True)
class Descriptor:
    """A pipeline of the classic engine.

    Attributes
    ----------
    path : str
        Below the engine's catalog folder, such as ``xnat_pic/process_T2.xml``.
    """

    name: str
    path: str
    description: str
    datatype: str


@dataclass(frozen=True)
class Catalog:
    """Pipelines to offer: descriptors of the engine, and commands of the Container Service."""

    descriptors: tuple[Descriptor, ...] = ()
    commands: dict[str, dict[str, Any]] = field(default_factory=dict)


def load_catalog(folder: Path, names: tuple[str, ...] = ()) -> Catalog:
    """Read a folder of pipelines.

    Parameters
    ----------
    names : tuple of str
        The pipelines to take; empty takes all.

    Raises
    ------
    WrongCallError
        If the folder holds none, a file is damaged, or a name is not there.
    """
    descriptors = _descriptors(folder / ENGINE)
    commands = _commands(folder / CONTAINERS)
    if not descriptors and not commands:
        raise WrongCallError(
            f"{folder} holds no pipelines. Write them with: xnat-pic-pipelines export {folder}"
        )
    if names:
        known = {one.name for one in descriptors} | set(commands)
        if missing := [name for name in names if name not in known]:
            raise WrongCallError(
                f"{folder} has no pipeline {', '.join(missing)}. It has: "
                f"{', '.join(sorted(known))}."
            )
        descriptors = [one for one in descriptors if one.name in names]
        # A command for one scan comes along with the pipeline whose name it begins with.
        commands = {
            name: one for name, one in commands.items() if name.removesuffix("_scan") in names
        }
    return Catalog(tuple(descriptors), commands)


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise WrongCallError(f"{path} is too large for a pipeline. Export the folder anew.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongCallError(f"{path} cannot be read. Export the folder anew.") from error


def _descriptors(folder: Path) -> list[Descriptor]:
    found = []
    for path in sorted(folder.rglob("*.xml")) if folder.is_dir() else []:
        text = _read(path)
        try:
            if "<!DOCTYPE" in text:
                raise ElementTree.ParseError
            root = ElementTree.fromstring(text)
        except ElementTree.ParseError as error:
            raise WrongCallError(f"{path} is no valid XML. Export the folder anew.") from error
        if root.tag.rpartition("}")[2] != "Pipeline":
            continue  # the description of a step program
        about = root.find("{*}documentation")
        found.append(
            Descriptor(
                name=(root.findtext("{*}name") or path.stem).strip(),
                path=path.relative_to(folder).as_posix(),
                description=(root.findtext("{*}description") or "").strip(),
                datatype=about.get("appliesTo", "") if about is not None else "",
            )
        )
    return found


def _commands(folder: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            command = json.loads(_read(path))
            name = str(command["name"])
            wrappers = [str(one["name"]) for one in command["xnat"]]
        except (ValueError, KeyError, TypeError) as error:
            raise WrongCallError(f"{path} is no command. Export the folder anew.") from error
        if wrappers:
            found[name] = command
    return found
