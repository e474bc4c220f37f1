"""What an evaluation measured: `outputs/report.json` and the lines of `outputs/items.jsonl`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from fragua_evaluator.domain.arm import Message
from fragua_evaluator.domain.frozen import Frozen
from fragua_evaluator.domain.suite import SuiteKind
from fragua_evaluator.domain.verdict import Verdict


class Ending(StrEnum):
    """How an answer ended."""

    STOP = "stop"
    """The model ended its turn."""
    LENGTH = "length"
    """It was cut at `max_new_tokens`."""
    FAILED = "failed"
    """There is no answer; `failure` says why. It scores 0 and counts as failed."""


class Answer(Frozen):
    """One answer of one arm to one item in one repeat."""

    text: str = ""
    ending: Ending
    failure: str = ""
    """A reason in capitals and a sentence, e.g. `TIMEOUT: no answer within 600 s`."""
    tokens: int = 0
    """Generated, the one that ends the turn included; 0 where the target does not tell."""
    prompt_tokens: int | None = None
    seconds: float = 0.0
    """From asking to the last token; of a batch, this answer's share."""
    first_token_seconds: float | None = None
    """From asking to the first token."""
    cached: bool = False
    """Taken from an earlier evaluation with the same model, prompt, decoding and repeat; its times count nowhere."""
    choice_log_likelihoods: tuple[float, ...] | None = None
    """Multiple choice: one sum over the tokens for each choice."""
    log_likelihood: float | None = None
    """Perplexity: the sum over the tokens of the expected answer; `tokens` is their number."""

    @property
    def was_weighed(self) -> bool:
        """Whether a given text was weighed, and nothing generated."""
        return self.choice_log_likelihoods is not None or self.log_likelihood is not None


class MetricScore(Frozen):
    value: float
    """From 0 to 1, more is better; of perplexity the mean log-likelihood of a token, which lies below 0."""
    components: dict[str, float] = Field(default_factory=dict)
    """What the value is made of, each 0 to 1."""
    failure: str = ""
    """Why the metric could not score, in the form of `Answer.failure`; the value is 0 then."""


class ArmItem(Frozen):
    """What one arm made of one item."""

    answers: tuple[Answer, ...]
    """One for each repeat."""
    scores: dict[str, MetricScore]
    """By metric, the mean over the repeats, components as well."""
    repeat_values: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """By metric, the value of each repeat."""
    checks: dict[str, float]
    """What is looked at in every answer beside the metrics, 0 to 1, the mean over the repeats: `ended` (the model ended
    its turn), `no_role_tokens`, and, where the item says what is expected of the form, `valid` and `complete`."""


class ItemRecord(Frozen):
    """One line of `items.jsonl`."""

    suite: str
    id: str
    tag: str
    messages: tuple[Message, ...]
    """Up to and including the question, as the item has it; an arm's own prompting is in the specification."""
    expected: str
    choices: tuple[str, ...] | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    arms: dict[str, ArmItem]


class Interval(Frozen):
    low: float
    high: float


class MetricSummary(Frozen):
    """One metric of one arm over one suite."""

    metric: str
    graded: bool
    """Whether the score of an item may lie between 0 and 1; the statistics differ."""
    score: float
    """The mean over the items; failed items count as 0."""
    interval: Interval
    """95 %, over the items."""
    repeat_scores: tuple[float, ...]
    repeat_sd: float | None
    """Of `repeat_scores`; None with a single repeat."""
    components: dict[str, float]
    by_tag: dict[str, float]
    failed: int = 0
    """Items of which at least one repeat has no answer, or could not be scored by this metric."""


class SuiteResult(Frozen):
    """What one arm made of one suite."""

    suite: str
    kind: SuiteKind
    items: int
    failed: int
    """Items of which at least one repeat has no answer, or could not be scored by the first metric."""
    metrics: tuple[MetricSummary, ...]
    """In the order of the suite's metrics; the first one is compared."""
    checks: dict[str, float]
    """Means of `ArmItem.checks` over the items that have them."""
    perplexity: float | None = None


