"""How numbers are written for people, the same in every document."""

from __future__ import annotations

NOTHING = "–"
"""Stands where nothing was measured."""


def score(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}".replace("-", "−")


def change(value: float | None) -> str:
    """A difference of scores, always with its sign."""
    return NOTHING if value is None else signed(value, 3)


def signed(value: float, digits: int) -> str:
    text = f"{value:+,.{digits}f}"
    return text[1:] if text.strip("+-0.") == "" else text.replace("-", "−")


def interval(low: float, high: float, *, signed: bool = False) -> str:
    write = change if signed else score
    return f"{write(low)} … {write(high)}"


def figure(value: float | None) -> str:
    """A figure of any size and unit, such as a threshold."""
    if value is None:
        return NOTHING
    text = f"{value:.3f}" if abs(value) < 1 else f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
    return text.replace("-", "−")


def p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def decimal(value: float | None, digits: int = 2) -> str:
    return NOTHING if value is None else f"{value:,.{digits}f}".replace("-", "−")


def share(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.1f} %"


def count(value: int) -> str:
    return f"{value:,}"


def plural(number: int, noun: str) -> str:
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def gibibytes(size: int | None) -> str:
    """In the unit that gate policies count in."""
    return NOTHING if size is None else f"{size / 2**30:.2f} GiB"
