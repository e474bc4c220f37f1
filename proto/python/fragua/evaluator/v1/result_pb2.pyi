from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VerdictOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_OUTCOME_UNSPECIFIED: _ClassVar[VerdictOutcome]
    VERDICT_OUTCOME_GO: _ClassVar[VerdictOutcome]
    VERDICT_OUTCOME_NO_GO: _ClassVar[VerdictOutcome]
    VERDICT_OUTCOME_INCONCLUSIVE: _ClassVar[VerdictOutcome]
VERDICT_OUTCOME_UNSPECIFIED: VerdictOutcome
VERDICT_OUTCOME_GO: VerdictOutcome
VERDICT_OUTCOME_NO_GO: VerdictOutcome
VERDICT_OUTCOME_INCONCLUSIVE: VerdictOutcome

class EvaluationResult(_message.Message):
    __slots__ = ("arms", "comparisons", "verdict")
    ARMS_FIELD_NUMBER: _ClassVar[int]
    COMPARISONS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    arms: _containers.RepeatedCompositeFieldContainer[ArmResult]
    comparisons: _containers.RepeatedCompositeFieldContainer[Comparison]
    verdict: Verdict
    def __init__(self, arms: _Optional[_Iterable[_Union[ArmResult, _Mapping]]] = ..., comparisons: _Optional[_Iterable[_Union[Comparison, _Mapping]]] = ..., verdict: _Optional[_Union[Verdict, _Mapping]] = ...) -> None: ...

class ArmResult(_message.Message):
    __slots__ = ("arm", "model", "digest", "suites", "answer_count", "failed_answer_count", "cached_answer_count", "tokens_per_second", "first_token_seconds", "peak_memory_bytes", "seconds")
    ARM_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SUITES_FIELD_NUMBER: _ClassVar[int]
    ANSWER_COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILED_ANSWER_COUNT_FIELD_NUMBER: _ClassVar[int]
    CACHED_ANSWER_COUNT_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    FIRST_TOKEN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    arm: str
    model: str
    digest: str
    suites: _containers.RepeatedCompositeFieldContainer[SuiteResult]
    answer_count: int
    failed_answer_count: int
    cached_answer_count: int
    tokens_per_second: float
    first_token_seconds: float
    peak_memory_bytes: int
    seconds: float
    def __init__(self, arm: _Optional[str] = ..., model: _Optional[str] = ..., digest: _Optional[str] = ..., suites: _Optional[_Iterable[_Union[SuiteResult, _Mapping]]] = ..., answer_count: _Optional[int] = ..., failed_answer_count: _Optional[int] = ..., cached_answer_count: _Optional[int] = ..., tokens_per_second: _Optional[float] = ..., first_token_seconds: _Optional[float] = ..., peak_memory_bytes: _Optional[int] = ..., seconds: _Optional[float] = ...) -> None: ...

class SuiteResult(_message.Message):
    __slots__ = ("suite", "kind", "item_count", "failed_item_count", "metrics", "checks", "perplexity")
    class ChecksEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    SUITE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ITEM_COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILED_ITEM_COUNT_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    PERPLEXITY_FIELD_NUMBER: _ClassVar[int]
    suite: str
    kind: str
    item_count: int
    failed_item_count: int
    metrics: _containers.RepeatedCompositeFieldContainer[MetricResult]
    checks: _containers.ScalarMap[str, float]
    perplexity: float
    def __init__(self, suite: _Optional[str] = ..., kind: _Optional[str] = ..., item_count: _Optional[int] = ..., failed_item_count: _Optional[int] = ..., metrics: _Optional[_Iterable[_Union[MetricResult, _Mapping]]] = ..., checks: _Optional[_Mapping[str, float]] = ..., perplexity: _Optional[float] = ...) -> None: ...

