from fragua.evaluator.v1 import evaluator_pb2 as _evaluator_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EvaluationReported(_message.Message):
    __slots__ = ("evaluation", "branch", "adapter", "metric", "result")
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    evaluation: str
    branch: str
    adapter: str
    metric: _evaluator_pb2.Metric
    result: _evaluator_pb2.EvaluationResult
    def __init__(self, evaluation: _Optional[str] = ..., branch: _Optional[str] = ..., adapter: _Optional[str] = ..., metric: _Optional[_Union[_evaluator_pb2.Metric, str]] = ..., result: _Optional[_Union[_evaluator_pb2.EvaluationResult, _Mapping]] = ...) -> None: ...
