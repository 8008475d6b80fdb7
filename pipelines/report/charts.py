"""Small charts as SVG text, which a page holds without pictures and a browser draws sharply."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Scale = Callable[[Doubles], Doubles]  # from values to pixels

BLUE, RED, GREEN, GREY = "#35618f", "#a33c1b", "#6f8a12", "#9a9a9a"
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 10.0, 34.0, 36.0
_TICKS = 5


@dataclass
class Chart:
    """One pair of axes; what is added is drawn in the order of adding.

    Attributes
    ----------
    title, xlabel, ylabel : str
        Texts; a line break in the title starts its second line.
    width, height : float
        CSS pixels.
    xlim, ylim : tuple of float, optional
        Ends of the axes; by default what was added, with a margin.
    """

    title: str
    xlabel: str
    ylabel: str = ""
    width: float = 300.0
    height: float = 210.0
    xlim: tuple[float, float] | None = None
    ylim: tuple[float, float] | None = None
    _marks: list[tuple[str, Doubles, Doubles, str]] = field(default_factory=list)
    _legend: list[tuple[str, str]] = field(default_factory=list)

    def points(self, x: npt.ArrayLike, y: npt.ArrayLike, colour: str = BLUE) -> None:
        """Add dots."""
        self._add("points", x, y, colour)

    def line(self, x: npt.ArrayLike, y: npt.ArrayLike, colour: str = RED) -> None:
        """Add a line through points; NaN interrupts it."""
        self._add("line", x, y, colour)

    def band(self, x: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike, colour: str) -> None:
        """Add the area between two curves."""
        along = np.asarray(x, dtype=np.float64)
        sides = np.concatenate([np.asarray(low, float), np.asarray(high, float)[::-1]])
        self._add("band", np.concatenate([along, along[::-1]]), sides, colour)

    def bars(self, values: npt.ArrayLike, low: float, high: float, colour: str = BLUE) -> None:
        """Add a histogram of values between two ends; those beyond are counted in the last bars."""
        known = np.asarray(values, dtype=np.float64).ravel()
        known = np.clip(known[np.isfinite(known)], low, high)
        counts, edges = np.histogram(known, bins=60, range=(low, high))
        self._add("bars", edges, np.append(counts, 0.0), colour)

    def rule(self, x: float, colour: str = RED, label: str = "") -> None:
        """Add an upright line at x."""
        self._add("rule", [x], [np.nan], colour)
        if label:
            self.legend(label, colour)

    def level(self, y: float, colour: str = GREY) -> None:
        """Add a level line at y."""
        self._add("level", [np.nan], [y], colour)

    def legend(self, text: str, colour: str) -> None:
        """Add a line of explanation beside the title."""
        self._legend.append((text, colour))

    def _add(self, kind: str, x: npt.ArrayLike, y: npt.ArrayLike, colour: str) -> None:
        self._marks.append((kind, np.asarray(x, float), np.asarray(y, float), colour))

    def svg(self) -> str:
        """Return the chart as an SVG element."""
        x0, x1 = self.xlim or self._range(1)
        y0, y1 = self.ylim or self._range(2)
        across = self.width - _LEFT - _RIGHT
        down = self.height - _TOP - _BOTTOM

        def to_x(value: Doubles) -> Doubles:
            return _LEFT + (value - x0) / (x1 - x0) * across

        def to_y(value: Doubles) -> Doubles:
            return _TOP + (y1 - value) / (y1 - y0) * down

        parts = [
            f'<svg class="chart" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'width="{self.width:g}" height="{self.height:g}" role="img" '
            f'aria-label="{escape(self.title)}">'
        ]
        parts += self._frame((x0, x1), (y0, y1), to_x, to_y)
        key = f"{self.title} {self.xlabel} {x0} {x1} {y0} {y1}"
        clip = f"c{zlib.crc32(key.encode()):x}"  # the same page for the same map
        parts.append(
            f'<clipPath id="{clip}"><rect x="{_LEFT}" y="{_TOP - 3}" width="{across + 3:.1f}" '
            f'height="{down + 4:.1f}"/></clipPath><g clip-path="url(#{clip})">'
        )
        for kind, x, y, colour in self._marks:
            parts.append(_drawn(kind, to_x(x), to_y(y), colour, (_TOP, _TOP + down), to_y))
        parts.append("</g>")
        for k, (text, colour) in enumerate(self._legend):
            parts.append(_text(_LEFT + across, 12 + 13 * k, text, "end", colour))
        return "".join([*parts, "</svg>"])

    def _range(self, which: int) -> tuple[float, float]:
        values = np.concatenate([mark[which] for mark in self._marks] or [np.zeros(1)])
        values = values[np.isfinite(values)]
        if not values.size:
            return 0.0, 1.0
        low, high = float(values.min()), float(values.max())
        if low == high:
            low, high = low - (abs(low) or 1.0) * 0.5, high + (abs(high) or 1.0) * 0.5
        kinds = {mark[0] for mark in self._marks}
        margin = 0.05 * (high - low)
        if "bars" in kinds:
            return (low, high) if which == 1 else (0.0, high + margin)
        return low - margin, high + margin

    def _frame(
        self, x: tuple[float, float], y: tuple[float, float], to_x: Scale, to_y: Scale
    ) -> list[str]:
        """Return axes, ticks and texts."""
        left, right = _LEFT, self.width - _RIGHT
        top, bottom = _TOP, self.height - _BOTTOM
        parts = [
            f'<path d="M{left:g} {top:g}V{bottom:g}H{right:g}" fill="none" stroke="#555"/>',
        ]
        for value, text in ticks(*x):
            at = float(to_x(np.array(value)))
            parts.append(f'<path d="M{at:.1f} {bottom:g}v4" stroke="#555"/>')
            parts.append(_text(at, bottom + 15, text, "middle"))
        for value, text in ticks(*y):
            at = float(to_y(np.array(value)))
            parts.append(f'<path d="M{left:g} {at:.1f}h-4" stroke="#555"/>')
            parts.append(_text(left - 6, at + 3.5, text, "end"))
        for k, line in enumerate(self.title.split("\n")):
            parts.append(_text(left, 12 + 13 * k, line, "start", "#1a1a1a", bold=k == 0))
        parts.append(_text((left + right) / 2, self.height - 4, self.xlabel, "middle", "#1a1a1a"))
        middle = (top + bottom) / 2
        label = _text(11, middle, self.ylabel, "middle", "#1a1a1a")
        turned = f'transform="rotate(-90 11 {middle:g})" '
        return [*parts, label.replace("<text ", "<text " + turned, 1)]


def ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return about five round values between two ends, with their text.

    Parameters
    ----------
    low, high : float
        Ends of an axis, `low` < `high`.
    """
    raw = (high - low) / _TICKS
    size = 10.0 ** np.floor(np.log10(raw))
    step = size * min((m for m in (1.0, 2.0, 5.0, 10.0) if m * size >= raw), default=10.0)
    first = int(np.ceil(low / step - 1e-9))
    last = int(np.floor(high / step + 1e-9))
    values = [k * step for k in range(first, min(last, first + 2 * _TICKS) + 1)]
    return [(value, f"{value + 0.0:.6g}") for value in values]


