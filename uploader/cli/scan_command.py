"""The command that makes a plan of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xnat_pic.cli import (
    PATH,
    ProgressBar,
    echo_json,
    json_option,
    run_command,
)

from .options import CODES, PROGRAM, SITE

if TYPE_CHECKING:
    from ..findings import Finding
    from ..planning.plan import Plan


_DEFAULT, _EARLIER = Path("plan.xlsx"), Path("plan.csv")


def _pairs(
    _context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]
) -> dict[str, str]:
    """Split NAME=VALUE."""
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise click.BadParameter(f"{text!r} is not of the form NAME=VALUE, as group=treated.")
        pairs[name.strip()] = value.strip()
    return pairs


@click.command("scan", epilog=CODES)
@click.argument("folder", type=PATH)
@click.option("--project", required=True, help="ID of the project in XNAT.")
@click.option(
    "--layout",
    default="auto",
    show_default=True,
    help="What the folder levels hold, such as group/{group}/timepoint/{timepoint}/{subject}, "
    "{group}/[{dose}/]{timepoint}/{subject} or {subject}_{timepoint}.",
)
@click.option(
    "--set",
    "given",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_pairs,
    help="A value where no folder level gives one; may be repeated.",
)
@click.option(
    "--variables",
    "sheet",
    type=PATH,
    help="A .csv or .xlsx table with a column subject or session; it counts before the folders.",
)
@click.option(
    "-o",
    "--output",
    type=PATH,
    help="The plan, .csv or .xlsx.  [default: plan.xlsx]",
)
@click.option("--overwrite", is_flag=True, help="Replace a plan that is there.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes that read headers.")
@SITE
@json_option
def scan_command(folder: Path, output: Path | None, as_json: bool, **options: Any) -> None:
    """Find the sessions in FOLDER and write a plan to look at and edit. Sends nothing."""

    def work() -> int:
        from . import display

        path = output or _free_default()
        plan, damaged = _scan(folder, path, **options)
        if as_json:
            echo_json(plan_as_json(plan))
        display.print_plan(plan)
        if not plan.rows:
            click.echo(f"No DICOM image was found in {folder}; no plan was written.", err=True)
            click.echo("Convert scanner data with mri2dicom first.", err=True)
            return 4 if damaged else 3
        click.echo(f"Plan: {path}", err=True)
        return 8 if _needs_attention(plan) else 0

    run_command(PROGRAM, work, stopped="stopped; no plan was written.")


def _free_default() -> Path:
    """Return the plan's name where none is given; one of an earlier day goes on under its own."""
    from xnat_pic.errors import WrongCallError

    if _EARLIER.exists():
        raise WrongCallError(
            f"{_EARLIER} is there already, with its journal.",
            hint=f"Go on with it, replace it with -o {_EARLIER} --overwrite, or name another file "
            "with -o.",
        )
    return _DEFAULT


def _scan(
    folder: Path,
    output: Path,
    *,
    project: str,
    layout: str,
    given: dict[str, str],
    sheet: Path | None,
    overwrite: bool,
    jobs: int | None,
    site: Path | None,
) -> tuple[Plan, int]:
    from xnat_config import load_config
    from xnat_pic.errors import WrongCallError

    from ..planning.plan_building import AUTO, build_plan
    from ..planning.plan_files import companions, is_xlsx, write_plan
    from ..planning.variable_table import read_variable_table
    from ..scanning.folder_scan import scan_folder
    from ..scanning.layout import parse_layout

    is_xlsx(output)
    if output.exists() and not overwrite:
        raise WrongCallError(
            f"{output} is there already.",
            hint="Name another file with -o, or replace it with --overwrite.",
        )
    config = load_config(site)
    if layout != AUTO:
        parse_layout(layout, config.variables)
    table = read_variable_table(sheet, config.variables) if sheet else None
    aside = [*companions(output), *([sheet] if sheet else [])]
    with ProgressBar("Reading headers") as bar:
        scan = scan_folder(folder, config, jobs=jobs, on_read=bar.update, leave_out=aside)
    plan = build_plan(scan, project, config, layout=layout, given=given, table=table)
    if plan.rows:
        write_plan(plan, output)
    return plan, scan.damaged


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON values."""
    return {
        "root": str(plan.root),
        "project": plan.project,
        "layout": plan.layout,
        "findings": [_finding_as_json(finding) for finding in plan.findings],
        "rows": [
            {
                "key": row.key,
                "include": row.include,
                "project": row.project,
                "subject": row.subject,
                "session": row.session,
                "modality": row.modality,
                "variables": row.variables,
                "date": row.date,
                "scans": row.scans,
                "files": row.files,
                "bytes": row.bytes,
                "source": row.source,
                "findings": [_finding_as_json(finding) for finding in row.findings],
            }
            for row in plan.rows
        ],
    }


def _finding_as_json(finding: Finding) -> dict[str, str]:
    return {"code": finding.code, "level": finding.level.value, "message": finding.message}


def _needs_attention(plan: Plan) -> bool:
    from ..findings import Level

    findings = [f for row in plan.rows if row.include for f in row.findings]
    return any(finding.level is Level.ERROR for finding in [*plan.findings, *findings])
