"""Send a session past the prearchive, straight into the archive."""

from __future__ import annotations

import time

from xnat_config.server.client import XnatClient
from xnat_config.server.errors import LostAnswerError, RefusedError

from ..control import ArchiveMeter
from ..errors import RowError
from ..findings import as_sentence
from ..planning.journal import SeriesState
from ..verification.payload import SeriesPayload
from .archives import body_of, entries, record_digests
from .jobs import SessionJob, UploadContext, compare_with_server
from .zip_stream import Entry, ZipStream, split

OLDEST = (1, 8, 3)


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
    context.journal.mark_sending(job.key)
    for series in job.pending:
        wanted = job.todo[series.uid]
        for part in split(
            entries(wanted, context.options.deidentifier), context.options.part_bytes
        ):
            context.control.wait_if_paused()
            _send_part(context, job, series, part)
        context.journal.set_state(job.key, [series.uid], SeriesState.SENT)
    address = f"/xapi/direct-archive/{job.row.project}/{job.payload.study_uid}/{job.row.session}"
    _trigger(context.client, address)
    end = time.monotonic() + context.options.settle_s
    attempt = 0
    while any(match.missing for match in compare_with_server(context, job)):
        state = context.client.find_json(address)
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
    context.journal.set_prearchive(job.key, "")


def _send_part(
    context: UploadContext, job: SessionJob, series: SeriesPayload, part: list[Entry]
) -> None:
    counter = ArchiveMeter(context.meter, context.control)
    stream = ZipStream(part, counter.count)
    params = {
        "import-handler": "DICOM-zip",
        "Direct-Archive": "true",
        "project": job.row.project,
        "subject": job.row.subject,
        "session": job.row.session,
        "overwrite": "append",
        "overwrite_files": "true",
    }
    try:
        context.client.send(
            "POST",
            "/data/services/import",
            params=params,
            body=body_of(stream, counter),
            content_type="application/zip",
            repeat=True,
        )
    except RefusedError as refusal:
        raise RowError(
            "refused",
            f"The server refuses {job.row.session}: {as_sentence(refusal.message)}",
            hint="Correct what it names, then run the same command again.",
        ) from refusal
    record_digests(context, job, series, stream)


def _trigger(client: XnatClient, address: str) -> None:
    """Ask for archiving now; what is archived already is no longer known there."""
    try:
        client.send("POST", address, repeat=False)
    except LostAnswerError:
        return  # the comparison that follows tells
    except RefusedError as refusal:
        if refusal.status != 404:
            raise
