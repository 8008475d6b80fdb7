"""Read AIM v4: polygons in the pixel coordinates of the image, as the XNAT-OHIF viewer writes.

Only the instance, the frame and the pixel are in the file; the image gives the place. The viewer
puts 0, 0 at the outer corner of the first pixel, so that its centre is 0.5, 0.5: index = xy - 0.5.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np

from xnat_pic.errors import CorruptDataError, NothingUsableError

from ..geometry import to_patient
from ..model import Contour, Doubles, ImageGrid, Region, RegionSet

_MOST_BYTES = 512 * 1024 * 1024
_HALF_PIXEL = 0.5
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_POLYGON = "TwoDimensionPolyline"
_UID = re.compile(rb"""[<:](?:imageReferenceUid|instanceUid)\s+root\s*=\s*["']\s*([0-9.]{1,64})""")
_VIEWER = "XNAT-OHIF-VIEWER"


def parse(path: Path) -> Any:
    """Return the root element of an AIM v4 file.

    Raises
    ------
    CorruptDataError
        For text that is no XML, declares entities, or is larger than 512 MiB.
    NothingUsableError
        For AIM of another version, and other XML.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise CorruptDataError(
            f"{path.name} is larger than any drawing (512 MiB).", path=path, hint="Get it again."
        )
    try:
        data = path.read_bytes()
        _refuse_document_type(data, path)
        root = ElementTree.fromstring(data)
    except (expat.ExpatError, ElementTree.ParseError, OSError, ValueError, LookupError) as error:
        raise CorruptDataError(
            f"{path.name} cannot be read as XML ({error}).", path=path, hint="Get it again."
        ) from error
    if _local(root) == "ImageAnnotation":
        raise NothingUsableError(
            f"{path.name} is AIM version 3; only version 4 can be read.",
            path=path,
            hint="Export it again as AIM v4, RTSTRUCT or DICOM SEG.",
        )
    if _local(root) != "ImageAnnotationCollection":
        raise NothingUsableError(
            f"{path.name} is XML, but no AIM file ({_local(root)[:60]}).",
            path=path,
            hint="Give AIM v4, RTSTRUCT, DICOM SEG, NIfTI or NRRD.",
        )
    version = str(root.get("aimVersion", ""))
    if not version.startswith("AIMv4"):
        raise NothingUsableError(
            f'{path.name} is AIM of version "{version[:40]}"; only version 4 can be read.',
            path=path,
            hint="Export it again as AIM v4, RTSTRUCT or DICOM SEG.",
        )
    return root


def _refuse_document_type(data: bytes, path: Path) -> None:
    """Refuse XML that declares a document type, before anything in it is expanded.

    Entities, which multiply and which name other files, can be declared nowhere else. A pass of
    its own, since the parser that builds the tree quickly cannot be asked.
    """

    def refuse(*_: object) -> None:
        raise CorruptDataError(
            f"{path.name} declares a document type, which no AIM file needs.",
            path=path,
            hint="It was not opened; get the file from the archive again.",
        )

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(data, True)


def references(path: Path) -> frozenset[str]:
    """Return the instance and series UIDs an AIM file names, without building its tree.

    They only choose among the series of a folder; `read_aim` reads the file properly.
    """
    if path.stat().st_size > _MOST_BYTES:
        return frozenset()
    return frozenset(uid.decode() for uid in _UID.findall(path.read_bytes()))


def read_aim(path: Path, image: ImageGrid) -> RegionSet:
    """Read an AIM v4 file.

    Parameters
    ----------
    path : Path
        The file.
    image : ImageGrid
        The image it was drawn on.

    Returns
    -------
    RegionSet
        One region for each annotation, in their order.

    Raises
    ------
    CorruptDataError, NothingUsableError
        As `parse`.
    """
    root = parse(path)
    regions = tuple(
        _region(annotation, number, path, image)
        for number, annotation in enumerate(_below(root, "ImageAnnotation"), start=1)
    )
    series = {_value(_child(one, "instanceUid"), "root") for one in _below(root, "imageSeries")}
    software = tuple(
        _value(_child(_child(root, "equipment"), name))
        for name in ("manufacturerName", "manufacturerModelName", "softwareVersion")
    )
    warnings = []
    if _VIEWER not in software:
        who = " ".join(word for word in software if word) or "an unnamed program"
        warnings.append(
            f"{path.name} was written by {who}, not by the OHIF viewer; its pixel coordinates were "
            "read as the viewer writes them, from the outer corner of the first pixel."
        )
    return RegionSet(
        path=path,
        name=_value(_child(root, "description")),
        regions=regions,
        files=(path,),
        series_uids=frozenset(series - {""}),
        software=software,
        warnings=tuple(warnings),
    )


def _namespace(element: Any) -> str:
    """Return the namespace of an element as it stands before names, with its braces."""
    tag = str(element.tag)
    return tag[: tag.rfind("}") + 1]


def _local(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _child(element: Any, name: str) -> Any:
    return None if element is None else element.find(_namespace(element) + name)


def _below(element: Any, name: str) -> Iterator[Any]:
    found: Iterator[Any] = element.iter(_namespace(element) + name)
    return found


def _value(element: Any, attribute: str = "value") -> str:
    return "" if element is None else str(element.get(attribute, "")).strip()


def _region(annotation: Any, number: int, path: Path, image: ImageGrid) -> Region:
    lost: Counter[str] = Counter()
    contours: list[Contour] = []
    excluded = 0
    colour = None
    for markup in _below(annotation, "MarkupEntity"):
        kind = str(markup.get(_TYPE, "")).rpartition(":")[2]
        if kind != _POLYGON:
            lost[f"shapes of a kind that is not read ({kind[:40] or 'unnamed'})"] += 1
            continue
        colour = colour or _colour(_value(_child(markup, "lineColour")))
        contour = _contour(markup, image, lost)
        if contour is not None:
            contours.append(contour)
            excluded += _value(_child(markup, "includeFlag")).lower() == "false"
    warnings = []
    if excluded:
        warnings.append(f"Contours marked as excluded, holes inside another one: {excluded}.")
    name = _value(_child(annotation, "name")) or _value(_child(annotation, "comment"))
    return Region(
        number=number,
        name=name or f"ROI {number}",
        uid=_value(_child(annotation, "uniqueIdentifier"), "root"),
        source="AIM",
        path=path,
        colour=colour,
        contours=tuple(contours),
        lost=dict(lost),
        warnings=tuple(warnings),
    )


def _colour(text: str) -> tuple[int, int, int] | None:
    try:
        numbers = [int(float(part)) for part in text.split(",")]
    except (ValueError, OverflowError):
        return None
    if len(numbers) != 3 or not all(0 <= n <= 255 for n in numbers):
        return None
    return numbers[0], numbers[1], numbers[2]


def _contour(markup: Any, image: ImageGrid, lost: Counter[str]) -> Contour | None:
    uid = _value(_child(markup, "imageReferenceUid"), "root")
    try:
        frame = int(_value(_child(markup, "referencedFrameNumber")) or 1)
        points = _points(markup)
    except (ValueError, OverflowError):
        lost["contours with broken numbers"] += 1
        return None
    index = image.instances.get((uid, frame))
    if index is None and (uid, 2) not in image.instances:
        # A single-frame image has no other frame than the first, whatever the file counts.
        index = image.instances.get((uid, 1))
    if index is None:
        lost["contours on images that are not here"] += 1
        return None
    if len(np.unique(points, axis=0)) < 3:
        lost["contours of fewer than three points"] += 1
        return None
    return Contour(to_patient(image, points - _HALF_PIXEL, index), uid, frame)


def _points(markup: Any) -> Doubles:
    """Return the corners, shape (n_points, 2), without the repeated first one."""
    names = [_namespace(markup) + name for name in ("coordinateIndex", "x", "y")]
    rows = []
    for place, element in enumerate(_below(markup, "TwoDimensionSpatialCoordinate")):
        values = {child.tag: child.get("value", "") for child in element}
        number, x, y = (values.get(name, "") for name in names)
        rows.append((float(number or place), float(x), float(y)))
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    if not np.isfinite(table).all():
        raise ValueError("a coordinate is not finite")
    if len(table) > 1 and (table[0, 1:] == table[-1, 1:]).all():
        table = table[:-1]
    return np.asarray(table[np.argsort(table[:, 0], kind="stable"), 1:], dtype=np.float64)
