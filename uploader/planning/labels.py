"""Names of subjects and sessions in a plan: made by the site's rules, each used once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from xnat_config.labels import LabelRules
from xnat_pic.text import list_some

from ..findings import Finding, error, warning
from .plan import PlanRow


@dataclass(frozen=True)
class LabelParts:
    """What the name of a session is made from.

    Attributes
    ----------
    values : dict
        Variables by name, and the folder level ``study`` where the layout has it.
    order : tuple of str
        Sorts sessions that would have the same name.
    """

    subject: str
    modality: str
    date: str
    values: Mapping[str, str]
    order: tuple[str, ...]


def session_labels(names: Sequence[LabelParts], rules: LabelRules) -> list[str]:
    """Return the label of each session; a second one of the same name gets ``_2``.

    Without regard to case, because XNAT does not tell such names apart.
    """
    taken: dict[tuple[str, str], int] = defaultdict(int)
    labels = [""] * len(names)
    for index in sorted(range(len(names)), key=lambda k: names[k].order):
        one = names[index]
        known = {
            **one.values, "subject": one.subject, "modality": one.modality, "date": one.date
        }  # fmt: skip
        key = (one.subject.casefold(), rules.session(known).casefold())
        taken[key] += 1
        labels[index] = rules.session(known, taken[key])
    return labels


def find_collisions(raw_subjects: Mapping[str, str], rules: LabelRules) -> dict[str, Finding]:
    """Find different subjects that XNAT would take for one.

    Parameters
    ----------
    raw_subjects : mapping
        Key of a row to the subject's name as folders and files have it.

    Returns
    -------
    dict
        Key of a row to its finding.
    """
    by_label: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for key, raw in raw_subjects.items():
        if raw:
            by_label[rules.clean(raw).casefold()][raw].append(key)
    found = {}
    for names in by_label.values():
        if len(names) < 2:
            continue
        for raw, keys in names.items():
            others = list_some([repr(other) for other in names if other != raw])
            finding = error(
                "subject-collision",
                f"The subject {raw!r} and {others} become one subject in XNAT. Write different "
                "names in the column subject, or the same name where they are one animal.",
            )
            found.update(dict.fromkeys(keys, finding))
    return found


def label_findings(rows: Iterable[PlanRow], rules: LabelRules) -> dict[str, list[Finding]]:
    """Check projects, subjects and session labels as they stand in a plan, by key of the row."""
    rows = [row for row in rows if row.include]
    found: dict[str, list[Finding]] = defaultdict(list)
    sessions: dict[tuple[str, str], list[PlanRow]] = defaultdict(list)
    for row in rows:
        sessions[row.project.casefold(), row.session.casefold()].append(row)
        if not row.subject:
            found[row.key].append(
                error(
                    "no-subject",
                    "No folder level and no PatientID names the subject. Write it in the column "
                    "subject.",
                )
            )
        for what, value in (
            ("project", row.project), ("subject", row.subject), ("session", row.session)
        ):  # fmt: skip
            if (value or what == "project") and not rules.is_clean(value):
                found[row.key].append(_not_clean(what, value, rules))
    for same in sessions.values():
        if len(same) > 1 and same[0].session:
            sources = list_some([row.source for row in same])
            for row in same:
                found[row.key].append(
                    error(
                        "label-twice",
                        f"{len(same)} rows have the session label {row.session} ({sources}). "
                        "Write a label of its own in the column session.",
                    )
                )
    return found


def _not_clean(what: str, value: str, rules: LabelRules) -> Finding:
    if not value:
        return error("no-project", "No project is named. Write its ID in the column project.")
    if len(value) > rules.max_length:
        problem = f"is {len(value)} characters long"
    else:
        problem = "has characters that XNAT does not keep"
    return error(
        f"{what}-label",
        f"The {what} {value!r} {problem}. Write {rules.clean(value)!r} or another name of letters, "
        f"digits, _ and -, {rules.max_length} characters at most.",
    )


def subject_findings(
    rows: Iterable[PlanRow], patient_ids: Mapping[str, str], rules: LabelRules
) -> dict[str, list[Finding]]:
    """Say where the subject of a row is not the one its files name, by key of the row."""
    found = {}
    for row in rows:
        patient = patient_ids.get(row.key, "")
        if patient and row.subject and rules.clean(patient).casefold() != row.subject.casefold():
            found[row.key] = [
                warning(
                    "subject-differs",
                    f"The row says {row.subject} and the files say {patient!r}. Correct the "
                    "column subject if it is wrong.",
                )
            ]
    return found


def drop_solved_collisions(rows: Sequence[PlanRow]) -> list[PlanRow]:
    """Take out the collisions of subjects that a person has put right."""
    messages: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        messages[row.subject.casefold()] |= {
            f.message for f in row.findings if f.code == "subject-collision"
        }
    return [
        replace(
            row,
            findings=tuple(
                f
                for f in row.findings
                if f.code != "subject-collision" or len(messages[row.subject.casefold()]) > 1
            ),
        )
        for row in rows
    ]


_MOST = 1000  # sessions of one animal and day that a rule may have to number


def relabel_rows(
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
        and row_label(row, rules, 1) != row_label(before[key], rules, 1)
        and has_own_label(before[key], rules)
    }
    if not wanted:
        return dict(changed)
    now = {**before, **changed}
    taken = {_unique_key(row, row.session) for key, row in now.items() if key not in wanted}
    found = dict(changed)
    for key, row in wanted.items():
        label = row.session
        for number in range(1, _MOST):
            label = row_label(row, rules, number)
            if _unique_key(row, label) not in taken:
                break
        taken.add(_unique_key(row, label))
        found[key] = replace(row, session=label)
    return found


def _unique_key(row: PlanRow, label: str) -> tuple[str, str]:
    """Return what XNAT tells sessions apart by."""
    return row.project.casefold(), label.casefold()


def row_label(row: PlanRow, rules: LabelRules, number: int = 1) -> str:
    """Return the label that the site's rules make of a row; `number` 2 for a second study."""
    values = {**row.variables, "subject": row.subject, "modality": row.modality,
              "date": row.date.replace("-", "")}  # fmt: skip
    return rules.session(values, number)


def has_own_label(row: PlanRow, rules: LabelRules) -> bool:
    """Tell whether the rules made a row's label, with or without a number behind it."""
    first = row_label(row, rules, 1)
    if row.session == first:
        return True
    if not row.session.startswith(first[: max(len(first) - 4, 1)]):
        return False
    tail = row.session.rpartition("_")[2]
    return (
        tail.isdigit() and 1 < int(tail) < _MOST and row.session == row_label(row, rules, int(tail))
    )
