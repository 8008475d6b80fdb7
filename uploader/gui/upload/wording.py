"""The uploader's sentences as they are said in a window, which has no commands."""

import tomllib
from functools import lru_cache
from importlib import resources

from ..failures import sentence_of


def in_window(sentence: str) -> str:
    """Return a sentence with the window's names for what it calls by a command's."""
    for command, window in phrases():
        if command in sentence:
            sentence = sentence.replace(command, window)
    return sentence


def told_as(error: BaseException) -> str:
    """Return what an exception means to a person at the window."""
    return in_window(sentence_of(error))


@lru_cache(maxsize=1)
def phrases() -> tuple[tuple[str, str], ...]:
    """Return the phrases of ``wording.toml``: a command's and the window's."""
    text = (resources.files(__package__) / "wording.toml").read_text(encoding="utf-8")
    return tuple((row["command"], row["window"]) for row in tomllib.loads(text)["phrase"])
