from fragua.common.v1 import artifact_pb2 as _artifact_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DatasetVersionReady(_message.Message):
    __slots__ = ("dataset_version", "branch", "train_row_count", "validation_row_count", "bundle")
    DATASET_VERSION_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    TRAIN_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    dataset_version: str
    branch: str
    train_row_count: int
    validation_row_count: int
    bundle: _artifact_pb2.Bundle
    def __init__(self, dataset_version: _Optional[str] = ..., branch: _Optional[str] = ..., train_row_count: _Optional[int] = ..., validation_row_count: _Optional[int] = ..., bundle: _Optional[_Union[_artifact_pb2.Bundle, _Mapping]] = ...) -> None: ...

class DatasetVersionInvalid(_message.Message):
    __slots__ = ("dataset_version", "branch", "count_by_code")
    class CountByCodeEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    DATASET_VERSION_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    COUNT_BY_CODE_FIELD_NUMBER: _ClassVar[int]
    dataset_version: str
    branch: str
    count_by_code: _containers.ScalarMap[str, int]
    def __init__(self, dataset_version: _Optional[str] = ..., branch: _Optional[str] = ..., count_by_code: _Optional[_Mapping[str, int]] = ...) -> None: ...

class DatasetVersionAwaitingApproval(_message.Message):
    __slots__ = ("dataset_version", "branch", "train_row_count", "validation_row_count")
    DATASET_VERSION_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    TRAIN_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    dataset_version: str
    branch: str
    train_row_count: int
    validation_row_count: int
    def __init__(self, dataset_version: _Optional[str] = ..., branch: _Optional[str] = ..., train_row_count: _Optional[int] = ..., validation_row_count: _Optional[int] = ...) -> None: ...

class DatasetVersionReviewed(_message.Message):
    __slots__ = ("dataset_version", "branch", "reviewer", "reason")
    DATASET_VERSION_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    REVIEWER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    dataset_version: str
    branch: str
    reviewer: str
    reason: str
    def __init__(self, dataset_version: _Optional[str] = ..., branch: _Optional[str] = ..., reviewer: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class AttemptsIngested(_message.Message):
    __slots__ = ("branch", "accepted", "below_accuracy", "samples_by_exercise_type")
    class SamplesByExerciseTypeEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    BELOW_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_BY_EXERCISE_TYPE_FIELD_NUMBER: _ClassVar[int]
    branch: str
    accepted: int
    below_accuracy: int
    samples_by_exercise_type: _containers.ScalarMap[str, int]
    def __init__(self, branch: _Optional[str] = ..., accepted: _Optional[int] = ..., below_accuracy: _Optional[int] = ..., samples_by_exercise_type: _Optional[_Mapping[str, int]] = ...) -> None: ...

class TriggerFired(_message.Message):
    __slots__ = ("trigger", "branch", "firing", "cause", "why", "dataset_versions")
    TRIGGER_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    FIRING_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    DATASET_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    trigger: str
    branch: str
    firing: str
    cause: str
    why: str
    dataset_versions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, trigger: _Optional[str] = ..., branch: _Optional[str] = ..., firing: _Optional[str] = ..., cause: _Optional[str] = ..., why: _Optional[str] = ..., dataset_versions: _Optional[_Iterable[str]] = ...) -> None: ...
