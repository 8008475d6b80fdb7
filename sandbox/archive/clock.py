"""What the archive does by itself: sessions that nobody adds to any more are built."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.concurrency import run_in_threadpool

from . import prearchive, workflows
from .archive import Archive
from .importing import finish

_log = logging.getLogger(__name__)
_REPEAT_S = 60.0  # XNAT looks once a minute


def finish_all_idle(archive: Archive) -> None:
    """Build, and where it is set archive, every session that has been idle long enough."""
    limit = time.time() - archive.settings.idle_s
    with archive.database.read() as connection:
        running = workflows.find(connection, workflows.RUNNING_AUTO_RUN, limit=1)
        waiting = [
            one
            for direct in (False, True)
            for one in prearchive.sessions(connection, direct=direct)
            if one.status == prearchive.RECEIVING and one.lastmod < limit
            if direct or not one.waits_for_sender
        ]
    if running:
        with archive.database.write() as connection:
            workflows.end_auto_runs(connection)
    for session in waiting:
        try:
            finish(archive, session.pk, limit)
        except Exception:  # one session's fault must not stop the others
            _log.exception("The prearchive session %s could not be built.", session.url)


@asynccontextmanager
async def running(archive: Archive) -> AsyncIterator[None]:
    """Look after the prearchive while the server runs."""
    task = asyncio.create_task(_watch(archive))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _watch(archive: Archive) -> None:
    pause = min(_REPEAT_S, max(archive.settings.idle_s / 4, 0.05))
    while True:
        await asyncio.sleep(pause)
        await run_in_threadpool(finish_all_idle, archive)
