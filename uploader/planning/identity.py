"""Whose images these are: what folder, header and sheet claim, held against the rows of a plan.

Pure: no disk and no network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xnat_config import SiteConfig
from xnat_config.labels import LabelRules

from ..findings import (
    IDENTITY_CONFIRMED,
    IDENTITY_DIFFERS,
    Finding,
    error,
    path_below,
    warning,
)
from ..scanning.layout import PLAIN_TOKENS, SUBJECT
from ..scanning.sessions import Session
from .animal_names import AnimalNames, confirms_subject
from .folder_values import FolderValues, same_name
from .label_owners import LabelOwners
from .measures import holds_dates, is_weight
from .plan import IdentityClaim, PlanRow
from .spreadsheet_values import looks_like_date, may_be_changed, number_of
from .statements import split_statements, statement

UNUSED, WEIGHT = "identity-unused", "weight-differs"
CODES = frozenset({IDENTITY_DIFFERS, IDENTITY_CONFIRMED, UNUSED, WEIGHT})
SOURCE, SESSION = "source", "session"
_SPREADSHEET = (
    " A spreadsheet program makes such a value of the other: give the cell the format Text and "
    "write the value again, or keep the plan as .xlsx."
)
# A weight that is so many times another one has another unit.
_UNIT_FACTOR = 50
# Growth and a meal do not make an animal so much heavier between scale and scanner.
_WEIGHT_FACTOR = 1.5


@dataclass(frozen=True)
class Difference:
    """Something that a claim says otherwise than the row.

    Attributes
    ----------
    name, value : str
        What a person writes into the column ``confirmed`` where the row is right.
    advice : str
        What to do beside correcting the row.
    by_sheet : bool
        The person's own table, or ``--set``, says what the row says.
    """

    text: str
    name: str
    value: str
    advice: str = ""
    by_sheet: bool = False

    def finding(self, is_confirmed: bool) -> Finding:
        """Return it as an error, or as a warning where a person confirmed it."""
        stated = statement(self.name, self.value) if self.name != SOURCE else SOURCE
        if self.by_sheet:
            text = f"--variables or --set says {stated}, which counts. {self.text}."
            return warning(IDENTITY_CONFIRMED, text)
        if is_confirmed:
            return warning(IDENTITY_CONFIRMED, f"Confirmed in the plan: {stated}. {self.text}.")
        return error(
            IDENTITY_DIFFERS,
            f"{self.text}.{self.advice} Correct the row; or, where the plan is right, write "
            f"{stated} into its column confirmed.",
        )


def claim_of(session: Session, read: FolderValues, root: Path) -> IdentityClaim:
    """Return what the folders of a session, as they were read, and its header say."""
    return IdentityClaim(
        source=path_below(session.source, root),
        subject=read.values.get(SUBJECT, ""),
        patient=session.patient_id,
        variables={name: value for name, value in read.values.items() if name not in PLAIN_TOKENS},
        date=session.study_date,
        modality=session.modality,
        header=session.header,
    )


def identity_findings(
    rows: Iterable[PlanRow], claims: Mapping[str, IdentityClaim], config: SiteConfig
) -> dict[str, list[Finding]]:
    """Compare rows with what folders, headers and sheets say, by key of the row.

    A difference keeps its row from being uploaded, until the row's column ``confirmed`` names it;
    what is confirmed stays a warning, so that everybody who looks is told.
    """
    rows = [row for row in rows if row.include and row.key in claims]
    comparison = _Comparison(rows, claims, config)
    return {
        row.key: [
            *_row_findings(row, list(comparison.differences(row))),
            *comparison.weight_warnings(row),
        ]
        for row in rows
    }


def near_on_server(row: PlanRow, names: Iterable[str]) -> Finding | None:
    """Return a finding where a subject that is new to the server is near to names it has."""
    near = ", ".join(list(names)[:3])
    if not near:
        return None
    text = (
        f"The server has no subject {row.subject}, but {near}: names that differ by little may be "
        "one animal"
    )
    found = Difference(text, SUBJECT, row.subject)
    return found.finding(_is_confirmed(row, found))


def _row_findings(row: PlanRow, differences: Sequence[Difference]) -> list[Finding]:
    found = [one.finding(_is_confirmed(row, one)) for one in differences]
    unused = [
        f"{name}={value}" if value else name
        for name, value in split_statements(row.confirmed)
        if not _is_used(row, name.casefold(), value.casefold(), differences)
    ]
    if unused:
        named = ", ".join(sorted(unused))
        message = f"The column confirmed says {named}: nothing of this row differs so."
        found.append(warning(UNUSED, message))
    return found


def _is_used(row: PlanRow, name: str, value: str, differences: Sequence[Difference]) -> bool:
    if (name, value) == (SUBJECT, row.subject.casefold()):
        return True  # whether a name is near to one of the server's, only the server knows
    whole = _whole(row)
    return any(
        (one.name, one.value.casefold()) in ((name, value), whole) or name == one.name == SOURCE
        for one in differences
    )


def _is_confirmed(row: PlanRow, difference: Difference) -> bool:
    """Tell whether the row's column ``confirmed`` names a difference."""
    said = {(name.casefold(), value.casefold()) for name, value in split_statements(row.confirmed)}
    if difference.name == SOURCE:
        return any(name == SOURCE for name, _ in said)
    return (difference.name, difference.value.casefold()) in said | {_whole(row)}


