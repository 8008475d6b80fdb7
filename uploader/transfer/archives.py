"""What both ways of sending share: what one import carries, and the record of what it held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from xnat_config.server.errors import ServerError
from xnat_pic.text import as_sentence

from ..control import ArchiveMeter
from ..deidentification.deidentifier import Deidentifier
from ..errors import RowError
from ..planning.journal import SentObject
from ..verification.payload import Instance, SeriesPayload, file_stamp
from .jobs import SessionJob, UploadContext
from .zip_stream import Entry, ZipStream, split


class _Unsized:
    """A stream whose length nobody knows beforehand: it has no len()."""

    def __init__(self, stream: ZipStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)


@dataclass(frozen=True)
class ImportPart:
    """What one import carries: objects of a series, or of several.

    Attributes
    ----------
    by_name : dict of str to Instance
        The objects by their names in the archive.
    series : tuple of SeriesPayload
        The series they belong to.
    last_of : tuple of str
        UIDs of the series that this part completes.
    """

    entries: tuple[Entry, ...]
    by_name: dict[str, Instance]
    series: tuple[SeriesPayload, ...]
    last_of: tuple[str, ...]


def split_into_parts(
    wanted: Sequence[tuple[SeriesPayload, Sequence[Instance]]],
    largest: int,
    deidentifier: Deidentifier | None = None,
) -> Iterator[ImportPart]:
    """Divide the objects of a session into imports of about a largest size in bytes.

    The server describes a session anew at each import, so few large ones cost less than one for
    each series.
    """
    pairs = [(series, one) for series, some in wanted for one in some]
    position = 0
    for part in split(entries([one for _, one in pairs], deidentifier), largest):
        mine = pairs[position : position + len(part)]
        position += len(part)
        held = {series.uid: series for series, _ in mine}
        left = {series.uid for series, _ in pairs[position:]}
        yield ImportPart(
            tuple(part),
            {entry.name: one for entry, (_, one) in zip(part, mine, strict=True)},
            tuple(held.values()),
            tuple(uid for uid in held if uid not in left),
        )


def body_of(stream: ZipStream, counter: ArchiveMeter) -> Callable[[], Iterable[bytes]]:
    """Return what makes the body anew for each attempt, and counts it anew."""

    def body() -> Iterable[bytes]:
        counter.restart()
        return stream if stream.is_sized else _Unsized(stream)

    return body


def record_digests(
    context: UploadContext, job: SessionJob, part: ImportPart, stream: ZipStream
) -> None:
    """Write into the journal what an archive held."""
    job.sent |= {part.by_name[name].sent_uid for name in stream.digests}
    context.journal.add_digests(
        job.key,
        [
            SentObject(one.sop_uid, one.sent_uid, md5, size, file_stamp(one.file.path))
            for name, (md5, size) in stream.digests.items()
            for one in (part.by_name[name],)
        ],
    )


def entries(instances: Iterable[Instance], deidentifier: Deidentifier | None = None) -> list[Entry]:
    """Return instances as entries of an archive, with their content made on the way if need be."""
    found = []
    for one in instances:
        content: Callable[[], bytes] | None = None
        if deidentifier is not None:
            content = partial(deidentifier.content, one.file.path)
        found.append(Entry(one.name, one.file.path, one.file.size, content))
    return found


def address_in(text: str) -> str:
    """Return the address that an import answers, without ``/data``; empty where it answers none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = lines[0].removeprefix("/data") if lines else ""
    return found if found.startswith(("/prearchive/", "/xapi/direct-archive/")) else ""


def refused(job: SessionJob, error: ServerError) -> RowError:
    """Return a refusal of the server as the reason of a row."""
    return RowError(
        "refused",
        f"The server refuses {job.row.session}: {as_sentence(error.message)}",
        hint="Correct what it names, then run the same command again.",
    )