class MetricResult(_message.Message):
    __slots__ = ("metric", "score", "score_low", "score_high", "standard_deviation", "components")
    class ComponentsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    METRIC_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    SCORE_LOW_FIELD_NUMBER: _ClassVar[int]
    SCORE_HIGH_FIELD_NUMBER: _ClassVar[int]
    STANDARD_DEVIATION_FIELD_NUMBER: _ClassVar[int]
    COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    metric: str
    score: float
    score_low: float
    score_high: float
    standard_deviation: float
    components: _containers.ScalarMap[str, float]
    def __init__(self, metric: _Optional[str] = ..., score: _Optional[float] = ..., score_low: _Optional[float] = ..., score_high: _Optional[float] = ..., standard_deviation: _Optional[float] = ..., components: _Optional[_Mapping[str, float]] = ...) -> None: ...

class Comparison(_message.Message):
    __slots__ = ("suite", "metric", "baseline", "arm", "item_count", "difference", "difference_low", "difference_high", "improved", "worsened", "tied", "test", "p_value", "adjusted_p_value", "effect_size", "minimum_detectable_effect", "power", "baseline_score", "arm_score")
    SUITE_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    ARM_FIELD_NUMBER: _ClassVar[int]
    ITEM_COUNT_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_LOW_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_HIGH_FIELD_NUMBER: _ClassVar[int]
    IMPROVED_FIELD_NUMBER: _ClassVar[int]
    WORSENED_FIELD_NUMBER: _ClassVar[int]
    TIED_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    P_VALUE_FIELD_NUMBER: _ClassVar[int]
    ADJUSTED_P_VALUE_FIELD_NUMBER: _ClassVar[int]
    EFFECT_SIZE_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_DETECTABLE_EFFECT_FIELD_NUMBER: _ClassVar[int]
    POWER_FIELD_NUMBER: _ClassVar[int]
    BASELINE_SCORE_FIELD_NUMBER: _ClassVar[int]
    ARM_SCORE_FIELD_NUMBER: _ClassVar[int]
    suite: str
    metric: str
    baseline: str
    arm: str
    item_count: int
    difference: float
    difference_low: float
    difference_high: float
    improved: int
    worsened: int
    tied: int
    test: str
    p_value: float
    adjusted_p_value: float
    effect_size: float
    minimum_detectable_effect: float
    power: float
    baseline_score: float
    arm_score: float
    def __init__(self, suite: _Optional[str] = ..., metric: _Optional[str] = ..., baseline: _Optional[str] = ..., arm: _Optional[str] = ..., item_count: _Optional[int] = ..., difference: _Optional[float] = ..., difference_low: _Optional[float] = ..., difference_high: _Optional[float] = ..., improved: _Optional[int] = ..., worsened: _Optional[int] = ..., tied: _Optional[int] = ..., test: _Optional[str] = ..., p_value: _Optional[float] = ..., adjusted_p_value: _Optional[float] = ..., effect_size: _Optional[float] = ..., minimum_detectable_effect: _Optional[float] = ..., power: _Optional[float] = ..., baseline_score: _Optional[float] = ..., arm_score: _Optional[float] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("outcome", "policy", "baseline", "candidate", "recommended_arm", "reasons")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDED_ARM_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    outcome: VerdictOutcome
    policy: str
    baseline: str
    candidate: str
    recommended_arm: str
    reasons: _containers.RepeatedCompositeFieldContainer[VerdictReason]
    def __init__(self, outcome: _Optional[_Union[VerdictOutcome, str]] = ..., policy: _Optional[str] = ..., baseline: _Optional[str] = ..., candidate: _Optional[str] = ..., recommended_arm: _Optional[str] = ..., reasons: _Optional[_Iterable[_Union[VerdictReason, _Mapping]]] = ...) -> None: ...

class VerdictReason(_message.Message):
    __slots__ = ("criterion", "tier", "state", "measured", "threshold", "text")
    CRITERION_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    criterion: str
    tier: str
    state: str
    measured: float
    threshold: float
    text: str
    def __init__(self, criterion: _Optional[str] = ..., tier: _Optional[str] = ..., state: _Optional[str] = ..., measured: _Optional[float] = ..., threshold: _Optional[float] = ..., text: _Optional[str] = ...) -> None: ...
