"""Variables from a table of the person's own: a sheet with one line a subject or session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xnat_config.variables import RESERVED, VARIABLE_NAME, Variables
from xnat_pic.errors import WrongCallError
from xnat_pic.text import counted, list_some

from ..findings import Finding, note, warning
from .measures import meanings, value_problem
from .plan import PlanRow
from .spreadsheets import Rows, read_csv, read_xlsx
from .statements import join_statements
from .workbook_notes import SheetNotes, read_workbook_notes

KEYS = ("session", "subject")


@dataclass(frozen=True)
class VariableTable:
    """A table of variables.

    Attributes
    ----------
    keys : tuple of str
        The columns that tell which rows of the plan a line is for.
    names : tuple of str
        The variables it gives values to.
    lines : dict
        Key values, in lower case, to variable values.
    """

    path: Path
    keys: tuple[str, ...]
    names: tuple[str, ...]
    lines: dict[tuple[str, ...], dict[str, str]]
    findings: tuple[Finding, ...] = ()


def read_variable_table(path: Path, variables: Variables) -> VariableTable:
    """Read a .csv or .xlsx table whose first line names its columns.

    A column ``subject`` or ``session`` tells whose line it is. Where subjects stand in it several
    times, the column ``timepoint`` tells them apart. All other columns are variables.

    Raises
    ------
    WrongCallError
        If no column tells whose line it is, or two lines are for the same.
    PlanError
        If the file cannot be read.
    """
    findings: list[Finding] = []
    if path.suffix.casefold() == ".xlsx":
        rows = _sheet(path, variables, findings)
    else:
        rows = read_csv(path)
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if len(rows) < 2:
        raise _table_error(
            path, "has no lines", "Write the names of the columns and a line a subject."
        )
    heads = [_column(cell, variables) for cell in rows[0]]
    keys = tuple(key for key in KEYS if key in heads)[:1]
    if not keys:
        raise _table_error(
            path, "has neither a column subject nor session", "Name one of its columns so"
        )
    twice = [head for head in heads if head and heads.count(head) > 1]
    if twice:
        raise _table_error(path, f"has the column {twice[0]} twice", "Take one of them out.")
    for head in heads:
        if head and head not in KEYS and (not VARIABLE_NAME.fullmatch(head) or head in RESERVED):
            raise _table_error(
                path,
                f"has the column {head!r}, which cannot name a variable",
                "Use lower-case letters, digits and _, or take the column out.",
            )
    subjects = [_cell(row, heads.index(keys[0])).casefold() for row in rows[1:]]
    if len(set(subjects)) < len(subjects) and "timepoint" in heads:
        keys = (*keys, "timepoint")
    names = tuple(head for head in heads if head and head not in KEYS and head not in keys)
    lines = _lines(path, rows, heads, keys, names)
    findings += _understand(path, lines, variables)
    return VariableTable(path, keys, names, lines, tuple(findings))


def _sheet(path: Path, variables: Variables, findings: list[Finding]) -> Rows:
    """Return the sheet that says whose its lines are; tell of others and of what is hidden."""
    sheets = {
        title: kept
        for title, rows in read_xlsx(path).items()
        if (kept := [row for row in rows if any(cell.strip() for cell in row)])
    }
    fitting = [
        title
        for title, rows in sheets.items()
        if {_column(cell, variables) for cell in rows[0]} & set(KEYS)
    ]
    title = next(iter([*fitting, *sheets]), "")
    notes = read_workbook_notes(path).get(title, SheetNotes())
    if problem := notes.problem():
        hint = "Open it in a spreadsheet program, unmerge the cells, save it; or save it as .csv."
        raise _table_error(path, f"{problem}", hint)
    if len(sheets) > 1:
        others = [repr(other) for other in sheets if other != title]
        text = f"Of {path.name} the sheet {title!r} is read, not {list_some(others)}."
        findings.append((warning if len(fitting) > 1 else note)("table-sheet", text))
    if hidden := notes.hidden_rows():
        text = f"In {path.name} {hidden}. Take out what is not to count."
        findings.append(warning("hidden-rows", text))
    return sheets.get(title, [])


def _understand(
    path: Path, lines: Mapping[tuple[str, ...], dict[str, str]], variables: Variables
) -> Iterable[Finding]:
    """Write values of a local form as their type wants them, and tell which."""
    changed: dict[str, list[str]] = {}
    for values in lines.values():
        for name, value in values.items():
            meant = meanings(name, value, variables) if value else []
            if len(meant) == 1 and value_problem(name, value, variables):
                values[name] = meant[0]
                changed.setdefault(name, []).append(f"{value!r} as {meant[0]}")
    for name, taken in changed.items():
        text = f"The column {name} of {path.name} is read so: {list_some(taken)}."
        yield note("table-form", text)


def _column(cell: str, variables: Variables) -> str:
    name = cell.strip().casefold()
    return variables.announced_by(name) or name


def _cell(row: Sequence[str], index: int) -> str:
    return row[index].strip() if index < len(row) else ""


def _lines(
    path: Path, rows: Rows, heads: list[str], keys: tuple[str, ...], names: tuple[str, ...]
) -> dict[tuple[str, ...], dict[str, str]]:
    lines: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows[1:]:
        key = tuple(_cell(row, heads.index(name)).casefold() for name in keys)
        values = {name: _cell(row, heads.index(name)) for name in names}
        if lines.setdefault(key, values) != values:
            raise _table_error(
                path,
                f"says different things of {' '.join(key)} in two lines",
                "Leave one of the lines, or add a column timepoint.",
            )
    return lines


def apply_table(
    table: VariableTable, rows: Iterable[PlanRow], layout_names: Iterable[str]
) -> tuple[list[PlanRow], list[Finding]]:
    """Give rows the table's values; a value that a folder level contradicts is told.

    Returns
    -------
    rows : list of PlanRow
        The table's values count; a cell that is empty leaves what the folders say.
    findings : list of Finding
        Lines that are for no row.
    """
    from_folders = set(layout_names)
    used: set[tuple[str, ...]] = set()
    done = []
    for row in rows:
        key = _key_of(table, row)
        line = table.lines.get(key)
        if line is None:
            missing = warning(
                "not-in-table",
                f"The table {table.path.name} has no line for {' '.join(key)}. Add one, or write "
                "the values into the row.",
            )
            done.append(replace(row, findings=(*row.findings, missing)))
            continue
        used.add(key)
        values = {name: value for name, value in line.items() if value}
        differing = [
            f"{name} is {value!r} there and {row.variables[name]!r} in the folders"
            for name, value in values.items()
            if name in from_folders and row.variables.get(name, "") not in ("", value)
        ]
        findings = row.findings
        if differing:
            text = f"The table counts: {'; '.join(differing)}. Correct the row if it is wrong."
            findings = (*findings, warning("table-differs", text))
        done.append(
            replace(
                row,
                variables={**row.variables, **values},
                findings=findings,
                stated=join_statements(values),
            )
        )
    idle = [" ".join(key) for key in table.lines if key not in used]
    if not idle:
        return done, list(table.findings)
    lines = counted(len(idle), "line", "lines")
    text = f"{lines} of {table.path.name} for no session of this folder: {list_some(idle)}."
    unused = warning("table-line-unused", f"{text} Check how {table.keys[0]} is spelt there.")
    return done, [*table.findings, unused]


def _key_of(table: VariableTable, row: PlanRow) -> tuple[str, ...]:
    own = {"subject": row.subject, "session": row.session}
    return tuple((own.get(name) or row.variables.get(name, "")).casefold() for name in table.keys)


def _table_error(path: Path, what: str, hint: str) -> WrongCallError:
    return WrongCallError(f"The table {path} {what}.", path=path, hint=hint)
