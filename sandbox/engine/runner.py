"""Run a pipeline from its descriptor, step by step, as the classic engine does."""

from __future__ import annotations

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

_TAIL_LINES = 20
_CLOSING_LINES = 3


class _StepError(RunError):
    """A step ended with a status other than 0."""


def run(run: Run) -> None:
    """Run a pipeline that was launched in the archive, and report on it.

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
        execution = _Execution(run, reporter)
        try:
            execution.go()
        except RunError as problem:
            where = f"See {execution.prefix.name}.err for errors"
            about = where if isinstance(problem, _StepError) else problem.message
            reporter.state(FAILED, about=about, details=problem.message)
            reporter.mail(f"{execution.title} failed on {run.label}", problem.message)
        else:
            closing = execution.closing()
            reporter.state(COMPLETE, about="Done", percent=100, details=closing)
            reporter.mail(f"{execution.title} is done on {run.label}", closing)
    finally:
        reporter.close()


class _Execution:
    """One run: its descriptor, its steps, its logs."""

    def __init__(self, run: Run, reporter: Reporter) -> None:
        self._run, self._reporter = run, reporter
        self._build = run.folder / "build"
        self._catalog = run.catalog or Path()
        self.prefix = run.folder / "run"
        self.title = Path(run.name).stem

    def go(self) -> None:
        """Run all steps.

        Raises
        ------
        RunError
            With the reason why the run failed.
        """
        self._build.mkdir(parents=True, exist_ok=True)
        root = read_pipeline(self._catalog, self._run.name)
        self.title = text(root, "name") or self.title
        values = Values(root, self._parameters())
        self.prefix = plan.log_prefix(root, values, self.prefix)
        steps = plan.instances(root, values)
        try:
            for number, instance in enumerate(steps):
                following = steps[number + 1].name if number + 1 < len(steps) else ""
                self._report(instance, following, number, len(steps))
                self._step(instance, values)
                self._report(instance, following, number + 1, len(steps))
        finally:
            self._save(steps)

    def closing(self) -> str:
        """Return the mail of a run that is complete, with the last that its steps said."""
        said = _last_lines(self.prefix.with_name(f"{self.prefix.name}.err"), _CLOSING_LINES)
        told = [line for line in said if not line.endswith(" ...")]  # no progress
        return "\n".join(["Every step is complete.", *told])

    def _parameters(self) -> dict[str, list[str]]:
        run = self._run
        own = {
            "host": run.host + "/",  # the engine's launcher adds the slash
            "xnatserver": run.host,
            "user": run.alias,
            "pwd": run.secret,
            "id": run.item,
            "xnat_id": run.item,
            "label": run.label,
            "project": run.project,
            "dataType": run.xsi_type,
            "workflowid": str(run.workflow),
            "builddir": str(self._build),
            "useremail": run.email,
            "userfullname": run.login,
            "adminemail": "",
            "mailhost": "",
        }
        given = {k: list(v) for k, v in run.parameters.items() if k not in ("user", "pwd")}
        return given | {name: [value] for name, value in own.items()}

    def _report(self, instance: Instance, following: str, done: int, count: int) -> None:
        self._reporter.state(
            RUNNING,
            about=instance.about,
            step=instance.name,
            following=following,
            percent=100 * done / count,
        )

    def _step(self, instance: Instance, values: Values) -> None:
        """Run one instance, unless its condition does not hold."""
        if not is_true(instance.precondition, values, instance.loop_values):
            instance.status = "Skipped"
            if instance.strict:
                raise RunError(f"The condition of step {instance.name} does not hold.")
            return
        instance.status = "Running"
        try:
            self._commands(instance, values)
        except RunError:
            instance.status = "Failed"
            if not instance.continue_on_failure or self._run.stop.is_set():
                raise
        else:
            instance.status = "Complete"

    def _commands(self, instance: Instance, values: Values) -> None:
        folder = plan.folder(instance, values, self._build)
        out, err = (self.prefix.with_name(f"{self.prefix.name}.{end}") for end in ("log", "err"))
        secrets = {self._run.alias, self._run.secret}
        for one in plan.commands(instance, values, self._catalog):
            instance.shown += (one.shown,)
            with out.open("a", encoding="utf-8") as log:
                log.write(f"--- {instance.name}: {_on_one_line(one.shown)}\n")
            status = process.run_line(
                one.line,
                folder=folder,
                out=out,
                err=err,
                secrets=sorted(secrets | set(one.secrets), key=len, reverse=True),
                stop=self._run.stop,
            )
            if self._run.stop.is_set():
                raise RunError("The server was stopped while this ran.")
            instance.versions += (process.version_of(one.program, self._run.stop),)
            if status:
                raise _StepError(_sentence(instance, status, err))

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


def _sentence(instance: Instance, status: int, err: Path) -> str:
    """Return why a step failed: the last of what it said."""
    head = f"Step {instance.name} ({instance.about}) ended with status {status}."
    return "\n".join([head, *_last_lines(err, _TAIL_LINES)])


def _last_lines(path: Path, most: int) -> list[str]:
    said = path.read_text("utf-8").strip().splitlines() if path.is_file() else []
    return said[-most:]
