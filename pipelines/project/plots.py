"""Drawings of a study as SVG text: groups over timepoints, and effects with their intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from ..report.charts import ticks
from ..report.plots import unit_words
from .effects import Interval, mean_interval
from .study import Comparison, Measure, ProjectStudy

# Of Okabe and Ito (2008), told apart by people with any colour vision; the reference is grey.
COLOURS = ("#6b6b6b", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#000000")
_WIDTH, _HEIGHT = 460.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 14.0, 14.0, 34.0
_ROW, _NAMES, _NUMBERS, _AXIS = 24.0, 330.0, 200.0, 30.0
_PLOT = 330.0
_SPREAD = 0.5  # share of the room of a timepoint over which the arms stand side by side


def colour(study: ProjectStudy, arm: str) -> str:
    """Return the colour of an arm, the same on the whole page."""
    shift = 0 if study.reference else 1
    return COLOURS[(study.arms.index(arm) + shift) % len(COLOURS)]


def over_time(study: ProjectStudy, measure: Measure) -> str:
    """Return groups over timepoints: a thin line for each animal, mean and interval of each arm.

    Parameters
    ----------
    study : ProjectStudy
        The project.
    measure : Measure
        Which of its measures.
    """
    arms = study.values[measure]
    drawn = {
        arm: [
            mean_interval([v[when] for v in animals.values() if when in v])
            for when in study.timepoints
        ]
        for arm, animals in arms.items()
    }
    every = [v for animals in arms.values() for one in animals.values() for v in one.values()]
    # A wide interval of few animals must not press the animals together.
    reach = max(every) - min(every) or abs(max(every)) or 1.0
    limits = [v for row in drawn.values() for one in row if one.known for v in (one.low, one.high)]
    low = max(min([*every, *limits]), min(every) - reach) - 0.05 * reach
    high = min(max([*every, *limits]), max(every) + reach) + 0.05 * reach
    bottom = _HEIGHT - _BOTTOM
    room = (_WIDTH - _LEFT - _RIGHT) / len(study.timepoints)

    def to_y(value: float) -> float:
        return _TOP + (high - min(max(value, low), high)) / (high - low) * (bottom - _TOP)

    def to_x(when: int, arm: str) -> float:
        middle = (len(study.arms) - 1) / 2
        aside = (study.arms.index(arm) - middle) / max(len(study.arms), 2) * _SPREAD
        return _LEFT + room * (when + 0.5 + aside)

    parts = [_open(_WIDTH, _HEIGHT, f"{measure.title} over timepoints")]
    parts += _frame(study, measure, (low, high), to_y, room)
    for arm, animals in arms.items():
        tint = colour(study, arm)
        for animal, by_time in animals.items():
            parts.append(_animal(study, measure, (arm, animal, by_time), to_x, to_y, tint))
        points = [
            (to_x(k, arm), one) for k, one in enumerate(drawn[arm]) if math.isfinite(one.estimate)
        ]
        parts.append(_mean(points, to_y, tint, arm, measure.unit))
    return "".join([*parts, "</svg>"])


def _frame(
    study: ProjectStudy,
    measure: Measure,
    ends: tuple[float, float],
    to_y: Callable[[float], float],
    room: float,
) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for value, text in ticks(*ends):
        y = to_y(value)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="#e6e6e6"/>')
        parts.append(_text(_LEFT - 6, y + 4, text, "end"))
    parts.append(f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="#555"/>')
    for k, when in enumerate(study.timepoints):
        parts.append(_text(_LEFT + room * (k + 0.5), bottom + 17, when or "no timepoint", "middle"))
    label = _text(0, 0, f"{measure.quantity} ({unit_words(measure.unit)})", "middle")
    middle = (_TOP + bottom) / 2
    return [*parts, f'<g transform="translate(13 {middle:g}) rotate(-90)">{label}</g>']


def _animal(
    study: ProjectStudy,
    measure: Measure,
    one: tuple[str, str, dict[str, float]],
    to_x: Callable[[int, str], float],
    to_y: Callable[[float], float],
    tint: str,
) -> str:
    arm, animal, by_time = one
    at = [
        (to_x(k, arm), to_y(by_time[when]), when, by_time[when])
        for k, when in enumerate(study.timepoints)
        if when in by_time
    ]
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y, _, _ in at)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{tint}" fill-opacity=".55">'
        f"<title>{escape(f'{animal}, {arm}, {when}: {v:.5g} {unit_words(measure.unit)}')}</title>"
        "</circle>"
        for x, y, when, v in at
    )
    path = f'<path d="M{line}" fill="none" stroke="{tint}" stroke-opacity=".4"/>'
    return path + dots


def _mean(
    points: Sequence[tuple[float, Interval]],
    to_y: Callable[[float], float],
    tint: str,
    arm: str,
    unit: str,
) -> str:
    line = "L".join(f"{x + 7:.1f} {to_y(one.estimate):.1f}" for x, one in points)
    marks = []
    for x, one in points:
        words = f"{arm}: mean {interval_words(one)} {unit_words(unit)}"
        if one.known:
            low, high = to_y(one.low), to_y(one.high)
            marks.append(
                f'<path d="M{x + 7:.1f} {low:.1f}V{high:.1f}" stroke="{tint}" stroke-width="2.5"/>'
            )
        marks.append(
            f'<path d="M{x + 1.5:.1f} {to_y(one.estimate):.1f}h11" stroke="{tint}" '
            f'stroke-width="3.5"><title>{escape(words)}</title></path>'
        )
    path = (
        f'<path d="M{line}" fill="none" stroke="{tint}" stroke-width="2" stroke-dasharray="6 3"/>'
    )
    return path + "".join(marks)


def forest(study: ProjectStudy, rows: Sequence[Comparison], *, standard: bool = False) -> str:
    """Return effects with their intervals, one in a line.

    Parameters
    ----------
    study : ProjectStudy
        For the colours.
    rows : sequence of Comparison
        All in one unit.
    standard : bool
        Hedges' g in the place of the difference.
    """
    found = [one.effect.g if standard else one.effect.difference for one in rows]
    known = [v for one in found for v in (one.estimate, one.low, one.high) if math.isfinite(v)]
    if not known:
        return ""
    low, high = min([*known, 0.0]), max([*known, 0.0])
    margin = 0.06 * (high - low) or 1.0
    low, high = low - margin, high + margin
    height = _ROW * len(rows) + _AXIS
    width = _NAMES + _PLOT + _NUMBERS

    def to_x(value: float) -> float:
        return _NAMES + (value - low) / (high - low) * _PLOT

    unit = "Hedges g" if standard else unit_words(rows[0].unit)
    parts = [_open(width, height, f"Effects in {unit}")]
    for value, text in ticks(low, high):
        tint = "#777" if value == 0 else "#e6e6e6"
        parts.append(f'<path d="M{to_x(value):.1f} 0V{height - _AXIS:g}" stroke="{tint}"/>')
        parts.append(_text(to_x(value), height - 15, text, "middle"))
    parts.append(_text(_NAMES + _PLOT / 2, height - 1, unit, "middle"))
    for k, (row, one) in enumerate(zip(rows, found, strict=True)):
        y, tint = _ROW * (k + 0.5), colour(study, row.arm)
        parts.append(_text(_NAMES - 10, y + 4, comparison_words(row), "end"))
        if one.known:
            parts.append(
                f'<path d="M{to_x(one.low):.1f} {y:.1f}H{to_x(one.high):.1f}" '
                f'stroke="{tint}" stroke-width="2.5"/>'
            )
        if math.isfinite(one.estimate):
            parts.append(
                f'<circle cx="{to_x(one.estimate):.1f}" cy="{y:.1f}" r="5" fill="{tint}"/>'
            )
        parts.append(_text(_NAMES + _PLOT + 10, y + 4, interval_words(one), "start"))
    return "".join([*parts, "</svg>"])


def comparison_words(row: Comparison) -> str:
    """Return what is compared, in a few words."""
    if row.kind == "difference":
        return f"{row.arm} − {row.reference}, {row.timepoint or 'all'}"
    if row.kind == "change":
        return f"{row.arm}, {row.baseline} → {row.timepoint}"
    return f"{row.arm} − {row.reference}, change to {row.timepoint}"


def interval_words(one: Interval) -> str:
    """Return an estimate with its limits in brackets."""
    if not math.isfinite(one.estimate):
        return "not known"
    if not one.known:
        return f"{one.estimate:.4g} (no interval)"
    return f"{one.estimate:.4g} [{one.low:.4g}, {one.high:.4g}]"


def _open(width: float, height: float, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        f'role="img" aria-label="{escape(label)}">'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
