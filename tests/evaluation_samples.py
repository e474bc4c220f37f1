"""An evaluation as an engine reports it: figures that follow from the items, in Spanish and English."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import NormalDist, fmean, stdev

from fragua_evaluator.domain.arm import Message, Role
from fragua_evaluator.domain.report import (
    Answer,
    ArmItem,
    ArmReport,
    Ending,
    ErrorAnalysis,
    ErrorGroup,
    EvaluationReport,
    Fairness,
    Interval,
    ItemRecord,
    MetricScore,
    MetricSummary,
    PairedComparison,
    SuiteResult,
)
from fragua_evaluator.domain.suite import SuiteKind
from fragua_evaluator.domain.verdict import Outcome, Reason, ReasonState, Tier, Verdict

THREE_ARMS = ("baseline", "optimised-prompt", "fine-tuned")
METRIC = "business_requirements"

_PROJECTS = (
    ("es", "salud", "Portal de citas médicas", "pacientes", "pedir, cambiar y anular citas sin llamar al centro"),
    ("es", "educación", "Campus de la escuela de diseño", "alumnos", "entregar trabajos y ver sus calificaciones"),
    (
        "es",
        "logística",
        "Reparto de última milla en Logroño",
        "repartidores",
        "ver la ruta del día y avisar de retrasos",
    ),
    ("en", "banking", "Dispute desk for card payments", "agents", "open, follow and close a dispute within ten days"),
    ("en", "energy", "Meter readings from the field", "technicians", "record a reading offline and send it later"),
    (
        "en",
        "multi-domain",
        "Clinic billing with insurer and bank",
        "clerks",
        "bill a visit once to whoever has to pay it",
    ),
)
_NEEDS = {
    "es": (
        "registrarse con correo",
        "recibir un aviso el día anterior",
        "exportar los datos a CSV",
        "usarlo con teclado",
    ),
    "en": ("sign in with a passkey", "get a notice the day before", "export everything as CSV", "work without a mouse"),
}
_SKILL = {"baseline": 0.62, "optimised-prompt": 0.72, "fine-tuned": 0.84}


def make_evaluation(
    items: int = 48, *, arms: Sequence[str] = THREE_ARMS, repeats: int = 3, seed: int = 7, suite: str = "validation"
) -> tuple[EvaluationReport, list[ItemRecord]]:
    """One suite of requirement records; greedy decoding, so all repeats of an answer are the same."""
    dice = random.Random(seed)
    records = [_make_item(dice, suite, number, arms, repeats) for number in range(items)]
    return report_on(records, arms), records


def make_multiple_choice(
    items: int = 12, *, arms: Sequence[str] = THREE_ARMS, seed: int = 3, suite: str = "exercises"
) -> list[ItemRecord]:
    """Questions whose answers are weighed, not generated; `report_on` takes them together with other suites' items."""
    dice = random.Random(seed)
    choices = ("A) Malinowski", "B) Boas", "C) Lévi-Strauss")
    records = []
    for number in range(items):
        right = number % 3
        results = {}
        for arm in arms:
            likelihoods = [
                dice.gauss(-4, 1) + (2.5 * _SKILL.get(arm, 0.7) if place == right else 0) for place in range(3)
            ]
            answer = Answer(ending=Ending.STOP, choice_log_likelihoods=tuple(likelihoods), tokens=0, seconds=0.1)
            value = float(likelihoods.index(max(likelihoods)) == right)
            results[arm] = ArmItem(answers=(answer,), scores={"accuracy": MetricScore(value=value)}, checks={})
        records.append(
            ItemRecord(
                suite=suite,
                id=f"mc-{number:03}",
                tag="antropología",
                messages=(Message(role=Role.USER, content="¿Quién lo escribió?\n" + "\n".join(choices)),),
                expected=choices[right],
                choices=choices,
                arms=results,
            )
        )
    return records


def make_perplexity(
    items: int = 6, *, arms: Sequence[str] = THREE_ARMS, seed: int = 5, suite: str = "fluency"
) -> list[ItemRecord]:
    """Expected answers that are weighed token by token."""
    dice = random.Random(seed)
    records = []
    for number in range(items):
        results = {}
        for arm in arms:
            mean = -2.4 + _SKILL.get(arm, 0.7) + dice.gauss(0, 0.1)
            answer = Answer(ending=Ending.STOP, log_likelihood=40 * mean, tokens=40, seconds=0.1)
            results[arm] = ArmItem(
                answers=(answer,), scores={"token_log_likelihood": MetricScore(value=mean)}, checks={}
            )
        records.append(
            ItemRecord(
                suite=suite,
                id=f"text-{number:03}",
                tag="",
                messages=(Message(role=Role.USER, content="Explica qué es un contrato de arras."),),
                expected="Es un acuerdo previo a la compraventa, con una señal.",
                arms=results,
            )
        )
    return records


