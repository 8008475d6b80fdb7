"""Compare what the archive found with what was planted in the mice."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xnat_config.server.client import XnatClient
from xnat_config.server.paths import path_of
from xnat_pic.errors import XnatPicError
from xnat_pic.files import write_file

from .demo_folder import PROJECT, DemoFolder, Study
from .regions import TISSUES

_RESOURCE, _RUN = "XNAT_PIC_SUMMARY", "Mask_Average_project"
_FILES = ("summary.html", "summary.csv", "effects.csv", "summary.xlsx")
# A mean may miss the truth by three standard errors and this share (rounding, bias of a fit).
ERRORS, SHARE = 3.0, 0.005
# An effect may miss what was planted by so much, in per cent of the baseline.
EFFECT = 2.5
# A mean that is less sure than this proves nothing.
_SUREST = 0.03


@dataclass(frozen=True)
class Quantity:
    """A map, its property in the truth, and what the treatment does to it per step."""

    name: str
    truth: str
    unit: str
    shown: str
    effect: str


QUANTITIES = (
    Quantity("T2map", "T2_ms", "ms", "T2", "tumour_t2"),
    Quantity("ADC", "ADC_um2_ms", "um2/ms", "ADC", "tumour_adc"),
)


@dataclass(frozen=True)
class Check:
    """One line of the closing table.

    Attributes
    ----------
    kind : str
        ``mean`` or ``effect``.
    what, planted, found, off : str
        For people; `off` is how far the worst misses.
    ok : bool
        Whether it agrees.
    said : str
        Why not.
    """

    kind: str
    what: str
    planted: str
    found: str
    off: str
    ok: bool
    said: str = ""


@dataclass(frozen=True)
class Comparison:
    """All lines."""

    checks: tuple[Check, ...]

    @property
    def out(self) -> tuple[Check, ...]:
        """What does not agree."""
        return tuple(one for one in self.checks if not one.ok)

    @property
    def sentence(self) -> str:
        """How it ended."""
        if not self.out:
            return f"all {len(self.checks)} numbers agree with what was planted"
        return f"{len(self.out)} of {len(self.checks)} numbers are OUT"


def compare(server: XnatClient, folder: DemoFolder, studies: Sequence[Study]) -> Comparison:
    """Fetch the summary of the study and compare each of its numbers with the truth.

    The page and the tables are kept in the folder.

    Raises
    ------
    XnatPicError
        If there is no summary, or it breaks off.
    """
    _fetch(server, folder)
    try:
        rows, effects = (_rows(folder, name) for name in ("summary.csv", "effects.csv"))
        truths = {one.session: _truth(folder, one) for one in studies}
        content = json.loads((folder.truth / "mice.json").read_text(encoding="utf-8"))
        steps = content["effect_per_dose_and_timepoint"]
        checks = [*compare_means(rows, studies, truths), *compare_effects(effects, studies, steps)]
    except (KeyError, ValueError) as error:
        raise XnatPicError(
            f"The summary or the truth is not as it should be ({error}).",
            hint="Run the demo again.",
        ) from error
    return Comparison(tuple(checks))


def compare_means(
    rows: Iterable[Mapping[str, str]],
    studies: Sequence[Study],
    truths: Mapping[str, Mapping[str, Any]],
) -> list[Check]:
    """Compare the mean of each region in each session.

    Parameters
    ----------
    rows : iterable of mapping
        Of ``summary.csv``.
    truths : mapping
        Properties of each tissue, by session.
    """
    whole = {
        (row["session"], row["roi"], row["quantity"]): row for row in rows if row["set"] == "whole"
    }
    checks = []
    for quantity in QUANTITIES:
        for tissue in TISSUES:
            found, true, faults, worst = [], [], [], 0.0
            for study in studies:
                planted = float(truths[study.session][tissue][quantity.truth])
                true.append(planted)
                row = whole.get((study.session, tissue, quantity.name))
                mean = _number(row["mean"]) if row else math.nan
                found.append(mean)
                worst = max(worst, abs(mean / planted - 1))
                if fault := _fault(row, study, quantity, planted):
                    faults.append(f"{study.session}: {fault}")
            checks.append(
                Check(
                    "mean",
                    f"{quantity.shown}, {tissue}",
                    f"{min(true):.3g} to {max(true):.3g} {quantity.unit}",
                    f"{min(found):.3g} to {max(found):.3g} {quantity.unit}",
                    f"{worst:.1%}",
                    not faults,
                    "; ".join(faults[:3]),
                )
            )
    return checks


def _fault(row: Mapping[str, str] | None, study: Study, quantity: Quantity, planted: float) -> str:
    """Return what is wrong with one value; empty where nothing is."""
    if row is None:
        return "not measured"
    if row["unit"] != quantity.unit:
        return f"its unit is {row['unit']}"
    if wrong := [name for name, value in study.values.items() if row[name] != value]:
        return f"its {wrong[0]} is {row[wrong[0]]!r}"
    mean, error = _number(row["mean"]), _number(row["se"])
    if not error <= _SUREST * planted:
        return f"{mean:.4g} is not known well enough (standard error {error:.2g})"
    if not abs(mean - planted) <= ERRORS * error + SHARE * planted:
        return f"{mean:.4g} and not {planted:.4g} {quantity.unit}"
    return ""


def compare_effects(
    rows: Iterable[Mapping[str, str]], studies: Sequence[Study], steps: Mapping[str, float]
) -> list[Check]:
    """Compare what each arm changed since the first timepoint, less what the untreated did.

    Parameters
    ----------
    rows : iterable of mapping
        Of ``effects.csv``.
    steps : mapping of str to float
        Effect per step of dose and of time, as a share of the baseline.
    """
    known = {
        (row["roi"], row["quantity"], row["arm"], row["timepoint"]): row
        for row in rows
        if row["comparison"] == "difference of changes" and row["unit"] == "%"
    }
    doses = list(dict.fromkeys(one.dose for one in studies if one.dose))
    times = list(dict.fromkeys(one.timepoint for one in studies))
    group = next(one.group for one in studies if one.dose)
    checks = []
    for quantity in QUANTITIES:
        for tissue in TISSUES:
            for number, dose in enumerate(doses, start=1):
                arm, last = f"{group} {dose}", times[-1]
                step = steps[quantity.effect] if tissue == "tumour" else 0.0
                planted = 100 * step * number * (len(times) - 1)
                row = known.get((tissue, quantity.name, arm, last))
                checks.append(_effect(f"{quantity.shown}, {tissue}, {dose}", planted, row))
    return checks


def _effect(what: str, planted: float, row: Mapping[str, str] | None) -> Check:
    value, low, high = (
        _number(row[name]) if row else math.nan
        for name in ("difference", "difference_low", "difference_high")
    )
    interval = "" if math.isnan(low) else f" ({low:+.1f} to {high:+.1f})"
    ok = abs(value - planted) <= EFFECT
    said = "" if ok else f"{value:+.1f} % and not {planted:+.1f} %" if row else "not there"
    found = f"{value:+.1f} %{interval}"
    off = f"{abs(value - planted):.1f} points"
    return Check("effect", what, f"{planted:+.1f} %", found, off, ok, said)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _truth(folder: DemoFolder, study: Study) -> Mapping[str, Any]:
    path = folder.truth / study.path / "truth.json"
    tissues: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))["tissues"]
    return tissues


def _rows(folder: DemoFolder, name: str) -> list[dict[str, str]]:
    with (folder.summary / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _fetch(server: XnatClient, folder: DemoFolder) -> None:
    """Fetch page and tables of the run over the regions."""
    above = path_of("data", "projects", PROJECT, "resources", _RESOURCE, "files")
    addresses = {
        row["Name"]: row["URI"]
        for row in server.find_rows(above)
        if f"/files/{_RUN}/" in row.get("URI", "")
    }
    if missing := [name for name in _FILES if name not in addresses]:
        raise XnatPicError(
            f"The project has no {missing[0]} of {_RUN}.", hint="Run the stage measure first."
        )
    folder.summary.mkdir(exist_ok=True)
    for name in _FILES:
        write_file(folder.summary / name, server.read(addresses[name]))
