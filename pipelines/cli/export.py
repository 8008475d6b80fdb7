"""The command ``xnat-pic-pipelines export``."""

from __future__ import annotations

import re
from pathlib import Path

import click

from xnat_pic.cli import echo_json, exit_code_help, json_option

from .parts import echo_line, end_on_error

_NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
EXIT_CODES = exit_code_help(
    {
        0: "written",
        2: "wrong call, or the folder cannot be written",
    }
)


@click.command("export", epilog=EXIT_CODES)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--bin",
    "location",
    type=click.Path(path_type=Path),
    help="Folder of xnat-pic-pipelines on the engine's machine.  [default: found on its path]",
)
@click.option(
    "--network",
    default="",
    help="Docker's network in which containers find XNAT, such as xnat-pic-processing of "
    "docker-xnat.  [default: Docker's own]",
)
@json_option
def export(folder: Path, location: Path | None, network: str, as_json: bool) -> None:
    """Write what XNAT needs to offer the pipelines: DIR/engine and DIR/containers.

    What is in engine belongs into the catalog folder of the classic pipeline engine; each file in
    containers is a command for the Container Service. Older files of these names are replaced,
    others are left alone.
    """
    from ..catalog.files import write_files

    if location is not None and not location.is_absolute():
        raise click.BadParameter(
            "give a whole path, such as /opt/xnat-pic/bin.", param_hint="--bin"
        )
    if network and not _NETWORK.fullmatch(network):
        raise click.BadParameter("it is no name of a network of Docker.", param_hint="--network")
    with end_on_error():
        written = write_files(folder, str(location or ""), network)
    echo_line(
        f"{len(written)} files are in {folder}. Copy engine/xnat_pic into the catalog"
        " folder of the engine, or add each file of containers to the Container Service."
    )
    if as_json:
        echo_json([path.relative_to(folder).as_posix() for path in written])
