"""Ignore warnings for a while, also in threads."""

from __future__ import annotations

import re
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_OURS = "(?#xnat-pic)"  # a comment, so that a person's own filter is never taken for ours
_lock = threading.Lock()
_users: Counter[tuple[type[Warning], str]] = Counter()


@contextmanager
def ignore_warnings(category: type[Warning] = Warning, message: str = "") -> Iterator[None]:
    """Ignore warnings of a category in this block; also as a decorator.

    The filters of ``warnings`` belong to the process: where one thread leaves
    ``warnings.catch_warnings``, another that is still inside loses its own. Here the first user of
    a filter adds it, and the last one takes it away. In between it holds for all threads.

    Parameters
    ----------
    category : type
        Subclass of ``Warning``.
    message : str
        Regular expression that the beginning of the message matches, without regard to case;
        empty for every message.
    """
    key = (category, message)
    with _lock:
        _users[key] += 1
        # Also where it is in place: another filter may have come before it.
        warnings.filterwarnings("ignore", message=_OURS + message, category=category)
    try:
        yield
    finally:
        with _lock:
            _users[key] -= 1
            if not _users[key]:
                del _users[key]
                pattern = re.compile(_OURS + message, re.IGNORECASE)
                with suppress(ValueError):  # somebody brought older filters back
                    warnings.filters.remove(("ignore", pattern, category, None, 0))  # type: ignore[attr-defined]
