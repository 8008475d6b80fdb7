"""Values of inputs as people type and tick them: in XNAT's form, in a container's, in a call."""

from __future__ import annotations

from xnat_pic.errors import WrongCallError

from ..catalog import Input

_YES, _NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
_MOST_SHOWN = 60


def read_value(entry: Input, text: str) -> str:
    """Return the value of an input; its default for nothing, or for the form's word for it.

    Raises
    ------
    WrongCallError
        For what is no value of it, and for several choices of which one is wanted.
    """
    text = text.strip()
    if not text or text.lower() == entry.empty.lower():
        return entry.default
    if entry.type == "boolean":
        return read_boolean(named(entry), text)
    if entry.type == "choice":
        return _read_choice(entry, text)
    return text


def _read_choice(entry: Input, text: str) -> str:
    words = dict.fromkeys(word.strip() for word in text.split(",") if word.strip())
    if tuple(words) == tuple(entry.ticks):
        return entry.default  # XNAT hands on all of them where a launch by REST names none
    chosen = list(dict.fromkeys(entry.ticks.get(word, word) for word in words))
    wrong = next((word for word in chosen if word not in entry.choices), None)
    if wrong is not None:
        raise WrongCallError(
            f"{shown(wrong)} is no choice for {named(entry)}.",
            hint=f"Choose {_listed(entry.choices)}.",
        )
    if len(chosen) > 1:
        raise WrongCallError(
            f"{named(entry)}: choose one of {', '.join(entry.choices)}, not"
            f" {_listed(chosen, 'and')}.",
            hint=f"Start it again with one of them, or with none for {entry.default}.",
        )
    return chosen[0] if chosen else entry.default


def read_boolean(name: str, text: str) -> str:
    """Return ``true`` or ``false`` for what somebody wrote; ``false`` for nothing.

    Raises
    ------
    WrongCallError
        For what is neither yes nor no.
    """
    if text.lower() in _YES:
        return "true"
    if text.lower() in _NO or not text:
        return "false"
    raise WrongCallError(
        f"{shown(text)} is neither yes nor no, for {name}.", hint="Give one of them."
    )


def named(entry: Input) -> str:
    """Return the name of an input, with that of the form where it is another."""
    return entry.name if entry.form == entry.name else f"{entry.name} ({entry.form})"


def shown(text: str) -> str:
    """Return a value for a message: of a long one, which may be anything, the beginning."""
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}...")


def _listed(words: list[str] | tuple[str, ...], join: str = "or") -> str:
    return f" {join} ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)
