"""Small ParaVision studies for tests: JCAMP text and pixels from plain Python values.

`make_reco(study, ...)` writes one reconstruction and gives its folder; call it again with another
`expno` or `procno` for more of the same study. Reading goes through `mri2dicom.read`.

How a value is written::

    3, 2.5           ##$Name=3
    "text"           ##$Name=( 65 )  then <text>
    Word("Yes")      ##$Name=Yes
    (0, 3)           ##$Name=(0, 3)                  a struct
    [1, 2]           ##$Name=( 2 )   then 1 2        an array; of "text", Word or structs alike
    ndarray          ##$Name=( 2, 3 ) ...
    Raw("...")       the text after "=" as it stands
    None             the parameter is left out
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import mri2dicom
from mri2dicom.series.model import RawSeries, Skipped

AXIAL = np.eye(3)
CORONAL = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
SAGITTAL = np.array([[0, 1.0, 0], [0, 0, -1], [-1, 0, 0]])

WORDS = {
    "u1": "_8BIT_UNSGN_INT",
    "i2": "_16BIT_SGN_INT",
    "i4": "_32BIT_SGN_INT",
    "f4": "_32BIT_FLOAT",
}
SCHEMA = {"5.1": 1, "6.0.1": 3, "7.0": 3, "360.1.1": 4, "360.3.6": 8}


class Word(str):
    """A bare word, such as an enumeration's symbol."""


class Raw(str):
    """Text written after the equals sign as it stands."""


def escaped(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "<>\\" else sign for sign in text)


def item_text(value: Any) -> str:
    """Write one item of an array or struct."""
    if isinstance(value, (Word, Raw)):
        return str(value)
    if isinstance(value, str):
        return f"<{escaped(value)}>"
    if isinstance(value, tuple):
        return "(" + ", ".join(item_text(part) for part in value) + ")"
    if isinstance(value, (list, np.ndarray)):
        return " ".join(item_text(part) for part in value)
    return repr(float(value)) if isinstance(value, (float, np.floating)) else str(int(value))


def value_text(value: Any, *, runs: bool = False) -> str:
    """Write a value with its size prefix where it has one."""
    if isinstance(value, (Word, Raw)):
        return str(value)
    if isinstance(value, str):
        return f"( {max(65, len(value.encode()) + 1)} )\n<{escaped(value)}>"
    if not isinstance(value, (list, np.ndarray)):
        return item_text(value)
    if isinstance(value, np.ndarray):
        shape, items = value.shape, list(value.ravel())
    else:
        shape, items = (len(value),), value
    if items and isinstance(items[0], str) and not isinstance(items[0], (Word, Raw)):
        shape = (*shape, 65)
    words = [item_text(item) for item in items]
    if runs:
        words = run_lengths(words)
    return f"( {', '.join(map(str, shape))} )\n{wrapped(words)}"


def run_lengths(words: Sequence[str]) -> list[str]:
    """Write repeated words as ``@N*(word)``, as ParaVision 360 does."""
    result: list[str] = []
    start = 0
    for end in range(1, len(words) + 1):
        if end == len(words) or words[end] != words[start]:
            count = end - start
            result += [f"@{count}*({words[start]})"] if count > 3 else list(words[start:end])
            start = end
    return result


def wrapped(words: Sequence[str], width: int = 78) -> str:
    """Join words with blanks and break lines so that the blank stays before the break."""
    lines, line = [], ""
    for word in words:
        if line and len(line) + len(word) > width:
            lines.append(line)
            line = ""
        line += word + " "
    return "\n".join([*lines, line])


def parameter_file(values: Mapping[str, Any], version: str = "6.0.1") -> str:
    """Write a parameter file's text."""
    title = "Parameter List" if version == "5.1" else f"Parameter List, ParaVision {version}"
    head = f"##TITLE={title}\n##JCAMPDX=4.24\n##DATATYPE=Parameter Values\n"
    head += "##ORIGIN=Bruker BioSpin MRI GmbH\n##OWNER=tester\n$$ a comment between\n"
    runs = version.startswith("360")
    body = "".join(
        f"##${name}={value_text(value, runs=runs)}\n"
        for name, value in values.items()
        if value is not None
    )
    return head + body + "##END=\n" + ("" if version == "5.1" else "$$ File finished by PARX\n")


def make_uid(*parts: Any) -> str:
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return f"2.16.756.5.5.100.{int.from_bytes(digest[:8], 'big')}"


