"""Run a command of the Container Service as a process of this machine.

There is no container engine: folders of the run stand for the mounts, and this product's own
programs for the image. Commands of other images are refused. States, their order and their details
are the service's (Docker as its back end).
"""

from __future__ import annotations

from pathlib import Path

from ..archive.launching import Run
from ..engine import process
from ..engine.errors import RunError
from ..engine.report import COMPLETE, FAILED, RUNNING, Reporter
from . import inputs, mounts
from .errors import ExitError, LaunchError, OutputsError, ResolutionError
from .host import Host, host_of

IMAGE = "xnat-pic/pipelines"
_TAIL_LINES = 20
_UPLOADING = "Processing finished. Uploading files."
_EXIT = "Non-zero exit code and/or failure status from container"
_RESOLUTION = "Submitted data does not match command resolution requirements. "


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
        try:
            _go(run, reporter)
        except ResolutionError as problem:
            details = _RESOLUTION + problem.message
            reporter.state(f"{FAILED} (Command resolution)", details=details)
        except LaunchError as problem:
            reporter.state(f"{FAILED} (Container launch)", details=problem.message)
        except OutputsError as problem:
            details = f"Failed to upload required outputs.\n{problem.message}"
            _mail(run, reporter, "Completed")
            reporter.state(f"{FAILED} (Upload)", details=details)
        except RunError as problem:
            _mail(run, reporter, "Failed")
            details = _EXIT if isinstance(problem, ExitError) else problem.message
            reporter.state(FAILED, details=details)
        else:
            _mail(run, reporter, "Completed")
            # The service hands on the details that it wrote last.
            reporter.state(COMPLETE, details=_UPLOADING)
    finally:
        reporter.close()


def _go(run: Run, reporter: Reporter) -> None:
    reporter.state("_Queued")
    reporter.state("Staging", details="Command resolution")
    values = inputs.resolve(run)
    with host_of(run) as host, mounts.Archive(run) as archive:
        made = mounts.make(run.command, host.folder)
        mounts.fill(run, made, archive)
        reporter.state("Queued")
        _check_image(run)
        mounts.hand_over(made.values(), host.owner)
        reporter.state("Created")
        reporter.state(RUNNING)
        status = execute(run, values, made, host)
        if run.stop.is_set():
            raise RunError("The server was stopped while this ran.")
        reporter.state("die")
        reporter.state("_die", details="Queued for finalizing")
        reporter.state("Finalizing", details=_UPLOADING)
        if status:
            raise ExitError(f"The container ended with status {status}.")
        mounts.collect(run, made, archive)


def _check_image(run: Run) -> None:
    image = str(run.command.get("image"))
    if image.partition(":")[0] != IMAGE:
        raise LaunchError(
            f"The image {image} is not run: this sandbox has no container engine and stands in for"
            f" {IMAGE} only."
        )
    there = run.host_settings.get("images")
    if there is not None and image not in there:
        raise LaunchError(f"No such image: {image}")


def execute(
    run: Run, values: dict[str, str], made: dict[str, Path], host: Host | None = None
) -> int:
    """Run the command line; return its status.

    Parameters
    ----------
    run : Run
        Its folder takes ``stdout.log`` and ``stderr.log``.
    values : dict of str to str
        Of the command's inputs.
    made : dict of str to Path
        Folder of each mount.
    host : Host, optional
        Where; by default in the run's folder, as this program's user.
    """
    host = host or Host(run.folder)
    command = mounts.with_folders(run.command, made)
    extra = host.environment(command) | inputs.environment(command, values)
    extra |= {
        "XNAT_HOST": run.host_settings.get("processing-url") or run.host,
        "XNAT_USER": run.alias,
        "XNAT_PASS": run.secret,
        "XNAT_WORKFLOW_ID": str(run.workflow),
        "XNAT_EVENT_ID": str(run.workflow),
    }
    work = host.folder / "work"
    work.mkdir(exist_ok=True)
    work.chmod(0o755)
    sensitive = [
        values[str(one["name"])] for one in run.command.get("inputs") or [] if one.get("sensitive")
    ]
    return process.run_line(
        host.line(inputs.command_line(command, values)),
        folder=work,
        out=run.folder / "stdout.log",
        err=run.folder / "stderr.log",
        secrets=[one for one in (run.secret, run.alias, *sensitive) if one],
        stop=run.stop,
        extra=extra,
    )


def _mail(run: Run, reporter: Reporter, word: str) -> None:
    """Mail who launched the run, with what it wrote; nobody where the site mails nobody."""
    if not run.email:
        return
    logs = [path for name in ("stdout", "stderr") if (path := run.folder / f"{name}.log").is_file()]
    text = f"{run.name} processing for {run.label} in project {run.project} has {word.lower()}"
    for path in logs:
        said = path.read_text("utf-8").strip().splitlines()[-_TAIL_LINES:]
        text += "".join(f"\n\nAttached: {path.name}\n" + "\n".join(said) if said else "")
    subject = f"{run.name} update: {word} processing of {run.label} in project {run.project}"
    reporter.mail(subject, text)
