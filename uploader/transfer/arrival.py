"""What arrived, held against what was sent; and what `verify` found, until it is mended."""

from __future__ import annotations

from datetime import datetime

from xnat_config.server.catalogs import refresh_catalogs
from xnat_pic.text import counted, list_some

from ..errors import RowError
from ..planning.journal import ArrivedObject, SeriesState
from ..server.listing import read_scans, read_sessions
from ..verification.content_check import Suspect, check_contents, series_name
from ..verification.matching import SeriesMatch, match_series
from ..verification.payload import Instance, file_stamp, sent_md5
from .jobs import SessionJob, UploadContext


def check_archived(
    context: UploadContext,
    job: SessionJob,
    matches: list[SeriesMatch],
    replaced: dict[str, str] | None = None,
) -> None:
    """Compare the archive with what was sent, and note what arrived and what the site left out.

    Parameters
    ----------
    replaced : dict of str to str
        MD5 that the server had of the objects that were to be replaced, by the UID sent.

    Raises
    ------
    RowError
        If an instance is missing or doubled, or some were changed on the way.
    """
    absent = {uid for match in matches for uid in match.missing}
    # What the prearchive held was left out when it was archived.
    job.rejected = absent & (job.rejected | job.received)
    missing = len(absent - job.rejected)
    doubled = sum(len(match.doubled) for match in matches)
    if missing or doubled:
        what = f"{counted(doubled, 'instance is', 'instances are')} there twice"
        if missing:
            what = f"{counted(missing, 'file is', 'files are')} missing"
        raise RowError(
            "incomplete",
            f"{job.row.session} is archived, but {what}.",
            hint="Run the same command again: it sends what is missing." if missing else "",
        )
    if replaced:
        matches = _match_again(context, job)
        _check_replaced(context, job, matches, replaced)
    _check_damage(context, job, matches)
    _record_arrival(context, job, matches)


def _match_again(context: UploadContext, job: SessionJob) -> list[SeriesMatch]:
    """List the session once the server has read its files anew."""
    assert job.existing is not None
    refresh_catalogs(context.client, job.existing.path)
    scans = read_scans(context.client, job.existing.path)
    return [match_series(context.client, one, scans, trust_names=True)
            for one in job.payload.series]  # fmt: skip


def _check_replaced(
    context: UploadContext, job: SessionJob, matches: list[SeriesMatch], replaced: dict[str, str]
) -> None:
    """See that what was to be replaced is: neither what it was, nor another thing than before."""
    sent, arrived = context.journal.digests(job.key), context.journal.arrived(job.key)
    kept = []
    for match in matches:
        for uid, file in match.files.items():
            right = {one.md5 for one in (sent.get(uid), arrived.get(uid)) if one}
            if file.md5 and file.md5 == replaced.get(uid) and file.md5 not in right:
                kept.append(uid)
    if kept:
        raise RowError(
            "not-replaced",
            f"The server kept {counted(len(kept), 'file', 'files')} of {job.row.session} that "
            f"{'was' if len(kept) == 1 else 'were'} to be replaced (SOP Instance UID "
            f"{list_some(kept)}).",
            hint="Delete them in XNAT, then run the same command again: it sends what is missing.",
        )


def _check_damage(context: UploadContext, job: SessionJob, matches: list[SeriesMatch]) -> None:
    """Look into files that differ from what was sent where others of the session do not.

    A server that anonymises rewrites all of a session, and `verify` compares those; damage on the
    way meets some.
    """
    sent = context.journal.digests(job.key)
    suspects: list[Suspect] = []
    equal = 0
    for series, match in zip(job.payload.series, matches, strict=True):
        for uid, file in match.files.items():
            if uid not in job.sent or uid not in sent or not file.md5:
                continue
            if file.md5 == sent[uid].md5:
                equal += 1
            else:
                suspects.append(Suspect(series, series.instances[uid], file, sent[uid].md5))
    if not suspects or not equal or job.existing is None:
        return
    report = check_contents(
        context.client,
        job.existing.path,
        suspects,
        deidentifier=context.options.deidentifier,
        meter=context.meter,
        control=context.control,
    )
    if not report.different:
        return
    text = (
        f"{len(report.different)} of {len(job.sent)} files of {job.row.session} are not on the "
        f"server as sent: {report.different[0][1]} (SOP Instance UID "
        f"{list_some([one.instance.sent_uid for one, _ in report.different])})."
    )
    damaged = [(one.instance.sent_uid, text) for one, _ in report.different]
    context.journal.set_findings(job.key, damaged)
    raise RowError("damaged", text, hint="upload --repair sends them again, in place of those.")