def frame_groups(
    groups: Sequence[tuple[Any, ...]], dep_vals: Sequence[tuple[str, int]] | None
) -> dict[str, Any]:
    """Write the loops; a group is (id, length[, comment[, names that depend on it]])."""
    if not groups:
        return {}
    entries, dependents = [], []
    for identifier, length, *more in groups:
        comment, names = (more + ["", ()][len(more) :])[:2]
        entries.append((length, identifier, comment, len(dependents), len(names)))
        dependents += [name if isinstance(name, tuple) else (name, 0) for name in names]
    dependents = list(dep_vals) if dep_vals is not None else dependents
    result: dict[str, Any] = {"VisuFGOrderDescDim": len(entries), "VisuFGOrderDesc": entries}
    return result | ({"VisuGroupDepVals": dependents} if dependents else {})


def make_pixels(frames: int, size: Sequence[int], dtype: Any, seed: int = 0) -> np.ndarray:
    """Give frames of shape (frames, [planes,] rows, columns) that all differ."""
    shape = (frames, *reversed(size))
    dtype = np.dtype(dtype)
    random = np.random.default_rng(seed)
    if dtype.kind == "f":
        return random.normal(100, 30, shape).astype(dtype)
    high = 255 if dtype.itemsize == 1 else 32767
    return random.integers(0, high, shape, dtype="i8").astype(dtype)


def dates(version: str, study: str) -> dict[str, Any]:
    if version == "5.1":
        when: Any = "15:03:33 17 Jun 2013"
    else:
        when = "2024-07-25T09:18:04,238+0200"
    names = ("VisuStudyDate", "VisuSeriesDate", "VisuAcqDate", "VisuCreationDate")
    return dict.fromkeys(names, when) | {"VisuStudyUid": make_uid(study)}


def visu_defaults(version: str, study: str, expno: int, procno: int) -> dict[str, Any]:
    """Give the parameters of `visu_pars` that do not depend on the pixels."""
    old = version == "5.1"
    values: dict[str, Any] = {
        "VisuVersion": SCHEMA.get(version, 9),
        "VisuUid": make_uid(study, expno, procno),
        "VisuCreator": "ParaVision",
        "VisuCreatorVersion": version,
        **dates(version, study),
        "VisuSubjectId": "m01",
        "VisuSubjectName": "m01",
        "VisuSubjectSex": Word("FEMALE"),
        "VisuSubjectPosition": Word("Head_Prone"),
        "VisuStudyId": "study 1",
        "VisuStation": "Biospec 70/30",
        "VisuAcqSequenceName": "FLASH (pvm)" if old else "Bruker:FLASH",
        "VisuAcquisitionProtocol": f"scan_{expno}",
        "VisuAcqEchoTime": [5.0],
        "VisuAcqRepetitionTime": [100.0],
        "VisuAcqFlipAngle": 30.0,
        "VisuAcqNumberOfAverages": 1,
        "VisuAcqImagedNucleus": "1H",
        "VisuAcqImagingFrequency": 300.0,
        "VisuAcqScanTime": 64000.0,
        "VisuSeriesTypeId": "ACQ_BRUKER_PVM",
    }
    if old:
        return values | {"VisuSeriesNumber": expno * 65536 + procno}
    values |= {
        "VisuSubjectType": Word("Quadruped"),
        "VisuExperimentNumber": expno,
        "VisuProcessingNumber": procno,
        "VisuAcqGradEncoding": [Word("read_enc"), Word("phase_enc")],
        "VisuInstanceModality": "MR",
    }
    return values | ({"VisuMagneticFieldStrength": 7.046} if version.startswith("360") else {})


def slice_positions(count: int, orientation: np.ndarray, pitch: float = 1.0) -> np.ndarray:
    """Give positions along the normal, `pitch` mm apart; a negative pitch runs against it."""
    axes = np.asarray(orientation, dtype=float).reshape(-1, 3, 3)
    steps = np.arange(count, dtype=float)[:, None]
    return np.array([-10.0, -8.0, 3.0]) + steps * pitch * axes[0, 2]


