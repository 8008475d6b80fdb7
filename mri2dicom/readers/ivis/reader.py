"""The reader: one series for each image of a click."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xnat_pic.errors import CorruptDataError
from xnat_pic.files import new_digest
from xnat_pic.uids import derived_uid

from ...series.model import Confidence, Identity, RawSeries, SeriesKind, Skipped
from ...series.pixels import PixelSource
from .click import (
    CLICK_FILE,
    Click,
    constant_attributes,
    find_clicks,
    has_click_signature,
    open_click,
)
from .radiance import Calibration, RadianceSource, calibrate, classify_scale, exposure_s, net_counts
from .table import ImageRow, image_row, image_rows, limit
from .tiff import read_tiff, tiff_source

RADIANCE_UNIT = "{ph}/s/cm2/sr"
COUNTS_UNIT = "{counts}"
RADIANCE = "radiance"
_RADIANCE_PROCNO = 4
_SUPPORT = {
    "background": "It is the camera's dark charge and no image of an animal; it stays with the "
    "raw data.",
    "readbias": "It is the camera's electronic bias and no image of an animal; it stays with the "
    "raw data.",
}


@dataclass(frozen=True)
class ClickImage:
    """One image of a click: ``photograph``, ``luminescent``, ``corrected`` or ``radiance``."""

    folder: Path
    role: str


class IvisReader:
    """Reads IVIS (Living Image) click folders and sequences of them."""

    name = "ivis"

    def sniff(self, path: Path) -> Confidence:
        """Tell whether a click lies at or below `path`; reads names and a few bytes."""
        found = next((f for f in find_clicks(path) if has_click_signature(f)), None)
        return Confidence.NO if found is None else Confidence.SURE

    def locate(self, path: Path) -> Iterator[ClickImage]:
        """Yield the images of each click; radiance where the vendor's corrected image is absent."""
        for folder in find_clicks(path):
            if not has_click_signature(folder):
                yield ClickImage(folder, "luminescent")
                continue
            names = {p.name.lower() for p in folder.iterdir()}
            corrected = False
            for row in image_rows():
                if any(f.lower() in names for f in row.files) or row.role == "luminescent":
                    yield ClickImage(folder, row.role)
                    corrected = corrected or row.role == "corrected"
            if not corrected:
                yield ClickImage(folder, RADIANCE)

    def load(self, located: ClickImage) -> RawSeries | Skipped:
        """Read one image; what cannot be converted is `Skipped`."""
        try:
            return _load(located)
        except CorruptDataError as error:
            return _skipped(located, error.sentence(), damaged=True)
        except OSError as error:
            reason = f"{Path(str(error.filename or located.folder)).name} cannot be read: "
            return _skipped(located, f"{reason}{error.strerror}.", damaged=True)


def _study(folder: Path) -> Path:
    """Return the folder of the study: the sequence a click belongs to, else the click itself."""
    return folder.parent if folder.parent.name.upper().endswith("_SEQ") else folder


def _numbers(located: ClickImage, click: Click | None = None) -> tuple[int, int]:
    """Return the number of the click, its second of the day, and that of the image."""
    role = "luminescent" if located.role == RADIANCE else located.role
    row = image_row(role)
    when = click.acquisition_time(image_row("luminescent")) if click is not None else None
    second = 3600 * when.hour + 60 * when.minute + when.second if when is not None else 0
    return max(1, second), _RADIANCE_PROCNO if located.role == RADIANCE else row.procno


def _skipped(
    located: ClickImage, reason: str, *, damaged: bool = False, click: Click | None = None
) -> Skipped:
    expno, procno = _numbers(located, click)
    study = _study(located.folder)
    location = located.folder.relative_to(study).as_posix()
    attributes = {"ProtocolName": located.role}
    return Skipped("ivis", study, location, expno, procno, reason, damaged, attributes)


def _load(located: ClickImage) -> RawSeries | Skipped:
    click = open_click(located.folder)
    if located.role in _SUPPORT:
        return _skipped(located, _SUPPORT[located.role], click=click)
    row = image_row("luminescent" if located.role == RADIANCE else located.role)
    path = click.image_file(row)
    if path is None:
        reason = f"The click has no {row.files[0]}: it was not copied whole, or never taken."
        return _skipped(located, reason, damaged=located.role == "luminescent", click=click)
    source = tiff_source(path)
    if located.role in ("corrected", RADIANCE):
        size, why = pixel_size_mm(click, row, source.shape[2])
        if size is None:
            return _skipped(
                located, f"It is no map without the size of a pixel. {why}", click=click
            )
    if located.role != "corrected" and source.dtype.kind != "u":
        raise CorruptDataError(
            f"{source.path.name} does not hold counts but {source.dtype.name}.",
            path=source.path,
            hint="It was saved by another program: take the original.",
        )
    if located.role == "photograph":
        return _series(click, located, row, source, [])
    if located.role == "luminescent":
        return _counts(click, located, row, source)
    if located.role == "corrected":
        return _corrected(click, located, row, source)
    counts = read_tiff(path)
    found = calibrate(click, counts)
    if isinstance(found, str):
        reason = f"No radiance is computed, because the files do not say {found}."
        return _skipped(located, reason, click=click)
    return _radiance(click, located, row, source, found)


