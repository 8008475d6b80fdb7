"""How long the window's event loop is held: each page opened from cold, and ten thousand rows.

Run ``QT_QPA_PLATFORM=offscreen python benchmarks/window.py``. The tests count the work of a turn
(`tests/uploader/gui/turn_work.py`), which is the same on every machine; this measures its time.
"""

import itertools
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from measure import machine
from PySide6.QtCore import QEventLoop, Qt, QTimer

from uploader import Plan, PlanRow
from uploader.gui import app, main_window, worker
from uploader.gui.upload.plan_step import PlanStep
from uploader.gui.upload.states import RowState
from uploader.gui.upload.table import PlanTable, RowFilter
from xnat_config import load_config

ROWS = 10_000
_SETTLED_MS = 200


def open_cold(name: str) -> float:
    """Open a page right after the start; return the longest time between two turns, in ms."""
    application = app.application("en")
    window = main_window.MainWindow()
    window.show()
    worker.start(main_window.preload)
    times = [time.perf_counter()]
    timer, loop = QTimer(), QEventLoop()
    timer.timeout.connect(lambda: times.append(time.perf_counter()))
    timer.timeout.connect(
        lambda: QTimer.singleShot(_SETTLED_MS, loop.quit) if window.name == name else None
    )
    QTimer.singleShot(0, lambda: window.open(name))
    timer.start(5)
    loop.exec()
    application.quit()
    return max(late - soon for soon, late in itertools.pairwise(times)) * 1000


def act_on_rows() -> dict[str, tuple[float, float]]:
    """Return for each action on all rows how long it and the painting after it take, in ms."""
    application = app.application("en")
    table = PlanTable(load_config(environ={}))
    step = PlanStep(table)
    step.resize(1100, 700)
    step.show()
    order = random.Random(5)
    plan = Plan(Path("study"), "P1", "", tuple(_row(order.randrange(10**6)) for _ in range(ROWS)))
    actions: dict[str, Callable[[], object]] = {
        "show": lambda: step.show_plan(plan, "plan.csv"),
        "sort": lambda: table.sort(table.columns.index("bytes"), Qt.SortOrder.DescendingOrder),
        "filter": lambda: table.show_only(RowFilter("m12")),
        "show all": lambda: table.show_only(RowFilter("")),
        "write": lambda: table.write(range(ROWS), "dose", "5"),
        "undo": table.undo,
        "leave out": lambda: table.include(range(ROWS), False),
        "state": lambda: table.set_states({"7": RowState("upload.state_done", "good")}),
    }
    table.set_plan(plan)
    times = {}
    for name, action in actions.items():
        begun = time.perf_counter()
        action()
        done = time.perf_counter()
        application.processEvents()
        times[name] = ((done - begun) * 1000, (time.perf_counter() - done) * 1000)
    return times


def _row(number: int) -> PlanRow:
    return PlanRow(
        key=f"1.2.{number}/MR",
        include=True,
        source=f"treated/m{number}",
        project="P1",
        subject=f"m{number}",
        session=f"m{number}_pre_MR",
        modality="MR",
        files=number,
        bytes=number * 1000,
        variables={"group": "treated", "timepoint": "pre", "dose": ""},
    )


def main() -> None:
    """Measure and print everything; each cold opening is a process of its own."""
    if sys.argv[1:]:
        print(f"{open_cold(sys.argv[1]):.0f}")
        return
    print(machine())
    for name in main_window.PAGES:
        done = subprocess.run(
            [sys.executable, __file__, name], check=True, capture_output=True, text=True
        )
        print(f"{name} opened from cold: held for {done.stdout.strip()} ms at most")
    for name, (work, paint) in act_on_rows().items():
        print(f"{ROWS} rows, {name}: {work:.0f} ms, painted in {paint:.0f} ms")


if __name__ == "__main__":
    main()
