"""What the commands that speak with a server share: options, and how a command ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from xnat_pic.cli import PATH, ProgressBar, exit_code_help, run_command

if TYPE_CHECKING:
    from xnat_config.site import SiteConfig

    from ..planning.plan import Plan

PROGRAM = "xnat-pic-uploader"
EXIT_CODES = {
    0: "all done",
    2: "wrong call, or a file cannot be read or written",
    3: "nothing usable found",
    4: "corrupt input",
    5: "login refused or ended",
    6: "the server does not answer, or is at fault each time",
    8: "done in part: some rows need attention",
}
CODES = exit_code_help(EXIT_CODES)
PLAN = click.argument("plan_path", metavar="PLAN", type=PATH)
SITE = click.option("--site", type=PATH, help="The site's own settings, a .toml.")
_STOPPED = "stopped. What is done stays; run the same command again to go on."
_Command = TypeVar("_Command", bound=Callable[..., Any])


def run(work: Callable[[], int]) -> NoReturn:
    """Do the work of a command and end with its exit code."""
    run_command(PROGRAM, work, stopped=_STOPPED)


def deidentification_options(command: _Command) -> _Command:
    """Add the options that say how objects are sent."""
    for option in (
        click.option(
            "--map-uids-with",
            type=PATH,
            metavar="FILE",
            help="As --map-uids, with the file PLAN.uid-key of an earlier upload: one object gets "
            "the same UID in both.",
        ),
        click.option(
            "--map-uids", is_flag=True, help="With --anonymise: give all objects other UIDs."
        ),
        click.option("--anonymise", is_flag=True, help="Take people and places out on the way."),
    ):
        command = option(command)
    return command


def refuse_empty(plan: Plan, path: Path) -> None:
    """Refuse a plan of which no row is included: nothing would be proved of it.

    Raises
    ------
    NothingUsableError
        If it has none.
    """
    from xnat_pic.errors import NothingUsableError

    if not any(row.include for row in plan.rows):
        raise NothingUsableError(
            f"No row of {path} is included.",
            hint="Write yes into its column include, or scan the folder again.",
        )


def load_plan(path: Path, config: SiteConfig) -> Plan:
    """Read a plan and join it with what its folder holds now."""
    from ..errors import PlanError
    from ..planning.plan_building import with_sessions
    from ..planning.plan_files import companions, read_plan
    from ..scanning.folder_scan import scan_folder

    plan = read_plan(path)
    if not plan.root.is_dir():
        raise PlanError(
            f"The folder of the plan is not there: {plan.root}.",
            path=path,
            hint="Put it back, or scan it where it is now.",
        )
    with ProgressBar("Reading headers") as bar:
        scan = scan_folder(plan.root, config, on_read=bar.update, leave_out=companions(path))
    joined = with_sessions(plan, scan, config)
    _tell(joined)
    return joined


def _tell(plan: Plan) -> None:
    """Say what concerns no single row, such as sessions that no row plans."""
    from ..findings import Level
    from .display import print_finding

    for finding in plan.findings:
        if finding.level is not Level.NOTE:
            print_finding(finding)
