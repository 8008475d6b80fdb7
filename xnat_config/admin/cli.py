"""The command ``xnat-pic-admin``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from xnat_pic.cli import PATH, command_group, echo_json, exit_code_help, json_option, run_command

from ..server.options import server_options

if TYPE_CHECKING:
    from .installation import Installation
    from .model import Item

PROGRAM = "xnat-pic-admin"
EXIT_CODES = {
    0: "all done",
    2: "wrong call, or the file cannot be used",
    5: "login refused",
    6: "the server refuses or does not answer",
    8: "done in part: something is left to a person, was changed by hand, or stays, and is named",
}
_Command = TypeVar("_Command", bound=Callable[..., Any])


@command_group(PROGRAM, EXIT_CODES)
def main() -> None:
    """Install variables, forms, rules and pipelines in an XNAT, and take them away again."""


def _options(command: _Command) -> _Command:
    for option in (
        json_option,
        server_options,
        click.option(
            "--project",
            "projects",
            multiple=True,
            help="Project in place of those the file names; may be repeated.",
        ),
        click.argument("file", type=PATH),
    ):
        command = option(command)
    return command


_CATALOG = click.option(
    "--catalog",
    type=PATH,
    help="Folder of pipelines, as xnat-pic-pipelines export writes it.  [default: no pipelines]",
)
_YES = click.option("--yes", is_flag=True, help="Do not ask.")


@main.command("example")
def example_command() -> None:
    """Print an installation file to start from."""
    from .specification import example_text

    click.echo(example_text(), nl=False)


@main.command("plan", epilog=exit_code_help(EXIT_CODES))
@_options
@_CATALOG
def plan_command(**options: Any) -> None:
    """Show what apply would change for the installation FILE. Changes nothing."""

    def work(job: Installation) -> int:
        from . import presentation
        from .installation import exit_code

        found = job.plan()
        _show(found, options["as_json"])
        presentation.container_settings(job.container_settings())
        return exit_code(found)

    _run(work, **options)


@main.command("apply", epilog=exit_code_help(EXIT_CODES))
@_options
@_CATALOG
@_YES
def apply_command(yes: bool, **options: Any) -> None:
    """Put in place what FILE asks for. A second time changes nothing."""

    def work(job: Installation) -> int:
        from .installation import exit_code
        from .model import State

        found = job.plan()
        if any(one.state in (State.ADD, State.UPDATE) for one in found):
            if not yes:
                _show(found, False)
                if not click.confirm("Change the server so?", err=True):
                    click.echo("Nothing was changed.", err=True)
                    return 8
            found = job.apply()
        elif any(one.state is State.MANUAL for one in found):
            found = job.apply()  # changes nothing but the record of what a person makes for us
        _show(found, options["as_json"])
        return exit_code(found)

    _run(work, **options)


@main.command("status", epilog=exit_code_help(EXIT_CODES))
@_options
@_CATALOG
def status_command(**options: Any) -> None:
    """Show what the server has, and how the things of FILE stand. Changes nothing."""

    def work(job: Installation) -> int:
        from . import presentation
        from .installation import exit_code

        facts, found = job.facts(), job.plan()
        if options["as_json"]:
            rows = [presentation.item_as_json(one) for one in found]
            echo_json({**presentation.facts_as_json(facts), "things": rows})
        presentation.facts(facts)
        presentation.items(found)
        presentation.container_settings(facts.container_settings)
        return exit_code(found)

    _run(work, **options)


@main.command("close-runs", epilog=exit_code_help(EXIT_CODES))
@_options
@_YES
def close_runs_command(yes: bool, **options: Any) -> None:
    """Mark runs of the classic engine that died without saying so as failed.

    XNAT starts nothing on a session while one of its runs is open. A run that still works is not
    touched: it gives a sign of life every minute.
    """

    def work(job: Installation) -> int:
        from .runs import close_runs

        dead = job.dead_runs()
        if options["as_json"]:
            echo_json([one.as_json() for one in dead])
        for one in dead:
            click.echo(one.sentence, err=True)
        if not dead:
            click.echo("No run has died without saying so.", err=True)
        elif not yes and not click.confirm("Mark these as failed?", err=True):
            click.echo("Nothing was changed.", err=True)
            return 8
        left = close_runs(job.server, dead)
        for line in left:
            click.echo(line, err=True)
        return 8 if left else 0

    _run(work, **options)


@main.command("remove", epilog=exit_code_help(EXIT_CODES))
@_options
@_YES
@click.option(
    "--delete-values-of",
    multiple=True,
    metavar="FORM",
    help="Form whose values go with it, by the name that status shows; may be repeated. Without "
    "it, XNAT disables a form that has values, and it stays.",
)
def remove_command(yes: bool, **options: Any) -> None:
    """Take away what apply made and nobody changed since; images and other values stay."""

    def work(job: Installation) -> int:
        from .installation import exit_code
        from .model import State

        found = job.removal()
        if any(one.state in (State.REMOVE, State.REMOVED) for one in found):
            if not yes:
                _show(found, False)
                if not click.confirm("Remove these?", err=True):
                    click.echo("Nothing was removed.", err=True)
                    return 8
            found = job.remove()
        _show(found, options["as_json"])
        return exit_code(found)

    _run(work, **options)


def _show(found: list[Item], as_json: bool) -> None:
    from . import presentation

    if as_json:
        echo_json([presentation.item_as_json(one) for one in found])
    presentation.items(found)


def _run(
    work: Callable[[Installation], int],
    *,
    file: Path,
    projects: tuple[str, ...],
    server: str,
    user: str,
    ca_bundle: Path | None,
    as_json: bool,
    catalog: Path | None = None,
    delete_values_of: tuple[str, ...] = (),
) -> None:
    """Do the work of a command on a server and end with its exit code."""
    del as_json

    def connected() -> int:
        from ..server.client import XnatClient
        from ..server.login import connection_login
        from ..server.options import ask_password, ask_user, resolve_connection
        from .catalog import load_catalog
        from .installation import Installation
        from .specification import load_specification

        spec = load_specification(file, projects)
        pipelines = load_catalog(catalog, spec.pipelines) if catalog else None
        connection = ask_user(resolve_connection(server, user, ca_bundle))
        login = connection_login(connection, ask_password(connection))
        with XnatClient(connection, login, agent=PROGRAM) as client:
            return work(Installation(client, spec, pipelines, delete_values_of))

    run_command(
        PROGRAM, connected, stopped="stopped. Run plan to see what is in place; apply goes on."
    )


if __name__ == "__main__":
    main()
