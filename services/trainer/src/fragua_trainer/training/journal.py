"""What a run writes down as it goes: metrics.jsonl for programs, and in logs/ what people look at.

metrics.jsonl and training.log only ever grow, so a checkpoint keeps them by their length. TensorBoard's event files are
made from metrics.jsonl again when a run goes on elsewhere.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter  # type: ignore[import-untyped]


class Journal:
    def __init__(self, outputs: Path) -> None:
        """Begins empty, whatever an earlier run left in `outputs`."""
        logs = outputs / "logs"
        shutil.rmtree(logs, ignore_errors=True)
        logs.mkdir(parents=True)
        self.metrics_file = outputs / "metrics.jsonl"
        self.log_file = logs / "training.log"
        for file in self.files:
            file.write_bytes(b"")
        self._logs = logs
        self._events: SummaryWriter | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """What a run that goes on elsewhere needs of it."""
        return self.metrics_file, self.log_file

    def measured(self, step: int, metrics: Mapping[str, float]) -> None:
        self._open_events()
        row = {"step": step, "time": round(time.time(), 3), **metrics}
        with self.metrics_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self._show(row)

    def log(self, line: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self.log_file.open("a", encoding="utf-8") as file:
            file.write(f"{now} {line}\n")

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.metrics_file.read_text("utf-8").splitlines()]

    def losses(self) -> list[float]:
        """Of the whole run, former attempts too."""
        return [row["loss"] for row in self.rows() if "loss" in row]

    def last(self, name: str, step: int) -> float | None:
        """The newest measurement of it up to and with `step`."""
        return next((row[name] for row in reversed(self.rows()) if name in row and row["step"] <= step), None)

    def close(self) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None

    def _open_events(self) -> None:
        if self._events is None:
            self._events = SummaryWriter(str(self._logs))
            for row in self.rows():
                self._show(row)

    def _show(self, row: Mapping[str, float]) -> None:
        assert self._events is not None
        for name in row.keys() - {"step", "time"}:
            self._events.add_scalar(name, row[name], int(row["step"]), walltime=row["time"])
        self._events.flush()
