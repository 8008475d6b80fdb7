"""One run of a pipeline on a project at a time: a file on the server that shows signs of life."""

from __future__ import annotations

import json
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from xnat_config.server.errors import MissingError
from xnat_pic.errors import WrongCallError, XnatPicError

from ..errors import StoppedError
from ..xnat.client import Access, RunClient
from ..xnat.store import ResultLocation, make_resource

FILE = "running.json"
_LONGEST = 4096
_ROUNDS = 50


@dataclass(frozen=True)
class LockTimes:
    """Times of the signs of life.

    Attributes
    ----------
    beat_s : float
        Between two signs.
    stale_s : float
        A run that shows none for so long was killed, and another takes its place.
    """

    beat_s: float = 10.0
    stale_s: float = 45.0


class BusyError(WrongCallError):
    """The same pipeline is under way on the project."""


class ProjectLock:
    """Holds the file while the block runs. Clocks of different machines are never compared.

    Parameters
    ----------
    access : Access
        The server; the lock has a client of its own, because signs of life must not wait for the
        work.
    location : ResultLocation
        Folder of the pipeline in the project.
    times : LockTimes
        Times.
    """

    def __init__(self, access: Access, location: ResultLocation, times: LockTimes) -> None:
        self._access, self._location, self._times = access, location, times
        self._holder = uuid.uuid4().hex
        self._since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        self._count = 0
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self.lost = False

    def __enter__(self) -> Self:
        """Take the lock; errors as of `_acquire`."""
        with RunClient(self._access) as client:
            make_resource(client, self._location)
            self._acquire(client)
        self._thread = threading.Thread(target=self._keep_alive, name="xnat-lock", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the lock back, where it is still ours."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        with suppress(XnatPicError), RunClient(self._access) as client:
            if self._read(client).get("holder") == self._holder:
                self._delete(client)

    def check(self) -> None:
        """Raise `StoppedError` where another run has taken the place of this one."""
        if self.lost:
            raise StoppedError(
                "Another run took the place of this one, which the server had not heard from.",
                hint="Wait until that one is done.",
            )

    def _acquire(self, client: RunClient) -> None:
        """Put the file where none is; wait for a sign of life of one that is there.

        Raises
        ------
        BusyError
            Where its holder lives.
        ServerError, LoginError
        """
        last: tuple[Any, Any] | None = None
        last_at = 0.0
        for _ in range(_ROUNDS):
            self._write(client, overwrite=False)
            holder = self._read(client)
            if holder.get("holder") == self._holder:
                return
            now = (holder.get("holder"), holder.get("beat"))
            if last is not None and now != last and now[0] is not None:
                raise BusyError(
                    f"This pipeline is under way on the project since {holder.get('since', '?')}.",
                    hint="Wait until it is done, then start again.",
                )
            if now != last:
                last, last_at = now, time.monotonic()
            elif time.monotonic() - last_at >= self._times.stale_s:
                self._delete(client)  # left behind by a run that was killed
                last = None
                continue
            time.sleep(min(self._times.beat_s, self._times.stale_s) / 4)
        raise BusyError(
            "Other runs of this pipeline on the project are being started.", hint="Try again later."
        )

    def _keep_alive(self) -> None:
        """Show a sign of life until the block ends; a server that is away is waited for."""
        while not self._over.wait(self._times.beat_s):
            with suppress(XnatPicError), RunClient(self._access) as client:
                while not self._over.wait(self._times.beat_s):
                    if self._read(client).get("holder") != self._holder:
                        self.lost = True
                        return
                    self._count += 1
                    self._write(client, overwrite=True)
                    self._access = client.access  # a token that was renewed on the way

    def _write(self, client: RunClient, *, overwrite: bool) -> None:
        content = {"holder": self._holder, "beat": self._count, "since": self._since}
        options = {"inbody": "true"} | ({"overwrite": "true"} if overwrite else {})
        client.send(
            "PUT",
            self._location.address(FILE),
            params=options,
            body=json.dumps(content).encode,
            content_type="application/octet-stream",
        )

    def _read(self, client: RunClient) -> dict[str, Any]:
        try:
            text = client.read(
                self._location.address(FILE), enough=lambda so_far: len(so_far) > _LONGEST
            )
            content = json.loads(text)
        except (MissingError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _delete(self, client: RunClient) -> None:
        with suppress(MissingError):
            client.send("DELETE", self._location.address(FILE))
