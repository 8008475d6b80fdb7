"""The command ``xnat-pic-uploader``."""

from __future__ import annotations

from xnat_pic.cli import command_group

from .login_commands import login_command, logout_command
from .options import EXIT_CODES, PROGRAM
from .plan_commands import (
    check_command,
    report_command,
    set_variables_command,
    upload_command,
    verify_command,
)
from .scan_command import scan_command


@command_group(PROGRAM, EXIT_CODES)
def main() -> None:
    """Bring imaging studies into XNAT: scan, check, upload, verify, report."""


for _command in (
    scan_command,
    login_command,
    logout_command,
    check_command,
    upload_command,
    verify_command,
    report_command,
    set_variables_command,
):
    main.add_command(_command)
