"""Bodies that carry files: received onto the disk, never into memory."""

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool

from ..blobs import Blobs, IncomingFile
from ..http import Call
from ..refusals import Refused

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_PIECE = 2**20  # bytes that are written at a time
_MAX_PARTS = 10_000
_MAX_VALUE = 2**20
# Content types whose body is taken as a file without inbody=true.
_FILE_TYPES = (
    "application/octet-stream",
    "application/zip",
    "application/x-zip",
    "application/x-zip-compressed",
    "application/x-tar",
    "application/x-gtar",
    "application/gzip",
    "application/x-gzip",
    "application/x-compressed",
    "application/x-bzip2",
    "application/xml",
    "application/pdf",
    "application/dicom",
    "application/postscript",
    "application/rtf",
    "application/msword",
)
_FILE_FAMILIES = ("text/", "image/", "video/", "audio/")


@dataclass
class Received:
    """A content that arrived; `name` is the file name its sender gives, empty for none."""

    name: str
    content: IncomingFile


def is_file_type(content_type: str) -> bool:
    """Tell whether a body of this type is a file by itself."""
    return content_type in _FILE_TYPES or content_type.startswith(_FILE_FAMILIES)


@asynccontextmanager
async def receive(call: Call, *, chunked_status: int) -> AsyncIterator[list[Received]]:
    """Receive a body's files; what is not kept inside the block is removed.

    The text fields of a form with several parts join the call's parameters.

    Parameters
    ----------
    chunked_status : int
        Status for a body that is empty or does not say its length.

    Raises
    ------
    Refused
    """
    with ExitStack() as stack:
        if call.content_type.startswith("multipart/"):
            parts = _Parts(call, stack)
            await _pump(call, parts.write)
            parts.finish()
            yield parts.files
            return
        length = call.request.headers.get("content-length", "-1")
        if length in ("0", "-1") and call.content_type != "application/zip":
            raise Refused(
                chunked_status,
                f"The request entity size is {length}; send a body together with its length"
                " (Content-Length).",
            )
        incoming = stack.enter_context(call.archive.blobs.receive())
        await _pump(call, incoming.write)
        if incoming.size == 0:
            raise Refused(chunked_status, "The request entity size is 0; send a body.")
        incoming.close()
        yield [Received("", incoming)]


async def _pump(call: Call, write: Callable[[bytes], None]) -> None:
    waiting: list[bytes] = []
    size = 0
    async for chunk in call.request.stream():
        waiting.append(chunk)
        size += len(chunk)
        if size >= _PIECE:
            await run_in_threadpool(write, b"".join(waiting))
            waiting, size = [], 0
    if waiting:
        await run_in_threadpool(write, b"".join(waiting))


class _Parts:
    """Takes a multipart body apart while it arrives."""

    def __init__(self, call: Call, stack: ExitStack) -> None:
        header = call.request.headers.get("content-type", "")
        boundary = parse_options_header(header)[1].get(b"boundary", b"")
        if not boundary:
            raise Refused(400, "The form has no boundary.")
        self.files: list[Received] = []
        self._call = call
        self._blobs: Blobs = call.archive.blobs
        self._stack = stack
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""
        self._field = ""
        self._text = bytearray()
        self._file: IncomingFile | None = None
        self._count = 0
        self._ended = False
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._open,
            "on_end": self._finish,
        }
        self._parser = MultipartParser(boundary, callbacks)

    def write(self, data: bytes) -> None:
        """Take a piece of the body."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise Refused(400, f"The form cannot be read: {error}") from error

    def finish(self) -> None:
        """Check that the body was whole."""
        if not self._ended:
            raise Refused(400, "The form ends in the middle; send it again.")

    def _begin(self) -> None:
        self._count += 1
        if self._count > _MAX_PARTS:
            raise Refused(400, f"The form has more than {_MAX_PARTS} parts.")
        self._headers = {}
        self._text = bytearray()
        self._file = None

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _open(self) -> None:
        options = parse_options_header(self._headers.get(b"content-disposition", b""))[1]
        self._field = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" in options:
            name = options[b"filename"].decode("utf-8", "replace")
            self._file = self._stack.enter_context(self._blobs.receive())
            self.files.append(Received(name, self._file))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > _MAX_VALUE:
            raise Refused(400, f"The form's value {self._field!r} is too long.")

    def _end(self) -> None:
        if self._file is not None:
            self._file.close()
        else:
            self._call.params.append((self._field, self._text.decode("utf-8", "replace")))

    def _finish(self) -> None:
        self._ended = True
