"""A reader of ParaVision text written for these tests alone: it shares no code with the writer."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from sandbox.mouse import VERSIONS, MouseOptions, WrittenStudy, write_mice

WORD = {"_16BIT_SGN_INT": "<i2", "_32BIT_SGN_INT": "<i4", "_32BIT_FLOAT": "<f4"}


def _items(text: str) -> list[str]:
    """Split a joined value at blanks outside brackets and strings, then expand runs."""
    items, start, depth, inside = [], 0, 0, False
    for i, sign in enumerate(text + " "):
        escaped = i > 0 and text[i - 1] == "\\"
        if sign == "<" and not escaped and not inside:
            inside = True
        elif sign == ">" and not escaped:
            inside = False
        elif not inside and sign in "()":
            depth += 1 if sign == "(" else -1
        elif sign == " " and depth == 0 and not inside:
            if text[start:i]:
                items.append(text[start:i])
            start = i + 1
    expanded = []
    for item in items:
        run = re.fullmatch(r"@(\d+)\*\((.*)\)", item)
        expanded += [run[2]] * int(run[1]) if run else [item]
    return expanded


@dataclass
class Parameter:
    dims: tuple[int, ...] | None
    text: str

    @property
    def items(self) -> list[str]:
        return _items(self.text)

    @property
    def array(self) -> np.ndarray:
        return np.array([float(v) for v in self.items]).reshape(self.dims or ())

    @property
    def strings(self) -> list[str]:
        return [item[1:-1] for item in self.items]


def read_parameters(path: Path) -> dict[str, Parameter]:
    text = path.read_text(encoding="utf-8")
    body = "".join(
        line if not line.startswith("##") else "\n" + line + "\x00"
        for line in text.split("\n")
        if not line.startswith("$$")
    )
    found = {}
    for line in body.split("\n"):
        match = re.match(r"##\$(\w+)=(.*)", line)
        if match:
            head, _, tail = match[2].partition("\x00")
            size = re.fullmatch(r"\( (\d+(?:, \d+)*) \)", head)
            dims = tuple(int(d) for d in size[1].split(", ")) if size else None
            found[match[1]] = Parameter(dims, tail if size else head + tail)
    return found


@dataclass
class Reco:
    """One reconstruction as written: parameters, and real values of shape (frame, row, column)."""

    visu: dict[str, Parameter]
    real: np.ndarray
    stored: np.ndarray

    @property
    def positions(self) -> np.ndarray:
        return self.visu["VisuCorePosition"].array

    @property
    def axes(self) -> np.ndarray:
        return self.visu["VisuCoreOrientation"].array.reshape(-1, 3, 3)

    @property
    def spacing(self) -> np.ndarray:
        return self.visu["VisuCoreExtent"].array / self.visu["VisuCoreSize"].array

    def voxel_lps(self, index: int, row: int, column: int) -> np.ndarray:
        axes = self.axes[index]
        dx, dy = self.spacing
        return self.positions[index] + column * dx * axes[0] + row * dy * axes[1]


def read_reco(study: Path, expno: int, procno: int = 1) -> Reco:
    folder = study / str(expno) / "pdata" / str(procno)
    visu = read_parameters(folder / "visu_pars")
    columns, rows = (int(v) for v in visu["VisuCoreSize"].items)
    stored = np.fromfile(folder / "2dseq", dtype=WORD[visu["VisuCoreWordType"].text])
    stored = stored.reshape(int(visu["VisuCoreFrameCount"].text), rows, columns)
    slope = visu["VisuCoreDataSlope"].array[:, None, None]
    offset = visu["VisuCoreDataOffs"].array[:, None, None]
    return Reco(visu, stored * slope + offset, stored)


@dataclass
class Sample:
    """One noiseless study with its truth."""

    study: WrittenStudy
    truth: dict

    def reco(self, expno: int, procno: int = 1) -> Reco:
        return read_reco(self.study.path, expno, procno)

    def scan(self, expno: int) -> dict:
        return next(s for s in self.truth["scans"] if s["expno"] == expno)

    def parameters(self, *parts: str) -> dict[str, Parameter]:
        return read_parameters(self.study.path.joinpath(*parts))


def write_sample(folder: Path, **options) -> Sample:
    wishes = {
        "animals": 1, "doses": ("dose1",), "groups": ("treated",), "timepoints": ("pre",),
        "noise": 0.0, "size": "SMALL", "traps": True,
    } | options  # fmt: skip
    study = write_mice(folder, MouseOptions(**wishes))[-1]
    return Sample(study, json.loads((study.truth / "truth.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> Sample:
    return write_sample(tmp_path_factory.mktemp("mouse") / "data")


@pytest.fixture(scope="session", params=VERSIONS)
def versioned(request, tmp_path_factory) -> Sample:
    folder = tmp_path_factory.mktemp("versions") / request.param
    return write_sample(folder, paravision=request.param)


@pytest.fixture
def make_sample(tmp_path):
    def make(name: str = "data", **options) -> Sample:
        return write_sample(tmp_path / name, **options)

    return make


@pytest.fixture
def parse():
    return read_parameters
