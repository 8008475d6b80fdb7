"""Send a session into the prearchive, count what arrived, and archive it.

Nothing here trusts a lost answer: the server is asked what it did before anything is repeated.
Sending the same instance twice into one session of the prearchive replaces it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from xnat_config.server.errors import LostAnswerError, MissingError, RefusedError
from xnat_config.server.files import RemoteFile
from xnat_pic.errors import ServerError
from xnat_pic.text import counted

from ..control import ArchiveMeter
from ..errors import RowError
from ..planning.journal import SeriesState
from ..server.listing import (
    PrearchiveSession,
    instance_uid_of_name,
    read_prearchive,
    read_prearchive_files,
)
from ..verification.matching import SeriesMatch, match_files
from ..verification.payload import Instance, SeriesPayload
from .archives import ImportPart, address_in, body_of, record_digests, refused, split_into_parts
from .jobs import SessionJob, UploadContext, compare_with_server, rejection
from .zip_stream import ZipStream

_RECEIVING = ("RECEIVING", "RECEIVING_INTERRUPT")
_STUCK = ("CONFLICT", "ERROR")
_NO_OVERRIDE = "no way to override this conflict"
_CONCURRENT = "concurrent file sends"
_OPEN_WORKFLOW = re.compile(r"processing may already be in progress: *(.+?)\.(?:\s|$)")


def send_to_prearchive(context: UploadContext, job: SessionJob) -> None:
    """Bring what is missing of a session through the prearchive into the archive.

    Raises
    ------
    RowError
        If the server has a reason against it.
    XnatPicError
        If the server cannot be reached, the login ended, a file cannot be read, or a person
        stopped the work.
    """
    prearchived = find_own_session(context, job)
    if not job.pending:
        return  # it was archived meanwhile
    address = prearchived.address if prearchived else ""
    there = read_prearchive_files(context.client, prearchived.path) if prearchived else {}
    address = _send_missing(context, job, address, there)
    finish_in_prearchive(context, job, address)


def _send_missing(
    context: UploadContext, job: SessionJob, address: str, there: dict[str, list[RemoteFile]]
) -> str:
    """Send what our session in the prearchive does not hold; return the session's address."""
    needed = [
        (series, _missing_instances(context, series, job.todo[series.uid], there))
        for series in job.pending
    ]
    options = context.options
    for part in split_into_parts(needed, options.part_bytes, options.deidentifier):
        context.control.wait_if_paused()
        address = _send_part(context, job, part, address)
        context.journal.set_state(job.key, part.last_of, SeriesState.SENT)
    return address


def finish_in_prearchive(context: UploadContext, job: SessionJob, address: str) -> None:
    """Archive what was sent into our session of the prearchive, once it is counted.

    What the server took in without a fault, and does not have, is sent once more. What is not
    there then either is what the site does not want, and the job's `rejected` names it.

    Raises
    ------
    RowError
        If nothing arrived of a new session, or the server has a reason against it.
    """
    prearchived = _count_received(context, job, address)
    if job.rejected:
        found = read_prearchive_files(context.client, prearchived.path) if prearchived else {}
        address = _send_missing(context, job, address, found)
        prearchived = _count_received(context, job, address)
    if prearchived is None or not job.received:
        if job.existing is None:
            raise RowError("rejected", rejection(job))
        if prearchived is not None:
            context.client.send("DELETE", prearchived.path)
        context.journal.set_prearchive(job.key, "")
        return
    states = {one.uid for one in job.pending} - {
        series.uid for series in job.pending if job.rejected.intersection(series.instances)
    }
    context.journal.set_state(job.key, states, SeriesState.RECEIVED)
    _archive(context, job, prearchived)


def _rows(context: UploadContext, job: SessionJob) -> list[PrearchiveSession]:
    """Return what waits for this session: the same study under the same label."""
    label = job.row.session.casefold()
    return [
        one
        for one in read_prearchive(context.client, job.row.project)
        if one.study_uid == job.payload.study_uid and one.label.casefold() == label
    ]


def find_own_session(context: UploadContext, job: SessionJob) -> PrearchiveSession | None:
    """Return our session in the prearchive, ready to go on with; None if there is none.

    Raises
    ------
    RowError
        If the prearchive holds this session from somebody else.
    """
    entry = context.journal.session(job.key)
    address, may_be_ours = (entry.prearchive, entry.sending) if entry else ("", False)
    rows = _rows(context, job)
    ours = [one for one in rows if one.address == address or may_be_ours]
    if len(ours) < len(rows):
        raise RowError(
            "in-prearchive",
            f"The prearchive of {job.row.project} already holds {job.row.session}, "
            "which this plan did not send.",
            hint="Archive or delete it in XNAT's prearchive, then run the same command again.",
        )
    if not ours:
        context.journal.set_prearchive(job.key, "")
        return None
    context.journal.set_prearchive(job.key, ours[0].address)
    return _resume_session(context, job, ours[0])


