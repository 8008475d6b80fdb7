"""The commands of ``xnat-pic-uploader`` that speak with a server."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from xnat_config.site import SiteConfig

    from .journal import Journal
    from .loads import Disguise
    from .model import Plan

_Command = TypeVar("_Command", bound=Callable[..., Any])
_STORES = ("keyring", "file", "memory")
_PATH = click.Path(path_type=Path)
_PLAN = click.argument("plan_path", metavar="PLAN", type=_PATH)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
_SITE = click.option("--site", type=_PATH, help="The site's own settings, a .toml.")


def _server(command: _Command) -> _Command:
    """Add the options that name server and user."""
    for option in (
        click.option("--ca-bundle", type=_PATH, help="Certificates to trust, a .pem file."),
        click.option("--user", default="", help="User.  [default: XNAT_PIC_USER, or the last one]"),
        click.option(
            "--server", default="", help="Address.  [default: XNAT_PIC_SERVER, or the last one]"
        ),
    ):
        command = option(command)
    return command


def _guarded(work: Callable[[], int]) -> None:
    """Do the work of a command and end with its exit code."""
    from xnat_config import SiteConfigError
    from xnat_config.connection import ConnectionSettingsError

    from .cli import fail
    from .errors import UploaderError

    try:
        code = work()
    except (UploaderError, SiteConfigError, ConnectionSettingsError, OSError) as error:
        fail(error)
    except KeyboardInterrupt:
        click.echo("Stopped. What is done stays; run the same command again to go on.", err=True)
        code = 8
    sys.exit(code)


@click.command("login")
@_server
@click.option(
    "--store",
    type=click.Choice(_STORES),
    help="Where to keep the login.  [default: keyring, else file, else memory]",
)
def login_command(server: str, user: str, ca_bundle: Path | None, store: str | None) -> None:
    """Log in once; a token that expires is kept, never the password."""

    def work() -> int:
        from xnat_config.connection import save

        from . import access
        from .client import Client
        from .credentials import Store, from_password, save_login
        from .opening import issue_token

        address = server or os.environ.get("XNAT_PIC_SERVER", "")
        found = access.ask_user(access.connection(address or _ask_server(), user, ca_bundle))
        password = access.ask_password(found)
        with Client(found, from_password(found.user, password)) as client:
            token = issue_token(client)
        kept = save_login(found, token, Store(store) if store else None, access.new_passphrase)
        save(found)
        click.echo(f"{found.user} is logged in at {found.server}.", err=True)
        click.echo(f"The login is kept in {kept.title}{_until(token.expires_s, kept)}.", err=True)
        return 0

    _guarded(work)


def _ask_server() -> str:
    from xnat_config.connection import load_saved

    saved = load_saved()
    if saved is not None:
        return saved.server
    return str(click.prompt("Address of the XNAT server", err=True))


def _until(expires_s: float, kept: Any) -> str:
    from datetime import datetime

    if kept.value == "memory":
        return ""
    return f" until {datetime.fromtimestamp(expires_s).astimezone():%Y-%m-%d %H:%M}"


@click.command("logout")
@_server
def logout_command(server: str, user: str, ca_bundle: Path | None) -> None:
    """Forget the stored login, and make its token invalid on the server."""

    def work() -> int:
        from . import access
        from .credentials import Store, forget_login, load_login, stored_in

        found = access.connection(server, user, ca_bundle)
        where = stored_in(found)
        token = None
        if where is Store.KEYRING:
            token = load_login(found)
        elif where is Store.FILE and sys.stdin.isatty():
            token = load_login(found, access.ask_passphrase)
        withdrawn = token is not None and _withdraw(found, token)
        held = forget_login(found)
        for store in held:
            click.echo(f"Forgotten: the login in {store.title}.", err=True)
        if not held:
            click.echo("No login was stored.", err=True)
        elif not withdrawn:
            click.echo("The token was not withdrawn on the server; it expires by itself.", err=True)
        return 0

    _guarded(work)


def _withdraw(found: Any, token: Any) -> bool:
    from .client import Client, Patience
    from .errors import UploaderError
    from .opening import withdraw_token

    try:
        with Client(found, token, Patience(attempts=2)) as client:
            return withdraw_token(client, token)
    except UploaderError:
        return False


def load_plan(path: Path, config: SiteConfig) -> Plan:
    """Read a plan and join it with what its folder holds now."""
    from .cli import Bar
    from .plan import with_sessions
    from .plan_files import companions, read_plan
    from .scan import scan_folder

    plan = read_plan(path)
    with Bar("Reading headers") as bar:
        scan = scan_folder(plan.root, config, on_read=bar.update, leave_out=companions(path))
    return with_sessions(plan, scan, config)


def _disguise(journal: Journal | None, asked: str = "") -> Disguise | None:
    """Return the change of objects on their way, the same in every run of a plan.

    Raises
    ------
    WrongCallError
        If an earlier run sent them otherwise.
    """
    from .errors import WrongCallError

    before = journal.about("objects") if journal else ""
    if asked and before and asked != before:
        raise WrongCallError(
            f"An earlier run of this plan sent the objects {before}, and this one asks for "
            f"{asked}.",
            hint="Use the same options, or copy the plan under another name.",
        )
    way = asked or before or "as they are"
    if journal is not None and asked:
        journal.set_about("objects", way)
    if way == "as they are":
        return None
    from .anonymise import Anonymiser

    return Anonymiser(map_uids=way.endswith("UIDs"))


def _journal_of(path: Path) -> AbstractContextManager[Journal | None]:
    """Open the journal of a plan where there is one."""
    from .journal import Journal, journal_path

    place = journal_path(path)
    return Journal(place) if place.is_file() else nullcontext()


@click.command("check")
@_PLAN
@_server
@_SITE
@click.option("--create-project", is_flag=True, help="A missing project is no fault.")
@_JSON
def check_command(
    plan_path: Path, site: Path | None, create_project: bool, as_json: bool, **options: Any
) -> None:
    """Compare PLAN with the server, reading only; bad rows are listed with what to do."""

    def work() -> int:
        from xnat_config import load_config

        from . import access, show
        from .check import check

        config = load_config(site)
        plan = load_plan(plan_path, config)
        with _journal_of(plan_path) as journal, access.open_client(**options) as client:
            rows = check(
                plan,
                client,
                config,
                journal=journal,
                disguise=_disguise(journal),
                create_project=create_project,
            )
        if as_json:
            click.echo(json.dumps([show.check_as_json(one) for one in rows], indent=1))
        show.checks(rows)
        return 8 if any(one.is_bad for one in rows) else 0

    _guarded(work)


@click.command("upload")
@_PLAN
@_server
@_SITE
@click.option(
    "--jobs", type=click.IntRange(1, 16), default=4, show_default=True, help="Sessions at a time."
)
@click.option("--direct-archive", is_flag=True, help="Send past the prearchive (XNAT 1.8.3 on).")
@click.option("--raw", type=_PATH, help="Scanner data to keep as a resource of the project.")
@click.option(
    "--create-project", is_flag=True, help="Make the project, and define the variables it lacks."
)
@click.option("--anonymise", is_flag=True, help="Take people and places out on the way.")
@click.option("--map-uids", is_flag=True, help="With --anonymise: give all objects other UIDs.")
@_JSON
def upload_command(
    plan_path: Path,
    site: Path | None,
    anonymise: bool,
    map_uids: bool,
    as_json: bool,
    jobs: int,
    direct_archive: bool,
    raw: Path | None,
    create_project: bool,
    **options: Any,
) -> None:
    """Send PLAN: what is there stays, what is missing is sent. May be stopped and run again."""

    def work() -> int:
        from xnat_config import load_config

        from . import access, show
        from .control import Control
        from .errors import WrongCallError
        from .jobs import Options
        from .journal import Journal, journal_path
        from .upload import upload

        if map_uids and not anonymise:
            raise WrongCallError("--map-uids is a part of --anonymise.", hint="Give both.")
        way = (
            "anonymised" + (" with other UIDs" if map_uids else "") if anonymise else "as they are"
        )
        config = load_config(site)
        plan = load_plan(plan_path, config)
        control = Control()
        with (
            Journal(journal_path(plan_path)) as journal,
            access.open_client(**options, sleep=control.sleep) as client,
            show.UploadBar() as bar,
        ):
            settings = Options(
                jobs=jobs,
                direct_archive=direct_archive,
                raw=raw,
                create_project=create_project,
                disguise=_disguise(journal, way),
            )
            result = upload(
                plan,
                client,
                journal,
                config,
                settings,
                control=control,
                on_progress=bar.update,
                on_row=bar.row,
            )
        if as_json:
            click.echo(json.dumps(show.upload_as_json(result), indent=1))
        show.uploaded(result)
        return result.exit_code

    _guarded(work)


@click.command("verify")
@_PLAN
@_server
@_SITE
@_JSON
def verify_command(plan_path: Path, site: Path | None, as_json: bool, **options: Any) -> None:
    """Prove that everything in PLAN is on the server, and nothing twice."""

    def work() -> int:
        from xnat_config import load_config

        from . import access, show
        from .journal import Journal, journal_path
        from .verify import Proof, verify, verify_uploads

        config = load_config(site)
        plan = load_plan(plan_path, config)
        with (
            Journal(journal_path(plan_path)) as journal,
            access.open_client(**options) as client,
            show.UploadBar() as bar,
        ):
            disguise = _disguise(journal)
            proofs = verify(
                plan, client, config, journal, disguise=disguise, on_progress=bar.update
            )
            problems = verify_uploads(client, journal)
        if as_json:
            rows = [show.proof_as_json(one) for one in proofs]
            click.echo(json.dumps({"rows": rows, "problems": problems}, indent=1))
        show.proofs(proofs, problems)
        return 8 if problems or any(one.proof is Proof.NONE for one in proofs) else 0

    _guarded(work)


@click.command("report")
@_PLAN
@click.option("-o", "--output", type=_PATH, help="The page, .html.  [default: PLAN.report.html]")
def report_command(plan_path: Path, output: Path | None) -> None:
    """Write what the journal of PLAN knows as a page, and as a table beside it."""

    def work() -> int:
        from .errors import PlanError, WrongCallError
        from .plan_files import read_plan
        from .report import write_report

        page = output or plan_path.with_name(plan_path.name + ".report.html")
        if page.suffix.lower() not in (".html", ".htm"):
            raise WrongCallError("The report is a page.", hint="Name it with the ending .html.")
        plan = read_plan(plan_path)
        with _journal_of(plan_path) as journal:
            if journal is None:
                raise PlanError(
                    f"{plan_path} has no journal: nothing was uploaded with it.",
                    path=plan_path,
                    hint="Run upload first.",
                )
            for path in write_report(plan, journal, page):
                click.echo(f"Written: {path}", err=True)
        return 0

    _guarded(work)


@click.command("set-variables")
@_PLAN
@_server
@_SITE
@click.option("--clear-empty", is_flag=True, help="Remove values whose cell in PLAN is empty.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_JSON
def set_variables_command(
    plan_path: Path, site: Path | None, clear_empty: bool, yes: bool, as_json: bool, **options: Any
) -> None:
    """Correct group, timepoint, dose on the server as PLAN has them; shows old and new first."""

    def work() -> int:
        from xnat_config import load_config

        from . import access, show
        from .journal import Journal, journal_path
        from .plan_files import read_plan
        from .set_variables import apply_changes, find_changes

        config = load_config(site)
        plan = read_plan(plan_path)
        with access.open_client(**options) as client:
            found = find_changes(plan, client, config, clear_empty=clear_empty)
            if as_json:
                click.echo(
                    json.dumps([show.change_as_json(one) for one in found.changes], indent=1)
                )
            show.changes(found)
            if not found.changes:
                return 8 if found.absent else 0
            if not yes and not click.confirm("Write these values?", err=True):
                click.echo("Nothing was written.", err=True)
                return 8
            with Journal(journal_path(plan_path)) as journal:
                count = apply_changes(client, config, found.changes, journal)
        click.echo(f"{count} values written.", err=True)
        return 8 if found.absent else 0

    _guarded(work)


COMMANDS = (
    login_command,
    logout_command,
    check_command,
    upload_command,
    verify_command,
    report_command,
    set_variables_command,
)
