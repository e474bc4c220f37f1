"""Measures the most memory that this process held since a moment of our choice."""

from __future__ import annotations

from pathlib import Path

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


def forget_peak() -> bool:
    """Start measuring anew; False where the system cannot, as outside of Linux.

    Without this the second arm would inherit the first one's peak.
    """
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:
        return False
    return True


def peak_rss_bytes() -> int:
    for line in _STATUS.read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_STATUS} has no line VmHWM")