def items_of(records: Sequence[ItemRecord]) -> Callable[[], Iterator[ItemRecord]]:
    return lambda: iter(records)


def report_on(records: Sequence[ItemRecord], arms: Sequence[str] = THREE_ARMS) -> EvaluationReport:
    """Every figure is worked out from the items; intervals and tests are plain normal approximations."""
    suites = list(dict.fromkeys(record.suite for record in records))
    comparisons = [
        _compare([record for record in records if record.suite == suite], suite, baseline, arm)
        for suite in suites
        for number, baseline in enumerate(arms)
        for arm in arms[number + 1 :]
    ]
    return EvaluationReport(
        items={suite: tuple(record.id for record in records if record.suite == suite) for suite in suites},
        arms=tuple(_arm_report(records, suites, arm, number) for number, arm in enumerate(arms)),
        comparisons=tuple(comparisons),
        fairness=Fairness(
            same={
                "chat_template_sha256": "9c0d" * 16,
                "decoding": "greedy",
                "items": len(records),
                "max_new_tokens": 512,
                "stop_tokens": ["<|im_end|>", "<|endoftext|>"],
            },
            different={"prompting": {arms[1]: "system prompt of 812 characters, 3 demonstrations"}}
            if len(arms) > 2
            else {},
        ),
        verdict=_verdict(comparisons, arms) if len(arms) > 1 else None,
        error_analysis=_error_analysis(records, arms) if len(arms) > 1 else None,
        spec={
            "evaluation": "branches/ba/evaluations/20261201t091500z",
            "seed": 7,
            "repeats": 3,
            "arms": [{"name": arm, "target": {"kind": "model", "base": "base", "adapter": "adapter"}} for arm in arms],
            "policy": {"name": "adopt"},
        },
        provenance={
            "dataset_version": "branches/ba/datasets/requisitos/versions/20261130T180000Z",
            "dataset_manifest_sha256": "5b" * 32,
            "adapter": "branches/ba/adapters/3",
        },
        versions={"python": "3.11.9", "torch": "2.13.0", "transformers": "5.23.0", "fragua-evaluator": "0.1.0"},
        duration_seconds=1873.4,
    )


def _make_item(dice: random.Random, suite: str, number: int, arms: Sequence[str], repeats: int) -> ItemRecord:
    language, tag, title, users, aim = _PROJECTS[number % len(_PROJECTS)]
    needs = _NEEDS[language]
    question = (
        f"Escribe los requisitos de «{title}» en YAML. Los {users} quieren {aim}."
        if language == "es"
        else f"Write the requirements of “{title}” as YAML. The {users} want to {aim}."
    )
    difficulty = dice.gauss(0, 0.08)
    return ItemRecord(
        suite=suite,
        id=f"{tag}-{number:05}",
        tag=tag,
        messages=(
            Message(
                role=Role.SYSTEM,
                content="Eres analista de negocio." if language == "es" else "You are a business analyst.",
            ),
            Message(role=Role.USER, content=question),
        ),
        expected=_record(title, users, needs, 4, closed=True),
        metadata={"type": tag, "language": language},
        arms={arm: _make_arm_item(dice, arm, title, users, needs, difficulty, repeats) for arm in arms},
    )