def _resume_session(
    context: UploadContext, job: SessionJob, prearchived: PrearchiveSession
) -> PrearchiveSession | None:
    """Bring a session that an earlier run left into a state to go on with."""
    found = _wait_while(context, job, prearchived.address, lambda one: one.is_busy)
    if found is None:
        context.journal.set_prearchive(job.key, "")
        compare_with_server(context, job)  # it was archived meanwhile
        return None
    if found.status == "READY":
        return found
    try:
        context.client.send("POST", found.path, params={"action": "build"}, repeat=True)
    except RefusedError:
        pass  # what cannot be built is removed below
    except ServerError as error:
        if error.status != 500:
            raise
    found = _wait_while(context, job, prearchived.address, lambda one: one.is_busy)
    if found is not None and found.status not in ("READY", *_RECEIVING):
        context.client.send("DELETE", found.path)
        found = None
    context.journal.set_prearchive(job.key, found.address if found else "")
    return found


def _wait_while(
    context: UploadContext,
    job: SessionJob,
    address: str,
    condition: Callable[[PrearchiveSession], bool],
) -> PrearchiveSession | None:
    """Wait while a condition holds for our session; return it, or None once it is gone."""
    end = time.monotonic() + context.options.settle_s
    attempt = 0
    while True:
        found = next((one for one in _rows(context, job) if one.address == address), None)
        if found is None or not condition(found):
            return found
        if time.monotonic() > end:
            raise RowError(
                "server-slow",
                f"The server is still at work on {job.row.session} ({found.status.lower()}).",
                hint="Run the same command again later: it goes on.",
            )
        attempt += 1
        context.control.sleep(min(context.client.retry.wait_s(attempt), 5.0))


def _missing_instances(
    context: UploadContext,
    series: SeriesPayload,
    wanted: list[Instance],
    there: dict[str, list[RemoteFile]],
) -> list[Instance]:
    """Return the instances that our session in the prearchive does not hold yet."""
    match = _match(context, series, there)
    return [one for one in wanted if one.sent_uid not in match.present]


def _match(
    context: UploadContext, series: SeriesPayload, there: dict[str, list[RemoteFile]]
) -> SeriesMatch:
    """Match a series with the prearchive; a file that was cut off does not count."""
    files = [
        file
        for uid, some in there.items()
        for file in some
        if uid == series.sent_uid or instance_uid_of_name(file) in series.instances
    ]
    if context.options.deidentifier is None:
        sizes = {uid: one.file.size for uid, one in series.instances.items()}
        # Where the server keeps the bytes as they are, a file of another size is cut off.
        planned = [sizes.get(instance_uid_of_name(file)) for file in files]
        if any(size == file.size for size, file in zip(planned, files, strict=True)):
            pairs = zip(planned, files, strict=True)
            files = [file for size, file in pairs if size in (None, file.size)]
    return match_files(context.client, series, files, trust_names=True)


def _send_part(context: UploadContext, job: SessionJob, part: ImportPart, address: str) -> str:
    """Send one archive, looking before each repetition; return the session's address."""
    client, counter = context.client, ArchiveMeter(context.meter, context.control)
    stream = ZipStream(part.entries, counter.count)
    if not address:
        context.journal.mark_sending(job.key)
    for attempt in range(1, client.retry.attempts + 1):
        try:
            answer = client.send(
                "POST",
                "/data/services/import",
                params=_import_params(job, address),
                body=body_of(stream, counter),
                content_type="application/zip",
                repeat=False,
            )
        except (LostAnswerError, RefusedError) as error:
            if isinstance(error, RefusedError) and _CONCURRENT not in error.message.lower():
                raise refused(job, error) from error
            if attempt == client.retry.attempts:
                raise
            context.control.sleep(client.retry.wait_s(attempt))
            address, is_there = _check_after_lost_answer(context, job, part, address)
            if not is_there:
                continue
        else:
            address = address_in(answer.text) or address or _find_address(context, job)
        break
    context.journal.set_prearchive(job.key, address)
    record_digests(context, job, part, stream)
    return address


def _find_address(context: UploadContext, job: SessionJob) -> str:
    """Return where an import lies whose answer names no place; empty where it stored nothing.

    Before it there was nothing of this session that is not ours.
    """
    rows = _rows(context, job)
    return rows[0].address if rows else ""


def _import_params(job: SessionJob, address: str) -> dict[str, str]:
    return {
        "import-handler": "DICOM-zip",
        "dest": address or f"/prearchive/projects/{job.row.project}",
        "project": job.row.project,
        "subject": job.row.subject,
        "session": job.row.session,
        # The project may archive by itself; it must not do so between two archives of ours.
        "prevent_auto_commit": "true",
    }


def _check_after_lost_answer(
    context: UploadContext, job: SessionJob, part: ImportPart, address: str
) -> tuple[str, bool]:
    """Return our session's address, and whether the archive arrived whole after all."""
    rows = [one for one in _rows(context, job) if not address or one.address == address]
    if not rows:
        return "", False
    found = _wait_while(context, job, rows[0].address, lambda one: one.is_busy)
    if found is None:
        return "", False
    context.journal.set_prearchive(job.key, found.address)
    if found.status != "READY":
        return found.address, False
    there = read_prearchive_files(context.client, found.path)
    arrived = {uid for one in part.series for uid in _match(context, one, there).present}
    return found.address, all(one.sent_uid in arrived for one in part.by_name.values())


