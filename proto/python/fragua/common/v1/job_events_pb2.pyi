from fragua.common.v1 import job_pb2 as _job_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobStateChanged(_message.Message):
    __slots__ = ("job", "branch", "state", "attempt", "failure_reason", "failure_class", "failure_message")
    JOB_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_REASON_FIELD_NUMBER: _ClassVar[int]
    FAILURE_CLASS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    job: str
    branch: str
    state: _job_pb2.JobState
    attempt: int
    failure_reason: str
    failure_class: _job_pb2.FailureClass
    failure_message: str
    def __init__(self, job: _Optional[str] = ..., branch: _Optional[str] = ..., state: _Optional[_Union[_job_pb2.JobState, str]] = ..., attempt: _Optional[int] = ..., failure_reason: _Optional[str] = ..., failure_class: _Optional[_Union[_job_pb2.FailureClass, str]] = ..., failure_message: _Optional[str] = ...) -> None: ...

class JobProgressed(_message.Message):
    __slots__ = ("job", "branch", "attempt", "progress")
    JOB_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    job: str
    branch: str
    attempt: int
    progress: _job_pb2.JobProgress
    def __init__(self, job: _Optional[str] = ..., branch: _Optional[str] = ..., attempt: _Optional[int] = ..., progress: _Optional[_Union[_job_pb2.JobProgress, _Mapping]] = ...) -> None: ...

class JobDeadLettered(_message.Message):
    __slots__ = ("job", "branch", "deliveries", "cause")
    JOB_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    job: str
    branch: str
    deliveries: int
    cause: str
    def __init__(self, job: _Optional[str] = ..., branch: _Optional[str] = ..., deliveries: _Optional[int] = ..., cause: _Optional[str] = ...) -> None: ...
