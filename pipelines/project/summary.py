"""Write a project's table, plots and page, and send them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from xnat_config.server.client import XnatClient
from xnat_config.variables import Variables
from xnat_pic.version import version

from ..outputs.nifti import jsonable
from ..outputs.uids import parameter_hash
from ..xnat.parameters import RunParameters
from ..xnat.store import ResultLocation, publish, write_step_provenance
from .outcome import FAILED, PARTLY, ProjectOutcome, SessionResult
from .page import write_page
from .study import build_study, compare
from .table import EFFECTS, columns, effect_rows, write_csv, write_xlsx

CONTENTS = "summary.json"
_SESSIONS = ("subject", "session", "state", "exit_code", "reason", "seconds")


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
    write_step_provenance(folder, step, CONTENTS)
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
    return "\n".join(lines) + "\n"
