"""What the parts of a run on one session share."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xnat_config.server.client import XnatClient
from xnat_config.server.files import RemoteFile
from xnat_pic.errors import XnatPicError, describe
from xnat_pic.version import version

from ..errors import StoppedError
from ..outputs.uids import parameter_hash
from .earlier import (
    EarlierResult,
    Folder,
    InputFiles,
    find_earlier_result,
    strangers_note,
    write_step_provenance,
)
from .find import ScanRow, Session
from .log import Log
from .outcome import RunResult
from .parameters import RunParameters
from .store import ResultLocation, publish

Cancel = Callable[[], bool]
Progress = Callable[[float, str], None]

# Shares of a part at which its work begins, and its sending.
_RUNS_FROM, _SENDS_FROM = 0.2, 0.9


@dataclass
class RunContext:
    """One run on one session.

    Attributes
    ----------
    client : XnatClient
        The server.
    run_parameters : RunParameters
        Its parameters.
    session : Session
        Of which session.
    folder : Path
        Where to work.
    log : Log
        Lines of the run.
    result : RunResult
        What came out.
    cancel : callable
        True ends the run.
    progress : callable
        Told the share that is done, 0 to 1, and what is done now.
    known : dict
        Inputs that this run looked at, see `find_earlier_result`.
    """

    client: XnatClient
    run_parameters: RunParameters
    session: Session
    folder: Path
    log: Log
    result: RunResult
    cancel: Cancel
    progress: Progress = lambda share, doing: None
    known: dict[Folder, dict[str, RemoteFile]] = field(default_factory=dict, repr=False)
    _part: str = field(default="finding what serves", init=False)
    _number: int = field(default=0, init=False)
    _count: int = field(default=1, init=False)

    def start_part(self, name: str, number: int, count: int) -> None:
        """Go on to a part of the run, such as a scan: the first of `count` has the number 0."""
        self._part, self._number, self._count = name, number, count
        self.checkpoint()
        self.tell(0.0, "")

    def tell(self, share: float, doing: str) -> None:
        """Tell what is done now, and how much of the present part is done, 0 to 1."""
        what = f"{self._part}: {doing}" if doing else self._part
        self.progress((self._number + share) / self._count, what)

    def checkpoint(self, doing: str = "") -> None:
        """End here if the run was asked to end; also reported as progress.

        Raises
        ------
        StoppedError
        """
        if self.cancel():
            raise StoppedError("The run was stopped.", hint="Start it again to do the rest.")
        if doing:
            self.log.add(f"{doing} ...")
            self.tell(_RUNS_FROM, doing)

    def note(self, text: str) -> None:
        """Record a warning, and log it."""
        self.result.notes.append(text)
        self.log.add(f"note: {text}")

    def fail(self, where: str, error: Exception) -> None:
        """Record a fault of a part, such as ``Scan 5``, and log it; the other parts go on."""
        if isinstance(error, XnatPicError):
            error.message = f"{where}: {error.message}"
        self.result.faults.append(error)
        self.log.add(f"failed. {describe(error)}")

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the time of the block to a part."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = self.result.seconds.get(part, 0.0) + time.perf_counter() - start
            self.result.seconds[part] = round(spent, 3)

    def location(self, scan: ScanRow, folder: str) -> ResultLocation:
        """Return where a scan's result goes: to the scan; to the subject of a project run."""
        resource = self.run_parameters.pipeline.resource
        if not self.run_parameters.per_subject:
            return ResultLocation(scan.address, resource, folder)
        path = "/".join([path_part(self.session.label), path_part(scan.id), folder])
        return ResultLocation(self.session.subject_address, resource, path)

    def find_earlier(
        self,
        location: ResultLocation,
        inputs: Sequence[InputFiles],
        contents: str,
        more: Sequence[Any] = (),
    ) -> EarlierResult:
        """Look whether a result is there already, made of the same by the same software.

        Parameters
        ----------
        location : ResultLocation
            Where it would lie.
        inputs : sequence of InputFiles
            What it is made of.
        contents : str
            Name of its table of contents.
        more : sequence
            What else decides, beside the parameters.

        Raises
        ------
        ServerError
        """

        def request_of(now: Sequence[InputFiles]) -> str:
            names = [sorted(f"{one.path} {one.size} {one.md5}" for one in of.files) for of in now]
            return parameter_hash([version(), self.run_parameters.key, names, *more])

        redo = self.run_parameters.flag("redo")
        found = find_earlier_result(
            self.client, location, inputs, request_of, contents, known=self.known, redo=redo
        )
        for text in found.notes:
            self.note(text)
        return found

    def upload(
        self, location: ResultLocation, folder: Path, request: str, scan: ScanRow, contents: str
    ) -> None:
        """Describe a result and send it."""
        step = {
            "pipeline": self.run_parameters.pipeline.name,
            "request": request,
            "parameters": self.run_parameters.key,
            "inputs": {k: v for k, v in self.run_parameters.values.items() if v},
            "project": self.session.project,
            "subject": self.session.subject,
            "session": self.session.label,
            "session_id": self.session.id,
            "scan": scan.id,
            "software": f"xnat-pic {version()}",
        }
        text = (folder / "log.txt").read_text(encoding="utf-8")
        head = f"{self.run_parameters.pipeline.name}: session {self.session.label}, scan {scan.id}"
        (folder / "log.txt").write_text(
            f"{self.log.masked(head)}\n{text}", encoding="utf-8", newline="\n"
        )
        self.tell(_SENDS_FROM, "sending results")
        with self.timed("upload"):
            write_step_provenance(folder, step)
            strangers = publish(self.client, location, folder, contents)
        for said in strangers_note(f"{location.resource}/{location.folder}", strangers):
            self.note(said)
        self.log.add(f"scan {scan.id}: results are in {location.resource}/{location.folder}")

    def new_folder(self, *parts: str) -> Path:
        """Return a folder of the work that is not there, below one that is."""
        path = self.folder.joinpath(*parts)
        if path.exists():
            shutil.rmtree(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def path_part(text: str) -> str:
    """Return a name of letters, digits, ``-``, ``_`` and ``.`` that cannot lead elsewhere."""
    signs = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in text)
    return signs.lstrip(".") or "_"
