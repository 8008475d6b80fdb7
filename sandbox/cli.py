"""The command ``xnat-pic-sandbox``."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import asdict
from pathlib import Path

import click

from xnat_config.server.options import server_options
from xnat_pic.cli import (
    STOPPED,
    ProgressBar,
    command_group,
    echo_json,
    exit_code_help,
    exit_on_error,
    fail,
)
from xnat_pic.errors import WrongCallError, XnatPicError

from .mouse import VERSIONS, MouseOptions, WrittenStudy, write_mice

PROGRAM = "xnat-pic-sandbox"


def _names(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    """Split a comma list; blanks around names do not count."""
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _pairs(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """Return names and values of options written as NAME=VALUE."""
    found = {}
    for text in values:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE.")
        found[name] = value
    return found


@command_group(PROGRAM, {0: "all done", 2: "wrong call, or a file cannot be written"})
def main() -> None:
    """Try the suite without a scanner or a server."""


@main.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--paravision",
    type=click.Choice(VERSIONS),
    default=MouseOptions.paravision,
    show_default=True,
    help="Version whose dialect is written.",
)
@click.option(
    "--animals",
    type=int,
    default=MouseOptions.animals,
    show_default=True,
    help="Animals in each group and dose.",
)
@click.option(
    "--groups",
    callback=_names,
    default=",".join(MouseOptions.groups),
    show_default=True,
    help="Comma list of groups; 'untreated' has no doses.",
)
@click.option(
    "--timepoints",
    callback=_names,
    default=",".join(MouseOptions.timepoints),
    show_default=True,
    help="Comma list in order of time; post3d, post1w and post1m are dated so.",
)
@click.option(
    "--doses",
    callback=_names,
    default=",".join(MouseOptions.doses),
    show_default=True,
    help="Comma list in order of strength, for all groups but 'untreated'.",
)
@click.option(
    "--noise",
    type=float,
    default=MouseOptions.noise,
    show_default=True,
    help="Standard deviation of the noise, as a fraction of the signal of water.",
)
@click.option(
    "--matrix", type=int, help="Pixels along the longest axis, a multiple of 16 up to 512."
)
@click.option(
    "--size",
    default=MouseOptions.size,
    show_default=True,
    help=(
        "SMALL: matrix 32 and few frames, for tests. FULL: matrix 128 and realistic frames. "
        "A number: ONE study whose images fill about that many MiB, for benchmarks."
    ),
)
@click.option(
    "--truth", type=click.Path(path_type=Path), help="Folder of the truth.  [default: OUT_truth]"
)
@click.option("--seed", type=int, default=MouseOptions.seed, show_default=True)
@click.option(
    "--with-traps/--no-traps",
    "traps",
    default=None,
    help="Add a spectroscopic and an aborted scan, which converters must skip.  [default: in FULL]",
)
@click.option("--pet-ct", is_flag=True, help="Add Inveon PET and CT of each study's animal.")
@click.option("--hotel", is_flag=True, help="Add one Inveon PET and CT of three animals on a bed.")
@click.option("--json", "as_json", is_flag=True, help="Print the studies written as JSON.")
def mouse(
    out: Path,
    paravision: str,
    animals: int,
    groups: tuple[str, ...],
    timepoints: tuple[str, ...],
    doses: tuple[str, ...],
    noise: float,
    matrix: int | None,
    size: str,
    truth: Path | None,
    seed: int,
    traps: bool | None,
    pet_ct: bool,
    hotel: bool,
    as_json: bool,
) -> None:
    """Write ParaVision studies of a digital mouse into the new folder OUT.

    The animals have a body, a brain, kidneys and a tumour whose T1, T2, diffusion tensor and
    CEST pools are known; the treatment changes T2 and ADC of the tumour over time. What is
    known is written beside the data, as NIfTI and JSON. The same seed and options give the
    same bytes.
    """
    with exit_on_error(PROGRAM, stopped="stopped; nothing was written.", stopped_code=STOPPED):
        options = MouseOptions(
            *(paravision, animals, groups, timepoints, doses, noise, matrix, size, truth, seed),
            *(traps, pet_ct, hotel),
        )
        studies = _write_with_progress(out, options)
    if as_json:
        echo_json([{k: str(v) for k, v in asdict(study).items()} for study in studies])
    else:
        click.echo(f"{len(studies)} studies written to {out}", err=True)


def _write_with_progress(out: Path, options: MouseOptions) -> list[WrittenStudy]:
    with ProgressBar("Digital mice") as bar:
        return write_mice(out, options, lambda done, total, _subject: bar.update(done, total))


@main.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("xnat-pic-archive"),
    show_default=True,
    help="Folder of the archive; made where it does not exist.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--xnat",
    type=click.Choice(("1.8", "1.9", "1.10")),
    default="1.8",
    show_default=True,
    help="Version to answer as.",
)
@click.option("--without-engine", is_flag=True, help="Have no classic pipeline engine.")
@click.option("--without-containers", is_flag=True, help="Have no Container Service.")
@click.option(
    "--pipelines",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Catalog folder of pipeline descriptors to offer on the site.",
)
@click.option(
    "--unconfigured", is_flag=True, help="Answer like an XNAT that nobody has set up yet."
)
@click.option(
    "--preference",
    "preferences",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_pairs,
    help="Site preference to start with, such as defaultPrearchiveCode=0; may be repeated.",
)
@click.option(
    "--latency",
    "latency_ms",
    metavar="MS",
    type=click.FloatRange(0, 60_000),
    default=0.0,
    help="Milliseconds that each answer comes later, as over a long way.",
)
@click.option("--faults", is_flag=True, help="Let tests inject faults at /sandbox/faults.")
@click.option("-v", "--verbose", is_flag=True, help="Show every request.")
@click.option("--json", "as_json", is_flag=True, help="Print address and user as JSON when ready.")
def serve(
    data: Path,
    host: str,
    port: int,
    xnat: str,
    without_engine: bool,
    without_containers: bool,
    pipelines: Path | None,
    unconfigured: bool,
    preferences: dict[str, str],
    latency_ms: float,
    faults: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Serve an archive that answers like XNAT, with web pages, until Ctrl+C.

    Log in as admin. The password is that of the environment variable XNAT_PIC_SANDBOX_PASSWORD;
    without it, it is "admin", and only this machine can reach the server.
    """
    from .archive.archive import Settings
    from .archive.serving import USER, ServerOptions
    from .archive.serving import serve as run

    settings = Settings(
        xnat,
        engine=not without_engine,
        containers=not without_containers,
        faults=faults,
        latency_s=latency_ms / 1000,
        preferences=preferences,
        unconfigured=unconfigured,
    )
    options = ServerOptions(data, host, port, settings, pipelines, verbose)

    def ready(address: str) -> None:
        if as_json:
            click.echo(json.dumps({"url": address, "user": USER}))
        click.echo(f"The XNAT-PIC sandbox is ready at {address} (Ctrl+C ends it).", err=True)
        click.echo(f"Log in as {USER}, {_password_hint()}.", err=True)

    try:
        run(options, ready)
    except XnatPicError as error:
        fail(PROGRAM, error)
    except KeyboardInterrupt:
        click.echo("The sandbox has ended; its data are kept.", err=True)


