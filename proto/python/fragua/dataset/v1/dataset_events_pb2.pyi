from fragua.common.v1 import artifact_pb2 as _artifact_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
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