def _make_arm_item(
    dice: random.Random, arm: str, title: str, users: str, needs: Sequence[str], difficulty: float, repeats: int
) -> ArmItem:
    skill = min(1.0, max(0.0, _SKILL.get(arm, 0.7) + difficulty + dice.gauss(0, 0.10)))
    if dice.random() < 0.01:
        failed = Answer(ending=Ending.FAILED, failure="TIMEOUT: no answer within 600 s")
        return ArmItem(
            answers=(failed,) * repeats,
            scores={METRIC: MetricScore(value=0), "valid_yaml": MetricScore(value=0)},
            checks={},
        )
    complete = skill > 0.5
    listed = max(1, round(len(needs) * skill))
    text = _record(title, users, needs, listed, closed=complete)
    answer = Answer(
        text=text,
        ending=Ending.STOP if complete else Ending.LENGTH,
        tokens=len(text) // 4,
        prompt_tokens=118,
        seconds=len(text) / 90,
        first_token_seconds=0.21,
    )
    components = {
        "completeness": min(1.0, skill + 0.1),
        "title": 1.0,
        "description": 1.0 if complete else 0.5,
        "functional": skill,
        "non_functional": max(0.0, skill - 0.08),
        "constraints": max(0.0, skill - 0.15),
    }
    valid = 1.0 if complete else 0.0
    return ArmItem(
        answers=(answer,) * repeats,
        scores={
            METRIC: MetricScore(value=round(skill, 4), components=components),
            "valid_yaml": MetricScore(value=valid),
        },
        checks={"ended": valid, "no_role_tokens": 1.0, "valid": valid, "complete": min(1.0, skill + 0.1)},
    )


def _record(title: str, users: str, needs: Sequence[str], listed: int, *, closed: bool) -> str:
    lines = [f"title: {title}", f"description: >-\n  {title}, para/for {users}.", "functional_requirements:"]
    lines += [f"  - id: FR-{number:03}\n    text: {need}" for number, need in enumerate(needs[:listed], start=1)]
    lines += ["non_functional_requirements:", "  - id: NFR-001\n    text: 95 % < 300 ms", "constraints:"]
    lines += ["  - id: CON-001\n    text: RGPD / GDPR"] if closed else ["  - id: CON-0"]
    return "\n".join(lines)


def _arm_report(records: Sequence[ItemRecord], suites: Sequence[str], arm: str, number: int) -> ArmReport:
    answers = [answer for record in records for answer in record.arms[arm].answers]
    tokens = sum(answer.tokens for answer in answers)
    seconds = sum(answer.seconds for answer in answers)
    return ArmReport(
        arm=arm,
        model="branches/ba/adapters/3" if arm == "fine-tuned" else "Qwen2.5-3B-Instruct@aa8e725",
        digest=f"{number:x}d" * 32,
        suites=tuple(
            _suite_result([record for record in records if record.suite == suite], suite, arm) for suite in suites
        ),
        answers=len(answers),
        failed_answers=sum(answer.ending is Ending.FAILED for answer in answers),
        cached_answers=0,
        tokens=tokens,
        seconds=seconds,
        tokens_per_second=tokens / seconds if seconds else None,
        first_token_seconds=0.21,
        peak_rss_bytes=5_300_000_000 + number * 180_000_000,
        conditions={"device": "cpu", "weights": "bfloat16", "context": 32_768, "threads": 8},
    )


def _suite_result(records: Sequence[ItemRecord], suite: str, arm: str) -> SuiteResult:
    results = [record.arms[arm] for record in records]
    names = list(results[0].scores)
    first = results[0].answers[0]
    kind = SuiteKind.MULTIPLE_CHOICE if first.choice_log_likelihoods else SuiteKind.GENERATION
    kind = SuiteKind.PERPLEXITY if first.log_likelihood is not None else kind
    checks = {name for result in results for name in result.checks}
    return SuiteResult(
        suite=suite,
        kind=kind,
        items=len(records),
        failed=sum(any(answer.ending is Ending.FAILED for answer in result.answers) for result in results),
        metrics=tuple(_metric_summary(records, arm, name, graded=name == METRIC) for name in names),
        checks={
            name: fmean(result.checks[name] for result in results if name in result.checks) for name in sorted(checks)
        },
        perplexity=math.exp(-fmean(result.scores[names[0]].value for result in results))
        if kind is SuiteKind.PERPLEXITY
        else None,
    )


def _metric_summary(records: Sequence[ItemRecord], arm: str, name: str, *, graded: bool) -> MetricSummary:
    scores = [record.arms[arm].scores[name] for record in records]
    values = [score.value for score in scores]
    tags = list(dict.fromkeys(record.tag for record in records))
    components = list(dict.fromkeys(part for score in scores for part in score.components))
    mean = fmean(values)
    repeats = (mean, mean + 0.004, mean - 0.004) if 0.01 < mean < 0.99 else (mean,) * 3
    return MetricSummary(
        metric=name,
        graded=graded,
        score=mean,
        interval=_interval(values, 0.0 if mean >= 0 else -100.0, 1.0),
        repeat_scores=repeats,
        repeat_sd=stdev(repeats),
        components={part: fmean(score.components.get(part, 0.0) for score in scores) for part in components},
        by_tag={
            tag: fmean(record.arms[arm].scores[name].value for record in records if record.tag == tag) for tag in tags
        },
    )


