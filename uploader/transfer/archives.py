"""What both ways of sending share: the body of an archive, and the record of what it held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from ..control import ArchiveMeter
from ..deidentification.deidentifier import Deidentifier
from ..verification.payload import Instance, SeriesPayload
from .jobs import SessionJob, UploadContext
from .zip_stream import Entry, ZipStream


class _Unsized:
    """A stream whose length nobody knows beforehand: it has no len()."""

    def __init__(self, stream: ZipStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)


def body_of(stream: ZipStream, counter: ArchiveMeter) -> Callable[[], Iterable[bytes]]:
    """Return what makes the body anew for each attempt, and counts it anew."""

    def body() -> Iterable[bytes]:
        counter.restart()
        return stream if stream.is_sized else _Unsized(stream)

    return body


def record_digests(
    context: UploadContext, job: SessionJob, series: SeriesPayload, stream: ZipStream
) -> None:
    """Write into the journal what an archive held."""
    by_name = {one.name: one for one in series.instances.values()}
    context.journal.add_digests(
        job.key,
        [
            (by_name[name].sop_uid, by_name[name].sent_uid, digest)
            for name, digest in stream.digests.items()
        ],
    )


def entries(instances: list[Instance], deidentifier: Deidentifier | None = None) -> list[Entry]:
    """Return instances as entries of an archive, with their content made on the way if need be."""
    found = []
    for one in instances:
        content: Callable[[], bytes] | None = None
        if deidentifier is not None:
            content = partial(deidentifier.content, one.file.path)
        found.append(Entry(one.name, one.file.path, one.file.size, content))
    return found
