"""What is wrong with the values of a plan's variables, row by row and among animals. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from xnat_config import SiteConfig
from xnat_pic.text import list_some

from ..findings import Finding, error, warning
from .measures import value_problem
from .plan import PlanRow

Findings = dict[str, list[Finding]]


def value_findings(rows: Iterable[PlanRow], config: SiteConfig) -> Findings:
    """Check the values of all rows that count, by key of the row."""
    rows = [row for row in rows if row.include]
    found: Findings = defaultdict(list)
    for row in rows:
        for name, value in row.variables.items():
            problem = value_problem(name, value, config.variables) if value else ""
            if problem:
                found[row.key].append(error("value-not-allowed", problem))
    for check in (_differing, _missing):
        for key, findings in check(rows, config).items():
            found[key] += findings
    return found


def _differing(rows: Iterable[PlanRow], config: SiteConfig) -> Findings:
    """Find animals with several values of what an animal has one of."""
    found: Findings = defaultdict(list)
    by_subject: dict[tuple[str, str], dict[str, list[PlanRow]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in rows:
        for name, value in row.variables.items():
            if value and config.variables.of_subject(name):
                by_subject[f"{row.project}/{row.subject}".casefold(), name][value].append(row)
    for (_, name), values in by_subject.items():
        if len(values) < 2:
            continue
        described = list_some([f"{v!r} ({rs[0].session})" for v, rs in values.items()])
        for row in (row for same in values.values() for row in same):
            found[row.key].append(
                error(
                    "subject-variable-differs",
                    f"The subject {row.subject} has several values of {name}: {described}. An "
                    "animal has one; correct the rows, or the names of the subjects.",
                )
            )
    return found


def _missing(rows: Iterable[PlanRow], config: SiteConfig) -> Findings:
    """Find values that an animal lacks and others of its group, or its other sessions, have."""
    found: Findings = defaultdict(list)
    names = dict.fromkeys(
        name for row in rows for name in row.variables if config.variables.of_subject(name)
    )
    for name in names:
        if name == "group":
            continue
        groups: dict[tuple[str, str], list[PlanRow]] = defaultdict(list)
        for row in rows:
            if row.variables.get("group", ""):
                groups[row.project, row.variables["group"]].append(row)
        for (_, group), mine in groups.items():
            having = {row.subject: row.variables[name] for row in mine if row.variables.get(name)}
            for row in mine if having else ():
                if not row.variables.get(name):
                    found[row.key].append(
                        warning(
                            "variable-missing",
                            f"{row.subject} of group {group} has no {name}, and "
                            f"{list_some([f'{s} ({v})' for s, v in having.items()])} of it have. "
                            f"Write it into the column {name} if it is known.",
                        )
                    )
    return found
