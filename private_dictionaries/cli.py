"""Command line: ``python -m private_dictionaries``."""

from __future__ import annotations

from pathlib import Path

import click

from .dictionary import load
from .export import FORMATS


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="xnat-pic", message="xnat-pic private_dictionaries %(version)s")
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
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write here instead of to standard output.",
)
def export(name: str, form: str, output: Path | None) -> None:
    """Export the dictionary NAME (cest unless given) for another tool."""
    try:
        text = FORMATS[form](load(name))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if output is None:
        # Bytes: a console's own encoding may lack the sign for micro.
        click.echo(text.encode("utf-8"), nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise click.UsageError(
            f"Cannot write {output}: {error.strerror}; name a file in a folder that exists."
        ) from error