def _whole(row: PlanRow) -> tuple[str, str]:
    """Return the column ``confirmed`` as one statement, whatever its value holds."""
    name, _, value = row.confirmed.partition("=")
    return name.strip().casefold(), value.strip().casefold()


class _Comparison:
    """The rows of a plan held against all claims."""

    def __init__(
        self, rows: Sequence[PlanRow], claims: Mapping[str, IdentityClaim], config: SiteConfig
    ) -> None:
        self._claims, self._config = claims, config
        self._rules: LabelRules = config.labels
        self._animals = AnimalNames(rows, claims, config.labels)
        self._labels = LabelOwners(rows, config.labels)
        self._sources = {claim.source: key for key, claim in claims.items()}

    def differences(self, row: PlanRow) -> Iterable[Difference]:
        """Yield what differs in a row."""
        claim = self._claims[row.key]
        subject = self._subject(row, claim)
        if subject is not None:
            yield subject
        yield from self._patients(claim)
        yield from self._variables(row, claim)
        yield from _dates(row, claim, self._config, subject is not None)
        yield from self._weights(row, claim)
        source = self._source(row, claim)
        if source is not None:
            yield source
        owner = self._labels.other_owner(row)
        if owner and not confirms_subject(row):
            text = f"The label {row.session} is the one of another row, whose files lie in {owner}"
            yield Difference(text, SESSION, row.session)

    def _subject(self, row: PlanRow, claim: IdentityClaim) -> Difference | None:
        rules, animals = self._rules, self._animals
        patient, folder = rules.clean(claim.patient), rules.clean(claim.subject)
        text, before = "", ""
        if not row.subject:
            return None  # an error of its own
        if folder and not same_name(folder, row.subject):
            text = f"The folder says subject {claim.subject!r}, the plan {row.subject!r}"
            before = claim.subject
        elif not folder and patient and not same_name(patient, row.subject):
            text = f"The header of the images says {claim.patient!r}, the plan subject "
            text += repr(row.subject)
            before = claim.patient
        elif (
            folder
            and patient
            and not same_name(patient, row.subject)
            and animals.is_another(folder, patient)
        ):
            text = (
                f"The folder says subject {claim.subject!r}, the header of the images "
                f"{claim.patient!r}, which is another animal"
            )
        elif other := animals.other_level(row, claim):
            text = f"The files lie in a folder {other!r}, the plan says {row.subject!r}"
        elif other := animals.other_study_id(row, claim):
            text = f"The Study ID of the images is {other!r}, the plan says {row.subject!r}"
        elif near := animals.near(row):
            text = (
                f"The plan has the subjects {', '.join(sorted([row.subject, *near]))}: names that "
                "differ by little may be one animal"
            )
        if not text:
            return None
        advice = _SPREADSHEET if may_be_changed(before, row.subject) else ""
        return Difference(text, SUBJECT, row.subject, advice)

    def _patients(self, claim: IdentityClaim) -> Iterable[Difference]:
        names = {self._rules.clean(one).casefold(): one for one in claim.header.patients}
        if len(names) > 1:
            text = f"The files of this study name different subjects: {', '.join(names.values())}"
            advice = " Move the files of other animals out of the folder, and scan again."
            yield Difference(text, "patients", "+".join(names.values()), advice)

    def _variables(self, row: PlanRow, claim: IdentityClaim) -> Iterable[Difference]:
        stated = dict(split_statements(row.stated))
        for name in dict.fromkeys([*claim.variables, *stated]):
            planned = row.variables.get(name, "")
            folder = claim.variables.get(name)
            if name in stated and planned != stated[name]:
                advice = _SPREADSHEET if may_be_changed(stated[name], planned) else ""
                text = f"--variables or --set said {name} {stated[name]!r}, the plan {planned!r}"
                yield Difference(text, name, planned, advice)
            elif folder is not None and planned != folder:
                advice = _SPREADSHEET if may_be_changed(folder, planned) else ""
                text = f"The folder says {name} {folder!r}, the plan {planned!r}"
                yield Difference(text, name, planned, advice, by_sheet=name in stated)

    def weight_warnings(self, row: PlanRow) -> Iterable[Finding]:
        """Yield weights that are far from the header's, though of the same unit."""
        for _, text, factor in self._heavier(row, self._claims[row.key]):
            if _WEIGHT_FACTOR < factor < _UNIT_FACTOR:
                yield warning(WEIGHT, f"{text}. Check which of them is right.")

    def _weights(self, row: PlanRow, claim: IdentityClaim) -> Iterable[Difference]:
        for name, text, factor in self._heavier(row, claim):
            if factor >= _UNIT_FACTOR:
                yield Difference(text, name, row.variables[name], " The column is in gram.")

    def _heavier(self, row: PlanRow, claim: IdentityClaim) -> Iterable[tuple[str, str, float]]:
        """Yield each weight: its name, what is said of it, how many times one is the other."""
        header = claim.header.weight_g
        for name, value in row.variables.items():
            grams = number_of(value) if is_weight(name, self._config.variables) else None
            if header and grams and grams > 0:
                text = f"The plan says {name} {value!r}, the header of the images {header:.4g} g"
                yield name, text, max(grams / header, header / grams)

    def _source(self, row: PlanRow, claim: IdentityClaim) -> Difference | None:
        """Compare what recognises the row: a key that was moved, a source that was edited."""
        if row.source and row.source != claim.source:
            if row.source in self._sources:
                text = (
                    f"The key of this row is the one of the files in {claim.source}, and the row "
                    f"tells of those in {row.source}: keys were moved, or columns sorted alone"
                )
            else:
                text = f"The files lie in {claim.source}, the plan says {row.source}"
            return Difference(text, SOURCE, row.source)
        if row.modality and row.modality != claim.modality:
            text = f"The files are {claim.modality}, the plan says modality {row.modality}"
            return Difference(f"{text}: keys were moved, or columns sorted alone", SOURCE, "")
        if _other_day(row.date, claim.date):
            text = f"The files are of {claim.date}, the plan says date {row.date}"
            return Difference(f"{text}: keys were moved, or columns sorted alone", SOURCE, "")
        return None


