"""What every benchmark shares: its command line, interleaved rounds, a table for people and a file for programs."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

from children import CACHE, BenchmarkFailed

ROUNDS = 5

Sample = Mapping[str, float]
"""What one run gave, by unit."""


@dataclass(frozen=True)
class Metric:
    unit: str
    more_is_better: bool


@dataclass(frozen=True)
class Duel:
    """Two contenders with the same work before them, each of which can run again and again."""

    ours: Callable[[], Sample]
    theirs: Callable[[], Sample]
    check: Callable[[], None] | None = None
    """Called after the last round; raises `BenchmarkFailed` when the two did not do the same work."""


@dataclass(frozen=True)
class Stage:
    name: str
    peer: str
    meaning: str
    """What the figures tell, for the person who reads the table."""
    metrics: tuple[Metric, ...]
    prepare: Callable[[Path, bool], Duel]
    """Gets an empty folder, and whether the run is a quick one."""
    rounds: int = ROUNDS
    quick_rounds: int = 3


@dataclass(frozen=True)
class Result:
    stage: str
    peer: str
    ours: float
    theirs: float
    metric: Metric

    @property
    def ratio(self) -> float:
        """Above 1 ours is better."""
        return self.ours / self.theirs if self.metric.more_is_better else self.theirs / self.ours

    def as_document(self) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "peer": self.peer,
            "ours": round(self.ours, 4),
            "theirs": round(self.theirs, 4),
            "unit": self.metric.unit,
            "ratio": round(self.ratio, 3),
        }


def interleave(duel: Duel, rounds: int) -> tuple[list[Sample], list[Sample]]:
    """Ours, theirs, ours, theirs …: what slows the machine down for a while slows down both."""
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(duel.ours())
        theirs.append(duel.theirs())
    return ours, theirs


def measure(stage: Stage, quick: bool) -> list[Result]:
    """One result per metric, each from the medians of both sides."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="run-") as folder:
        duel = stage.prepare(Path(folder), quick)
        ours, theirs = interleave(duel, stage.quick_rounds if quick else stage.rounds)
        if duel.check is not None:
            duel.check()
    return [
        Result(
            stage.name,
            stage.peer,
            median(sample[metric.unit] for sample in ours),
            median(sample[metric.unit] for sample in theirs),
            metric,
        )
        for metric in stage.metrics
    ]


def main(stages: Sequence[Stage], arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the stages that the command line names. A stage that cannot run is told, and the others still do."""
    options = _parse(stages, arguments)
    results: list[Result] = []
    failed = False
    for stage in stages:
        if options.stage and stage.name not in options.stage:
            continue
        print(f"{stage.name} against {stage.peer}: {stage.meaning}", flush=True)
        try:
            measured = measure(stage, options.quick)
        except BenchmarkFailed as failure:
            print(f"  FAILED: {failure}\n", flush=True)
            failed = True
            continue
        results += measured
        print("\n".join(f"  {line}" for line in table(measured)) + "\n", flush=True)
    if options.json:
        document = [result.as_document() for result in results]
        options.json.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    raise SystemExit(1 if failed else 0)


def table(results: Sequence[Result]) -> list[str]:
    rows = [
        (r.metric.unit, f"{r.ours:,.2f}", f"{r.theirs:,.2f}", f"{r.ratio:.2f}x {'better' if r.ratio >= 1 else 'WORSE'}")
        for r in results
    ]
    rows.insert(0, ("unit", "ours", "theirs", "ratio"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        f"{unit:<{widths[0]}}  {ours:>{widths[1]}}  {theirs:>{widths[2]}}  {ratio}"
        for unit, ours, theirs, ratio in rows
    ]


def _parse(stages: Sequence[Stage], arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measures Fragua against named peers. Ratios above 1 mean that Fragua is better.",
        epilog="stages: " + ", ".join(f"{stage.name} (against {stage.peer})" for stage in stages),
    )
    parser.add_argument("--quick", action="store_true", help="small inputs: shows that it works, says little")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there, as a JSON list")
    parser.add_argument(
        "--stage",
        action="append",
        choices=[stage.name for stage in stages],
        metavar="NAME",
        help="only this stage; may be given several times",
    )
    return parser.parse_args(arguments)
