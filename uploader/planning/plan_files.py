"""Plans as files: .csv and .xlsx with the same rows, without loss.

The first lines of a .csv (the sheet ``about`` of an .xlsx) begin with ``#`` and hold what concerns
the whole plan. Every column that is not one of `COLUMNS` is a variable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from xnat_config.variables import VARIABLE_NAME

from ..errors import PlanError
from ..findings import Finding, Level, warning
from .plan import Plan, PlanRow
from .spreadsheets import Rows, read_csv, read_xlsx, write_csv, write_xlsx
from .workbook_notes import SheetNotes, read_workbook_notes

COLUMNS = ("include", "project", "subject", "session", "modality", "date", "scans", "files",
           "bytes", "source", "findings", "confirmed", "stated", "key")  # fmt: skip
_ENDINGS = (".csv", ".xlsx")
_BEFORE = COLUMNS[:5]
_AFTER = COLUMNS[5:]
_STATED = "stated"  # only where something was stated
_WIDTHS = {
    "include": 8, "subject": 16, "session": 28, "source": 50, "findings": 60, "confirmed": 24,
    "stated": 24,
    "key": 40,
}  # fmt: skip
_FORMAT = "1"
_YES = frozenset({"yes", "y", "true", "1", "x", "si", "sì", "ja", "oui"})
_NO = frozenset({"no", "n", "false", "0", "nein", "non", ""})


def write_plan(plan: Plan, path: Path) -> None:
    """Write a plan; the ending, .csv or .xlsx, chooses the form.

    Raises
    ------
    PlanError
        If the file cannot be written.
    """
    names = tuple(dict.fromkeys(name for row in plan.rows for name in row.variables))
    about = [
        ["# plan", _FORMAT],
        ["# root", str(plan.root)],
        ["# project", plan.project],
        ["# layout", plan.layout],
        *(["# finding", *_finding_cells(finding)] for finding in plan.findings),
    ]
    after = [name for name in _AFTER if name != _STATED or any(row.stated for row in plan.rows)]
    heads = [*_BEFORE, *names, *after]
    rows = [_cells(row, names, after) for row in plan.rows]
    if is_xlsx(path):
        sheets: dict[str, Sequence[Sequence[str | int]]] = {
            "plan": [heads, *rows],
            "about": about,
        }
        write_xlsx(path, sheets, [_WIDTHS.get(head, 12) for head in heads])
    else:
        texts = [[str(cell) for cell in row] for row in rows]
        write_csv(path, [*about, heads, *texts])


def is_plan_file(path: Path) -> bool:
    """Tell whether there is a file with the ending of a plan."""
    return path.suffix.casefold() in _ENDINGS and path.is_file()


def is_xlsx(path: Path) -> bool:
    """Tell the form of a plan by its ending.

    Raises
    ------
    PlanError
        If the ending is neither .csv nor .xlsx.
    """
    ending = path.suffix.casefold()
    if ending not in _ENDINGS:
        raise PlanError(
            f"{path.name} is no name for a plan.", path=path, hint="Let it end in .csv or .xlsx."
        )
    return ending == ".xlsx"


def _cells(row: PlanRow, names: Sequence[str], after: Sequence[str]) -> list[str | int]:
    findings = "\n".join(" ".join(_finding_cells(finding)) for finding in row.findings)
    last: dict[str, str | int] = {**vars(row), "findings": findings}
    return [
        "yes" if row.include else "no",
        row.project,
        row.subject,
        row.session,
        row.modality,
        *(row.variables.get(name, "") for name in names),
        *(last[name] for name in after),
    ]


def _finding_cells(finding: Finding) -> list[str]:
    message = finding.message.replace("\n", " ")
    return [finding.level.value, f"{finding.code}:", message]


def read_plan(path: Path) -> Plan:
    """Read a plan as `write_plan`, or a person after it, left it; it has no sessions yet.

    Raises
    ------
    PlanError
        If it is no plan, or a cell cannot be understood.
    """
    if is_xlsx(path):
        sheets = read_xlsx(path)
        if "plan" not in sheets:
            raise _plan_error(path, "it has no sheet named plan")
        rows = [*sheets.get("about", []), *sheets["plan"]]
        notes = read_workbook_notes(path).get("plan", SheetNotes())
        if problem := notes.problem():
            raise _plan_error(path, f"its sheet plan {problem}")
    else:
        rows, notes = read_csv(path), SheetNotes()
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    about = [row for row in rows if row[0].startswith("#")]
    table = [row for row in rows if not row[0].startswith("#")]
    known = {row[0][1:].strip(): (row[1] if len(row) > 1 else "") for row in about}
    if "plan" not in known or not known.get("root") or "layout" not in known:
        raise _plan_error(path, "it lacks the lines that begin with #")
    if known["plan"].strip() != _FORMAT:
        raise _plan_error(
            path, f"it has the format {known['plan']}, which this version does not know"
        )
    return Plan(
        root=Path(known["root"]),
        project=known.get("project", ""),
        layout=known.get("layout", ""),
        rows=_rows(path, table),
        findings=(*_plan_findings(about), *_hidden_findings(path, notes)),
    )


def _hidden_findings(path: Path, notes: SheetNotes) -> Iterable[Finding]:
    if text := notes.hidden_rows():
        yield warning(
            "hidden-rows", f"In {path.name} {text}. Write no into include to leave a row out."
        )


def _plan_findings(about: Rows) -> Iterable[Finding]:
    for row in about:
        if row[0][1:].strip() == "finding" and len(row) >= 4:
            finding = _finding(" ".join(row[1:4]))
            if finding is not None and finding.code != "hidden-rows":
                yield finding


def _finding(line: str) -> Finding | None:
    level, _, rest = line.partition(" ")
    code, colon, message = rest.partition(": ")
    if level not in {one.value for one in Level} or not (colon and code):
        return None
    return Finding(code, Level(level), message)


def _rows(path: Path, table: Rows) -> tuple[PlanRow, ...]:
    if not table:
        raise _plan_error(path, "it has no line with the names of the columns")
    heads = [cell.strip().casefold() for cell in table[0]]
    while heads and not heads[-1]:
        heads.pop()
    missing = [name for name in ("key", "project", "subject", "session") if name not in heads]
    if missing:
        raise _plan_error(path, f"the column {missing[0]} is missing")
    for head in heads:
        if heads.count(head) > 1:
            raise _plan_error(path, f"the column {head or 'without a name'} is there twice")
        if head not in COLUMNS and not VARIABLE_NAME.fullmatch(head):
            raise _plan_error(path, f"the column {head!r} cannot name a variable: write it in "
                           "lower-case letters, digits and _")  # fmt: skip
    rows = tuple(_row(path, heads, cells) for cells in table[1:])
    keys = Counter(row.key for row in rows)
    for row in rows:
        if keys[row.key] > 1:
            raise _plan_error(path, f"the row of {row.source or row.session} is there twice")
    return rows


def _row(path: Path, heads: Sequence[str], cells: Sequence[str]) -> PlanRow:
    padded = [*cells, *([""] * len(heads))]
    texts = dict(zip(heads, padded, strict=False))

    def clean(name: str) -> str:
        return texts.get(name, "").strip()

    where = clean("session") or texts.get("source", "")
    if not clean("key"):
        raise _plan_error(path, f"the row of {where or 'a session'} has lost its key")
    answer = clean("include").casefold() if "include" in heads else "yes"
    if answer not in _YES | _NO:
        raise _plan_error(path, f"include is {answer!r} in the row of {where}: write yes or no")
    return PlanRow(
        key=clean("key"),
        include=answer in _YES,
        source=texts.get("source", ""),
        project=clean("project"),
        subject=clean("subject"),
        session=clean("session"),
        modality=clean("modality"),
        variables={name: texts[name].strip() for name in heads if name not in COLUMNS},
        date=clean("date"),
        scans=_count(path, texts, "scans", where),
        files=_count(path, texts, "files", where),
        bytes=_count(path, texts, "bytes", where),
        findings=tuple(
            finding
            for line in texts.get("findings", "").splitlines()
            if (finding := _finding(line.strip())) is not None
        ),
        confirmed=clean("confirmed"),
        stated=clean("stated"),
    )


def _count(path: Path, texts: dict[str, str], name: str, where: str) -> int:
    text = texts.get(name, "").strip()
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise _plan_error(path, f"{name} is {text!r} in the row of {where}: leave it as it was")
    return int(text)


def _plan_error(path: Path, why: str) -> PlanError:
    return PlanError(
        f"{path} is no plan: {why}.", path=path, hint="Correct it, or make a new one with scan."
    )


def companions(path: Path) -> list[Path]:
    """Return the files that belong to a plan and are no data: itself, its journal, its reports."""
    if not path.parent.is_dir():
        return [path]
    return [one for one in path.parent.iterdir() if one.name.startswith(path.name)]