def _other_day(planned: str, there: str) -> bool:
    """Tell whether two dates are different days, in whatever order a program writes them."""
    parts = planned.replace("/", "-").replace(".", "-").split("-")
    if len(there) != 8 or not there.isdigit() or len(parts) != 3:
        return False
    if not all(part.strip().isdigit() for part in parts):
        return False
    numbers = sorted(int(part) % 100 for part in parts)
    return numbers != sorted((int(there[2:4]), int(there[4:6]), int(there[6:])))


def _dates(
    row: PlanRow, claim: IdentityClaim, config: SiteConfig, subject_differs: bool
) -> Iterable[Difference]:
    """Yield values that are dates, as a spreadsheet program makes them of MAR-1, say."""
    known = {SUBJECT: {claim.subject, claim.patient}, SESSION: set(row.source.split("/"))}
    values = {SESSION: row.session, **row.variables}
    if not subject_differs:
        values = {SUBJECT: row.subject, **values}
    for name, value in values.items():
        if not value or not looks_like_date(value) or holds_dates(name, config.variables):
            continue
        claimed = known.get(name, {claim.variables.get(name, "")})
        if value not in claimed and (name in known or name not in claim.variables):
            text = f"The {name} is the date {value!r}, which no folder and no header says"
            yield Difference(text, name, value, _SPREADSHEET)