def _counts(click: Click, located: ClickImage, row: ImageRow, source: PixelSource) -> RawSeries:
    counts = source.read_planes(0, 1)
    full = int(np.count_nonzero(counts >= limit("saturation_counts")))
    warnings = []
    if full:
        warnings.append(
            f"{full} pixels reach {limit('saturation_counts')} counts: the camera was saturated "
            "there, and their values are too low."
        )
    found = calibrate(click, counts[0])
    comment = ""
    if isinstance(found, Calibration):
        comment = (
            f"radiance (photons/s/cm2/sr) = (counts - {found.bias:g}) * {found.factor:.6g}, "
            "before dark charge and flat field"
        )
    return _series(click, located, row, source, warnings, comment=comment)


def _corrected(
    click: Click, located: ClickImage, row: ImageRow, source: PixelSource
) -> RawSeries | Skipped:
    """Read the vendor's corrected image; the raw counts, not its name, give its scale."""
    raw = click.image_file(image_row("luminescent"))
    scale, ratio, per_count = "unknown", None, 0.0
    why = "there are no raw counts beside it"
    if raw is not None:
        counts = read_tiff(raw)
        found = calibrate(click, counts)
        if isinstance(found, Calibration):
            net = net_counts(counts, found.bias, found.dark, found.dark_scale)
            scale, ratio = classify_scale(source.read_planes(0, 1)[0], net, found.factor)
            per_count = found.factor
            why = (
                "too few pixels are bright" if ratio is None else f"it is {ratio:.3g} x the counts"
            )
        else:
            why = f"the files do not say {found}"
    if scale == "unknown":
        note = f"Whether the corrected image holds counts or radiance is not known: {why}."
        return _series(click, located, row, source, [note], comment=note, unit="[arb'U]")
    comment = f"corrected by the vendor's software; {ratio:.4g} x the raw counts above bias"
    factor = per_count if scale == "counts" else 1.0
    return _series(
        click, located, row, source, [], comment=comment, unit=RADIANCE_UNIT, slope=factor
    )


def _radiance(
    click: Click, located: ClickImage, row: ImageRow, source: PixelSource, found: Calibration
) -> RawSeries:
    computed = RadianceSource(
        source.path,
        np.dtype("<f4"),
        source.shape,
        factor=found.factor,
        bias=found.bias,
        dark=found.dark,
        dark_scale=found.dark_scale,
    )
    comment = (
        f"computed: (counts - {found.bias:g}{'' if found.dark is None else ' - dark charge'}) * "
        f"{found.factor:.6g}; the flat field is not corrected"
    )
    notes = [*found.notes, "The radiance is computed from counts; the flat field is not corrected."]
    return _series(
        click, located, row, computed, notes, comment=comment, unit=RADIANCE_UNIT, derived=True
    )


def pixel_size_mm(click: Click, row: ImageRow, columns: int) -> tuple[float | None, str]:
    """Return the size of a pixel on the stage, mm, and a warning or an empty text.

    FOV / 1920 x binning where the image covers the camera, else FOV / columns.
    """
    fov, binning = click.quantity("fov_cm", row), click.quantity("binning", row)
    if fov is None or fov <= 0:
        return None, "The files do not say the field of view, so the image has no pixel size."
    ccd = limit("ccd_pixels")
    if binning is not None and binning > 0 and abs(columns * binning - ccd) < 1:
        return 10 * fov / ccd * binning, ""
    note = (
        f"{columns} columns do not fill a camera of {ccd} pixels at the binning that is said; "
        "the pixel size assumes that the image covers the field of view."
    )
    return 10 * fov / columns, note