def _compare(records: Sequence[ItemRecord], suite: str, baseline: str, arm: str) -> PairedComparison:
    metric = next(iter(records[0].arms[arm].scores))
    before = [record.arms[baseline].scores[metric].value for record in records]
    after = [record.arms[arm].scores[metric].value for record in records]
    changes = [new - old for old, new in zip(before, after, strict=True)]
    spread = stdev(changes) if len(changes) > 1 else 0.0
    error = spread / math.sqrt(len(changes))
    p_value = 2 * NormalDist().cdf(-abs(fmean(changes)) / error) if error else 1.0
    return PairedComparison(
        suite=suite,
        metric=metric,
        baseline=baseline,
        arm=arm,
        items=len(records),
        baseline_score=fmean(before),
        arm_score=fmean(after),
        difference=fmean(changes),
        interval=_interval(changes, -1.0, 1.0),
        improved=sum(change > 0 for change in changes),
        worsened=sum(change < 0 for change in changes),
        tied=sum(change == 0 for change in changes),
        test="exact Wilcoxon signed-rank",
        p_value=p_value,
        adjusted_p_value=min(1.0, 3 * p_value),
        permutation_p_value=p_value,
        effect_size=fmean(changes) / spread if spread else None,
        minimum_detectable_effect=2.8 * error,
        power=NormalDist().cdf(0.05 / error - 1.96) if error else None,
    )


def _interval(values: Sequence[float], low: float, high: float) -> Interval:
    error = 1.96 * stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return Interval(low=max(low, fmean(values) - error), high=min(high, fmean(values) + error))


def _verdict(comparisons: Sequence[PairedComparison], arms: Sequence[str]) -> Verdict:
    decisive = next(found for found in comparisons if (found.baseline, found.arm) == (arms[0], arms[-1]))
    better = decisive.interval.low > 0 and decisive.difference >= 0.05
    return Verdict(
        outcome=Outcome.GO if better else Outcome.INCONCLUSIVE,
        policy="adopt@1f3a9c2b",
        baseline=arms[0],
        candidate=arms[-1],
        recommended_arm=arms[-1] if better else arms[0],
        reasons=(
            Reason(
                criterion="improvement",
                tier=Tier.CRITICAL,
                state=ReasonState.MET if better else ReasonState.UNDECIDED,
                measured=decisive.difference,
                threshold=0.05,
                text=f"{arms[-1]} scores {decisive.difference:+.3f} against {arms[0]} on {decisive.suite}; at least +0.050 is asked.",
            ),
            Reason(
                criterion="yaml-valid",
                tier=Tier.CRITICAL,
                state=ReasonState.MET,
                measured=0.98,
                threshold=0.9,
                text="98 % of the answers are valid YAML; more than 90 % is asked.",
            ),
            Reason(
                criterion="speed",
                tier=Tier.SUPPORTING,
                state=ReasonState.MET,
                measured=22.4,
                threshold=10,
                text="22.4 tokens a second; more than 10 is asked.",
            ),
            Reason(
                criterion="votes",
                tier=Tier.ADVISORY,
                state=ReasonState.NOT_MEASURED,
                measured=None,
                threshold=0.6,
                text="Nobody has voted yet; 60 % of at least 10 votes is asked.",
            ),
        ),
    )


def _error_analysis(records: Sequence[ItemRecord], arms: Sequence[str]) -> ErrorAnalysis:
    first, last = arms[0], arms[-1]
    changes: Mapping[str, float] = {
        f"{record.suite}/{record.id}": _value(record, last) - _value(record, first) for record in records
    }
    worsened = tuple(sorted((item for item in changes if changes[item] < 0), key=lambda item: changes[item])[:100])
    return ErrorAnalysis(
        baseline=first,
        candidate=last,
        worsened_items=worsened,
        groups=(
            ErrorGroup(by="tag", value="educación", items=3, mean_change=-0.081),
            ErrorGroup(by="component", value="constraints", items=5, mean_change=-0.064),
        ),
        likely_causes=("2 of the answers that got worse were cut at max_new_tokens.",),
        next_options=("Train on 200 examples or more.", "Keep the simpler arm."),
    )


def _value(record: ItemRecord, arm: str) -> float:
    return next(iter(record.arms[arm].scores.values())).value
