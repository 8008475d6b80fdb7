"""What a conversion did, series by series."""

from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from xnat_pic.errors import XnatPicError

from ..series.model import RawSeries, Skipped

Status = Literal["converted", "kept", "skipped", "failed"]

DONE, WRONG_CALL, NOTHING_FOUND, CORRUPT_INPUT, PARTLY_DONE = 0, 2, 3, 4, 8


@dataclass(frozen=True, repr=False)
class SeriesResult:
    """One series and what became of it.

    Attributes
    ----------
    status : str
        ``converted``; ``kept``: complete output was there already; ``skipped``: not an image that
        can be converted, `reason` says why; ``failed``: it could not be written.
    damaged : bool
        The series should have been an image, and its data are not whole.
    """

    study: str
    expno: int
    procno: int
    status: Status
    protocol: str = ""
    method: str = ""
    paravision: str = ""
    kind: str = ""
    subject: str = ""
    reason: str = ""
    files: int = 0
    path: str = ""
    warnings: list[str] = field(default_factory=list)
    damaged: bool = False

    def __repr__(self) -> str:
        """Return number, protocol and status."""
        title = f"{self.expno}/{self.procno} {self.protocol}".rstrip()
        what = self.reason or f"{self.files} files"
        return f"<SeriesResult {title}: {self.status}, {what}>"


@dataclass(frozen=True, repr=False)
class ConversionReport:
    """What `mri2dicom.convert` did.

    Attributes
    ----------
    cancelled : bool
        It was stopped before all series were looked at.
    """

    input: Path
    output: Path
    series: list[SeriesResult]
    cancelled: bool = False

    def __repr__(self) -> str:
        """Return output and counts."""
        return f"<ConversionReport {self.output}: {self.summary}>"

    @property
    def summary(self) -> str:
        """How many series were converted, kept, skipped, failed; ``nothing`` without any."""
        counts = [
            f"{count} {status}" for status in get_args(Status) if (count := self.count(status))
        ]
        return ", ".join(counts) or "nothing"

    def count(self, status: Status) -> int:
        """Return the number of series with this status."""
        return sum(one.status == status for one in self.series)

    @property
    def exit_code(self) -> int:
        """Return the exit code: 0 done, 3 nothing usable, 4 only damaged data, 8 done in part.

        A series skipped because there is nothing to convert is done; damaged data are not.
        """
        good = self.count("converted") + self.count("kept")
        damaged = any(one.damaged for one in self.series)
        failed = self.count("failed") > 0
        if self.cancelled or (good and (failed or damaged)):
            return PARTLY_DONE
        if good:
            return DONE
        if failed:
            return WRONG_CALL
        return CORRUPT_INPUT if damaged else NOTHING_FOUND

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "input": str(self.input),
            "output": str(self.output),
            "cancelled": self.cancelled,
            "series": [asdict(one) for one in self.series],
        }


def failure_reason(error: BaseException) -> str:
    """Return what went wrong as a sentence for a person."""
    if isinstance(error, XnatPicError):
        return error.sentence()
    if isinstance(error, BrokenProcessPool):
        return "A process of the conversion ended early, perhaps for want of memory: use --jobs 1."
    if isinstance(error, OSError):
        return f"It could not be written: {error.strerror or error}."
    what = str(error).rstrip(".") or type(error).__name__
    return f"It could not be written: {what}."


def series_result(
    series: RawSeries,
    study: Path,
    status: Status,
    *,
    reason: str = "",
    files: int = 0,
    path: Path | None = None,
) -> SeriesResult:
    """Return the result of a series that was read."""
    versions = series.attributes.get("SoftwareVersions") or [""]
    return SeriesResult(
        study=study.as_posix(),
        expno=series.expno,
        procno=series.procno,
        status=status,
        protocol=str(series.attributes.get("ProtocolName") or ""),
        method=_method(series),
        paravision=_version(versions[-1]),
        kind=series.kind.value,
        subject=str(series.attributes.get("PatientID") or ""),
        reason=reason,
        files=files,
        path=str(path) if path else "",
        warnings=list(series.warnings),
    )


def skipped_result(series: Skipped, study: Path) -> SeriesResult:
    """Return the result of a series that is not converted."""
    versions = series.attributes.get("SoftwareVersions") or [""]
    return SeriesResult(
        study=study.as_posix(),
        expno=series.expno,
        procno=series.procno,
        status="failed" if series.failed else "skipped",
        protocol=str(series.attributes.get("ProtocolName") or ""),
        method=_method(series),
        paravision=_version(versions[-1]),
        subject=str(series.attributes.get("PatientID") or ""),
        reason=series.reason,
        damaged=series.damaged,
    )


def _method(series: RawSeries | Skipped) -> str:
    """Return how the data were measured or, for PET, CT and SPECT, reconstructed."""
    found = series.attributes
    return str(found.get("SequenceName") or found.get("ReconstructionMethod") or "")


def _version(text: str) -> str:
    return text.removeprefix("ParaVision ").removeprefix("Acquisition ")


def with_status(result: SeriesResult, status: Status, reason: str = "") -> SeriesResult:
    """Return a result with another status; what was not written has no files."""
    written = status in ("converted", "kept")
    return replace(
        result,
        status=status,
        reason=reason,
        files=result.files if written else 0,
        path=result.path if written else "",
    )
