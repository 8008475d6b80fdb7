"""The animals of a plan, by the names that folders, headers and rows give them. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from xnat_config.labels import LabelRules

from .near_names import near_names
from .plan import IdentityClaim, PlanRow
from .statements import split_statements

_WORD = re.compile(r"[^\W_]+")
Words = tuple[str, ...]


class AnimalNames:
    """Who is in a plan."""

    def __init__(
        self, rows: Sequence[PlanRow], claims: Mapping[str, IdentityClaim], rules: LabelRules
    ) -> None:
        self._rules = rules
        self.names: set[str] = set()
        self._patients: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            claim = claims[row.key]
            folder = rules.clean(claim.subject).casefold()
            self.names |= {folder or row.subject.casefold()} - {""}
            self._patients[folder].add(rules.clean(claim.patient).casefold())
        self._by_words = {_words(name): name for name in self.names if _tells(name)}
        self._most_words = max(map(len, self._by_words), default=0)
        self._near, self._open = _near_subjects(rows)

    def is_another(self, folder: str, patient: str) -> bool:
        """Tell whether a header names another animal than its folder.

        So it does where it has the name of another one, or where other images in the folder have
        the folder's name and these have none that begins alike.
        """
        folder, patient = folder.casefold(), patient.casefold()
        alike = patient.startswith(folder) or folder.startswith(patient)
        return patient in self.names or (not alike and folder in self._patients[folder])

    def other_level(self, row: PlanRow, claim: IdentityClaim) -> str:
        """Return a folder level that names another animal of the plan and not the row's own.

        Only levels below the one that names the row's own animal count: a level above holds many.
        """
        levels = claim.source.split("/")
        own = {row.subject.casefold(), self._rules.clean(claim.subject).casefold()} - {""}
        named = [self._named(level) for level in levels]
        last = max((k for k, names in enumerate(named) if names & own), default=-1)
        for level, names in zip(levels[last + 1 :], named[last + 1 :], strict=True):
            if names:
                return level
        return ""

    def other_study_id(self, row: PlanRow, claim: IdentityClaim) -> str:
        """Return the header's Study ID where it names another animal of the plan."""
        names = self._named(claim.header.study_id)
        return claim.header.study_id if names and row.subject.casefold() not in names else ""

    def near(self, row: PlanRow) -> tuple[str, ...]:
        """Return the subjects of the plan whose names differ from the row's by little.

        Of names that a person confirmed only the rows are told that say so.
        """
        near = self._near if confirms_subject(row) else self._open
        return near.get((row.project, row.subject), ())

    def _named(self, text: str) -> set[str]:
        """Return the animals that a text names: the whole of it, or some of its words."""
        cleaned = self._rules.clean(text).casefold()
        found = {cleaned} & self.names if any(map(str.isalpha, cleaned)) else set()
        words = _words(cleaned)
        for length in range(1, self._most_words + 1):
            for start in range(len(words) - length + 1):
                name = self._by_words.get(words[start : start + length])
                if name:
                    found.add(name)
        return found


def _words(text: str) -> Words:
    return tuple(_WORD.findall(text.casefold()))


def _tells(name: str) -> bool:
    """Tell whether a name inside another text means the animal: a number may mean anything."""
    return len(name) > 1 and any(c.isalpha() for c in name) and any(c.isdigit() for c in name)


NearSubjects = dict[tuple[str, str], tuple[str, ...]]


def _near_subjects(rows: Sequence[PlanRow]) -> tuple[NearSubjects, NearSubjects]:
    """Return the near names of each subject by project: all, and those that nobody confirmed."""
    names = dict.fromkeys((row.project, row.subject) for row in rows if row.subject)
    everything = _near_by_project(names)
    if not everything:
        return {}, {}
    confirmed = {(row.project, row.subject) for row in rows if confirms_subject(row)}
    return everything, _near_by_project(one for one in names if one not in confirmed)


def _near_by_project(names: Iterable[tuple[str, str]]) -> NearSubjects:
    by_project: dict[str, list[str]] = defaultdict(list)
    for project, name in names:
        by_project[project].append(name)
    return {
        (project, name): others
        for project, mine in by_project.items()
        for name, others in near_names(mine).items()
    }


def confirms_subject(row: PlanRow) -> bool:
    """Tell whether a person confirmed the subject of a row."""
    return any(
        name.casefold() == "subject" and value.casefold() == row.subject.casefold()
        for name, value in split_statements(row.confirmed)
    )
