"""Holds the evaluator's verdicts against simulated evaluations, of which the truth is known.

Two promises are put to the test, through the very functions that judge real evaluations: when the arms are equal, GO
is said in no more than 5 % of evaluations; and the power that reports state is the power that is found.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, NoReturn

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fragua_evaluator.domain.gate import judge
from fragua_evaluator.domain.gate_catalog import packaged_policies
from fragua_evaluator.domain.gate_measures import wilson
from fragua_evaluator.domain.gate_policy import GatePolicy
from fragua_evaluator.domain.report import (
    ArmReport,
    EvaluationReport,
    Fairness,
    Interval,
    MetricSummary,
    PairedComparison,
    SuiteResult,
)
from fragua_evaluator.domain.suite import SuiteKind
from fragua_evaluator.domain.verdict import Outcome
from fragua_evaluator.scoring.statistics import adjust, compare_arms

ITEMS = (22, 200)
OTHER_EFFECT = 0.15
MOST_FALSE_GO = 0.05
TOLERANCE = 0.02
"""How far the mean of the stated power may lie from the 95 % interval of the power that was found."""

SUITE, METRIC = "simulated", "simulated"
BASELINE, CANDIDATE = "baseline", "candidate"

Scores = NDArray[np.float64]
Draw = Callable[[Generator, int, float], tuple[Scores, Scores]]
"""From a number of items and a true effect on the mean: the scores of baseline and candidate."""


@dataclass(frozen=True)
class Kind:
    name: str
    graded: bool
    draw: Draw
    meaning: str


@dataclass(frozen=True)
class Found:
    """What came of all simulations of one kind, number of items and true effect."""

    kind: str
    items: int
    effect: float
    simulations: int
    outcomes: Counter[Outcome]
    significant: int
    """In the direction of the effect; where there is none, in either."""
    stated_power: float | None
    """The mean over the simulations, where it was stated; None where there is no effect."""
    stated: int
    """How many stated it."""

    @property
    def go(self) -> Interval:
        return wilson(self.outcomes[Outcome.GO] / self.simulations, self.simulations)

    @property
    def power(self) -> Interval:
        return wilson(self.significant / self.simulations, self.simulations)

    def problems(self) -> list[str]:
        where = f"{self.kind}, {self.items} items, true effect {self.effect:g}"
        if self.stated_power is None:
            too_many = self.go.low > MOST_FALSE_GO
            return [f"{where}: GO in {self.outcomes[Outcome.GO]} of {self.simulations}"] if too_many else []
        near = self.power.low - TOLERANCE <= self.stated_power <= self.power.high + TOLERANCE
        found = self.significant / self.simulations
        return [] if near else [f"{where}: a power of {self.stated_power:.3f} is stated, {found:.3f} is found"]

    def as_document(self) -> dict[str, Any]:
        shares = {f"{name.value.lower()}_share": self.outcomes[name] / self.simulations for name in Outcome}
        return {
            "scores": self.kind,
            "items": self.items,
            "true_effect": self.effect,
            "simulations": self.simulations,
            **shares,
            "power_found": self.significant / self.simulations,
            "power_found_interval": [self.power.low, self.power.high],
            "power_stated": self.stated_power,
            "problems": self.problems(),
        }


def binary(chance: Generator, items: int, effect: float, *, alike: float = 0.0) -> tuple[Scores, Scores]:
    """Right or wrong, by items of their own difficulty; on `alike` of them both arms give one answer."""
    difficulty = chance.uniform(0.45, 0.75, items)
    same = chance.random(items) < alike
    baseline = chance.random(items) < difficulty
    candidate = chance.random(items) < difficulty + effect / (1 - alike)
    return baseline.astype(float), np.where(same, baseline, candidate).astype(float)


def smooth(chance: Generator, items: int, effect: float) -> tuple[Scores, Scores]:
    """Scores that hardly ever agree, such as chrF."""
    quality = chance.uniform(0.4, 0.7, items)
    baseline = chance.beta(10 * quality, 10 * (1 - quality))
    return baseline, chance.beta(10 * (quality + effect), 10 * (1 - quality - effect))


def stepped(chance: Generator, items: int, effect: float, *, alike: float = 0.4) -> tuple[Scores, Scores]:
    """Scores in eighths with many ties, such as a sum of components."""
    quality = chance.uniform(0.4, 0.7, items)
    same = chance.random(items) < alike
    baseline = chance.binomial(8, quality) / 8
    candidate = chance.binomial(8, quality + effect / (1 - alike)) / 8
    return baseline, np.where(same, baseline, candidate)


KINDS = (
    Kind("binary", False, binary, "right or wrong, the arms independent of each other"),
    Kind("binary-alike", False, lambda *drawn: binary(*drawn, alike=0.4), "the same, with one answer on 40 % of items"),
    Kind("graded", True, smooth, "graded scores without ties"),
    Kind("graded-alike", True, stepped, "graded scores in eighths, with one answer on 40 % of items"),
)


def simulate(kind: Kind, items: int, effect: float, simulations: int, policy: GatePolicy, seed: int) -> Found:
    chance = np.random.default_rng([seed, items, KINDS.index(kind), round(1000 * effect)])
    outcomes: Counter[Outcome] = Counter()
    significant, stated = 0, []
    for _ in range(simulations):
        baseline, candidate = kind.draw(chance, items, effect)
        (compared,) = adjust(
            compare_arms(
                SUITE,
                METRIC,
                kind.graded,
                {BASELINE: baseline.tolist(), CANDIDATE: candidate.tolist()},
                seed=seed,
                min_improvement=effect,
                alpha=policy.alpha,
            )
        )
        outcomes[judge(policy, report_of(compared)).outcome] += 1
        significant += compared.p_value <= policy.alpha and (effect == 0 or compared.difference > 0)
        stated += [] if compared.power is None else [compared.power]
    stated_power = mean(stated) if stated else None
    return Found(kind.name, items, effect, simulations, outcomes, significant, stated_power, len(stated))


def report_of(compared: PairedComparison) -> EvaluationReport:
    """What a report needs so that it can be judged."""

    def arm(name: str, score: float) -> ArmReport:
        summary = MetricSummary(
            metric=METRIC,
            graded=False,
            score=score,
            interval=Interval(low=0, high=1),
            repeat_scores=(score,),
            repeat_sd=None,
            components={},
            by_tag={},
        )
        suite = SuiteResult(
            suite=SUITE, kind=SuiteKind.GENERATION, items=compared.items, failed=0, metrics=(summary,), checks={}
        )
        return ArmReport(
            arm=name,
            model=name,
            digest=name,
            suites=(suite,),
            answers=compared.items,
            failed_answers=0,
            cached_answers=0,
            tokens=0,
            seconds=0,
            tokens_per_second=None,
            first_token_seconds=None,
            peak_rss_bytes=None,
            conditions={},
        )

    return EvaluationReport(
        arms=(arm(BASELINE, compared.baseline_score), arm(CANDIDATE, compared.arm_score)),
        comparisons=(compared,),
        fairness=Fairness(same={}, different={}),
        verdict=None,
        error_analysis=None,
        spec={},
        provenance={},
        versions={},
        duration_seconds=0,
    )


def table(found: Sequence[Found]) -> list[str]:
    lines = [
        f"{'scores':<14}{'items':>6}{'effect':>8}{'GO':>8}{'NO_GO':>8}{'INCONCL.':>10}{'power found':>22}{'stated':>8}"
    ]
    for one in found:
        go, no_go, inconclusive = (one.outcomes[outcome] / one.simulations for outcome in Outcome)
        power = f"{one.significant / one.simulations:.3f} ({one.power.low:.3f}–{one.power.high:.3f})"
        stated = "" if one.stated_power is None else f"{one.stated_power:.3f}"
        lines.append(
            f"{one.kind:<14}{one.items:>6}{one.effect:>8.2f}{go:>8.1%}{no_go:>8.1%}{inconclusive:>10.1%}"
            f"{power:>22}{stated:>8}"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    options = _parse(arguments)
    policy = packaged_policies()["adopt"]
    assert policy.improvement is not None
    effects = (0.0, policy.improvement.at_least, OTHER_EFFECT)
    started = time.perf_counter()
    found = [
        simulate(kind, items, effect, options.simulations, policy, options.seed)
        for kind in KINDS
        for items in options.items
        for effect in effects
    ]
    problems = [problem for one in found for problem in one.problems()]
    print(f"{options.simulations:,} simulated evaluations each, judged by {policy.label}:")
    print("\n".join(f"  {line}" for line in table(found)))
    print("  power found: how often the test is significant and right; without an effect, how often it is significant")
    print("\n".join(f"  {kind.name}: {kind.meaning}" for kind in KINDS))
    print("\n".join(f"  WRONG: {problem}" for problem in problems) or "  both promises hold")
    print(f"  {time.perf_counter() - started:.0f} s")
    if options.json:
        options.json.write_text(json.dumps([one.as_document() for one in found], indent=2) + "\n", "utf-8")
    raise SystemExit(1 if problems else 0)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Simulates evaluations whose truth is known, and tells how often the verdict is wrong.",
        epilog=f"Ends with 1 when equal arms surely get GO in more than {MOST_FALSE_GO:.0%} of evaluations, or a stated "
        f"power lies more than {TOLERANCE} outside of the interval of the power that is found.",
    )
    parser.add_argument("--simulations", type=int, default=2_000, metavar="N", help="evaluations of each sort")
    parser.add_argument("--items", type=int, nargs="+", default=list(ITEMS), metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there, as a JSON list")
    options = parser.parse_args(arguments)
    if options.simulations < 1 or min(options.items) < 1:
        parser.error("numbers of simulations and items begin at 1")
    return options


if __name__ == "__main__":
    main()
