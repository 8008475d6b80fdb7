"""Start runs of pipelines and containers.

The sandbox itself runs nothing. A package that does names a callable under the entry point group
``sandbox.runners``: ``engine`` for pipeline descriptors, ``container`` for commands of the
Container Service. It is called with a `Run` in a thread of its own, reports through the archive's
REST addresses, and returns when the run is over. Without one every launch is recorded as Failed.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from threading import Event
from typing import Any

from . import accounts, container_host, preferences, workflows
from .accounts import User
from .archive import Archive
from .items import Item
from .workflows import Workflow

GROUP = "sandbox.runners"
ENGINE, CONTAINER = "engine", "container"
_MARK = "sandbox"  # attribute src of the runs that this server started
_AT_ONCE = 200  # XNAT starts every run of a batch at once
_ENDING_S = 2.0
_STOPPED = "The server was stopped while this ran."
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """What a runner is given.

    Attributes
    ----------
    workflow : int
        Number of the workflow to report on.
    host, alias, secret : str
        The archive's address, and a token to log in with that ends with the run.
    folder : Path
        New and empty: the run's own.
    catalog : Path or None
        The engine's catalog folder; None for a container.
    command : mapping
        The command of a container with its wrapper under ``wrapper``; empty for a pipeline.
    scan : str
        ID of the scan of the item that it runs on; empty for the whole item.
    email : str
        Of who launched it, as registered; empty for none, and where nobody is mailed.
    host_settings : mapping
        Of where a container runs: as the Container Service tells them, and beside them ``images``
        (tags that are there), ``tomcat-user`` (number of who owns the mounts, or None) and
        ``processing-url``.
    stop : Event
        Set when the server ends: the runner ends what it started.
    """

    kind: str
    workflow: int
    name: str
    item: str
    label: str
    xsi_type: str
    project: str
    launch_time: str
    parameters: Mapping[str, Sequence[str]]
    host: str
    alias: str
    secret: str = field(repr=False)
    login: str
    folder: Path
    catalog: Path | None = None
    command: Mapping[str, Any] = field(default_factory=dict)
    scan: str = ""
    email: str = ""
    host_settings: Mapping[str, Any] = field(default_factory=dict)
    stop: Event = field(default_factory=Event, repr=False)


Runner = Callable[[Run], None]


def find_runner(kind: str) -> Runner | None:
    """Return the installed runner of a kind."""
    found = metadata.entry_points(group=GROUP, name=kind)
    for entry in found:
        runner: Runner = entry.load()
        return runner
    return None


def run_folder(archive: Archive, number: int) -> Path:
    """Return the folder of a run; it is there once a runner was started."""
    return archive.folder / "runs" / str(number)


def absent(kind: str) -> str:
    """Return the sentence of a run that nothing can execute."""
    what = "pipelines" if kind == ENGINE else "containers"
    return (
        f"Nothing was run: this sandbox has no runner for {what}. Install a package that brings"
        f" one (entry point {kind} of the group {GROUP}), then launch again."
    )


@dataclass(frozen=True)
class LaunchRequest:
    """A launch that is asked for; `name` is the workflow's pipeline name."""

    kind: str
    name: str
    parameters: Mapping[str, Sequence[str]]
    catalog: Path | None = None
    command: Mapping[str, Any] = field(default_factory=dict)
    scan: str = ""


class Launcher:
    """Starts runs, all at once.

    Containers that an earlier server left open are closed as Failed. Nobody closes a run of the
    classic engine whose engine is gone, as in XNAT, unless the preference
    ``sandboxCloseStoppedRuns`` is set.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._stop = Event()
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="run")
        with archive.database.write() as connection:
            for one in workflows.find(connection, {"src": _MARK}):
                if one.is_open and _closes(connection, one):
                    _fail(connection, one, _STOPPED)

    def launch(self, request: LaunchRequest, item: Item, user: User, host: str) -> Workflow:
        """Record a run and start it; the record is Failed where no runner is installed."""
        runner = find_runner(request.kind)
        with self._archive.database.write() as connection:
            workflow = _record(connection, request, item, user)
            if runner is None:
                return _fail(connection, workflow, absent(request.kind))
            alias, secret, _ = accounts.issue_token(connection, user)
            email = accounts.email_of(connection, user.login)
            if request.kind == CONTAINER and not container_host.sends_mail(connection):
                email = ""
            settings = _host_settings(connection)
        folder = run_folder(self._archive, workflow.pk)
        folder.mkdir(parents=True, exist_ok=True)
        run = Run(
            kind=request.kind,
            workflow=workflow.pk,
            name=request.name,
            item=item.id,
            label=item.label,
            xsi_type=item.xsi_type,
            project=item.project,
            launch_time=workflow.launch_time,
            parameters=request.parameters,
            host=host,
            alias=alias,
            secret=secret,
            login=user.login,
            folder=folder,
            catalog=request.catalog,
            command=request.command,
            scan=request.scan,
            email=email,
            host_settings=settings,
            stop=self._stop,
        )
        self._pool.submit(self._execute, runner, run)
        return workflow

    def _execute(self, runner: Runner, run: Run) -> None:
        sentence, raised = "The runner ended without saying how the run ended.", False
        try:
            runner(run)
        except Exception as error:
            # A runner is foreign code: whatever it raises, the run must not stay open.
            _log.exception("run %s failed", run.workflow)
            sentence = f"The runner failed: {error}" if str(error) else "The runner failed."
            raised = not self._stop.is_set()
            # A server that ends answers no more some time before it is told here that it ends.
            self._stop.wait(_ENDING_S)
        if self._stop.is_set():
            sentence = _STOPPED
        with self._archive.database.write() as connection:
            workflow = workflows.get(connection, run.workflow)
            if (
                workflow is not None
                and workflow.is_open
                and (raised or _closes(connection, workflow))
            ):
                _fail(connection, workflow, sentence)
            if run.kind == CONTAINER:  # nothing takes an engine's token back before its time
                connection.execute("DELETE FROM alias_token WHERE alias = ?", (run.alias,))

    def close(self) -> None:
        """Start nothing more, and end what runs."""
        self._stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)


def _record(connection: Any, request: LaunchRequest, item: Item, user: User) -> Workflow:
    given = {name: list(values) for name, values in request.parameters.items()}
    return workflows.save(
        connection,
        {
            "id": item.id,
            "data_type": item.xsi_type,
            "externalid": item.project,
            "pipeline_name": request.name,
            "launch_time": workflows.moment(),
            "status": "Queued",
            "type": request.kind,
            "category": "DATA",
            "create_user": user.login,
            "scan_id": request.scan,
            "src": _MARK,
            workflows.PARAMETERS: json.dumps(given),
        },
        user.login,
    )


def _closes(connection: Any, workflow: Workflow) -> bool:
    """Tell whether the server closes a run that nothing reports on any more."""
    is_engine = workflow.fields.get("type") == ENGINE
    return not is_engine or preferences.value(connection, "sandboxCloseStoppedRuns")


def _host_settings(connection: Any) -> dict[str, Any]:
    tomcat = preferences.value(connection, "sandboxTomcatUser")
    return {
        **container_host.get(connection),
        "images": container_host.images(connection),
        "tomcat-user": int(tomcat) if tomcat.isdecimal() else None,
        "processing-url": preferences.value(connection, "processingUrl"),
    }


def _fail(connection: Any, workflow: Workflow, sentence: str) -> Workflow:
    return workflows.update(
        connection, workflow, status="Failed", details=sentence, step_description=sentence
    )
