"""A digital mouse: ParaVision studies of a phantom animal whose every number is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .options import VERSIONS, MouseOptions, WrittenStudy

__all__ = ["VERSIONS", "MouseOptions", "WrittenStudy", "write_mice"]


def write_mice(
    out: Path,
    options: MouseOptions | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[WrittenStudy]:
    """Write a whole project of ParaVision studies, and the truth beside it.

    Parameters
    ----------
    out : Path
        Folder to create. It must be absent or empty.
    options : MouseOptions, optional
        What to write; the defaults give 18 studies in the ParaVision 360.3.6 dialect.
    progress : callable, optional
        Called as ``progress(done, total, subject)`` after each study.

    Returns
    -------
    list of WrittenStudy
        In the order written.

    Raises
    ------
    OutputError
        If the output or the truth folder already holds something.
    WrongCallError
        If the options contradict each other.
    """
    from .cohort import write_cohort  # numpy is loaded only when something is written

    return write_cohort(out, options or MouseOptions(), progress)
