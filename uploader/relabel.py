"""Session labels that follow a row whose subject or variables were corrected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from xnat_config.labels import LabelRules

from .model import PlanRow

_MOST = 1000  # sessions of one animal and day that a rule may have to number


def relabelled(
    rows: Iterable[PlanRow], changed: Mapping[str, PlanRow], rules: LabelRules
) -> dict[str, PlanRow]:
    """Give rows that a person changed the labels that the site's rules make of them now.

    A label that was not the rules' own stays: somebody wrote it. A label that the change itself
    wrote stays too, and so do the labels of all other rows.

    Parameters
    ----------
    rows : iterable of PlanRow
        All rows of the plan, before the change.
    changed : mapping
        Key of a row to the row after the change.

    Returns
    -------
    dict
        Key of a row to the row after the change, with its label.
    """
    before = {row.key: row for row in rows}
    wanted = {
        key: row
        for key, row in changed.items()
        if row.session == before[key].session
        and _label(row, rules, 1) != _label(before[key], rules, 1)
        and _is_made(before[key], rules)
    }
    if not wanted:
        return dict(changed)
    now = {**before, **changed}
    taken = {_place(row, row.session) for key, row in now.items() if key not in wanted}
    found = dict(changed)
    for key, row in wanted.items():
        label = row.session
        for number in range(1, _MOST):
            label = _label(row, rules, number)
            if _place(row, label) not in taken:
                break
        taken.add(_place(row, label))
        found[key] = replace(row, session=label)
    return found


def _place(row: PlanRow, label: str) -> tuple[str, str]:
    """Return what XNAT tells sessions apart by."""
    return row.project.casefold(), label.casefold()


def _label(row: PlanRow, rules: LabelRules, number: int) -> str:
    values = {**row.variables, "subject": row.subject, "modality": row.modality,
              "date": row.date.replace("-", "")}  # fmt: skip
    return rules.session(values, number)


def _is_made(row: PlanRow, rules: LabelRules) -> bool:
    """Tell whether the rules made a row's label, with or without a number behind it."""
    first = _label(row, rules, 1)
    if row.session == first:
        return True
    if not row.session.startswith(first[: max(len(first) - 4, 1)]):
        return False
    tail = row.session.rpartition("_")[2]
    return tail.isdigit() and 1 < int(tail) < _MOST and row.session == _label(row, rules, int(tail))
