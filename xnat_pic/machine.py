"""Processors and memory that a program may use: those of the machine, or less in a container.

A container sees every processor of its host; its quota stands in the control groups of Linux, in
version 2 or 1 of their files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

CGROUP_VARIABLE = "XNAT_PIC_CGROUP"
_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_UNLIMITED = 1 << 60  # version 1 writes a number near 2**63 for none


def processors(folder: Path | None = None) -> int:
    """Return how many processors this program may keep busy, at least one.

    Parameters
    ----------
    folder : Path, optional
        Of the control group. By default the program's own, and those above it; the variable
        ``XNAT_PIC_CGROUP`` names another.
    """
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [found for one in _groups("cpu", folder) if (found := _quota(one)) is not None]
    return max(1, min(seen, *(int(one) for one in quotas)) if quotas else seen)


def memory_limit(folder: Path | None = None) -> int | None:
    """Return the bytes that this program may use; None where nothing limits it.

    Parameters
    ----------
    folder : Path, optional
        As of `processors`.
    """
    limits = [
        number
        for one in _groups("memory", folder)
        for name in ("memory.max", "memory.limit_in_bytes")
        if (number := _number(_words(one / name), 0)) is not None and number < _UNLIMITED
    ]
    return min(limits) if limits else None


def _quota(folder: Path) -> float | None:
    """Return the processors of a group, with fractions."""
    words = _words(folder / "cpu.max")
    if words:
        quota, period = _number(words, 0), _number(words, 1)
    else:
        quota = _number(_words(folder / "cpu.cfs_quota_us"), 0)
        period = _number(_words(folder / "cpu.cfs_period_us"), 0)
    return quota / period if quota and period else None


def _groups(controller: str, folder: Path | None) -> Iterator[Path]:
    """Yield the folders whose limits hold: of this program's group, and of those above."""
    named = folder or os.environ.get(CGROUP_VARIABLE)
    if named:
        yield Path(named)
        yield Path(named) / controller
        return
    roots = (_ROOT, _ROOT / controller)
    yield from roots
    for line in _lines(_OWN):
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if names and controller not in names.split(","):
            continue
        root = roots[1] if names else roots[0]
        below = Path(path.lstrip("/"))
        for part in (below, *below.parents):
            if part.parts and ".." not in part.parts:
                yield root / part


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def _words(path: Path) -> list[str]:
    lines = _lines(path)
    return lines[0].split() if lines else []


def _number(words: list[str], place: int) -> int | None:
    """Return a number above 0; ``max`` and ``-1`` are none."""
    text = words[place] if len(words) > place else ""
    return int(text) if text.isdecimal() and int(text) > 0 else None