def _drawn(
    kind: str, x: Doubles, y: Doubles, colour: str, ends: tuple[float, float], to_y: Scale
) -> str:
    if kind == "points":
        good = np.isfinite(x) & np.isfinite(y)
        dots = "".join(
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.4"/>'
            for a, b in zip(x[good], y[good], strict=True)
        )
        return f'<g fill="{colour}">{dots}</g>'
    if kind == "rule":
        path = f"M{x[0]:.1f} {ends[0]:g}V{ends[1]:g}"
        return f'<path d="{path}" stroke="{colour}" stroke-dasharray="4 3" fill="none"/>'
    if kind == "level":
        return f'<path d="M0 {y[0]:.1f}H9999" stroke="{colour}" fill="none"/>'
    if kind == "bars":
        ground = float(to_y(np.array(0.0)))
        steps = "".join(
            f"M{a:.1f} {ground:.1f}V{top:.1f}H{b:.1f}V{ground:.1f}Z"
            for a, b, top in zip(x[:-1], x[1:], y[:-1], strict=True)
        )
        return f'<path d="{steps}" fill="{colour}"/>'
    path, pen = "", "M"
    for a, b in zip(x, y, strict=True):
        if np.isfinite(a) and np.isfinite(b):
            path += f"{pen}{a:.1f} {b:.1f}"
            pen = "L"
        else:
            pen = "M"
    if kind == "band":
        return f'<path d="{path}Z" fill="{colour}" fill-opacity="0.2"/>' if path else ""
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.4"/>'


def _text(
    x: float, y: float, text: str, anchor: str, colour: str = "#444", *, bold: bool = False
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" '
        f'font-size="11"{weight}>{escape(text)}</text>'
    )
