import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Trigger(_message.Message):
    __slots__ = ("name", "disabled", "sample_count", "accuracy", "schedule", "create_time", "last_fire_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_FIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    disabled: bool
    sample_count: SampleCountCondition
    accuracy: AccuracyCondition
    schedule: ScheduleCondition
    create_time: _timestamp_pb2.Timestamp
    last_fire_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., disabled: _Optional[bool] = ..., sample_count: _Optional[_Union[SampleCountCondition, _Mapping]] = ..., accuracy: _Optional[_Union[AccuracyCondition, _Mapping]] = ..., schedule: _Optional[_Union[ScheduleCondition, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_fire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SampleCountCondition(_message.Message):
    __slots__ = ("min_samples", "exercise_type")
    MIN_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    EXERCISE_TYPE_FIELD_NUMBER: _ClassVar[int]
    min_samples: int
    exercise_type: str
    def __init__(self, min_samples: _Optional[int] = ..., exercise_type: _Optional[str] = ...) -> None: ...

class AccuracyCondition(_message.Message):
    __slots__ = ("min_mean_accuracy", "cycles")
    MIN_MEAN_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    CYCLES_FIELD_NUMBER: _ClassVar[int]
    min_mean_accuracy: float
    cycles: int
    def __init__(self, min_mean_accuracy: _Optional[float] = ..., cycles: _Optional[int] = ...) -> None: ...

class ScheduleCondition(_message.Message):
    __slots__ = ("cron",)
    CRON_FIELD_NUMBER: _ClassVar[int]
    cron: str
    def __init__(self, cron: _Optional[str] = ...) -> None: ...

class TriggerFiring(_message.Message):
    __slots__ = ("name", "cause", "why", "dataset_versions", "fire_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    DATASET_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    FIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    cause: str
    why: str
    dataset_versions: _containers.RepeatedScalarFieldContainer[str]
    fire_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., cause: _Optional[str] = ..., why: _Optional[str] = ..., dataset_versions: _Optional[_Iterable[str]] = ..., fire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TriggerExplanation(_message.Message):
    __slots__ = ("would_fire", "why")
    WOULD_FIRE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    would_fire: bool
    why: str
    def __init__(self, would_fire: _Optional[bool] = ..., why: _Optional[str] = ...) -> None: ...