def _record_arrival(context: UploadContext, job: SessionJob, matches: list[SeriesMatch]) -> None:
    """Keep what the server has of what was sent: what it changes from now on shows."""
    if job.existing is None:
        return
    place = job.existing.id
    context.journal.set_arrived(
        job.key,
        [
            ArrivedObject(uid, place, file.md5, file.size)
            for match in matches
            for uid, file in match.files.items()
            if uid in job.sent
        ],
    )


def refuse_moved(context: UploadContext, job: SessionJob, matches: list[SeriesMatch]) -> None:
    """Refuse to send again what was archived and lies in another session of the project now.

    Raises
    ------
    RowError
        If a series does.
    """
    states = context.journal.states(job.key)
    gone = {
        one.sent_uid: one
        for one, match in zip(job.payload.series, matches, strict=True)
        if not match.scans and states.get(one.uid) in (SeriesState.ARCHIVED, SeriesState.VERIFIED)
    }
    if not gone:
        return
    own = job.existing.id if job.existing else ""
    for session in read_sessions(context.client, job.row.project):
        if session.id == own:
            continue
        for row in context.client.rows(f"{session.path}/scans", {"columns": "ID,UID"}):
            series = gone.get(next((row[key] for key in row if key.lower().endswith("uid")), ""))
            if series is not None:
                raise RowError(
                    "moved",
                    f"{series_name(series)} was archived in {job.row.session}, and is now scan "
                    f"{row.get('ID', '')} of {session.label} of {session.subject}.",
                    hint="Move it back in XNAT, or delete it there, then run the same command "
                    "again.",
                )


def edited_objects(
    context: UploadContext, job: SessionJob, matches: list[SeriesMatch]
) -> dict[str, Instance]:
    """Return the objects on the server whose files on disk are no more those that were sent.

    Only files that were written since are read.
    """
    sent = context.journal.digests(job.key)
    found = {}
    for series, match in zip(job.payload.series, matches, strict=True):
        for uid in match.present:
            record, instance = sent.get(uid), series.instances[uid]
            path = instance.file.path
            if record is None or record.stamp in ("", file_stamp(path)):
                continue
            if sent_md5(path, context.options.deidentifier) != record.md5:
                found[uid] = instance
    return found


def add_repairs(
    context: UploadContext,
    job: SessionJob,
    matches: list[SeriesMatch],
    edited: dict[str, Instance],
) -> dict[str, str]:
    """Put what is to be replaced on the server among what is to be sent; return its MD5 there."""
    wanted = {one.sent_uid for one in context.journal.findings(job.key) if one.sent_uid}
    wanted |= set(edited)
    before: dict[str, str] = {}
    for series, match in zip(job.payload.series, matches, strict=True):
        uids = [uid for uid in series.instances if uid in wanted and uid in match.present]
        if uids:
            before |= {uid: match.files[uid].md5 for uid in uids}
            job.replaces |= {uid: match.files[uid].uri for uid in uids}
            todo = job.todo.setdefault(series.uid, [])
            todo += [series.instances[uid] for uid in uids]
            job.is_repair = True
    if before:
        text = (
            f"Sent again, in place of what the server had: {counted(len(before), 'file', 'files')}."
        )
        context.journal.add_event(job.key, "repair", text)
    return before


def unmended(context: UploadContext, job: SessionJob, edited: dict[str, Instance]) -> list[str]:
    """Return what `verify` found and this run did not mend, and what changed on the disk."""
    standing = [one for one in context.journal.findings(job.key) if one.sent_uid not in job.sent]
    left = [(one.sent_uid, one.text) for one in standing]
    context.journal.set_findings(job.key, left)
    messages = []
    if standing:
        at = datetime.fromtimestamp(standing[0].at_s).astimezone().strftime("%Y-%m-%d %H:%M")
        texts = dict.fromkeys(one.text for one in standing)
        messages.append(
            f"What verify found on {at} stands: {' '.join(texts)} Verify again once it is mended."
        )
    changed = [uid for uid in edited if uid not in job.sent and uid not in dict(left)]
    if changed:
        messages.append(
            f"{counted(len(changed), 'file', 'files')} changed on the disk after being sent; the "
            f"server has what was sent (SOP Instance UID {list_some(changed)}). Put the sent files "
            "back, or replace the server's with upload --repair."
        )
    return messages
