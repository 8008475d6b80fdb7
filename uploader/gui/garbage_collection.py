"""Python's collector of garbage, kept from holding the window. No Qt.

A full collection looks at every object that there is, and all threads wait for it: the modules of
the pages alone take a tenth of a second, a long plan or a large study much more. What stays for as
long as the window or its plan does is put out of its sight here. It is freed all the same as soon
as nothing refers to it; the collector is needed only for things that refer to each other.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_YOUNG = 1  # generations that are collected first, so that no fresh garbage is kept
_FILES_BETWEEN = 500


def freeze_gc() -> None:
    """Let later collections pass over everything that is there now."""
    gc.collect(_YOUNG)
    gc.freeze()


def freezing_gc(report: Callable[[Any], None]) -> Callable[[int, int], None]:
    """Return a report of (files read, files in all) that spares what was read, now and then."""

    def report_progress(done: int, total: int) -> None:
        if done % _FILES_BETWEEN == 0:
            freeze_gc()
        report((done, total))

    return report_progress


@contextmanager
def gc_paused() -> Iterator[None]:
    """Do something with all rows at once; the collector, which would find nothing, waits."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