def _wait_until_built(context: UploadContext, job: SessionJob, address: str) -> PrearchiveSession:
    """Wait until the server has built our session."""
    found = _wait_while(context, job, address, lambda one: one.is_busy)
    if found is not None and found.status in _RECEIVING:
        context.client.send("POST", found.path, params={"action": "build"}, repeat=True)
        found = _wait_while(
            context, job, address, lambda one: one.is_busy or one.status in _RECEIVING
        )
    if found is None:
        raise RowError(
            "lost",
            f"{job.row.session} is no longer in the prearchive.",
            hint="Run the same command again: it compares with the archive and goes on.",
        )
    return found


def _count_received(
    context: UploadContext, job: SessionJob, address: str
) -> PrearchiveSession | None:
    """Compare what the prearchive holds with what was sent, and note in the job what is there.

    An import that took nothing in names no session: then there is none.
    """
    prearchived = _wait_until_built(context, job, address) if address else None
    there = read_prearchive_files(context.client, prearchived.path) if prearchived else {}
    job.received, job.rejected = set(), set()
    for series in job.pending:
        wanted = {one.sent_uid for one in job.todo[series.uid]}
        lacking = _missing_instances(context, series, job.todo[series.uid], there)
        job.rejected |= {one.sent_uid for one in lacking}
        job.received |= wanted - job.rejected
    return prearchived


def _archive(context: UploadContext, job: SessionJob, prearchived: PrearchiveSession) -> None:
    """Archive our session, once; a lost answer is looked after.

    What is archived already is merged with. The first try lets the server refuse where something
    else is at work on the session, which is waited for; `overwrite` would overlook that, and is
    sent once the server names another conflict.
    """
    client = context.client
    end = time.monotonic() + context.options.settle_s
    attempt, waits, overwrite = 1, 0, False
    while True:
        try:
            client.send(
                "POST",
                "/data/services/archive",
                params=_archive_params(job, prearchived, overwrite),
                repeat=False,
                # Where the project archives by itself XNAT answers so, with where it is now.
                accept=(303,),
                read_timeout_s=context.options.settle_s,
            )
            break
        except (LostAnswerError, RefusedError) as error:
            if workflow := _OPEN_WORKFLOW.search(error.message):
                waits += 1
                _wait_for_workflow(context, job, workflow[1], waits, end)
                continue
            if job.existing is not None and not overwrite and _says_why(error):
                overwrite = True
                continue
            if job.replaces and _NO_OVERRIDE in error.message.lower():
                _delete_replaced(context, job)
                continue
            if attempt == client.retry.attempts:
                raise
            context.control.sleep(client.retry.wait_s(attempt))
            attempt += 1
            if _is_archived(context, job, prearchived, error):
                break
    context.journal.set_prearchive(job.key, "")


def _delete_replaced(context: UploadContext, job: SessionJob) -> None:
    """Delete the files that a person wants replaced, where XNAT does not put others over them."""
    for path in job.replaces.values():
        try:
            context.client.send("DELETE", path)
        except MissingError:
            continue
    count = counted(len(job.replaces), "file", "files")
    context.journal.add_event(job.key, "repair", f"Deleted on the server, to replace: {count}.")
    job.replaces = {}


def _wait_for_workflow(
    context: UploadContext, job: SessionJob, workflow: str, waits: int, end: float
) -> None:
    """Wait a while for what is at work on the archived session, and say so.

    Raises
    ------
    RowError
        If that took too long.
    """
    label = job.row.session
    if time.monotonic() > end:
        raise RowError(
            "server-busy",
            f"{workflow} is still at work on {label} on the server.",
            hint="Run the same command again later: it goes on.",
        )
    message = f"Session {label}: waiting for {workflow} on the server"
    context.meter.set_activity(message)
    if waits == 1:
        context.journal.add_event(job.key, "note", f"{message}.")
    context.control.sleep(min(context.client.retry.wait_s(waits), 5.0))


def _says_why(error: ServerError) -> bool:
    """Tell whether an error is the server's reason not to archive, and no fault on the way."""
    return "unable to archive" in error.message.lower()


def _archive_params(
    job: SessionJob, prearchived: PrearchiveSession, overwrite: bool
) -> dict[str, str]:
    params = {
        "src": prearchived.address,
        "project": job.row.project,
        "subject": job.row.subject,
        "session": job.row.session,
    }
    if overwrite:
        params["overwrite"] = "append"
    if overwrite and job.is_repair:
        params["overwrite_files"] = "true"
    return params


def _is_archived(
    context: UploadContext, job: SessionJob, prearchived: PrearchiveSession, error: ServerError
) -> bool:
    """Tell whether the archive has it after all; False: try again.

    Raises
    ------
    RowError
        With the server's reason, where it has one.
    """
    found = _wait_while(context, job, prearchived.address, lambda one: one.is_busy)
    if found is None:
        return True
    final = isinstance(error, RefusedError) and error.status not in (403, 404, 409, 423)
    if found.status in _STUCK or _says_why(error) or final:
        raise refused(job, error) from error
    return False