def _password_hint() -> str:
    from .archive.archive import DEFAULT_PASSWORD, PASSWORD_VARIABLE

    if os.environ.get(PASSWORD_VARIABLE):
        return f"with the password of {PASSWORD_VARIABLE}"
    return f"password {DEFAULT_PASSWORD}"


SELFTEST_CODES = {
    0: "every step is done, or skipped for a reason that the table gives",
    2: "wrong call",
    5: "login refused",
    6: "the server does not answer",
    8: "a step failed: the table names it",
}


@main.command(epilog=exit_code_help(SELFTEST_CODES))
@server_options
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=1),
    default=900.0,
    show_default=True,
    help="Seconds to wait for the pipeline to end.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File for all that was said with the server, without login, addresses and people.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the steps as JSON.")
def selftest(
    server: str,
    user: str,
    ca_bundle: Path | None,
    wait_s: float,
    record: Path | None,
    as_json: bool,
) -> None:
    """Try the suite on a real XNAT: a scratch project with a digital mouse, removed at the end.

    The table on standard output can be sent with a bug report: it holds no login and no address.
    The password is that of XNAT_PIC_PASSWORD, or is asked for. The user must be allowed to make
    projects.
    """
    from xnat_config.server.options import ask_password, ask_user, resolve_connection

    from .selftest import SelfTest, Step, table

    def show(step: Step) -> None:
        click.echo(f"{step.outcome:<7}  {step.name}", err=True)

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # then, too, all is removed
    job = None
    try:
        if record is not None and record.exists():
            raise WrongCallError(f"{record} is there already. Give --record another name.")
        connection = ask_user(resolve_connection(server, user, ca_bundle))
        password = ask_password(connection)
        job = SelfTest(connection, connection.user, password, wait_s, show, record)
        steps = job.run()
    except XnatPicError as error:
        fail(PROGRAM, error)
    except KeyboardInterrupt:
        if job is None or job.is_clean:
            click.echo("Stopped; what was made is removed.", err=True)
        else:
            click.echo(f"Stopped; look whether the project {job.project} is left.", err=True)
        raise SystemExit(8) from None
    click.echo(json.dumps([asdict(one) for one in steps], indent=1) if as_json else table(steps))
    raise SystemExit(8 if any(one.outcome == "failed" for one in steps) else 0)


if __name__ == "__main__":
    main()
