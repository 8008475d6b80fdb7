"""What the parts of a run on one session share."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xnat_config.server.client import XnatClient
from xnat_config.server.files import RemoteFile
from xnat_pic.version import version

from ..errors import StoppedError
from ..outputs.uids import parameter_hash
from .find import Scan, Session
from .log import Log
from .outcome import Made
from .parameters import Asked
from .store import Place, describe, find_done, publish

Cancel = Callable[[], bool]


@dataclass
class Work:
    """One run on one session.

    Attributes
    ----------
    client : XnatClient
        The server.
    asked : Asked
        What is wanted.
    session : Session
        Of which session.
    folder : Path
        Where to work.
    log : Log
        What is said.
    made : Made
        What came out.
    cancel : callable
        True ends the run.
    """

    client: XnatClient
    asked: Asked
    session: Session
    folder: Path
    log: Log
    made: Made
    cancel: Cancel

    def go_on(self, doing: str = "") -> None:
        """End here if the run was asked to end; also told as progress.

        Raises
        ------
        StoppedError
        """
        if self.cancel():
            raise StoppedError("The run was stopped.", hint="Start it again to do the rest.")
        if doing:
            self.log.say(f"{doing} ...")

    def note(self, text: str) -> None:
        """Keep a warning, and log it."""
        self.made.notes.append(text)
        self.log.say(f"note: {text}")

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the time of the block to a part."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = self.made.seconds.get(part, 0.0) + time.perf_counter() - start
            self.made.seconds[part] = round(spent, 3)

    def place(self, scan: Scan, folder: str) -> Place:
        """Return where a scan's result goes: to the scan; to the subject of a project run."""
        resource = self.asked.pipeline.resource
        if not self.asked.per_subject:
            return Place(scan.address, resource, folder)
        path = "/".join([plain(self.session.label), plain(scan.id), folder])
        return Place(self.session.subject_address, resource, path)

    def request(self, files: Sequence[RemoteFile], *more: Any) -> str:
        """Return the hash of inputs, parameters and software that decides what is done already."""
        inputs = sorted(f"{one.path} {one.size} {one.md5}" for one in files)
        return parameter_hash([version(), self.asked.key, inputs, *more])

    def done(self, place: Place, request: str, contents: str) -> dict[str, Any] | None:
        """Return the contents of a result that is there already; None where it is to be made."""
        if self.asked.flag("redo"):
            return None
        return find_done(self.client, place, request, contents)

    def upload(self, place: Place, folder: Path, request: str, scan: Scan, contents: str) -> None:
        """Describe a result and send it."""
        step = {
            "pipeline": self.asked.pipeline.name,
            "request": request,
            "parameters": self.asked.key,
            "inputs": {k: v for k, v in self.asked.values.items() if v},
            "project": self.session.project,
            "subject": self.session.subject,
            "session": self.session.label,
            "session_id": self.session.id,
            "scan": scan.id,
            "software": f"xnat-pic {version()}",
        }
        text = (folder / "log.txt").read_text(encoding="utf-8")
        head = f"{self.asked.pipeline.name}: session {self.session.label}, scan {scan.id}"
        (folder / "log.txt").write_text(
            f"{self.log.clean(head)}\n{text}", encoding="utf-8", newline="\n"
        )
        with self.timed("upload"):
            describe(folder, step, contents)
            publish(self.client, place, folder, contents)
        self.log.say(f"scan {scan.id}: results are in {place.resource}/{place.folder}")

    def fresh(self, *parts: str) -> Path:
        """Return a folder of the work that is not there, below one that is."""
        path = self.folder.joinpath(*parts)
        if path.exists():
            shutil.rmtree(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def plain(text: str) -> str:
    """Return a name of letters, digits, ``-``, ``_`` and ``.`` that cannot lead elsewhere."""
    signs = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in text)
    return signs.lstrip(".") or "_"
