"""Read the headers of DICOM files, their bytes read ahead by threads, and their pixels."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pydicom

from private_dictionaries import reading
from private_dictionaries.decoders import decode_dataset
from xnat_pic.errors import CorruptDataError

from . import attributes
from .damage import PYDICOM_ERRORS, damage_named
from .frames import Frame, ScanProperties

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_THREADS = 4
_AT_ONCE = 16  # files that a thread reads at a time
_UNCOMPRESSED = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}
_NAMES = ("echo_time_ms", "repetition_time_ms", "inversion_time_ms", "flip_angle_deg")
_NAMES_ALL = (
    *(*_NAMES, "echo_number", "b_value", "slope", "intercept", "scale_slope"),
    *("temporal_position", "temporal_resolution_ms"),
)
_IDENTITY = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "PatientID",
    "FrameOfReferenceUID",
    "AcquisitionDate",
    "AcquisitionTime",
    "AcquisitionDateTime",
    "SeriesNumber",
    "SeriesDescription",
    "InstanceNumber",
    "ImageType",
    "ComplexImageComponent",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "ImagingFrequency",
    "MagneticFieldStrength",
    "ScanningSequence",
    "EchoPulseSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "PixelData",
)


class DicomFile:
    """One file: its frames, and its data set with the pixel bytes."""

    def __init__(
        self, path: Path, ds: Dataset, frames: list[Frame], origin: dict[str, str]
    ) -> None:
        self.path = path
        self.frames = frames
        self.origin = origin
        self.frequency_mhz: float | None = None
        self.scan = ScanProperties()
        self._ds = ds
        self._stored: npt.NDArray[Any] | None = None

    @property
    def bits(self) -> int:
        """Bits of a pixel that are used."""
        return int(self._ds.get("BitsStored") or 16)

    @property
    def top(self) -> int:
        """The largest value that a pixel can hold."""
        signed = int(self._ds.get("PixelRepresentation") or 0)
        return int(2 ** (self.bits - signed) - 1)

    def stored(self, index: int) -> npt.NDArray[Any]:
        """Return the pixels of one frame as stored, shape (rows, columns)."""
        if self._stored is None:
            self._stored = self._decode()
        return np.asarray(self._stored[index])

    def _decode(self) -> npt.NDArray[Any]:
        ds = self._ds
        count = int(ds.get("NumberOfFrames") or 1)
        shape = (count, int(ds.Rows), int(ds.Columns))
        syntax = str(ds.file_meta.get("TransferSyntaxUID", "1.2.840.10008.1.2"))
        try:
            if syntax in _UNCOMPRESSED and int(ds.BitsAllocated) in (8, 16, 32):
                sign = "i" if int(ds.PixelRepresentation) else "u"
                kind = np.dtype(f"<{sign}{int(ds.BitsAllocated) // 8}")
                stored = np.frombuffer(ds.PixelData, kind, int(np.prod(shape))).reshape(shape)
                # Bits above the stored ones may hold an overlay.
                return stored if self.bits == ds.BitsAllocated or sign == "i" else stored & self.top
            return np.asarray(decode_dataset(ds)).reshape(shape)
        except (ValueError, AttributeError, RuntimeError, NotImplementedError) as error:
            raise CorruptDataError(
                f"The pixels of {self.path.name} cannot be read ({error}).",
                path=self.path,
                hint="Get the file again, or send it uncompressed.",
            ) from error


def find_files(path: Path) -> list[Path]:
    """Return every file below a folder in the order of names, or the file itself."""
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))


def read_files(paths: Iterable[Path], *, cest: bool = False) -> tuple[list[DicomFile], list[Path]]:
    """Read files.

    Parameters
    ----------
    paths : iterable of Path
        Files of any kind; what is not DICOM, or no MR image, is left out.
    cest : bool
        Read the private attributes of Z-spectra too.

    Returns
    -------
    loaded : list of DicomFile
        In the order given.
    damaged : list of Path
        DICOM files that break off.
    """
    tags = None if cest else list(dict.fromkeys([*_IDENTITY, *attributes.wanted_tags()]))
    found = [_read_one(path, content, tags, cest) for path, content in _contents(list(paths))]
    damaged = [one for one in found if isinstance(one, Path)]
    return [one for one in found if isinstance(one, DicomFile)], damaged


def _contents(paths: list[Path]) -> Iterator[tuple[Path, bytes | OSError | None]]:
    """Yield every path with its bytes, read ahead; None where it is no DICOM file.

    Threads wait for disks and networks; headers are parsed by one, because more of them only keep
    one another from it.
    """
    pending: deque[Future[list[tuple[Path, bytes | OSError | None]]]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        for first in range(0, len(paths), _AT_ONCE):
            pending.append(pool.submit(_some_contents, paths[first : first + _AT_ONCE]))
            if len(pending) > _THREADS:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()


def _some_contents(paths: list[Path]) -> list[tuple[Path, bytes | OSError | None]]:
    found: list[tuple[Path, bytes | OSError | None]] = []
    for path in paths:
        try:
            with path.open("rb") as file:
                head = file.read(132)
                content = head + file.read() if head[128:] == b"DICM" else None
            found.append((path, content))
        except OSError as error:
            found.append((path, error))
    return found


def _read_one(
    path: Path, content: bytes | OSError | None, tags: list[int | str] | None, cest: bool
) -> DicomFile | Path | None:
    if content is None:
        return None
    if isinstance(content, OSError):
        return path
    try:
        ds = pydicom.dcmread(BytesIO(content), specific_tags=tags)  # type: ignore[arg-type]
    except PYDICOM_ERRORS:
        return path
    try:
        with damage_named(path, ds):
            return _load_whole(path, ds, cest)
    except CorruptDataError:
        return path


def _load_whole(path: Path, ds: Dataset, cest: bool) -> DicomFile | Path | None:
    """Return an image, its path where its pixels break off, None for another object."""
    if str(ds.get("SOPClassUID", "")) not in attributes.table()["objects"].values():
        return None
    if any(ds.get(keyword) is None for keyword in ("PixelData", "Rows", "Columns")):
        return path
    needed = int(ds.Rows) * int(ds.Columns) * int(ds.get("NumberOfFrames") or 1)
    plain = str(ds.file_meta.get("TransferSyntaxUID", "")) in _UNCOMPRESSED
    if plain and len(ds.PixelData) < needed * int(ds.get("BitsAllocated") or 16) // 8:
        return path
    return _load(path, ds, cest)


def _load(path: Path, ds: Dataset, cest: bool) -> DicomFile:
    origin: dict[str, str] = {}
    loaded = DicomFile(path, ds, [], origin)
    loaded.scan = _scan(ds)
    origin |= _scan_origin(ds)
    groups = list(ds.get("PerFrameFunctionalGroupsSequence") or [])
    shared = list(ds.get("SharedFunctionalGroupsSequence") or [])
    if groups:
        spectra = reading.read_frames(ds) if cest else [None] * len(groups)
    else:
        spectra = [reading.read_block(ds)] if cest else [None]
    for index, item in enumerate(groups or [None]):
        places = [*([item] if item is not None else []), *shared, ds]
        frame = _frame(path, index, places, origin)
        spectrum = spectra[index]
        if spectrum is not None:
            names = ("offset_ppm", "frequency_mhz", "pulse_ms", "b1_ut")
            origin |= dict.fromkeys(names, f"private block of {spectrum.creator}")
            loaded.frequency_mhz = spectrum.working_frequency_mhz
            loaded.scan = replace(
                loaded.scan,
                pulse_ms=spectrum.pulse_length_ms,
                b1_ut=loaded.scan.b1_ut or spectrum.b1_ut,
                pulses=spectrum.pulse_number,
            )
            if spectrum.offset_ppm is not None:
                frame.values["offset_ppm"] = spectrum.offset_ppm
            object.__setattr__(frame, "reference", bool(spectrum.is_reference))
        loaded.frames.append(frame)
    return loaded


def _scan(ds: Dataset) -> ScanProperties:
    words = ds.get("EchoPulseSequence") or ds.get("ScanningSequence") or ""
    kinds = {str(word).upper() for word in ([words] if isinstance(words, str) else words)}
    spin = bool(kinds & {"SE", "SPIN", "BOTH"})
    known = spin or bool(kinds & {"GR", "GRADIENT"})
    strength = attributes.frame_value([ds], "field_t")
    return ScanProperties(
        spin_echo=spin if known else None, field_t=strength[0] if strength else None
    )


def _scan_origin(ds: Dataset) -> dict[str, str]:
    echo = next((k for k in ("EchoPulseSequence", "ScanningSequence") if ds.get(k)), "")
    return {"field_t": "MagneticFieldStrength", "spin_echo": echo}


def acquired_ms(places: list[Dataset]) -> float | None:
    """Return when a frame was acquired, ms from a fixed day; None where nothing says it.

    Parameters
    ----------
    places : list of pydicom.Dataset
        The frame's functional groups, the shared ones, the data set; the last is the data set.
    """
    texts = []
    for place in places:
        content = place.get("FrameContentSequence")
        texts += [content[0].get("FrameAcquisitionDateTime")] if content else []
    ds = places[-1]
    texts += [ds.get("AcquisitionDateTime")]
    if ds.get("AcquisitionDate") and ds.get("AcquisitionTime"):
        texts.insert(-1, f"{ds.AcquisitionDate}{ds.AcquisitionTime}")
    for text in texts:
        digits, _, rest = str(text or "").partition(".")
        fraction = rest[:6].ljust(6, "0") if rest[:6].isdigit() else "0"
        with suppress(ValueError):
            whole = datetime.strptime(digits[:14], "%Y%m%d%H%M%S")
            return (whole - datetime(1970, 1, 1)).total_seconds() * 1000 + int(fraction) / 1000
    return None


def _integer(ds: Dataset, keyword: str) -> int:
    try:
        return int(ds.get(keyword) or 0)
    except (TypeError, ValueError):
        return 0


def _frame(path: Path, index: int, places: list[Dataset], origin: dict[str, str]) -> Frame:
    ds = places[-1]
    values: dict[str, float] = {}
    for name in _NAMES_ALL:
        found = attributes.frame_value(places, name)
        if found is not None:
            values[name], where = found
            origin.setdefault(name, where)
    moment = acquired_ms(places)
    if moment is not None:
        values["acquired_ms"] = moment
    vectors = {
        name: attributes.frame_vector(places, name)
        for name in ("position", "orientation", "spacing", "thickness", "pitch")
    }
    pitch = vectors["pitch"] or vectors["thickness"] or (0.0,)
    kind = [str(word) for word in ds.get("ImageType") or []]
    return Frame(
        path=path,
        index=index,
        shape=(int(ds.Rows), int(ds.Columns)),
        position=vectors["position"] or (),
        orientation=vectors["orientation"] or (),
        spacing=vectors["spacing"] or (),
        pitch_mm=pitch[0],
        component=attributes.component(places),
        values=values,
        direction=attributes.frame_vector(places, "direction"),
        b_matrix=attributes.frame_vector(places, "b_matrix"),
        order=(_integer(ds, "SeriesNumber"), _integer(ds, "InstanceNumber"), index),
        series_uid=str(ds.get("SeriesInstanceUID", "")),
        instance_uid=str(ds.get("SOPInstanceUID", "")),
        class_uid=str(ds.get("SOPClassUID", "")),
        frame_of_reference_uid=str(ds.get("FrameOfReferenceUID", "")),
        title=f"{_integer(ds, 'SeriesNumber')} {ds.get('SeriesDescription', '')}".strip(),
        derived=bool(kind) and kind[0] == "DERIVED" and _is_map(kind),
        study_uid=str(ds.get("StudyInstanceUID", "")),
        patient_id=str(ds.get("PatientID", "")),
        thickness_mm=(vectors["thickness"] or (0.0,))[0],
    )


_MAP_WORDS = ("MAP", "ADC", "FA", "TRACEW", "T1 MAP", "T2 MAP", "PARAMETRIC")


def _is_map(kind: list[str]) -> bool:
    """Tell a computed map from an image that was only filtered."""
    return any(word.upper().startswith(_MAP_WORDS) for word in kind[2:])


def pixels(files: list[DicomFile]) -> dict[tuple[Path, int], tuple[DicomFile, int]]:
    """Return where the pixels of each frame are, by path and index."""
    return {(frame.path, frame.index): (one, frame.index) for one in files for frame in one.frames}


def all_frames(files: list[DicomFile]) -> Iterator[Frame]:
    """Yield the frames of files."""
    for one in files:
        yield from one.frames
