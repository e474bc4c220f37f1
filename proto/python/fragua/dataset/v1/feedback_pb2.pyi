import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Attempt(_message.Message):
    __slots__ = ("attempt_id", "exercise_type", "user_id", "accuracy", "question", "answer", "choices", "system", "metadata", "attempt_time")
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    EXERCISE_TYPE_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_TIME_FIELD_NUMBER: _ClassVar[int]
    attempt_id: str
    exercise_type: str
    user_id: str
    accuracy: float
    question: str
    answer: str
    choices: _containers.RepeatedScalarFieldContainer[str]
    system: str
    metadata: _struct_pb2.Struct
    attempt_time: _timestamp_pb2.Timestamp
    def __init__(self, attempt_id: _Optional[str] = ..., exercise_type: _Optional[str] = ..., user_id: _Optional[str] = ..., accuracy: _Optional[float] = ..., question: _Optional[str] = ..., answer: _Optional[str] = ..., choices: _Optional[_Iterable[str]] = ..., system: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., attempt_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BranchProgress(_message.Message):
    __slots__ = ("name", "exercise_types", "cycles", "pooled_outputs", "rated_outputs")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXERCISE_TYPES_FIELD_NUMBER: _ClassVar[int]
    CYCLES_FIELD_NUMBER: _ClassVar[int]
    POOLED_OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    RATED_OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    exercise_types: _containers.RepeatedCompositeFieldContainer[ExerciseTypeProgress]
    cycles: _containers.RepeatedCompositeFieldContainer[AccuracyCycle]
    pooled_outputs: int
    rated_outputs: int
    def __init__(self, name: _Optional[str] = ..., exercise_types: _Optional[_Iterable[_Union[ExerciseTypeProgress, _Mapping]]] = ..., cycles: _Optional[_Iterable[_Union[AccuracyCycle, _Mapping]]] = ..., pooled_outputs: _Optional[int] = ..., rated_outputs: _Optional[int] = ...) -> None: ...

class ExerciseTypeProgress(_message.Message):
    __slots__ = ("exercise_type", "samples", "new_samples", "below_accuracy", "mean_accuracy")
    EXERCISE_TYPE_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    NEW_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    BELOW_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    MEAN_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    exercise_type: str
    samples: int
    new_samples: int
    below_accuracy: int
    mean_accuracy: float
    def __init__(self, exercise_type: _Optional[str] = ..., samples: _Optional[int] = ..., new_samples: _Optional[int] = ..., below_accuracy: _Optional[int] = ..., mean_accuracy: _Optional[float] = ...) -> None: ...

class AccuracyCycle(_message.Message):
    __slots__ = ("end_time", "attempts", "mean_accuracy")
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    MEAN_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    end_time: _timestamp_pb2.Timestamp
    attempts: int
    mean_accuracy: float
    def __init__(self, end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempts: _Optional[int] = ..., mean_accuracy: _Optional[float] = ...) -> None: ...

class OutputRating(_message.Message):
    __slots__ = ("name", "concept", "output", "rating", "model", "pooled", "create_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONCEPT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    RATING_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    POOLED_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    concept: str
    output: str
    rating: int
    model: str
    pooled: bool
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., concept: _Optional[str] = ..., output: _Optional[str] = ..., rating: _Optional[int] = ..., model: _Optional[str] = ..., pooled: _Optional[bool] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
