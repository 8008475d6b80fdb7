"""Send a session past the prearchive, straight into the archive.

The server decides: what is archived already is added to through the prearchive, and so is what it
cannot archive directly. It says so in its answer, which is followed.
"""

from __future__ import annotations

import time

from xnat_config.server.client import XnatClient
from xnat_config.server.errors import LostAnswerError, RefusedError

from ..control import ArchiveMeter
from ..errors import RowError
from ..planning.journal import SeriesState
from .archives import ImportPart, address_in, body_of, record_digests, refused, split_into_parts
from .jobs import SessionJob, UploadContext, compare_with_server
from .prearchive import find_own_session, finish_in_prearchive, send_to_prearchive
from .zip_stream import ZipStream

OLDEST = (1, 8, 3)
_PREARCHIVE = "/prearchive/"
# What a server answers that is still busy with the files: ask again.
_BUSY = (409, 423)


def send_to_archive(context: UploadContext, job: SessionJob) -> None:
    """Bring what is missing of a session into the archive.

    Sending an instance again before the session is archived replaces it, so that a lost answer
    is met by sending again; a session that is archived meanwhile is found by comparing.

    Raises
    ------
    RowError
        If the server has a reason against it.
    XnatPicError
        If the server cannot be reached, the login ended, or a file cannot be read.
    """
    if find_own_session(context, job) is not None:
        send_to_prearchive(context, job)  # an earlier run's beginning lies there
        return
    context.journal.mark_sending(job.key)
    wanted = [(series, job.todo[series.uid]) for series in job.pending]
    options = context.options
    direct, prearchived = "", ""
    sent: set[str] = set()
    for part in split_into_parts(wanted, options.part_bytes, options.deidentifier):
        context.control.wait_if_paused()
        address = _send_part(context, job, part)
        if address.startswith(_PREARCHIVE):
            prearchived = address
        else:
            direct = address or _address(job)
            sent |= {one.sent_uid for one in part.by_name.values()}
        context.journal.set_state(job.key, part.last_of, SeriesState.SENT)
    if direct:
        prearchived = _wait_until_archived(context, job, direct, sent) or prearchived
    if prearchived:
        context.journal.set_prearchive(job.key, prearchived)
        finish_in_prearchive(context, job, prearchived)
    context.journal.set_prearchive(job.key, "")


def _address(job: SessionJob) -> str:
    row = job.row
    return f"/xapi/direct-archive/{row.project}/{job.payload.study_uid}/{row.session}"


def _wait_until_archived(
    context: UploadContext, job: SessionJob, address: str, sent: set[str]
) -> str:
    """Ask for archiving, and wait for it; return where the session waits instead, if it does."""
    _trigger(context.client, address)
    end = time.monotonic() + context.options.settle_s
    attempt, gone = 0, False
    while any(sent.intersection(match.missing) for match in compare_with_server(context, job)):
        if gone:
            # It came to its end: what the server took and does not have, the site does not want.
            absent = {uid for one in job.payload.series for uid in one.instances}
            absent &= {one.sent_uid for some in job.todo.values() for one in some}
            job.rejected |= absent & sent
            return ""
        state = context.client.find_json(address)
        if state is None:
            # Archived this moment, or moved into the prearchive with what kept it from that.
            found = find_own_session(context, job)
            if found is not None:
                return found.address
            gone = True
            continue
        status = str(state.get("status", "")) if isinstance(state, dict) else ""
        if status in ("ERROR", "CONFLICT") or time.monotonic() > end:
            raise RowError(
                "not-archived",
                f"The server did not archive {job.row.session} ({status.lower() or 'no answer'}).",
                hint="Run the same command again, without --direct-archive if it happens again.",
            )
        attempt += 1
        if status.startswith("RECEIVING"):
            _trigger(context.client, address)  # the first call may have been lost
        context.control.sleep(min(context.client.retry.wait_s(attempt), 5.0))
    return ""


def _send_part(context: UploadContext, job: SessionJob, part: ImportPart) -> str:
    """Send one archive; return the address that the server answers."""
    counter = ArchiveMeter(context.meter, context.control)
    stream = ZipStream(part.entries, counter.count)
    params = {
        "import-handler": "DICOM-zip",
        "Direct-Archive": "true",
        "project": job.row.project,
        "subject": job.row.subject,
        "session": job.row.session,
        "overwrite": "append",
        "overwrite_files": "true",
        # Where it comes to lie in the prearchive, nobody else archives half of it.
        "prevent_auto_commit": "true",
    }
    try:
        answer = context.client.send(
            "POST",
            "/data/services/import",
            params=params,
            body=body_of(stream, counter),
            content_type="application/zip",
            repeat=True,
        )
    except RefusedError as refusal:
        raise refused(job, refusal) from refusal
    record_digests(context, job, part, stream)
    return address_in(answer.text)


def _trigger(client: XnatClient, address: str) -> None:
    """Ask for archiving now; what is archived already is no longer known there."""
    try:
        client.send("POST", address, repeat=False)
    except LostAnswerError:
        return  # the comparison that follows tells
    except RefusedError as refusal:
        if refusal.status != 404 and refusal.status not in _BUSY:
            raise
