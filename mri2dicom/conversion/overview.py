"""What an input holds, series by series, without converting anything."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from xnat_pic.errors import NothingUsableError, XnatPicError

from ..readers.archive import archive_stem, open_input
from ..readers.registry import choose_readers
from ..series.model import RawSeries, Skipped
from .report import series_result, skipped_result


@dataclass(frozen=True, repr=False)
class SeriesOverview:
    """One series as a row of a table.

    Attributes
    ----------
    matrix : str
        Columns x rows (x planes of a 3-D frame counted in `planes`).
    loops : str
        Loops and their lengths, fastest first.
    """

    study: str
    subject: str
    expno: int
    procno: int
    method: str
    protocol: str
    paravision: str
    matrix: str
    planes: int
    loops: str
    kind: str
    reason: str = ""
    damaged: bool = False
    warnings: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        """Return number, protocol and what it is."""
        title = f"{self.expno}/{self.procno} {self.protocol}".rstrip()
        what = self.reason or f"{self.planes} planes of {self.matrix}"
        return f"<SeriesOverview {title}: {self.kind}, {what}>"

    def as_json(self) -> dict[str, Any]:
        """Return the row as plain values."""
        return asdict(self)


def read(path: Path | str) -> Iterator[RawSeries | Skipped]:
    """Read every series of a study, a folder of studies, or an archive, lazily.

    Parameters
    ----------
    path : Path or str
        As for `mri2dicom.convert`. The pixels of an archive can be read as long as the iteration
        goes on.

    Yields
    ------
    RawSeries or Skipped
        Pixels are memory-mapped and nothing is loaded until it is asked for.

    Raises
    ------
    NothingUsableError
        If nothing at `path` is scanner data.
    CorruptDataError
        If an archive is damaged.
    """
    for series, _ in _read_with_archives(Path(path).resolve()):
        yield series


def inspect(path: Path | str) -> Iterator[SeriesOverview]:
    """Yield one row for each series at `path`."""
    for row, _ in survey(path):
        yield row


def survey(path: Path | str) -> Iterator[tuple[SeriesOverview, RawSeries | Skipped]]:
    """Yield each series at `path`, as in `read`, with its row."""
    for series, study in _read_with_archives(Path(path).resolve()):
        yield _overview(series, study), series


def exported_archives(source: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the studies that ParaVision exported into a folder as ``.PvDatasets``.

    Yields
    ------
    tuple of Path
        The archive, and the folder below the input that stands for it.
    """
    if source.is_dir():
        for archive in sorted(p for p in source.rglob("*.PvDatasets") if p.is_file()):
            name = archive_stem(archive) or archive.name
            yield archive, archive.relative_to(source).parent / name


def _read_with_archives(source: Path) -> Iterator[tuple[RawSeries | Skipped, Path]]:
    """Yield every series with the name of its study; NothingUsableError if there is none."""
    name = (archive_stem(source) if source.is_file() else None) or source.name
    try:
        for series, study in _read_input(source):
            yield series, study if study.parts else Path(name)
    except NothingUsableError:
        if not any(exported_archives(source)):
            raise
    for archive, below in exported_archives(source):
        try:
            for series, study in _read_input(archive):
                yield series, below / study
        except XnatPicError as error:
            reason = error.sentence()
            yield Skipped("", archive, archive.name, 0, 0, reason, damaged=True), below


def _read_input(path: Path) -> Iterator[tuple[RawSeries | Skipped, Path]]:
    with open_input(path) as root:
        for reader in choose_readers(root):
            for located in reader.locate(root):
                series = reader.load(located)
                inside = series.study.is_relative_to(root)
                yield series, series.study.relative_to(root) if inside else Path()


def _overview(series: RawSeries | Skipped, study: Path) -> SeriesOverview:
    if isinstance(series, Skipped):
        result = skipped_result(series, study)
        matrix, planes, loops, kind = "", 0, "", "skipped"
    else:
        result = series_result(series, study, "converted")
        planes, rows, columns = series.pixels.shape
        matrix = f"{columns} x {rows}"
        loops = " ".join(f"{d.source.removeprefix('FG_')}:{d.length}" for d in series.dimensions)
        kind = result.kind
    return SeriesOverview(
        study=result.study,
        subject=result.subject,
        expno=result.expno,
        procno=result.procno,
        method=result.method,
        protocol=result.protocol,
        paravision=result.paravision,
        matrix=matrix,
        planes=planes,
        loops=loops,
        kind=kind,
        reason=result.reason,
        damaged=result.damaged,
        warnings=result.warnings,
    )
