"""The command ``xnat-pic-pipelines``."""

from __future__ import annotations

import click

from .export import export
from .fair import fair
from .maps import EXIT_CODES, map_group
from .regions import mask_average
from .step import run_command, step


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(package_name="xnat-pic", prog_name="xnat-pic-pipelines")
def main() -> None:
    """Make maps from images, with their uncertainty."""


for _command in (map_group, mask_average, fair, step, run_command, export):
    main.add_command(_command)
