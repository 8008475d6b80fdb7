"""Send a session into the prearchive, count what arrived, and archive it.

Nothing here trusts a lost answer: the server is asked what it did before anything is repeated.
Sending the same instance twice into one session of the prearchive replaces it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from xnat_config.server.errors import LostAnswerError, RefusedError
from xnat_config.server.files import RemoteFile
from xnat_pic.errors import ServerError

from ..control import ArchiveMeter
from ..errors import RowError
from ..findings import as_sentence
from ..planning.journal import SeriesState
from ..server.listing import (
    PrearchiveSession,
    instance_uid_of_name,
    read_prearchive,
    read_prearchive_files,
)
from ..verification.matching import SeriesMatch, match_files
from ..verification.payload import Instance, SeriesPayload
from .archives import body_of, entries, record_digests
from .jobs import SessionJob, UploadContext, compare_with_server
from .zip_stream import Entry, ZipStream, split

_RECEIVING = ("RECEIVING", "RECEIVING_INTERRUPT")
_STUCK = ("CONFLICT", "ERROR")
_CONCURRENT = "concurrent file sends"


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
    address = prearchived.address if prearchived else ""
    there = read_prearchive_files(context.client, prearchived.path) if prearchived else {}
    for series in job.pending:
        needed = _missing_instances(context, series, job.todo[series.uid], there)
        for part in split(
            entries(needed, context.options.deidentifier), context.options.part_bytes
        ):
            context.control.wait_if_paused()
            address = _send_part(context, job, series, part, address)
        context.journal.set_state(job.key, [series.uid], SeriesState.SENT)
    prearchived = _wait_until_built(context, job, address)
    _check_received(context, job, prearchived)
    context.journal.set_state(job.key, [one.uid for one in job.pending], SeriesState.RECEIVED)
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


def _send_part(
    context: UploadContext, job: SessionJob, series: SeriesPayload, part: list[Entry], address: str
) -> str:
    """Send one archive, looking before each repetition; return the session's address."""
    client, counter = context.client, ArchiveMeter(context.meter, context.control)
    stream = ZipStream(part, counter.count)
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
                raise _refused(job, error) from error
            if attempt == client.retry.attempts:
                raise
            context.control.sleep(client.retry.wait_s(attempt))
            address, is_there = _check_after_lost_answer(context, job, series, part, address)
            if not is_there:
                continue
        else:
            address = _address_of(answer.text) or address
        break
    context.journal.set_prearchive(job.key, address)
    record_digests(context, job, series, stream)
    return address


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
    context: UploadContext, job: SessionJob, series: SeriesPayload, part: list[Entry], address: str
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
    there = _match(context, series, read_prearchive_files(context.client, found.path))
    names = {f"{uid}.dcm" for uid in there.present}
    return found.address, all(entry.name in names for entry in part)


def _address_of(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = lines[0].removeprefix("/data") if lines else ""
    return found if found.startswith("/prearchive/") else ""


def _refused(job: SessionJob, error: ServerError) -> RowError:
    return RowError(
        "refused",
        f"The server refuses {job.row.session}: {as_sentence(error.message)}",
        hint="Correct what it names, then run the same command again.",
    )


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


def _check_received(
    context: UploadContext, job: SessionJob, prearchived: PrearchiveSession
) -> None:
    """Compare what the prearchive holds with what was sent, series by series."""
    there = read_prearchive_files(context.client, prearchived.path)
    for series in job.pending:
        lacking = _missing_instances(context, series, job.todo[series.uid], there)
        if lacking:
            raise RowError(
                "incomplete",
                f"Of series {series.number or series.uid} of {job.row.session}, {len(lacking)} of "
                f"{len(job.todo[series.uid])} files did not arrive in the prearchive.",
                hint="Run the same command again: it sends what is missing.",
            )


def _archive(context: UploadContext, job: SessionJob, prearchived: PrearchiveSession) -> None:
    """Archive our session, once; a lost answer is looked after."""
    client = context.client
    for attempt in range(1, client.retry.attempts + 1):
        try:
            client.send(
                "POST",
                "/data/services/archive",
                params=_archive_params(job, prearchived),
                repeat=False,
                read_timeout_s=context.options.settle_s,
            )
            break
        except (LostAnswerError, RefusedError) as error:
            if attempt == client.retry.attempts:
                raise
            context.control.sleep(client.retry.wait_s(attempt))
            if _is_archived(context, job, prearchived, error):
                break
    context.journal.set_prearchive(job.key, "")


def _archive_params(job: SessionJob, prearchived: PrearchiveSession) -> dict[str, str]:
    params = {
        "src": prearchived.address,
        "project": job.row.project,
        "subject": job.row.subject,
        "session": job.row.session,
    }
    if job.existing is not None:
        params["overwrite"] = "append"
    if job.is_repair:
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
    said_why = "unable to archive" in error.message.lower()
    final = isinstance(error, RefusedError) and error.status not in (403, 404, 409, 423)
    if found.status in _STUCK or said_why or final:
        raise _refused(job, error) from error
    return False
