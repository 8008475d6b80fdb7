"""What the commands that speak with a server share: options, and how a command ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from xnat_config.site import SiteConfig

    from ..planning.plan import Plan

_Command = TypeVar("_Command", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)
PLAN = click.argument("plan_path", metavar="PLAN", type=PATH)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
SITE = click.option("--site", type=PATH, help="The site's own settings, a .toml.")


def server_options(command: _Command) -> _Command:
    """Add the options that name server and user."""
    for option in (
        click.option("--ca-bundle", type=PATH, help="Certificates to trust, a .pem file."),
        click.option("--user", default="", help="User.  [default: XNAT_PIC_USER, or the last one]"),
        click.option(
            "--server", default="", help="Address.  [default: XNAT_PIC_SERVER, or the last one]"
        ),
    ):
        command = option(command)
    return command


def way_options(command: _Command) -> _Command:
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


def load_plan(path: Path, config: SiteConfig) -> Plan:
    """Read a plan and join it with what its folder holds now."""
    from ..errors import PlanError
    from ..planning.plan_building import with_sessions
    from ..planning.plan_files import companions, read_plan
    from ..scanning.folder_scan import scan_folder
    from .command_frame import Bar

    plan = read_plan(path)
    if not plan.root.is_dir():
        raise PlanError(
            f"The folder of the plan is not there: {plan.root}.",
            path=path,
            hint="Put it back, or scan it where it is now.",
        )
    with Bar("Reading headers") as bar:
        scan = scan_folder(plan.root, config, on_read=bar.update, leave_out=companions(path))
    return with_sessions(plan, scan, config)
