from buf.validate import validate_pb2 as _validate_pb2
from fragua.common.v1 import artifact_pb2 as _artifact_pb2
from fragua.common.v1 import job_pb2 as _job_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Metric(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    METRIC_UNSPECIFIED: _ClassVar[Metric]
    METRIC_EXACT_MATCH: _ClassVar[Metric]
    METRIC_TOKEN_F1: _ClassVar[Metric]
    METRIC_CONTAINS: _ClassVar[Metric]
METRIC_UNSPECIFIED: Metric
METRIC_EXACT_MATCH: Metric
METRIC_TOKEN_F1: Metric
METRIC_CONTAINS: Metric

class Evaluation(_message.Message):
    __slots__ = ("name", "adapter", "dataset_version", "metric", "max_items", "max_new_tokens", "seed", "status", "result", "bundle")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    DATASET_VERSION_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    MAX_ITEMS_FIELD_NUMBER: _ClassVar[int]
    MAX_NEW_TOKENS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    adapter: str
    dataset_version: str
    metric: Metric
    max_items: int
    max_new_tokens: int
    seed: int
    status: _job_pb2.JobStatus
    result: EvaluationResult
    bundle: _artifact_pb2.Bundle
    def __init__(self, name: _Optional[str] = ..., adapter: _Optional[str] = ..., dataset_version: _Optional[str] = ..., metric: _Optional[_Union[Metric, str]] = ..., max_items: _Optional[int] = ..., max_new_tokens: _Optional[int] = ..., seed: _Optional[int] = ..., status: _Optional[_Union[_job_pb2.JobStatus, _Mapping]] = ..., result: _Optional[_Union[EvaluationResult, _Mapping]] = ..., bundle: _Optional[_Union[_artifact_pb2.Bundle, _Mapping]] = ...) -> None: ...

class EvaluationResult(_message.Message):
    __slots__ = ("base", "tuned", "paired")
    BASE_FIELD_NUMBER: _ClassVar[int]
    TUNED_FIELD_NUMBER: _ClassVar[int]
    PAIRED_FIELD_NUMBER: _ClassVar[int]
    base: ArmResult
    tuned: ArmResult
    paired: PairedResult
    def __init__(self, base: _Optional[_Union[ArmResult, _Mapping]] = ..., tuned: _Optional[_Union[ArmResult, _Mapping]] = ..., paired: _Optional[_Union[PairedResult, _Mapping]] = ...) -> None: ...

class ArmResult(_message.Message):
    __slots__ = ("score", "score_low", "score_high", "item_count", "tokens_per_second", "stopped_rate")
    SCORE_FIELD_NUMBER: _ClassVar[int]
    SCORE_LOW_FIELD_NUMBER: _ClassVar[int]
    SCORE_HIGH_FIELD_NUMBER: _ClassVar[int]
    ITEM_COUNT_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    STOPPED_RATE_FIELD_NUMBER: _ClassVar[int]
    score: float
    score_low: float
    score_high: float
    item_count: int
    tokens_per_second: float
    stopped_rate: float
    def __init__(self, score: _Optional[float] = ..., score_low: _Optional[float] = ..., score_high: _Optional[float] = ..., item_count: _Optional[int] = ..., tokens_per_second: _Optional[float] = ..., stopped_rate: _Optional[float] = ...) -> None: ...

class PairedResult(_message.Message):
    __slots__ = ("improved", "worsened", "tied", "p_value", "test")
    IMPROVED_FIELD_NUMBER: _ClassVar[int]
    WORSENED_FIELD_NUMBER: _ClassVar[int]
    TIED_FIELD_NUMBER: _ClassVar[int]
    P_VALUE_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    improved: int
    worsened: int
    tied: int
    p_value: float
    test: str
    def __init__(self, improved: _Optional[int] = ..., worsened: _Optional[int] = ..., tied: _Optional[int] = ..., p_value: _Optional[float] = ..., test: _Optional[str] = ...) -> None: ...
