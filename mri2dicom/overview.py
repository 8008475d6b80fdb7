"""What an input holds, series by series, without converting anything."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .model import RawSeries, Skipped
from .readers.archive import opened
from .readers.registry import choose_reader
from .report import result_of, skipped_result


@dataclass(frozen=True)
class Overview:
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
    with opened(Path(path)) as root:
        reader = choose_reader(root)
        for located in reader.locate(root):
            yield reader.load(located)


def inspect(path: Path | str) -> Iterator[Overview]:
    """Yield one row for each series at `path`."""
    source = Path(path).resolve()
    for series in read(source):
        yield _row(series, source)


def _row(series: RawSeries | Skipped, source: Path) -> Overview:
    study = Path(series.study.name)
    if series.study.is_relative_to(source) and series.study != source:
        study = series.study.relative_to(source)
    if isinstance(series, Skipped):
        result = skipped_result(series, study)
        matrix, planes, loops, kind = "", 0, "", "skipped"
    else:
        result = result_of(series, study, "converted")
        planes, rows, columns = series.pixels.shape
        matrix = f"{columns} x {rows}"
        loops = " ".join(f"{d.source.removeprefix('FG_')}:{d.length}" for d in series.dimensions)
        kind = result.kind
    return Overview(
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
