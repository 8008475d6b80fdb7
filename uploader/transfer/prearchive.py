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

from ..control import PartMeter
from ..errors import RowError
from ..findings import ended
from ..planning.journal import State
from ..server.listing import Waiting, instance_uid_of_name, read_prearchive, read_waiting_files
from ..verification.matching import SeriesMatch, match_files
from ..verification.payload import Instance, SeriesLoad
from .archives import body_of, entries, keep_digests
from .jobs import Job, Tools, look
from .zip_stream import Entry, ZipStream, split

_RECEIVING = ("RECEIVING", "RECEIVING_INTERRUPT")
_STUCK = ("CONFLICT", "ERROR")
_CONCURRENT = "concurrent file sends"


def deliver(tools: Tools, job: Job) -> None:
    """Bring what is missing of a session through the prearchive into the archive.

    Raises
    ------
    RowError
        If the server has a reason against it.
    XnatPicError
        If the server cannot be reached, the login ended, a file cannot be read, or a person
        stopped the work.
    """
    waiting = find_ours(tools, job)
    address = waiting.address if waiting else ""
    there = read_waiting_files(tools.client, waiting.path) if waiting else {}
    for series in job.pending:
        needed = _lacking(tools, series, job.todo[series.uid], there)
        for part in split(entries(needed, tools.options.disguise), tools.options.part_bytes):
            tools.control.wait_if_paused()
            address = _send_part(tools, job, series, part, address)
        tools.journal.set_state(job.key, [series.uid], State.SENT)
    waiting = _settle(tools, job, address)
    _check_received(tools, job, waiting)
    tools.journal.set_state(job.key, [one.uid for one in job.pending], State.RECEIVED)
    _archive(tools, job, waiting)


def _rows(tools: Tools, job: Job) -> list[Waiting]:
    """Return what waits for this session: the same study under the same label."""
    label = job.row.session.casefold()
    return [
        one
        for one in read_prearchive(tools.client, job.row.project)
        if one.study_uid == job.load.study_uid and one.label.casefold() == label
    ]


def find_ours(tools: Tools, job: Job) -> Waiting | None:
    """Return our session in the prearchive, ready to go on with; None if there is none.

    Raises
    ------
    RowError
        If the prearchive holds this session from somebody else.
    """
    entry = tools.journal.session(job.key)
    address, may_be_ours = (entry.prearchive, entry.sending) if entry else ("", False)
    rows = _rows(tools, job)
    ours = [one for one in rows if one.address == address or may_be_ours]
    if len(ours) < len(rows):
        raise RowError(
            "in-prearchive",
            f"The prearchive of {job.row.project} already holds {job.row.session}, "
            "which this plan did not send.",
            hint="Archive or delete it in XNAT's prearchive, then run the same command again.",
        )
    if not ours:
        tools.journal.set_prearchive(job.key, "")
        return None
    tools.journal.set_prearchive(job.key, ours[0].address)
    return _revive(tools, job, ours[0])


def _revive(tools: Tools, job: Job, waiting: Waiting) -> Waiting | None:
    """Bring a session that an earlier run left into a state to go on with."""
    found = _wait_while(tools, job, waiting.address, lambda one: one.is_busy)
    if found is None:
        tools.journal.set_prearchive(job.key, "")
        look(tools, job)  # it was archived meanwhile
        return None
    if found.status == "READY":
        return found
    try:
        tools.client.send("POST", found.path, params={"action": "build"}, repeat=True)
    except RefusedError:
        pass  # what cannot be built is removed below
    except ServerError as error:
        if error.status != 500:
            raise
    found = _wait_while(tools, job, waiting.address, lambda one: one.is_busy)
    if found is not None and found.status not in ("READY", *_RECEIVING):
        tools.client.send("DELETE", found.path)
        found = None
    tools.journal.set_prearchive(job.key, found.address if found else "")
    return found


def _wait_while(
    tools: Tools, job: Job, address: str, condition: Callable[[Waiting], bool]
) -> Waiting | None:
    """Wait while a condition holds for our session; return it, or None once it is gone."""
    end = time.monotonic() + tools.options.settle_s
    attempt = 0
    while True:
        found = next((one for one in _rows(tools, job) if one.address == address), None)
        if found is None or not condition(found):
            return found
        if time.monotonic() > end:
            raise RowError(
                "server-slow",
                f"The server is still at work on {job.row.session} ({found.status.lower()}).",
                hint="Run the same command again later: it goes on.",
            )
        attempt += 1
        tools.control.sleep(min(tools.client.retry.wait_s(attempt), 5.0))


def _lacking(
    tools: Tools,
    series: SeriesLoad,
    wanted: list[Instance],
    there: dict[str, list[RemoteFile]],
) -> list[Instance]:
    """Return the instances that our session in the prearchive does not hold yet."""
    match = _match(tools, series, there)
    return [one for one in wanted if one.sent_uid not in match.present]


def _match(tools: Tools, series: SeriesLoad, there: dict[str, list[RemoteFile]]) -> SeriesMatch:
    """Match a series with the prearchive; a file that was cut off does not count."""
    files = [
        file
        for uid, some in there.items()
        for file in some
        if uid == series.sent_uid or instance_uid_of_name(file) in series.instances
    ]
    if tools.options.disguise is None:
        sizes = {uid: one.file.size for uid, one in series.instances.items()}
        # Where the server keeps the bytes as they are, a file of another size is cut off.
        planned = [sizes.get(instance_uid_of_name(file)) for file in files]
        if any(size == file.size for size, file in zip(planned, files, strict=True)):
            pairs = zip(planned, files, strict=True)
            files = [file for size, file in pairs if size in (None, file.size)]
    return match_files(tools.client, series, files, trust_names=True)


