import datetime

from buf.validate import validate_pb2 as _validate_pb2
from fragua.common.v1 import artifact_pb2 as _artifact_pb2
from fragua.common.v1 import job_pb2 as _job_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DatasetVersionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATASET_VERSION_STATE_UNSPECIFIED: _ClassVar[DatasetVersionState]
    DATASET_VERSION_STATE_VALIDATING: _ClassVar[DatasetVersionState]
    DATASET_VERSION_STATE_INVALID: _ClassVar[DatasetVersionState]
    DATASET_VERSION_STATE_READY: _ClassVar[DatasetVersionState]

class FileFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILE_FORMAT_UNSPECIFIED: _ClassVar[FileFormat]
    FILE_FORMAT_JSONL: _ClassVar[FileFormat]
    FILE_FORMAT_JSON: _ClassVar[FileFormat]
    FILE_FORMAT_CSV: _ClassVar[FileFormat]

class RowShape(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROW_SHAPE_UNSPECIFIED: _ClassVar[RowShape]
    ROW_SHAPE_ALPACA: _ClassVar[RowShape]
    ROW_SHAPE_MESSAGES: _ClassVar[RowShape]
    ROW_SHAPE_PROMPT_COMPLETION: _ClassVar[RowShape]
    ROW_SHAPE_SHAREGPT: _ClassVar[RowShape]
    ROW_SHAPE_MULTIPLE_CHOICE: _ClassVar[RowShape]

class ProblemSeverity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROBLEM_SEVERITY_UNSPECIFIED: _ClassVar[ProblemSeverity]
    PROBLEM_SEVERITY_ERROR: _ClassVar[ProblemSeverity]
    PROBLEM_SEVERITY_WARNING: _ClassVar[ProblemSeverity]
DATASET_VERSION_STATE_UNSPECIFIED: DatasetVersionState
DATASET_VERSION_STATE_VALIDATING: DatasetVersionState
DATASET_VERSION_STATE_INVALID: DatasetVersionState
DATASET_VERSION_STATE_READY: DatasetVersionState
FILE_FORMAT_UNSPECIFIED: FileFormat
FILE_FORMAT_JSONL: FileFormat
FILE_FORMAT_JSON: FileFormat
FILE_FORMAT_CSV: FileFormat
ROW_SHAPE_UNSPECIFIED: RowShape
ROW_SHAPE_ALPACA: RowShape
ROW_SHAPE_MESSAGES: RowShape
ROW_SHAPE_PROMPT_COMPLETION: RowShape
ROW_SHAPE_SHAREGPT: RowShape
ROW_SHAPE_MULTIPLE_CHOICE: RowShape
PROBLEM_SEVERITY_UNSPECIFIED: ProblemSeverity
PROBLEM_SEVERITY_ERROR: ProblemSeverity
PROBLEM_SEVERITY_WARNING: ProblemSeverity

class Branch(_message.Message):
    __slots__ = ("name", "display_name", "create_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    display_name: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., display_name: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DatasetVersion(_message.Message):
    __slots__ = ("name", "state", "status", "source_filename", "source_sha256", "source_size_bytes", "options", "row_count", "train_row_count", "validation_row_count", "problem_count", "bundle")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FILENAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    TRAIN_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_COUNT_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: DatasetVersionState
    status: _job_pb2.JobStatus
    source_filename: str
    source_sha256: str
    source_size_bytes: int
    options: ImportOptions
    row_count: int
    train_row_count: int
    validation_row_count: int
    problem_count: int
    bundle: _artifact_pb2.Bundle
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[DatasetVersionState, str]] = ..., status: _Optional[_Union[_job_pb2.JobStatus, _Mapping]] = ..., source_filename: _Optional[str] = ..., source_sha256: _Optional[str] = ..., source_size_bytes: _Optional[int] = ..., options: _Optional[_Union[ImportOptions, _Mapping]] = ..., row_count: _Optional[int] = ..., train_row_count: _Optional[int] = ..., validation_row_count: _Optional[int] = ..., problem_count: _Optional[int] = ..., bundle: _Optional[_Union[_artifact_pb2.Bundle, _Mapping]] = ...) -> None: ...

class ImportOptions(_message.Message):
    __slots__ = ("shape", "validation_fraction", "split_seed", "group_field", "format")
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FRACTION_FIELD_NUMBER: _ClassVar[int]
    SPLIT_SEED_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    shape: RowShape
    validation_fraction: float
    split_seed: int
    group_field: str
    format: FileFormat
    def __init__(self, shape: _Optional[_Union[RowShape, str]] = ..., validation_fraction: _Optional[float] = ..., split_seed: _Optional[int] = ..., group_field: _Optional[str] = ..., format: _Optional[_Union[FileFormat, str]] = ...) -> None: ...

class DatasetProblem(_message.Message):
    __slots__ = ("line", "pointer", "code", "message", "hint", "severity")
    LINE_FIELD_NUMBER: _ClassVar[int]
    POINTER_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    line: int
    pointer: str
    code: str
    message: str
    hint: str
    severity: ProblemSeverity
    def __init__(self, line: _Optional[int] = ..., pointer: _Optional[str] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., hint: _Optional[str] = ..., severity: _Optional[_Union[ProblemSeverity, str]] = ...) -> None: ...
