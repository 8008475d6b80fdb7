"""The report of an upload: one page that needs nothing else, and the same as a table."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

from xnat_pic.text import printable

from ..planning.journal import Event, Journal, SeriesState, SessionEntry
from ..planning.plan import Plan, PlanRow
from ..planning.spreadsheets import save_file
from .proof import COLUMNS, ProofRecord, proof_section
from .texts import escape_text

_ORDER = list(SeriesState)
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: #b3261e; --good: #1b6e3c; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.bad { color: var(--bad); } .good { color: var(--good); }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --good: #7fd6a1; } }
code, td { overflow-wrap: anywhere; }
td.number, td.md5 { white-space: nowrap; }
.sign span { display: inline-block; min-width: 14rem; border-bottom: 1px solid;
  margin-right: 1rem; }
"""
_HEADS = (
    "subject", "session", "modality", "scans", "files", "MiB", "state", "proof", "findings",
)  # fmt: skip
_NUMBERS = ("scans", "files", "MiB")


@dataclass(frozen=True)
class ReportRow:
    """One session in the report.

    Attributes
    ----------
    state : str
        The least of the states of its series.
    verification : str
        ``checksummed``, ``pixels equal``, ``pixels equal in n of N files``, ``counted``, or
        ``not verified``: see `RowVerification.proof`.
    """

    row: PlanRow
    state: str
    verification: str
    findings: tuple[str, ...]
    has_errors: bool
    record: ProofRecord


def report_rows(plan: Plan, journal: Journal) -> list[ReportRow]:
    """Return one row for each session of the plan."""
    entries = {one.row_key: one for one in journal.sessions()}
    return [_row(row, entries.get(row.key), journal) for row in plan.rows]


def _row(row: PlanRow, entry: SessionEntry | None, journal: Journal) -> ReportRow:
    states = list(journal.states(row.key).values())
    state = min(states, key=_ORDER.index) if states else SeriesState.PLANNED
    verification = (entry.verified if entry else "") or "not verified"
    findings = [f"{one.level.value}: {one.message}" for one in row.findings]
    if row.confirmed:
        findings.append(f"column confirmed: {row.confirmed}")
    problem = entry.problem if entry else ""
    record = ProofRecord.of(journal, row.key)
    findings[:0] = [text for text in record.standing if text not in problem]
    if problem:
        findings.insert(0, problem)
    return ReportRow(
        row=row,
        state=state.value if row.include else "left out",
        verification=verification if row.include else "",
        findings=tuple(findings),
        has_errors=row.include
        and (bool(problem or record.standing) or state is SeriesState.PLANNED),
        record=record,
    )


def write_report(plan: Plan, journal: Journal, path: Path) -> list[Path]:
    """Write the page, and the table beside it with the ending .csv; return both.

    Neither holds a secret, and both are there whole or not at all.
    """
    rows = report_rows(plan, journal)
    table, content = path.with_suffix(".csv"), _table(plan, rows).encode("utf-8-sig")
    included = ((one.row.session, one.verification, one.record) for one in rows if one.row.include)
    save_file(path, _page(plan, rows, journal, proof_section(included, content, table.name)))
    save_file(table, content)
    return [path, table]


def _names(plan: Plan) -> list[str]:
    return list(dict.fromkeys(name for row in plan.rows for name in row.variables))


def _values(one: ReportRow, names: Iterable[str]) -> dict[str, str]:
    row = one.row
    return {
        "project": row.project,
        "subject": row.subject,
        "session": row.session,
        "modality": row.modality,
        **{name: row.variables.get(name, "") for name in names},
        "scans": str(row.scans),
        "files": str(row.files),
        "bytes": str(row.bytes),
        "MiB": f"{row.bytes / 2**20:.1f}",
        "state": one.state,
        "proof": one.verification,
        **one.record.values(),
        "findings": " | ".join(one.findings),
        "source": row.source,
    }


