"""The scans of a study at a chosen size and in a chosen dialect, read from ``protocols.toml``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xnat_pic import tables

from .dialects import Dialect
from .diffusion import DiffusionTable, make_table
from .geometry import Floats, Pack, frame_matrix
from .options import MouseOptions

_MIB = 2**20


@dataclass(frozen=True)
class Detail:
    """How much to write: matrix, level of detail, repetitions of each loop."""

    matrix: int
    level: str
    repetitions: int


@dataclass(frozen=True)
class Scan:
    """One scan, ready to be simulated and described.

    Attributes
    ----------
    packs : tuple of Pack
        One, or several of different orientation.
    loop : str
        ``echo``, ``vtr``, ``diffusion``, ``cest`` or empty.
    loop_first : bool
        The loop varies faster than the slices.
    tr_ms, te_ms : tuple of float
        One value, or one for each step of the ``vtr`` or ``echo`` loop.
    offsets_ppm : tuple of float or None
        Saturation offsets in the order played; None is an image without saturation.
    repetitions : int
        Slowest loop of all.
    frame_slopes : bool
        Each frame has its own slope.
    """

    expno: int
    key: str
    name: str
    method: str
    packs: tuple[Pack, ...]
    loop: str
    loop_first: bool
    tr_ms: tuple[float, ...]
    te_ms: tuple[float, ...]
    flip_deg: float
    echo_train: int
    epi: bool
    diffusion: DiffusionTable | None
    offsets_ppm: tuple[float | None, ...]
    b1_ut: float
    repetitions: int
    frame_slopes: bool

    def slice_count(self) -> int:
        """Count the slices of all packs."""
        return sum(len(pack.centres_mm) for pack in self.packs)

    def loop_count(self) -> int:
        """Count the steps of the loop; 1 without one."""
        return {
            "echo": len(self.te_ms),
            "vtr": len(self.tr_ms),
            "diffusion": 0 if self.diffusion is None else len(self.diffusion.b_patient),
            "cest": len(self.offsets_ppm),
        }.get(self.loop, 1)

    def frame_count(self) -> int:
        """Count all frames."""
        return self.slice_count() * self.loop_count() * self.repetitions

    def frame_bytes(self) -> int:
        """Give the size of one 16-bit frame."""
        return 2 * self.packs[0].size[0] * self.packs[0].size[1]

    def frame_indices(self) -> list[tuple[int, int]]:
        """List (slice, loop step) of every frame in storage order."""
        slices, steps = range(self.slice_count()), range(self.loop_count())
        if self.loop_first:
            one = [(s, step) for s in slices for step in steps]
        else:
            one = [(s, step) for step in steps for s in slices]
        return one * self.repetitions


def load_table() -> dict[str, Any]:
    """Read the table of scans."""
    return tables.load_table("sandbox.mouse", "protocols.toml")


def imaging_frequency_mhz() -> float:
    """Give the working frequency of water, MHz."""
    return float(load_table()["imaging_frequency_mhz"])


def choose_detail(options: MouseOptions, dialect: Dialect) -> Detail:
    """Find the matrix and the repetitions that give the size asked for.

    A size in MiB counts the 16-bit images: the matrix is as large as two passes of the loops
    allow (256 at most), and repetitions of all loops fill up the rest.
    """
    target = options.size_mib()
    if target is None:
        level = options.size.lower()
        return Detail(options.matrix or (32 if level == "small" else 128), level, 1)
    matrix = options.matrix
    if matrix is None:
        fitting = [m for m in (256, 128, 64) if 2 * _loop_bytes(m, dialect) <= target * _MIB]
        matrix = fitting[0] if fitting else 32
    repetitions = max(1, round(target * _MIB / _loop_bytes(matrix, dialect)))
    return Detail(matrix, "full", repetitions)


def make_scans(detail: Detail, dialect: Dialect) -> tuple[Scan, ...]:
    """Make all image scans of a study."""
    return tuple(_make_scan(row, detail, dialect) for row in load_table()["scan"])


def _loop_bytes(matrix: int, dialect: Dialect) -> int:
    scans = make_scans(Detail(matrix, "full", 1), dialect)
    return sum(scan.frame_count() * scan.frame_bytes() for scan in scans if scan.loop)


def _make_scan(row: dict[str, Any], detail: Detail, dialect: Dialect) -> Scan:
    packs = tuple(_make_pack(row, name, detail, dialect) for name in row["orientation"])
    loop = row.get("loop", "")
    diffusion = None
    if loop == "diffusion":
        diffusion = make_table(
            row["directions"][detail.level],
            tuple(row["b_values"]),
            row["a0_images"],
            packs[0].gradient_rows(),
            packs[0].matrix,
        )
    return Scan(
        expno=row["expno"],
        key=row["key"],
        name=row["name"],
        method=row["method"],
        packs=packs,
        loop=loop,
        loop_first=row.get("loop_first", False),
        tr_ms=tuple(row["tr_ms"]),
        te_ms=_echo_times(row, detail.level),
        flip_deg=row["flip_deg"],
        echo_train=row.get("echo_train", 1),
        epi=row.get("epi", False),
        diffusion=diffusion,
        offsets_ppm=_offsets(row, detail.level, dialect) if loop == "cest" else (),
        b1_ut=row.get("b1_ut", 0.0),
        repetitions=detail.repetitions if loop else 1,
        frame_slopes=row.get("frame_slopes", False),
    )


def _make_pack(row: dict[str, Any], name: str, detail: Detail, dialect: Dialect) -> Pack:
    size = tuple(round(detail.matrix * f) for f in row["fraction"])
    matrix = frame_matrix(name, dialect.axial_rows, row.get("tilt_deg", 0.0))
    sign = -1 if row["key"] in dialect.against_normal else 1
    count = row["slices"][detail.level]
    steps: Floats = (np.arange(count) - (count - 1) / 2) * row["distance_mm"] * sign
    # On a localizer the second and third package are read along the body, and so lie transposed.
    several = len(row["orientation"]) > 1
    return Pack(
        name=name,
        matrix=matrix,
        size=(size[0], size[1]),
        spacing_mm=(row["fov_mm"][0] / size[0], row["fov_mm"][1] / size[1]),
        centres_mm=np.array(row["centre_mm"]) + steps[:, None] * matrix[2],
        thickness_mm=row["thickness_mm"],
        distance_mm=row["distance_mm"],
        read_axis=int(name != "axial") if several else row["read_axis"],
        step_sign=sign,
    )


def _echo_times(row: dict[str, Any], level: str) -> tuple[float, ...]:
    if "te_count" in row:
        count = row["te_count"][level]
        return tuple(row["te_first_ms"] + i * row["te_step_ms"] for i in range(count))
    return tuple(row["te_ms"])


def _offsets(row: dict[str, Any], level: str, dialect: Dialect) -> tuple[float | None, ...]:
    limit, step = row["offset_limit_ppm"], row["offset_step_ppm"][level]
    count = round(2 * limit / step) + 1
    near = [round(-limit + i * step, 6) for i in range(count)]
    if dialect.saturation == "sattrans":
        return (None, *near)
    return (row["far_offset_ppm"], *near, row["far_offset_ppm"])
