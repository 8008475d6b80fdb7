"""Read XNAT's answers: items, listings and bytes, through a session that is logged in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import requests

from .errors import BrokenAnswerError, RefusedError, ServerError
from .faults import no_answer
from .reasons import reason_in, version_numbers
from .session import Params, XnatSession

Result = TypeVar("Result")

# What a server answers about an address that it does not have or does not open to the user.
NOT_THERE = frozenset({400, 403, 404, 405, 415, 501})
_BLOCK = 1 << 20


class XnatClient(XnatSession):
    """An `XnatSession` that reads answers: what every part of the suite talks to XNAT with."""

    @property
    def version_text(self) -> str:
        """The server's version as it tells it; empty where it does not."""
        found = self.find_json("/xapi/siteConfig/buildInfo")
        text = str(found.get("version", "")) if isinstance(found, dict) else ""
        return reason_in(text.encode())[:40]

    @property
    def version(self) -> tuple[int, ...]:
        """The server's version, such as (1, 8, 10); empty where it does not say."""
        return version_numbers(self.version_text)

    def json(self, path: str, params: Params | None = None) -> Any:
        """Return an answer's JSON.

        Raises
        ------
        ServerError
            If it is none; else as of `send`.
        """
        pairs = list(params.items()) if isinstance(params, Mapping) else list(params or ())
        if path.startswith("/data") and not any(name == "format" for name, _ in pairs):
            pairs.append(("format", "json"))
        answer = self.send("GET", path, params=pairs)
        try:
            return answer.json()
        except ValueError as error:
            raise ServerError(
                "The server's answer is not what XNAT sends.",
                hint="Check the address; a proxy or a login page may stand in between.",
                status=answer.status_code,
            ) from error

    def find_json(self, path: str, params: Params | None = None) -> Any:
        """Return an answer's JSON; None where the server does not have or open the address."""
        try:
            return self.json(path, params)
        except RefusedError as refusal:
            if refusal.status in NOT_THERE:
                return None
            raise

    def rows(self, path: str, params: Params | None = None) -> list[dict[str, str]]:
        """Return the rows of a listing; every value is text."""
        return _rows(self.json(path, params))

    def find_rows(self, path: str, params: Params | None = None) -> list[dict[str, str]]:
        """Return the rows of a listing; none where the server does not have or open it."""
        found = self.find_json(path, params)
        return [] if found is None else _rows(found)

    def item(self, path: str) -> dict[str, Any]:
        """Return the current version of an item, with ``data_fields`` and ``children``.

        Raises
        ------
        MissingError
            If it is not there.
        """
        found = self.json(path)
        try:
            current = [one for one in found["items"] if not one.get("meta", {}).get("isHistory")]
            return dict(current[0])
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ServerError("The server's item is not what XNAT sends.") from error

    def exists(self, path: str) -> bool:
        """Tell whether an item is there and may be read."""
        try:
            self.send("GET", path, params={"format": "json"})
        except RefusedError as refusal:
            if refusal.status in (403, 404):
                return False
            raise
        return True

    @contextmanager
    def stream(self, path: str, params: Params | None = None) -> Iterator[Iterator[bytes]]:
        """Yield the bytes of an answer in blocks.

        A connection that breaks in the middle raises `BrokenAnswerError`: see `repeat_broken`.
        """
        with self.send("GET", path, params=params, stream=True) as answer:
            yield self._blocks(answer)

    def _blocks(self, answer: requests.Response) -> Iterator[bytes]:
        try:
            yield from answer.iter_content(_BLOCK)
        except requests.RequestException as fault:
            error = no_answer(self.connection, fault)
            raise BrokenAnswerError(error.message, hint=error.hint) from None

    def read(
        self,
        path: str,
        params: Params | None = None,
        enough: Callable[[bytearray], bool] = lambda _: False,
    ) -> bytes:
        """Return the bytes of an answer; one that breaks off is asked for again.

        Parameters
        ----------
        enough : callable
            Gets what has come so far; True ends the reading.
        """
        return self.repeat_broken(lambda: self._read_once(path, params, enough))

    def _read_once(
        self, path: str, params: Params | None, enough: Callable[[bytearray], bool]
    ) -> bytes:
        data = bytearray()
        with self.stream(path, params) as blocks:
            for block in blocks:
                data += block
                if enough(data):
                    break
        return bytes(data)

    def repeat_broken(self, work: Callable[[], Result]) -> Result:
        """Return what `work` returns; where a connection breaks in an answer, do it again.

        Raises
        ------
        BrokenAnswerError
            After the last attempt.
        """
        for attempt in range(1, self.retry.attempts):
            try:
                return work()
            except BrokenAnswerError:
                self.pause(attempt)
        return work()


def _rows(found: Any) -> list[dict[str, str]]:
    try:
        rows = found["ResultSet"]["Result"]
        return [{str(k): "" if v is None else str(v) for k, v in row.items()} for row in rows]
    except (KeyError, TypeError, AttributeError) as error:
        raise ServerError("The server's listing is not what XNAT sends.") from error
