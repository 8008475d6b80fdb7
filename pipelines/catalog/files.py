"""The generated files: which there are, what they hold, where they lie.

``python -m pipelines.catalog.files`` writes them beside the table.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from xnat_pic.files import write_file

from . import container_commands, descriptors
from .container_commands import DEFAULT_OPTIONS, ContainerOptions
from .table import Catalog, load_catalog

ENGINE, CONTAINERS = "engine", "containers"


def generate_files(
    catalog: Catalog, location: str = "", containers: ContainerOptions = DEFAULT_OPTIONS
) -> dict[str, str]:
    """Return the content of every generated file by its relative path.

    Parameters
    ----------
    catalog : Catalog
        The table.
    location : str
        Folder of the step program for the engine; empty where it is on the path.
    containers : ContainerOptions
        What the site decides about its containers.
    """
    folder = f"{ENGINE}/{catalog.folder}"
    resources = f"{folder}/{descriptors.RESOURCES}"
    content = {f"{resources}/{descriptors.MAKE_FOLDERS}.xml": descriptors.make_folders()}
    for one in catalog.pipelines:
        content[f"{folder}/{one.name}.xml"] = descriptors.descriptor(catalog, one)
        content[f"{resources}/{one.name}_step.xml"] = descriptors.resource(catalog, one, location)
        content[f"{CONTAINERS}/{one.name}.json"] = container_commands.as_json(
            container_commands.command(catalog, one, containers)
        )
        if one.level == "session" and one.command != "mask-average":
            content[f"{CONTAINERS}/{one.name}{container_commands.SCAN}.json"] = (
                container_commands.as_json(
                    container_commands.scan_command(catalog, one, containers)
                )
            )
    return content


def without_input(catalog: Catalog, name: str) -> Catalog:
    """Return a table whose pipelines do not ask for an input: the step takes its default."""
    fewer = tuple(
        replace(pipe, inputs=tuple(one for one in pipe.inputs if one.name != name))
        for pipe in catalog.pipelines
    )
    return replace(catalog, pipelines=fewer)


def write_files(
    folder: Path,
    location: str = "",
    containers: ContainerOptions = DEFAULT_OPTIONS,
    catalog: Catalog | None = None,
) -> list[Path]:
    """Write every generated file below a folder, each complete or not at all.

    Parameters
    ----------
    location, containers
        As of `generate_files`.
    catalog : Catalog, optional
        The table, where it is not the packaged one.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    OSError
        Where the folder cannot be written.
    """
    written = []
    for name, text in generate_files(catalog or load_catalog(), location, containers).items():
        written.append(write_file(folder / name, text))
    return written


if __name__ == "__main__":
    write_files(Path(__file__).parent)
