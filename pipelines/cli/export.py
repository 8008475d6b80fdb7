"""The command ``xnat-pic-pipelines export``."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import click

from xnat_pic.cli import PATH, echo_json, exit_code_help, json_option

from ..catalog.container_commands import DEFAULT_OPTIONS, ContainerOptions
from .parts import echo_line, end_on_error

_MEMORY = click.IntRange(min=0, max=1 << 24)
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
@click.option(
    "--reserve-memory",
    type=_MEMORY,
    default=DEFAULT_OPTIONS.reserve_memory,
    show_default=True,
    help="MiB that a container is given; 0 leaves it to Docker.",
)
@click.option(
    "--limit-memory",
    type=_MEMORY,
    default=DEFAULT_OPTIONS.limit_memory,
    show_default=True,
    help="MiB that a container may not exceed; 0 for no limit.",
)
@click.option(
    "--limit-cpu",
    type=click.FloatRange(min=0, max=1024),
    default=DEFAULT_OPTIONS.limit_cpu,
    show_default=True,
    help="Processors that a container may keep busy, no more than the host has; 0 for no limit.",
)
@click.option(
    "--ca-bundle",
    type=PATH,
    help="PEM file with the certificates of the site's own authority, which containers trust, too.",
)
@click.option(
    "--without-dcmrtstruct2nii",
    is_flag=True,
    help="Do not ask for the rasterizer: dcmrtstruct2nii is not installed where the steps run.",
)
@json_option
def export(
    folder: Path,
    location: Path | None,
    network: str,
    ca_bundle: Path | None,
    without_dcmrtstruct2nii: bool,
    as_json: bool,
    **limits: Any,
) -> None:
    """Write what XNAT needs to offer the pipelines: DIR/engine and DIR/containers.

    What is in engine belongs into the catalog folder of the classic pipeline engine; each file in
    containers is a command for the Container Service. Older files of these names are replaced,
    others are left alone.
    """
    from xnat_config.server.certificates import read_certificates

    from ..catalog.files import without_input, write_files
    from ..catalog.table import load_catalog

    if location is not None and not location.is_absolute():
        raise click.BadParameter(
            "give a whole path, such as /opt/xnat-pic/bin.", param_hint="--bin"
        )
    if network and not _NETWORK.fullmatch(network):
        raise click.BadParameter("it is no name of a network of Docker.", param_hint="--network")
    if math.isnan(limits["limit_cpu"]):
        raise click.BadParameter("it is no number.", param_hint="--limit-cpu")
    if 0 < limits["limit_memory"] < limits["reserve_memory"]:
        raise click.BadParameter("it is below --reserve-memory.", param_hint="--limit-memory")
    catalog = load_catalog()
    if without_dcmrtstruct2nii:
        catalog = without_input(catalog, "rasterizer")
    with end_on_error():
        certificates = read_certificates(ca_bundle) if ca_bundle else ""
        containers = ContainerOptions(network=network, certificates=certificates, **limits)
        written = write_files(folder, str(location or ""), containers, catalog)
    echo_line(
        f"{len(written)} files are in {folder}. Copy engine/xnat_pic into the catalog"
        " folder of the engine, or add each file of containers to the Container Service."
    )
    if as_json:
        echo_json([path.relative_to(folder).as_posix() for path in written])
