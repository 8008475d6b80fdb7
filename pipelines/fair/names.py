"""Names as BIDS wants them: letters and digits, never two things under one name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9]+")
_LONGEST = 40


def label(text: str) -> str:
    """Return letters and digits of a text, at most 40 of them."""
    return _NOT_ALLOWED.sub("", text)[:_LONGEST]


@dataclass
class Labels:
    """Gives every text a label of its own, and the same text the same label again."""

    _given: dict[str, str] = field(default_factory=dict)

    def of(self, text: str, instead: str) -> str:
        """Return the label of a text; `instead` where it has no letter and no digit.

        Two texts that differ only in other signs (``m-1``, ``m1``) get different labels: the
        second is followed by x2.
        """
        if text not in self._given:
            wanted = label(text) or instead
            taken = {one.casefold() for one in self._given.values()}
            new, number = wanted, 1
            while new.casefold() in taken:
                number += 1
                new = f"{wanted}x{number}"
            self._given[text] = new
        return self._given[text]


@dataclass(frozen=True)
class Place:
    """Where the files of a series go.

    Attributes
    ----------
    subject, session : str
        Labels.
    folder : str
        ``anat``, ``dwi``, ``pet``, or another for sourcedata.
    acquisition : str
        Label of the protocol.
    run : int
        From 1, among those of the same protocol in a session.
    tracer : str
        Label of the tracer, for PET.
    """

    subject: str
    session: str
    folder: str
    acquisition: str
    run: int
    tracer: str = ""

    @property
    def below(self) -> str:
        """Folder below a data set."""
        return f"sub-{self.subject}/ses-{self.session}/{self.folder}"

    def stem(self, **more: object) -> str:
        """Return the name up to the suffix; `more` are entities such as echo."""
        parts = [f"sub-{self.subject}", f"ses-{self.session}"]
        if self.tracer:
            parts.append(f"trc-{self.tracer}")
        else:
            parts.append(f"acq-{self.acquisition}")
        parts.append(f"run-{self.run}")
        return "_".join([*parts, *(f"{key}-{value}" for key, value in more.items())])
