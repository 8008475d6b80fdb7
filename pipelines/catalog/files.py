"""The generated files: which there are, what they hold, where they lie.

``python -m pipelines.catalog.files`` writes them beside the table.
"""

from __future__ import annotations

from pathlib import Path

from xnat_pic.files import write_file

from . import container_commands, descriptors
from .table import Catalog, load_catalog

ENGINE, CONTAINERS = "engine", "containers"


def generate_files(catalog: Catalog, location: str = "", network: str = "") -> dict[str, str]:
    """Return the content of every generated file by its relative path.

    Parameters
    ----------
    catalog : Catalog
        The table.
    location : str
        Folder of the step program for the engine; empty where it is on the path.
    network : str
        Docker's network for containers that speak with the server; empty is its default one.
    """
    folder = f"{ENGINE}/{catalog.folder}"
    resources = f"{folder}/{descriptors.RESOURCES}"
    content = {f"{resources}/{descriptors.MAKE_FOLDERS}.xml": descriptors.make_folders()}
    for one in catalog.pipelines:
        content[f"{folder}/{one.name}.xml"] = descriptors.descriptor(catalog, one)
        content[f"{resources}/{one.name}_step.xml"] = descriptors.resource(catalog, one, location)
        content[f"{CONTAINERS}/{one.name}.json"] = container_commands.as_json(
            container_commands.command(catalog, one, network)
        )
        if one.level == "session" and one.command != "mask-average":
            content[f"{CONTAINERS}/{one.name}{container_commands.SCAN}.json"] = (
                container_commands.as_json(container_commands.scan_command(catalog, one))
            )
    return content


def write_files(folder: Path, location: str = "", network: str = "") -> list[Path]:
    """Write every generated file below a folder, each complete or not at all.

    Parameters
    ----------
    location, network : str
        As of `generate_files`.

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
    for name, text in generate_files(load_catalog(), location, network).items():
        written.append(write_file(folder / name, text))
    return written


if __name__ == "__main__":
    write_files(Path(__file__).parent)
