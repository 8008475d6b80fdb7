"""The command ``xnat-pic-pipelines``."""

from __future__ import annotations

from xnat_pic.cli import command_group

from .export import export
from .fair import fair
from .maps import EXIT_CODES, map_group
from .parts import PROGRAM
from .regions import mask_average
from .step import run_command, step
from .warm import warm


@command_group(PROGRAM, EXIT_CODES)
def main() -> None:
    """Make maps from images, with their uncertainty."""


for _command in (map_group, mask_average, fair, step, run_command, export, warm):
    main.add_command(_command)