def _series(
    click: Click,
    located: ClickImage,
    row: ImageRow,
    pixels: PixelSource,
    warnings: list[str],
    *,
    comment: str = "",
    unit: str = "",
    slope: float = 1.0,
    derived: bool = False,
) -> RawSeries:
    _, rows, columns = pixels.shape
    size, note = pixel_size_mm(click, row, columns)
    warnings = [*warnings, *([note] if note else []), *_clock_warning(click, row)]
    expno, procno = _numbers(located, click)
    study = _study(located.folder)
    location = located.folder.relative_to(study).as_posix()
    spacing = size if size is not None else float("nan")
    step = size if size is not None else 1.0
    key = click.study_key()
    frame = derived_uid("ivis stage", key, str(expno))
    protocol = RADIANCE if unit == RADIANCE_UNIT else row.protocol
    attributes = _attributes(click, row, protocol, comment, derived)
    if unit:  # the name of the quantity
        attributes["SequenceName"] = RADIANCE if unit == RADIANCE_UNIT else "corrected"
    return RawSeries(
        reader="ivis",
        study=study,
        location="/".join(filter(None, [location.removeprefix("."), located.role])),
        expno=expno,
        procno=procno,
        kind=SeriesKind.PHOTOGRAPH if located.role == "photograph" else SeriesKind.LUMINESCENCE,
        identity=Identity(derived_uid("ivis study", key), _content(click, pixels, located), frame),
        pixels=pixels,
        position_mm=np.array([[-(columns - 1) / 2 * step, -(rows - 1) / 2 * step, 0.0]]),
        orientation=np.eye(3)[None],
        spacing_mm=(spacing, spacing),
        thickness_mm=np.array([np.nan]),
        slope=np.array([slope]),
        offset=np.zeros(1),
        stack=np.zeros(1, dtype=np.intp),
        dimensions=(),
        attributes=attributes,
        plane_attributes={},
        unit=(unit,) if unit else (),
        is_quantity=bool(unit),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _content(click: Click, pixels: PixelSource, located: ClickImage) -> str:
    """Return the checksum that identifies the image."""
    digest = new_digest()
    digest.update(pixels.path.read_bytes())
    digest.update(click.files[CLICK_FILE].read_bytes())
    digest.update(located.role.encode())
    return digest.hexdigest()


def _clock_warning(click: Click, row: ImageRow) -> list[str]:
    gap = click.clock_gap(row)
    if gap is None or abs(gap.total_seconds()) <= 86400:
        return []
    return [
        "Date and time of the click contradict its seconds since 1904 by "
        f"{abs(gap.days)} days; the date is used."
    ]


def _attributes(
    click: Click, row: ImageRow, protocol: str, comment: str, derived: bool
) -> dict[str, Any]:
    """Return the DICOM attributes of an image."""
    when = click.acquisition_time(row)
    values = constant_attributes(click)
    seconds = exposure_s(click, row.role if row.role != "corrected" else "luminescent")
    values |= {
        "Modality": "OI",
        "Manufacturer": "IVIS (Living Image)",
        "PatientID": "_".join(click.animals),
        "ProtocolName": protocol,
        "SeriesDescription": _description(click, row, protocol, seconds),
        "ImageComments": _comment(click, row, seconds, comment),
        "ImageIsDerived": derived or row.role == "corrected",
        "ExposureTimeInms": seconds * 1000 if seconds else None,
        "FilterType": click.value("emission_filter", row) or None,
    }
    binning = click.quantity("binning", row)
    if binning is not None and binning > 0:
        values["DetectorBinning"] = [binning, binning]
    if len(click.animals) > 1:
        group = [{"PatientID": animal} for animal in click.animals]
        values["GroupOfPatientsIdentificationSequence"] = group
    if row.role in ("photograph", "luminescent") and not derived:
        values["ImageType"] = ["ORIGINAL", "PRIMARY"]
    if when is not None:
        day, hour = f"{when:%Y%m%d}", f"{when:%H%M%S}"
        values |= {f"{level}Date": day for level in ("Study", "Series", "Acquisition", "Content")}
        values |= {f"{level}Time": hour for level in ("Study", "Series", "Acquisition", "Content")}
        values["AcquisitionDateTime"] = day + hour
    return values


def _description(click: Click, row: ImageRow, protocol: str, seconds: float | None) -> str:
    parts = [protocol.replace("_", " ")]
    if row.role != "photograph":
        if seconds:
            parts.append(f"{seconds:g} s")
        light = click.value("excitation_filter", row).lower()
        parts.append("fluorescence" if light not in ("", "block", "none") else "bioluminescence")
    return ", ".join(parts)


def _comment(click: Click, row: ImageRow, seconds: float | None, comment: str) -> str:
    """Return the vendor's description of the image, with units, for people."""
    facts = [
        comment,
        f"exposure {seconds:g} s" if seconds else "",
        *(
            f"{label} {text}"
            for label, name in (
                ("binning", "binning"),
                ("f/", "f_number"),
                ("field of view (cm)", "fov_cm"),
                ("emission filter", "emission_filter"),
                ("excitation filter", "excitation_filter"),
                ("view", "view"),
                ("reporter", "reporter"),
                ("luciferin injected", "luciferin_time"),
            )
            if (text := click.value(name, row))
        ),
    ]
    if len(click.animals) > 1:
        facts.append(f"animals by the label's order, not confirmed: {', '.join(click.animals)}")
    return "; ".join(fact for fact in facts if fact)