def _table(plan: Plan, rows: list[ReportRow]) -> str:
    names = _names(plan)
    heads = ["project", "subject", "session", "modality", *names, "scans", "files", "bytes"]
    heads += ["state", "proof", *COLUMNS, "findings", "source"]
    out = io.StringIO()
    writer = csv.DictWriter(out, heads, extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    for one in rows:
        values = {
            name: _inert(printable(value, "?")) for name, value in _values(one, names).items()
        }
        writer.writerow(values)
    return out.getvalue()


def _inert(cell: str) -> str:
    """Keep a spreadsheet from taking a name for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@") else cell


def _page(plan: Plan, rows: list[ReportRow], journal: Journal, proof: str) -> str:
    names = _names(plan)
    heads = [*_HEADS[:3], *names, *_HEADS[3:]]
    body = "\n".join(_line(one, heads, names) for one in rows)
    columns = "".join(f"<th{_kind(name)}>{escape_text(name)}</th>" for name in heads)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Upload report: {escape_text(plan.project)}</title>\n"
        f"<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<h1>Upload report: {escape_text(plan.project)}</h1>\n"
        f"{_summary(plan, rows, journal)}\n"
        f"<table>\n<thead><tr>{columns}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
        f"{proof}{_files(journal)}{_events(plan, journal)}</body>\n</html>\n"
    )


def _summary(plan: Plan, rows: list[ReportRow], journal: Journal) -> str:
    included = [one for one in rows if one.row.include]
    bad = sum(1 for one in included if one.has_errors)
    levels = Counter(_IN_FILES.sub(" in some files", one.verification) for one in included)
    counts = ", ".join(f"{levels[name]} {name}" for name in _LEVELS if levels[name])
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    state = (
        f'<span class="bad">{bad} need attention</span>'
        if bad
        else '<span class="good">none needs attention</span>'
    )
    return (
        f"<p>Server {escape_text(journal.value('server') or 'not asked yet')}; folder "
        f"<code>{escape_text(str(plan.root))}</code>; written {escape_text(now)}.</p>\n"
        f"<p>{len(included)} sessions: {escape_text(counts)}; {state}. "
        "<em>Checksummed</em>: every file has on the server the MD5 of the bytes sent. "
        "<em>Pixels equal</em>: the server rewrote files, as where it anonymises or decompresses, "
        "and their decoded pixels are those on disk (in n of N files: only those were compared). "
        "<em>Sized</em>, <em>counted</em>: every file is there with the right size, or by its UID "
        "alone, and no content was compared: no proof."
        "</p>"
    )


_LEVELS = (
    "checksummed", "pixels equal", "pixels equal in some files", "sized", "counted", "not verified"
)  # fmt: skip
_IN_FILES = re.compile(r" in \d+ of \d+ files")


def _line(one: ReportRow, heads: list[str], names: list[str]) -> str:
    values = _values(one, names)
    values["findings"] = "\n".join(one.findings)
    cells = []
    for name in heads:
        text = escape_text(values[name]).replace("\n", "<br>")
        is_marked = name in ("state", "findings") and one.has_errors
        kind = ' class="bad"' if is_marked else _kind(name)
        cells.append(f"<td{kind}>{text}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _kind(name: str) -> str:
    return ' class="number"' if name in _NUMBERS else ""


def _files(journal: Journal) -> str:
    rows = "".join(
        f"<tr><td>{escape_text(unquote(target.removeprefix('/data')))}</td>"
        f'<td class="md5"><code>{md5}</code></td>'
        f'<td class="number">{size / 2**20:.1f}</td></tr>\n'
        for target, _source, md5, size in journal.uploads()
    )
    if not rows:
        return ""
    head = '<tr><th>file</th><th>MD5</th><th class="number">MiB</th></tr>'
    return f"<h2>Files beside the images</h2>\n<table>\n{head}\n{rows}</table>\n"


def _events(plan: Plan, journal: Journal) -> str:
    sessions = {row.key: row.session for row in plan.rows}
    rows = "".join(f"<tr>{_event(one, sessions)}</tr>\n" for one in journal.events())
    if not rows:
        return ""
    head = "<tr><th>when</th><th>session</th><th>what</th><th></th></tr>"
    return f"<h2>What happened</h2>\n<table>\n{head}\n{rows}</table>\n"


def _event(one: Event, sessions: Mapping[str, str]) -> str:
    at = datetime.fromtimestamp(one.at_s).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    texts = (sessions.get(one.row_key, ""), one.kind, one.text)
    return f"<td>{at}</td>{''.join(f'<td>{escape_text(text)}</td>' for text in texts)}"
