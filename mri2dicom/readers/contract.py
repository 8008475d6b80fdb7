"""What every reader offers."""

from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

from ..model import RawSeries, Skipped


class Confidence(IntEnum):
    """How sure a reader is that it can read an input."""

    NO = 0
    MAYBE = 1
    SURE = 2


class Reader(Protocol):
    """What every reader offers."""

    @property
    def name(self) -> str:
        """Short name, such as ``paravision``."""

    def sniff(self, path: Path) -> Confidence:
        """Tell how sure the reader is; opens at most a few small files and never raises."""

    def locate(self, path: Path) -> Iterator[Any]:
        """Yield a small picklable description of each series at or below `path`."""

    def load(self, located: Any) -> RawSeries | Skipped:
        """Read one series that `locate` found; what cannot be converted is `Skipped`."""
