"""The command ``xnat-pic-pipelines fair``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xnat_config.server.options import server_options
from xnat_pic.cli import PATH, announce, echo_json, exit_code_help, json_option

from .parts import check_project, echo_line, end_on_error, person_access

if TYPE_CHECKING:
    from ..fair.study import ExportStudy

_EXIT_CODES = exit_code_help(
    {
        0: "all done",
        2: "wrong call, or OUT cannot be written",
        3: "nothing to export",
        4: "corrupt input",
        5: "the server does not take the login",
        6: "the server refuses or does not answer",
        8: "done in part: what was left out is named",
        130: "stopped",
    }
)


@click.command("fair", epilog=_EXIT_CODES)
@click.argument("project", callback=check_project)
@click.argument("out", type=PATH)
@click.option("--from", "source", type=PATH, help="Folder of DICOM and results; no server.")
@server_options
@click.option("--about", type=PATH, help="TOML with title, creators, licence and the like.")
@click.option("--bids", is_flag=True, help="Write BIDS: images, and maps as derivatives.")
@click.option("--ro-crate", "crate", is_flag=True, help="Write BIDS, described as RO-Crate.")
@click.option("--datacite", is_flag=True, help="Write metadata for a DOI.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier export in OUT.")
@json_option
def fair(
    project: str,
    out: Path,
    source: Path | None,
    server: str,
    user: str,
    ca_bundle: Path | None,
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
    if source is not None and (server or user):
        raise click.UsageError("Give --from or --server, not both.")
    if not (bids or crate or datacite):
        bids = crate = datacite = True
    with end_on_error():
        from ..fair.about import read_about
        from ..fair.export import check, export

        about_info = read_about(about)
        check(about_info, crate=crate, datacite=datacite)
        with _study(project, source, server, user, ca_bundle, out) as (study, variables):
            done = export(
                study, out, about_info, variables,
                bids=bids, crate=crate, datacite=datacite, overwrite=overwrite, report=announce,
            )  # fmt: skip
    counts = done.as_json()
    for word, lines in (("note", done.notes), ("left out", done.left_out)):
        for line in lines:
            echo_line(f"{word}: {line}")
    echo_line(
        f"{counts['participants']} animals, {counts['series']} series "
        f"({counts['with_suffix']} with a suffix of BIDS), {counts['results']} results: {out}"
    )
    if as_json:
        echo_json(counts)
    if done.left_out:
        raise SystemExit(8)


@contextmanager
def _study(
    project: str, source: Path | None, server: str, user: str, ca_bundle: Path | None, out: Path
) -> Iterator[tuple[ExportStudy, Any]]:
    """Yield the study and the variables of the site."""
    from xnat_config import load_config

    variables = load_config().variables
    if source is not None:
        from ..fair.study import read_folder

        yield read_folder(source, project, variables), variables
        return
    from ..fair.remote import read_project
    from ..xnat.client import RunClient

    access = person_access(server, user, ca_bundle)
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as work,
        RunClient(access) as client,
    ):
        yield read_project(client, project, Path(work), announce), variables
