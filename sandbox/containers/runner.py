"""Run a command of the Container Service as a process of this machine.

There is no container engine: folders of the run stand for the mounts, and this product's own
programs for the image. Commands of other images are refused.
"""

from __future__ import annotations

from pathlib import Path

from ..archive.launching import Run
from ..engine import process
from ..engine.errors import RunError
from ..engine.report import COMPLETE, FAILED, RUNNING, Reporter
from . import inputs, mounts

IMAGE = "xnat-pic/pipelines"
_TAIL_LINES = 20


def run(run: Run) -> None:
    """Run a command that was launched in the archive, and report on it.

    Parameters
    ----------
    run : Run
        What was launched; see `sandbox.archive.launching`.

    Raises
    ------
    RunError
        Where the archive does not take the report.
    """
    reporter = Reporter(run)
    reporter.open()
    try:
        reporter.state("Created", about="The command is read")
        try:
            _go(run, reporter)
        except RunError as problem:
            reporter.state(FAILED, about="See stderr.log for errors", details=problem.message)
            reporter.mail(f"{run.name} failed on {run.label}", problem.message)
        else:
            reporter.state(COMPLETE, about="Done", percent=100)
            reporter.mail(f"{run.name} is done on {run.label}", "The container is complete.")
    finally:
        reporter.close()


def _go(run: Run, reporter: Reporter) -> None:
    image = str(run.command.get("image"))
    if image.partition(":")[0] != IMAGE:
        raise RunError(
            f"The image {image} is not run: this sandbox has no container engine and stands in for"
            f" {IMAGE} only."
        )
    values = inputs.resolve(run)
    made = mounts.make(run.command, run.folder)
    with mounts.Archive(run) as archive:
        reporter.state("Starting", about="Files are mounted", percent=0)
        mounts.fill(run, made, archive)
        reporter.state(RUNNING, about=str(run.command.get("description") or ""), percent=10)
        status = execute(run, values, made)
        if run.stop.is_set():
            raise RunError("The server was stopped while this ran.")
        reporter.state("Finalizing", about="Outputs are collected", percent=90)
        if status:
            raise RunError(_sentence(status, run.folder / "stderr.log"))
        mounts.collect(run, made, archive)


def execute(run: Run, values: dict[str, str], made: dict[str, Path]) -> int:
    """Run the command line; return its status.

    Parameters
    ----------
    run : Run
        Its folder takes ``stdout.log`` and ``stderr.log``.
    values : dict of str to str
        Of the command's inputs.
    made : dict of str to Path
        Folder of each mount.
    """
    command = mounts.with_folders(run.command, made)
    extra = inputs.environment(command, values)
    extra |= {
        "XNAT_HOST": run.host,
        "XNAT_USER": run.alias,
        "XNAT_PASS": run.secret,
        "XNAT_WORKFLOW_ID": str(run.workflow),
        "XNAT_EVENT_ID": str(run.workflow),
    }
    line = inputs.command_line(command, values)
    work = run.folder / "work"
    work.mkdir(exist_ok=True)
    sensitive = [
        values[str(one["name"])] for one in run.command.get("inputs") or [] if one.get("sensitive")
    ]
    return process.run_line(
        line,
        folder=work,
        out=run.folder / "stdout.log",
        err=run.folder / "stderr.log",
        secrets=[one for one in (run.secret, run.alias, *sensitive) if one],
        stop=run.stop,
        extra=extra,
    )


def _sentence(status: int, err: Path) -> str:
    said = err.read_text("utf-8").strip().splitlines() if err.is_file() else []
    return "\n".join([f"The container ended with status {status}.", *said[-_TAIL_LINES:]])
