"""Find the studies, scans and reconstructions below a folder, by content and not by name."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

IMAGE = "2dseq"
VISU = "visu_pars"
# Made by ParaVision or by people beside the data; no reconstruction lies below them.
_PRUNED = frozenset({"dicom", "nifti", "reports", "AdjResult", "__MACOSX"})


@dataclass(frozen=True)
class RecoPath:
    """Where one reconstruction lies.

    Attributes
    ----------
    folder : Path
        Holds ``2dseq`` and ``visu_pars``; the scan's folder where a scan has no reconstruction.
    scan : Path or None
        The scan's folder; None for a flat folder.
    study : Path
        The study's folder.
    expno, procno : int or None
        From the folder names.
    """

    folder: Path
    scan: Path | None
    study: Path
    expno: int | None
    procno: int | None

    @property
    def location(self) -> str:
        """The folder below the study, with forward slashes."""
        return self.folder.relative_to(self.study).as_posix()


def _number(name: str) -> int | None:
    return int(name) if name.isascii() and name.isdigit() and len(name) < 10 else None


def find_recos(root: Path, on_error: Callable[[OSError], None] | None = None) -> Iterator[RecoPath]:
    """Yield every reconstruction below `root`, `root` itself included.

    A scan without any reconstruction is yielded with ``procno`` None, so that it can be named.
    Links are not followed. The order is that of the folders, numbers sorted as numbers.
    """
    # A relative path such as "." does not tell the names of the folders above it.
    for name, _, files in _walk(root.resolve(), on_error):
        folder = Path(name)
        if folder.parent.name == "pdata" and _number(folder.name) is not None:
            yield _reco(folder)
        elif IMAGE in files and VISU in files:
            yield RecoPath(folder, None, folder, None, None)
        elif _is_scan(folder, files) and not _has_reco(folder):
            yield RecoPath(folder, folder, folder.parent, _number(folder.name), None)


def _walk(
    root: Path, on_error: Callable[[OSError], None] | None
) -> Iterator[tuple[str, list[str], list[str]]]:
    for name, folders, files in os.walk(root, onerror=on_error):
        folders[:] = sorted((f for f in folders if f not in _PRUNED), key=_natural)
        yield name, folders, files


def _natural(name: str) -> tuple[bool, int, str]:
    number = _number(name)
    return (number is None, number or 0, name)


def _reco(folder: Path) -> RecoPath:
    scan = folder.parent.parent
    expno = _number(scan.name)
    return RecoPath(folder, scan, scan.parent, expno, _number(folder.name))


def _is_scan(folder: Path, files: list[str]) -> bool:
    return _number(folder.name) is not None and ("acqp" in files or "method" in files)


def _has_reco(scan: Path) -> bool:
    try:
        children = list((scan / "pdata").iterdir())
    except OSError:
        return False
    return any(_number(child.name) is not None for child in children if child.is_dir())
