from buf.validate import validate_pb2 as _validate_pb2
from fragua.dataset.v1 import dataset_pb2 as _dataset_pb2
from fragua.dataset.v1 import feedback_pb2 as _feedback_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IngestAttemptsRequest(_message.Message):
    __slots__ = ("header", "batch")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    header: IngestAttemptsHeader
    batch: AttemptBatch
    def __init__(self, header: _Optional[_Union[IngestAttemptsHeader, _Mapping]] = ..., batch: _Optional[_Union[AttemptBatch, _Mapping]] = ...) -> None: ...

class IngestAttemptsHeader(_message.Message):
    __slots__ = ("parent",)
    PARENT_FIELD_NUMBER: _ClassVar[int]
    parent: str
    def __init__(self, parent: _Optional[str] = ...) -> None: ...

class AttemptBatch(_message.Message):
    __slots__ = ("attempts",)
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    attempts: _containers.RepeatedCompositeFieldContainer[_feedback_pb2.Attempt]
    def __init__(self, attempts: _Optional[_Iterable[_Union[_feedback_pb2.Attempt, _Mapping]]] = ...) -> None: ...

class IngestAttemptsResponse(_message.Message):
    __slots__ = ("received", "accepted", "below_accuracy", "repeated_attempts")
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    BELOW_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    REPEATED_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    received: int
    accepted: int
    below_accuracy: int
    repeated_attempts: int
    def __init__(self, received: _Optional[int] = ..., accepted: _Optional[int] = ..., below_accuracy: _Optional[int] = ..., repeated_attempts: _Optional[int] = ...) -> None: ...

class GetBranchProgressRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class RateOutputRequest(_message.Message):
    __slots__ = ("parent", "output_rating", "request_id")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_RATING_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    parent: str
    output_rating: _feedback_pb2.OutputRating
    request_id: str
    def __init__(self, parent: _Optional[str] = ..., output_rating: _Optional[_Union[_feedback_pb2.OutputRating, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class ConsolidateSamplesRequest(_message.Message):
    __slots__ = ("parent", "exercise_type", "request_id")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    EXERCISE_TYPE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    parent: str
    exercise_type: str
    request_id: str
    def __init__(self, parent: _Optional[str] = ..., exercise_type: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ConsolidateSamplesResponse(_message.Message):
    __slots__ = ("dataset_versions",)
    DATASET_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    dataset_versions: _containers.RepeatedCompositeFieldContainer[_dataset_pb2.DatasetVersion]
    def __init__(self, dataset_versions: _Optional[_Iterable[_Union[_dataset_pb2.DatasetVersion, _Mapping]]] = ...) -> None: ...
