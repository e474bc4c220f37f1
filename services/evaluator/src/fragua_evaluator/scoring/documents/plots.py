"""Dots with error bars as strips of SVG, which share an axis and stand in the rows of a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fragua_evaluator.scoring.documents import numbers

_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0)
_MOST_TICKS = 6
_LEAST_SPAN = 0.2
"""An axis never shows less, so that noise does not look like a difference."""

# Lengths are percentages of the strip's width: a strip fits every table, and its text never shrinks.
_STRIP = Markup('<svg class="strip" role="img" aria-label="{label}" width="100%" height="26">{marks}</svg>')
_LINE = Markup('<line class="{name}" x1="{x1:.2f}%" x2="{x2:.2f}%" y1="{y1}" y2="{y2}"/>')
_DOT = Markup('<circle class="{name}" cx="{x:.2f}%" cy="13" r="{r}"/>')
_TEXT = Markup('<text x="{x:.2f}%" y="13" text-anchor="middle">{text}</text>')


@dataclass(frozen=True)
class Axis:
    low: float
    high: float
    step: float
    signed: bool = False
    """Of differences: zero is marked, and ticks have signs."""

    def at(self, value: float) -> float:
        """In percent of the width; what lies outside is drawn at the edge."""
        return min(100.0, max(0.0, 100 * (value - self.low) / (self.high - self.low)))

    def ticks(self) -> list[float]:
        return [
            round(self.low + number * self.step, 6) for number in range(round((self.high - self.low) / self.step) + 1)
        ]


def axis_of_scores(values: Iterable[float], *, bounded: bool) -> Axis:
    """`bounded` scores lie between 0 and 1, and the axis stays there, too."""
    shown = list(values) or [0.0, 1.0]
    return _axis(min(shown), max(shown), bounds=(0.0, 1.0) if bounded else (-math.inf, math.inf))


def axis_of_differences(values: Iterable[float]) -> Axis:
    shown = [0.0, *values]
    axis = _axis(min(shown), max(shown))
    return Axis(axis.low, axis.high, axis.step, signed=True)


def _axis(low: float, high: float, bounds: tuple[float, float] = (-math.inf, math.inf)) -> Axis:
    missing = _LEAST_SPAN - (high - low)
    if missing > 0:
        low, high = low - missing / 2, high + missing / 2
        # A range at the edge is widened to the other side.
        shift = max(0.0, bounds[0] - low) - max(0.0, high - bounds[1])
        low, high = low + shift, high + shift
    step = next((step for step in _STEPS if (high - low) / step <= _MOST_TICKS - 1), high - low)
    # Rounded first: 0.3 / 0.1 is a little less than 3.
    return Axis(math.floor(round(low / step, 6)) * step, math.ceil(round(high / step, 6)) * step, step)


def scale(axis: Axis) -> Markup:
    """The numbers of the axis, for the head of the table."""
    marks = [
        _TEXT.format(
            x=axis.at(tick),
            text=_tick(tick, axis),
        )
        for tick in axis.ticks()
    ]
    return Markup('<svg class="scale" aria-hidden="true" width="100%" height="18">{marks}</svg>').format(
        marks=Markup("").join(marks)
    )


def strip(
    axis: Axis, value: float, low: float, high: float, repeats: Sequence[float] = (), *, strong: bool = False
) -> Markup:
    """A value with its error bar; `repeats` are small dots around it."""
    write = numbers.change if axis.signed else numbers.score
    marks = [_LINE.format(name="guide", x1=axis.at(tick), x2=axis.at(tick), y1=0, y2=26) for tick in axis.ticks()]
    if axis.signed:
        marks.append(_LINE.format(name="zero", x1=axis.at(0), x2=axis.at(0), y1=0, y2=26))
    marks.append(_LINE.format(name="bar", x1=axis.at(low), x2=axis.at(high), y1=13, y2=13))
    marks += [_LINE.format(name="bar", x1=axis.at(end), x2=axis.at(end), y1=8, y2=18) for end in (low, high)]
    marks += [_DOT.format(name="repeat", x=axis.at(repeat), r=2) for repeat in repeats]
    marks.append(_DOT.format(name="strong" if strong else "dot", x=axis.at(value), r=5))
    label = f"{write(value)}, 95 % interval {write(low)} to {write(high)}"
    return _STRIP.format(label=label, marks=Markup("").join(marks))


def _tick(value: float, axis: Axis) -> str:
    digits = 2 if axis.step < 0.1 or axis.step == 0.25 else 1 if axis.step < 1 else 0
    text = f"{value:{'+' if axis.signed and abs(value) > 1e-9 else ''}.{digits}f}"
    return text.replace("-", "−")
