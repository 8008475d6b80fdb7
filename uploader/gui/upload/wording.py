"""The uploader's messages as they are said in a window, which has no commands."""

import re
from functools import lru_cache

from xnat_pic.tables import load_table

from ..error_texts import error_text
from ..translation import language


def window_text(message: str) -> str:
    """Return a message with the window's names for what it calls by a command's.

    In Italian where the window speaks Italian and the message is one of ``italian.toml``.
    """
    for command, window in phrases():
        if command in message:
            message = message.replace(command, window)
    return _italian(message) if language() == "it" else message


def window_error_text(error: BaseException) -> str:
    """Return what an exception means to a person at the window."""
    return window_text(error_text(error))


@lru_cache(maxsize=1)
def phrases() -> tuple[tuple[str, str], ...]:
    """Return the phrases of ``wording.toml``: a command's and the window's."""
    rows = load_table(__package__, "wording.toml")["phrase"]
    return tuple((row["command"], row["window"]) for row in rows)


@lru_cache(maxsize=20_000)
def _italian(message: str) -> str:
    for english, italian in _translations():
        message = english.sub(italian, message)
    return message


@lru_cache(maxsize=1)
def _translations() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return the messages of ``italian.toml`` as patterns, and what takes their place."""
    found = []
    for row in load_table(__package__, "italian.toml")["sentence"]:
        parts = re.split(r"\{(\w+)\}", row["english"])
        # What a place holds ends before the next message: names have no full stop and blank.
        pattern = "".join(
            rf"(?P<{part}>(?:(?!\. ).)+?)" if place % 2 else re.escape(part)
            for place, part in enumerate(parts)
        )
        italian = re.sub(r"\{(\w+)\}", r"\\g<\1>", row["italian"])
        found.append((re.compile(pattern), italian))
    return tuple(found)
