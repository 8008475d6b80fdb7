"""When a request is repeated, and after what time."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from urllib3.exceptions import InvalidHeader
from urllib3.util.retry import Retry

# Methods whose second time changes nothing; whoever knows it of a POST says so in the call.
IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class RetryPolicy:
    """How often and after what time a request is repeated.

    Attributes
    ----------
    attempts : int
        Tries in all.
    first_wait_s, longest_wait_s : float
        The wait doubles from the first to the longest; a tenth is added or taken by chance.
    statuses : frozenset of int
        What a later try may mend.
    """

    attempts: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0
    statuses: frozenset[int] = RETRIED_STATUSES

    def wait_s(self, attempt: int, headers: Mapping[str, str] | None = None) -> float:
        """Return the seconds to wait after an attempt.

        Parameters
        ----------
        attempt : int
            Counted from 1.
        headers : mapping, optional
            Of the answer: a ``Retry-After`` (seconds or a date) that asks for a longer wait is
            heard, up to the longest wait.
        """
        wait = min(self.first_wait_s * 2.0 ** (attempt - 1), self.longest_wait_s)
        return max(
            wait * random.uniform(0.9, 1.1), min(_retry_after_s(headers), self.longest_wait_s)
        )


def _retry_after_s(headers: Mapping[str, str] | None) -> float:
    text = (headers or {}).get("Retry-After", "")
    try:
        return Retry().parse_retry_after(text) if text else 0.0
    except InvalidHeader:
        return 0.0
