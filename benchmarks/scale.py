"""Project runs beyond what was measured: a cost model and a simulation of events.

    python benchmarks/scale.py MEASURED.json [--sessions 100000] [--docs docs]

MEASURED.json is written by ``benchmarks/project.py --json``. A session takes its place at a worker
for its own computing, and needs the server for the processor time that this was seen to spend for
it; the scheduler hands out one session after another. No time is drawn by chance: what comes out
follows from what was measured. The tables are written between the marks of
``explanation/scale.md`` and ``benchmarks.md`` in the folder of the documents.
"""

from __future__ import annotations

import argparse
import heapq
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SCHEDULER_S = 0.001  # the upper end of what Dask's documents name for a task
BEGIN, END = "<!-- project-run: begin -->", "<!-- project-run: end -->"
CASES = (
    # workers, places of the server, factor on what the server does, words
    (2, 1, 1.0, "2 workers, a server of one place"),
    (20, 1, 1.0, "20 workers, the same server"),
    (20, 16, 1.0, "20 workers, a server of 16 places"),
    (200, 16, 1.0, "200 workers, a server of 16 places"),
    (200, 16, 0.5, "the same, images by path: half the work of the server"),
)


@dataclass(frozen=True)
class Fit:
    """seconds = fixed + slope * N, and how far off the worst run is, as a part of it."""

    fixed: float
    slope: float
    worst: float


def simulate(sessions: int, workers: int, places: int, parts: list[tuple[bool, float]]) -> float:
    """Return the seconds until the last session ends.

    Parameters
    ----------
    sessions, workers, places : int
        Their numbers; places are those of the server.
    parts : list of (bool, float)
        Of a session in their order: whether the server is needed, and seconds.
    """
    server = [0.0] * places
    begin = [(SCHEDULER_S * k, k) for k in range(min(workers, sessions))]
    events = [(at, number, 0) for at, number in begin]
    heapq.heapify(events)
    started, last = len(events), 0.0
    while events:
        now, number, part = heapq.heappop(events)
        if part == len(parts):
            last = max(last, now)
            if started < sessions:
                heapq.heappush(events, (max(now, SCHEDULER_S * started), started, 0))
                started += 1
            continue
        needs, seconds = parts[part]
        start = now
        if needs:
            start = max(now, heapq.heappop(server))
            heapq.heappush(server, start + seconds)
        heapq.heappush(events, (start + seconds, number, part + 1))
    return last


def fit(rows: list[dict[str, Any]]) -> Fit:
    """Fit a line to the runs of one number of workers."""
    n = np.array([one["sessions"] for one in rows], dtype=float)
    seconds = np.array([one["seconds"] for one in rows])
    # Weighted so that each run counts by what it is off in parts, not in seconds.
    slope, fixed = np.polyfit(n, seconds, 1, w=1 / seconds)
    worst = np.max(np.abs(fixed + slope * n - seconds) / seconds)
    return Fit(float(fixed), float(slope), float(worst))


def parts_of(rows: list[dict[str, Any]], slope: float) -> list[tuple[bool, float]]:
    """Return the session of the model: half of its server's time, the worker's own, the other."""
    server = float(np.mean([one["processor"]["server"] for one in rows]))
    server = min(server, slope)
    return [(True, server / 2), (False, slope - server), (True, server / 2)]


