"""Command line: ``python -m private_dictionaries``."""

from __future__ import annotations

from pathlib import Path

import click

from xnat_pic.cli import PATH, STOPPED, command_group, run_command
from xnat_pic.errors import WrongCallError
from xnat_pic.files import write_file

from .dictionary import load
from .export import FORMATS

PROGRAM = "private_dictionaries"
EXIT_CODES = {0: "all done", 2: "wrong call, or the file cannot be written"}


@command_group(PROGRAM, EXIT_CODES)
def main() -> None:
    """Private DICOM dictionaries of XNAT-PIC."""


@main.command()
@click.argument("name", default="cest")
@click.option(
    "--format",
    "form",
    type=click.Choice(sorted(FORMATS)),
    required=True,
    help="dcmtk: a .dic file; json; markdown: the documentation page.",
)
@click.option("-o", "--output", type=PATH, help="Write here instead of to standard output.")
def export(name: str, form: str, output: Path | None) -> None:
    """Export the dictionary NAME (cest unless given) for another tool."""
    run_command(PROGRAM, lambda: _export(name, form, output), stopped_code=STOPPED)


def _export(name: str, form: str, output: Path | None) -> None:
    try:
        text = FORMATS[form](load(name))
    except ValueError as error:
        raise WrongCallError(str(error)) from error
    if output is None:
        # Bytes: a console's own encoding may lack the sign for micro.
        click.echo(text.encode("utf-8"), nl=False)
    elif output.is_dir() or not output.parent.is_dir():
        raise WrongCallError(
            f"{output} cannot be written.",
            path=output,
            hint="Name a file in a folder that exists.",
        )
    else:
        write_file(output, text)
