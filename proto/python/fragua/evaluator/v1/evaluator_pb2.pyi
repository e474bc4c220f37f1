from buf.validate import validate_pb2 as _validate_pb2
from fragua.common.v1 import artifact_pb2 as _artifact_pb2
from fragua.common.v1 import job_pb2 as _job_pb2
from fragua.evaluator.v1 import arm_pb2 as _arm_pb2
from fragua.evaluator.v1 import decision_pb2 as _decision_pb2
from fragua.evaluator.v1 import result_pb2 as _result_pb2
from fragua.evaluator.v1 import suite_pb2 as _suite_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Evaluation(_message.Message):
    __slots__ = ("name", "adapter", "dataset_version", "arms", "suites", "decoding", "repeats", "seed", "policy", "limits", "status", "result", "bundle", "decisions", "verification_status")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    DATASET_VERSION_FIELD_NUMBER: _ClassVar[int]
    ARMS_FIELD_NUMBER: _ClassVar[int]
    SUITES_FIELD_NUMBER: _ClassVar[int]
    DECODING_FIELD_NUMBER: _ClassVar[int]
    REPEATS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_STATUS_FIELD_NUMBER: _ClassVar[int]
    name: str
    adapter: str
    dataset_version: str
    arms: _containers.RepeatedCompositeFieldContainer[_arm_pb2.Arm]
    suites: _containers.RepeatedCompositeFieldContainer[_suite_pb2.Suite]
    decoding: Decoding
    repeats: int
    seed: int
    policy: GatePolicyChoice
    limits: Limits
    status: _job_pb2.JobStatus
    result: _result_pb2.EvaluationResult
    bundle: _artifact_pb2.Bundle
    decisions: _containers.RepeatedCompositeFieldContainer[_decision_pb2.Decision]
    verification_status: _decision_pb2.VerificationStatus
    def __init__(self, name: _Optional[str] = ..., adapter: _Optional[str] = ..., dataset_version: _Optional[str] = ..., arms: _Optional[_Iterable[_Union[_arm_pb2.Arm, _Mapping]]] = ..., suites: _Optional[_Iterable[_Union[_suite_pb2.Suite, _Mapping]]] = ..., decoding: _Optional[_Union[Decoding, _Mapping]] = ..., repeats: _Optional[int] = ..., seed: _Optional[int] = ..., policy: _Optional[_Union[GatePolicyChoice, _Mapping]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., status: _Optional[_Union[_job_pb2.JobStatus, _Mapping]] = ..., result: _Optional[_Union[_result_pb2.EvaluationResult, _Mapping]] = ..., bundle: _Optional[_Union[_artifact_pb2.Bundle, _Mapping]] = ..., decisions: _Optional[_Iterable[_Union[_decision_pb2.Decision, _Mapping]]] = ..., verification_status: _Optional[_Union[_decision_pb2.VerificationStatus, str]] = ...) -> None: ...

class Decoding(_message.Message):
    __slots__ = ("max_new_tokens", "temperature", "top_p")
    MAX_NEW_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    max_new_tokens: int
    temperature: float
    top_p: float
    def __init__(self, max_new_tokens: _Optional[int] = ..., temperature: _Optional[float] = ..., top_p: _Optional[float] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("request_seconds", "max_failed_share", "metric_seconds", "metric_memory_mib")
    REQUEST_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAX_FAILED_SHARE_FIELD_NUMBER: _ClassVar[int]
    METRIC_SECONDS_FIELD_NUMBER: _ClassVar[int]
    METRIC_MEMORY_MIB_FIELD_NUMBER: _ClassVar[int]
    request_seconds: float
    max_failed_share: float
    metric_seconds: float
    metric_memory_mib: int
    def __init__(self, request_seconds: _Optional[float] = ..., max_failed_share: _Optional[float] = ..., metric_seconds: _Optional[float] = ..., metric_memory_mib: _Optional[int] = ...) -> None: ...

class GatePolicyChoice(_message.Message):
    __slots__ = ("name", "yaml")
    NAME_FIELD_NUMBER: _ClassVar[int]
    YAML_FIELD_NUMBER: _ClassVar[int]
    name: str
    yaml: str
    def __init__(self, name: _Optional[str] = ..., yaml: _Optional[str] = ...) -> None: ...
