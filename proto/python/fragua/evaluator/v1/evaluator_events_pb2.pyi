from fragua.evaluator.v1 import decision_pb2 as _decision_pb2
from fragua.evaluator.v1 import result_pb2 as _result_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EvaluationReported(_message.Message):
    __slots__ = ("evaluation", "branch", "adapter", "result")
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    evaluation: str
    branch: str
    adapter: str
    result: _result_pb2.EvaluationResult
    def __init__(self, evaluation: _Optional[str] = ..., branch: _Optional[str] = ..., adapter: _Optional[str] = ..., result: _Optional[_Union[_result_pb2.EvaluationResult, _Mapping]] = ...) -> None: ...

class EvaluationDecided(_message.Message):
    __slots__ = ("evaluation", "branch", "adapter", "outcome", "overridden", "verification_status", "policy")
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    OVERRIDDEN_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_STATUS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    evaluation: str
    branch: str
    adapter: str
    outcome: _result_pb2.VerdictOutcome
    overridden: bool
    verification_status: _decision_pb2.VerificationStatus
    policy: str
    def __init__(self, evaluation: _Optional[str] = ..., branch: _Optional[str] = ..., adapter: _Optional[str] = ..., outcome: _Optional[_Union[_result_pb2.VerdictOutcome, str]] = ..., overridden: _Optional[bool] = ..., verification_status: _Optional[_Union[_decision_pb2.VerificationStatus, str]] = ..., policy: _Optional[str] = ...) -> None: ...
