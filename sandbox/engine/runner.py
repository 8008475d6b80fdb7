"""Run a pipeline from its descriptor, step by step, as the classic engine does."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from ..archive.launching import Run
from . import plan, process
from .documents import NAMESPACE, read_pipeline, text
from .errors import RunError
from .expressions import Values, is_true
from .plan import Instance
from .report import COMPLETE, FAILED, RUNNING, Reporter
from .shell import MASK

ENGINE_LOG = "engine.log"
_TAIL_LINES = 20
_TAIL_LETTERS = 3000


class _StepError(RunError):
    """A step ended with a status other than 0."""


class _StoppedError(RunError):
    """The engine is ended from outside: it reports nothing more."""


def run(run: Run) -> None:
    """Run a pipeline that was launched in the archive, and report on it.

    A run whose descriptor or launch parameters cannot be read stays Queued, and one whose engine is
    stopped stays Running: the reason stands in ``engine.log`` of the run's folder alone. On a
    failure the record names the file of errors, and a mail holds the end of it; nobody is mailed
    of a success, because XNAT launches with ``-supressNotification``.

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
    execution = _Execution(run, reporter)
    try:
        try:
            execution.prepare()
        except RunError as problem:
            execution.note(problem.message)
            return
        try:
            execution.go()
        except _StoppedError as problem:
            execution.note(problem.message)
        except RunError as problem:
            execution.note(problem.message)
            reporter.state(FAILED, about=f"See {execution.err} for errors")
            reporter.mail(f"{execution.title} failed on {run.label}", execution.failure())
        else:
            reporter.state(COMPLETE, about="Done", percent=100)
    finally:
        reporter.close()


