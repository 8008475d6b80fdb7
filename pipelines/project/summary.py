"""Write a project's table, plots and page (``summary.html``), and send them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xnat_config.server.client import XnatClient
from xnat_config.variables import Variables
from xnat_pic.version import version

from ..outputs.nifti import jsonable
from ..outputs.uids import parameter_hash
from ..report.plots import unit_words
from ..report.template import render_page
from ..xnat.earlier import write_step_provenance
from ..xnat.parameters import RunParameters
from ..xnat.store import ResultLocation, publish
from .outcome import FAILED, LEFT_OUT, PARTLY, ProjectOutcome, SessionResult
from .plots import colour, comparison_words, forest, interval_words, over_time
from .study import Comparison, Measure, ProjectStudy, build_study, compare
from .table import EFFECTS, columns, effect_rows, write_csv, write_xlsx

CONTENTS = "summary.json"
_SESSIONS = ("subject", "session", "state", "exit_code", "reason", "seconds")
_MOST_MEASURES = 40
_MOST_LISTED = 200
_BIGGEST_LINK = 4 << 20
# Main maps of the fits, of which people look first.
_FIRST = ("T2map", "T1map", "T2", "T1", "ADC", "MD", "FA", "D", "f", "SUV")


def write_summary(
    folder: Path,
    outcome: ProjectOutcome,
    results: Sequence[SessionResult],
    run_parameters: RunParameters,
    variables: Variables,
) -> None:
    """Write all files of the summary into a folder that is there.

    Parameters
    ----------
    folder : Path
        Where to.
    outcome : ProjectOutcome
        How the run went.
    results : sequence of SessionResult
        In the order of the table.
    run_parameters : RunParameters
        What was chosen.
    variables : Variables
        Of the site.
    """
    rows = [row for one in results for row in one.rows]
    study = build_study(rows, variables)
    comparisons = compare(study)
    names, effects = columns(variables.names), effect_rows(comparisons)
    sessions = [_session(one) for one in results]
    write_csv(folder / "summary.csv", names, rows)
    write_csv(folder / "effects.csv", EFFECTS, effects)
    write_csv(folder / "sessions.csv", _SESSIONS, sessions)
    sheets = {
        "summary": (names, rows),
        "effects": (EFFECTS, effects),
        "sessions": (_SESSIONS, sessions),
    }
    write_xlsx(folder / "summary.xlsx", sheets)
    write_page(folder / "summary.html", outcome, study, comparisons, results, run_parameters.values)
    (folder / "log.txt").write_text(_log(outcome, results), encoding="utf-8", newline="\n")
    content = jsonable(
        {**asdict(outcome), "inputs": dict(run_parameters.values), "rows": len(rows)}
    )
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (folder / CONTENTS).write_text(text + "\n", encoding="utf-8", newline="\n")


def send_summary(
    client: XnatClient,
    location: ResultLocation,
    folder: Path,
    outcome: ProjectOutcome,
    run_parameters: RunParameters,
) -> None:
    """Send it in the place of an earlier one of the same parameters; errors as of `publish`."""
    lacking = sorted(outcome.failed | outcome.partly)
    step = {
        "pipeline": outcome.pipeline,
        "project": outcome.project,
        "parameters": run_parameters.key,
        "inputs": {k: v for k, v in run_parameters.values.items() if v},
        "request": parameter_hash([version(), run_parameters.key, outcome.done, lacking]),
        "software": f"xnat-pic {version()}",
    }
    write_step_provenance(folder, step)
    publish(client, location, folder, CONTENTS)


def _session(one: SessionResult) -> dict[str, object]:
    return {
        "subject": one.subject,
        "session": one.label,
        "state": one.state,
        "exit_code": one.exit_code,
        "reason": one.failure,
        "seconds": float(sum(one.seconds.values())),
    }


def _log(outcome: ProjectOutcome, results: Sequence[SessionResult]) -> str:
    lines = [outcome.closing]
    for one in results:
        lines.append(f"{one.label}: {one.state}{'. ' + one.failure if one.failure else ''}")
        if one.state in (FAILED, PARTLY):
            lines += [f"    {line}" for line in one.log]
    lines += [f"note: {labels}: {text}" for text, labels in grouped_warnings(results)]
    return "\n".join(lines) + "\n"


def write_page(
    path: Path,
    outcome: ProjectOutcome,
    study: ProjectStudy,
    comparisons: Sequence[Comparison],
    results: Sequence[SessionResult],
    run_parameters: Mapping[str, str],
) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        The file; ``summary.csv`` and ``effects.csv`` beside it are offered in it.
    outcome : ProjectOutcome
        How the run went.
    study : ProjectStudy
        Its values.
    comparisons : sequence of Comparison
        Its effects.
    results : sequence of SessionResult
        Its sessions.
    run_parameters : mapping of str to str
        Inputs of the pipeline.
    """
    ordered = sorted(study.measures, key=_rank)
    by_measure: dict[Measure, list[Comparison]] = {}
    for one in comparisons:
        by_measure.setdefault(one.measure, []).append(one)
    text = render_page(
        "pipelines.project",
        "summary_page.html",
        outcome=outcome,
        version=version(),
        study=study,
        arms=[(arm, colour(study, arm), _animals(study, arm)) for arm in study.arms],
        measures=[
            _section(study, one, by_measure.get(one, [])) for one in ordered[:_MOST_MEASURES]
        ],
        more=[one.title for one in ordered[_MOST_MEASURES:]],
        notes=_notes(study, comparisons),
        lacking=[one for one in results if one.state in (FAILED, PARTLY)][:_MOST_LISTED],
        left_out=[one for one in results if one.state == LEFT_OUT][:_MOST_LISTED],
        warnings=grouped_warnings(results),
        links=[_link(path.with_name(name)) for name in ("summary.csv", "effects.csv")],
        run_parameters={k: v for k, v in run_parameters.items() if v not in ("", "auto", "false")},
    )
    path.write_text(text, encoding="utf-8", newline="\n")


