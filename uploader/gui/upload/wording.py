"""The uploader's sentences as they are said in a window, which has no commands."""

import re
from functools import lru_cache

from xnat_pic.tables import load_table

from ..error_texts import error_text
from ..translation import language


def window_text(sentence: str) -> str:
    """Return a sentence with the window's names for what it calls by a command's.

    In Italian where the window speaks Italian and the sentence is one of ``italian.toml``.
    """
    for command, window in phrases():
        if command in sentence:
            sentence = sentence.replace(command, window)
    return _italian(sentence) if language() == "it" else sentence


def window_error_text(error: BaseException) -> str:
    """Return what an exception means to a person at the window."""
    return window_text(error_text(error))


@lru_cache(maxsize=1)
def phrases() -> tuple[tuple[str, str], ...]:
    """Return the phrases of ``wording.toml``: a command's and the window's."""
    rows = load_table(__package__, "wording.toml")["phrase"]
    return tuple((row["command"], row["window"]) for row in rows)


@lru_cache(maxsize=20_000)
def _italian(sentence: str) -> str:
    for english, italian in _translations():
        sentence = english.sub(italian, sentence)
    return sentence


@lru_cache(maxsize=1)
def _translations() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return the sentences of ``italian.toml`` as patterns, and what takes their place."""
    found = []
    for row in load_table(__package__, "italian.toml")["sentence"]:
        parts = re.split(r"\{(\w+)\}", row["english"])
        # What a place holds ends before the next sentence: names have no full stop and blank.
        pattern = "".join(
            rf"(?P<{part}>(?:(?!\. ).)+?)" if place % 2 else re.escape(part)
            for place, part in enumerate(parts)
        )
        italian = re.sub(r"\{(\w+)\}", r"\\g<\1>", row["italian"])
        found.append((re.compile(pattern), italian))
    return tuple(found)