def _send_part(tools: Tools, job: Job, series: SeriesLoad, part: list[Entry], address: str) -> str:
    """Send one archive, looking before each repetition; return the session's address."""
    client, counter = tools.client, PartMeter(tools.meter, tools.control)
    stream = ZipStream(part, counter.sent)
    if not address:
        tools.journal.begin_sending(job.key)
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
            tools.control.sleep(client.retry.wait_s(attempt))
            address, is_there = _look_after_loss(tools, job, series, part, address)
            if not is_there:
                continue
        else:
            address = _address_of(answer.text) or address
        break
    tools.journal.set_prearchive(job.key, address)
    keep_digests(tools, job, series, stream)
    return address


def _import_params(job: Job, address: str) -> dict[str, str]:
    return {
        "import-handler": "DICOM-zip",
        "dest": address or f"/prearchive/projects/{job.row.project}",
        "project": job.row.project,
        "subject": job.row.subject,
        "session": job.row.session,
        # The project may archive by itself; it must not do so between two archives of ours.
        "prevent_auto_commit": "true",
    }


def _look_after_loss(
    tools: Tools, job: Job, series: SeriesLoad, part: list[Entry], address: str
) -> tuple[str, bool]:
    """Return our session's address, and whether the archive arrived whole after all."""
    rows = [one for one in _rows(tools, job) if not address or one.address == address]
    if not rows:
        return "", False
    found = _wait_while(tools, job, rows[0].address, lambda one: one.is_busy)
    if found is None:
        return "", False
    tools.journal.set_prearchive(job.key, found.address)
    if found.status != "READY":
        return found.address, False
    there = _match(tools, series, read_waiting_files(tools.client, found.path))
    names = {f"{uid}.dcm" for uid in there.present}
    return found.address, all(entry.name in names for entry in part)


def _address_of(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = lines[0].removeprefix("/data") if lines else ""
    return found if found.startswith("/prearchive/") else ""


def _refused(job: Job, error: ServerError) -> RowError:
    return RowError(
        "refused",
        f"The server refuses {job.row.session}: {ended(error.message)}",
        hint="Correct what it names, then run the same command again.",
    )


def _settle(tools: Tools, job: Job, address: str) -> Waiting:
    """Wait until the server has built our session."""
    found = _wait_while(tools, job, address, lambda one: one.is_busy)
    if found is not None and found.status in _RECEIVING:
        tools.client.send("POST", found.path, params={"action": "build"}, repeat=True)
        found = _wait_while(
            tools, job, address, lambda one: one.is_busy or one.status in _RECEIVING
        )
    if found is None:
        raise RowError(
            "lost",
            f"{job.row.session} is no longer in the prearchive.",
            hint="Run the same command again: it compares with the archive and goes on.",
        )
    return found


def _check_received(tools: Tools, job: Job, waiting: Waiting) -> None:
    """Compare what the prearchive holds with what was sent, series by series."""
    there = read_waiting_files(tools.client, waiting.path)
    for series in job.pending:
        lacking = _lacking(tools, series, job.todo[series.uid], there)
        if lacking:
            raise RowError(
                "incomplete",
                f"Of series {series.number or series.uid} of {job.row.session}, {len(lacking)} of "
                f"{len(job.todo[series.uid])} files did not arrive in the prearchive.",
                hint="Run the same command again: it sends what is missing.",
            )


def _archive(tools: Tools, job: Job, waiting: Waiting) -> None:
    """Archive our session, once; a lost answer is looked after."""
    client = tools.client
    for attempt in range(1, client.retry.attempts + 1):
        try:
            client.send(
                "POST",
                "/data/services/archive",
                params=_archive_params(job, waiting),
                repeat=False,
                read_timeout_s=tools.options.settle_s,
            )
            break
        except (LostAnswerError, RefusedError) as error:
            if attempt == client.retry.attempts:
                raise
            tools.control.sleep(client.retry.wait_s(attempt))
            if _is_archived(tools, job, waiting, error):
                break
    tools.journal.set_prearchive(job.key, "")


def _archive_params(job: Job, waiting: Waiting) -> dict[str, str]:
    params = {
        "src": waiting.address,
        "project": job.row.project,
        "subject": job.row.subject,
        "session": job.row.session,
    }
    if job.existing is not None:
        params["overwrite"] = "append"
    if job.is_repair:
        params["overwrite_files"] = "true"
    return params


def _is_archived(tools: Tools, job: Job, waiting: Waiting, error: ServerError) -> bool:
    """Tell whether the archive has it after all; False: try again.

    Raises
    ------
    RowError
        With the server's reason, where it has one.
    """
    found = _wait_while(tools, job, waiting.address, lambda one: one.is_busy)
    if found is None:
        return True
    said_why = "unable to archive" in error.message.lower()
    final = isinstance(error, RefusedError) and error.status not in (403, 404, 409, 423)
    if found.status in _STUCK or said_why or final:
        raise _refused(job, error) from error
    return False