def measured_table(content: dict[str, Any], fits: dict[int, Fit]) -> list[str]:
    """Return the table of what was measured, and what the lines say."""
    lines = [
        f"{content['machine']}; matrix {content['matrix']}; median of {content['runs']} runs. "
        "Server, workers and this program share the processors.",
        "",
        "| workers | N | s | s a session | find | download | run | upload | processor: server "
        "| workers | this program | load |",
        "| ---: " * 12 + "|",
    ]
    for one in content["rows"]:
        n, parts, used = one["sessions"], one["parts"], one["processor"]
        cells = [
            f"{one['workers']}", f"{n}", f"{one['seconds']:.1f}", f"{one['seconds'] / n:.2f}",
            *(f"{parts.get(name, 0):.2f}" for name in ("find", "download", "run", "upload")),
            *(f"{used[name]:.2f}" for name in ("server", "cluster", "this")),
            "" if one["load"] is None else f"{one['load']:.1f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "| workers | seconds = | farthest run from the line |", "| ---: | --- | ---: |"]
    for workers, one in fits.items():
        line = f"{one.fixed:.2f} + {one.slope:.3f} N"
        lines.append(f"| {workers} | {line} | {100 * one.worst:.0f} % |")
    most = max(row["sessions"] for row in content["rows"])
    wall = {row["workers"]: row["seconds"] for row in content["rows"] if row["sessions"] == most}
    lines += [
        "",
        f"2 workers against 1: {fits[1].slope / fits[2].slope:.2f}x by the cost of a further "
        f"session, {wall[1] / wall[2]:.2f}x by the whole run of {most} sessions.",
    ]
    return lines


def simulated_table(content: dict[str, Any], fits: dict[int, Fit], sessions: int) -> list[str]:
    """Return the table of what was simulated, the measured runs first."""
    rows = [one for one in content["rows"] if one["workers"] == 1]
    parts = parts_of(rows, fits[1].slope)
    server = parts[0][1] + parts[2][1]
    lines = [
        f"The session of the model: {parts[1][1]:.3f} s of a worker, {server:.3f} s of the server. "
        "Simulated beside measured, from the measured start on:",
        "",
        "| workers | N | measured s | simulated s | of it |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in content["rows"]:
        found = simulate(one["sessions"], one["workers"], 1, parts)
        found += fits[one["workers"]].fixed
        cells = (one["workers"], one["sessions"], f"{one['seconds']:.1f}", f"{found:.1f}")
        share = f"{100 * found / one['seconds']:.0f} %"
        lines.append("| " + " | ".join(map(str, (*cells, share))) + " |")
    lines += [
        "",
        f"{sessions} sessions:",
        "",
        "| case | hours | sessions a second | hours of workers, paid for "
        "| of the server's processors | what limits |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for workers, places, factor, words in CASES:
        case = [(needs, s * factor if needs else s) for needs, s in parts]
        seconds = simulate(sessions, workers, places, case)
        rates = {
            "workers": workers / sum(s for _, s in case),
            "server": places / max(server * factor, 1e-9),
            "scheduler": 1 / SCHEDULER_S,
        }
        lines.append(
            f"| {words} | {seconds / 3600:.1f} | {sessions / seconds:.1f} "
            f"| {workers * seconds / 3600:.0f} | {sessions * server * factor / 3600:.0f} "
            f"| {min(rates, key=lambda name: rates[name])} |"
        )
    return lines


def put(path: Path, lines: list[str]) -> None:
    """Write lines between the marks of a document.

    Raises
    ------
    SystemExit
        Where the document has no marks.
    """
    text = path.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} has no marks {BEGIN} and {END}.")
    body = "\n".join(lines)
    path.write_text(f"{head}{BEGIN}\n\n{body}\n\n{END}{tail}", encoding="utf-8", newline="\n")


def main() -> None:
    """Print the tables and write them into the documents."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("measured", type=Path)
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--docs", type=Path, default=Path(__file__).resolve().parents[1] / "docs")
    call = parser.parse_args()
    content = json.loads(call.measured.read_text(encoding="utf-8"))
    fits = {w: fit([one for one in content["rows"] if one["workers"] == w]) for w in (1, 2)}
    if min(one.slope for one in fits.values()) <= 0:
        raise SystemExit(
            "The measured times do not grow with N: other work on the machine drowned them. "
            "Nothing was written; measure again when it is quiet."
        )
    measured = measured_table(content, fits)
    simulated = simulated_table(content, fits, call.sessions)
    print("\n".join([*measured, "", *simulated]))
    put(call.docs / "benchmarks.md", measured)
    put(call.docs / "explanation" / "scale.md", [*measured[-6:], "", *simulated])


if __name__ == "__main__":
    main()