def _rank(measure: Measure) -> tuple[int, str, bool, str, str]:
    first = _FIRST.index(measure.map) if measure.map in _FIRST else len(_FIRST)
    derived = measure.quantity != measure.map
    return (first, measure.map, derived, measure.quantity, measure.roi)


def _animals(study: ProjectStudy, arm: str) -> int:
    return len({animal for by_arm in study.values.values() for animal in by_arm.get(arm, {})})


def _section(study: ProjectStudy, measure: Measure, rows: Sequence[Comparison]) -> dict[str, Any]:
    """Return what the page shows of a measure."""
    shown = [one for one in rows if one.unit == measure.unit]
    percent = [one for one in rows if one.unit == "%" and one.unit != measure.unit]
    return {
        "title": measure.title,
        "chart": over_time(study, measure),
        "forest": forest(study, shown) if shown else "",
        "percent": forest(study, percent) if percent else "",
        "standard": forest(study, shown, standard=True) if shown else "",
        "rows": [
            {
                "what": comparison_words(one),
                "n": f"{one.n} / {one.n_reference}" if one.reference else str(one.n),
                "difference": interval_words(one.effect.difference),
                "unit": unit_words(one.unit),
                "g": interval_words(one.effect.g),
            }
            for one in rows
        ],
    }


def _notes(study: ProjectStudy, comparisons: Sequence[Comparison]) -> list[str]:
    notes = list(study.notes)
    small = [one for one in comparisons if min(one.n, one.n_reference or one.n) < 5]
    if small:
        notes.append(
            f"{len(small)} of {len(comparisons)} comparisons rest on fewer than 5 animals in a "
            "group: their intervals are wide and hold for normal values only."
        )
    if len(comparisons) > 1:
        notes.append(
            f"{len(comparisons)} comparisons are shown, each with its own 95 % interval; about one "
            "in twenty misses the truth by chance."
        )
    return notes


def grouped_warnings(results: Sequence[SessionResult]) -> list[tuple[str, str]]:
    """Return each warning with the sessions that have it, as text."""
    found: dict[str, list[str]] = {}
    for one in results:
        for text in one.warnings:
            found.setdefault(text, []).append(one.label)
    rows = []
    for text, labels in list(found.items())[:_MOST_LISTED]:
        head = ", ".join(labels[:5])
        rows.append((text, head if len(labels) <= 5 else f"{head} and {len(labels) - 5} more"))
    return rows


def _link(path: Path) -> tuple[str, str]:
    """Return a file's name and its content as an address; only the name where it is long."""
    if path.stat().st_size > _BIGGEST_LINK:
        return path.name, ""
    data = base64.b64encode(path.read_bytes()).decode()
    return path.name, f"data:text/csv;charset=utf-8;base64,{data}"
