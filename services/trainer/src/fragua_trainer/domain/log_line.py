"""A line of what a run says while it goes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LogLine:
    number: int
    """Counts up from 1 over all attempts of the job."""
    attempt: int
    text: str