class ArmReport(Frozen):
    arm: str
    model: str
    """What answered, for people: a resource name, a file, an endpoint with its model."""
    digest: str
    """Of the weights, where they are known; else of everything that names the target."""
    suites: tuple[SuiteResult, ...]
    answers: int
    failed_answers: int
    cached_answers: int
    tokens: int
    """Generated in this evaluation, without cached answers."""
    seconds: float
    """Spent in asking, without cached answers."""
    tokens_per_second: float | None
    """Of generating: what was only weighed adds neither tokens nor time."""
    first_token_seconds: float | None
    """Median."""
    peak_rss_bytes: int | None
    """The most memory that this process held while the arm answered; None for remote arms and where it is unknown."""
    conditions: dict[str, Any]
    """What held for this arm: device, weights type, template digest, stop tokens, context, where tokens are counted."""

    def suite(self, name: str) -> SuiteResult | None:
        return next((suite for suite in self.suites if suite.suite == name), None)


class PairedComparison(Frozen):
    """Two arms over the same items of one suite, by the suite's first metric."""

    suite: str
    metric: str
    baseline: str
    arm: str
    items: int
    baseline_score: float
    arm_score: float
    difference: float
    """The arm's score less the baseline's."""
    interval: Interval
    """95 %, of the difference: bootstrap over items; of yes-or-no scores Agresti and Min's."""
    improved: int
    worsened: int
    tied: int
    test: str
    """E.g. `exact McNemar`, `exact Wilcoxon signed-rank`."""
    p_value: float
    """Two-sided, of the hypothesis that neither arm is better."""
    adjusted_p_value: float
    """Holm's, over all comparisons of this evaluation."""
    permutation_p_value: float
    """The same hypothesis by flipping signs; a check of the first test that assumes next to nothing."""
    effect_size: float | None
    """Cohen's d of the paired differences; None where they do not vary."""
    minimum_detectable_effect: float | None
    """The smallest true difference that this test finds in four of five evaluations with so many items."""
    power: float | None
    """How often this test would find a true difference of the policy's minimum improvement, with so many items."""


class ErrorGroup(Frozen):
    by: str
    """What the items have in common: `component`, `tag`, `ending`, `form`, `language`, `length`."""
    value: str
    items: int
    """How many of those that got worse."""
    mean_change: float
    """Of their score; of a component, of the component itself, where it fell."""


class ErrorAnalysis(Frozen):
    """Written when the candidate is not clearly better: where it lost, why that may be, what to try next."""

    baseline: str
    candidate: str
    worsened_items: tuple[str, ...]
    """`suite/id`, the largest losses first; at most 100."""
    groups: tuple[ErrorGroup, ...]
    likely_causes: tuple[str, ...]
    next_options: tuple[str, ...]


class Fairness(Frozen):
    same: dict[str, Any]
    """What was equal for all arms."""
    different: dict[str, dict[str, Any]]
    """What was not, by condition and arm; allowed differences only, such as the prompting of an arm."""


MOST_ITEMS_NAMED = 10_000


class EvaluationReport(Frozen):
    arms: tuple[ArmReport, ...]
    comparisons: tuple[PairedComparison, ...]
    """All pairs of arms, by suite; the earlier arm is the baseline."""
    fairness: Fairness
    verdict: Verdict | None
    """None when no policy was named, or there is one arm only."""
    error_analysis: ErrorAnalysis | None
    spec: dict[str, Any]
    """As the engine was told, but for the place where the worker keeps answers."""
    provenance: dict[str, str]
    versions: dict[str, str]
    duration_seconds: float
    """Of the attempt that finished, loading included; arms' own seconds count all attempts."""
    items: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """By suite, the ids of what was asked, so that votes can be held against them; empty beyond `MOST_ITEMS_NAMED`."""

    def arm(self, name: str) -> ArmReport:
        return next(arm for arm in self.arms if arm.arm == name)
