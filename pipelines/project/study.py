"""What a project's table says about groups and time: arms, measures, comparisons."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from xnat_config.variables import Variables

from .effects import Effect, one_group, two_groups

Row = Mapping[str, Any]
TIMEPOINT = "timepoint"
# What groups are called that others are compared with, in the order of preference.
REFERENCES = (
    *("untreated", "control", "controls", "ctrl", "vehicle", "sham", "placebo", "saline"),
    *("naive", "wildtype", "wt", "healthy"),
)
ALL = "all animals"


@dataclass(frozen=True, order=True)
class Measure:
    """One quantity: of a map, in an ROI or, without one, over the whole map."""

    roi: str
    map: str
    quantity: str
    unit: str

    @property
    def title(self) -> str:
        """Words for it."""
        name = self.map if self.quantity in ("", self.map) else f"{self.map} {self.quantity}"
        return f"{name}, {self.roi}" if self.roi else f"{name}, median of the whole map"


@dataclass(frozen=True)
class Comparison:
    """One effect.

    Attributes
    ----------
    measure : Measure
        Of what.
    kind : str
        ``difference``: arm less reference at a timepoint; ``change``: of an arm since the first
        timepoint; ``difference of changes``: of arm and reference.
    unit : str
        Of the difference: the measure's, or ``%`` of each animal's own first value.
    arm, reference, timepoint, baseline : str
        What is compared; empty where it does not apply.
    n, n_reference : int
        Animals.
    effect : Effect
        The numbers.
    """

    measure: Measure
    kind: str
    unit: str
    arm: str
    reference: str
    timepoint: str
    baseline: str
    n: int
    n_reference: int
    effect: Effect


@dataclass(frozen=True)
class ProjectStudy:
    """The values of a project by measure, arm, animal and timepoint.

    Attributes
    ----------
    arms : tuple of str
        The reference first.
    reference : str
        The arm others are compared with; empty where there is but one.
    timepoints : tuple of str
        In their order.
    values : dict
        By measure: by arm: by animal: by timepoint.
    notes : tuple of str
        What a reader has to know.
    """

    arms: tuple[str, ...]
    reference: str
    timepoints: tuple[str, ...]
    values: dict[Measure, dict[str, dict[str, dict[str, float]]]] = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def measures(self) -> list[Measure]:
        """In the order in which they came."""
        return list(self.values)


def build_study(rows: Iterable[Row], variables: Variables) -> ProjectStudy:
    """Sort the rows of a project table into a study.

    An animal's value is the mean over the scans and sessions it has at a timepoint. Rows of the
    set ``core`` are left to the table.

    Parameters
    ----------
    rows : iterable of mapping
        Of `table.summary_rows`.
    variables : Variables
        Of the site: their order, and the order of timepoints.
    """
    level = [one.name for one in variables if one.level == "subject"]
    found: dict[Measure, dict[str, dict[str, dict[str, list[float]]]]] = {}
    timepoints: set[str] = set()
    arms: dict[str, Row] = {}
    for row in rows:
        value = row["mean"] if row["roi"] else row["median"]
        if row["set"] == "core" or not isinstance(value, float) or not math.isfinite(value):
            continue
        arm = " ".join(str(row[name]) for name in level if row.get(name)) or ALL
        arms.setdefault(arm, row)
        when = str(row.get(TIMEPOINT, ""))
        timepoints.add(when)
        measure = Measure(row["roi"], row["map"], row["quantity"], row["unit"])
        animals = found.setdefault(measure, {}).setdefault(arm, {})
        animals.setdefault(str(row["subject"]), defaultdict(list))[when].append(value)
    ordered, reference, notes = _order(arms, level)
    several = sum(
        len(v) > 1
        for by_arm in found.values()
        for animals in by_arm.values()
        for by_time in animals.values()
        for v in by_time.values()
    )
    if several:
        notes.append(
            f"{several} {'value is' if several == 1 else 'values are'} the mean of several scans "
            "or ROIs of one animal at one timepoint."
        )
    values = {
        measure: {
            arm: {
                animal: {when: fmean(v) for when, v in by_time.items()}
                for animal, by_time in sorted(by_arm[arm].items())
            }
            for arm in ordered
            if arm in by_arm
        }
        for measure, by_arm in found.items()
    }
    times = sorted(timepoints, key=variables.timepoint_key)
    return ProjectStudy(tuple(ordered), reference, tuple(times), values, tuple(notes))


def _order(arms: Mapping[str, Row], level: Sequence[str]) -> tuple[list[str], str, list[str]]:
    """Return arms with the reference first, the reference, and what to say about the choice."""
    names = sorted(arms)
    if len(names) < 2:
        return names, "", []

    def rank(arm: str) -> tuple[int, int, str]:
        words = [str(arms[arm].get(name, "")).casefold() for name in level]
        known = [REFERENCES.index(word) for word in words if word in REFERENCES]
        return (min(known, default=len(REFERENCES)), sum(bool(w) for w in words), arm)

    names.sort(key=rank)
    if rank(names[0])[0] < len(REFERENCES):
        return names, names[0], []
    note = f"No group is called untreated or control: the others are compared with {names[0]}."
    return names, names[0], [note]


def compare(study: ProjectStudy) -> list[Comparison]:
    """Return every comparison that a study allows.

    The arms against the reference at each timepoint; the change of each arm since the first
    timepoint, animal by animal; and the changes of the arms against that of the reference, in the
    unit of the measure and in per cent of each animal's own first value.
    """
    found = []
    for measure in study.values:
        for when in study.timepoints:
            found += _at(study, measure, when)
        for when in study.timepoints[1:]:
            found += _since(study, measure, when)
    return found


def _at(study: ProjectStudy, measure: Measure, when: str) -> list[Comparison]:
    groups = {
        arm: [one[when] for one in animals.values() if when in one]
        for arm, animals in study.values[measure].items()
    }
    return _against(study, measure, groups, ("difference", measure.unit, when, ""))


def _against(
    study: ProjectStudy,
    measure: Measure,
    groups: Mapping[str, Sequence[float]],
    facts: tuple[str, str, str, str],
) -> list[Comparison]:
    kind, unit, when, before = facts
    theirs = groups.get(study.reference, ())
    return [
        Comparison(
            measure, kind, unit, arm, study.reference, when, before,
            len(ours), len(theirs), two_groups(ours, theirs),
        )
        for arm, ours in groups.items()
        if arm != study.reference and ours and theirs
    ]  # fmt: skip


def _since(study: ProjectStudy, measure: Measure, when: str) -> list[Comparison]:
    before = study.timepoints[0]
    found = []
    for unit, change in ((measure.unit, _difference), ("%", _percent)):
        groups = {
            arm: [change(v[before], v[when]) for v in animals.values() if {before, when} <= set(v)]
            for arm, animals in study.values[measure].items()
        }
        found += [
            Comparison(
                measure, "change", unit, arm, "", when, before, len(v), 0, one_group(v)
            )
            for arm, v in groups.items()
            if v
        ]  # fmt: skip
        found += _against(study, measure, groups, ("difference of changes", unit, when, before))
    return found


_Change = Callable[[float, float], float]


def _difference(before: float, after: float) -> float:
    return after - before


def _percent(before: float, after: float) -> float:
    return 100.0 * (after / before - 1.0) if before > 0 else math.nan
