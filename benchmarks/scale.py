"""Project runs beyond what was measured: a cost model and a simulation of events.

    python benchmarks/scale.py MEASURED.json [--sessions 100000]

MEASURED.json is written by ``benchmarks/project.py --json``. A session takes its place at a worker
for find, download, run and upload, one after another; find, download and upload also take one of
the places of the server. The scheduler hands out one session after another. No time is drawn by
chance: what is printed follows from the measured parts.
"""

from __future__ import annotations

import argparse
import heapq
import json
from pathlib import Path

SERVER_PARTS = ("find", "download", "upload")
SCHEDULER_S = 0.001  # the upper end of what Dask's documents name for a task
CASES = (
    # workers, places of the server, factor on download, words
    (2, 2, 1.0, "2 workers, as measured"),
    (20, 2, 1.0, "20 workers, the same server"),
    (20, 16, 1.0, "20 workers, a server of 16 places"),
    (200, 16, 1.0, "200 workers, a server of 16 places"),
    (200, 16, 0.1, "the same, images by path (download a tenth)"),
)


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


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("measured", type=Path)
    parser.add_argument("--sessions", type=int, default=100_000)
    call = parser.parse_args()
    each = json.loads(call.measured.read_text(encoding="utf-8"))["parts"]["1"]
    print("A session, 1 worker: " + ", ".join(f"{k} {v:.3f} s" for k, v in each.items()))
    print(f"| case | {call.sessions} sessions, hours | sessions a second |")
    print("| --- | ---: | ---: |")
    for workers, places, factor, words in CASES:
        parts = [
            (name in SERVER_PARTS, seconds * (factor if name == "download" else 1.0))
            for name, seconds in each.items()
        ]
        seconds = simulate(call.sessions, workers, places, parts)
        print(f"| {words} | {seconds / 3600:.2f} | {call.sessions / seconds:.1f} |")


if __name__ == "__main__":
    main()