class _Execution:
    """One run: its descriptor, its steps, its logs."""

    def __init__(self, run: Run, reporter: Reporter) -> None:
        self._run, self._reporter = run, reporter
        self._build = run.folder / "build"
        self._catalog = run.catalog or Path()
        self._steps: list[Instance] = []
        self.prefix = run.folder / "run"
        self.title = Path(run.name).stem

    @property
    def err(self) -> Path:
        """File of what the steps say of errors."""
        return self.prefix.with_name(f"{self.prefix.name}.err")

    def prepare(self) -> None:
        """Read the descriptor, its parameters and its loops.

        Raises
        ------
        RunError
            With the reason why nothing was begun.
        """
        self._build.mkdir(parents=True, exist_ok=True)
        root = read_pipeline(self._catalog, self._run.name)
        self.title = text(root, "name") or self.title
        self._values = Values(root, self._parameters())
        self.prefix = plan.log_prefix(root, self._values, self.prefix)
        self._steps = plan.instances(root, self._values)

    def go(self) -> None:
        """Run all steps.

        Raises
        ------
        RunError
            With the reason why the run failed.
        """
        steps = self._steps
        try:
            for number, instance in enumerate(steps):
                following = steps[number + 1].name if number + 1 < len(steps) else ""
                # Percents count the present step as done from its start.
                percent = 100 * (number + 1) / len(steps)
                self._report(instance, following, percent)
                self._step(instance, self._values)
                self._report(instance, following, percent)
        finally:
            self._save(steps)

    def note(self, message: str) -> None:
        """Write why a run ended into the engine's own log."""
        with (self._run.folder / ENGINE_LOG).open("a", encoding="utf-8") as log:
            log.write(f"{self._masked(message)}\n")

    def _masked(self, text: str) -> str:
        """Return text without the run's token, which an evaluated launch parameter may name."""
        for secret in (self._run.alias, self._run.secret):
            text = text.replace(secret, MASK)
        return text

    def failure(self) -> str:
        """Return the mail of a run that failed: in general words, with the end of its errors."""
        run = self._run
        said = self.err.read_text("utf-8").strip().splitlines() if self.err.is_file() else []
        tail = "\n".join(said[-_TAIL_LINES:])[-_TAIL_LETTERS:]
        head = (
            f"The pipeline {self.title}, started on {run.label} of project {run.project}, ended"
            f" with an error. Its files are on the server beside {self.err}."
        )
        return f"{head}\n\nThe end of that file:\n\n{tail or '(it is empty)'}"

    def _parameters(self) -> dict[str, list[str]]:
        run = self._run
        own = {
            "host": run.host + "/",  # the engine's launcher adds the slash
            "xnatserver": run.host,
            "user": run.alias,
            "pwd": run.secret,
            "id": run.item,
            "xnat_id": run.item,
            "workflowid": str(run.workflow),
            "label": run.label,
            "project": run.project,
            "dataType": run.xsi_type,
            "builddir": str(self._build),
            "useremail": run.email,
            "userfullname": run.login,
            "adminemail": "",
            "mailhost": "",
        }
        given = {k: list(v) for k, v in run.parameters.items() if k not in ("user", "pwd")}
        return given | {name: [value] for name, value in own.items()}

    def _report(self, instance: Instance, following: str, percent: float) -> None:
        self._reporter.state(
            RUNNING,
            about=instance.about,
            step=instance.name,
            following=following,
            percent=percent,
        )

    def _step(self, instance: Instance, values: Values) -> None:
        """Run one instance, unless its condition does not hold."""
        try:
            if not is_true(instance.precondition, values, instance.loop_values):
                instance.status = "Skipped"
                if instance.strict:
                    raise RunError(f"The condition of step {instance.name} does not hold.")
                return
            instance.status = "Running"
            self._commands(instance, values)
        except _StoppedError:
            raise
        except RunError as problem:
            if not isinstance(problem, _StepError):
                self._append_error(problem.message)
            if instance.status == "Running":
                instance.status = "Failed"
            if instance.status != "Failed" or not instance.continue_on_failure:
                raise
        else:
            instance.status = "Complete"

    def _append_error(self, message: str) -> None:
        with self.err.open("a", encoding="utf-8") as file:
            file.write(f"{self._masked(message)}\n")

    def _commands(self, instance: Instance, values: Values) -> None:
        folder = plan.folder(instance, values, self._build)
        out = self.prefix.with_name(f"{self.prefix.name}.log")
        secrets = {self._run.alias, self._run.secret}
        for one in plan.commands(instance, values, self._catalog):
            shown = self._masked(one.shown)
            instance.shown += (shown,)
            with out.open("a", encoding="utf-8") as log:
                log.write(f"--- {instance.name}: {_on_one_line(shown)}\n")
            self.err.touch()
            status = process.run_line(
                one.line,
                folder=folder,
                out=out,
                # The engine often loses what the shell says of a program that is not there.
                err=self.err if process.is_there(one.program) else Path(os.devnull),
                secrets=sorted(secrets | set(one.secrets), key=len, reverse=True),
                stop=self._run.stop,
            )
            if self._run.stop.is_set():
                raise _StoppedError("The server was stopped while this ran.")
            instance.versions += (process.version_of(one.program, self._run.stop),)
            if status:
                about = f"Step {instance.name} ({instance.about})"
                raise _StepError(f"{about} ended with status {status}.")

    def _save(self, steps: list[Instance]) -> None:
        """Write the steps with their state and commands, secrets masked."""
        root = Element("AllResolvedSteps", {"xmlns": NAMESPACE})
        SubElement(root, "name").text = self.title
        for one in steps:
            step = SubElement(root, "ResolvedStep", {"id": one.name, "status": one.status})
            SubElement(step, "description").text = one.about
            for shown, version in zip(one.shown, (*one.versions, *one.shown), strict=False):
                program = SubElement(step, "program")
                program.set("version", version if version != shown else "")
                program.text = shown
        ElementTree.indent(root)
        path = self.prefix.with_name(f"{self.prefix.name}_{self.title}.xml")
        path.write_bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _on_one_line(text: str) -> str:
    return "\\n".join(text.splitlines())
