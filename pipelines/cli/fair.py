"""The command ``xnat-pic-pipelines fair``."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .login import person_access
from .parts import ending_in_words, exit_with, plain, tell

if TYPE_CHECKING:
    from ..fair.study import Study

_PATH = click.Path(path_type=Path)
_PROJECT = re.compile(r"[A-Za-z0-9_-]+")
_EXIT_CODES = """\b
Exit codes:
  0  all done
  2  wrong call, or OUT cannot be written
  3  nothing to export
  4  corrupt input
  5  the server does not take the login
  6  the server refuses or does not answer
  8  done in part: what was left out is named
  130  stopped
"""


@click.command("fair", epilog=_EXIT_CODES)
@click.argument("project")
@click.argument("out", type=_PATH)
@click.option("--from", "source", type=_PATH, help="Folder of DICOM and results; no server.")
@click.option("--server", default="", help="Address.  [default: XNAT_PIC_SERVER, or the last]")
@click.option("--user", default="", help="[default: XNAT_PIC_USER, or the last]")
@click.option("--about", type=_PATH, help="TOML with title, creators, licence and the like.")
@click.option("--bids", is_flag=True, help="Write BIDS: images, and maps as derivatives.")
@click.option("--ro-crate", "crate", is_flag=True, help="Write BIDS, described as RO-Crate.")
@click.option("--datacite", is_flag=True, help="Write metadata for a DOI.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier export in OUT.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def fair(
    project: str,
    out: Path,
    source: Path | None,
    server: str,
    user: str,
    about: Path | None,
    bids: bool,
    crate: bool,
    datacite: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write PROJECT into the new folder OUT, for others to find and use.

    Without --bids, --ro-crate and --datacite all three are written.
    """
    from ..errors import PipelineError
    from ..xnat.errors import exit_code, sentence

    if not _PROJECT.fullmatch(project):
        raise click.BadParameter("letters, digits, - and _ only.", param_hint="PROJECT")
    if source is not None and (server or user):
        raise click.UsageError("Give --from or --server, not both.")
    if not (bids or crate or datacite):
        bids = crate = datacite = True
    with ending_in_words():
        try:
            from ..fair.about import read_about
            from ..fair.export import check, export

            said = read_about(about)
            check(said, crate=crate, datacite=datacite)
            with _study(project, source, server, user, out) as (study, variables):
                done = export(
                    study, out, said, variables,
                    bids=bids, crate=crate, datacite=datacite, overwrite=overwrite, say=tell,
                )  # fmt: skip
        except PipelineError as error:
            exit_with(sentence(error), exit_code(error))
    counts = done.as_json()
    for word, lines in (("note", done.notes), ("left out", done.left_out)):
        for line in lines:
            click.echo(f"{word}: {plain(line)}", err=True)
    click.echo(
        f"{counts['participants']} animals, {counts['series']} series "
        f"({counts['with_suffix']} with a suffix of BIDS), {counts['results']} results: {out}",
        err=True,
    )
    if as_json:
        click.echo(json.dumps(counts, indent=1, ensure_ascii=False))
    if done.left_out:
        raise SystemExit(8)


@contextmanager
def _study(
    project: str, source: Path | None, server: str, user: str, out: Path
) -> Iterator[tuple[Study, Any]]:
    """Yield the study and the variables of the site."""
    from xnat_config import load_config

    variables = load_config().variables
    if source is not None:
        from ..fair.study import read_folder

        yield read_folder(source, project, variables), variables
        return
    from ..fair.remote import read_project

    access = person_access(server, user).renewed()  # a token: the password goes no further
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as work,
        access.client() as client,
    ):
        yield read_project(access, client, project, Path(work), tell), variables
