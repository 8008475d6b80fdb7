"""The command ``xnat-pic-uploader``."""

import click

from .command_frame import EXIT_CODES
from .plan_commands import COMMANDS
from .scan_command import scan_command


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(package_name="xnat-pic", prog_name="xnat-pic-uploader")
def main() -> None:
    """Bring imaging studies into XNAT: scan, check, upload, verify, report."""


for _command in (scan_command, *COMMANDS):
    main.add_command(_command)