def make_reco(
    study: Path,
    *,
    version: str = "6.0.1",
    expno: int = 1,
    procno: int = 1,
    frames: int | None = None,
    size: Sequence[int] = (8, 6),
    dtype: Any = "<i2",
    pixels: np.ndarray | bytes | None = None,
    groups: Sequence[tuple[Any, ...]] = (),
    dep_vals: Sequence[tuple[str, int]] | None = None,
    packages: Sequence[int] | None = None,
    orientation: Any = AXIAL,
    position: Any = None,
    extent: Sequence[float] | None = None,
    thickness: Any = 1.0,
    slope: Any = 1.0,
    offset: Any = 0.0,
    frame_type: Any = "MAGNITUDE_IMAGE",
    visu: Mapping[str, Any] | None = None,
    method: Mapping[str, Any] | None = None,
    acqp: Mapping[str, Any] | None = None,
    reco: Mapping[str, Any] | None = None,
    subject: Mapping[str, Any] | None = None,
) -> Path:
    """Write one reconstruction and return its folder, ``<study>/<expno>/pdata/<procno>``.

    Parameters
    ----------
    frames : int, optional
        Frames in the file; the product of the group lengths where not given.
    size : sequence of int
        Columns, rows and, for 3-D, planes.
    pixels : ndarray or bytes, optional
        Content of 2dseq; random where not given.
    groups : sequence of tuple
        Loops, fastest first: (id, length[, comment[, names that depend on it]]).
    packages : sequence of int, optional
        Slices of each slice package.
    orientation, position, thickness, slope, offset : array_like
        One for all or one each. Without a position the slices lie 1 mm apart along the normal.
    visu, method, acqp, reco, subject : mapping, optional
        Parameters added to, or (None) taken out of, each file. A file other than visu_pars is
        written only where it is asked for; an empty mapping asks for it.
    """
    folder = study / str(expno) / "pdata" / str(procno)
    folder.mkdir(parents=True, exist_ok=True)
    count = frames if frames is not None else math.prod(group[1] for group in groups)
    dtype = np.dtype(dtype)
    slices = next((group[1] for group in groups if group[0] == "FG_SLICE"), 1)
    axes = np.asarray(orientation, dtype=float).reshape(-1, 9)
    if position is None:
        position = slice_positions(slices, axes)
    extent = [float(n) for n in size] if extent is None else list(extent)
    types = frame_type if isinstance(frame_type, (list, tuple)) else [frame_type]
    words = [Word(one) for one in types]
    values = visu_defaults(version, study.name, expno, procno) | {
        "VisuCoreFrameCount": count,
        "VisuCoreDim": len(size),
        "VisuCoreSize": [int(n) for n in size],
        "VisuCoreDimDesc": [Word("spatial")] * len(size),
        "VisuCoreExtent": extent,
        "VisuCoreFrameThickness": _floats(thickness),
        "VisuCoreUnits": ["mm"] * len(size),
        "VisuCoreOrientation": axes,
        "VisuCorePosition": np.asarray(position, dtype=float).reshape(-1, 3),
        "VisuCoreFrameType": words[0] if version == "5.1" and len(words) == 1 else words,
        "VisuCoreDataSlope": _floats(slope),
        "VisuCoreDataOffs": _floats(offset),
        "VisuCoreWordType": Word(WORDS[dtype.str[1:]]),
        "VisuCoreByteOrder": Word("bigEndian" if dtype.str[0] == ">" else "littleEndian"),
    }
    values |= frame_groups(groups, dep_vals)
    if packages is not None:
        ends = np.cumsum(packages).tolist()
        spans = [(end - n, n) for end, n in zip(ends, packages, strict=True)]
        values |= {
            "VisuCoreSlicePacksDef": ([group[0] for group in groups].index("FG_SLICE"), len(spans)),
            "VisuCoreSlicePacksSlices": spans,
        }
    values |= visu or {}
    write_parameters(folder / "visu_pars", values, version)
    if pixels is None:
        pixels = make_pixels(count, size, dtype)
    data = pixels if isinstance(pixels, bytes) else np.ascontiguousarray(pixels, dtype).tobytes()
    (folder / "2dseq").write_bytes(data)
    scan = folder.parents[1]
    others = ((scan / "method", method), (scan / "acqp", acqp), (folder / "reco", reco))
    for path, content in (*others, (study / "subject", subject)):
        if content is not None:
            write_parameters(path, content, version)
    return folder


def _floats(value: Any) -> list[float]:
    return [float(one) for one in np.atleast_1d(np.asarray(value, dtype=float))]


def write_parameters(path: Path, values: Mapping[str, Any], version: str = "6.0.1") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(parameter_file(values, version), encoding="utf-8", newline="\n")


def read_all(path: Path) -> list[RawSeries | Skipped]:
    return list(mri2dicom.read(path))


def read_one(path: Path) -> RawSeries:
    """Read the only series at `path`, which must be an image."""
    (series,) = read_all(path)
    assert isinstance(series, RawSeries), series.reason
    return series


def read_skipped(path: Path) -> Skipped:
    """Read the only series at `path`, which must not be an image."""
    (series,) = read_all(path)
    assert isinstance(series, Skipped), series
    return series
